"""MLSH: sub-policies that all tasks share, beside policies from scratch and other meta-learners.

Runs the configs `mlsh/...` in run directories of the study, so that it goes on where it stopped.
Each of `PARTS` may be run by itself: `bandits(range(5), pathlib.Path("runs/bandits"))`.
"""

import functools

import numpy as np
from tfcaml.configs.mlsh import ant_bandits, four_rooms, moving_bandits

from tfcaml import environments, figures, keys, nest, statistics
from tfcaml.experiments.experiment import Experiment
from tfcaml.learners import mlsh
from tfcaml.reporting import report, tensorboard

from ..runs import config_name, interval, rounded, run_config, run_parts, shrink

# Name of a part -> (title, config, its arguments).
CONFIGS = {
    "bandits": ("Moving bandits", moving_bandits, {}),
    "rooms": ("Four rooms", four_rooms, {}),
    "rooms_others": ("Four rooms, other goals", four_rooms, {"goals": "others"}),
    "ant": ("Ant bandits", ant_bandits, {}),
}
_ENOUGH = 0.9  # share of a plateau that counts as having reached it
_LEVELS = (0.5, 0.8, 0.9)  # shares of what PPO ends with
_LAST = 5  # measurements at the end, whose mean is the plateau
_DRAWN = 0xA2  # salt of keys
_PATHS = 3  # episodes of a panel, or panels of a task where goals differ by episode
_COLLAPSE = {
    "least_used": "share of the sub-policy that is used least",
    "subs_apart": "divergence of sub-policies",
    "masters_apart": "divergence of masters",
}


def run(study_seeds, out_dir, quick=False, train=Experiment.train):
    """Runs all parts of the study; see `launchers.reproduce`."""
    return run_parts(PARTS, study_seeds, out_dir, quick, train)


def _part(name, study_seeds, out_dir, quick=False, train=Experiment.train):
    """One of `CONFIGS`: (dict of results, lines of Markdown, dict name -> figure)."""
    title, module, options = CONFIGS[name]
    content = module.get_config(**options).to_dict()
    if quick:
        shrink(content, ["ppo"])
        content["evaluation"]["num_updates"] = 2
    seeds = study_seeds[: content["num_seeds"]]
    root = out_dir / "runs" / "_".join([config_name(module).replace("/", "_"), *options.values()])
    experiment, summary = run_config(content, seeds, root, train=train)
    main = next(iter(experiment.config.learners))
    returns = {  # [S, U + 1]
        method: np.array(row["returns"]).mean(axis=-1) for method, row in summary["methods"].items()
    }
    steps = {method: _steps(experiment, method) for method in returns}
    others = [method for method in returns if method != main]
    results = rounded(
        {
            "seeds": list(seeds),
            "steps": steps,
            "curves": {method: [_mean(x) for x in rows.T] for method, rows in returns.items()},
            "of_each_seed": {method: rows[:, -1].tolist() for method, rows in returns.items()},
            "plateau": {method: _mean(_plateau(rows)) for method, rows in returns.items()},
            "ahead": {
                other: report.paired_row(
                    statistics.paired(*(_plateau(returns[x])[:, None] for x in (main, other)))
                )
                for other in others
            },
            **(_speed(returns, steps, main) if np.all(_plateau(returns["ppo"]) > 0) else {}),
            "collapse": _collapse(experiment),
            "environment_steps": {x: experiment.environment_steps(x) for x in returns},
            "seconds": {x: experiment.training_seconds(x) for x in returns},
        }
    )
    lines = {method: (steps[method], rows) for method, rows in returns.items()}
    episodes, usage = _after_adaptation(experiment, seeds[0])
    pictures = {
        f"{name}_adaptation": figures.seed_curves(
            {"return": lines}, "environment steps with a new task", title
        ),
        f"{name}_training": _training(experiment, title),
        f"{name}_usage": usage,
        f"{name}_paths": figures.option_paths(episodes, f"{title}: who acts, seed {seeds[0]}"),
    }
    return {name: results}, _text(title, experiment, results), pictures


PARTS = tuple(functools.partial(_part, name) for name in CONFIGS)
bandits, rooms, rooms_others, ant = PARTS


