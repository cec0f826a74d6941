"""Settings of the baselines of `caml_figure3`: the best of a grid, on seeds of their own.

Every setting is trained and tested on seeds 100, 101, ... whose entities no other study sees; the
best has the highest return, mean over updates 0-5. `configs/caml_figure3.py` ships the winners.
"""

import itertools

import numpy as np

from configs import caml_figure3
from launchers.studies.runs import kept
from tfcaml import environments, evaluation, figures, learners, policies, training
from tfcaml.progress import Progress

FIRST_SEED = 100
NUM_TASKS, NUM_UPDATES = 6, 5
_OUTER = (
    {"outer_optimizer": "adam", "outer_learning_rate": 3e-4},
    {"outer_optimizer": "adam", "outer_learning_rate": 1e-3},
    {"outer_optimizer": "adam", "outer_learning_rate": 3e-3},
    {"outer_optimizer": "trpo"},
)
_RATES = [
    {"inner_learning_rate": alpha, **outer}
    for alpha, outer in itertools.product((0.1, 0.3, 1.0, 3.0), _OUTER)
]
GRID = {
    "reptile": [{"outer_step_size": x} for x in (0.02, 0.05, 0.1, 0.25, 0.5, 1.0)],
    "maml": _RATES,
    "fomaml": _RATES,
}


def run(study_seeds, out_dir, quick=False):
    """Runs the study; see `launchers.reproduce`."""
    seeds = [FIRST_SEED + seed for seed in study_seeds]
    options = environments.ParticleConfig(horizon=5 if quick else 100)
    units = (4,) if quick else (100, 100)
    environment = environments.Particle(options)
    policy = policies.mlp_policy(environment.observation_spec, environment.action_spec, units)
    grid = {"reptile": GRID["reptile"][:2], "maml": GRID["maml"][:1]} if quick else GRID
    jit = False if quick else None  # compiling would take longer than all else
    results, curves = {name: [] for name in grid}, {}
    with Progress(sum(map(len, grid.values()))) as progress:
        for name, rows in grid.items():
            for index, setting in enumerate(rows):
                config = _config(name, setting, quick)
                compute = lambda c=config, n=name: _returns(environment, policy, n, c, seeds, jit)
                path = out_dir / "parts" / f"{name}_{index}.json"
                settings = {"seeds": seeds, "config": vars(config), "quick": quick}
                returns = np.array(kept(path, settings, compute))  # [S, U + 1]
                results[name].append(
                    {"setting": setting, "returns": returns.mean(axis=0).round(2).tolist()}
                )
                curves[name, index] = returns[:, :, None]
                progress.advance(f"{name} {index + 1}/{len(rows)}", _words(setting))
    first = {name: max(rows, key=_score) for name, rows in results.items()}
    best = {name: row["setting"] for name, row in first.items()}
    shown = {name: curves[name, results[name].index(row)] for name, row in first.items()}
    picture = figures.adaptation_curves(shown, "The best setting of each, on tuning seeds")
    found = {"seeds": seeds, "config": "caml_figure3", "best": best, "grid": results}
    return found, _text(found), {"best": picture}


def _config(name, setting, quick):
    section = caml_figure3.get_config().baselines[name].to_dict() | setting
    section.pop("name")
    if quick:
        section |= {"num_iterations": 1, "episodes_per_update": 2}
    return learners.LEARNERS[name].Config(**section)


def _returns(environment, policy, name, config, seeds, jit_compile):
    """Mean return after each update, [S][U + 1]."""
    learner = learners.LEARNERS[name](environment, policy, config, jit_compile=jit_compile)
    found = []
    for seed in seeds:
        population = environment.population(seed, NUM_TASKS)
        learner.reset(seed)
        training.train(learner, population, seed=seed)
        result = evaluation.evaluate(learner, population.query, num_updates=NUM_UPDATES, seed=seed)
        found.append(result.returns.mean(axis=(1, 2)).tolist())
    return found


def _score(row):
    return np.mean(row["returns"])


def _words(setting):
    return ", ".join(f"{name} {value}" for name, value in setting.items())


def _text(found):
    lines = [
        f"Mean return on {NUM_TASKS} held-out entities of each of the seeds {found['seeds']} after "
        "k updates; the best of each method by the mean over k is marked.",
        "",
        "| method | setting | " + " | ".join(f"k = {k}" for k in range(NUM_UPDATES + 1)) + " |",
        "|---" * (NUM_UPDATES + 3) + "|",
    ]
    for name, rows in found["grid"].items():
        for row in rows:
            mark = " **best**" if row["setting"] == found["best"][name] else ""
            cells = " | ".join(f"{value:.0f}" for value in row["returns"])
            lines.append(f"| {name} | {_words(row['setting'])}{mark} | {cells} |")
    return "\n".join(lines) + "\n"
