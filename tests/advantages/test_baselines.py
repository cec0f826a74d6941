import numpy as np
import pytest
import tensorflow as tf

from tests.by_hand import Softmax
from tests.recall import Recall
from tfcaml import keys, nest
from tfcaml.advantages import baselines, returns
from tfcaml.errors import ConfigError
from tfcaml.rollouts import sampling
from tfcaml.types import Trajectory


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


def test_advantage_is_a_constant(random_trajectory):
    trajectory = random_trajectory(seed=7)
    with tf.GradientTape() as tape:
        tape.watch(trajectory.reward)
        value = baselines.advantage(trajectory, 0.99, "reward_to_go", "batch_mean", True)
    assert tape.gradient(value, trajectory.reward) is None


def test_linear_features_are_fitted_per_task_by_ridge_regression(random_trajectory):
    trajectory = random_trajectory(seed=6, shape=(2, 20, 30))
    trajectory = trajectory._replace(observation=8 * trajectory.observation)  # some are clipped
    value, mask = value_loop(trajectory, 0.9, "reward_to_go"), trajectory.mask.numpy() > 0
    actual = baselines.linear_feature(
        tf.constant(value, tf.float32), trajectory.mask, trajectory.observation
    )
    for i in range(2):
        o = np.clip(trajectory.observation[i].numpy()[mask[i]].astype(np.float64), -10, 10)
        tau = np.broadcast_to(np.arange(30) / 100, mask[i].shape)[mask[i]][:, None]
        x = np.concatenate([o, o**2, tau, tau**2, tau**3, np.ones_like(tau)], axis=1)
        weight = np.linalg.solve(x.T @ x + 1e-5 * np.eye(8), x.T @ value[i][mask[i]])
        np.testing.assert_allclose(actual[i].numpy()[mask[i]], x @ weight, rtol=1e-4, atol=1e-4)


def test_linear_features_survive_a_policy_that_stands_still(random_trajectory):
    trajectory = random_trajectory(seed=7, shape=(2, 20, 30))
    trajectory = trajectory._replace(observation=tf.zeros_like(trajectory.observation))
    actual = baselines.advantage(trajectory, 0.99, "reward_to_go", "linear_feature", True)
    assert np.isfinite(actual).all()


@pytest.mark.parametrize("gae_lambda", [0.9, 1.0])
def test_advantages_over_linear_features_are_standardised(random_trajectory, gae_lambda):
    trajectory = random_trajectory(seed=8, shape=(2, 20, 30))
    actual = baselines.advantage(
        trajectory, 0.99, "reward_to_go", "linear_feature", True, gae_lambda
    )
    for i in range(2):
        living = actual[i].numpy()[trajectory.mask[i].numpy() > 0]
        np.testing.assert_allclose([living.mean(), living.std()], [0, 1], atol=1e-4)


def test_reward_credit_sums_to_centred_returns(random_trajectory):
    trajectory = random_trajectory(seed=9, shape=(2, 20, 6))
    credit = baselines.reward_credit(trajectory, 0.9, False).numpy()
    assert np.abs(credit.mean(axis=1)).max() < 1e-6
    total = value_loop(trajectory, 0.9, "whole_return")[..., 0]
    expected = total - total.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(credit.sum(axis=2), expected, atol=1e-4)
    scaled = baselines.reward_credit(trajectory, 0.9, True).numpy()
    ratio = credit / scaled  # one number per task
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[:, :1, :1], ratio.shape), rtol=1e-3)


@pytest.mark.parametrize("gae_lambda", [0.9, 1.0])
def test_nothing_is_bootstrapped_where_an_episode_ends_or_is_cut(random_trajectory, gae_lambda):
    """The last living step's advantage is its reward less its baseline, either way."""
    ended = random_trajectory(0)
    cut = ended._replace(terminated=tf.zeros_like(ended.terminated))
    far = cut._replace(final_observation=100 + cut.final_observation)
    actual, *others = (
        baselines.advantage(x, 0.9, "reward_to_go", "time_step_mean", False, gae_lambda)
        for x in (ended, cut, far)
    )
    for other in others:
        np.testing.assert_array_equal(other, actual)
    mask = ended.mask.numpy()
    last = mask * (np.cumsum(mask, axis=-1) == mask.sum(axis=-1, keepdims=True))
    to_go = returns.reward_to_go(ended.reward, 0.9)
    expected = ended.reward - baselines.time_step_mean(to_go, ended.mask)
    np.testing.assert_allclose(actual * last, expected * last, rtol=1e-5, atol=1e-6)


