"""A context behind the observation, in every way that a policy is asked."""

import numpy as np
import tensorflow as tf

from tests.by_hand import Softmax
from tests.recall import Recall
from tfcaml import keys, nest
from tfcaml.policies import ContextPolicy, with_context
from tfcaml.rollouts import sampling

SPEC = {"place": tf.TensorSpec([2]), "clock": tf.TensorSpec([], tf.int32)}


def test_the_policy_within_sees_the_observation_as_a_vector_and_the_context():
    assert with_context(SPEC, 2) == tf.TensorSpec([5], tf.float32)
    assert with_context(tf.TensorSpec([3], tf.float64), 1) == tf.TensorSpec([4], tf.float64)
    policy = ContextPolicy(Softmax(tf.float32, 5), SPEC, 2)
    assert policy.names == ("context", "policy/0", "policy/1") and policy.head == (1, 2)
    kernel, bias = (x.numpy() for x in policy.policy.init(0))
    fresh = policy.init(0)
    np.testing.assert_array_equal(fresh["context"], [0, 0])
    np.testing.assert_array_equal(fresh["policy"][0], kernel)
    context = tf.constant([[1.0, 2.0], [3.0, 4.0]])
    params = {"context": context, "policy": nest.repeat((kernel, bias), 2)}
    seen = {"place": tf.ones([2, 3, 2]), "clock": tf.constant([[1, 2, 3], [4, 5, 6]])}
    found = policy(params, seen).logits.numpy()
    for n in range(2):
        for e in range(3):
            vector = np.array([seen["clock"][n, e], 1, 1, *context[n]], np.float32)
            np.testing.assert_allclose(found[n, e], vector @ kernel + bias, rtol=1e-5)
    distribution, memory = policy.act(params, seen, ())
    np.testing.assert_array_equal(distribution.logits, found)
    assert memory == ()


def test_what_else_the_policy_within_does_it_does(slide):
    """`Recall`, which does everything, looks at the observation's first number only."""
    within = Recall()
    policy = ContextPolicy(within, slide.observation_spec, 3)
    task, key = {"goal": tf.constant([0.0, 1.0])}, keys.from_int(1)
    own = nest.stack([within.init(0), within.init(1)])
    params = {"context": tf.ones([2, 3]), "policy": own}
    plain = sampling.sample(within, slide, own, task, 3, key)
    found = sampling.sample(policy, slide, params, task, 3, key)
    for one, other in zip(tf.nest.flatten(found), tf.nest.flatten(plain), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(
        policy.unroll(params, found).mean(), within.unroll(own, plain).mean()
    )
    nest.map(np.testing.assert_array_equal, policy.value(params, found), within.value(own, plain))
