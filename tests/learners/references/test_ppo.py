"""PPO from scratch, by hand."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.eager import PlainActorCritic
from tfcaml import environments, keys, learners, nest
from tfcaml.types import Trajectory

ROWS, EPISODES, STEPS = 2, 2, 6
DISCOUNT, LAMBDA, CLIP, KL = 0.9, 0.8, 0.1, 0.5


@pytest.fixture(scope="module")
def learner():
    family = environments.TurnedPoint(environments.TurnedPointConfig(horizon=STEPS))
    config = learners.PPO.Config(
        episodes_per_update=EPISODES,
        minibatches=3,
        clip_ratio=CLIP,
        kl_weight=KL,
        inner_optimizer="sgd",
        inner_learning_rate=0.5,
        advantage={"discount": DISCOUNT, "gae_lambda": LAMBDA},
    )
    policy = PlainActorCritic(family.observation_spec, family.action_spec)
    return learners.PPO(family, policy, config, jit_compile=False)


@pytest.fixture(scope="module")
def life(learner):
    """(`FastState`, trajectory whose first episode ends and whose second is cut, `Experience`)."""
    fast = learner.start({}, ROWS, keys.per_task(keys.from_int(0), ROWS))
    rng = np.random.default_rng(0)
    normal = lambda *shape: tf.constant(rng.normal(size=[ROWS, EPISODES, *shape]), tf.float32)
    mask, ends = np.ones([ROWS, EPISODES, STEPS]), np.zeros([ROWS, EPISODES, STEPS])
    mask[:, 0, 4:] = 0
    ends[:, 0, 3] = 1
    mask, ends = (tf.constant(x, tf.float32) for x in (mask, ends))
    seen, action = normal(STEPS, 2), normal(STEPS, 2)
    trajectory = Trajectory(seen, action, normal(STEPS) * mask, mask, mask, ends, normal(2))
    flat = nest.flat_steps((seen, action))
    log_prob = learner.policy(fast.params, flat[0]).log_prob(flat[1])
    trajectory = trajectory._replace(log_prob=tf.reshape(log_prob, mask.shape))
    return fast, trajectory, learner.experience({}, fast, trajectory)


def test_advantages_by_a_loop(life):
    """Generalised, with the value of what a cut episode led to; mean 0 and deviation 1 of a row."""
    fast, trajectory, support = life
    for row in range(ROWS):
        critic = np.asarray(fast.params["value"][row], np.float64)
        found, target = np.zeros([EPISODES, STEPS]), np.zeros([EPISODES, STEPS])
        for episode, length in enumerate((4, STEPS)):
            at = lambda x, e=episode, r=row: np.asarray(x, np.float64)[r, e]
            values = np.append(at(trajectory.observation) @ critic, 0.0)[: length + 1]
            values[length] = at(trajectory.final_observation) @ critic if episode else 0.0
            follows = 0.0
            for t in reversed(range(length)):
                delta = at(trajectory.reward)[t] + DISCOUNT * values[t + 1] - values[t]
                follows = delta + DISCOUNT * LAMBDA * follows
                found[episode, t], target[episode, t] = follows, follows + values[t]
        valid = np.asarray(trajectory.mask)[row] > 0
        expected = (found - found[valid].mean()) / found[valid].std()
        np.testing.assert_allclose(
            support.weight[row][valid], expected[valid], rtol=1e-4, atol=1e-5
        )
        np.testing.assert_allclose(support.extra["target"][row][valid], target[valid], rtol=1e-4)
        assert not np.any(support.weight[row][~valid])


def test_an_update_by_hand(learner, life):
    """Three steps of plain descent, each on every third step, against the loss as it is written."""
    fast, trajectory, support = life
    params = nest.map(lambda x: tf.Variable(x), fast.params)
    flat = lambda x: tf.reshape(x, [ROWS, EPISODES * STEPS, *x.shape[3:]])
    seen, action, mask, old_log_prob, weight, target = (
        flat(x) for x in (
            trajectory.observation, trajectory.action, trajectory.mask, trajectory.log_prob,
            support.weight, support.extra["target"],
        )
    )  # fmt: skip
    old = learner.policy(fast.params, seen)
    for number in range(3):
        part = lambda x, n=number: x[:, n::3]
        with tf.GradientTape() as tape:
            now = learner.policy(params, part(seen))
            ratio = tf.exp(now.log_prob(part(action)) - part(old_log_prob))
            clipped = tf.clip_by_value(ratio, 1 - CLIP, 1 + CLIP)
            gain = tf.minimum(ratio * part(weight), clipped * part(weight))
            before = tfp.distributions.MultivariateNormalDiag(part(old.mean()), part(old.stddev()))
            divergence = before.kl_divergence(now)
            value = tf.einsum("nso,no->ns", part(seen), params["value"])
            each = -gain + KL * divergence + (value - part(target)) ** 2
            loss = tf.reduce_sum(each * part(mask), 1) / tf.reduce_sum(part(mask), 1)
        for variable, gradient in zip(
            tf.nest.flatten(params), tape.gradient(loss, tf.nest.flatten(params))
        ):
            variable.assign_sub(0.5 * gradient)
    found = learner.adapt({}, fast, support).params
    for x, y in zip(tf.nest.flatten(found), tf.nest.flatten(params)):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5)
