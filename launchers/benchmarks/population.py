"""Lives by learned losses: those of a population in one program, and one at a time."""

import numpy as np
import tensorflow as tf

from tfcaml import environments, keys, learners, nest

from .timing import Contestant, Ratio, measure

_ONE = "one life at a time"


def run(repeats, quick):
    """Environment steps per second of lives on the turned point, and how time grows with V."""
    sizes = (2, 4) if quick else (16, 64, 256)
    contestants = {f"V = {size}": _lives(size, quick) for size in sizes}
    contestants[_ONE] = _lives(1, quick)
    most = f"V = {sizes[-1]}"
    found = measure(contestants, repeats, [Ratio(most, _ONE, 1)])
    seconds = [found["figures"][f"V = {size}"]["median_seconds"] for size in sizes]
    exponent = np.polyfit(np.log(sizes), np.log(seconds), 1)[0]
    name = "exponent of V by which seconds grow"
    found["bars"] = [{"name": name, "value": float(exponent), "bar": 1.0}]
    return found


def _lives(size, quick):
    """So many lives side by side."""
    family = environments.TurnedPoint()
    config = learners.EPG.Config(
        inner_updates=2 if quick else 8,
        buffer_updates=4,
        minibatches=4,
        memory=0,
        inner_learning_rate=0.02,
        bootstrap=0.0,
    )
    policy = learners.EPG.make_policy(family, config, (16,))
    learner = learners.EPG(family, policy, config)
    task = family.population(0, size).test
    loss = nest.repeat(learner.meta.read()["loss"], size)
    lived = tf.function(
        lambda: learner.life(loss, tf.constant(0.0), task, keys.from_int(1))[0],
        autograph=False,
        jit_compile=learner.jit_compile,
    )
    steps = config.inner_updates * config.episodes_per_update + config.fitness_episodes
    return Contestant(lived, size * steps * family.horizon, "steps/s")
