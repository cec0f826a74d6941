"""MAML for supervised regression, through the same inner and outer code as for policies.

C. Finn, P. Abbeel, S. Levine, "Model-agnostic meta-learning for fast adaptation of deep networks",
ICML 2017, Algorithm 2 with the mean squared error of equation 2, on sinusoids (section 5.1). The
mean of a Gaussian policy is the regression function; an "episode" is one example, and its return
minus the squared error, so that `tfcaml.evaluate` reads as for policies.

Differences from the paper: the network's initial weights are Glorot-uniform.
"""

import dataclasses

import tensorflow as tf

from tfcaml import seeds
from tfcaml.errors import check_one_of
from tfcaml.learners.gradient_based import GradientConfig
from tfcaml.learners.maml import MAML
from tfcaml.learners.pretrained import Pretrained
from tfcaml.types import Experience, Surrogate, Trajectory, episode_return

_SHOTS = 0x5407  # seed of the examples a new task is learned from


@dataclasses.dataclass(frozen=True)
class MAMLRegressionConfig(GradientConfig):
    """Settings of the sinusoid study; the network has two hidden layers of 40 ReLU units."""

    num_iterations: int = 70_000  # paper's code: 70 000
    meta_batch_size: int = 25  # curves per iteration (code: 25)
    episodes_per_update: int = 10  # examples per step, and as many in the query (paper: 10)
    inner_learning_rate: float = 0.01  # paper: 0.01 (its code's default: 0.001)
    later_step_scale: float = 1.0  # all steps alike
    outer_optimizer: str = "adam"
    outer_learning_rate: float = 1e-3  # code: 1e-3

    def __post_init__(self):
        super().__post_init__()
        check_one_of("outer_optimizer", self.outer_optimizer, ("adam",))


class Regression:
    """What replaces rollouts and policy losses in a learner of the family."""

    Config = MAMLRegressionConfig

    def sample(self, params, task, num_episodes, seed):
        """Examples as one-step episodes, the target in place of the action: `Trajectory`."""
        x, y = self.environment.examples(task, num_episodes, seed)
        one_step = lambda value: value[:, :, None]
        error = tf.reduce_sum((self.policy(params, x).mean() - y) ** 2, axis=-1)
        ones = one_step(tf.ones_like(error))
        reward = one_step(-error)
        return Trajectory(one_step(x), one_step(y), reward, ones, 0 * ones, ones, x)

    def experience(self, params, trajectory):
        return Experience(trajectory, trajectory.mask)

    query_experience = experience

    def inner_loss(self, params, support):
        """Mean squared error, [N]."""
        trajectory = support.trajectory
        prediction = self.policy(params, trajectory.observation[:, :, 0]).mean()
        squared = tf.reduce_sum((prediction - trajectory.action[:, :, 0]) ** 2, axis=-1)
        return tf.reduce_mean(squared, axis=1)

    def shots(self, params, task):
        """The K examples of each new task, the same for all steps (paper: K-shot)."""
        return self.sample(params, task, self.test_episodes, seeds.from_int(_SHOTS))

    def _evaluate_update(self, fast, task, num_episodes, seed):
        test = self.sample(fast.params, task, num_episodes, seed)
        support = self.experience(fast.params, self.shots(fast.params, task))
        return episode_return(test), self.adapt(self.meta.read(), fast, support), test

    def surrogate(self, params, query):
        return Surrogate(self.inner_loss(params, query))


class MAMLRegression(Regression, MAML):
    """meta = {"params": theta}."""


class PretrainedRegression(Regression, Pretrained):
    """One regression function for all curves, fine-tuned at test time."""
