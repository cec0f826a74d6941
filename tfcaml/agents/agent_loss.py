"""A TF-Agents agent's own loss as the inner and outer loss of a meta-learner.

    loss = agents.ReinforceLoss(agent)
    learner = learners.MAML(environment, loss.policy, config, loss=loss)

The agent is only asked for its loss: its optimiser, its epochs and its variables are not used. The
weights of a task stand in its networks while the loss is computed (`Functional`), so that the
derivative of an inner step is exact.

**The value network adapts with the actor.** Parameters are the weights of both, since the agent's
loss trains both; a value function that is right for one entity is wrong for the next. Returns and
advantages are worked out once, from the weights that acted, as the agent's `train` has it.

**Episodes cut by a time limit** count as ended: like the agents' own `train`, the losses add no
value of the state that was reached, so that by default the loss is the agent's. With
`bootstrap=True` a loss that has a value network adds it: the reward of the last step before the cut
becomes r + gamma V(final observation), V by the weights that acted, so that returns and advantages
are those of an episode that goes on (F. Pardo et al., "Time limits in reinforcement learning",
ICML 2018). Take it where the limit is not part of the task.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from tf_agents.agents.ppo import ppo_agent
from tf_agents.agents.reinforce import reinforce_agent
from tf_agents.trajectories import time_step as ts

from tfcaml import losses, nest
from tfcaml.advantages import returns
from tfcaml.agents.trajectories import to_tf_agents
from tfcaml.errors import ConfigError, check
from tfcaml.policies import NetworkPolicy, distributions
from tfcaml.policies.functional import Functional
from tfcaml.types import Experience, Nest, Params, Surrogate, Trajectory

if TYPE_CHECKING:
    from tf_agents.agents import tf_agent
    from tf_agents.trajectories import trajectory as tf_agents_trajectory

_TINY = 1e-30  # a variance whose root has a derivative


class AgentLoss(losses.TaskLoss):
    """Base: (params, experience) -> loss [N] by the agent's own code.

    Subclasses set `Agent` (the class they serve) and define `experience` and `task_loss`.

    Args:
      agent: an initialised or fresh agent. Its variables are neither read nor changed.
      bootstrap: add the value of the state reached to the return of an episode that was cut before
        it terminated; False, as in TF-Agents, unless given.

    Attributes:
      policy: `NetworkPolicy` of the agent's actor network. Its parameters are the weights of the
        actor, followed by those of the value network if there is one.
      outer_optimizers: names of the outer optimisers that suit the loss. TRPO measures action
        distributions only, so it has nothing to say of a value network.

    Raises:
      ConfigError: an agent without such a loss, or with options that act on the agent's own
        variables: normalisers and regularisers; or `bootstrap` without a value network.
    """

    Agent: type[tf_agent.TFAgent]
    policy: NetworkPolicy

    def __init__(self, agent: tf_agent.TFAgent, bootstrap: bool = False) -> None:
        _check_agent(agent, self.Agent)
        self.agent = agent
        actor, value = _networks(agent)
        rule = "False for an agent without a value network"
        check(value is not None or not bootstrap, "bootstrap", bootstrap, rule)
        self.bootstrap = bootstrap
        self.policy = NetworkPolicy(actor, agent.action_spec)
        self.outer_optimizers = ("adam", "ppo", "trpo")
        if value is not None:
            self.policy.functional = Functional(_ActorAndValue(actor, value))
            self.outer_optimizers = ("adam", "ppo")

    def task_loss(self, data: tf_agents_trajectory.Trajectory, experience: Experience) -> tf.Tensor:
        """The agent's loss of one task, a scalar; the task's weights are in the networks.

        Args:
          data: TF-Agents' `Trajectory` of the task, every leaf [E, T, ...].
          experience: the task's row of the `Experience`.
        """
        raise NotImplementedError

    def __call__(self, params: Params, experience: Experience) -> tf.Tensor:
        """Loss of each task: params, each [N, ...]; `Experience` -> [N]."""

        def one_task(inputs: Nest) -> Any:
            task_params, *data = inputs
            return self.policy.functional.run(task_params, self.task_loss, *data)

        data = to_tf_agents(experience.trajectory)
        with tf.summary.record_if(False):  # summaries of single tasks, from within a derivative
            return tf.vectorized_map(one_task, (tuple(params), data, experience))

    def inner(self, meta: Nest, params: Params, support: Experience) -> tf.Tensor:
        return self(params, support)

    def surrogate(self, meta: Nest, params: Params, query: Experience) -> Surrogate:
        distribution = losses.action_distribution(self.policy, params, query.trajectory)
        return Surrogate(self(params, query), distribution)

    def assign(self, params: Params) -> None:
        """Writes weights without task axis into the agent's own networks."""
        nest.assign(self.policy.functional.variables, tuple(params))

    def _acted(self, params: Params, trajectory: Trajectory) -> Nest:
        """Parameters of the distributions that acted."""
        distribution = losses.action_distribution(self.policy, params, trajectory)
        return distributions.tensors(distribution)


