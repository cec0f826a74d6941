"""`environments.check` finds each kind of mistake, and none in families that are well."""

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec

from tests.environments.family_names import NAMES
from tfcaml import environments, keys
from tfcaml.environments import HostEnvironment, Population
from tfcaml.errors import ConfigError

# Random walks arrive seldom, and before that all goals are alike.
SIZES = {
    "four_rooms": {"num_tasks": 4, "num_episodes": 100},
    "key_door": {"num_episodes": 200},
    "maze": {"num_tasks": 20, "num_episodes": 20},
    "moving_bandits": {"num_episodes": 20},
}


@pytest.mark.parametrize("name", NAMES)
def test_families_of_ours_are_well(name):
    family = environments.ENVIRONMENTS[name][0]()
    family.horizon = min(family.horizon, 30)
    environments.check(family, **SIZES.get(name, {}))


def test_python_families_are_well(walk):
    environments.check(walk)


@pytest.fixture(scope="module")
def sound(slide):
    """A sound family in TensorFlow, to be broken."""

    class Sound(type(slide)):
        def population(self, seed, num_test=3):
            goals = np.random.default_rng(seed).uniform(-1, 1, [8]).astype(np.float32)
            task = lambda values: {"goal": tf.constant(values)}
            return Population(task(goals[:5]), task(goals[5:]), np.zeros(5), np.zeros(3))

    environments.check(Sound())
    return Sound


def broken(sound, method, change):
    """The family with `change` applied to what one method returns."""

    class Broken(sound):
        pass

    def changed(self, *args, **kwargs):
        return change(getattr(super(Broken, self), method)(*args, **kwargs))

    setattr(Broken, method, changed)
    return Broken()


STEP = ("state", "observation", "reward", "terminated")


@pytest.mark.parametrize(
    "field, change, message",
    [
        (
            "observation",
            lambda x: x[..., 0],
            r"observation of shape \[3, 2, 1\] .* received \[3, 2\]",
        ),
        ("observation", lambda x: x / 0.0, "expected observations to be finite"),
        ("observation", lambda x: {"x": x}, "expected observation to have the structure"),
        ("reward", lambda x: tf.cast(x, tf.float64), "reward .* float32; received .* float64"),
        ("reward", lambda x: x * np.nan, "expected rewards to be finite"),
        ("reward", lambda x: x[..., None], r"reward of shape \[3, 2\] .* received \[3, 2, 1\]"),
        ("terminated", lambda x: tf.cast(x, tf.float32), "terminated .* dtype bool; received"),
        ("state", lambda x: x[:1], "expected state of shape"),
    ],
)
def test_steps(sound, field, change, message):
    index = STEP.index(field)
    family = broken(
        sound, "step", lambda step: (*step[:index], change(step[index]), *step[index + 1 :])
    )
    with pytest.raises(ConfigError, match=message):
        environments.check(family)


def test_observations_out_of_bounds(sound):
    family = sound()
    family.observation_spec = tensor_spec.BoundedTensorSpec([1], tf.float32, -1, 1)
    with pytest.raises(ConfigError, match="observations within observation_spec's -1 to 1; rec"):
        environments.check(family)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda x: x + 5, r"within observation_spec's -3 to 3; received 5.* from reset$"),
        (lambda x: x[..., 0], r"shape \[3, 2, 1\] and .*; received \[3, 2\] float32 from reset$"),
        (lambda x: tf.cast(x, tf.float64), "and dtype float32; received .* float64 from reset$"),
        (
            lambda x: x * np.nan,
            "observations to be finite; received nan or inf from reset$",
        ),
    ],
)
def test_first_observations(sound, change, message):
    family = broken(sound, "reset", lambda start: (start[0], change(start[1])))
    family.observation_spec = tensor_spec.BoundedTensorSpec([1], tf.float32, -3, 3)
    with pytest.raises(ConfigError, match="^Broken: expected .*" + message):
        environments.check(family)


