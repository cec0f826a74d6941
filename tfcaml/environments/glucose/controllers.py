"""Fixed controllers to compare policies with. Research use only, not for dosing decisions.

A controller is (task, view, memory) -> (basal U/min, bolus U, memory), where view is {"reading":
mg/dL, "announced": g of the meals that begin before the next decision, "interval": min}, [N, E]
each, and memory is None at first. They know the patient's own basal rate, carbohydrate ratio and
correction factor, which no policy is told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import tensorflow as tf

from tfcaml import keys, nest
from tfcaml.types import Nest, Task

if TYPE_CHECKING:
    from tfcaml.environments.glucose.family import Glucose


class Days(NamedTuple):
    """What happened; a day that ended stays at its last reading.

    readings: [N, E, T * k + 1] mg/dL, as `Glucose.readings` gives them of a `Trajectory`
    insulin: [N, E, T] U given in the decision's interval
    reward: [N, E, T], 0 after the end
    """

    readings: tf.Tensor
    insulin: tf.Tensor
    reward: tf.Tensor


def constant_basal(
    task: Task, view: dict[str, tf.Tensor], memory: Nest
) -> tuple[tf.Tensor, tf.Tensor, Nest]:
    """The patient's basal rate, whatever happens."""
    zeros = tf.zeros_like(view["reading"])
    return zeros + task["basal"][:, None], zeros, ()


def basal_bolus(
    task: Task,
    view: dict[str, tf.Tensor],
    memory: Nest,
    target: float = 140.0,
    threshold: float = 150.0,
) -> tuple[tf.Tensor, tf.Tensor, Nest]:
    """What patients are taught: the basal rate, and with a meal a bolus for it.

    The bolus is carbohydrate over the patient's ratio and, where the reading is above `threshold`,
    its excess over `target` over the patient's correction factor (mg/dL).
    """
    excess = view["reading"] - target
    correction = tf.where(view["reading"] > threshold, excess / task["CF"][:, None], 0.0)
    bolus = view["announced"] / task["CR"][:, None] + correction
    basal = tf.zeros_like(bolus) + task["basal"][:, None]
    return basal, tf.where(view["announced"] > 0, bolus, 0.0), ()


def pid(
    gains: tuple[float, float, float] = (0.02, 5e-5, 1.8), target: float = 140.0
) -> Callable[..., tuple[tf.Tensor, tf.Tensor, Nest]]:
    """A proportional-integral-derivative controller around the basal rate, blind to meals.

    G. Steil et al., "Feasibility of automating insulin delivery for the treatment of type 1
    diabetes", Diabetes 55 (2006), with gains in units of the patient's basal rate.

    Args:
      gains: of the excess over `target`, per mg/dL; of its sum over minutes; of its slope per
        minute. The defaults are those of best time in range on a grid, over all patients.
      target: mg/dL.
    """

    def act(
        task: Task, view: dict[str, tf.Tensor], memory: Nest
    ) -> tuple[tf.Tensor, tf.Tensor, Nest]:
        excess = view["reading"] - target
        total, last = (tf.zeros_like(excess), excess) if memory is None else memory
        slope = (excess - last) / view["interval"]
        factor = 1 + gains[0] * excess + gains[1] * total + gains[2] * slope
        basal = tf.maximum(factor, 0.0) * task["basal"][:, None]
        return basal, tf.zeros_like(basal), (total + excess * view["interval"], excess)

    return act


def play(
    environment: Glucose,
    controller: Callable[..., tuple[tf.Tensor, tf.Tensor, Nest]],
    task: Task,
    num_episodes: int,
    key: tf.Tensor,
) -> Days:
    """Days of patients under a controller, with the meals that `sampling.sample` has for `key`.

    Args:
      environment: `Glucose`.
      controller: see above.
      task: nest, leading [N].
      num_episodes: E.
      key: [2].

    Returns:
      `Days`.
    """
    episode_key = keys.per_episode(key, nest.leading(task), num_episodes)
    state, _ = environment.reset(task, keys.salted(episode_key, keys.RESET))
    first = state["readings"][..., :1]
    alive, memory, rows = tf.ones(first.shape[:2], tf.bool), None, []
    for _ in range(environment.horizon):
        view = {
            "reading": state["readings"][..., 0],
            "announced": environment.announced(state),
            "interval": environment.config.interval,
        }
        basal, bolus, memory = controller(task, view, memory)
        later, reward, ended = environment.infuse(task, state, basal, bolus)
        fresh = environment.fresh_readings(later)
        # An ended day stands still, as in `sampling.sample`.
        fresh = tf.where(alive[..., None], fresh, state["readings"][..., :1])
        keep = lambda new, old: tf.where(nest.expand(alive, new), new, old)
        given = later["insulin"]
        state = nest.map(keep, later, state)
        rows.append((fresh, tf.where(alive, given, 0.0), tf.where(alive, reward, 0.0)))
        alive &= ~ended
    fresh, insulin, reward = zip(*rows)
    return Days(
        tf.concat([first, *fresh], axis=-1), tf.stack(insulin, axis=-1), tf.stack(reward, axis=-1)
    )
