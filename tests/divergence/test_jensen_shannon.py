import math

import numpy as np
import pytest
import scipy.spatial.distance
import tensorflow as tf
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tfcaml.divergence import hellinger, jensen_shannon, root_jensen_shannon
from tfcaml.divergence.jensen_shannon import (
    hellinger_matrix,
    jensen_shannon_matrix,
    pointwise,
)

LOGITS = hnp.arrays(np.float64, 6, elements=st.floats(-50, 50))


def naive(p, q):
    """KL(p || m) + KL(q || m), m = (p + q) / 2, in float64 with 0 log 0 = 0."""
    p, q = np.asarray(p, np.float64), np.asarray(q, np.float64)
    m = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * np.log(p / m), 0) + np.where(q > 0, q * np.log(q / m), 0)
    return terms.sum(axis=-1)


def softmax(logits):
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


@given(LOGITS, LOGITS)
def test_scipy_gives_the_same(a, b):
    p, q = softmax(a), softmax(b)
    with np.errstate(invalid="ignore"):  # SciPy: nan from the root of -1e-17 where p is q
        expected = np.nan_to_num(scipy.spatial.distance.jensenshannon(p, q) ** 2)
    np.testing.assert_allclose(jensen_shannon(a, b), expected, rtol=1e-6, atol=1e-12)


@given(LOGITS, LOGITS, LOGITS)
def test_it_is_the_square_of_a_bounded_metric(a, b, c):
    ab, ba = float(jensen_shannon(a, b)), float(jensen_shannon(b, a))
    ac, cb = float(jensen_shannon(a, c)), float(jensen_shannon(c, b))
    assert 0 <= ab <= math.log(2) + 1e-12
    assert ab == pytest.approx(ba, abs=1e-14)
    assert math.sqrt(ab) <= math.sqrt(ac) + math.sqrt(cb) + 1e-6


@given(LOGITS, st.floats(-20, 20), st.integers(0, 5))
def test_zero_if_and_only_if_equal(a, shift, index):
    assert float(jensen_shannon(a, a)) == 0
    assert float(jensen_shannon(a, a + shift)) <= 1e-14  # equal once normalised
    b = a.copy()
    b[index] += 1
    difference = np.abs(softmax(a) - softmax(b)).sum()
    assume(difference > 1e-6)
    assert float(jensen_shannon(a, b)) >= 0.99 * difference**2 / 8  # Pinsker's inequality


@given(LOGITS, LOGITS)
def test_unnormalised_form_is_two_divergences_from_the_mean(a, b):
    a, b = a / 5, b / 5
    expected = naive(np.exp(a), np.exp(b))
    scale = np.exp(a).sum() + np.exp(b).sum()
    actual = jensen_shannon(a, b, normalized=False)
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-13 * scale)


def test_minus_infinity_is_probability_zero():
    p = np.array([0.5, 0.5, 0, 0])
    q = np.array([0, 0.25, 0.75, 0])
    with np.errstate(divide="ignore"):
        log_p, log_q = np.log(p), np.log(q)
    expected = scipy.spatial.distance.jensenshannon(p, q) ** 2
    np.testing.assert_allclose(jensen_shannon(log_p, log_q), expected, rtol=1e-12)
    np.testing.assert_allclose(jensen_shannon(log_p, log_q, False), naive(p, q), rtol=1e-12)
    assert float(jensen_shannon(log_p, log_p)) == 0


def test_disjoint_distributions_are_as_far_as_can_be():
    log_p, log_q = [0.0, -np.inf], [-np.inf, 0.0]
    assert float(jensen_shannon(log_p, log_q)) == pytest.approx(math.log(2), rel=1e-6)
    assert float(jensen_shannon(log_p, log_q, False)) == pytest.approx(2 * math.log(2), rel=1e-6)
    assert float(hellinger(log_p, log_q)) == pytest.approx(1)


@pytest.mark.parametrize("gap", [0, 1e-6, 1e-3, 1, 30, 90, 200, 1e4, 1e30])
def test_float32_is_robust_against_tiny_and_huge_differences(gap):
    log_p = np.zeros(4, np.float32)
    log_q = np.array([0, 0, gap, -gap], np.float32)
    actual = jensen_shannon(log_p, log_q)
    assert actual.dtype == tf.float32
    p, q = softmax(log_p.astype(np.float64)), softmax(log_q.astype(np.float64))
    np.testing.assert_allclose(actual, naive(p, q) / 2, rtol=1e-5, atol=1e-7)
    assert actual >= 0