@pytest.mark.parametrize(
    "first, message",
    [
        ([5.0, 0.0], "within observation_spec's -2 to 2; received 5.0 from reset$"),
        ([np.nan, 0.0], "reset of the environment failed .* expected finite observations"),
        ([0.0], r"reset of the environment failed .* shape \(2,\); received shape=\(1,\)$"),
        (["a", "b"], "reset of the environment failed .* dtype float32; received <U1"),
    ],
)
def test_first_observations_of_python_environments(walk_class, first, message):
    class Wrong(walk_class):
        def reset(self, **kwargs):
            super().reset(**kwargs)
            return np.array(first), {}

    with pytest.raises(ConfigError, match=message):
        environments.check(HostEnvironment(Wrong, GAINS, horizon=5))


@pytest.mark.parametrize("kind", [dict, tuple])
def test_nests_of_actions_are_refused(sound, kind):
    family = sound()
    one = family.action_spec
    family.action_spec = {"a": one, "b": one} if kind is dict else (one, one)
    with pytest.raises(ConfigError, match="expected action_spec to be one BoundedTensorSpec"):
        environments.check(family)


@pytest.mark.parametrize(
    "name, value, message",
    [
        ("task_spec", None, "expected task_spec to be set"),
        ("horizon", 2.5, "expected horizon to be an int >= 1; received horizon=2.5"),
        ("noise_size", -1, "expected noise_size to be an int >= 0"),
        ("action_spec", tf.TensorSpec([1]), "expected action_spec to be one BoundedTensorSpec"),
        ("task_spec", {"aim": tf.TensorSpec([])}, "population.train to have the structure"),
        (
            "task_spec",
            {"goal": tf.TensorSpec([2])},
            r"test\['goal'\] of shape \[3, 2\] .* received .*\[3\]",
        ),
    ],
)
def test_specs(sound, name, value, message):
    family = sound()
    setattr(family, name, value)
    with pytest.raises(ConfigError, match=message):
        environments.check(family)


def test_every_finding_of_a_look_has_its_line(sound):
    family = sound()
    family.horizon, family.noise_size = 0, -1
    with pytest.raises(ConfigError) as caught:
        environments.check(family)
    lines = str(caught.value).splitlines()
    assert len(lines) == 2 and all(line.startswith("Sound: expected ") for line in lines)


@pytest.mark.parametrize(
    "change, message",
    [
        (
            lambda p: p._replace(train={"goal": p.train["goal"] + np.random.uniform()}),
            "population.train changes from call to call with the same seed",
        ),
        (
            lambda p: p._replace(test={"goal": p.train["goal"][2:]}),
            "3 of the test tasks are training tasks too",
        ),
        (
            lambda p: p._replace(test_group=np.zeros(2)),
            r"expected test_group of shape \(3,\); received \(2,\)",
        ),
        (
            lambda p: p._replace(draw=lambda n, key: {"goal": tf.repeat(p.test["goal"][:1], n)}),
            "population.sample gave 1 of the test tasks|population.sample gave 5 of the query",
        ),
    ],
)
def test_populations(sound, change, message):
    with pytest.raises(ConfigError, match=message):
        environments.check(broken(sound, "population", change))


def test_query_tasks_may_be_support_tasks_where_the_family_says_so(sound):
    class Shared(sound):
        holds_out = False

    same = lambda p: p._replace(test={"goal": p.train["goal"][2:]})
    environments.check(broken(Shared, "population", same))
    options = {"goals": "corners", "reward": "sparse", "observe_goal": True, "horizon": 5}
    corners = environments.Navigation(environments.NavigationConfig(**options))
    assert not corners.holds_out
    environments.check(corners)
    with pytest.raises(ConfigError, match=r"population\.test changes from call to call"):
        change = lambda p: p._replace(test={"goal": p.test["goal"] + np.random.uniform()})
        environments.check(broken(Shared, "population", change))


def test_entities_are_compared_to_the_last_digit(walk_class):
    """Numbers beyond the digits of floats, and strings."""
    ids = iter(range(2**53, 2**53 + 10**6))

    class Named(HostEnvironment):
        def population(self, seed, num_test=None):
            population = super().population(seed, num_test)
            fresh = {**population.test, "id": tf.constant([next(ids)])}
            return population._replace(test=fresh)

    tasks = {"id": [1, 2], "gain": [0.3, 0.5]}, {"id": [3], "gain": [0.4]}
    set_task = lambda environment, task: environment.set_task(task)
    with pytest.raises(ConfigError, match=r"population\.test changes from call to call"):
        environments.check(Named(walk_class, tasks, set_task, horizon=3))


