"""What an evaluation of a run is drawn as, and where that goes."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from tfcaml import figures
from tfcaml.reporting import report, tensorboard
from tfcaml.types import Metric, Trajectory

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def pictures_of_evaluation(
    config: Any,
    train_directory: Callable[[str, int], pathlib.Path],
    results: dict[str, list[dict[str, Any]]],
) -> dict[str, Figure]:
    """Curves of adaptation and of training, as a dict of matplotlib figures.

    Args:
      config: `ExperimentConfig`.
      train_directory: (method, seed) -> path of its event files.
      results: dict method -> runs, see `report.summarize`.
    """
    returns = {method: report.mean_returns(runs) for method, runs in results.items()}
    pictures = {"adaptation": figures.adaptation_curves(returns)}
    for method, (_, learner_config) in config.learners.items():
        if not learner_config.num_iterations:
            continue
        directories = [train_directory(method, seed) for seed in config.seeds]
        curves = tensorboard.read_training(directories)
        title = f"Training of {method}"
        pictures[f"{method}_training"] = figures.training_curves(curves, title)
        if config.divergence is not None:
            curves = tensorboard.read_curves(directories, "divergence/")
            title = f"Policies adapted by {method}"
            pictures[f"{method}_adapted_curves"] = figures.divergence_curves(curves, title)
    return pictures


def pictures_of_paths(
    goal: np.ndarray | None, examples: dict[str, tuple[Trajectory, Trajectory]]
) -> dict[str, Figure]:
    """Episodes before and after adaptation to the first task, as a dict of matplotlib figures.

    Args:
      goal: [N, 2] in the plane, or None of an environment without one: nothing is drawn.
      examples: dict method -> (`Trajectory` before, `Trajectory` after).
    """
    if goal is None:
        return {}
    before, after = ({method: _paths(ends[i]) for method, ends in examples.items()} for i in (0, 1))
    return {"trajectories": figures.trajectories(before, after, goal[0])}


def write_evaluation(
    directory: Any,
    pictures: dict[str, Figure],
    summary: dict[str, Any],
    configs: dict[str, Any],
    metrics: dict[str, Metric],
) -> list[pathlib.Path]:
    """Writes the pictures as PNG and, with the numbers, for TensorBoard.

    Args:
      directory: `RunDirectory`.
      pictures: dict of matplotlib figures.
      summary: of the evaluation: `report.summarize` with environment and seeds.
      configs: dict method -> its learner's config.
      metrics: dict tag -> `Metric`, what training may have logged.

    Returns:
      paths of all figures of the run.
    """
    for old in directory.evaluation.rglob("events.out.tfevents.*"):
        old.unlink()  # of an earlier evaluation of this run
    seeds, bounds = summary["seeds"], len(summary["seeds"]) >= figures.SEEDS_OF_A_BAND
    settings = {method: dataclasses.asdict(config) for method, config in configs.items()}
    # All seeds of a method log the same numbers.
    trained = [path for m in configs if (path := directory.train(m, seeds[0])).exists()]
    logged = {tag for path in trained for tag in tensorboard.read_scalars(path)}
    writer = tf.summary.create_file_writer(str(directory.evaluation))
    tensorboard.write_layout(writer, metrics, logged, bounds)
    tensorboard.write_trials(writer, _trial(summary, "", 0), settings.values())
    for name, figure in pictures.items():
        png = figures.save(figure, directory.figures / f"{name}.png")
        tensorboard.write_png(writer, f"evaluation/{name}", png, 0)
    writer.close()
    for method, values in summary["methods"].items():
        writer = tf.summary.create_file_writer(str(directory.evaluation / method))
        tensorboard.write_adaptation(writer, values["summary"], bounds)
        writer.close()
        for seed, returns in zip(seeds, np.mean(values["returns"], axis=2)):
            path = directory.evaluation / method / f"seed_{seed}"
            writer = tf.summary.create_file_writer(str(path))
            trial = _trial(summary, method, seed)
            tensorboard.write_trial(writer, trial, settings[method], returns.tolist())
            writer.close()
    return sorted(directory.figures.glob("*.png"))


def _trial(summary: dict[str, Any], method: str, seed: int) -> dict[str, str]:
    """What tells a method with a seed from others, of this run and of others: column -> value."""
    return {
        "method": method,
        "environment": summary["environment"],
        "seed": str(seed),  # TensorBoard shows numbers with four decimals
        "held-out tasks": str(summary["num_tasks"]),
        "updates": str(summary["num_updates"]),
    }


def _paths(trajectory: Trajectory) -> np.ndarray:
    """Positions of the first task's first episodes, nan after an episode's end: [E, T + 1, 2]."""
    observation, mask = trajectory.observation[0, :10].numpy(), trajectory.mask[0, :10].numpy()
    path = np.where(mask[..., None] > 0, observation, np.nan)
    path = np.concatenate([path, np.full_like(path[:, :1], np.nan)], axis=1)
    lengths = mask.sum(axis=1).astype(int)
    path[np.arange(len(path)), lengths] = trajectory.final_observation[0, :10]
    return path
