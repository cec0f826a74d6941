"""MAML for few-shot classification, prototypical networks, and what they are compared with."""

import numpy as np
import pytest
import tensorflow as tf

import tfcaml
from tests.eager import eagerly
from tfcaml import environments, keys, learners, nest
from tfcaml.errors import ConfigError

CONFIG = environments.StrokesConfig(way=3, shots=2, size=12)
SMALL = {"num_iterations": 3, "meta_batch_size": 4, "episodes_per_update": 6}


@pytest.fixture(scope="module")
def strokes():
    return environments.Strokes(CONFIG)


@pytest.fixture(scope="module")
def omniglot():
    return environments.Omniglot(environments.OmniglotConfig(way=3, shots=2))


def make(learner_class, environment, units=(4, 4), **settings):
    config = learner_class.Config(**settings)
    policy = learner_class.make_policy(environment, config, units)
    return learner_class(environment, policy, config)


def by_hand(params, images, label, rate, steps):
    """Weights of one task after gradient steps on the mean cross-entropy, in plain TensorFlow."""
    for _ in range(steps):
        leaves = tf.nest.flatten(params)
        with tf.GradientTape() as tape:
            tape.watch(leaves)
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(label, logits(params, images))
            )
        moved = [x - rate * g for x, g in zip(leaves, tape.gradient(loss, leaves))]
        params = tf.nest.pack_sequence_as(params, moved)
    return params


def logits(params, images):
    """Two strided convolutions, normalised by the batch, and their mean over space."""
    x = images
    for index in range(2):
        own = params[f"layer_{index}"]
        x = tf.nn.conv2d(x, own["kernel"], 2, "SAME")
        mean, variance = tf.nn.moments(x, [0, 1, 2])
        x = tf.nn.batch_normalization(x, mean, variance, own["offset"], own["scale"], 1e-5)
        x = tf.nn.relu(x)
    return tf.reduce_mean(x, [1, 2]) @ params["head"]["kernel"] + params["head"]["bias"]


def test_inner_steps_are_those_of_the_cross_entropy(strokes):
    learner = make(learners.MAMLClassification, strokes, inner_learning_rate=0.3)
    task = strokes.population(0, 2).test
    fast, meta = learner.start(learner.meta.read(), 2), learner.meta.read()
    images, label = strokes.support(task)
    for _ in range(2):
        fast = learner.adapt(meta, fast, learner.test_support(meta, fast, task, None))
    for row in range(2):
        expected = by_hand(meta["params"], images[row], label[row], 0.3, 2)
        found = nest.map(lambda x: x[row], fast.params)
        nest.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), found, expected)


class Case:
    """The outer objective of two tasks in float64, as a function of the meta parameters."""

    def __init__(self, environment, first_order):
        config = {"inner_learning_rate": 0.4, "inner_updates": 2, "first_order": first_order}
        learner = make(learners.MAMLClassification, environment, **config)
        task = environment.population(0, 2).train
        double = lambda x: tf.cast(x, tf.float64) if x.dtype.is_floating else x
        with eagerly():
            batch = learner.collect(learner.meta.read(), task, keys.from_int(0))
        self.batch = nest.map(double, batch)
        rng = np.random.default_rng(0)
        noisy = lambda x: double(x) + tf.constant(0.2 * rng.normal(size=x.shape))
        self.meta = nest.map(noisy, learner.meta.read())
        self.direction = nest.map(lambda x: tf.constant(rng.normal(size=x.shape)), self.meta)
        learner.step_scale = lambda steps: tf.ones_like(steps)
        self.learner = learner

    def loss(self, meta):
        return tf.reduce_mean(self.learner.objective(meta, self.batch).loss)

    def slope(self):
        leaves = tf.nest.flatten(self.meta)
        with tf.GradientTape() as tape:
            tape.watch(leaves)
            value = self.loss(self.meta)
        gradients = tape.gradient(value, leaves)
        pairs = zip(gradients, tf.nest.flatten(self.direction))
        return float(sum(tf.reduce_sum(g * d) for g, d in pairs))

    def difference(self, step=1e-5):
        moved = lambda s: nest.map(lambda x, d: x + s * step * d, self.meta, self.direction)
        return float(self.loss(moved(1)) - self.loss(moved(-1))) / (2 * step)


