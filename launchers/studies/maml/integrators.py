"""Does an ant that learned under Euler's method behave alike under Runge and Kutta's, and back?

MAML is trained on `configs/locomotion/ant_direction.py` under each integrator, and what it learned
is measured under both.
"""

import numpy as np
from tfcaml.configs.locomotion import ant_direction

import tfcaml
from tfcaml import figures, statistics
from tfcaml.environments import ENVIRONMENTS
from tfcaml.experiments.experiment import Experiment

from ..runs import interval, kept, rounded, run_config, shrink

INTEGRATORS = ("euler", "rk4")
_METHOD = "maml"


def run(study_seeds, out_dir, quick=False, train=Experiment.train):
    """Runs the study; see `launchers.reproduce`."""
    returns, seconds = {}, {}
    for trained_under in INTEGRATORS:
        content = ant_direction.get_config(trained_under).to_dict()
        content["compared"] = {}
        if quick:
            shrink(content)
        root = out_dir / "runs" / trained_under
        experiment, _ = run_config(content, study_seeds, root, train=train)
        seconds[trained_under] = experiment.training_seconds(_METHOD)
        for measured_under in INTEGRATORS:
            settings = {"content": content, "seeds": study_seeds, "measured_under": measured_under}
            path = out_dir / "measured" / f"{trained_under}_{measured_under}.json"
            name = f"trained under {trained_under}, measured under {measured_under}"
            measure = lambda: _measured(experiment, measured_under)
            returns[name] = np.array(kept(path, settings, measure))
    rows = {name: _intervals(values) for name, values in returns.items()}
    results = {"seeds": list(study_seeds), "returns": rows, "seconds_per_seed": seconds}
    title = "The ant's two directions"
    return (
        rounded(results),
        _text(rows, seconds),
        {"adaptation": figures.adaptation_curves(returns, title)},
    )


def _measured(experiment, integrator):
    """Mean returns of each seed's learner under an integrator: [S, U + 1, Q]."""
    config = experiment.config
    family, options = ENVIRONMENTS[config.environment_name]
    environment = family(options(**{**vars(config.environment), "integrator": integrator}))
    found = []
    for seed in config.seeds:
        learner = experiment.trained(_METHOD, seed)
        there = type(learner)(environment, learner.policy, learner.config)
        there.meta.write(learner.meta.read())
        result = tfcaml.evaluate(
            there,
            experiment.population(seed).test,
            num_updates=config.num_updates,
            num_episodes=config.episodes,
            seed=seed,
        )
        found.append(result.returns.mean(axis=2))
    return np.array(found).tolist()


def _intervals(values):
    """The mean over seeds after 0, 1, ... updates, of [S, U + 1, Q], as JSON has it."""
    found = [statistics.mean(values[:, k]) for k in range(values.shape[1])]
    number = lambda x: float(x) if np.isfinite(x) else None
    return [dict(zip(("value", "lower", "upper"), map(number, row))) for row in found]


def _text(rows, seconds):
    steps = len(next(iter(rows.values())))
    lines = [
        "Mean return [95 % interval over seeds] after k adaptation steps.",
        "",
        "| | " + " | ".join(f"k = {k}" for k in range(steps)) + " |",
        "|---" * (steps + 1) + "|",
    ]
    lines += [f"| {name} | {' | '.join(map(interval, row))} |" for name, row in rows.items()]
    lines += ["", "| integrator | seconds of training per seed |", "|---|---|"]
    lines += [f"| {name} | {value:.0f} |" for name, value in seconds.items()]
    return "\n".join(lines) + "\n"
