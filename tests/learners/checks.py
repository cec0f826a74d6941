"""What several learners are checked for."""

import numpy as np
import tensorflow as tf

import tfcaml
from tfcaml import nest, training
from tfcaml.experiments.checkpoints import Checkpoints, named


def collected(learner, population):
    """The batch of the learner's first iteration."""
    task, key, index = training.draw(learner, population, 0)
    return tf.function(learner.collect, autograph=False)(learner.meta.read(), task, key, index)


def error_of_gradient(learner, batch, directions=4, step=1e-4):
    """Largest error of the outer gradient against central differences, in float64.

    Taken a little off the meta parameters that acted, relative to the gradient's norm.
    """
    rng = np.random.default_rng(0)
    number = lambda x: tf.cast(x, tf.float64) if x.dtype.is_floating else x
    batch = nest.map(number, batch)
    vector, unravel = nest.ravel(nest.map(number, learner.meta.read()))
    vector += 0.02 * rng.normal(size=vector.shape)

    @tf.function(autograph=False)
    def loss_and_gradient(vector):
        with tf.GradientTape() as tape:
            tape.watch(vector)
            loss = tf.reduce_mean(learner.objective(unravel(vector), batch).loss)
        return loss, tape.gradient(loss, vector)

    gradient = loss_and_gradient(vector)[1].numpy()
    errors = []
    for _ in range(directions):
        direction = rng.normal(size=vector.shape)
        direction /= np.linalg.norm(direction)
        at = lambda k: loss_and_gradient(vector + k * step * direction)[0].numpy()
        truth = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * step)
        errors.append(abs(truth - gradient @ direction) / np.linalg.norm(gradient))
    return max(errors)


def assert_resumes(learner, population, directory):
    """A run that was stopped and goes on from its checkpoint is the run that was not, to the bit.

    Args:
      learner: of three iterations. It is compiled once only, as that takes long.
      population: a `Population`.
      directory: an empty one.

    Returns:
      The metrics of each iteration.
    """
    variables = named(learner.checkpointed())
    held = {variable.ref() for variable in variables.values()}
    assert held == {variable.ref() for variable in learner.variables}
    checkpoints = Checkpoints(directory, variables, {})
    learner.reset(0)
    save = lambda learner, *_: int(learner.iteration) == 1 and checkpoints.save(1)
    history = tfcaml.train(learner, population, callback=save)
    assert len(history) == 3 and int(learner.bad_updates) == 0
    trained = {name: variable.numpy() for name, variable in variables.items()}
    learner.reset(1)
    assert checkpoints.restore() == 1
    assert tfcaml.train(learner, population) == history[1:]
    for name, variable in variables.items():
        np.testing.assert_array_equal(variable, trained[name], name)
    return history
