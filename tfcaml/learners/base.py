"""What every meta-learner is: meta parameters, how to start on a task, how to adapt, how to learn.

One iteration is

    task [N], key -> collect -> batch -> update -> metrics

and a compiled one at that, like measuring a policy and adapting it to a new task. All that a
learner defines are pure functions of parameters but for `update`; only `Variables` hold state.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import tensorflow as tf

from tfcaml import keys, losses, nest, programs, settings
from tfcaml.advantages import baselines
from tfcaml.advantages.config import AdvantageConfig
from tfcaml.environments.base import check_family, check_task
from tfcaml.errors import (
    ConfigError,
    check,
    check_acts,
    check_function,
    check_is,
    check_one_of,
    check_positive,
    check_whole,
    checked_call,
    from_python,
)
from tfcaml.learners.rollback import Rollback
from tfcaml.learners.state import Variables
from tfcaml.optimization import inner, optimizers
from tfcaml.policies import mlp_policy
from tfcaml.policies.base import check_policy
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
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tfcaml.environments.base import Population, TaskFamily
    from tfcaml.policies.base import Policy

_SAMPLER = ("policy", "environment", "params", "task", "num_episodes", "key")  # its arguments
RETURNS = "return on training tasks, by inner update"  # a chart


@settings.checked
@dataclasses.dataclass(frozen=True)
class LearnerConfig:
    """Settings every learner shares: how long it trains and how it adapts.

    The inner loop is the vanilla policy gradient of the CAML study; Adam. A dict in place of a
    group of settings, such as `advantage`, gives what differs from the learner's default of it.

    Attributes:
      num_iterations: Outer iterations of training. Source: CAML paper, Figure 3: 100.
      meta_batch_size: Tasks in each iteration. Source: CAML paper, Algorithm 2: one.
      inner_updates: Updates on each task in training. Source: the CAML reproduction (docs/caml.md);
        Algorithm 2 has one.
      episodes_per_update: Episodes that an update learns from, of each task. Source: CAML paper: K
        = 10.
      test_episodes_per_update: The same on new tasks; 0 stands for `episodes_per_update`. Source:
        tfcaml.
      inner_optimizer: What takes the updates: "adam" or "sgd". Source: the CAML reproduction.
      inner_learning_rate: Step size of the updates. Source: the CAML reproduction.
      advantage: How advantages are estimated. Source: the CAML reproduction.
    """

    num_iterations: int = 100
    meta_batch_size: int = 1
    inner_updates: int = 5
    episodes_per_update: int = 10
    test_episodes_per_update: int = 0
    inner_optimizer: str = "adam"
    inner_learning_rate: float = 0.01
    advantage: AdvantageConfig = AdvantageConfig()

    LEAST_UPDATES: ClassVar[int] = 1
    INNER_OPTIMIZERS: ClassVar[tuple[str, ...]] = ("adam", "sgd")

    def __post_init__(self) -> None:
        settings.fill_groups(self)
        for name in ("num_iterations", "test_episodes_per_update"):
            check(getattr(self, name) >= 0, name, getattr(self, name), ">= 0")
        for name in ("meta_batch_size", "episodes_per_update"):
            check(getattr(self, name) >= 1, name, getattr(self, name), ">= 1")
        least = self.LEAST_UPDATES
        check(self.inner_updates >= least, "inner_updates", self.inner_updates, f">= {least}")
        check_positive(inner_learning_rate=self.inner_learning_rate)
        check_one_of("inner_optimizer", self.inner_optimizer, self.INNER_OPTIMIZERS)

    def check_advantages(self) -> None:
        """Refuses a single episode per update where its advantages would all be 0.

        Raises:
          ConfigError: `episodes_per_update` or `test_episodes_per_update` is 1, and the baseline is
            a mean over episodes, or fits the one number that is the whole return.
        """
        why, baseline = self.advantage.why_alone_is_nothing(), self.advantage.baseline
        if why is None:
            return
        rule = f">= 2 with baseline={baseline}: of one episode {why} leaves advantages of 0"
        for name in ("episodes_per_update", "test_episodes_per_update"):
            check(getattr(self, name) != 1, name, getattr(self, name), rule)

    def inner(self) -> optimizers.Optimizer:
        """The `Optimizer` of the inner loop that these settings name."""
        return optimizers.by_name(self.inner_optimizer, self.inner_learning_rate)

    def steps_held(self, horizon: int) -> int:
        """The most steps of an episode, which has `horizon`, that are held to be learned from."""
        return horizon

    def stored(self, sizes: settings.Sizes, num_tasks: int) -> list[settings.Stored]:
        """What the learner holds at once, for a check before any work.

        Args:
          sizes: `settings.Sizes`.
          num_tasks: test tasks of an evaluation.

        Returns:
          list of `settings.Stored`.
        """
        return [settings.stored_by_tasks(self, sizes)]

    @classmethod
    def smallest(cls, section: dict[str, Any]) -> dict[str, Any]:
        """Changes of a config's section with which a run takes seconds: dict."""
        return {
            "num_iterations": min(section["num_iterations"], 1),
            "meta_batch_size": min(section["meta_batch_size"], 2),
            "episodes_per_update": 2,
            "test_episodes_per_update": 0,
        }

    def check_steps(self, num_updates: int) -> None:
        """Refuses settings that cannot act when new tasks are adapted to in `num_updates` steps.

        Raises:
          ConfigError: one of them that is not at its default.
        """
        fields = ("test_episodes_per_update",)
        check_acts(self, fields, num_updates > 0, "where new tasks are adapted to")


