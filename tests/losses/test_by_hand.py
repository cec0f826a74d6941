"""Every loss on a hand-made batch, against loops in NumPy: value, gradient and curvature."""

import numpy as np
import pytest
import tensorflow as tf

from tests import by_hand
from tests.by_hand import TASKS, Phase, Softmax, complex_step, split
from tfcaml import losses

POLICY = Softmax()


@pytest.fixture(scope="module")
def phase():
    return Phase(1)


@pytest.fixture(scope="module")
def theta():
    """Weights near those that acted, one vector per task: ratios are not 1."""
    moved = [by_hand.weights(100 + i) + 0.8 * by_hand.weights(7 + i) for i in range(TASKS)]
    return np.stack(moved)


def derivatives(loss, theta, second=False):
    """(value [N], gradient [N, P], Hessian [N, P, P] or None) of weights [N, P] -> [N]."""
    vector = tf.constant(theta)
    with tf.GradientTape() as outer:
        outer.watch(vector)
        with tf.GradientTape() as inner:
            inner.watch(vector)
            value = loss(split(vector))
            total = tf.reduce_sum(value)
        gradient = inner.gradient(total, vector)
    hessian = outer.batch_jacobian(gradient, vector) if second else None
    return value, gradient, hessian


def credit_of(estimator, phase):
    return by_hand.reward_credits(phase) if estimator == "dice" else by_hand.advantages(phase)


@pytest.mark.parametrize("estimator", sorted(losses.ESTIMATORS))
def test_estimators_and_their_first_two_derivatives(phase, theta, estimator):
    credit = credit_of(estimator, phase)
    loss = lambda params: losses.ESTIMATORS[estimator](
        POLICY, params, phase.trajectory(), tf.constant(credit)
    )
    value, gradient, hessian = derivatives(loss, theta, second=True)
    for i in range(TASKS):
        own = phase, i, credit[i]
        expected = by_hand.inner_loss(estimator, theta[i], *own)
        np.testing.assert_allclose(value[i], expected, rtol=1e-9, atol=1e-12)
        slope = lambda x: by_hand.inner_gradient(estimator, x, *own)
        np.testing.assert_allclose(gradient[i], slope(theta[i]), rtol=1e-9, atol=1e-12)
        curvature = complex_step(slope, theta[i])
        np.testing.assert_allclose(hessian[i], curvature, rtol=1e-8, atol=1e-11)
        assert np.abs(curvature).max() > 1e-2


def test_what_stands_after_the_end_counts_in_dice_only(phase, theta):
    """There the credit is minus what the other episodes earn on average."""
    rng = np.random.default_rng(0)
    for estimator in losses.ESTIMATORS:
        credit = credit_of(estimator, phase)
        spoiled = np.where(phase.mask, credit, credit + rng.normal(size=credit.shape))
        gradients = [
            derivatives(
                lambda params, c=c, name=estimator: losses.ESTIMATORS[name](
                    POLICY, params, phase.trajectory(), tf.constant(c)
                ),
                theta,
            )[1]
            for c in (credit, spoiled)
        ]
        assert np.allclose(*gradients) == (estimator != "dice")


def test_policy_gradient(phase, theta):
    credit = by_hand.advantages(phase)
    loss = lambda params: losses.policy_gradient(POLICY, params, phase.trajectory(), credit)
    value, gradient, _ = derivatives(loss, theta)
    for i in range(TASKS):
        own = phase, i, credit[i]
        expected = by_hand.inner_loss("log_likelihood", theta[i], *own)
        np.testing.assert_allclose(value[i], expected, rtol=1e-9)
        expected = by_hand.inner_gradient("log_likelihood", theta[i], *own)
        np.testing.assert_allclose(gradient[i], expected, rtol=1e-9)


@pytest.mark.parametrize("clip_ratio", [None, 0.2])
def test_surrogates(phase, theta, clip_ratio):
    credit, trajectory = by_hand.advantages(phase), phase.trajectory()

    def loss(params):
        distribution = losses.action_distribution(POLICY, params, trajectory)
        ratio = losses.probability_ratio(distribution, trajectory)
        if clip_ratio is None:
            return losses.surrogate(ratio, credit, trajectory.mask)
        return losses.clipped_surrogate(ratio, credit, trajectory.mask, clip_ratio)

    value, gradient, _ = derivatives(loss, theta)
    for i in range(TASKS):
        function = lambda x: by_hand.surrogate(x, phase, i, credit[i], clip_ratio)
        np.testing.assert_allclose(value[i], function(theta[i]), rtol=1e-9)
        np.testing.assert_allclose(gradient[i], complex_step(function, theta[i]), rtol=1e-8)


