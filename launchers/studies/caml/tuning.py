"""Settings of the methods that `caml_figure3` compares CAML with: the best of a grid.

Every setting of a method is tried on five seeds, its three best ones on twenty others, and the one
that is best there is chosen: the highest return, mean over updates 0 to 5. No other study sees the
entities of these seeds. `configs/caml/figure3.py` ships the winners.
"""

import dataclasses
import itertools

import numpy as np
from tfcaml.configs.caml import figure3 as caml_figure3

from tfcaml import environments, evaluation, figures, learners, policies, training
from tfcaml.progress import Progress
from tfcaml.settings import flat

from ..runs import kept

SCREENING_SEEDS = (100, 101, 102, 103, 104)  # on which every setting is tried
FIRST_SEED = 105  # of those on which the best are compared
NUM_FINALISTS = 3  # settings of each method that are compared there
NUM_TASKS, NUM_UPDATES = 6, 5
_OUTER = (
    {"optimizer": "adam", "learning_rate": 3e-4},
    {"optimizer": "adam", "learning_rate": 1e-3},
    {"optimizer": "adam", "learning_rate": 3e-3},
    {"optimizer": "trpo"},
)
_RATES = [
    {"inner_learning_rate": alpha, "outer": outer}
    for alpha, outer in itertools.product((0.1, 0.3, 1.0, 3.0), _OUTER)
]
GRID = {
    "reptile": [
        {"outer_step_size": epsilon, "adam_beta_1": beta}
        for epsilon, beta in itertools.product((0.02, 0.05, 0.1, 0.25, 0.5, 1.0), (0.0, 0.9))
    ],
    "maml": _RATES,
    "fomaml": _RATES,
}


def run(study_seeds, out_dir, quick=False):
    """Runs the study; see `launchers.reproduce`. study_seeds: counted from `FIRST_SEED`."""
    screening = SCREENING_SEEDS[:1] if quick else SCREENING_SEEDS
    final = [FIRST_SEED + seed for seed in study_seeds]
    grid = {"reptile": GRID["reptile"][:2], "maml": GRID["maml"][:1]} if quick else GRID
    found = {"seeds": final, "screening_seeds": list(screening), "config": "caml/figure3"}
    found |= {"best": {}, "screening": {}, "final": {}}
    shown = {}
    finalists = sum(min(len(rows), NUM_FINALISTS) for rows in grid.values())
    with Progress(sum(map(len, grid.values())) + finalists) as progress:
        for method, settings in grid.items():
            for stage, seeds in (("screening", screening), ("final", final)):
                rows = []
                for setting in settings:
                    returns = measure(method, setting, stage, seeds, out_dir, quick)
                    mean = returns.mean(axis=0).round(2).tolist()
                    rows.append({"setting": setting, "returns": mean})
                    progress.advance(f"{method}, {stage}", _words(setting))
                    if stage == "final":
                        shown[method, _words(setting)] = returns[:, :, None]
                found[stage][method] = rows
                settings = [row["setting"] for row in _ranked(rows)[:NUM_FINALISTS]]
            found["best"][method] = settings[0]
    curves = {name: shown[name, _words(setting)] for name, setting in found["best"].items()}
    picture = figures.adaptation_curves(curves, "The best setting of each, on tuning seeds")
    return found, _text(found), {"best": picture}


def measure(method, setting, stage, seeds, out_dir, quick=False):
    """Mean return of a setting after each update, [S, U + 1]; kept in a file of `out_dir`."""
    config = _config(method, setting, quick)
    settings = {"seeds": list(seeds), "config": dataclasses.asdict(config), "quick": quick}
    path = out_dir / "parts" / f"{stage}_{method}_{GRID[method].index(setting)}.json"
    return np.array(kept(path, settings, lambda: _returns(method, config, seeds, quick)))


def _config(name, setting, quick):
    section = caml_figure3.get_config().compared[name].to_dict()
    section.pop("name")
    tuned = {field for each in GRID[name] for field in each}  # at their defaults unless set
    section = {field: value for field, value in section.items() if field not in tuned} | setting
    if section.get("outer", {}).get("optimizer") == "trpo":
        section["outer"] = {**section["outer"], "cg_iterations": 10}
    if quick:
        section |= {"num_iterations": 1, "episodes_per_update": 2}
    return learners.LEARNERS[name].Config(**section)


def _returns(method, config, seeds, quick):
    """Mean return after each update, [S][U + 1]."""
    environment = environments.Particle(environments.ParticleConfig(horizon=5 if quick else 100))
    units = (4,) if quick else (100, 100)
    policy = policies.mlp_policy(environment.observation_spec, environment.action_spec, units)
    jit_compile = False if quick else None  # compiling would take longer than all else
    learner = learners.LEARNERS[method](environment, policy, config, jit_compile=jit_compile)
    found = []
    for seed in seeds:
        population = environment.population(seed, NUM_TASKS)
        learner.reset(seed)
        training.train(learner, population, seed=seed)
        result = evaluation.evaluate(learner, population.test, num_updates=NUM_UPDATES, seed=seed)
        found.append(result.returns.mean(axis=(1, 2)).tolist())
    return found


def _ranked(rows):
    """Rows with the best first."""
    return sorted(rows, key=lambda row: -np.mean(row["returns"]))


def _words(setting):
    return ", ".join(f"{name} {value}" for name, value in flat(setting).items())


def _text(found):
    heading = " | ".join(f"k = {k}" for k in range(NUM_UPDATES + 1))
    lines = []
    stages = (
        ("final", "The best settings", found["seeds"]),
        ("screening", "All settings", found["screening_seeds"]),
    )
    for stage, title, seeds in stages:
        lines += [
            f"## {title}, seeds {seeds[0]} to {seeds[-1]}",
            "",
            f"Mean return on {NUM_TASKS} held-out entities of each seed after k updates. Settings "
            "are ranked by the mean over k; "
            + (
                "the first of each method is chosen."
                if stage == "final"
                else f"the first {NUM_FINALISTS} go on to the other seeds."
            ),
            "",
            f"| method | setting | {heading} |",
            "|---" * (NUM_UPDATES + 3) + "|",
        ]
        for method, rows in found[stage].items():
            for row in _ranked(rows):
                cells = " | ".join(f"{value:.0f}" for value in row["returns"])
                lines.append(f"| {method} | {_words(row['setting'])} | {cells} |")
        lines.append("")
    return "\n".join(lines)
