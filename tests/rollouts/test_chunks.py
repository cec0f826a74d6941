"""Episodes in chunks, draws of an episode, rewards that a policy sees, and early stops."""

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import Slide
from tests.recall import Recall
from tfcaml import keys, losses, nest
from tfcaml.rollouts import sampling

POLICY = Recall()
PARAMS = {"weights": tf.constant([[0.3, 0.5, -0.4, 0.2, 0.7], [0.1, -0.6, 0.5, 0.0, -0.9]])}
TASK = {"goal": tf.constant([0.0, 1.0])}
EPISODES = 3
KEY = keys.per_episode(keys.from_int(4), 2, EPISODES)


@pytest.fixture(scope="module")
def whole(slide):
    return sampling.sample(POLICY, slide, PARAMS, TASK, EPISODES, keys.from_int(4))


@pytest.fixture(scope="module")
def chunks(slide):
    """Three chunks of episodes of six steps, and the rollouts between them."""
    rollouts, found = [sampling.begin(POLICY, slide, PARAMS, TASK, KEY)], []
    for _ in range(3):
        rollout, chunk = sampling.play(POLICY, slide, PARAMS, TASK, rollouts[-1], 3)
        rollouts.append(rollout)
        found.append(chunk)
    return rollouts, found


def same(left, right):
    for a, b in zip(tf.nest.flatten(left), tf.nest.flatten(right), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_sample_is_what_is_begun_and_played_to_the_end(slide, whole):
    begun = sampling.begin(POLICY, slide, PARAMS, TASK, KEY)
    _, played = sampling.play(POLICY, slide, PARAMS, TASK, begun, slide.horizon, True)
    same(played._replace(start=()), whole)
    same(played.start, begun.memory)
    assert whole.start == ()


def test_chunks_go_on_where_the_last_one_stopped(slide, chunks):
    """Of equal lengths; the third finds all episodes ended."""
    rollouts, (first, second, third) = chunks
    for chunk, rollout in zip((first, second, third), rollouts):
        assert chunk.reward.shape == [2, EPISODES, 3]
        same(chunk.start, rollout.memory)
        np.testing.assert_array_equal(chunk.observation[:, :, 0], rollout.observation)
    same(second.observation[:, :, 0], first.final_observation)
    np.testing.assert_array_equal(first.info["before"], np.broadcast_to([0, 1, 2], [2, 3, 3]))
    np.testing.assert_array_equal(second.info["before"], np.broadcast_to([3, 4, 5], [2, 3, 3]))
    assert first.mask.numpy().all() and second.mask.numpy().all()
    assert not third.mask.numpy().any() and not third.reward.numpy().any()
    same(third.final_observation, second.final_observation)
    assert [int(rollout.time) for rollout in rollouts] == [0, 3, 6, 9]
    assert rollouts[1].alive.numpy().all() and not rollouts[2].alive.numpy().any()


def test_a_chunk_is_lived_through_from_what_was_remembered_before_it(chunks):
    _, (first, second, _) = chunks
    for chunk in (first, second):
        again = losses.action_log_prob(POLICY, PARAMS, chunk)
        np.testing.assert_allclose(again, chunk.log_prob, rtol=1e-4, atol=1e-5)
    forgotten = losses.action_log_prob(POLICY, PARAMS, second._replace(start=()))
    assert np.abs(forgotten - second.log_prob)[:, :, 0].min() > 1e-4


def test_chunks_draw_numbers_of_their_own(slide, chunks):
    """Of actions and of the environment."""
    _, (first, second, _) = chunks
    drawn, moved = [], []
    for chunk in (first, second):
        mean = tf.reshape(POLICY.unroll(PARAMS, chunk).mean(), chunk.action.shape)
        drawn.append((chunk.action - mean).numpy().ravel())
        seen = tf.concat([chunk.observation, chunk.final_observation[:, :, None]], axis=2)
        moved.append((seen[:, :, 1:] - seen[:, :, :-1] - 0.1 * chunk.action).numpy().ravel())
    for numbers in (drawn, moved):
        assert np.abs(np.subtract.outer(*numbers)).min() > 1e-6


def test_an_episode_has_one_draw_of_its_own(slide, whole, chunks):
    """That stays through its chunks, and hangs on nothing but its key."""
    epsilon = whole.episode_noise["epsilon"].numpy()
    assert epsilon.shape == (2, EPISODES) and len(np.unique(epsilon)) == 2 * EPISODES
    for chunk in chunks[1]:
        np.testing.assert_array_equal(chunk.episode_noise["epsilon"], epsilon)
    row = lambda x: x[:1]
    alone = sampling.sample(
        POLICY, slide, nest.map(row, PARAMS), nest.map(row, TASK), 2, keys.from_int(4)
    )
    np.testing.assert_allclose(alone.episode_noise["epsilon"], epsilon[:1, :2], rtol=1e-6)


def test_losses_are_differentiable_in_what_makes_a_latent_of_the_draw(whole):
    with tf.GradientTape() as tape:
        tape.watch(PARAMS["weights"])
        total = tf.reduce_sum(losses.action_log_prob(POLICY, PARAMS, whole))
    slope = tape.gradient(total, PARAMS["weights"]).numpy()
    assert np.all(slope[:, 3:] != 0)


def test_a_policy_sees_what_came_of_its_actions(whole):
    again = losses.action_log_prob(POLICY, PARAMS, whole)
    np.testing.assert_allclose(again, whole.log_prob, rtol=1e-4, atol=1e-5)
    for other in (
        whole._replace(reward=whole.reward + 1),
        whole._replace(action=whole.action[:, :, ::-1]),
    ):
        found = POLICY.unroll(PARAMS, other).mean()
        first, *later = np.moveaxis(np.abs(found - POLICY.unroll(PARAMS, whole).mean()), 1, 0)
        assert np.all(first == 0) and np.max(later) > 1e-2


class Ends(Slide):
    """A slide that terminates right of 0.1, and counts its steps where it runs in Python."""

    def __init__(self, supports_xla):
        super().__init__()
        self.supports_xla = supports_xla
        self.steps = 0

    def step(self, task, state, action, noise):
        self.steps += 1
        position = state + 1 + 0 * action
        distance = tf.abs(position[..., 0] - task["goal"][:, None])
        return position, position, -distance, position[..., 0] > 1.6 + task["goal"][:, None]


def test_families_in_python_stop_when_all_episodes_have_ended():
    """With what a loop over all steps would give, but for actions that nobody takes."""
    families = [Ends(supports_xla) for supports_xla in (True, False)]
    full, early = (
        sampling.sample(POLICY, family, PARAMS, TASK, EPISODES, keys.from_int(4))
        for family in families
    )
    longest = int(full.mask.numpy().sum(axis=-1).max())
    assert [family.steps for family in families] == [6, longest] and longest < 6
    valid = full.mask.numpy() > 0
    assert valid.sum(axis=-1).min() < longest  # they don't end together
    for name in ("observation", "reward", "mask", "terminated", "final_observation"):
        np.testing.assert_array_equal(getattr(full, name), getattr(early, name), err_msg=name)
    for name in ("action", "log_prob"):
        left, right = (getattr(each, name).numpy()[valid] for each in (full, early))
        np.testing.assert_array_equal(left, right, err_msg=name)
    same(full.episode_noise, early.episode_noise)
