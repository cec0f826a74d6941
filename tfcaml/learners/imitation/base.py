"""What learners from demonstrations share: the demonstrations, the policy and the loss.

One iteration is

    demonstrations of N tasks -> some to adapt to, others to imitate -> outer step

and plays nothing: demonstrations of all training tasks are there before the first one, a file's or
those of the family's expert. A new task is demonstrated, and then the policy acts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import tensorflow as tf

from tfcaml import keys, losses, nest, settings
from tfcaml.environments.base import TaskFamily
from tfcaml.errors import (
    check,
    check_acts,
    check_is,
    check_one_of,
    check_positive,
    check_whole,
)
from tfcaml.learners.gradient_based import GradientLearner
from tfcaml.optimization import optimizers
from tfcaml.optimization.config import AdamConfig
from tfcaml.policies.imitation import ImitationNetworkConfig, ImitationPolicy
from tfcaml.rollouts import demonstrations
from tfcaml.rollouts.demonstrations import Demonstrations
from tfcaml.types import Experience, FastState, MetaBatch, Nest, Task, Trajectory

if TYPE_CHECKING:
    from tfcaml.environments.base import Population
    from tfcaml.policies.base import Policy

# What a demonstration shows: all, all but actions, or images and objects alone.
SHOWN = ("all", "states", "video")


@settings.checked
@dataclasses.dataclass(frozen=True)
class DemonstrationConfig:
    """Where demonstrations are from, and what is seen of them.

    Attributes:
      path: A file of demonstrations of training and test tasks, see `Demonstrations.load`; "": the
        family's expert demonstrates. Source: tfcaml.
      per_task: Demonstrations of each training task that the expert gives. Source: MIL's code: 10
        for reaching, 12 for pushing.
      noise: What the expert's actions are disturbed by as it plays, as a share of half their range;
        recorded are those it meant. Source: the study mil_reach.
      attempts: Episodes of the expert for each demonstration, of which the best is kept. Source:
        tfcaml.
      steps: Steps of a demonstration that are looked at, evenly spaced; 0: all, and so it is where
        it has no more. Unit: steps. Source: tfcaml; MIL's code: all.
      shown: What a demonstration that is adapted to shows: "all"; "states", without actions; or
        "video", without any vector, images and objects alone. Source: MIL paper, section 6.2.
    """

    path: str = ""
    per_task: int = 10
    noise: float = 0.1
    attempts: int = 2
    steps: int = 0
    shown: str = "all"

    def __post_init__(self) -> None:
        check_one_of("shown", self.shown, SHOWN)
        check_whole("per_task", self.per_task, 1)
        check_whole("attempts", self.attempts, 1)
        check_whole("steps", self.steps, 0)
        check(0 <= self.noise <= 1, "noise", self.noise, "from 0 to 1")
        fields = ("per_task", "noise", "attempts")
        check_acts(self, fields, not self.path, "where the family's expert demonstrates (path='')")

    def of_file(self, path: str) -> DemonstrationConfig:
        """These settings for demonstrations of a file, so without those of the expert."""
        return DemonstrationConfig(path=path, steps=self.steps, shown=self.shown)


@settings.checked
@dataclasses.dataclass(frozen=True)
class ImitationConfig:
    """Settings that all learners from demonstrations share; an "episode" is a demonstration.

    Attributes:
      num_iterations: Outer iterations of training. Source: MIL's code: 30,000.
      meta_batch_size: Tasks in each iteration. Source: MIL's code: 25 for reaching, 15 for pushing.
      episodes_per_update: Demonstrations of a task that are adapted to. Source: MIL paper, one-shot
        imitation: 1.
      test_episodes_per_update: The same of new tasks; 0 stands for `episodes_per_update`. Source:
        MIL paper, section 6.2: 1 and 5.
      query_episodes: Other demonstrations of each task that adapted policies are held against.
        Source: MIL's code: 1.
      multiplier: m, what errors of actions are multiplied by before they are squared. Source: MIL's
        code: 100 for reaching, 50 for pushing.
      pose: Name of an observation, a vector, whose values at the end of an episode are predicted;
        "": nothing is. Source: MIL's code, the end effector in pushing from video.
      pose_weight: Weight of the error of that prediction. Source: MIL's code: 0.1.
      demonstrations: Where demonstrations are from, and what is seen of them. Source: tfcaml.
      network: The network, beside its dense layers. Source: MIL's code.
      outer: The outer step. Source: MIL's code: Adam.
    """

    num_iterations: int = 30_000
    meta_batch_size: int = 25
    episodes_per_update: int = 1
    test_episodes_per_update: int = 0
    query_episodes: int = 1
    multiplier: float = 100.0
    pose: str = ""
    pose_weight: float = 0.1
    demonstrations: DemonstrationConfig = DemonstrationConfig()
    network: ImitationNetworkConfig = ImitationNetworkConfig()
    outer: AdamConfig = AdamConfig()

    inner_updates: ClassVar[int] = 1  # a demonstration is adapted to once

    def __post_init__(self) -> None:
        settings.fill_groups(self)
        for name in ("num_iterations", "test_episodes_per_update"):
            check(getattr(self, name) >= 0, name, getattr(self, name), ">= 0")
        for name in ("meta_batch_size", "episodes_per_update", "query_episodes"):
            check(getattr(self, name) >= 1, name, getattr(self, name), ">= 1")
        check_positive(multiplier=self.multiplier, pose_weight=self.pose_weight)
        check_acts(self, ("pose_weight",), self.pose != "", "with a pose to predict")
        given, used = self.demonstrations, self.episodes_per_update + self.query_episodes
        rule = f">= {used}, episodes_per_update + query_episodes: a task's are told apart"
        fits = given.path or given.per_task >= used
        check(fits, "demonstrations.per_task", given.per_task, rule)

    def steps_held(self, horizon: int) -> int:
        """As of `LearnerConfig`."""
        return min(self.demonstrations.steps or horizon, horizon)

    def stored(self, sizes: settings.Sizes, num_tasks: int) -> list[settings.Stored]:
        """As `LearnerConfig.stored`."""
        batches = 1 + self.query_episodes
        return [settings.stored_by_tasks(self, sizes, batches, 4)]

    @classmethod
    def smallest(cls, section: dict[str, Any]) -> dict[str, Any]:
        """As `LearnerConfig.smallest`."""
        given = section["demonstrations"]
        few = given if given["path"] else given | {"per_task": 2, "attempts": 1}
        return {
            "num_iterations": min(section["num_iterations"], 1),
            "meta_batch_size": min(section["meta_batch_size"], 2),
            "episodes_per_update": 1,
            "test_episodes_per_update": 0,
            "query_episodes": 1,
            "demonstrations": few,
        }

    def check_steps(self, num_updates: int) -> None:
        """As `LearnerConfig.check_steps`."""
        fields = ("test_episodes_per_update",)
        check_acts(self, fields, num_updates > 0, "where new tasks are demonstrated")

    def check_advantages(self) -> None:
        """Refuses nothing: there are no advantages."""

    def inner(self) -> optimizers.Optimizer:
        """Unused: what is adapted is each learner's own."""
        return optimizers.sgd(1.0)