def test_the_outer_gradient_through_convolutions_and_normalisation(strokes):
    """Second order is the derivative; first order is another direction, but not far from it."""
    second, first = Case(strokes, False), Case(strokes, True)
    np.testing.assert_allclose(second.slope(), second.difference(), rtol=1e-5)
    assert abs(first.slope() / second.slope() - 1) > 1e-3


def test_support_and_query_share_no_drawing_and_returns_are_accuracies(omniglot):
    learner = make(learners.MAMLClassification, omniglot, **SMALL)
    task = omniglot.population(0, 4).train
    with eagerly():
        batch = learner.collect(learner.meta.read(), task, keys.from_int(0))
    shown = batch.support[0].trajectory
    fast = learner.begin(learner.meta.read(), 4)
    fast = learner.adapt(learner.meta.read(), fast, batch.support[0])
    asked = learner.sample(fast.params, task, 6, keys.from_int(0))
    np.testing.assert_array_equal(asked.observation, batch.query.trajectory.observation)
    assert shown.observation.shape == [4, 6, 1, 28, 28, 1] and asked.mask.shape == [4, 6, 1]
    for row in range(4):
        images = [np.reshape(x.observation[row], [6, -1]) for x in (shown, asked)]
        assert not any(np.array_equal(a, b) for a in images[0] for b in images[1])
    said = learner.policy(fast.params, asked.observation[:, :, 0]).logits_parameter()
    right = np.argmax(said, axis=-1) == asked.action[:, :, 0]
    np.testing.assert_array_equal(asked.reward[:, :, 0], right)
    metrics = learner.objective(learner.meta.read(), batch).metrics
    assert metrics["return_after"] == np.float32(np.mean(right))


@pytest.mark.parametrize(
    "learner_class",
    [learners.MAMLClassification, learners.Prototypical, learners.PretrainedClassification],
)
def test_an_iteration_lowers_the_loss_on_the_same_tasks(learner_class, omniglot):
    learner = make(learner_class, omniglot, **SMALL, outer={"learning_rate": 0.03})
    population, found = omniglot.population(0, 2), []
    task = population.sample(4, keys.from_int(0))[0]
    for _ in range(10):
        found.append(learner.train(task, keys.from_int(0)))
    assert found[-1]["loss_before"] < 0.9 * found[0]["loss_before"]
    assert found[-1]["return_after"] > found[0]["return_after"]


def test_the_clip_and_the_fall_of_the_outer_step_act(strokes):
    task = strokes.population(0, 4).train

    def moved(outer):
        learner = make(learners.MAMLClassification, strokes, **SMALL, outer=outer)
        for _ in range(3):
            learner.train(task, keys.from_int(0))
        return nest.vectors(nest.map(lambda x: x[None], learner.meta.read()), 1).numpy()

    plain, clipped, falling = moved({}), moved({"max_grad_norm": 1e-9}), moved({"decays": True})
    assert np.abs(plain - clipped).max() > 1e-4  # Adam's floor shows with gradients as small
    assert np.abs(plain - falling).max() > 1e-5


def test_prototypes_name_by_the_nearest_mean(omniglot):
    learner = make(learners.Prototypical, omniglot, **SMALL)
    task, meta = omniglot.population(0, 2).test, learner.meta.read()
    fast = learner.start(meta, 2)
    fast = learner.adapt(meta, fast, learner.test_support(meta, fast, task, None))
    features = lambda images: learner.policy.features(fast.params, images).numpy()
    (shown, label), (asked, _) = omniglot.support(task), omniglot.query(task, 9)
    z, p = features(asked), features(shown)
    for row in range(2):
        means = np.stack([p[row][label[row] == c].mean(0) for c in range(3)])
        distance = ((z[row][:, None] - means) ** 2).sum(-1)
        expected = tf.nn.log_softmax(-distance)
        found = tf.nn.log_softmax(learner.policy(fast.params, asked).logits_parameter())[row]
        np.testing.assert_allclose(found, expected, atol=1e-3)
    again = learner.adapt(meta, fast, learner.test_support(meta, fast, task, None))
    nest.map(np.testing.assert_array_equal, again.params, fast.params)


