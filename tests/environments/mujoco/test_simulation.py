"""What all families of MuJoCo simulations share, shown on half-cheetahs."""

import builtins
import subprocess
import sys

import mujoco
import numpy as np
import pytest
import tensorflow as tf

from tfcaml import keys, nest
from tfcaml.environments import ENVIRONMENTS, HalfCheetahDirection, HalfCheetahDirectionConfig
from tfcaml.environments.mujoco.simulation import Simulation
from tfcaml.errors import ConfigError


class Slider(Simulation):
    """A mass on a rail, pushed by a motor of 1 N; a task is the mass, in kilogrammes."""

    def spec(self):
        spec = mujoco.MjSpec()
        spec.option.gravity = [0, 0, -9.81]
        body = spec.worldbody.add_body(name="mass")
        body.add_joint(name="rail", type=mujoco.mjtJoint.mjJNT_SLIDE, axis=[1, 0, 0])
        body.add_geom(name="mass", type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[0.1, 0, 0], mass=1)
        motor = spec.add_actuator(name="motor", target="rail", ctrlrange=[-1, 1])
        motor.trntype = mujoco.mjtTrn.mjTRN_JOINT
        return spec

    def tasks(self, unit):
        return {"mass": 0.5 + unit[:, 0]}

    def physics(self, task):
        mass = tf.cast(task["mass"], tf.float64)
        return {"body_mass": tf.stack([tf.zeros_like(mass), mass], axis=-1)}

    def observe(self, task, body):
        return tf.concat([body.qpos, body.qvel], axis=-1)

    def reward(self, task, before, after, velocity, control):
        return velocity[..., 0]

    def strength(self, task):
        return tf.where(task["mass"] > 1.2, 0.5, 1.0)[:, None]


@pytest.fixture(scope="module")
def cheetah():
    return HalfCheetahDirection(HalfCheetahDirectionConfig(horizon=5))


def episodes(task, num_episodes=3, seed=0):
    key = keys.per_episode(keys.from_int(seed), nest.leading(task), num_episodes)
    return keys.salted(key, keys.RESET)


def actions(family, num_tasks, num_episodes=3, seed=0, steps=4):
    rng = np.random.default_rng(seed)
    bound = family.config.action_range
    shape = [steps, num_tasks, num_episodes, *family.action_spec.shape]
    return tf.constant(rng.uniform(-bound, bound, shape), tf.float32)


def played(family, task, key, action):
    state, observation = family.reset(task, key)
    steps = [(state, observation)]
    for each in action:
        steps.append(family.step(task, steps[-1][0], each, None))
    return steps


