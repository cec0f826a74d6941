"""Figure 2 of the CAML paper: do policies trained apart show the latent groups of their entities?

24 entities of six latent groups; a policy for each, from an initialisation of its own, 40 updates
of the vanilla policy gradient. At updates 0, 20 and 40 the policies are compared by each estimator
of the divergence, clustered into six, and the clusters held against the groups: adjusted Rand index
(ARI), silhouette of the true groups, and how often a policy's nearest neighbour is of its group.
"""

import numpy as np
import tensorflow as tf

from tfcaml import divergence, environments, figures, learners, nest, policies, seeds, training
from tfcaml.progress import Progress

UPDATES = (0, 20, 40)
ESTIMATORS = {
    "recommended: h = 0.5, w = 1/q": {},
    "paper: Scott's rule, w = q": {"bandwidth": "scott", "weight": "density"},
    "paper's formula, h = 1": {"bandwidth": 1.0, "weight": "density"},
    "squared Hellinger, h = 0.5": {"form": "hellinger"},
    "time-indexed, h = 0.5": {"time_indexed": True},
    "policies only, h = 0.5": {"occupancy": "action"},
    "control: state density only": {"occupancy": "state"},
}
_PICTURED = next(iter(ESTIMATORS))
_PARAMETERS, _RANDOM = "control: distance of parameters", "control: random matrix"


def run(study_seeds, out_dir, quick=False):
    """Runs the study; see `launchers.reproduce`."""
    updates, horizon, units = ((0, 1), 8, (8,)) if quick else (UPDATES, 100, (100, 100))
    environment = environments.Particle(environments.ParticleConfig(horizon=horizon))
    policy = policies.mlp_policy(environment.observation_spec, environment.action_spec, units)
    learner = learners.PolicyGradient(environment, policy)
    scores = {name: [] for name in [*ESTIMATORS, _PARAMETERS, _RANDOM]}
    returns, pictures = [], {}
    with Progress(len(study_seeds) * len(updates)) as progress:
        for seed in study_seeds:
            population = environment.population(seed)
            learner.reset(seed)
            rows = {name: [] for name in scores}
            for update in updates:
                while int(learner.iteration) < update:
                    metrics = training.train_all(learner, population.support, seed)
                fast, trajectory = _snapshot(learner, population, seed, update)
                for name, matrix in _matrices(policy, fast.params, trajectory, seed).items():
                    rows[name].append(divergence.agreement(matrix, population.support_group, seed))
                    if name == _PICTURED and seed == study_seeds[0]:
                        pictures[f"policies_update_{update}"] = _picture(
                            matrix, population.support_group, update
                        )
                progress.advance(f"seed {seed}", f"update {update}")
            returns.append(metrics["return_before"])
            for name, values in rows.items():
                scores[name].append(values)
    scores = {name: np.array(values) for name, values in scores.items()}  # [S, updates, 3]
    results = {
        "seeds": list(study_seeds),
        "updates": list(updates),
        "return_at_the_last_update": returns,
        "scores": {
            name: dict(zip(("ari", "silhouette", "nearest_neighbour"), values.T.tolist()))
            for name, values in scores.items()
        },
    }
    return results, _text(scores, returns, updates), pictures


def _snapshot(learner, population, seed, update):
    fast = learner.meta.read()
    key = seeds.fold(seeds.from_int(seed), 0xF162, update)
    return fast, learner.evaluate_update(fast, population.support, 1, key)[2]


def _matrices(policy, params, trajectory, seed):
    matrices = {
        name: divergence.policy_divergence_matrix(
            policy, params, trajectory, seed=seed, **options
        ).numpy()
        for name, options in ESTIMATORS.items()
    }
    size = nest.leading(params)
    flat = np.concatenate([np.reshape(x, [size, -1]) for x in tf.nest.flatten(params)], axis=1)
    matrices[_PARAMETERS] = np.linalg.norm(flat[:, None] - flat[None], axis=-1)
    noise = np.random.default_rng([seed, 0xBAD]).random([size, size])
    matrices[_RANDOM] = (noise + noise.T) * (1 - np.eye(size))
    return matrices


def _picture(matrix, groups, update):
    clustering = divergence.k_medoids(matrix, len(set(groups)))
    title = f"24 policies after {update} updates"
    return figures.policy_map(matrix, clustering.labels, clustering.medoids, groups, title=title)


def _text(scores, returns, updates):
    lines = [
        f"24 policies from independent initialisations, {len(returns)} seeds, medians over seeds; "
        f"mean return at update {updates[-1]}: {np.mean(returns):.1f}",
        "",
        "| estimator | ARI at " + " / ".join(map(str, updates)) + " | worst seed "
        "| silhouette | nearest neighbour |",
        "|---|---|---|---|---|",
    ]
    for name, values in scores.items():
        ari, silhouette, neighbour = np.median(values, axis=0).T
        lines.append(
            f"| {name} | {' / '.join(f'{x:.2f}' for x in ari)} | {values[:, -1, 0].min():.2f} "
            f"| {silhouette[-1]:.2f} | {neighbour[-1]:.2f} |"
        )
    return "\n".join(lines) + "\n"
