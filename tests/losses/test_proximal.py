"""PPO with a critic: its loss by hand, with early ends, and actions that were all but ruled out."""

import numpy as np
import pytest
import tensorflow as tf

from tests.eager import PlainActorCritic
from tfcaml import environments, keys, nest
from tfcaml.losses import proximal
from tfcaml.rollouts import sampling

TASKS, EPISODES, STEPS, EPSILON, KL = 2, 3, 6, 0.2, 0.3


@pytest.fixture(scope="module")
def played():
    """(policy, other weights than those that acted, `Experience` with episodes that end early)."""
    family = environments.Particle(environments.ParticleConfig(horizon=STEPS))
    policy = PlainActorCritic(family.observation_spec, family.action_spec)
    params = nest.stack([policy.init(seed) for seed in range(TASKS)])
    task = family.population(0, TASKS).test
    sample = tf.function(sampling.sample, autograph=False)
    found = sample(policy, family, params, task, EPISODES, keys.from_int(0))
    length = np.array([[6, 2, 4], [1, 5, 3]])[..., None]
    found = found._replace(mask=tf.constant(np.arange(STEPS) < length, tf.float32))
    support = proximal.experience(policy, params, found, 0.9, 0.8)
    return policy, nest.map(lambda x: 1.5 * x + 0.1, params), support


def test_the_loss_by_hand(played):
    policy, params, support = played
    trajectory = support.trajectory
    found = proximal.loss(policy, params, support, EPSILON, KL).numpy()
    seen = nest.flat_steps(trajectory.observation)
    new = tf.nn.log_softmax(policy(params, seen).logits_parameter()).numpy()
    old = tf.nn.log_softmax(support.distribution["logits"]).numpy()
    value = policy.value(params, trajectory)[0].numpy().reshape([TASKS, -1])
    flat = lambda x: np.asarray(x).reshape([TASKS, -1])
    action, weight = flat(trajectory.action), flat(support.weight)
    target = flat(support.extra["target"])
    for task in range(TASKS):
        terms = []
        for i in np.flatnonzero(flat(trajectory.mask)[task]):
            p, q = old[task, i], new[task, i]
            ratio = np.exp(q[action[task, i]] - p[action[task, i]])
            clipped = min(max(ratio, 1 - EPSILON), 1 + EPSILON)
            gain = min(ratio * weight[task, i], clipped * weight[task, i])
            kl = np.sum(np.exp(p) * (p - q))
            terms.append(-gain + KL * kl + (value[task, i] - target[task, i]) ** 2)
        np.testing.assert_allclose(found[task], np.mean(terms), rtol=1e-4)


def test_actions_that_were_all_but_impossible_leave_gradients_finite(played):
    """Their probability may grow by more than a float holds."""
    policy, params, support = played
    rare = support.trajectory.log_prob - 200.0
    support = support._replace(trajectory=support.trajectory._replace(log_prob=rare))
    with tf.GradientTape() as tape:
        tape.watch(params)
        loss = proximal.loss(policy, params, support, EPSILON)
    gradients = tape.gradient(loss, params)
    assert np.isfinite(loss).all()
    assert all(np.isfinite(x).all() for x in tf.nest.flatten(gradients))
