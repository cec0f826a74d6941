"""What learners that differentiate through adaptation share.

One iteration: K times sample and adapt, then sample the query, all as numbers; then outer steps on
an objective that adapts anew from the stored support, so that a tape never holds a rollout.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from tfcaml import keys, losses, nest, settings
from tfcaml.advantages.config import AdvantageConfig
from tfcaml.errors import check, check_acts, check_one_of, check_positive
from tfcaml.learners.base import RETURNS, LearnerConfig, MetaLearner
from tfcaml.optimization import evolution, inner, outer, trpo
from tfcaml.optimization.config import OuterConfig
from tfcaml.types import (
    Experience,
    FastState,
    MetaBatch,
    Metric,
    Nest,
    Surrogate,
    Task,
    Trajectory,
    episode_return,
)


@settings.checked
@dataclasses.dataclass(frozen=True)
class GradientConfig(LearnerConfig):
    """Settings of the family; defaults: 2D navigation as in C. Finn et al., ICML 2017.

    Sources: "paper" is its text, "code" its published code where the text is silent.

    Attributes:
      num_iterations: Outer iterations of training. Source: MAML's code, 2D navigation: 100.
      meta_batch_size: Tasks in each iteration. Source: MAML paper, 2D navigation: 20.
      inner_updates: K, inner steps in training, which the outer step differentiates through.
        Source: MAML paper: 1.
      episodes_per_update: Episodes of each task, before and after each inner step. Source: MAML
        paper: 20.
      inner_optimizer: What takes the inner steps; "sgd" is the only one that is differentiated
        through. Source: MAML paper, equation 1.
      inner_learning_rate: Alpha, the step size of inner steps. Source: MAML paper: 0.1; its code
        for 2D navigation has 0.5.
      later_step_scale: What the step size is multiplied by in steps beyond the `inner_updates`
        trained. Source: MAML's code, test on 2D navigation: 0.5.
      inner_estimator: The inner loss, a name in `losses.ESTIMATORS`: "log_likelihood",
        "likelihood_ratio", "dice" or "loaded_dice". They differ in the second derivative. Source:
        MAML paper, equation 4: log_likelihood.
      first_order: Whether inner gradients count as constants in the outer step, as in FOMAML.
        Source: MAML paper, section 5.2.
      advantage: How advantages are estimated; linear features are fitted for each task and phase.
        Source: MAML paper, section 5.3.
      outer: The outer step. Source: MAML paper, section 5.3.
    """

    num_iterations: int = 100
    meta_batch_size: int = 20
    inner_updates: int = 1
    episodes_per_update: int = 20
    inner_optimizer: str = "sgd"
    inner_learning_rate: float = 0.1
    later_step_scale: float = 0.5
    inner_estimator: str = "log_likelihood"
    first_order: bool = False
    advantage: AdvantageConfig = AdvantageConfig(baseline="linear_feature")
    outer: OuterConfig = OuterConfig()

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.inner_optimizer == "sgd", "inner_optimizer", self.inner_optimizer, "sgd")
        check_one_of("inner_estimator", self.inner_estimator, tuple(losses.ESTIMATORS))
        check_positive(later_step_scale=self.later_step_scale)
        tasks, most = self.outer.fisher_subsample, self.meta_batch_size
        allowed = f"0 (all tasks) to meta_batch_size = {most}"
        fits = tasks <= most or tasks == OuterConfig.fisher_subsample  # the default is "at most"
        check(fits, "outer.fisher_subsample", tasks, allowed)
        self.outer.check_parts(self.num_rows)
        evolves = self.outer.optimizer == "evolution_strategy"
        second_order = not self.first_order or self.outer.moves_on_a_batch
        self._check_estimator(second_order and not evolves)
        where = "where the outer step follows a gradient, unlike that of evolution_strategy"
        check_acts(self, ("first_order",), not evolves, where)

    @property
    def num_rows(self) -> int:
        """N, the tasks of a batch, each as often as it is in it."""
        return self.meta_batch_size

    def stored(self, sizes: settings.Sizes, num_tasks: int) -> list[settings.Stored]:
        # The outer step differentiates through the inner ones, so that all their batches stay.
        found = [settings.stored_by_tasks(self, sizes, self.inner_updates + 1, 4)]
        if self.outer.optimizer == "evolution_strategy":
            members, played = self.outer.population, self.episodes_per_update
            found.append(settings.Stored("outer.population", members, played, sizes.weights))
        return found

    @classmethod
    def smallest(cls, section: dict[str, Any]) -> dict[str, Any]:
        outer = section["outer"] | {"fisher_subsample": cls().outer.fisher_subsample}
        return {**super().smallest(section), "outer": outer | {"minibatches": 1}}

    def check_steps(self, num_updates: int) -> None:
        super().check_steps(num_updates)
        where = f"in steps beyond inner_updates={self.inner_updates}, not in {num_updates} steps"
        check_acts(self, ("later_step_scale",), num_updates > self.inner_updates, where)

    def _check_estimator(self, matters: bool) -> None:
        """Refuses an estimator that differs from the default in its second derivative alone.

        Args:
          matters: whether more is used than the inner loss's gradient at the weights that acted.
        """
        default = type(self).inner_estimator
        rule = f"{default} or dice where no inner step is differentiated: the others are alike then"
        fits = matters or self.inner_estimator in (default, "dice")
        check(fits, "inner_estimator", self.inner_estimator, rule)

    def check_advantages(self) -> None:
        super().check_advantages()
        rule = ">= 2 with inner_estimator=dice, whose rewards are less their mean over episodes"
        for name in ("episodes_per_update", "test_episodes_per_update"):
            alone = self.inner_estimator == "dice" and getattr(self, name) == 1
            check(not alone, name, getattr(self, name), rule)


@settings.checked
@dataclasses.dataclass(frozen=True)
class NoInnerStepsConfig(GradientConfig):
    """Settings of learners of the family that train without inner steps and adapt to new tasks."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_acts(self, ("first_order",), False, "where training takes inner steps, unlike here")
        self._check_estimator(False)
        # How many steps on a new task take the whole rate.
        fields, scaled = ("inner_updates",), self.later_step_scale != 1
        check_acts(self, fields, scaled, "on new tasks, up to where later_step_scale != 1 begins")

    def check_steps(self, num_updates: int) -> None:
        super().check_steps(num_updates)
        fields = ("inner_learning_rate", "inner_estimator", "inner_updates")
        check_acts(self, fields, num_updates > 0, "where new tasks are adapted to")


