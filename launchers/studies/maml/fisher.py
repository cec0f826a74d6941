"""How few tasks and products TRPO's conjugate gradient needs: the family's defaults.

2D navigation (`configs/maml/navigation.py`). The number of products is chosen on seeds that no
other run sees; MAML with the default is then compared with MAML that uses all tasks of an iteration
and as many products as the MAML paper's code does. Runs in run directories of the study, so that it
goes on where it stopped.
"""

import numpy as np
from tfcaml.configs.maml import navigation as maml_navigation

from tfcaml import figures
from tfcaml.experiments.experiment import Experiment

from ..runs import interval, paired_rows, run_config, shrink

FIRST_TUNING_SEED = 100
# What the runs are called -> settings. The first of each stage is compared with the other.
TUNING = {
    "maml": {"fisher_subsample": 5, "cg_iterations": 10},
    "tasks_5_products_5": {"fisher_subsample": 5, "cg_iterations": 5},
}
FINAL = {
    "maml": {"fisher_subsample": 5, "cg_iterations": 5},
    "all_tasks": {"fisher_subsample": 0, "cg_iterations": 10},
}


def run(study_seeds, out_dir, quick=False, train=Experiment.train):
    """Runs the study; see `launchers.reproduce`. Tunes on as many seeds from 100 on."""
    tuning_seeds = [FIRST_TUNING_SEED + seed for seed in study_seeds]
    tuning, _ = _stage(TUNING, tuning_seeds, out_dir / "runs" / "tuning", quick, train)
    final, curves = _stage(FINAL, study_seeds, out_dir / "runs" / "confirmation", quick, train)
    results = {
        "seeds": list(study_seeds),
        "tuning_seeds": tuning_seeds,
        "tuning": tuning,
        "confirmation": final,
    }
    picture = figures.adaptation_curves(curves, "2D navigation: what the metric is made of")
    return results, _text(results), {"adaptation": picture}


def _stage(settings, seeds, root, quick, train):
    """(results of a stage, returns [S, U + 1, Q] by words)."""
    content = maml_navigation.get_config().to_dict()
    methods = {
        name: content["learner"] | {"outer": content["learner"]["outer"] | changes}
        for name, changes in settings.items()
    }
    content |= {"learner": methods.pop("maml"), "compared": methods}
    if quick:
        shrink(content, list(methods))
    _, summary = run_config(content, seeds, root, train=train)
    found = {name: summary["methods"][name] for name in settings}
    words = {name: _words(**changes) for name, changes in settings.items()}
    results = {
        "settings": {words[name]: changes for name, changes in settings.items()},
        "methods": {words[name]: row["summary"] for name, row in found.items()},
        "paired": {
            " - ".join(words[name] for name in pair.split(" - ")): rows
            for pair, rows in summary["paired"].items()
        },
    }
    return results, {words[name]: np.array(row["returns"]) for name, row in found.items()}


def _words(fisher_subsample, cg_iterations):
    tasks = f"{fisher_subsample} tasks" if fisher_subsample else "all tasks"
    return f"{tasks}, {cg_iterations} products"


def _text(results):
    lines = [
        "MAML's return on held-out goals [95 % interval over seeds] after k adaptation steps, by "
        "how many tasks of an iteration TRPO's products see and how many products its conjugate "
        "gradient takes. Differences are paired over seeds (seeds won).",
    ]
    stages = {
        "tuning": ("Choice of the number of products", results["tuning_seeds"]),
        "confirmation": ("The default beside the whole", results["seeds"]),
    }
    for stage, (title, seeds) in stages.items():
        methods = results[stage]["methods"]
        updates = range(len(next(iter(methods.values()))))
        lines += [
            "",
            f"## {title}, seeds {seeds[0]} to {seeds[-1]}",
            "",
            "| | " + " | ".join(f"k = {k}" for k in updates) + " |",
            "|---" * (len(updates) + 1) + "|",
        ]
        for name, rows in methods.items():
            lines.append(f"| {name} | " + " | ".join(interval(row["mean"]) for row in rows) + " |")
        lines += ["", *paired_rows(results[stage]["paired"])]
    return "\n".join(lines) + "\n"
