"""A batch of differently adapted policies in TF-Agents' drivers, buffers, metrics and exports."""

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.drivers import dynamic_episode_driver
from tf_agents.metrics import tf_metrics
from tf_agents.policies import policy_saver, py_tf_eager_policy
from tf_agents.replay_buffers import tf_uniform_replay_buffer
from tf_agents.trajectories import time_step as ts
from tf_agents.trajectories import trajectory
from tf_agents.utils import common

from tests.recall import Recall
from tfcaml import keys, learners, losses, nest
from tfcaml.agents import AdaptedPolicy
from tfcaml.agents.trajectories import from_tf_agents
from tfcaml.environments.tf_agents import FamilyTFEnvironment
from tfcaml.errors import ConfigError


@pytest.fixture(scope="module")
def environment(particle, population):
    """Three entities, a row each."""
    return FamilyTFEnvironment(particle, nest.take(population.train, [0, 7, 20]), 1)


@pytest.fixture(scope="module")
def adapted(environment, policy):
    return AdaptedPolicy(
        environment.time_step_spec(), policy, policy.init(0), emit_log_probability=True
    )


@pytest.fixture(scope="module")
def gaussian(slide, gaussian_policy):
    spec = ts.time_step_spec(slide.observation_spec)
    return AdaptedPolicy(spec, gaussian_policy, gaussian_policy.init(0), emit_log_probability=True)


@pytest.fixture(scope="module")
def different(gaussian, gaussian_policy):
    """Three different sets of weights and what each is shown."""
    params = nest.map(lambda x: 2 * x, nest.stack([gaussian_policy.init(i) for i in range(3)]))
    return params, ts.restart(tf.constant([[0.3], [-0.2], [0.7]]), batch_size=3)


def rows_of(state, rows):
    return nest.map(lambda x: tf.gather(x, rows), state)


@pytest.mark.parametrize("wrapped", [False, True], ids=["plain", "common.function"])
def test_each_row_acts_by_its_own_weights_of_this_call(
    environment, adapted, constant_action, wrapped
):
    buffer = tf_uniform_replay_buffer.TFUniformReplayBuffer(
        adapted.collect_data_spec, batch_size=3, max_length=50
    )
    mean_return = tf_metrics.AverageReturnMetric(batch_size=3)
    driver = dynamic_episode_driver.DynamicEpisodeDriver(
        environment, adapted, [buffer.add_batch, mean_return], num_episodes=3
    )
    run = common.function(driver.run) if wrapped else driver.run
    for actions in ([0, 1, 3], [2, 2, 0]):
        buffer.clear()
        run(policy_state=adapted.state_of(constant_action(actions)))
        taken = buffer.gather_all().action.numpy()
        assert taken.shape[0] == 3 and taken.shape[1] >= 10
        np.testing.assert_array_equal(
            taken, np.repeat(np.array(actions)[:, None], taken.shape[1], 1)
        )
    assert mean_return.result() < 0


def test_distribution_and_log_probability_are_each_policy_s_own(
    gaussian, gaussian_policy, different
):
    params, time_step = different
    state = gaussian.state_of(params)
    found = gaussian.distribution(time_step, state).action
    step = gaussian.action(time_step, state)
    for row in range(3):
        alone = gaussian_policy(rows_of(params, [row]), time_step.observation[row][None, None])
        np.testing.assert_allclose(found.mean()[row], alone.mean()[0, 0], rtol=1e-6)
        np.testing.assert_allclose(
            step.info.log_probability[row], alone.log_prob(step.action[row])[0, 0], rtol=1e-5
        )
    assert len(np.unique(found.mean())) == 3
    greedy = AdaptedPolicy(gaussian.time_step_spec, gaussian_policy, params, greedy=True)
    np.testing.assert_array_equal(greedy.action(time_step, state).action, found.mean())


