"""Which demonstrations are learned from, where they are from, and that they are enough."""

import functools

import numpy as np
import pytest
import tensorflow as tf

import tfcaml
from tests.learners.checks import assert_resumes
from tests.places import Places, Untold
from tfcaml import keys, learners, nest, training
from tfcaml.errors import ConfigError
from tfcaml.rollouts import demonstrations
from tfcaml.rollouts.demonstrations import demonstrate

FAMILY = Places(ends=True)
POPULATION = FAMILY.population(0)
SMALL = {"num_iterations": 3, "meta_batch_size": 4}
NETWORK = {"object_units": 4, "places": 2}


def make(cls=learners.MIL, family=FAMILY, seed=0, **settings):
    shown = {"per_task": 4, "attempts": 1, **settings.pop("demonstrations", {})}
    if shown.get("path"):
        shown = {"path": shown["path"]}
    config = cls.Config(**{**SMALL, "network": NETWORK, "demonstrations": shown, **settings})
    policy = cls.make_policy(family, config, (6,))
    return cls(family, policy, config, seed)


@functools.cache
def prepared():
    """A learner whose demonstrations are there, with its compiled `collect`."""
    learner = make(episodes_per_update=2, inner_updates=2)
    learner.training_tasks(POPULATION, keys.from_int(0))
    return learner, tf.function(learner.collect, autograph=False)


def drawn(key, number=4):
    learner, collect = prepared()
    index = tf.range(number) * 3
    task = nest.take(POPULATION.train, index)
    return collect(learner.meta.read(), task, keys.from_int(key), index)


def numbers(trajectory, rows):
    """Which of its task's demonstrations each one is: [N, E]."""
    pool = prepared()[0]._pool.trajectory
    found = np.zeros(trajectory.mask.shape[:2], int)
    for i, j in np.ndindex(*found.shape):
        own = [
            np.array_equal(pool.action[rows[i], d], trajectory.action[i, j])
            and np.array_equal(
                pool.observation["point"][rows[i], d], trajectory.observation["point"][i, j]
            )
            and np.array_equal(pool.mask[rows[i], d], trajectory.mask[i, j])
            for d in range(4)
        ]
        assert sum(own) == 1
        found[i, j] = np.argmax(own)
    return found


def test_support_and_query_are_different_demonstrations_of_the_same_task():
    rows, every = np.arange(4) * 3, []
    for key in range(12):
        batch = drawn(key)
        assert len(batch.support) == 2 and batch.support[0] is not batch.query
        for one, other in zip(*map(tf.nest.flatten, batch.support)):
            np.testing.assert_array_equal(one, other)  # all inner steps learn from the same
        support, query = (numbers(x.trajectory, rows) for x in (batch.support[0], batch.query))
        both = np.concatenate([support, query], axis=1)
        assert all(len(set(row)) == 3 for row in both)
        every.append(both)
    every = np.array(every)
    # Each demonstration is as often support as query, and tasks do not draw alike.
    share = [np.bincount(every[..., k].ravel(), minlength=4) / every[..., k].size for k in range(3)]
    assert np.min(share) > 0.1
    assert not np.array_equal(every[:, 0], every[:, 1])


def test_demonstrations_follow_from_the_key():
    one, same, other = drawn(3), drawn(3), drawn(4)
    flat = lambda batch: [np.asarray(x) for x in tf.nest.flatten((batch.support, batch.query))]
    assert all(np.array_equal(a, b) for a, b in zip(flat(one), flat(same)))
    assert not all(np.array_equal(a, b) for a, b in zip(flat(one), flat(other)))


def test_the_moments_are_those_of_all_demonstrations_and_stay():
    learner = make()
    history = tfcaml.train(learner, POPULATION)
    assert all(set(x) == {"loss_before", "bad_update"} for x in history)
    pool, moments = learner._pool.trajectory, learner.meta.read()["moments"]
    valid = pool.mask.numpy() > 0
    for name, values in pool.observation.items():
        seen = values.numpy()[valid].reshape(-1, values.shape[-1])
        np.testing.assert_allclose(moments["mean"][name], seen.mean(axis=0), atol=1e-5)
        np.testing.assert_allclose(moments["deviation"][name], seen.std(axis=0), atol=1e-5)
    # After a reset it is as a new learner of that seed.
    learner.reset(1)
    assert not np.any(learner.meta.read()["moments"]["mean"]["point"])
    again = tfcaml.train(learner, POPULATION)
    assert again == tfcaml.train(make(seed=1), POPULATION) != history
    # Other tasks do not change what the weights are used to.
    learner.training_tasks(FAMILY.population(7), keys.from_int(0))
    for one, other in zip(*map(tf.nest.flatten, (moments, learner.meta.read()["moments"]))):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
@pytest.mark.parametrize("cls", [learners.MIL, learners.Contextual], ids=lambda cls: cls.__name__)
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(cls, tmp_path):
    assert_resumes(make(cls), POPULATION, tmp_path)


