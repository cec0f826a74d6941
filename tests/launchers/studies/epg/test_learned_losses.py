"""What the study makes of lives; that it runs is in test_reproduce.py."""

import numpy as np
import pytest
import tensorflow as tf

from launchers.studies.epg import learned_losses as study
from tfcaml import environments


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_how_far_turns_are_undone(share):
    """Policies that turn back a share of what entities turn, and move at any speed."""
    rng = np.random.default_rng(0)
    angle = rng.uniform(-1.5, 1.5, 40)
    place = np.exp(1j * rng.uniform(-3, 3, [40, 16]))
    move = -place * np.exp(-1j * share * angle)[:, None] * rng.uniform(0.1, 3, [40, 1])
    np.testing.assert_allclose(study._slope(np.exp(1j * angle), place, move), share, atol=1e-12)


def test_what_going_straight_earns():
    """All of the way where the turn is known and there is time; all alike without turns."""

    def task(degrees):
        angle = np.deg2rad(degrees)
        turn = tf.constant([[np.cos(angle), np.sin(angle)]], tf.float32)
        return {"gain": tf.constant([1.0]), "turn": turn}

    family = environments.TurnedPoint(environments.TurnedPointConfig(horizon=30))
    knows, not_known = (study._straight(family, task(50), knows) for knows in (True, False))
    np.testing.assert_allclose(knows, 10, atol=0.2)
    assert not_known < knows
    same = [study._straight(family, task(0), knows) for knows in (True, False)]
    np.testing.assert_allclose(*same, rtol=1e-5)


def test_differences_are_tested_to_one_side():
    rng = np.random.default_rng(0)
    others = rng.normal(size=[5, 3, 20])
    ahead = others + np.array([0.5, 0.6, 0.4, 0.5, 0.7])[:, None, None]
    found, turned = study._difference(ahead, others), study._difference(others, ahead)
    assert found["one_sided"] < 0.001 and found["seeds_won"] == 5
    np.testing.assert_allclose(found["one_sided"] + turned["one_sided"], 1)
    np.testing.assert_allclose(found["value"], 0.54)
    assert study._difference(ahead[:2], others[:2])["one_sided"] is None


def test_curves_end_with_the_life():
    steps, values = study._until(64, [0, 40, 80], np.ones([2, 3]))
    assert steps == [0, 40] and values.shape == (2, 2)


@pytest.mark.parametrize("name", study.CONFIGS)
def test_methods_learn_from_as_many_steps(name):
    """EPG and PPO differ in step size and in the parts that an update is cut into alone."""
    _, module, options = study.CONFIGS[name]
    config = module.get_config(**options)
    ppo, epg = config.compared.ppo, config.learner
    assert config.evaluation.num_updates == epg.inner_updates
    changed = {key for key in ppo if ppo[key] != epg[key]}
    allowed = {"name", "num_iterations", "inner_updates", "inner_learning_rate", "minibatches"}
    assert changed <= allowed
    free = config.compared.get("epg_reward_free")
    if free:
        assert {key for key in free if free[key] != epg[key]} == {"sees_reward"}
