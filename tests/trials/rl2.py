"""RL^2: a recurrent policy whose memory is the adaptation.

Y. Duan, J. Schulman, X. Chen, P. Bartlett, I. Sutskever, P. Abbeel, "RL^2: fast reinforcement
learning via slow reinforcement learning", arXiv 1611.02779. A trial is K + 1 episodes of one task.
The policy sees its last action, what that paid and whether it ended an episode; its memory lasts
from episode to episode and is empty at the start of a trial. The outer loss is that of whole
trials: rewards earned later count for the actions of earlier episodes.

In terms of inner steps: to adapt is to remember what was seen; no gradient is taken within.

Differences from the paper: PPO in place of TRPO, and no learned baseline.
"""

import dataclasses

import tensorflow as tf

from tests.trials.gru_policy import GRUPolicy
from tfcaml import nest, types
from tfcaml.advantages.config import AdvantageConfig
from tfcaml.errors import check_acts
from tfcaml.learners.gradient_based import GradientConfig, GradientLearner
from tfcaml.optimization.config import OuterConfig
from tfcaml.types import FastState


@dataclasses.dataclass(frozen=True)
class RL2Config(GradientConfig):
    """Settings of RL^2; `inner_updates` are the episodes of a trial before the last."""

    episodes_per_update: int = 20  # trials per task
    advantage: AdvantageConfig = AdvantageConfig(baseline="time_step_mean")
    outer: OuterConfig = OuterConfig(optimizer="ppo")

    def __post_init__(self):
        super().__post_init__()
        fields = "inner_learning_rate", "later_step_scale", "inner_estimator", "first_order"
        check_acts(self, fields, False, "where inner steps descend a loss, unlike here")


class RL2(GradientLearner):
    """meta = {"params": weights}; what a task has taught so far is `FastState.memory`."""

    Config = RL2Config

    @classmethod
    def make_policy(cls, environment, config, units=64):
        return GRUPolicy(environment, units)

    def init(self, seed):
        return {"params": self.policy.init(seed)["network"]}

    def start(self, meta, num_tasks, key=()):
        nothing = self.policy.nothing(tf.nest.flatten(meta)[0].dtype)
        return FastState((), tf.zeros([num_tasks]), nest.repeat(nothing, num_tasks))

    def acting(self, meta, fast):
        return {"network": nest.repeat(meta["params"], 1), "memory": fast.memory}

    def adapt(self, meta, fast, support):
        memory = self.policy.remember(self.acting(meta, fast), support.trajectory)
        return fast._replace(slots=fast.slots + 1, memory=memory)

    def finish(self, meta, batch):
        """The episodes of each trial as one, with advantages across them."""
        phases = [phase.trajectory for phase in (*batch.support, batch.query)]
        fast, trial = self.start(meta, nest.leading(batch)), types.join(phases)
        each = [tf.reduce_mean(types.episode_return(phase), axis=1) for phase in phases]
        query = self.query_experience(meta, fast, trial)
        return batch._replace(support=(), query=query, per_task=tf.stack(each, axis=1))

    def returns(self, batch):
        return tf.unstack(tf.reduce_mean(batch.per_task, axis=0))

    def objective(self, meta, batch):
        return self.surrogate(meta, self.readapt(meta, batch), batch.query)
