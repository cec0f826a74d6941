"""Minutes of many patients, compiled. Research use only, not for dosing decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from tfcaml.environments.glucose import model
from tfcaml.errors import check
from tfcaml.types import Nest

if TYPE_CHECKING:
    from tfcaml.environments.glucose.model import Body, Eating

GREATEST_RATE = 30.0  # U/min, of the pump
_PUMP_STEP = 0.05 / 6000  # U/min: 0.05 pmol/min, as the published pump rounds


def simulate(task: dict[str, tf.Tensor], insulin: np.ndarray, meals: np.ndarray) -> tf.Tensor:
    """Glucose of patients who get insulin and meals by the minute.

    Args:
      task: nest, leading [P], see `patients.tasks`.
      insulin: [P, minutes], U/min, 0 to 30.
      meals: [P, minutes], g of carbohydrate announced in a minute; eaten from then on, 5 g/min.

    Returns:
      subcutaneous glucose [P, minutes + 1], mg/dL, from before the first minute on.

    Raises:
      ConfigError: wrong shapes, negative meals, insulin that the pump can't give, or anything that
        is not finite.
    """
    insulin, meals = np.asarray(insulin, np.float32), np.asarray(meals, np.float32)
    size = len(task["initial_state"])
    fits = insulin.ndim == 2 and len(insulin) == size and insulin.shape == meals.shape
    shapes = f"{insulin.shape} and {meals.shape}"
    check(fits, "shapes of insulin and meals", shapes, f"[{size} patients, minutes], both")
    _check_all(insulin, "insulin", (insulin >= 0) & (insulin <= GREATEST_RATE), "0 to 30 U/min")
    _check_all(meals, "meals", (meals >= 0) & np.isfinite(meals), "finite and >= 0 g")
    body, eating = model.start(task["initial_state"], 1)
    minutes_first = lambda x: tf.constant(x.T[..., None])
    later = live(task, body, eating, minutes_first(meals), minutes_first(insulin))[-1]
    return tf.transpose(tf.concat([glucose(task, body)[None], later], axis=0)[..., 0])


def live(
    task: dict[str, tf.Tensor], body: Body, eating: Eating, grams: tf.Tensor, insulin: tf.Tensor
) -> tuple[Body, Eating, tf.Tensor]:
    """Minutes of life, one XLA program also in graphs without: else they take ten times as long.

    Args:
      task: nest, leading [N].
      body: `model.Body` of [N, E].
      eating: `model.Eating` of [N, E].
      grams: announced in each minute, [M, N, E].
      insulin: given in each minute, U/min, [M, N, E].

    Returns:
      (`Body`, `Eating`, glucose after each minute [M, N, E], mg/dL).
    """
    return _compiled(task, body, eating, grams, insulin)


def glucose(task: dict[str, tf.Tensor], body: Body) -> tf.Tensor:
    """Subcutaneous glucose, mg/dL: [N, E]."""
    return body.subcutaneous_glucose / task["Vg"][:, None]


def pump(rate: tf.Tensor) -> tf.Tensor:
    """The rate that the pump gives, U/min: in its steps and within its limits; nan of nan."""
    given = _PUMP_STEP * tf.round(tf.clip_by_value(rate, 0.0, GREATEST_RATE) / _PUMP_STEP)
    return tf.where(tf.math.is_nan(rate), rate, given)


def check_finite(name: str, values: Nest) -> None:
    """Refuses a nest with a value that is not finite; inside a graph nothing can be raised.

    Raises:
      ConfigError: there is one.
    """
    if not tf.executing_eagerly():
        return
    for value in tf.nest.flatten(values):
        value = np.asarray(value)
        finite = value.dtype.kind != "f" or np.isfinite(value).all()
        check(finite, name, "nan or inf", "finite")


def _minutes(
    task: dict[str, tf.Tensor], body: Body, eating: Eating, grams: tf.Tensor, insulin: tf.Tensor
) -> tuple[Body, Eating, tf.Tensor]:
    parameters = {key: task[key][:, None] for key in model.PARAMETERS}
    minutes = insulin.shape[0]
    trace = tf.TensorArray(tf.float32, minutes, element_shape=insulin.shape[1:])

    def minute(
        now: tf.Tensor, body: Body, eating: Eating, trace: tf.TensorArray
    ) -> tuple[Any, ...]:
        body, eating = model.minute(parameters, body, eating, grams[now], insulin[now])
        return now + 1, body, eating, trace.write(now, glucose(task, body))

    _, body, eating, trace = tf.while_loop(
        lambda now, *_: now < minutes,
        minute,
        (0, body, eating, trace),
        maximum_iterations=minutes,
        parallel_iterations=1,
    )
    return body, eating, trace.stack()


# Any other `tf.function`, called from a graph through Python, would wait for ever where TensorFlow
# has a single thread for operations.
_compiled = tf.function(_minutes, autograph=False, jit_compile=True)


def _check_all(values: np.ndarray, name: str, good: np.ndarray, allowed: str) -> None:
    bad = values[~good]
    check(bad.size == 0, name, float(bad[0]) if bad.size else None, allowed)
