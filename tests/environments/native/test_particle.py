import itertools
import math

import numpy as np
import pytest
import tensorflow as tf

from tfcaml import keys
from tfcaml.environments import ENVIRONMENTS, Particle, ParticleConfig
from tfcaml.errors import ConfigError

LEFT, RIGHT, DOWN, UP = range(4)
CARDINAL = {LEFT: (-1, 0), RIGHT: (1, 0), DOWN: (0, -1), UP: (0, 1)}


def directions(entities):
    """Which way each action leads, [N, 4]: the coordinate that is exactly 1 or -1 tells."""
    moves = np.asarray(entities["displacement"])
    found = np.full(moves.shape[:2], -1)
    for index in np.ndindex(*found.shape):
        (axis,) = np.flatnonzero(np.abs(moves[index]) == 1)
        found[index] = {(0, -1): LEFT, (0, 1): RIGHT, (1, -1): DOWN, (1, 1): UP}[
            axis, int(moves[index][axis])
        ]
    return found


def permutation_of_groups(population):
    """The permutation of each group, checking that its members share it."""
    found = {}
    for entities, groups in (
        (population.train, population.train_group),
        (population.test, population.test_group),
    ):
        for row, group in zip(directions(entities), groups):
            assert sorted(row) == [0, 1, 2, 3]
            assert found.setdefault(int(group), tuple(row)) == tuple(row)
    return found


def identity(num=1):
    """The entity whose actions do what their names say."""
    table = np.array([CARDINAL[a] for a in range(4)], np.float32)
    return {"displacement": tf.constant(np.repeat(table[None], num, axis=0))}


def step(particle, task, position, action, noise=None):
    shape = np.shape(action)
    if noise is None:
        noise = tf.zeros([*shape, particle.noise_size])
    return particle.step(task, tf.constant(position, tf.float32), tf.constant(action), noise)


def test_population_of_the_paper():
    population = Particle().population(seed=0)
    assert population.train["displacement"].shape == [24, 4, 2]
    assert population.test["displacement"].shape == [3, 4, 2]
    np.testing.assert_array_equal(np.bincount(population.train_group), [4] * 6)
    assert len(set(permutation_of_groups(population).values())) == 6
    assert len(set(population.test_group)) == 3


@pytest.mark.parametrize("seed", range(5))
def test_no_entity_is_in_both_sets(seed):
    for split in ("variants", "groups"):
        population = Particle(ParticleConfig(query_split=split)).population(seed, num_test=9)
        support = population.train["displacement"].numpy().reshape(-1, 8)
        query = population.test["displacement"].numpy().reshape(-1, 8)
        everyone = np.concatenate([support, query])
        assert len(np.unique(everyone, axis=0)) == len(everyone)
        same_group = not set(population.test_group).isdisjoint(population.train_group)
        assert same_group == (split == "variants")


def test_held_out_groups():
    config = ParticleConfig(query_split="groups", num_held_out_groups=2)
    population = Particle(config).population(seed=1, num_test=5)
    assert set(population.test_group) | set(population.train_group) == set(range(6))
    assert len(set(population.test_group)) == 2
    assert len(population.train_group) == 16
    permutation_of_groups(population)


def test_variance_is_the_half_width_of_the_drift():
    for variance in (0.1, 0.5):
        config = ParticleConfig(variance=variance, variants_per_group=50)
        moves = Particle(config).population(seed=2).train["displacement"].numpy()
        drift = moves[np.abs(moves) != 1]
        assert len(drift) == 300 * 4
        assert np.abs(drift).max() <= variance
        np.testing.assert_allclose(
            [drift.mean(), drift.std()], [0, variance / math.sqrt(3)], atol=0.05 * variance
        )


