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

Differences from the paper:
  - An update of the sub-policies is one on the steps of all lives past their warm-up, where the
    paper's groups take steps of their own.
  - PPO begins from a ratio of 1 at each update, although what a level has seen, by which its
    observations are normalised, grew after it acted. In the first updates of a life that matters.
  - With a life, the master's optimiser and normalisation begin anew as well; in the code they go
    on.
  - The weights of each layer of a new master are one of 64 draws, others in training than on new
    tasks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from tfcaml import divergence, keys, losses, nest, settings
from tfcaml.advantages.config import AdvantageConfig
from tfcaml.divergence import tabular_metrics
from tfcaml.errors import check, check_acts, check_is, check_positive
from tfcaml.learners.base import LearnerConfig, MetaLearner
from tfcaml.losses import proximal
from tfcaml.optimization import inner, optimizers
from tfcaml.policies import actor_critic, distributions
from tfcaml.policies.normalized import NormalizedPolicy
from tfcaml.policies.two_level import TwoLevelPolicy, choice_spec
from tfcaml.types import (
    Experience,
    FastState,
    Metric,
    Nest,
    Params,
    Task,
    Trajectory,
    episode_return,
    last_steps,
)

if TYPE_CHECKING:
    from tensorflow_probability import distributions as tfd

    from tfcaml.environments.base import TaskFamily
    from tfcaml.policies.base import Policy

COLLAPSE = "whether sub-policies and masters differ"  # a chart
_STATES = 512  # in which actions of sub-policies are compared, about
_MOST = float(np.log(2))  # the largest Jensen-Shannon divergence there is, nats
_POOL = 64  # initial weights of each of a master's layers, of which a life takes one
_FIRST = 1_000_003  # the first seed of those on new tasks; in training it is 0


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
      inner_learning_rate: Step size of the master's Adam. Source: the study mlsh; MLSH paper: 0.01.
      master_steps: Adam steps of the master in an update. Source: the study mlsh; MLSH's code: 10
        epochs.
      sub_learning_rate: Step size of the sub-policies' Adam. Source: the study mlsh; MLSH paper:
        3e-4.
      sub_steps: Adam steps of the sub-policies in an update. Source: tfcaml; MLSH's code: 10 times
        all minibatches.
      sub_minibatches: Parts that the environment steps of an update are cut into, of which each of
        these Adam steps takes the next; a divisor of them. Source: tfcaml; MLSH's code: 15.
      observation_clip: Standard deviations beyond which observations, less their running mean, are
        cut off; 0: they are seen as they are. Source: MLSH's code: 5.
      master_clip_ratio: Epsilon of the master's PPO. Source: MLSH's code: 0.2.
      sub_clip_ratio: Epsilon of the sub-policies' PPO. Source: MLSH's code: 0.2.
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
    inner_learning_rate: float = 0.02
    master_steps: int = 8
    sub_learning_rate: float = 2e-3
    sub_steps: int = 10
    sub_minibatches: int = 1
    observation_clip: float = 5.0
    master_clip_ratio: float = 0.2
    sub_clip_ratio: float = 0.2
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
        check_acts(self, ("random_choices",), self.num_options > 1, "with several sub-policies")
        check_acts(self, ("groups",), self.inner_updates > 1, "with inner_updates > 1")
        for name in ("master_clip_ratio", "sub_clip_ratio"):
            check(0 < getattr(self, name) < 1, name, getattr(self, name), "in (0, 1)")
        check(self.observation_clip >= 0, "observation_clip", self.observation_clip, ">= 0")
        for name, only in (
            ("return_type", "reward_to_go"),
            ("baseline", "none"),
            ("normalize", True),
        ):
            value = getattr(self.advantage, name)
            rule = f"{only}: critics are what returns are compared with"
            check(value == only, f"advantage.{name}", value, rule)

    def stored(self, sizes: settings.Sizes, num_tasks: int) -> list[settings.Stored]:
        options, lives = self.num_options, self.meta_batch_size
        each = settings.stored_by_tasks(self, sizes)
        # Every sub-policy sees all steps, and critics have layers of their own.
        seen = 2 * each.episodes * (2 * sizes.learned - sizes.played)
        pair = sizes.weights // 3 + _STATES * sizes.outputs  # of two that are compared
        life, option = 2 * sizes.weights + options * seen, sizes.weights + lives * seen
        return [
            each._replace(numbers=life),
            settings.Stored("num_options", options, each.episodes, option + options * pair),
        ]

    @classmethod
    def smallest(cls, section: dict[str, Any]) -> dict[str, Any]:
        # Two lives with one update of the master alone, and one of both levels, at most.
        lives = {name: min(section[name], 2) for name in ("inner_updates", "groups")}
        steps = {name: min(section[name], 2) for name in ("master_steps", "sub_steps")}
        least = {"warm_up": min(section["warm_up"], 1), "sub_minibatches": 1}
        return {**super().smallest(section), **lives, **steps, **least}


