"""Few-shot classification as families of one-step tasks: name what a picture shows.

A task of O. Vinyals et al., "Matching networks for one shot learning", NeurIPS 2016, section 4:
`way` classes that were never seen, and `shots` labelled drawings of each, the support. An episode
is one other drawing, a query: the observation is its image, the action a label below `way`, and
the reward 1 for the right one, else 0, so that a mean return is an accuracy. Labels are positions
within the task and mean nothing beyond it.

The drawings of a class have an order in each task: the first `shots` are its support, all later
ones queries, so that the two never share one. Classification learners
(`learners.MAMLClassification`) read images and labels with `support` and `query`; others play
single queries by `reset` and `step`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tf_agents.specs import tensor_spec

from tfcaml import keys, settings
from tfcaml.environments.base import Population, TaskFamily
from tfcaml.errors import check, check_whole, checked_call
from tfcaml.types import Nest, Task

_SALT = 0xFE5  # of the key of a population
_TURNS = 4  # of an image, by 0, 90, 180 and 270 degrees


@settings.checked
@dataclasses.dataclass(frozen=True)
class FewShotConfig:
    """Options of all families of few-shot tasks.

    Attributes:
      way: Classes of a task. Source: Vinyals et al., 2016, section 4: 5, and 20.
      shots: Labelled drawings of each class, its support. Source: Vinyals et al., 2016, section 4:
        1, and 5.
    """

    way: int = 5
    shots: int = 1

    def __post_init__(self) -> None:
        check(self.way >= 2, "way", self.way, ">= 2")
        check(self.shots >= 1, "shots", self.shots, ">= 1")


class FewShot(TaskFamily):
    """Base of the families. A subclass defines `images` and `population`.

    Args:
      config: a `FewShotConfig`.
      shape: [height, width, channels] of an image.
      drawings: how many drawings of a class a task has, support and queries; None: any number.

    Attributes:
      num_classes: how many classes there are to learn from; None: no end of them.
    """

    horizon = 1
    num_classes: int | None = None

    def __init__(self, config: Any, shape: Sequence[int], drawings: int | None) -> None:
        self.config = config
        self.drawings = drawings
        self.observation_spec = tf.TensorSpec(shape, tf.float32, "observation")
        last = config.way - 1
        self.action_spec = tensor_spec.BoundedTensorSpec([], tf.int32, 0, last, "action")
        if drawings is not None:
            rule = f"below the {drawings} drawings of a class, to leave some to be asked about"
            check(config.shots < drawings, "shots", config.shots, rule)
            self.most_episodes = config.way * (drawings - config.shots)

    def images(self, task: Task, label: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        """Drawings of classes of a task.

        Args:
          task: nest, leading [N].
          label: [N, B], which class of the task.
          number: [N, B], which of the class's drawings, in the task's order.

        Returns:
          [N, B, height, width, channels].
        """
        raise NotImplementedError

    def classes(self, task: Task) -> tf.Tensor:
        """Which of the `num_classes` the classes of training tasks are: [N, way] integers."""
        raise NotImplementedError

    def support(self, task: Task) -> tuple[tf.Tensor, tf.Tensor]:
        """The labelled drawings of each task: (images [N, way * shots, ...], label [N, ...])."""
        return self._examples(task, self.config.way * self.config.shots, 0)

    def query(self, task: Task, num_queries: int) -> tuple[tf.Tensor, tf.Tensor]:
        """Drawings to be named, of each class in turn: (images [N, num_queries, ...], label).

        Raises:
          ConfigError: the classes have fewer drawings beside the support.
        """
        if self.most_episodes is not None:
            rule = f"at most {self.most_episodes}, the drawings of {self.config.way} classes "
            rule += f"that are not among the {self.config.shots} shown"
            check(num_queries <= self.most_episodes, "episodes of a task", num_queries, rule)
        return self._examples(task, num_queries, self.config.shots)

    def reset(self, task: Task, key: tf.Tensor) -> tuple[Nest, tf.Tensor]:
        way, shots = self.config.way, self.config.shots
        others = 10**6 if self.drawings is None else self.drawings - shots
        choice = tf.cast(keys.uniform(key, [2]) * [way, others], tf.int32)
        label = tf.minimum(choice[..., 0], way - 1)
        number = shots + tf.minimum(choice[..., 1], others - 1)
        image = self.images(task, label, number)
        return {"label": label, "image": image}, image

    def step(
        self, task: Task, state: Nest, action: tf.Tensor, noise: tf.Tensor
    ) -> tuple[Nest, tf.Tensor, tf.Tensor, tf.Tensor]:
        right = action == state["label"]
        return state, state["image"], tf.cast(right, tf.float32), tf.ones_like(right)

    def _examples(self, task: Task, count: int, first: int) -> tuple[tf.Tensor, tf.Tensor]:
        """`count` drawings from number `first` of each class on, one of each class in turn."""
        way, num_tasks = self.config.way, tf.nest.flatten(task)[0].shape[0]
        episode = tf.range(count)[None] + tf.zeros([num_tasks, 1], tf.int32)
        label = episode % way
        return self.images(task, label, first + episode // way), label


class DrawnImages(FewShot):
    """Tasks whose classes are those of a collection of images.

    A task is {"class": [N, way] numbers of classes, "turn": [N, way], by how many right angles
    their drawings are turned, which makes other classes of them, "order": [N, way, D], its
    drawings, "shift": [N, way, D, 2], by how many points each of them is moved down and right}.

    Args:
      config: a `FewShotConfig`.
      images: uint8 [M, height, width, channels], those of a class one after another.
      counts: [C], how many images each class has; the training classes first.
      num_training: how many of the classes are to learn from.
      rotations: whether turned classes are classes too.
      shift: by how many points at most drawings of training tasks are moved.
      what: what the classes are called, for messages.

    Raises:
      ConfigError: fewer classes than `way`, or too few drawings.
    """

    def __init__(
        self,
        config: Any,
        images: np.ndarray,
        counts: Sequence[int],
        num_training: int,
        rotations: bool,
        shift: int = 0,
        what: str = "classes",
    ) -> None:
        for kind, number in (("training", num_training), ("test", len(counts) - num_training)):
            rule = f"at most {number}, the {what} for {kind}"
            check(config.way <= number, "way", config.way, rule)
        super().__init__(config, images.shape[1:], int(min(counts)))
        pair = tf.TensorSpec([config.way], tf.int32)
        order = tf.TensorSpec([config.way, self.drawings], tf.int32)
        moved = tf.TensorSpec([*order.shape, 2], tf.int32)
        self.task_spec = {"class": pair, "turn": pair, "order": order, "shift": moved}
        rule = f"0 to {min(images.shape[1:3]) - 1}, below the points of a side"
        check(0 <= shift < min(images.shape[1:3]), "shift", shift, rule)
        self.shift = shift
        self.num_training = num_training
        self.turns = _TURNS if rotations else 1
        self.num_classes = num_training * self.turns
        self._images = tf.constant(images)
        self._counts = tf.constant(counts, tf.int32)
        self._first = tf.constant(np.cumsum([0, *counts[:-1]]), tf.int32)

    @checked_call
    def population(self, seed: int, num_test: int = 600) -> Population:
        """Fresh tasks of training classes at every draw; `num_test` fixed ones of the others."""
        check_whole("num_test", num_test, 1)
        key = keys.fold(keys.from_int(seed), _SALT)
        own = keys.fold(key, 0)
        test = self._draw(num_test, own, self.num_training, len(self._counts), 0)
        train = self.training_tasks(num_test, keys.fold(key, 1))
        group = np.zeros(num_test, np.int64)
        return Population(train, test, group, group, self.training_tasks)

    def training_tasks(self, num_tasks: int, key: tf.Tensor) -> Task:
        """New tasks of training classes. key: [2]."""
        return self._draw(num_tasks, key, 0, self.num_training, self.shift)

    def images(self, task: Task, label: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        pick = lambda name: tf.gather(task[name], label, batch_dims=1)
        drawing = tf.gather(pick("order"), number, batch_dims=2)
        flat = tf.gather(self._images, tf.gather(self._first, pick("class")) + drawing)
        if self.shift:
            flat = _moved(flat, tf.gather(pick("shift"), number, batch_dims=2))
        seen, turn = tf.cast(flat, tf.float32) / 255.0, pick("turn")[..., None, None, None]
        turned = seen
        for angle in range(1, self.turns):
            # A quarter more each time, anticlockwise.
            seen = tf.reverse(tf.transpose(seen, [0, 1, 3, 2, 4]), [2])
            turned = tf.where(turn == angle, seen, turned)
        return turned

    def classes(self, task: Task) -> tf.Tensor:
        return task["class"] * self.turns + task["turn"]

    def _draw(self, num_tasks: int, key: tf.Tensor, first: int, end: int, shift: int) -> Task:
        """New tasks of the classes number first ... end - 1, moved by at most `shift`. key: [2]."""
        way = self.config.way
        uniform = lambda part, *shape: tf.random.stateless_uniform(shape, keys.fold(key, part))
        # The places of the largest of some random numbers are a draw without replacement.
        chosen = first + tf.math.top_k(uniform(0, num_tasks, end - first), way).indices
        turn = tf.cast(self.turns * uniform(1, num_tasks, way), tf.int32)
        most = int(tf.reduce_max(self._counts[first:end]))
        there = tf.range(most) < tf.gather(self._counts, chosen)[..., None]
        rank = tf.where(there, uniform(2, num_tasks, way, most), -1.0)
        order = tf.math.top_k(rank, self.drawings).indices
        moved = tf.floor((2 * shift + 1) * uniform(3, *order.shape, 2)) - shift
        return {
            "class": chosen,
            "turn": tf.minimum(turn, self.turns - 1),
            "order": order,
            "shift": tf.cast(tf.minimum(moved, float(shift)), tf.int32),
        }


def _moved(images: tf.Tensor, shift: tf.Tensor) -> tf.Tensor:
    """Images [N, B, H, W, C] moved by `shift` [N, B, 2] points, their edges drawn out."""
    for axis in range(2):
        size = images.shape[2 + axis]
        source = tf.clip_by_value(tf.range(size) - shift[..., axis, None], 0, size - 1)
        if axis == 0:
            images = tf.gather(images, source, axis=2, batch_dims=2)
        else:
            turned = tf.gather(tf.transpose(images, [0, 1, 3, 2, 4]), source, axis=2, batch_dims=2)
            images = tf.transpose(turned, [0, 1, 3, 2, 4])
    return images
