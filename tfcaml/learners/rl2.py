"""RL^2: a recurrent policy whose memory is the adaptation.

Y. Duan, J. Schulman, X. Chen, P. Bartlett, I. Sutskever, P. Abbeel, "RL^2: fast reinforcement
learning via slow reinforcement learning", arXiv 1611.02779. A trial is a number of episodes of one
task in a row. The policy is a recurrent network of what it observes and what its last step was,

    h_t = f_theta(h_(t-1), s_t, a_(t-1), r_(t-1), d_(t-1))            a_t ~ pi_theta(. | h_t)

d being 1 where that step ended an episode. h lasts from episode to episode and is 0 at the start of
a trial. Learned is the discounted return of whole trials, so that what is found out in an early
episode pays by what later ones earn: one outer step of TRPO or PPO on

    L = - mean of ratio_t A_t - w mean of the entropy of pi_theta

where the advantages A are those of the trial as one long episode. To adapt to a task is to play an
episode and to remember it; no gradient is taken.

Differences from the paper:
  - PPO by default; "trpo" is the paper's.
  - The baseline is by default one of many trials of the same task, as training can have them; the
    paper's is "recurrent", a network of the same kind, here with Adam in place of TRPO.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import tensorflow as tf

from tfcaml import keys, losses, nest, settings
from tfcaml.advantages import baselines, returns
from tfcaml.advantages.config import AdvantageConfig
from tfcaml.errors import check, check_acts, check_positive
from tfcaml.learners.gradient_based import GradientConfig, GradientLearner
from tfcaml.optimization.config import OuterConfig
from tfcaml.policies import (
    GATES,
    TrialPolicy,
    distributions,
    make_cell,
    rnn_critic,
    rnn_policy,
    with_last_step,
)
from tfcaml.types import (
    Experience,
    FastState,
    MetaBatch,
    Metric,
    Nest,
    Params,
    Surrogate,
    Task,
    Trajectory,
    blank_trajectory,
    episode_return,
    in_a_row,
    last_steps,
)

if TYPE_CHECKING:
    from tfcaml.environments.base import Population, TaskFamily
    from tfcaml.policies.base import Policy

_OF_TRIALS = "return on training tasks, by episode of the trial"  # a chart


@settings.checked
@dataclasses.dataclass(frozen=True)
class TrialAdvantageConfig(AdvantageConfig):
    """What is made of a trial.

    Attributes:
      baseline: What is subtracted from returns: "none"; "batch_mean" and "time_step_mean", over the
        trials of the same task, and at each step of them; "linear_feature", of what the policy is
        told, fitted to all trials of the batch; or "recurrent", a network that is learned. Source:
        RL2 paper: recurrent; garage: linear_feature.
      normalize: Whether advantages are brought to mean 0 and standard deviation 1 over all trials
        of the batch; without a baseline their mean stays. Source: garage.
    """

    BASELINES: ClassVar[tuple[str, ...]] = (*baselines.BASELINES, "recurrent")

    def __post_init__(self) -> None:
        super().__post_init__()
        rule = "reward_to_go with baseline=recurrent, which tells what is to come"
        fits = self.return_type == "reward_to_go" or self.baseline != "recurrent"
        check(fits, "return_type", self.return_type, rule)


@settings.checked
@dataclasses.dataclass(frozen=True)
class RL2Config(GradientConfig):
    """Settings of RL^2; "garage" is its implementation there, for half-cheetah.

    Attributes:
      num_iterations: Outer iterations of training. Source: tfcaml.
      meta_batch_size: Tasks in each iteration. Source: tfcaml; garage: 10.
      inner_updates: Updates in training, of which there are none: a trial is learned from as one.
        Source: RL2 paper.
      episodes_per_update: Episodes of a trial in training. Source: RL2 paper: by the task; ProMP's
        code: 2.
      test_episodes_per_update: Episodes in a row that an update on a new task remembers; 0 stands
        for `episodes_per_update`. Source: tfcaml.
      inner_learning_rate: Of no use: no inner step descends a loss. Source: tfcaml.
      trials_per_task: Trials of each task in an iteration. Source: tfcaml; RL2 paper: 1.
      cell: The recurrent cell, "gru" or "lstm". Source: RL2 paper: gru.
      units: Units of the cell. Source: garage: 64.
      memory_steps: The longest time that a unit of the cell remembers at the start of training; 0:
        gates begin as Keras has them, and forget half at each step. Unit: steps. Source: tfcaml;
        Tallec & Ollivier, ICLR 2018: the length of a trial.
      truncation: Steps of a trial after which the gradient through what is remembered is cut; 0:
        never. Unit: steps. Source: RL2 paper: never.
      entropy_weight: w, what the entropy of actions counts beside the loss. Unit: of the advantage,
        per nat. Source: garage: 0.02.
      critic_learning_rate: Step size of Adam of a recurrent baseline, which falls as that of the
        outer step does, and gets gradients and minibatches as that does. Source: tfcaml.
      critic_steps: Adam steps of a recurrent baseline in each iteration. Source: tfcaml.
      advantage: How advantages are estimated. Source: RL2 paper; garage.
      outer: The outer step. Source: garage; RL2 paper: trpo.
    """

    num_iterations: int = 300
    meta_batch_size: int = 20
    inner_updates: int = 0
    episodes_per_update: int = 2
    test_episodes_per_update: int = 1
    trials_per_task: int = 5
    cell: str = "gru"
    units: int = 64
    memory_steps: int = 0
    truncation: int = 0
    entropy_weight: float = 0.0
    critic_learning_rate: float = 1e-3
    critic_steps: int = 5
    advantage: AdvantageConfig = TrialAdvantageConfig()
    outer: OuterConfig = OuterConfig(optimizer="ppo")

    LEAST_UPDATES: ClassVar[int] = 0

    def __post_init__(self) -> None:
        for name in ("trials_per_task", "units", "critic_steps"):
            check(getattr(self, name) >= 1, name, getattr(self, name), ">= 1")
        super().__post_init__()
        make_cell(self.cell, self.units, self.memory_steps)  # refuses what is not allowed
        check(self.inner_updates == 0, "inner_updates", self.inner_updates, "0: none is trained")
        fields = ("inner_learning_rate", "later_step_scale", "inner_estimator", "first_order")
        check_acts(self, fields, False, "where inner steps descend a loss, unlike here")
        check_positive(critic_learning_rate=self.critic_learning_rate)
        for name in ("truncation", "entropy_weight"):
            check(getattr(self, name) >= 0, name, getattr(self, name), ">= 0")
        of_critic = ("critic_learning_rate", "critic_steps")
        learned = self.advantage.baseline == "recurrent"
        check_acts(self, of_critic, learned, "with advantage.baseline=recurrent")

    @property
    def num_rows(self) -> int:
        """N, the trials of a batch."""
        return self.meta_batch_size * self.trials_per_task

    def check_advantages(self) -> None:
        """Refuses a single trial per task where its advantages would all be 0."""
        why, baseline = self.advantage.why_alone_is_nothing(), self.advantage.baseline
        of_task = why is not None and baseline in ("time_step_mean", "batch_mean")
        rule = f">= 2 with baseline={baseline}: of one trial {why} leaves advantages of 0"
        check(
            not of_task or self.trials_per_task > 1, "trials_per_task", self.trials_per_task, rule
        )

    def stored(self, sizes: settings.Sizes, num_tasks: int) -> list[settings.Stored]:
        episodes = max(self.episodes_per_update, self.test_episodes_per_update)
        gates = GATES[self.cell]
        inputs = sizes.observed + sizes.acted + 2
        weights = 3 * gates * self.units * (inputs + self.units + 1) + sizes.weights
        # What a cell's gradient needs of a step of its minibatch, and twice what it is told.
        step = 4 * gates * self.units // self.outer.minibatches + 2 * inputs
        numbers = 2 * self.trials_per_task * episodes * (sizes.learned + sizes.steps * step)
        trials = self.trials_per_task * episodes
        row = settings.Stored("meta_batch_size", self.meta_batch_size, trials, numbers + weights)
        return [row]

    @classmethod
    def smallest(cls, section: dict[str, Any]) -> dict[str, Any]:
        sizes = {"units": min(section["units"], 4), "trials_per_task": 2}
        return {**super().smallest(section), "test_episodes_per_update": 1, **sizes}


class TrialLoss(losses.SurrogateLoss):
    """The loss of whole trials: those of a `Trajectory` [N, E, T] are E episodes in a row.

    `Experience.extra` of a query is {"trial": the trials as one episode each, [N, 1, E * T]} and,
    for a recurrent baseline, {"target": what it should have said, [N, 1, E * T]}. `weight` and
    `distribution` are of these steps.
    """

    policy: TrialPolicy

    def __init__(self, policy: TrialPolicy, config: Any) -> None:
        super().__init__(policy, config)
        if config.advantage.baseline == "recurrent":
            cell = config.cell, config.units, config.memory_steps
            self.critic = rnn_critic(policy.told, *cell)

    def experience(self, meta: Nest, params: Params, trajectory: Trajectory) -> Experience:
        """What `adapt` remembers."""
        return Experience(trajectory, trajectory.mask)

    def query_experience(self, meta: Nest, params: Params, trajectory: Trajectory) -> Experience:
        trial = in_a_row(trajectory)
        extra = {"trial": trial}
        if self.config.advantage.baseline == "recurrent":
            value = nest.stop_gradient(self.values(meta["critic"], trial))
            extra["target"] = self._target(trial, value)
        else:
            value = self._baseline(trial)
        advantage = self._advantage(trial, value)
        return Experience(trajectory, advantage, self.acted(params, trial), extra)

    def surrogate(self, meta: Nest, params: Params, query: Experience) -> Surrogate:
        trial = query.extra["trial"]
        result = super().surrogate(meta, params, query._replace(trajectory=trial))
        loss = result.loss
        distribution: Any = result.distribution  # of a policy gradient there is one
        acted = distributions.rebuild(distribution, query.distribution)
        if self.config.entropy_weight:
            entropy = tf.reshape(distribution.entropy(), trial.mask.shape)
            loss -= self.config.entropy_weight * losses.mean_over_steps(entropy, trial.mask)
        return Surrogate(loss, distribution, losses.mean_kl(acted, distribution, trial.mask))

    def values(self, params: Params, trial: Trajectory) -> tf.Tensor:
        """What a recurrent baseline expects of the steps from each on, [N, 1, L].

        The network tells the mean reward of these steps, so that its answers are of the size of
        rewards however long trials are.

        Args:
          params: of the critic, without task axis.
          trial: `Trajectory` [N, 1, L].
        """
        seen = tf.concat([nest.vectors(trial.observation, 3), trial.info], axis=-1)
        told = trial._replace(observation=_as_one(seen), start=())
        mean = self.critic.unroll(nest.repeat(params, 1), told).mean()
        return tf.reshape(mean, trial.mask.shape) * self._steps_to_come(trial)

    def critic_loss(self, params: Params, query: Experience) -> tf.Tensor:
        """Mean squared error of a recurrent baseline, over the steps to come: [N]."""
        trial = query.extra["trial"]
        error = self.values(params, trial) - query.extra["target"]
        scaled = tf.math.divide_no_nan(error**2, self._steps_to_come(trial))
        return losses.mean_over_steps(scaled, trial.mask)

    def _steps_to_come(self, trial: Trajectory) -> tf.Tensor:
        """How many steps are to come from each on, discounted as rewards are: [N, 1, L]."""
        return returns.reward_to_go(trial.mask, self.config.advantage.discount)

    def _target(self, trial: Trajectory, value: tf.Tensor) -> tf.Tensor:
        """What a recurrent baseline learns: generalised advantages and its own answers."""
        config = self.config.advantage
        decay = config.discount, config.gae_lambda
        return value + returns.generalized_advantage(trial.reward, value, trial.mask, *decay)

    def _baseline(self, trial: Trajectory) -> tf.Tensor:
        """What other baselines expect, [N, 1, L]."""
        config = self.config.advantage
        # A row of the baseline's is a task; only features can tell one from the other.
        of_all = config.baseline == "linear_feature"
        rows = trial.mask.shape[0] if of_all else self.config.trials_per_task
        group = lambda x: tf.reshape(x, [-1, rows, *x.shape[2:]])
        reward, mask = (tf.cast(group(x), tf.float64) for x in (trial.reward, trial.mask))
        told = tf.concat([nest.vectors(trial.observation, 3), trial.info], axis=-1)
        target = baselines.RETURNS[config.return_type](reward, config.discount)
        value = baselines.BASELINES[config.baseline](target, mask, group(told))
        return tf.reshape(tf.broadcast_to(value, target.shape), trial.mask.shape)

    def _advantage(self, trial: Trajectory, value: tf.Tensor) -> tf.Tensor:
        """Advantages over a baseline, on one scale for all trials: [N, 1, L]."""
        config = self.config.advantage
        parts = {name: _as_one(getattr(trial, name)) for name in ("reward", "mask", "terminated")}
        value = _as_one(value)
        advantage = baselines.advantage(
            trial._replace(**parts),
            config.discount,
            config.return_type,
            config.baseline,
            config.normalize,
            config.gae_lambda,
            critic=(value, tf.zeros_like(value[..., 0])),  # the end of a trial is the end
        )
        return tf.reshape(advantage, trial.mask.shape)


class RL2(GradientLearner):
    """meta = {"params": theta} and, of a recurrent baseline, {"critic": its weights}.

    `FastState.memory` is what the policy remembers of a task; its `params` are empty.

    Raises:
      ConfigError: a policy that is no `TrialPolicy` of the config's `truncation`; one without
        entropy where that counts; or a `loss` of another kind.
    """

    Config: type = RL2Config
    Loss = TrialLoss
    config: RL2Config
    policy: TrialPolicy
    loss: TrialLoss

    @classmethod
    def make_policy(
        cls,
        environment: TaskFamily,
        config: Any,
        fc_layer_params: Sequence[int] = (),
        activation: str = "tanh",
    ) -> Policy:
        """A recurrent cell of the config with dense layers behind it."""
        observation_spec, action_spec = environment.observation_spec, environment.action_spec
        seen = with_last_step(observation_spec, action_spec)
        layers = fc_layer_params, activation, config.memory_steps
        policy = rnn_policy(seen, action_spec, config.cell, config.units, *layers)
        return TrialPolicy(policy, observation_spec, config.truncation)

    def setup(self) -> None:
        super().setup()
        truncation = getattr(self.policy, "truncation", None)
        fits = isinstance(self.policy, TrialPolicy) and truncation == self.config.truncation
        received = type(self.policy).__name__ + ("" if truncation is None else f" of {truncation}")
        expected = f"a TrialPolicy of truncation={self.config.truncation}"
        check(fits, "policy", received, expected)
        check(isinstance(self.loss, TrialLoss), "loss", self.loss, "left out, or a TrialLoss")
        config = self.config
        self.critic_step = config.outer.adam(
            config.critic_learning_rate,
            config.critic_steps,
            config.num_iterations,
            config.outer.minibatches,
        )
        if config.entropy_weight:
            self._check_entropy()

    @property
    def learns_critic(self) -> bool:
        """Whether the baseline is a network."""
        return self.config.advantage.baseline == "recurrent"

    def init(self, seed: int) -> Nest:
        meta = {"params": self.policy.init(seed)["policy"]}
        if self.learns_critic:
            meta["critic"] = self.loss.critic.init(seed)
        return meta

    def initial_state(self, seed: int) -> dict[str, Nest]:
        meta = self.init(seed)
        state = {"meta": meta, "outer_slots": self.outer.init({"params": meta["params"]})}
        if self.learns_critic:
            state["critic_slots"] = self.critic_step.init(meta["critic"])
        return state

    def training_tasks(
        self, population: Population, key: tf.Tensor
    ) -> tuple[Task, tf.Tensor | tuple[()]]:
        """The tasks of an iteration, each as often as it has trials."""
        drawn = super().training_tasks(population, key)
        return nest.map(lambda x: tf.repeat(x, self.config.trials_per_task, axis=0), drawn)

    def start(self, meta: Nest, num_tasks: int, key: tf.Tensor | tuple[()] = ()) -> FastState:
        dtype = tf.nest.flatten(meta["params"])[0].dtype
        nothing = nest.map(lambda x: tf.cast(x, dtype), self.policy.nothing())
        return FastState((), tf.zeros([num_tasks]), nest.repeat(nothing, num_tasks))

    def acting(self, meta: Nest, fast: FastState) -> Params:
        return {"memory": fast.memory, "policy": nest.repeat(meta["params"], 1)}

    def adapt(self, meta: Nest, fast: FastState, support: Experience) -> FastState:
        """Remembers episodes that were played in a row."""
        played = support.trajectory
        row = lambda x: tf.reshape(x, [x.shape[0], 1, x.shape[1] * x.shape[2], *x.shape[3:]])
        parts = {
            name: getattr(played, name) for name in ("observation", "action", "reward", "mask")
        }
        trial = played._replace(**nest.map(row, parts), start=())
        ended = row(last_steps(played.mask))
        memory = self.policy.remember(self.acting(meta, fast), trial, ended)
        return fast._replace(slots=fast.slots + 1, memory=nest.map(lambda x: x[:, 0], memory))

    def support(
        self, meta: Nest, fast: FastState, task: Task, key: tf.Tensor, num_episodes: int
    ) -> Experience:
        trajectory = self.play_in_a_row(meta, fast, task, key, num_episodes)
        return self.experience(meta, fast, trajectory)

    def collect(
        self, meta: Nest, task: Task, key: tf.Tensor, index: tf.Tensor | tuple[()] = ()
    ) -> MetaBatch:
        """A trial of each task in `task` [N]."""
        rows, trials = nest.leading(task), self.config.trials_per_task
        rule = f"a multiple of trials_per_task={trials}, the trials of each task one after another"
        check(rows % trials == 0, "the tasks of an iteration", rows, rule)
        num_episodes = self.config.episodes_per_update
        played = lambda fast, _: self.play_in_a_row(meta, fast, task, key, num_episodes)
        return self.batch(meta, rows, played, index)

    def play_in_a_row(
        self, meta: Nest, fast: FastState, task: Task, key: tf.Tensor, num_episodes: int
    ) -> Trajectory:
        """Episodes in each of which the policy remembers those before.

        Args:
          meta: the meta parameters.
          fast: `FastState` before the first.
          task: nest, leading [N].
          key: [2].
          num_episodes: E.

        Returns:
          `Trajectory` [N, E, T].
        """

        def played(fast: FastState, episode: int | tf.Tensor) -> Trajectory:
            now = self.task_at(task, episode)
            return self.sample(self.acting(meta, fast), now, 1, keys.fold(key, episode))

        if num_episodes == 1:
            return played(fast, 0)
        blank, rows = blank_trajectory(self.environment, self.policy, 1, 1), nest.leading(task)
        array = lambda x: tf.TensorArray(x.dtype, num_episodes, element_shape=[rows, *x.shape[1:]])
        arrays = nest.map(array, blank)

        def step(
            episode: tf.Tensor, fast: FastState, arrays: Nest
        ) -> tuple[tf.Tensor, FastState, Nest]:
            trajectory = played(fast, episode)
            after = self.adapt(meta, fast, self.experience(meta, fast, trajectory))
            arrays = nest.map(lambda a, x: a.write(episode, x), arrays, trajectory)
            return episode + 1, after, arrays

        arrays = tf.while_loop(
            lambda episode, *_: episode < num_episodes,
            step,
            (0, fast, arrays),
            maximum_iterations=num_episodes,
            parallel_iterations=1,
        )[2]
        return nest.map(lambda array: _of_tasks(array.stack()), arrays)

    def objective(self, meta: Nest, batch: MetaBatch) -> Surrogate:
        fast = self.start(meta, batch.query.weight.shape[0])
        return self.surrogate(meta, fast, batch.query)

    def update(self, batch: MetaBatch) -> dict[str, tf.Tensor]:
        """An outer step of the policy and, apart from it, steps of a recurrent baseline."""
        meta = self.meta.read()
        moved, metrics = self.outer_step({"params": meta["params"]}, batch)
        if self.learns_critic:
            loss = lambda critic, batch: Surrogate(self.loss.critic_loss(critic, batch.query))
            slots = self.state["critic_slots"]
            moved["critic"], after, fit = self.critic_step.step(
                loss, meta["critic"], slots.read(), batch
            )
            slots.write(after)
            metrics["critic_loss"] = fit["loss_before"]
        self.meta.write(moved)
        return metrics

    def returns(self, batch: MetaBatch) -> list[tf.Tensor]:
        """Mean return of each episode of a trial."""
        return tf.unstack(tf.reduce_mean(episode_return(batch.query.trajectory), axis=0))

    @property
    def episodes_per_iteration(self) -> int:
        config = self.config
        return config.meta_batch_size * config.trials_per_task * config.episodes_per_update

    @property
    def metrics(self) -> dict[str, Metric]:
        last = self.config.episodes_per_update - 1
        names = {"return_before": 0, **{f"return_{k}": k for k in range(1, last)}}
        names["return_after"] = last
        told = {
            name: Metric(
                f"Mean return of episode {k + 1} of the training tasks' trials.", _OF_TRIALS
            )
            for name, k in names.items()
        }
        critic = Metric(
            "Mean squared error of the recurrent baseline before its steps, over the steps to come."
        )
        return {**super().metrics, **told, "critic_loss": critic}

    def _check_entropy(self) -> None:
        """Raises `ConfigError` unless the policy's distributions can tell their entropy."""
        params = nest.repeat(self.policy.init(0), 1)
        zeros = lambda x: tf.zeros([1, 1, *x.shape], x.dtype)
        observation = nest.map(zeros, self.environment.observation_spec)
        memory = self.policy.initial_memory(params, 1)
        distribution = self.policy.act(params, observation, memory)[0]
        try:
            distribution.entropy()
        except NotImplementedError:
            rule = f"0, as a {type(distribution).__name__} can't tell its entropy"
            check(False, "entropy_weight", self.config.entropy_weight, rule)


def _as_one(x: tf.Tensor) -> tf.Tensor:
    """Trials as those of one task: [N, 1, L, ...] -> [1, N, L, ...]."""
    return tf.reshape(x, [1, x.shape[0], *x.shape[2:]])


def _of_tasks(x: tf.Tensor) -> tf.Tensor:
    """Episodes one after another as those of tasks: [E, N, 1, ...] -> [N, E, ...]."""
    x = tf.reshape(x, [*x.shape[:2], *x.shape[3:]])
    return tf.transpose(x, [1, 0, *range(2, x.shape.rank)])
