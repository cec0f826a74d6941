"""Films show the episodes that were played, and say in one line where nothing can be drawn."""

import ast
import ctypes
import os
import pathlib
import subprocess
import sys

import mujoco
import numpy as np
import pytest
import tensorflow as tf

from tfcaml import environments, keys, nest, policies
from tfcaml.environments.mujoco import film
from tfcaml.environments.mujoco.simulation import Simulation
from tfcaml.errors import ConfigError
from tfcaml.rollouts import sampling
from tfcaml.types import Episodes


def _loads(library):
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


# All tests of what is seen; where a library can be loaded, it has to draw.
draws = pytest.mark.skipif(
    not any(map(_loads, ("libEGL.so.1", "libOSMesa.so.8", "libOSMesa.so"))),
    reason="neither EGL nor OSMesa is installed, without which MuJoCo draws nothing",
)


class Ball(Simulation):
    """A ball on a rail with a goal beside it; a task is the ball's size and where the goal is."""

    mocap = True
    task_size = 2

    def spec(self):
        spec = mujoco.MjSpec()
        spec.stat.extent = 2.0
        body = spec.worldbody.add_body(name="ball")
        body.add_joint(name="rail", type=mujoco.mjtJoint.mjJNT_SLIDE, axis=[1, 0, 0])
        red = [1, 0, 0, 1]
        body.add_geom(type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[0.1, 0, 0], mass=1, rgba=red)
        if self.mocap:
            goal = spec.worldbody.add_body(name="goal", mocap=True)
            size, pink = [0.1, 0.1, 0.1], [0.8, 0.47, 0.65, 1]
            goal.add_geom(
                type=mujoco.mjtGeom.mjGEOM_BOX, size=size, rgba=pink, contype=0, conaffinity=0
            )
        spec.worldbody.add_camera(name="top", pos=[0, 0, 5])
        motor = spec.add_actuator(name="motor", target="rail", ctrlrange=[-1, 1])
        motor.trntype = mujoco.mjtTrn.mjTRN_JOINT
        return spec

    def tasks(self, unit):
        return {"size": 0.2 + 0.3 * unit[:, 0], "goal": 2 * unit[:, 1] - 1}

    def physics(self, task):
        size = tf.cast(task["size"], tf.float64)[:, None, None] * [1.0, 0.0, 0.0]
        box = tf.constant([[[0.1, 0.1, 0.1]]], tf.float64)
        both = [size, tf.repeat(box, size.shape[0], axis=0)] if self.mocap else [size]
        gravity = tf.repeat(tf.constant([[0, 0, -1.6]], tf.float64), size.shape[0], axis=0)
        return {"geom_size": tf.concat(both, axis=1), "opt.gravity": gravity}

    def goal(self, task):
        return tf.stack([task["goal"], tf.ones_like(task["goal"]), 0 * task["goal"]], axis=-1)

    def observe(self, task, body):
        return tf.concat([body.qpos, body.qvel], axis=-1)

    def reward(self, task, before, after, velocity, control):
        return velocity[..., 0]


class MarkedBall(Ball):
    """The same without a body for the goal."""

    mocap = False


def played(family, num_tasks=2, num_episodes=3, scale=10.0):
    """`Episodes` of a policy that moves the robot a lot."""
    policy = policies.mlp_policy(family.observation_spec, family.action_spec, (4,))
    params = nest.map(lambda x: scale * x, nest.repeat(policy.init(0), num_tasks))
    task = family.population(0, num_tasks).test
    key = keys.per_episode(keys.from_int(3), num_tasks, num_episodes)
    play = tf.function(
        lambda: sampling.sample(policy, family, params, task, num_episodes, key), autograph=False
    )
    return Episodes(task, key, play())


@pytest.fixture(scope="module")
def cheetah():
    config = environments.HalfCheetahDirectionConfig(horizon=6)
    return environments.HalfCheetahDirection(config)


@pytest.fixture(scope="module")
def cheetah_episodes(cheetah):
    return played(cheetah)


def is_red(pictures):
    red, green, blue = np.moveaxis(pictures.astype(int), -1, 0)
    return (red > 60) & (green < red / 4) & (blue < red / 4)


def is_pink(pictures):
    red, green, blue = np.moveaxis(pictures.astype(int), -1, 0)
    return (red > 60) & (blue > green + 10) & (red > blue + 10)


def is_orange(pictures):
    red, green, blue = np.moveaxis(pictures.astype(int), -1, 0)
    return (red > 80) & (blue < red / 2) & (green > blue + 20)