def reached(steps, values, level):
    """The first of `steps` [P] at which values [P] are at least `level`; None where none is."""
    at = np.flatnonzero(np.asarray(values) >= level)
    return list(steps)[at[0]] if len(at) else None


def _plateau(returns):
    """The mean of the last measurements [..., U + 1] -> [...]."""
    return np.asarray(returns)[..., -_LAST:].mean(axis=-1)


def _mean(values):
    """Mean over seeds with its interval, of values [S]."""
    return report.summary(np.reshape(values, [-1, 1]))["mean"]


def _steps(experiment, method):
    """Environment steps that were learned from up to each measurement, trials included."""
    learner = experiment.trainer.made(method)
    each = learner.test_episodes * learner.environment.horizon
    trials = learner.trial_episodes * learner.environment.horizon
    return [trials + update * each for update in range(experiment.config.num_updates + 1)]


def _speed(returns, steps, main):
    """How soon plateaus are reached, where returns are positive, so that they have shares."""
    updates = range(returns[main].shape[1])
    return {
        "updates_to_plateau": [
            reached(updates, row, _ENOUGH * _plateau(row)) for row in returns[main]
        ],
        "steps_to_ppo": {
            str(level): _steps_to(returns, steps, (main, "ppo"), level) for level in _LEVELS
        },
    }


def _steps_to(returns, steps, methods, level):
    """Steps that two methods need for a share of what the second one ends with, seed by seed.

    Args:
      returns, steps: dict method -> [S, U + 1], and [U + 1].
      methods: names of both.
      level: the share.

    Returns:
      dict: for both their steps [S], None where they do not get there; and "share", of how many
      steps the first one needs for each of the second one: mean over seeds, None unless all are
      known.
    """
    goal = level * _plateau(returns[methods[1]])
    found = {
        method: [reached(steps[method], row, x) for row, x in zip(returns[method], goal)]
        for method in methods
    }
    pairs = list(zip(*found.values()))
    known = all(None not in pair for pair in pairs)
    return {**found, "share": _mean([x / max(y, 1) for x, y in pairs]) if known else None}


def _curves(experiment):
    """What training reported of each MLSH: dict method -> dict metric -> (iterations, [S, P])."""
    return {
        method: tensorboard.read_training(
            [experiment.directory.train(method, seed) for seed in experiment.config.seeds]
        )
        for method, (kind, _) in experiment.config.learners.items()
        if kind is mlsh.MLSH
    }


def _collapse(experiment):
    """The measures of collapse at the end of training: dict method -> dict metric -> mean."""
    return {
        method: {name: _mean(curves[name][1][:, -1]) for name in _COLLAPSE}
        for method, curves in _curves(experiment).items()
    }


def _training(experiment, title):
    panels = {label: {} for label in ("return in a life's last update", *_COLLAPSE.values())}
    for method, curves in _curves(experiment).items():
        for label, metric in zip(panels, ("return_last_update", *_COLLAPSE)):
            panels[label][method] = curves[metric]
    return figures.seed_curves(panels, "iteration", title)


def _after_adaptation(experiment, seed):
    """What sub-policies do in new tasks: (panels of `option_paths`, figure of their usage).

    Masters are adapted as in the evaluation, and paths are of fresh episodes at the end.
    """
    config = experiment.config
    learner = experiment.trained(next(iter(config.learners)), seed)
    task, key = experiment.population(seed).test, keys.fold(keys.from_int(seed), _DRAWN)
    meta = learner.meta.read()
    fast, _ = learner.choose_start(meta, task, keys.fold(key, 0))
    usage = []
    for update in range(config.num_updates + 1):
        played = learner.measure(fast, task, config.episodes, keys.fold(key, 1, update))
        usage.append(mlsh.usage(played, learner.config.num_options).numpy())
        if update < config.num_updates:
            fast = learner.adapt_to(fast, task, keys.fold(key, 2, update))
    shown = range(min(4, nest.leading(task)))
    panels = {
        f"task {number}": {
            f"sub-policy {k}": (
                range(len(usage)),
                np.array([rows[number, k] for rows in usage])[None],
            )
            for k in range(learner.config.num_options)
        }
        for number in shown
    }
    drawn = {f"task {i}": _episodes(experiment.environment, task, played, i) for i in shown}
    if all(len(row) == 1 for row in drawn.values()):  # tasks side by side
        drawn = {"": {name: next(iter(row.values())) for name, row in drawn.items()}}
    title = f"Share of the master's choices while it adapts, seed {seed}"
    return drawn, figures.seed_curves(panels, "updates of the master", title)