@pytest.mark.parametrize("steps", [3, 5, 8])
def test_some_steps_of_demonstrations_are_looked_at(steps):
    learner = make(demonstrations={"steps": steps})
    length = FAMILY.horizon
    trajectory = demonstrate(FAMILY, nest.take(POPULATION.train, [0]), 1, keys.from_int(0))
    time = tf.range(length, dtype=tf.float32)[None, None]
    trajectory = trajectory._replace(reward=time, mask=tf.ones_like(time))
    found = {
        tuple(learner._looked_at(trajectory, keys.from_int(k)).reward.numpy().ravel())
        for k in range(20)
    }
    middle = learner._looked_at(trajectory)
    assert middle.action.shape == (1, 1, steps, 2) and middle.observation["point"].shape[2] == steps
    assert len(found) == length // steps and tuple(middle.reward.numpy().ravel()) in found
    for taken in found:
        apart = np.diff(taken)
        assert len(taken) == steps and apart.min() >= 1 and np.ptp(apart) <= 1
        # From one end to the other.
        assert taken[0] < length / steps and taken[-1] >= length - 1 - length / steps
    assert middle.final_observation is trajectory.final_observation


@pytest.mark.parametrize("steps", [3, 5])
def test_of_demonstrations_that_end_early_steps_before_the_end_are_looked_at(steps):
    learner, length = make(demonstrations={"steps": steps}), FAMILY.horizon
    trajectory = demonstrate(FAMILY, nest.take(POPULATION.train, [0] * length), 1, keys.from_int(0))
    time = tf.range(length, dtype=tf.float32) + tf.zeros([length, 1, 1])
    mask = tf.sequence_mask(tf.range(1, length + 1)[:, None], length, tf.float32)  # each length
    trajectory = trajectory._replace(reward=time, mask=mask)
    for key in (None, *map(keys.from_int, range(5))):
        found = learner._looked_at(trajectory, key)
        assert np.all(found.mask.numpy() == 1)
        for number, taken in enumerate(found.reward.numpy()[:, 0], 1):
            assert taken.max() < number and np.all(np.diff(taken) >= 0)
            assert len(set(taken)) >= min(number, steps) - 1


def test_new_tasks_are_demonstrated_the_same_for_all_steps():
    learner = make(test_episodes_per_update=2)
    fast, shown = learner.start(learner.meta.read(), 3), []
    for key in (0, 1):
        support = learner.test_support(
            learner.meta.read(), fast, POPULATION.test, keys.from_int(key)
        )
        shown.append(support.trajectory)
    assert shown[0].mask.shape == (3, 2, 8)
    for one, other in zip(*map(tf.nest.flatten, shown)):
        np.testing.assert_array_equal(one, other)


# Files.


@functools.cache
def everything():
    """Demonstrations of all tasks of the population, shorter than episodes may be."""
    tasks = nest.concat(POPULATION.train, POPULATION.test)
    played = tf.function(
        lambda: demonstrate(Places(ends=True, horizon=7), tasks, 3, keys.from_int(0)),
        autograph=False,
    )()
    return demonstrations.keep(played, tasks)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    found = tmp_path_factory.mktemp("demonstrations") / "shown.npz"
    everything().save(found)
    return str(found)


@pytest.mark.parametrize("cls", [learners.MIL, learners.RecurrentCloning], ids=lambda x: x.__name__)
def test_a_file_of_demonstrations_is_learned_from(cls, path):
    learner = make(cls, Untold(ends=True), demonstrations={"path": path})
    tfcaml.train(learner, POPULATION)
    np.testing.assert_array_equal(
        learner._pool.trajectory.action[:, :, :7], everything().action[:20]
    )
    result = tfcaml.evaluate(learner, POPULATION.test, num_updates=2, num_episodes=4)
    assert result.returns.shape == (3, 3, 4) and not result.bad_updates.any()
    # It is the file's demonstrations of these tasks that are adapted to, in whatever order.
    tasks = nest.take(POPULATION.test, [2, 0])
    fast, _ = learner.choose_start(learner.meta.read(), tasks, keys.from_int(0))
    support = learner.test_support(learner.meta.read(), fast, tasks, keys.from_int(0))
    np.testing.assert_array_equal(
        support.trajectory.action[:, :, :7], nest.take(everything().action, [22, 20])[:, :1]
    )
    assert not np.any(support.trajectory.mask[:, :, 7:])
    strange = FAMILY.population(5).test
    with pytest.raises(ConfigError, match=r"demonstrations in .*shown.npz of every task") as error:
        tfcaml.evaluate(learner, strange, num_updates=1, num_episodes=2)
    assert "\n" not in str(error.value) and "3 of 3 tasks" in str(error.value)


def refused(text, call):
    with pytest.raises(ConfigError, match=text) as error:
        call()
    assert "\n" not in str(error.value)


