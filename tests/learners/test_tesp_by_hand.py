"""TESP and AdaptSV against the papers' formulae in plain NumPy, in float64.

A linear policy with a context is one without whose bias is shifted, so that what the context adds
is known in closed form, see `test_by_hand.biased`. Derivatives of objectives in all meta parameters
are taken with a complex step.
"""

import numpy as np
import pytest
import tensorflow as tf

from tests import by_hand
from tests.by_hand import EPISODES, SIZE, TASKS, Phase, complex_step, join, split
from tests.recurrent_by_hand import gru
from tfcaml import environments, learners
from tfcaml.types import FastState

CONTEXT, UNITS, M = 3, 2, 4
ACTIONS, STEPS = by_hand.ACTIONS, by_hand.STEPS
FEATURES = SIZE + ACTIONS + 1
SHAPES = [(FEATURES, 3 * UNITS), (UNITS, 3 * UNITS), (3 * UNITS,), (UNITS, CONTEXT), (CONTEXT,)]
SIZES = [int(np.prod(shape)) for shape in SHAPES]
PHASES, QUERY = [Phase(11), Phase(12), Phase(14)], Phase(13)
ETA, CLIP, BOUND = 0.3, 0.15, 0.5
SETTINGS = {
    "meta_batch_size": TASKS,
    "episodes_per_update": EPISODES,
    "inner_learning_rate": 0.4,
    "rate_bound": BOUND,
    "context_size": CONTEXT,
    "regularizer": ETA,
}
OF_POLICY = (SIZE + CONTEXT + 1) * ACTIONS
RNG = np.random.default_rng(3)
THETA = by_hand.weights(51, SIZE + CONTEXT)
PHI = 0.7 * RNG.normal(size=sum(SIZES))
ALPHA = 0.4 * RNG.normal(size=sum(SIZES))  # of both signs, and some beyond the bound
START = RNG.normal(size=CONTEXT)
ALPHA_OF_START = np.array([0.3, -0.9, 0.45])


def make(learner_class, **settings):
    """A learner of the hand-made batch; nothing is played."""
    config = learner_class.Config(**{**SETTINGS, "inner_updates": len(PHASES), **settings})
    policy = by_hand.with_context(CONTEXT)
    family = environments.Navigation(environments.NavigationConfig(horizon=STEPS))
    family.action_spec = policy.action_spec
    return learner_class(family, policy, config)


def batch_of(learner, meta):
    """The `MetaBatch` of the hand-made episodes, whoever would have acted."""
    phases = [*PHASES[: learner.config.inner_updates], QUERY]
    return learner.batch(meta, TASKS, lambda fast, phase: phases[phase].trajectory())


def weights_of(vector):
    """phi as the encoder's weights."""
    parts = np.split(vector, np.cumsum(SIZES)[:-1])
    return [part.reshape(shape) for part, shape in zip(parts, SHAPES)]


def tensors_of(vector):
    return tuple(tf.constant(part) for part in weights_of(vector))


def vector_of(weights):
    return np.concatenate([np.ravel(x) for x in weights])


def shifted(theta, context):
    """[kernel of o, kernel of the context, b] -> the weights of a policy without a context."""
    seen, told = SIZE * ACTIONS, CONTEXT * ACTIONS
    shift = context @ theta[seen : seen + told].reshape(CONTEXT, ACTIONS)
    return np.concatenate([theta[:seen], theta[seen + told :] + shift])


def advantages(phase):
    return by_hand.advantages(phase, gae_lambda=0.97, normalize=False)


def slope_of_context(theta, context, phase, task):
    """d L / d context of an inner loss, [CONTEXT]."""
    credit = advantages(phase)[task]
    slope = by_hand.inner_gradient("log_likelihood", shifted(theta, context), phase, task, credit)
    kernel = theta[SIZE * ACTIONS : (SIZE + CONTEXT) * ACTIONS].reshape(CONTEXT, ACTIONS)
    return kernel @ slope[SIZE * ACTIONS :]


def slope_of_policy(theta, context, phase, task):
    """d L / d theta of an inner loss, [OF_POLICY]."""
    credit = advantages(phase)[task]
    slope = by_hand.inner_gradient("log_likelihood", shifted(theta, context), phase, task, credit)
    kernel, bias = np.split(slope, [SIZE * ACTIONS])
    return np.concatenate([kernel, np.outer(context, bias).ravel(), bias])


def told(theta, context, phase, task):
    """What the encoder is told: a list of (return, [length, FEATURES]) of a phase's episodes."""
    kernel, bias = np.split(shifted(theta, context), [SIZE * ACTIONS])
    found = []
    for e in range(EPISODES):
        length = phase.lengths[task][e]
        o, r = phase.observation[task, e, :length], phase.reward[task, e, :length]
        logits = o @ kernel.reshape(SIZE, ACTIONS) + bias
        found.append((r.sum(), np.concatenate([o, logits, r[:, None]], axis=1)))
    return found


