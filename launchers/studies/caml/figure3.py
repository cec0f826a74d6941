"""Figure 3 of the CAML paper: few-shot adaptation of CAML and of what it was compared with.

Two splits: fresh variants of known groups (`configs/caml/figure3.py`), and unseen groups
(`configs/caml/figure3_groups.py`). Runs both in run directories of the study, so that it goes on
where it stopped.
"""

import numpy as np
from tfcaml.configs.caml import figure3 as caml_figure3
from tfcaml.configs.caml import figure3_groups as caml_figure3_groups

from tfcaml import figures
from tfcaml.experiments.experiment import Experiment
from tfcaml.reporting import report

from ..runs import config_name, interval, paired_rows, run_config, shrink

SPLITS = {"variants of known groups": caml_figure3, "unseen groups": caml_figure3_groups}
_QUICK = {"variants of known groups": ["caml_paper", "random"], "unseen groups": ["random"]}
_MAINS = ("caml", "caml_paper")
_ORDER = ("matched", "caml", "caml_paper", "reptile", "maml", "fomaml", "joint", "joint_mixed")
_ORDER += ("unmatched", "random")


def run(study_seeds, out_dir, quick=False, train=Experiment.train):
    """Runs the study; see `launchers.reproduce`."""
    results = {"seeds": list(study_seeds), "splits": {}}
    pictures, texts = {}, []
    for split, module in SPLITS.items():
        content = module.get_config().to_dict()
        if quick:
            shrink(content, _QUICK[split])
        name = config_name(module)
        root = out_dir / "runs" / name.replace("/", "_")
        jit_compile = False if quick else None
        experiment, summary = run_config(content, study_seeds, root, jit_compile, train=train)
        methods = {method: summary["methods"][method] for method in in_order(summary["methods"])}
        shown = summary["num_updates"]  # one more was measured
        paired = {}
        for main in _MAINS:
            if main in methods:
                paired |= report.compare(methods, main)
        found = {
            "config": name,
            "settings": content,
            "methods": {
                method: {
                    "summary": row["summary"][:shown],
                    "training_episodes": _episodes(experiment, method),
                }
                for method, row in methods.items()
            },
            "paired": {
                pair: {kind: rows[:shown] for kind, rows in kinds.items()}
                for pair, kinds in paired.items()
            },
        }
        results["splits"][split] = found
        texts.append(_text(split, found, len(study_seeds)))
        returns = {method: np.array(row["returns"])[:, :shown] for method, row in methods.items()}
        pictures[f"adaptation_{'groups' if 'groups' in name else 'variants'}"] = (
            figures.adaptation_curves(returns, f"New entities: {split}")
        )
    return results, "\n".join(texts), pictures


def in_order(methods):
    """The methods of `configs/caml/figure3.py` as tables and figures list them."""
    return sorted(methods, key=_ORDER.index)


def _episodes(experiment, method):
    learner_config = experiment.config.learners[method][1]
    steps = experiment.environment_steps(method)
    return steps // experiment.environment.horizon if learner_config.num_iterations else 0


def _text(split, found, num_seeds):
    updates = range(len(found["methods"]["caml"]["summary"]))
    heading = " | ".join(f"k = {k}" for k in updates)
    lines = [f"## New entities: {split}", ""]
    for statistic, title in (("mean", "Mean"), ("median", "Median"), ("iqm", "IQM")):
        lines += [
            f"{title} return after k updates [95 % interval, {num_seeds} seeds of 6 entities].",
            "",
            f"| method | {heading} | training episodes |",
            "|---" * (len(updates) + 2) + "|",
        ]
        for method, row in found["methods"].items():
            cells = " | ".join(interval(k[statistic], 0) for k in row["summary"])
            lines.append(f"| {method} | {cells} | {row['training_episodes']:,} |")
        lines.append("")
    lines += ["Differences, paired over seeds [95 % interval] (seeds won).", ""]
    lines += paired_rows(found["paired"], digits=0)
    lines += ["", "The same at equal episodes, with k of the first of the two.", ""]
    lines += paired_rows(found["paired"], "equal_episodes", digits=0)
    return "\n".join(lines) + "\n"
