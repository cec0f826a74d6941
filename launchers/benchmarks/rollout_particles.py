"""Rollouts of particles: tfcaml's compiled ones beside TF-Agents' drivers."""

import functools

import numpy as np
from tf_agents.environments import py_environment, tf_py_environment
from tf_agents.specs import array_spec
from tf_agents.trajectories import time_step as ts

from tfcaml import nest, policies
from tfcaml.environments import Particle, ParticleConfig
from tfcaml.environments.tf_agents import FamilyPyEnvironment, FamilyTFEnvironment

from . import collection
from .timing import Ratio, measure


def run(repeats, quick):
    """Environment steps per second while episodes of 24 policies, one per entity, are recorded."""
    horizon, num_tasks, num_episodes, units = (5, 4, 2, 8) if quick else (100, 24, 10, 100)
    environment = Particle(ParticleConfig(horizon=horizon))
    task = nest.take(environment.population(0).train, np.arange(num_tasks))
    policy = policies.mlp_policy(
        environment.observation_spec, environment.action_spec, (units, units)
    )
    params = nest.stack([policy.init(seed) for seed in range(num_tasks)])
    one_task = nest.take(task, [0])
    rollout = functools.partial(collection.rollout, policy, environment, params, task, num_episodes)

    def unbatched(py):
        wrapped = tf_py_environment.TFPyEnvironment(py)
        return collection.driver(wrapped, collection.actor(wrapped, policy), 2, horizon)

    def wide(make_policy, record=True):
        rows = FamilyTFEnvironment(environment, task, num_episodes)
        return collection.driver(rows, make_policy(rows), rows.batch_size, horizon, record)

    shared = lambda rows: collection.actor(rows, policy)
    per_task = lambda rows: collection.ActorPerTask(rows, policy, params, num_episodes)
    contestants = {
        "tfcaml, graph": rollout(False),
        "tfcaml, XLA": rollout(True),
        "TF-Agents, unbatched": unbatched(FamilyPyEnvironment(environment, one_task)),
        "TF-Agents, unbatched, NumPy": unbatched(_NumpyParticle(environment, one_task)),
        "TF-Agents, wide": wide(shared),
        "TF-Agents, wide, nothing recorded": wide(shared, record=False),
        "TF-Agents, wide, policy per task": wide(per_task),
    }
    bars = {"unbatched": 200, "unbatched, NumPy": 200, "wide": 2.5, "wide, policy per task": 2.5}
    ratios = [
        Ratio(f"tfcaml, {mode}", f"TF-Agents, {way}", bar)
        for mode in ("graph", "XLA")
        for way, bar in bars.items()
    ]
    return measure(contestants, repeats, ratios)


class _NumpyParticle(py_environment.PyEnvironment):
    """One particle as one would write it by hand for TF-Agents, without TensorFlow inside."""

    def __init__(self, environment, task):
        super().__init__()
        self._config = environment.config
        self._displacement = task["displacement"].numpy()[0]

    def observation_spec(self):
        return array_spec.ArraySpec([2], np.float32)

    def action_spec(self):
        return array_spec.BoundedArraySpec([], np.int32, 0, 3)

    def _reset(self):
        self._time, self._position = 0, np.zeros(2, np.float32)
        return ts.restart(self._position)

    def _step(self, action):
        if self._current_time_step.is_last():
            return self.reset()
        config = self._config
        moved = self._position + np.float32(config.step_size) * self._displacement[action]
        self._position = np.clip(moved, -config.arena_bound, config.arena_bound)
        self._time += 1
        squared_distance = np.sum((self._position - np.float32(1)) ** 2)
        if squared_distance <= config.termination_radius**2:
            return ts.termination(self._position, -squared_distance)
        if self._time == config.horizon:
            return ts.truncation(self._position, -squared_distance)
        return ts.transition(self._position, -squared_distance)
