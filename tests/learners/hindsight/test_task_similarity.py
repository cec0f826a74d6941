import functools

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tfcaml import divergence, keys, nest
from tfcaml.environments.native.maze import LAYOUTS, Maze, MazeConfig
from tfcaml.errors import ConfigError
from tfcaml.learners.hindsight import task_similarity
from tfcaml.learners.hindsight.task_similarity import Known, TaskSimilarity, TaskSimilarityConfig
from tfcaml.learners.state import Variables
from tfcaml.policies import NetworkPolicy
from tfcaml.rollouts import sampling


def area_under_curve(value, label):
    """Of the receiver operating characteristic, by ranks (Mann and Whitney)."""
    rank, positive = scipy.stats.rankdata(value), label > 0
    n, m = positive.sum(), (~positive).sum()
    return (rank[positive].sum() - n * (n + 1) / 2) / (n * m)


def compiled(network, num_steps):
    """`network.fit` of so many steps as one graph."""
    return tf.function(functools.partial(network.fit, num_steps=num_steps), autograph=False)


@pytest.fixture(scope="module")
def line():
    """Tasks on a line and in a nuisance: `Known` of 30, their distances [30, 30]."""
    place = np.random.default_rng(0).uniform(-3, 3, [30, 2]).astype(np.float32)
    return task_similarity.descriptors({"x": tf.constant(place)}), abs(
        place[:, None, 0] - place[:, 0]
    )


def of_pairs(matrix):
    i, j = divergence.pairs(len(matrix))
    return np.asarray(matrix)[i, j]


def held_out(network, fit, known, matrix, seed, rounds=1):
    """Learns 70 % of the tasks: (answers, distances, labels) of pairs of the others."""
    order = np.random.default_rng(seed).permutation(len(matrix))
    train, test = np.split(order, [round(0.7 * len(order))])
    distance = tf.constant(of_pairs(matrix[np.ix_(train, train)]), tf.float32)
    state = network.init(known.rows.shape[-1], seed)
    for index in range(rounds):
        key = keys.fold(keys.from_int(seed), index)
        state, metrics = fit(state, nest.take(known, train), distance, key)
    query, truth = nest.take(known, test), of_pairs(matrix[np.ix_(test, test)])
    label = truth <= metrics["similarity_threshold"].numpy()
    return of_pairs(network(state, query, query)), truth, label


def test_is_symmetric_by_construction(line):
    known, _ = line
    for objective in task_similarity.OBJECTIVES:
        network = TaskSimilarity(TaskSimilarityConfig(objective))
        state = network.init(2, 3)
        state["weights"]["bias"] = tf.constant(0.3)
        f = network(state, known, known).numpy()
        np.testing.assert_array_equal(f, f.T)
        alone = tf.sigmoid(0.3) if objective == "classification" else -0.3
        np.testing.assert_allclose(np.diag(f), alone, rtol=1e-6)
        part = network(state, nest.take(known, [4, 5]), nest.take(known, [1]))
        np.testing.assert_allclose(part, f[[4, 5]][:, [1]], rtol=1e-5)


def test_rows_have_no_order_and_padding_no_weight():
    rng = np.random.default_rng(0)
    rows = tf.constant(rng.normal(size=[3, 6, 4]), tf.float32)
    mask = tf.constant([[1.0] * 4 + [0.0] * 2] * 3)
    network = TaskSimilarity()
    weights = network.init(4, 0)["weights"]
    h = task_similarity.encode(weights, rows, mask)
    turned = task_similarity.encode(weights, rows[:, ::-1], mask[:, ::-1])
    np.testing.assert_allclose(h, turned, rtol=1e-4, atol=1e-6)
    alone = task_similarity.encode(weights, rows[:, :4], mask[:, :4])
    np.testing.assert_allclose(h, alone, rtol=1e-4, atol=1e-6)
    nothing = task_similarity.encode(weights, rows, tf.zeros([3, 6]))
    np.testing.assert_array_equal(nothing, np.zeros([3, 64]))


