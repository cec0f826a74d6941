"""The UVA/Padova model of type-1 diabetes. Research use only, not for dosing decisions.

C. Dalla Man, R. Rizza, C. Cobelli, "Meal simulation model of the glucose-insulin system", IEEE
Transactions on Biomedical Engineering 54 (2007); B. Kovatchev, M. Breton, C. Dalla Man, C. Cobelli,
"In silico preclinical trials", Journal of Diabetes Science and Technology 3 (2009). Names of
parameters, guards of states and the order of things within a minute are those of the package
simglucose 0.2.11.

Everything is elementwise over [N patients, E episodes], in float32. A minute is one step of the
classical Runge-Kutta scheme: the fastest rates are below 0.5 per minute.
"""

from typing import NamedTuple

import tensorflow as tf

EATING_RATE = 5.0  # g of carbohydrate per minute
_PMOL_PER_UNIT = 6000.0
_MG_PER_G = 1000.0

# Names of a patient's parameters, as the model's publication has them.
PARAMETERS = (
    *("BW", "Vg", "Vi", "Ib", "f", "b", "d", "kabs", "kmax", "kmin"),
    *("k1", "k2", "kp1", "kp2", "kp3", "ke1", "ke2", "Fsnc", "Vm0", "Vmx", "Km0", "p2u", "ki"),
    *("m1", "m2", "m4", "m30", "ka1", "ka2", "kd", "ksc"),
)


class Body(NamedTuple):
    """The model's state, x1 to x13; [N, E] each.

    Carbohydrate in mg; glucose in mg/kg; insulin in pmol/kg, and in pmol/L where named so.
    """

    stomach_solid: tf.Tensor
    stomach_liquid: tf.Tensor
    gut: tf.Tensor
    plasma_glucose: tf.Tensor
    tissue_glucose: tf.Tensor
    plasma_insulin: tf.Tensor
    insulin_action: tf.Tensor  # pmol/L, on the uptake of glucose
    delaying_insulin: tf.Tensor  # pmol/L
    delayed_insulin: tf.Tensor  # pmol/L, on the production of glucose
    liver_insulin: tf.Tensor
    depot_1: tf.Tensor  # insulin below the skin, as infused
    depot_2: tf.Tensor  # and as ready to be absorbed
    subcutaneous_glucose: tf.Tensor


class Eating(NamedTuple):
    """What is on the plate and since when; [N, E] each.

    planned: g announced and not yet eaten
    intake: g eaten in the last minute
    stomach: mg in the stomach when the meal began
    eaten: g since the meal began
    """

    planned: tf.Tensor
    intake: tf.Tensor
    stomach: tf.Tensor
    eaten: tf.Tensor


def start(initial_state: tf.Tensor, num_episodes: int) -> tuple[Body, Eating]:
    """(`Body`, `Eating`) of patients at rest: initial_state [N, 13] -> [N, E] each."""
    columns = tf.unstack(tf.repeat(initial_state[:, None], num_episodes, axis=1), axis=-1)
    body, zeros = Body(*columns), tf.zeros_like(columns[0])
    return body, Eating(zeros, zeros, body.stomach_solid + body.stomach_liquid, zeros)


def minute(
    parameters: dict[str, tf.Tensor],
    body: Body,
    eating: Eating,
    grams: tf.Tensor,
    insulin: tf.Tensor,
) -> tuple[Body, Eating]:
    """One minute of life.

    Args:
      parameters: dict of [N, 1], see `PARAMETERS`.
      body: `Body`.
      eating: `Eating`.
      grams: carbohydrate announced now, [N, E].
      insulin: infused during the minute, U/min, [N, E].

    Returns:
      (`Body`, `Eating`).
    """
    eating = _eat(body, eating, grams)
    intake = _MG_PER_G * eating.intake
    infusion = insulin * _PMOL_PER_UNIT / parameters["BW"]
    meal_size = eating.stomach + _MG_PER_G * eating.eaten
    slope = lambda x: tf.stack(
        derivatives(parameters, Body(*tf.unstack(x)), intake, infusion, meal_size)
    )
    x = tf.stack(body)  # one tensor: XLA then computes each stage once
    k1 = slope(x)
    k2 = slope(x + 0.5 * k1)
    k3 = slope(x + 0.5 * k2)
    k4 = slope(x + k3)
    x += (k1 + 2 * (k2 + k3) + k4) / 6
    return Body(*tf.unstack(x)), eating


