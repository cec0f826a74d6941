"""What the study makes of curves and episodes; that it runs is in test_reproduce.py."""

import numpy as np
import pytest
import tensorflow as tf

from launchers.studies.mlsh import sub_policies as study
from tfcaml import environments, figures, nest
from tfcaml.types import Trajectory


@pytest.mark.parametrize("level, expected", [(0.5, 0), (2.0, 20), (9.0, None)])
def test_when_a_level_is_reached(level, expected):
    """For the first time, also where the curve falls below it later."""
    assert study.reached(range(0, 50, 10), [1.0, 1.5, 3.0, 1.0, 4.0], level) == expected


def test_steps_to_what_the_other_method_ends_with():
    """A share of its last measurements, seed by seed; None where that is not reached."""
    other = np.array([[0.0, 5, 9, *[10] * 5], [0, 0, 20, *[20] * 5]])
    main = np.array([[0.0, 9, 9, *[9] * 5], [0, 18, 20, *[20] * 5]])
    steps = {"mlsh": range(0, 80, 10), "ppo": range(0, 160, 20)}
    compared = lambda: study._steps_to({"mlsh": main, "ppo": other}, steps, ("mlsh", "ppo"), 0.9)
    found = compared()
    assert found["mlsh"] == [10, 10] and found["ppo"] == [40, 40]
    assert found["share"]["value"] == 0.25
    main[0] = 8
    assert compared()["mlsh"] == [None, 10] and compared()["share"] is None


def test_paths_are_in_the_plane():
    """Places of the point and of its goals in their own unit, and which sub-policy acted where."""
    family = environments.MovingBandits()
    task = family.population(0, 2).test
    seen = np.random.default_rng(0).uniform(size=[2, 5, 4, 6])
    options = tf.constant(np.arange(40).reshape([2, 5, 4]) % 2)
    played = Trajectory(*[()] * len(Trajectory._fields))
    played = played._replace(observation=tf.constant(seen), info={"option": options})
    found = study._episodes(family, task, played, 1)
    assert list(found) == ["episode 0", "episode 1", "episode 2"]
    for i, episode in enumerate(found.values()):
        assert isinstance(episode, figures.OptionEpisodes)
        np.testing.assert_allclose(episode.paths, 400 * seen[1, i : i + 1, :, :2])
        np.testing.assert_allclose(episode.goals, 400 * seen[1, i, 0, 2:].reshape([2, 2]))
        np.testing.assert_array_equal(episode.options, options[1, i : i + 1])
        assert episode.real == int(nest.take(task, 1)["right"])


@pytest.mark.parametrize("name", study.CONFIGS)
def test_ppo_learns_from_as_many_steps(name):
    """An update of PPO from scratch has the episodes that an update of the master has."""
    _, module, options = study.CONFIGS[name]
    config = module.get_config(**options)
    ppo, mlsh = config.compared.ppo, config.learner
    for field in ("episodes_per_update", "test_episodes_per_update"):
        assert ppo[field] == mlsh[field]


def test_methods_train_with_as_many_steps():
    """On moving bandits all but PPO play 16 million."""
    config = study.moving_bandits.get_config()
    sizes = {
        name: section.num_iterations
        * section.meta_batch_size
        * section.episodes_per_update
        * {"maml": 2, "pretrained": 1}.get(section.name, section.inner_updates)
        for name, section in {"mlsh": config.learner, **config.compared}.items()
        if name != "ppo"
    }
    assert set(sizes.values()) == {320_000}