class ReinforceLoss(AgentLoss):
    """`ReinforceAgent.total_loss`: minus the sum over steps of log pi A, mean over episodes.

    A is the return G, or G minus the value network's prediction, normalised if the agent does so.
    With a value network its squared error (V - G)^2 is added, summed over steps, mean over
    episodes. As in the agent, the prediction in A is not held fixed: the derivative with respect to
    the value network's weights is that of both terms.

    Difference from the agent, as a batch here is padded, which the agent does not know: the moments
    that normalise A (in 64 bits) and the mean entropy are over valid steps only. `Experience`'s
    `weight` holds G.
    """

    Agent = reinforce_agent.ReinforceAgent

    def __init__(self, agent: tf_agent.TFAgent, bootstrap: bool = False) -> None:
        super().__init__(agent, bootstrap)
        own = type(agent).total_loss is reinforce_agent.ReinforceAgent.total_loss
        # `task_loss` adds up the agent's terms in its place.
        check(own, "total_loss", type(agent).__name__ + ".total_loss", "ReinforceAgent's own")

    def experience(self, meta: Nest, params: Params, trajectory: Trajectory) -> Experience:
        reward, discount = trajectory.reward, self.agent._gamma
        if self.bootstrap:
            reward = reward + discount * self._value_at_cut(params, trajectory)
        target = returns.reward_to_go(reward, discount)
        experience = Experience(trajectory, target, self._acted(params, trajectory))
        return nest.stop_gradient(experience)  # data, like the actions

    def task_loss(self, data: tf_agents_trajectory.Trajectory, experience: Experience) -> tf.Tensor:
        agent, mask, target = self.agent, experience.trajectory.mask, experience.weight
        num_episodes = tf.reduce_sum(tf.cast(data.is_last(), tf.float32))
        state = agent.collect_policy.get_initial_state(mask.shape[0])
        distribution = agent.collect_policy.distribution(_time_steps(data), state).action
        value, loss = None, 0.0
        if agent._value_network is not None:
            value, _ = agent._value_network(data.observation, data.step_type, training=True)
            loss += agent.value_estimation_loss(value, target, num_episodes, mask)
        advantage = agent._advantage_fn(target, value)
        if agent._normalize_returns:
            epsilon = np.finfo(np.float32).eps  # the agent's
            scale = lambda variance: tf.sqrt(tf.maximum(variance, _TINY)) + epsilon
            advantage = _normalized(advantage, mask, scale)
        loss += agent.policy_gradient_loss(
            distribution, data.action, data.is_boundary(), advantage, num_episodes, mask
        )
        return loss + agent.entropy_regularization_loss(distribution, mask / tf.reduce_mean(mask))

    def _value_at_cut(self, params: Params, trajectory: Trajectory) -> tf.Tensor:
        def one_task(inputs: Nest) -> Any:
            task_params, *inputs = inputs
            value, _ = self.policy.functional.run(task_params, self.agent._value_network, *inputs)
            return value

        steps = (_with_final(trajectory), _with_final_type(to_tf_agents(trajectory).step_type))
        value = tf.vectorized_map(one_task, (tuple(params), *steps))
        return _at_cut(value, trajectory)


