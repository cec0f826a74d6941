"""The rules of CAML's bandit restated in NumPy, for one task and with all its returns at hand."""

import numpy as np


def pulls_of(rule, returns, budget):
    """How often each arm is pulled, [k], when pull t of arm a brings returns[a, t]."""
    num_arms = len(returns)
    pulls = np.zeros(num_arms, int)
    if rule == "oracle":
        pulls += budget
    elif rule == "round_robin_mean":
        np.add.at(pulls, np.arange(budget) % num_arms, 1)
    elif rule == "upper_confidence_bound":
        for time in range(budget):
            arm = time
            if time >= num_arms:
                seen = np.concatenate([row[:count] for row, count in zip(returns, pulls)])
                bonus = np.ptp(seen) * np.sqrt(2 * np.log(time) / pulls)
                arm = np.argmax(means(returns, pulls) + bonus)
            pulls[arm] += 1
    else:
        arms = list(range(num_arms))
        while pulls.sum() < budget:
            for arm in arms[: budget - pulls.sum()]:
                pulls[arm] += 1
            mean = means(returns, pulls)
            arms.sort(key=lambda arm: -mean[arm])
            arms = arms[: max(2, (len(arms) + 1) // 2)]
    return pulls


def means(returns, pulls):
    """Mean return of each arm, [k]."""
    return np.array(
        [row[:count].mean() if count else -np.inf for row, count in zip(returns, pulls)]
    )


def choose(rule, returns, budget, home_return=None, min_transfer=None):
    """(Best arm, pulls [k]) where `returns` are [k, budget]; with a fallback if there is a home."""
    returns = np.asarray(returns, np.float64)
    if home_return is None:
        pulls = pulls_of(rule, returns, budget)
        return np.argmax(means(returns, pulls)), pulls
    arm, pulls = choose(rule, returns[:-1], budget - 1)
    fallback, mean = returns[-1, 0], means(returns, pulls)[arm]
    at_home = max(np.float64(home_return[arm]) - fallback, 0)
    transfers = mean - fallback >= min_transfer * at_home
    return arm if transfers else len(pulls), np.append(pulls, 1)
