"""What the studies of meta-imitation share: training, success, figures and tables of a config."""

import dataclasses

import numpy as np

from tfcaml import evaluation, figures, keys, nest, statistics
from tfcaml.reporting import report
from tfcaml.rollouts import demonstrations
from tfcaml.types import Episodes

from ..runs import interval, rounded, run_config, shrink

_DEMONSTRATION = 0xDE0  # salt of the key of the demonstration that is filmed
_PER_CENT = 100


def part(name, title, content, study_seeds, root, quick, train, shots=()):
    """One config: (dict of results, lines of Markdown, dict name -> figure).

    Args:
      name: of the part.
      title: of its table and figures.
      content: the config as dict.
      study_seeds: consecutive Python ints.
      root: path of the run directory.
      quick, train: as a study has them.
      shots: numbers of demonstrations of a new task with which the methods are measured, too.
    """
    if quick:
        quickly(content, ["contextual"])
    seeds = study_seeds[: content["num_seeds"]]
    experiment, summary = run_config(content, seeds, root, train=train)
    success = {  # [S, 2], before and after the demonstration
        method: _PER_CENT * np.array(row["returns"]).mean(axis=-1)
        for method, row in summary["methods"].items()
    }
    main, *others = success
    results = {
        "seeds": list(seeds),
        "tasks": summary["num_tasks"],
        "episodes": summary["episodes"],
        "before": {method: mean(rows[:, 0]) for method, rows in success.items()},
        "after": {method: mean(rows[:, 1]) for method, rows in success.items()},
        "of_each_seed": {method: rows.tolist() for method, rows in success.items()},
        "gain": difference(success[main][:, 1], success[main][:, 0]),
        "ahead": {other: difference(success[main][:, 1], success[other][:, 1]) for other in others},
        "seconds": {method: experiment.training_seconds(method) for method in success},
    }
    labels = ("before the demonstration", "after it")
    pictures = {f"{name}_success": figures.success_shares(success, labels, title)}
    if shots:
        found = {m: _with_shots(experiment, m, seeds, shots) for m in success}
        results["shots"] = {method: [mean(x) for x in rows.T] for method, rows in found.items()}
        lines = {method: (list(shots), rows) for method, rows in found.items()}
        pictures[f"{name}_shots"] = figures.seed_curves(
            {"success, %": lines}, "demonstrations of a new task", title
        )
    pictures |= _films(experiment, main, seeds[0], f"{name}_film", title)
    results = rounded(results)
    return {name: results}, text(title, results, shots), pictures


def quickly(content, compared):
    """Changes a config so that it takes seconds, for `--quick`. compared: names that stay."""
    shrink(content, compared)
    content["environment"] |= {"horizon": 10, "num_train": 4}  # success in pushing takes ten steps


def mean(values):
    """Mean over seeds with its interval, of values [S]."""
    return report.summary(np.reshape(values, [-1, 1]))["mean"]


def difference(one, other):
    """Mean of one - other over seeds [S], paired, with its interval."""
    return report.paired_row(statistics.paired(*(np.reshape(x, [-1, 1]) for x in (one, other))))


def text(title, results, shots):
    """The table of a part: lines of Markdown."""
    main = next(iter(results["after"]))
    lines = [
        f"## {title}",
        "",
        f"Successes in {results['tasks']} new tasks, {results['episodes']} episodes of each, in "
        f"per cent [95 % interval over {len(results['seeds'])} seeds], before and after one "
        "demonstration; the last but one column is paired over seeds.",
        "",
        f"| method | before | after | {main} - method | seconds per seed |",
        "|---|---|---|---|---|",
    ]
    for method, after in results["after"].items():
        row = results["ahead"].get(method)
        ahead = f"{interval(row)} ({row['seeds_won']}/{row['num_seeds']})" if row else ""
        before, seconds = interval(results["before"][method]), results["seconds"][method]
        lines.append(f"| {method} | {before} | {interval(after)} | {ahead} | {seconds:.0f} |")
    lines += ["", f"Gain of {main} by the demonstration: {interval(results['gain'])}.", ""]
    if "shots" in results:
        numbers = " | ".join(f"{k} demonstrations" if k > 1 else "1 demonstration" for k in shots)
        lines += [f"| method | {numbers} |", "|---" * (len(shots) + 1) + "|"]
        for method, rows in results["shots"].items():
            lines.append(f"| {method} | {' | '.join(map(interval, rows))} |")
        lines.append("")
    return lines


def _with_shots(experiment, method, seeds, shots):
    """Success in per cent after so many demonstrations, [S, number of shots]."""
    found = []
    for seed in seeds:
        learner = experiment.trained(method, seed)
        row = []
        for number in shots:
            config = dataclasses.replace(learner.config, test_episodes_per_update=number)
            other = type(learner)(learner.environment, learner.policy, config, seed)
            other.meta.write(learner.meta.read())
            found_now = evaluation.evaluate(
                other,
                experiment.population(seed).test,
                num_updates=1,
                num_episodes=experiment.config.episodes,
                seed=seed,
            )
            row.append(_PER_CENT * found_now.returns[1].mean())
        found.append(row)
    return np.array(found)


def _films(experiment, method, seed, name, title):
    """A demonstration and what the policy does after it, in other episodes of the task."""
    environment = experiment.environment
    if environment.film(()) is None:
        return {}
    learner = experiment.trained(method, seed)
    task = nest.map(lambda x: x[:1], experiment.population(seed).test)
    key = keys.fold(keys.from_int(seed), _DEMONSTRATION)
    shown = demonstrations.demonstrate(environment, task, 1, key)  # without noise: as it was played
    found = evaluation.evaluate(learner, task, num_updates=1, num_episodes=2, seed=seed)
    after = found.shown[1]
    other = nest.map(lambda x: x[:, 1:], (after.key, after.trajectory))
    episodes = {
        "demonstration": Episodes(task, keys.per_episode(key, 1, 1), shown),
        "imitation": after,
        "another": Episodes(task, *other),
    }
    films = environment.film(list(episodes.values()))
    sheet = figures.film_sheet(dict(zip(episodes, films)), f"{title}: a new task, seed {seed}")
    return {name: sheet}
