"""Two levels of policies: a master that chooses, every few steps, which sub-policy acts.

K. Frans, J. Ho, X. Chen, P. Abbeel, J. Schulman, "Meta learning shared hierarchies" (MLSH), ICLR
2018, section 4. To a sub-policy the master's choice is part of the environment, and to the master
what happens between two choices is one step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf
from tf_agents.specs import tensor_spec

from tfcaml import keys, nest
from tfcaml.errors import check, check_is, check_whole, checked_call
from tfcaml.policies import distributions
from tfcaml.policies.base import Policy
from tfcaml.types import Nest, Params, Trajectory

if TYPE_CHECKING:
    from tensorflow_probability import distributions as tfd


class TwoLevelPolicy(Policy):
    """params = {"master": its weights, "sub": weights of all sub-policies, each [N, K, ...],
    "random": [N], the share of the choices that are drawn evenly in the master's place}.

    The `info` of a step is {"option": the sub-policy that acted, "chosen": 1 where the master has
    chosen it in this step, else 0}. The log-probability of a trajectory is that of the sub-policy.

    Args:
      master: a `Policy` without memory whose actions are the numbers of K sub-policies.
      sub: a `Policy` without memory; sub-policies are K like it.
      period: steps from one choice to the next, >= 1.

    Raises:
      ConfigError: an argument of another kind.
    """

    has_memory = True

    @checked_call
    def __init__(self, master: Policy, sub: Policy, period: int) -> None:
        for name, value in (("master", master), ("sub", sub)):
            check_is(name, value, Policy, "a Policy")
            check(not value.has_memory, name, type(value).__name__, "a policy without memory")
        rule = "a policy of discrete actions, one for each sub-policy"
        check(master.num_actions, "master", type(master).__name__, rule)
        self.master, self.sub = master, sub
        self.period = check_whole("period", period, 1)
        self.num_options = int(master.num_actions or 0)
        self.observation_spec = sub.observation_spec
        self.action_spec, self.num_actions = sub.action_spec, sub.num_actions
        self.supports_xla = master.supports_xla and sub.supports_xla
        self.info_spec = {"option": tf.TensorSpec([], tf.int32), "chosen": tf.TensorSpec([])}

    def init(self, seed: int) -> Params:
        subs = [self.sub.init(seed * (self.num_options + 1) + k) for k in range(self.num_options)]
        return {"master": self.master.init(seed), "sub": nest.stack(subs), "random": tf.zeros([])}

    def noise(self, key: tf.Tensor, num_steps: int) -> tf.Tensor:
        """That of an action, and two numbers for a choice."""
        # The key comes salted for actions, which this undoes.
        choices = keys.salted(key, keys.ACTIONS ^ keys.CHOICES)
        drawn = keys.uniform(choices, [num_steps, 2])
        return tf.concat([self.sub.noise(key, num_steps), drawn], axis=-1)

    def initial_memory(self, params: Params, num_episodes: int, noise: Nest = ()) -> Nest:
        zeros = tf.zeros([nest.num_rows(params), num_episodes], tf.int32)
        return {"option": zeros, "time": zeros}

    def play(
        self, params: Params, observation: Nest, memory: Nest, noise: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, Nest, Nest]:
        noise, draw, whether = noise[..., :-2], noise[..., -2:-1], noise[..., -1]
        choice: Any = self.master(params["master"], observation)
        option = distributions.sample_discrete(choice, draw, tf.int32)
        share = params["random"][:, None]
        part = tf.math.divide_no_nan(whether, share)  # U(0, 1) where it is below 1
        evenly = tf.minimum(tf.cast(part * self.num_options, tf.int32), self.num_options - 1)
        option = tf.where(whether < share, evenly, option)
        free = self.is_free(memory)
        option = tf.where(free, option, memory["option"])
        acting = self.sub(flat(params["sub"]), spread(observation, self.num_options))
        actions = self.sub.sample(acting, spread(noise, self.num_options))
        action = self._of_option(actions, option)
        log_prob = self._of_option(acting.log_prob(actions), option)
        info = {"option": option, "chosen": tf.cast(free, tf.float32)}
        return action, log_prob, info, {**memory, "option": option}

    def act(self, params: Params, observation: Nest, memory: Nest) -> tuple[tfd.Distribution, Nest]:
        """The distribution of the sub-policy in force; a choice that is due is the likeliest."""
        choice: Any = self.master(params["master"], observation)
        likeliest = tf.argmax(choice.logits_parameter(), axis=-1, output_type=tf.int32)
        option = tf.where(self.is_free(memory), likeliest, memory["option"])
        return self._acting(params, observation, option), {**memory, "option": option}

    def observe(self, memory: Nest, action: tf.Tensor, reward: tf.Tensor, ended: tf.Tensor) -> Nest:
        return {**memory, "time": memory["time"] + 1}

    def unroll(self, params: Params, trajectory: Trajectory) -> tfd.Distribution:
        """The distributions of the sub-policies that acted."""
        observation, option = nest.flat_steps((trajectory.observation, trajectory.info["option"]))
        return self._acting(params, observation, option)

    def is_free(self, memory: Nest) -> tf.Tensor:
        """Whether the master chooses in the step to come, [N, E] bool."""
        return memory["time"] % self.period == 0

    def _acting(self, params: Params, observation: Nest, option: tf.Tensor) -> tfd.Distribution:
        """The distribution of option [N, B] at observations [N, B, ...]."""
        acting = self.sub(flat(params["sub"]), spread(observation, self.num_options))
        values = nest.map(lambda x: self._of_option(x, option), distributions.tensors(acting))
        return distributions.rebuild(acting, values)

    def _of_option(self, x: tf.Tensor, option: tf.Tensor) -> tf.Tensor:
        """Rows [N * K, B, ...] of all options -> [N, B, ...], those of option [N, B]."""
        # Batches of an export are of any size.
        rows = tf.reshape(x, tf.concat([[-1, self.num_options], tf.shape(x)[1:]], axis=0))
        last = tf.transpose(rows, [0, 2, 1, *range(3, rows.shape.rank)])  # [N, B, K, ...]
        return tf.gather(last, option, axis=2, batch_dims=2)


def choice_spec(num_options: int) -> tensor_spec.BoundedTensorSpec:
    """The spec of a master's actions: the number of one of the sub-policies."""
    return tensor_spec.BoundedTensorSpec([], tf.int32, 0, num_options - 1)


def flat(params: Params) -> Params:
    """Weights [N, K, ...] -> [N * K, ...]: a row for each sub-policy of each task."""
    return nest.map(lambda x: tf.reshape(x, [-1, *x.shape[2:]]), params)


def spread(x: Nest, num_options: int) -> Nest:
    """Leaves [N, ...] -> [N * K, ...]: each row once for each sub-policy."""
    return nest.map(lambda leaf: tf.repeat(leaf, num_options, axis=0), x)
