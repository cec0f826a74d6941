"""What plays tabular MDPs without having learned to: what RL^2 is compared with, and a bound.

All play T steps of each of n episodes and know the family: how transitions and mean rewards are
distributed, and how noisy rewards are. Each plans anew at the start of an episode, for MDPs that it
takes for possible, by dynamic programming over the steps that are left.
"""

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
    value = plan(transition[:, None], reward[:, None], config.horizon)
    return _play(task, num_episodes, config, seed, lambda *_: value)


@checked_call
def posterior_sampling(
    task: Task,
    num_episodes: int,
    config: TabularMDPConfig | None = None,
    seed: int = 0,
    num_samples: int = 1,
) -> np.ndarray:
    """Plays by MDPs drawn from what is known, anew in each episode.

    PSRL, with one sample: I. Osband, D. Russo, B. Van Roy, "(More) efficient reinforcement learning
    via posterior sampling", NeurIPS 2013. OPSRL, with several: at each step back the value of an
    action is the largest of theirs, as an optimist's; I. Osband, B. Van Roy, "Why is posterior
    sampling better than optimism for reinforcement learning?", ICML 2017.

    Args:
      task: of leading [Q], of `TabularMDP`.
      num_episodes: n.
      config: of the family.
      seed: of the MDPs' steps and of what is drawn.
      num_samples: MDPs that are drawn for an episode.

    Returns:
      [Q, n], the return of each episode.
    """
    config = config or TabularMDPConfig()
    check_whole("num_samples", num_samples, 1)

    def planned(
        visits: np.ndarray, earned: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        shape = [len(visits), num_samples, *visits.shape[1:]]
        weight = rng.standard_gamma(np.broadcast_to(1 + visits[:, None], shape))
        transition = weight / weight.sum(axis=-1, keepdims=True)
        count = visits.sum(axis=-1)
        # Of a normal mean before any reward, and rewards around it.
        known, each = config.reward_spread**-2, config.reward_noise**-2
        precision = known + each * count
        mean = (known * config.reward_mean + each * earned) / precision
        drawn = rng.standard_normal(shape[:-1]) / np.sqrt(precision)[:, None]
        return plan(transition, mean[:, None] + drawn, config.horizon)

    return _play(task, num_episodes, config, seed, planned)


def plan(transition: np.ndarray, reward: np.ndarray, horizon: int) -> np.ndarray:
    """What actions are worth, the best of all samples at each step: [Q, T, S, A].

    Args:
      transition: [Q, samples, S, A, S].
      reward: [Q, samples, S, A].
      horizon: T.
    """
    worth = np.zeros([len(reward), horizon, *reward.shape[2:]])
    after = np.zeros([len(reward), reward.shape[2]])  # [Q, S]
    for time in reversed(range(horizon)):
        each = reward + np.einsum("qkabc,qc->qkab", transition, after)
        worth[:, time] = each.max(axis=1)
        after = worth[:, time].max(axis=-1)
    return worth


def _play(task, num_episodes, config, seed, planned):
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
