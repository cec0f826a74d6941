"""2D navigation of the MAML paper (section 5.3.1): return before and after 1, 2 and 3 steps.

Runs `configs/maml/navigation.py` and its variants in run directories of the study, so that it goes
on where it stopped, and joins their tables.
"""

import numpy as np
from tfcaml.configs.maml import navigation as maml_navigation
from tfcaml.configs.maml import navigation_oracle as maml_navigation_oracle

from tfcaml import figures
from tfcaml.experiments.experiment import Experiment

from ..runs import (
    adaptation_rows,
    config_name,
    gradient_settings,
    paired_rows,
    run_config,
    settings_rows,
    shrink,
)

CONFIGS = {  # suffix of the methods' names -> config
    "": maml_navigation,
    " (knows the goal)": maml_navigation_oracle,
}
PUBLISHED = (-40.4, -11.7, -3.3, -3.2)  # MAML, 40 goals, from the paper's data


def run(study_seeds, out_dir, quick=False, train=Experiment.train):
    """Runs the study; see `launchers.reproduce`."""
    methods, settings, paired = {}, {}, {}
    for suffix, module in CONFIGS.items():
        content = module.get_config().to_dict()
        if quick:
            shrink(content, list(content["compared"])[:1])
        root = out_dir / "runs" / config_name(module).replace("/", "_")
        experiment, summary = run_config(content, study_seeds, root, train=train)
        paired |= summary["paired"]
        for method, values in summary["methods"].items():
            methods[method + suffix] = values
            settings[method + suffix] = gradient_settings(experiment, method)
    returns = {name: np.array(values["returns"]) for name, values in methods.items()}
    pictures = {
        "adaptation": figures.adaptation_curves(returns, "2D navigation: goals never seen before")
    }
    results = {
        "seeds": list(study_seeds),
        "published_maml": PUBLISHED,
        "methods": {name: values["summary"] for name, values in methods.items()},
        "paired": paired,
        "settings": settings,
    }
    return results, _text(methods, settings, paired), pictures


def _text(methods, settings, paired):
    lines = [
        "Mean return over 40 held-out goals [95 % interval over seeds] after k adaptation steps.",
        "",
        "| method | k = 0 | k = 1 | k = 2 | k = 3 |",
        "|---|---|---|---|---|",
        "| MAML, as published | " + " | ".join(map(str, PUBLISHED)) + " |",
    ]
    lines += adaptation_rows(methods, len(PUBLISHED))
    lines += [
        "",
        "Differences at the same step, paired over seeds [95 % interval] (seeds won).",
        "",
    ]
    lines += [*paired_rows(paired), "", *settings_rows(settings)]
    return "\n".join(lines) + "\n"
