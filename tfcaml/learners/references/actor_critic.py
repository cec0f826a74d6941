"""Actor-critic learners of single tasks: A2C, and IMPALA's with V-trace.

V. Mnih et al., "Asynchronous methods for deep reinforcement learning", ICML 2016, of which A2C is
the synchronous form; L. Espeholt et al., "IMPALA: scalable distributed deep-RL with importance
weighted actor-learner architectures", ICML 2018. Of steps that a policy mu has played,

    v_t, A_t = V-trace of log pi_theta - log mu, gamma and lambda          (A2C: pi_theta = mu)
    L = mean of - A_t log pi_theta(a_t | s_t) + b (v_t - V_theta(s_t))^2 / 2 - c H(pi_theta)

with v_t and A_t as constants. Rows of the weights are independent lives, each in a task of its own.

Differences from the papers:
  - Losses are means over steps, not sums.
  - Episodes that are cut, by their horizon or by the end of a segment, bootstrap from the value of
    what they led to. An episode that ends within a segment leaves the rest of it empty.
  - What another machine would have played with old weights is played with the weights of `lag`
    updates ago.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import tensorflow as tf

from tfcaml import keys, losses, nest, settings
from tfcaml.advantages import vtrace
from tfcaml.advantages.config import AdvantageConfig
from tfcaml.errors import check, check_acts, check_one_of, check_positive
from tfcaml.learners.base import LearnerConfig, MetaLearner
from tfcaml.optimization import optimizers
from tfcaml.policies import TORSOS, actor_critic
from tfcaml.rollouts import sampling
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
    from tfcaml.environments.base import Population, TaskFamily
    from tfcaml.policies.base import Policy

_CORRECTIONS = ("none", "vtrace")


@settings.checked
@dataclasses.dataclass(frozen=True)
class ActorCriticConfig(LearnerConfig):
    """Settings of A2C.

    Attributes:
      num_iterations: Iterations of training. Source: tfcaml.
      meta_batch_size: Independent lives, in the training tasks in turn. Source: tfcaml.
      inner_updates: Updates in an iteration. Source: tfcaml.
      episodes_per_update: Episodes that are played side by side, by each life. Source: A2C's code
        in baselines: 16.
      unroll: Steps of each of them that an update learns from, after which the next one goes on;
        0: whole episodes, of which each update takes new ones. Unit: steps. Source: IMPALA: 20.
      reward_clip: The largest size of a reward in what is learned from; larger ones are cut to it.
        Returns that are told are of the rewards as they are. 0: no bound. Source: IMPALA: 1 on
        Atari.
      torso: What makes the vectors of images that the policy and the critics see: "none", nothing;
        "convolutional", two convolutions and a dense layer; "residual", IMPALA's deep residual
        network. Source: IMPALA, Figure 3.
      inner_optimizer: What takes the updates: "rmsprop", "adam" or "sgd". Source: IMPALA: rmsprop.
      inner_learning_rate: Step size of the updates. Source: IMPALA: 6e-4.
      rms_decay: Decay of RMSProp's second moment, with inner_optimizer=rmsprop. Source: IMPALA.
      rms_epsilon: What is added to it within the root. Source: IMPALA: 0.01 for images; A2C: 1e-5.
      max_grad_norm: The largest norm of a life's gradient; a longer one is scaled; 0: no bound.
        Source: IMPALA: 40, of sums over steps.
      value_weight: b, what the critic's error counts. Source: IMPALA: 0.5.
      entropy_weight: c, what the policy's entropy counts. Source: IMPALA: 0.01.
      correction: What is done about steps that other weights have played: "none" or "vtrace".
        Source: A2C: none.
      clip_rho: The most that a step's ratio of probabilities counts, with correction=vtrace.
        Source: IMPALA: 1.
      clip_c: The most that it counts in what follows, with correction=vtrace. Source: IMPALA: 1.
      lag: How many updates old the weights are that play. Unit: updates. Source: tfcaml.
      advantage: Gamma (`discount`) and lambda (`gae_lambda`) of the returns; the critic is the
        baseline, and nothing is normalised. Source: IMPALA: 0.99 and 1.
    """

    num_iterations: int = 100
    meta_batch_size: int = 1
    inner_updates: int = 10
    episodes_per_update: int = 16
    unroll: int = 0
    reward_clip: float = 0.0
    torso: str = "none"
    inner_optimizer: str = "rmsprop"
    inner_learning_rate: float = 1e-3
    rms_decay: float = 0.99
    rms_epsilon: float = 1e-5
    max_grad_norm: float = 40.0
    value_weight: float = 0.5
    entropy_weight: float = 0.01
    correction: str = "none"
    clip_rho: float = 1.0
    clip_c: float = 1.0
    lag: int = 0
    advantage: AdvantageConfig = AdvantageConfig(baseline="none", normalize=False)

    INNER_OPTIMIZERS: ClassVar[tuple[str, ...]] = ("rmsprop", "adam", "sgd")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_one_of("correction", self.correction, _CORRECTIONS)
        check_one_of("torso", self.torso, ("none", *TORSOS))
        check_positive(clip_rho=self.clip_rho, clip_c=self.clip_c, rms_epsilon=self.rms_epsilon)
        for name in (
            *("unroll", "reward_clip", "max_grad_norm", "value_weight", "entropy_weight", "lag"),
        ):
            check(getattr(self, name) >= 0, name, getattr(self, name), ">= 0")
        check(0 <= self.rms_decay < 1, "rms_decay", self.rms_decay, "in [0, 1)")
        is_rms, corrects = self.inner_optimizer == "rmsprop", self.correction == "vtrace"
        check_acts(self, ("rms_decay", "rms_epsilon"), is_rms, "with inner_optimizer=rmsprop")
        check_acts(self, ("clip_rho", "clip_c"), corrects, "with correction=vtrace")
        given = self.advantage
        for name, only in (
            ("return_type", "reward_to_go"),
            ("baseline", "none"),
            ("normalize", False),
        ):
            rule = f"{only}: the critic is what returns are compared with"
            check(getattr(given, name) == only, f"advantage.{name}", getattr(given, name), rule)

    @classmethod
    def smallest(cls, section: dict[str, Any]) -> dict[str, Any]:
        least = {name: min(section[name], 2) for name in ("inner_updates", "unroll", "lag")}
        return {**super().smallest(section), **least}

    def steps_held(self, horizon: int) -> int:
        return self.unroll or horizon

    def inner(self) -> optimizers.Optimizer:
        made = super().inner()
        if self.inner_optimizer == "rmsprop":
            rate = self.inner_learning_rate
            made = optimizers.rmsprop(rate, self.rms_decay, self.rms_epsilon)
        return optimizers.clipped(made, self.max_grad_norm) if self.max_grad_norm else made


@settings.checked
@dataclasses.dataclass(frozen=True)
class VTraceConfig(ActorCriticConfig):
    """Settings of the V-trace actor-critic.

    Attributes:
      correction: What is done about steps that other weights have played: "vtrace" or "none".
        Source: IMPALA.
    """

    correction: str = "vtrace"


class Credit(NamedTuple):
    """What the steps of a trajectory are credited with, constants for the loss; all [N, E, T].

    advantage: of actions
    target: dict head -> what its values should have been
    """

    advantage: tf.Tensor
    target: dict[str, tf.Tensor]


class Life(NamedTuple):
    """What goes on from update to update, beside the weights.

    slots: of the inner optimiser
    past:  nest of [lag, N, ...], weights before the last updates, the oldest first; `()` without
    rollout: episodes under way; `()` where whole episodes are played
    earned: [N, E], return of each episode so far
    latest: [N, E], return of the latest episode that ended; 0 before that
    """

    slots: Nest
    past: Nest
    rollout: Nest
    earned: tf.Tensor
    latest: tf.Tensor


class CreditLoss(losses.TaskLoss):
    """L of the module, given what steps are credited with in `Experience.extra`."""

    def __init__(self, policy: Policy, config: Any) -> None:
        self.policy = policy
        self.config = config

    def experience(self, meta: Nest, params: Params, trajectory: Trajectory) -> Experience:
        return Experience(trajectory, trajectory.mask)

    def inner(self, meta: Nest, params: Params, support: Experience) -> tf.Tensor:
        config, trajectory, credit = self.config, support.trajectory, support.extra
        mean = lambda x: losses.mean_over_steps(x, trajectory.mask)
        distribution = losses.action_distribution(self.policy, params, trajectory)
        log_prob = distribution.log_prob(nest.flat_steps(trajectory.action))
        per_step = lambda x: tf.reshape(x, trajectory.mask.shape)
        loss = -mean(per_step(log_prob) * credit.advantage)
        if config.entropy_weight:
            loss -= config.entropy_weight * mean(per_step(distribution.entropy()))
        return loss + config.value_weight * self.critic(params, support)

    def critic(self, params: Params, support: Experience) -> tf.Tensor:
        """Half the squared error of all critics: [N]."""
        trajectory, loss = support.trajectory, 0.0
        for head, target in support.extra.target.items():
            value, _ = self.policy.value(params, trajectory, head)
            loss += losses.mean_over_steps((target - value) ** 2, trajectory.mask) / 2
        return loss


class A2C(MetaLearner):
    """meta = {"params": theta, each [N, ...]}, a row for each life.

    On new tasks life i mod N goes on, with a fresh state of its optimiser.

    Raises:
      ConfigError: a policy without a critic, a `loss`, `unroll` in a family whose episodes can't be
        kept from update to update, or none in a family whose episodes are too long for less; or a
        torso of what is no image.
    """

    Config: type = ActorCriticConfig
    config: ActorCriticConfig
    Loss = CreditLoss
    loss: CreditLoss
    plays_segments = True

    @classmethod
    def make_policy(
        cls,
        environment: TaskFamily,
        config: Any,
        fc_layer_params: Sequence[int] = (64,),
        activation: str = "tanh",
    ) -> Policy:
        """An MLP, and critics with layers like its, all behind the torso."""
        specs = environment.observation_spec, environment.action_spec
        layers, torso = (fc_layer_params, activation), cls.torso_of(environment, config)
        return actor_critic(*specs, *layers, cls.heads_of(config), torso)

    @classmethod
    def torso_of(cls, environment: TaskFamily, config: Any) -> Any:
        """The network of the family's images that a config asks for, or None."""
        if config.torso == "none":
            return None
        seen = environment.observation_spec
        rule = f"none: observations of {type(environment).__name__} are no images"
        is_image = isinstance(seen, tf.TensorSpec) and seen.shape.rank == 3
        check(is_image, "torso", config.torso, rule)
        return TORSOS[config.torso](seen)

    @classmethod
    def heads_of(cls, config: Any) -> tuple[str, ...]:
        """Names of the critics that a config asks for."""
        return ("value",)

    def make_loss(self) -> losses.TaskLoss:
        return self.Loss(self.policy, self.config)

    def setup(self) -> None:
        check(isinstance(self.loss, CreditLoss), "loss", self.loss, "left out")
        within = getattr(self.policy, "policy", self.policy)
        heads, wanted = getattr(within, "heads", ()), self.heads_of(self.config)
        rule = f"one with critics {', '.join(wanted)}, as policies.actor_critic makes it"
        check(set(wanted) <= set(heads), "policy", type(self.policy).__name__, rule)
        unroll, family = self.config.unroll, type(self.environment).__name__
        kept = self.environment.keeps_episodes or not unroll
        check(kept, "unroll", unroll, f"0: episodes of {family}, which run in Python, aren't kept")
        parts = unroll or not self.environment.long_episodes
        check(parts, "unroll", unroll, f">= 1: episodes of {family} are too long to be held whole")
        horizon = self.environment.horizon
        rule = f"at most {horizon}, the steps of an episode"
        check(self.config.unroll <= horizon, "unroll", self.config.unroll, rule)

    def init(self, seed: int) -> Nest:
        num = self.config.meta_batch_size
        seeds = [(seed * 1_000_003 + i) % keys.NUM_SEEDS for i in range(num)]
        return {"params": nest.stack([self.fresh(each) for each in seeds])}

    def fresh(self, seed: int) -> Params:
        """What a life begins with, without the axis of lives."""
        return self.policy.init(seed)

    def initial_state(self, seed: int) -> dict[str, Nest]:
        meta, config = self.init(seed), self.config
        params, num = meta["params"], config.meta_batch_size
        rollout: Nest = ()
        if config.unroll:
            rows = num, config.episodes_per_update
            rollout = sampling.nothing_played(self.policy, self.environment, *rows)
        score = tf.zeros([num, config.episodes_per_update])
        past = nest.repeat(params, config.lag) if config.lag else ()
        life = Life(self.inner_optimizer.init(params, num), past, rollout, score, score)
        return {"meta": meta, "life": life}

    def training_tasks(
        self, population: Population, key: tf.Tensor
    ) -> tuple[Task, tf.Tensor | tuple[()]]:
        """The training tasks in turn, the same in every iteration: row i is life i's."""
        index = np.arange(self.config.meta_batch_size) % nest.leading(population.train)
        return nest.take(population.train, index), tf.constant(index, tf.int32)

    def start(self, meta: Nest, num_tasks: int, key: tf.Tensor | tuple[()] = ()) -> FastState:
        params = nest.take(meta["params"], np.arange(num_tasks) % self.config.meta_batch_size)
        return FastState(params, self.inner_optimizer.init(params, num_tasks))

    def test_support(self, meta: Nest, fast: FastState, task: Task, key: tf.Tensor) -> Experience:
        rule = f"0 in {type(self.environment).__name__}: whole episodes of it can't be learned from"
        check(not self.environment.long_episodes, "num_updates", "updates on new tasks", rule)
        return super().test_support(meta, fast, task, key)

    def adapt(self, meta: Nest, fast: FastState, support: Experience) -> FastState:
        # Outside of the step's tape: a constant for its loss, and yet a function of all it is from.
        credit = self.credit(meta, fast, support.trajectory)
        return super().adapt(meta, fast, support._replace(extra=credit))

    def credit(self, meta: Nest, fast: FastState, trajectory: Trajectory) -> Credit:
        """What the steps of a trajectory are credited with: `Credit`."""
        config = self.config.advantage
        discount, lambda_ = config.discount, config.gae_lambda
        params = self.acting(meta, fast)
        target, advantage = self.traced(params, trajectory, discount, lambda_, "value")
        return Credit(advantage, {"value": target})

    def traced(
        self,
        params: Params,
        trajectory: Trajectory,
        discount: float | tf.Tensor,
        lambda_: float | tf.Tensor,
        head: str,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Targets of values and advantages of actions, by one of the critics.

        Args:
          params: of the policy, each [N, ...].
          trajectory: `Trajectory` [N, E, T].
          discount, lambda_: of what steps lead to; broadcast to [N, E, T].
          head: of the policy.

        Returns:
          (targets [N, E, T], advantages [N, E, T]).
        """
        mask = trajectory.mask
        value, final = self.policy.value(params, trajectory, head)
        goes_on = discount * (1 - trajectory.terminated) * mask
        last = tf.cast(last_steps(mask), mask.dtype)
        log_ratio, clips = tf.zeros_like(mask), (1.0, 1.0)
        if self.config.correction == "vtrace":
            clips = self.config.clip_rho, self.config.clip_c
            log_prob = losses.action_log_prob(self.policy, params, trajectory)
            log_ratio = (log_prob - trajectory.log_prob) * mask
        reward, most = trajectory.reward, self.config.reward_clip
        if most:
            reward = tf.clip_by_value(reward, -most, most)
        # What the last valid step leads to stands beside its reward: no column is its own.
        return vtrace(
            log_ratio,
            goes_on * (1 - last),
            reward + goes_on * last * final[..., None],
            value,
            tf.zeros_like(final),
            *clips,
            lambda_,
        )

    def played(
        self, meta: Nest, params: Params, task: Task, life: Life, key: tf.Tensor
    ) -> tuple[Life, Trajectory]:
        """What the next update learns from.

        Args:
          meta: the meta parameters.
          params: what is adapted, each [N, ...].
          task: nest, leading [N].
          life: `Life`.
          key: [2].

        Returns:
          (`Life`, `Trajectory` [N, E, T]).
        """
        num_episodes = self.config.episodes_per_update
        acting = self.acting(meta, FastState(params, ()))
        if not self.config.unroll:
            trajectory = self.sample(acting, task, num_episodes, key)
            return life._replace(latest=episode_return(trajectory)), trajectory
        place = self.policy, self.environment, acting, task
        keys_ = keys.per_episode(key, nest.leading(task), num_episodes)
        rollout = sampling.restart(*place, life.rollout, keys_)
        rollout, trajectory = sampling.play(*place, rollout, self.config.unroll)
        earned = life.earned + episode_return(trajectory)
        latest = tf.where(rollout.alive, life.latest, earned)
        earned = tf.where(rollout.alive, earned, 0.0)
        life = life._replace(rollout=rollout, earned=earned, latest=latest)
        return life, trajectory

    def collect(
        self, meta: Nest, task: Task, key: tf.Tensor, index: tf.Tensor | tuple[()] = ()
    ) -> tuple[Nest, dict[str, Nest], dict[str, tf.Tensor]]:
        """`inner_updates` times an update: (meta, other state, metrics) after them."""

        def body(update: tf.Tensor, params: Params, life: Life) -> tuple[Any, ...]:
            old = nest.map(lambda x: x[0], life.past) if self.config.lag else params
            life, trajectory = self.played(meta, old, task, life, keys.fold(key, update))
            fast = FastState(params, life.slots)
            after = self.adapt(meta, fast, self.experience(meta, fast, trajectory))
            life = life._replace(slots=after.slots)
            if self.config.lag:
                push = lambda x, new: tf.concat([x[1:], new[None]], axis=0)
                life = life._replace(past=nest.map(push, life.past, params))
            return update + 1, after.params, life

        _, params, life = tf.while_loop(
            lambda update, *_: update < self.config.inner_updates,
            body,
            (0, meta["params"], self.state["life"].read()),
            maximum_iterations=self.config.inner_updates,
            parallel_iterations=1,
        )
        metrics = {"return_after": tf.reduce_mean(life.latest)}
        return {**meta, "params": params}, {"life": life}, metrics

    def update(self, batch: Any) -> dict[str, tf.Tensor]:
        meta, others, metrics = batch
        self.meta.write(meta)
        for name, values in others.items():
            self.state[name].write(values)
        return metrics

    @property
    def steps_per_iteration(self) -> int:
        steps = self.config.unroll or self.environment.horizon
        return self.episodes_per_iteration * steps  # of each episode that is under way

    @property
    def metrics(self) -> dict[str, Metric]:
        latest = Metric("Mean return of the latest episodes that ended, 0 where none has yet.")
        return {"return_after": latest}


class VTrace(A2C):
    """`A2C` of steps that older weights may have played, corrected by V-trace."""

    Config: type = VTraceConfig
