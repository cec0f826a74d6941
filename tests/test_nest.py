import numpy as np
import tensorflow as tf

from tfcaml import keys, nest


def leaf(*shape, dtype=tf.float32):
    values = np.random.default_rng(sum(shape)).integers(0, 9, (2, 3, 4, *shape))
    return tf.constant(values, dtype)


def test_vectors_and_back():
    like = {"position": leaf(2), "clock": leaf(dtype=tf.int32), "image": leaf(2, 2, 1)}
    joined = nest.vectors(like, 3)
    assert joined.shape == [2, 3, 4, 7] and joined.dtype == tf.float32
    np.testing.assert_array_equal(joined[..., 0], like["clock"])  # leaves in order of their names
    np.testing.assert_array_equal(joined[..., -2:], like["position"])
    back = nest.unvectors(joined[0, 0], like, 3)
    for name, x in like.items():
        assert back[name].dtype == x.dtype
        np.testing.assert_array_equal(back[name], x[0, 0])


def test_one_tensor_of_vectors_stays_as_it_is():
    x = leaf(5)
    np.testing.assert_array_equal(nest.vectors(x, 3), x)
    np.testing.assert_array_equal(nest.unvectors(x, x, 3), x)


def test_leaves_of_several_dtypes_are_joined():
    x = {"a": leaf(2, dtype=tf.float64), "b": leaf(2), "c": leaf(2, dtype=tf.uint8)}
    assert nest.vectors(x, 3).dtype == tf.float32
    x["d"] = x["c"] > 4
    np.testing.assert_array_equal(
        nest.vectors(x, 3), np.concatenate([np.float32(x[key]) for key in "abcd"], axis=-1)
    )
    x["b"] = leaf(2, dtype=tf.float64)
    assert nest.vectors(x, 3).dtype == tf.float64


def test_vectors_become_the_nearest_integers():
    """A state that noise has moved by a little is the same state, not the one below."""
    like = {"a": tf.zeros([1, 3], tf.uint8), "b": tf.zeros([1, 2], tf.bool)}
    back = nest.unvectors(tf.constant([[2.9, -0.2, 255.6, 0.9, 0.1]]), like, 1)
    np.testing.assert_array_equal(back["a"], [[3, 0, 255]])
    np.testing.assert_array_equal(back["b"], [[True, False]])


def test_order_of_axes():
    x = leaf(5)
    np.testing.assert_array_equal(nest.task_major(nest.time_major(x)), x)
    np.testing.assert_array_equal(nest.time_major(x)[3, 1, 2], x[1, 2, 3])
    flat = nest.flat_steps((x,))[0]
    np.testing.assert_array_equal(flat[1, 2 * 4 + 3], x[1, 2, 3])


def test_rows_chosen_by_whether_they_are_finite():
    good = {"a": tf.constant([[1.0, 2], [np.nan, 3], [4, 5]]), "n": tf.constant([1, 2, 3])}
    good["b"] = tf.constant([0.0, 0, np.inf])
    finite = nest.is_finite(good)
    np.testing.assert_array_equal(finite, [True, False, False])
    chosen = nest.where(finite, good, nest.map(tf.zeros_like, good))
    np.testing.assert_array_equal(chosen["a"], [[1, 2], [0, 0], [0, 0]])
    np.testing.assert_array_equal(chosen["n"], [1, 0, 0])


def test_rows_of_a_pool_are_drawn_leaf_by_leaf():
    """Rows that are there, of each leaf by itself, and all of them in the long run."""
    pool = {"a": tf.range(8), "b": 10 * tf.range(8)}
    key = keys.per_task(keys.from_int(0), 400)
    found = nest.map(np.asarray, nest.drawn(pool, key))
    assert set(found["a"]) == set(range(8)) and set(found["b"]) == set(range(0, 80, 10))
    assert np.mean(found["a"] == found["b"] // 10) < 0.3
    again = nest.drawn(pool, key[3:5])
    nest.map(np.testing.assert_array_equal, again, nest.map(lambda x: x[3:5], found))
