"""TESP on targets (TESP paper, section 5): learning curves, ablations, and what an embedding tells.

Runs the configs `tesp/...` in run directories of the study, so that it goes on where it stopped.
Every method is measured on the sets D, D' and D'' before it learns, after every 25 updates and at
the end. "Three steps" are three inner steps; TESP's buffer is filled in an update before them,
which the others do not have.
"""

import functools
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tfcaml.configs.tesp import ant, point, reacher_2, reacher_4, wheeled

from tfcaml import evaluation, figures, keys, statistics
from tfcaml.experiments.experiment import Experiment
from tfcaml.policies import Policy
from tfcaml.progress import Progress
from tfcaml.reporting import report
from tfcaml.rollouts import sampling
from tfcaml.types import episode_return

from ..runs import config_name, interval, kept, rounded, run_config, shrink

MAIN = "tesp"
_KEEP = 10**6  # checkpoints: all of them
_CURVE = {"num_tasks": 30, "num_episodes": 5}  # of a measurement during training


class Family(NamedTuple):
    """A family of the study: its title, its config, and how many seeds it has at most."""

    title: str
    module: object
    most_seeds: int


FAMILIES = {
    "point": Family("Point", point, 100),
    "reacher_2": Family("Reacher of two links", reacher_2, 3),
    "wheeled": Family("Wheeled robot", wheeled, 1),
    "ant": Family("Ant", ant, 1),
    "reacher_4": Family("Reacher of four links", reacher_4, 1),
}


def run(study_seeds, out_dir, quick=False, train=Experiment.train):
    """Runs the study; see `launchers.reproduce`."""
    results, lines, pictures = {"seeds": list(study_seeds)}, [], {}
    for name in list(FAMILIES)[: 1 if quick else None]:
        found, text, drawn = measure(name, study_seeds, out_dir, quick, train)
        results[name] = found
        lines += text
        pictures |= drawn
    return rounded(results), "\n".join(lines) + "\n", pictures


def measure(name, study_seeds, out_dir, quick=False, train=Experiment.train):
    """(results, lines of Markdown, pictures) of one family."""
    title, module, most = FAMILIES[name]
    seeds = study_seeds[:most]
    content = module.get_config().to_dict()
    if quick:
        shrink(content, list(content["compared"])[:1])
        content["evaluation"]["num_tasks"] = 3  # one of each set
    root = out_dir / "runs" / config_name(module).replace("/", "_")
    experiment, summary = run_config(content, seeds, root, train=train, keep=_KEEP)
    curves = _curves(experiment, out_dir / "parts" / name)
    still = standing_still(experiment.environment, experiment.population(seeds[0]))
    found = {
        "environment_steps": {x: experiment.environment_steps(x) for x in curves},
        "seconds": {x: experiment.training_seconds(x) for x in curves},
        "standing_still": still,
        "methods": {x: row["sets"] for x, row in summary["methods"].items()},
        "after_three_steps": _differences(experiment, summary, fair=False),
        "after_as_many_episodes": _differences(experiment, summary, fair=True),
        "curves": curves,
    }
    pictures = {f"{name}_curves": _curves_figure(curves, title)}
    if len(experiment.config.learners) > 1:
        pictures[f"{name}_differences"] = _differences_figure(found["after_three_steps"], title)
    pictures[f"{name}_embedding"] = _embedding_figure(experiment, title)
    return found, _text(title, experiment, found), pictures


def steps_to(learner, fair=False):
    """Updates up to three inner steps; as many as TESP's for all where it is to be `fair`."""
    own = learner.config.inner_updates
    return max(own, 4) if fair else own


class _Still(Policy):
    """Does nothing."""

    def __init__(self, action_spec):
        self.action_spec = action_spec

    def __call__(self, params, observation):
        zeros = tf.zeros([*observation.shape[:2], *self.action_spec.shape])
        return tfp.distributions.MultivariateNormalDiag(zeros, tf.ones_like(zeros))

    def sample(self, distribution, noise):
        return distribution.mean()


def standing_still(environment, population):
    """Mean return of standing still, by set of test tasks: dict name -> number."""
    policy, task = _Still(environment.action_spec), population.test
    played = tf.function(
        lambda: sampling.sample(policy, environment, (), task, 1, keys.from_int(0)),
        autograph=False,
    )()
    returns = episode_return(played).numpy()[:, 0]
    names = np.asarray(population.test_set)
    return {str(name): float(returns[names == name].mean()) for name in sorted(set(names))}


def _curves(experiment, directory):
    """Returns after three steps, by method: dict of `updates` [P] and by set [S, P]."""
    config, found = experiment.config, {}
    marks = {}
    for method in config.learners:
        length = config.learners[method][1].num_iterations
        every = range(0, length, config.save_interval)
        marks[method] = [*every, length] if length else [0]
    number = sum(len(each) for each in marks.values()) * len(config.seeds)
    with Progress(number) as progress:
        for method, updates in marks.items():
            rows = []
            for seed in config.seeds:
                points = []
                for update in updates:
                    settings = {"config": experiment.directory.config["config"], **_CURVE}
                    path = directory / f"{method}_seed_{seed}_update_{update}.json"
                    compute = functools.partial(_measured, experiment, method, seed, update)
                    points.append(kept(path, settings, compute))
                    progress.advance(method, f"seed {seed}, update {update}")
                rows.append(points)
            sets = {name: [[p[name] for p in row] for row in rows] for name in rows[0][0]}
            found[method] = {"updates": updates, **sets}
    return found


