"""A TF-Agents agent's own loss as the inner and outer loss of a meta-learner.

    loss = agents.ReinforceLoss(agent)
    learner = learners.MAML(environment, loss.policy, config, loss=loss)

The agent is only asked for its loss: its optimiser, its epochs and its variables are not used. The
weights of a task stand in its networks while the loss is computed (`Functional`), so that the
derivative of an inner step is exact.

**The value network adapts with the actor.** Parameters are the weights of both, since the agent's
loss trains both; a value function that is right for one entity is wrong for the next. Returns and
advantages are worked out once, from the weights that acted, as the agent's `train` has it.
"""

import tensorflow as tf
from tf_agents.agents.ppo import ppo_agent
from tf_agents.agents.reinforce import reinforce_agent
from tf_agents.trajectories import time_step as ts

from tfcaml import losses, nest, returns
from tfcaml.agents.trajectories import to_tf_agents
from tfcaml.errors import ConfigError, check
from tfcaml.functional import Functional
from tfcaml.policies import NetworkPolicy, distributions
from tfcaml.types import Experience


class AgentLoss:
    """Base: (params, experience) -> loss [N] by the agent's own code.

    Subclasses set `Agent` (the class they serve) and define `experience` and `task_loss`.

    Args:
      agent: an initialised or fresh agent. Its variables are neither read nor changed.

    Attributes:
      policy: `NetworkPolicy` of the agent's actor network. Its parameters are the weights of the
        actor, followed by those of the value network if there is one.
      outer_optimizers: names of the outer optimisers that suit the loss. TRPO measures action
        distributions only, so it has nothing to say of a value network.

    Raises:
      ConfigError: an agent without such a loss, or with options that act on the agent's own
        variables: normalisers and regularisers.
    """

    Agent = None

    def __init__(self, agent):
        _check_agent(agent, self.Agent)
        self.agent = agent
        actor, value = _networks(agent)
        self.policy = NetworkPolicy(actor, agent.action_spec)
        self.outer_optimizers = ("adam", "ppo", "trpo")
        if value is not None:
            self.policy.functional = Functional(_ActorAndValue(actor, value))
            self.outer_optimizers = ("adam", "ppo")

    def experience(self, params, trajectory):
        """`Experience` of a `Trajectory` that `params` [N, ...] made; without gradient."""
        raise NotImplementedError

    def task_loss(self, data, experience):
        """The agent's loss of one task, a scalar; the task's weights are in the networks.

        Args:
          data: TF-Agents' `Trajectory` of the task, every leaf [E, T, ...].
          experience: the task's row of the `Experience`.
        """
        raise NotImplementedError

    def __call__(self, params, experience):
        """Loss of each task: params, each [N, ...]; `Experience` -> [N]."""

        def one_task(inputs):
            task_params, *data = inputs
            return self.policy.functional.run(task_params, self.task_loss, *data)

        data = to_tf_agents(experience.trajectory)
        with tf.summary.record_if(False):  # summaries of single tasks, from within a derivative
            return tf.vectorized_map(one_task, (tuple(params), data, experience))

    def assign(self, params):
        """Writes weights without task axis into the agent's own networks."""
        nest.assign(self.policy.functional.variables, tuple(params))

    def _acted(self, params, trajectory):
        """Parameters of the distributions that acted."""
        distribution = losses.action_distribution(self.policy, params, trajectory)
        return distributions.tensors(distribution)


class ReinforceLoss(AgentLoss):
    """`ReinforceAgent.total_loss`: minus the sum over steps of log pi G, mean over episodes.

    Differences from the agent, as a batch here is padded, which the agent does not know: its
    normalisation of returns has the moments of the task's living steps, and its entropy term is
    smaller by the share of padded ones.
    """

    Agent = reinforce_agent.ReinforceAgent

    def experience(self, params, trajectory):
        target = returns.reward_to_go(trajectory.reward, self.agent._gamma)
        advantage = self._advantage(params, trajectory, target)
        # The agent works out advantages anew from targets, those of padded steps too.
        target += _neutral_padding(advantage, trajectory.mask) - advantage
        experience = Experience(trajectory, target, self._acted(params, trajectory))
        return nest.stop_gradient(experience)  # data, like the actions

    def task_loss(self, data, experience):
        return self.agent.total_loss(data, experience.advantage, weights=None, training=True).loss

    def _advantage(self, params, trajectory, target):
        """The agent's advantages before it normalises them, [N, E, T]."""
        if self.agent._value_network is None:
            return self.agent._advantage_fn(target, None)

        def one_task(inputs):
            task_params, data, task_target = inputs
            value, _ = self.policy.functional.run(
                task_params, self.agent._value_network, data.observation, data.step_type
            )
            return self.agent._advantage_fn(task_target, value)

        return tf.vectorized_map(one_task, (tuple(params), to_tf_agents(trajectory), target))