class PPOLoss(AgentLoss):
    """`get_loss` of `PPOClipAgent` and `PPOKLPenaltyAgent`: policy, value, entropy, KL.

    The factor of an adaptive KL penalty stays at its initial value. Difference from the agent:
    means, and the moments that normalise advantages, are over valid steps only.
    """

    Agent = ppo_agent.PPOAgent

    def experience(self, meta: Nest, params: Params, trajectory: Trajectory) -> Experience:
        data = to_tf_agents(trajectory)
        value, acted = self._ask_networks(params, trajectory, data)  # value: [N, E, T + 1]
        reward = data.reward
        if self.bootstrap:
            reward = reward + self.agent._discount_factor * _at_cut(value, trajectory)
        rows = lambda x: tf.reshape(x, [-1, *x.shape[2:]])  # [N, E, ...] -> [N * E, ...]
        following = ts.TimeStep(data.next_step_type, reward, data.discount, ())
        with tf.summary.record_if(False):
            targets = self.agent.compute_return_and_advantage(
                nest.map(rows, following), rows(value)
            )
        target, advantage = nest.map(lambda x: tf.reshape(x, trajectory.reward.shape), targets)
        scale = lambda variance: tf.sqrt(variance + 1e-8)  # the agent's
        advantage = tf.vectorized_map(
            lambda x: _normalized(x[0], x[1], scale), (advantage, trajectory.mask)
        )
        extra = {"return": target, "value": value[..., :-1], "dist_params": acted}
        experience = Experience(trajectory, advantage, self._acted(params, trajectory), extra)
        return nest.stop_gradient(experience)  # data, like the actions

    def task_loss(self, data: tf_agents_trajectory.Trajectory, experience: Experience) -> tf.Tensor:
        mask, extra = experience.trajectory.mask, experience.extra
        return self.agent.get_loss(
            _time_steps(data),
            data.action,
            experience.trajectory.log_prob,
            extra["return"],
            experience.weight,
            extra["dist_params"],
            # The agent takes means over all steps: this makes them means over valid ones.
            weights=mask / tf.reduce_mean(mask),
            train_step=self.agent.train_step_counter,
            debug_summaries=False,
            old_value_predictions=extra["value"],
            training=True,
        ).loss

    def _ask_networks(
        self, params: Params, trajectory: Trajectory, data: tf_agents_trajectory.Trajectory
    ) -> tuple[tf.Tensor, Nest]:
        """(values after the last step too [N, E, T + 1], nest of [N, E, T, ...] of the actor)."""
        num_episodes, num_steps = trajectory.reward.shape[1:]
        policy = self.agent.collect_policy

        def ask(data: tf_agents_trajectory.Trajectory, steps: Nest) -> Any:
            step_type = tf.fill([num_episodes, num_steps + 1], tf.constant(ts.StepType.MID))
            state = policy.get_initial_value_state(num_episodes)
            value, _ = policy.apply_value_network(steps, step_type, state)
            state = policy.get_initial_state(num_episodes)
            return value, policy.distribution(_time_steps(data), state).info["dist_params"]

        def one_task(inputs: Nest) -> Any:
            task_params, *inputs = inputs
            return self.policy.functional.run(task_params, ask, *inputs)

        return tf.vectorized_map(one_task, (tuple(params), data, _with_final(trajectory)))