def best(episodes, number=M):
    """By return; of equal ones, the earlier."""
    return sorted(episodes, key=lambda episode: -episode[0])[:number]


def embedding(phi, episodes):
    """h, the mean answer; 0 where there is no episode."""
    answers = [gru(weights_of(phi), steps) for _, steps in episodes]
    return sum(answers) / len(answers) if answers else np.zeros(CONTEXT)


def adapted(task, keep=best, adapt_policy=False):
    """(sums of the gradients in phi and in theta, the episodes kept) after all phases."""
    alpha, alpha_of_policy = np.clip(ALPHA, -BOUND, BOUND), 0.4
    total, of_policy = np.zeros(len(PHI)), np.zeros(OF_POLICY)
    episodes = []
    for k, phase in enumerate(PHASES):
        phi, theta = PHI - alpha * total, THETA
        if adapt_policy:
            theta = THETA - alpha_of_policy * of_policy
        context = embedding(phi, episodes)
        if k:  # the first fills the buffer
            jacobian = complex_step(lambda phi: embedding(phi, episodes), phi)
            total = total + slope_of_context(theta, context, phase, task) @ jacobian
            of_policy = of_policy + slope_of_policy(theta, context, phase, task)
        episodes = keep([*episodes, *told(theta, context, phase, task)])
    return total, of_policy, episodes


def outer_loss(theta, context, task):
    """The clipped surrogate and eta |h|^2."""
    credit = advantages(QUERY)[task]
    gain = by_hand.surrogate(shifted(theta, context), QUERY, task, credit, CLIP)
    return gain + ETA * (context**2).sum()


def bounded(alpha):
    """clip(alpha), whose derivative is 0 beyond the bound; also of complex numbers."""
    beyond = np.abs(np.real(alpha)) > BOUND
    return np.where(beyond, np.sign(np.real(alpha)) * BOUND, alpha)


@pytest.fixture(scope="module")
def tesp():
    """(learner, its meta parameters off the start, its batch)."""
    learner = make(learners.TESP, encoder_units=UNITS, buffer_size=M)
    meta = learner.meta.read()
    meta["params"] = split(tf.constant(THETA), SIZE + CONTEXT)
    meta["adapted"] = {"encoder": tensors_of(PHI)}
    meta["rates"] = {"encoder": tensors_of(ALPHA)}
    return learner, meta, batch_of(learner, meta)


def value_and_gradient(learner, meta, batch):
    leaves = tf.nest.flatten(meta)
    with tf.GradientTape() as tape:
        tape.watch(leaves)
        value = tf.reduce_mean(learner.objective(meta, batch).loss)
    return value, tf.nest.pack_sequence_as(meta, tape.gradient(value, leaves))


def test_tesp_adapts_as_its_formulae_say(tesp):
    """The buffer is that of the best, the first update included; gradients are summed."""
    _, _, batch = tesp
    memory = batch.per_task
    for i in range(TASKS):
        total, _, episodes = adapted(i)
        found = vector_of([x[i] for x in memory["gradients"]["encoder"]])
        np.testing.assert_allclose(found, total, rtol=1e-7, atol=1e-12)
        buffer = {name: memory["buffer"][name][i].numpy() for name in memory["buffer"]}
        np.testing.assert_allclose(buffer["score"], [score for score, _ in episodes], rtol=1e-12)
        for e, (_, steps) in enumerate(episodes):
            assert buffer["mask"][e].sum() == len(steps)
            np.testing.assert_allclose(buffer["steps"][e, : len(steps)], steps, rtol=1e-8)
        assert not np.any(buffer["steps"] * (1 - buffer["mask"][..., None]))


def test_tesps_objective_and_all_its_gradients(tesp):
    """First order: what the inner gradients say is a constant, also where weights have moved."""
    learner, meta, batch = tesp
    value, gradient = value_and_gradient(learner, meta, batch)
    known = [adapted(i) for i in range(TASKS)]

    def loss(vector):
        theta, phi, alpha = np.split(vector, np.cumsum([OF_POLICY, len(PHI)]))
        total = 0
        for i, (gradients, _, episodes) in enumerate(known):
            context = embedding(phi - bounded(alpha) * gradients, episodes)
            total = total + outer_loss(theta, context, i)
        return total / TASKS

    vector = np.concatenate([THETA, PHI, ALPHA])
    np.testing.assert_allclose(value, loss(vector), rtol=1e-9)
    found = [join(gradient["params"]), vector_of(gradient["adapted"]["encoder"])]
    found = np.concatenate([*found, vector_of(gradient["rates"]["encoder"])])
    expected = complex_step(loss, vector)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-11)
    beyond = np.abs(ALPHA) > BOUND
    assert beyond.any() and not found[-len(ALPHA) :][beyond].any()
    assert np.abs(found[-len(ALPHA) :][~beyond]).max() > 1e-3