def test_clipping_acts_on_both_sides(phase, theta):
    """On this batch steps are clipped above with A > 0 and below with A < 0, and others not."""
    credit, clip_ratio = by_hand.advantages(phase), 0.2
    found = set()
    for i in range(TASKS):
        ratio = np.exp(
            by_hand.log_prob(theta[i], phase.observation[i], phase.action[i]) - phase.log_prob[i]
        )
        for step in phase.steps(i):
            side = int(ratio[step] > 1 + clip_ratio) - int(ratio[step] < 1 - clip_ratio)
            found.add((side, credit[i][step] > 0))
    assert len(found) == 6


def test_mean_kl(phase, theta):
    trajectory = phase.trajectory()
    acted = losses.action_distribution(POLICY, phase.acted(), trajectory)

    def loss(params):
        moved = losses.action_distribution(POLICY, params, trajectory)
        return losses.mean_kl(acted, moved, trajectory.mask)

    value, gradient, _ = derivatives(loss, theta)
    for i in range(TASKS):
        function = lambda x: by_hand.kl(x, phase, i)
        np.testing.assert_allclose(value[i], function(theta[i]), rtol=1e-9)
        np.testing.assert_allclose(gradient[i], complex_step(function, theta[i]), rtol=1e-8)


# Importance weights.


def weight_loop(rule, phase, theta, task, clip, self_normalized=False):
    """[EPISODES, STEPS] by a loop over episodes: the product so far, or the ratio of the step."""
    weight = np.zeros(phase.mask.shape[1:])
    for e, t in phase.steps(task):
        product = 1.0
        for u in range(t + 1) if rule == "per_decision" else [t]:
            o, a = phase.observation[task, e, u], phase.action[task, e, u]
            old = np.exp(phase.log_prob[task, e, u])
            product *= np.exp(by_hand.log_prob(theta, o, a)) / old
        weight[e, t] = product if clip is None else min(product, clip)
    if self_normalized:
        for t in range(weight.shape[1]):
            alive = [e for e in range(len(weight)) if t < phase.lengths[task][e]]
            if alive:
                weight[:, t] /= np.mean([weight[e, t] for e in alive])
    return weight


@pytest.mark.parametrize("clip", [None, 1.25])
def test_importance_weights(phase, theta, clip):
    trajectory = phase.trajectory()
    log_ratio = losses.action_log_prob(POLICY, split(tf.constant(theta)), trajectory)
    log_ratio -= trajectory.log_prob
    arguments = log_ratio, trajectory.mask, clip
    for rule, self_normalized, found in (
        ("per_step", False, losses.per_step_weights(*arguments)),
        ("per_decision", False, losses.per_decision_weights(*arguments)),
        ("per_decision", True, losses.per_decision_weights(*arguments, self_normalized=True)),
    ):
        share = losses.effective_sample_share(found, trajectory.mask)
        for i in range(TASKS):
            expected = weight_loop(rule, phase, theta[i], i, clip, self_normalized)
            np.testing.assert_allclose(found[i], expected, rtol=1e-9)
            valid = np.array([expected[step] for step in phase.steps(i)])
            effective = valid.sum() ** 2 / (valid**2).sum()  # L. Kish, 1965
            np.testing.assert_allclose(share[i], effective / len(valid), rtol=1e-9)


@pytest.mark.parametrize("self_normalized", [False, True])
def test_importance_weighted_policy_gradient(phase, theta, self_normalized):
    """Weights are constants: only log pi is differentiated."""
    credit, clip = by_hand.advantages(phase), 1.25
    loss = lambda params: losses.importance_weighted(
        POLICY, params, phase.trajectory(), credit, clip, self_normalized
    )
    value, gradient, _ = derivatives(loss, theta)
    for i in range(TASKS):
        weight = weight_loop("per_decision", phase, theta[i], i, clip, self_normalized)
        own = phase, i, weight * credit[i]
        expected = by_hand.inner_loss("log_likelihood", theta[i], *own)
        np.testing.assert_allclose(value[i], expected, rtol=1e-9)
        expected = by_hand.inner_gradient("log_likelihood", theta[i], *own)
        np.testing.assert_allclose(gradient[i], expected, rtol=1e-9, atol=1e-14)
