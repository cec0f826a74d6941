import numpy as np
import pytest
import tensorflow as tf

from tfcaml import keys
from tfcaml.environments import DiscountingChain, DiscountingChainConfig
from tfcaml.environments.native.discounting_chain import PAID_AFTER
from tfcaml.errors import ConfigError


def played(family):
    """(rewards [T, 5], observations [T + 1, 5, O], ends [T, 5]) of each first action."""
    task = family.population(0).train
    state, seen = family.reset(task, keys.per_episode(keys.from_int(0), 1, 5))
    first = tf.range(5)[None]
    rows = [[], [seen[0]], []]
    for step in range(family.horizon):
        action = first if step == 0 else (first + step) % 5  # later ones are of no use
        state, seen, reward, ended = family.step(task, state, action, tf.zeros([1, 5, 0]))
        for row, value in zip(rows, (reward, seen, ended)):
            row.append(value[0])
    return [np.array(row) for row in rows]


@pytest.mark.parametrize("bonus", [0, 3])
def test_the_first_action_is_paid_for_once(bonus):
    reward, _, ended = played(DiscountingChain(DiscountingChainConfig(bonus=bonus)))
    for action, after in enumerate(PAID_AFTER):
        expected = np.zeros(100)
        expected[after - 1] = 1.1 if action == bonus else 1
        np.testing.assert_allclose(reward[:, action], expected, rtol=1e-6)
    assert ended[-1].all() and not ended[:-1].any()


def test_what_bsuite_shows():
    _, seen, _ = played(DiscountingChain())
    assert seen.shape == (101, 5, 2)
    np.testing.assert_array_equal(seen[0], [[-1, 0]] * 5)
    np.testing.assert_array_equal(seen[1:, :, 0], [np.arange(5)] * 100)
    np.testing.assert_allclose(seen[:, 0, 1], np.arange(101) / 100, rtol=1e-6)


def test_one_hot_tells_each_pair_apart():
    config = DiscountingChainConfig(observation="one_hot", horizon=30)
    _, seen, _ = played(DiscountingChain(config))
    assert seen.shape == (31, 5, 6 * 31)
    np.testing.assert_array_equal(seen.sum(axis=-1), 1)
    number = np.argmax(seen, axis=-1)
    assert len(np.unique(number[0])) == 1 and len(np.unique(number[1:])) == 150


def test_mistakes_are_one_line():
    with pytest.raises(ConfigError, match="bonus to be from 0 to 4"):
        DiscountingChainConfig(bonus=5)
    with pytest.raises(ConfigError, match="horizon to be >= 30"):
        DiscountingChainConfig(horizon=29)