def test_episodes_that_hang_on_their_batch(sound):
    """Each point is drawn towards the mean of all."""
    family = broken(
        sound,
        "step",
        lambda step: (step[0] - 0.1 * tf.reduce_mean(step[0]), *step[1:]),
    )
    with pytest.raises(ConfigError, match="differs when it is played alone: it depends on its b"):
        environments.check(family)


def test_episodes_that_hang_on_their_place(sound):
    class Broken(sound):
        def reset(self, task, key):
            state, observation = super().reset(task, key)
            place = tf.cast(tf.range(state.shape[0]), tf.float32)[:, None, None]
            return state + 0.1 * place, observation

    with pytest.raises(ConfigError, match="differs with its place among other tasks"):
        environments.check(Broken())


def test_numbers_that_no_seed_decides(sound):
    family = broken(sound, "reset", lambda start: (start[0] + np.random.uniform(), start[1]))
    with pytest.raises(ConfigError, match="differs when the same episodes are played again"):
        environments.check(family)


def test_tasks_that_make_no_difference(sound):
    family = broken(sound, "step", lambda step: (*step[:2], step[2] * 0, step[3]))
    with pytest.raises(ConfigError, match="tasks make no difference"):
        environments.check(family)


def test_steps_that_no_graph_can_take(sound):
    family = broken(sound, "step", lambda step: (*step[:2], tf.constant(step[2].numpy()), step[3]))
    with pytest.raises(ConfigError, match=r"A step in a graph could not be checked: .*numpy"):
        environments.check(family)


GAINS = {"gain": [0.3, -0.5, 0.05]}, {"gain": [0.4, -0.2]}


@pytest.mark.parametrize("method", ["reset", "step"])
def test_methods_that_are_missing(sound, method):
    class Unfinished(sound):
        pass

    setattr(Unfinished, method, getattr(environments.TaskFamily, method))
    with pytest.raises(ConfigError, match=f"expected the method {method} to be defined"):
        environments.check(Unfinished())


def test_python_environments_that_leave_something_behind(walk_class):
    class Wearing(walk_class):
        """Its gain wears off with every task it is told."""

        wear = 1.0

        def set_task(self, task):
            self.wear *= 0.9
            self.gain = float(task["gain"]) * self.wear

    family = HostEnvironment(Wearing, GAINS, horizon=5)
    with pytest.raises(ConfigError, match=r"played again: .* leave nothing of an earlier episode"):
        environments.check(family)


def test_python_environments_that_ignore_their_seed(walk_class):
    class Unseeded(walk_class):
        def reset(self, *, seed=None, options=None):
            return super().reset()

    family = HostEnvironment(Unseeded, GAINS, horizon=5)
    with pytest.raises(ConfigError, match="observation differs when the same episodes are played"):
        environments.check(family)


def test_python_environments_that_ignore_their_task(walk_class):
    family = HostEnvironment(
        walk_class, GAINS, lambda environment, task: environment.set_task({"gain": 1}), horizon=5
    )
    with pytest.raises(ConfigError, match="HostEnvironment: tasks make no difference"):
        environments.check(family)


def test_python_environments_that_break_down(walk_class):
    class Broken(walk_class):
        def step(self, action):
            raise RuntimeError("no power")

    family = HostEnvironment(Broken, GAINS, horizon=5)
    with pytest.raises(ConfigError, match=r"An episode could not be checked: .* no power"):
        environments.check(family)


def test_few_tasks_and_episodes_are_enough(sound):
    assert environments.check(sound(), num_tasks=1, num_episodes=1) is None
    family = sound()
    key = keys.per_episode(keys.from_int(0), 1, 1)
    assert family.reset({"goal": tf.zeros([1])}, key)[1].shape == [1, 1, 1]
