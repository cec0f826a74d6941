"""What an evaluation of a run is drawn as, and where that goes."""

from __future__ import annotations

import dataclasses
import logging
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from tfcaml import figures, nest
from tfcaml.errors import ConfigError
from tfcaml.reporting import report, tensorboard
from tfcaml.types import Episodes, Metric, Task, Trajectory, episode_return

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tfcaml.environments.base import TaskFamily

_log = logging.getLogger(__name__)
_MOST_FILMS = 4  # methods that are filmed in an evaluation, so that it takes seconds
_MOST_PICTURES = 50  # of such a film


def pictures_of_evaluation(
    config: Any,
    train_directory: Callable[[str, int], pathlib.Path],
    results: dict[str, list[dict[str, Any]]],
    seen: str = "none",
) -> dict[str, Figure]:
    """Curves of adaptation and of training, as a dict of matplotlib figures.

    Args:
      config: `ExperimentConfig`.
      train_directory: (method, seed) -> path of its event files.
      results: dict method -> runs, see `report.summarize`.
      seen: which test tasks are training tasks too, see `Population.seen`.
    """
    tasks = "entities never seen in training" if seen == "none" else report.TASKS[seen]
    returns = {method: report.mean_returns(runs) for method, runs in results.items()}
    pictures = {"adaptation": figures.adaptation_curves(returns, f"Adapting to {tasks}")}
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
    environment: TaskFamily, task: Task, episodes: Mapping[str, Sequence[Trajectory]]
) -> tuple[dict[str, Figure], dict[str, bytes]]:
    """Episodes on the first task before and after adaptation, and from update to update.

    Args:
      environment: the `TaskFamily`. Nothing is drawn of one without a `planar_goal`.
      task: nest, leading [N]; the test tasks.
      episodes: dict method -> `Trajectory` [1, E, T] of each measurement, see `Evaluation`.

    Returns:
      (dict of matplotlib figures; dict of animations as the bytes of a GIF). There is no animation
      where nothing was updated.
    """
    goal = environment.planar_goal(task)
    if goal is None:
        return {}, {}
    goal, walls = np.asarray(goal)[0], environment.planar_walls()
    paths = {m: [_paths(environment, each) for each in rows] for m, rows in episodes.items()}
    before, after = ({method: rows[i] for method, rows in paths.items()} for i in (0, -1))
    pictures = {"trajectories": figures.trajectories(before, after, goal, walls=walls)}
    updated = len(next(iter(paths.values()))) > 1
    return pictures, {"adaptation": figures.adaptation_gif(paths, goal, walls)} if updated else {}


def pictures_of_films(
    environment: TaskFamily, name: str, episodes: Mapping[str, Sequence[Episodes]]
) -> tuple[dict[str, Figure], dict[str, bytes]]:
    """Films of an episode on the first task before and after adaptation, of the first methods.

    Where nothing can be drawn, there are none, and a line in the log says why.

    Args:
      environment: the `TaskFamily`. Nothing is drawn of one that can't be filmed.
      name: of the family.
      episodes: dict method -> `Episodes` [1, E, T] of each measurement, see `Evaluation`.

    Returns:
      (dict of matplotlib figures; dict of animations as the bytes of a GIF).
    """
    methods = list(episodes)[:_MOST_FILMS]
    ends = {method: sorted({0, len(episodes[method]) - 1}) for method in methods}
    chosen = [episodes[method][update] for method in methods for update in ends[method]]
    try:
        films = environment.film(chosen, _MOST_PICTURES)
    except ConfigError as error:
        _log.warning("No films of %s: %s", name, error)
        return {}, {}
    if films is None:
        return {}, {}
    pictures, animations, rest = {}, {}, iter(films)
    for method in methods:
        title = film_title(method, name, episodes[method][0].task)
        labels = [film_label(update, episodes[method][update]) for update in ends[method]]
        labelled = dict(zip(labels, rest))
        pictures[f"{method}_film"] = figures.film_sheet(labelled, title)
        animations[f"{method}_film"] = figures.film_gif(labelled, title)
    return pictures, animations


def film_title(method: str, name: str, task: Task) -> str:
    """What stands above a film: who does what, with the numbers of a task [1] if they are few."""
    numbers = [np.ravel(leaf) for leaf in tf.nest.flatten(task)]
    if sum(map(len, numbers)) > 4 or any(row.dtype.kind not in "biuf" for row in numbers):
        return f"{method} on {name}"
    named = zip(nest.names(task), (", ".join(f"{x:.3g}" for x in row) for row in numbers))
    told = "; ".join(f"{path} {row}".strip() for path, row in named)
    return f"{method} on {name}: {told}".replace("-", "\N{MINUS SIGN}")


def film_label(update: int, episodes: Episodes) -> str:
    """What stands above the first episode of the first task of a measurement."""
    first = float(episode_return(episodes.trajectory)[0, 0])
    digits = 2 if abs(first) < 10 else 1 if abs(first) < 1000 else 0
    after = f"After {update} update{'s' if update > 1 else ''}" if update else "Before any update"
    return f"{after}: return {first:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def write_evaluation(
    directory: Any,
    pictures: dict[str, Figure],
    animations: dict[str, bytes],
    summary: dict[str, Any],
    configs: dict[str, Any],
    metrics: dict[str, Metric],
) -> list[pathlib.Path]:
    """Writes the pictures as PNG and GIF and, with the numbers, for TensorBoard.

    Args:
      directory: `RunDirectory`.
      pictures: dict of matplotlib figures.
      animations: dict of GIFs.
      summary: of the evaluation: `report.summarize` with environment and seeds.
      configs: dict method -> its learner's config.
      metrics: dict tag -> `Metric`, what training may have logged.

    Returns:
      paths of all figures of the run.
    """
    for old in directory.evaluation.rglob("events.out.tfevents.*"):
        old.unlink()  # of an earlier evaluation of this run
    for old in directory.figures.glob("*_film.*"):
        old.unlink()  # of the same; there may be none now
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
    for name, gif in animations.items():
        (directory.figures / f"{name}.gif").write_bytes(gif)
        tensorboard.write_gif(writer, f"evaluation/{name}_animation", gif, 0)
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
    return figures_of(directory)


def figures_of(directory: Any) -> list[pathlib.Path]:
    """Paths of all figures that a `RunDirectory` has, sorted."""
    return sorted(path for kind in ("gif", "png") for path in directory.figures.glob(f"*.{kind}"))


def _trial(summary: dict[str, Any], method: str, seed: int) -> dict[str, str]:
    """What tells a method with a seed from others, of this run and of others: column -> value."""
    return {
        "method": method,
        "environment": summary["environment"],
        "seed": str(seed),  # TensorBoard shows numbers with four decimals
        "held-out tasks": str(summary["num_tasks"]),
        "updates": str(summary["num_updates"]),
    }


def _paths(environment: TaskFamily, trajectory: Trajectory) -> np.ndarray:
    """Positions of the first task's first episodes, nan after an episode's end: [E, T + 1, 2]."""
    place = lambda observation: environment.planar_positions(observation[0, :10].numpy())
    position, mask = place(trajectory.observation), trajectory.mask[0, :10].numpy()
    path = np.where(mask[..., None] > 0, position, np.nan)
    path = np.concatenate([path, np.full_like(path[:, :1], np.nan)], axis=1)
    lengths = mask.sum(axis=1).astype(int)
    path[np.arange(len(path)), lengths] = place(trajectory.final_observation)
    return path
