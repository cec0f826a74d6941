"""The loss of behaviour cloning, against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from tests.policies.test_imitation import D, N, T, drawn, make, seen
from tests.policies.test_imitation_heads import MASK
from tfcaml import nest
from tfcaml.losses import BehaviourCloning
from tfcaml.types import Trajectory


def shown(seed=0, mask=MASK):
    """An `Experience` of N tasks, whose episodes end early."""
    rng = np.random.default_rng([seed, 5])
    observation, zeros = seen(seed=seed), tf.zeros([N, D, T])
    action = tf.constant(rng.normal(size=[N, D, T, 2]), tf.float32)
    ends = seen(axes=(N, D), seed=seed + 1)
    trajectory = Trajectory(observation, action, zeros, tf.constant(mask), zeros, zeros, ends)
    return BehaviourCloning(None, 1.0, 1.0, True, True).experience(None, None, trajectory)


def loss_of(policy, shows="all", multiplier=3.0, pose_weight=0.2):
    return BehaviourCloning(policy, multiplier, pose_weight, shows == "all", shows != "video")


def by_hand(policy, params, experience, said, pose, multiplier, pose_weight, actions, states):
    """Loops over tasks, demonstrations and valid steps."""
    trajectory, found = experience.trajectory, []
    mask = trajectory.mask.numpy()
    for i in range(N):
        errors, missed = [], []
        for j, t in np.argwhere(mask[i] > 0):
            wanted = trajectory.action[i, j, t].numpy() if actions else np.zeros(2)
            errors += [(multiplier * (a - w)) ** 2 for a, w in zip(said[i, j, t].numpy(), wanted)]
            if policy.pose and states:
                mean, deviation = (params["moments"][k]["hand"][i] for k in ("mean", "deviation"))
                end = (trajectory.final_observation["hand"][i, j] - mean) / deviation
                missed += [np.mean((pose[i, j, t] - end) ** 2)]
        found.append(np.mean(errors) + (pose_weight * np.mean(missed) if missed else 0))
    return np.array(found)


@pytest.mark.parametrize("pose", ["", "hand"])
@pytest.mark.parametrize("shows", ["all", "states", "video"])
def test_the_inner_loss_by_hand(shows, pose):
    hidden = ("arm", "hand") if shows == "video" else ()
    policy = make(two_heads=True, more={"hidden": hidden, "pose": pose})
    params, experience = drawn(policy), shown()
    np.testing.assert_array_equal(experience.weight, MASK)
    trajectory = experience.trajectory
    said, poses = policy.judged(params, trajectory.observation, trajectory.mask)
    wanted = by_hand(
        *(policy, params, experience, said, poses, 3.0, 0.2),
        actions=shows == "all",
        states=shows != "video",
    )
    found = loss_of(policy, shows).inner(None, params, experience)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    # The multiplier is squared, and poses are not multiplied by it.
    other = loss_of(policy, shows, multiplier=6.0).inner(None, params, experience)
    alone = loss_of(policy, shows, multiplier=1e-6).inner(None, params, experience)
    np.testing.assert_allclose(other - alone, 4 * (found - alone), rtol=1e-5)
    assert np.all(alone > 1e-3) == (pose == "hand" and shows != "video")


@pytest.mark.parametrize("pose", ["", "hand"])
def test_the_outer_loss_by_hand(pose):
    policy = make(two_heads=True, more={"pose": pose, "hidden": ("arm", "hand")})
    params, experience = drawn(policy), shown()
    rows = nest.flat_steps(experience.trajectory.observation)
    action, poses = (
        tf.reshape(x, [N, D, T, -1]) if x.shape[-1] else None
        for x in policy.predicted(params, rows)
    )
    wanted = by_hand(policy, params, experience, action, poses, 3.0, 0.2, True, True)
    for shows in ("all", "states", "video"):  # what demonstrations lack, queries have
        found = loss_of(policy, shows).surrogate(None, params, experience)
        np.testing.assert_allclose(found.loss, wanted, rtol=1e-6)
        assert found.distribution is None and found.kl is None


def test_padded_steps_do_not_count():
    policy, invalid = make(), tf.constant(MASK[..., None] == 0)
    params, experience = drawn(policy), shown()
    trajectory = experience.trajectory

    def spoilt(x):
        where = tf.reshape(invalid, [N, D, T, *[1] * (x.shape.rank - 3)])
        return tf.where(where, x + tf.ones([], x.dtype), x)

    other = trajectory._replace(
        observation=nest.map(spoilt, trajectory.observation), action=spoilt(trajectory.action)
    )
    for f in ("inner", "surrogate"):
        loss = getattr(loss_of(policy), f)
        one, two = (
            loss(None, params, experience._replace(trajectory=x)) for x in (trajectory, other)
        )
        one, two = (getattr(x, "loss", x) for x in (one, two))
        np.testing.assert_allclose(one, two, rtol=1e-9)


@pytest.mark.parametrize("head", ["linear", "temporal"])
@pytest.mark.parametrize("shows", ["all", "states", "video"])
def test_a_demonstration_without_actions_is_judged_without_them(shows, head):
    """Nor is one without states judged by them: neither loss nor gradient knows what they were."""
    temporal = {"loss_head": "temporal", "temporal_filters": 3, "temporal_width": 3}
    hidden = ("arm", "hand") if shows == "video" else ()
    more = {"hidden": hidden, "pose": "hand"}
    policy = make(two_heads=True, **(temporal if head == "temporal" else {}), more=more)
    params, experience, loss = drawn(policy), shown(), loss_of(policy, shows)
    leaves = tf.nest.flatten(params["weights"])

    def of(trajectory):
        with tf.GradientTape() as tape:
            tape.watch(leaves)
            value = loss.inner(None, params, experience._replace(trajectory=trajectory))
        return [value, *tape.gradient(value, leaves, unconnected_gradients="zero")]

    def moved(trajectory, part):
        return {**trajectory, "arm": trajectory["arm"] + 1, "hand": trajectory["hand"] - part}

    own = experience.trajectory
    acted = own._replace(action=own.action + 1.0)
    was = own._replace(
        observation=moved(own.observation, 2.0), final_observation=moved(own.final_observation, 1.0)
    )
    pictured = own._replace(
        observation={**own.observation, "blocks": own.observation["blocks"] * 2}
    )
    same = lambda other: all(np.array_equal(x, y) for x, y in zip(of(own), of(other)))
    assert same(acted) == (shows != "all")
    assert same(was) == (shows == "video")
    assert not same(pictured)
