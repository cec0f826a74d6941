"""Whether CAML's bandwidth and number of medoids suit a family, on training entities only."""

import tfcaml  # isort: skip  (first: TF-Agents needs Keras 2)

import pathlib

import numpy as np

from tfcaml import divergence, environments, figures, keys, learners, nest, policies


def trained_apart(family, policy, population, updates):
    """A policy for each training entity, each trained on its own, and an episode of each."""
    size = nest.leading(population.train)
    config = learners.PolicyGradient.Config(num_iterations=updates, meta_batch_size=size)
    learner = learners.PolicyGradient(family, policy, config)
    tfcaml.train(learner, population, seed=0)
    fast = learner.meta.read()
    return fast.params, learner.measure(fast, population.train, 1, keys.from_int(0))


def table(policy, params, episodes, bandwidths, numbers, groups):
    """Silhouette of the clusters for each bandwidth and k, and the matrices."""
    matrices, scores = {}, []
    for bandwidth in bandwidths:
        matrix = divergence.policy_divergence_matrix(
            policy, params, episodes, bandwidth=bandwidth
        ).numpy()
        matrices[bandwidth] = matrix
        row = [
            divergence.silhouette(matrix, divergence.k_medoids(matrix, k).labels) for k in numbers
        ]
        scores.append(row)
        known = divergence.agreement(matrix, groups)  # only where groups are known
        best = numbers[int(np.nanargmax(row))]
        print(f"bandwidth {bandwidth}: silhouette", np.round(row, 2), end=" ")
        print(f"best k {best}, ARI {known.ari:.2f}, largest divergence {matrix.max():.2f}")
    return matrices, np.array(scores)


def validated(family, policy, population, settings, iterations, updates=1):
    """Mean return of CAML with these settings on entities held back from the training ones."""
    held_back = np.arange(nest.leading(population.train)) % 4 == 0  # one of each group here
    rows, own = np.flatnonzero(~held_back), np.flatnonzero(held_back)
    inner = population._replace(
        train=nest.take(population.train, rows),
        test=nest.take(population.train, own),
        train_group=population.train_group[rows],
        test_group=population.train_group[own],
    )
    config = learners.CAML.Config(
        num_iterations=iterations, meta_batch_size=6, policies_per_clustering=24, **settings
    )
    learner = learners.CAML(family, policy, config)
    tfcaml.train(learner, inner, seed=0)
    result = tfcaml.evaluate(learner, inner.test, num_updates=updates, num_episodes=10, seed=0)
    return result.returns.mean(axis=(1, 2))


def main(updates=40, iterations=8, horizon=50, numbers=(2, 4, 6, 8), directory="runs/choosing"):
    """The silhouettes, and the mean returns of two settings on entities held back."""
    family = environments.Particle(environments.ParticleConfig(horizon=horizon))
    population = family.population(seed=0)
    policy = policies.mlp_policy(family.observation_spec, family.action_spec, (64,))
    params, episodes = trained_apart(family, policy, population, updates)
    groups = population.train_group
    bandwidths = (0.02, 0.5, 5.0)
    matrices, scores = table(policy, params, episodes, bandwidths, numbers, groups)
    pathlib.Path(directory).mkdir(parents=True, exist_ok=True)
    for bandwidth, matrix in matrices.items():
        clusters = divergence.k_medoids(matrix, 6)
        title = f"bandwidth {bandwidth}"
        map_of = figures.policy_map(matrix, clusters.labels, clusters.medoids, groups, title=title)
        figures.save(map_of, pathlib.Path(directory) / f"map_{bandwidth}.png")
    found = {"silhouette": scores}
    for k, bandwidth in ((2, "0.5"), (6, "0.5")):
        settings = {"num_medoids": k, "divergence": {"bandwidth": bandwidth}}
        mean = validated(family, policy, population, settings, iterations)
        found[f"k={k}"] = mean
        print(f"CAML with k={k}, bandwidth {bandwidth}: mean return", np.round(mean, 1))
    return found


if __name__ == "__main__":
    main()
