"""Sparse goals: adaptation of MAESN, LatentSpace, MAML and of policies that start from scratch.

Runs the configs `maesn/...` in run directories of the study, so that it goes on where it stopped.
Held-out goals pay near them only. All methods are compared at the same number of episodes, that of
the last update of a config's evaluation; what happens on the way is shown.
"""

import dataclasses
import functools

import numpy as np
from tfcaml.configs.maesn import _methods, ant_ring, point_ring, pusher, wheeled_ring

from tfcaml import figures, keys, nest, training
from tfcaml.experiments.experiment import Experiment
from tfcaml.learners import LEARNERS
from tfcaml.reporting import report
from tfcaml.settings import filled
from tfcaml.types import episode_return

from ..runs import (
    adaptation_rows,
    config_name,
    gradient_settings,
    kept,
    paired_rows,
    rounded,
    run_config,
    settings_rows,
    shrink,
)

CONFIGS = {  # what tables and figures call it -> config
    "Point": point_ring,
    "Robot on wheels": wheeled_ring,
    "Ant": ant_ring,
    "Pusher": pusher,
}
_MEASURED, _SHOWN, _COSTS = 0xA1, 0xA2, 0xA3  # salts of keys
_UPDATES = (0, 1, 2, 3, 5)  # beside the last, in tables
_PATHS = 30  # episodes of a panel
_GOALS = (0.1, 0.5, 0.9)  # of the way along the held-out goals, by their angle: those shown


def run(study_seeds, out_dir, quick=False, train=Experiment.train):
    """Runs the study; see `launchers.reproduce`."""
    configs = dict(list(CONFIGS.items())[:1]) if quick else CONFIGS
    results, lines, pictures = {"seeds": list(study_seeds)}, [], {}
    for title, module in configs.items():
        content = module.get_config().to_dict()
        seeds = study_seeds[: content["num_seeds"]]  # fewer for what takes long
        if quick:
            shrink(content, list(content["compared"])[:1])
            content["evaluation"]["num_updates"] = 3
            content["learner"]["test_episodes_per_update"] = 2
        name = config_name(module).replace("/", "_")
        root = out_dir / "runs" / name
        experiment, summary = run_config(content, seeds, root, train=train)
        methods = dict(summary["methods"])
        settings = {method: gradient_settings(experiment, method) for method in methods}
        for method, section in _methods.from_scratch(content).items():
            path = out_dir / "parts" / name / method.replace(" ", "_")
            methods[method] = from_scratch(experiment, section.to_dict(), path)
        paired = report.compare(methods, "maesn")
        costs = control_costs(experiment)
        short = name.removeprefix("maesn_")
        returns = {method: np.array(values["returns"]) for method, values in methods.items()}
        pictures[f"{short}_adaptation"] = figures.adaptation_curves(returns, title)
        pictures |= {f"{short}_{key}": x for key, x in latent_pictures(experiment, title).items()}
        results[short] = rounded(
            {
                "seeds": list(seeds),
                "methods": {method: values["summary"] for method, values in methods.items()},
                "paired": paired,
                "settings": settings,
                "physics": experiment.environment.notice,
                "control_costs": costs,
            }
        )
        lines += _text(title, experiment, methods, settings, paired, costs)
    return results, "\n".join(lines), pictures


def from_scratch(experiment, section, directory):
    """Policies that learn each held-out goal by itself, measured before and after each update.

    Args:
      experiment: `Experiment`, whose goals, network and measurements they share.
      section: dict of a learner that has a policy for each task.
      directory: path where each seed's returns are kept.

    Returns:
      what `report.summarize` has of a method.
    """
    config = experiment.config
    learner_class = LEARNERS[section["name"]]
    options = {name: value for name, value in section.items() if name != "name"}
    options = filled("scratch", learner_class.Config, options)
    settings = {
        "environment": dataclasses.asdict(config.environment),
        "learner": section,
        "policy": dict(config.policy),
        "measured": [config.num_tasks, config.num_updates, config.episodes],
    }

    @functools.cache
    def learner():  # not compiled where all is kept
        policy = learner_class.make_policy(experiment.environment, options, **config.policy)
        return learner_class(experiment.environment, policy, options)

    def measure(seed):
        task, key = experiment.population(seed).test, keys.fold(keys.from_int(seed), _MEASURED)
        learner().reset(seed)
        found = []
        for update in range(config.num_updates + 1):
            fast = learner().start(learner().meta.read(), config.num_tasks)
            episodes = learner().measure(fast, task, config.episodes, keys.fold(key, update))
            found.append(episode_return(episodes).numpy().mean(axis=1).tolist())
            if update < config.num_updates:
                training.train_all(learner(), task, seed)
        return found

    returns = np.array(
        [
            kept(directory / f"seed_{seed}.json", settings, functools.partial(measure, seed))
            for seed in config.seeds
        ]
    )
    return {
        "returns": returns.tolist(),
        "trial_episodes": 0,
        "episodes_per_update": options.episodes_per_update,
        "summary": [report.summary(values) for values in np.moveaxis(returns, 1, 0)],
    }


