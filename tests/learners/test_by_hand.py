"""What every learner minimises, and its steps, against the papers' formulae in plain NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from tests import by_hand
from tests.by_hand import (
    EPISODES,
    STEPS,
    TASKS,
    WEIGHTS,
    Phase,
    Softmax,
    complex_step,
    join,
    split,
)
from tfcaml import environments, learners
from tfcaml.types import FastState, MetaBatch

ALPHA = 0.4  # the inner step size
THETA = by_hand.weights(50)
SUPPORTS, QUERY = [Phase(11), Phase(12)], Phase(13)


def _family(policy):
    """2D navigation with the policy's actions; nothing is played."""
    family = environments.Navigation()
    family.action_spec = policy.action_spec
    return family


def make(learner_class, dtype=tf.float64, **settings):
    """A learner of the hand-made batch, and meta parameters at `THETA`."""
    family = {"inner_updates": len(SUPPORTS), "inner_learning_rate": ALPHA}
    sizes = {"meta_batch_size": TASKS, "episodes_per_update": EPISODES}
    config = learner_class.Config(**{**sizes, **family, **settings})
    # Nothing is played in the environment.
    policy = Softmax(dtype)
    learner = learner_class(_family(policy), policy, config)
    meta = learner.meta.read()
    if isinstance(meta, dict):
        meta["params"] = split(tf.constant(THETA, dtype))
    return learner, meta


def batch_of(learner, supports=SUPPORTS, query=QUERY):
    """The `MetaBatch` the learner makes of the phases."""
    support = [
        learner.loss.experience(None, phase.acted(), phase.trajectory()) for phase in supports
    ]
    of_query = learner.loss.query_experience(None, query.acted(), query.trajectory())
    return MetaBatch(tuple(support), of_query, learner.carry(None, query.trajectory()))


def batch_of_acting(learner, meta):
    """The same with the learner's policies in the place of who acted."""
    acted = learner.acting(meta, learner.start(meta, TASKS))
    support = [learner.loss.experience(None, acted, phase.trajectory()) for phase in SUPPORTS]
    query = learner.loss.query_experience(None, acted, QUERY.trajectory())
    return MetaBatch(tuple(support), query)


def value_and_gradient(learner, meta, batch):
    """(losses [N], gradient of their mean: nest like meta)."""
    leaves = tf.nest.flatten(meta)
    with tf.GradientTape() as tape:
        tape.watch(leaves)
        loss = learner.objective(meta, batch).loss
        mean = tf.reduce_mean(loss)
    gradients = [tf.convert_to_tensor(gradient) for gradient in tape.gradient(mean, leaves)]
    return loss, tf.nest.pack_sequence_as(meta, gradients)


# The same in NumPy.


def credit_of(estimator, phase):
    return by_hand.reward_credits(phase) if estimator == "dice" else by_hand.advantages(phase)


def adapted(theta, task, estimator, rates=ALPHA, first_order=False, supports=SUPPORTS):
    """theta' of a task: theta - alpha grad L(theta), once for each phase of the support."""
    for phase in supports:
        credit = credit_of(estimator, phase)[task]
        gradient = by_hand.inner_gradient(estimator, theta, phase, task, credit)
        theta = theta - rates * (np.real(gradient) if first_order else gradient)
    return theta


def outer_loss(theta, task, estimator="log_likelihood", clip_ratio=None, query=QUERY, **options):
    theta = adapted(theta, task, estimator, **options)
    return by_hand.surrogate(theta, query, task, by_hand.advantages(query)[task], clip_ratio)


def check(learner, meta, loss, **batch):
    """Compares an objective with loss: (theta, task) -> number; value and meta-gradient."""
    value, gradient = value_and_gradient(learner, meta, batch_of(learner, **batch))
    expected = [loss(THETA, i) for i in range(TASKS)]
    np.testing.assert_allclose(value, expected, rtol=1e-8, atol=1e-12)
    mean = lambda theta: sum(loss(theta, i) for i in range(TASKS)) / TASKS
    np.testing.assert_allclose(
        join(gradient["params"]), complex_step(mean, THETA), rtol=1e-7, atol=1e-11
    )


@pytest.mark.parametrize("estimator", ["log_likelihood", "likelihood_ratio", "dice", "loaded_dice"])
def test_maml(estimator):
    """C. Finn et al., ICML 2017: mean_i - mean r(theta_i') A', exact second order."""
    check(
        *make(learners.MAML, inner_estimator=estimator),
        lambda theta, task: outer_loss(theta, task, estimator),
    )


