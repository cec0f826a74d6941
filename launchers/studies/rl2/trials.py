"""RL^2 on the bandits and MDPs it was published on, and beside MAML.

Runs the configs `rl2/...` in run directories of the study, so that it goes on where it stopped.
What others earn on the same bandits and MDPs is measured in the same run.
"""

import functools

import numpy as np
from tfcaml.configs.rl2 import (
    bandit_10_5,
    bandit_100_5,
    bandit_100_10,
    half_cheetah_direction,
    mdp_10,
    mdp_25,
    navigation,
    navigation_sparse,
)

from tfcaml import figures, keys, nest
from tfcaml.environments.native import bandit_solvers, tabular_mdp_solvers
from tfcaml.experiments.experiment import Experiment
from tfcaml.reporting import report

from ..runs import (
    adaptation_rows,
    config_name,
    gradient_settings,
    interval,
    kept,
    paired_rows,
    rounded,
    run_config,
    settings_rows,
    shrink,
)

# RL2 paper, Tables 1 and 2: total reward of a trial.
PUBLISHED = {
    "bandit_10_5": {"rl2": 6.7, "Gittins": 6.6, "UCB1": 6.7, "random": 5.0},
    "bandit_100_5": {"rl2": 78.7, "Gittins": 78.3, "UCB1": 78.0, "random": 49.9},
    "bandit_100_10": {"rl2": 83.5, "Gittins": 82.8, "UCB1": 82.4, "random": 49.9},
    "mdp_10": {"rl2": 156.2, "OPSRL": 144.1, "random": 100.1},
    "mdp_25": {"rl2": 445.7, "OPSRL": 425.2, "random": 250.2},
}
OF_TRIALS = {module.__name__.rpartition(".")[2]: module for module in (
    bandit_10_5, bandit_100_5, bandit_100_10, mdp_10, mdp_25
)}  # fmt: skip
BESIDE_MAML = {
    "navigation": navigation,
    "navigation_sparse": navigation_sparse,
    "half_cheetah_direction": half_cheetah_direction,
}
# Of UCB1 at so many pulls, the best of 0, 0.1, ... 1 on bandits of other seeds.
_WIDTHS = {10: 0.1, 100: 0.2}
_EPSILON = 0.05
_SAMPLES = 20  # of OPSRL; the paper has the best of 1 to 20
_PULLED = 0x9A11  # a salt of keys


def run(study_seeds, out_dir, quick=False, train=Experiment.train):
    """Runs the study; see `launchers.reproduce`."""
    results, lines, pictures = {"seeds": list(study_seeds)}, [], {}
    chosen = dict(list(OF_TRIALS.items())[:1]) if quick else OF_TRIALS
    for name, module in chosen.items():
        experiment, summary = _run(module, study_seeds, out_dir, quick, train)
        rows, steps = _totals(experiment, summary, out_dir / "parts" / name)
        results[name] = rounded({method: report.summary(x)["mean"] for method, x in rows.items()})
        lines += _text_of_trials(name, experiment, results[name])
        what = "reward per pull" if "bandit" in name else "return of an episode of the trial"
        axis = np.arange(1, next(iter(steps.values())).shape[1] + 1)
        label = "pull" if "bandit" in name else "episode"
        if len(axis) > 1:
            pictures[name] = figures.curves(
                {what: steps}, axis, label, _title(name), list(steps)[:1]
            )
    for name, module in {} if quick else BESIDE_MAML.items():
        experiment, summary = _run(module, study_seeds, out_dir, quick, train)
        methods, paired = summary["methods"], report.compare(summary["methods"], "rl2")
        settings = {method: gradient_settings(experiment, method) for method in methods}
        returns = {method: np.array(values["returns"]) for method, values in methods.items()}
        pictures[name] = figures.adaptation_curves(returns, _title(name))
        shown = {method: values["summary"] for method, values in methods.items()}
        results[name] = rounded({"methods": shown, "paired": paired, "settings": settings})
        lines += _text_beside_maml(name, experiment, methods, paired, settings)
    return results, "\n".join(lines), pictures


def _run(module, study_seeds, out_dir, quick, train):
    content = module.get_config().to_dict()
    if quick:
        shrink(content)
        content["evaluation"]["episodes"] = 1
    root = out_dir / "runs" / config_name(module).replace("/", "_")
    seeds = study_seeds[: content["num_seeds"]]
    return run_config(content, seeds, root, train=train)


