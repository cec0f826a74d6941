"""MAML on 2D navigation: what an iteration takes, and how that grows.

W1, the sizes of the published runs: 20 tasks x 20 episodes x 100 steps, before and after one inner
step, a network of 2 x 100 units.
"""

import functools
import itertools
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tf_agents.environments import py_environment, tf_py_environment
from tf_agents.specs import array_spec, tensor_spec
from tf_agents.trajectories import time_step as ts

from tfcaml import keys, learners, nest, policies, training
from tfcaml.environments import Navigation, NavigationConfig
from tfcaml.environments.tf_agents import FamilyPyEnvironment, FamilyTFEnvironment

from . import collection
from .timing import (
    Ratio,
    apart,
    clock,
    judged,
    matrix_rate,
    measure,
    peak_mebi,
    summary,
)

_WARM_UP = 2  # iterations: the first compiles, the second still grows memory pools
_MEMORY_BAR = 1.1  # exponent that counts as linear growth, being fitted to few points


class Sizes(NamedTuple):
    """What the work of an iteration depends on."""

    tasks: int = 20
    episodes: int = 20
    horizon: int = 100
    width: int = 100
    inner_steps: int = 1


_QUICK = Sizes(tasks=2, episodes=2, horizon=5, width=8)
_TRPO = {}  # the default
_WHOLE = {"outer": {"fisher_subsample": 0, "cg_iterations": 10}}  # as the MAML paper's code has it
_AS_PUBLISHED = "TRPO of all tasks, ten products, graph"
# The most of the CPU seconds of that which others may take.
_SHARES = {"TRPO, graph": 0.35, "TRPO of all tasks, graph": 0.9}
_PPO = {"outer": {"optimizer": "ppo", "steps": 5}}


# An iteration, and TF-Agents' way of collecting as many steps.


def navigation(repeats, quick):
    """Seconds, memory and stages of W1 by outer optimiser and compiler; TF-Agents beside it."""
    sizes = _QUICK if quick else Sizes()
    contestants = {
        "TRPO, graph": (_TRPO, False, None),
        "TRPO, XLA": (_TRPO, True, None),
        "TRPO of all tasks, graph": ({"outer": {"fisher_subsample": 0}}, False, None),
        _AS_PUBLISHED: (_WHOLE, False, 3.5),
        "PPO, graph": (_PPO, False, 1.5),
        "PPO, XLA": (_PPO, True, None),
    }
    if quick:  # XLA takes as long over tiny sizes as over others
        contestants = {name: row for name, row in contestants.items() if not row[1]}
    figures, details, bars = {}, {}, []
    for name, (settings, jit_compile, bar) in contestants.items():
        figures[name], details[name] = apart(
            _iterations, sizes, settings, jit_compile, repeats, quick=quick
        )
        if bar:
            value = figures[name]["median_cpu_seconds"]
            bars.append({"name": f"{name}, CPU seconds per iteration", "value": value, "bar": bar})
        row = details[name]
        retraced = row["traces at the end"] - row[f"traces after {_WARM_UP} iterations"]
        bars.append({"name": f"{name}, retracings", "value": retraced, "bar": 0})
    for name, most in _SHARES.items():
        cpu_seconds = [figures[key]["median_cpu_seconds"] for key in (name, _AS_PUBLISHED)]
        value = cpu_seconds[0] / cpu_seconds[1]
        bars.append({"name": f"CPU seconds, {name} / {_AS_PUBLISHED}", "value": value, "bar": most})
    beside = _collections(sizes, repeats, quick)
    figures |= beside["figures"]
    agents = (
        "TF-Agents, unbatched, ReinforceAgent",
        "TF-Agents, unbatched, NumPy, ReinforceAgent",
    )
    learned = [name for name in contestants if name.endswith("graph")]
    ratios = [Ratio(name, agent, 50) for agent in agents for name in learned]
    ratios = [judged(ratio, figures) for ratio in ratios] + beside["ratios"]
    checks = {"GFLOP of matrix products per CPU second": matrix_rate()}
    return {
        "figures": figures,
        "details": details,
        "bars": bars,
        "ratios": ratios,
        "checks": checks,
    }


def _iterations(sizes, settings, jit_compile, repeats, stages=True):
    """(figures, details) of training iterations, in a process of their own."""
    learner, population = _learner(sizes, settings, jit_compile)
    before = peak_mebi()
    tries = []

    def iteration():
        metrics = training.train_iteration(learner, population, 0)
        tries.append(metrics.get("line_search_tries", 0))
        return metrics

    first = clock(iteration)[0]
    for _ in range(_WARM_UP - 1):
        clock(iteration)
    traces = learner._train.experimental_get_tracing_count()
    tries.clear()
    times = [clock(iteration) for _ in range(repeats)]
    phases = sizes.inner_steps + 1
    steps = sizes.tasks * sizes.episodes * sizes.horizon * phases
    figures = summary(first, times, steps, "steps/s")
    details = {
        "compilation, s": first - figures["median_seconds"],
        "peak memory, MiB": peak_mebi(),
        "memory before, MiB": before,
        f"traces after {_WARM_UP} iterations": traces,
        "traces at the end": learner._train.experimental_get_tracing_count(),
    }
    if stages and not jit_compile:  # XLA takes minutes over TRPO, and would once more
        details |= _stages(learner, population, repeats)
        arithmetic = _passes(learner.config, np.mean(tries)) @ _pass_seconds(sizes)
        fraction = arithmetic / figures["median_cpu_seconds"]
        details["fraction of matrix products, estimated"] = float(fraction)
    return figures, details


