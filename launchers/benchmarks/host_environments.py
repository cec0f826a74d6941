"""Rollouts of Python environments: tfcaml's workers beside a plain loop over one environment."""

import functools

import numpy as np

from tfcaml import nest, policies
from tfcaml.environments import HostEnvironment

from . import collection
from .timing import Contestant, Ratio, measure

# gymnasium's names, and how much of the plain loop's speed two workers should reach.
BARS = {"Pendulum-v1": 0.6, "HalfCheetah-v5": 0.9}


def run(repeats, quick):
    """Environment steps per second while episodes of 20 policies, one per entity, are recorded.

    The plain loops take random actions that were drawn before. One plays episode after episode in
    one environment, which stays in the processor's cache; the other steps as many environments in
    turn as a rollout has rows. Two workers are as fast as the machine has idle cores for both. CPU
    seconds count the worker processes.
    """
    num_tasks, num_episodes, horizon = (2, 2, 5) if quick else (20, 10, 50)
    contestants, ratios, families = {}, [], []
    for name in filter(_can_be_made, BARS):
        rows = num_tasks * num_episodes
        bare, in_turn = f"{name}, bare", f"{name}, bare, {rows} in turn"
        contestants[bare] = _bare(name, rows, horizon, 1)
        contestants[in_turn] = _bare(name, rows, horizon, rows)
        for kind, plural in (("thread", "threads"), ("process", "processes")):
            for workers in (1, 2):
                family = _family(name, num_tasks, horizon, workers=workers, worker=kind)
                label = f"{name}, {workers} {kind if workers == 1 else plural}"
                contestants[label] = _rollout(family, num_episodes)
                ratios += [Ratio(label, bare, BARS[name]), Ratio(label, in_turn, BARS[name])]
                families.append(family)
    result = measure(contestants, repeats, ratios)
    for family in families:
        family.close()
    return result


def _can_be_made(name):
    from tfcaml.environments.host.gym_adapter import gymnasium

    try:
        gymnasium.make(name).close()
    except (ImportError, gymnasium.error.Error) as error:
        print(f"left out: {name} ({error})")
        return False
    return True


def _bare(name, num_episodes, horizon, num_environments):
    """`Contestant`: so many environments, stepped in a plain loop."""
    from tfcaml.environments.host.gym_adapter import gymnasium

    environments = [gymnasium.make(name) for _ in range(num_environments)]
    environments[0].action_space.seed(0)
    actions = [environments[0].action_space.sample() for _ in range(horizon)]

    def play():
        total = 0.0
        for first in range(0, num_episodes, num_environments):
            for index, environment in enumerate(environments):
                environment.reset(seed=first + index)
            for action in actions:
                for environment in environments:
                    total += environment.step(action)[1]
        return np.float64(total)

    return Contestant(play, num_episodes * horizon, "steps/s")


def _family(name, num_tasks, horizon, **options):
    """A family whose entities are all alike."""
    from tfcaml.environments.host.gym_adapter import gymnasium

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
