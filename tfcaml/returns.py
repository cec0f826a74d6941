"""Discounted returns and generalised advantages, as products with triangular matrices.

That is quicker than a scan over time in graph mode and under XLA.
"""

import tensorflow as tf


def reward_to_go(reward, discount):
    """G_t = sum over u >= t of discount^(u - t) r_u.

    Args:
      reward: [N, E, T], 0 on padded steps.
      discount: number in [0, 1].

    Returns:
      [N, E, T].
    """
    steps = tf.range(reward.shape[-1])
    lag = tf.cast(steps[:, None] - steps[None, :], reward.dtype)  # [u, t]
    weight = tf.where(lag >= 0, tf.constant(discount, reward.dtype) ** tf.maximum(lag, 0), 0)
    return tf.matmul(reward, tf.broadcast_to(weight, [reward.shape[0], *weight.shape]))


def whole_return(reward, discount):
    """The discounted return of the episode, at each of its steps: [N, E, T] -> [N, E, T]."""
    return tf.broadcast_to(reward_to_go(reward, discount)[..., :1], reward.shape)


def discounted_reward(reward, discount):
    """discount^t r_t, what each step adds to the episode's return: [N, E, T] -> [N, E, T]."""
    steps = tf.cast(tf.range(reward.shape[-1]), reward.dtype)
    return reward * tf.constant(discount, reward.dtype) ** steps


def generalized_advantage(reward, value, mask, discount, gae_lambda):
    """A_t = sum over l of (discount gae_lambda)^l delta_{t+l}, the values after the end being 0.

    J. Schulman et al., "High-dimensional continuous control using generalized advantage
    estimation", ICLR 2016, equations 11 and 16: delta_t = r_t + discount V_{t+1} - V_t. With
    gae_lambda = 1 it is the reward-to-go minus V_t. An episode cut at its horizon counts as ended.

    Args:
      reward: [N, E, T], 0 on padded steps.
      value: [N, E, T], V of the state in which each action was taken.
      mask: [N, E, T], 1 while the episode lives.
      discount, gae_lambda: numbers in [0, 1].

    Returns:
      [N, E, T].
    """
    value *= mask
    next_value = tf.pad(value[..., 1:], [[0, 0], [0, 0], [0, 1]])
    return reward_to_go(reward + discount * next_value - value, discount * gae_lambda)
