"""Measures tfcaml side by side with the ways it replaces, and prints the ratios.

    python -m launchers.benchmark --workload=rollout_particles --out=rollout.json

All contestants of a workload run in one process, in turns, so that whatever else the machine does
meets them alike. A first run of each, which compiles, is reported apart. Ratios are of medians.
"""

import functools
import importlib.metadata
import multiprocessing
import os
import pathlib
import platform
import resource
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy.special
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp
import threadpoolctl
from absl import flags
from tf_agents.drivers import dynamic_episode_driver
from tf_agents.environments import py_environment, tf_py_environment
from tf_agents.policies import actor_policy, tf_policy
from tf_agents.replay_buffers import tf_uniform_replay_buffer
from tf_agents.specs import array_spec
from tf_agents.trajectories import policy_step
from tf_agents.trajectories import time_step as ts
from tf_agents.utils import common

from launchers import _app
from tfcaml import nest, policies, run_directory, sampling, seeds
from tfcaml.divergence import policy_divergence
from tfcaml.environments import Particle, ParticleConfig
from tfcaml.environments.tf_agents import FamilyPyEnvironment, FamilyTFEnvironment
from tfcaml.errors import ConfigError, check_one_of

_WORKLOAD = flags.DEFINE_string("workload", None, "What to measure.")
_OUT = flags.DEFINE_string("out", None, "JSON file of the figures.")
_REPEATS = flags.DEFINE_integer("repeats", 5, "Runs of each contestant.", lower_bound=1)
_QUICK = flags.DEFINE_bool("quick", False, "Tiny sizes: checks the program, measures nothing.")
flags.mark_flags_as_required(["workload", "out"])

_PACKAGES = ("tensorflow", "tf-agents", "tensorflow-probability", "numpy", "scipy")
_MEBI = 2**20


class Contestant(NamedTuple):
    """run: () -> tensors; work: how many units of `unit` one run does."""

    run: Callable[[], Any]
    work: float = 1
    unit: str = "runs"


class Ratio(NamedTuple):
    """How many times faster, per unit of work, `fast` is to be than `slow`: at least `bar`."""

    fast: str
    slow: str
    bar: float


def main(_):
    check_one_of("workload", _WORKLOAD.value, tuple(WORKLOADS))
    out = pathlib.Path(_OUT.value)
    if out.is_dir():
        raise ConfigError(f"expected --out to be a file; received the directory {str(out)!r}")
    run_directory.check_writable(out.parent, "out")
    result = {
        "workload": _WORKLOAD.value,
        "quick": _QUICK.value,
        "repeats": _REPEATS.value,
        "machine": {
            "cores": len(os.sched_getaffinity(0)),
            "processor": platform.processor() or platform.machine(),
            "load_average_before": os.getloadavg(),
        },
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in _PACKAGES},
        },
        **WORKLOADS[_WORKLOAD.value](_REPEATS.value, _QUICK.value),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    run_directory.write_json(out, result)
    print_table(result)
    print(f"\nfigures  {out}")
    return 0


def measure(contestants, repeats, ratios):
    """Times contestants in turns.

    Args:
      contestants: dict name -> `Contestant`.
      repeats: runs of each, after a first one that is not counted.
      ratios: list of `Ratio`s.

    Returns:
      dict(figures=dict per contestant, ratios=list of dicts), JSON-serialisable.
    """
    first = {name: _time(contestant.run)[0] for name, contestant in contestants.items()}
    times = {name: [] for name in contestants}
    for _ in range(repeats):
        for name, contestant in contestants.items():
            times[name].append(_time(contestant.run))
    figures = {}
    for name, contestant in contestants.items():
        seconds, cpu_seconds = zip(*times[name])
        figures[name] = {
            "median_seconds": float(np.median(seconds)),
            "seconds": seconds,
            "median_cpu_seconds": float(np.median(cpu_seconds)),
            "first_run_seconds": first[name],
            "per_second": contestant.work / float(np.median(seconds)),
            "unit": contestant.unit,
        }
    found = [
        {**r._asdict(), "ratio": figures[r.fast]["per_second"] / figures[r.slow]["per_second"]}
        for r in ratios
    ]
    return {"figures": figures, "ratios": found}


def print_table(result):
    """The figures of a workload for people."""
    print(f"{'':34}{'median':>12}{'CPU':>12}{'first run':>12}{'per second':>16}")
    for name, row in result["figures"].items():
        print(
            f"{name:34}{row['median_seconds'] * 1e3:9.1f} ms"
            f"{row['median_cpu_seconds'] * 1e3:9.1f} ms{row['first_run_seconds']:10.2f} s"
            f"{row['per_second']:14,.0f} {row['unit']}"
        )
    print()
    for row in result["ratios"]:
        met = "met" if row["ratio"] >= row["bar"] else "missed"
        print(f"{row['fast']} / {row['slow']}: {row['ratio']:.1f} x  (bar {row['bar']:g}, {met})")
    for name, value in result.get("checks", {}).items():
        print(f"{name}: {value:.3g}")


