"""Figure 4 of the CAML paper: where each method's episodes end on the first held-out entity.

The methods of `configs/caml/figure3.py`, before and after five updates: distance from the end of an
episode to the goal over all seeds, and for the first seed end positions and example trajectories.
"""

import numpy as np
from tfcaml.configs.caml import figure3 as caml_figure3

from tfcaml import evaluation, figures, nest, statistics
from tfcaml.environments.native import particle
from tfcaml.experiments.experiment import Experiment

from ..runs import interval, run_config, shrink
from .figure3 import in_order

_UPDATES, _EPISODES = 5, 20
_PATHS = ("caml", "caml_paper", "reptile", "joint", "random", "matched")  # with trajectories


def run(study_seeds, out_dir, quick=False, train=Experiment.train):
    """Runs the study; see `launchers.reproduce`."""
    content = caml_figure3.get_config().to_dict()
    if quick:
        shrink(content, ["random"])
    jit_compile = False if quick else None
    root = out_dir / "runs" / "caml_figure3"
    experiment, _ = run_config(content, study_seeds, root, jit_compile, train=train)
    ends, distances = {}, {}
    for method in in_order(experiment.config.learners):
        played = [_episodes(experiment, method, seed) for seed in study_seeds]
        ends[method] = played[0]
        distances[method] = [_summary(played, when) for when in (0, 1)]
    before, after = (
        {method: pair[when].final_observation[0].numpy() for method, pair in ends.items()}
        for when in (0, 1)
    )
    pictures = {
        "end_positions": figures.end_positions(before, after, particle.GOAL),
        "trajectories": figures.trajectories(
            *({m: _paths(ends[m][when]) for m in _PATHS if m in ends} for when in (0, 1)),
            particle.GOAL,
        ),
    }
    results = {
        "seeds": list(study_seeds),
        "config": "caml/figure3",
        "settings": content,
        "distance_to_goal": distances,
        "first_seed_ends": {
            name: {method: np.round(x, 3).tolist() for method, x in found.items()}
            for name, found in (("before", before), ("after", after))
        },
    }
    return results, _text(results), pictures


def _episodes(experiment, method, seed):
    """Episodes on the first held-out entity: (`Trajectory` before, after)."""
    learner = experiment.trained(method, seed)
    query = experiment.population(seed).test
    result = evaluation.evaluate(
        learner, query, num_updates=_UPDATES, num_episodes=_EPISODES, seed=seed
    )
    return tuple(nest.map(lambda x: x[:1], episodes) for episodes in result.trajectories)


def _summary(played, when):
    """Distance of episodes' ends to the goal, mean over seeds with its interval."""
    ends = np.stack([pair[when].final_observation[0] for pair in played])  # [S, E, 2]
    found = statistics.mean(np.linalg.norm(ends - particle.GOAL, axis=-1))
    return {name: None if np.isnan(x) else round(x, 4) for name, x in found._asdict().items()}


def _paths(trajectory):
    """The first episodes' positions, with their ends: [E, T + 1, 2], nan after an end."""
    position, mask = trajectory.observation[0, :10].numpy(), trajectory.mask[0, :10].numpy()
    path = np.where(mask[..., None] > 0, position, np.nan)
    path = np.concatenate([path, np.full_like(path[:, :1], np.nan)], axis=1)
    path[np.arange(len(path)), mask.sum(axis=1).astype(int)] = trajectory.final_observation[0, :10]
    return path


def _text(results):
    lines = [
        "Distance from the ends of 20 episodes to the goal on the first held-out entity, mean over "
        f"{len(results['seeds'])} seeds [95 % interval]; the start is 1.41 away.",
        "",
        f"| method | before | after {_UPDATES} updates |",
        "|---|---|---|",
    ]
    for method, (before, after) in results["distance_to_goal"].items():
        lines.append(f"| {method} | {interval(before, 2)} | {interval(after, 2)} |")
    return "\n".join(lines) + "\n"