@pytest.mark.parametrize("name", ["half_cheetah_direction", "ant_direction"])
def test_an_episode_is_played_again_to_the_bit(name):
    """From its task, key and actions alone, beside other episodes and on its own."""
    family, config = environments.ENVIRONMENTS[name]
    family = family(config(horizon=40))
    task, key, trajectory = played(family)
    alone = family.replay(nest.map(lambda x: x[1:], task), key[1:, 2:], trajectory.action[1:, 2:])
    every = family.replay(task, key, trajectory.action)
    model = family.model
    for (rows, rewards), part in ((every, np.s_[:, :]), (alone, np.s_[1:, 2:])):
        mask = trajectory.mask.numpy()[part] > 0
        np.testing.assert_array_equal(rewards[mask], trajectory.reward.numpy()[part][mask])
        seen = rows.numpy()[..., :-1, : model.nq + model.nv].astype(np.float32)
        observed = trajectory.observation.numpy()[part]
        if name == "half_cheetah_direction":
            np.testing.assert_array_equal(seen[mask][:, 1:], observed[mask])
        else:
            np.testing.assert_array_equal(seen[mask], observed[mask][:, : seen.shape[-1]])


@draws
def test_pictures_are_of_the_states_from_the_start_to_the_end(cheetah, cheetah_episodes):
    [found] = cheetah.film([cheetah_episodes])
    assert found.pictures.shape == (7, film.HEIGHT, film.WIDTH, 3)
    assert found.pictures.dtype == np.uint8
    np.testing.assert_allclose(found.seconds, 0.05 * np.arange(7))
    assert (found.pictures[1:] != found.pictures[:-1]).any(axis=(1, 2, 3)).all()
    task, key, trajectory = nest.map(lambda x: x[:1], cheetah_episodes)
    rows, _ = cheetah.replay(task, key[:, :1], trajectory.action[:, :1])
    [[last]] = film.drawn(cheetah, [(task, rows.numpy()[0, 0, -1:], {})])
    np.testing.assert_array_equal(found.pictures[-1], last)
    assert found.notes[-1] == f"x = {rows.numpy()[0, 0, -1, 0]:.1f} m".replace(
        "-", "\N{MINUS SIGN}"
    )


@draws
def test_an_episode_that_has_ended_is_not_shown_further(cheetah, cheetah_episodes):
    trajectory = cheetah_episodes.trajectory
    mask = np.array(trajectory.mask)
    mask[0, 0, 3:] = 0
    shorter = trajectory._replace(mask=tf.constant(mask), reward=trajectory.reward * mask)
    first, second = cheetah.film([cheetah_episodes._replace(trajectory=shorter), cheetah_episodes])
    assert len(first.pictures) == 4 and len(second.pictures) == 7
    np.testing.assert_array_equal(first.pictures, second.pictures[:4])


@draws
def test_no_more_pictures_than_wanted_and_none_in_too_quick_succession(cheetah, cheetah_episodes):
    [every], [few] = (cheetah.film([cheetah_episodes], most) for most in (6, 4))
    np.testing.assert_array_equal(few.pictures, every.pictures[::2])
    np.testing.assert_allclose(few.seconds, 0.1 * np.arange(4))
    config = environments.HalfCheetahDirectionConfig(horizon=9, frame_skip=1)
    quick = environments.HalfCheetahDirection(config)  # steps of 10 ms
    [found] = quick.film([played(quick)])
    np.testing.assert_allclose(found.seconds, [0, 0.04, 0.08, 0.09])


@draws
def test_the_robot_stays_in_the_picture(cheetah):
    """However far it has run, as the camera moves along."""
    rows = np.repeat(cheetah._start[None], 2, axis=0)
    rows[1, 0] = 30.25
    [pictures] = film.drawn(cheetah, [(cheetah.population(0, 1).test, rows, {})])
    near, far = is_orange(pictures).sum(axis=(1, 2))
    assert near > 500 and abs(far - near) < 0.02 * near
    assert (pictures[0] != pictures[1]).any()  # other lines on the floor


@draws
@pytest.mark.parametrize("kind", [Ball, MarkedBall])
def test_the_goal_and_the_body_of_a_task_are_seen(kind):
    family = kind()
    row = family._start[None]
    tasks = [
        {"size": tf.constant([size]), "goal": tf.constant([goal])}
        for size, goal in ((0.2, -0.8), (0.4, 0.8))
    ]
    left, right = film.drawn(family, [(task, row, {}) for task in tasks])
    areas = [is_red(pictures).sum() for pictures in (left, right)]
    assert 3.5 < areas[1] / areas[0] < 4.5  # twice the radius
    columns = [np.nonzero(is_pink(pictures[0]))[1].mean() for pictures in (left, right)]
    assert columns[0] < film.WIDTH / 2 - 20 and columns[1] > film.WIDTH / 2 + 20
    rows = np.nonzero(is_pink(left[0]))[0]
    assert rows.mean() < film.HEIGHT / 2 - 20  # y = 1 is above the middle


