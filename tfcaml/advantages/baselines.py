"""Baselines and advantages, fitted per task on the batch they are used on.

Advantages are small differences of large numbers, so they are worked out in 64 bits.
"""

from collections.abc import Callable, Sequence

import tensorflow as tf

from tfcaml import nest
from tfcaml.advantages import returns
from tfcaml.errors import check
from tfcaml.types import Nest, Trajectory

# An advantage this small beside the returns is rounding error of the rewards, which have 32 bits.
_SMALLEST_SCALE = 1e-6
# Numbers of an observation: least squares on twice as many features takes seconds beyond.
_MOST_LINEAR_FEATURES = 500

# What an action is credited with, by name: (reward, mask, discount) -> [N, E, T].
RETURNS = {"reward_to_go": returns.reward_to_go, "whole_return": returns.whole_return}


def no_baseline(value: tf.Tensor, mask: tf.Tensor, observation: Nest | None = None) -> tf.Tensor:
    """0. REINFORCE without a baseline does not learn the personalised particles."""
    return tf.zeros_like(value)


def batch_mean(value: tf.Tensor, mask: tf.Tensor, observation: Nest | None = None) -> tf.Tensor:
    """Mean over all valid steps of the task's episodes: [N, E, T] -> [N, 1, 1]."""
    return _mean(value, mask, axis=[1, 2])


def time_step_mean(value: tf.Tensor, mask: tf.Tensor, observation: Nest | None = None) -> tf.Tensor:
    """Mean over the task's episodes still running at each time step: [N, E, T] -> [N, 1, T]."""
    return _mean(value, mask, axis=[1])


def linear_feature(
    value: tf.Tensor, mask: tf.Tensor, observation: Nest, ridge: float = 1e-5
) -> tf.Tensor:
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


# What is subtracted from returns, by name.
BASELINES: dict[str, Callable[..., tf.Tensor]] = {
    "none": no_baseline,
    "batch_mean": batch_mean,
    "time_step_mean": time_step_mean,
    "linear_feature": linear_feature,
}


def check_baseline(baseline: str, observation_spec: Nest) -> None:
    """Refuses a baseline that does not suit the observations.

    Args:
      baseline: a name in `BASELINES`.
      observation_spec: nest of `tf.TensorSpec`.

    Raises:
      ConfigError: linear_feature on observations of more than 500 numbers, such as images.
    """
    size = sum(spec.shape.num_elements() for spec in tf.nest.flatten(observation_spec))
    few = baseline != "linear_feature" or size <= _MOST_LINEAR_FEATURES
    rule = (
        f"another one for observations of {size} numbers: linear_feature solves for a weight per "
        f"number and its square, which takes too long beyond {_MOST_LINEAR_FEATURES}"
    )
    check(few, "baseline", baseline, rule)


def advantage(
    trajectory: Trajectory,
    discount: float,
    return_type: str,
    baseline: str,
    normalize: bool,
    gae_lambda: float = 1.0,
    critic: tuple[tf.Tensor, tf.Tensor] | None = None,
) -> tf.Tensor:
    """Return minus baseline, and optionally standardised over the task's batch.

    The return is that of the episode as it was played: without a critic nothing is bootstrapped at
    its end, whether it terminated or was cut (at the horizon, or by a time limit of the
    environment). So an entity's horizon is part of its task, as in the studies reproduced here.

    Args:
      trajectory: `Trajectory`.
      discount: number in (0, 1].
      return_type: a name in `RETURNS`.
      baseline: a name in `BASELINES`.
      normalize: whether to bring the advantages of a task to mean 0 and standard deviation 1
        (without a baseline the mean stays: it is not to be one by the back door). Where they are
        but rounding error, below a millionth of the returns' root mean square, they stay small.
      gae_lambda: in [0, 1]; below 1 generalised advantages, with the baseline as values.
      critic: values as `Policy.value` gives them, (of the observations [N, E, T], of what each
        episode led to [N, E]): they stand in place of the baseline, and that of what an episode led
        to is what would have followed where it was cut.

    Returns:
      [N, E, T], 0 on padded steps, without gradient.
    """
    dtype = trajectory.reward.dtype
    mask, reward = tf.cast(trajectory.mask, tf.float64), tf.cast(trajectory.reward, tf.float64)
    if critic is not None:
        value, final = (tf.cast(x, tf.float64) for x in critic)
        reward += discount * returns.at_cut(final, mask, tf.cast(trajectory.terminated, mask.dtype))
    target = RETURNS[return_type](reward, discount)
    if critic is None:
        value = BASELINES[baseline](target, mask, trajectory.observation)
    if gae_lambda < 1:
        value = tf.broadcast_to(value, target.shape)
        result = returns.generalized_advantage(reward, value, mask, discount, gae_lambda)
    else:
        result = target - value
    if normalize:
        if baseline != "none":
            result -= _mean(result, mask, axis=[1, 2])
        result = _unit_scale(result, result, target, mask)
    # Cuts the path through the baseline's fit: an advantage is a constant.
    return tf.stop_gradient(tf.cast(result * mask, dtype))


