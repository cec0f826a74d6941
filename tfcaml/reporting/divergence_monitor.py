"""Follows how far policies diverge over training, whatever trains them, and shows it.

What CAML does inside its training, anyone can look at from outside: policies adapted to the same
entities by any learner, or policies trained by other means, compared by the divergence of their
occupancies (`tfcaml.divergence`), clustered, and held against the known groups of their entities.
"""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfcaml import divergence, figures, keys, settings
from tfcaml.errors import check, check_positive, from_python
from tfcaml.reporting import tensorboard
from tfcaml.types import Metric, Params, Task, Trajectory

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tfcaml.divergence.clustering import Clustering
    from tfcaml.environments.base import Population
    from tfcaml.learners.base import MetaLearner
    from tfcaml.policies.base import Policy

_PREFIX = "divergence/"
_SPREAD = "divergence between adapted policies, nats"  # charts
_AGREEMENT = "clusters of adapted policies, agreement with known groups"
METRICS = {
    "divergence/mean": Metric("Mean divergence of two adapted policies, nats.", _SPREAD),
    "divergence/max": Metric("Greatest divergence of two adapted policies, nats.", _SPREAD),
    "divergence/silhouette": Metric(
        "How well clusters of the adapted policies are apart: -1 to 1, and 1 is best.", _AGREEMENT
    ),
    "divergence/group_silhouette": Metric(
        "The same where the known groups of the entities take the place of clusters.", _AGREEMENT
    ),
    "divergence/ari": Metric(
        "Adjusted Rand index of clusters and known groups: 1 where they are the same, about 0 "
        "where they have nothing to do with each other.",
        _AGREEMENT,
    ),
    "divergence/nearest_neighbour": Metric(
        "Share of the policies whose nearest policy is of an entity of the same known group.",
        _AGREEMENT,
    ),
}  # tag -> `Metric`


@settings.checked
@dataclasses.dataclass(frozen=True)
class DivergenceMonitorConfig:
    """How divergence is followed.

    Attributes:
      interval: Iterations between two records of a learner. Source: tfcaml.
      num_updates: Updates on each entity before its policy is looked at. Source: tfcaml.
      episodes: Episodes that represent a policy. Source: CAML paper, Algorithm 1: 1.
      num_clusters: k, clusters. Source: CAML paper, section 5: 6 groups.
      bandwidth: Width of the kernels of the densities. Unit: of observations. Source: the study
        caml_figure2.
    """

    interval: int = 10
    num_updates: int = 5
    episodes: int = 1
    num_clusters: int = 6
    bandwidth: float = 0.5

    def __post_init__(self) -> None:
        for name, least in (("interval", 1), ("num_updates", 0), ("episodes", 1)):
            check(getattr(self, name) >= least, name, getattr(self, name), f">= {least}")
        check_positive(num_clusters=self.num_clusters, bandwidth=self.bandwidth)


class DivergenceRecord(NamedTuple):
    """Policies of one moment.

    step: when
    matrix: [N, N] divergences
    clustering: `divergence.Clustering`
    metrics: mean and max divergence, silhouette of the clusters and, where groups are known, ari,
      group_silhouette and nearest_neighbour (see `divergence.agreement`)
    figures: matplotlib figures: matrix, map, and curves, the metrics so far
    """

    step: int
    matrix: np.ndarray
    clustering: divergence.Clustering
    metrics: dict[str, float]
    figures: dict[str, Any]


