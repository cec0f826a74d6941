import math

import numpy as np
import pytest
import scipy.sparse.csgraph
import scipy.special
import scipy.stats
import tensorflow as tf

from tfcaml import divergence, environments, keys, nest
from tfcaml.environments.native.maze import LAYOUTS, Maze, MazeConfig
from tfcaml.errors import ConfigError
from tfcaml.policies import NetworkPolicy
from tfcaml.rollouts import sampling
from tfcaml.types import episode_return

UP, DOWN, LEFT, RIGHT = range(4)


@pytest.fixture(scope="module", params=sorted(LAYOUTS))
def maze(request):
    return Maze(MazeConfig(layout=request.param))


@pytest.fixture(scope="module")
def every_goal(maze):
    """All tasks, and their experts [N, S, 4]."""
    task = maze.task(np.delete(np.arange(len(maze.cells)), maze.start))
    return task, maze.soft_expert(task)


def visits(maze, task, log_policy):
    return divergence.state_visits(
        log_policy, maze.transition(task), maze.start_distribution(), maze.horizon
    ).numpy()


def linear_policy(maze):
    """A linear network: its one weight is a table of logits."""
    layer = tf.keras.layers.Dense(4, use_bias=False)
    model = tf.keras.Sequential([layer])
    return NetworkPolicy.from_keras(model, maze.observation_spec, maze.action_spec)


def test_layouts(maze):
    rows = LAYOUTS[maze.config.layout].split()
    assert [len(row) for row in rows] == [11] * 11
    assert "".join(rows).count("S") == 1 and rows[0][0] == "S" and maze.start == 0
    assert np.isfinite(maze.distances()).all()  # connected
    assert maze.distances()[maze.start].max() < maze.horizon  # any goal can be reached in time
    assert len(maze.cells) == {"maze": 73, "four_rooms": 104}[maze.config.layout]


def test_places_in_the_plane_are_those_of_the_layout(maze):
    """Columns to the right and rows downwards, from the start at (0, 0); walls are the rest."""
    places = maze.planar_positions(np.eye(len(maze.cells)))
    rows = LAYOUTS[maze.config.layout].split()
    assert places[maze.start].tolist() == [0, 0]
    assert all(rows[int(-y)][int(x)] != "#" for x, y in places)
    assert all(rows[int(-y)][int(x)] == "#" for x, y in maze.planar_walls())
    assert len(places) + len(maze.planar_walls()) == 121
    goals = maze.planar_goal(maze.task(np.arange(len(places))))
    np.testing.assert_array_equal(goals, places)


def test_steps_are_those_of_the_picture(maze):
    rows = LAYOUTS[maze.config.layout].split()
    free = lambda r, c: 0 <= r < 11 and 0 <= c < 11 and rows[r][c] != "#"
    cell = np.repeat(np.arange(len(maze.cells))[None], 4, axis=0)  # [4, S]
    action = np.repeat(np.arange(4)[:, None], len(maze.cells), axis=1)
    task = nest.repeat(nest.map(lambda x: x[0], maze.task([5])), 4)
    arguments = tf.constant(cell, tf.int32), tf.constant(action, tf.int32)
    state, observation, reward, terminated = maze.step(task, *arguments, None)
    np.testing.assert_array_equal(tf.argmax(observation, -1), state)
    np.testing.assert_array_equal(tf.reduce_sum(observation, -1), 1)
    for a, s in np.ndindex(4, len(maze.cells)):
        row, column = maze.cells[s]
        r, c = row + (-1, 1, 0, 0)[a], column + (0, 0, -1, 1)[a]
        place = (r, c) if free(r, c) else (row, column)
        assert tuple(maze.cells[state[a, s]]) == place
        assert bool(terminated[a, s]) == (place == tuple(maze.cells[5]))
    np.testing.assert_array_equal(reward, terminated.numpy())
    assert 2 <= terminated.numpy().sum() < 12


def test_breadth_first_search(maze):
    distance, size = maze.distances(), len(maze.cells)
    np.testing.assert_array_equal(distance, distance.T)
    adjacent = np.abs(maze.cells[:, None] - maze.cells).sum(axis=-1) == 1
    oracle = scipy.sparse.csgraph.shortest_path(adjacent, unweighted=True)
    np.testing.assert_array_equal(distance, oracle)
    assert distance[0, size - 1] >= 20


def test_transitions_end_at_the_goal(maze):
    goals = [5, 40]
    transition = maze.transition(maze.task(goals))
    for n, goal in enumerate(goals):
        total = transition[n].sum(axis=-1)
        into = (maze.next_cell == goal) | (np.arange(len(maze.cells)) == goal)[:, None]
        np.testing.assert_array_equal(total, ~into)
        s, a = np.argwhere(~into)[:, 0], np.argwhere(~into)[:, 1]
        np.testing.assert_array_equal(transition[n, s, a, maze.next_cell[s, a]], 1)