def constant_episodes(num_episodes, steps, reward):
    ones = tf.ones([1, num_episodes, steps])
    return Trajectory(
        observation=tf.zeros([1, num_episodes, steps, 1]),
        action=ones,
        reward=tf.constant(reward, tf.float32) * ones,
        mask=ones,
        log_prob=ones,
        terminated=0 * ones,
        final_observation=tf.zeros([1, num_episodes, 1]),
    )


@pytest.mark.parametrize("reward", [1.0, -0.3, 1e-9, 12345.678, 1e19, 3e38])
@pytest.mark.parametrize("steps", [10, 200, 2000])
def test_equal_episodes_have_no_advantage(steps, reward):
    """Rounding error is not standardised to advantages of full size."""
    for num_episodes in (2, 3, 10, 20, 64):
        trajectory = constant_episodes(num_episodes, steps, reward)
        for discount in (0.9, 0.99, 1.0):
            actual = baselines.advantage(
                trajectory, discount, "reward_to_go", "time_step_mean", True
            )
            assert np.abs(actual).max() < 1e-3, (num_episodes, discount)
            credit = baselines.reward_credit(trajectory, discount, True)
            assert np.abs(credit).max() < 1e-3, (num_episodes, discount)


def test_rewards_that_differ_by_rounding_only_have_small_advantages():
    """Relative noise of the last bit, as two runs of the same deterministic episode have it."""
    trajectory = constant_episodes(10, 200, 1.0)
    noise = np.random.default_rng(0).choice([0, 1.2e-7], trajectory.reward.shape)
    trajectory = trajectory._replace(reward=trajectory.reward * (1 + noise).astype(np.float32))
    actual = baselines.advantage(trajectory, 0.99, "reward_to_go", "time_step_mean", True)
    assert np.sqrt(np.mean(actual**2)) < 0.05


@pytest.mark.parametrize("offset, scale", [(1000, 1), (0, 1e-9), (0, 1e9), (-1000, 1), (0, 1e19)])
@pytest.mark.parametrize("baseline", ["batch_mean", "time_step_mean", "linear_feature"])
def test_advantages_of_shifted_and_scaled_rewards(random_trajectory, baseline, offset, scale):
    trajectory = random_trajectory(seed=11, shape=(2, 10, 100))
    reward = (trajectory.reward + offset) * scale * trajectory.mask
    trajectory = trajectory._replace(reward=reward)
    actual = baselines.advantage(trajectory, 0.99, "reward_to_go", baseline, True).numpy()
    exact = trajectory._replace(reward=tf.cast(reward, tf.float64))
    if baseline == "linear_feature":  # least squares in float64, by itself
        target = value_loop(exact, 0.99, "reward_to_go")
        mask = tf.cast(exact.mask, tf.float64)
        fit = baselines.linear_feature(tf.constant(target), mask, exact.observation)
        expected = target - fit.numpy()
    else:
        expected = advantage_loop(exact, 0.99, "reward_to_go", baseline, False)
    for i in range(2):
        valid = trajectory.mask[i].numpy() > 0
        correlation = np.corrcoef(actual[i][valid], expected[i][valid])[0, 1]
        assert correlation >= 0.9999, correlation
        np.testing.assert_allclose(np.std(actual[i][valid]), 1, rtol=1e-3)


def test_an_ended_episode_is_credited_for_what_the_others_go_on_to_earn():
    """Action 0 ends and earns 1.5; action 1 goes on and earns 2 at the next step."""
    zeros, ones = tf.zeros([1, 2, 2]), tf.ones([1, 2, 2])
    trajectory = Trajectory(
        observation=zeros[..., None],
        action=tf.constant([[[0, 0], [1, 0]]]),
        reward=tf.constant([[[1.5, 0.0], [0.0, 2.0]]]),
        mask=tf.constant([[[1.0, 0.0], [1.0, 1.0]]]),
        log_prob=ones,
        terminated=zeros,
        final_observation=tf.zeros([1, 2, 1]),
    )
    credit = baselines.reward_credit(trajectory, 1.0, False)
    np.testing.assert_allclose(credit, [[[0.75, -1.0], [-0.75, 1.0]]])
    scaled = baselines.reward_credit(trajectory, 1.0, True)
    # To go from the valid steps on: -0.25, 0.25 and 1.
    np.testing.assert_allclose(scaled, credit / np.sqrt((0.0625 + 0.0625 + 1) / 3), rtol=1e-6)