def test_first_order_maml():
    """Section 5.2: the gradient of the inner step is a constant."""
    loss = lambda theta, task: outer_loss(theta, task, first_order=True)
    check(*make(learners.FOMAML), loss)
    check(*make(learners.MAML, first_order=True), loss)


def test_maml_with_the_clipped_ratio_of_ppo():
    """J. Schulman et al., 2017, equation 7, of the adapted policies."""
    check(
        *make(learners.MAML, outer={"optimizer": "ppo", "clip_ratio": 0.2}),
        lambda theta, task: outer_loss(theta, task, clip_ratio=0.2),
    )


def test_meta_sgd():
    """Z. Li et al., 2017: theta - alpha o grad L; theta and alpha are both learned."""
    learner, meta = make(learners.MetaSGD)
    np.testing.assert_array_equal(join(meta["rates"]), ALPHA)  # where alpha starts
    rates = ALPHA * np.random.default_rng(0).normal(size=WEIGHTS)  # of both signs
    meta["rates"] = split(tf.constant(rates))
    value, gradient = value_and_gradient(learner, meta, batch_of(learner))

    def loss(vector):
        theta, alpha = vector[:WEIGHTS], vector[WEIGHTS:]
        return sum(outer_loss(theta, i, rates=alpha) for i in range(TASKS)) / TASKS

    vector = np.concatenate([THETA, rates])
    np.testing.assert_allclose(np.mean(value), loss(vector), rtol=1e-9)
    actual = np.concatenate([join(gradient["params"]), join(gradient["rates"])])
    np.testing.assert_allclose(actual, complex_step(loss, vector), rtol=1e-7, atol=1e-11)


def test_anil():
    """A. Raghu et al., ICLR 2020, of biases alone: weights learn through steps that skip them."""
    learner, meta = make(learners.ANIL, adapted="1")
    biases = ALPHA * (np.arange(WEIGHTS) >= WEIGHTS - by_hand.ACTIONS)
    loss = lambda theta, task: outer_loss(theta, task, rates=biases)
    check(learner, meta, loss)
    fast = learner.readapt(meta, batch_of(learner))
    assert [x.shape for x in fast.params] == [[TASKS, by_hand.ACTIONS]]
    for i in range(TASKS):
        expected = adapted(THETA, i, "log_likelihood", rates=biases)
        np.testing.assert_allclose(join(learner.acting(meta, fast))[i], expected, rtol=1e-9)
    whole = make(learners.ANIL)[0]  # all of a linear policy is its head
    assert whole.adapted == (0, 1)


CONTEXT = 3


def biased(theta, context):
    """A network with a context: [kernel of o, kernel of the context, b] -> the weights it acts by.

    What the context adds to the logits is a bias.
    """
    of_seen, of_bias = by_hand.SIZE * by_hand.ACTIONS, CONTEXT * by_hand.ACTIONS
    shift = context @ theta[of_seen : of_seen + of_bias].reshape(CONTEXT, by_hand.ACTIONS)
    return np.concatenate([theta[:of_seen], theta[of_seen + of_bias :] + shift])


def contexts(theta, task, first_order=False):
    """L. Zintgraf et al., ICML 2019: phi = 0, then phi - alpha grad_phi L(phi, theta)."""
    of_seen, context = by_hand.SIZE * by_hand.ACTIONS, np.zeros(CONTEXT)
    kernel = theta[of_seen : of_seen + CONTEXT * by_hand.ACTIONS].reshape(CONTEXT, -1)
    for phase in SUPPORTS:
        credit = by_hand.advantages(phase)[task]
        slope = by_hand.inner_gradient(
            "log_likelihood", biased(theta, context), phase, task, credit
        )[of_seen:]
        move = ALPHA * kernel @ slope
        context = context - (np.real(move) if first_order else move)
    return context