def test_same_seed_same_population():
    first, again, other = (Particle().population(seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.train["displacement"], again.train["displacement"])
    np.testing.assert_array_equal(first.test["displacement"], again.test["displacement"])
    assert np.abs(first.train["displacement"] - other.train["displacement"]).max() > 0.1


@pytest.mark.parametrize("split", ["variants", "groups"])
def test_entities_stay_when_there_are_more_of_them(split):
    particle = Particle(ParticleConfig(query_split=split))
    few, many = particle.population(5, num_test=2), particle.population(5, num_test=11)
    np.testing.assert_array_equal(few.train["displacement"], many.train["displacement"])
    np.testing.assert_array_equal(few.test["displacement"], many.test["displacement"][:2])
    np.testing.assert_array_equal(few.test_group, many.test_group[:2])


@pytest.mark.parametrize("seed", range(8))
def test_pairs_gives_each_pair_of_actions_once(seed):
    population = Particle(ParticleConfig(group_rule="pairs")).population(seed)
    pairs = [
        frozenset((row.index(RIGHT), row.index(UP)))
        for row in permutation_of_groups(population).values()
    ]
    assert set(pairs) == {frozenset(pair) for pair in itertools.combinations(range(4), 2)}
    assert len(pairs) == 6


def test_cycles_are_the_six_permutations_in_one_cycle():
    population = Particle(ParticleConfig(group_rule="cycles")).population(0)
    permutations = set(permutation_of_groups(population).values())
    assert len(permutations) == 6
    for row in permutations:
        orbit = [0]
        for _ in range(3):
            orbit.append(row[orbit[-1]])
        assert sorted(orbit) == [0, 1, 2, 3] and row[orbit[-1]] == 0


def test_random_groups_differ():
    config = ParticleConfig(group_rule="random", num_groups=24, variants_per_group=1)
    population = Particle(config).population(0)
    assert len(set(permutation_of_groups(population).values())) == 24


@pytest.mark.parametrize("rule", ["pairs", "random", "cycles"])
def test_fewer_groups(rule):
    config = ParticleConfig(group_rule=rule, num_groups=2)
    population = Particle(config).population(0)
    assert len(permutation_of_groups(population)) == 2
    assert len(population.train_group) == 8


def test_population_samples_support_entities():
    population = Particle().population(0)
    drawn = population.sample(200, keys.from_int(0))[0]["displacement"].numpy()
    support = population.train["displacement"].numpy()
    index = [int(np.flatnonzero((support == row).all((1, 2)))[0]) for row in drawn]
    assert set(index) == set(range(24))
    again = population.sample(200, keys.from_int(0))[0]["displacement"]
    np.testing.assert_array_equal(drawn, again)


def test_reset_is_at_the_origin(population):
    particle = Particle()
    task = {"displacement": population.train["displacement"][:2]}
    state, observation = particle.reset(task, keys.per_episode(keys.from_int(0), 2, 3))
    np.testing.assert_array_equal(state, np.zeros([2, 3, 2]))
    np.testing.assert_array_equal(observation, np.zeros([2, 3, 2]))


def test_step_moves_as_the_entity_does_and_pays_the_distance_after_the_move(population):
    particle = Particle(ParticleConfig(step_size=0.25))
    task = population.train
    rng = np.random.default_rng(0)
    position = rng.uniform(-1, 1, (24, 5, 2))
    action = rng.integers(0, 4, (24, 5)).astype(np.int32)
    state, observation, reward, terminated = step(particle, task, position, action)
    table = task["displacement"].numpy()
    for i, e in np.ndindex(24, 5):
        expected = position[i, e] + 0.25 * table[i, action[i, e]]
        np.testing.assert_allclose(state[i, e], expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(reward[i, e], -((expected - 1) ** 2).sum(), rtol=1e-4)
    np.testing.assert_array_equal(observation, state)
    assert terminated.dtype == tf.bool and not np.any(terminated)


def test_arena_clips():
    position = [[[-0.95, 0.0], [0.95, 0.0], [0.0, -0.95], [0.0, 0.95]]]
    action = [[LEFT, RIGHT, DOWN, UP]]
    bounded = Particle(ParticleConfig(arena_bound=1.0))
    state = step(bounded, identity(), position, action)[0]
    np.testing.assert_allclose(state, [[[-1, 0], [1, 0], [0, -1], [0, 1]]], atol=1e-6)
    open_plane = Particle(ParticleConfig(arena_bound=math.inf))
    state = step(open_plane, identity(), position, action)[0]
    np.testing.assert_allclose(state, [[[-1.05, 0], [1.05, 0], [0, -1.05], [0, 1.05]]], atol=1e-6)


@pytest.mark.parametrize(
    ("radius", "start", "terminated"),
    [(0.05, 0.96, True), (0.05, 0.94, False), (0.0, 0.9, False), (2.0, -0.1, True)],
)
def test_termination(radius, start, terminated):
    """From (start, 1) minus one move to the right."""
    particle = Particle(ParticleConfig(termination_radius=radius))
    actual = step(particle, identity(), [[[start - 0.1, 1.0]]], [[RIGHT]])[3]
    np.testing.assert_array_equal(actual, [[terminated]])


def test_step_noise_drifts_sideways():
    particle = Particle(ParticleConfig(step_noise=0.4))
    assert particle.noise_size == 1 and Particle().noise_size == 0
    noise = tf.constant([[[0.0], [0.5], [1.0]]])
    right = step(particle, identity(), np.zeros([1, 3, 2]), [[RIGHT] * 3], noise)[0]
    np.testing.assert_allclose(right, [[[0.1, -0.04], [0.1, 0], [0.1, 0.04]]], atol=1e-6)
    up = step(particle, identity(), np.zeros([1, 3, 2]), [[UP] * 3], noise)[0]
    np.testing.assert_allclose(up, [[[-0.04, 0.1], [0, 0.1], [0.04, 0.1]]], atol=1e-6)


def test_specs_describe_tasks_and_observations(population):
    particle = Particle()
    for name, spec in particle.task_spec.items():
        for entities in (population.train, population.test):
            assert spec.is_compatible_with(entities[name][0])
    assert particle.observation_spec.shape == [2]
    assert (particle.action_spec.minimum, particle.action_spec.maximum) == (0, 3)
    assert particle.horizon == 100


def test_a_saved_task_is_the_same_task():
    """Tasks are plain arrays: they survive NumPy."""
    particle = Particle()
    task = particle.population(0).test
    copy = {name: tf.constant(value.numpy().tolist()) for name, value in task.items()}
    arguments = (np.zeros([3, 2, 2]), np.ones([3, 2], np.int32))
    for a, b in zip(step(particle, task, *arguments), step(particle, copy, *arguments)):
        np.testing.assert_array_equal(a, b)


def test_registered():
    family, options = ENVIRONMENTS["particle"]
    assert family(options(horizon=7)).horizon == 7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"step_size": 0.0}, "step_size to be > 0; received step_size=0.0"),
        ({"arena_bound": -1.0}, "arena_bound=-1.0"),
        ({"horizon": 0}, "horizon=0"),
        ({"variance": -0.1}, "variance to be >= 0; received variance=-0.1"),
        ({"step_noise": -1.0}, "step_noise=-1.0"),
        ({"termination_radius": -0.01}, "termination_radius=-0.01"),
        ({"variants_per_group": 0}, "variants_per_group=0"),
        ({"group_rule": "pair"}, "pairs, random, cycles; received group_rule='pair'"),
        ({"query_split": "group"}, "variants, groups; received query_split='group'"),
        ({"num_groups": 7}, "num_groups to be 1 to 6; received num_groups=7"),
        ({"num_groups": 0}, "num_groups=0"),
        ({"group_rule": "random", "num_groups": 25}, "1 to 24; received num_groups=25"),
        ({"query_split": "groups", "num_held_out_groups": 6}, "num_groups - 1 = 5"),
        ({"query_split": "groups", "num_held_out_groups": 0}, "num_held_out_groups=0"),
    ],
)
def test_errors(options, message):
    with pytest.raises(ConfigError, match=message):
        ParticleConfig(**options)


def test_errors_of_a_population():
    with pytest.raises(ConfigError, match=r"num_test to be a whole number .*; received num_test=0"):
        Particle().population(0, num_test=0)
    with pytest.raises(ConfigError, match=r"differ from training entities; received variance=0.0"):
        Particle(ParticleConfig(variance=0.0)).population(0)
    # Without variance whole held-out groups are still fresh.
    Particle(ParticleConfig(variance=0.0, query_split="groups")).population(0)