def reward_credit(trajectory: Trajectory, discount: float, normalize: bool) -> tf.Tensor:
    """What DiCE multiplies its magic boxes with: discount^t r_t, less its mean over episodes.

    A baseline that depends on the time only leaves DiCE's derivatives of all orders unbiased (up to
    1 / E, being fitted on the same episodes); one that depends on the state does not. An episode
    that has ended goes on with reward 0, so its credit there is minus the mean, and `losses.dice`
    counts it: without it the gradient would depend on how long episodes are.

    Args:
      trajectory: `Trajectory`.
      discount: number in (0, 1].
      normalize: divide by one number per task, such that the sums from each step on, which is what
        the policy gradient sees, have standard deviation 1.

    Returns:
      [N, E, T], padded steps included, without gradient.
    """
    mask = tf.cast(trajectory.mask, tf.float64)
    reward = tf.cast(trajectory.reward, tf.float64)
    discounted = returns.discounted_reward(reward, discount)
    credit = discounted - tf.reduce_mean(discounted, axis=1, keepdims=True)
    if normalize:
        to_go = returns.reward_to_go(credit, 1.0)
        credit = _unit_scale(credit, to_go, returns.reward_to_go(discounted, 1.0), mask)
    return tf.stop_gradient(tf.cast(credit, trajectory.reward.dtype))


def standardized(value: tf.Tensor) -> tf.Tensor:
    """Numbers brought to mean 0 and standard deviation 1 along the last axis, as constants.

    Near 0 if they differ by rounding.
    """
    exact = tf.cast(value, tf.float64)
    mean = lambda x: tf.reduce_mean(x, axis=-1, keepdims=True)
    deviation = exact - mean(exact)
    rms = lambda x: tf.sqrt(mean(x**2))
    scale = tf.maximum(rms(deviation), _SMALLEST_SCALE * rms(exact))
    return tf.stop_gradient(tf.cast(tf.math.divide_no_nan(deviation, scale), value.dtype))


def _unit_scale(
    value: tf.Tensor, deviation: tf.Tensor, size: tf.Tensor, mask: tf.Tensor
) -> tf.Tensor:
    """value over the root mean square of `deviation`, unless that is rounding error of `size`.

    All [N, E, T]; the result is 0 where `size` is 0 on all valid steps of a task.
    """
    rms = lambda x: tf.sqrt(_mean(x**2, mask, axis=[1, 2]))
    return tf.math.divide_no_nan(value, tf.maximum(rms(deviation), _SMALLEST_SCALE * rms(size)))


def _mean(value: tf.Tensor, mask: tf.Tensor, axis: Sequence[int]) -> tf.Tensor:
    total = tf.reduce_sum(value * mask, axis, keepdims=True)
    return total / tf.maximum(tf.reduce_sum(mask, axis, keepdims=True), 1)
