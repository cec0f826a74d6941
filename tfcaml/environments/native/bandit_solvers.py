"""What plays Bernoulli bandits without having learned to: the strategies RL^2 is compared with.

A strategy tells how it values each arm, by how often the arm paid and how often it was pulled; the
arm of the highest value is pulled, of equal ones a random one.

    successes, failures [Q, k], time, rng -> values [Q, k]

All but `random` count arms as if each had paid once and failed once before, which is the flat prior
on how often it pays; so an arm need not be pulled before it has a value.
"""

import functools
from collections.abc import Callable

import numpy as np

from tfcaml.errors import check, check_whole, checked_call

# (successes [Q, k], failures [Q, k], pulls so far, random numbers) -> worth of each arm, [Q, k].
Strategy = Callable[[np.ndarray, np.ndarray, int, np.random.Generator], np.ndarray]


@checked_call
def play(p: np.ndarray, num_pulls: int, strategy: Strategy, seed: int = 0) -> np.ndarray:
    """Plays bandits.

    Args:
      p: [Q, k], how often arms pay.
      num_pulls: n.
      strategy: a `Strategy`.
      seed: of the rewards and of the strategy.

    Returns:
      [Q, n], what each pull paid.
    """
    p = np.asarray(p)
    check_whole("num_pulls", num_pulls, 1)
    rng, rows = np.random.default_rng(seed), np.arange(len(p))
    successes, failures = np.zeros_like(p), np.zeros_like(p)
    paid = np.zeros([len(p), num_pulls])
    for time in range(num_pulls):
        value = strategy(successes, failures, time, rng)
        best = value >= value.max(axis=1, keepdims=True)
        arm = np.argmax(best * (rng.random(p.shape) + 1), axis=1)
        paid[:, time] = rng.random(len(p)) < p[rows, arm]
        successes[rows, arm] += paid[:, time]
        failures[rows, arm] += 1 - paid[:, time]
    return paid


def random(
    successes: np.ndarray, failures: np.ndarray, time: int, rng: np.random.Generator
) -> np.ndarray:
    """Any arm."""
    return np.zeros_like(successes)


def epsilon_greedy(epsilon: float) -> Strategy:
    """Any arm with probability `epsilon`, else the one of the highest mean."""

    def value(
        successes: np.ndarray, failures: np.ndarray, time: int, rng: np.random.Generator
    ) -> np.ndarray:
        explores = rng.random([len(successes), 1]) < epsilon
        return np.where(explores, 0.0, _mean(successes, failures))

    return value


def ucb1(width: float = 1.0) -> Strategy:
    """The mean and `width` times sqrt(2 log t / pulls), t pulls having been made.

    P. Auer, N. Cesa-Bianchi, P. Fischer, "Finite-time analysis of the multiarmed bandit problem",
    2002, with a width of 1; smaller ones are better at few pulls.
    """

    def value(
        successes: np.ndarray, failures: np.ndarray, time: int, rng: np.random.Generator
    ) -> np.ndarray:
        pulls = successes + failures + 2
        bonus = np.sqrt(2 * np.log(max(time, 1)) / pulls)
        return _mean(successes, failures) + width * bonus

    return value


def thompson(
    successes: np.ndarray, failures: np.ndarray, time: int, rng: np.random.Generator
) -> np.ndarray:
    """How often arms may pay, drawn from what is known of it. W. R. Thompson, 1933."""
    return rng.beta(successes + 1, failures + 1)


def gittins(num_pulls: int, discount: float | None = None) -> Strategy:
    """The Gittins index. J. Gittins, "Bandit processes and dynamic allocation indices", 1979.

    Args:
      num_pulls: n, the most pulls of an arm.
      discount: of rewards, for which the index is optimal over an endless time; 1 - 1 / n unless
        given, with which about n pulls count.
    """
    table = gittins_indices(num_pulls, 1 - 1 / num_pulls if discount is None else discount)

    def value(
        successes: np.ndarray, failures: np.ndarray, time: int, rng: np.random.Generator
    ) -> np.ndarray:
        return table[successes.astype(int), failures.astype(int)]

    return value


@functools.lru_cache(maxsize=8)
def gittins_indices(num_pulls: int, discount: float, tolerance: float = 1e-4) -> np.ndarray:
    """The index of each state of an arm: [n, n], by successes and failures; nan beyond n pulls.

    The index is the sure reward per pull for which one is indifferent between taking that for ever,
    and pulling the arm first for as long as one likes: by calibration, for sure rewards on a grid,
    and a straight line between the two where one changes one's mind. Values are worked out back
    from so many pulls ahead that what would still be learned then no longer counts.

    Args:
      num_pulls: n.
      discount: in (0, 1).
      tolerance: the largest error of an index.
    """
    check(0 < discount < 1, "discount", discount, "in (0, 1)")
    check(0 < tolerance < 1, "tolerance", tolerance, "in (0, 1)")
    ahead = int(np.ceil(np.log(tolerance / 4) / np.log(discount)))
    # The line's error falls with the square of the grid's step.
    sure = np.linspace(0, 1, int(np.ceil(10 / np.sqrt(tolerance))) + 1)[:, None]
    retired = sure / (1 - discount)
    table = np.full([num_pulls, num_pulls], np.nan)
    mean = _means(num_pulls + ahead)
    value = np.maximum(retired, mean / (1 - discount))
    for pulls in reversed(range(num_pulls + ahead)):
        mean = _means(pulls)  # by the number of successes among them
        pulled = mean * (1 + discount * value[:, 1:]) + (1 - mean) * discount * value[:, :-1]
        if pulls < num_pulls:
            successes = np.arange(pulls + 1)
            table[successes, pulls - successes] = _crossing(sure[:, 0], pulled - retired)
        value = np.maximum(retired, pulled)
    return table


def _crossing(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Where each column of y [G, C], which falls along x [G], is 0: [C]."""
    after = np.maximum(np.argmax(y <= 0, axis=0), 1)
    columns = np.arange(y.shape[1])
    low, high = y[after - 1, columns], y[after, columns]
    return x[after - 1] + (x[after] - x[after - 1]) * low / (low - high)


def _means(pulls: int) -> np.ndarray:
    """How often an arm pays by what is known after so many pulls, by its successes: [pulls + 1]."""
    successes = np.arange(pulls + 1)
    return _mean(successes, pulls - successes)


def _mean(successes: np.ndarray, failures: np.ndarray) -> np.ndarray:
    return (successes + 1) / (successes + failures + 2)
