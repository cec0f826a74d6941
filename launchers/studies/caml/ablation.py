"""Which choices in CAML matter: one changed at a time, paired over seeds.

- `configs/caml/ablation.py`: what changes training (metric, k, n, assignment, ...); the variants of
  choosing a medoid for a new entity (`CHOICES`) are tried on the same trained learners.
- MAML inside each cluster: its medoid's weights go on by second-order MAML on the cluster's
  entities.
- `configs/caml/ablation_groups.py`: what concerns choosing, on unseen groups.
- `configs/caml/open_plane.py`: no walls.
"""

import dataclasses

from tfcaml.configs.caml import ablation as caml_ablation
from tfcaml.configs.caml import ablation_groups as caml_ablation_groups
from tfcaml.configs.caml import open_plane as caml_open_plane

from tfcaml import evaluation, figures, learners
from tfcaml.experiments.experiment import Experiment
from tfcaml.reporting import report

from ..runs import config_name, interval, kept, run_config, shrink
from .cluster_maml import ClusterMAML

_SHOWN = (0, 1, 5)  # updates
_BASE = "caml"


def run(study_seeds, out_dir, quick=False, train=Experiment.train):
    """Runs the study; see `launchers.reproduce`."""
    results = {"seeds": list(study_seeds), "parts": {}}
    texts, pictures = [], {}
    for title, module, choices, clusters in (
        ("Fresh variants of known groups", caml_ablation, True, True),
        ("Unseen groups", caml_ablation_groups, True, False),
        ("Without walls", caml_open_plane, False, False),
    ):
        name = config_name(module)
        directory = name.replace("/", "_")
        content = module.get_config().to_dict()
        if quick:
            shrink(content, ["random"])
        root = out_dir / "runs" / directory
        jit_compile = False if quick else None
        experiment, summary = run_config(content, study_seeds, root, jit_compile, train=train)
        methods = dict(summary["methods"])
        parts = out_dir / "parts" / directory
        if choices:
            methods |= _choices(experiment, content, parts, quick)
        if clusters:
            methods["maml_in_clusters"] = _maml_in_clusters(experiment, content, parts, quick)
        results["parts"][title] = {
            "config": name,
            "settings": content,
            "methods": {name: _rows(row) for name, row in methods.items()},
            "paired": report.compare(methods, _BASE),
        }
        texts.append(_text(title, results["parts"][title], len(study_seeds)))
        pictures[directory] = figures.paired_differences(
            {
                other.removeprefix(f"{_BASE} - "): [rows["same_update"][u] for u in (0, 1)]
                for other, rows in results["parts"][title]["paired"].items()
            },
            ("before the first update", "after one"),
            f"{title}: lead of CAML as recommended over a variant",
        )
    return results, "\n".join(texts), pictures


def _choices(experiment, content, parts, quick):
    """The variants that share the training of the base: name -> row as of a summary's methods."""
    found = {}
    variants = [pair for group in caml_ablation.CHOICES.values() for pair in group.items()]
    for name, changes in variants[:1] if quick else variants:
        config = dataclasses.replace(experiment.config.learners[_BASE][1], **changes)
        learner = learners.CAML(
            experiment.environment, experiment.policy, config, jit_compile=False if quick else None
        )

        def trained(seed, learner=learner):
            learner.meta.write(experiment.trained(_BASE, seed).meta.read())
            return learner

        settings = {"config": dataclasses.asdict(config)}
        found[name] = _evaluated(experiment, content, trained, parts / f"{name}.json", settings)
    return found


def _maml_in_clusters(experiment, content, parts, quick):
    """Second-order MAML on each cluster from its medoid; a row as of a summary's methods."""
    iterations = 1 if quick else 10

    def trained(seed):
        caml = experiment.trained(_BASE, seed)
        learner = ClusterMAML(caml, iterations)
        learner.train_clusters(experiment.population(seed).train, seed)
        return learner

    return _evaluated(
        experiment, content, trained, parts / "maml_in_clusters.json", {"iterations": iterations}
    )


def _evaluated(experiment, content, trained, path, settings):
    """Evaluates `trained(seed)` for every seed as `Experiment.evaluate` does, once."""

    def compute():
        runs = []
        for seed in experiment.config.seeds:
            population = experiment.population(seed)
            learner = trained(seed)
            found = evaluation.evaluate(
                learner,
                population.test,
                num_updates=experiment.config.num_updates,
                num_episodes=experiment.config.episodes,
                seed=seed,
            )
            runs.append(
                {
                    "seed": seed,
                    "groups": population.test_group,
                    "returns": found.returns,
                    "trial_episodes": experiment.config.learners[_BASE][1].choice.trial_episodes,
                    "episodes_per_update": learner.test_episodes,
                }
            )
        return report.summarize({"one": runs}, "one")["methods"]["one"]

    settings = settings | {"seeds": experiment.config.seeds, "experiment": content}
    return kept(path, settings, compute)


def _rows(row):
    return {
        str(update): row["summary"][update]["mean"]
        for update in _SHOWN
        if update < len(row["summary"])
    }


def _text(title, part, num_seeds):
    heading = " | ".join(f"k = {k}" for k in _SHOWN)
    lines = [
        f"## {title}",
        "",
        f"Mean return after k updates, and by how much CAML as recommended is above the variant, "
        f"paired over {num_seeds} seeds [95 % interval] (seeds won).",
        "",
        f"| variant | {heading} | lead, k = 0 | k = 1 | k = 5 |",
        "|---" * 7 + "|",
    ]
    leads = {
        name: [rows["same_update"][k] for k in _SHOWN] for name, rows in part["paired"].items()
    }
    every = [row for rows in leads.values() for row in rows]
    marks = iter(report.surviving(every))
    for name, rows in part["methods"].items():
        cells = [f"{rows[str(k)]['value']:.0f}" for k in _SHOWN]
        lead = leads.get(f"{_BASE} - {name}")
        cells += [_lead(row) + next(marks) for row in lead] if lead else [""] * len(_SHOWN)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", report.many_comparisons(every)]) + "\n"


def _lead(row):
    return f"{interval(row, 0)} ({row['seeds_won']}/{row['num_seeds']})"
