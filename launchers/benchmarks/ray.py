"""Ray: what workers bring for whole jobs, and what a call to them costs."""

import io
import pathlib
import tempfile
import time

import numpy as np
import tensorflow as tf
from tfcaml.configs.caml import particles as caml_particles

from tfcaml import environments, keys, nest, policies
from tfcaml.cluster import Cluster
from tfcaml.experiments.experiment import Experiment
from tfcaml.experiments.ray_workers import RayWorkers
from tfcaml.rollouts import sampling
from tfcaml.rollouts.ray_sampler import RaySampler

from ..studies.runs import shrink
from .timing import apart, summary

BAR = 0.6  # of the wall time of one process that two workers may take for the same jobs
_LARGE = 1000  # entities of one iteration, for the estimate


def run(repeats, quick):
    """The jobs of `make demo` in one process and by two workers; then calls to workers.

    Each run of the demo is in processes of its own, compiles anew, and is measured from the first
    job to the last; what it takes to start Ray and the workers is told apart.
    """
    content = caml_particles.get_config().to_dict()
    if quick:
        shrink(content, ["random"])
        content["num_seeds"] = 2
    times = {"one process": [], "2 Ray workers": []}
    starts = []
    for _ in range(repeats):
        times["one process"].append(apart(_train, content, None, quick=quick)[:2])
        *found, start = apart(_train, content, 2, quick=quick)
        times["2 Ray workers"].append(found)
        starts.append(start)
    jobs = content["num_seeds"] * (1 + len(content["compared"]))
    figures = {
        name: summary(seconds[0][0], seconds, jobs, "jobs/s") for name, seconds in times.items()
    }
    one, two = (figures[name]["median_seconds"] for name in times)
    start = float(np.median(starts))
    return {
        "figures": figures,
        "ratios": [],
        "bars": [
            {"name": "2 workers / one process, jobs", "value": two / one, "bar": BAR},
            {"name": "the same with all that starts", "value": (two + start) / one, "bar": 1.0},
        ],
        "details": {
            "Starting": {"Ray and the first worker, s": start},
            "Calls to workers": _calls(quick),
        },
    }


def _train(content, workers):
    """Seconds of all jobs: of wall time, and of CPU; and until the first worker was there."""
    with tempfile.TemporaryDirectory() as folder:
        experiment = Experiment.create(pathlib.Path(folder) / "run", content, 0)
        start, cpu = time.perf_counter(), time.process_time()
        until = 0.0
        if workers is None:
            experiment.train(io.StringIO())
        else:
            with RayWorkers(workers) as found:
                experiment.train(io.StringIO(), found)
                until = found.seconds_to_start
        return time.perf_counter() - start - until, time.process_time() - cpu, until


def _family(horizon=100):
    """What is sampled: half-cheetahs where MuJoCo is installed, else CartPole."""
    try:
        config = environments.HalfCheetahVelocityConfig(horizon=horizon)
        return environments.HalfCheetahVelocity(config, num_threads=1)
    except (AttributeError, ImportError, ValueError):
        return environments.CartPole(environments.CartPoleConfig(horizon=horizon))


def _make():
    family = _family()
    return family, policies.mlp_policy(family.observation_spec, family.action_spec, (64, 64))


class _Echo:
    """Answers what it is given."""

    def echo(self, value):
        return value


def _calls(quick):
    """Milliseconds and bytes of sampling 20 tasks in two workers, and what follows for 1,000."""
    num_tasks, num_episodes, repeats = (10, 2, 1) if quick else (20, 10, 5)
    family, policy = _make()
    task = nest.take(family.population(0).sample(num_tasks, keys.from_int(0))[0], range(num_tasks))
    params = nest.repeat(policy.init(0), num_tasks)
    local = tf.function(sampling.sample, autograph=False)
    call = lambda sample: sample(policy, family, params, task, num_episodes, keys.from_int(1))
    with Cluster(2) as cluster:
        echo = cluster.actor(_Echo)
        cluster.ray.get(echo.echo.remote(0))
        empty = _median(lambda: cluster.ray.get(echo.echo.remote(0)), 100)
        block = np.zeros(2**22, np.uint8)
        transport = _median(lambda: cluster.ray.get(echo.echo.remote(block)), 5) / (2 * len(block))
        cluster.kill(echo)
        with RaySampler(_make, 2) as sampler:
            trajectory, _ = call(local), call(sampler)
            here = _median(lambda: call(local), repeats)
            there = _median(lambda: call(sampler), repeats)
    size = lambda tree: sum(np.asarray(leaf).nbytes for leaf in tf.nest.flatten(tree)) / num_tasks
    out, back = size((params, task)), size(trajectory)
    each = here / num_tasks
    overhead = empty + transport * (out + back) * _LARGE
    return {
        "an empty call, ms": 1e3 * empty,
        "a megabyte there or back, ms": 1e9 * transport,
        "weights and task to a worker, kB a task": out / 1e3,
        "trajectory back, kB a task": back / 1e3,
        f"sampling {num_tasks} tasks in process, ms": 1e3 * here,
        f"sampling {num_tasks} tasks in 2 workers, ms": 1e3 * there,
        **{
            f"estimate: 1,000 tasks with {workers} workers, s": _LARGE * each / workers
            + workers * empty
            + overhead
            for workers in (1, 10, 100)
        },
    }


def _median(function, repeats):
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return float(np.median(times))
