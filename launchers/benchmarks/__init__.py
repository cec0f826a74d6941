"""Workloads of `launchers.benchmark`: (repeats, quick) -> results, JSON-serialisable.

A result holds `figures` (name -> what `timing.summary` gives) and `ratios` (list of what
`timing.judged` gives), and may hold

    details  name -> {label: number}
    bars     list of {name, value, bar}: the value is to be at most the bar
    checks   name -> number
"""

from . import (
    divergence,
    glucose,
    host_environments,
    maml,
    population,
    ray,
    rl2,
    rollout_particles,
    simulators,
)

BENCHMARKS = {
    "divergence": divergence.run,
    "glucose": glucose.run,
    "host_environments": host_environments.run,
    "maml_growth": maml.growth,
    "maml_navigation": maml.navigation,
    "population": population.run,
    "ray": ray.run,
    "rl2": rl2.run,
    "rollout_particles": rollout_particles.run,
    "simulators": simulators.run,
}
