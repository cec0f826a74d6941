import numpy as np
import tensorflow as tf

from tfcaml import losses, nest


def numpy_log_prob(params, observation, action):
    """The softmax policy with one tanh layer, written out for one task."""
    kernel_1, bias_1, kernel_2, bias_2 = (np.asarray(p, np.float64) for p in params)
    logits = np.tanh(observation @ kernel_1 + bias_1) @ kernel_2 + bias_2
    log_prob = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    return np.take_along_axis(log_prob, action[..., None], axis=-1)[..., 0]


def test_log_prob_and_loss_are_the_formulae(policy, random_trajectory):
    trajectory = random_trajectory(seed=0, shape=(2, 3, 4))
    params = nest.stack([policy.init(0), policy.init(1)])
    params = nest.map(lambda x: x + 0.1, params)
    advantage = np.random.default_rng(1).normal(size=(2, 3, 4)).astype(np.float32)
    log_prob = losses.action_log_prob(policy, params, trajectory)
    loss = losses.policy_gradient(policy, params, trajectory, advantage)
    assert log_prob.shape == [2, 3, 4] and loss.shape == [2]
    mask = trajectory.mask.numpy()
    for i in range(2):
        own = [p[i] for p in params]
        observation, action = trajectory.observation[i].numpy(), trajectory.action[i].numpy()
        expected = numpy_log_prob(own, observation, action)
        np.testing.assert_allclose(log_prob[i], expected, rtol=1e-4, atol=1e-5)
        living = mask[i] > 0
        expected = -(expected * advantage[i])[living].mean()
        np.testing.assert_allclose(loss[i], expected, rtol=1e-4, atol=1e-5)


def test_padded_steps_have_no_influence(policy, random_trajectory):
    trajectory = random_trajectory(seed=2)
    params = nest.stack([policy.init(0), policy.init(1)])
    advantage = tf.ones_like(trajectory.reward)
    padding = trajectory.mask == 0
    spoiled = trajectory._replace(
        observation=tf.where(padding[..., None], 1e3, trajectory.observation),
        action=tf.where(padding, 3 - trajectory.action, trajectory.action),
    )
    before = losses.policy_gradient(policy, params, trajectory, advantage)
    after = losses.policy_gradient(policy, params, spoiled, tf.where(padding, 5.0, advantage))
    np.testing.assert_allclose(before, after, rtol=1e-5)
    assert np.mean(trajectory.mask) < 1


def test_a_step_makes_good_actions_likelier(policy, random_trajectory):
    trajectory = random_trajectory(seed=3)
    params = nest.stack([policy.init(0), policy.init(1)])
    good = tf.cast(trajectory.action == 2, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(params)
        loss = losses.policy_gradient(policy, params, trajectory, good)
    gradients = tape.gradient(loss, params)
    moved = nest.map(lambda p, g: p - 0.5 * g, params, gradients)
    total = lambda p: np.sum(losses.action_log_prob(policy, p, trajectory) * good)
    assert total(moved) > total(params)