class DivergenceMonitor:
    """Records divergence and clusters of policies over training, and shows them in TensorBoard.

    As `callback` of `tfcaml.train` it adapts the learner to every training entity each
    `config.interval` iterations, without changing the learner; `record` takes any policies.

    Args:
      directory: of the event files. Points that an earlier run left there are gone on from.
      config: `DivergenceMonitorConfig`; its defaults unless given.
      seed: Python int.
      writer: the `tf.summary` writer of that directory, if there is one already.

    Attributes:
      history: dict metric -> {step: value}.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        config: DivergenceMonitorConfig | None = None,
        seed: int = 0,
        writer: tf.summary.SummaryWriter | None = None,
    ) -> None:
        self.config = config or DivergenceMonitorConfig()
        self.seed = seed
        self._writer = writer or tf.summary.create_file_writer(str(directory))
        self.history = tensorboard.read_scalars(directory, _PREFIX)
        self._described = False  # by events of this process

    def __call__(
        self, learner: MetaLearner, population: Population, metrics: dict[str, float] | None = None
    ) -> DivergenceRecord | None:
        """After an iteration: a record every `interval` iterations and after the last, else None.

        Its step is the iteration's number, from 0; the iteration's metrics are not looked at.
        """
        done = int(learner.iteration)
        if done % self.config.interval and done != learner.config.num_iterations:
            return None
        return self.follow(done - 1, learner, population.train, population.train_group)

    @from_python()
    def follow(
        self, step: int, learner: MetaLearner, task: Task, groups: np.ndarray | None = None
    ) -> DivergenceRecord:
        """Adapts a learner to entities and records the adapted policies; it is not changed.

        Args:
          step: Python int.
          learner: a `MetaLearner`.
          task: nest, leading [N]; the same entities each time.
          groups: [N] integers, the entities' known groups.

        Returns:
          `DivergenceRecord`.

        Raises:
          ConfigError: a learner of regression or of one policy per entity (its weights go to
            `record`), or as `record`.
        """
        check_can_be_followed(type(learner))
        check_memory(learner.policy)
        config, key = self.config, self._key(step)
        policies = adapted(learner, task, config.num_updates, config.episodes, keys.fold(key, 1))
        return self.record(step, learner.policy, *policies, groups)

    def record(
        self,
        step: int,
        policy: Policy,
        params: Params,
        trajectories: Trajectory,
        groups: np.ndarray | None = None,
    ) -> DivergenceRecord:
        """Compares and clusters policies, and writes numbers and pictures for TensorBoard.

        Args:
          step: Python int.
          policy: a `Policy`.
          params: the policies' weights, each [N, ...].
          trajectories: `Trajectory` with leading [N]: what each policy visited.
          groups: [N] integers; known groups.

        Returns:
          `DivergenceRecord`.

        Raises:
          ConfigError: a policy with memory, fewer policies than clusters, or groups of another
            number of policies; see also `policy_divergence_matrix`.
        """
        check_memory(policy)
        states, medoids = (int(x) % 2**31 for x in keys.fold(self._key(step), 0))
        matrix = divergence.policy_divergence_matrix(
            policy, params, trajectories, bandwidth=self.config.bandwidth, seed=states
        ).numpy()
        groups = _telling(groups, len(matrix))
        clustering = divergence.k_medoids(matrix, self.config.num_clusters, medoids % 2**31)
        metrics = _metrics(matrix, clustering, groups, medoids)
        texts = {} if self._described else {name: METRICS[_PREFIX + name][0] for name in metrics}
        self._described = True
        for name, value in metrics.items():
            self.history.setdefault(name, {})[step] = value
        pictures = {**draw(matrix, clustering, groups), "curves": self.figure()}
        tensorboard.write_scalars(self._writer, metrics, step, _PREFIX, texts)
        for name, figure in pictures.items():
            tensorboard.write_figure(self._writer, _PREFIX + name, figure, step)
        self._writer.flush()
        return DivergenceRecord(step, matrix, clustering, metrics, pictures)

    def figure(self) -> Figure:
        """The metrics over training, as a matplotlib figure.

        Raises:
          ConfigError: nothing has been recorded.
        """
        check(self.history, "history", self.history, "of one record at least")
        points = {name: sorted(values.items()) for name, values in self.history.items()}
        curves = {name: tuple(np.transpose(rows)) for name, rows in points.items()}
        return figures.divergence_curves(
            {name: (steps, values[None]) for name, (steps, values) in curves.items()}
        )

    def _key(self, step: int) -> tf.Tensor:
        return keys.fold(keys.from_int(self.seed), keys.MONITOR, step)


def adapted(
    learner: MetaLearner, task: Task, num_updates: int, num_episodes: int, key: tf.Tensor
) -> tuple[Params, Trajectory]:
    """A learner adapted to tasks as at test time: (weights [N, ...], `Trajectory` [N, E, T]).

    Args:
      learner: a `MetaLearner`; it is not changed.
      task: nest, leading [N].
      num_updates: adaptation steps.
      num_episodes: E, episodes of the adapted policies.
      key: [2].
    """
    meta = learner.meta.read()
    fast, _ = learner.choose_start(meta, task, keys.fold(key, 0))
    for update in range(num_updates):
        fast = learner.adapt_to(fast, learner.task_at(task, update), keys.fold(key, 1, update, 1))
    now, key = learner.task_at(task, num_updates), keys.fold(key, 1, num_updates, 0)
    return learner.acting(meta, fast), learner.measure(fast, now, num_episodes, key)


def draw(
    matrix: np.ndarray, clustering: Clustering, groups: np.ndarray | None = None
) -> dict[str, Figure]:
    """The matrix [N, N] and the map of clustered policies, as a dict of figures."""
    labels = clustering.labels
    return {
        "matrix": figures.divergence_matrix(matrix, labels, clustering.medoids, groups),
        "map": figures.policy_map(matrix, labels, clustering.medoids, groups),
    }


def check_can_be_followed(learner_class: type[MetaLearner]) -> None:
    """Raises ConfigError for learners that don't adapt a policy to any entity they are given."""
    rule = "one that adapts a policy to any entity, for its divergence to be followed"
    check(learner_class.adapts_to_any_task, "learner", learner_class.__name__, rule)


def check_memory(policy: Policy) -> None:
    """Raises ConfigError for policies that remember an episode."""
    rule = "False: policies with memory have no occupancy over states"
    check(not policy.has_memory, "policy.has_memory", policy.has_memory, rule)


def _telling(groups: np.ndarray | None, size: int) -> np.ndarray | None:
    """Groups as [N] integers; None where they are not known, all one, or one each."""
    if groups is None:
        return None
    check(len(groups) == size, "len(groups)", len(groups), f"{size}, the number of policies")
    return np.asarray(groups) if 1 < len(set(np.asarray(groups).tolist())) < size else None


def _metrics(
    matrix: np.ndarray, clustering: Clustering, groups: np.ndarray | None, seed: int
) -> dict[str, float]:
    metrics = divergence.spread(matrix, clustering.labels)
    if groups is not None:
        found = divergence.agreement(matrix, groups, seed)
        metrics["group_silhouette"] = found.silhouette
        metrics["ari"] = found.ari
        metrics["nearest_neighbour"] = found.nearest_neighbour
    # As events keep them: a history is the same whether it was read back or not.
    return {name: float(np.float32(value)) for name, value in metrics.items()}
