import numpy as np
import pytest
import tensorflow as tf

from tfcaml import keys
from tfcaml.environments import Catch, CatchConfig
from tfcaml.errors import ConfigError


def played(family, act, episodes=50):
    """(returns [E], boards [T + 1, E, rows, columns]); act: board [E, rows, columns] -> [E]."""
    task = family.population(0).train
    state, seen = family.reset(task, keys.per_episode(keys.from_int(1), 1, episodes))
    boards, total = [seen[0].numpy()], 0
    for step in range(family.horizon):
        action = tf.constant(act(boards[-1]))[None]
        state, seen, reward, ended = family.step(task, state, action, tf.zeros([1, episodes, 0]))
        boards.append(seen[0].numpy())
        total = total + reward[0].numpy()
        assert ended.numpy().all() == (step == family.horizon - 1) == ended.numpy().any()
    return total, np.array(boards)


def follow(board):
    """Towards the column of the ball, by what is seen."""
    ball = np.argmax(board[:, :-1].sum(axis=1), axis=-1)
    paddle = np.argmax(board[:, -1], axis=-1)
    return (np.sign(ball - paddle) + 1).astype(np.int32)


def test_who_follows_the_ball_catches_it():
    total, boards = played(Catch(), follow)
    np.testing.assert_array_equal(total, 1)
    np.testing.assert_array_equal(boards[:-1].sum(axis=(2, 3)), 2)
    np.testing.assert_array_equal(boards[-1].sum(axis=(1, 2)), 1)  # one on the other
    np.testing.assert_array_equal(boards[0, :, -1], [[0, 0, 1, 0, 0]] * 50)
    assert (boards[0, :, 0].sum(axis=0) > 3).all()  # balls start in each column


def test_who_stands_still_catches_a_fifth():
    total, _ = played(
        Catch(CatchConfig(reward_scale=2.0)), lambda b: np.ones(len(b), np.int32), 2000
    )
    assert set(total) == {-2, 2} and abs(np.mean(total == 2) - 0.2) < 0.04


def test_the_paddle_stays_on_the_board():
    _, boards = played(Catch(), lambda board: np.full(len(board), 2, np.int32))
    np.testing.assert_array_equal(np.argmax(boards[3, :, -1], axis=-1), 4)


def test_mistakes_are_one_line():
    with pytest.raises(ConfigError, match="rows to be >= 2"):
        CatchConfig(rows=1)
    with pytest.raises(ConfigError, match="reward_scale to be > 0"):
        CatchConfig(reward_scale=0.0)