class Offspring(NamedTuple):
    """What evolution learns from.

    noise: nest like the meta parameters, each [V, ...]
    returns: [V, K + 1], mean return of each member's episodes in each phase; the last one is its
      fitness
    """

    noise: Nest
    returns: tf.Tensor


class GradientLearner(MetaLearner):
    """Base of the family. Subclasses define, besides what every learner does,

      objective             the loss of the adapted policies, differentiable in the meta parameters
      carry, finish         what else the objective needs, of the adaptation and of all phases
      returns               what the metrics say of each phase

    `FastState.slots` counts the steps taken, [N]. A `loss` given is descended by the inner and the
    outer step.

    Raises:
      ConfigError: an outer optimiser that does not fit `loss`.
    """

    Config: type = GradientConfig
    config: GradientConfig
    Loss = losses.SurrogateLoss
    evolves = False  # whether evolution may take its outer steps: all its outer step has is returns

    def setup(self) -> None:
        name, known = self.config.outer.optimizer, self.loss.outer_optimizers
        known += ("evolution_strategy",) if self.evolves else ()
        check_one_of("outer.optimizer", name, known)
        if name == "evolution_strategy":
            self.strategy = self.config.outer.evolution(self.config.num_iterations)
        else:
            self.outer = self.config.outer.make(self.config.num_iterations)

    @property
    def is_evolved(self) -> bool:
        """Whether evolution takes its outer steps."""
        return self.config.outer.optimizer == "evolution_strategy"

    def initial_state(self, seed: int) -> dict[str, Nest]:
        meta = self.init(seed)
        if self.is_evolved:
            return {"meta": meta, "outer_slots": self.strategy.init(meta)}
        return {"meta": meta, "outer_slots": self.outer.init(meta)}

    # What a learner of the family defines.

    def objective(self, meta: Nest, batch: MetaBatch) -> Surrogate:
        """`Surrogate` at `meta` on a `MetaBatch`; differentiable in `meta` to any order."""
        raise NotImplementedError

    def carry(self, fast: FastState, trajectory: Trajectory) -> Nest:
        """What the objective has to know of adaptation to each task: nest of [N, ...] or `()`.

        Args:
          fast: `FastState` after the last inner step.
          trajectory: `Trajectory` of the query.
        """
        return ()

    def finish(self, meta: Nest, batch: MetaBatch) -> MetaBatch:
        """The `MetaBatch` with what is worked out across its phases, such as advantages."""
        return batch

    def returns(self, batch: MetaBatch) -> list[tf.Tensor]:
        """Mean return of each phase of a `MetaBatch`, for metrics: list of K + 1 scalars."""
        phases = [*batch.support, batch.query]
        return [tf.reduce_mean(episode_return(phase.trajectory)) for phase in phases]

    # The iteration.

    def collect(
        self, meta: Nest, task: Task, key: tf.Tensor, index: tf.Tensor | tuple[()] = ()
    ) -> MetaBatch | Offspring:
        """K times (sample, adapt), then the query: `MetaBatch`; by each member of a population
        where the outer step is one of evolution: `Offspring`."""
        if not self.is_evolved:
            return self._collected(meta, task, key, index)
        noise, members = self.strategy.ask(meta, keys.fold(key, keys.POPULATION))
        phases = self.config.inner_updates + 1

        def earned(member: Nest) -> tf.Tensor:
            return tf.stack(self.returns(self._collected(member, task, key, index)))

        spec = tf.TensorSpec([phases], tf.float32)
        return Offspring(noise, tf.map_fn(earned, members, fn_output_signature=spec))

    def _collected(
        self, meta: Nest, task: Task, key: tf.Tensor, index: tf.Tensor | tuple[()]
    ) -> MetaBatch:
        num_tasks, episodes = nest.leading(task), self.config.episodes_per_update

        def played(fast: FastState, phase: int) -> Trajectory:
            now, own = self.task_at(task, phase), keys.fold(key, phase)
            return self.sample(self.acting(meta, fast), now, episodes, own)

        return self.batch(meta, num_tasks, played, index, self.task_keys(key, num_tasks))

    def batch(
        self,
        meta: Nest,
        num_tasks: int,
        trajectory_of: Callable[[FastState, int], Trajectory],
        index: tf.Tensor | tuple[()] = (),
        key: tf.Tensor | tuple[()] = (),
    ) -> MetaBatch:
        """The `MetaBatch` of trajectories, wherever they come from.

        Args:
          meta: the meta parameters.
          num_tasks: N.
          trajectory_of: (`FastState`, phase 0 ... K) -> `Trajectory` that it made; the last is the
            query.
          index: [N], which training tasks these are, or `()`.
          key: [N, 2], for learners that start at random.
        """
        fast, support = self.begin(meta, num_tasks, index, key), []
        for phase in range(self.config.inner_updates):
            support.append(self.experience(meta, fast, trajectory_of(fast, phase)))
            fast = self.adapt(meta, fast, support[-1])
        trajectory = trajectory_of(fast, self.config.inner_updates)
        query = self.query_experience(meta, fast, trajectory)
        carried = self.carry(fast, trajectory)
        return self.finish(meta, MetaBatch(tuple(support), query, carried, index, key))

    def update(self, batch: Any) -> dict[str, tf.Tensor]:
        """One outer iteration on a `MetaBatch`, or on `Offspring`."""
        if self.is_evolved:
            return self._evolve(batch)
        meta, metrics = self.outer_step(self.meta.read(), batch)
        self.meta.write(meta)
        return metrics

    def outer_step(self, meta: Nest, batch: MetaBatch) -> tuple[Nest, dict[str, tf.Tensor]]:
        """One outer step from `meta`, with `outer_slots`: (meta, metrics with the returns)."""
        slots = self.state["outer_slots"]
        meta, moved, metrics = self.outer.step(self.objective, meta, slots.read(), batch)
        slots.write(moved)
        return meta, {**metrics, **_by_phase(self.returns(batch))}

    def _evolve(self, batch: Offspring) -> dict[str, tf.Tensor]:
        returns, failed = evolution.repaired(batch.returns)
        slots, fitness = self.state["outer_slots"], returns[:, -1]
        meta, moved, metrics = self.strategy.tell(
            self.meta.read(), slots.read(), batch.noise, fitness
        )
        self.meta.write(meta)
        slots.write(moved)
        metrics["failed_members"] = failed
        return {**metrics, **_by_phase(tf.unstack(tf.reduce_mean(returns, axis=0)))}

    @property
    def metrics(self) -> dict[str, Metric]:
        between = {
            f"return_{k}": Metric(
                f"Mean return of the training tasks' episodes after {k} of the inner updates.",
                RETURNS,
            )
            for k in range(1, self.config.inner_updates)
        }
        return {
            **super().metrics,
            **between,
            **outer.METRICS,
            **trpo.METRICS,
            **evolution.METRICS,
        }

    @property
    def episodes_per_iteration(self) -> int:
        config = self.config
        each = config.meta_batch_size * (config.inner_updates + 1) * config.episodes_per_update
        return each * (config.outer.population if self.is_evolved else 1)

    # What the methods above are made of.

    def query_experience(self, meta: Nest, fast: FastState, trajectory: Trajectory) -> Experience:
        """`Experience` for the outer loss."""
        return self.loss.query_experience(meta, self.acting(meta, fast), trajectory)

    def surrogate(self, meta: Nest, fast: FastState, query: Experience) -> Surrogate:
        """`Surrogate` of a `FastState` on the query, an `Experience`."""
        return self.loss.surrogate(meta, self.acting(meta, fast), query)

    def begin(
        self,
        meta: Nest,
        num_tasks: int,
        index: tf.Tensor | tuple[()] = (),
        key: tf.Tensor | tuple[()] = (),
    ) -> FastState:
        """`FastState` before adaptation: on training tasks number `index`, or on new ones."""
        if isinstance(index, tuple):  # no number: tasks that are made anew
            return self.start(meta, num_tasks, key)
        return self.resume(meta, num_tasks, index, key)

    def readapt(self, meta: Nest, batch: MetaBatch) -> FastState:
        """`FastState` after adapting from `meta` on each of the K stored `Experience`s."""
        num_tasks = batch.query.weight.shape[0]
        fast = self.begin(meta, num_tasks, batch.index, batch.key)
        for experience in batch.support:
            fast = self.adapt(meta, fast, experience)
        return fast

    def inner_gradient(self, meta: Nest, fast: FastState, support: Experience) -> Nest:
        """Per-task gradients of the inner loss in what is adapted, nest like `fast.params`."""
        loss = lambda params: self.inner_loss(meta, fast._replace(params=params), support)
        _, gradients = inner.gradient(loss, fast.params)
        if self.config.first_order:
            # Cuts the path through the inner gradient: d fast' / d fast is the identity.
            gradients = nest.stop_gradient(gradients)
        return gradients

    def step_scale(self, num_steps: tf.Tensor) -> tf.Tensor:
        """What a step's size is multiplied by where so many [N] were taken before: [N]."""
        trained = num_steps < self.config.inner_updates
        return tf.where(trained, 1.0, self.config.later_step_scale)

    def descend(self, fast: FastState, gradients: Nest, rates: Nest) -> FastState:
        """One gradient step: fast - rates gradients, with shorter steps beyond the K trained.

        Args:
          fast: `FastState`.
          gradients: nest of [N, ...], like `fast.params`.
          rates: nest like it, each broadcastable.
        """
        scale = self.step_scale(fast.slots)

        def move(p: tf.Tensor, g: tf.Tensor, rate: tf.Tensor | float) -> tf.Tensor:
            return p - nest.expand(tf.cast(scale, p.dtype), p) * rate * g

        params = nest.map(move, fast.params, gradients, rates)
        return fast._replace(params=params, slots=fast.slots + 1)


def _by_phase(returns: list[tf.Tensor]) -> dict[str, tf.Tensor]:
    """Metrics of the mean return of each phase, K + 1 scalars."""
    between = {f"return_{k}": each for k, each in enumerate(returns[1:-1], 1)}
    return {"return_before": returns[0], "return_after": returns[-1], **between}
