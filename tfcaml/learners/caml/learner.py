"""CAML, cluster-adapting meta-learning: keep the policies that represent clusters of behaviour.

Policies adapted to sampled entities are saved. Every n of them, all saved policies and the medoids
of before are compared by the divergence of their state-action occupancies (Algorithm 1,
`tfcaml.divergence`) and clustered with K-medoids; the k medoids go on. A medoid is the start for
the next sampled entity in training, and for a new entity the medoid that does best in a few trial
episodes is fine-tuned (Algorithm 2).

Differences from the paper (`paper_config` has the literal choices):
  - A sampled entity gets `inner_updates` = 5 policy-gradient updates, not one: with one, medoids
    never get far enough to help.
  - A new training entity goes on from the medoid that does best in one trial episode on it
    (`assignment="best_trial"`), not from a random one.
  - At test time trials are shared out by successive halving, not uniformly, and the medoid of the
    best mean is taken, not that of the best single episode. One of the trials is of the initial
    weights, and they are taken if no medoid brings on the new entity at least `min_transfer` of
    what it brings at home: entities of an unseen group learn faster from scratch than from a
    medoid that is sure of something else.
  - Kernel bandwidth 0.5 and weight 1/q in the divergence (see `policy_divergence`).
  - Because medoids do not change between two clusterings, `meta_batch_size` sampled entities are
    trained side by side; that is the same algorithm.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from tfcaml import divergence, keys, nest
from tfcaml.errors import RunError
from tfcaml.learners.base import MetaLearner
from tfcaml.learners.caml import bandit
from tfcaml.learners.caml.config import CAMLConfig
from tfcaml.types import FastState, Metric, Nest, Params, Task, blank_trajectory, episode_return

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tfcaml.divergence.clustering import Clustering
    from tfcaml.environments.base import Population


@dataclasses.dataclass(frozen=True)
class ClusteringRecord:
    """The latest clustering, for pictures.

    iteration: in which it was made
    matrix: [n, n] divergences
    clustering: `divergence.Clustering`
    task: nest, leading [n]; what each policy was trained on
    """

    iteration: int
    matrix: np.ndarray
    clustering: divergence.Clustering
    task: Any


_SIZES = "policies in a cluster of the last clustering"  # charts
_DIVERGENCE = "divergence between the clustered policies"
_METRICS = {
    "divergence_mean": Metric(
        "Mean divergence of two of the policies that were clustered; nats, unless the config's "
        "metric is another one.",
        _DIVERGENCE,
    ),
    "divergence_max": Metric(
        "Greatest divergence of two of the policies that were clustered.", _DIVERGENCE
    ),
    "clustering_cost": Metric(
        "Sum of the divergences of the clustered policies from the medoid of their cluster."
    ),
    "num_clusters": Metric("How many clusters there are, so how many medoids.", _SIZES),
    "smallest_cluster": Metric("How many policies the smallest cluster has.", _SIZES),
    "largest_cluster": Metric("How many policies the largest cluster has.", _SIZES),
    "silhouette": Metric(
        "How well the clusters are apart: -1 to 1, and 1 is best (mean silhouette).",
        "silhouette of the clusters",
    ),
}


class CAML(MetaLearner):
    """Meta parameters:

    initial:      weights every policy starts from before the first clustering
    medoids:      [k] saved policies; beyond `num_clusters` they repeat
    num_clusters: how many medoids the last clustering has; k unless it is adaptive
    pool:         [n] policies saved since the last clustering
    pool_size:    how many of them there are
    clusterings:  how often the medoids were chosen

    A saved policy is {"fast": `FastState`, "trajectory": `Trajectory`, "task": nest}.
    """

    Config = CAMLConfig
    config: CAMLConfig
    last_clustering: Any  # the latest `ClusteringRecord`, or None
    quick_under_xla = True

    def setup(self) -> None:
        self.last_clustering = None  # of this process; what the pictures show
        self._trials = tf.function(self._play_trials, autograph=False, jit_compile=self.jit_compile)

    def init(self, seed: int) -> dict[str, Nest]:
        initial = self.policy.init(seed)
        return {
            "initial": initial,
            "medoids": self._blank(initial, self.config.num_medoids),
            "pool": self._blank(initial, self.config.policies_per_clustering),
            "num_clusters": tf.constant(self.config.num_medoids),
            "pool_size": tf.constant(0),
            "clusterings": tf.constant(0),
        }

    def start(self, meta: Nest, num_tasks: int, key: tf.Tensor | tuple[()] = ()) -> FastState:
        """The initial weights: what there is without trials."""
        params = nest.repeat(meta["initial"], num_tasks)
        return FastState(params, self.inner_optimizer.init(params, num_tasks))

    def choose_start(
        self, meta: Nest, task: Task, key: tf.Tensor
    ) -> tuple[FastState, dict[str, np.ndarray]]:
        """Tries the medoids on each task and takes the best; the optimiser starts afresh."""
        arms = self.arms(meta)
        arm, returns = self._trials(arms, self.home_returns(meta), task, key)
        params = nest.take(arms, arm)
        metrics = {
            "trial_return": np.nanmean(returns, axis=(1, 2), dtype=np.float64),
            "chosen_medoid": arm.numpy(),
        }
        return FastState(params, self.inner_optimizer.init(params, nest.leading(task))), metrics

    def exported(self, meta: Nest) -> dict[str, tuple[Any, ...]]:
        """The choice of a start, for a machine without tfcaml: see `tfcaml.agents.export`."""
        arms, home = self.arms(meta), self.home_returns(meta)
        table = tf.TensorSpec([None, nest.leading(arms), self.trial_episodes], tf.float32)

        def next_trial(trial_returns: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
            """The arm to play one episode with, per task; -1 when the budget is spent."""
            return self._next_arm(trial_returns, seed)

        def trial_state(arm: tf.Tensor) -> FastState:
            """The states of these arms, with a fresh optimiser."""
            params = nest.take(arms, arm)
            return FastState(params, self.inner_optimizer.init(params, tf.shape(arm)[0]))

        def choose(trial_returns: tf.Tensor) -> FastState:
            """The states of the best arms, to adapt from."""
            return trial_state(self._best_arm(trial_returns, home))

        return {
            "next_trial": (next_trial, table, tf.TensorSpec([2], tf.int32)),
            "trial_state": (trial_state, tf.TensorSpec([None], tf.int32)),
            "choose": (choose, table),
        }

    def card(self) -> dict[str, Any]:
        config = self.config
        trial = {
            "rule": config.choice.rule,
            "episodes": config.choice.trial_episodes,
            "arms": nest.leading(self.arms(self.meta.read())),
            "medoids": config.num_medoids,
        }
        return {"trials": trial}

    def arms(self, meta: Nest) -> Params:
        """The weights tried on a new task: the medoids', then the initial ones as a fallback."""
        clusters = int(meta["num_clusters"])
        arms = nest.map(lambda x: x[:clusters], meta["medoids"]["fast"].params)
        if self.config.choice.include_initial_weights:
            arms = nest.concat(arms, nest.repeat(meta["initial"], 1))
        return arms

    def trial_returns(
        self, arms: Params, task: Task, num_episodes: int, key: tf.Tensor
    ) -> tf.Tensor:
        """Every arm on every task: arms [k, ...], task [N] -> returns [N, k, num_episodes]."""
        num_arms, num_tasks = nest.leading(arms), nest.leading(task)
        each_arm = nest.take(arms, np.tile(np.arange(num_arms), num_tasks))
        each_task = nest.take(task, np.repeat(np.arange(num_tasks), num_arms))
        trial = self.sample(each_arm, each_task, num_episodes, key)
        return tf.reshape(episode_return(trial), [num_tasks, num_arms, num_episodes])

    def home_returns(self, meta: Nest) -> np.ndarray:
        """Mean return of each medoid on the entity it was trained on, [k]."""
        clusters = int(meta["num_clusters"])
        returns = episode_return(meta["medoids"]["trajectory"])[:clusters]
        return tf.reduce_mean(returns, axis=1).numpy()

    def collect(
        self, meta: Nest, task: Task, key: tf.Tensor, index: tf.Tensor | tuple[()] = ()
    ) -> tuple[dict[str, Nest], tf.Tensor]:
        """Trains one policy per task from its medoid; a saved policy each, and returns."""
        fast = self._assign(meta, task, keys.fold(key, 0))
        fast, returns = self.adapt_online(
            meta, fast, task, self.config.inner_updates, keys.fold(key, 1)
        )
        trajectory = self.sample(fast.params, task, self.config.saved_episodes, keys.fold(key, 2))
        return {"fast": fast, "trajectory": trajectory, "task": task}, returns

    def update(self, batch: Any) -> dict[str, tf.Tensor]:
        """Puts the trained policies into the pool; `train` clusters it when it is full."""
        saved, returns = batch
        meta = self.meta.read()
        size = self.config.policies_per_clustering
        rows = (
            meta["pool_size"] + tf.range(returns.shape[1])
        ) % size  # full after a bad clustering
        meta["pool"] = nest.map(
            lambda old, new: tf.tensor_scatter_nd_update(old, rows[:, None], new),
            meta["pool"],
            saved,
        )
        meta["pool_size"] = tf.minimum(meta["pool_size"] + returns.shape[1], size)
        self.meta.write(meta)
        return {
            "return_before": tf.reduce_mean(returns[0]),
            "return_last_update": tf.reduce_mean(returns[-1]),
            "return_after": tf.reduce_mean(episode_return(saved["trajectory"])),
        }

    def after_iteration(self, key: tf.Tensor) -> dict[str, float]:
        """Clusters the pool when it is full, and after the last iteration."""
        metrics = {}
        pool_size = int(self.meta.variables_nest["pool_size"])
        last = int(self.iteration) == self.config.num_iterations
        if pool_size == self.config.policies_per_clustering or last:
            metrics = self.contained(lambda: self._cluster(self.meta.read(), keys.fold(key, 3)))
        if last and int(self.meta.read()["clusterings"]) == 0:
            raise RunError("CAML has no medoids: no clustering came to finite divergences")
        return metrics

    def pictures(self, population: Population) -> dict[str, Figure]:
        """The latest clustering, if the last iteration made it."""
        # Here, as Matplotlib takes long to import and is not always needed.
        from tfcaml import figures

        record = self.last_clustering
        if record is None or record.iteration != int(self.iteration) - 1:
            return {}
        labels, medoids = record.clustering.labels, record.clustering.medoids
        about = record.matrix, labels, medoids, population.groups_of(record.task)
        return {
            "clusters/divergence_matrix": figures.divergence_matrix(
                *about, unit=self.config.divergence.unit
            ),
            "clusters/policy_map": figures.policy_map(*about),
        }

    @property
    def metrics(self) -> dict[str, Metric]:
        return {**super().metrics, **_METRICS}

    @property
    def trial_episodes(self) -> int:
        return self.config.choice.trial_episodes

    @property
    def episodes_per_iteration(self) -> int:
        tried = self.config.num_medoids if self.config.assignment == "best_trial" else 0
        extra = self.config.saved_episodes + tried
        return super().episodes_per_iteration + self.config.meta_batch_size * extra

    def _assign(self, meta: Nest, task: Task, key: tf.Tensor) -> FastState:
        """`FastState` of a medoid for each task; the initial weights before there is a medoid."""
        medoids, num_tasks = meta["medoids"]["fast"], nest.leading(task)
        if self.config.assignment == "random":
            arm = tf.random.stateless_uniform([num_tasks], key, 0, meta["num_clusters"], tf.int32)
        else:
            returns = self.trial_returns(medoids.params, task, 1, key)
            arm = tf.argmax(returns[:, :, 0], axis=1, output_type=tf.int32)
        fast = nest.take(medoids, arm)
        if self.config.keep_optimizer_state:
            return fast
        return FastState(fast.params, self.inner_optimizer.init(fast.params, num_tasks))

    def _play_trials(
        self, arms: Params, home_return: tf.Tensor, task: Task, key: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Plays the episodes that the rule asks for, one after the other on each task.

        An arm's episodes on a task have the keys that they have in `trial_returns`.

        Args:
          arms: weights, each [k, ...].
          home_return: [k], or [k - 1] with a fallback.
          task: nest, leading [N].
          key: [2].

        Returns:
          (best arm [N], returns [N, k, budget] with nan for what was not played).
        """
        config, budget = self.config.choice, self.config.choice.trial_episodes
        num_tasks, num_arms = nest.leading(task), nest.leading(arms)
        own = keys.per_episode(key, num_tasks * num_arms, budget)
        own = tf.reshape(own, [num_tasks, num_arms, budget, 2])

        def pull(arm: tf.Tensor, before: tf.Tensor) -> tf.Tensor:
            episode = tf.gather_nd(own, tf.stack([arm, before], axis=1), batch_dims=1)
            trial = self.sample(nest.take(arms, arm), task, 1, episode[:, None])
            return episode_return(trial)[:, 0]

        next_arm = lambda table: self._next_arm(table, keys.fold(key, keys.START))
        falls_back = config.include_initial_weights
        num_pulls = bandit.num_pulls(config.rule, num_arms, budget, falls_back)
        table = bandit.play(next_arm, pull, num_tasks, num_arms, budget, num_pulls)
        return self._best_arm(table, home_return), table

    def _next_arm(self, table: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
        """The arm to play next on each task, [N]; see `bandit.next_arm`."""
        config = self.config.choice
        return bandit.next_arm(config.rule, table, key, config.include_initial_weights)

    def _best_arm(self, table: tf.Tensor, home_return: tf.Tensor) -> tf.Tensor:
        """The arm to take for each task, [N]."""
        config = self.config.choice
        if not config.include_initial_weights:
            return bandit.best_arm(config.rule, table)
        return bandit.best_arm_or_fallback(config.rule, table, home_return, config.min_transfer)

    def _cluster(self, meta: Nest, key: tf.Tensor) -> dict[str, float]:
        """Chooses new medoids among the pool and the old medoids, and empties the pool."""
        config = self.config
        size = int(meta["pool_size"])
        saved = nest.map(lambda x: x[:size], meta["pool"])
        if meta["clusterings"] > 0:
            clusters = int(meta["num_clusters"])
            saved = nest.concat(nest.map(lambda x: x[:clusters], meta["medoids"]), saved)
        matrix = self._distances(saved, int(key[0]) % 2**31)
        clustering = self._clustering(matrix, int(key[1]) % 2**31)
        clusters = len(clustering.medoids)
        rows = np.arange(config.num_medoids) % clusters
        meta["medoids"] = nest.take(saved, clustering.medoids[rows])
        meta["num_clusters"] = tf.constant(clusters)
        meta["clusterings"] += 1
        self.last_clustering = ClusteringRecord(
            int(self.iteration) - 1, matrix, clustering, saved["task"]
        )
        meta["pool_size"] = tf.constant(0)
        self.meta.write(meta)
        return self._cluster_metrics()

    def _distances(self, saved: dict[str, Nest], seed: int) -> np.ndarray:
        """Distances [n, n] of saved policies by the config's metric."""
        config = self.config.divergence
        if config.metric == "parameters":
            return divergence.euclidean(saved["fast"].params)
        if config.metric == "task":
            return divergence.euclidean(saved["task"])
        if config.metric == "random":
            return divergence.random_distances(nest.leading(saved), seed)
        return divergence.policy_divergence_matrix(
            self.policy,
            saved["fast"].params,
            saved["trajectory"],
            bandwidth=config.kernel_bandwidth(),
            weight=config.weight,
            form=config.form,
            num_states=config.num_states,
            seed=seed,
            occupancy=config.metric,
            time_indexed=config.time_indexed,
        ).numpy()

    def _clustering(self, matrix: np.ndarray, seed: int) -> Clustering:
        """K-medoids of a distance matrix; of the k with the best silhouette when k is adaptive."""
        most = self.config.num_medoids
        if not self.config.adaptive_k:
            return divergence.k_medoids(matrix, most, seed)
        found = [divergence.k_medoids(matrix, k, seed) for k in range(2, most + 1)]
        return max(
            found, key=lambda c: np.nan_to_num(divergence.silhouette(matrix, c.labels), nan=-1)
        )

    def _cluster_metrics(self) -> dict[str, float]:
        matrix, clustering = self.last_clustering.matrix, self.last_clustering.clustering
        spread = divergence.spread(matrix, clustering.labels)
        sizes = np.bincount(clustering.labels)
        metrics = {
            "divergence_mean": spread["mean"],
            "divergence_max": spread["max"],
            "clustering_cost": clustering.cost,
            "num_clusters": float(len(clustering.medoids)),
            "smallest_cluster": float(sizes.min()),
            "largest_cluster": float(sizes.max()),
        }
        if np.isfinite(spread["silhouette"]):  # one cluster, or as many as policies, have none
            metrics["silhouette"] = spread["silhouette"]
        return metrics

    def _blank(self, initial: Params, num: int) -> dict[str, Nest]:
        """`num` saved policies with the initial weights and empty trajectories."""
        params, episodes = nest.repeat(initial, num), self.config.saved_episodes
        zeros = lambda spec: tf.zeros([num, *spec.shape], spec.dtype)
        return {
            "fast": FastState(params, self.inner_optimizer.init(params, num)),
            "trajectory": blank_trajectory(self.environment, self.policy, num, episodes),
            "task": nest.map(zeros, self.environment.task_spec),
        }
