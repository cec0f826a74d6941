"""What the study of hindsight counts, apart from what it finds."""

import numpy as np
import pytest
import tensorflow as tf

from launchers.studies.hindsight.bench import (
    EXPERT_EPISODES,
    GUIDED,
    Bench,
    first_success,
    shuffled,
)
from launchers.studies.hindsight.maze import up_to
from launchers.studies.hindsight.similarity import MazeSimilarity
from tfcaml import environments, statistics
from tfcaml.learners.hindsight.buffer import Hindsight


def test_first_success_counts_from_one_and_says_when_there_was_none():
    success = np.array([[1, 0, 1], [0, 0, 1], [0, 0, 0]], bool)
    np.testing.assert_array_equal(first_success(success), [1, 3, 4])


def test_goals_that_are_not_found_leave_their_bounds_open():
    """With 201 for "not found in 200 episodes", 6 / 201 is not a bound of the ratio."""
    guided = np.full([20, 6], 6)
    alone = np.repeat(np.where(np.arange(20) < 11, 60, 201)[:, None], 6, axis=1)
    assert up_to(200, statistics.median, guided) == {"value": 6, "lower": 6, "upper": 6}
    found = up_to(200, statistics.median, alone)
    assert found == {"value": 60, "lower": 60, "upper": 200, "censored": {"upper": ">"}}
    found = up_to(200, statistics.median_ratio, guided, alone)
    assert found["censored"] == {"lower": "<"}
    assert [found[key] for key in ("value", "lower", "upper")] == [0.1, 0.03, 0.1]
    never = np.full([20, 6], 201)
    found = up_to(200, statistics.median_ratio, never, never)
    assert found["censored"] == {"value": "?", "lower": "<", "upper": ">"}
    found = up_to(200, statistics.median, alone[:2])
    assert found == {"value": 60, "lower": None, "upper": None}


def test_random_similarity_swaps_the_tasks_of_what_is_held():
    order, number = np.array([3, 0, 1, 2, 4]), tf.range(5)
    buffer = {"order": tf.constant(order), "entries": Hindsight((), {"goal": number}, number, ())}
    changed = shuffled(buffer, seed=0)
    goal = changed["entries"].task["goal"].numpy()
    assert goal[1] == 1 and sorted(goal) == list(range(5)) and (goal != range(5)).any()
    np.testing.assert_array_equal(changed["entries"].params, number)
    np.testing.assert_array_equal(changed["order"], order)


@pytest.fixture(scope="module")
def similarity():
    maze = environments.Maze(environments.MazeConfig(num_train=50))
    return MazeSimilarity(maze, policy=None, play=None)


def test_area_is_one_for_the_divergence_itself_and_a_half_for_noise(similarity):
    population = similarity.maze.population(0)
    assert similarity.auc(population, -similarity.exact) == 1
    assert similarity.auc(population, similarity.exact) == 0
    noise = np.random.default_rng(0).normal(size=similarity.exact.shape)
    assert similarity.auc(population, noise) == pytest.approx(0.5, abs=0.15)
    # Pairs of training goals don't count.
    rows = np.searchsorted(similarity.goals, similarity.maze.goal_cells(population.train))
    spoilt = -similarity.exact.copy()
    spoilt[np.ix_(rows, rows)] = 0
    assert similarity.auc(population, spoilt) == 1


def test_near_goals_have_near_policies(similarity):
    assert similarity.way_correlation() == pytest.approx(0.92, abs=0.005)


def test_training_episodes_are_counted():
    bench = Bench("maze", quick=True)
    shared, goals = bench.learners[GUIDED].config, bench.maze.config.num_train
    episodes = shared.num_iterations * shared.meta_batch_size * shared.episodes_per_update
    learned = goals * bench.expert_updates * bench.experts.config.episodes_per_update
    assert bench.training_episodes == {
        "meta": 2 * episodes,
        "experts": learned + goals * EXPERT_EPISODES,
    }
