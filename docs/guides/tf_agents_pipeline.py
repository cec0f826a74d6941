"""What is learned here in a TF-Agents pipeline: its agent, its driver, its `Learner`."""

import tfcaml  # isort: skip  (first: TF-Agents needs Keras 2)

import tempfile

import numpy as np
import tensorflow as tf
from tf_agents.agents.reinforce import reinforce_agent
from tf_agents.drivers import dynamic_episode_driver
from tf_agents.metrics import tf_metrics
from tf_agents.networks import actor_distribution_network
from tf_agents.train import learner as tf_agents_learner
from tf_agents.utils import common

from tfcaml import agents, environments, keys, learners, nest
from tfcaml.environments.tf_agents import FamilyTFEnvironment


def reinforce(env):
    """An agent as your script has it."""
    actor = actor_distribution_network.ActorDistributionNetwork(
        env.observation_spec(), env.action_spec(), fc_layer_params=(32, 32)
    )
    optimizer = tf.keras.optimizers.SGD(0.03)
    specs = env.time_step_spec(), env.action_spec()
    agent = reinforce_agent.ReinforceAgent(*specs, actor, optimizer, gamma=0.99)
    agent.initialize()
    return agent


def returns_in_a_driver(family, task, policy, state, episodes):
    """Mean return over entities, each row of TF-Agents' driver with weights of its own."""
    env = FamilyTFEnvironment(family, task, 1)  # a row for each entity
    metric = tf_metrics.AverageReturnMetric(batch_size=env.batch_size, buffer_size=episodes)
    driver = dynamic_episode_driver.DynamicEpisodeDriver(
        env, policy, [metric], num_episodes=episodes
    )
    common.function(driver.run)(policy_state=state)
    return float(metric.result())


def main(iterations=20, horizon=60, steps=2, episodes=12):
    """Mean returns in TF-Agents' own driver before and after an update."""
    family = environments.CartPole(environments.CartPoleConfig(horizon=horizon))
    population = family.population(seed=0)
    env = FamilyTFEnvironment(family, nest.take(population.train, [0]), 1)
    agent = reinforce(env)

    # The agent's own loss is what adaptation descends and what the outer step lowers.
    loss = agents.ReinforceLoss(agent)
    config = learners.MAML.Config(
        num_iterations=iterations, meta_batch_size=8, inner_learning_rate=0.03
    )
    learner = learners.MAML(family, loss.policy, config, loss=loss)
    tfcaml.train(learner, population, seed=0)
    loss.assign(learner.meta.read()["params"])  # the agent's actor starts from there

    # Adapted policies, one for each held-out entity, in one driver.
    policy = agents.AdaptedPolicy.of(learner)
    meta, task = learner.meta.read(), population.test
    fast = learner.start(meta, nest.leading(task))
    adapted = learner.adapt_to(fast, task, keys.from_int(0))
    found = {}
    for name, each in (("before", fast), ("after", adapted)):
        state = policy.state_of(learner.acting(meta, each), seed=1)
        found[name] = returns_in_a_driver(family, task, policy, state, episodes)
        print(f"mean return {name} the update: {found[name]:.1f}")

    # The learner as an agent, which TF-Agents' `Learner` trains on and checkpoints.
    meta_agent = agents.MetaAgent(learner)
    with tempfile.TemporaryDirectory() as root:
        trainer = tf_agents_learner.Learner(
            root,
            meta_agent.train_step_counter,
            meta_agent,
            lambda: meta_agent.dataset(population, seed=0),
        )
        for _ in range(steps):
            found["loss"] = np.array(
                trainer.run(iterator=iter(meta_agent.dataset(population, seed=0))).loss
            )
    print("outer iterations in all:", int(learner.iteration))
    return found


if __name__ == "__main__":
    main()
