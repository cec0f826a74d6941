"""What plays tabular MDPs without having learned to: what RL^2 is compared with, and a bound.

All play T steps of each of n episodes and know the family: how transitions and mean rewards are
distributed, and how noisy rewards are. Each plans anew at the start of an episode, for MDPs that it
takes for possible, by dynamic programming over the steps that are left.
"""

import functools
from collections.abc import Callable

import numpy as np

from tfcaml.environments.native.tabular_mdp import TabularMDPConfig
from tfcaml.errors import check_whole, checked_call
from tfcaml.types import Task


@checked_call
def random(
    task: Task, num_episodes: int, config: TabularMDPConfig | None = None, seed: int = 0
) -> np.ndarray:
    """Any action. Arguments and result as of `posterior_sampling`."""
    return _play(task, num_episodes, config or TabularMDPConfig(), seed, lambda *_: None)


@checked_call
def best(
    task: Task, num_episodes: int, config: TabularMDPConfig | None = None, seed: int = 0
) -> np.ndarray:
    """Who knows the MDP, which nobody does better than. Arguments as of `posterior_sampling`."""
    config = config or TabularMDPConfig()
    transition, reward = (np.asarray(task[name], float) for name in ("transition", "reward"))
    value = plan(transition, reward, config.horizon)
    return _play(task, num_episodes, config, seed, lambda *_: value)


@checked_call
def posterior_sampling(
    task: Task,
    num_episodes: int,
    config: TabularMDPConfig | None = None,
    seed: int = 0,
    num_samples: int = 1,
    prior_mean: float = 0.0,
) -> np.ndarray:
    """Plays by MDPs drawn from what is known, anew in each episode.

    PSRL, with one sample: I. Osband, D. Russo, B. Van Roy, "(More) efficient reinforcement learning
    via posterior sampling", NeurIPS 2013. OPSRL, with several: each is planned for, and an action
    is worth what it is at best in one of them. The RL2 paper has the best of 1 to 20 samples.

    Args:
      task: of leading [Q], of `TabularMDP`.
      num_episodes: n.
      config: of the family.
      seed: of the MDPs' steps and of what is drawn.
      num_samples: MDPs that are drawn for an episode.
      prior_mean: of mean rewards, before any is known. As in the experiments of the RL2 paper it is
        0, which is not the family's: who expects less explores less, and earns more so soon.

    Returns:
      [Q, n], the return of each episode.
    """
    config = config or TabularMDPConfig()
    check_whole("num_samples", num_samples, 1)

    def planned(visits: np.ndarray, earned: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        # Of a normal mean before any reward, and rewards around it.
        known, each = config.reward_spread**-2, config.reward_noise**-2
        precision = known + each * visits.sum(axis=-1)
        mean = (known * prior_mean + each * earned) / precision

        def one() -> np.ndarray:
            weight = rng.standard_gamma(1 + visits)
            transition = weight / weight.sum(axis=-1, keepdims=True)
            reward = mean + rng.standard_normal(mean.shape) / np.sqrt(precision)
            return plan(transition, reward, config.horizon)

        return functools.reduce(np.maximum, (one() for _ in range(num_samples)))

    return _play(task, num_episodes, config, seed, planned)


def plan(transition: np.ndarray, reward: np.ndarray, horizon: int) -> np.ndarray:
    """What actions are worth with so many steps left, by dynamic programming: [Q, T, S, A].

    Args:
      transition: [Q, S, A, S].
      reward: [Q, S, A].
      horizon: T.
    """
    worth = np.zeros([len(reward), horizon, *reward.shape[1:]])
    after = np.zeros(reward.shape[:2])  # [Q, S]
    for time in reversed(range(horizon)):
        worth[:, time] = reward + (transition @ after[:, None, :, None])[..., 0]
        after = worth[:, time].max(axis=-1)
    return worth


def _play(
    task: Task,
    num_episodes: int,
    config: TabularMDPConfig,
    seed: int,
    planned: Callable[..., np.ndarray | None],
) -> np.ndarray:
    """planned(visits [Q, S, A, S], earned [Q, S, A], rng) -> worth [Q, T, S, A]; None: of all."""
    check_whole("num_episodes", num_episodes, 1)
    transition, reward = (np.asarray(task[name], float) for name in ("transition", "reward"))
    up_to, rng = transition.cumsum(axis=-1)[..., :-1], np.random.default_rng(seed)
    visits, earned = np.zeros_like(transition), np.zeros_like(reward)
    result, rows = np.zeros([len(reward), num_episodes]), np.arange(len(reward))
    for episode in range(num_episodes):
        worth = planned(visits, earned, rng)
        state = np.zeros(len(reward), int)
        for time in range(config.horizon):
            if worth is None:
                action = rng.integers(reward.shape[-1], size=len(reward))
            else:
                action = worth[rows, time, state].argmax(axis=-1)
            noise = config.reward_noise * rng.standard_normal(len(reward))
            paid = reward[rows, state, action] + noise
            unit = rng.random([len(reward), 1])
            after = (unit >= up_to[rows, state, action]).sum(axis=-1)
            visits[rows, state, action, after] += 1
            earned[rows, state, action] += paid
            result[:, episode] += paid
            state = after
    return result