class MetaLearner(tf.Module):
    """Base class of all meta-learners.

    What a learner defines, with the defaults of this class in parentheses:

      make_policy, plays_in      the policy (an MLP) and the family (the one given) it learns in
      Loss or make_loss          its `TaskLoss` (the policy gradient)
      setup                      what else it is made of (nothing)
      init                       its meta parameters (weights)
      start, resume              where adaptation starts on new and on training tasks (the weights)
      acting                     the policy's parameters from what is adapted (they are the same)
      adapt                      one adaptation step (one step of the inner optimiser)
      training_tasks             the tasks of an iteration (drawn from the training tasks)
      collect, update            what an iteration learns from, and how
      after_update               what else happens in an iteration (nothing)
      after_iteration            what happens between iterations, not compiled (nothing)
      choose_start               how new tasks are tried before they are adapted to (not at all)
      test_support               what a step on a new task learns from (episodes of the policy)
      task_at                    how a task changes from update to update (not at all)
      pictures, exported, card   what is drawn, exported and said of it besides (nothing)
      metrics                    what the numbers that an iteration returns are (returns)
      initial_state              all state that is trained (the meta parameters)

    Args:
      environment: a `TaskFamily`.
      policy: a `Policy`; that of `make_policy` unless given.
      config: the learner's config dataclass; `Config()`, its defaults, unless given.
      seed: Python int; decides the initial parameters.
      jit_compile: whether iterations are compiled with XLA: True, False, or None (automatic), which
        compiles them where `xla_pays` and the environment and the policy allow it.
      loss: a `TaskLoss` in place of `make_loss`'s, such as that of a TF-Agents agent
        (`tfcaml.agents.AgentLoss`); it comes with its own returns and advantages.
      sampler: what plays episodes, a function like `tfcaml.rollouts.sampling.sample`, which it is
        unless given.

    Attributes:
      state: dict name -> `Variables`, all that training changes.
      meta: the `Variables` of the meta parameters, one of `state`.

    Raises:
      ConfigError: an argument of another kind; a policy of other observations or actions than the
        family's; `jit_compile` is True and the environment or the policy does not support XLA, or
        it is something else than True, False and None; `policy` is not that of `loss`, or there is
        a `loss` for a learner that has its own; or the config's baseline does not suit the
        observations.
    """

    Config: type = LearnerConfig
    config: LearnerConfig
    policy: Policy
    loss: losses.TaskLoss
    Loss: Callable[..., losses.TaskLoss] = losses.PolicyGradientLoss  # of a policy and a config
    default_sampler = staticmethod(sampling.sample)
    adapts_to_any_task = True  # False for policies that belong to one task each
    quick_under_xla = False  # whether XLA was measured to pay for it, see `xla_pays`
    starts_at_random = False  # whether `start` draws something
    plays_segments = False  # whether it can learn from parts of episodes
    plays_to_learn = True  # whether iterations play episodes
    adapts_to = "episodes"  # of its own policies; or what an update learns from in their place
    has_own_loss = False  # whether it learns by a loss that no other one stands in for

    @checked_call
    def __init__(
        self,
        environment: TaskFamily,
        policy: Policy | None = None,
        config: LearnerConfig | None = None,
        seed: int = 0,
        jit_compile: bool | None = None,
        loss: losses.TaskLoss | None = None,
        sampler: Callable[..., Trajectory] | None = None,
    ) -> None:
        super().__init__()
        check_family(environment)
        name = f"{type(self).__name__}.Config"
        allowed = f"an instance of {name}, whose fields are the settings"
        check_is("config", config, (self.Config, type(None)), allowed)
        self.config = self.Config() if config is None else config
        seed = keys.as_int(seed)
        if loss is not None:
            check_is("loss", loss, losses.TaskLoss, "a TaskLoss")
            rule = f"left out: {type(self).__name__} has a loss of its own"
            check(not self.has_own_loss, "loss", loss, rule)
        if sampler is not None:
            check_function("sampler", sampler, _SAMPLER)
        segments = self.plays_segments or not environment.long_episodes
        long = f"one that learns from parts of episodes: {type(environment).__name__}'s are long"
        check(segments, "learner", type(self).__name__, long)
        self.environment = self.plays_in(environment, self.config)
        if policy is None:
            policy = loss.policy if loss else self.make_policy(self.environment, self.config)
        check(loss is None or policy is loss.policy, "policy", policy, "loss.policy")
        specs = self.environment.observation_spec, self.environment.action_spec
        check_policy(policy, *specs, type(self.environment).__name__)
        self.policy = policy
        self.sampler = sampler or self.default_sampler
        self.jit_compile = self._checked_jit_compile(jit_compile)
        self.loss = loss or self.make_loss()
        self.inner_optimizer = self.config.inner()
        self.setup()
        initial = self.initial_state(seed)
        self.state = {name: Variables(values, name=name) for name, values in initial.items()}
        self.meta = self.state["meta"]
        self.iteration = tf.Variable(0, trainable=False, dtype=tf.int32, name="iteration")
        self.bad_updates = tf.Variable(0, trainable=False, dtype=tf.int32, name="bad_updates")
        self._rollback = Rollback(type(self).__name__, list(self.state.values()))
        self._train = tf.function(
            self._train_iteration, autograph=False, jit_compile=self.jit_compile
        )
        # Other learners may do the same with new tasks.
        plays_under_xla = self.jit_compile and self.environment.supports_xla
        self._measure = programs.Shared(self._play, plays_under_xla)
        self._adapt_to = programs.Shared(self._adapt_to_new, plays_under_xla)

    # What a learner defines.

    @classmethod
    def make_policy(
        cls,
        environment: TaskFamily,
        config: Any,
        fc_layer_params: Sequence[int] = (100, 100),
        activation: str = "tanh",
    ) -> Policy:
        """The policy of this learner in a family; options: of `mlp_policy`, from a config."""
        specs = environment.observation_spec, environment.action_spec
        return mlp_policy(*specs, fc_layer_params, activation)

    @classmethod
    def plays_in(cls, environment: TaskFamily, config: Any) -> TaskFamily:
        """The family that this learner plays in, made from the one that is given."""
        return environment

    @classmethod
    def xla_pays(cls) -> bool:
        """Whether iterations under XLA are quicker here, compilation included.

        So they are for learners with `quick_under_xla` on a CPU from TensorFlow 2.19 on: an
        iteration of CAML, Reptile or joint pretraining takes a half to a seventh of the time on
        2.21, for seconds of compilation; 2.15 gains nothing.
        """
        version = tuple(map(int, tf.__version__.split(".")[:2]))
        return cls.quick_under_xla and version >= (2, 19)

    def make_loss(self) -> losses.TaskLoss:
        """The `TaskLoss` of the learner's config, a `Loss` with advantages."""
        self.config.check_advantages()
        baseline = self.config.advantage.baseline
        baselines.check_baseline(baseline, self.environment.observation_spec)
        return self.Loss(self.policy, self.config)

    def setup(self) -> None:
        """Makes what else a learner is made of, before its state is; nothing unless overridden."""

    def init(self, seed: int) -> Nest:
        """The initial meta parameters for a seed (Python int): nest of tensors."""
        return {"params": self.policy.init(seed)}

    def initial_state(self, seed: int) -> dict[str, Nest]:
        """All that training changes, for a seed (Python int): dict name -> nest of tensors."""
        return {"meta": self.init(seed)}

    def training_tasks(
        self, population: Population, key: tf.Tensor
    ) -> tuple[Task, tf.Tensor | tuple[()]]:
        """The tasks of one iteration, drawn with `key` [2].

        Returns:
          (task, nest with leading [N]; index [N], which training tasks they are, or `()`).
        """
        return population.sample(self.config.meta_batch_size, key)

    def start(self, meta: Nest, num_tasks: int, key: tf.Tensor | tuple[()] = ()) -> FastState:
        """`FastState` for `num_tasks` new tasks before any experience.

        Args:
          meta: the meta parameters.
          num_tasks: N.
          key: [N, 2], where the learner `starts_at_random`; else `()`.
        """
        params = nest.repeat(meta["params"], num_tasks)
        return FastState(params, self.inner_optimizer.init(params, num_tasks))

    def resume(
        self,
        meta: Nest,
        num_tasks: int,
        index: tf.Tensor | tuple[()],
        key: tf.Tensor | tuple[()] = (),
    ) -> FastState:
        """`FastState` for training tasks number `index` [N]; as for new ones unless overridden."""
        return self.start(meta, num_tasks, key)

    def acting(self, meta: Nest, fast: FastState) -> Params:
        """The policy's parameters, each [N, ...], of a `FastState`: the one way to them."""
        return fast.params

    def choose_start(
        self, meta: Nest, task: Task, key: tf.Tensor
    ) -> tuple[FastState, dict[str, Any]]:
        """`FastState` for new tasks, after trying them if the learner does that.

        Returns:
          (`FastState`, dict of metrics of the trials).
        """
        num_tasks = nest.leading(task)
        return self.start(meta, num_tasks, self.task_keys(key, num_tasks)), {}

    def adapt(self, meta: Nest, fast: FastState, support: Experience) -> FastState:
        """One adaptation step from `fast` on the `Experience` `support`: `FastState`."""
        loss = lambda params: self.inner_loss(meta, fast._replace(params=params), support)
        return inner.step(loss, self.inner_optimizer, fast)[0]

    def task_at(self, task: Task, update: int) -> Task:
        """What a task [N] is at the time of an update, for tasks that change: nest like it."""
        return task

    def collect(
        self, meta: Nest, task: Task, key: tf.Tensor, index: tf.Tensor | tuple[()] = ()
    ) -> Any:
        """Experience of one iteration on `task` [N]; what `update` learns from."""
        raise NotImplementedError

    def update(self, batch: Any) -> dict[str, tf.Tensor]:
        """Learns from what `collect` returned; writes the variables and returns metrics."""
        raise NotImplementedError

    def after_update(
        self, meta: Nest, batch: Any, task: Task, key: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """What else an iteration does after `update`: writes variables and returns metrics.

        Args:
          meta: the meta parameters that `collect` had.
          batch: what it returned.
          task: nest, leading [N].
          key: [2], of the iteration.
        """
        return {}

    def after_iteration(self, key: tf.Tensor) -> dict[str, float]:
        """What is done between iterations, outside the compiled program; returns metrics."""
        return {}

    def test_support(self, meta: Nest, fast: FastState, task: Task, key: tf.Tensor) -> Experience:
        """What a step on new tasks learns from: `Experience`."""
        return self.support(meta, fast, task, key, self.test_episodes)

    def pictures(self, population: Population) -> dict[str, Figure]:
        """What the last iteration is drawn as: dict name -> matplotlib figure; often empty."""
        return {}

    @property
    def metrics(self) -> dict[str, Metric]:
        """What the numbers that `train` returns are: dict name -> `Metric`, for whoever shows them.

        It may name numbers that this config never brings about, and leave out others: these are
        shown without a description.
        """
        return {
            "return_before": Metric(
                "Mean return of the training tasks' episodes before the first inner update.",
                RETURNS,
            ),
            "return_last_update": Metric(
                "Mean return of the training tasks' episodes that the last inner update learned "
                "from, so before that update.",
                RETURNS,
            ),
            "return_after": Metric(
                "Mean return of the training tasks' episodes after the last inner update.", RETURNS
            ),
        }

    def exported(self, meta: Nest) -> dict[str, tuple[Any, ...]]:
        """What an export has beside acting and adapting: dict name -> (function, *its specs).

        A `FastState` that a function returns becomes a policy_state of the export.
        """
        return {}

    def card(self) -> dict[str, Any]:
        """What the card of an export says of it, a JSON-serialisable dict."""
        return {}

    @property
    def episodes_per_iteration(self) -> int:
        """Episodes that one training iteration plays."""
        config = self.config
        return config.meta_batch_size * config.inner_updates * config.episodes_per_update

    @property
    def steps_per_iteration(self) -> int:
        """Environment steps that one training iteration plays, at most: episodes may end early."""
        return self.episodes_per_iteration * self.environment.horizon

    @property
    def trial_episodes(self) -> int:
        """Episodes that `choose_start` plays with a new task."""
        return 0

    @property
    def test_episodes(self) -> int:
        """Episodes per update on a new task."""
        return self.config.test_episodes_per_update or self.config.episodes_per_update

    # What is built on it.

    def reset(self, seed: int) -> None:
        """Back to the state before training, with the initial parameters of another seed."""
        seed = keys.as_int(seed)
        for name, values in self.initial_state(seed).items():
            self.state[name].write(values)
        self.iteration.assign(0)
        self.bad_updates.assign(0)

    def checkpointed(self) -> dict[str, Any]:
        """What a checkpoint holds: name -> variables. All else follows from config and seed."""
        return {**self.state, "iteration": self.iteration, "bad_updates": self.bad_updates}

    @checked_call
    @from_python()
    def train(
        self, task: Task, key: tf.Tensor, index: tf.Tensor | tuple[()] = ()
    ) -> dict[str, float]:
        """One iteration on `task` [N], training tasks number `index`. Returns metrics as scalars.

        An update that leads to NaN or infinity, in a metric or in what is learned, is taken back
        and counted in `bad_updates`; the metric "bad_update" is 1 then, else 0.
        """
        self._check_batch(task, key, index)
        with programs.without_memory_optimizer():
            metrics = self.contained(lambda: self._train(task, key, index))
        self.iteration.assign_add(1)
        more = self.after_iteration(key)
        bad = max(metrics["bad_update"], more.get("bad_update", 0.0))
        return {**metrics, **more, "bad_update": bad}

    @from_python()
    def measure(self, fast: FastState, task: Task, num_episodes: int, key: tf.Tensor) -> Trajectory:
        """`Trajectory` of fresh episodes of adapted policies, compiled; nothing is learned."""
        return self._measure(self.meta.read(), fast, task, num_episodes, key)

    @from_python()
    def adapt_to(self, fast: FastState, task: Task, key: tf.Tensor) -> FastState:
        """`FastState` after one adaptation step to new tasks, compiled; episodes are played."""
        return self._adapt_to(self.meta.read(), fast, task, key)

    @checked_call
    def sample(self, params: Params, task: Task, num_episodes: int, key: tf.Tensor) -> Trajectory:
        """`Trajectory` of episodes.

        Args:
          params: weights of `policy`, each [N, ...].
          task: nest, leading [N].
          num_episodes: E.
          key: [2]; or [N, E, 2], one key per episode.

        Raises:
          ConfigError: an argument of another kind, or weights or tasks of another structure.
        """
        if tf.executing_eagerly():  # in graphs, what calls it has checked them
            self._check_sampled(params, task, num_episodes, key)
        return self.sampler(self.policy, self.environment, params, task, num_episodes, key)

    def support(
        self, meta: Nest, fast: FastState, task: Task, key: tf.Tensor, num_episodes: int
    ) -> Experience:
        """What one update learns from, episodes of the current policies: `Experience`."""
        trajectory = self.sample(self.acting(meta, fast), task, num_episodes, key)
        return self.experience(meta, fast, trajectory)

    def experience(self, meta: Nest, fast: FastState, trajectory: Trajectory) -> Experience:
        """`Experience`: what `adapt` learns from a trajectory that `fast` made."""
        return self.loss.experience(meta, self.acting(meta, fast), trajectory)

    def inner_loss(self, meta: Nest, fast: FastState, support: Experience) -> tf.Tensor:
        """The loss [N] an inner step descends."""
        return self.loss.inner(meta, self.acting(meta, fast), support)

    def task_keys(self, key: tf.Tensor, num_tasks: int) -> tf.Tensor | tuple[()]:
        """A key for each task, [N, 2], where the learner `starts_at_random`; else `()`."""
        if not self.starts_at_random:
            return ()
        return keys.per_task(keys.fold(key, keys.START), num_tasks)

    def adapt_online(
        self, meta: Nest, fast: FastState, task: Task, num_updates: int, key: tf.Tensor
    ) -> tuple[FastState, tf.Tensor]:
        """`num_updates` times: sample a batch with the current weights, take one step.

        Returns:
          (`FastState`, mean return of each batch [num_updates, N]).
        """
        shape = [nest.leading(fast.params)]
        history = tf.TensorArray(tf.float32, num_updates, element_shape=shape)
        num_episodes = self.config.episodes_per_update

        def body(update: tf.Tensor, fast: FastState, history: tf.TensorArray) -> tuple[Any, ...]:
            now = self.task_at(task, update)
            support = self.support(meta, fast, now, keys.fold(key, update), num_episodes)
            mean = tf.reduce_mean(episode_return(support.trajectory), axis=1)
            return update + 1, self.adapt(meta, fast, support), history.write(update, mean)

        _, fast, history = tf.while_loop(
            lambda update, *_: update < num_updates,
            body,
            (0, fast, history),
            maximum_iterations=num_updates,
            parallel_iterations=1,
        )
        return fast, history.stack()

    def contained(self, step: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Metrics of `step`, () -> metrics, whose work is taken back if it is not finite."""
        metrics, bad = self._rollback(step, int(self.iteration))
        self.bad_updates.assign_add(int(bad))
        return {**metrics, "bad_update": float(bad)}

    def _train_iteration(
        self, task: Task, key: tf.Tensor, index: tf.Tensor | tuple[()]
    ) -> dict[str, Any]:
        meta = self.meta.read()
        batch = self.collect(meta, task, key, index)
        metrics = self.update(batch)
        return {**metrics, **self.after_update(meta, batch, task, key)}

    def _play(
        self, meta: Nest, fast: FastState, task: Task, num_episodes: int, key: tf.Tensor
    ) -> Trajectory:
        return self.sample(self.acting(meta, fast), task, num_episodes, key)

    def _adapt_to_new(self, meta: Nest, fast: FastState, task: Task, key: tf.Tensor) -> FastState:
        return self.adapt(meta, fast, self.test_support(meta, fast, task, key))

    def _check_batch(self, task: Task, key: tf.Tensor, index: tf.Tensor | tuple[()]) -> None:
        """What an iteration is given has the right structure; values are not looked at."""
        found = nest.mismatches("task", self.environment.task_spec, task, [None])
        if found:
            raise ConfigError(f"{found[0]} ({type(self.environment).__name__}.task_spec)")
        _check_key(key, [2])
        if isinstance(index, tuple):
            fits = index == ()
        else:
            fits = tf.is_tensor(index) and index.dtype.is_integer and index.shape.rank == 1
        check(fits, "index", index, "() or the number of each task, a tensor of integers [N]")

    def _check_sampled(self, params: Params, task: Task, num_episodes: int, key: tf.Tensor) -> None:
        check_task(self.environment, task)
        check_whole("num_episodes", num_episodes, 1)
        num_tasks = nest.leading(task)
        rows: list[int | None] = [None] if self.policy.shares_weights else [num_tasks]
        found = nest.mismatches("params", self._weights_spec, params, rows)
        if found:
            rule = f"weights of the policy with an axis of {num_tasks} tasks before them"
            raise ConfigError(f"{found[0]} ({rule})")
        _check_key(key, [2], [num_tasks, num_episodes, 2])

    @functools.cached_property
    def _weights_spec(self) -> Nest:
        """Specs of the policy's weights, without task axis."""
        return nest.map(lambda x: tf.TensorSpec(x.shape, x.dtype), self.policy.init(0))

    def _checked_jit_compile(self, jit_compile: bool | None) -> bool:
        settings.check_switch("jit_compile", jit_compile)
        environment, policy = self.environment, self.policy
        in_xla = environment.supports_xla or not self.plays_to_learn
        if jit_compile is None:
            return self.xla_pays() and in_xla and policy.supports_xla
        rule = f"False: {type(environment).__name__} runs in Python, which XLA can't compile"
        check(in_xla or not jit_compile, "jit_compile", jit_compile, rule)
        rule = "False or None: XLA can't compile networks with memory or convolutions"
        check(policy.supports_xla or not jit_compile, "jit_compile", jit_compile, rule)
        return jit_compile


def _check_key(key: Any, *shapes: list[int]) -> None:
    """Raises `ConfigError` unless a random key has one of these shapes."""
    fits = tf.is_tensor(key) and key.dtype == tf.int32 and list(key.shape) in shapes
    others = "".join(f" or {shape}" for shape in shapes[1:])
    rule = f"an int32 tensor of shape {shapes[0]}{others}, as keys.from_int(seed) gives"
    check(fits, "key", key, rule)


def check_learner(learner: Any) -> None:
    """Raises `ConfigError` unless it is a `MetaLearner`."""
    example = "a learner, such as learners.MAML(environment, policy, config)"
    check_is("learner", learner, MetaLearner, example)
