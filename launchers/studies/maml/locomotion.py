"""Locomotion of the MAML paper (section 5.3.2): return before and after 1, 2 and 3 steps.

Runs the configs `locomotion/...` in run directories of the study, so that it goes on where it
stopped.
"""

import numpy as np
from tfcaml.configs.locomotion import ant_direction, half_cheetah_direction, half_cheetah_velocity

from tfcaml import figures
from tfcaml.experiments.experiment import Experiment
from tfcaml.reporting import tensorboard

from ..runs import (
    adaptation_rows,
    config_name,
    gradient_settings,
    paired_rows,
    run_config,
    settings_rows,
    shrink,
)

CONFIGS = {  # what tables and figures call it -> config
    "Half-cheetah, direction": half_cheetah_direction,
    "Half-cheetah, velocity": half_cheetah_velocity,
    "Ant, direction": ant_direction,
}
_BEFORE, _AFTER = "return before adaptation", "return after adaptation"
_METRICS = {  # panel of a figure -> what learners call it
    _BEFORE: ("return_before",),
    _AFTER: ("return_after", "return_last_update"),
}
_POINTS = 40  # of a curve over training


def run(study_seeds, out_dir, quick=False, train=Experiment.train):
    """Runs the study; see `launchers.reproduce`."""
    results, lines, pictures = {"seeds": list(study_seeds)}, [], {}
    for title, module in CONFIGS.items():
        content = module.get_config().to_dict()
        if quick:
            shrink(content, list(content["compared"])[:1])
        name = config_name(module).replace("/", "_")
        root = out_dir / "runs" / name
        experiment, summary = run_config(content, study_seeds, root, train=train)
        methods = summary["methods"]
        settings = {method: gradient_settings(experiment, method) for method in methods}
        short = name.removeprefix("locomotion_")
        returns = {method: np.array(values["returns"]) for method, values in methods.items()}
        pictures[f"{short}_adaptation"] = figures.adaptation_curves(returns, title)
        pictures[f"{short}_training"] = _training(experiment, title)
        results[short] = {
            "methods": {method: values["summary"] for method, values in methods.items()},
            "paired": summary["paired"],
            "settings": settings,
            "physics": experiment.environment.notice,
        }
        lines += _text(title, experiment, methods, settings, summary["paired"])
    return results, "\n".join(lines), pictures


def _training(experiment, title):
    """Returns before and after adaptation over training, by method."""
    panels = {panel: {} for panel in _METRICS}
    share = np.linspace(0, 1, _POINTS)
    for method in experiment.config.learners:
        folders = [experiment.directory.train(method, seed) for seed in experiment.config.seeds]
        found = tensorboard.read_curves(folders, "train/")
        for panel, names in _METRICS.items():
            for _, values in (found[name] for name in names if name in found):
                done = np.linspace(0, 1, values.shape[1])
                panels[panel][method] = np.array([np.interp(share, done, row) for row in values])
    return figures.curves(panels, share, "share of the environment steps", title)


def _text(title, experiment, methods, settings, paired):
    steps = max(len(values["summary"]) for values in methods.values())
    columns = " | ".join(f"k = {k}" for k in range(steps))
    held_out = experiment.config.num_tasks
    which = "held-out tasks" if experiment.environment.holds_out else "test tasks, all trained on"
    return [
        f"## {title}",
        "",
        f"{experiment.environment.notice} {experiment.environment.horizon} steps per episode.",
        "",
        f"Mean return over {held_out} {which} [95 % interval over seeds] after k adaptation steps.",
        "",
        f"| method | {columns} |",
        "|---" * (steps + 1) + "|",
        *adaptation_rows(methods, steps),
        "",
        "Differences at the same step, paired over seeds [95 % interval] (seeds won).",
        "",
        *paired_rows(paired),
        "",
        *settings_rows(settings),
        "",
    ]
