import numpy as np
import pytest
import tensorflow as tf

import tfcaml
from tfcaml import keys, losses, nest
from tfcaml.rollouts import sampling
from tfcaml.types import FastState, Trajectory, episode_return

SEED = keys.from_int(7)


def rows(values, *index):
    return nest.map(lambda x: x[index], values)


def assert_same(actual, expected, tolerance=1e-5):
    """Equal trajectories; actions exactly where they are integers."""
    for name, a, e in zip(Trajectory._fields, actual, expected):
        np.testing.assert_allclose(a, e, rtol=tolerance, atol=tolerance, err_msg=name)


def test_shapes(rollouts):
    trajectory = rollouts[2]
    shapes = {name: tuple(x.shape) for name, x in zip(Trajectory._fields[:7], trajectory)}
    assert shapes == {
        "observation": (5, 3, 10, 2),
        "action": (5, 3, 10),
        "reward": (5, 3, 10),
        "mask": (5, 3, 10),
        "log_prob": (5, 3, 10),
        "terminated": (5, 3, 10),
        "final_observation": (5, 3, 2),
    }
    assert trajectory[7:] == ((), (), ())  # a policy without memory draws nothing once
    assert trajectory.action.dtype == tf.int32
    np.testing.assert_array_equal(trajectory.observation[:, :, 0], 0)  # the start


@pytest.fixture(scope="module")
def slide_rollout(slide, gaussian_policy):
    params = nest.stack([gaussian_policy.init(seed) for seed in range(3)])
    task = {"goal": tf.constant([0.0, 1.0, 2.0])}
    return params, task, sampling.sample(gaussian_policy, slide, params, task, 4, SEED)


def test_shapes_with_continuous_actions(slide_rollout):
    trajectory = slide_rollout[2]
    assert trajectory.observation.shape == [3, 4, 6, 1]
    assert trajectory.action.shape == [3, 4, 6, 1]
    assert trajectory.final_observation.shape == [3, 4, 1]


def test_rollout_obeys_the_environment(slide, slide_rollout):
    """Positions follow from actions up to the noise, rewards from positions."""
    _, task, trajectory = slide_rollout
    position = tf.concat([trajectory.observation, trajectory.final_observation[:, :, None]], 2)
    noise = (position[:, :, 1:] - position[:, :, :-1] - 0.1 * trajectory.action) / 0.01 + 0.5
    assert noise.numpy().min() >= -1e-3 and noise.numpy().max() <= 1 + 1e-3
    assert np.std(noise) > 0.2
    distance = np.abs(position[:, :, 1:, 0] - task["goal"][:, None, None])
    np.testing.assert_allclose(trajectory.reward, -distance, rtol=1e-5)
    starts = np.ravel(trajectory.observation[:, :, 0])
    assert len(np.unique(starts)) == 12 and np.abs(starts).max() <= 0.5


def test_numbers_of_a_task_do_not_depend_on_its_company(rollouts, sample):
    params, task, trajectory = rollouts
    alone = sample(rows(params, slice(1)), rows(task, slice(1)), 3, keys.from_int(0))
    assert_same(alone, rows(trajectory, slice(1)))
    three = sample(rows(params, slice(3)), rows(task, slice(3)), 3, keys.from_int(0))
    assert_same(three, rows(trajectory, slice(3)))
    fewer_episodes = sample(rows(params, slice(1)), rows(task, slice(1)), 2, keys.from_int(0))
    assert_same(fewer_episodes, rows(trajectory, slice(1), slice(2)))


def test_numbers_of_noisy_tasks_do_not_depend_on_their_company(
    slide, gaussian_policy, slide_rollout
):
    params, task, trajectory = slide_rollout
    few = sampling.sample(
        gaussian_policy, slide, rows(params, slice(2)), rows(task, slice(2)), 3, SEED
    )
    assert_same(few, rows(trajectory, slice(2), slice(3)))


def test_same_seed_same_episodes(rollouts, sample):
    params, task, trajectory = rollouts
    assert_same(sample(params, task, 3, keys.from_int(0)), trajectory, 0)
    other = sample(params, task, 3, keys.from_int(1))
    assert (other.action.numpy() != trajectory.action.numpy()).mean() > 0.2


def test_tasks_episodes_and_steps_have_numbers_of_their_own(policy, population, sample):
    """One policy in one entity: no two rows are the same."""
    params = nest.repeat(policy.init(0), 3)
    task = nest.map(lambda x: tf.repeat(x[:1], 3, axis=0), population.train)
    action = sample(params, task, 4, SEED).action.numpy().reshape(12, 10)
    assert len({tuple(row) for row in action}) == 12
    assert len({tuple(column) for column in action.T}) == 10


def test_the_global_random_stream_has_no_influence(rollouts, sample):
    params, task, trajectory = rollouts
    tf.random.set_seed(12345)
    assert_same(sample(params, task, 3, keys.from_int(0)), trajectory, 0)


def test_compiled_is_eager(rollouts, policy, population, sample):
    config = tfcaml.environments.ParticleConfig(horizon=3)
    particle = tfcaml.environments.Particle(config)
    params, task, _ = rollouts
    call = lambda key: sampling.sample(policy, particle, params, task, 2, key)
    assert_same(call(SEED), tf.function(call, autograph=False)(SEED))


