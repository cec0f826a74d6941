"""Personalised insulin dosing: 30 virtual patients who respond differently to the same insulin.

A patient with type-1 diabetes lives through a day of meals; at each decision a policy chooses how
much insulin the pump gives. An entity is a patient of the UVA/Padova model (`model.py`,
`patients.py`). Research use only, not for dosing decisions.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf
from tf_agents.specs import tensor_spec

from tfcaml import keys, nest, settings
from tfcaml.environments.base import TaskFamily, config_of
from tfcaml.environments.glucose import (
    meals,
    model,
    patients,
    populations,
    risk,
    sensor,
    simulation,
)
from tfcaml.errors import check, check_acts, check_one_of, checked_call
from tfcaml.types import Nest, Task, Trajectory

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tfcaml.environments.base import Population

DAY = 1440  # min
LOWEST, HIGHEST = 10.0, 600.0  # mg/dL; beyond them the day ends
# Doses are in units of what an average patient takes (simglucose 0.2.11), see `dose_unit`.
AVERAGE_BASAL = 1.43 * 57 / 6000  # U/min
AVERAGE_RATIO = 15.0  # g of carbohydrate per U
MULTIPLES = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)  # of discrete actions
_GREATEST_POWER = 4.0  # of continuous ones
_INSULIN_LIFE = 120.0  # min, after which a share 1/e of insulin counts as active
_GLUCOSE_CENTER, _GLUCOSE_SCALE = 140.0, 60.0  # mg/dL
_INSULIN_SCALE, _GRAMS_SCALE = 5.0, 50.0  # U, g
_RISK_SCALE = 10.0
_REWARDS = ("risk", "time_in_range")
_SALT_SENSOR, _SALT_MEALS = 4, 8  # of keys


@settings.checked
@dataclasses.dataclass(frozen=True)
class GlucoseConfig:
    """Options of the family.

    Attributes:
      interval: Time between two decisions; it divides the day. Unit: minutes. Source: the study
        glucose_cohort.
      sensor_interval: Time between two readings; it divides `interval`. Unit: minutes. Source:
        Dexcom sensors, as in simglucose 0.2.11: 3 or 5.
      history: Readings that are observed. Source: the study glucose_cohort.
      sensor_noise: Whether readings have the errors of a Dexcom sensor. Source: simglucose 0.2.11.
      announce: Whether carbohydrate is observed and gets a bolus at the start of a meal. Source:
        the study glucose_cohort.
      actions: "discrete", one of `MULTIPLES` of a dose, which is learned far better; or
        "continuous". Source: the study glucose_cohort.
      dose_unit: Whether doses are multiples of an average patient's ("population"), or of the
        patient's own ("patient"). Source: the study glucose_cohort.
      reward: "risk", minus the risk of the glucose level, or "time_in_range", the share of time
        between 70 and 180 mg/dL. Source: B. Kovatchev et al., Diabetes Care 20 (1997), for the
        risk.
      split: Held-out patients: "mixed", of all cohorts, or one whole cohort by its name:
        "adolescent", "adult" or "child". Source: the study glucose_cohort.
      variants: Entities per patient to learn from; all but the first are perturbed. Source: tfcaml.
      perturbation: Spread of perturbed patients, see `patients.perturbed`. Source: tfcaml.
    """

    interval: int = 15
    sensor_interval: int = 5
    history: int = 4
    sensor_noise: bool = False
    announce: bool = True
    actions: str = "discrete"
    dose_unit: str = "population"
    reward: str = "risk"
    split: str = "mixed"
    variants: int = 1
    perturbation: float = 0.2

    def __post_init__(self) -> None:
        for name in ("interval", "sensor_interval", "history", "variants"):
            check(getattr(self, name) >= 1, name, getattr(self, name), ">= 1")
        check(DAY % self.interval == 0, "interval", self.interval, f"a divisor of {DAY} min")
        rule = f"a divisor of interval={self.interval}"
        check(
            self.interval % self.sensor_interval == 0, "sensor_interval", self.sensor_interval, rule
        )
        least = self.interval // self.sensor_interval
        rule = f">= {least}, the readings between two decisions"
        check(self.history >= least, "history", self.history, rule)
        check_one_of("actions", self.actions, ("continuous", "discrete"))
        check_one_of("dose_unit", self.dose_unit, ("population", "patient"))
        check_one_of("reward", self.reward, _REWARDS)
        check_one_of("split", self.split, ("mixed", *patients.COHORTS))
        check(self.perturbation >= 0, "perturbation", self.perturbation, ">= 0")
        check_acts(self, ("perturbation",), self.variants > 1, "with variants > 1")


class Glucose(TaskFamily):
    """The family. A task is a dict of a patient's parameters, see `patients.tasks`.

    An episode is a day from midnight to midnight that begins at rest, fasting at the basal rate.

    Observation: the last `history` readings, newest first, less 140, in 60 mg/dL; insulin given
    lately (it fades with a time constant of two hours), in 5 U; sine and cosine of the time of day;
    with `announce` the carbohydrate of meals that begin before the next decision, in 50 g.

    Action: a dose multiple; 2^a of a continuous action a, which is clipped to +-4, or the a-th of
    `MULTIPLES`. The multiple is of a basal rate until the next decision and, with `announce`, of a
    bolus for the announced carbohydrate in its first minute. With `dose_unit="population"` both are
    those of one average patient for all, so that patients need different actions. Beyond the pump's
    0 to 30 U/min the rate is clipped.

    Reward: "risk": minus the risk (`risk.py`) in tens, averaged over the minutes; "time_in_range":
    the share of minutes with 70 to 180 mg/dL. A day that ends early, below 10 or above 600 mg/dL,
    is charged the greatest risk, or paid nothing, for every decision it misses.

    A nan action raises a `ConfigError`; in a graph, where nothing can be raised, reward and
    observation are nan and the episode ends.
    """

    notice = "Simulated patients. For research only, not for dosing decisions."

    @checked_call
    def __init__(self, config: GlucoseConfig | None = None) -> None:
        self.config = config_of(config, GlucoseConfig)
        self.horizon = DAY // self.config.interval
        scalars = (*model.PARAMETERS, "basal", "CR", "CF")
        self.task_spec = {key: tf.TensorSpec([], tf.float32) for key in scalars}
        self.task_spec["initial_state"] = tf.TensorSpec([len(model.Body._fields)], tf.float32)
        size = self.config.history + 3 + self.config.announce
        self.observation_spec = tf.TensorSpec([size], tf.float32, "observation")
        if self.config.actions == "discrete":
            last = len(MULTIPLES) - 1
            self.action_spec = tensor_spec.BoundedTensorSpec([], tf.int32, 0, last, "action")
        else:
            bound = _GREATEST_POWER
            self.action_spec = tensor_spec.BoundedTensorSpec(
                [1], tf.float32, -bound, bound, "action"
            )

    @checked_call
    def population(self, seed: int, num_test: int = 9) -> Population:
        """Patients to learn from and `num_test` held-out ones.

        With `split="mixed"` cohorts take turns in being held out, and all others are learned from;
        with a cohort's name its patients are held out and the other cohorts learned from. Held-out
        patients are never perturbed. The group of an entity is the number of its cohort.

        Raises:
          ConfigError: more held-out patients than there are.
        """
        return populations.population(self.config, seed, num_test)

    def tasks(self, patient_names: Sequence[str]) -> Task:
        """The tasks of patients by name ("adult#001"), nest with leading [P].

        Raises:
          ConfigError: an unknown patient.
        """
        return nest.map(tf.constant, patients.tasks(patient_names))

    def simulate(
        self, patient_names: Sequence[str], insulin: np.ndarray, meals: np.ndarray
    ) -> tf.Tensor:
        """Glucose of patients who get insulin and meals by the minute, compiled.

        Args:
          patient_names: P names; the same may come again.
          insulin: [P, minutes], U/min, 0 to 30.
          meals: [P, minutes], g of carbohydrate announced in a minute; eaten from then on, 5 g/min.

        Returns:
          subcutaneous glucose [P, minutes + 1], mg/dL, from before the first minute on.

        Raises:
          ConfigError: an unknown patient, wrong shapes, negative meals, insulin that the pump can't
            give, or anything that is not finite.
        """
        return simulation.simulate(self.tasks(patient_names), insulin, meals)

    def reset(self, task: Task, key: tf.Tensor) -> tuple[Nest, tf.Tensor]:
        num_episodes = key.shape[1]
        body, eating = model.start(task["initial_state"], num_episodes)
        zeros = tf.zeros_like(body.gut)
        state = {
            "body": body,
            "eating": eating,
            "schedule": meals.day(keys.salted(key, _SALT_MEALS)),
            "minute": zeros,
            "insulin": zeros,  # U since the last decision
            # What the patient's basal rate has come to.
            "active_insulin": zeros + task["basal"][:, None] * _INSULIN_LIFE,
        }
        if self.config.sensor_noise:
            interval = self.config.sensor_interval
            key = keys.salted(key, _SALT_SENSOR)
            state["sensor_error"] = sensor.noise(key, DAY, interval)
        first = self._readings(state, simulation.glucose(task, body)[None])
        state["readings"] = tf.repeat(first, self.config.history, axis=-1)
        return state, self._observation(state)

    def step(
        self, task: Task, state: dict[str, Nest], action: tf.Tensor, noise: tf.Tensor
    ) -> tuple[Nest, tf.Tensor, tf.Tensor, tf.Tensor]:
        """One decision; see `TaskFamily`. Deterministic: `noise` is empty."""
        simulation.check_finite("action", action)
        basal, bolus = self._dose(task, state, action)
        state, reward, ended = self.infuse(task, state, basal, bolus)
        return state, self._observation(state), reward, ended

    def infuse(
        self, task: Task, state: dict[str, Nest], basal: tf.Tensor, bolus: tf.Tensor
    ) -> tuple[Nest, tf.Tensor, tf.Tensor]:
        """What insulin does until the next decision.

        Args:
          task: nest, leading [N].
          state: as `reset` and `step` return it.
          basal: U/min throughout, [N, E].
          bolus: U in the first minute, [N, E].

        Returns:
          (state, reward [N, E], ended [N, E] bool).

        Raises:
          ConfigError: insulin or state that is not finite, outside of graphs.
        """
        simulation.check_finite("insulin", basal + bolus)
        simulation.check_finite("state", state["body"])
        minutes = self.config.interval
        insulin = simulation.pump(basal + tf.one_hot(0, minutes)[:, None, None] * bolus)
        grams = meals.announced(state["schedule"], state["minute"], minutes)
        body, eating, glucose = simulation.live(
            task, state["body"], state["eating"], grams, insulin
        )
        glucose = tf.where(_finite(insulin), glucose, math.nan)
        given = tf.reduce_sum(insulin, axis=0)
        later = {
            **state,
            "body": body,
            "eating": eating,
            "minute": state["minute"] + minutes,
            "insulin": given,
            "active_insulin": math.exp(-minutes / _INSULIN_LIFE)
            * (state["active_insulin"] + given),
        }
        every = self.config.sensor_interval
        new = self._readings(later, glucose[every - 1 :: every])
        later["readings"] = tf.concat([new, state["readings"]], -1)[..., : self.config.history]
        return later, *self._outcome(state["minute"], glucose)

    def fresh_readings(self, state: dict[str, Nest]) -> tf.Tensor:
        """The readings since the last decision, oldest first: [N, E, k]."""
        fresh = self.config.interval // self.config.sensor_interval
        return tf.reverse(state["readings"][..., :fresh], [-1])

    def announced(self, state: dict[str, Nest]) -> tf.Tensor:
        """Carbohydrate of the meals that begin before the next decision, g: [N, E]."""
        grams = meals.announced(state["schedule"], state["minute"], self.config.interval)
        return tf.reduce_sum(grams, axis=0)

    def pictures(self, examples: dict[str, tuple[Trajectory, Trajectory]]) -> dict[str, Figure]:
        """Glucose over the day before and after adaptation, see `TaskFamily.pictures`."""
        # Here, as Matplotlib takes long to import and is not always needed.
        from tfcaml.environments.glucose.figures import ambulatory_glucose_profile

        pictures = {}
        for index, when in enumerate(("before", "after")):
            readings = {name: self.readings(ends[index]) for name, ends in examples.items()}
            days = {name: np.reshape(x, [-1, x.shape[-1]]) for name, x in readings.items()}
            title = f"Held-out patients {when} adaptation"
            pictures[f"glucose_{when}"] = ambulatory_glucose_profile(days, title)
        return pictures

    def readings(self, trajectory: Trajectory) -> tf.Tensor:
        """The sensor's readings that a `Trajectory` [N, E, T] holds, [N, E, T * k + 1], mg/dL.

        k per decision and the first of the day. After its end a day stays at the last reading.
        """
        fresh = self.config.interval // self.config.sensor_interval
        after = tf.concat(
            [trajectory.observation[:, :, 1:], trajectory.final_observation[:, :, None]], axis=2
        )
        newest = after[..., :1]
        after = tf.where(trajectory.mask[..., None] > 0, after[..., :fresh], newest)
        after = tf.reverse(after, [-1])
        after = tf.reshape(after, [*after.shape[:2], -1])
        every = tf.concat([trajectory.observation[:, :, 0, :1], after], axis=-1)
        return _GLUCOSE_SCALE * every + _GLUCOSE_CENTER

    def _outcome(self, minute: tf.Tensor, glucose: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """(reward [N, E], ended [N, E]) of glucose [interval, N, E] from `minute` [N, E] on."""
        ended = tf.reduce_any(~((glucose >= LOWEST) & (glucose <= HIGHEST)), axis=0)
        if self.config.reward == "risk":
            missed = (DAY - minute) / self.config.interval - 1
            reward = -tf.reduce_mean(risk.risk(glucose), axis=0) / _RISK_SCALE
            reward -= tf.where(ended, missed * risk.GREATEST / _RISK_SCALE, 0.0)
        else:
            within = (glucose >= 70) & (glucose <= 180)
            reward = tf.reduce_mean(tf.cast(within, tf.float32), axis=0)
        return tf.where(_finite(glucose), reward, math.nan), ended

    def _dose(
        self, task: Task, state: dict[str, Nest], action: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """(basal U/min, bolus U) of an action, [N, E]."""
        if self.config.actions == "discrete":
            multiple = tf.gather(tf.constant(MULTIPLES), action)
        else:
            bound, power = _GREATEST_POWER, action[..., 0]
            clipped = tf.clip_by_value(power, -bound, bound)
            multiple = tf.where(tf.math.is_nan(power), power, 2.0**clipped)
        basal, ratio = AVERAGE_BASAL, AVERAGE_RATIO
        if self.config.dose_unit == "patient":
            basal, ratio = task["basal"][:, None], task["CR"][:, None]
        bolus = multiple * self.announced(state) / ratio if self.config.announce else 0 * multiple
        return multiple * basal, bolus

    def _readings(self, state: dict[str, Nest], glucose: tf.Tensor) -> tf.Tensor:
        """Readings up to now, newest first: glucose [k, N, E] -> [N, E, k]."""
        newest_first = tf.transpose(glucose[::-1], [1, 2, 0])
        if not self.config.sensor_noise:
            return sensor.read(newest_first)
        now = tf.cast(state["minute"] / self.config.sensor_interval, tf.int32)
        index = tf.maximum(now[..., None] - tf.range(glucose.shape[0]), 0)
        return sensor.read(newest_first, tf.gather(state["sensor_error"], index, batch_dims=2))

    def _observation(self, state: dict[str, Nest]) -> tf.Tensor:
        angle = 2 * math.pi / DAY * state["minute"]
        more = [state["active_insulin"] / _INSULIN_SCALE, tf.sin(angle), tf.cos(angle)]
        if self.config.announce:
            more.append(self.announced(state) / _GRAMS_SCALE)
        readings = (state["readings"] - _GLUCOSE_CENTER) / _GLUCOSE_SCALE
        return tf.concat([readings, tf.stack(more, axis=-1)], axis=-1)


def _finite(values: tf.Tensor) -> tf.Tensor:
    """Where all of values [M, N, E] are finite: [N, E] bool."""
    return tf.reduce_all(tf.math.is_finite(values), axis=0)
