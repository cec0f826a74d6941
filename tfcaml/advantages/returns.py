"""Discounted returns and generalised advantages, in the precision of what is given.

Sums over time are products with small triangular matrices, which is quicker than a scan over time
in graph mode and under XLA; long episodes are summed block by block.
"""

import numpy as np
import tensorflow as tf

_BLOCK = 128  # steps; memory grows with the number of steps times this at most


def reward_to_go(reward: tf.Tensor, discount: float) -> tf.Tensor:
    """G_t = sum over u >= t of discount^(u - t) r_u.

    Args:
      reward: [N, E, T], 0 on padded steps.
      discount: number in [0, 1].

    Returns:
      [N, E, T].
    """
    steps = reward.shape[-1]
    if steps <= _BLOCK:
        return _times(reward, _powers(steps, discount))
    num_blocks = -(-steps // _BLOCK)
    padded = tf.pad(reward, [[0, 0], [0, 0], [0, num_blocks * _BLOCK - steps]])
    # One axis between tasks and steps: of [128 or more, 1, 2, 128] times [128, 128] TensorFlow 2.21
    # makes wrong numbers and writes where it should not, on CPUs with AVX-512.
    blocks = tf.reshape(padded, [reward.shape[0], reward.shape[1] * num_blocks, _BLOCK])
    within = _times(blocks, _powers(_BLOCK, discount))  # what is earned to the end of the block
    within = tf.reshape(within, [*reward.shape[:2], num_blocks, _BLOCK])
    # The sums at the blocks' first steps are rewards of one step each, discounted by a block.
    from_block = reward_to_go(within[..., 0], discount**_BLOCK)
    after_block = tf.pad(from_block[..., 1:], [[0, 0], [0, 0], [0, 1]])  # [N, E, blocks]
    distance = np.arange(_BLOCK, 0, -1, dtype=np.float64)  # steps from t to the next block
    weight = tf.constant(float(discount) ** distance, reward.dtype)
    result = within + weight * after_block[..., None]
    return tf.reshape(result, padded.shape)[..., :steps]


def _powers(steps: int, discount: float) -> np.ndarray:
    """discount^(u - t) for u >= t, else 0: [u, t]."""
    lag = np.subtract.outer(np.arange(steps), np.arange(steps))
    return np.where(lag >= 0, float(discount) ** np.maximum(lag, 0.0), 0.0)


def _times(value: tf.Tensor, matrix: np.ndarray) -> tf.Tensor:
    """value [N, E, U] times matrix [U, T]."""
    # A product per task, so that a task's numbers do not depend on the other tasks.
    return tf.matmul(value, tf.constant(matrix, value.dtype))


def whole_return(reward: tf.Tensor, discount: float) -> tf.Tensor:
    """The discounted return of the episode, at each of its steps: [N, E, T] -> [N, E, T]."""
    return tf.broadcast_to(reward_to_go(reward, discount)[..., :1], reward.shape)


def discounted_reward(reward: tf.Tensor, discount: float) -> tf.Tensor:
    """discount^t r_t, what each step adds to the episode's return: [N, E, T] -> [N, E, T]."""
    steps = np.arange(reward.shape[-1], dtype=np.float64)
    return reward * tf.constant(float(discount) ** steps, reward.dtype)


def generalized_advantage(
    reward: tf.Tensor, value: tf.Tensor, mask: tf.Tensor, discount: float, gae_lambda: float
) -> tf.Tensor:
    """A_t = sum over l of (discount gae_lambda)^l delta_{t+l}, the values after the end being 0.

    J. Schulman et al., "High-dimensional continuous control using generalized advantage
    estimation", ICLR 2016, equations 11 and 16: delta_t = r_t + discount V_{t+1} - V_t. With
    gae_lambda = 1 it is the reward-to-go minus V_t. An episode cut at its horizon counts as ended.

    Args:
      reward: [N, E, T], 0 on padded steps.
      value: [N, E, T], V of the state in which each action was taken.
      mask: [N, E, T], 1 on valid steps.
      discount, gae_lambda: numbers in [0, 1].

    Returns:
      [N, E, T].
    """
    value *= mask
    next_value = tf.pad(value[..., 1:], [[0, 0], [0, 0], [0, 1]])
    return reward_to_go(reward + discount * next_value - value, discount * gae_lambda)


def at_cut(value: tf.Tensor, mask: tf.Tensor, terminated: tf.Tensor) -> tf.Tensor:
    """The values of what episodes led to, at the last steps of those that did not terminate.

    F. Pardo et al., "Time limits in reinforcement learning", ICML 2018.

    Args:
      value: [N, E].
      mask, terminated: [N, E, T].

    Returns:
      [N, E, T], 0 at all other steps.
    """
    is_last = mask - tf.pad(mask[..., 1:], [[0, 0], [0, 0], [0, 1]])
    return is_last * (1 - terminated) * value[..., None]
