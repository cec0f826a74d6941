"""Two levels of policies: when the master chooses, who acts, and with which probability."""

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec

from tests.eager import PlainPolicy
from tfcaml import environments, keys, nest
from tfcaml.errors import ConfigError
from tfcaml.policies.two_level import TwoLevelPolicy
from tfcaml.rollouts import sampling

TASKS, EPISODES, OPTIONS, PERIOD = 3, 4, 3, 4
FAMILIES = {
    "discrete": environments.Particle(environments.ParticleConfig(horizon=10)),
    "continuous": environments.TurnedPoint(environments.TurnedPointConfig(horizon=10)),
}


def made(family, period=PERIOD):
    options = tensor_spec.BoundedTensorSpec([], tf.int32, 0, OPTIONS - 1)
    master = PlainPolicy(family.observation_spec, options)
    sub = PlainPolicy(family.observation_spec, family.action_spec)
    return TwoLevelPolicy(master, sub, period)


def weights(policy, random=0.0):
    """Of each task its own, so that the master and the sub-policies differ a lot."""
    params = nest.stack([policy.init(seed) for seed in range(TASKS)])
    params = nest.map(lambda x: 3 * x, params)
    return {**params, "random": tf.fill([TASKS], random)}


@pytest.fixture(scope="module", params=FAMILIES)
def played(request):
    family = FAMILIES[request.param]
    policy, task = made(family), family.population(0, TASKS).test
    params = weights(policy)
    arguments = policy, family, params, task, EPISODES, keys.from_int(1)
    return policy, params, tf.function(sampling.sample, autograph=False)(*arguments)


def test_the_master_chooses_every_few_steps_and_the_choice_holds(played):
    _, _, found = played
    chosen, option = found.info["chosen"].numpy(), found.info["option"].numpy()
    np.testing.assert_array_equal(
        chosen, np.broadcast_to(np.arange(10) % PERIOD == 0, chosen.shape)
    )
    for start in range(0, 10, PERIOD):
        held = option[:, :, start : start + PERIOD]
        np.testing.assert_array_equal(held, np.broadcast_to(held[:, :, :1], held.shape))
    assert len(np.unique(option)) == OPTIONS
    assert np.any(option[:, :, 0] != option[:, :, PERIOD])


def test_actions_are_those_of_the_sub_policy_in_force(played):
    """By its own weights alone."""
    policy, params, found = played
    for task in range(TASKS):
        row = lambda x, t=task: tf.reshape(x[t], [1, -1, *x.shape[3:]])
        seen, action = row(found.observation), row(found.action)
        option = np.ravel(found.info["option"][task])
        each = [
            policy.sub(nest.map(lambda w, k=k, t=task: w[t : t + 1, k], params["sub"]), seen)
            for k in range(OPTIONS)
        ]
        log_prob = np.stack([np.ravel(d.log_prob(action)) for d in each])
        mask = np.ravel(found.mask[task]) > 0
        expected = log_prob[option, np.arange(len(option))]
        np.testing.assert_allclose(np.ravel(found.log_prob[task])[mask], expected[mask], rtol=1e-4)


def test_unrolled_it_is_what_acted(played):
    policy, params, found = played
    log_prob = policy.unroll(params, found).log_prob(nest.flat_steps(found.action))
    mask = found.mask > 0
    expected = tf.boolean_mask(found.log_prob, mask)
    own = tf.boolean_mask(tf.reshape(log_prob, found.mask.shape), mask)
    np.testing.assert_allclose(own, expected, rtol=1e-4)


def test_some_choices_are_drawn_evenly():
    """Of a master that would always choose the same."""
    family = FAMILIES["continuous"]
    policy = made(family, period=1)
    task = family.population(0, TASKS).test
    for share in (0.0, 0.3):
        params = weights(policy, share)
        bias = tf.one_hot([1] * TASKS, OPTIONS) * 1e3
        params["master"] = (*params["master"][:3], bias)
        found = tf.function(sampling.sample, autograph=False)(
            policy, family, params, task, 300, keys.from_int(0)
        )
        option = found.info["option"].numpy()
        counts = np.bincount(option.ravel(), minlength=OPTIONS) / option.size
        expected = np.array([share / 3, 1 - 2 * share / 3, share / 3])
        np.testing.assert_allclose(counts, expected, atol=0.02)


def test_what_is_no_policy_of_two_levels_is_refused():
    family = FAMILIES["continuous"]
    sub = PlainPolicy(family.observation_spec, family.action_spec)
    with pytest.raises(ConfigError, match="master to be a policy of discrete actions"):
        TwoLevelPolicy(sub, sub, 3)
    with pytest.raises(ConfigError, match="period"):
        made(family, period=0)


def test_the_master_decides():
    """One that is sure chooses by its own weights what it holds to be best."""
    family = FAMILIES["continuous"]
    policy = made(family, period=1)
    params = weights(policy)
    params["master"] = nest.map(lambda x: 1e3 * x, params["master"])
    task = family.population(0, TASKS).test
    found = tf.function(sampling.sample, autograph=False)(
        policy, family, params, task, EPISODES, keys.from_int(0)
    )
    master = policy.master(params["master"], nest.flat_steps(found.observation))
    best = np.argmax(master.logits_parameter(), axis=-1).reshape(found.mask.shape)
    mask = found.mask.numpy() > 0
    np.testing.assert_array_equal(found.info["option"].numpy()[mask], best[mask])
    assert len(np.unique(best)) > 1
