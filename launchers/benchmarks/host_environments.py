"""Rollouts of Python environments: tfcaml's workers beside a plain loop over one environment."""

import functools

import gymnasium
import numpy as np

from launchers.benchmarks import collection
from launchers.benchmarks.timing import Contestant, Ratio, measure
from tfcaml import nest, policies
from tfcaml.environments import HostEnvironment

# gymnasium's names, and how much of the plain loop's speed two workers should reach.
BARS = {"Pendulum-v1": 0.6, "HalfCheetah-v5": 0.9}


def run(repeats, quick):
    """Environment steps per second while episodes of 20 policies, one per entity, are recorded.

    The plain loop takes random actions that were drawn before. Two workers are as fast as the
    machine has idle cores for both. CPU seconds count the worker processes.
    """
    num_tasks, num_episodes, horizon = (2, 2, 5) if quick else (20, 10, 50)
    contestants, ratios, families = {}, [], []
    for name in filter(_can_be_made, BARS):
        bare = f"{name}, bare"
        contestants[bare] = _bare(name, num_tasks * num_episodes, horizon)
        for kind, plural in (("thread", "threads"), ("process", "processes")):
            for workers in (1, 2):
                family = _family(name, num_tasks, horizon, workers=workers, worker=kind)
                label = f"{name}, {workers} {kind if workers == 1 else plural}"
                contestants[label] = _rollout(family, num_episodes)
                ratios.append(Ratio(label, bare, BARS[name]))
                families.append(family)
    result = measure(contestants, repeats, ratios)
    for family in families:
        family.close()
    return result


def _can_be_made(name):
    try:
        gymnasium.make(name).close()
    except (ImportError, gymnasium.error.Error) as error:
        print(f"left out: {name} ({error})")
        return False
    return True


def _bare(name, num_episodes, horizon):
    """`Contestant`: one environment, stepped in a plain loop."""
    environment = gymnasium.make(name)
    environment.action_space.seed(0)
    actions = [environment.action_space.sample() for _ in range(horizon)]

    def play():
        total = 0.0
        for seed in range(num_episodes):
            environment.reset(seed=seed)
            for action in actions:
                total += environment.step(action)[1]
        return np.float64(total)

    return Contestant(play, num_episodes * horizon, "steps/s")


def _family(name, num_tasks, horizon, **options):
    """A family whose entities are all alike."""
    tasks = {"number": np.arange(num_tasks)}, {"number": [num_tasks]}
    make = functools.partial(gymnasium.make, name)
    return HostEnvironment(make, tasks, _set_task, horizon, **options)


def _set_task(environment, task):
    pass


def _rollout(family, num_episodes):
    """`Contestant`: one policy per entity, `num_episodes` each."""
    task = family.population(0).train
    policy = policies.mlp_policy(family.observation_spec, family.action_spec, (32, 32))
    params = nest.repeat(policy.init(0), nest.leading(task))
    return collection.rollout(policy, family, params, task, num_episodes, False)
