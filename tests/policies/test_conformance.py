"""What holds for a policy of every kind of network."""

import numpy as np
import scipy.stats
import tensorflow as tf

from tfcaml import keys, nest


def test_two_sets_of_weights_give_two_answers(case):
    """Also in one function: the trap of a network that keeps the weights it was traced with."""
    first, second = case.params, case.draw(1)
    a, b = case.log_probs(first, second, case.trajectory)
    assert np.abs(a - b).max() > 1e-2
    swapped = case.log_probs(second, first, case.trajectory)
    np.testing.assert_allclose(swapped, [b, a], rtol=1e-4, atol=1e-5)


def test_rollout_and_trajectory_agree_on_log_probs(case):
    """One with memory remembers the same when it lives through the episodes again."""
    trajectory = case.trajectory
    assert trajectory.mask.numpy().min() == 0 and np.isfinite(trajectory.log_prob).all()
    again = case.log_probs(case.params, case.params, trajectory)[0]
    valid = trajectory.mask  # after an episode's end the memory stands still in a rollout
    np.testing.assert_allclose(again * valid, trajectory.log_prob * valid, rtol=1e-4, atol=1e-4)


def test_tasks_as_a_batch_are_tasks_in_a_loop(case):
    """Against the bare network, which runs over time by itself if it has a memory."""
    policy, trajectory = case.policy, case.trajectory
    for task in range(2):
        observation, action = nest.map(
            lambda x: x[task], (trajectory.observation, trajectory.action)
        )
        if not policy.has_memory:
            flat = lambda x: tf.reshape(x, [-1, *x.shape[2:]])
            observation, action = nest.map(flat, (observation, action))
        shape = nest.shape(action)[: 1 + policy.has_memory]
        distribution, _ = policy.functional(
            nest.map(lambda x: x[task], case.params),
            observation,
            step_type=tf.ones(shape, tf.int32),
            network_state=policy.network.get_initial_state(shape[0]),
        )
        expected = tf.reshape(distribution.log_prob(action), trajectory.log_prob.shape[1:])
        actual, valid = trajectory.log_prob[task], trajectory.mask[task]
        np.testing.assert_allclose(actual * valid, expected * valid, rtol=1e-4, atol=1e-4)


def test_samples_follow_the_distribution(case):
    """At one state of each task; continuous ones against TensorFlow Probability's samples."""
    policy, num = case.policy, 1500
    key = keys.per_episode(keys.from_int(3), 2, 1)
    start = nest.map(lambda x: tf.repeat(x[:, :1, 0], num, axis=1), case.trajectory.observation)
    distribution, _ = policy.act(case.params, start, policy.initial_memory(case.params, num))
    action = policy.sample(distribution, policy.noise(key, num)[:, 0])
    assert action.shape == [2, num, *policy.action_spec.shape]
    assert action.dtype == policy.action_spec.dtype
    for task in range(2):
        if policy.num_actions:
            expected = distribution.probs_parameter()[task, 0].numpy().astype(float)
            counts = np.bincount(action[task], minlength=3)
            test = scipy.stats.chisquare(counts, num * expected / expected.sum())
            assert test.pvalue > 1e-3
            continue
        samples = (action, distribution.sample(seed=5))
        for x, y in zip(*(np.reshape(x[task], [num, -1]).T for x in samples)):
            assert scipy.stats.ks_2samp(x, y).pvalue > 1e-3


def test_memory_is_what_makes_episodes_differ_from_states(case):
    policy, observation = case.policy, case.trajectory.observation
    backwards = nest.map(lambda x: tf.reverse(x, [2]), observation)
    trajectory = case.trajectory._replace(action=0 * case.trajectory.action)
    score = lambda seen: case.log_probs(
        case.params, case.params, trajectory._replace(observation=seen)
    )[0].numpy()
    difference = np.abs(score(observation) - score(backwards)[:, :, ::-1]).max()
    assert difference > 1e-2 if policy.has_memory else difference < 1e-4
