"""Atari games by ale-py, in the form in which results on 57 of them are reported.

V. Mnih et al., "Human-level control through deep reinforcement learning", Nature 518 (2015); the
evaluation with no-op starts of H. van Hasselt, A. Guez, D. Silver, "Deep reinforcement learning
with double Q-learning", AAAI 2016. An episode begins with a random number of frames in which
nothing is done. An action is repeated for four frames; the step's picture is the brighter one of
the last two frames at each point, in shades of grey and scaled to 84 x 84. The last four pictures
are the observation; those before an episode's first one are 0. Rewards are the game's own
points; learners clip them if they are told to.

Episodes last for up to 108 000 frames. To hold all their pictures would take a gigabyte each, so
that trajectories of whole episodes come without observations, and learning takes segments of them
(`unroll` of `a2c`, `vtrace` and `meta_gradient`).

Needs the extra `atari`. ale-py is published under the GNU General Public License.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf
from tf_agents.specs import tensor_spec

from tfcaml import nest, settings
from tfcaml.environments.base import Population, TaskFamily, config_of
from tfcaml.environments.host.atari_scores import GAMES
from tfcaml.environments.native.one_task import population_of_one
from tfcaml.errors import ConfigError, check, check_one_of, check_whole, checked_call
from tfcaml.types import Nest, Task

SIZE = 84  # of a picture, pixels
STACK = 4  # pictures of an observation
NUM_ACTIONS = 18  # of the full action set
_SEEDS = 2**31 - 1  # that ale-py tells apart: from 1 on, as 0 stands for no seed there


@settings.checked
@dataclasses.dataclass(frozen=True)
class AtariConfig:
    """Options of the family.

    Attributes:
      game: The game, as ale-py names its file: one of the 57 of `atari_scores.GAMES`. Source: Mnih
        et al.: 49 of them; van Hasselt et al.: 57.
      frame_skip: Frames for which an action is repeated. Source: Mnih et al.: 4.
      max_no_ops: The most frames in which nothing is done at the start of an episode; their number
        is drawn from 1 to this. Source: Mnih et al.: 30.
      max_frames: Frames after which an episode is cut short, those of the start not counted. Unit:
        frames. Source: van Hasselt et al.: 108 000, half an hour.
      sticky_actions: Probability with which a frame repeats the action before in place of the
        chosen one. Source: Mnih et al.: 0; M. Machado et al., JAIR 2018: 0.25.
      full_action_set: Whether all 18 actions can be chosen, or only those that the game knows.
        Source: DeepMind's agents: all.
    """

    game: str = "pong"
    frame_skip: int = 4
    max_no_ops: int = 30
    max_frames: int = 108_000
    sticky_actions: float = 0.0
    full_action_set: bool = True

    def __post_init__(self) -> None:
        check_one_of("game", self.game, GAMES)
        for name in ("frame_skip", "max_no_ops"):
            check(getattr(self, name) >= 1, name, getattr(self, name), ">= 1")
        rule = f"at least one step of {self.frame_skip} frames"
        check(self.max_frames >= self.frame_skip, "max_frames", self.max_frames, rule)
        check(0 <= self.sticky_actions <= 1, "sticky_actions", self.sticky_actions, "in [0, 1]")


class Atari(TaskFamily):
    """The one task is {"game": [N]}, the number of the config's game among the 57.

    Observation: [84, 84, 4] bytes, the latest picture last. Actions: 0 does nothing; of the full
    action set the others are ale-py's `Action`.

    An episode follows from its seed and its actions, and these are its state. The games themselves
    run in ale-py's vector environment, each in a row of it. Where a row is not where a state says,
    as after a stopped program goes on or an update was taken back, the rows are first played there
    again. So a step depends on nothing but its arguments, as in families in TensorFlow, and states
    may be kept, saved and gone on from; the price is as much time as these episodes have taken the
    games so far.

    Args:
      config: `AtariConfig`.
      num_threads: of ale-py for the rows of a batch; 0: as many as there are cores. They change no
        number.

    Raises:
      ConfigError: ale-py or gymnasium is not installed.
    """

    supports_xla = False
    long_episodes = True
    holds_out = False

    @checked_call
    def __init__(self, config: AtariConfig | None = None, num_threads: int = 0) -> None:
        self.config = config_of(config, AtariConfig)
        self._num_threads = check_whole("num_threads", num_threads, 0)
        self._games: dict[int, _Games] = {}  # number of rows -> games of so many episodes
        vector_environment()  # says what is missing
        self.horizon = self.config.max_frames // self.config.frame_skip
        self.task_spec = {"game": tf.TensorSpec([], tf.int32)}
        self.observation_spec = tensor_spec.BoundedTensorSpec(
            [SIZE, SIZE, STACK], tf.uint8, 0, 255, "observation"
        )
        known = NUM_ACTIONS if self.config.full_action_set else self._rows(1).num_actions
        self.action_spec = tensor_spec.BoundedTensorSpec([], tf.int32, 0, known - 1, "action")

    @checked_call
    def population(self, seed: int, num_test: int = 3) -> Population:
        """One task, to learn from and to test on."""
        task = {"game": tf.constant([GAMES.index(self.config.game)])}
        return population_of_one(task, seed, num_test)

    def reset(self, task: Task, key: tf.Tensor) -> tuple[Nest, tf.Tensor]:
        """Starts episodes; see `TaskFamily.reset`."""
        shape = key.shape[:2]
        state = {
            "seed": tf.zeros(shape, tf.int32),
            "time": tf.zeros(shape, tf.int32),
            "actions": tf.zeros([*shape, self.horizon], tf.uint8),
            "ended": tf.ones(shape, tf.bool),
        }
        observation = tf.zeros([*shape, SIZE, SIZE, STACK], tf.uint8)
        return self.restart(task, state, observation, tf.zeros(shape, tf.bool), key)

    def restart(
        self, task: Task, state: Nest, observation: tf.Tensor, alive: tf.Tensor, key: tf.Tensor
    ) -> tuple[Nest, tf.Tensor]:
        """Starts episodes where `alive` is False; see `TaskFamily.restart`.

        The rows of other episodes are left alone: to start a game takes as long as it takes to play
        a hundred steps of it.
        """
        own = tf.bitwise.bitwise_xor(key[..., 0], key[..., 1])
        seed = tf.where(alive, state["seed"], 1 + tf.math.floormod(own, _SEEDS - 1))
        image = tf.numpy_function(self._start_rows, [seed, alive], tf.uint8)
        image.set_shape(observation.shape)
        fresh = {**nest.map(tf.zeros_like, state), "seed": seed}
        return nest.where(alive, (state, observation), (fresh, image))

    def step(
        self, task: Task, state: Nest, action: tf.Tensor, noise: tf.Tensor
    ) -> tuple[Nest, tf.Tensor, tf.Tensor, tf.Tensor]:
        """One step of every episode; see `TaskFamily.step`. Episodes that ended stand still."""
        shape = action.shape
        given = [*(state[name] for name in ("seed", "time", "actions", "ended")), action]
        dtypes = [tf.uint8, tf.float32, tf.bool]
        image, reward, terminated = tf.numpy_function(self._step_rows, given, dtypes)
        image.set_shape([*shape, SIZE, SIZE, STACK])
        reward.set_shape(shape)
        terminated.set_shape(shape)
        now = tf.range(self.horizon) == state["time"][..., None]
        after = {
            "seed": state["seed"],
            "time": state["time"] + 1,
            "actions": tf.where(now, tf.cast(action, tf.uint8)[..., None], state["actions"]),
            "ended": terminated | (state["time"] + 1 == self.horizon),
        }
        return nest.where(state["ended"], state, after), image, reward, terminated

    def close(self) -> None:
        """Closes the games. The family can still be used: it makes new ones then."""
        for games in self._games.values():
            games.close()
        self._games.clear()

    # What runs in Python.

    def _rows(self, number: int) -> _Games:
        """The games of so many episodes."""
        if number not in self._games:
            self._games[number] = _Games(self.config, number, self.horizon, self._num_threads)
        return self._games[number]

    def _start_rows(self, seed: np.ndarray, alive: np.ndarray) -> np.ndarray:
        """[N, E] each -> observation [N, E, ...], of no meaning where an episode is alive."""
        images = self._rows(seed.size).start(seed.ravel(), ~alive.ravel())
        return images.reshape([*seed.shape, *images.shape[1:]])

    def _step_rows(
        self,
        seed: np.ndarray,
        time: np.ndarray,
        actions: np.ndarray,
        ended: np.ndarray,
        action: np.ndarray,
    ) -> list[np.ndarray]:
        """[N, E] each, actions [N, E, T] -> [observation [N, E, ...], reward, terminated]."""
        place = seed.ravel(), time.ravel(), actions.reshape([-1, self.horizon])
        playing = ~ended.ravel()
        found = self._rows(seed.size).step(*place, playing, action.ravel())
        return [x.reshape([*seed.shape, *x.shape[1:]]) for x in found]


class _Games:
    """R games side by side, each of which can be brought to where a seed and actions lead.

    Args:
      config: `AtariConfig`.
      number: R.
      horizon: steps of an episode, at most.
      num_threads: as of `Atari`.
    """

    def __init__(self, config: AtariConfig, number: int, horizon: int, num_threads: int) -> None:
        self._games = vector_environment()(
            config.game,
            number,
            num_threads=num_threads,
            max_num_frames_per_episode=2**30,  # the horizon cuts episodes short
            repeat_action_probability=config.sticky_actions,
            full_action_space=config.full_action_set,
            img_height=SIZE,
            img_width=SIZE,
            stack_num=STACK,
            frameskip=config.frame_skip,
            noop_max=config.max_no_ops,
            reward_clipping=False,
            use_fire_reset=False,
        )
        self.num_actions = int(self._games.single_action_space.n)
        self._games.reset(seed=1)  # all of them, before any is reset alone
        # Where each game is; seed 0: nobody knows.
        self._seed = np.zeros(number, np.int32)
        self._time = np.zeros(number, np.int32)
        self._actions = np.zeros([number, horizon], np.uint8)

    def start(self, seed: np.ndarray, begins: np.ndarray) -> np.ndarray:
        """Starts the games of the rows `begins` [R] with `seed` [R]: observations [R, ...]."""
        if not begins.any():
            return np.zeros([len(seed), SIZE, SIZE, STACK], np.uint8)
        options = {"reset_mask": begins}
        images, _ = self._games.reset(seed=seed[begins].astype(np.int64), options=options)
        self._seed[begins], self._time[begins] = seed[begins], 0
        return _channels_last(images)

    def step(
        self,
        seed: np.ndarray,
        time: np.ndarray,
        actions: np.ndarray,
        playing: np.ndarray,
        action: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """One step of the rows `playing`, after they have been brought to where they should be.

        Args:
          seed: [R], of the episodes.
          time: [R], steps of each of them so far.
          actions: [R, T], of these steps the actions.
          playing: [R] bool; what the others give has no meaning.
          action: [R].

        Returns:
          (observation [R, ...], reward [R], terminated [R]).
        """
        self._go_to(seed, time, actions, playing)
        images, reward, terminated = self._moved(np.where(playing, action, 0), playing)
        reward = np.where(playing, reward, 0).astype(np.float32)
        return _channels_last(images), reward, terminated & playing

    def close(self) -> None:
        self._games.close()

    def _go_to(
        self, seed: np.ndarray, time: np.ndarray, actions: np.ndarray, playing: np.ndarray
    ) -> None:
        """Brings the rows `playing` to where their episodes are; arguments as of `step`."""
        lost = playing & ((self._seed != seed) | (self._time != time))
        for row in np.flatnonzero(playing & ~lost):
            taken = slice(time[row])
            lost[row] = not np.array_equal(self._actions[row, taken], actions[row, taken])
        if not time[lost].any():
            self.start(seed, lost)
            return
        # No row can be stepped alone: all begin again, each so much later that all arrive at once.
        latest = int(time[playing].max())
        for now in range(latest + 1):
            own = now - (latest - time)  # the time in each episode, negative before its start
            self.start(seed, playing & (own == 0))
            if now < latest:
                under_way = playing & (own >= 0)
                chosen = actions[np.arange(len(seed)), np.maximum(own, 0)]
                self._moved(np.where(under_way, chosen, 0), under_way)

    def _moved(self, action: np.ndarray, playing: np.ndarray) -> tuple[np.ndarray, ...]:
        """One step of all rows: (images, reward, terminated); only `playing` ones are followed."""
        images, reward, terminated, _, _ = self._games.step(action.astype(np.int64))
        rows = np.flatnonzero(playing)
        self._actions[rows, self._time[rows]] = action[rows]
        self._time[rows] += 1
        self._seed[~playing] = 0
        return images, reward, terminated


def vector_environment() -> Any:
    """ale-py's `AtariVectorEnv`.

    Raises:
      ConfigError: ale-py or gymnasium is not installed.
    """
    try:
        from ale_py.vector_env import AtariVectorEnv
    except ImportError as error:
        raise ConfigError(
            "expected the packages ale-py and gymnasium to be installed; do: "
            "pip install 'tfcaml[atari]'"
        ) from error
    return AtariVectorEnv


def _channels_last(images: np.ndarray) -> np.ndarray:
    """[R, 4, 84, 84] -> [R, 84, 84, 4], in memory of its own."""
    return np.ascontiguousarray(np.moveaxis(images, 1, -1))
