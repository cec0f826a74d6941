"""Trains a learner and its baselines, evaluates them on held-out entities, and draws the results.

    tfcaml train --config=caml/particles --root_dir=runs/particles

Running the same command again goes on where it stopped. Exit codes: 0 finished, 2 bad input,
3 stopped by Ctrl-C or SIGTERM, 4 the disk is full or can't be written, 5 an environment or the
updates failed too often.
"""

import contextlib
import dataclasses
import os
import pathlib
import shlex

from absl import flags
from ml_collections import config_flags

from tfcaml import figures
from tfcaml.errors import check, within
from tfcaml.experiments import jobs, run_directory, sweep
from tfcaml.experiments.experiment import Experiment
from tfcaml.learners.imitation.base import DemonstrationConfig
from tfcaml.reporting import report

from . import _app

_CONFIG = config_flags.DEFINE_config_file(
    "config",
    None,
    "An experiment by name, see tfcaml configs, or a file with get_config(); "
    "its fields are set by --config.FIELD=VALUE.",
)
_ROOT_DIR = flags.DEFINE_string("root_dir", None, "Directory of the run.")
_SEED = flags.DEFINE_integer("seed", 0, "First seed; config.num_seeds seeds are run.")
_JIT_COMPILE = flags.DEFINE_bool(
    "jit_compile", None, "Compile iterations with XLA; by default where a learner gains by it."
)
_SAVE_INTERVAL = flags.DEFINE_integer(
    "save_interval", None, "Iterations between checkpoints; config.save_interval unless given."
)
_KEEP = flags.DEFINE_integer("keep", 2, "Checkpoints kept of each method and seed.")
_ALLOW_FRESH_START = flags.DEFINE_bool(
    "allow_fresh_start", False, "Train from the beginning where all checkpoints are damaged."
)
_MAX_BAD_UPDATES = flags.DEFINE_integer(
    "max_bad_updates", 10, "Updates that may be skipped, not being finite, by method and seed."
)
_DEMONSTRATIONS = flags.DEFINE_string(
    "demonstrations", None, "File of tfcaml demonstrate; all methods learn from it, not by experts."
)
_SWEEP = flags.DEFINE_multi_string(
    "sweep", [], "FIELD=VALUE,VALUE,...: a run for each value of a config field; repeatable."
)
_app.define_workers()
flags.mark_flags_as_required(["config", "root_dir"])


def main(_):
    root, content = pathlib.Path(_ROOT_DIR.value), _CONFIG.value.to_dict()
    if _DEMONSTRATIONS.value is not None:
        _learn_from(_DEMONSTRATIONS.value, content)
    fields = sweep.parsed(_SWEEP.value)
    for field, value in config_flags.get_override_values(flags.FLAGS["config"]).items():
        rule = f"left out, as --sweep={field}=... says which values it has"
        check(field not in fields, f"--config.{field}", value, rule)
    points = sweep.points(content, fields) if fields else [sweep.Point("", {}, content)]
    with _app.stop_signal() as should_stop:
        experiments = [_planned(point, should_stop) for point in points]
        with _app.workers() as workers:
            if fields:
                sweep.begin(root, fields)
            for experiment in experiments:
                experiment.begin(root / experiment.name)
            if not jobs.train(experiments, workers=workers):
                print(f"Stopped. The same command goes on from here: root_dir={_ROOT_DIR.value}")
                return _app.STOPPED
    if fields:
        return _evaluate_sweep(root, points, experiments)
    summary, paths = experiments[0].evaluate()
    print(report.to_text(summary))
    _app.print_paths(experiments[0].directory, paths, experiments[0].environment.notice)
    return 0


def _learn_from(path, content):
    """Has all methods of a config, a nested dict, learn from a file of demonstrations."""
    methods = {"learner": content["learner"], **content["compared"]}
    for name, section in methods.items():
        rule = f"left out: {name} does not learn from demonstrations"
        check("demonstrations" in section, "demonstrations", path, rule)
        own = DemonstrationConfig(**section["demonstrations"]).of_file(os.path.abspath(path))
        section["demonstrations"] = dataclasses.asdict(own)


def _planned(point, should_stop):
    """The `Experiment` of a point of a sweep."""
    with within(point.name) if point.name else contextlib.nullcontext():
        return Experiment.planned(
            point.content,
            _SEED.value,
            _JIT_COMPILE.value,
            should_stop=should_stop,
            save_interval=_SAVE_INTERVAL.value,
            keep=_KEEP.value,
            allow_fresh_start=_ALLOW_FRESH_START.value,
            max_bad_updates=_MAX_BAD_UPDATES.value,
            command=_app.command_line("train"),
            name=point.name,
        )


def _evaluate_sweep(root, points, experiments):
    """Evaluates all points, and writes and prints a table of them."""
    table = sweep.Table(points, [experiment.evaluate()[0] for experiment in experiments])
    run_directory.write_text(root / "sweep.csv", table.to_csv())
    run_directory.write_text(root / "sweep.md", table.to_markdown())
    figures.save(table.picture(), root / "sweep.png")
    print(table.to_text())
    for name in ("sweep.csv", "sweep.md", "sweep.png"):
        print(f"{'figure' if name.endswith('png') else 'table':<12} {root / name}")
    for point in points:
        print(f"report       {root / point.name / 'report.html'}")
    print(f"TensorBoard  tensorboard --logdir {shlex.quote(str(root))}")
    if experiments[0].environment.notice:
        print(experiments[0].environment.notice)
    return 0


if __name__ == "__main__":
    _app.run(main)