def _time(run):
    """(wall, CPU) seconds of one run: they differ where other work keeps the machine busy."""
    start, cpu_start = time.perf_counter(), time.process_time()
    tf.nest.map_structure(np.asarray, run())
    return time.perf_counter() - start, time.process_time() - cpu_start


# Rollouts of particles.


def rollout_particles(repeats, quick):
    """Environment steps per second while episodes of 24 policies, one per entity, are recorded."""
    horizon, num_tasks, num_episodes, units = (5, 4, 2, 8) if quick else (100, 24, 10, 100)
    environment = Particle(ParticleConfig(horizon=horizon))
    task = nest.take(environment.population(0).support, np.arange(num_tasks))
    policy = policies.mlp_policy(
        environment.observation_spec, environment.action_spec, (units, units)
    )
    params = nest.stack([policy.init(seed) for seed in range(num_tasks)])
    one_task = nest.take(task, [0])

    def tfcaml_rollout(jit_compile):
        compiled = tf.function(
            lambda params, task, seed: sampling.sample(
                policy, environment, params, task, num_episodes, seed
            ),
            autograph=False,
            jit_compile=jit_compile,
        )
        run = lambda: compiled(params, task, seeds.from_int(time.monotonic_ns()))
        return Contestant(run, num_tasks * num_episodes * horizon, "steps/s")

    def unbatched(py):
        wrapped = tf_py_environment.TFPyEnvironment(py)
        return _driver(wrapped, _actor(wrapped, policy), 2, horizon)

    def wide(make_policy, record=True):
        rows = FamilyTFEnvironment(environment, task, num_episodes)
        return _driver(rows, make_policy(rows), rows.batch_size, horizon, record)

    shared = lambda rows: _actor(rows, policy)
    per_task = lambda rows: _PolicyPerTask(rows, policy, params, num_episodes)
    contestants = {
        "tfcaml, graph": tfcaml_rollout(False),
        "tfcaml, XLA": tfcaml_rollout(True),
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


def _driver(environment, policy, num_episodes, horizon, record=True):
    """The stock driver, compiled, filling a replay buffer with as many episodes."""
    buffer = tf_uniform_replay_buffer.TFUniformReplayBuffer(
        policy.trajectory_spec, environment.batch_size, max_length=horizon + 1
    )
    driver = dynamic_episode_driver.DynamicEpisodeDriver(
        environment, policy, [buffer.add_batch] if record else [], num_episodes=num_episodes
    )
    run = common.function(driver.run)
    return Contestant(lambda: run()[0], num_episodes * horizon, "steps/s")


def _actor(environment, policy):
    """The policy's own network, with one set of weights for all rows."""
    return actor_policy.ActorPolicy(
        environment.time_step_spec(), environment.action_spec(), policy.network
    )


class _PolicyPerTask(tf_policy.TFPolicy):
    """The weights of each task for its block of rows: what `tfcaml` rolls out, under a driver."""

    def __init__(self, environment, policy, params, num_episodes):
        super().__init__(environment.time_step_spec(), environment.action_spec())
        self._policy, self._params, self._num_episodes = policy, params, num_episodes

    def _distribution(self, time_step, policy_state):
        observation = time_step.observation
        blocks = tf.reshape(observation, [-1, self._num_episodes, *observation.shape[1:]])
        logits = self._policy(self._params, blocks).logits_parameter()
        logits = tf.reshape(logits, [-1, logits.shape[-1]])
        return policy_step.PolicyStep(tfp.distributions.Categorical(logits=logits), policy_state)


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


# Divergence between policies.


def divergence(repeats, quick):
    """Algorithm 1 for 24 policies against a loop over SciPy's densities; and for 1,000 policies."""
    size, num_states, horizon, many = (4, 20, 5, 12) if quick else (24, 500, 100, 1000)
    policy, params, trajectories = _population_of_policies(size, horizon)
    options = {"bandwidth": 0.5, "num_states": num_states}
    key = seeds.from_int(0)
    states = policy_divergence.sampled_states(trajectories, options["bandwidth"], num_states, key)
    states = states[-1].numpy()  # the loop gets them for nothing

    def tfcaml_matrix():
        return policy_divergence.policy_divergence_matrix(
            policy, params, trajectories, weight="inverse_density", **options
        )

    def scipy_matrix(once):
        # NumPy's threads wait for each other by spinning, which on a busy machine takes for ever.
        with threadpoolctl.threadpool_limits(1, "blas"):
            return _scipy_divergence(params, trajectories, states, options["bandwidth"], once)

    loops = {"SciPy, pair by pair": False, "SciPy, densities kept": True}
    result = measure(
        {
            "tfcaml": Contestant(tfcaml_matrix, unit="matrices/s"),
            **{
                name: Contestant(functools.partial(scipy_matrix, once), unit="matrices/s")
                for name, once in loops.items()
            },
        },
        repeats,
        [Ratio("tfcaml", name, 10) for name in loops],
    )
    difference = float(np.abs(tfcaml_matrix() - scipy_matrix(True)).max())
    result["checks"] = {"largest difference between tfcaml and SciPy": difference}
    for form in ("jensen_shannon", "hellinger"):
        # A process of its own, because the peak of memory is the process's.
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            figures = pool.apply(_many_policies, (form, many, num_states, horizon))
        result["checks"][f"{form}, {many} policies, peak memory, MiB"] = figures.pop("peak_mebi")
        result["checks"][f"{form}, {many} policies, before, MiB"] = figures.pop("before_mebi")
        result["figures"] |= {f"{form}, {many}": figures.pop("whole")}
        result["figures"] |= {f"{form}, {many}, pairs only": figures.pop("pairs")}
    slow, fast = (f"{form}, {many}, pairs only" for form in ("jensen_shannon", "hellinger"))
    per_second = [result["figures"][name]["per_second"] for name in (slow, fast)]
    ratio = {**Ratio(fast, slow, 20)._asdict(), "ratio": per_second[1] / per_second[0]}
    result["ratios"].append(ratio)
    return result


def _population_of_policies(size, horizon):
    """(policy, weights [N, ...] of N different policies, an episode of each)."""
    environment = Particle(ParticleConfig(horizon=horizon))
    policy = policies.mlp_policy(environment.observation_spec, environment.action_spec)
    noise = np.random.default_rng(0)
    params = nest.map(
        lambda x: tf.constant(x + 0.1 * noise.normal(size=[size, *x.shape]).astype(np.float32)),
        policy.init(0),
    )
    support = environment.population(0).support
    task = nest.take(support, np.arange(size) % nest.leading(support))
    sample = tf.function(sampling.sample, autograph=False)
    return policy, params, sample(policy, environment, params, task, 1, seeds.from_int(0))


def _scipy_divergence(params, trajectories, states, bandwidth, once):
    """The same matrix by a loop over pairs of policies.

    `once`: keep each policy's occupancy, rather than compute both anew for every pair.
    """
    weights = nest.map(lambda x: x.numpy().astype(np.float64), params)
    observation, mask = trajectories.observation.numpy(), trajectories.mask.numpy().astype(bool)

    def density(i):
        return _FixedKernel(observation[i][mask[i]].T, bandwidth)(states.T)

    def occupancy(i):
        kernel_1, bias_1, kernel_2, bias_2, kernel_3, bias_3 = [w[i] for w in weights]
        hidden = np.tanh(np.tanh(states @ kernel_1 + bias_1) @ kernel_2 + bias_2)
        return density(i)[:, None] * scipy.special.softmax(hidden @ kernel_3 + bias_3, axis=1)

    if once:
        density, occupancy = functools.cache(density), functools.cache(occupancy)
    weight = 1 / np.mean([density(i) for i in range(len(mask))], axis=0) / len(states)
    matrix = np.zeros(2 * [len(mask)])
    for i, j in zip(*np.triu_indices(len(mask), 1)):
        p, q = occupancy(i), occupancy(j)
        terms = scipy.special.rel_entr(p, (p + q) / 2) + scipy.special.rel_entr(q, (p + q) / 2)
        matrix[i, j] = matrix[j, i] = weight @ terms.sum(axis=1)
    return matrix


class _FixedKernel(scipy.stats.gaussian_kde):
    """SciPy's density with a given standard deviation, which it has no option for."""

    def __init__(self, points, bandwidth):
        self._bandwidth = bandwidth
        super().__init__(points)

    def _compute_covariance(self):
        self.covariance = self._bandwidth**2 * np.eye(self.d)
        self.cho_cov = self._bandwidth * np.eye(self.d)
        self.log_det = 2 * self.d * np.log(self._bandwidth * np.sqrt(2 * np.pi))


def _many_policies(form, size, num_states, horizon):
    """Seconds and peak memory of one divergence matrix of many policies, in a fresh process."""
    policy, params, trajectories = _population_of_policies(size, horizon)
    before = _peak_mebi()
    whole = lambda: policy_divergence.policy_divergence_matrix(
        policy, params, trajectories, form=form, num_states=num_states
    )
    figures = measure({"whole": Contestant(whole, unit="matrices/s")}, 2, [])["figures"]
    figures["peak_mebi"], figures["before_mebi"] = _peak_mebi(), before
    places = tf.function(policy_divergence.occupancies, autograph=False)(
        policy,
        params,
        trajectories,
        bandwidth=0.5,
        weight="inverse_density",
        num_states=num_states,
        seed=seeds.from_int(0),
    )
    compiled = tf.function(policy_divergence.pairwise, autograph=False)
    pairs = Contestant(lambda: compiled(places, form), unit="matrices/s")
    return {**figures, **measure({"pairs": pairs}, 2, [])["figures"]}


def _peak_mebi():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / _MEBI


WORKLOADS = {"divergence": divergence, "rollout_particles": rollout_particles}

if __name__ == "__main__":
    _app.run(main)