class PPOLoss(AgentLoss):
    """`get_loss` of `PPOClipAgent` and `PPOKLPenaltyAgent`: policy, value, entropy, KL.

    The factor of an adaptive KL penalty stays at its initial value. Difference from the agent:
    means are over living steps only.
    """

    Agent = ppo_agent.PPOAgent

    def experience(self, params, trajectory):
        data = to_tf_agents(trajectory)
        value, acted = self._ask_networks(params, trajectory, data)  # value: [N, E, T + 1]
        rows = lambda x: tf.reshape(x, [-1, *x.shape[2:]])  # [N, E, ...] -> [N * E, ...]
        following = ts.TimeStep(data.next_step_type, data.reward, data.discount, ())
        with tf.summary.record_if(False):
            targets = self.agent.compute_return_and_advantage(
                nest.map(rows, following), rows(value)
            )
        target, advantage = nest.map(lambda x: tf.reshape(x, trajectory.reward.shape), targets)
        mean, variance = _moments(advantage, trajectory.mask)
        advantage = (advantage - mean) / tf.sqrt(variance + 1e-8) * trajectory.mask
        extra = {"return": target, "value": value[..., :-1], "dist_params": acted}
        experience = Experience(trajectory, advantage, self._acted(params, trajectory), extra)
        return nest.stop_gradient(experience)  # data, like the actions

    def task_loss(self, data, experience):
        mask, extra = experience.trajectory.mask, experience.extra
        return self.agent.get_loss(
            _time_steps(data),
            data.action,
            experience.trajectory.log_prob,
            extra["return"],
            experience.advantage,
            extra["dist_params"],
            # The agent takes means over all steps: this makes them means over living ones.
            weights=mask / tf.reduce_mean(mask),
            train_step=self.agent.train_step_counter,
            debug_summaries=False,
            old_value_predictions=extra["value"],
            training=True,
        ).loss

    def _ask_networks(self, params, trajectory, data):
        """(values after the last step too [N, E, T + 1], nest of [N, E, T, ...] of the actor)."""
        num_episodes, num_steps = trajectory.reward.shape[1:]
        policy = self.agent.collect_policy

        def ask(data, final_observation):
            steps = nest.map(
                lambda x, final: tf.concat([x, final[:, None]], axis=1),
                data.observation,
                final_observation,
            )
            step_type = tf.fill([num_episodes, num_steps + 1], tf.constant(ts.StepType.MID))
            state = policy.get_initial_value_state(num_episodes)
            value, _ = policy.apply_value_network(steps, step_type, state)
            state = policy.get_initial_state(num_episodes)
            return value, policy.distribution(_time_steps(data), state).info["dist_params"]

        def one_task(inputs):
            task_params, *inputs = inputs
            return self.policy.functional.run(task_params, ask, *inputs)

        return tf.vectorized_map(one_task, (tuple(params), data, trajectory.final_observation))


class _ActorAndValue(tf.Module):
    """Two networks as one that acts by the first; shared weights are counted once."""

    def __init__(self, actor, value):
        super().__init__()
        self._actor, self._value = actor, value

    @property
    def trainable_variables(self):
        of_actor = tuple(self._actor.trainable_variables)
        known = {variable.ref() for variable in of_actor}
        of_value = self._value.trainable_variables
        return of_actor + tuple(v for v in of_value if v.ref() not in known)

    def __call__(self, *args, **kwargs):
        return self._actor(*args, **kwargs)


def _time_steps(data):
    return ts.TimeStep(data.step_type, data.reward, data.discount, data.observation)


def agent_loss(agent):
    """The `AgentLoss` of an agent, by its class.

    Raises:
      ConfigError: there is none; the message says which agents have one.
    """
    for cls in (ReinforceLoss, PPOLoss):
        if isinstance(agent, cls.Agent):
            return cls(agent)
    raise ConfigError(_no_loss(agent))


def _networks(agent):
    """(actor network, value network or None)."""
    if isinstance(agent, ppo_agent.PPOAgent):
        return agent.actor_net, agent._value_net
    return agent._actor_network, agent._value_network


def _check_agent(agent, cls):
    if not isinstance(agent, cls):
        raise ConfigError(_no_loss(agent))
    for option in ("observation_normalizer", "reward_normalizer"):
        name = "normalize_" + option.split("_")[0] + "s"
        # Its statistics are variables that only the agent's own `train` would update.
        check(getattr(agent, "_" + option, None) is None, name, True, "False in the agent")
    for option in ("policy_l2_reg", "value_function_l2_reg", "shared_vars_l2_reg"):
        # These read the agent's own variables, whatever weights stand in the networks.
        value = getattr(agent, "_" + option, 0)
        check(not value, option, value, "0 in the agent")
    for network in _networks(agent):
        count = len(network.losses) if network is not None else 0
        check(count == 0, "regularizers", count, f"0 in {type(network).__name__}")


def _no_loss(agent):
    return (
        "expected agent to have total_loss (ReinforceAgent) or get_loss (PPOClipAgent, "
        "PPOKLPenaltyAgent), a loss of its actor's episodes; "
        f"received agent={type(agent).__name__}"
    )


def _moments(value, mask):
    """Mean and variance over a task's living steps: [N, E, T] -> [N, 1, 1] each."""
    steps = tf.reduce_sum(mask, axis=[1, 2], keepdims=True)
    mean = tf.reduce_sum(value * mask, axis=[1, 2], keepdims=True) / steps
    squared = (value - mean) ** 2 * mask
    return mean, tf.reduce_sum(squared, axis=[1, 2], keepdims=True) / steps


def _neutral_padding(value, mask):
    """Gives padded steps values that leave a task's mean and variance as they are: [N, E, T].

    In turn one standard deviation above and below the mean of the living steps.
    """
    mean, variance = _moments(value, mask)
    padded = tf.reshape(1 - mask, [mask.shape[0], -1])
    turn = tf.reshape(1 - 2 * (tf.cumsum(padded, axis=-1) % 2), mask.shape)
    return tf.where(mask > 0, value, mean + turn * tf.sqrt(variance))
