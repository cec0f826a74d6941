"""Does information gain find the top of a sparse mountain car, where noise in the actions does not?

Runs `configs/vime/mountain_car.py` in a run directory of the study, so that it goes on where it
stopped, and looks at when each seed was first paid.
"""

import numpy as np
import tensorflow as tf
from tfcaml.configs.vime import mountain_car

from tfcaml import figures, training
from tfcaml.experiments.experiment import Experiment
from tfcaml.reporting import tensorboard
from tfcaml.settings import as_json

from ..runs import config_name, kept, rounded, run_config, shrink

METHODS = {  # name in the config -> what tables and figures call it
    "natural_policy_gradient": "TRPO with VIME",
    "trpo": "TRPO alone",
    "reinforce_vime": "REINFORCE with VIME",
    "reinforce": "REINFORCE alone",
}
LEARNED = 0.9  # mean return of the last iterations from which a seed has learned to arrive
_LAST = 3  # iterations
_LOOKED_AT = ("natural_policy_gradient", "trpo")  # whose visits are drawn
_BINS = 48  # of place and of speed, each from -1 to 1


def run(study_seeds, out_dir, quick=False, train=Experiment.train):
    """Runs the study; see `launchers.reproduce`."""
    content = mountain_car.get_config().to_dict()
    if quick:
        shrink(content, ["trpo"])
        content["evaluation"]["num_tasks"] = 1  # as there is one policy
    root = out_dir / "runs" / "mountain_car"
    experiment, summary = run_config(content, study_seeds, root, train=train)
    methods = [name for name in METHODS if name in experiment.config.learners]
    returns = {name: _returns(experiment, name) for name in methods}
    powers = [float(experiment.population(seed).train["power"][0]) for seed in study_seeds]
    steps = content["learner"]["episodes_per_update"] * content["environment"]["horizon"]
    rows = {METHODS[name]: _row(values, steps) for name, values in returns.items()}
    for name in methods:
        measured = summary["methods"][name]["summary"][0]
        rows[METHODS[name]]["held_out_return"] = measured["mean"]
        rows[METHODS[name]]["seconds"] = experiment.training_seconds(name)
    visits = {}
    for name in _LOOKED_AT:
        settings = {"content": as_json(content), "seed": study_seeds[0], "method": name}
        path = out_dir / "visited" / f"{name}.json"
        visits[METHODS[name]] = kept(path, settings, lambda: _visits(experiment, name))
    found = {
        "seeds": list(study_seeds),
        "config": config_name(mountain_car),
        "settings": as_json(content),
        "steps_per_iteration": steps,
        "powers": powers,
        "methods": rows,
    }
    pictures = {
        "found": _found(returns, steps),
        "returns": _learned(returns, steps),
        "visited": _visited(visits, study_seeds[0]),
    }
    results = rounded(found, 6)
    return results, text(results), pictures


def _returns(experiment, method):
    """Mean return of each iteration's episodes, as they were paid by the family: [S, I]."""
    folders = [experiment.directory.train(method, seed) for seed in experiment.config.seeds]
    return tensorboard.read_curves(folders, "train/")["return_before"][1]


def _row(returns, steps):
    """What a table says of a method, from its returns [S, I]."""
    first = [int(np.argmax(row > 0)) + 1 if (row > 0).any() else None for row in returns]
    last = returns[:, -_LAST:].mean(axis=1)
    return {
        "first_iteration": first,
        "first_steps": [number and number * steps for number in first],
        "found": sum(number is not None for number in first),
        "last_return": last.tolist(),
        "learned": int((last >= LEARNED).sum()),
        "returns": returns.tolist(),
    }


def _visits(experiment, method):
    """How often a method, trained anew, was at each place and speed: counts [_BINS, _BINS].

    Place is the first axis.
    """
    seed = experiment.config.seeds[0]
    learner, population = experiment.trainer.new(method, seed), experiment.population(seed)
    counts, edges = np.zeros([_BINS, _BINS]), np.linspace(-1, 1, _BINS + 1)
    for _ in range(learner.config.num_iterations):
        task, key, _ = training.draw(learner, population, seed)
        fast = learner.start(learner.meta.read(), 1)
        # The very episodes that the iteration learns from.
        played = learner.measure(fast, task, learner.config.episodes_per_update, key)
        seen = tf.boolean_mask(played.observation, played.mask > 0).numpy()
        counts += np.histogram2d(*seen.T, bins=[edges, edges])[0]
        training.train_iteration(learner, population, seed)
    return counts.astype(int).tolist()


def _found(returns, steps):
    """Share of seeds that were paid at least once, over the steps played."""
    label = "share of seeds that have been at the top"
    ever = lambda values: np.maximum.accumulate(values > 0, axis=1).mean(axis=0, keepdims=True)
    panel = {METHODS[name]: ever(values) for name, values in returns.items()}
    return figures.curves({label: panel}, _axis(returns, steps), _X, "Finding the top")


def _learned(returns, steps):
    """Median returns with quartiles over seeds."""
    panel = {METHODS[name]: values for name, values in returns.items()}
    axis, title = _axis(returns, steps), "Learning to get there (median and quartiles over seeds)"
    quartiles = {"bands": tuple(panel), "quantiles": (0.25, 0.75)}
    return figures.curves({"return": panel}, axis, _X, title, **quartiles)


def _visited(visits, seed):
    title = f"Where seed {seed} was in its steps of training"
    labels = ("place, from left to right", "speed")
    return figures.visits({name: np.array(x) for name, x in visits.items()}, labels, title)


_X = "environment steps, at most"


def _axis(returns, steps):
    return steps * np.arange(1, next(iter(returns.values())).shape[1] + 1)


def text(results):
    """Tables of the results of `run`, as Markdown."""
    rows, steps = results["methods"], results["steps_per_iteration"]
    num_seeds = len(results["seeds"])
    iterations = len(next(iter(rows.values()))["returns"][0])
    lines = [
        f"Seeds of {num_seeds} with an episode that got to the top within {iterations} iterations "
        f"of {steps:,} steps, {iterations * steps:,} in all; the iteration of the first one; and "
        f"seeds of which {LEARNED:.0%} of the episodes of the last {_LAST} iterations get there.",
        "",
        "| method | found the top | first in iteration, median | by seed | learned to get there | "
        "held-out car, return | seconds per seed |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        first = row["first_iteration"]
        middle = np.median([np.inf if number is None else number for number in first])
        shown = f"{middle:g}" if np.isfinite(middle) else f"> {iterations}"
        each = ", ".join("-" if number is None else str(number) for number in first)
        lines.append(
            f"| {name} | {row['found']} of {num_seeds} | {shown} | {each} | {row['learned']} of "
            f"{num_seeds} | {row['held_out_return']['value']:.2f} | {row['seconds']:.0f} |"
        )
    shown = ", ".join(f"{1000 * power:.2f}" for power in results["powers"])
    lines += ["", f"The seeds' cars have powers of {shown} thousandths."]
    return "\n".join(lines) + "\n"
