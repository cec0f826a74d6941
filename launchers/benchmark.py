"""Measures tfcaml side by side with the ways it replaces, and prints the ratios.

    tfcaml benchmark --workload=rollout_particles --out=rollout.json

Contestants run in one process, in turns, so that whatever else the machine does meets them alike;
those whose memory is measured run in processes of their own. A first run of each, which compiles,
is reported apart. Ratios are of medians.
"""

import importlib.metadata
import os
import pathlib
import platform

from absl import flags

from tfcaml.errors import ConfigError, check_one_of
from tfcaml.experiments import run_directory

from . import _app
from .benchmarks import BENCHMARKS

_WORKLOAD = flags.DEFINE_string("workload", None, "One of " + ", ".join(BENCHMARKS) + ".")
_OUT = flags.DEFINE_string("out", None, "JSON file of the figures.")
_REPEATS = flags.DEFINE_integer(
    "repeats", None, "Runs of each contestant; 5 unless set, 1 with --quick.", 1, 10_000
)
_QUICK = flags.DEFINE_bool("quick", False, "Tiny sizes: checks the program, measures nothing.")
flags.mark_flags_as_required(["workload", "out"])

_PACKAGES = ("tensorflow", "tf-agents", "tensorflow-probability", "numpy", "scipy")
_EXTRAS = ("mujoco", "gymnasium", "ray")  # versions of those that are installed are written down


def main(_):
    repeats = _REPEATS.value or (1 if _QUICK.value else 5)
    check_one_of("workload", _WORKLOAD.value, tuple(BENCHMARKS))
    out = pathlib.Path(_OUT.value)
    if out.is_dir():
        raise ConfigError(f"expected --out to be a file; received the directory {str(out)!r}")
    run_directory.check_writable(out.parent, "out")
    result = {
        "workload": _WORKLOAD.value,
        "quick": _QUICK.value,
        "repeats": repeats,
        "machine": {
            "cores": len(os.sched_getaffinity(0)),
            "processor": platform.processor() or platform.machine(),
            "load_average_before": os.getloadavg(),
        },
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in _PACKAGES},
            **{name: found for name in _EXTRAS if (found := _version(name))},
        },
        **BENCHMARKS[_WORKLOAD.value](repeats, _QUICK.value),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    run_directory.write_json(out, result)
    print_table(result)
    print(f"\nfigures  {out}")
    return 0


def print_table(result):
    """The figures of a workload for people."""
    width = max(map(len, result["figures"])) + 2
    print(f"{'':{width}}{'median':>12}{'CPU':>12}{'first run':>12}{'per second':>16}")
    for name, row in result["figures"].items():
        print(
            f"{name:{width}}{row['median_seconds'] * 1e3:9.1f} ms"
            f"{row['median_cpu_seconds'] * 1e3:9.1f} ms{row['first_run_seconds']:10.2f} s"
            f"{row['per_second']:14,.0f} {row['unit']}"
        )
    print()
    for name, row in result.get("details", {}).items():
        print(name, *(f"    {label}: {value:.4g}" for label, value in row.items()), sep="\n")
    for row in result["ratios"]:
        met = "met" if row["ratio"] >= row["bar"] else "missed"
        goal = f"goal: at least {row['bar']:g}, {met}"
        print(f"{row['fast']} / {row['slow']}: {row['ratio']:.3g} x  ({goal})")
    for row in result.get("bars", []):
        met = "met" if row["value"] <= row["bar"] else "missed"
        print(f"{row['name']}: {row['value']:.3g}  (goal: at most {row['bar']:g}, {met})")
    for name, value in result.get("checks", {}).items():
        print(f"{name}: {value:.3g}")
    if result["quick"]:
        print("\nThese sizes only check the program: the numbers above mean nothing.")


def _version(package):
    """The version of a package, or None."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    _app.run(main)
