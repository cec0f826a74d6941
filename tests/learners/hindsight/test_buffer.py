"""What is admitted, what is removed and what is found, against a list in Python."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tfcaml import nest
from tfcaml.errors import ConfigError
from tfcaml.experiments.checkpoints import Checkpoints
from tfcaml.learners.hindsight import buffer as hindsight_buffer
from tfcaml.learners.hindsight.buffer import HindsightBuffer, HindsightBufferConfig
from tfcaml.learners.state import Variables
from tfcaml.types import episode_return

SMALL = HindsightBufferConfig(capacity=5, best=0.3, window=10)


class Listed:
    """The buffer as a list of (order, return), the oldest first."""

    def __init__(self, config):
        self.config, self.entries, self.returns, self.admitted = config, [], [], 0

    def add(self, offered):
        config = self.config
        self.returns = [*self.returns, *offered][-config.window :]
        ordered = sorted(self.returns, reverse=True)
        least = ordered[max(math.ceil(config.best * len(ordered) - 1e-9), 1) - 1]
        good = lambda x: x >= least and x > config.floor
        self.entries = [entry for entry in self.entries if good(entry[1])]
        for x in offered:
            if good(x):
                self.admitted += 1
                self.entries = [*self.entries, (self.admitted, x)][-config.capacity :]


@pytest.fixture(scope="module")
def entries(random_trajectory):
    """(returns [N]) -> `Hindsight` whose task and weights are the return too."""

    def make(returns):
        num = len(returns)
        value = tf.constant(returns, tf.float32)
        trajectory = random_trajectory(0, (num, 2, 3))
        trajectory = trajectory._replace(
            mask=tf.ones([num, 2, 3]), reward=tf.repeat(value[:, None, None] / 3, 2, 1) * [1, 1, 1]
        )
        return hindsight_buffer.hindsight(trajectory, {"goal": value}, (value[:, None],))

    return make


def held(state):
    """[(order, return)] of the rows, the oldest first."""
    rows = np.argsort(state["order"].numpy())
    order, returns = state["order"].numpy()[rows], state["entries"].mean_return.numpy()[rows]
    return [(int(o), round(float(r), 4)) for o, r in zip(order, returns) if o > 0]


@pytest.mark.parametrize(
    "config",
    [SMALL, HindsightBufferConfig(5, 1.0, 7), HindsightBufferConfig(30, 0.25, 200, floor=0.0)],
    ids=["small", "all", "floor"],
)
def test_holds_what_a_list_would(config, entries):
    """Property 9: after every offer nothing is held that would not be admitted."""
    buffer, listed, rng = HindsightBuffer(config), Listed(config), np.random.default_rng(0)
    add = tf.function(buffer.add, autograph=False)
    state = buffer.init(entries([0.0]))
    assert not held(state)
    for step in range(12):
        # Many ties, and returns that rise: then fall.
        offered = np.round(rng.integers(-4, 4, 3) / 2 + (step if step < 8 else 4), 4)
        offered = np.minimum(offered, 1.0) if config.floor == 0 else offered
        state = add(state, entries(offered))
        listed.add(offered.tolist())
        assert held(state) == listed.entries
        good = buffer.good_enough(state, state["entries"].mean_return)
        assert np.all(good | ~buffer.held(state))
        assert int(state["admitted"]) == listed.admitted
    assert listed.admitted > config.capacity or config.floor == 0


def test_rows_stay_together(entries):
    buffer = HindsightBuffer(SMALL)
    state = buffer.init(entries([0.0]))
    for step in range(6):
        state = buffer.add(state, entries([step, step + 0.5, step - 1.0]))
    rows = np.flatnonzero(buffer.held(state))
    entry = nest.take(state["entries"], rows)
    assert len(rows) >= 2
    expected = entry.mean_return.numpy()
    np.testing.assert_allclose(entry.task["goal"], expected)
    np.testing.assert_allclose(entry.params[0][:, 0], expected)
    np.testing.assert_allclose(episode_return(entry.trajectory), expected[:, None] * [1, 1])


def test_failures_are_not_hindsight(entries):
    """Where most episodes are paid nothing the quantile is 0: the floor keeps them out."""
    buffer = HindsightBuffer(HindsightBufferConfig(capacity=8, floor=0.0))
    state = buffer.add(buffer.init(entries([0.0])), entries([0, 0, 0, 0, 0, 1, 0, 0]))
    assert held(state) == [(1, 1.0)]
    state = buffer.add(state, entries([1, 1, 1, 1, 1, 1, 1, 1]))  # more than a quarter
    assert len(held(state)) == 8


def test_retrieves_only_similar_tasks(entries):
    buffer = HindsightBuffer(HindsightBufferConfig(capacity=6, best=1.0))
    state = buffer.add(buffer.init(entries([0.0])), entries([10.0, 11.0, 12.0, 13.0]))
    similarity = tf.constant(
        [[0.9, 0.4, 0.6, 0.5, 1.0, 1.0], [0.1, 0.2, 0.3, 0.4, 1.0, 1.0]]
    )  # of rows that hold nothing too
    found = buffer.retrieve(state, similarity, 3, 0.5)
    np.testing.assert_array_equal(found.valid, [[True, True, False], [False] * 3])
    np.testing.assert_array_equal(found.index[0, :2], [0, 2])
    np.testing.assert_allclose(found.similarity[0, :2], [0.9, 0.6])
    goal = nest.take(state["entries"].task, found.index)["goal"]
    np.testing.assert_array_equal(goal[0, :2], [10.0, 12.0])


def test_comes_back_from_a_checkpoint(tmp_path, entries):
    """As `Variables`: the same to the bit, and it goes on alike."""
    buffer = HindsightBuffer(SMALL)
    state = buffer.add(buffer.init(entries([0.0])), entries([3.0, 1.0, 2.0]))
    kept = Variables(state)
    Checkpoints(tmp_path, kept.named(), {}).save(1)
    other = Variables(buffer.init(entries([0.0])))
    assert Checkpoints(tmp_path, other.named(), {}).restore() == 1
    more = entries([2.5, 4.0])
    for one, two in ((kept.read(), other.read()), (state, other.read())):
        left, right = buffer.add(one, more), buffer.add(two, more)
        for a, b in zip(tf.nest.flatten(left), tf.nest.flatten(right), strict=True):
            np.testing.assert_array_equal(a, b)


def test_errors(entries):
    for options in ({"capacity": 0}, {"window": 0}, {"best": 0.0}, {"best": 1.1}):
        with pytest.raises(ConfigError, match=next(iter(options))):
            HindsightBufferConfig(**options)
    buffer = HindsightBuffer(SMALL)
    with pytest.raises(ConfigError, match=r"offered at once to be at most 5; .*=6"):
        buffer.add(buffer.init(entries([0.0])), entries([1.0] * 6))