def test_a_neighbour_is_that_of_the_pixels(omniglot):
    learner = learners.NearestNeighbour(omniglot)
    task = omniglot.population(0, 4).test
    evaluation = tfcaml.evaluate(learner, task, num_updates=2, num_episodes=12)
    (shown, label), (asked, truth) = omniglot.support(task), omniglot.query(task, 12)
    flat = lambda x: np.reshape(x, [*x.shape[:2], -1])
    distance = ((flat(asked)[:, :, None] - flat(shown)[:, None]) ** 2).sum(-1)
    said = np.take_along_axis(label.numpy(), distance.argmin(-1), 1)
    for update in (1, 2):
        np.testing.assert_array_equal(evaluation.returns[update], said == truth)


def test_pretraining_tells_all_classes_apart_and_starts_new_tasks_with_a_fresh_layer(omniglot):
    learner = make(learners.PretrainedClassification, omniglot, **SMALL)
    assert learner.meta.read()["classes"]["bias"].shape == [161 * 4]
    task = omniglot.population(0, 4).train
    with eagerly():
        batch = learner.collect(learner.meta.read(), task, keys.from_int(0))
    label = batch.query.trajectory.action.numpy().reshape(4, 12)
    classes = task["class"].numpy() * 4 + task["turn"].numpy()
    assert all(set(found) == set(known) for found, known in zip(label, classes))
    before = tfcaml.evaluate(learner, omniglot.population(0, 4).test, num_updates=0, num_episodes=6)
    assert before.returns.mean() == pytest.approx(1 / 3)
    with pytest.raises(ConfigError, match="known number of classes"):
        make(learners.PretrainedClassification, environments.Strokes())


def test_what_does_not_fit_is_refused(omniglot):
    particle = environments.Particle()
    for learner_class in (learners.MAMLClassification, learners.NearestNeighbour):
        with pytest.raises(ConfigError, match="a family of few-shot tasks"):
            learner_class(particle)
    with pytest.raises(ConfigError, match="episodes_per_update to be at most 54"):
        make(learners.MAMLClassification, omniglot, episodes_per_update=55)
    for settings, message in (
        ({"inner_updates": 0}, "inner_updates to be >= 1"),
        ({"inner_learning_rate": 0.0}, "inner_learning_rate to be > 0"),
        ({"network": "deep"}, "network to be one of"),
        ({"outer": {"max_grad_norm": -1.0}}, "outer.max_grad_norm to be >= 0"),
        ({"episodes_per_update": 0}, "episodes_per_update to be >= 1"),
    ):
        with pytest.raises(ConfigError, match=message):
            learners.MAMLClassification.Config(**settings)
    with pytest.raises(ConfigError, match=r"inner_learning_rate of|inner_learning_rate to be left"):
        learners.PretrainedClassification.Config(inner_learning_rate=0.2).check_steps(0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "units", "least"),
    [("convolutional", (16, 16, 16), 0.6), ("dense", (64, 32), 0.5)],
)
def test_strokes_are_learned_in_seconds(network, units, least):
    """Quick form of the study's bar, 90 % in minutes."""
    environment = environments.Strokes(environments.StrokesConfig(size=14))
    config = {"num_iterations": 150, "meta_batch_size": 8, "network": network}
    config["outer"] = {"learning_rate": 0.01}
    learner = make(learners.MAMLClassification, environment, units, **config)
    population = environment.population(0, 40)
    tfcaml.train(learner, population, seed=0)
    evaluation = tfcaml.evaluate(learner, population.test, num_updates=1, num_episodes=25)
    before, after = evaluation.returns.mean((1, 2))
    assert before < 0.3 and after > least
