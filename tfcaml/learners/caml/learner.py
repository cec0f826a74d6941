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

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from tfcaml import divergence, figures, keys, nest
from tfcaml.divergence.density import BANDWIDTH_RULES
from tfcaml.divergence.jensen_shannon import FORMS
from tfcaml.divergence.policy_divergence import OCCUPANCIES, WEIGHTS
from tfcaml.errors import RunError, check, check_acts, check_one_of
from tfcaml.learners.base import LearnerConfig, MetaLearner
from tfcaml.learners.caml import bandit, trials
from tfcaml.types import FastState, blank_trajectory, episode_return

ASSIGNMENTS = ("best_trial", "random")
# Divergences of an occupancy; and controls: distances of weights, at random, and of the tasks
# themselves, which no learner knows.
METRICS = (*OCCUPANCIES, "parameters", "random", "task")
_OF_OCCUPANCIES = ("bandwidth", "weight", "form", "num_states", "time_indexed")


@dataclasses.dataclass(frozen=True)
class CAMLConfig(LearnerConfig):
    """Settings of CAML; sampled entities in all: num_iterations * meta_batch_size."""

    num_iterations: int = 20
    meta_batch_size: int = 5  # entities trained side by side; divides policies_per_clustering
    policies_per_clustering: int = 25  # n, policies saved between two clusterings (paper: 25)
    num_medoids: int = 8  # k (paper: 6, the number of its groups)
    assignment: str = "best_trial"  # medoid for a training entity; "random" is the paper's
    choice: str = "successive_halving"  # medoid for a new entity, see `tfcaml.learners.caml.bandit`
    trial_episodes: int = 10  # episodes spent on that choice (paper: K = 10)
    fresh_arm: bool = True  # one trial is the initial weights', to fall back on
    min_transfer: float = 0.5  # of its gain over them at home a medoid must bring, or they stay
    keep_optimizer_state: bool = True  # it travels with a policy in training; fresh at test time
    saved_episodes: int = 1  # episodes that represent a saved policy (paper: 1)
    metric: str = "state_action"  # what clusters are made by, see `METRICS`
    bandwidth: str = "0.5"  # of the density: a number in units of observations, or a rule's name
    weight: str = "inverse_density"  # of sampled states: inverse_density, uniform or density
    form: str = "jensen_shannon"  # of the divergence, see `policy_divergence_matrix`
    num_states: int = 300  # at which occupancies are compared
    time_indexed: bool = False  # densities of (state, time) instead of states
    adaptive_k: bool = False  # 2 to num_medoids clusters, as many as the best silhouette has

    def __post_init__(self):
        super().__post_init__()
        for name in ("saved_episodes", "num_states"):
            check(getattr(self, name) >= 1, name, getattr(self, name), ">= 1")
        check_one_of("assignment", self.assignment, ASSIGNMENTS)
        check_one_of("choice", self.choice, tuple(bandit.RULES))
        check_one_of("weight", self.weight, WEIGHTS)
        check_one_of("form", self.form, FORMS)
        check_one_of("metric", self.metric, METRICS)
        least = 2 if self.fresh_arm else 1
        check(self.trial_episodes >= least, "trial_episodes", self.trial_episodes, f">= {least}")
        check(self.min_transfer >= 0, "min_transfer", self.min_transfer, ">= 0")
        least, rule = (3, ">= 3, to choose from 2 on") if self.adaptive_k else (1, ">= 1")
        check(self.num_medoids >= least, "num_medoids", self.num_medoids, rule)
        self.kernel_bandwidth()
        n, total = self.policies_per_clustering, self.num_iterations * self.meta_batch_size
        check(
            self.num_medoids <= n,
            "num_medoids",
            self.num_medoids,
            f"at most policies_per_clustering={n}",
        )
        check(
            n <= total,
            "policies_per_clustering",
            n,
            f"at most num_iterations * meta_batch_size = {total}, the policies trained",
        )
        check(
            n % self.meta_batch_size == 0,
            "policies_per_clustering",
            n,
            f"a multiple of meta_batch_size={self.meta_batch_size}",
        )
        several = self.num_medoids > 1
        check_acts(self, ("assignment", "choice"), several, "with num_medoids > 1")
        check_acts(self, ("min_transfer",), self.fresh_arm, "with fresh_arm=True")
        has_state = self.inner_optimizer == "adam"
        check_acts(self, ("keep_optimizer_state",), has_state, "with inner_optimizer=adam")
        where = "with metric=" + " or ".join(OCCUPANCIES)
        check_acts(self, _OF_OCCUPANCIES, self.metric in OCCUPANCIES, where)

    def kernel_bandwidth(self):
        """`bandwidth` as a number or a rule's name."""
        if self.bandwidth in BANDWIDTH_RULES:
            return self.bandwidth
        try:
            value = float(self.bandwidth)
        except ValueError:
            value = -1.0
        check(
            0 < value < float("inf"),
            "bandwidth",
            self.bandwidth,
            "a number > 0 or one of " + ", ".join(BANDWIDTH_RULES),
        )
        return value