def test_a_file_that_does_not_do_is_refused(path):
    few = make(demonstrations={"path": path}, test_episodes_per_update=5)
    refused(
        r"demonstrations in .* to be >= 5, of each new task; .*=3",
        lambda: tfcaml.evaluate(few, POPULATION.test, num_updates=1, num_episodes=2),
    )
    many = make(demonstrations={"path": path}, query_episodes=3)
    refused(
        "demonstrations of each training task to be >= 4", lambda: tfcaml.train(many, POPULATION)
    )
    short = make(family=Places(horizon=6), demonstrations={"path": path})
    refused(
        r"steps of a demonstration in .* at most the horizon of Places, 6",
        lambda: tfcaml.train(short, POPULATION),
    )
    other = make(demonstrations={"path": path})
    refused(r"received none of \d+ of 20 tasks", lambda: tfcaml.train(other, FAMILY.population(5)))
    refused("path of a file that there is", lambda: make(demonstrations={"path": path + "x"}))
    refused(
        "arrays in",
        lambda: make(family=Places("vector"), demonstrations={"path": path}, network={}),
    )


# What does not fit.


def test_a_family_without_an_expert_needs_a_file():
    refused("demonstrations.path .* Untold has no expert", lambda: make(family=Untold()))


def test_a_video_of_nothing_but_vectors_is_refused():
    shown, heads = {"shown": "video"}, {"two_heads": True}
    for cls, network in (
        (learners.MIL, heads),
        (learners.Contextual, {}),
        (learners.RecurrentCloning, {}),
    ):
        refused(
            "demonstrations.shown to be all or states, as nothing is observed but",
            lambda: make(cls, Places("vector"), demonstrations=shown, network=network),
        )


def test_a_family_without_end_has_no_demonstrations():
    endless = POPULATION._replace(draw=lambda num_tasks, key: POPULATION.train)
    refused("finite number of training tasks", lambda: tfcaml.train(make(), endless))


def test_tasks_that_were_not_drawn_are_refused():
    learner = make()
    task, key, index = training.draw(learner, POPULATION, 0)
    refused("index to be numbers of tasks", lambda: learner.train(task, key))
    refused("index to be numbers of tasks", lambda: make().train(task, key, index))


def test_policies_of_other_settings_are_refused():
    config = learners.MIL.Config(network=NETWORK)
    specs = FAMILY.observation_spec, FAMILY.action_spec
    mlp = tfcaml.policies.mlp_policy(specs[0]["point"], specs[1], (4,))
    mlp.observation_spec = None
    refused("an ImitationPolicy, as of make_policy", lambda: learners.MIL(FAMILY, mlp, config))
    for cls, other in (
        (learners.MIL, {"network": {"object_units": 5}}),
        (learners.MIL, {"network": NETWORK, "pose": "point"}),
    ):
        policy = cls.make_policy(FAMILY, cls.Config(**other))
        refused("policy.(config|pose) to be that of MIL.make_", lambda: cls(FAMILY, policy, config))
    plain, contextual = learners.MIL.make_policy(FAMILY, config), learners.Contextual.Config
    refused(
        "policy.context_size to be that of Contextual",
        lambda: learners.Contextual(FAMILY, plain, contextual(network=NETWORK)),
    )
    recurrent = learners.RecurrentCloning.Config(network=NETWORK, attention=True)
    refused(
        "policy to be as of RecurrentCloning",
        lambda: learners.RecurrentCloning(FAMILY, plain, recurrent),
    )


# All of it.


@pytest.mark.parametrize("cls", [learners.MIL, learners.Contextual, learners.RecurrentCloning])
def test_episodes_of_adapted_policies_may_be_played_at_once(cls):
    learner = make(cls, **({"attention": True} if cls is learners.RecurrentCloning else {}))
    fast = learner.adapt_to(
        learner.start(learner.meta.read(), 3), POPULATION.test, keys.from_int(0)
    )
    played = learner.sample(
        learner.acting(learner.meta.read(), fast), POPULATION.test, 2, keys.from_int(0)
    )
    assert played.action.shape == (3, 2, 8, 2)


@pytest.mark.slow
def test_one_demonstration_of_an_unseen_colour_tells_where_to_go():
    family = Places(num_train=200)
    population = family.population(100, 40)
    config = learners.MIL.Config(
        num_iterations=500,
        meta_batch_size=20,
        multiplier=10.0,
        inner_learning_rate=0.01,
        network={"two_heads": True, "object_units": 16, "places": 4, "object_layers": 1},
        outer={"learning_rate": 3e-3, "decays": True},
    )
    learner = learners.MIL(family, learners.MIL.make_policy(family, config, (40, 40)), config)
    tfcaml.train(learner, population)
    result = tfcaml.evaluate(learner, population.test, num_updates=1, num_episodes=20)
    before, after = result.returns.mean(axis=(1, 2))
    assert before < 0.3 and after > 0.75
    # Unadapted, it ends as often nearer to the other place.
    nearer = [ends_nearer(x, population.test) for x in result.trajectories]
    assert abs(nearer[0] - 0.5) < 0.1 and nearer[1] > 0.9


def ends_nearer(trajectory, task):
    """The share of episodes that end nearer to the wanted place than to the other one."""
    objects, point = (trajectory.final_observation[k].numpy() for k in ("objects", "point"))
    distance = np.linalg.norm(objects[..., :2] - point[:, :, None], axis=-1)
    wanted = np.isclose(objects[..., 2:], task["colours"].numpy()[:, None, :1]).all(axis=-1)
    return np.mean(distance[wanted] < distance[~wanted])