def _totals(experiment, summary, directory):
    """What trials earn on the held-out tasks, by everybody.

    Returns:
      (dict method -> [S, Q] total rewards; dict method -> [S, P] means of each pull, or of each
      episode of a trial).
    """
    returns = np.array(summary["methods"]["rl2"]["returns"])  # [S, U + 1, Q]
    totals, steps = {"rl2": returns.sum(axis=1)}, {"rl2": returns.mean(axis=-1)}
    if experiment.config.environment_name == "bandit":
        steps["rl2"] = np.stack([_pulls(experiment, seed) for seed in experiment.config.seeds])
    for method, solver in _solvers(experiment).items():
        settings = {"environment": experiment.environment.config.__dict__, "method": method}
        settings["tasks"] = experiment.config.num_tasks
        settings["episodes"] = experiment.config.num_updates + 1
        each = []
        for seed in experiment.config.seeds:
            task = nest.map(lambda x: x.numpy(), experiment.population(seed).test)
            path = directory / f"{method.replace(' ', '_')}_{seed}.json"
            played = functools.partial(solver, task, seed)
            each.append(kept(path, settings, lambda played=played: played().tolist()))
        each = np.array(each)  # [S, Q, P]
        totals[method], steps[method] = each.sum(axis=-1), each.mean(axis=1)
    return totals, steps


def _solvers(experiment):
    """dict name -> function (task, seed) -> [Q, P], what each pull or each episode earned."""
    family = experiment.environment
    if experiment.config.environment_name == "bandit":
        pulls = family.horizon
        strategies = {
            "Gittins": bandit_solvers.gittins(pulls),
            "UCB1": bandit_solvers.ucb1(_WIDTHS.get(pulls, 0.2)),
            "Thompson": bandit_solvers.thompson,
            "epsilon-greedy": bandit_solvers.epsilon_greedy(_EPSILON),
            "random": bandit_solvers.random,
        }
        return {
            name: lambda task, seed, strategy=strategy: bandit_solvers.play(
                task["p"], pulls, strategy, seed
            )
            for name, strategy in strategies.items()
        }
    episodes, config = experiment.config.num_updates + 1, family.config
    play = lambda solver, **how: lambda task, seed: solver(task, episodes, config, seed, **how)
    return {
        "OPSRL": play(tabular_mdp_solvers.posterior_sampling, num_samples=_SAMPLES),
        "PSRL": play(tabular_mdp_solvers.posterior_sampling),
        "random": play(tabular_mdp_solvers.random),
        "who knows the MDP": play(tabular_mdp_solvers.best),
    }


def _pulls(experiment, seed):
    """Mean reward of each pull on the held-out bandits, [n]."""
    learner, task = experiment.trained("rl2", seed), experiment.population(seed).test
    fast = learner.start(learner.meta.read(), nest.leading(task))
    key = keys.fold(keys.from_int(seed), _PULLED)
    return learner.measure(fast, task, 1, key).reward.numpy().mean(axis=(0, 1))


def _title(name):
    kind, *sizes = name.split("_")
    if kind == "bandit":
        return f"Bandits of {sizes[1]} arms, {sizes[0]} pulls"
    if kind == "mdp":
        return f"Tabular MDPs, {sizes[0]} episodes"
    return name.replace("_", " ").capitalize()


def _text_of_trials(name, experiment, rows):
    published, config = PUBLISHED[name], experiment.config
    lines = [
        f"## {_title(name)}",
        "",
        f"Mean total reward of a trial over {config.num_tasks} held-out tasks of each of "
        f"{len(config.seeds)} seeds [95 % interval over seeds].",
        "",
        "| | here | RL2 paper |",
        "|---|---|---|",
    ]
    for method, row in rows.items():
        lines.append(f"| {method} | {interval(row, 2)} | {published.get(method, '')} |")
    return [*lines, ""]


def _text_beside_maml(name, experiment, methods, paired, settings):
    config = experiment.config
    updates = range(config.num_updates + 1)
    columns = " | ".join(f"k = {k}" for k in updates)
    each = ", ".join(f"{x['episodes_per_update']} of {method}" for method, x in methods.items())
    return [
        f"## {_title(name)}",
        "",
        f"{experiment.environment.notice} Mean return on {config.num_tasks} held-out tasks, "
        f"{len(config.seeds)} seeds, after k updates: episodes in each, {each}.".strip(),
        "",
        f"| method | {columns} |",
        "|---" * (len(updates) + 1) + "|",
        *adaptation_rows(methods, len(updates)),
        "",
        "Differences after as many updates, paired over seeds (seeds won).",
        "",
        *paired_rows(paired),
        "",
        "Differences at the same number of episodes or more of the other.",
        "",
        *paired_rows(paired, "equal_episodes"),
        "",
        *settings_rows(settings),
        "",
    ]
