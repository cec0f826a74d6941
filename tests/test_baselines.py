import numpy as np
import pytest
import tensorflow as tf

from tfcaml import baselines


def value_loop(trajectory, discount, return_type):
    reward = trajectory.reward.numpy().astype(np.float64)
    value = np.zeros_like(reward)
    steps = reward.shape[2]
    for t in range(steps):
        start = t if return_type == "reward_to_go" else 0
        value[..., t] = sum(reward[..., u] * discount ** (u - start) for u in range(start, steps))
    return value


def advantage_loop(trajectory, discount, return_type, baseline, normalize):
    """Written out with lists of the living steps."""
    mask = trajectory.mask.numpy()
    value = value_loop(trajectory, discount, return_type)
    result = np.zeros_like(value)
    for i in range(len(value)):
        living = list(zip(*np.nonzero(mask[i])))
        for e, t in living:
            if baseline == "batch_mean":
                level = np.mean([value[i][other] for other in living])
            elif baseline == "time_step_mean":
                level = np.mean([value[i][other] for other in living if other[1] == t])
            else:
                level = 0.0
            result[i, e, t] = value[i, e, t] - level
        if normalize:
            result[i] /= np.sqrt(np.mean([result[i][step] ** 2 for step in living])) + 1e-6
    return result


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("baseline", ["none", "batch_mean", "time_step_mean"])
@pytest.mark.parametrize("return_type", ["reward_to_go", "whole_return"])
def test_advantage_is_the_loop(random_trajectory, return_type, baseline, normalize):
    trajectory = random_trajectory(seed=3, shape=(3, 5, 6))
    actual = baselines.advantage(trajectory, 0.9, return_type, baseline, normalize)
    expected = advantage_loop(trajectory, 0.9, return_type, baseline, normalize)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


def test_padding_counts_for_nothing(random_trajectory):
    """Whatever stands on padded steps, advantages do not change."""
    trajectory = random_trajectory(seed=4)
    longer = trajectory._replace(
        reward=tf.pad(trajectory.reward, [[0, 0], [0, 0], [0, 3]]),
        mask=tf.pad(trajectory.mask, [[0, 0], [0, 0], [0, 3]]),
    )
    options = (0.99, "reward_to_go", "time_step_mean", True)
    short = baselines.advantage(trajectory, *options)
    long = baselines.advantage(longer, *options)
    np.testing.assert_allclose(long[..., :6], short, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(long[..., 6:], 0)
    np.testing.assert_array_equal(short[trajectory.mask == 0], 0)


def test_normalized_advantage_has_unit_scale_per_task(random_trajectory):
    trajectory = random_trajectory(seed=5)
    scaled = trajectory._replace(reward=trajectory.reward * [[[1.0]], [[1000.0]]])
    actual = baselines.advantage(scaled, 0.99, "reward_to_go", "time_step_mean", True).numpy()
    living = scaled.mask.numpy() > 0
    for i in range(2):
        np.testing.assert_allclose(np.mean(actual[i][living[i]] ** 2), 1, rtol=1e-4)


def test_equal_episodes_give_no_advantage_and_no_nan(random_trajectory):
    trajectory = random_trajectory(seed=6)
    trajectory = trajectory._replace(
        reward=tf.ones_like(trajectory.reward), mask=tf.ones_like(trajectory.mask)
    )
    actual = baselines.advantage(trajectory, 0.99, "reward_to_go", "time_step_mean", True)
    np.testing.assert_allclose(actual, 0, atol=1e-3)


def test_advantage_is_a_constant(random_trajectory):
    trajectory = random_trajectory(seed=7)
    with tf.GradientTape() as tape:
        tape.watch(trajectory.reward)
        value = baselines.advantage(trajectory, 0.99, "reward_to_go", "batch_mean", True)
    assert tape.gradient(value, trajectory.reward) is None