def test_transitions_of_episodes_that_end(random_trajectory):
    trajectory = random_trajectory(1, (2, 3, 5))
    known = task_similarity.transitions(trajectory, 4)
    assert known.rows.shape == [2, 15, 2 + 4 + 1 + 2]
    np.testing.assert_array_equal(known.mask, tf.reshape(trajectory.mask, [2, 15]))
    rows = known.rows.numpy().reshape(2, 3, 5, 9)
    ended = 0
    for n, e, t in np.argwhere(trajectory.mask.numpy()):
        last = t == 4 or not float(trajectory.mask[n, e, t + 1])
        ended += last
        following = trajectory.final_observation[n, e] if last else None
        following = trajectory.observation[n, e, t + 1] if following is None else following
        expected = [
            *trajectory.observation[n, e, t].numpy(),
            *np.eye(4)[int(trajectory.action[n, e, t])],
            trajectory.reward[n, e, t].numpy(),
            *following.numpy(),
        ]
        np.testing.assert_allclose(rows[n, e, t], expected, rtol=1e-6)
    assert ended == 6
    moved = task_similarity.transitions(random_trajectory(1, (2, 3, 5), action_size=3))
    assert moved.rows.shape == [2, 15, 2 + 3 + 1 + 2]


def test_labels_are_a_share_of_the_pairs():
    distance = tf.constant([0.5, 0.1, 0.9, 0.2, 0.7, 0.3, 0.4, 0.8, 0.6, 1.0])
    label, threshold = task_similarity.nearest_share(distance, 0.3)
    np.testing.assert_array_equal(label, distance.numpy() < 0.35)
    assert threshold == np.float32(0.3)
    label, _ = task_similarity.nearest_share(tf.zeros([5]), 0.3)
    np.testing.assert_array_equal(label, np.ones(5))
    label, _ = task_similarity.nearest_share(tf.constant([2.0]), 0.3)  # one pair
    np.testing.assert_array_equal(label, [1])


def test_both_labels_are_drawn_alike():
    label = tf.constant([1.0] * 3 + [0.0] * 97)
    drawn = task_similarity.balanced(label, 4000, keys.from_int(0)).numpy()
    counts = np.bincount(drawn, minlength=100)
    assert abs((drawn < 3).mean() - 0.5) < 0.03
    assert (abs(counts[:3] - 4000 / 6) < 100).all() and counts[3:].max() < 50
    alone = task_similarity.balanced(tf.zeros([4]), 400, keys.from_int(0)).numpy()
    assert (abs(np.bincount(alone, minlength=4) - 100) < 40).all()


@pytest.mark.parametrize("objective", task_similarity.OBJECTIVES)
def test_learns_which_of_two_numbers_matters(objective, line):
    """Tasks on a line, held out: the area under the curve, and the order of all pairs."""
    known, matrix = line
    network = TaskSimilarity(TaskSimilarityConfig(objective, learning_rate=3e-3))
    fit = compiled(network, 300)
    value, truth, label = held_out(network, fit, known, matrix, 0)
    assert area_under_curve(value, label) > 0.95
    assert scipy.stats.spearmanr(value, truth)[0] < -0.9
    state = network.init(2, 0)
    before = nest.map(np.array, state)
    arguments = state, known, tf.constant(of_pairs(matrix)), keys.from_int(5)
    (one, metrics), (two, _) = fit(*arguments), fit(*arguments)
    for a, b in zip(tf.nest.flatten(one), tf.nest.flatten(two), strict=True):
        np.testing.assert_array_equal(a, b)  # a function of its arguments
    for a, b in zip(tf.nest.flatten(before), tf.nest.flatten(state), strict=True):
        np.testing.assert_array_equal(a, b)
    assert metrics["similarity_loss_after"] < 0.5 * metrics["similarity_loss_before"]
    kept = Variables(state)
    kept.write(one)
    np.testing.assert_array_equal(network(kept.read(), known, known), network(one, known, known))


