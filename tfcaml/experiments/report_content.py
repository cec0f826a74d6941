"""What report.html tells of a run besides its results: settings, commands, what went wrong."""

from __future__ import annotations

import dataclasses
import inspect
import pathlib
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tfcaml import settings
from tfcaml.policies import mlp_policy
from tfcaml.reporting.run_report import Setting

if TYPE_CHECKING:
    from tfcaml.experiments.config import ExperimentConfig

_GO_ON = """\
from tfcaml.experiments import run_directory
from tfcaml.experiments.experiment import Experiment

root = {root!r}
run = run_directory.read_config(root)
experiment = Experiment.create(root, run["config"], run["seed"], run["jit_compile"])
experiment.train()
experiment.evaluate()"""


def settings_of(config: ExperimentConfig) -> dict[str, list[Setting]]:
    """All settings of an experiment, with the defaults of those that have one: title -> list."""
    study = {
        "agent": config.agent,
        "first seed": config.seeds[0],
        "num_seeds": len(config.seeds),
        "evaluation.num_tasks": config.num_tasks,
        "evaluation.num_updates": config.num_updates,
        "evaluation.episodes": config.episodes,
        "save_interval": config.save_interval,
        "log_interval": config.log_interval,
        "jit_compile": "automatic" if config.jit_compile is None else config.jit_compile,
    }
    found = {"Study": [Setting(name, value) for name, value in study.items()]}
    for method, (_, options) in config.learners.items():
        found[f"Method {method} ({type(options).__qualname__})"] = _of_dataclass(options)
    found[f"Environment {config.environment_name}"] = _of_dataclass(config.environment)
    arguments = inspect.signature(mlp_policy).parameters
    found["Policy"] = [
        Setting(name, _plain(value), _plain(arguments[name].default), True)
        for name, value in config.policy.items()
    ]
    if config.divergence is not None:
        found["Divergence of adapted policies"] = _of_dataclass(config.divergence)
    return found


def commands(
    root: pathlib.Path, config: ExperimentConfig, begun_by: Any, plugins: Sequence[str]
) -> list[tuple[str, str]]:
    """What can be done with a run directory next: list of (what it does, the command).

    Args:
      root: of the run.
      config: of the run.
      begun_by: the command line that began the run; None: it was begun in Python.
      plugins: modules with classes of the user's own that the run names.
    """
    place = f"--root_dir={shlex.quote(str(root.absolute()))}"
    own = "".join(f" --plugin={shlex.quote(module)}" for module in plugins)
    method, seed = next(iter(config.learners)), config.seeds[0]
    begun = [("The command that began this run, and goes on with it", str(begun_by))]
    number = 2 * config.episodes
    return [
        *(begun if begun_by else []),
        ("Go on with this run in Python", _GO_ON.format(root=str(root.absolute()))),
        (
            "Evaluate it again, with more episodes",
            f"tfcaml evaluate {place} --episodes={number}{own}",
        ),
        (
            "Export a trained method as a SavedModel",
            f"tfcaml export {place} --method={method} --seed={seed} --out=models/{method}{own}",
        ),
        ("See its curves", f"tensorboard --logdir={shlex.quote(str(root.absolute()))}"),
    ]


def incidents(
    skipped: Mapping[tuple[str, int], int],
    faults: Mapping[tuple[str, int], Mapping[str, int]],
    summary: dict[str, Any] | None,
    faults_of_evaluation: Mapping[str, int],
) -> list[tuple[str, str, Any, int]]:
    """What was skipped or failed: list of (what, method, seed or "", how often), without zeros.

    Args:
      skipped: (method, seed) -> training updates that were not finite.
      faults: (method, seed) -> name -> faults of the environment in training.
      summary: of an evaluation, or None.
      faults_of_evaluation: name -> faults of the environment in that.
    """
    return [each for each in _incidents(skipped, faults, summary, faults_of_evaluation) if each[3]]


def _incidents(
    skipped: Mapping[tuple[str, int], int],
    faults: Mapping[tuple[str, int], Mapping[str, int]],
    summary: dict[str, Any] | None,
    faults_of_evaluation: Mapping[str, int],
) -> Iterator[tuple[str, str, Any, int]]:
    for (method, seed), number in skipped.items():
        yield "Training updates that were not finite, and were skipped", method, seed, number
    for (method, seed), counts in faults.items():
        for name, number in counts.items():
            yield f"{_words(name)} of the environment in training", method, seed, number
    for method, values in (summary or {"methods": {}})["methods"].items():
        what = "Adaptation steps on test tasks that were not finite, and were taken back"
        yield what, method, "all", values["bad_updates"]
    for name, number in faults_of_evaluation.items():
        yield f"{_words(name)} of the environment in the evaluation", "all", "all", number


def _of_dataclass(options: Any) -> list[Setting]:
    given, default = (settings.flat(dataclasses.asdict(x)) for x in (options, type(options)()))
    return [
        Setting(name, _plain(value), _plain(default.get(name)), name in default)
        for name, value in given.items()
    ]


def _plain(value: Any) -> Any:
    """Lists as tuples, so that what comes from JSON is equal to what does not."""
    return tuple(map(_plain, value)) if isinstance(value, list | tuple) else value


def _words(name: str) -> str:
    return name.replace("_", " ").capitalize()