def test_actions_follow_from_seeds_and_not_from_the_rest_of_the_batch(gaussian, different):
    params, time_step = different
    state = gaussian.state_of(params, seed=5)
    first = gaussian.action(time_step, state)
    again = gaussian.action(time_step, state)
    np.testing.assert_array_equal(first.action, again.action)
    later = gaussian.action(time_step, first.state)
    other = gaussian.action(time_step, gaussian.state_of(params, seed=6))
    given = gaussian.action(time_step, state, seed=keys.from_int(5))
    for one in (later, other, given):
        assert np.all(np.abs(first.action - one.action) > 1e-6)
    fewer = rows_of(time_step, [0, 1])
    for seed in (None, 5):
        whole = gaussian.action(time_step, state, seed)
        part = gaussian.action(fewer, rows_of(state, [0, 1]), seed)
        np.testing.assert_allclose(part.action, whole.action[:2], rtol=1e-6)


def test_seeds_are_integers_of_any_kind_but_not_negative(gaussian, different):
    params, _ = different
    expected = gaussian.state_of(params, seed=5)["key"]
    for seed in (np.int64(5), np.uint8(5), keys.from_int(5), keys.from_int(5).numpy()):
        np.testing.assert_array_equal(gaussian.state_of(params, seed)["key"], expected)
    for seed in (-1, np.int64(-1), 0.5, [1.0, 2.0], [1, 2, 3]):
        with pytest.raises(
            ConfigError, match=r"seed to be an integer >= 0, or two int32; received"
        ):
            gaussian.state_of(params, seed)


def test_actions_are_drawn_from_the_distribution(gaussian, gaussian_policy):
    params = nest.repeat(gaussian_policy.init(1), 500)
    time_step = ts.restart(tf.fill([500, 1], 0.4), batch_size=500)
    state, actions = gaussian.state_of(params), []
    for _ in range(2):
        step = gaussian.action(time_step, state)
        state = step.state
        actions.append(step.action.numpy())
    distribution = gaussian.distribution(time_step, state).action
    scaled = np.concatenate(actions).ravel() - distribution.mean().numpy()[0]
    scaled /= distribution.stddev().numpy()[0]
    assert abs(scaled.mean()) < 4 / np.sqrt(1000)
    assert abs(scaled.std() - 1) < 0.1


def test_start_weights_may_be_variables(gaussian, gaussian_policy, different):
    variables = nest.map(tf.Variable, gaussian_policy.init(0))
    policy = AdaptedPolicy(gaussian.time_step_spec, gaussian_policy, variables)
    start = common.function(policy.get_initial_state)
    for seed in (1, 2):
        nest.assign(variables, gaussian_policy.init(seed))
        kernel = start(batch_size=2)["params"][0]
        np.testing.assert_array_equal(kernel[1], gaussian_policy.init(seed)[0])
    assert len(policy.variables()) == len(variables)


@pytest.fixture(scope="module")
def recalled(slide):
    """(policy, weights, three episodes of two rows as TF-Agents' trajectories [T, B, ...])."""
    task = {"goal": tf.constant([0.0, 1.0])}
    environment = FamilyTFEnvironment(slide, task, num_episodes=1)
    recall = Recall()
    params = nest.stack([recall.init(1), recall.init(2)])
    policy = AdaptedPolicy(
        environment.time_step_spec(), recall, recall.init(0), emit_log_probability=True
    )
    step = common.function(lambda time_step, state: policy.action(time_step, state))
    state, time_step, found = policy.state_of(params, seed=3), environment.reset(), []
    for _ in range(3 * (slide.horizon + 1)):
        taken = step(time_step, state)
        following = environment.step(taken.action)
        found.append(trajectory.from_transition(time_step, taken, following))
        time_step, state = following, taken.state
    np.testing.assert_array_equal(state["params"]["weights"], params["weights"])
    return recall, params, nest.stack(found)