class _ActorAndValue(tf.Module):
    """Two networks as one that acts by the first; shared weights are counted once."""

    def __init__(self, actor: Any, value: Any) -> None:
        super().__init__()
        self._actor, self._value = actor, value

    @property
    def trainable_variables(self) -> tuple[tf.Variable, ...]:
        of_actor = tuple(self._actor.trainable_variables)
        known = {variable.ref() for variable in of_actor}
        of_value = self._value.trainable_variables
        return of_actor + tuple(v for v in of_value if v.ref() not in known)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._actor(*args, **kwargs)


def _time_steps(data: tf_agents_trajectory.Trajectory) -> ts.TimeStep:
    return ts.TimeStep(data.step_type, data.reward, data.discount, data.observation)


def _with_final(trajectory: Trajectory) -> Nest:
    """Observations with the final one behind an episode's last valid step: nest [N, E, T + 1, ...].

    The final observation stands at all later steps too.
    """

    def one(observation: tf.Tensor, final: tf.Tensor) -> tf.Tensor:
        final = final[:, :, None]
        steps = tf.concat([observation, final], axis=2)
        valid = tf.pad(trajectory.mask, [[0, 0], [0, 0], [0, 1]]) > 0
        return tf.where(nest.expand(valid, steps), steps, final)

    return nest.map(one, trajectory.observation, trajectory.final_observation)


def _with_final_type(step_type: tf.Tensor) -> tf.Tensor:
    """Step types [N, E, T] with one more, of the final observation: [N, E, T + 1]."""
    started = tf.fill([*step_type.shape[:-1], step_type.shape[-1]], tf.constant(ts.StepType.MID))
    return tf.concat([step_type[..., :1], started], axis=-1)


def _at_cut(value: tf.Tensor, trajectory: Trajectory) -> tf.Tensor:
    """What the state is worth in which an episode was cut: [N, E, T + 1] -> [N, E, T].

    The value after the last valid step of an episode that did not terminate; 0 at other steps.
    """
    is_last = returns.at_cut(
        tf.ones_like(trajectory.mask[..., 0]), trajectory.mask, trajectory.terminated
    )
    return is_last * value[..., 1:]


def agent_loss(agent: tf_agent.TFAgent, bootstrap: bool = False) -> AgentLoss:
    """The `AgentLoss` of an agent, by its class; arguments as there.

    Raises:
      ConfigError: there is none; the message says which agents have one. And as `AgentLoss`.
    """
    kinds: tuple[type[AgentLoss], ...] = (ReinforceLoss, PPOLoss)
    for cls in kinds:
        if isinstance(agent, cls.Agent):
            return cls(agent, bootstrap)
    raise ConfigError(_no_loss(agent))


def _networks(agent: tf_agent.TFAgent) -> tuple[Any, Any]:
    """(actor network, value network or None)."""
    if isinstance(agent, ppo_agent.PPOAgent):
        return agent.actor_net, agent._value_net
    return agent._actor_network, agent._value_network


def _check_agent(agent: tf_agent.TFAgent, cls: type[tf_agent.TFAgent]) -> None:
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


def _no_loss(agent: tf_agent.TFAgent) -> str:
    return (
        "expected agent to have total_loss (ReinforceAgent) or get_loss (PPOClipAgent, "
        "PPOKLPenaltyAgent), a loss of its actor's episodes; "
        f"received agent={type(agent).__name__}"
    )


def _normalized(
    value: tf.Tensor, mask: tf.Tensor, scale: Callable[[tf.Tensor], tf.Tensor]
) -> tf.Tensor:
    """A task's numbers brought to mean 0 and unit scale over its valid steps, in 64 bits.

    Args:
      value: [E, T].
      mask: [E, T].
      scale: variance -> what to divide by.

    Returns:
      [E, T], 0 on padded steps.
    """
    exact, valid = tf.cast(value, tf.float64), tf.cast(mask, tf.float64)
    steps = tf.reduce_sum(valid)
    deviation = (exact - tf.reduce_sum(exact * valid) / steps) * valid
    variance = tf.reduce_sum(deviation**2) / steps
    return tf.cast(deviation / scale(variance), value.dtype)