def test_linear_features_of_images_are_refused():
    baselines.check_baseline("linear_feature", {"a": tf.TensorSpec([250]), "b": tf.TensorSpec([])})
    image = tf.TensorSpec([20, 20, 3])
    baselines.check_baseline("time_step_mean", image)
    with pytest.raises(ConfigError, match="observations of 1200 numbers"):
        baselines.check_baseline("linear_feature", image)


def critic_loop(trajectory, value, final, discount, gae_lambda):
    """J. Schulman et al., ICLR 2016, with what followed the last step if the episode was cut."""
    reward, mask, ended = map(
        np.asarray, (trajectory.reward, trajectory.mask, trajectory.terminated)
    )
    result = np.zeros(reward.shape)
    for n, e in np.ndindex(reward.shape[:2]):
        length = int(mask[n, e].sum())
        cut = ended[n, e].sum() == 0
        following = [*value[n, e, 1:length], final[n, e] if cut else 0.0]
        advantage = 0.0
        for t in reversed(range(length)):
            delta = reward[n, e, t] + discount * following[t] - value[n, e, t]
            advantage = delta + discount * gae_lambda * advantage
            result[n, e, t] = advantage
    return result


@pytest.mark.parametrize("gae_lambda", [1.0, 0.7, 0.0])
def test_a_critic_stands_in_for_the_baseline_and_for_what_follows_a_cut(
    random_trajectory, gae_lambda
):
    """Episodes that terminated, were cut early, or reached the horizon."""
    trajectory = random_trajectory(5, dtype=np.float64)
    ended = trajectory.terminated.numpy()
    ended[:, ::2] = 0
    trajectory = trajectory._replace(terminated=tf.constant(ended))
    rng = np.random.default_rng(0)
    value, final = rng.normal(size=ended.shape), rng.normal(size=ended.shape[:2])
    critic = (tf.constant(value), tf.constant(final))

    def found(normalize=False, baseline="linear_feature"):
        settings = 0.9, "reward_to_go", baseline, normalize, gae_lambda
        return baselines.advantage(trajectory, *settings, critic=critic).numpy()

    expected = critic_loop(trajectory, value, final, 0.9, gae_lambda)
    np.testing.assert_allclose(found(), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(found(), found(baseline="none"))  # which is not asked
    valid = trajectory.mask.numpy() > 0
    for n, row in enumerate(found(normalize=True)):
        np.testing.assert_allclose(np.mean(row[valid[n]]), 0, atol=1e-12)
        np.testing.assert_allclose(np.std(row[valid[n]]), 1, rtol=1e-12)


def test_values_of_a_policy_bootstrap_where_an_episode_is_cut(slide):
    """`Policy.value` as `advantage` takes it: 2 o + (last reward)."""
    policy = Recall()
    task = {"goal": tf.constant([0.0, 1.0])}
    params = nest.stack([policy.init(0), policy.init(1)])
    played = sampling.sample(policy, slide, params, task, 3, keys.from_int(0))
    value, final = policy.value(params, played)
    seen = played.observation[..., 0].numpy()
    last = np.pad(played.reward[:, :, :-1], [[0, 0], [0, 0], [1, 0]])
    np.testing.assert_allclose(value, 2 * seen + last, rtol=1e-6)
    ends = 2 * played.final_observation[..., 0].numpy() + played.reward[:, :, -1].numpy()
    np.testing.assert_allclose(final, ends, rtol=1e-6)
    settings = 0.9, "reward_to_go", "none", False, 0.8
    found = baselines.advantage(played, *settings, critic=(value, final))
    expected = critic_loop(played, value.numpy(), final.numpy(), 0.9, 0.8)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(ConfigError, match="expected a policy with a critic; received Softmax"):
        Softmax().value(params, played)