def assert_equal(left, right):
    for one, other in zip(tf.nest.flatten(left), tf.nest.flatten(right), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_mass_is_accelerated_by_its_force():
    """a = strength F / m, to the last digits."""
    family = Slider(Slider.Config(reset_noise=0.0, action_range=1.0, frame_skip=4))
    task = {"mass": tf.constant([0.5, 0.8, 1.4])}
    state, _ = family.reset(task, episodes(task))
    push = tf.ones([3, 3, 1])
    for _ in range(5):
        state, observation, reward, _ = family.step(task, state, push, None)
    seconds = 5 * family.seconds_per_step
    acceleration = np.array([1.0, 1.0, 0.5]) / np.array([0.5, 0.8, 1.4], np.float32)
    speed = np.repeat((acceleration * seconds)[:, None], 3, axis=1)
    np.testing.assert_allclose(observation[..., 1], speed, rtol=1e-6)
    np.testing.assert_allclose(state["row"][..., 1], speed, rtol=1e-7)
    middle = seconds - (family.seconds_per_step - 0.01) / 2  # of the last step, by Euler's method
    np.testing.assert_allclose(reward, speed * middle / seconds, rtol=1e-5)


def test_an_action_is_a_share_of_the_whole_control(cheetah):
    """Beyond `action_range` it is the whole; and an action range only scales."""
    task = cheetah.population(0).test
    action = actions(cheetah, 2)
    expected = played(cheetah, task, episodes(task), action)
    wide = HalfCheetahDirection(HalfCheetahDirectionConfig(horizon=5, action_range=1.0))
    found = played(wide, task, episodes(task), action / 10)
    assert_equal(found, expected)
    assert wide.action_spec.maximum == 1 and cheetah.action_spec.maximum == 10
    whole = tf.sign(action) * 10
    beyond = played(cheetah, task, episodes(task), whole * 7)
    assert_equal(beyond, played(cheetah, task, episodes(task), whole))


def test_shards_of_tasks_and_of_episodes_have_the_same_bits(cheetah):
    task = cheetah.population(0, 5).test
    key, action = episodes(task), actions(cheetah, 5)
    whole = played(cheetah, task, key, action)
    for tasks, those in (
        (slice(0, 2), slice(None)),
        (slice(2, 5), slice(1, 3)),
        (slice(4, 5), [1]),
    ):
        take = lambda x: tf.constant(x.numpy()[tasks][:, those])
        part = {name: x[tasks] for name, x in task.items()}
        found = played(cheetah, part, take(key), [take(each) for each in action])
        assert_equal(found, nest.map(take, whole))
    one = HalfCheetahDirection(cheetah.config, num_threads=1)
    assert_equal(played(one, task, key, action), whole)


@pytest.mark.parametrize("bad", [np.nan, 1e12])
def test_a_row_that_diverges_is_cut_and_counted(bad):
    family = HalfCheetahDirection(HalfCheetahDirectionConfig(horizon=5))
    task, action = family.population(0).test, actions(family, 2)
    state, _ = family.reset(task, episodes(task))
    expected = family.step(task, state, action[0], None)
    assert family.faults() == {}
    row = state["row"].numpy()
    row[1, 2, 12] = bad
    spoilt = {**state, "row": tf.constant(row)}
    later, _, reward, terminated = family.step(task, spoilt, action[0], None)
    cut = np.asarray(family.truncated(later))
    assert cut[1, 2] and cut.sum() == 1 and not np.any(terminated)
    assert family.faults() == {"diverged_episodes": 1}
    assert float(reward[1, 2]) == 0
    others = ~cut
    np.testing.assert_array_equal(later["row"].numpy()[others], expected[0]["row"].numpy()[others])
    np.testing.assert_array_equal(reward.numpy()[others], expected[2].numpy()[others])
    again = family.step(task, later, action[1], None)[0]
    np.testing.assert_array_equal(again["row"].numpy()[1, 2], row[1, 2])
    assert family.faults() == {"diverged_episodes": 1}


def test_an_action_that_is_no_number_ends_its_episode_with_no_reward(cheetah):
    task, action = cheetah.population(0).test, actions(cheetah, 2)[0].numpy()
    state, _ = cheetah.reset(task, episodes(task))
    expected = cheetah.step(task, state, tf.constant(action), None)
    action[0, 1, 3] = np.nan
    later, _, reward, terminated = cheetah.step(task, state, tf.constant(action), None)
    assert np.isnan(reward).sum() == 1 and np.isnan(reward[0, 1])
    assert np.asarray(later["cut"])[0, 1] and not np.any(terminated)
    others = ~np.isnan(reward)
    np.testing.assert_array_equal(later["row"].numpy()[others], expected[0]["row"].numpy()[others])


class Costly(Slider):
    """Every step ends the episode and is paid by the control that is asked for."""

    def ended(self, task, body):
        return tf.ones(body.qpos.shape[:2], tf.bool)

    def reward(self, task, before, after, velocity, control):
        return tf.reduce_sum(control, axis=-1)


def test_what_is_cut_has_not_ended_as_well():
    """Where the family would have the state it is left in be an end."""
    family = Costly()
    task = {"mass": tf.constant([0.5, 0.8])}
    state, _ = family.reset(task, episodes(task))
    row, action = state["row"].numpy(), np.ones([2, 3, 1], np.float32)
    row[0, 1, 1], action[1, 2] = np.nan, np.nan
    later, _, _, terminated = family.step(task, {**state, "row": row}, tf.constant(action), None)
    cut = np.zeros([2, 3], bool)
    cut[0, 1] = cut[1, 2] = True
    np.testing.assert_array_equal(family.truncated(later), cut)
    np.testing.assert_array_equal(terminated, ~cut)
    assert np.all(later["still"])


def test_a_weak_motor_costs_what_it_is_asked_for():
    """A task's strength is the actuators', not the policy's."""
    family = Costly(Slider.Config(action_range=1.0))
    task = {"mass": tf.constant([0.5, 1.4])}  # the second of half the strength
    state, _ = family.reset(task, episodes(task))
    reward = family.step(task, state, tf.fill([2, 3, 1], 0.5), None)[2]
    np.testing.assert_array_equal(reward, np.full([2, 3], 0.5))


# Families in which controls cost nothing.
FREE = (
    *("ant_bandits", "ant_obstacles", "dir_hopper", "goal_ant", "normal_hopper", "pusher"),
    *("random_hopper", "random_walker", "colour_push", "colour_reach"),
)


@pytest.mark.parametrize(
    "name", [name for name, (made, _) in ENVIRONMENTS.items() if issubclass(made, Simulation)]
)
def test_controls_cost_what_the_reward_is_less_by(name):
    made, options = ENVIRONMENTS[name]
    family = made(options())
    task = family.population(0, 3).test
    state, _ = family.reset(task, episodes(task))
    body = family._body(state["row"], state["sensors"])
    control = family.control(actions(family, 3)[0])
    reward = lambda asked: family.reward(task, body, body, tf.zeros_like(body.qpos), asked)
    cost = family.control_cost(control)
    free = name in FREE
    assert (cost.numpy() == 0).all() if free else (cost.numpy() > 0).all()
    difference = reward(tf.zeros_like(control)) - reward(control)
    np.testing.assert_allclose(difference, cost, rtol=1e-4, atol=1e-5)


def test_tasks_to_adapt_to_are_never_drawn_to_learn_from():
    """They lie on the odd points of the grid, and training tasks on the even ones."""
    family = Slider()
    found = family.population(0, 50)
    point = lambda task: (task["mass"].numpy().astype(np.float64) - 0.5) * 2**21
    assert np.all(point(found.test) % 2 == 1)
    drawn, _ = found.sample(50, keys.from_int(1))
    for task in (drawn, found.train):
        assert np.all(point(task) % 2 == 0)


def test_what_is_told_says_which_physics_it_was(cheetah):
    text = cheetah.notice
    for part in (f"MuJoCo {mujoco.__version__}", "euler", "5 steps of 0.01 s", "action / 10"):
        assert part in text


def test_speed_far_from_the_start_keeps_its_digits(cheetah):
    """At 10 km a step of 5 cm would be half of it in 32 bits."""
    task, action = cheetah.population(0).test, actions(cheetah, 2)[0]
    state, _ = cheetah.reset(task, episodes(task))
    shift = np.zeros(state["row"].shape)
    shift[..., 0] = 1e4
    far = {**state, "row": state["row"] + shift}
    near, there = (cheetah.step(task, each, action, None)[2] for each in (state, far))
    np.testing.assert_allclose(near, there, atol=2e-5)


def test_tfcaml_does_not_import_mujoco():
    code = "import sys, tfcaml; print(sorted(set(sys.modules) & {'mujoco', 'ray', 'gymnasium'}))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_line_says_that_mujoco_is_missing(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.partition(".")[0] == "mujoco":
            raise ModuleNotFoundError("No module named 'mujoco'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(
        ConfigError, match=r"pip install tfcaml\[mujoco\].*received Module"
    ) as error:
        HalfCheetahDirection()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"integrator": "heun"}, "integrator to be one of euler, implicitfast, rk4"),
        ({"action_range": 0.0}, "action_range"),
        ({"frame_skip": 0}, "frame_skip"),
        ({"action_range": -1}, "action_range to be > 0; received action_range=-1"),
        ({"action_range": np.inf}, "action_range to be a finite number; received action_range=inf"),
        ({"horizon": 0}, "horizon to be > 0; received horizon=0"),
        ({"timestep": -0.1}, r"timestep to be from 1e-6 to 1 \(seconds\); received timestep=-0.1"),
        ({"timestep": 1e9}, r"timestep to be from 1e-6 to 1 \(seconds\); received"),
        ({"timestep": 1e-9}, r"timestep to be from 1e-6 to 1 \(seconds\); received"),
        ({"timestep": np.inf}, "timestep to be a finite number; received timestep=inf"),
        ({"timestep": np.nan}, "timestep to be a finite number; received timestep=nan"),
        ({"reset_noise": -0.1}, "reset_noise to be >= 0; received reset_noise=-0.1"),
        ({"reset_noise": np.nan}, "reset_noise to be a finite number; received reset_noise=nan"),
        ({"form": "gym"}, "form to be one of promp, maml"),
    ],
)
def test_a_bad_option_is_one_line(options, message):
    with pytest.raises(ConfigError, match=message):
        HalfCheetahDirectionConfig(**options)


