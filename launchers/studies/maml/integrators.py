"""Does an ant that learned under Euler's method behave alike under Runge and Kutta's, and back?

MAML is trained on `configs/locomotion/ant_direction.py` under each integrator, and what it learned
is measured under both.
"""

import numpy as np
from tfcaml.configs.locomotion import ant_direction

import tfcaml
from tfcaml import statistics
from tfcaml.environments import ENVIRONMENTS

from ..runs import interval, kept, rounded, run_config, shrink

INTEGRATORS = ("euler", "rk4")
_METHOD = "maml"


def run(study_seeds, out_dir, quick=False):
    """Runs the study; see `launchers.reproduce`."""
    rows, seconds = {}, {}
    for trained_under in INTEGRATORS:
        content = ant_direction.get_config(trained_under).to_dict()
        content["compared"] = {}
        if quick:
            shrink(content)
        root = out_dir / "runs" / trained_under
        experiment, _ = run_config(content, study_seeds, root)
        seconds[trained_under] = experiment.training_seconds(_METHOD)
        for measured_under in INTEGRATORS:
            settings = {"content": content, "seeds": study_seeds, "measured_under": measured_under}
            path = out_dir / "measured" / f"{trained_under}_{measured_under}.json"
            returns = np.array(kept(path, settings, lambda: _measured(experiment, measured_under)))
            summaries = [statistics.mean(returns[:, k]) for k in range(returns.shape[1])]
            rows[f"{trained_under}, {measured_under}"] = [
                dict(zip(("value", "lower", "upper"), map(_number, row))) for row in summaries
            ]
    results = {"seeds": list(study_seeds), "returns": rows, "seconds_per_seed": seconds}
    return rounded(results), _text(rows, seconds), {}


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


def _number(value):
    return None if value is None or not np.isfinite(value) else float(value)


def _text(rows, seconds):
    steps = len(next(iter(rows.values())))
    lines = [
        "Mean return [95 % interval over seeds] after k adaptation steps.",
        "",
        "| trained, measured under | " + " | ".join(f"k = {k}" for k in range(steps)) + " |",
        "|---" * (steps + 1) + "|",
    ]
    lines += [f"| {name} | {' | '.join(map(interval, row))} |" for name, row in rows.items()]
    lines += ["", "| integrator | seconds of training per seed |", "|---|---|"]
    lines += [f"| {name} | {value:.0f} |" for name, value in seconds.items()]
    return "\n".join(lines) + "\n"
