"""MAML inside each cluster of CAML, for the ablation."""

import numpy as np
import tensorflow as tf
from tfcaml.configs.caml import figure3 as caml_figure3

from tfcaml import keys, learners, nest
from tfcaml.types import FastState

_SALT = 0xC1


class ClusterMAML(learners.MAML):
    """Goes on from each of CAML's medoids by MAML on the entities the medoid suits best.

    A new entity chooses among the resulting initialisations like among medoids, and adapts by
    MAML's own inner step. meta = {"params": theta} is that of the cluster in training.

    Args:
      caml: a trained `CAML`; its medoids are replaced in a copy of its meta parameters.
      num_iterations: of MAML per cluster.
    """

    def __init__(self, caml, num_iterations):
        config = caml_figure3.get_config().compared.maml.to_dict()
        config.pop("name")
        config |= {
            # And its inner rate: settings of its own, from a medoid.
            "outer": {"optimizer": "trpo", "cg_iterations": 10},
            "inner_learning_rate": 1.0,
            "num_iterations": num_iterations,
            "episodes_per_update": caml.config.episodes_per_update,
        }
        super().__init__(caml.environment, caml.policy, learners.MAML.Config(**config))
        self.caml = caml
        self.clusters = caml.meta.read()

    def train_clusters(self, support, seed):
        """MAML on every cluster of the training entities `support`."""
        key = keys.fold(keys.from_int(seed), _SALT)
        arms = self.caml.arms(self.clusters)
        compiled = self.caml.jit_compile
        played = tf.function(self.caml.trial_returns, autograph=False, jit_compile=compiled)
        returns = played(arms, support, self.caml.trial_episodes, keys.fold(key, 0)).numpy()
        num_medoids = int(self.clusters["num_clusters"])
        suits = returns.mean(axis=-1)[:, :num_medoids].argmax(axis=1)  # [S]
        trained = []
        for medoid in range(num_medoids):
            params = nest.map(lambda x: x[medoid], arms)
            members = np.flatnonzero(suits == medoid)
            if len(members):
                params = self._from_medoid(params, nest.take(support, members), seed, medoid)
            trained.append(params)
        self.clusters["medoids"]["fast"] = self.clusters["medoids"]["fast"]._replace(
            params=nest.stack(trained)
        )

    def choose_start(self, meta, task, key):
        fast, metrics = self.caml.choose_start(self.clusters, task, key)
        return FastState(fast.params, tf.zeros([nest.leading(task)])), metrics

    def _from_medoid(self, params, support, seed, medoid):
        self.reset(seed)
        self.meta.write({"params": params})
        for iteration in range(self.config.num_iterations):
            key = keys.fold(keys.from_int(seed), _SALT, 1 + medoid, iteration)
            rows = tf.random.stateless_uniform(
                [self.config.meta_batch_size], key, 0, nest.leading(support), tf.int32
            )
            self.train(nest.take(support, rows), keys.fold(key, 1))
        return self.meta.read()["params"]