class _Pool:
    """Demonstrations of a population's training tasks, as variables that are no part of a learner.

    Attributes:
      of: the population, None at first.
      trajectory: `Trajectory` [S, D, T, ...] of `tf.Variable`s.
      moments: of what they observe, see `ImitationPolicy.moments`.
    """

    def __init__(self) -> None:
        self.of: Any = None
        self.trajectory: Any = None
        self.moments: Nest = None

    def fill(self, population: Any, trajectory: Trajectory, moments: Nest) -> None:
        """Puts other demonstrations in the place of those that are there."""
        if self.trajectory is None:
            variable = lambda x: tf.Variable(x, trainable=False, shape=[None, None, *x.shape[2:]])
            self.trajectory = nest.map(variable, trajectory)
        nest.assign(self.trajectory, trajectory)
        self.of, self.moments = population, moments


class ImitationLearner(GradientLearner):
    """meta = {"params": weights of an `ImitationPolicy`, "moments": of what demonstrations show}.

    Subclasses define `start`, `acting` and `adapt`. A family without an `expert` needs a file of
    demonstrations.

    Raises:
      ConfigError: a policy of another kind or of other settings, or neither expert nor file.
    """

    Config: type = ImitationConfig
    config: Any  # an `ImitationConfig`, which is no `GradientConfig`
    policy: Any
    evolves = False
    quick_under_xla = True
    plays_to_learn = False
    adapts_to = "demonstrations"
    has_own_loss = True

    @classmethod
    def make_policy(
        cls,
        environment: TaskFamily,
        config: Any,
        fc_layer_params: Sequence[int] = (200, 200, 200),
        activation: str = "relu",
    ) -> Policy:
        """As `MetaLearner.make_policy`; which kind of policy, `policy_of` says."""

        def made(kind: type[ImitationPolicy] = ImitationPolicy, **more: Any) -> ImitationPolicy:
            return kind(
                environment.observation_spec,
                environment.action_spec,
                fc_layer_params,
                activation,
                config.network,
                cls.hidden(environment, config),
                config.pose,
                **more,
            )

        return cls.policy_of(config, made)

    @classmethod
    def policy_of(cls, config: Any, made: Callable[..., ImitationPolicy]) -> Policy:
        """The policy of a config.

        Args:
          config: the learner's.
          made: (kind, **more) -> `ImitationPolicy` of that kind with further arguments.
        """
        return made()

    @classmethod
    def hidden(cls, environment: TaskFamily, config: Any) -> tuple[str, ...]:
        """The names of the observations that demonstrations lack, see `ImitationPolicy`."""
        if config.demonstrations.shown != "video":
            return ()
        spec = environment.observation_spec
        leaves = zip(nest.names(spec), tf.nest.flatten(spec))
        found = tuple(name for name, leaf in leaves if leaf.shape.rank == 1)
        rule = "all or states, as nothing is observed but vectors, which a video does not show"
        shows = len(found) < len(tf.nest.flatten(spec))
        check(shows, "demonstrations.shown", config.demonstrations.shown, rule)
        return found

    def make_loss(self) -> losses.TaskLoss:
        check_is("policy", self.policy, ImitationPolicy, "an ImitationPolicy, as of make_policy")
        self._check_policy()
        shown = self.config.demonstrations.shown
        return losses.BehaviourCloning(
            self.policy,
            self.config.multiplier,
            self.config.pose_weight,
            has_actions=shown == "all",
            has_states=shown != "video",
        )

    def _check_policy(self) -> None:
        """Refuses a policy of other settings than the config's."""
        made = self.make_policy(self.environment, self.config)
        name = f"{type(self).__name__}.make_policy"
        check(type(self.policy) is type(made), "policy", self.policy, f"as of {name}")
        for field in ("config", "hidden", "pose", "context_size", "attention_units"):
            own, wanted = (getattr(policy, field, None) for policy in (self.policy, made))
            check(own == wanted, f"policy.{field}", own, f"that of {name}, {wanted}")

    def setup(self) -> None:
        super().setup()
        name, config = type(self.environment).__name__, self.config.demonstrations
        tells = type(self.environment).expert is not TaskFamily.expert
        rule = f"the path of a file of demonstrations: {name} has no expert to demonstrate"
        check(config.path or tells, "demonstrations.path", config.path, rule)
        self._pool = _Pool()
        self._file: Any = None  # `Demonstrations`, where they are a file's
        if config.path:
            self._file = Demonstrations.load(config.path, self.environment)
        self._demonstrated = tf.function(self._demonstrate, autograph=False)

    def init(self, seed: int) -> Nest:
        params = self.policy.init(seed)
        return {"params": params["weights"], "moments": params["moments"]}

    # Demonstrations.

    def training_tasks(
        self, population: Population, key: tf.Tensor
    ) -> tuple[Task, tf.Tensor | tuple[()]]:
        """As `MetaLearner.training_tasks`; all of them are demonstrated before the first draw."""
        if population is not self._pool.of:
            self._prepare(population)
        if int(self.iteration) == 0:  # later on, weights are used to the moments they have
            self.meta.write({**self.meta.read(), "moments": self._pool.moments})
        return super().training_tasks(population, key)

    def collect(
        self, meta: Nest, task: Task, key: tf.Tensor, index: tf.Tensor | tuple[()] = ()
    ) -> MetaBatch:
        """`MetaBatch` of demonstrations of training tasks number `index`, which were drawn."""
        known = self._pool.trajectory is not None and not isinstance(index, tuple)
        check(known, "index", index, "numbers of tasks, and they of `learner.training_tasks`")
        num_tasks, config = nest.leading(task), self.config
        held = nest.map(lambda x: tf.gather(x.value(), index), self._pool.trajectory)
        # Which of its demonstrations each task is learned from: those of the least numbers.
        count = tf.shape(held.mask)[1]
        order = tf.argsort(tf.random.stateless_uniform([num_tasks, count], keys.fold(key, 0)))
        used = config.episodes_per_update + config.query_episodes
        chosen = tf.ensure_shape(order[:, :used], [num_tasks, used])
        drawn = nest.map(lambda x: tf.gather(x, chosen, batch_dims=1), held)
        drawn = self._looked_at(drawn, keys.fold(key, 1))
        part = lambda first, last: nest.map(lambda x: x[:, first:last], drawn)
        support = self.loss.experience(meta, (), part(0, config.episodes_per_update))
        query = self.loss.experience(meta, (), part(config.episodes_per_update, used))
        return MetaBatch((support,) * config.inner_updates, query, (), index, ())

    def outer_step(self, meta: Nest, batch: MetaBatch) -> tuple[Nest, dict[str, tf.Tensor]]:
        slots = self.state["outer_slots"]
        meta, moved, metrics = self.outer.step(self.objective, meta, slots.read(), batch)
        slots.write(moved)
        return meta, {"loss_before": metrics["loss_before"]}

    def choose_start(
        self, meta: Nest, task: Task, key: tf.Tensor
    ) -> tuple[FastState, dict[str, Any]]:
        """As `MetaLearner.choose_start`; what a file shows of the tasks is held in memory."""
        fast, metrics = super().choose_start(meta, task, key)
        if self._file is not None:
            shown, rule = self._of_file(task), f">= {self.test_episodes}, of each new task"
            found = shown.mask.shape[1]
            what = f"demonstrations in {self.config.demonstrations.path}"
            check(found >= self.test_episodes, what, found, rule)
            fast = fast._replace(memory={"shown": shown})
        return fast, metrics

    def test_support(self, meta: Nest, fast: FastState, task: Task, key: tf.Tensor) -> Experience:
        """The demonstrations of each new task, the same for all steps."""
        if self._file is not None:
            check(fast.memory != (), "fast", "a start", "of `choose_start`, which reads the file")
            shown = fast.memory["shown"]
            first = nest.map(lambda x: x[:, : self.test_episodes], shown)
            return self.experience(meta, fast, first)
        own = keys.from_int(keys.EXAMPLES)
        return self.experience(meta, fast, self._demonstrate(task, self.test_episodes, own))

    def experience(self, meta: Nest, fast: FastState, trajectory: Trajectory) -> Experience:
        return super().experience(meta, fast, self._looked_at(trajectory))

    def objective(self, meta: Nest, batch: MetaBatch) -> Any:
        return self.surrogate(meta, self.readapt(meta, batch), batch.query)

    @property
    def episodes_per_iteration(self) -> int:
        return 0

    def _looked_at(self, trajectory: Trajectory, key: tf.Tensor | None = None) -> Trajectory:
        """The steps that are looked at, from one that `key` draws or the middle of the first.

        They are evenly spaced over each demonstration; of one that ends early, some stand twice
        where it has fewer steps than are wanted.
        """
        length, wanted = trajectory.mask.shape[2], self.config.demonstrations.steps or 10**6
        if length <= wanted:
            return trajectory
        apart = length // wanted
        first = apart // 2
        if key is not None:
            first = tf.random.stateless_uniform([], key, 0, apart, tf.int32)
        valid = tf.cast(tf.reduce_sum(trajectory.mask, axis=2, keepdims=True), tf.int32)
        steps = first * valid // length + tf.range(wanted) * valid // wanted
        taken = lambda x: tf.gather(x, steps, axis=2, batch_dims=2)
        fields = ("observation", "action", "reward", "mask", "log_prob", "terminated")
        return trajectory._replace(**{n: nest.map(taken, getattr(trajectory, n)) for n in fields})

    def _prepare(self, population: Population) -> None:
        """Demonstrations of all training tasks, and what is usual in them."""
        endless = population.draw is not None
        rule = "a family with a finite number of training tasks, each to be demonstrated"
        check(not endless, "environment", type(self.environment).__name__, rule)
        trajectory = (
            self._of_file(population.train)
            if self._file is not None
            else self._of_expert(population)
        )
        used = self.config.episodes_per_update + self.config.query_episodes
        rule = f">= {used}, episodes_per_update + query_episodes"
        found = trajectory.mask.shape[1]
        check(found >= used, "demonstrations of each training task", found, rule)
        moments = self.policy.moments(trajectory.observation, trajectory.mask)
        self._pool.fill(population, trajectory, moments)

    def _of_expert(self, population: Population) -> Trajectory:
        """The expert's demonstrations of all training tasks: `Trajectory` [S, D, T, ...]."""
        each = self.config.demonstrations.per_task
        play = lambda task, key: self._demonstrated(task, each, key)
        return demonstrations.in_turn(play, population.train, keys.from_int(keys.EXAMPLES))

    def _of_file(self, task: Task) -> Trajectory:
        """The file's demonstrations of tasks, padded: `Trajectory` [N, D, T, ...]."""
        path, horizon = self.config.demonstrations.path, self.environment.horizon
        trajectory = demonstrations.trajectory_of(self._file.of(task, f"demonstrations in {path}"))
        steps = trajectory.mask.shape[2]
        rule = f"at most the horizon of {type(self.environment).__name__}, {horizon}"
        check(steps <= horizon, f"steps of a demonstration in {path}", steps, rule)
        return demonstrations.padded(trajectory, horizon)

    def _demonstrate(self, task: Task, num_demonstrations: int, key: tf.Tensor) -> Trajectory:
        config = self.config.demonstrations
        return demonstrations.demonstrate(
            self.environment,
            task,
            num_demonstrations,
            key,
            noise=config.noise,
            attempts=config.attempts,
        )


def moments_of(meta: Nest, num_tasks: int) -> Nest:
    """The moments of meta parameters for each of N tasks: each [N, ...]; no weights, but data."""
    return nest.stop_gradient(nest.repeat(meta["moments"], num_tasks))