def _learner(sizes, settings, jit_compile):
    environment = Navigation(NavigationConfig(horizon=sizes.horizon))
    config = learners.MAML.Config(
        meta_batch_size=sizes.tasks,
        episodes_per_update=sizes.episodes,
        inner_updates=sizes.inner_steps,
        **settings,
    )
    learner = learners.MAML(
        environment, _policy(environment, sizes), config, jit_compile=jit_compile
    )
    return learner, environment.population(0)


def _policy(environment, sizes):
    units = (sizes.width, sizes.width)
    return policies.mlp_policy(
        environment.observation_spec, environment.action_spec, units, activation="relu"
    )


def _stages(learner, population, repeats):
    """{label: median wall or CPU seconds} of an iteration's parts, each compiled by itself."""
    config, key = learner.config, keys.from_int(0)
    phases = config.inner_updates + 1
    compiled = functools.partial(tf.function, autograph=False, jit_compile=learner.jit_compile)

    @compiled
    def sampling(params, task):
        return [
            learner.sample(params, task, config.episodes_per_update, keys.fold(key, k))
            for k in range(phases)
        ]

    @compiled
    def inner(meta, trajectories):
        fast = learner.start(meta, config.meta_batch_size)
        for trajectory in trajectories[:-1]:
            support = learner.experience(meta, fast, trajectory)
            fast = learner.adapt(meta, fast, support)
        return fast, learner.query_experience(meta, fast, trajectories[-1])

    @compiled
    def outer(meta, slots, batch):
        return learner.outer.step(learner.objective, meta, slots, batch)

    task, _ = population.sample(config.meta_batch_size, key)
    meta, slots = learner.meta.read(), learner.state["outer_slots"].read()
    params = learner.start(meta, config.meta_batch_size).params
    trajectories = sampling(params, task)
    batch = tf.function(learner.collect, autograph=False)(meta, task, key)
    parts = {
        "sampling": lambda: sampling(params, task),
        "inner": lambda: inner(meta, trajectories),
        "outer": lambda: outer(meta, slots, batch),
    }
    details = {}
    for name, run in parts.items():
        run()
        wall, cpu = np.median([clock(run) for _ in range(repeats)], axis=0)
        details[f"{name}, s"], details[f"{name}, CPU s"] = float(wall), float(cpu)
    return details


# How many matrix products of each shape: h W, g W^T, h^T g, for the whole network on one phase.
_FORWARD = np.array([1, 0, 0])
_BACKWARD = np.array([0, 1, 1])
_CURVATURE = np.array([2, 2, 2])  # product with an inner loss's Hessian, both passes being kept


def _passes(config, tries):
    """Matrix products of one iteration, counted by hand; `tries`: of the line search."""
    k = config.inner_updates
    adapt = k * (_FORWARD + _BACKWARD)
    collect = 2 * (k + 1) * _FORWARD + adapt  # to act, and again for what acted
    evaluate = adapt + _FORWARD
    gradient = evaluate + _BACKWARD + k * _CURVATURE
    if config.outer.optimizer == "ppo":
        return collect + config.outer.steps * gradient
    product = 2 * k * _CURVATURE + 2 * _FORWARD + _BACKWARD  # J v, then J^T of it
    linearise = gradient + k * _CURVATURE + _BACKWARD
    tasks = config.meta_batch_size
    share = min(config.outer.fisher_subsample or tasks, tasks) / tasks
    whole = share == 1  # then the gradient comes with the linearisation
    products = share * (linearise + config.outer.cg_iterations * product)
    return collect + products + (0 if whole else gradient) + tries * evaluate


def _pass_seconds(sizes):
    """CPU seconds of the three products, over all layers and tasks: measured by themselves."""
    rows, runs = sizes.episodes * sizes.horizon, 5
    units = (2, sizes.width, sizes.width, 2)
    total = np.zeros(3)
    for size_in, size_out in itertools.pairwise(units):
        h = tf.random.normal([sizes.tasks, rows, size_in])
        g = tf.random.normal([sizes.tasks, rows, size_out])
        w = tf.random.normal([sizes.tasks, size_in, size_out])
        products = (
            lambda: tf.matmul(h, w),
            lambda: tf.matmul(g, w, transpose_b=True),
            lambda: tf.matmul(h, g, transpose_a=True),
        )
        total += [np.median([clock(product)[1] for _ in range(runs)]) for product in products]
    return total