def test_summed_gradients_are_sequential_steps(tesp):
    """phi_0 - alpha (g_1 + g_2) is where two steps end, each from where the last one ended."""
    learner, meta, batch = tesp
    fast = learner.start(meta, TASKS)
    for support in batch.support:
        fast = learner.adapt(meta, fast, support)
    alpha = np.clip(ALPHA, -BOUND, BOUND)
    for i in range(TASKS):
        found = vector_of([x[i] for x in fast.params["encoder"]])
        total = vector_of([x[i] for x in batch.per_task["gradients"]["encoder"]])
        np.testing.assert_allclose(found, PHI - alpha * total, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(fast.slots, np.full(TASKS, len(PHASES)))


def test_one_rate_and_an_adapted_policy():
    """V5 and V2: the policy stays in the first update, and is adapted in the others."""
    learner = make(
        learners.TESP, encoder_units=UNITS, buffer_size=M, rates="constant", adapt_policy=True,
        rate_bound=learners.TESP.Config.rate_bound,
    )  # fmt: skip
    meta = {
        "adapted": {"encoder": tensors_of(PHI), "policy": split(tf.constant(THETA), SIZE + CONTEXT)}
    }
    batch = batch_of(learner, meta)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{__name__}.ALPHA", np.full(len(PHI), 0.4))
        for i in range(TASKS):
            total, of_policy, _ = adapted(i, adapt_policy=True)
            gradients = batch.per_task["gradients"]
            found = vector_of([x[i] for x in gradients["encoder"]])
            np.testing.assert_allclose(found, total, rtol=1e-7, atol=1e-12)
            found = join([x[i] for x in gradients["policy"]])
            np.testing.assert_allclose(found, of_policy, rtol=1e-7, atol=1e-12)
    _, gradient = value_and_gradient(learner, meta, batch)
    leaves = tf.nest.flatten(gradient)
    assert set(gradient) == {"adapted"} and all(np.abs(x).max() > 0 for x in leaves)


def test_adapt_sv():
    """One vector moves; its start, its rates and the policy are learned, in first order."""
    learner = make(learners.AdaptSV)
    meta = learner.meta.read()
    np.testing.assert_allclose(np.linalg.norm(meta["adapted"]["context"]), 0.01, rtol=1e-9)
    np.testing.assert_array_equal(meta["rates"]["context"], np.full(CONTEXT, 0.4))
    meta["params"] = split(tf.constant(THETA), SIZE + CONTEXT)
    meta["adapted"], meta["rates"] = ({"context": tf.constant(x)} for x in (START, ALPHA_OF_START))
    batch = batch_of(learner, meta)
    alpha = np.clip(ALPHA_OF_START, -BOUND, BOUND)
    known = []
    for i in range(TASKS):
        total = np.zeros(CONTEXT)
        for phase in PHASES:
            total = total + slope_of_context(THETA, START - alpha * total, phase, i)
        known.append(total)
    np.testing.assert_allclose(batch.per_task["gradients"]["context"], known, rtol=1e-8)
    value, gradient = value_and_gradient(learner, meta, batch)

    def loss(vector):
        theta, start, rates = np.split(vector, [OF_POLICY, OF_POLICY + CONTEXT])
        moved = [start - bounded(rates) * total for total in known]
        return sum(outer_loss(theta, context, i) for i, context in enumerate(moved)) / TASKS

    vector = np.concatenate([THETA, START, ALPHA_OF_START])
    np.testing.assert_allclose(value, loss(vector), rtol=1e-9)
    parts = [join(gradient["params"]), gradient["adapted"]["context"], gradient["rates"]["context"]]
    expected = complex_step(loss, vector)
    np.testing.assert_allclose(np.concatenate(parts), expected, rtol=1e-7, atol=1e-11)
    assert gradient["rates"]["context"][1] == 0  # beyond the bound


def test_without_rates_the_encoder_stays():
    """V4: the buffer is all that tells tasks apart."""
    learner = make(
        learners.TESP, encoder_units=UNITS, buffer_size=M, rates="none",
        inner_learning_rate=0.001, rate_bound=0.1,
    )  # fmt: skip
    meta = learner.meta.read()
    assert "rates" not in meta
    fast = learner.readapt(meta, batch_of(learner, meta))
    for moved, start in zip(fast.params["encoder"], meta["adapted"]["encoder"], strict=True):
        np.testing.assert_array_equal(moved, np.repeat(start[None], TASKS, axis=0))
    assert isinstance(fast, FastState) and np.abs(learner.embedding(fast)).max() > 0
