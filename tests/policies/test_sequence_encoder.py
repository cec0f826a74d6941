"""The recurrent encoder against its formulae in plain NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from tests.recurrent_by_hand import gru
from tfcaml import nest
from tfcaml.errors import ConfigError
from tfcaml.policies import SequenceEncoder

INPUTS, UNITS, OUTPUTS = 3, 4, 2
LENGTHS = np.array([[5, 2, 0], [1, 4, 5]])


@pytest.fixture(scope="module")
def encoder():
    return SequenceEncoder(INPUTS, UNITS, OUTPUTS, tf.float64)


def test_answers_are_those_of_the_formulae(encoder):
    """Each task by its own weights; what stands on padded steps does not count."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 3, 5, INPUTS))
    mask = (np.arange(5) < LENGTHS[..., None]).astype(float)
    params = [rng.normal(size=(2, *leaf.shape)) for leaf in encoder.init(0)]
    weights = tuple(tf.constant(leaf) for leaf in params)
    found = encoder(weights, tf.constant(x), tf.constant(mask))
    assert found.shape == [2, 3, OUTPUTS]
    for i, e in np.ndindex(LENGTHS.shape):
        expected = gru([leaf[i] for leaf in params], x[i, e, : LENGTHS[i, e]])
        np.testing.assert_allclose(found[i, e], expected, rtol=1e-9)
    np.testing.assert_array_equal(found[0, 2], params[-1][0])  # nothing is hidden yet


def test_first_weights_are_the_seeds_and_first_answers_are_small(encoder):
    first, again, other = encoder.init(1), encoder.init(1), encoder.init(2)
    nest.map(np.testing.assert_array_equal, first, again)
    assert np.abs(first[0] - other[0]).max() > 0.1
    shapes = [(INPUTS, 3 * UNITS), (UNITS, 3 * UNITS), (3 * UNITS,), (UNITS, OUTPUTS), (OUTPUTS,)]
    assert [tuple(x.shape) for x in first] == shapes
    wide = SequenceEncoder(INPUTS, 400, OUTPUTS).init(0)
    np.testing.assert_allclose(np.linalg.norm(wide[3], axis=0), 0.01, rtol=0.2)
    np.testing.assert_array_equal(wide[4], np.zeros(OUTPUTS))


@pytest.mark.parametrize("name", ["inputs", "units", "outputs"])
def test_sizes_are_whole_numbers_from_one_on(name):
    sizes = {"inputs": 1, "units": 1, "outputs": 1, name: 0}
    with pytest.raises(ConfigError, match=f"expected {name} to be a whole number from 1"):
        SequenceEncoder(**sizes)