def _collections(sizes, repeats, quick):
    """Environment steps per second of rollouts, of TF-Agents' drivers, and with its agent."""
    environment = Navigation(NavigationConfig(horizon=sizes.horizon))
    task, _ = environment.population(0).sample(sizes.tasks, keys.from_int(0))
    policy = _policy(environment, sizes)
    params = nest.repeat(policy.init(0), sizes.tasks)
    episodes = sizes.tasks * sizes.episodes

    def unbatched():
        return tf_py_environment.TFPyEnvironment(
            FamilyPyEnvironment(environment, nest.take(task, [0]))
        )

    def wide():
        return FamilyTFEnvironment(environment, task, sizes.episodes)

    def numpy():
        return tf_py_environment.TFPyEnvironment(
            _NumpyNavigation(environment, nest.take(task, [0]))
        )

    def driver(rows, num_episodes, actor=None):
        actor = actor or collection.actor(rows, policy)
        return collection.driver(rows, actor, num_episodes, sizes.horizon)

    def driver_per_task(rows):
        actor = collection.ActorPerTask(rows, policy, params, sizes.episodes)
        return driver(rows, episodes, actor)

    def agent(rows, num_episodes):
        network = _policy(environment, sizes).network  # its own: it is trained
        return collection.reinforce(rows, network, num_episodes, sizes.horizon)

    rollout = functools.partial(
        collection.rollout, policy, environment, params, task, sizes.episodes
    )
    contestants = {"rollout, graph": rollout(False)}
    if not quick:
        contestants["rollout, XLA"] = rollout(True)
    ways = ("TF-Agents, wide", "TF-Agents, wide, policy per task")
    ratios = [Ratio(name, way, 2.5) for name in contestants for way in ways]
    contestants |= {
        "TF-Agents, unbatched": driver(unbatched(), 2),
        "TF-Agents, unbatched, ReinforceAgent": agent(unbatched(), 2),
        "TF-Agents, unbatched, NumPy": driver(numpy(), 2),
        "TF-Agents, unbatched, NumPy, ReinforceAgent": agent(numpy(), 2),
        "TF-Agents, wide": driver(wide(), episodes),
        "TF-Agents, wide, policy per task": driver_per_task(wide()),
        "TF-Agents, wide, ReinforceAgent": agent(wide(), episodes),
    }
    return measure(contestants, repeats, ratios)


class _NumpyNavigation(py_environment.PyEnvironment):
    """Navigation as one would write it by hand for TF-Agents, without TensorFlow inside."""

    def __init__(self, environment, task):
        super().__init__()
        self._environment = environment
        self._goal = task["goal"].numpy()[0]

    def observation_spec(self):
        return array_spec.ArraySpec([2], np.float32)

    def action_spec(self):
        return tensor_spec.to_nest_array_spec(self._environment.action_spec)

    def _reset(self):
        self._time, self._position = 0, np.zeros(2, np.float32)
        return ts.restart(self._position)

    def _step(self, action):
        if self._current_time_step.is_last():
            return self.reset()
        move = action * np.float32(0.1 / self._environment.config.action_range)
        self._position = self._position + np.clip(move, -0.1, 0.1).astype(np.float32)
        self._time += 1
        offset = self._position - self._goal
        reward = -np.sqrt(np.sum(offset**2))
        if np.all(np.abs(offset) < self._environment.config.termination_box):
            return ts.termination(self._position, reward)
        if self._time == self._environment.horizon:
            return ts.truncation(self._position, reward)
        return ts.transition(self._position, reward)


# How it grows.


def growth(repeats, quick):
    """W1 with TRPO and one size at a time changed; the exponent each figure grows with."""
    base = _QUICK if quick else Sizes()
    scaled = {
        "tasks": (10, 20, 40, 80),
        "episodes": (10, 20, 40),
        "horizon": (50, 100, 200),
        "width": (64, 100, 128, 256),
        "inner_steps": (1, 2, 3),
    }
    if quick:
        scaled = {"tasks": (2, 4), "inner_steps": (1, 2)}
    figures, details, measured = {}, {}, {}
    checks, bars = {}, []
    for factor, values in scaled.items():
        points = []
        for value in values:
            sizes = base._replace(**{factor: value})
            name = ", ".join(f"{key} {size}" for key, size in sizes._asdict().items())
            if sizes not in measured:
                measured[sizes] = apart(
                    _iterations, sizes, _TRPO, False, repeats, False, quick=quick
                )
                figures[name], details[name] = measured[sizes]
            row, detail = measured[sizes]
            memory = detail["peak memory, MiB"] - detail["memory before, MiB"]
            memory = max(memory, 1)  # none where what ran before in this process took more
            points.append((row["median_cpu_seconds"], memory))
        seconds, memory = (_exponent(values, column) for column in zip(*points))
        checks[f"CPU seconds grow with {factor} to the power of"] = seconds
        checks[f"memory grows with {factor} to the power of"] = memory
        if factor in ("tasks", "episodes", "horizon"):
            name = f"exponent of memory in {factor}"
            bars.append({"name": name, "value": memory, "bar": _MEMORY_BAR})
    return {"figures": figures, "details": details, "ratios": [], "checks": checks, "bars": bars}


def _exponent(sizes, values):
    """Slope of log value over log size."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])
