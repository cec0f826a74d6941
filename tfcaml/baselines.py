"""Baselines and advantages, fitted per task on the batch they are used on."""

import tensorflow as tf

from tfcaml import nest, returns

RETURNS = {"reward_to_go": returns.reward_to_go, "whole_return": returns.whole_return}


def no_baseline(value, mask, observation=None):
    """0. REINFORCE without a baseline does not learn the personalised particles."""
    return tf.zeros_like(value)


def batch_mean(value, mask, observation=None):
    """Mean over all living steps of the task's episodes: [N, E, T] -> [N, 1, 1]."""
    return _mean(value, mask, axis=[1, 2])


def time_step_mean(value, mask, observation=None):
    """Mean over the task's episodes that live at each time step: [N, E, T] -> [N, 1, T]."""
    return _mean(value, mask, axis=[1])


def linear_feature(value, mask, observation, ridge=1e-5):
    """Least squares on [o, o^2, tau, tau^2, tau^3, 1], fitted to the very steps it is used on.

    Y. Duan et al., "Benchmarking deep reinforcement learning for continuous control", ICML 2016;
    the baseline of MAML's published curves. o is clipped to +-10 and tau = t / 100. Fitting on the
    steps that are predicted biases the gradient slightly; so do the published results.

    Args:
      value: [N, E, T], the returns to predict.
      mask: [N, E, T].
      observation: nest of [N, E, T, ...]; its leaves are joined to vectors.
      ridge: added to the diagonal of the sum of squared features.

    Returns:
      [N, E, T].
    """
    observation = nest.vectors(observation, 3)
    num_tasks, _, steps, size = observation.shape
    # Cubes of time and squares are nearly collinear: the normal equations need 64 bits.
    o = tf.clip_by_value(tf.cast(observation, tf.float64), -10, 10)
    tau = tf.cast(tf.range(steps), tf.float64) / 100
    powers = tf.stack([tau, tau**2, tau**3, tf.ones_like(tau)], axis=-1)
    powers = tf.broadcast_to(powers, [*observation.shape[:-1], 4])
    feature = tf.concat([o, o**2, powers], axis=-1) * tf.cast(mask, tf.float64)[..., None]
    x = tf.reshape(feature, [num_tasks, -1, 2 * size + 4])
    y = tf.reshape(tf.cast(value * mask, tf.float64), [num_tasks, -1, 1])
    gram = tf.matmul(x, x, transpose_a=True) + ridge * tf.eye(2 * size + 4, dtype=tf.float64)
    moment = tf.matmul(x, y, transpose_a=True)
    weight = tf.linalg.cholesky_solve(tf.linalg.cholesky(gram), moment)
    return tf.cast(tf.reshape(tf.matmul(x, weight), value.shape), value.dtype)


BASELINES = {
    "none": no_baseline,
    "batch_mean": batch_mean,
    "time_step_mean": time_step_mean,
    "linear_feature": linear_feature,
}


def advantage(trajectory, discount, return_type, baseline, normalize, gae_lambda=1.0):
    """Return minus baseline, and optionally standardised over the task's batch.

    The return is that of the episode as it was played: nothing is bootstrapped at its end, whether
    it terminated or was cut (at the horizon, or by a time limit of the environment). So an
    entity's horizon is part of its task, as in the studies reproduced here.

    Args:
      trajectory: `Trajectory`.
      discount: number in (0, 1].
      return_type: a name in `RETURNS`.
      baseline: a name in `BASELINES`.
      normalize: whether to bring the advantages of a task to mean 0 and standard deviation 1
        (without a baseline the mean stays: it is not to be one by the back door).
      gae_lambda: in [0, 1]; below 1 generalised advantages, with the baseline as values.

    Returns:
      [N, E, T], 0 on padded steps, without gradient.
    """
    mask = trajectory.mask
    target = RETURNS[return_type](trajectory.reward, discount)
    value = BASELINES[baseline](target, mask, trajectory.observation)
    if gae_lambda < 1:
        value = tf.broadcast_to(value, target.shape)
        result = returns.generalized_advantage(trajectory.reward, value, mask, discount, gae_lambda)
    else:
        result = target - value
    if normalize:
        if baseline != "none":
            result -= _mean(result, mask, axis=[1, 2])
        result /= tf.sqrt(_mean(result**2, mask, axis=[1, 2])) + 1e-8
    return tf.stop_gradient(result * mask)  # cuts the path through the baseline's fit: a constant


def reward_credit(trajectory, discount, normalize):
    """What DiCE multiplies its magic boxes with: discount^t r_t, less its mean over episodes.

    A baseline that depends on the time only leaves DiCE's derivatives of all orders unbiased (up to
    1 / E, being fitted on the same episodes); one that depends on the state does not.

    Args:
      trajectory: `Trajectory`.
      discount: number in (0, 1].
      normalize: divide by one number per task, such that the sums from each step on, which is what
        the policy gradient sees, have standard deviation 1.

    Returns:
      [N, E, T], 0 on padded steps, without gradient.
    """
    mask = trajectory.mask
    credit = returns.discounted_reward(trajectory.reward, discount)
    # Mean over all episodes, ended or not: an ended one goes on earning 0.
    credit -= tf.reduce_mean(credit, axis=1, keepdims=True)
    if normalize:
        to_go = returns.reward_to_go(credit, 1.0)
        credit /= tf.sqrt(_mean(to_go**2, mask, axis=[1, 2])) + 1e-8
    return tf.stop_gradient(credit)


def _mean(value, mask, axis):
    total = tf.reduce_sum(value * mask, axis, keepdims=True)
    return total / tf.maximum(tf.reduce_sum(mask, axis, keepdims=True), 1)
