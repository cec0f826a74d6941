import numpy as np
import pytest
import tensorflow as tf

from tfcaml import keys
from tfcaml.environments import RewardProcess, RewardProcessConfig
from tfcaml.errors import ConfigError


def played(config, episodes=2000):
    """(rewards [T, E], observations [T + 1, E, S], ends [T, E]) in NumPy."""
    family = RewardProcess(config)
    task = family.population(0).train
    state, seen = family.reset(task, keys.per_episode(keys.from_int(0), 1, episodes))
    unit = np.random.default_rng(0).random([family.horizon, 1, episodes, 1])
    rows = [[], [seen[0]], []]
    for step in range(family.horizon):
        action = tf.fill([1, episodes], step % 2)  # of no use
        state, seen, reward, ended = family.step(task, state, action, tf.constant(unit[step]))
        for row, value in zip(rows, (reward, seen, ended)):
            row.append(value[0])
    return [np.array(row) for row in rows]


def test_odd_states_pay_a_signal_and_even_ones_noise():
    reward, seen, ended = played(RewardProcessConfig())
    assert len(reward) == 10
    np.testing.assert_allclose(reward[0::2], 0.1, rtol=1e-6)
    np.testing.assert_allclose(reward[1::2].mean(axis=1), 0, atol=0.08)
    np.testing.assert_allclose(reward[1::2].std(axis=1), 1, atol=0.08)
    np.testing.assert_array_equal(np.argmax(seen, axis=-1), np.indices([11, 2000])[0])
    np.testing.assert_array_equal(ended, np.indices([10, 2000])[0] == 9)


def test_even_states_take_back_what_odd_ones_pay():
    reward, _, ended = played(RewardProcessConfig(kind="lambda"))
    assert len(reward) == 9 and ended[-1].all() and not ended[:-1].any()
    np.testing.assert_array_equal(reward[1::2], -reward[0:-1:2])
    np.testing.assert_allclose(reward[0::2].std(axis=1), 1, atol=0.08)
    assert abs(np.corrcoef(reward[0::2])[0, 1]) < 0.1  # each odd state anew


def test_sizes_of_signal_and_noise():
    reward, _, _ = played(RewardProcessConfig(signal=0.5, noise=0.0), 2)
    np.testing.assert_array_equal(reward[:, 0], [0.5, 0] * 5)


def test_mistakes_are_one_line():
    with pytest.raises(ConfigError, match="kind to be one of"):
        RewardProcessConfig(kind="gamma")
    with pytest.raises(ConfigError, match="signal to be 0"):
        RewardProcessConfig(kind="lambda", signal=0.2)
    with pytest.raises(ConfigError, match="noise to be >= 0"):
        RewardProcessConfig(noise=-1.0)