@draws
def test_a_goal_far_away_is_seen_from_higher_up():
    family = Ball()
    far = {"size": tf.constant([0.4]), "goal": tf.constant([9.0])}
    near = {"size": tf.constant([0.4]), "goal": tf.constant([0.5])}
    both = film.drawn(family, [(task, family._start[None], {}) for task in (near, far)])
    assert all(is_pink(pictures).any() for pictures in both)
    assert is_red(both[1]).sum() < is_red(both[0]).sum() / 4


@draws
def test_other_actions_than_those_of_the_key_are_refused(cheetah, cheetah_episodes):
    other = cheetah_episodes._replace(key=cheetah_episodes.key + 1)
    with pytest.raises(ConfigError, match="HalfCheetahDirection plays again from its task, key"):
        cheetah.film([other])


def test_families_that_no_simulator_plays_have_no_films(particle):
    assert particle.film([]) is None


@draws
def test_without_episodes_it_is_only_found_out_whether_there_are_films(cheetah):
    assert cheetah.film([]) == []


def _one_line(family, *words):
    with pytest.raises(ConfigError) as found:
        family.film([])
    text = str(found.value)
    assert "\n" not in text and len(text) < 600
    for word in ("EGL or OSMesa", "MUJOCO_GL", *words):
        assert word in text, text


def test_what_draws_nothing_is_told_in_one_line(cheetah, monkeypatch):
    """GLFW needs a screen."""
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MUJOCO_GL", "glfw")
    _one_line(cheetah, "received glfw: ")


@pytest.mark.parametrize(
    "program, reason",
    [
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
            "egl: ended by SIGSEGV; osmesa:",
        ),
        ("raise ImportError('no library')", "egl: ImportError: no library; osmesa: ImportError"),
        ("import time; time.sleep(60)", "egl: nothing within 1 s; osmesa: nothing within 1 s"),
    ],
)
def test_a_library_that_crashes_or_hangs_takes_nothing_with_it(
    cheetah, monkeypatch, tmp_path, program, reason
):
    """A driver that does so stands in MuJoCo's place, in the process that draws."""
    (tmp_path / "mujoco.py").write_text(program)
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    if "sleep" in program:
        monkeypatch.setattr(film, "_SECONDS_TO_START", 1)
    _one_line(cheetah, reason)


_SETTINGS = """
import os, sys
from tfcaml import environments
from tfcaml.errors import ConfigError
os.environ["MUJOCO_GL"] = "nonsense"
try:
    environments.HalfCheetahDirection()
except ConfigError as error:
    print(error)
os.environ["MUJOCO_GL"] = "osmesa"
environments.HalfCheetahDirection()
print(os.environ["MUJOCO_GL"], "OpenGL" in sys.modules)
"""


@pytest.mark.slow
def test_simulating_does_not_need_what_draws():
    """OSMesa, which may be missing, is not loaded beside TensorFlow."""
    told = subprocess.run([sys.executable, "-c", _SETTINGS], capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    first, second = told.stdout.splitlines()
    assert first.startswith("expected MUJOCO_GL to be unset, egl, osmesa") and "nonsense" in first
    assert second == "osmesa False"


def test_what_draws_does_without_tensorflow():
    """A process that has loaded both it and Mesa crashes."""
    source = ast.parse(pathlib.Path(film._DRAW).read_text())
    imported = set()
    for node in ast.walk(source):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module)
    assert imported - set(sys.stdlib_module_names) == {"mujoco", "numpy"}


@pytest.mark.parametrize(
    "name, note",
    [
        ("half_cheetah_direction", "x = 1.2 m"),
        ("ant_direction", "(1.2, \N{MINUS SIGN}3.4) m"),
        ("wheeled", "(1.2, \N{MINUS SIGN}3.4) m"),
        ("reacher_2", None),
    ],
)
def test_notes_say_where_a_robot_is_that_moves_freely(name, note):
    family = environments.ENVIRONMENTS[name][0]()
    rows = np.zeros([1, family.engine.state_size])
    rows[0, :2] = 1.2, -3.4
    assert film._places(family, rows) == ([] if note is None else [note])


def test_notes_of_a_robot_with_a_single_joint():
    class Rod(environments.HalfCheetahDirection):
        def spec(self):
            return mujoco.MjSpec.from_string(
                "<mujoco><worldbody><body><joint name='a' type='slide' axis='1 0 0'/>"
                "<geom size='.1'/></body></worldbody>"
                "<actuator><motor joint='a' ctrlrange='-1 1'/></actuator></mujoco>"
            )

    rod = Rod()
    assert film._places(rod, np.full([1, rod.engine.state_size], 0.5)) == ["x = 0.5 m"]
