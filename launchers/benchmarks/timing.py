"""Clocks: seconds of wall and CPU, in turns; peaks of memory; processes of their own."""

import multiprocessing
import os
import pathlib
import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf


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


def measure(contestants, repeats, ratios):
    """Times contestants in turns.

    Args:
      contestants: dict name -> `Contestant`.
      repeats: runs of each, after a first one that is not counted.
      ratios: list of `Ratio`s.

    Returns:
      dict(figures=dict per contestant, ratios=list of dicts), JSON-serialisable.
    """
    first = {name: clock(contestant.run)[0] for name, contestant in contestants.items()}
    times = {name: [] for name in contestants}
    for _ in range(repeats):
        for name, contestant in contestants.items():
            times[name].append(clock(contestant.run))
    figures = {
        name: summary(first[name], times[name], contestant.work, contestant.unit)
        for name, contestant in contestants.items()
    }
    return {"figures": figures, "ratios": [judged(ratio, figures) for ratio in ratios]}


def summary(first, times, work, unit):
    """Figures of one contestant.

    Args:
      first: seconds of the first run.
      times: list of (wall, CPU) seconds of the runs that count.
      work: units of `unit` that one run does.
      unit: str.
    """
    seconds, cpu_seconds = zip(*times)
    return {
        "median_seconds": float(np.median(seconds)),
        "seconds": seconds,
        "median_cpu_seconds": float(np.median(cpu_seconds)),
        "first_run_seconds": first,
        "per_second": work / float(np.median(seconds)),
        "unit": unit,
    }


def judged(ratio, figures):
    """A `Ratio` with what it came to, as a dict."""
    per_second = [figures[name]["per_second"] for name in (ratio.fast, ratio.slow)]
    return {**ratio._asdict(), "ratio": per_second[0] / per_second[1]}


def apart(function, *args, quick=False):
    """`function(*args)` in a fresh process, because the peak of memory is the process's.

    `quick`: in this very process, for the imports of another take longer than all else.
    """
    if quick:
        return function(*args)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, args)


def peak_mebi():
    """The most memory this process has held so far, MiB."""
    # Not `ru_maxrss`: there a process starts from the peak of the one that started it.
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) / 1024


def matrix_rate():
    """The processor's matrix products, GFLOP per CPU second: what absolute figures are read by.

    Those of a hidden layer of 100 units at 2,000 steps.
    """
    h, w, repeats = tf.random.normal([2000, 100]), tf.random.normal([100, 100]), 100
    products = lambda: [tf.matmul(h, w) for _ in range(repeats)]
    clock(products)
    cpu_seconds = np.median([clock(products)[1] for _ in range(5)])
    return float(repeats * 2 * 2000 * 100 * 100 / cpu_seconds / 1e9)


def clock(run):
    """(wall, CPU) seconds of one run: they differ where other work keeps the machine busy.

    The CPU is that of this process and of those that it started and that are still running.
    """
    start, cpu_start = time.perf_counter(), _cpu_seconds()
    tf.nest.map_structure(np.asarray, run())
    return time.perf_counter() - start, _cpu_seconds() - cpu_start


def _cpu_seconds():
    total = time.process_time()
    for child in multiprocessing.active_children():
        stat = pathlib.Path(f"/proc/{child.pid}/stat").read_text()
        user, system = stat.rsplit(")", 1)[1].split()[11:13]
        total += (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    return total
