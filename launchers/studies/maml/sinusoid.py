"""Sinusoids of the MAML paper (section 5.1): error after 0 to 10 steps on ten examples."""

import numpy as np
import tensorflow as tf
from tfcaml.configs.maml import sinusoid as maml_sinusoid

from tfcaml import figures, nest
from tfcaml.experiments.experiment import Experiment

from ..runs import interval, run_config

_METHODS = ("maml_regression", "pretrained")
_SHOWN = (0, 1, 5, 10)  # steps
_CURVES = 3  # held-out curves in the picture
_QUICK = {"num_iterations": 2, "meta_batch_size": 2}


def run(study_seeds, out_dir, quick=False, train=Experiment.train):
    """Runs the study; see `launchers.reproduce`."""
    content = maml_sinusoid.get_config().to_dict()
    if quick:
        for section in (content["learner"], content["compared"]["pretrained"]):
            section.update(_QUICK)
        content["evaluation"].update({"num_tasks": 4, "episodes": 4})
    experiment, summary = run_config(
        content, study_seeds, out_dir / "runs" / "sinusoid", train=train
    )
    errors = {name: -np.array(row["returns"]) for name, row in summary["methods"].items()}
    pictures = {
        "errors": figures.error_curves(errors, "Sinusoids never seen before, ten examples each"),
        "curves": _fits(experiment, study_seeds[0]),
    }
    means = {name: _negated(row["summary"]) for name, row in summary["methods"].items()}
    results = {
        "seeds": list(study_seeds),
        "mean_squared_error": means,
        "num_iterations": experiment.config.learners["maml_regression"][1].num_iterations,
        "seconds": {name: experiment.training_seconds(name) for name in means},
    }
    return results, _text(results), pictures


def _negated(rows):
    """Returns by step with intervals -> errors."""
    flip = lambda x: None if x is None else -x
    return [
        {
            "value": -row["mean"]["value"],
            "lower": flip(row["mean"]["upper"]),
            "upper": flip(row["mean"]["lower"]),
        }
        for row in rows
    ]


def _fits(experiment, seed):
    """Some held-out curves, their examples, and what both learners predict after some steps."""
    environment = experiment.environment
    task = nest.map(lambda x: x[:_CURVES], experiment.population(seed).test)
    bound = environment.config.max_x
    x = tf.tile(tf.linspace(-bound, bound, 200)[None, :, None], [_CURVES, 1, 1])
    fits = {}
    for method in _METHODS:
        learner = experiment.trained(method, seed)
        meta = learner.meta.read()
        fast = learner.start(meta, _CURVES)
        support = learner.test_support(meta, fast, task, None)
        predictions = {}
        for step in range(max(_SHOWN) + 1):
            predictions[step] = learner.policy(fast.params, x).mean()[..., 0].numpy()
            fast = learner.adapt(meta, fast, support)
        fits[method] = {step: predictions[step] for step in _SHOWN}
    examples = support.trajectory
    points = [tensor[:, :, 0, 0].numpy() for tensor in (examples.observation, examples.action)]
    return figures.regression_fits(
        x[0, :, 0].numpy(), environment.target(task, x)[..., 0].numpy(), points, fits
    )


def _text(results):
    rows = results["mean_squared_error"]
    lines = [
        f"Mean squared error on 600 held-out curves [95 % interval over {len(results['seeds'])} "
        f"seeds] after k steps on the same ten examples; {results['num_iterations']} iterations.",
        "",
        "| method | " + " | ".join(f"k = {k}" for k in _SHOWN) + " | seconds per seed |",
        "|---" * (len(_SHOWN) + 2) + "|",
    ]
    for name, errors in rows.items():
        cells = " | ".join(interval(errors[k], 3) for k in _SHOWN)
        lines.append(f"| {name} | {cells} | {results['seconds'][name]:.0f} |")
    ratios = [rows["pretrained"][k]["value"] / rows["maml_regression"][k]["value"] for k in _SHOWN]
    lines.append("| pretrained / MAML | " + " | ".join(f"{x:.1f}" for x in ratios) + " | |")
    return "\n".join(lines) + "\n"