@pytest.mark.slow
def test_compiled_rollouts_are_those_of_the_tables(maze):
    """One graph with XLA; rewards, ends and lengths as the exact recursion has them."""
    policy = linear_policy(maze)
    task = maze.task([20, 60])
    expert = maze.soft_expert(task, 0.6)  # a wandering one
    params = (tf.constant(expert, tf.float32),)
    compiled = tf.function(
        lambda: sampling.sample(policy, maze, params, task, 300, keys.from_int(0)),
        autograph=False,
        jit_compile=True,
    )
    trajectory = compiled()
    np.testing.assert_array_equal(trajectory.observation, compiled().observation)
    ended = trajectory.terminated.numpy().sum(axis=-1)
    np.testing.assert_array_equal(episode_return(trajectory), ended)
    length = trajectory.mask.numpy().sum(axis=-1)  # [N, E]
    expected = visits(maze, task, expert).sum(axis=-1)
    error = length.std(axis=1) / math.sqrt(300)
    assert (np.abs(length.mean(axis=1) - expected) < 3 * error).all()
    goal = maze.observation_spec.shape[0] * [0.0]
    goal[20] = 1.0
    arrived = trajectory.final_observation.numpy()[0][ended[0] > 0]
    np.testing.assert_array_equal(arrived, np.tile(goal, [len(arrived), 1]))
    assert ended.sum() > 10 and (length[ended == 0] == maze.horizon).all()


@pytest.fixture(scope="module")
def walks(maze):
    """(task of goals near the start, random walks [3, 8, T] towards them)."""
    task = maze.task([1, 3, 60])
    params = (tf.zeros([3, len(maze.cells), 4]),)
    sample = tf.function(sampling.sample, autograph=False)
    return task, sample(linear_policy(maze), maze, params, task, 8, keys.from_int(2))


def relabelled_by_hand(maze, goal, walks):
    """`Maze.relabel` as a loop: dict of what changes."""
    mask, reward = walks.mask.numpy(), np.zeros(walks.reward.shape)
    final = walks.final_observation.numpy()
    for n, e in np.ndindex(mask.shape[:2]):
        steps = int(mask[n, e].sum())
        cells = [*walks.observation.numpy()[n, e, :steps].argmax(axis=-1), final[n, e].argmax()]
        arrival = next((t for t in range(steps) if cells[t + 1] == goal[n]), None)
        if arrival is not None:
            mask[n, e, arrival + 1 :] = 0
            reward[n, e, arrival] = 1
            final[n, e] = np.eye(len(maze.cells))[goal[n]]
    return {"mask": mask, "reward": reward, "terminated": reward, "final_observation": final}


def test_relabelled_episodes_are_those_of_a_loop(maze, walks):
    _, walks = walks
    length = walks.mask.numpy().sum(axis=-1)
    assert length.min() < 40 and length.max() == maze.horizon  # some end early
    found = 0
    for goal in ([1, 2, 3], [0, 4, len(maze.cells) - 1]):
        result = maze.relabel(maze.task(goal), walks)
        expected = relabelled_by_hand(maze, goal, walks)
        for name, value in walks._asdict().items():
            np.testing.assert_array_equal(getattr(result, name), expected.get(name, value))
        found += (result.mask.numpy().sum(axis=-1) < length).sum()
    assert found > 10


def test_episodes_relabelled_to_their_own_goals_stay_as_they_are(maze, walks):
    task, walks = walks
    assert 2 < walks.reward.numpy().sum() < 24
    nest.map(np.testing.assert_array_equal, maze.relabel(task, walks), walks)
    # And what is masked altogether is not paid for.
    nothing = maze.relabel(task, walks._replace(mask=0 * walks.mask))
    assert not nothing.reward.numpy().any() and not nothing.mask.numpy().any()
    np.testing.assert_array_equal(nothing.final_observation, walks.final_observation)


def test_other_families_can_not_relabel(walks):
    with pytest.raises(ConfigError, match=r"^Navigation can't tell .* it has no `relabel`$"):
        environments.Navigation().relabel(*walks)


