"""Evolved policy gradients: evolution finds a loss with which policies are learned from scratch.

R. Houthooft, R. Y. Chen, P. Isola, B. C. Stadie, F. Wolski, J. Ho, P. Abbeel, "Evolved policy
gradients" (EPG), NeurIPS 2018, Algorithm 1. phi are the weights of a loss L_phi, a network that
sees the latest steps and what the policy would do in them (`losses.learned`). In an iteration each
member of a population, phi_v = phi + sigma eps_v, is the loss of a life in a task of its own:

    theta <- random weights
    U times:  play M steps with pi_theta; the buffer has the latest N steps
              theta <- theta - delta grad_theta [(1 - alpha) L_phi_v + alpha L_PPO]     (Adam)
    F_v = mean return of fresh episodes of pi_theta

    phi <- phi + step of Adam along 1 / (V sigma) sum over v of rank(F_v) eps_v

alpha falls from 1 to 0 early in training: PPO keeps policies in sight of rewards while the loss is
not yet one. To adapt to a new entity is to live such a life with alpha = 0.

Differences from the paper's code:
  - The pairs of antithetic members live in the same task with the same random numbers.
  - Adam steps take samples from all of the newest steps and, for the learned loss, the buffer; in
    the code it sees the oldest steps of the buffer.
  - Windows of the convolutions run over the episodes of an update one after the other; in the code
    there is but one.
  - The decay is beside a gradient by 1 / sigma, as in the paper; the code has the gradient without.
  - The weights of each layer of a new policy are one of 64 draws, others in training than for new
    entities.
  - No exploration bonus, which is a constant 1 in the code; in its place stands whether a step is
    one that was played, which the code's constant is.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from tfcaml import keys, nest, settings
from tfcaml.errors import ConfigError, check, check_acts
from tfcaml.learners.base import RETURNS
from tfcaml.learners.references.ppo import PPO, PPOConfig
from tfcaml.losses.learned import LEAST_STEPS, LossNetwork, num_weights
from tfcaml.optimization import evolution, inner
from tfcaml.optimization.config import OuterConfig
from tfcaml.types import Experience, FastState, Metric, Nest, Params, Task, episode_return

if TYPE_CHECKING:
    from tfcaml.environments.base import Population

_CONSTANTS = 64  # inputs of the memory unit, all 1
_POOL = 64  # initial weights of each layer in training; new entities have others, see `PPO`
_FLOOR = 0.01  # of variances, by which features are scaled
_MEMBERS, _UPDATES, _FITNESS = 0, 1, 2  # what an iteration's key is folded with


@settings.checked
@dataclasses.dataclass(frozen=True)
class EPGConfig(PPOConfig):
    """Settings of EPG.

    Attributes:
      num_iterations: Steps of evolution. Source: EPG's code: 2000.
      meta_batch_size: Tasks that each member of the population lives in. Source: EPG's code: 1; its
        paper: 4.
      inner_updates: U, updates of a life. Source: EPG's code: 128.
      buffer_updates: Updates whose steps the buffer holds, N / M. Source: EPG's code: 8.
      memory: Units of what a life remembers beside its weights, which is trained like these and
        which the loss sees; 0: none. Source: EPG's paper: 32; its code: off by default.
      normalize: Whether the loss sees observations and actions less their running mean, in
        their running standard deviations. Source: EPG's code.
      sees_reward: Whether the loss sees rewards; where it does not, a life needs none once alpha is
        0. Source: EPG's code: yes; its paper has both.
      bootstrap: Share of the iterations in which alpha falls from 1 to 0; 0: it is 0 from the
        start. Source: EPG's code: 1 / 8.
      fitness_episodes: Episodes of the last policy of a life whose mean return is its fitness.
        Source: EPG's code: 3.
      outer: The step of evolution. Source: EPG's code.
    """

    num_iterations: int = 500
    inner_updates: int = 16
    buffer_updates: int = 8
    memory: int = 32
    normalize: bool = True
    sees_reward: bool = True
    bootstrap: float = 0.125
    fitness_episodes: int = 3
    outer: OuterConfig = OuterConfig(
        optimizer="evolution_strategy", learning_rate=1e-2, annealing="to_a_tenth"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("buffer_updates", "fitness_episodes"):
            check(getattr(self, name) >= 1, name, getattr(self, name), ">= 1")
        check(self.memory >= 0, "memory", self.memory, ">= 0")
        check(0 <= self.bootstrap <= 1, "bootstrap", self.bootstrap, "in [0, 1]")
        name, only = self.outer.optimizer, "evolution_strategy"
        check(name == only, "outer.optimizer", name, f"{only}: a loss has no gradient of its own")
        of_ppo = ("clip_ratio", "kl_weight", "advantage")
        check_acts(self, of_ppo, self.bootstrap > 0, "with bootstrap > 0")

    def check_training(self) -> None:
        """Everything of the training counts."""

    @classmethod
    def smallest(cls, section: dict[str, Any]) -> dict[str, Any]:
        least = {"inner_updates": min(section["inner_updates"], 2), "fitness_episodes": 1}
        small = {**section["outer"], "population": 2}
        least["buffer_updates"] = max(section["buffer_updates"], LEAST_STEPS)
        return {**super().smallest(section), **least, "outer": small}

    def stored(self, sizes: settings.Sizes, num_tasks: int) -> list[settings.Stored]:
        each = settings.stored_by_tasks(self, sizes, 1 + self.buffer_updates)
        weights = num_weights(sizes.observed + 3 * sizes.acted + 3 + self.memory)
        members, tasks = self.outer.population, self.meta_batch_size
        lives = tasks * (each.numbers + 2 * weights)
        measured = tasks * members * sizes.played * sizes.steps // self.steps_held(sizes.steps)
        return [
            each._replace(numbers=members * (each.numbers + 2 * weights)),
            settings.Stored("outer.population", members, each.episodes, lives),
            settings.Stored("fitness_episodes", self.fitness_episodes, 1, measured),
        ]


class EPG(PPO):
    """meta = {"loss": phi}; what is adapted is {"policy": theta, "memory": of the memory unit}.

    `FastState.memory` has, besides what PPO's has, {"loss": phi of each row, "alpha": [N],
    "buffer": dict of [N, B, ...], "moments": of observations and actions so far}.
    """

    Config: type = EPGConfig
    config: EPGConfig

    def setup(self) -> None:
        super().setup()
        config, environment = self.config, self.environment
        observed = nest.map(lambda x: tf.zeros([1, *x.shape]), environment.observation_spec)
        acted = self.policy.num_actions or environment.action_spec.shape.num_elements()
        self._scaled = nest.vectors(observed, 1).shape[-1] + acted  # features, by the normaliser
        told = acted if self.policy.num_actions else 2 * acted  # what the policy would do
        self._steps = config.episodes_per_update * config.steps_held(environment.horizon)  # M
        held = config.buffer_updates * self._steps
        rule = f"so many that the buffer, now of {held} steps, has {LEAST_STEPS} for convolutions"
        check(held >= LEAST_STEPS, "buffer_updates", config.buffer_updates, rule)
        self.network = LossNetwork(self._scaled + 3 + told + config.memory, held)
        self.strategy = config.outer.evolution(config.num_iterations)
        self._training_pool = nest.stack([self.policy.init(seed) for seed in range(_POOL)])
        self._check_distribution()

    def _check_distribution(self) -> None:
        """Raises `ConfigError` unless it can be told what the policy would do."""
        seen = nest.map(
            lambda x: tf.zeros([1, 1, *x.shape], x.dtype), self.environment.observation_spec
        )
        try:
            self._would_do(nest.repeat(self.policy.init(0), 1), seen)
        except NotImplementedError as error:
            rule = "one whose distributions have a mean and a standard deviation"
            kind = type(self.policy).__name__
            raise ConfigError(f"expected policy to be {rule}; received policy={kind}") from error

    def init(self, seed: int) -> Nest:
        return {"loss": self.network.init(seed)}

    def initial_state(self, seed: int) -> dict[str, Nest]:
        meta = self.init(seed)
        return {"meta": meta, "outer_slots": self.strategy.init(meta)}

    # A life.

    def start(self, meta: Nest, num_tasks: int, key: tf.Tensor | tuple[()] = ()) -> FastState:
        loss, alpha = nest.repeat(meta["loss"], num_tasks), tf.zeros([num_tasks])
        return self.born(self._pool, loss, alpha, key, self.test_episodes)

    def born(
        self, pool: Params, loss: Params, alpha: tf.Tensor, key: tf.Tensor, num_episodes: int
    ) -> FastState:
        """The start of lives.

        Args:
          pool: of initial weights, each [P, ...].
          loss: weights of their losses, each [N, ...].
          alpha: [N].
          key: [N, 2].
          num_episodes: of an update.

        Returns:
          `FastState`.
        """
        num, units = nest.num_rows(key), self.config.memory
        params: dict[str, Nest] = {"policy": nest.drawn(pool, key), "memory": ()}
        if units:
            drawn = keys.normal(keys.salted(key, keys.LATENT), [_CONSTANTS, units])
            params["memory"] = {"kernel": drawn / _CONSTANTS**0.5, "bias": tf.zeros([num, units])}
        per_step = lambda spec: tf.zeros([num, self.network.lengths[0], *spec.shape], spec.dtype)
        number = tf.TensorSpec([])
        buffer = {
            "observation": nest.map(per_step, self.environment.observation_spec),
            "action": per_step(self.policy.action_spec),
            **{name: per_step(number) for name in ("reward", "mask", "terminated")},
        }
        zeros = tf.zeros([num, self._scaled])
        moments = {"count": tf.zeros([num]), "mean": zeros, "square": zeros}
        memory = {"loss": loss, "alpha": alpha, "buffer": buffer, "moments": moments}
        slots = self.inner_optimizer.init(params, num)
        return FastState(params, slots, {**self.memory(num, num_episodes), **memory})

    def acting(self, meta: Nest, fast: FastState) -> Params:
        return fast.params["policy"]

    def adapt(self, meta: Nest, fast: FastState, support: Experience) -> FastState:
        """As PPO's, with a buffer that now has the steps of the support."""
        trajectory = support.trajectory
        new = {name: getattr(trajectory, name) for name in fast.memory["buffer"]}
        push = lambda old, x: tf.concat([old, x], axis=1)[:, -self.network.lengths[0] :]
        buffer = nest.map(push, fast.memory["buffer"], nest.flat_steps(new))
        memory = {**fast.memory, "buffer": buffer}
        done, mask = self._done(nest.flat_steps(new)), nest.flat_steps(trajectory.mask)
        memory["moments"] = _counted(memory["moments"], done, mask)
        return super().adapt(meta, fast._replace(memory=memory), support)

    def gradient(self, memory: Nest, params: Params, support: Experience, number: int) -> Nest:
        """(1 - alpha) that of L_phi + alpha that of L_PPO."""
        alpha = memory["alpha"]
        learned = lambda params: (1 - alpha) * self.learned_loss(memory, params, number)
        plain = lambda params: alpha * self.ppo_loss(params["policy"], support)
        found = inner.gradient(learned, params)[1]
        # PPO's part costs as much, and is of no use in most lives.
        return tf.cond(
            tf.reduce_any(alpha > 0),
            lambda: nest.map(tf.add, found, inner.gradient(plain, params)[1]),
            lambda: found,
        )

    def learned_loss(self, memory: Nest, params: Params, number: int) -> tf.Tensor:
        """L_phi [N] on part `number` of the buffer, in the context of all of it."""
        buffer, moments = memory["buffer"], memory["moments"]
        mask = buffer["mask"]
        done = self._done(buffer)
        if self.config.normalize:
            variance = moments["square"] - moments["mean"] ** 2
            scale = tf.math.rsqrt(tf.maximum(variance, _FLOOR))
            done = (done - moments["mean"][:, None]) * scale[:, None]
        reward = buffer["reward"] if self.config.sees_reward else tf.zeros_like(mask)
        ends = tf.stack([reward, mask, buffer["terminated"]], axis=-1)
        would = self._would_do(params["policy"], buffer["observation"])
        features, context = [done, ends, would], [done, ends, would]
        if self.config.memory:
            unit = params["memory"]
            remembered = tf.tanh(tf.reduce_sum(unit["kernel"], axis=1) + unit["bias"])
            remembered = tf.repeat(remembered[:, None], mask.shape[1], axis=1)
            features.append(remembered)
            context.append(tf.stop_gradient(remembered))
        played = lambda parts: tf.concat(parts, axis=-1) * mask[..., None]
        some = lambda x: x[:, number :: self.config.minibatches]
        return self.network(memory["loss"], played(context), some(played(features)), some(mask))

    def _done(self, buffer: Nest) -> tf.Tensor:
        """Observations and actions [N, B, F]; discrete actions as one-hot vectors."""
        observed, action = nest.vectors(buffer["observation"], 2), buffer["action"]
        if self.policy.num_actions:
            action = tf.one_hot(action, self.policy.num_actions, dtype=observed.dtype)
        return tf.concat([observed, nest.vectors(action, 2)], axis=-1)

    def _would_do(self, params: Params, observation: Nest) -> tf.Tensor:
        """Mean and logarithm of the standard deviation of actions, or their probabilities."""
        distribution: Any = self.policy(params, observation)
        if self.policy.num_actions:
            return distribution.probs_parameter()
        mean, log_std = distribution.mean(), tf.math.log(distribution.stddev())
        return nest.vectors([mean, log_std], 2)

    # Evolution.

    def training_tasks(
        self, population: Population, key: tf.Tensor
    ) -> tuple[Task, tf.Tensor | tuple[()]]:
        """Those of each pair of members, or of each member, one after the other."""
        return population.sample(self._num_tasks, key)

    @property
    def _num_tasks(self) -> int:
        """Tasks of an iteration; antithetic members share theirs."""
        outer = self.config.outer
        members = outer.population // 2 if outer.antithetic else outer.population
        return members * self.config.meta_batch_size

    def alpha(self) -> tf.Tensor:
        """What PPO's loss counts in this iteration."""
        if not self.config.bootstrap:
            return tf.zeros([])
        done = tf.cast(self.iteration, tf.float32) / self.config.num_iterations
        return tf.maximum(1 - done / self.config.bootstrap, 0)

    def collect(
        self, meta: Nest, task: Task, key: tf.Tensor, index: tf.Tensor | tuple[()] = ()
    ) -> tuple[Nest, tf.Tensor, dict[str, tf.Tensor]]:
        """(eps, each [V, ...]; fitness [V]; metrics)."""
        config, num = self.config, nest.leading(task)
        noise, members = self.strategy.ask(meta, keys.fold(key, _MEMBERS))
        copies = config.outer.population * config.meta_batch_size // num
        loss = nest.map(lambda x: tf.repeat(x, config.meta_batch_size, axis=0), members["loss"])
        alpha = self.alpha()
        earned, before = self.life(loss, alpha, task, key, copies)
        fitness = tf.reduce_mean(tf.reshape(earned, [config.outer.population, -1]), axis=1)
        fitness, failed = evolution.repaired(fitness)
        metrics = {
            "failed_members": failed,
            "return_after": tf.reduce_mean(fitness),
            "fitness_spread": tf.math.reduce_std(fitness),
            "alpha": alpha,
        }
        if not config.unroll:  # of segments it would be no return
            metrics["return_before"] = before
        return noise, fitness, metrics

    def life(
        self, loss: Params, alpha: tf.Tensor, task: Task, key: tf.Tensor, copies: int = 1
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """What policies earn at the end of lives, side by side.

        Args:
          loss: weights of their losses, each [copies N, ...].
          alpha: [].
          task: nest, leading [N]; row i of the losses lives in task i mod N.
          key: [2].
          copies: rows that have the same task and the same random numbers.

        Returns:
          (mean return of each at the end [copies N], mean return of all before the first update).
        """
        config, num = self.config, nest.leading(task)
        both = lambda x: tf.tile(x, [copies, *[1] * (x.shape.rank - 1)])
        episodes = config.episodes_per_update
        start = both(self.task_keys(key, num))
        alphas = tf.fill([copies * num], alpha)
        fast = self.born(self._training_pool, loss, alphas, start, episodes)
        tasks = nest.map(both, task)
        history = tf.TensorArray(tf.float32, config.inner_updates, element_shape=[])

        def update(number: tf.Tensor, fast: FastState, history: tf.TensorArray) -> tuple[Any, ...]:
            own = both(keys.per_episode(keys.fold(key, _UPDATES, number), num, episodes))
            support = self.support({}, fast, tasks, own, episodes)
            mean = tf.reduce_mean(episode_return(support.trajectory))
            return number + 1, self.adapt({}, fast, support), history.write(number, mean)

        _, fast, history = tf.while_loop(
            lambda number, *_: number < config.inner_updates,
            update,
            (0, fast, history),
            maximum_iterations=config.inner_updates,
            parallel_iterations=1,
        )
        own = both(keys.per_episode(keys.fold(key, _FITNESS), num, config.fitness_episodes))
        last = self.sample(self.acting({}, fast), tasks, config.fitness_episodes, own)
        # Discrete actions can be drawn of weights that are not finite, and pay.
        earned = tf.reduce_mean(episode_return(last), axis=1)
        return tf.where(nest.is_finite(fast.params), earned, np.nan), history.stack()[0]

    def update(self, batch: tuple[Nest, tf.Tensor, dict[str, tf.Tensor]]) -> dict[str, tf.Tensor]:
        noise, fitness, metrics = batch
        slots = self.state["outer_slots"]
        meta, moved, more = self.strategy.tell(self.meta.read(), slots.read(), noise, fitness)
        self.meta.write(meta)
        slots.write(moved)
        return {**metrics, **more}

    @property
    def episodes_per_iteration(self) -> int:
        config = self.config
        life = config.inner_updates * config.episodes_per_update + config.fitness_episodes
        return config.outer.population * config.meta_batch_size * life

    @property
    def steps_per_iteration(self) -> int:
        config, horizon = self.config, self.environment.horizon
        life = config.inner_updates * self._steps + config.fitness_episodes * horizon
        return config.outer.population * config.meta_batch_size * life

    @property
    def metrics(self) -> dict[str, Metric]:
        return {
            "return_before": Metric(
                "Mean return of what the new policies play before their first update.", RETURNS
            ),
            "return_after": Metric("Mean return after the last update of a life.", RETURNS),
            "fitness_spread": Metric("Standard deviation of the members' fitness."),
            "alpha": Metric("What PPO's loss counts beside the learned one."),
            **evolution.METRICS,
        }


def _counted(moments: Nest, done: tf.Tensor, mask: tf.Tensor) -> Nest:
    """Means of features and of their squares, with those of new steps [N, M, F]; mask [N, M]."""
    weight = mask[..., None]
    more = tf.reduce_sum(weight, axis=[1, 2])
    count = moments["count"] + more
    share = tf.math.divide_no_nan(more, count)[:, None]
    mean = lambda x: tf.math.divide_no_nan(tf.reduce_sum(x * weight, axis=1), more[:, None])
    mix = lambda old, new: old + share * (new - old)
    return {
        "count": count,
        "mean": mix(moments["mean"], mean(done)),
        "square": mix(moments["square"], mean(done**2)),
    }