def test_episodes_are_lived_through_as_in_a_rollout(slide, recalled):
    """What a policy remembers, what it learns from rewards, what it draws once per episode."""
    recall, params, played = recalled
    episodes = tf.nest.map_structure(
        lambda x: tf.transpose(
            tf.reshape(x, [3, slide.horizon + 1, *x.shape[1:]]),
            [2, 0, 1, *range(3, x.shape.rank + 1)],
        ),
        played,
    )  # [N, E, T + 1, ...]
    found = from_tf_agents(episodes, episodes.policy_info["log_probability"])
    np.testing.assert_array_equal(tf.reduce_sum(found.mask, -1), slide.horizon)
    valid = lambda x: x[:, :, :-1]
    again = losses.action_log_prob(recall, params, found)
    np.testing.assert_allclose(valid(again), valid(found.log_prob), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(valid(found.info["before"])[0, 1], range(slide.horizon))
    noise = found.episode_noise["epsilon"].numpy()
    assert noise.shape == (2, 3) and len(np.unique(noise)) == 6
    one_noise = found._replace(episode_noise={"epsilon": found.episode_noise["epsilon"][:, ::-1]})
    other = losses.action_log_prob(recall, params, one_noise)
    assert np.abs(other - again)[:, [0, 2], :-1].max() > 1e-2
    no_rewards = found._replace(reward=0 * found.reward)
    other = losses.action_log_prob(recall, params, no_rewards)
    np.testing.assert_array_equal(other[:, :, 0], again[:, :, 0])
    assert np.abs(other - again)[:, :, 1:-1].max() > 1e-2


@pytest.mark.parametrize("cls", [learners.ANIL, learners.CAVIA])
def test_of_a_learner_acts_as_new_tasks_start_and_as_they_are_adapted(cls, slide):
    learner = cls(slide, cls.make_policy(slide, cls.Config(), (4,)))
    policy = AdaptedPolicy.of(learner)
    assert {x.ref() for x in policy.variables()} == {x.ref() for x in learner.meta.variables}
    time_step = ts.restart(tf.constant([[0.3], [-0.2]]), batch_size=2)
    mean = lambda state: policy.distribution(time_step, state).action.mean().numpy()
    meta, fast = learner.meta.read(), learner.start(learner.meta.read(), 2)
    acting = lambda fast: learner.acting(learner.meta.read(), fast)
    expected = lambda fast: learner.policy(acting(fast), time_step.observation[:, None]).mean()
    first = mean(policy.get_initial_state(2))
    np.testing.assert_allclose(first, expected(fast)[:, 0], rtol=1e-6)
    rows = tf.constant([1.0, 2.0])
    moved = fast._replace(params=nest.map(lambda x: x + nest.expand(rows, x), fast.params))
    adapted = mean(policy.state_of(acting(moved)))
    np.testing.assert_allclose(adapted, expected(moved)[:, 0], rtol=1e-6)
    assert np.abs(adapted - first).min() > 1e-3
    learner.meta.write(nest.map(lambda x: x + 1, meta))
    again = expected(learner.start(learner.meta.read(), 2))
    np.testing.assert_allclose(mean(policy.get_initial_state(2)), again[:, 0], rtol=1e-6)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Encoding a StructuredValue")  # TF-Agents saves distributions
def test_policy_saver_and_back(gaussian, different, tmp_path):
    policy_saver.PolicySaver(gaussian, batch_size=None).save(str(tmp_path))
    loaded = py_tf_eager_policy.SavedModelPyTFEagerPolicy(
        str(tmp_path), load_specs_from_pbtxt=True, batch_time_steps=False
    )
    params, time_step = different
    state = gaussian.state_of(params)
    np.testing.assert_allclose(
        loaded.action(time_step, state).action, gaussian.action(time_step, state).action, rtol=1e-6
    )
    start = nest.map(lambda x: x.numpy(), gaussian.get_initial_state(2))
    for found, expected in zip(
        tf.nest.flatten(loaded.get_initial_state(2)), tf.nest.flatten(start), strict=True
    ):
        np.testing.assert_array_equal(found, expected)
