"""Evolved policy gradients: policies from scratch by a learned loss and by PPO, on new entities.

Runs the configs `epg/...` in run directories of the study, so that it goes on where it stopped.
Each of `PARTS` may be run by itself: `point(range(5), pathlib.Path("runs/point"))`.
"""

import functools

import numpy as np
import tensorflow as tf
from tfcaml.configs.epg import goal_ant, random_hopper, random_reacher, turned_point

from tfcaml import environments, figures, keys, learners, nest, statistics
from tfcaml.environments.mujoco import parts
from tfcaml.experiments.experiment import Experiment
from tfcaml.reporting import report, tensorboard

from ..runs import config_name, interval, rounded, run_config, run_parts, shrink

# Name of a part -> (title, config, its arguments).
CONFIGS = {
    "point": ("Point, turns of 60 degrees", turned_point, {}),
    "point_90": ("Point, turns of 90 degrees", turned_point, {"turn": "90"}),
    "hopper": ("Random hoppers", random_hopper, {}),
    "reacher": ("Random arms", random_reacher, {}),
    "ant": ("GoalAnt", goal_ant, {}),
}
_PPO = "ppo"
_MEASURED = 0xA1  # salt of keys
_GAIN = 3.0  # of actions by the distance, where one goes straight for the goal
_PLACES = 16  # around the goal, where policies are asked what they would do
_SHOWN = 5  # columns of a table, beside the start


def run(study_seeds, out_dir, quick=False, train=Experiment.train):
    """Runs all parts of the study; see `launchers.reproduce`."""
    return run_parts(PARTS, study_seeds, out_dir, quick, train)


def _part(name, study_seeds, out_dir, quick=False, train=Experiment.train):
    """One of `CONFIGS`: (dict of results, lines of Markdown, dict name -> figure)."""
    title, module, options = CONFIGS[name]
    content = module.get_config(**options).to_dict()
    if quick:
        shrink(content, [_PPO])
        content["evaluation"]["num_updates"] = 2
    seeds = study_seeds[: content["num_seeds"]]
    root = out_dir / "runs" / "_".join([config_name(module).replace("/", "_"), *options.values()])
    experiment, summary = run_config(content, seeds, root, train=train)
    main = next(iter(experiment.config.learners))
    sets, curves = _sets(experiment), {}
    returns = {method: np.array(row["returns"]) for method, row in summary["methods"].items()}
    most = _steps(experiment, main)[-1]
    for which, tasks in sets.items():
        curves[which] = {
            method: _until(most, _steps(experiment, method), values[..., tasks].mean(axis=-1))
            for method, values in returns.items()
        }
    alike = [method for method in returns if _steps(experiment, method)[-1] == most]
    pairs = [(main, other) for other in alike if other != main]
    pairs += [(other, _PPO) for other in alike if other not in (main, _PPO)]
    final = {
        which: {
            f"{one} - {other}": _difference(*(returns[x][..., tasks] for x in (one, other)))
            for one, other in pairs
        }
        for which, tasks in sets.items()
    }
    results = rounded(
        {
            "seeds": list(seeds),
            "tasks": {which: len(tasks) for which, tasks in sets.items()},
            "curves": {
                which: {
                    method: {"steps": steps, "return": [_mean(x) for x in values.T]}
                    for method, (steps, values) in lines.items()
                }
                for which, lines in curves.items()
            },
            "final": final,
            **_turns(experiment),
            "environment_steps": {x: experiment.environment_steps(x) for x in returns},
            "seconds": {x: experiment.training_seconds(x) for x in returns},
        }
    )
    panels = {f"return, {which}" if which else "return": lines for which, lines in curves.items()}
    pictures = {
        f"{name}_curves": figures.seed_curves(panels, "environment steps of a life", title),
        f"{name}_evolution": _evolution(experiment, title),
    }
    return {name: results}, _text(title, experiment, results), pictures


PARTS = tuple(functools.partial(_part, name) for name in CONFIGS)
point, point_90, hopper, reacher, ant = PARTS


def _sets(experiment):
    """Named sets of test tasks: dict name -> their numbers; all are "" where there are no sets."""
    population = experiment.population(experiment.config.seeds[0])
    names = np.asarray(population.test_set)
    if not len(names):
        return {"": np.arange(experiment.config.num_tasks)}
    return {str(name): np.flatnonzero(names == name) for name in dict.fromkeys(names.tolist())}


def _steps(experiment, method):
    """Environment steps that a policy has learned from up to each measurement, at most."""
    learner = experiment.trainer.made(method)
    each = learner.test_episodes * learner.config.steps_held(learner.environment.horizon)
    return [update * each for update in range(experiment.config.num_updates + 1)]


def _until(most, steps, values):
    """What was measured after at most so many steps: (steps [P], values [S, P])."""
    number = sum(x <= most for x in steps)
    return steps[:number], values[:, :number]


def _mean(values):
    """Mean over seeds with its interval, of values [S]."""
    return report.summary(np.reshape(values, [-1, 1]))["mean"]