def derivatives(
    parameters: dict[str, tf.Tensor],
    body: Body,
    intake: tf.Tensor,
    infusion: tf.Tensor,
    meal_size: tf.Tensor,
) -> Body:
    """Changes per minute of all states.

    Args:
      parameters: dict of [N, 1].
      body: `Body`.
      intake: carbohydrate, mg/min, [N, E].
      infusion: insulin below the skin, pmol/kg/min, [N, E].
      meal_size: mg, in the stomach when the meal began and eaten since ("Dbar"), [N, E].

    Returns:
      `Body` of changes.
    """
    p, x = parameters, body
    from_solid = p["kmax"] * x.stomach_solid
    emptying = _emptying(p, x.stomach_solid + x.stomach_liquid, meal_size) * x.stomach_liquid
    absorbed = p["kabs"] * x.gut
    appearance = p["f"] * absorbed / p["BW"]
    production = tf.maximum(
        p["kp1"] - p["kp2"] * x.plasma_glucose - p["kp3"] * x.delayed_insulin, 0.0
    )
    renal = p["ke1"] * tf.maximum(x.plasma_glucose - p["ke2"], 0.0)
    exchange = p["k1"] * x.plasma_glucose - p["k2"] * x.tissue_glucose
    uptake = (p["Vm0"] + p["Vmx"] * x.insulin_action) * x.tissue_glucose
    uptake /= p["Km0"] + x.tissue_glucose
    from_skin = p["ka1"] * x.depot_1 + p["ka2"] * x.depot_2
    to_plasma = p["m1"] * x.liver_insulin
    to_liver = p["m2"] * x.plasma_insulin
    concentration = x.plasma_insulin / p["Vi"]
    return Body(
        intake - from_solid,
        from_solid - emptying,
        emptying - absorbed,
        _guard(x.plasma_glucose, production + appearance - p["Fsnc"] - renal - exchange),
        _guard(x.tissue_glucose, exchange - uptake),
        _guard(x.plasma_insulin, to_plasma + from_skin - to_liver - p["m4"] * x.plasma_insulin),
        p["p2u"] * (concentration - p["Ib"] - x.insulin_action),
        p["ki"] * (concentration - x.delaying_insulin),
        p["ki"] * (x.delaying_insulin - x.delayed_insulin),
        _guard(x.liver_insulin, to_liver - to_plasma - p["m30"] * x.liver_insulin),
        _guard(x.depot_1, infusion - (p["ka1"] + p["kd"]) * x.depot_1),
        _guard(x.depot_2, p["kd"] * x.depot_1 - p["ka2"] * x.depot_2),
        _guard(x.subcutaneous_glucose, p["ksc"] * (x.plasma_glucose - x.subcutaneous_glucose)),
    )


def _emptying(p: dict[str, tf.Tensor], stomach: tf.Tensor, meal_size: tf.Tensor) -> tf.Tensor:
    """The rate at which the stomach empties, 1/min: least where it is half empty ("kgut")."""
    some = meal_size > 0
    left = stomach / tf.where(some, meal_size, 1.0)
    shape = tf.tanh(2.5 / (1 - p["b"]) * (left - p["b"])) - tf.tanh(2.5 / p["d"] * (left - p["d"]))
    return tf.where(some, p["kmin"] + 0.5 * (p["kmax"] - p["kmin"]) * (shape + 2), p["kmax"])


def _eat(body: Body, eating: Eating, grams: tf.Tensor) -> Eating:
    """The plate after a minute; a meal begins with the first bite after a minute without one."""
    planned = eating.planned + grams
    intake = tf.minimum(planned, EATING_RATE)
    begins = (intake > 0) & (eating.intake <= 0)
    stomach = tf.where(begins, body.stomach_solid + body.stomach_liquid, eating.stomach)
    eaten = tf.where(begins, 0.0, eating.eaten) + intake
    return Eating(planned - intake, intake, stomach, eaten)


def _guard(state: tf.Tensor, change: tf.Tensor) -> tf.Tensor:
    """`change`, or 0 where the state is negative: there it stays."""
    return tf.where(state < 0, 0.0, change)