@pytest.mark.parametrize("first_order", [False, True])
def test_cavia(first_order):
    """Algorithm 2: theta learns through steps of phi alone."""
    sizes = {"meta_batch_size": TASKS, "episodes_per_update": EPISODES, "inner_updates": 2}
    settings = {**sizes, "inner_learning_rate": ALPHA, "context_size": CONTEXT}
    config = learners.CAVIA.Config(**settings, first_order=first_order)
    policy = by_hand.with_context(CONTEXT)
    learner = learners.CAVIA(_family(policy), policy, config)
    theta = by_hand.weights(51, by_hand.SIZE + CONTEXT)
    meta = {"params": split(tf.constant(theta), by_hand.SIZE + CONTEXT)}
    batch = batch_of_acting(learner, meta)
    fast = learner.readapt(meta, batch)
    found = [contexts(theta, i) for i in range(TASKS)]
    np.testing.assert_allclose(fast.params["context"], found, rtol=1e-8, atol=1e-12)

    def loss(theta):
        total = 0.0
        for i in range(TASKS):
            weights = biased(theta, contexts(theta, i, first_order))
            total = total + by_hand.surrogate(weights, QUERY, i, by_hand.advantages(QUERY)[i])
        return total / TASKS

    value, gradient = value_and_gradient(learner, meta, batch)
    np.testing.assert_allclose(np.mean(value), loss(theta), rtol=1e-8)
    expected = complex_step(loss, theta)
    np.testing.assert_allclose(join(gradient["params"]), expected, rtol=1e-7, atol=1e-11)


@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_e_maml(weight):
    """B. Stadie et al., 2018: - R_i' mean log pi(a | s) of what was sampled before adaptation.

    R_i' is the mean undiscounted return of the query, standardised over tasks.
    """
    returns = QUERY.reward.sum(axis=2).mean(axis=1)
    credit = (returns - returns.mean()) / np.sqrt(np.mean((returns - returns.mean()) ** 2))

    def loss(theta, task):
        exploration = 0.0
        for k, phase in enumerate(SUPPORTS):
            before = adapted(theta, task, "log_likelihood", supports=SUPPORTS[:k])
            exploration = exploration - credit[task] * by_hand.mean_log_prob(before, phase, task)
        return outer_loss(theta, task) + weight * exploration

    check(*make(learners.EMAML, exploration_weight=weight), loss)


def test_promp():
    """J. Rothfuss et al., 2019, Algorithm 1: the clipped ratio, plus eta KL(old || new).

    The penalty is of the initial policy; old is who sampled the first support.
    """

    def loss(theta, task):
        gain = outer_loss(theta, task, "likelihood_ratio", clip_ratio=0.3)
        return gain + 0.2 * by_hand.kl(theta, SUPPORTS[0], task)

    check(*make(learners.ProMP, kl_penalty=0.2), loss)


def test_pretrained():
    """The surrogate without an inner step."""
    check(
        *make(learners.Pretrained),
        lambda theta, task: outer_loss(theta, task, supports=()),
        supports=(),
    )


def test_natural_policy_gradient():
    """Each task's surrogate in its own policy, whose gradient nothing else enters."""
    learner, _ = make(learners.NaturalPolicyGradient)
    rows = np.stack([by_hand.weights(60 + i) for i in range(TASKS)])
    meta = {"params": split(tf.constant(rows))}
    value, gradient = value_and_gradient(learner, meta, batch_of(learner, supports=()))
    for i in range(TASKS):
        loss = lambda theta: outer_loss(theta, i, supports=())
        np.testing.assert_allclose(value[i], loss(rows[i]), rtol=1e-9)
        expected = complex_step(loss, rows[i]) / TASKS
        np.testing.assert_allclose(join(gradient["params"])[i], expected, rtol=1e-7, atol=1e-11)


def test_later_inner_steps_are_shorter():
    """Beyond the inner steps that were trained alpha is scaled; MAML's code takes a half."""
    learner, meta = make(learners.MAML, inner_updates=1, later_step_scale=0.5)
    fast, support = learner.start(meta, TASKS), batch_of(learner).support
    for experience in support:
        fast = learner.adapt(meta, fast, experience)
    for i in range(TASKS):
        once = adapted(THETA, i, "log_likelihood", supports=SUPPORTS[:1])
        twice = adapted(once, i, "log_likelihood", rates=ALPHA / 2, supports=SUPPORTS[1:])
        np.testing.assert_allclose(join(fast.params)[i], twice, rtol=1e-9)


# Outer steps.


def updated(learner, meta, batch):
    """(meta parameters after the learner's update, metrics)."""
    learner.meta.write(meta)
    metrics = learner.update(batch)
    return join(learner.meta.read()["params"]), {k: float(v) for k, v in metrics.items()}


def mean_loss_slope(**options):
    mean = lambda theta: sum(outer_loss(theta, i, **options) for i in range(TASKS)) / TASKS
    return lambda theta: complex_step(mean, theta)


