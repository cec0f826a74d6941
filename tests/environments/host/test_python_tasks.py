"""Tasks of Python environments arrive as the user gave them, or are refused."""

import json

import gymnasium
import numpy as np
import pytest
import tensorflow as tf

from tfcaml import keys, learners, nest, policies
from tfcaml.environments import HostEnvironment
from tfcaml.environments.base import overlap
from tfcaml.errors import ConfigError
from tfcaml.experiments import checkpoints

TOLD = []  # what environments were told


class Told(gymnasium.Env):
    """Writes down what it is told."""

    observation_space = gymnasium.spaces.Box(-1, 1, [1], np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    set_task = lambda self, task: TOLD.append(task)
    reset = lambda self, **_: (np.zeros(1, np.float32), {})


def told(family, task):
    """What environments receive of tasks, in a graph."""
    key = keys.per_episode(keys.from_int(0), len(task["id"]), 1)
    TOLD.clear()
    tf.function(lambda: family.reset(task, key)[1], autograph=False)()
    return list(TOLD)


def assert_same(found, expected):
    """Equal in values, types, shapes and dtypes."""
    assert type(found) is type(expected), (found, expected)
    if isinstance(expected, dict):
        assert sorted(found) == sorted(expected)
        for key in expected:
            assert_same(found[key], expected[key])
    elif isinstance(expected, (list, tuple)):
        assert len(found) == len(expected)
        for pair in zip(found, expected):
            assert_same(*pair)
    elif isinstance(expected, np.ndarray):
        assert found.dtype.kind == expected.dtype.kind and found.shape == expected.shape
        assert found.tolist() == expected.tolist()
    else:
        assert found == expected


ENTITIES = [
    {
        "id": number,
        "name": name,
        "mass": 0.1 * number,
        "on": number % 2 == 0,
        "raw": name.encode(),
        "goal": (0.1, 1 / 3 + number),
        "path": [[number, 2**40], [3, -4]],
        "limits": {"low": np.float32(0.1), "high": np.array([0.1, number])},
        "image": np.full([2, 2], number % 256, np.uint8),
        "labels": np.array(["a", name]),
    }
    for number, name in ((3000000000, "ß"), (2**33 + 1, "b"), (1, "lang"), (2**63 - 1, ""))
]


@pytest.fixture(scope="module")
def entities():
    """A family of `ENTITIES`, as drawn one by one: two to learn from and two to adapt to."""
    numbers = iter([0, *range(4), *range(4)])  # the first is an example
    draw = lambda rng: ENTITIES[next(numbers)]
    family = HostEnvironment(Told, draw, horizon=3, num_train=2)
    return family, family.population(0, 2)


def test_environments_are_told_exactly_the_tasks_that_were_drawn(entities):
    family, population = entities
    assert_same(told(family, population.train), ENTITIES[:2])
    assert_same(told(family, population.test), ENTITIES[2:])
    assert population.train["id"].dtype == tf.int64
    assert population.train["limits"]["high"].dtype == tf.float64
    assert population.train["limits"]["low"].dtype == tf.float32


def test_environments_are_told_exactly_the_tasks_that_were_given():
    column = lambda key: [entity[key] for entity in ENTITIES]
    table = {key: column(key) for key in ENTITIES[0] if key != "limits"}
    table["image"], table["labels"] = np.stack(table["image"]), np.stack(table["labels"])
    table["limits"] = {
        name: np.stack([limits[name] for limits in column("limits")]) for name in ("low", "high")
    }
    rows = lambda table, part: {
        key: rows(x, part) if isinstance(x, dict) else x[part] for key, x in table.items()
    }
    tasks = rows(table, slice(0, 3)), rows(table, slice(3, 4))
    family = HostEnvironment(Told, tasks, horizon=3)
    population = family.population(0)
    assert_same(told(family, population.train), ENTITIES[:3])
    assert_same(told(family, population.test), ENTITIES[3:])


def test_tasks_survive_all_that_is_done_to_populations(entities):
    """Rows by index, joined, drawn, repeated, as NumPy, through JSON, and as learners keep them."""
    family, population = entities
    both = nest.concat(population.train, population.test)
    assert_same(told(family, nest.take(both, [3, 1, 1])), [ENTITIES[i] for i in (3, 1, 1)])
    sampled = told(family, population.sample(20, keys.from_int(1))[0])
    assert {entity["id"] for entity in sampled} == {3000000000, 2**33 + 1}
    assert_same(told(family, nest.map(np.asarray, both)), ENTITIES)
    kept = nest.map(tf.Variable, both)
    assert_same(told(family, nest.map(tf.convert_to_tensor, kept)), ENTITIES)
    # JSON has neither bytes nor dtypes.
    plain = {key: x for key, x in both.items() if key not in ("raw", "labels", "name")}
    text = json.dumps(nest.map(lambda x: x.numpy().tolist(), plain))
    back = {**json.loads(text), "name": [entity["name"] for entity in ENTITIES]}
    back |= {key: both[key] for key in ("raw", "labels")}
    for found, expected in zip(told(family, back), ENTITIES, strict=True):
        for key in ("id", "name", "mass", "on", "goal", "path"):
            assert_same(found[key], expected[key])
        np.testing.assert_array_equal(found["image"], expected["image"])
        assert found["limits"]["low"] == np.float64(np.float32(0.1))


def test_distinct_tasks_stay_distinct():
    one, other = {"id": [1, 2**53]}, {"id": [2**32 + 1, 2**53 + 1]}
    family = HostEnvironment(Told, (one, other), horizon=3)
    population = family.population(0)
    assert overlap(population.train, population.test) == 0
    assert population.groups_of(population.train).tolist() == [0, 0]
    with pytest.raises(ConfigError, match="test tasks that are training tasks too to be none"):
        HostEnvironment(Told, (one, {"id": [2**53]}), horizon=3).population(0)
    mixed = {"id": [2**53], "x": [0.5]}, {"id": [2**53 + 1], "x": [0.5]}
    HostEnvironment(Told, mixed, horizon=3).population(0)
    shared = HostEnvironment(Told, (one, {"id": [2**53]}), horizon=3)
    shared.holds_out = False
    assert nest.leading(shared.population(0).test) == 1


@pytest.mark.parametrize(
    "given, message",
    [
        ([None, None], r"task\['x'\] to be a number, string or array, .* received \[None, None\]$"),
        ([[1, 2], [3]], r"alike in all tasks; received \[\[1, 2\], \[3\]\]$"),
        ([2**64, 1], r"received \[18446744073709551616, 1\]$"),
        ([2**63, 1], r"received \[9223372036854775808, 1\]$"),
        ([2**53 + 1, 0.5], "exactly a float64 in all tasks, .*; received 9007199254740993$"),
        ([1, "1"], "exactly a string in all tasks, as it is in others; received 1$"),
        ([True, 2], "exactly a int64 in all tasks, as it is in others; received True$"),
        (["a\0", "b"], r"exactly a string in all tasks, .* received 'a\\x00'$"),
        ([print, print], r"a number, string or array, .* received \[<built-in"),
        (
            [{"a": 1}, {"b": 1}],
            r"the names in task\['x'\] to be the same for all tasks, \['a'\]; rec",
        ),
        ([{"a": 1}, 2], r"expected task\['x'\] to be a dict of named .* received 2$"),
        ([np.datetime64("2020-01-01")] * 2, "to be a number, string or array"),
    ],
)
def test_tasks_that_would_not_arrive_as_given_are_refused(given, message):
    with pytest.raises(ConfigError, match=message) as caught:
        HostEnvironment(Told, ({"x": given[:1]}, {"x": given[1:]}), horizon=3)
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        rows = iter([given[0], *given])
        HostEnvironment(Told, lambda rng: {"x": next(rows)}, horizon=3, num_train=2).population(0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "tasks, message",
    [
        (3, r"expected tasks to be a function, or a pair of dicts \(support, query\); received"),
        (([1], [2]), "expected tasks to be a dict of arrays or lists with one row per task; rec"),
        (({"x": 1}, {"x": 2}), r"expected tasks\['x'\] to be a dict of arrays .* received 1$"),
        (({"x": []}, {"x": [1]}), r"numbers of rows of tasks to be equal and > 0; rec.*'x': 0}$"),
        (({"x": [1], "y": [1, 2]}, {"x": [1]}), "numbers of rows of tasks to be equal and > 0"),
        (({"x": [1]}, {"y": [1]}), r"the names in task to be the same for all tasks, \['x'\]"),
        (lambda rng: 3.0, "expected task to be a dict of named numbers, strings or arrays; rec"),
        (lambda rng: {}, "expected task to be a dict of named numbers, strings or arrays; rec"),
        (lambda rng: {1: 2}, "expected task to be a dict of named numbers, strings or arrays; r"),
    ],
)
def test_tasks_of_no_known_form_are_refused(tasks, message):
    with pytest.raises(ConfigError, match=message):
        HostEnvironment(Told, tasks, horizon=3)


def test_tasks_of_another_family_are_refused():
    family = HostEnvironment(Told, ({"x": [0.5], "n": [1]}, {"x": [1.5], "n": [2]}), horizon=3)
    key = keys.per_episode(keys.from_int(0), 1, 1)
    for task, message in (
        ({"x": [0.5]}, r"the names in task to be \['n', 'x'\]; received \['x'\]$"),
        (tf.zeros([1]), r"the names in task to be \['n', 'x'\]; received"),
        (
            {"x": [0.5], "n": [[1]]},
            r"shape of task\['n'\] to be \(1,\), one row per task; received",
        ),
        ({"x": [0.5], "n": [1, 2]}, r"shape of task\['n'\] to be \(1,\), one row per task; rec"),
        ({"x": ["a"], "n": [1]}, r"the dtype of task\['x'\] to be float64; received 'string'$"),
        ({"x": [None], "n": [1]}, r"task\['x'\] to be a number, string or array"),
    ):
        with pytest.raises(ConfigError, match=message):
            family.reset(task, key)


@pytest.mark.slow
def test_tasks_come_back_from_the_checkpoint_of_a_learner(walk_class, tmp_path):
    """CAML remembers the tasks that its policies were trained on."""
    draw = lambda rng: {"id": 2**40 + int(rng.integers(2**20)), "name": "ß", "gain": rng.random()}
    family = HostEnvironment(walk_class, draw, horizon=3, num_train=4)
    population = family.population(0)
    sizes = {"num_iterations": 1, "meta_batch_size": 2, "policies_per_clustering": 2}
    sizes |= {"num_medoids": 2, "choice": {"trial_episodes": 4}}
    sizes |= {"inner_updates": 1, "episodes_per_update": 2}
    config = learners.CAML.Config(**sizes)
    policy = policies.mlp_policy(family.observation_spec, family.action_spec, (8,))
    saved, read = (learners.CAML(family, policy, config) for _ in range(2))
    saved.train(nest.take(population.train, [0, 3]), keys.from_int(0))
    about = {"learner": "CAML"}
    for learner in (saved, read):
        variables = checkpoints.named({"meta": learner.meta})
        files = checkpoints.Checkpoints(tmp_path, variables, about)
        files.save(1) if learner is saved else files.restore()
    task = nest.take(read.meta.read()["medoids"]["task"], [0])
    (index,) = np.flatnonzero(population.train["id"] == task["id"])
    nest.map(np.testing.assert_array_equal, task, nest.take(population.train, [index]))
    assert index in (0, 3) and family.reset(task, keys.per_episode(keys.from_int(0), 1, 1))