@pytest.mark.parametrize("gap", [20, 1e3, 1e5, 1e10])
def test_float32_nothing_cancels_between_densities_that_are_far_apart(gap):
    """A sum of large logarithms of opposite sign would lose ln 2."""
    log_p, log_q = np.float32([0, -gap]), np.float32([-gap, 0])
    np.testing.assert_allclose(jensen_shannon(log_p, log_q), math.log(2), rtol=1e-6)
    matrix = jensen_shannon_matrix(tf.stack([log_p, log_q]))
    np.testing.assert_allclose(matrix[0, 1], 2 * math.log(2), rtol=1e-6)


def test_float32_where_both_densities_underflow():
    low = np.array([-200.0, -300.0], np.float32)
    assert float(jensen_shannon(low, low - 50, normalized=False)) == 0
    np.testing.assert_allclose(jensen_shannon(low, low[::-1].copy()), math.log(2), rtol=1e-5)


def test_pointwise_is_never_negative_by_more_than_rounding():
    x = np.linspace(-30, 10, 101, dtype=np.float32)
    value = pointwise(x[:, None], x[None]).numpy()
    scale = np.exp(np.maximum(x[:, None], x[None]))
    assert (value >= -1e-6 * scale).all()
    np.testing.assert_allclose(np.diag(value), 0, atol=1e-6 * np.exp(x).max())


def test_arguments_broadcast():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(3, 1, 5)), rng.normal(size=(4, 5))
    actual = jensen_shannon(a, b)
    assert actual.shape == [3, 4]
    np.testing.assert_allclose(actual[1, 2], jensen_shannon(a[1, 0], b[2]))


def densities(size=7, length=11, dtype=np.float32):
    log = 3 * np.random.default_rng(1).normal(size=(size, length))
    log[0, 0] = log[1, 0] = log[2, 3] = -np.inf
    return log.astype(dtype)


@pytest.mark.parametrize("chunk_elements", [1, 7 * 11, 3 * 7 * 11, 5 * 7 * 11, 4_000_000])
def test_matrix_is_the_function_of_each_pair(chunk_elements):
    log = densities()
    matrix = jensen_shannon_matrix(tf.constant(log), chunk_elements).numpy()
    expected = jensen_shannon(log[:, None], log[None], normalized=False)
    np.testing.assert_allclose(matrix, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        matrix, naive(np.exp(log)[:, None], np.exp(log)[None]), rtol=1e-4, atol=1e-4
    )
    np.testing.assert_array_equal(matrix, matrix.T)
    np.testing.assert_array_equal(np.diag(matrix), 0)


@given(LOGITS, LOGITS)
def test_hellinger(a, b):
    p, q = softmax(a), softmax(b)
    expected = 0.5 * ((np.sqrt(p) - np.sqrt(q)) ** 2).sum()
    np.testing.assert_allclose(hellinger(a, b), expected, atol=1e-12)
    a, b = a / 5, b / 5
    expected = ((np.exp(a / 2) - np.exp(b / 2)) ** 2).sum()
    np.testing.assert_allclose(hellinger(a, b, normalized=False), expected, rtol=1e-9)