def test_several_adam_steps_of_ppo():
    """On one batch, adapting anew from the moved parameters before each."""
    options = {"optimizer": "ppo", "learning_rate": 0.05, "steps": 3, "clip_ratio": 0.2}
    learner, meta = make(learners.MAML, outer=options)
    moved, metrics = updated(learner, meta, batch_of(learner))
    slope = mean_loss_slope(clip_ratio=0.2)
    path = by_hand.adam_steps(THETA, lambda theta, _: slope(theta), 0.05, 3)
    np.testing.assert_allclose(moved, path[-1], rtol=1e-6, atol=1e-8)
    mean = lambda f: np.mean([f(i) for i in range(TASKS)])
    loss = lambda theta: mean(lambda i: outer_loss(theta, i, clip_ratio=0.2))
    assert metrics["loss_before"] == pytest.approx(loss(path[0]), rel=1e-7)
    assert metrics["loss_after"] == pytest.approx(loss(path[-2]), rel=1e-6)
    divergence = mean(lambda i: by_hand.kl(adapted(path[-2], i, "log_likelihood"), QUERY, i))
    assert metrics["kl"] == pytest.approx(divergence, rel=1e-6)
    for name, phase in zip(("return_before", "return_1", "return_after"), [*SUPPORTS, QUERY]):
        assert metrics[name] == pytest.approx(phase.reward.sum(axis=2).mean(), rel=1e-9)


def test_one_adam_step_is_of_the_unclipped_loss():
    learner, meta = make(learners.MAML, outer={"optimizer": "adam", "learning_rate": 0.05})
    moved, metrics = updated(learner, meta, batch_of(learner))
    slope = mean_loss_slope()
    path = by_hand.adam_steps(THETA, lambda theta, _: slope(theta), 0.05, 1)
    np.testing.assert_allclose(moved, path[-1], rtol=1e-6, atol=1e-8)
    assert "loss_after" not in metrics


@pytest.fixture(scope="module")
def on_policy():
    """(supports, query) sampled by the policies at `THETA`, as before an outer step."""
    everyone = lambda function: np.stack([function(i) for i in range(TASKS)])
    supports = [Phase(21, everyone(lambda i: THETA))]
    query = Phase(22, everyone(lambda i: adapted(THETA, i, "log_likelihood", supports=supports)))
    return supports, query


@pytest.fixture(scope="module")
def trpo_by_hand(on_policy):
    """(gradient, Fisher) of the adapted policies at `THETA`."""
    supports, query = on_policy
    reach = {"supports": supports}
    gradient = mean_loss_slope(query=query, **reach)(THETA)
    curvature = [
        by_hand.fisher(lambda x: adapted(x, i, "log_likelihood", **reach), THETA, query, i)
        for i in range(TASKS)
    ]
    return gradient, sum(curvature) / TASKS


@pytest.mark.parametrize("products", ["gauss_newton", "hessian"])
@pytest.mark.parametrize("max_kl", [0.01, 1e-4])
def test_the_step_of_trpo(on_policy, trpo_by_hand, products, max_kl):
    """J. Schulman et al., 2015, appendix C: s = sqrt(2 delta / x^T H x) x with H x = g.

    The full step is one of 1/2 s^T H s = delta; what is taken is the longest 0.8^j s with a lower
    loss and a KL of at most delta.
    """
    supports, query = on_policy
    gradient, curvature = trpo_by_hand
    damping, rounding = 1e-3, 1e-8
    options = {"max_kl": max_kl, "damping": damping, "cg_iterations": 30}
    options["hessian_products"] = products
    learner, meta = make(learners.MAML, inner_updates=1, outer=options)
    moved, metrics = updated(learner, meta, batch_of(learner, supports, query))

    damped = curvature + damping * np.eye(WEIGHTS)
    direction = np.linalg.solve(damped, gradient)
    length = np.sqrt(2 * max_kl / (direction @ damped @ direction + rounding))
    full_step = length * direction
    assert full_step @ damped @ full_step / 2 == pytest.approx(max_kl, rel=1e-4)

    def outcome(theta):
        results = []
        for i in range(TASKS):
            phi = adapted(theta, i, "log_likelihood", supports=supports)
            loss = by_hand.surrogate(phi, query, i, by_hand.advantages(query)[i])
            results.append([loss, by_hand.kl(phi, query, i)])
        return np.mean(results, axis=0)

    before, tries = outcome(THETA)[0], 0
    while True:
        expected = THETA - 0.8**tries * full_step
        loss, divergence = outcome(expected)
        tries += 1
        if loss < before and divergence <= max_kl:
            break
    step = expected - THETA
    assert np.linalg.norm(moved - THETA - step) < 1e-3 * np.linalg.norm(step)
    assert metrics["line_search_tries"] == tries and metrics["step_accepted"] == 1
    assert metrics["kl"] == pytest.approx(divergence, rel=1e-3)
    assert metrics["loss_after"] == pytest.approx(loss, rel=1e-3)
    assert metrics["gradient_norm"] == pytest.approx(np.linalg.norm(gradient), rel=1e-6)
    # The first trial, whatever became of it, is the step to the border of the trust region.
    first = (THETA - moved) / 0.8 ** (metrics["line_search_tries"] - 1)
    assert first @ curvature @ first / 2 == pytest.approx(max_kl, rel=0.05)


