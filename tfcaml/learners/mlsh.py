"""MLSH: sub-policies that all tasks share, and a master that is learned anew on each.

K. Frans, J. Ho, X. Chen, P. Abbeel, J. Schulman, "Meta learning shared hierarchies" (MLSH), ICLR
2018, Algorithm 1. Every N steps a master theta chooses which of K sub-policies phi_k acts. A life
in a task is

    theta <- new weights
    W times:  play episodes;  theta <- PPO of the master                        warm-up
    U times:  play episodes;  theta <- PPO of the master, phi <- PPO of the sub-policies

To the master N steps are one, whose reward is their sum; to a sub-policy the master's choice is
part of the environment. No gradient goes from one level to the other. To adapt to a new task is to
learn a master, while the sub-policies stay.

There are as many lives side by side as `meta_batch_size` says, in `groups` that are at other points
of their lives, so that at any time some of them move the sub-policies.

Differences from the paper: a step of the sub-policies is the mean over the lives that are past
their warm-up, where the paper's groups take steps of their own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from tf_agents.specs import tensor_spec

from tfcaml import keys, losses, nest, settings
from tfcaml.advantages.config import AdvantageConfig
from tfcaml.errors import check, check_is, check_positive
from tfcaml.learners.base import LearnerConfig, MetaLearner
from tfcaml.losses import proximal
from tfcaml.optimization import inner, optimizers
from tfcaml.policies import actor_critic, distributions
from tfcaml.policies.two_level import TwoLevelPolicy, flat
from tfcaml.types import (
    Experience,
    FastState,
    Nest,
    Params,
    Task,
    Trajectory,
    episode_return,
    last_steps,
)

if TYPE_CHECKING:
    from tfcaml.environments.base import TaskFamily
    from tfcaml.policies.base import Policy

_POOL = 64  # initial weights of each of a master's layers, of which a life takes one


@settings.checked
@dataclasses.dataclass(frozen=True)
class MLSHConfig(LearnerConfig):
    """Settings of MLSH; defaults: two-dimensional moving bandits.

    Attributes:
      num_iterations: Iterations of training, each as long as a life. Source: tfcaml; MLSH's code
        goes on until it is stopped.
      meta_batch_size: Lives side by side, each in a task of its own. Source: MLSH paper: 10 groups
        of 12.
      inner_updates: Updates of a life, W + U. Source: MLSH paper: 10.
      warm_up: W, how many of them are the master's alone. Source: MLSH paper: 9.
      groups: Groups of lives that begin at other times, evenly apart; 1: all begin together. A
        divisor of `meta_batch_size`. Source: MLSH paper: 10.
      episodes_per_update: Episodes of each life that an update learns from. Source: MLSH paper:
        2000 steps.
      num_options: K, sub-policies. Source: MLSH paper: 2.
      period: N, steps from one choice of the master to the next. Unit: steps. Source: MLSH paper:
        10.
      random_choices: Share of choices in training that are drawn evenly. Source: MLSH's code: 0.1.
      inner_learning_rate: Step size of the master's Adam. Source: MLSH paper: 0.01.
      master_steps: Adam steps of the master in an update. Source: MLSH's code: 10 epochs.
      sub_learning_rate: Step size of the sub-policies' Adam. Source: MLSH paper: 3e-4.
      sub_steps: Adam steps of the sub-policies in an update, each on the next part of the steps.
        Source: tfcaml; MLSH's code: 150.
      sub_minibatches: Parts that an update's steps are cut into for them, a divisor of these steps.
        Source: MLSH's code: 15.
      clip_ratio: Epsilon of PPO, at both levels. Source: MLSH's code: 0.2.
      advantage: Gamma (`discount`) and lambda (`gae_lambda`) at both levels; critics are the
        baselines, and advantages are brought to mean 0 and standard deviation 1. Source: MLSH's
        code: 0.99 and 0.98.
    """

    num_iterations: int = 100
    meta_batch_size: int = 8
    inner_updates: int = 10
    warm_up: int = 9
    groups: int = 1
    episodes_per_update: int = 40
    num_options: int = 2
    period: int = 10
    random_choices: float = 0.1
    inner_learning_rate: float = 0.01
    master_steps: int = 10
    sub_learning_rate: float = 3e-4
    sub_steps: int = 10
    sub_minibatches: int = 1
    clip_ratio: float = 0.2
    advantage: AdvantageConfig = AdvantageConfig(baseline="none", gae_lambda=0.98)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(sub_learning_rate=self.sub_learning_rate)
        for name in ("period", "master_steps", "sub_steps", "sub_minibatches", "groups"):
            check(getattr(self, name) >= 1, name, getattr(self, name), ">= 1")
        check(self.num_options >= 1, "num_options", self.num_options, ">= 1")
        rule = f"from 0 to inner_updates - 1 = {self.inner_updates - 1}"
        check(0 <= self.warm_up < self.inner_updates, "warm_up", self.warm_up, rule)
        rule = f"a divisor of meta_batch_size = {self.meta_batch_size}"
        check(self.meta_batch_size % self.groups == 0, "groups", self.groups, rule)
        check(0 <= self.random_choices < 1, "random_choices", self.random_choices, "in [0, 1)")
        check(0 < self.clip_ratio < 1, "clip_ratio", self.clip_ratio, "in (0, 1)")
        for name, only in (
            ("return_type", "reward_to_go"),
            ("baseline", "none"),
            ("normalize", True),
        ):
            value = getattr(self.advantage, name)
            rule = f"{only}: critics are what returns are compared with"
            check(value == only, f"advantage.{name}", value, rule)


class MLSH(MetaLearner):
    """meta = {"sub": phi, weights of all sub-policies, each [K, ...]}; `FastState.params` is theta.

    Raises:
      ConfigError: a policy that is no `TwoLevelPolicy` of the config's numbers with critics at both
        levels.
    """

    Config: type = MLSHConfig
    config: MLSHConfig
    policy: TwoLevelPolicy
    quick_under_xla = True
    starts_at_random = True

    @classmethod
    def make_policy(
        cls,
        environment: TaskFamily,
        config: Any,
        fc_layer_params: Sequence[int] = (32, 32),
        activation: str = "tanh",
    ) -> Policy:
        """MLPs with critics beside them: a master and sub-policies."""
        seen, layers = environment.observation_spec, (fc_layer_params, activation)
        options = tensor_spec.BoundedTensorSpec([], tf.int32, 0, config.num_options - 1)
        master = actor_critic(seen, options, *layers)
        sub = actor_critic(seen, environment.action_spec, *layers)
        return TwoLevelPolicy(master, sub, config.period)

    def setup(self) -> None:
        check_is("policy", self.policy, TwoLevelPolicy, "a TwoLevelPolicy")
        for name in ("num_options", "period"):
            own, wanted = getattr(self.policy, name), getattr(self.config, name)
            check(own == wanted, f"{name} of the policy", own, f"{wanted}, as of the config")
        self.sub_optimizer = optimizers.adam(self.config.sub_learning_rate)
        self._pool = nest.stack([self.policy.master.init(seed) for seed in range(_POOL)])

    def init(self, seed: int) -> Nest:
        return {"sub": self.policy.init(seed)["sub"]}

    def initial_state(self, seed: int) -> dict[str, Nest]:
        """Lives that all end before the first update, so that each begins when it is due."""
        meta, config = self.init(seed), self.config
        num = config.meta_batch_size
        fast = self.start(meta, num, keys.per_task(keys.from_int(seed), num))
        task = nest.map(
            lambda spec: tf.zeros([num, *spec.shape], spec.dtype), self.environment.task_spec
        )
        # A group's first life is shorter, so that later ones are evenly apart.
        group = np.arange(num) % config.groups
        age = group * config.inner_updates // config.groups
        life = {
            "params": fast.params,
            "slots": fast.slots,
            "age": tf.constant(age, tf.int32),
            "task": task,
            "born": tf.zeros([num], tf.bool),
        }
        return {"meta": meta, "life": life, "sub_slots": self.sub_optimizer.init(meta["sub"])}

    def start(self, meta: Nest, num_tasks: int, key: tf.Tensor | tuple[()] = ()) -> FastState:
        leaves = tf.nest.flatten(self._pool)
        draw = lambda own: tf.random.stateless_uniform([len(leaves)], own, 0, _POOL, tf.int32)
        index = tf.map_fn(draw, key)
        drawn = [tf.gather(leaf, index[:, i]) for i, leaf in enumerate(leaves)]
        theta = tf.nest.pack_sequence_as(self._pool, drawn)
        return FastState(theta, self.inner_optimizer.init(theta, num_tasks))

    def acting(self, meta: Nest, fast: FastState) -> Params:
        num = nest.leading(fast.params)
        sub = nest.repeat(meta["sub"], num)
        return {"master": fast.params, "sub": sub, "random": tf.zeros([num])}

    def support(
        self, meta: Nest, fast: FastState, task: Task, key: tf.Tensor, num_episodes: int
    ) -> Experience:
        """Episodes in which some of the master's choices are drawn evenly."""
        params = self.acting(meta, fast)
        params["random"] = tf.fill(params["random"].shape, self.config.random_choices)
        return self.experience(meta, fast, self.sample(params, task, num_episodes, key))

    def experience(self, meta: Nest, fast: FastState, trajectory: Trajectory) -> Experience:
        """What the master learns from."""
        config = self.config.advantage
        macro = macro_steps(trajectory, self.config.period)
        decay = config.discount, config.gae_lambda
        found = proximal.experience(self.policy.master, fast.params, macro, *decay)
        return found._replace(trajectory=trajectory, extra={**found.extra, "macro": macro})

    def adapt(self, meta: Nest, fast: FastState, support: Experience) -> FastState:
        """PPO of the master; the sub-policies stand still."""
        above = support._replace(trajectory=support.extra["macro"])
        loss = lambda theta: proximal.loss(self.policy.master, theta, above, self.config.clip_ratio)

        def step(number: tf.Tensor, fast: FastState) -> tuple[tf.Tensor, FastState]:
            return number + 1, inner.step(loss, self.inner_optimizer, fast)[0]

        return tf.while_loop(
            lambda number, _: number < self.config.master_steps,
            step,
            (0, fast),
            maximum_iterations=self.config.master_steps,
            parallel_iterations=1,
        )[1]

    def adapt_shared(
        self, phi: Params, slots: Nest, trajectory: Trajectory, joint: tf.Tensor
    ) -> tuple[Params, Nest]:
        """PPO of the sub-policies, by the mean over lives with `joint` [N] of 1.

        Args:
          phi: each [K, ...].
          slots: of their optimiser.
          trajectory: `Trajectory` [N, E, T].
          joint: [N], 1 for lives that count, 0 for others.

        Returns:
          (phi, slots); as they were where no life counts.
        """
        config, options = self.config, self.config.num_options
        num = trajectory.mask.shape[0]
        rows = lambda phi: flat(nest.repeat(phi, num))
        decay = config.advantage.discount, config.advantage.gae_lambda
        below = by_option(trajectory, options)
        support = self._credited(rows(phi), trajectory, below, decay)
        counts = tf.repeat(joint, options) / tf.maximum(tf.reduce_sum(joint), 1)

        def step(number: tf.Tensor, phi: Params, slots: Nest) -> tuple[tf.Tensor, Params, Nest]:
            def loss(phi: Params) -> tf.Tensor:
                part = proximal.part_of(support, number % config.sub_minibatches, 1)
                each = proximal.loss(self.policy.sub, rows(phi), part, config.clip_ratio)
                return each * counts

            _, gradients = inner.gradient(loss, phi)
            moved, after = self.sub_optimizer.apply(phi, gradients, slots)
            return number + 1, moved, after

        _, moved, after = tf.while_loop(
            lambda number, *_: number < config.sub_steps,
            step,
            (0, phi, slots),
            maximum_iterations=config.sub_steps,
            parallel_iterations=1,
        )
        any_life = tf.reduce_any(joint > 0)
        keep = lambda new, old: tf.where(any_life, new, old)
        return nest.map(keep, moved, phi), nest.map(keep, after, slots)

    def _credited(
        self, rows: Params, trajectory: Trajectory, below: Trajectory, decay: tuple[float, float]
    ) -> Experience:
        """What sub-policies learn from: `Experience` [N * K, E, T].

        Advantages run over whole episodes, with the value of each step by the sub-policy that acts
        in it.

        Args:
          rows: weights of the sub-policies, each [N * K, ...].
          trajectory: `Trajectory` [N, E, T].
          below: the same with a row for each sub-policy, see `by_option`.
          decay: gamma and lambda.
        """
        options, option = self.config.num_options, trajectory.info["option"]
        all_steps = nest.map(lambda x: tf.repeat(x, options, axis=0), trajectory)
        value, final = self.policy.sub.value(rows, all_steps)
        own = one_hot_rows(option, options)  # [N * K, E, T]
        last = own * tf.cast(last_steps(all_steps.mask), own.dtype)
        joined = lambda x: tf.reduce_sum(tf.reshape(x, [-1, options, *x.shape[1:]]), axis=1)
        value, final = joined(value * own), joined(final * tf.reduce_sum(last, axis=2))
        found = proximal.credit(trajectory, value, final, *decay)
        advantage, target = (tf.repeat(x, options, axis=0) for x in found)
        acted = distributions.tensors(losses.action_distribution(self.policy.sub, rows, below))
        return Experience(below, *nest.stop_gradient((advantage, acted, {"target": target})))

    # An iteration.

    def collect(
        self, meta: Nest, task: Task, key: tf.Tensor, index: tf.Tensor | tuple[()] = ()
    ) -> tuple[Nest, dict[str, Nest], dict[str, tf.Tensor]]:
        """As many updates as a life has: (meta, other state, metrics) after them."""
        config, num = self.config, nest.leading(task)
        length = config.inner_updates
        returns = tf.TensorArray(tf.float32, length, element_shape=[num])
        ages = tf.TensorArray(tf.int32, length, element_shape=[num])

        def update(
            number: tf.Tensor,
            phi: Params,
            slots: Nest,
            life: Nest,
            returns: tf.TensorArray,
            ages: tf.TensorArray,
        ) -> tuple[Any, ...]:
            own = keys.fold(key, number)
            fresh = self.start({"sub": phi}, num, self.task_keys(own, num))
            due = (life["age"] == 0) | ~life["born"]
            new = {"params": fresh.params, "slots": fresh.slots, "task": task}
            now = nest.where(due, new, {name: life[name] for name in new})
            fast, meta = FastState(now["params"], now["slots"]), {"sub": phi}
            support = self.support(meta, fast, now["task"], own, config.episodes_per_update)
            returns = returns.write(
                number, tf.reduce_mean(episode_return(support.trajectory), axis=1)
            )
            ages = ages.write(number, life["age"])
            joint = tf.cast(life["age"] >= config.warm_up, tf.float32)
            fast = self.adapt(meta, fast, support)
            phi, slots = self.adapt_shared(phi, slots, support.trajectory, joint)
            life = {
                "params": fast.params,
                "slots": fast.slots,
                "age": (life["age"] + 1) % length,
                "task": now["task"],
                "born": tf.ones_like(life["born"]),
            }
            return number + 1, phi, slots, life, returns, ages

        start = (0, meta["sub"], self.state["sub_slots"].read(), self.state["life"].read())
        _, phi, slots, life, returns, ages = tf.while_loop(
            lambda number, *_: number < length,
            update,
            (*start, returns, ages),
            maximum_iterations=length,
            parallel_iterations=1,
        )
        metrics = _of_ages(returns.stack(), ages.stack(), length)
        return {"sub": phi}, {"life": life, "sub_slots": slots}, metrics

    def update(self, batch: Any) -> dict[str, tf.Tensor]:
        meta, others, metrics = batch
        self.meta.write(meta)
        for name, values in others.items():
            self.state[name].write(values)
        return metrics