def test_hellinger_matrix_is_the_function_of_each_pair():
    log = densities(dtype=np.float64)
    matrix = hellinger_matrix(tf.constant(log)).numpy()
    expected = hellinger(log[:, None], log[None], normalized=False)
    np.testing.assert_allclose(matrix, expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(matrix, matrix.T)
    np.testing.assert_array_equal(np.diag(matrix), 0)


def test_hellinger_bounds_jensen_shannon():
    """Between half of it and 2 ln 2 times it (unhalved forms, in nats)."""
    log = densities(dtype=np.float64)
    js = jensen_shannon_matrix(tf.constant(log)).numpy()
    squared = hellinger_matrix(tf.constant(log)).numpy()
    assert (js <= 2 * math.log(2) * squared + 1e-9).all()
    assert (js >= 0.5 * squared - 1e-9).all()


EXACT = np.longdouble


def exact_jensen_shannon(log_p, log_q):
    """p log(p / m) + q log(q / m), m = (p + q) / 2, in 80 bits: [..., X] -> [...].

    Where p and q are close p / m = 1 + (p - q) / (p + q), and p - q decides how precise it is.
    """
    p, q = np.exp(EXACT(log_p)), np.exp(EXACT(log_q))
    middle, share = (p + q) / 2, (p - q) / (p + q)
    log_ratio = lambda x, s: np.where(np.abs(s) < 0.5, np.log1p(s), np.log(x / middle))
    with np.errstate(divide="ignore"):
        terms = p * log_ratio(p, share) + q * log_ratio(q, -share)
    return np.float64(terms.sum(axis=-1))


def exact_hellinger(log_p, log_q):
    """(sqrt p - sqrt q)^2, likewise."""
    roots = (np.exp(EXACT(x) / 2) for x in (log_p, log_q))
    return np.float64(np.square(np.subtract(*roots)).sum(axis=-1))


def normalized(log_density):
    log_density = EXACT(log_density)
    return log_density - np.log(np.exp(log_density).sum(axis=-1, keepdims=True))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("gap", [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1, 10])
def test_small_differences_keep_their_digits(gap, dtype):
    """Two groups of close densities that are far from each other: every pair of both."""
    rng = np.random.default_rng(0)
    log = rng.normal(size=[1, 60]) - 6 + gap * rng.normal(size=[6, 60])
    log[3:] += 5 * rng.normal(size=60)
    log = log.astype(dtype)
    i, j = np.triu_indices(6, 1)
    check = lambda found, expected: np.testing.assert_allclose(found, expected, rtol=1e-5)
    divergence, squared = exact_jensen_shannon(log[i], log[j]), exact_hellinger(log[i], log[j])
    check(jensen_shannon_matrix(tf.constant(log)).numpy()[i, j], divergence)
    check(hellinger_matrix(tf.constant(log)).numpy()[i, j], squared)
    check(jensen_shannon(log[i], log[j], normalized=False), divergence)
    check(hellinger(log[i], log[j], normalized=False), squared)
    p, q = normalized(log)[i], normalized(log)[j]
    check(jensen_shannon(log[i], log[j]), exact_jensen_shannon(p, q) / 2)
    check(hellinger(log[i], log[j]), exact_hellinger(p, q) / 2)
    check(root_jensen_shannon(log[i], log[j]), np.sqrt(exact_jensen_shannon(p, q) / 2))


def test_single_precision_suffices_for_terms_of_exact_differences():
    """Logarithms in float64 whose difference float32 would not show."""
    log = np.array([[-9.0, -8.0], [-9.0 + 1e-8, -8.0 - 1e-8]])
    found = jensen_shannon_matrix(tf.constant(log), dtype=tf.float32)
    assert found.dtype == tf.float32
    np.testing.assert_allclose(found[0, 1], exact_jensen_shannon(*log), rtol=1e-5)


def test_densities_that_are_zero_everywhere_are_alike():
    nothing = tf.fill([2, 3], -np.inf)
    np.testing.assert_array_equal(hellinger_matrix(nothing), np.zeros([2, 2]))
    np.testing.assert_array_equal(jensen_shannon_matrix(nothing), np.zeros([2, 2]))


def test_two_small_distributions_by_hand():
    """p = (1/2, 1/2), q = (1/4, 3/4): m = (3/8, 5/8)."""
    log_p, log_q = np.log([0.5, 0.5]), np.log([0.25, 0.75])
    from_p = 0.5 * math.log(4 / 3) + 0.5 * math.log(4 / 5)
    from_q = 0.25 * math.log(2 / 3) + 0.75 * math.log(6 / 5)
    assert float(jensen_shannon(log_p, log_q)) == pytest.approx((from_p + from_q) / 2, rel=1e-12)
    assert float(jensen_shannon(log_p, log_q, False)) == pytest.approx(from_p + from_q, rel=1e-12)
    root = math.sqrt((from_p + from_q) / 2)
    assert float(root_jensen_shannon(log_p, log_q)) == pytest.approx(root, rel=1e-12)
    overlap = math.sqrt(1 / 8) + math.sqrt(3 / 8)
    assert float(hellinger(log_p, log_q)) == pytest.approx(1 - overlap, rel=1e-12)