def test_experts_are_the_fixed_point(maze, every_goal):
    """Soft Bellman equations, and a policy of expected steps close to the shortest ways."""
    task, expert = every_goal
    np.testing.assert_allclose(np.exp(expert).sum(axis=-1), 1, rtol=1e-10)
    goal = maze.goal_cells(task)
    for temperature in (0.1, 0.5):
        log_policy = maze.soft_expert(task, temperature)
        # Of any policy: V = sum_a pi (V(next) - 1 - temperature log pi), here solved exactly.
        policy, rows = np.exp(log_policy), np.arange(len(goal))
        move = (policy[..., None] * maze.transition(task)).sum(axis=2)
        gain = (policy * (-1 - temperature * log_policy)).sum(axis=-1)
        value = np.linalg.solve(np.eye(move.shape[-1]) - move, gain[..., None])[..., 0]
        value[rows, goal] = 0
        q = value[:, maze.next_cell] - 1
        best = temperature * scipy.special.logsumexp(q / temperature, axis=-1)
        best[rows, goal] = 0
        np.testing.assert_allclose(value, best, atol=1e-6)
    steps = visits(maze, task, expert).sum(axis=-1)
    shortest = maze.distances()[maze.start, goal]
    assert (steps >= shortest - 1e-9).all() and (steps <= shortest * 1.001).all()


def test_near_goals_have_similar_experts(maze, every_goal):
    """Exact normalised P of all pairs of goals against steps between the goals.

    Spearman's correlation is 0.920 in the maze and 0.775 in the four rooms.
    """
    task, expert = every_goal
    i, j = divergence.pairs(len(expert))
    visited = visits(maze, task, expert)
    result = divergence.tabular_divergence(expert[i], expert[j], visited[i], visited[j])
    goal = maze.goal_cells(task)
    steps = maze.distances()[goal[i], goal[j]]
    correlation = scipy.stats.spearmanr(result.normalized, steps)[0]
    known = {"maze": 0.920, "four_rooms": 0.775}[maze.config.layout]
    assert correlation == pytest.approx(known, abs=0.01)
    assert correlation >= 0.6
    assert result.normalized.numpy().max() <= math.sqrt(math.log(2)) + 1e-9


def test_divergence_of_episodes_is_the_exact_one(maze):
    """Within three standard errors, of soft experts that end at different times."""
    task = maze.task([8, 30, 66])
    expert = maze.soft_expert(task, 0.4)
    policy = linear_policy(maze)
    params = (tf.constant(expert, tf.float32),)
    sample = tf.function(sampling.sample, autograph=False)
    trajectory = sample(policy, maze, params, task, 400, keys.from_int(1))
    behaviour = divergence.Behaviour(params, trajectory)
    i, j = divergence.pairs(3)
    one, other = nest.take(behaviour, i), nest.take(behaviour, j)
    actual = divergence.trajectory_divergence(policy, one, other)
    visited = visits(maze, task, expert)
    exact = divergence.tabular_divergence(expert[i], expert[j], visited[i], visited[j])
    sums = np.stack(
        [
            tf.reduce_sum(divergence.distances_along(policy, one, other, x.trajectory), axis=-1)
            for x in (one, other)
        ]
    )  # [2, pairs, E]
    error = np.sqrt((sums.var(axis=-1, ddof=1) / 400).sum(axis=0))
    assert (np.abs(actual.total.numpy() - exact.total) < 3 * error).all()
    assert (error < 0.05 * exact.total.numpy()).all()
    np.testing.assert_allclose(actual.normalized, exact.normalized, rtol=0.05)


def test_populations(maze):
    population = maze.population(3)
    support, query = (maze.goal_cells(x) for x in (population.train, population.test))
    assert len(support) == 20 and len(query) == 10
    assert len({*support, *query, maze.start}) == 31
    again = maze.population(3)
    np.testing.assert_array_equal(again.test["goal"], population.test["goal"])
    assert (maze.goal_cells(maze.population(4).test) != query).any()
    row, column = population.test["goal"].numpy().T
    group = 2 * (row > 5) + (column > 5)
    clear = (row != 5) & (column != 5)
    np.testing.assert_array_equal(population.test_group[clear], group[clear])
    np.testing.assert_array_equal(maze.goal_cells(maze.task(query)), query)
    assert maze.population(3, num_test=2).test["goal"].shape == [2, 2]


def test_registered():
    family, options = environments.ENVIRONMENTS["maze"]
    assert family(options(horizon=7)).horizon == 7


@pytest.mark.parametrize("options", [{"layout": "spiral"}, {"num_train": 0}, {"horizon": 0}])
def test_bad_options_are_refused(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        MazeConfig(**options)


def test_errors():
    maze = Maze(MazeConfig(num_train=70))
    with pytest.raises(ConfigError, match=r"at most 72, .* received num_train .* num_test=80"):
        maze.population(0)
    with pytest.raises(ConfigError, match="num_test=0"):
        maze.population(0, 0)
    for temperature in (0.0, 0.73):
        with pytest.raises(ConfigError, match=r"> 0 and < 0\.721; received temperature"):
            maze.soft_expert(maze.task([1]), temperature)
    with pytest.raises(ConfigError, match=r"without a wall; received goal=\[1.0, 0.0\]"):
        maze.transition({"goal": tf.constant([[1.0, 0.0]])})
