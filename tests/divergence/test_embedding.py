import numpy as np
import pytest

from tfcaml.divergence import t_sne
from tfcaml.errors import ConfigError


def groups():
    """Three groups of six rows: 0.1 apart within, 10 between."""
    group = np.repeat(np.arange(3), 6)
    distances = np.where(group[:, None] == group[None], 0.1, 10.0)
    np.fill_diagonal(distances, 0)
    return group, distances


def test_groups_stay_together():
    group, distances = groups()
    places = t_sne(distances, seed=1)
    assert places.shape == (18, 2)
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1)
    np.fill_diagonal(apart, np.inf)
    np.testing.assert_array_equal(group[apart.argmin(axis=1)], group)


def test_same_seed_same_map():
    _, distances = groups()
    np.testing.assert_array_equal(t_sne(distances, seed=2), t_sne(distances, seed=2))
    assert not np.allclose(t_sne(distances, seed=2), t_sne(distances, seed=3))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_few_rows(n):
    places = t_sne(1 - np.eye(n))
    assert places.shape == (n, 2) and np.isfinite(places).all()


def test_a_bad_seed():
    for seed in (-1, 2**32, 0.5):
        with pytest.raises(ConfigError, match=r"seed to be an integer from 0 .* received seed="):
            t_sne(np.zeros([5, 5]), seed=seed)
