"""Which arm to take after a few pulls: rules by name.

Each rule sees the returns `returns[a, t]` that pull t of arm a would bring, and may look at no more
than `budget` of them (but for the oracle).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tfcaml.errors import check_one_of


class Choice(NamedTuple):
    """arm: the chosen one; pulls: [k] how often each was pulled; mean_return: over all pulls."""

    arm: int
    pulls: np.ndarray
    mean_return: float


def choose(rule: str, returns: np.ndarray, budget: int, rng: np.random.Generator) -> Choice:
    """Applies a rule.

    Args:
      rule: a name in `RULES`.
      returns: [k, budget].
      budget: number of pulls.
      rng: `np.random.Generator`, for rules that draw.

    Returns:
      `Choice`.
    """
    check_one_of("rule", rule, tuple(RULES))
    pulls, score = RULES[rule](returns, budget, rng)
    scores = [
        score(row[:count]) if count else -np.inf for row, count in zip(returns, pulls, strict=True)
    ]
    seen = np.concatenate([row[:count] for row, count in zip(returns, pulls, strict=True)])
    return Choice(int(np.argmax(scores)), pulls, float(seen.mean()))


def choose_or_fall_back(
    rule: str,
    returns: np.ndarray,
    home_return: np.ndarray,
    min_transfer: float,
    budget: int,
    rng: np.random.Generator,
) -> Choice:
    """Chooses an arm that also does here most of what it does at home, or else the last arm.

    The last arm, the fallback, is pulled once; the rule spends the rest on the others. Its choice
    is taken if its mean exceeds the fallback's return by at least `min_transfer` of how far its
    home return does.

    Args:
      rule: a name in `RULES`.
      returns: [k + 1, budget].
      home_return: [k], of the other arms where they come from.
      min_transfer: a share, 0 or more.
      budget: number of pulls, 2 or more.
      rng: `np.random.Generator`.

    Returns:
      `Choice`.
    """
    fallback = returns[-1, 0]
    choice = choose(rule, returns[:-1], budget - 1, rng)
    mean = returns[choice.arm, : choice.pulls[choice.arm]].mean()
    gain_at_home = max(home_return[choice.arm] - fallback, 0)
    transfers = mean - fallback >= min_transfer * gain_at_home
    arm = choice.arm if transfers else len(home_return)
    spent = choice.pulls.sum()
    mean_return = float((choice.mean_return * spent + fallback) / (spent + 1))
    return Choice(arm, np.append(choice.pulls, 1), mean_return)


def uniform_best_episode(
    returns: np.ndarray, budget: int, rng: np.random.Generator
) -> tuple[np.ndarray, Callable[..., Any]]:
    """Arms drawn uniformly; the arm of the best single episode (CAML paper, Algorithm 2)."""
    return np.bincount(rng.integers(len(returns), size=budget), minlength=len(returns)), np.max


def round_robin_mean(
    returns: np.ndarray, budget: int, rng: np.random.Generator
) -> tuple[np.ndarray, Callable[..., Any]]:
    """Arms in turn; the arm of the best mean."""
    num_arms = len(returns)
    return np.bincount(np.arange(budget) % num_arms, minlength=num_arms), np.mean


def successive_halving(
    returns: np.ndarray, budget: int, rng: np.random.Generator
) -> tuple[np.ndarray, Callable[..., Any]]:
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


def upper_confidence_bound(
    returns: np.ndarray, budget: int, rng: np.random.Generator
) -> tuple[np.ndarray, Callable[..., Any]]:
    """UCB1 (Auer, Cesa-Bianchi & Fischer 2002), returns scaled by the range seen; the best mean."""
    pulls = np.zeros(len(returns), int)
    for time in range(budget):
        if time < len(returns):
            arm = time
        else:
            seen = np.concatenate([row[:count] for row, count in zip(returns, pulls)])
            means = np.array([row[:count].mean() for row, count in zip(returns, pulls)])
            scale = seen.max() - seen.min()
            arm = int(np.argmax(means + scale * np.sqrt(2 * np.log(time) / pulls)))
        pulls[arm] += 1
    return pulls, np.mean


def oracle(
    returns: np.ndarray, budget: int, rng: np.random.Generator
) -> tuple[np.ndarray, Callable[..., Any]]:
    """Every arm `budget` times, and the best mean: what choosing would gain with more trials."""
    return np.full(len(returns), budget), np.mean


RULES = {
    "uniform_best_episode": uniform_best_episode,
    "round_robin_mean": round_robin_mean,
    "successive_halving": successive_halving,
    "upper_confidence_bound": upper_confidence_bound,
    "oracle": oracle,
}