def paper_config(**changes):
    """The literal choices of the paper's Algorithm 2, but for the five updates per entity."""
    paper = {
        "num_medoids": 6,
        "assignment": "random",
        "choice": "uniform_best_episode",
        "bandwidth": "scott",
        "weight": "density",
        "fresh_arm": False,
    }
    return CAMLConfig(**{**paper, **changes})


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
    quick_under_xla = True

    def setup(self):
        self.last_clustering = None  # of this process; what the pictures show
        self._trials = tf.function(self._play_trials, autograph=False, jit_compile=self.jit_compile)

    def init(self, seed):
        initial = self.policy.init(seed)
        return {
            "initial": initial,
            "medoids": self._blank(initial, self.config.num_medoids),
            "pool": self._blank(initial, self.config.policies_per_clustering),
            "num_clusters": tf.constant(self.config.num_medoids),
            "pool_size": tf.constant(0),
            "clusterings": tf.constant(0),
        }

    def start(self, meta, num_tasks, key=()):
        """The initial weights: what there is without trials."""
        params = nest.repeat(meta["initial"], num_tasks)
        return FastState(params, self.inner_optimizer.init(params, num_tasks))

    def choose_start(self, meta, task, key):
        """Tries the medoids on each task and takes the best; the optimiser starts afresh."""
        arms = self.arms(meta)
        returns = self.trial_returns(arms, task, key)
        rule, budget = self.config.choice, self.config.trial_episodes
        home, transfer = self.home_returns(meta), self.config.min_transfer
        choices = []
        for index, row in enumerate(returns):
            rng = np.random.default_rng([*(np.asarray(key, np.int64) % 2**32), index])
            if self.config.fresh_arm:
                choice = bandit.choose_or_fall_back(rule, row, home, transfer, budget, rng)
            else:
                choice = bandit.choose(rule, row, budget, rng)
            choices.append(choice)
        params = nest.take(arms, [choice.arm for choice in choices])
        metrics = {
            "trial_return": np.array([choice.mean_return for choice in choices]),
            "chosen_medoid": np.array([choice.arm for choice in choices]),
        }
        return FastState(params, self.inner_optimizer.init(params, len(choices))), metrics

    def exported(self, meta):
        """The choice of a start, for a machine without tfcaml: see `tfcaml.agents.export`."""
        config, arms, home = self.config, self.arms(meta), self.home_returns(meta)
        table = tf.TensorSpec([None, nest.leading(arms), config.trial_episodes], tf.float32)

        def next_trial(trial_returns, seed):
            """The arm to play one episode with, per task; -1 when the budget is spent."""
            next_arm = trials.next_arm_or_fallback if config.fresh_arm else trials.next_arm
            return next_arm(config.choice, trial_returns, seed)

        def trial_state(arm):
            """The states of these arms, with a fresh optimiser."""
            params = nest.take(arms, arm)
            return FastState(params, self.inner_optimizer.init(params, tf.shape(arm)[0]))

        def choose(trial_returns):
            """The states of the best arms, to adapt from."""
            if not config.fresh_arm:
                return trial_state(trials.best_arm(config.choice, trial_returns))
            rule = config.choice, trial_returns, home, config.min_transfer
            return trial_state(trials.best_arm_or_fallback(*rule))

        return {
            "next_trial": (next_trial, table, tf.TensorSpec([2], tf.int32)),
            "trial_state": (trial_state, tf.TensorSpec([None], tf.int32)),
            "choose": (choose, table),
        }

    def card(self):
        config = self.config
        trial = {
            "rule": config.choice,
            "episodes": config.trial_episodes,
            "arms": nest.leading(self.arms(self.meta.read())),
            "medoids": config.num_medoids,
        }
        return {"trials": trial}

    def arms(self, meta):
        """The weights tried on a new task: the medoids', then the initial ones as a fallback."""
        clusters = int(meta["num_clusters"])
        arms = nest.map(lambda x: x[:clusters], meta["medoids"]["fast"].params)
        if self.config.fresh_arm:
            arms = nest.concat(arms, nest.repeat(meta["initial"], 1))
        return arms

    def trial_returns(self, arms, task, seed):
        """`trial_episodes` of each of the weights [k, ...] on each task [N]: array [N, k, E]."""
        return self._trials(arms, task, self.config.trial_episodes, seed).numpy()

    def home_returns(self, meta):
        """Mean return of each medoid on the entity it was trained on, [k]."""
        clusters = int(meta["num_clusters"])
        returns = episode_return(meta["medoids"]["trajectory"])[:clusters]
        return tf.reduce_mean(returns, axis=1).numpy()

    def collect(self, meta, task, key, index=()):
        """Trains one policy per task from its medoid; a saved policy each, and returns."""
        fast = self._assign(meta, task, keys.fold(key, 0))
        fast, returns = self.adapt_online(
            meta, fast, task, self.config.inner_updates, keys.fold(key, 1)
        )
        trajectory = self.sample(fast.params, task, self.config.saved_episodes, keys.fold(key, 2))
        return {"fast": fast, "trajectory": trajectory, "task": task}, returns

    def update(self, batch):
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

    def after_iteration(self, key):
        """Clusters the pool when it is full, and after the last iteration."""
        meta, metrics = self.meta.read(), {}
        full = int(meta["pool_size"]) == self.config.policies_per_clustering
        last = int(self.iteration) == self.config.num_iterations
        if full or last:
            metrics = self.contained(lambda: self._cluster(meta, keys.fold(key, 3)))
        if last and int(self.meta.read()["clusterings"]) == 0:
            raise RunError("CAML has no medoids: no clustering came to finite divergences")
        return metrics

    def pictures(self, population):
        """The latest clustering, if the last iteration made it."""
        record = self.last_clustering
        if record is None or record.iteration != int(self.iteration) - 1:
            return {}
        labels, medoids = record.clustering.labels, record.clustering.medoids
        groups = population.groups_of(record.task)
        return {
            "clusters/divergence_matrix": figures.divergence_matrix(record.matrix, labels),
            "clusters/policy_map": figures.policy_map(record.matrix, labels, medoids, groups),
        }

    @property
    def trial_episodes(self):
        return self.config.trial_episodes

    @property
    def episodes_per_iteration(self):
        tried = self.config.num_medoids if self.config.assignment == "best_trial" else 0
        extra = self.config.saved_episodes + tried
        return super().episodes_per_iteration + self.config.meta_batch_size * extra

    def _assign(self, meta, task, seed):
        """`FastState` of a medoid for each task; the initial weights before there is a medoid."""
        medoids, num_tasks = meta["medoids"]["fast"], nest.leading(task)
        if self.config.assignment == "random":
            arm = tf.random.stateless_uniform([num_tasks], seed, 0, meta["num_clusters"], tf.int32)
        else:
            returns = self._play_trials(medoids.params, task, 1, seed)
            arm = tf.argmax(returns[:, :, 0], axis=1, output_type=tf.int32)
        fast = nest.take(medoids, arm)
        if self.config.keep_optimizer_state:
            return fast
        return FastState(fast.params, self.inner_optimizer.init(fast.params, num_tasks))

    def _play_trials(self, arms, task, num_episodes, seed):
        """Every arm on every task: arms [k, ...], task [N] -> returns [N, k, num_episodes]."""
        num_arms, num_tasks = nest.leading(arms), nest.leading(task)
        each_arm = nest.take(arms, np.tile(np.arange(num_arms), num_tasks))
        each_task = nest.take(task, np.repeat(np.arange(num_tasks), num_arms))
        trial = self.sample(each_arm, each_task, num_episodes, seed)
        return tf.reshape(episode_return(trial), [num_tasks, num_arms, num_episodes])

    def _cluster(self, meta, seed):
        """Chooses new medoids among the pool and the old medoids, and empties the pool."""
        config = self.config
        size = int(meta["pool_size"])
        saved = nest.map(lambda x: x[:size], meta["pool"])
        if meta["clusterings"] > 0:
            clusters = int(meta["num_clusters"])
            saved = nest.concat(nest.map(lambda x: x[:clusters], meta["medoids"]), saved)
        matrix = self._distances(saved, int(seed[0]) % 2**31)
        clustering = self._clustering(matrix, int(seed[1]) % 2**31)
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

    def _distances(self, saved, seed):
        """Distances [n, n] of saved policies by the config's metric."""
        config = self.config
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

    def _clustering(self, matrix, seed):
        """K-medoids of a distance matrix; of the k with the best silhouette when k is adaptive."""
        most = self.config.num_medoids
        if not self.config.adaptive_k:
            return divergence.k_medoids(matrix, most, seed)
        found = [divergence.k_medoids(matrix, k, seed) for k in range(2, most + 1)]
        return max(
            found, key=lambda c: np.nan_to_num(divergence.silhouette(matrix, c.labels), nan=-1)
        )

    def _cluster_metrics(self):
        matrix, clustering = self.last_clustering.matrix, self.last_clustering.clustering
        spread = divergence.spread(matrix, clustering.labels)
        sizes = np.bincount(clustering.labels)
        metrics = {
            "divergence_mean": spread["mean"],
            "divergence_max": spread["max"],
            "clustering_cost": clustering.cost,
            "num_clusters": float(len(clustering.medoids)),
            **{f"cluster_size_{i}": float(n) for i, n in enumerate(sizes)},
        }
        if np.isfinite(spread["silhouette"]):  # one cluster, or as many as policies, have none
            metrics["silhouette"] = spread["silhouette"]
        return metrics

    def _blank(self, initial, num):
        """`num` saved policies with the initial weights and empty trajectories."""
        params, episodes = nest.repeat(initial, num), self.config.saved_episodes
        zeros = lambda spec: tf.zeros([num, *spec.shape], spec.dtype)
        return {
            "fast": FastState(params, self.inner_optimizer.init(params, num)),
            "trajectory": blank_trajectory(self.environment, self.policy, num, episodes),
            "task": nest.map(zeros, self.environment.task_spec),
        }
