"""What every family of ours promises of its specs, bounds, seeds and tasks.

That its numbers keep to its specs, are the same when played again, and held-out entities are apart,
is in `environments.check` (test_conformance.py).
"""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec

from tests.environments.family_names import ATARI, WITHOUT_DATA
from tfcaml import environments, keys, nest
from tfcaml.environments import ENVIRONMENTS
from tfcaml.environments.tf_agents import FamilyPyEnvironment, FamilyTFEnvironment
from tfcaml.errors import ConfigError


@pytest.fixture(params=[*sorted(set(ENVIRONMENTS) - WITHOUT_DATA - {"atari"}), ATARI])
def make(request):
    """() -> a new environment of the family."""
    family, options = ENVIRONMENTS[request.param]
    return lambda **changes: family(options(**changes))


def first_observation(environment, task, seed=3):
    episode = keys.per_episode(keys.from_int(seed), nest.leading(task), 2)
    return environment.reset(task, keys.salted(episode, keys.RESET))[1]


def assert_equal(left, right):
    for one, other in zip(tf.nest.flatten(left), tf.nest.flatten(right), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def test_specs_are_of_finite_actions_and_known_shapes(make):
    environment = make()
    action = environment.action_spec
    assert isinstance(action, tensor_spec.BoundedTensorSpec)
    assert np.all(np.isfinite(action.minimum)) and np.all(action.minimum < action.maximum)
    specs = tf.nest.flatten([environment.observation_spec, environment.task_spec, action])
    assert all(spec.shape.is_fully_defined() for spec in specs)
    assert environment.horizon >= 1 and environment.noise_size >= 0


def test_options_come_back_from_json(make):
    """As a run directory and an export's card have them."""
    environment = make()
    text = json.dumps(dataclasses.asdict(environment.config))
    config = type(environment.config)(**json.loads(text))
    assert config == environment.config
    again = type(environment)(config)
    for name in ("observation_spec", "action_spec", "task_spec", "horizon", "noise_size"):
        assert getattr(again, name) == getattr(environment, name)


def test_a_seed_decides_the_entities_of_every_object(make):
    """Where each test task is a training task too, all seeds have the same.

    So they have the training tasks of the four rooms, which an option names.
    """
    first, again = make().population(3, 4), make().population(3, 4)
    other = make().population(4, 4)
    assert_equal(first[:4], again[:4])
    key = keys.from_int(1)
    assert_equal(first.sample(5, key), again.sample(5, key))
    for name in ("train", "test"):
        pairs = zip(tf.nest.flatten(getattr(first, name)), tf.nest.flatten(getattr(other, name)))
        differ = any(np.any(np.asarray(a) != np.asarray(b)) for a, b in pairs)
        named = name == "train" and isinstance(make(), environments.FourRooms)
        assert differ != named or not make().holds_out


def test_seeds_are_integers_that_are_not_negative(make):
    """Of Python or NumPy, as loops over `np.arange` give them."""
    environment = make()
    expected = environment.population(3, 2)
    for seed in (np.int64(3), np.uint8(3), np.array(3)):
        assert_equal(environment.population(seed, 2)[:4], expected[:4])
    for seed in (-1, np.int64(-1), 1.5, None):
        with pytest.raises(ConfigError, match=r"^expected seed to be an integer from 0 to 2\*\*62"):
            environment.population(seed, 2)
    task = nest.take(expected.test, [0])
    for kind in (
        FamilyPyEnvironment,
        lambda *args, **kwargs: FamilyTFEnvironment(*args, 1, **kwargs),
    ):
        with pytest.raises(ConfigError, match="expected seed to be an integer from 0 to"):
            kind(environment, task, seed=-1)
    with pytest.raises(ConfigError, match="seed to be an integer from 0 to"):
        environments.check(environment, seed=-1)


def test_more_held_out_entities_begin_with_the_fewer(make):
    """Families in TensorFlow draw all at once, and only those of a table one by one."""
    environment = make()
    few, more = environment.population(0, 2), environment.population(0, 5)
    assert nest.leading(few.test) == 2 and nest.leading(more.test) == 5
    if not hasattr(environment, "_draw") or not environment.supports_xla:
        drop = {"force"}  # of CartPole: its sign is spread over however many there are
        rows = nest.take(more.test, [0, 1])
        keep = lambda task: {name: x for name, x in task.items() if name not in drop}
        assert_equal(keep(few.test), keep(rows))


def test_tasks_come_back_from_numpy_and_json(make):
    environment = make()
    task = environment.population(0, 3).test
    arrays = nest.map(np.asarray, task)
    assert_equal(task, nest.map(tf.constant, arrays))
    for name, spec in environment.task_spec.items():
        assert arrays[name].shape == (3, *spec.shape) and arrays[name].dtype == spec.dtype
    text = json.dumps({name: x.tolist() for name, x in arrays.items()})
    back = {
        name: tf.constant(x, environment.task_spec[name].dtype)
        for name, x in json.loads(text).items()
    }
    assert_equal(task, back)
    rows = [nest.take(task, [i]) for i in range(3)]
    assert_equal(task, nest.concat(*rows))
    assert_equal(first_observation(environment, task), first_observation(environment, back))


def test_a_task_and_a_seed_decide_the_first_observation(make):
    """Of another object, in another order, and alone."""
    environment = make()
    task = environment.population(0, 3).test
    found = first_observation(environment, task)
    assert_equal(found, first_observation(make(), task))
    assert_equal(found, first_observation(environment, task))
    alone = first_observation(make(), nest.take(task, [0]))
    assert_equal(nest.take(found, [0]), alone)
    for leaf, spec in zip(
        tf.nest.flatten(found), tf.nest.flatten(environment.observation_spec), strict=True
    ):
        assert leaf.shape == (3, 2, *spec.shape) and leaf.dtype == spec.dtype
