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
  - At test time trials are shared out by successive halving, not uniformly, and the arm of the best
    mean is taken, not that of the best single episode; the initial weights are one more arm, for
    entities that are like no medoid.
  - Kernel bandwidth 0.5 and weight 1/q in the divergence (see `policy_divergence`).
  - Because medoids do not change between two clusterings, `meta_batch_size` sampled entities are
    trained side by side; that is the same algorithm.
"""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from tfcaml import bandit, divergence, nest, seeds
from tfcaml.divergence.density import BANDWIDTH_RULES
from tfcaml.divergence.jensen_shannon import FORMS
from tfcaml.divergence.policy_divergence import WEIGHTS
from tfcaml.errors import check, check_one_of
from tfcaml.learners.base import LearnerConfig, MetaLearner
from tfcaml.types import Fast, Trajectory, episode_return

ASSIGNMENTS = ("best_trial", "random")


@dataclasses.dataclass(frozen=True)
class CAMLConfig(LearnerConfig):
    """Settings of CAML; sampled entities in all: num_iterations * meta_batch_size."""

    num_iterations: int = 20
    meta_batch_size: int = 5  # entities trained side by side; divides policies_per_clustering
    policies_per_clustering: int = 25  # n, policies saved between two clusterings (paper: 25)
    num_medoids: int = 6  # k (paper: 6)
    assignment: str = "best_trial"  # medoid for a training entity; "random" is the paper's
    choice: str = "successive_halving"  # medoid for a new entity, see `tfcaml.bandit`
    trial_episodes: int = 10  # episodes spent on that choice (paper: K = 10)
    fresh_arm: bool = True  # also try the initial weights on a new entity
    keep_optimizer_state: bool = True  # it travels with a policy in training; fresh at test time
    saved_episodes: int = 1  # episodes that represent a saved policy (paper: 1)
    bandwidth: str = "0.5"  # of the density: a number in units of observations, or a rule's name
    weight: str = "inverse_density"  # of sampled states: inverse_density, uniform or density
    form: str = "jensen_shannon"  # of the divergence, see `policy_divergence_matrix`
    num_states: int = 300  # at which occupancies are compared

    def __post_init__(self):
        super().__post_init__()
        for name in ("num_medoids", "trial_episodes", "saved_episodes", "num_states"):
            check(getattr(self, name) >= 1, name, getattr(self, name), ">= 1")
        check_one_of("assignment", self.assignment, ASSIGNMENTS)
        check_one_of("choice", self.choice, tuple(bandit.RULES))
        check_one_of("weight", self.weight, WEIGHTS)
        check_one_of("form", self.form, FORMS)
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
    medoids:      [k] saved policies
    pool:         [n] policies saved since the last clustering
    pool_size:    how many of them there are
    clusterings:  how often the medoids were chosen

    A saved policy is {"fast": `Fast`, "trajectory": `Trajectory`, "task": nest}.
    """

    Config = CAMLConfig

    def __init__(self, environment, policy, config=None, **kwargs):
        super().__init__(environment, policy, config, **kwargs)
        self.last_clustering = None  # of this process; what the pictures show
        self._trials = tf.function(
            self._trial_returns, autograph=False, jit_compile=self.jit_compile
        )

    def init(self, seed):
        initial = self.policy.init(seed)
        return {
            "initial": initial,
            "medoids": self._blank(initial, self.config.num_medoids),
            "pool": self._blank(initial, self.config.policies_per_clustering),
            "pool_size": tf.constant(0),
            "clusterings": tf.constant(0),
        }

    def start(self, meta, num_tasks):
        """The initial weights: what there is without trials."""
        params = nest.repeat(meta["initial"], num_tasks)
        return Fast(params, self.inner_optimizer.init(params, num_tasks))

    def try_out(self, meta, task, seed):
        """Tries the medoids on each task and takes the best; the optimiser starts afresh."""
        arms = self.arms(meta)
        returns = self._trials(arms, task, self.config.trial_episodes, seed).numpy()
        rng = np.random.default_rng(np.asarray(seed, np.int64) % 2**32)
        choices = [
            bandit.choose(self.config.choice, row, self.config.trial_episodes, rng)
            for row in returns
        ]
        params = nest.take(arms, [choice.arm for choice in choices])
        metrics = {
            "trial_return": np.array([choice.mean_return for choice in choices]),
            "chosen_medoid": np.array([choice.arm for choice in choices]),
        }
        return Fast(params, self.inner_optimizer.init(params, len(choices))), metrics

    def arms(self, meta):
        """The weights tried on a new task: the medoids', then the initial ones if they compete."""
        arms = meta["medoids"]["fast"].params
        if self.config.fresh_arm:
            arms = nest.concat(arms, nest.repeat(meta["initial"], 1))
        return arms

    def collect(self, meta, task, seed):
        """Trains one policy per task from its medoid; a saved policy each, and returns."""
        fast = self._assign(meta, task, seeds.fold(seed, 0))
        fast, returns = self.adapt_online(
            meta, fast, task, self.config.inner_updates, seeds.fold(seed, 1)
        )
        trajectory = self.sample(fast.params, task, self.config.saved_episodes, seeds.fold(seed, 2))
        return {"fast": fast, "trajectory": trajectory, "task": task}, returns

    def update(self, batch):
        """Puts the trained policies into the pool; `train` clusters it when it is full."""
        saved, returns = batch
        meta = self.meta.read()
        rows = meta["pool_size"] + tf.range(returns.shape[1])
        meta["pool"] = nest.map(
            lambda old, new: tf.tensor_scatter_nd_update(old, rows[:, None], new),
            meta["pool"],
            saved,
        )
        meta["pool_size"] += returns.shape[1]
        self.meta.write(meta)
        return {
            "return_before": tf.reduce_mean(returns[0]),
            "return_after": tf.reduce_mean(episode_return(saved["trajectory"])),
        }

    def train(self, task, seed):
        metrics = super().train(task, seed)
        meta = self.meta.read()
        full = int(meta["pool_size"]) == self.config.policies_per_clustering
        last = int(self.iteration) == self.config.num_iterations
        if full or last:
            metrics.update(self._cluster(meta, seeds.fold(seed, 3)))
        return metrics

    @property
    def episodes_per_iteration(self):
        tried = self.config.num_medoids if self.config.assignment == "best_trial" else 0
        extra = self.config.saved_episodes + tried
        return super().episodes_per_iteration + self.config.meta_batch_size * extra

    def _assign(self, meta, task, seed):
        """`Fast` of a medoid for each training task; the initial weights before there is one."""
        medoids, num_tasks = meta["medoids"]["fast"], nest.leading(task)
        if self.config.assignment == "random":
            arm = tf.random.stateless_uniform(
                [num_tasks], seed, 0, self.config.num_medoids, tf.int32
            )
        else:
            returns = self._trial_returns(medoids.params, task, 1, seed)
            arm = tf.argmax(returns[:, :, 0], axis=1, output_type=tf.int32)
        fast = nest.take(medoids, arm)
        if self.config.keep_optimizer_state:
            return fast
        return Fast(fast.params, self.inner_optimizer.init(fast.params, num_tasks))

    def _trial_returns(self, arms, task, num_episodes, seed):
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
            saved = nest.concat(meta["medoids"], saved)
        matrix = divergence.policy_divergence_matrix(
            self.policy,
            saved["fast"].params,
            saved["trajectory"],
            bandwidth=config.kernel_bandwidth(),
            weight=config.weight,
            form=config.form,
            num_states=config.num_states,
            seed=int(seed[0]),
        ).numpy()
        clustering = divergence.k_medoids(matrix, config.num_medoids, seed=int(seed[1]) % 2**31)
        meta["medoids"] = nest.take(saved, clustering.medoids)
        meta["clusterings"] += 1
        self.last_clustering = ClusteringRecord(
            int(self.iteration) - 1, matrix, clustering, saved["task"]
        )
        meta["pool_size"] = tf.constant(0)
        self.meta.write(meta)
        return self._cluster_metrics()

    def _cluster_metrics(self):
        matrix, clustering = self.last_clustering.matrix, self.last_clustering.clustering
        pairs = matrix[np.triu_indices(len(matrix), 1)] if len(matrix) > 1 else np.zeros(1)
        sizes = np.bincount(clustering.labels)
        return {
            "divergence_mean": float(pairs.mean()),
            "divergence_max": float(pairs.max()),
            "silhouette": divergence.silhouette(matrix, clustering.labels),
            "clustering_cost": clustering.cost,
            **{f"cluster_size_{i}": float(n) for i, n in enumerate(sizes)},
        }

    def _blank(self, initial, num):
        """`num` saved policies with the initial weights and empty trajectories."""
        environment, episodes = self.environment, self.config.saved_episodes
        action = self.policy.action_spec
        zeros = lambda *shape, dtype=tf.float32: tf.zeros([num, episodes, *shape], dtype)
        observation = lambda *steps: nest.map(
            lambda spec: zeros(*steps, *spec.shape, dtype=spec.dtype), environment.observation_spec
        )
        steps = environment.horizon
        trajectory = Trajectory(
            observation=observation(steps),
            action=zeros(steps, *action.shape, dtype=action.dtype),
            reward=zeros(steps),
            mask=zeros(steps),
            log_prob=zeros(steps),
            terminated=zeros(steps),
            final_observation=observation(),
        )
        params = nest.repeat(initial, num)
        return {
            "fast": Fast(params, self.inner_optimizer.init(params, num)),
            "trajectory": trajectory,
            "task": nest.map(
                lambda spec: tf.zeros([num, *spec.shape], spec.dtype), environment.task_spec
            ),
        }
