"""Reaching among coloured blocks: an arm is to touch the block whose colour is the task's.

Family of C. Finn, T. Yu, T. Zhang, P. Abbeel, S. Levine, "One-shot visual imitation learning via
meta-learning" (MIL), CoRL 2017, section 6.1, in the form of their code. Which of three blocks is
meant, nothing observed tells; a demonstration does. The family has an expert to give it.

Differences from the source: places of blocks are drawn at the start of every episode, where the
source has ten fixed layouts for each colour; by default all blocks are within reach, where some of
the source's are not; the first joint has no limit; and the integrator is an option, "euler" by
default, where the source has "rk4".
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from tfcaml import keys, settings
from tfcaml.environments.base import Population
from tfcaml.environments.mujoco import parts, rasteriser
from tfcaml.environments.mujoco.simulation import Robot, Simulation, SimulationConfig
from tfcaml.errors import check, check_acts, check_one_of, check_positive, check_whole, checked_call
from tfcaml.types import Nest, Task

if TYPE_CHECKING:
    import mujoco

# What is observed beside the arm: places and colours of the blocks, or a picture.
OBSERVES = ("blocks", "image")
# What makes pictures: compiled code for all episodes at once, or MuJoCo one by one.
RENDERERS = ("rasteriser", "mujoco")
# What is paid: 1 once for success, or how near the fingertip comes at every step.
REWARDS = ("success", "distance")
# Metres from the middle of a block at which the fingertip has reached it.
NEAR = 0.05
# Steps at the end of an episode in one of which it has to be there.
LAST = 10

_BLOCKS = 3  # a target and two others
_SQUARE = 0.2  # half the side of the square that blocks are in, in metres
_APART = 0.15  # metres between two blocks
# Of so many layouts drawn the first that fits is taken. One in seven does, so that fewer than one
# episode in 10^8 has to do with the best of them.
_LAYOUTS = 128
_SCENE = 32  # salt of an episode's key: where blocks are
_LEVELS = 10  # steps of 0.1 between colours without and with red, green or blue
_LEAST_CONTRAST = 0.3  # distance of a block's colour from the floor's, of RGB from 0 to 1
_LEAST_DIFFERENCE = 0.5  # distance of two colours of a task
_TEST_SHARE = 5  # one colour in so many is kept for test tasks
_HALF_SIDE = 0.03  # of a block, in metres
_RADIUS = 0.01  # of the arm's links
# What at least is in a picture, from the middle to its sides and to its upper and lower edges.
_HALF_WIDTH, _HALF_HEIGHT = 0.3, 0.24
_FURTHEST = 3.0  # radians that the elbow bends
_RATE = 10.0  # of the expert, per second


@settings.checked
@dataclasses.dataclass(frozen=True)
class ColourReachConfig(SimulationConfig):
    """Options of the family.

    Attributes:
      horizon: Steps of an episode. Unit: steps. Source: MIL's code: 50.
      action_range: The policy's output that makes the whole control of an actuator. A policy of
        standard deviation 1 explores a share 1 / `action_range` of it. Source: MIL's code: 1.
      reset_noise: How far joints are turned at the start, to either side, 3 at the most; nothing
        moves there. Unit: radians. Source: tfcaml.
      num_train: Tasks to learn from. Source: MIL's code has 750 of images; tfcaml.
      reward: What is paid: "success", 1 once the fingertip is at the target in the last ten steps,
        or "distance", minus that from the target at every step. Source: MIL's code: success is
        what is measured, and distance what experts learned from.
      observes: What is observed besides the arm: "blocks", their places and colours, or "image", a
        picture from above. Source: MIL has both.
      height: Of a picture. Unit: pixels. Source: tfcaml; MIL's code: 64.
      width: Of a picture. Unit: pixels. Source: tfcaml; MIL's code: 80.
      renderer: What makes pictures: "rasteriser", tensor operations that show flat shapes, or
        "mujoco", which draws the model by OpenGL, and is hundreds of times as slow. Source: tfcaml;
        MIL's code: mujoco.
      within_reach: Whether all blocks are where the fingertip can be; else corners of their square
        are beyond it. Source: tfcaml; in MIL's code they are not.
    """

    horizon: int = 50
    action_range: float = 1.0
    reset_noise: float = 2.8
    num_train: int = 200
    reward: str = "success"
    observes: str = "blocks"
    height: int = 26
    width: int = 32
    renderer: str = "rasteriser"
    within_reach: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        most = f"<= {_FURTHEST:g}, where the elbow ends"
        check(self.reset_noise <= _FURTHEST, "reset_noise", self.reset_noise, most)
        check_positive(num_train=self.num_train)
        check_one_of("reward", self.reward, REWARDS)
        check_one_of("observes", self.observes, OBSERVES)
        check_one_of("renderer", self.renderer, RENDERERS)
        # So that a pixel is no larger than a block.
        check_whole("height", self.height, 8, 4096)
        check_whole("width", self.width, 10, 4096)
        of_images = ("height", "width", "renderer")
        check_acts(self, of_images, self.observes == "image", "with observes=image")


class ColourReach(Simulation):
    """A task is {"colours": [N, 3, 3]}: red, green and blue, from 0 to 1, of the target's colour
    and then of two others.

    The arm has two links and motors, see `bodies.block_reacher`. In each episode the blocks are at
    other places, at least 0.15 m apart, and are told in another order, so that neither tells which
    is the target. The arm starts anywhere, at rest, with its elbow bent to either side.

    Observation: a dict of

      robot     [6], the joints' angles and velocities, and the velocity of the fingertip (x, y)
      effector  [2], the fingertip (x, y)
      objects   [3, 5], of each block its place (x, y) and its colour; or, by option,
      image     [height, width, 3] uint8, blocks and arm from above

    An episode has succeeded if the fingertip was within 0.05 m of the target's middle in one of its
    last ten steps. The reward "success" is then 1, in the first of these steps, so that the mean
    return is the share of successes. Nothing ends an episode before its horizon.
    """

    Config = ColourReachConfig
    config: ColourReachConfig
    task_size = 3 * _BLOCKS

    @checked_call
    def __init__(
        self, config: ColourReachConfig | None = None, *, num_threads: int | None = None
    ) -> None:
        super().__init__(config, num_threads=num_threads)
        self._by_opengl = self.config.renderer == "mujoco"
        if self._by_opengl:
            self.film([])  # which raises where nothing can be drawn
        spec = lambda name, *shape: tf.TensorSpec(shape, tf.float32, name)
        arm = {"robot": spec("robot", 6), "effector": spec("effector", 2)}
        size = [self.config.height, self.config.width, 3]
        others = {
            "blocks": {"objects": spec("objects", _BLOCKS, 5)},
            "image": {"image": tf.TensorSpec(size, tf.uint8, "image")},
        }
        self.observation_spec = {**arm, **others[self.config.observes]}

    def spec(self) -> mujoco.MjSpec:
        from tfcaml.environments.mujoco.bodies.reachers import block_reacher

        return block_reacher()

    def tasks(self, unit: tf.Tensor) -> Task:
        """Any colours of the palette; `population` has those that differ enough."""
        colours = tf.round(_LEVELS * unit) / _LEVELS
        return {"colours": tf.reshape(colours, [-1, _BLOCKS, 3])}

    @checked_call
    def population(self, seed: int, num_test: int = 150) -> Population:
        """As many tasks to learn from as an option says, and `num_test` of unseen colours.

        Colours have red, green and blue in steps of 0.1, and those too near to the floor's are left
        out. A fifth of them is kept for test tasks: no colour of a test task, be it the target's or
        another block's, is that of any block in a training task. The three colours of a task are at
        least 0.5 apart, as red, green and blue from 0 to 1. While there are enough of them, each
        task has a target's colour of its own.
        """
        check_whole("num_test", num_test, 1)
        rng = np.random.default_rng([keys.as_int(seed), 0xC01])
        palette = rng.permutation(_palette(self._colour("floor")))
        kept = len(palette) // _TEST_SHARE
        train = _distinct(rng, palette[kept:], self.config.num_train)
        test = _distinct(rng, palette[:kept], num_test)
        group = lambda colours: np.zeros(len(colours), np.int64)
        task = lambda colours: {"colours": tf.constant(colours)}
        return Population(task(train), task(test), group(train), group(test))

    def start(self, task: Task, key: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        position, velocity = super().start(task, key)
        return position, tf.zeros_like(velocity)

    def observe(self, task: Task, body: Robot) -> tf.Tensor:
        """Of the arm: "robot" and "effector", [N, E, 8]."""
        heading, turning = tf.cumsum(body.qpos, axis=-1), tf.cumsum(body.qvel, axis=-1)
        lengths = self._lengths()
        across = [
            tf.reduce_sum(lengths * turning * f, -1) for f in (-tf.sin(heading), tf.cos(heading))
        ]
        place = parts.fingertip(body.qpos, lengths)
        return tf.concat([body.qpos, body.qvel, tf.stack(across, axis=-1), place], axis=-1)

    def reward(
        self, task: Task, before: Robot, after: Robot, velocity: tf.Tensor, control: tf.Tensor
    ) -> tf.Tensor:
        """Nothing: what an episode's blocks decide is paid by `step`."""
        return tf.zeros(after.qpos.shape[:2])

    def reset(self, task: Task, key: tf.Tensor) -> tuple[dict[str, tf.Tensor], Nest]:
        """Starts episodes; their states have, besides those of all simulations, the entries

        places: [N, E, 3, 2], the blocks' middles (x, y), in metres
        order:  [N, E, 3] integers, which of the task's colours each block has; 0 is the target's
        elbow:  [N, E], 1 or -1, the side that the expert bends the elbow to, as it is at the start
        time:   [N, E] integers, steps played
        done:   [N, E] bool, whether the episode has succeeded
        """
        state, arm = super().reset(task, key)
        shape = key.shape[:2]
        places, order = self._scene(key)
        bent = state["row"][..., 1] >= 0
        state = {
            **state,
            "places": places,
            "order": order,
            "elbow": tf.where(bent, 1.0, -1.0),
            "time": tf.zeros(shape, tf.int32),
            "done": tf.zeros(shape, tf.bool),
        }
        return state, self._seen(task, state, arm)

    def step(
        self, task: Task, state: dict[str, tf.Tensor], action: tf.Tensor, noise: tf.Tensor
    ) -> tuple[dict[str, tf.Tensor], Nest, tf.Tensor, tf.Tensor]:
        later, arm, reward, ended = super().step(task, state, action, noise)
        distance = tf.norm(arm[..., -2:] - self._target(state), axis=-1)
        time = state["time"] + 1
        near = (distance <= NEAR) & (time > self.horizon - LAST) & ~later["cut"]
        first = tf.cast(near & ~state["done"], tf.float32)
        paid = first if self.config.reward == "success" else -distance
        later = {**state, **later, "time": time, "done": state["done"] | near}
        return later, self._seen(task, later, arm), tf.where(later["cut"], reward, paid), ended

    def expert(self, task: Task, state: dict[str, tf.Tensor]) -> tf.Tensor:
        """Torques towards the joints' angles at which the fingertip is at the target.

        The angles are those of a triangle, with the elbow on the episode's side; of a target that
        is too far or too near, those in its direction. The torques are proportional to what is
        missing of them and to velocities, so that what is missing falls as exp(-10 time), time in
        seconds, and nothing overshoots (critical damping, of controls that are constant in a step).
        """
        model = self.model
        position, velocity = tf.split(state["row"][..., :4], 2, axis=-1)
        first, second = self._lengths().astype(np.float64)
        x, y = tf.unstack(tf.cast(self._target(state), tf.float64), axis=-1)
        cosine = (x**2 + y**2 - first**2 - second**2) / (2 * first * second)
        cosine = tf.clip_by_value(cosine, math.cos(_FURTHEST), 1.0)
        elbow = tf.cast(state["elbow"], tf.float64) * tf.acos(cosine)
        inwards = tf.atan2(second * tf.sin(elbow), first + second * tf.cos(elbow))
        wanted = tf.stack([tf.atan2(y, x) - inwards, elbow], axis=-1)
        # Of an inertia that is pushed with constant force over each step, `left` is what is left
        # of an error after a step, twice as the two poles are the same.
        step, left = self.seconds_per_step, math.exp(-_RATE * self.seconds_per_step)
        inertia, damping = model.dof_armature, model.dof_damping
        stiffness = inertia * (1 - left) ** 2 / step**2
        friction = inertia * (2 - 2 * left - (1 - left) ** 2 / 2) / step - damping
        torque = stiffness * (wanted - position) - friction * velocity
        control = tf.clip_by_value(torque / model.actuator_gear[:, 0], -1.0, 1.0)
        return tf.cast(self.config.action_range * control, tf.float32)

    def looks(self, task: Task, state: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        first = self.model.geom("block0").id
        places = tf.pad(state["places"], [[0, 0], [0, 0], [0, 0], [0, 1]])
        height = self.model.geom_pos[first, 2]
        places += tf.constant([0.0, 0.0, height], tf.float32)
        colours = self._colours(task, state)
        opaque = tf.concat([colours, tf.ones_like(colours[..., :1])], axis=-1)
        found = {}
        for name, own in {"geom_pos": places, "geom_rgba": opaque}.items():
            field = tf.constant(getattr(self.model, name), tf.float32)
            all_of_them = tf.zeros([*own.shape[:2], *field.shape]) + field
            parts_of = [all_of_them[:, :, :first], own, all_of_them[:, :, first + _BLOCKS :]]
            found[name] = tf.concat(parts_of, axis=2)
        return found

    def _lengths(self) -> np.ndarray:
        """Of the links, to the middle of the fingertip: [2], in metres."""
        ends = ("body1", "fingertip")
        return np.array([self.model.body(end).pos[0] for end in ends], np.float32)

    def _scene(self, key: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Where blocks are and which colour each has: ([N, E, 3, 2], [N, E, 3] integers)."""
        unit = keys.uniform(keys.salted(key, _SCENE), [2 * _BLOCKS * _LAYOUTS + _BLOCKS])
        layouts = tf.reshape(unit[..., :-_BLOCKS], [*key.shape[:2], _LAYOUTS, _BLOCKS, 2])
        layouts = _SQUARE * (2 * layouts - 1)
        between = [layouts[..., a, :] - layouts[..., b, :] for a, b in _pairs()]
        least = tf.reduce_min(tf.norm(between, axis=-1), axis=0)
        if self.config.within_reach:
            reached = tf.norm(layouts, axis=-1) <= np.sum(self._lengths())
            least = tf.where(tf.reduce_all(reached, axis=-1), least, 0.0)
        chosen = tf.argmax(tf.minimum(least, _APART), axis=-1)  # the first of the largest
        return tf.gather(layouts, chosen, batch_dims=2), tf.argsort(unit[..., -_BLOCKS:])

    def _target(self, state: dict[str, tf.Tensor]) -> tf.Tensor:
        """Where the target is: [N, E, 2]."""
        slot = tf.argmin(state["order"], axis=-1)
        return tf.gather(state["places"], slot, batch_dims=2)

    def _seen(self, task: Task, state: dict[str, tf.Tensor], arm: tf.Tensor) -> Nest:
        """The observation, of what `observe` says of the arm."""
        seen = {"robot": arm[..., :-2], "effector": arm[..., -2:]}
        if self.config.observes == "blocks":
            both = [state["places"], self._colours(task, state)]
            return {**seen, "objects": tf.concat(both, axis=-1)}
        draw = self._rendered if self._by_opengl else self._rasterised
        return {**seen, "image": draw(task, state)}

    def _rasterised(self, task: Task, state: dict[str, tf.Tensor]) -> tf.Tensor:
        """[N, E, height, width, 3] uint8."""
        # In 64 bits, so that the size of a batch is lost in rounding.
        heading = tf.cumsum(state["row"][..., :2], axis=-1)
        links = self._lengths()[:, None] * tf.stack([tf.cos(heading), tf.sin(heading)], axis=-1)
        joints = tf.pad(tf.cumsum(links, axis=-2), [[0, 0], [0, 0], [1, 0], [0, 0]])
        return rasteriser.picture(
            self.config.height,
            self.config.width,
            self._pixel(),
            self._colour("floor"),
            state["places"],
            self._colours(task, state),
            _HALF_SIDE,
            tf.cast(joints, tf.float32),
            [self._colour("link0"), self._colour("link1")],
            _RADIUS,
        )

    def _rendered(self, task: Task, state: dict[str, tf.Tensor]) -> tf.Tensor:
        """As `_rasterised`, by MuJoCo, in a process of its own for each call."""
        from tfcaml.environments.mujoco import film

        # The camera is as high as it has to be to show what the rasteriser shows.
        model, size = self.model, (self.config.height, self.config.width)
        camera = model.cam_pos.copy()
        top = model.camera("top").id
        slope = math.tan(math.radians(model.cam_fovy[top]) / 2)
        camera[top, 2] = self._pixel() * size[0] / 2 / slope
        looks = self.looks(task, state)

        def draw(row: np.ndarray, *values: np.ndarray) -> np.ndarray:
            flat = lambda x: x.reshape(-1, *x.shape[2:])
            shown = {name: flat(value) for name, value in zip(looks, values, strict=True)}
            shown["cam_pos"] = np.repeat(camera[None], row.shape[0] * row.shape[1], axis=0)
            nothing = ()  # of the task, which has neither physics nor a goal
            [pictures] = film.drawn(self, [(nothing, flat(row), shown)], size)
            return pictures.reshape(*row.shape[:2], *pictures.shape[1:])

        # Without a state, so that it is left out of graphs in which nobody looks at pictures.
        given = [state["row"], *looks.values()]
        image = tf.numpy_function(draw, given, tf.uint8, stateful=False)
        return tf.ensure_shape(image, [*state["row"].shape[:2], *size, 3])

    def _pixel(self) -> float:
        size = self.config.height, self.config.width
        return rasteriser.pixel_size(*size, _HALF_HEIGHT, _HALF_WIDTH)

    def _colour(self, geom: str) -> list[float]:
        """Red, green and blue of a part of the model."""
        return self.model.geom(geom).rgba[:3].tolist()

    def _colours(self, task: Task, state: dict[str, tf.Tensor]) -> tf.Tensor:
        """Of the blocks: [N, E, 3, 3]."""
        return tf.gather(task["colours"], state["order"], batch_dims=1)


def _pairs() -> list[tuple[int, int]]:
    return list(itertools.combinations(range(_BLOCKS), 2))


def _palette(floor: list[float]) -> np.ndarray:
    """The colours that blocks may have on a floor of that colour, [C, 3]."""
    level = np.arange(_LEVELS + 1) / _LEVELS
    colours = np.stack(np.meshgrid(level, level, level), axis=-1).reshape(-1, 3)
    seen = np.linalg.norm(colours - floor, axis=-1) >= _LEAST_CONTRAST
    return colours[seen].astype(np.float32)


def _distinct(rng: np.random.Generator, palette: np.ndarray, number: int) -> np.ndarray:
    """Colours of tasks, [number, 3, 3]: the targets' in turn, each with two that differ enough.

    Fewer are the first of more.
    """
    target = palette[np.arange(number) % len(palette)]
    turn = rng.random([number, len(palette)])  # the smallest of those that fit is taken
    chosen = [target]
    for _ in range(1, _BLOCKS):
        away = np.linalg.norm(palette - chosen[-1][:, None], axis=-1) >= _LEAST_DIFFERENCE - 1e-6
        turn = np.where(away, turn, np.inf)
        chosen.append(palette[np.argmin(turn, axis=1)])
    return np.stack(chosen, axis=1)
