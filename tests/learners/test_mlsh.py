"""MLSH: what both levels learn from, whose turn it is, and that lives begin when they are due."""

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec

import tfcaml
from tests.eager import PlainActorCritic
from tests.learners.checks import assert_resumes
from tfcaml import environments, keys, learners, nest
from tfcaml.errors import ConfigError
from tfcaml.learners import mlsh
from tfcaml.policies.two_level import TwoLevelPolicy
from tfcaml.types import episode_return

OPTIONS, PERIOD, STEPS, TASKS = 2, 4, 10, 4
SIZES = {
    "num_iterations": 3,
    "meta_batch_size": TASKS,
    "inner_updates": 3,
    "warm_up": 2,
    "episodes_per_update": 3,
    "num_options": OPTIONS,
    "period": PERIOD,
    "master_steps": 2,
    "sub_steps": 2,
    "sub_learning_rate": 0.05,
}


@pytest.fixture(scope="module")
def family():
    return environments.Particle(environments.ParticleConfig(horizon=STEPS))


def made(family, **settings):
    config = learners.MLSH.Config(**{**SIZES, **settings})
    options = tensor_spec.BoundedTensorSpec([], tf.int32, 0, OPTIONS - 1)
    master = PlainActorCritic(family.observation_spec, options)
    sub = PlainActorCritic(family.observation_spec, family.action_spec)
    return learners.MLSH(family, TwoLevelPolicy(master, sub, PERIOD), config, jit_compile=False)


@pytest.fixture(scope="module")
def learner(family):
    return made(family)


@pytest.fixture(scope="module")
def played(learner, family):
    """(meta, `FastState`, `Experience`)."""
    task, meta = family.population(0, TASKS).test, learner.meta.read()

    @tf.function(autograph=False)
    def play():
        fast = learner.start(meta, TASKS, keys.per_task(keys.from_int(0), TASKS))
        return fast, learner.support(meta, fast, task, keys.from_int(1), 3)

    return meta, *play()


def test_rewards_of_the_masters_steps_are_those_of_the_episode(played):
    """Also where a period does not divide the episode, and where that ends early."""
    trajectory = played[2].trajectory
    macro = mlsh.macro_steps(trajectory, PERIOD)
    assert macro.reward.shape == [TASKS, 3, 3]  # of 4, 4 and 2 steps
    np.testing.assert_allclose(
        tf.reduce_sum(macro.reward, -1), episode_return(trajectory), rtol=1e-5
    )
    reward = trajectory.reward.numpy()
    np.testing.assert_allclose(macro.reward[..., 1], reward[..., 4:8].sum(-1), rtol=1e-5)
    np.testing.assert_allclose(macro.reward[..., 2], reward[..., 8:].sum(-1), rtol=1e-5)
    np.testing.assert_array_equal(macro.mask, trajectory.mask[:, :, ::PERIOD])
    np.testing.assert_array_equal(macro.action, trajectory.info["option"][:, :, ::PERIOD])
    np.testing.assert_array_equal(macro.observation, trajectory.observation[:, :, ::PERIOD])
    ended = tf.reduce_max(trajectory.terminated, -1)
    np.testing.assert_array_equal(tf.reduce_max(macro.terminated, -1), ended)


def test_each_step_trains_one_sub_policy(played):
    trajectory = played[2].trajectory
    below = mlsh.by_option(trajectory, OPTIONS)
    mask = tf.reshape(below.mask, [TASKS, OPTIONS, *trajectory.mask.shape[1:]]).numpy()
    np.testing.assert_array_equal(mask.sum(axis=1), trajectory.mask)
    for k in range(OPTIONS):
        own = (trajectory.info["option"].numpy() == k) * trajectory.mask.numpy()
        np.testing.assert_array_equal(mask[:, k], own)


def test_no_gradient_goes_from_one_level_to_the_other(learner, played):
    """To adapt moves the master alone; a step of the sub-policies leaves it as it is."""
    meta, fast, support = played
    after = learner.adapt(meta, fast, support)
    assert np.any(after.params["actor"][0] != fast.params["actor"][0])
    np.testing.assert_array_equal(
        learner.acting(meta, after)["sub"]["actor"][0],
        learner.acting(meta, fast)["sub"]["actor"][0],
    )
    slots = learner.sub_optimizer.init(meta["sub"])
    phi, _ = learner.adapt_shared(meta["sub"], slots, support.trajectory, tf.ones([TASKS]))
    assert all(np.any(x != y) for x, y in zip(*map(tf.nest.flatten, (phi, meta["sub"]))))


def test_lives_in_their_warm_up_do_not_move_sub_policies(learner, played):
    """Nothing moves where all are; where some are, these count for nothing."""
    meta, _, support = played
    slots = learner.sub_optimizer.init(meta["sub"])
    step = lambda trajectory, joint: learner.adapt_shared(
        meta["sub"], slots, trajectory, tf.constant(joint)
    )[0]
    still = step(support.trajectory, [0.0] * TASKS)
    nest.map(np.testing.assert_array_equal, still, meta["sub"])
    some = step(support.trajectory, [1.0, 0.0, 1.0, 0.0])
    rows = nest.map(lambda x: tf.gather(x, [0, 2, 0, 2]), support.trajectory)
    alone = step(rows, [1.0, 1.0, 0.0, 0.0])
    nest.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6), some, alone)


@pytest.mark.parametrize("groups, ages", [(1, [0, 0, 0, 0]), (2, [0, 1, 0, 1]), (4, [0, 0, 1, 2])])
def test_groups_are_evenly_apart(family, groups, ages):
    life = made(family, groups=groups).state["life"].read()
    np.testing.assert_array_equal(life["age"], ages)
    assert not life["born"].numpy().any()


def test_lives_that_are_due_begin_anew_in_a_new_task(family):
    """A group of four iterations' updates keeps its task until its life is over."""
    learner = made(family, groups=2, num_iterations=2)
    population = family.population(0, 2)
    tfcaml.train(learner, population)
    life = learner.state["life"].read()
    assert life["born"].numpy().all()
    np.testing.assert_array_equal(life["age"], [0, 1, 0, 1])


def test_a_resumed_run_is_the_uninterrupted_one(family, tmp_path):
    assert_resumes(made(family, groups=2), family.population(0), tmp_path)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"warm_up": 3}, "warm_up to be from 0 to inner_updates - 1 = 2"),
        ({"groups": 3}, "groups to be a divisor of meta_batch_size = 4"),
        ({"period": 5}, "period of the policy to be 5, as of the config"),
        ({"random_choices": 1.0}, r"random_choices to be in \[0, 1\)"),
    ],
)
def test_settings_that_do_not_fit_are_refused(family, settings, message):
    with pytest.raises(ConfigError, match=message):
        made(family, **settings)