class MLSH(MetaLearner):
    """meta = {"sub": phi, weights of all sub-policies and what they have seen, each [K, ...]}.

    `FastState.params` are theta, the master's weights, and `FastState.memory` is {"seen": what the
    master has seen}, see `NormalizedPolicy`.

    Raises:
      ConfigError: a policy that is no `TwoLevelPolicy` of the config's numbers, or one whose levels
        are no `NormalizedPolicy`s with critics.
    """

    Config: type = MLSHConfig
    config: MLSHConfig
    policy: TwoLevelPolicy
    quick_under_xla = True
    starts_at_random = True
    has_own_loss = True

    @classmethod
    def make_policy(
        cls,
        environment: TaskFamily,
        config: Any,
        fc_layer_params: Sequence[int] = (32, 32),
        activation: str = "tanh",
    ) -> Policy:
        """MLPs with critics beside them: a master and sub-policies."""

        def level(action_spec: Any) -> Policy:
            specs = environment.observation_spec, action_spec
            policy = actor_critic(*specs, fc_layer_params, activation)
            return NormalizedPolicy(policy, config.observation_clip)

        return TwoLevelPolicy(
            level(choice_spec(config.num_options)), level(environment.action_spec), config.period
        )

    def setup(self) -> None:
        check_is("policy", self.policy, TwoLevelPolicy, "a TwoLevelPolicy")
        for name in ("num_options", "period"):
            own, wanted = getattr(self.policy, name), getattr(self.config, name)
            check(own == wanted, f"{name} of the policy", own, f"{wanted}, as of the config")
        rule = "a NormalizedPolicy with the critic value, as make_policy makes it"
        for name in ("master", "sub"):
            level: Any = getattr(self.policy, name)
            fits = isinstance(level, NormalizedPolicy) and "value" in level.heads
            check(fits, f"{name} of the policy", type(level).__name__, rule)
        config = self.config
        steps = config.meta_batch_size * config.episodes_per_update * self.environment.horizon
        rule = f"a divisor of {steps}, the steps of an update"
        check(steps % config.sub_minibatches == 0, "sub_minibatches", config.sub_minibatches, rule)
        self.sub_optimizer = optimizers.adam(self.config.sub_learning_rate)
        drawn = lambda first: nest.stack(
            [self.policy.master.init(first + i)["policy"] for i in range(_POOL)]
        )
        self._training_pool, self._pool = drawn(0), drawn(_FIRST)

    def init(self, seed: int) -> Nest:
        return {"sub": self.policy.init(seed)["sub"]}

    def initial_state(self, seed: int) -> dict[str, Nest]:
        """Lives that all end before the first update, so that each begins when it is due."""
        meta, config = self.init(seed), self.config
        num = config.meta_batch_size
        task = nest.map(
            lambda spec: tf.zeros([num, *spec.shape], spec.dtype), self.environment.task_spec
        )
        # A group's first life is shorter, so that later ones are evenly apart.
        group = np.arange(num) % config.groups
        life = {
            "fast": self.start(meta, num, keys.per_task(keys.from_int(seed), num)),
            "task": task,
            "age": tf.constant(group * config.inner_updates // config.groups, tf.int32),
            "born": tf.zeros([num], tf.bool),
        }
        slots = self.sub_optimizer.init(meta["sub"]["policy"])
        return {"meta": meta, "life": life, "sub_slots": slots}

    def start(self, meta: Nest, num_tasks: int, key: tf.Tensor | tuple[()] = ()) -> FastState:
        return self.born(self._pool, num_tasks, key)

    def born(self, pool: Params, num_tasks: int, key: tf.Tensor | tuple[()]) -> FastState:
        """Masters that know nothing, with weights of a pool, each [P, ...], drawn with `key`."""
        theta = nest.drawn(pool, key)
        master: Any = self.policy.master
        seen = nest.repeat(master.nothing_seen(), num_tasks)
        return FastState(theta, self.inner_optimizer.init(theta, num_tasks), {"seen": seen})

    def master(self, fast: FastState) -> Params:
        """The master's parameters, each [N, ...]."""
        return {"policy": fast.params, "seen": fast.memory["seen"]}

    def acting(self, meta: Nest, fast: FastState) -> Params:
        num = nest.num_rows(fast.params)
        sub = nest.repeat(meta["sub"], num)
        return {"master": self.master(fast), "sub": sub, "random": tf.zeros([num])}

    def support(
        self, meta: Nest, fast: FastState, task: Task, key: tf.Tensor, num_episodes: int
    ) -> Experience:
        """Episodes in which some of the master's choices are drawn evenly."""
        params = self.acting(meta, fast)
        params["random"] = tf.fill(params["random"].shape, self.config.random_choices)
        return self.experience(meta, fast, self.sample(params, task, num_episodes, key))

    def experience(self, meta: Nest, fast: FastState, trajectory: Trajectory) -> Experience:
        """What the master learns from.

        `extra["macro"]` are its steps, and `extra["seen"]` what it has seen with them, as which it
        sees them again.
        """
        policy: Any = self.policy.master
        config = self.config.advantage
        macro = macro_steps(trajectory, self.config.period)
        seen = policy.counted(fast.memory["seen"], macro.observation, macro.mask)
        params = {"policy": fast.params, "seen": seen}
        macro = _as_acted(policy, params, macro)
        found = proximal.experience(policy, params, macro, config.discount, config.gae_lambda)
        extra = {**found.extra, "macro": macro, "seen": seen}
        return found._replace(trajectory=trajectory, extra=extra)

    def adapt(self, meta: Nest, fast: FastState, support: Experience) -> FastState:
        """PPO of the master; the sub-policies stand still."""
        seen = support.extra["seen"]
        above = support._replace(trajectory=support.extra["macro"])

        def loss(theta: Params) -> tf.Tensor:
            params = {"policy": theta, "seen": seen}
            return proximal.loss(self.policy.master, params, above, self.config.master_clip_ratio)

        step = lambda _, fast: inner.step(loss, self.inner_optimizer, fast)[0]
        fast = _repeated(step, fast, self.config.master_steps)
        return fast._replace(memory={"seen": seen})

    def adapt_shared(
        self, sub: Params, slots: Nest, trajectory: Trajectory, joint: tf.Tensor
    ) -> tuple[Params, Nest]:
        """PPO of the sub-policies, each on the steps in which it acted.

        Args:
          sub: weights and what was seen, each [K, ...].
          slots: of the optimiser of the weights.
          trajectory: `Trajectory` [N, E, T].
          joint: [N], 1 for lives that they learn from, 0 for others.

        Returns:
          (sub, slots) after it.
        """
        support = self.credited(sub, trajectory, joint)
        seen, parts = support.extra["seen"], self.config.sub_minibatches

        def step(number: tf.Tensor, now: tuple[Params, Nest]) -> tuple[Params, Nest]:
            part = proximal.part_of(support, number % parts, parts)

            def loss(phi: Params) -> tf.Tensor:
                params = {"policy": phi, "seen": seen}
                return proximal.loss(self.policy.sub, params, part, self.config.sub_clip_ratio)

            phi, slots = now
            return self.sub_optimizer.apply(phi, inner.gradient(loss, phi)[1], slots)

        phi, slots = _repeated(step, (sub["policy"], slots), self.config.sub_steps)
        return {"policy": phi, "seen": seen}, slots

    def credited(self, sub: Params, trajectory: Trajectory, joint: tf.Tensor) -> Experience:
        """What the sub-policies learn from, a row for each of them: `Experience` [K, N * E, T].

        Advantages run over whole episodes, with the value of each step by the sub-policy that acts
        in it. Its steps are what is left in the mask of a sub-policy's row.

        Args:
          sub, trajectory, joint: as of `adapt_shared`.
        """
        policy: Any = self.policy.sub
        options, config = self.config.num_options, self.config.advantage
        shape = trajectory.mask.shape  # N, E, T
        acted = tf.transpose(
            tf.one_hot(trajectory.info["option"], options, dtype=trajectory.mask.dtype),
            [3, 0, 1, 2],
        )  # [K, N, E, T]
        together = lambda x: tf.reshape(x, [-1, *x.shape[2:]])  # all lives' episodes
        rows = lambda x: tf.repeat(together(x)[None], options, axis=0)
        each = nest.map(rows, trajectory._replace(info=(), start=()))
        counts = tf.reshape(acted * joint[:, None, None], each.mask.shape)
        below = each._replace(mask=each.mask * counts)
        seen = policy.counted(sub["seen"], below.observation, below.mask)
        sub = {"policy": sub["policy"], "seen": seen}
        value, final = policy.value(sub, each)
        in_force = acted * tf.cast(last_steps(trajectory.mask), acted.dtype)
        final = tf.reduce_sum(
            tf.reshape(final, [options, *shape[:2]]) * tf.reduce_sum(in_force, axis=3), axis=0
        )
        value = tf.reduce_sum(tf.reshape(value, acted.shape) * acted, axis=0)
        found = proximal.credit(trajectory, value, final, config.discount, config.gae_lambda)
        advantage, target = nest.map(rows, found)
        below = _as_acted(policy, sub, below)
        old = distributions.tensors(losses.action_distribution(policy, sub, below))
        extra = {"target": target, "seen": seen}
        return Experience(below, *nest.stop_gradient((advantage, old, extra)))

    # An iteration.

    def collect(
        self, meta: Nest, task: Task, key: tf.Tensor, index: tf.Tensor | tuple[()] = ()
    ) -> tuple[dict[str, Nest], dict[str, tf.Tensor]]:
        """As many updates as a life has: (all state, metrics) after them."""
        config, num = self.config, nest.leading(task)
        length = config.inner_updates

        def update(number: tf.Tensor, state: dict[str, Nest], told: Nest) -> tuple[Any, ...]:
            meta, life, own = state["meta"], state["life"], keys.fold(key, number)
            fresh = self.born(self._training_pool, num, self.task_keys(own, num))
            due = (life["age"] == 0) | ~life["born"]
            fast = nest.where(due, fresh, life["fast"])
            here = nest.where(due, task, life["task"])
            support = self.support(meta, fast, here, own, config.episodes_per_update)
            played = support.trajectory
            joint = tf.cast(life["age"] >= config.warm_up, played.mask.dtype)
            sub, slots = tf.cond(
                tf.reduce_any(joint > 0),
                lambda: self.adapt_shared(meta["sub"], state["sub_slots"], played, joint),
                lambda: (meta["sub"], state["sub_slots"]),
            )
            now = {
                "returns": tf.reduce_mean(episode_return(played), axis=1),
                "ages": life["age"],
                "usage": usage(played, config.num_options),
                "subs_apart": self.apart(meta["sub"], played),
            }
            told = {name: x.write(number, now[name]) for name, x in told.items()}
            life = {
                "fast": self.adapt(meta, fast, support),
                "task": here,
                "age": (life["age"] + 1) % length,
                "born": tf.ones_like(life["born"]),
            }
            return number + 1, {"meta": {"sub": sub}, "life": life, "sub_slots": slots}, told

        told = {
            "returns": tf.TensorArray(tf.float32, length, element_shape=[num]),
            "ages": tf.TensorArray(tf.int32, length, element_shape=[num]),
            "usage": tf.TensorArray(tf.float32, length, element_shape=[num, config.num_options]),
            "subs_apart": tf.TensorArray(tf.float32, length, element_shape=[]),
        }
        state = {name: value.read() for name, value in self.state.items()}
        _, state, told = tf.while_loop(
            lambda number, *_: number < length,
            update,
            (0, {**state, "meta": meta}, told),
            maximum_iterations=length,
            parallel_iterations=1,
        )
        told = {name: x.stack() for name, x in told.items()}
        ages, returns = told["ages"], told["returns"]
        last = nest.expand(tf.cast(ages == length - 1, tf.float32), told["usage"])
        chosen = tf.reduce_sum(told["usage"] * last, axis=0)  # [N, K], in lives' last updates
        log = tf.math.log(chosen)
        between = divergence.jensen_shannon(log[:, None], log[None])  # 0 in the diagonal
        return state, {
            "return_before": _at_age(returns, ages, 0),
            "return_last_update": _at_age(returns, ages, length - 1),
            "least_used": tf.reduce_min(tf.reduce_mean(chosen, axis=0)),
            "subs_apart": told["subs_apart"][-1],
            "masters_apart": tf.reduce_sum(between) / max(num * (num - 1), 1) / _MOST,
        }

    def apart(self, sub: Params, trajectory: Trajectory) -> tf.Tensor:
        """How far the actions of the sub-policies are apart in the states of a trajectory: [].

        The Jensen-Shannon divergence of two of them, mean over pairs and steps, as a share of the
        largest there is.
        """
        if self.config.num_options == 1:
            return tf.zeros([])
        step = max(1, trajectory.mask.shape.num_elements() // _STATES)
        some = lambda x: tf.reshape(x, [1, -1, *x.shape[3:]])[:, ::step]
        mask = some(trajectory.mask)
        seen = nest.map(some, trajectory.observation)
        first, second = tabular_metrics.pairs(self.config.num_options)

        def of(index: np.ndarray) -> tfd.Distribution:
            return self.policy.sub(
                nest.take(sub, index), nest.map(lambda x: tf.repeat(x, len(index), axis=0), seen)
            )

        distance = divergence.action_distance(of(first), of(second)) ** 2
        return tf.reduce_mean(tf.reduce_sum(distance * mask, axis=1) / tf.reduce_sum(mask)) / _MOST

    def update(self, batch: Any) -> dict[str, tf.Tensor]:
        state, metrics = batch
        for name, values in state.items():
            self.state[name].write(values)
        return metrics

    @property
    def metrics(self) -> dict[str, Metric]:
        ranges = "0: all alike; 1: as far apart as can be"
        return {
            **super().metrics,
            "least_used": Metric(
                "Share of the masters' choices, in the last updates of lives, that fell on the "
                "sub-policy that they chose least.",
                COLLAPSE,
            ),
            "subs_apart": Metric(
                "Jensen-Shannon divergence of what two sub-policies do in the same states, as a "
                f"share of the largest there is ({ranges}).",
                COLLAPSE,
            ),
            "masters_apart": Metric(
                "Jensen-Shannon divergence of what lives choose in their last updates, as a share "
                f"of the largest there is ({ranges}).",
                COLLAPSE,
            ),
        }


def _as_acted(policy: Policy, params: Params, trajectory: Trajectory) -> Trajectory:
    """A trajectory with the log-probabilities that its actions have now.

    What was seen has just grown, so that observations are brought to another scale than when they
    were acted on; the steps of PPO start from a ratio of 1 all the same.
    """
    log_prob = losses.action_log_prob(policy, params, trajectory)
    return trajectory._replace(log_prob=tf.stop_gradient(log_prob))


def _repeated(step: Callable[[tf.Tensor, Any], Any], state: Nest, times: int) -> Nest:
    """A state after `step`, of its number and the state, that many times in one compiled loop."""
    return tf.while_loop(
        lambda number, _: number < times,
        lambda number, state: (number + 1, step(number, state)),
        (0, state),
        maximum_iterations=times,
        parallel_iterations=1,
    )[1]


def macro_steps(trajectory: Trajectory, period: int) -> Trajectory:
    """What the master did: a step for each choice, [N, E, ceil(T / N)].

    The reward of a step is the sum of all up to the next choice; it ended the episode if one of
    them did. The last step is shorter where `period` does not divide T.
    """
    steps = trajectory.mask.shape[2]
    period = min(period, steps)
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
        terminated=tf.reduce_max(rows(trajectory.terminated), axis=3),
        info=(),
        start=(),
    )


def usage(trajectory: Trajectory, num_options: int) -> tf.Tensor:
    """Shares of a master's choices that fell on each sub-policy, [N, K]."""
    info = trajectory.info
    made = (info["chosen"] * trajectory.mask)[..., None]
    counts = tf.reduce_sum(tf.one_hot(info["option"], num_options) * made, axis=[1, 2])
    return counts / tf.reduce_sum(counts, axis=1, keepdims=True)


def _at_age(x: tf.Tensor, ages: tf.Tensor, age: int) -> tf.Tensor:
    """The mean of x [rounds, N, ...] over lives of an age, where ages are [rounds, N]."""
    chosen = nest.expand(tf.cast(ages == age, x.dtype), x)
    total, count = tf.reduce_sum(x * chosen, axis=[0, 1]), tf.reduce_sum(chosen)
    return tf.math.divide_no_nan(total, count)