def control_costs(experiment):
    """What controls cost per episode after the last update, with the first seed.

    Returns:
      dict name of a trained method -> number, a part of its return; empty where controls are free.
    """
    environment, seed = experiment.environment, experiment.config.seeds[0]
    if not getattr(environment, "control_weight", 0):
        return {}
    task, key = experiment.population(seed).test, keys.fold(keys.from_int(seed), _COSTS)
    found = {}
    for method in experiment.config.learners:
        learner = experiment.trained(method, seed)
        fast = learner.start(learner.meta.read(), nest.leading(task))
        for update in range(experiment.config.num_updates):
            fast = learner.adapt_to(fast, task, keys.fold(key, 1, update))
        episodes = learner.measure(fast, task, experiment.config.episodes, keys.fold(key, 2))
        cost = environment.control_cost(environment.control(episodes.action)) * episodes.mask
        found[method] = float(cost.numpy().sum(axis=-1).mean())
    return found


def latent_pictures(experiment, title):
    """What latents do: paths of episodes, and a map of tasks by their latents; of the first seed.

    Latents of more than two numbers are shown in the plane that tells goals best.

    Returns:
      dict name -> figure; empty where goals are not places in a plane.
    """
    seed, environment = experiment.config.seeds[0], experiment.environment
    learner, population = experiment.trained("maesn", seed), experiment.population(seed)
    goals = environment.planar_goal(population.test)
    if goals is None:
        return {}
    meta, key = learner.meta.read(), keys.fold(keys.from_int(seed), _SHOWN)
    known = {name: rows.numpy() for name, rows in meta["latent"].items()}
    plane = _plane(known["mu"], environment.planar_goal(population.train).numpy())
    fast = learner.start(meta, nest.leading(population.test))
    shown = {"before": _episodes(learner, fast, population.test, keys.fold(key, 0))}
    for update in range(experiment.config.num_updates):
        fast = learner.adapt_to(fast, population.test, keys.fold(key, 1, update))
        if update + 1 in (1, experiment.config.num_updates):
            when = f"after {update + 1} update{'s' if update else ''}"
            shown[when] = _episodes(learner, fast, population.test, keys.fold(key, 2, update))
    order = np.argsort(_angle(goals))
    rows = [order[int(share * len(order))] for share in _GOALS]
    panels = {
        f"goal at {_angle(goals)[row]:.0f} degrees": {
            when: figures.LatentEpisodes(paths[row], latent[row] @ plane, goals[row].numpy())
            for when, (paths, latent) in shown.items()
        }
        for row in rows
    }
    new = {name: fast.params[name].numpy() for name in known}
    of_tasks = {
        "training tasks, as kept": (known, environment.planar_goal(population.train)),
        "held-out tasks, adapted": (new, goals),
    }
    return {
        "paths": figures.exploration_paths(panels, f"{title}: episodes by their latents"),
        "latents": figures.latent_map(
            {
                name: (
                    rows["mu"] @ plane,
                    np.sqrt(np.exp(2 * rows["log_sigma"]) @ plane**2),
                    _angle(places),
                )
                for name, (rows, places) in of_tasks.items()
            },
            f"{title}: latents of tasks",
        ),
    }


def _plane(mu, goals):
    """Two directions [d, 2] at right angles, of latents [N, d] that tell goals [N, 2] best."""
    away = lambda x: x - x.mean(axis=0)
    return np.linalg.qr(np.linalg.lstsq(away(mu), away(goals), rcond=None)[0])[0]


def _episodes(learner, fast, task, key):
    """(paths [N, E, T, 2] with nan beyond an episode's end, latents [N, E, d])."""
    trajectory = learner.measure(fast, task, _PATHS, key)
    place = learner.environment.planar_positions(trajectory.observation.numpy())
    place = np.where(trajectory.mask.numpy()[..., None] > 0, place, np.nan)
    params = learner.acting(learner.meta.read(), fast)
    latent = learner.policy.initial_memory(params, _PATHS, trajectory.episode_noise)
    return place, latent.numpy()


def _angle(goals):
    """Of places [N, 2] from (0, 0), degrees."""
    return np.degrees(np.arctan2(goals[:, 1], goals[:, 0]))


def _text(title, experiment, methods, settings, paired, costs):
    config = experiment.config
    last, episodes = config.num_updates, methods["maesn"]["episodes_per_update"]
    updates = [update for update in _UPDATES if update < last] + [last]
    columns = " | ".join(f"k = {update}" for update in updates)
    seeds, family = len(config.seeds), experiment.environment
    told = ", ".join(f"{cost:.1f} ({method})" for method, cost in costs.items())
    return [
        f"## {title}",
        "",
        f"{family.notice} {family.horizon} steps per episode.".strip(),
        "",
        f"Mean return over {config.num_tasks} held-out goals with sparse rewards, {seeds} "
        f"{'seeds [95 % interval over seeds]' if seeds > 1 else 'seed'}, after k updates of "
        f"{episodes} episodes each.",
        "",
        f"| method | {columns} |",
        "|---" * (len(updates) + 1) + "|",
        *adaptation_rows(methods, updates),
        "",
        "Differences at the same number of episodes, paired over seeds"
        f"{' [95 % interval]' if seeds > 1 else ''} (seeds won).",
        "",
        *paired_rows(paired, updates=updates),
        "",
        *(["Of the return, controls cost " + told + " per episode.", ""] if costs else []),
        *settings_rows(settings),
        "",
    ]
