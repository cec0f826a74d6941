"""Returns that bootstrap, against sums over all paths and against loops in plain NumPy."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.utils import value_ops

from tfcaml.advantages import lambda_returns, n_step_returns, vtrace
from tfcaml.errors import ConfigError

SHAPE = (2, 3, 7)


@pytest.fixture(scope="module")
def steps():
    """Arrays [2, 3, 7] in float64 by the names of arguments."""
    rng = np.random.default_rng(0)
    unit = lambda: rng.uniform(0, 1, SHAPE)
    discount = unit()
    discount[0, 1, 3] = 0  # something ends there
    return {
        **{"reward": rng.normal(size=SHAPE), "discount": discount, "lambda_": unit()},
        **{"value": rng.normal(size=SHAPE), "value_next": rng.normal(size=SHAPE)},
        **{"log_ratio": rng.normal(size=SHAPE), "bootstrap_value": rng.normal(size=SHAPE[:2])},
    }


def rows(steps, *names):
    for index in np.ndindex(*SHAPE[:2]):
        yield index, [steps[name][index] for name in names]


def chosen(steps, *names):
    return {name: tf.constant(steps[name]) for name in names}


def enumerated(reward, discount, value_next, lambda_):
    """The lambda-return as the mean over when it bootstraps, of the n-step returns from t on."""
    found = []
    for t in range(len(reward)):
        total, reaches, span = 0.0, 1.0, len(reward) - t
        for n in range(1, span + 1):
            path = sum(np.prod(discount[t : t + k]) * reward[t + k] for k in range(n))
            path += np.prod(discount[t : t + n]) * value_next[t + n - 1]
            stops = 1.0 if n == span else 1 - lambda_[t + n - 1]
            total += reaches * stops * path
            reaches *= lambda_[t + n - 1]
        found.append(total)
    return found


def test_lambda_returns_are_the_mean_over_when_they_bootstrap(steps):
    names = "reward", "discount", "value_next", "lambda_"
    actual = lambda_returns(**chosen(steps, *names)).numpy()
    for index, row in rows(steps, *names):
        np.testing.assert_allclose(actual[index], enumerated(*row), rtol=0, atol=1e-10)


@pytest.mark.parametrize("num_steps", [1, 2, 3, 7, 50])
def test_n_step_returns_are_sums(steps, num_steps):
    names = "reward", "discount", "value_next"
    actual = n_step_returns(**chosen(steps, *names), num_steps=num_steps).numpy()
    for index, (reward, discount, value_next) in rows(steps, *names):
        for t in range(SHAPE[2]):
            n = min(num_steps, SHAPE[2] - t)
            expected = sum(np.prod(discount[t : t + k]) * reward[t + k] for k in range(n))
            expected += np.prod(discount[t : t + n]) * value_next[t + n - 1]
            np.testing.assert_allclose(actual[(*index, t)], expected, rtol=0, atol=1e-10)


def by_loop(reward, discount, value, lambda_, log_ratio, bootstrap_value, clip_rho, clip_c):
    """Equation 1 of IMPALA as the sum that it is."""
    ratio, length = np.exp(log_ratio), len(reward)
    rho = np.minimum(ratio, clip_rho)
    c = lambda_ * np.minimum(ratio, clip_c)
    after = np.append(value[1:], bootstrap_value)
    error = rho * (reward + discount * after - value)
    target = np.array(
        [
            value[t] + sum(np.prod(discount[t:u] * c[t:u]) * error[u] for u in range(t, length))
            for t in range(length)
        ]
    )
    target_after = np.append(target[1:], bootstrap_value)
    lambda_ = np.append(lambda_[:-1], 0)
    mixed = (1 - lambda_) * after + lambda_ * target_after
    return target, rho * (reward + discount * mixed - value)


@pytest.mark.parametrize("clip_rho, clip_c", [(1.0, 1.0), (2.0, 0.7), (None, None)])
def test_vtrace_is_the_published_sum(steps, clip_rho, clip_c):
    names = "reward", "discount", "value", "lambda_", "log_ratio", "bootstrap_value"
    found = vtrace(**chosen(steps, *names), clip_rho=clip_rho, clip_c=clip_c)
    bounds = (np.inf if bound is None else bound for bound in (clip_rho, clip_c))
    bounds = tuple(bounds)
    for index, row in rows(steps, *names):
        for actual, expected in zip(found, by_loop(*row, *bounds)):
            np.testing.assert_allclose(actual.numpy()[index], expected, rtol=0, atol=1e-10)


def test_vtrace_on_the_policys_own_steps_is_the_lambda_return(steps):
    given = chosen(steps, "reward", "discount", "value", "bootstrap_value")
    after = tf.concat([given["value"][..., 1:], given["bootstrap_value"][..., None]], axis=-1)
    same = tf.zeros(SHAPE, tf.float64)
    target, advantage = vtrace(same, **given)
    whole = n_step_returns(given["reward"], given["discount"], after, SHAPE[2])
    np.testing.assert_allclose(target, whole, rtol=0, atol=1e-12)
    np.testing.assert_allclose(advantage, whole - given["value"], rtol=0, atol=1e-12)
    lambda_ = tf.constant(steps["lambda_"])
    target, advantage = vtrace(same, **given, lambda_=lambda_)
    some = lambda_returns(given["reward"], given["discount"], after, lambda_)
    np.testing.assert_allclose(target, some, rtol=0, atol=1e-12)
    np.testing.assert_allclose(advantage, some - given["value"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("lambda_", [0.0, 0.6, 1.0])
def test_tf_agents_agrees(steps, lambda_):
    """Its functions are in float32, with one lambda for all steps."""
    given = {name: tf.cast(x, tf.float32) for name, x in chosen(steps, *steps).items()}
    flat = {name: tf.reshape(x, [-1, SHAPE[2]]) for name, x in given.items() if x.shape.rank == 3}
    last, value = tf.reshape(given["bootstrap_value"], [-1]), flat["value"]
    after = tf.concat([value[:, 1:], last[:, None]], axis=-1)
    ours = lambda_returns(flat["reward"], flat["discount"], after, lambda_)
    theirs = value_ops.generalized_advantage_estimation(
        value, last, flat["discount"], flat["reward"], td_lambda=lambda_, time_major=False
    )
    np.testing.assert_allclose(ours - value, theirs, atol=2e-5)
    if lambda_ == 1:
        theirs = value_ops.discounted_return(
            flat["reward"], flat["discount"], final_value=last, time_major=False
        )
        np.testing.assert_allclose(ours, theirs, atol=2e-5)


def differentiable():
    return {
        "lambda": lambda s, discount, lambda_: lambda_returns(
            s["reward"], discount, s["value_next"], lambda_
        ),
        "vtrace target": lambda s, discount, lambda_: vtrace(
            s["log_ratio"], discount, s["reward"], s["value"], s["bootstrap_value"], lambda_=lambda_
        )[0],
        "vtrace advantage": lambda s, discount, lambda_: vtrace(
            s["log_ratio"], discount, s["reward"], s["value"], s["bootstrap_value"], lambda_=lambda_
        )[1],
    }


@pytest.mark.parametrize("name", differentiable())
def test_they_are_differentiable_in_discount_and_lambda(steps, name):
    given, rng = chosen(steps, *steps), np.random.default_rng(1)
    weight = rng.normal(size=SHAPE)
    value = lambda *at: tf.reduce_sum(weight * differentiable()[name](given, *at))
    at = [given["discount"], given["lambda_"]]
    with tf.GradientTape() as tape:
        tape.watch(at)
        total = value(*at)
    gradients = tape.gradient(total, at)
    for which, gradient in enumerate(gradients):
        direction = rng.normal(size=SHAPE)
        move = lambda k, i, direction=direction, which=which: (
            at[i] + k * 1e-5 * direction * (i == which)
        )
        up, down = (value(move(k, 0), move(k, 1)) for k in (1, -1))
        expected = float(up - down) / 2e-5
        assert abs(float(tf.reduce_sum(gradient * direction)) - expected) < 1e-7
    assert not np.any(gradients[1].numpy()[..., -1])  # the last lambda is not used


def test_the_derivative_in_lambda_is_by_hand(steps):
    """d g_t / d lambda_t = gamma_t (g_(t+1) - v_(t+1))."""
    given = chosen(steps, "reward", "discount", "value_next", "lambda_")
    with tf.GradientTape() as tape:
        tape.watch(given["lambda_"])
        result = lambda_returns(**given)
        first = tf.reduce_sum(result[..., 0])
    gradient = tape.gradient(first, given["lambda_"])[..., 0]
    expected = given["discount"][..., 0] * (result[..., 1] - given["value_next"][..., 0])
    np.testing.assert_allclose(gradient, expected, atol=1e-12)


def test_numbers_stand_for_all_steps_and_dtypes_stay(steps):
    given = {
        name: tf.cast(x, tf.float32) for name, x in chosen(steps, "reward", "value_next").items()
    }
    of_numbers = lambda_returns(given["reward"], 0.9, given["value_next"], 0.5)
    of_arrays = lambda_returns(
        given["reward"], tf.fill(SHAPE, 0.9), given["value_next"], tf.fill([3, 1], 0.5)
    )
    assert of_numbers.dtype == tf.float32
    np.testing.assert_array_equal(of_numbers, of_arrays)
    row = lambda_returns(given["reward"][0, 0], 0.9, given["value_next"][0, 0], 0.5)  # no axes
    np.testing.assert_array_equal(row, of_numbers[0, 0])


def test_a_step_where_something_ends_cuts_what_follows(steps):
    given = chosen(steps, "reward", "discount", "value_next", "lambda_")
    before = lambda_returns(**given)
    given["reward"] += tf.one_hot(5, 7, dtype=tf.float64)
    change = np.abs(lambda_returns(**given) - before) > 1e-12
    assert not change[0, 1, :4].any() and change[0, 0, :6].all()


@pytest.mark.parametrize(
    "change, message",
    [
        ({"clip_rho": 0.0}, "clip_rho to be > 0, or None"),
        ({"clip_c": -1.0}, "clip_c to be > 0, or None"),
        ({"lambda_": tf.zeros([2, 1, 5, 7])}, "broadcasts to"),
    ],
)
def test_mistakes_are_one_line(steps, change, message):
    given = chosen(steps, "log_ratio", "discount", "reward", "value", "bootstrap_value")
    with pytest.raises(ConfigError, match=message):
        vtrace(**{**given, **change})
    with pytest.raises(ConfigError, match="num_steps"):
        n_step_returns(given["reward"], 0.9, given["value"], 0)


def test_all_combinations_of_sharp_lambdas(steps):
    """With lambdas of 0 and 1 a return bootstraps at the first 0, and nowhere else."""
    reward, value_next = steps["reward"][0, 0, :3], steps["value_next"][0, 0, :3]
    for sharp in itertools.product([0.0, 1.0], repeat=2):
        lambda_ = np.array([*sharp, 0.5])
        stop = next((i for i in range(2) if not sharp[i]), 2)
        expected = sum(0.9**k * reward[k] for k in range(stop + 1))
        expected += 0.9 ** (stop + 1) * value_next[stop]
        actual = lambda_returns(tf.constant(reward), 0.9, tf.constant(value_next), lambda_)[0]
        np.testing.assert_allclose(actual, expected, atol=1e-12)
