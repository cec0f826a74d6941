"""Figure 2 of the CAML paper: do policies trained apart show the latent groups of their entities?

24 entities of six latent groups; a policy for each, from an initialisation of its own, 40 updates
of the vanilla policy gradient. Every five updates the policies are compared by each estimator of
the divergence, clustered into six, and the clusters held against the groups: adjusted Rand index
(ARI), silhouette of the true groups, and how often a policy's nearest neighbour is of its group.
Once more with policies that start from common weights, where their mere distance shows groups too.

The policies of all seeds are one batch, rows seed by seed. Random numbers of a row follow from the
first seed and the row, so that more seeds at the end change nothing for the others but rounding.
"""

import dataclasses
import functools

import numpy as np

from tfcaml import divergence, environments, figures, keys, learners, nest, policies, training
from tfcaml.progress import Progress
from tfcaml.types import FastState, episode_return

from ..runs import kept, rounded

UPDATES = tuple(range(0, 41, 5))
RECOMMENDED = "recommended: h = 0.5, w = 1/q"
LITERAL = "paper: Scott's rule, w = q"
ESTIMATORS = {
    RECOMMENDED: {},
    LITERAL: {"bandwidth": "scott", "weight": "density"},
    "paper's formula, h = 1": {"bandwidth": 1.0, "weight": "density"},
    "squared Hellinger, h = 0.5": {"form": "hellinger"},
    "time-indexed, h = 0.5": {"time_indexed": True},
    "policies only, h = 0.5": {"occupancy": "action"},
    "control: state density only": {"occupancy": "state"},
}
PARAMETERS, RANDOM = "control: distance of parameters", "control: random matrix"
CONDITIONS = {  # initialisation -> what compares the policies
    "independent": [*ESTIMATORS, PARAMETERS, RANDOM],
    "shared": [RECOMMENDED, LITERAL, PARAMETERS],
}
MEASURES = {"ari": "ARI", "silhouette": "silhouette", "nearest_neighbour": "nearest neighbour"}


def run(study_seeds, out_dir, quick=False):
    """Runs the study; see `launchers.reproduce`."""
    updates, horizon, units = ((0, 1), 8, (8,)) if quick else (UPDATES, 100, (100, 100))
    environment = environments.Particle(environments.ParticleConfig(horizon=horizon))
    policy = policies.mlp_policy(environment.observation_spec, environment.action_spec, units)
    jit_compile = False if quick else None  # compiling would take longer than all else
    trained = Policies(environment, policy, study_seeds, jit_compile)
    parts = {condition: [] for condition in CONDITIONS}
    with Progress(len(parts) * len(updates)) as progress:
        for condition in CONDITIONS:
            trained.restart(condition == "shared")
            settings = {
                "seeds": study_seeds,
                "environment": dataclasses.asdict(environment.config),
                "learner": dataclasses.asdict(trained.learner.config),
                "policy": units,
                "jit_compile": trained.learner.jit_compile,
                "compared": {name: ESTIMATORS.get(name) for name in CONDITIONS[condition]},
            }
            for update in updates:
                path = out_dir / "parts" / f"{condition}_update_{update}.json"
                compute = functools.partial(_compare, trained, update, CONDITIONS[condition])
                parts[condition].append(kept(path, settings, compute))
                progress.advance(f"{condition} initialisations", f"update {update}")
    results = {
        "seeds": list(study_seeds),
        "updates": list(updates),
        "environment": settings["environment"],
        "learner": settings["learner"],
        "returns": {
            condition: np.transpose([part["returns"] for part in rows]).tolist()
            for condition, rows in parts.items()
        },
        "scores": {condition: _scores(rows) for condition, rows in parts.items()},
    }
    results = rounded(results)
    return results, text(results), _pictures(results, parts["independent"])


class Policies:
    """The policies of all seeds as one batch, trained as far as asked for.

    Args:
      environment: a `Particle`.
      policy: a `Policy`.
      study_seeds: Python ints.
      jit_compile: as of the learner.
    """

    def __init__(self, environment, policy, study_seeds, jit_compile=None):
        self.populations = {seed: environment.population(seed) for seed in study_seeds}
        self.task = nest.concat(*[p.train for p in self.populations.values()])
        self.seed = study_seeds[0]
        config = learners.PolicyGradient.Config(meta_batch_size=nest.leading(self.task))
        self.learner = learners.PolicyGradient(environment, policy, config, self.seed, jit_compile)

    def restart(self, shared):
        """Back to before training. `shared`: a seed's policies start from common weights."""
        self.learner.reset(self.seed)
        if shared:
            rows = nest.leading(self.task)
            size = rows // len(self.populations)
            starts = [
                nest.repeat(self.learner.policy.init(seed), size) for seed in self.populations
            ]
            params = nest.concat(*starts)
            self.learner.meta.write(
                FastState(params, self.learner.inner_optimizer.init(params, rows))
            )

    def at(self, update):
        """(weights, each [S * 24, ...]; `Trajectory` of an episode of each) after an update."""
        while int(self.learner.iteration) < update:
            training.train_all(self.learner, self.task, self.seed)
        fast = self.learner.meta.read()
        key = keys.fold(keys.from_int(self.seed), 0xF162, update)
        return fast.params, self.learner.measure(fast, self.task, 1, keys.fold(key, 0))