# Learners that do not differentiate through adaptation.


def test_reptile():
    """A. Nichol et al., 2018: theta + epsilon mean_i (phi_i - theta); Adam without momentum."""
    phases = [Phase(31), Phase(32), Phase(33)]
    rules = {"baseline": "batch_mean", "discount": 0.9}
    settings = {"inner_updates": 3, "num_iterations": 4, "outer_step_size": 0.5}
    learner, meta = make(learners.Reptile, tf.float32, advantage=rules, **settings)
    learner.iteration.assign(1)
    fast = learner.start(meta, TASKS)
    for phase in phases:
        experience = learner.experience(None, fast, phase.trajectory(tf.float32))
        fast = learner.adapt(meta, fast, experience)
    ends = []
    for i in range(TASKS):
        credits = [by_hand.advantages(phase, **rules)[i] for phase in phases]
        slope = lambda theta, k: by_hand.inner_gradient(
            "log_likelihood", theta, phases[k], i, credits[k]
        )
        ends.append(by_hand.adam_steps(THETA, slope, ALPHA, 3, beta_1=0.0)[-1])
    np.testing.assert_allclose(join(fast.params), ends, rtol=1e-3, atol=1e-3)
    learner.meta.write(meta)
    learner.update((fast, tf.zeros([3, TASKS])))
    expected = THETA + 0.5 * 0.75 * np.mean(join(fast.params) - THETA, axis=0)
    np.testing.assert_allclose(join(learner.meta.read()["params"]), expected, rtol=1e-5, atol=1e-6)


def test_the_inner_loop_of_caml():
    """Reward-to-go less the mean over episodes at each time step, standardised; Adam."""
    phases = [Phase(31), Phase(32)]
    learner, _ = make(learners.PolicyGradient, tf.float32, advantage={"discount": 0.9})
    params = split(tf.constant(np.stack([THETA] * TASKS), tf.float32))
    fast = FastState(params, learner.inner_optimizer.init(params, TASKS))
    for phase in phases:
        experience = learner.experience(None, fast, phase.trajectory(tf.float32))
        fast = learner.adapt(None, fast, experience)
    for i in range(TASKS):
        credits = [by_hand.advantages(p, 0.9, baseline="time_step_mean")[i] for p in phases]
        slope = lambda theta, k: by_hand.inner_gradient(
            "log_likelihood", theta, phases[k], i, credits[k]
        )
        expected = by_hand.adam_steps(THETA, slope, ALPHA, 2)[-1]
        np.testing.assert_allclose(join(fast.params)[i], expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("least", [0.0, 0.5, 1.0])
def test_importance_weights_of_hindsight(least):
    """Advantages times min(c, pi / beta); own episodes only where few steps would decide."""
    learner, meta = make(
        learners.HindsightMAML,
        guidance={"importance_clip": 1.5, "min_effective_share": least},
        advantage={"baseline": "batch_mean"},
    )
    own = np.array([[True, False, True], [True, True, False], [False, True, True]])
    phase, fast = Phase(41), learner.start(meta, TASKS)
    experience = learner.off_policy(fast, None, phase.trajectory(), tf.constant(own))
    alone = phase.without(~own)
    shares = []
    for i in range(TASKS):
        ratio = np.exp(
            by_hand.log_prob(THETA, phase.observation[i], phase.action[i]) - phase.log_prob[i]
        )
        weight = np.minimum(ratio, 1.5)
        valid = np.array([weight[step] for step in phase.steps(i)])
        shares.append(valid.sum() ** 2 / (valid**2).sum() / len(valid))
        if shares[-1] >= least:
            counted, factor = phase, weight
        else:
            counted, factor = alone, np.ones([EPISODES, STEPS])
        expected = by_hand.advantages(counted, baseline="batch_mean")[i] * factor
        np.testing.assert_allclose(experience.weight[i], expected, rtol=1e-8, atol=1e-12)
        np.testing.assert_array_equal(experience.trajectory.mask[i], counted.mask[i])
        np.testing.assert_array_equal(experience.trajectory.reward[i], counted.reward[i])
    assert 0 < max(shares) < 1