def test_log_prob_is_that_of_the_policy(rollouts, policy, slide_rollout, gaussian_policy):
    for acting, (params, _, trajectory) in (
        (policy, rollouts),
        (gaussian_policy, slide_rollout),
    ):
        expected = losses.action_log_prob(acting, params, trajectory)
        np.testing.assert_allclose(trajectory.log_prob, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_actions_come_in_the_policy_s_proportions(policy, particle, population):
    """Chi-square of the first action of many episodes."""
    first = tfcaml.environments.Particle(tfcaml.environments.ParticleConfig(horizon=1))
    params = nest.map(lambda x: x + 0.3, nest.repeat(policy.init(0), 1))
    params = (*params[:-1], tf.constant([[0.0, 1.0, -1.0, 0.5]]))
    task = nest.map(lambda x: x[:1], population.train)
    trajectory = sampling.sample(policy, first, params, task, 4000, SEED)
    counts = np.bincount(np.ravel(trajectory.action), minlength=4)
    probability = policy(params, tf.zeros([1, 1, 2])).probs_parameter().numpy()[0, 0]
    expected = 4000 * probability
    assert ((counts - expected) ** 2 / expected).sum() < 16.3  # 0.1 % quantile, 3 degrees


@pytest.mark.slow
def test_continuous_actions_have_the_policy_s_moments(slide, gaussian_policy):
    params = nest.repeat(gaussian_policy.init(0), 1)
    task = {"goal": tf.zeros([1])}
    trajectory = sampling.sample(gaussian_policy, slide, params, task, 800, SEED)
    flat = tf.reshape(trajectory.observation, [1, -1, 1])
    distribution = gaussian_policy(params, flat)
    z = (tf.reshape(trajectory.action, [1, -1, 1]) - distribution.mean()) / distribution.stddev()
    np.testing.assert_allclose([np.mean(z), np.std(z)], [0, 1], atol=0.05)


def test_no_gradient_leaves_a_rollout(slide, gaussian_policy, slide_rollout):
    """Although actions, rewards and log-probabilities are smooth functions of the weights."""
    params, task, _ = slide_rollout

    def gradients(params):
        with tf.GradientTape() as tape:
            tape.watch([params, task])
            trajectory = sampling.sample(gaussian_policy, slide, params, task, 2, SEED)
            total = sum(tf.reduce_sum(x) for x in trajectory)
        return tape.gradient(total, [*params, task["goal"]])

    assert all(gradient is None for gradient in gradients(params))
    found = []
    tf.function(lambda p: found.extend(gradients(p)), autograph=False)(params)
    assert len(found) == len(params) + 1 and all(gradient is None for gradient in found)


@pytest.fixture(scope="module")
def short_episodes(policy, population, constant_action):
    """Particles that end 1.2 from the goal, some of which get there."""
    config = tfcaml.environments.ParticleConfig(horizon=10, termination_radius=1.2)
    particle = tfcaml.environments.Particle(config)
    task = nest.map(lambda x: x[::6], population.train)
    params = nest.repeat(policy.init(0), 4)
    params = (*params[:-1], 4 * tf.one_hot([0, 1, 2, 3], 4))
    call = lambda p, t: sampling.sample(policy, particle, p, t, 8, SEED)
    return task, tf.function(call, autograph=False)(params, task)


def test_episodes_end_where_a_replay_ends(short_episodes):
    task, trajectory = short_episodes
    endings = []
    for i, displacement in enumerate(task["displacement"].numpy()):
        for e in range(8):
            episode = rows(trajectory, i, e)
            position, alive = np.zeros(2), True
            for t in range(10):
                assert episode.mask[t] == alive
                np.testing.assert_allclose(episode.observation[t], position, atol=1e-5)
                if not alive:
                    assert episode.reward[t] == 0 and episode.terminated[t] == 0
                    continue
                position = np.clip(position + 0.1 * displacement[episode.action[t]], -2, 2)
                squared = ((position - 1) ** 2).sum()
                np.testing.assert_allclose(episode.reward[t], -squared, rtol=1e-4)
                alive = squared > 1.2**2
                assert episode.terminated[t] == (not alive)
            np.testing.assert_allclose(episode.final_observation, position, atol=1e-5)
            endings.append(alive)
    assert 0 < sum(endings) < len(endings)  # both kinds occur


def test_episode_return_counts_living_steps(short_episodes):
    _, trajectory = short_episodes
    spoiled = trajectory._replace(reward=trajectory.reward - 1e6 * (1 - trajectory.mask))
    np.testing.assert_allclose(
        episode_return(spoiled), np.sum(trajectory.reward, axis=-1), rtol=1e-5
    )


def test_values_are_nests(rollouts):
    """What flows through tfcaml passes through `tf.function` and `tf.nest`."""
    params, _, trajectory = rollouts
    batch = {"fast": FastState(params, ()), "query": trajectory}
    halved = tf.function(lambda b: nest.map(lambda x: x[:2], b), autograph=False)(batch)
    assert isinstance(halved["fast"], FastState) and isinstance(halved["query"], Trajectory)
    assert nest.leading(halved) == 2
