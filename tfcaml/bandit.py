"""Which arm to take after a few pulls: rules by name.

Each rule sees the returns `returns[a, t]` that pull t of arm a would bring, and may look at no more
than `budget` of them.
"""

from typing import NamedTuple

import numpy as np

from tfcaml.errors import check_one_of


class Choice(NamedTuple):
    """arm: the chosen one; pulls: [k] how often each was pulled; mean_return: over all pulls."""

    arm: int
    pulls: np.ndarray
    mean_return: float


def choose(rule, returns, budget, rng):
    """Applies a rule.

    Args:
      rule: a name in `RULES`.
      returns: [k, budget].
      budget: number of pulls.
      rng: `np.random.Generator`, for rules that draw.

    Returns:
      `Choice`.
    """
    check_one_of("choice", rule, tuple(RULES))
    pulls, score = RULES[rule](returns, budget, rng)
    scores = [
        score(row[:count]) if count else -np.inf for row, count in zip(returns, pulls, strict=True)
    ]
    seen = np.concatenate([row[:count] for row, count in zip(returns, pulls, strict=True)])
    return Choice(int(np.argmax(scores)), pulls, float(seen.mean()))


def uniform_best_episode(returns, budget, rng):
    """Arms drawn uniformly; the arm of the best single episode (CAML paper, Algorithm 2)."""
    return np.bincount(rng.integers(len(returns), size=budget), minlength=len(returns)), np.max


def round_robin_mean(returns, budget, rng):
    """Arms in turn; the arm of the best mean."""
    num_arms = len(returns)
    return np.bincount(np.arange(budget) % num_arms, minlength=num_arms), np.mean


def successive_halving(returns, budget, rng):
    """One pull each, then only the better half, and so on to the last two; the best mean.

    After Karnin, Koren & Somekh (2013), with pulls carried over between rounds.
    """
    pulls = np.zeros(len(returns), int)
    arms = list(range(len(returns)))
    while pulls.sum() < budget:
        for arm in arms:
            if pulls.sum() < budget:
                pulls[arm] += 1
        mean = lambda arm: returns[arm, : pulls[arm]].mean() if pulls[arm] else -np.inf
        arms = sorted(arms, key=mean, reverse=True)[: max(2, (len(arms) + 1) // 2)]
    return pulls, np.mean


RULES = {
    "uniform_best_episode": uniform_best_episode,
    "round_robin_mean": round_robin_mean,
    "successive_halving": successive_halving,
}