@pytest.mark.parametrize("num_threads", [0, -1, 1.5, True, "2", 10**6])
def test_a_bad_number_of_threads_is_one_line(num_threads):
    with pytest.raises(ConfigError, match="num_threads to be a whole number from 1 to 1024"):
        HalfCheetahDirection(num_threads=num_threads)


def slider_spec(change):
    """`Slider.spec` with something changed in it."""

    def spec(self):
        found = Slider.spec(self)
        return change(found) or found

    return spec


def unlimited(spec):
    spec.actuators[0].ctrlrange = [0, 0]


def without_mass(spec):
    spec.worldbody.add_body(name="loose").add_joint(name="loose")


@pytest.mark.parametrize(
    "method, found, message",
    [
        ("spec", lambda self: "<mujoco/>", r"Broken.spec\(\) to be a mujoco.MjSpec, not compiled"),
        ("spec", lambda self: Slider.spec(self).compile(), "a mujoco.MjSpec, not compiled"),
        ("spec", slider_spec(without_mass), "that MuJoCo compiles; received one with Error: mass"),
        ("spec", slider_spec(lambda spec: spec.delete(spec.actuators[0])), "at least one"),
        ("spec", slider_spec(unlimited), "to have a ctrlrange.*; received none of 'motor'"),
        (
            "tasks",
            lambda self, unit: {"mass": unit[:, 1]},
            "=1 numbers each; received slice index 1",
        ),
        ("pose", lambda self: np.zeros(3), r"Broken.pose\(\) for one task to be of shape \[1\]"),
        (
            "goal",
            lambda self, task: task["mass"],
            r"goal\(\) .* shape \[1, 3\]; received shape \[1\]$",
        ),
        ("physics", lambda self, task: {"body_mas": 0}, "MjModel; received 'body_mas'"),
        (
            "physics",
            lambda self, task: {"body_mass": tf.cast(task["mass"], tf.float64)[:, None]},
            r"physics\(\)\['body_mass'\] .* shape \[1, 2\]; received shape \[1, 1\]",
        ),
    ],
)
def test_what_a_family_of_ones_own_defines_wrongly_is_one_line(method, found, message):
    """Without a look, motors without limits would never move, and values of one number spread."""
    broken = type("Broken", (Slider,), {method: found})
    with pytest.raises(ConfigError, match=message) as error:
        broken()
    assert "\n" not in str(error.value)