def _episodes(environment, task, played, number):
    """Episodes of one task: dict column -> `figures.OptionEpisodes`."""
    seen = np.asarray(played.observation)[number, :_PATHS]
    options = np.asarray(played.info["option"])[number, :_PATHS]
    if isinstance(environment, environments.MovingBandits):  # goals are others in each episode
        unit = environment.config.observation_unit
        return {
            f"episode {i}": figures.OptionEpisodes(
                unit * seen[i : i + 1, :, :2],
                options[i : i + 1],
                unit * seen[i, 0, 2:].reshape([-1, 2]),
                int(task["right"][number]),
            )
            for i in range(len(seen))
        }
    goal = np.asarray(environment.planar_goal(task))[number]
    paths, walls = environment.planar_positions(seen), environment.planar_walls()
    return {"": figures.OptionEpisodes(paths, options, goal[None], 0, walls)}


def _text(title, experiment, results):
    config = experiment.config
    seeds = len(config.seeds)
    how_many = "one seed" if seeds == 1 else f"{seeds} seeds [95 % interval over seeds]"
    lines = [f"## {title}", ""]
    if experiment.environment.notice:
        lines += [experiment.environment.notice, ""]
    updates = sorted({round(x) for x in np.linspace(0, config.num_updates, 6)})
    lines += [
        f"Mean return on {config.num_tasks} new tasks after so many updates, {how_many}. Ahead: "
        f"MLSH less the method, mean of the last {_LAST} measurements, paired over seeds.",
        "",
        f"| method | steps of training | {' | '.join(map(str, updates))} | ahead | p |",
        "|---" * (len(updates) + 4) + "|",
    ]
    for method, curve in results["curves"].items():
        row = results["ahead"].get(method)
        p = None if row is None else row["p_value"]
        ahead = ["" if row is None else interval(row), "" if p is None else f"{p:.3g}"]
        cells = [f"{results['environment_steps'][method]:,}"]
        cells += [interval(curve[i]) for i in updates] + ahead
        lines.append(f"| {method} | {' | '.join(cells)} |")
    main = next(iter(results["curves"]))
    each = ", ".join(f"{x:.1f}" for x in results["of_each_seed"][main])
    lines += ["", f"MLSH after the last update, seed by seed: {each}.", ""]
    if "updates_to_plateau" in results:
        lines += _text_of_speed(results, main)
    lines += [
        "At the end of training, 0 to 1:",
        "",
        f"| method | {' | '.join(_COLLAPSE.values())} | seconds per seed |",
        "|---" * (len(_COLLAPSE) + 2) + "|",
    ]
    for method, row in results["collapse"].items():
        cells = [interval(row[name], 2) for name in _COLLAPSE]
        lines.append(f"| {method} | {' | '.join(cells)} | {results['seconds'][method]:.0f} |")
    return [*lines, ""]


def _text_of_speed(results, main):
    count = lambda row: ", ".join("-" if x is None else f"{x:,}" for x in row)
    lines = [
        f"Updates of the master to {_ENOUGH:.0%} of its plateau, seed by seed: "
        f"{count(results['updates_to_plateau'])}.",
        "",
        "Steps to a share of what PPO ends with, seed by seed:",
        "",
        "| share | MLSH | PPO | MLSH needs of PPO's steps |",
        "|---|---|---|---|",
    ]
    for level, found in results["steps_to_ppo"].items():
        share = "" if found["share"] is None else interval(found["share"], 2)
        one, other = count(found[main]), count(found["ppo"])
        lines.append(f"| {float(level):.0%} | {one} | {other} | {share} |")
    return [*lines, ""]
