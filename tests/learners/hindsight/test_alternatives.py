"""Relabelling and cloning: what the buffer does for a new task without guiding its exploration."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tfcaml import keys, losses, nest, policies
from tfcaml.environments import Maze, MazeConfig
from tfcaml.errors import ConfigError
from tfcaml.learners import HindsightCloning, HindsightRelabelling
from tfcaml.learners.hindsight.alternatives import HindsightCloningConfig
from tfcaml.rollouts import sampling

SMALL = {
    "meta_batch_size": 2,
    "episodes_per_update": 4,
    "saved_episodes": 2,
    "buffer": {"capacity": 6},
    "guidance": {"num_similar": 3},  # with what is held in the third row, similar or not
    "advantage": {"baseline": "time_step_mean"},
    "outer": {"optimizer": "adam"},
}
LEFT, RIGHT = 2, 3
NEXT, NEAR, FAR = 1, 4, 6  # cells of the corridor that leads to the right from the start


@pytest.fixture(scope="module")
def maze():
    return Maze(MazeConfig(horizon=8))


@pytest.fixture(scope="module")
def linear(maze):
    return policies.mlp_policy(maze.observation_spec, maze.action_spec, ())


@pytest.fixture(scope="module")
def relabelling(maze, linear):
    # With a baseline, what did not arrive has advantages too, and noise from them.
    config = HindsightRelabelling.Config(**{**SMALL, "advantage": {"baseline": "none"}})
    return HindsightRelabelling(maze, linear, config)


@pytest.fixture(scope="module")
def walked(maze, linear):
    """A policy that always goes right, [1, ...], and its way to the far goal."""
    params = (tf.zeros([1, len(maze.cells), 4]), 30 * tf.one_hot([RIGHT], 4))
    return params, sampling.sample(linear, maze, params, maze.task([FAR]), 2, keys.from_int(0))


@pytest.fixture(scope="module")
def updated(maze, relabelling):
    """(slots) -> what a policy that likes to go left does, and an update with the buffer.

    Towards the near goal, which it does not find, and the next one, which it does; compiled once.
    """
    task = maze.task([NEAR, NEXT])

    @tf.function(autograph=False)
    def update(slots):
        meta = relabelling.meta.read()
        bias = meta["params"][1] + tf.one_hot(LEFT, 4)
        fast = relabelling.start({"params": (meta["params"][0], bias)}, 2)
        fast = fast._replace(slots=tf.fill([2], slots))
        trajectory, own = relabelling.explore(fast, task, keys.from_int(0))
        support = relabelling.off_policy(fast, task, trajectory, own)
        alone = relabelling.adapt(meta, fast, relabelling.experience(meta, fast, trajectory))
        return fast, trajectory, support, relabelling.adapt(meta, fast, support), alone

    return update


def log_prob_of_right(params, cells):
    """Log-probability of RIGHT in the corridor's first cells, [N, cells], of a linear policy."""
    return tf.nn.log_softmax(params[0][:, :cells] + params[1][:, None])[..., RIGHT].numpy()


def test_relabelled_episodes_teach_what_no_own_one_found(
    maze, relabelling, walked, remember, updated
):
    params, trajectory = walked
    assert trajectory.reward.numpy()[0, :, FAR - 1].all()
    remember(relabelling, maze.task([NEAR]), params, trajectory)
    fast, own, support, adapted, alone = updated(0.0)
    assert not own.reward[0].numpy().any() and own.reward[1].numpy().any()
    mask, reward = support.trajectory.mask.numpy(), support.trajectory.reward.numpy()
    assert mask.shape == (2, 10, 8)  # four own episodes, two of each of three rows of the buffer
    np.testing.assert_array_equal(mask[0, 4:6], [[1] * NEAR + [0] * (8 - NEAR)] * 2)
    np.testing.assert_array_equal(reward[0, 4:6].sum(axis=1), 1)
    assert not mask[0, 6:].any() and not mask[1, 4:].any()
    before, after, without = (log_prob_of_right(x.params, NEAR) for x in (fast, adapted, alone))
    assert (after[0] > before[0] + 1e-3).all()
    np.testing.assert_allclose(without[0], before[0], atol=1e-6)
    np.testing.assert_allclose(after[1], without[1], atol=1e-6)  # another task
    assert np.abs(without[1] - before[1]).max() > 1e-3


def test_only_own_episodes_count_later_or_among_other_tasks(
    maze, relabelling, walked, remember, updated
):
    """Then the update is that of MAML."""
    for slots, similar in ((10.0, True), (0.0, False)):
        remember(relabelling, maze.task([NEAR]), *walked, similar=similar)
        fast, _, support, adapted, alone = updated(slots)
        assert not support.trajectory.mask[:, 4:].numpy().any()
        for p, q, start in zip(adapted.params, alone.params, fast.params):
            np.testing.assert_allclose(p, q, rtol=1e-5, atol=1e-6)
            assert np.abs(p[1] - start[1]).max() > 1e-3


def test_a_family_that_can_not_tell_is_refused(particle, policy):
    message = (
        r"environment to be a family that implements `relabel`; received environment='Particle'$"
    )
    with pytest.raises(ConfigError, match=message):
        HindsightRelabelling(particle, policy)


def test_cloning_imitates_what_is_stored_of_the_same_task(
    particle, policy, population, constant_action, sample, remember
):
    """And leaves the meta parameters to tasks of which there is nothing."""
    learner = HindsightCloning(particle, policy, HindsightCloningConfig(**SMALL))
    task, always = nest.take(population.test, [0, 1]), constant_action([2])
    first = nest.take(task, [0])
    stored = sample(always, first, 2, keys.from_int(0))
    remember(learner, first, always, stored)
    meta = learner.meta.read()
    start = learner.start(meta, 2)
    fast, metrics = learner.choose_start(meta, task, keys.from_int(0))
    likely = lambda fast: losses.action_log_prob(
        policy, nest.map(lambda x: x[:1], fast.params), stored
    )
    assert tf.reduce_max(likely(start)) < -1 and tf.reduce_min(likely(fast)) > -0.3
    for cloned, theta in zip(fast.params, start.params):
        np.testing.assert_array_equal(cloned[1], theta[1])
    np.testing.assert_array_equal(fast.slots, 0)
    assert metrics == {}
    trajectory, own = learner.explore(fast, task, keys.from_int(0))
    assert own.numpy().all() and (trajectory.action[0].numpy() == 2).mean() > 0.7
    remember(learner, first, always, stored, similar=False)
    again, _ = learner.choose_start(meta, task, keys.from_int(0))
    nest.map(np.testing.assert_array_equal, again.params, start.params)
    assert learner._cloned.experimental_get_tracing_count() == 1


@pytest.mark.parametrize(
    "options",
    [{"cloning_steps": 0}, {"cloning_learning_rate": 0.0}, {"cloning_learning_rate": -1.0}],
)
def test_bad_settings_of_cloning_are_refused(options):
    with pytest.raises(ConfigError, match=next(iter(options))):
        dataclasses.replace(HindsightCloningConfig(), **options)