def _measured(experiment, method, seed, update):
    """Mean return after three steps, by set, of what was learned in so many updates."""
    learner = experiment.trained(method, seed, update)
    population = experiment.population(seed, min(_CURVE["num_tasks"], experiment.config.num_tasks))
    found = evaluation.evaluate(
        learner,
        population.test,
        num_updates=steps_to(learner),
        num_episodes=_CURVE["num_episodes"],
        seed=seed,
    )
    returns, names = found.returns[-1].mean(axis=1), np.asarray(population.test_set)
    return {str(name): float(returns[names == name].mean()) for name in sorted(set(names))}


def _differences(experiment, summary, fair):
    """Paired differences of TESP and the others, by other and by set."""
    names = np.array([experiment.population(seed).test_set for seed in experiment.config.seeds])
    learned = {}
    for method, row in summary["methods"].items():
        steps = steps_to(experiment.trainer.made(method), fair)
        learned[method] = np.array(row["returns"])[:, steps]
    of_set = lambda values, name: values[names == name].reshape(len(names), -1)
    main = learned.pop(MAIN)
    return {
        other: {
            str(name): report.paired_row(
                statistics.paired(of_set(main, name), of_set(values, name))
            )
            for name in sorted(set(names.ravel()))
        }
        for other, values in learned.items()
    }


def _curves_figure(curves, title):
    panels = {
        name: {method: np.array(row[name]) for method, row in curves.items()}
        for name in curves[MAIN]
        if name != "updates"
    }
    # All play as many environment steps, in more or fewer updates.
    share = {
        method: np.array(row["updates"]) / row["updates"][-1] for method, row in curves.items()
    }
    return figures.curves(
        panels,
        share,
        "share of the environment steps",
        f"{title}: return after three steps; a point every 25 updates",
        bands=[MAIN],
    )


def _differences_figure(rows, title):
    names = list(next(iter(rows.values())))
    rows = {f"TESP - {other}": [row[name] for name in names] for other, row in rows.items()}
    return figures.paired_differences(rows, names, f"{title}: after three steps")


def _embedding_figure(experiment, title):
    """What TESP's first seed makes of tasks, in its buffer's last state."""
    seed = experiment.config.seeds[0]
    learner = experiment.trained(MAIN, seed)
    population = experiment.population(seed)
    meta, key = learner.meta.read(), keys.fold(keys.from_int(seed), keys.EVALUATION)
    fast, _ = learner.choose_start(meta, population.test, keys.fold(key, 0))
    for update in range(learner.config.inner_updates):
        fast = learner.adapt_to(fast, population.test, keys.fold(key, 1, update))
    vectors = tf.function(learner.embedding, autograph=False)(fast).numpy()
    goals = np.asarray(population.test["goal"])
    return figures.embedding_map(
        goals, vectors, population.test_set, f"{title}: tasks as TESP sees them"
    )


def _text(title, experiment, found):
    """Tables of a family: lines of Markdown."""
    names = list(found["standing_still"])
    seeds = len(experiment.config.seeds)
    environment = experiment.environment
    notice = f"{environment.notice} " if environment.notice else ""
    per_set = " | ".join(names)
    lines = [
        f"## {title}",
        "",
        f"{notice}{environment.horizon} steps per episode; "
        f"{f'{seeds} seeds, [95 % interval over seeds]' if seeds > 1 else '1 seed'}. Mean return "
        "after three inner steps, for which TESP has played a phase more than the others; after "
        "as many episodes; and of standing still.",
        "",
        f"| method | {' | '.join(f'{name}, three steps' for name in names)} "
        f"| {' | '.join(f'{name}, as many episodes' for name in names)} "
        "| environment steps | seconds per seed |",
        "|---" * (2 * len(names) + 3) + "|",
    ]
    for method, sets in found["methods"].items():
        learner = experiment.trainer.made(method)
        cells = [
            interval(sets[name][steps_to(learner, fair)]["mean"])
            for fair in (False, True)
            for name in names
        ]
        steps, seconds = found["environment_steps"][method], found["seconds"][method]
        lines.append(f"| {method} | {' | '.join(cells)} | {steps / 1e6:.1f} M | {seconds:.0f} |")
    still = [f"{found['standing_still'][name]:.1f}" for name in names]
    lines += [f"| standing still | {' | '.join(still)} |" + " |" * (len(names) + 2), ""]
    tables = {
        "after three steps": found["after_three_steps"],
        "after as many episodes": found["after_as_many_episodes"],
    }
    for when, rows in tables.items():
        if not rows:
            continue
        every = [row for sets in rows.values() for row in sets.values()]
        marks = iter(report.surviving(every))
        lines += [
            f"Differences {when}{', paired over seeds [95 % interval]' if seeds > 1 else ''} "
            "(seeds won).",
            "",
            f"| | {per_set} |",
            "|---" * (len(names) + 1) + "|",
        ]
        for other, sets in rows.items():
            cells = [
                f"{interval(row)} ({row['seeds_won']}/{row['num_seeds']}){next(marks)}"
                for row in sets.values()
            ]
            lines.append(f"| TESP - {other} | {' | '.join(cells)} |")
        note = report.many_comparisons(every)
        lines += ["", *([note, ""] if note else [])]
    return lines
