"""Made-up characters: strokes of straight lines, drawn unsteadily. Needs no data.

Each class of a task is a template, a few points joined by lines, made anew for every training task
and fixed for test tasks, both from continuous distributions by unrelated keys. A drawing moves the
points, turns, stretches and shifts the whole, and varies the width of the pen. A stand-in for
Omniglot that a test can learn in seconds.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import tensorflow as tf

from tfcaml import keys, settings
from tfcaml.environments.base import Population, config_of
from tfcaml.environments.supervised.few_shot import FewShot, FewShotConfig
from tfcaml.errors import check, check_whole, checked_call
from tfcaml.types import Task

_SALT = 0x57E  # of the key of a population
_MARGIN = 0.7  # templates are within plus and minus this; the image within 1
_STRETCH, _SHIFT = 0.15, 0.15  # at most, of each axis, with unsteadiness 1
_TURN = math.radians(12)  # at most, with unsteadiness 1
_MOVED = 0.1  # standard deviation of a point, with unsteadiness 1
_PEN = (0.06, 0.1)  # narrowest and widest


@settings.checked
@dataclasses.dataclass(frozen=True)
class StrokesConfig(FewShotConfig):
    """Options of the family.

    Attributes:
      points: Points of a template, which lines join one after another. Source: tfcaml.
      unsteadiness: How much drawings of a class differ; at 1 points move by a standard deviation of
        a twentieth of the image. Source: tfcaml.
      size: Height and width of an image. Unit: points. Source: Omniglot in the MAML paper: 28.
    """

    points: int = 5
    unsteadiness: float = 0.8
    size: int = 28

    def __post_init__(self) -> None:
        super().__post_init__()
        check(2 <= self.points <= 100, "points", self.points, "2 to 100")
        check(0 <= self.unsteadiness <= 10, "unsteadiness", self.unsteadiness, "0 to 10")
        check(8 <= self.size <= 512, "size", self.size, "8 to 512")


class Strokes(FewShot):
    """The family. A task is {"template": [N, way, points, 2] of x and y, "order": [N] a key}."""

    @checked_call
    def __init__(self, config: Any = None) -> None:
        config = config_of(config, StrokesConfig)
        super().__init__(config, [config.size, config.size, 1], None)
        self.task_spec = {
            "template": tf.TensorSpec([config.way, config.points, 2], tf.float32),
            "order": tf.TensorSpec([], tf.int32),
        }

    @checked_call
    def population(self, seed: int, num_test: int = 600) -> Population:
        """Fresh templates at every draw to learn from, and `num_test` fixed tasks to adapt to."""
        check_whole("num_test", num_test, 1)
        key = keys.fold(keys.from_int(seed), _SALT)
        test, train = (self.draw(num_test, keys.fold(key, part)) for part in range(2))
        group = np.zeros(num_test, np.int64)
        return Population(train, test, group, group, self.draw)

    def draw(self, num_tasks: int, key: tf.Tensor) -> Task:
        """New tasks. key: [2]."""
        shape = [num_tasks, self.config.way, self.config.points, 2]
        template = tf.random.stateless_uniform(shape, keys.fold(key, 0), -_MARGIN, _MARGIN)
        most = tf.int32.max
        order = tf.random.stateless_uniform([num_tasks], keys.fold(key, 1), 0, most, tf.int32)
        return {"template": template, "order": order}

    def images(self, task: Task, label: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        points, size = self.config.points, self.config.size
        template = tf.gather(task["template"], label, batch_dims=1)  # [N, B, points, 2]
        order = tf.broadcast_to(task["order"][:, None], label.shape)
        key = tf.stack([order, number * self.config.way + label], axis=-1)
        noise = keys.normal(key, [points + 3, 2])
        most = self.config.unsteadiness
        # [N, B, 3, 2], each within plus and minus `most`.
        amount = most * tf.tanh(noise[:, :, points:])
        moved = template + most * _MOVED * noise[:, :, :points]
        moved *= 1 + _STRETCH * amount[:, :, None, 0]
        angle = _TURN * amount[:, :, 1, :1]
        x, y = moved[..., 0], moved[..., 1]
        turned = [x * tf.cos(angle) - y * tf.sin(angle), x * tf.sin(angle) + y * tf.cos(angle)]
        drawn = tf.stack(turned, axis=-1) + _SHIFT * amount[:, :, None, 2]
        middle, half = (_PEN[1] + _PEN[0]) / 2, (_PEN[1] - _PEN[0]) / 2
        pen = middle + half * tf.tanh(noise[:, :, points + 1, 1])
        return _ink(drawn, pen, size)


def _ink(points: tf.Tensor, pen: tf.Tensor, size: int) -> tf.Tensor:
    """Lines from point to point as an image, 1 in their midst and 0 beyond the pen.

    Args:
      points: [N, B, P, 2] of x and y; the image is within plus and minus 1.
      pen: [N, B], half the width of lines.
      size: height and width.

    Returns:
      [N, B, size, size, 1].
    """
    places = (tf.range(size, dtype=tf.float32) + 0.5) * (2 / size) - 1
    across, down = (tf.reshape(x, [-1]) for x in tf.meshgrid(places, places))
    nearest = None
    for index in range(points.shape[2] - 1):
        start, along = points[:, :, index], points[:, :, index + 1] - points[:, :, index]
        to_x, to_y = across - start[..., :1], down - start[..., 1:]  # [N, B, size * size]
        along_x, along_y = along[..., :1], along[..., 1:]
        length = along_x**2 + along_y**2
        share = (to_x * along_x + to_y * along_y) / tf.maximum(length, 1e-9)
        share = tf.clip_by_value(share, 0.0, 1.0)
        squared = (to_x - share * along_x) ** 2 + (to_y - share * along_y) ** 2
        nearest = squared if nearest is None else tf.minimum(nearest, squared)
    edge = 2 / size  # over a point's width the ink fades
    ink = tf.clip_by_value((pen[..., None] - tf.sqrt(nearest)) / edge + 0.5, 0.0, 1.0)
    return tf.reshape(ink, [*ink.shape[:2], size, size, 1])
