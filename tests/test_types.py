import numpy as np
import tensorflow as tf

from tfcaml import nest
from tfcaml.types import join, next_observation


def test_next_observations_are_those_of_a_loop(random_trajectory):
    """Of episodes that end at different times, and of a nest with a number in it."""
    trajectory = random_trajectory(seed=3, shape=(3, 5, 6))
    length = trajectory.mask.numpy().sum(axis=-1).astype(int)
    assert len(np.unique(length)) > 3
    seen, final = trajectory.observation, trajectory.final_observation
    trajectory = trajectory._replace(
        observation={"place": seen, "height": seen[..., 0]},
        final_observation={"place": final, "height": final[..., 0]},
    )
    following = next_observation(trajectory)
    for name, value in following.items():
        observed = trajectory.observation[name].numpy()
        last = trajectory.final_observation[name].numpy()
        assert value.shape == observed.shape
        for n, e, t in np.ndindex(3, 5, 6):
            goes_on = t + 1 < length[n, e]
            expected = observed[n, e, t + 1] if goes_on else last[n, e]
            np.testing.assert_array_equal(value[n, e, t], expected)


def test_joined_episodes_are_the_valid_steps_one_after_another(random_trajectory):
    """Of different lengths, one of them of none, and of nests; padded steps are the last."""
    first, second = (random_trajectory(seed, shape=(2, 5, 4)) for seed in (0, 1))
    none = tf.tensor_scatter_nd_update(first.mask, [[0, 2]], [tf.zeros([4])])
    first = first._replace(mask=none, start=tf.ones([2, 5, 3]), episode_noise=tf.ones([2, 5]))
    parts = [part._replace(info={"last": part.reward[..., None]}) for part in (first, second)]
    whole = join(parts)
    valid = [np.asarray(part.mask, bool) for part in parts]
    assert len({int(v) for v in sum(v.sum(axis=-1) for v in valid).ravel()}) > 3
    for name in ("observation", "action", "reward", "mask", "log_prob", "terminated", "info"):
        leaves = [tf.nest.flatten(getattr(part, name))[0].numpy() for part in parts]
        found = tf.nest.flatten(getattr(whole, name))[0].numpy()
        assert found.shape == (2, 5, 8, *leaves[0].shape[3:])
        for n, e in np.ndindex(2, 5):
            steps = np.concatenate([x[n, e][v[n, e]] for x, v in zip(leaves, valid)])
            np.testing.assert_array_equal(found[n, e, : len(steps)], steps)
            assert not np.any(whole.mask[n, e, len(steps) :])
    assert whole.episode_noise == ()
    np.testing.assert_array_equal(whole.start, first.start)
    np.testing.assert_array_equal(whole.final_observation, second.final_observation)
    alone = random_trajectory(seed=3)
    same = nest.map(lambda x, y: np.array_equal(x * 1, y * 1), join([alone]), alone)
    assert all(tf.nest.flatten(same))