def test_moments_are_those_of_all_rows_so_far():
    rng = np.random.default_rng(0)
    rows = tf.constant(rng.normal(2, 5, [6, 3, 4]), tf.float32)
    mask = tf.constant(rng.integers(0, 2, [6, 3]) | (np.arange(3) == 0), tf.float32)
    rows *= [1, 1, 1, 0]  # a number that never changes
    network = TaskSimilarity(TaskSimilarityConfig(pairs_per_step=4))
    state = network.init(4, 0)
    for part in (slice(0, 2), slice(2, 6)):
        known = Known(rows[part], mask[part])
        pairs = len(divergence.pairs(known.rows.shape[0])[0])
        state, _ = network.fit(state, known, tf.range(pairs), keys.from_int(0), 1)
    living, moments = rows.numpy()[mask.numpy() > 0], state["moments"]
    np.testing.assert_allclose(moments["mean"], living.mean(axis=0), rtol=1e-5)
    np.testing.assert_array_equal(moments["low"], living.min(axis=0))
    np.testing.assert_array_equal(moments["high"], living.max(axis=0))
    assert moments["count"] == len(living)


def test_errors():
    for options in ({"objective": "ranking"}, {"nearest": 1.0}, {"units": 0}, {"steps": 0}):
        with pytest.raises(ConfigError, match=next(iter(options))):
            TaskSimilarityConfig(**options)


@pytest.fixture(scope="module", params=sorted(LAYOUTS))
def goals(request):
    """All goals of a maze: what they say, what an episode of their expert shows, their P [N, N]."""
    maze = Maze(MazeConfig(layout=request.param))
    task = maze.task(np.arange(1, len(maze.cells)))
    expert = maze.soft_expert(task)
    i, j = divergence.pairs(len(expert))
    visits = divergence.state_visits(
        expert, maze.transition(task), maze.start_distribution(), maze.horizon
    ).numpy()
    exact = divergence.tabular_divergence(expert[i], expert[j], visits[i], visits[j])
    matrix = divergence.square(exact.normalized, len(expert)).numpy()
    layer = tf.keras.layers.Dense(4, use_bias=False)  # its weight is a table of logits
    model = tf.keras.Sequential([layer])
    policy = NetworkPolicy.from_keras(model, maze.observation_spec, maze.action_spec)
    params = (tf.constant(expert, tf.float32),)
    sample = tf.function(sampling.sample, autograph=False)
    trajectory = sample(policy, maze, params, task, 1, keys.from_int(0))
    shown = task_similarity.transitions(trajectory, 4)
    longest = int(tf.reduce_max(tf.reduce_sum(shown.mask, axis=1)))
    shown = Known(shown.rows[:, :longest], shown.mask[:, :longest])
    return {"descriptor": task_similarity.descriptors(task), "transitions": shown}, matrix


@pytest.mark.parametrize(("kind", "least"), [("descriptor", 0.9), ("transitions", 0.8)])
def test_similar_goals_of_mazes_are_told(kind, least, goals):
    """Learned from 70 % of goals, asked of pairs of the others: the area under the curve."""
    known, matrix = goals
    network = TaskSimilarity()
    value, _, label = held_out(network, compiled(network, 150), known[kind], matrix, 1)
    assert area_under_curve(value, label) >= least
    assert 0.1 < label.mean() < 0.6


def test_the_loss_of_regression_is_hubers():
    """P. Huber, 1964: quadratic up to 0.1, then linear, without a step or a kink."""
    error = np.array([0.0, 0.05, -0.1, 0.3, -1.0])
    size = np.abs(error)
    expected = np.where(size <= 0.1, size**2 / 2, 0.1 * size - 0.1**2 / 2).mean()
    similarity = TaskSimilarity(TaskSimilarityConfig("regression", nearest=0.3))
    loss = similarity._loss(tf.constant(0.2 + error, tf.float32), None, tf.constant(0.2))
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