def _compare(trained, update, names):
    """Returns and scores of each seed, and the pictured matrices of the first, as JSON values."""
    params, trajectory = trained.at(update)
    size = nest.leading(params) // len(trained.populations)
    scores, pictured = {name: [] for name in names}, {}
    for index, (seed, population) in enumerate(trained.populations.items()):
        rows = np.arange(size) + index * size
        own = nest.take(params, rows), nest.take(trajectory, rows)
        for name in names:
            matrix = _matrix(name, trained.learner.policy, *own, seed)
            scores[name].append(divergence.agreement(matrix, population.train_group, seed))
            if index == 0 and name in (RECOMMENDED, LITERAL):
                pictured[name] = matrix.tolist()
    returns = np.reshape(episode_return(trajectory), [len(trained.populations), size])
    groups = trained.populations[trained.seed].train_group.tolist()
    mean_returns = returns.mean(axis=1).tolist()
    return {"returns": mean_returns, "scores": scores, "matrices": pictured, "groups": groups}


def _matrix(name, policy, params, trajectory, seed):
    """[24, 24] distances between policies by an estimator or a control."""
    if name == PARAMETERS:
        return divergence.euclidean(params)
    if name == RANDOM:
        return divergence.random_distances(nest.leading(params), seed)
    options = ESTIMATORS[name]
    return divergence.policy_divergence_matrix(
        policy, params, trajectory, seed=seed, **options
    ).numpy()


def _scores(parts):
    """Parts, one per update -> {estimator: {measure: [seed][update]}}."""
    found = {}
    for name in parts[0]["scores"]:
        values = np.array([part["scores"][name] for part in parts]).T  # [measure, seed, update]
        found[name] = dict(zip(MEASURES, values.tolist()))
    return found


def text(results):
    """The tables of results, as Markdown."""
    updates, scores = results["updates"], results["scores"]["independent"]
    last = [np.mean(rows, axis=0)[-1] for rows in results["returns"].values()]
    growth = np.median(scores[RECOMMENDED]["ari"], axis=0)[_marks(updates)]
    steps = " < ".join(str(updates[mark]) for mark in _marks(updates))
    verdict = "holds" if (np.diff(growth) > 0).all() else "does not hold"
    lines = [
        f"24 policies from independent initialisations, {len(results['seeds'])} seeds, medians "
        f"over seeds; mean return at update {updates[-1]}: {last[0]:.1f}. All measures but the "
        f"first are those at update {updates[-1]}.",
        "",
        *_table(scores, updates),
        "",
        f"Growth of the ARI by the recommended estimator, updates {steps}: {verdict} "
        f"({' / '.join(f'{x:.2f}' for x in growth)}).",
        "",
        "All policies of a seed from the same weights: now the distance of parameters shows the "
        "groups, because the weights have moved from a common place. It says nothing about "
        f"policies made apart, as above. Mean return: {last[1]:.1f}.",
        "",
        *_table(results["scores"]["shared"], updates),
    ]
    return "\n".join(lines) + "\n"


def _marks(updates):
    """Positions of the first, the middle and the last update."""
    return sorted({0, len(updates) // 2, len(updates) - 1})


def _table(scores, updates):
    marks = _marks(updates)
    yield (
        "| estimator | ARI at " + " / ".join(str(updates[mark]) for mark in marks) + " "
        "| worst seed | silhouette | nearest neighbour |"
    )
    yield "|---|---|---|---|---|"
    for name, measures in scores.items():
        ari, silhouette, neighbour = (np.array(measures[measure]) for measure in MEASURES)
        growth = " / ".join(f"{x:.2f}" for x in np.median(ari, axis=0)[marks])
        yield (
            f"| {name} | {growth} | {ari[:, -1].min():.2f} "
            f"| {np.median(silhouette[:, -1]):.2f} | {np.median(neighbour[:, -1]):.2f} |"
        )


def _pictures(results, parts):
    updates = results["updates"]
    shown = range(0, len(updates), 2) if len(updates) > 3 else range(len(updates))
    maps = {
        name: {f"update {updates[i]}": parts[i]["matrices"][name] for i in shown}
        for name in (RECOMMENDED, LITERAL)
    }
    scores = results["scores"]["independent"]
    panels = {
        label: {name: np.array(rows[measure]) for name, rows in scores.items()}
        for measure, label in MEASURES.items()
    }
    title = f"Latent groups in the divergence of policies: medians of {len(results['seeds'])} seeds"
    return {
        "maps": figures.policy_maps(maps, parts[0]["groups"]),
        "scores": figures.curves(panels, updates, "update", title, bands=(RECOMMENDED, LITERAL)),
    }