def _turns(experiment):
    """How far policies of turned points turn their moves back at the end, as a share of the turn.

    Of moves that policies expect to make at places around the goal, see `_slope`.

    Returns:
      {"turned_back": dict method -> mean over seeds with its interval}; {} for other families.
    """
    environment, config = experiment.environment, experiment.config
    if not isinstance(environment, environments.TurnedPoint):
        return {}
    places = parts.on_circle(tf.range(_PLACES, dtype=tf.float32) / _PLACES)
    found = {}
    for method in config.learners:
        slopes = []
        for seed in config.seeds:
            learner, task = experiment.trained(method, seed), experiment.population(seed).test
            meta, key = learner.meta.read(), keys.fold(keys.from_int(seed), _MEASURED)
            fast, _ = learner.choose_start(meta, task, key)
            for update in range(config.num_updates):
                fast = learner.adapt_to(fast, task, keys.fold(key, update))
            seen = tf.repeat(places[None], config.num_tasks, axis=0)
            move = learner.policy(learner.acting(meta, fast), seen).mean()
            slopes.append(_slope(*(np.asarray(x) @ [1, 1j] for x in (task["turn"], seen, move))))
        found[method] = _mean(slopes)
    tasks = [experiment.population(seed).test for seed in config.seeds]
    straight = {
        name: _mean([_straight(environment, task, knows) for task in tasks])
        for name, knows in (("one policy for all", False), ("the entity's turn known", True))
    }
    return {"turned_back": found, "straight": straight}


def _straight(environment, task, knows):
    """Mean return of moves straight to the goal without noise, whose turns are undone or not."""
    num = nest.leading(task)
    state, place = environment.reset(task, keys.per_episode(keys.from_int(_MEASURED), num, 5))
    cos, sin = task["turn"][:, None, 0], task["turn"][:, None, 1] if knows else 0.0
    cos, total = cos if knows else 1.0, 0.0
    for _ in range(environment.horizon):
        x, y = -_GAIN * place[..., 0], -_GAIN * place[..., 1]
        action = tf.stack([cos * x + sin * y, cos * y - sin * x], axis=-1)
        state, place, reward, _ = environment.step(task, state, action, None)
        total += reward
    return float(tf.reduce_mean(total))


def _slope(turn, place, move):
    """Slope of a line through what entities turn moves by, and what policies turn them back by.

    1 undoes the turns of all entities, and 0 has one policy for all.

    Args:
      turn: complex [Q], of length 1.
      place: complex [Q, P], where moves start; the goal is 0.
      move: complex [Q, P].
    """
    back = np.angle(np.mean(move / -place, axis=1))
    return -np.polyfit(np.angle(turn), back, 1)[0]


def _difference(values, others):
    """Of the last measurements [S, Q]: paired over seeds; `one_sided`: p of not being ahead."""
    found = statistics.paired(values[:, -1], others[:, -1])
    row = report.paired_row(found)
    half = None if row["p_value"] is None else found.p_value / 2
    return {**row, "one_sided": half if row["value"] > 0 or half is None else 1 - half}


def _evolution(experiment, title):
    """Curves of the iterations of EPG."""
    panels = {"mean return of the members": {}, "alpha": {}}
    for method, (kind, _) in experiment.config.learners.items():
        if kind is not learners.EPG:
            continue
        folders = [experiment.directory.train(method, seed) for seed in experiment.config.seeds]
        curves = tensorboard.read_training(folders)
        for panel, metric in zip(panels, ("return_after", "alpha")):
            panels[panel][method] = curves[metric]
    return figures.seed_curves(panels, "iteration of evolution", title)


def _text(title, experiment, results):
    config = experiment.config
    seeds = len(config.seeds)
    how_many = "one seed" if seeds == 1 else f"{seeds} seeds [95 % interval over seeds]"
    lines = [f"## {title}", ""]
    if experiment.environment.notice:
        lines += [experiment.environment.notice, ""]
    for which, curves in results["curves"].items():
        tasks = results["tasks"][which]
        steps = max((curve["steps"] for curve in curves.values()), key=lambda x: x[-1])
        lines += [
            f"Mean return on {tasks} new entities{f' ({which})' if which else ''} after so many "
            f"environment steps with each, {how_many}.",
            "",
        ]
        for method, curve in curves.items():
            steps = curve["steps"]
            picked = sorted({round(i) for i in np.linspace(0, len(steps) - 1, _SHOWN + 1)})
            lines += [
                f"| {method}, steps | {' | '.join(f'{steps[i]:,}' for i in picked)} |",
                "|---" * (len(picked) + 1) + "|",
                f"| return | {' | '.join(interval(curve['return'][i]) for i in picked)} |",
                "",
            ]
        lines += ["| after the last update | difference | p, one-sided |", "|---|---|---|"]
        for pair, row in results["final"][which].items():
            p = row["one_sided"]
            shown = "" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"
            lines.append(f"| {pair} | {interval(row)} | {shown} |")
        lines.append("")
    if "turned_back" in results:
        rows = results["turned_back"].items()
        lines += [
            "How far policies turn their moves back at the end, as a share of the turn: "
            + ", ".join(f"{method} {interval(row, 2)}" for method, row in rows)
            + ". One policy for all has 0.",
            "",
            "Straight to the goal without noise, mean return: "
            + ", ".join(f"{name} {interval(row)}" for name, row in results["straight"].items())
            + ".",
            "",
        ]
    lines += ["| method | environment steps of training | seconds per seed |", "|---|---|---|"]
    for method, steps in results["environment_steps"].items():
        lines.append(f"| {method} | {steps:,} | {results['seconds'][method]:.0f} |")
    return [*lines, ""]
