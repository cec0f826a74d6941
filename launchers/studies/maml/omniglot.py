"""Few-shot classification of the MAML paper (section 5.2): small Omniglot, and made-up strokes."""

import numpy as np
from tfcaml.configs.maml import omniglot as maml_omniglot
from tfcaml.configs.maml import strokes as maml_strokes

from tfcaml import figures, nest
from tfcaml.experiments.experiment import Experiment

from ..runs import interval, paired_rows, rounded, run_config, run_parts, shrink

_MAIN = "maml_classification"
_SHOWN = (0, 1, 5)  # steps
_TASKS, _QUERIES = 5, 10  # of the picture of drawings
_QUICK = ("prototypical", "nearest_neighbour")


def run(study_seeds, out_dir, quick=False, train=Experiment.train):
    """Runs the study; see `launchers.reproduce`."""
    parts = [_characters("1"), _characters("5"), _strokes]
    return run_parts(parts, study_seeds, out_dir, quick, train)


def _characters(shots):
    """The part on Omniglot with so many labelled drawings of each class, a text."""

    def part(study_seeds, out_dir, quick, train):
        content = maml_omniglot.get_config(shots).to_dict()
        name = f"omniglot_{shots}_shot"
        return _part(name, content, _SHOWN, study_seeds, out_dir, quick, train)

    return part


def _strokes(study_seeds, out_dir, quick, train):
    content = maml_strokes.get_config().to_dict()
    return _part("strokes_1_shot", content, (0, 1, 3), study_seeds, out_dir, quick, train)


def _part(name, content, shown, study_seeds, out_dir, quick, train):
    """One experiment: (results, lines of Markdown, figures)."""
    if quick:
        shrink(content, _QUICK)
        shown = shown[:2]
        content["evaluation"]["num_updates"] = 1
    experiment, summary = run_config(content, study_seeds, out_dir / "runs" / name, train=train)
    returns = {each: np.array(row["returns"]) for each, row in summary["methods"].items()}
    paired = {
        pair: {"same_update": [_percent(row) for row in rows["same_update"]]}
        for pair, rows in summary["paired"].items()
    }
    results = {
        "accuracy": {
            method: [_percent(row["mean"]) for row in values["summary"]]
            for method, values in summary["methods"].items()
        },
        "paired": paired,
        "seconds": {method: experiment.training_seconds(method) for method in returns},
    }
    steps = np.arange(next(iter(returns.values())).shape[1])
    lines = {method: 100 * values.mean(axis=2) for method, values in returns.items()}
    title = f"{name.replace('_', ' ')}, 5-way, classes never seen"
    pictures = {
        f"{name}_accuracy": figures.curves({"accuracy, %": lines}, steps, "steps", title),
        f"{name}_tasks": _drawings(experiment, study_seeds[0], title),
    }
    return {name: rounded(results)}, _text(name, results, experiment, shown), pictures


def _percent(row):
    """A row of a table with its numbers between 0 and 1 as percentages."""
    scaled = {
        key: None if row[key] is None else 100 * row[key] for key in ("value", "lower", "upper")
    }
    return {**row, **scaled}


def _drawings(experiment, seed, title):
    """Some test tasks: their support, and what MAML says of some of the queries after one step."""
    family = experiment.environment
    test = experiment.population(seed).test
    task = nest.map(lambda x: x[: min(_TASKS, x.shape[0])], test)
    learner = experiment.trained(_MAIN, seed)
    meta = learner.meta.read()
    fast = learner.start(meta, nest.leading(task))
    fast = learner.adapt(meta, fast, learner.test_support(meta, fast, task, None))
    way, shots = family.config.way, family.config.shots
    images, label = family.query(task, experiment.config.episodes)
    said = np.argmax(learner.policy(fast.params, images).logits_parameter(), axis=-1)
    shown = [x.numpy()[:, :way] for x in family.support(task)]
    asked = [x.numpy()[:, :_QUERIES] for x in (images, label)]
    note = "" if shots == 1 else f" (one of {shots} drawings of each class shown)"
    return figures.few_shot_tasks(shown, asked, said[:, :_QUERIES], title + note)


def _text(name, results, experiment, shown):
    count = len(experiment.config.seeds)
    counts = f"{experiment.config.num_tasks} tasks of classes never seen"
    lines = [
        f"**{name.replace('_', ' ')}**: accuracy in % on the queries of {counts} "
        f"[95 % interval over {count} seeds] after k steps.",
        "",
        "| method | " + " | ".join(f"k = {k}" for k in shown) + " | seconds per seed |",
        "|---" * (len(shown) + 2) + "|",
    ]
    for method, rows in results["accuracy"].items():
        cells = " | ".join(interval(rows[k]) for k in shown)
        lines.append(f"| {method} | {cells} | {results['seconds'][method]:.0f} |")
    lines += ["", "Differences on the same tasks, in points (seeds won):", ""]
    return [*lines, *paired_rows(results["paired"], updates=shown), ""]
