"""A learner as a TFAgent: the same numbers, TF-Agents' Learner, its checkpoints and its data."""

import shutil

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.drivers import dynamic_step_driver
from tf_agents.replay_buffers import tf_uniform_replay_buffer
from tf_agents.train import learner as tf_agents_learner
from tf_agents.trajectories import time_step as ts
from tf_agents.utils import common

from tests.places import Places
from tests.recall import Recall
from tfcaml import agents, learners, nest, training
from tfcaml.environments import Population
from tfcaml.environments.tf_agents import FamilyTFEnvironment
from tfcaml.errors import ConfigError

SIZES_OF = {
    "rl2": {"inner_updates": 0, "trials_per_task": 2, "units": 3},
    "maesn": {"num_training_tasks": 3, "outer": {"cg_iterations": 2}},
    "tesp": {"rate_bound": 1.0, "encoder_units": 3, "buffer_size": 4},
}
SETTINGS = {"meta_batch_size": 2, "episodes_per_update": 3, "outer": {"optimizer": "adam"}}


@pytest.fixture
def make_agent_of(particle, policy):
    """(learner class, **settings) -> `MetaAgent` of a fresh learner."""

    def make(cls=learners.MAML, **settings):
        return agents.MetaAgent(cls(particle, policy, cls.Config(**{**SETTINGS, **settings})))

    return make


def values(agent):
    learner = agent.learner
    return nest.ravel((learner.meta.read(), learner.state["outer_slots"].read()))[0].numpy()


@pytest.mark.slow
def test_learns_what_the_learner_would(make_agent_of, particle, policy, population):
    agent = make_agent_of(learners.MetaSGD, inner_updates=2)
    alone = learners.MetaSGD(particle, policy, agent.learner.config)
    train = common.function(agent.train)
    for step in range(2):
        info = train(agent.experience(population, seed=5))
        metrics = training.train_iteration(alone, population, seed=5)
        np.testing.assert_allclose(info.loss, metrics["loss_before"], rtol=1e-4, atol=1e-6)
        assert int(agent.train_step_counter) == int(agent.learner.iteration) == step + 1
    assert info.extra.keys() == metrics.keys() - {"bad_update"}  # a graph takes nothing back
    expected = nest.ravel((alone.meta.read(), alone.state["outer_slots"].read()))[0]
    np.testing.assert_allclose(values(agent), expected, rtol=1e-4, atol=1e-6)


class Numbered(learners.MAML):
    """Keeps a shift of the weights for each training task, and starts on new ones at random."""

    starts_at_random = True

    def init(self, seed):
        return {**super().init(seed), "shift": tf.constant([0.0, 0.1, -0.1])}

    def start(self, meta, num_tasks, key=()):
        drawn = tf.random.stateless_uniform([num_tasks, 1], key[0])
        return self._started(meta, num_tasks, drawn)

    def resume(self, meta, num_tasks, index, key=()):
        drawn = tf.random.stateless_uniform([num_tasks, 1], key[0])
        return self._started(meta, num_tasks, drawn + tf.gather(meta["shift"], index)[:, None])

    def _started(self, meta, num_tasks, drawn):
        return super().start(meta, num_tasks)._replace(memory={"drawn": drawn})

    def acting(self, meta, fast):
        return {"weights": fast.params["weights"] + fast.memory["drawn"]}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["anil", "cavia", "gru", "maesn", "numbered", "rl2", "tesp"])
def test_learns_what_any_learner_of_any_policy_would(kind, slide, gaussian_policy, gru_policy):
    """Memory, draws of an episode, starts of their own, and what acts is not what is adapted."""
    cls, policy = {
        "anil": (learners.ANIL, gaussian_policy),
        "cavia": (learners.CAVIA, None),
        "gru": (learners.MAML, gru_policy),
        "maesn": (learners.MAESN, None),
        "numbered": (Numbered, Recall()),
        "rl2": (learners.RL2, None),
        "tesp": (learners.TESP, None),
    }[kind]
    own = SIZES_OF.get(kind, {})
    if kind not in ("maesn", "rl2"):
        own = {**own, "inner_learning_rate": 0.1}
    config = cls.Config(**{**SETTINGS, **own})
    learner, alone = cls(slide, policy, config), cls(slide, policy, config)
    agent = agents.MetaAgent(learner)
    goals = lambda *values: {"goal": tf.constant(values)}
    population = Population(goals(0.0, 1.0, 2.0), goals(3.0), np.zeros(3, int), np.zeros(1, int))
    data = agent.experience(population, seed=5)
    tf.nest.assert_same_structure(data, agent.training_data_spec)
    more = {"numbered": {"index", "key"}, "maesn": {"index"}}
    assert set(data) - {"support", "query"} == more.get(kind, set())
    before = nest.ravel(learner.meta.read())[0]
    info = common.function(agent.train)(data)
    metrics = training.train_iteration(alone, population, seed=5)
    np.testing.assert_allclose(info.loss, metrics["loss_before"], rtol=1e-4, atol=1e-6)
    after = nest.ravel(learner.meta.read())[0]
    np.testing.assert_allclose(after, nest.ravel(alone.meta.read())[0], rtol=1e-4, atol=1e-6)
    assert not np.array_equal(after, before)