def macro_steps(trajectory: Trajectory, period: int) -> Trajectory:
    """What the master did: a step for each choice, [N, E, ceil(T / N)].

    The reward of a step is the sum of all up to the next choice; it ended the episode if one of
    them did. The last step is shorter where `period` does not divide T.
    """
    steps = trajectory.mask.shape[2]
    missing = -steps % period

    def rows(x: tf.Tensor) -> tf.Tensor:
        x = tf.pad(x, [[0, 0], [0, 0], [0, missing], *[[0, 0]] * (x.shape.rank - 3)])
        return tf.reshape(x, [*x.shape[:2], (steps + missing) // period, period, *x.shape[3:]])

    first = lambda x: rows(x)[:, :, :, 0]
    return trajectory._replace(
        observation=nest.map(first, trajectory.observation),
        action=first(trajectory.info["option"]),
        reward=tf.reduce_sum(rows(trajectory.reward * trajectory.mask), axis=3),
        mask=first(trajectory.mask),
        log_prob=first(trajectory.info["choice_log_prob"]),
        terminated=tf.reduce_max(rows(trajectory.terminated), axis=3),
        info=(),
        start=(),
    )


def by_option(trajectory: Trajectory, num_options: int) -> Trajectory:
    """A row for each sub-policy, in whose mask are the steps in which it acted: [N * K, E, T]."""
    rows = nest.map(lambda x: tf.repeat(x, num_options, axis=0), trajectory)
    own = one_hot_rows(trajectory.info["option"], num_options)
    return rows._replace(mask=rows.mask * own, info=(), start=())


def one_hot_rows(option: tf.Tensor, num_options: int) -> tf.Tensor:
    """Options [N, E, T] -> [N * K, E, T], 1 where row k's is in force."""
    each = tf.transpose(tf.one_hot(option, num_options), [0, 3, 1, 2])
    return tf.reshape(each, [-1, *option.shape[1:]])


def _of_ages(returns: tf.Tensor, ages: tf.Tensor, length: int) -> dict[str, tf.Tensor]:
    """Metrics of returns [rounds, N] at ages [rounds, N] of lives."""

    def at(age: int) -> tf.Tensor:
        chosen = tf.cast(ages == age, returns.dtype)
        return tf.math.divide_no_nan(tf.reduce_sum(returns * chosen), tf.reduce_sum(chosen))

    return {"return_before": at(0), "return_last_update": at(length - 1)}
