"""Hindsight MAML: MAML that explores a new task by policies which did well on similar ones.

B. Zahed, "Policy metrics for hindsight MAML" (an idea note). Meta-training is that of MAML, on its
own episodes. Beside it, in every iteration,

  - a network learns which tasks are similar (`task_similarity`) from the divergence of the policies
    adapted to them, measured anew: as the meta parameters move, so do they;
  - what went best is put into a buffer (`hindsight_buffer`): episodes, task and adapted weights.

On a new task the first `guidance.updates` updates learn from episodes of which a share kappa,
falling to 0, is played by buffered policies of similar tasks (`guided_exploration`), with
importance weights. Where the effective sample is too small, only the policy's own episodes count.
Updates take as many episodes as without. What follows a step, and so its advantage, is that of
whoever played.

Differences from the note:
  - The threshold of similarity is a quantile, not a constant.
  - Rewards of old tasks are never used as if they were the new one's. `hindsight_alternatives` has
    two other ways to use the buffer.
  - Weights are per step. Those of the whole past (`importance_weights="per_decision"`) are unbiased
    and next to nothing on ways that the policy would not have found itself.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import tensorflow as tf

from tfcaml import divergence, keys, losses, nest, settings
from tfcaml.errors import check, check_acts, check_one_of
from tfcaml.exploration import mixture as guided_exploration
from tfcaml.learners.hindsight import task_similarity
from tfcaml.learners.hindsight.buffer import HindsightBuffer, HindsightBufferConfig, hindsight
from tfcaml.learners.hindsight.task_similarity import TaskSimilarity, TaskSimilarityConfig
from tfcaml.learners.maml import MAML, MAMLConfig
from tfcaml.types import (
    Experience,
    FastState,
    MetaBatch,
    Metric,
    Nest,
    Params,
    Task,
    Trajectory,
    blank_trajectory,
    episode_return,
)

if TYPE_CHECKING:
    from tfcaml.learners.hindsight.buffer import Hindsight, Similar


@settings.checked
@dataclasses.dataclass(frozen=True)
class GuidanceConfig:
    """How policies of similar tasks explore a new one, and how their episodes count.

    Attributes:
      share: Kappa, the share of episodes at the first update that policies of similar tasks play.
        Source: the study hindsight_maze; the idea is B. Zahed's.
      updates: Updates over which kappa falls to 0. Source: the study hindsight_maze.
      num_similar: Policies that guide, at most. Source: the study hindsight_maze.
      min_similarity: Similarity from which a policy guides: a probability with the objective
        "classification", minus the divergence with "regression". Source: the study hindsight_maze.
      importance_weights: How episodes of others are weighted, a name in
        `losses.IMPORTANCE_WEIGHTS`. Source: the study hindsight_maze.
      importance_clip: Largest importance weight. Source: the study hindsight_maze.
      min_effective_share: Effective sample, as a share of the episodes' steps, below which the
        episodes of others do not count. Source: the study hindsight_maze.
    """

    share: float = 0.5
    updates: int = 10
    num_similar: int = 4
    min_similarity: float = 0.5
    importance_weights: str = "per_step"
    importance_clip: float = 5.0
    min_effective_share: float = 0.2

    def __post_init__(self) -> None:
        check(0 <= self.share < 1, "share", self.share, "in [0, 1)")
        for name in ("updates", "num_similar"):
            check(getattr(self, name) >= 1, name, getattr(self, name), ">= 1")
        weights = self.importance_weights
        check_one_of("importance_weights", weights, tuple(losses.IMPORTANCE_WEIGHTS))
        check(self.importance_clip >= 1, "importance_clip", self.importance_clip, ">= 1")
        share = self.min_effective_share
        check(0 <= share <= 1, "min_effective_share", share, "in [0, 1]")
        fields, where = ("importance_clip", "min_effective_share"), "other than none"
        check_acts(self, fields, weights != "none", f"with importance_weights {where}")


@settings.checked
@dataclasses.dataclass(frozen=True)
class HindsightMAMLConfig(MAMLConfig):
    """Settings of hindsight MAML.

    Attributes:
      saved_episodes: Episodes of an adapted policy that are compared and kept; all where fewer are
        played. Source: the study hindsight_maze.
      similarity: How similar tasks are found. Source: the study hindsight_maze.
      buffer: What is kept of what went well. Source: the study hindsight_maze.
      guidance: How policies of similar tasks explore a new one. Source: the study hindsight_maze.
    """

    saved_episodes: int = 4
    similarity: TaskSimilarityConfig = TaskSimilarityConfig()
    buffer: HindsightBufferConfig = HindsightBufferConfig()
    guidance: GuidanceConfig = GuidanceConfig()

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.saved_episodes >= 1, "saved_episodes", self.saved_episodes, ">= 1")
        size = self.meta_batch_size
        check(size >= 2, "meta_batch_size", size, ">= 2, to have a pair of tasks")
        for name in ("capacity", "window"):
            rows = getattr(self.buffer, name)
            check(rows >= size, f"buffer.{name}", rows, f">= {size}, a batch")
        most, similar = self.buffer.capacity, self.guidance.num_similar
        check(similar <= most, "guidance.num_similar", similar, f"at most {most}")
        least = self.guidance.min_similarity
        fits = self.similarity.objective != "regression" or least <= 0
        rule = "<= 0 for regression, whose similarity is minus the divergence"
        check(fits, "guidance.min_similarity", least, rule)
        known = self.inner_estimator == "log_likelihood"
        check(known, "inner_estimator", self.inner_estimator, "log_likelihood")
        most, default = self.episodes_per_update, type(self).saved_episodes
        rule = f"at most episodes_per_update={most}, the episodes there are"
        fits = self.saved_episodes <= most or self.saved_episodes == default
        check(fits, "saved_episodes", self.saved_episodes, rule)
        check_acts(self, self.of_guidance(), self.guidance.share > 0, "with guidance.share > 0")

    def stored(self, sizes: settings.Sizes, num_tasks: int) -> list[settings.Stored]:
        kept = self.saved_episodes
        numbers = kept * sizes.played + sizes.weights
        held = settings.Stored("buffer.capacity", self.buffer.capacity, kept, numbers)
        return [*super().stored(sizes, num_tasks), held]

    def check_steps(self, num_updates: int) -> None:
        super().check_steps(num_updates)
        fields = ("guidance.share", *self.of_guidance())
        check_acts(self, fields, num_updates > 0, "where new tasks are adapted to")

    def of_guidance(self) -> tuple[str, ...]:
        """Names of the fields that say how others guide."""
        names = ["updates", "num_similar", "importance_weights", "importance_clip"]
        names += ["min_effective_share"]
        # Regression has no default of `min_similarity`: something has to be given.
        if self.similarity.objective != "regression":
            names += ["min_similarity"]
        return tuple(f"guidance.{name}" for name in names)

    @property
    def episodes_kept(self) -> int:
        """Episodes of each policy that are compared and kept."""
        return min(self.saved_episodes, self.episodes_per_update)


class HindsightMAML(MAML):
    """meta = {"params": theta}; beside it the states of the similarity and of the buffer.

    Raises:
      ConfigError: a `loss` of its own, which knows no importance weights.
    """

    Config = HindsightMAMLConfig
    config: HindsightMAMLConfig
    loss: losses.PolicyGradientLoss
    evolves = False

    def setup(self) -> None:
        super().setup()
        own = type(self.loss) is losses.SurrogateLoss
        check(own, "loss", self.loss, "None: hindsight MAML has a loss of its own")
        self.similarity = TaskSimilarity(self.config.similarity)
        self.buffer = HindsightBuffer(self.config.buffer)

    def initial_state(self, seed: int) -> dict[str, Nest]:
        return {
            **super().initial_state(seed),
            "similarity": self._untrained(seed),
            "hindsight": self.buffer.init(self._blank()),
        }

    def explore(self, fast: FastState, task: Task, key: tf.Tensor) -> tuple[Trajectory, tf.Tensor]:
        """Plays the episodes of one update on new tasks, guided by what is in the buffer.

        Args:
          fast: `FastState` of leading [N].
          task: nest, leading [N].
          key: [2].

        Returns:
          (`Trajectory` [N, E, T, ...], [N, E] bool: the episodes that `fast` played itself).
        """
        players = self._players(fast, task)
        trajectory, player = guided_exploration.sample(
            *(self.policy, self.environment, players, task, self.test_episodes, key),
            sampler=self.sampler,
        )
        return trajectory, player == 0

    def off_policy(
        self, fast: FastState, task: Task, trajectory: Trajectory, own: tf.Tensor
    ) -> Experience:
        """What `adapt` learns from episodes that others played too: `Experience`.

        Only the own ones count where those of others tell too little.

        Args:
          fast: `FastState` of leading [N].
          task: nest, leading [N].
          trajectory, own: of `explore`.
        """
        config = self.config.guidance
        log_ratio = losses.action_log_prob(self.policy, fast.params, trajectory)
        log_ratio -= trajectory.log_prob
        weight = losses.IMPORTANCE_WEIGHTS[config.importance_weights](
            log_ratio, trajectory.mask, config.importance_clip
        )
        effective = losses.effective_sample_share(weight, trajectory.mask)
        own = tf.cast(own, weight.dtype)[..., None] * trajectory.mask
        enough = (effective >= config.min_effective_share)[:, None, None]
        mask = tf.where(enough, trajectory.mask, own)
        weight = tf.where(enough, weight, own)
        trajectory = trajectory._replace(mask=mask, reward=trajectory.reward * mask)
        # A weight on the credit is a weight on the loss: both are constants before log pi.
        weight = self.loss.advantage(trajectory) * tf.stop_gradient(weight)
        return Experience(trajectory, weight)

    def similar(self, task: Task) -> tuple[Similar, Hindsight]:
        """What is buffered of tasks like these [N]: (`Similar`, `Hindsight` [N, K, ...])."""
        config, stored = self.config.guidance, self.state["hindsight"].read()
        entries = stored["entries"]
        alike = self.similarity(
            self.state["similarity"].read(),
            task_similarity.descriptors(task),
            task_similarity.descriptors(entries.task),
        )
        similar = self.buffer.retrieve(stored, alike, config.num_similar, config.min_similarity)
        return similar, nest.take(entries, similar.index)

    def look_back(
        self,
        params: Params,
        trajectory: Trajectory,
        task: Task,
        key: tf.Tensor,
        similarity_steps: int | None = None,
    ) -> dict[str, tf.Tensor]:
        """Teaches the similarity and fills the buffer; metrics.

        Part of every iteration; also for policies that were trained elsewhere, such as experts.

        Args:
          params: weights of the policies, each [N, ...]; N is at least 2, and at most
            `buffer.capacity` and `buffer.window`.
          trajectory: `Trajectory` [N, E, T, ...] of what they did; E >= `episodes_kept`.
          task: nest, leading [N]: what they did it in.
          key: [2].
          similarity_steps: of Adam; None: the config's.

        Raises:
          ConfigError: too few or too many policies, or too few episodes.
        """
        (num_policies, num_episodes), kept = trajectory.mask.shape[:2], self.config.episodes_kept
        check(num_policies >= 2, "policies", num_policies, ">= 2, to have a pair of tasks")
        check(num_episodes >= kept, "episodes of each policy", num_episodes, f">= {kept}")
        saved = nest.map(lambda x: x[:, :kept], trajectory)
        behaviour = divergence.Behaviour(params, saved)
        one, other = (nest.take(behaviour, x) for x in divergence.pairs(nest.leading(task)))
        apart = divergence.trajectory_divergence(self.policy, one, other).normalized
        state, metrics = self.similarity.fit(
            self.state["similarity"].read(),
            task_similarity.descriptors(task),
            apart,
            key,
            similarity_steps,
        )
        self.state["similarity"].write(state)
        mean_return = tf.reduce_mean(episode_return(trajectory), axis=1)  # over all episodes
        entries = hindsight(saved, task, params)._replace(mean_return=mean_return)
        stored = self.buffer.add(self.state["hindsight"].read(), entries)
        self.state["hindsight"].write(stored)
        metrics["hindsight_size"] = tf.reduce_sum(tf.cast(self.buffer.held(stored), tf.float32))
        metrics["hindsight_threshold"] = self.buffer.threshold(stored)
        return metrics

    def kappa(self, fast: FastState) -> tf.Tensor:
        """How much others count in the next update of each task: [N], falling to 0."""
        left = tf.maximum(1 - fast.slots / self.config.guidance.updates, 0)
        return self.config.guidance.share * left

    def _players(self, fast: FastState, task: Task) -> guided_exploration.Players:
        similar, entries = self.similar(task)
        join = lambda own, other: tf.concat([own[:, None], other], axis=1)
        params = nest.map(join, fast.params, entries.params)
        share = guided_exploration.shares(similar.valid, self.kappa(fast))
        return guided_exploration.Players(params, share)

    def after_update(
        self, meta: Nest, batch: MetaBatch, task: Task, key: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        adapted = self.readapt(meta, batch).params  # those that the query is of
        key = keys.fold(key, self.config.inner_updates + 1)
        return self.look_back(adapted, batch.query.trajectory, task, key)

    @property
    def metrics(self) -> dict[str, Metric]:
        loss, size = "loss of the task similarity", "stored episodes"
        fitted = "of the network that learns how similar tasks are, before the {} step of this fit."
        return {
            **super().metrics,
            "similarity_loss_before": Metric("Loss " + fitted.format("first"), loss),
            "similarity_loss_after": Metric("Loss " + fitted.format("last"), loss),
            "similarity_threshold": Metric(
                "The divergence of policies, 0 to 1, below which tasks count as similar."
            ),
            "hindsight_size": Metric("How many tasks the buffer of best episodes holds.", size),
            "hindsight_threshold": Metric(
                "The mean return that episodes must have to be stored in the buffer."
            ),
        }

    def test_support(self, meta: Nest, fast: FastState, task: Task, key: tf.Tensor) -> Experience:
        return self.off_policy(fast, task, *self.explore(fast, task, key))

    def _untrained(self, seed: int) -> dict[str, Nest]:
        described = nest.map(lambda x: tf.zeros([1, *x.shape], x.dtype), self.environment.task_spec)
        return self.similarity.init(task_similarity.descriptors(described).rows.shape[-1], seed)

    def _blank(self) -> Hindsight:
        """`Hindsight` of one entry of zeros."""
        trajectory = blank_trajectory(self.environment, self.policy, 1, self.config.episodes_kept)
        zeros = lambda spec: tf.zeros([1, *spec.shape], spec.dtype)
        task = nest.map(zeros, self.environment.task_spec)
        return hindsight(trajectory, task, nest.repeat(self.policy.init(0), 1))
