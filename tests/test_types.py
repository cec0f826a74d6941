import numpy as np

from tfcaml.types import next_observation


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
