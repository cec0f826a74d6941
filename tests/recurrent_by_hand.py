"""A gated recurrent unit in plain NumPy, also for complex weights."""

import numpy as np


def gru(weights, sequence):
    """What a linear layer makes of what is hidden after a sequence.

    K. Cho et al., EMNLP 2014, equations 5 to 8, where z is what stays of the hidden state.

    Args:
      weights: [kernel [F, 3 H], recurrent kernel [H, 3 H], bias [3 H] (of z, r and the candidate),
        kernel [H, D], bias [D]].
      sequence: [T, F].

    Returns:
      [D].
    """
    kernel, recurrent, bias, out, out_bias = weights
    size = len(recurrent)
    sigmoid = lambda x: 1 / (1 + np.exp(-x))
    hidden = np.zeros(size)
    for x in sequence:
        own = x @ kernel + bias
        z = sigmoid(own[:size] + hidden @ recurrent[:, :size])
        r = sigmoid(own[size : 2 * size] + hidden @ recurrent[:, size : 2 * size])
        candidate = np.tanh(own[2 * size :] + (r * hidden) @ recurrent[:, 2 * size :])
        hidden = z * hidden + (1 - z) * candidate
    return hidden @ out + out_bias