def run_learner(agent, population, directory):
    """TF-Agents' `Learner` of the agent: (steps) -> None takes it there, saving at each."""
    trainer = tf_agents_learner.Learner(
        str(directory),
        agent.train_step_counter,
        agent,
        lambda: agent.dataset(population, seed=0),
        checkpoint_interval=1,
        summary_interval=1,
    )

    def until(steps):
        while int(agent.train_step_counter) < steps:
            trainer.run(iterator=iter(agent.dataset(population, seed=0)))

    return until


@pytest.mark.slow
def test_learner_of_tf_agents_drives_it_and_resumes(make_agent_of, population, tmp_path):
    straight, resumed = make_agent_of(), make_agent_of()
    start = values(straight)
    until = run_learner(straight, population, tmp_path / "straight")
    until(2)
    shutil.copytree(tmp_path / "straight", tmp_path / "half")
    halfway = values(straight)
    until(3)
    run_learner(resumed, population, tmp_path / "half")(3)
    np.testing.assert_array_equal(values(resumed), values(straight))
    assert not np.array_equal(values(resumed), halfway)
    assert not np.array_equal(values(resumed), start)
    assert int(resumed.learner.iteration) == 3
    events = list((tmp_path / "straight" / "train").glob("events*"))
    tags = {
        value.tag
        for path in events
        for record in tf.data.TFRecordDataset(str(path))
        for value in tf.compat.v1.Event.FromString(record.numpy()).summary.value
    }
    assert {"Meta/loss_before", "Meta/return_after"} <= tags


@pytest.mark.slow
def test_trains_on_what_a_driver_played(make_agent_of, particle, population):
    """Support and query from TF-Agents' driver and buffer, by policies of TF-Agents."""
    agent = make_agent_of()
    task = nest.map(lambda x: x[:2], population.train)
    environment = FamilyTFEnvironment(particle, task, num_episodes=3)
    buffer = tf_uniform_replay_buffer.TFUniformReplayBuffer(
        agent.collect_data_spec, environment.batch_size, max_length=particle.horizon + 2
    )
    driver = dynamic_step_driver.DynamicStepDriver(
        environment,
        agent.collect_policy,
        [buffer.add_batch],
        num_steps=environment.batch_size * (particle.horizon + 1),  # into the next episode
    )
    by_task = lambda x: tf.reshape(x, [2, 3, *x.shape[1:]])

    def play(policy_state):
        environment.reset()
        buffer.clear()
        driver.run(policy_state=policy_state)
        return nest.map(by_task, buffer.gather_all())

    state = agent.collect_policy.get_initial_state(environment.batch_size)
    support = play(state)
    batch = agent._batch({"support": (support,), "query": support})
    trajectory = batch.support[0].trajectory
    assert trajectory.reward.shape == [2, 3, particle.horizon + 2]
    np.testing.assert_array_equal(tf.reduce_sum(trajectory.mask, -1), particle.horizon)
    np.testing.assert_array_equal(
        trajectory.final_observation, trajectory.observation[:, :, particle.horizon]
    )
    # Recorded log-probabilities are those of the weights that acted, which are the current ones.
    blank = support._replace(policy_info=())
    recomputed = agent._batch({"support": (blank,), "query": blank}).support[0].trajectory
    living = trajectory.mask > 0
    np.testing.assert_allclose(
        trajectory.log_prob[living], recomputed.log_prob[living], rtol=1e-4, atol=1e-5
    )
    info = agent.train({"support": (support,), "query": play(state)})
    assert np.isfinite(info.loss)


def test_policies_follow_training(make_agent_of, particle, population):
    agent = make_agent_of(outer={"optimizer": "adam", "learning_rate": 0.5})
    steps = ts.restart(tf.zeros([2, 2]), 2)
    logits = lambda: agent.collect_policy.distribution(
        steps, agent.collect_policy.get_initial_state(2)
    ).action.logits_parameter()
    before = logits()
    agent.train(agent.experience(population, seed=0))
    assert not np.allclose(before, logits())
    state = agent.policy.get_initial_state(2)
    likely = tf.argmax(logits(), axis=-1, output_type=tf.int32)
    np.testing.assert_array_equal(agent.policy.action(steps, state).action, likely)


def test_training_data_spec(make_agent_of, particle, population):
    agent = make_agent_of(inner_updates=2)
    data = agent.experience(population, seed=0)
    tf.nest.assert_same_structure(data, agent.training_data_spec)
    for spec, x in zip(tf.nest.flatten(agent.training_data_spec), tf.nest.flatten(data)):
        assert spec.dtype == x.dtype and spec.shape.is_compatible_with(x.shape[1:])


def test_refuses_what_it_cannot_train(make_agent_of, particle, policy, population):
    with pytest.raises(ConfigError, match="gradient-based family; received learner='Reptile'"):
        agents.MetaAgent(learners.Reptile(particle, policy))
    with pytest.raises(ConfigError, match=r"adapts to to be episodes .*'demonstrations'"):
        agents.MetaAgent(learners.MIL(Places()))
    agent = make_agent_of()
    data = agent.experience(population, seed=0)
    with pytest.raises(ConfigError, match="support phases"):
        agent.train({**data, "support": data["support"] * 2})
    with pytest.raises(ConfigError, match="weights"):
        agent.train(data, weights=tf.ones([2]))
