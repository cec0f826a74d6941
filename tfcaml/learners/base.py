"""What every meta-learner is: meta parameters, how to start on a task, how to adapt, how to learn.

One iteration is

    task [N], seed -> collect -> MetaBatch -> update -> metrics

and a compiled one at that, like an evaluation with its adaptation step. Everything they call is a
pure function of parameters; only `Variables` hold state.
"""

import dataclasses
import functools
import logging

import numpy as np
import tensorflow as tf

from tfcaml import keys, losses, nest, settings
from tfcaml.advantages import baselines
from tfcaml.errors import (
    NotFiniteError,
    check,
    check_acts,
    check_one_of,
    check_positive,
    from_python,
)
from tfcaml.learners.state import Variables
from tfcaml.optimization import inner, optimizers
from tfcaml.rollouts import sampling
from tfcaml.types import Experience, FastState, episode_return

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class LearnerConfig:
    """Settings every learner shares: how long it trains and how it adapts.

    The inner loop is the vanilla policy gradient of the CAML study: reward-to-go less the mean
    over episodes at each time step, divided by one scale per batch; Adam.
    """

    num_iterations: int = 100  # outer iterations
    meta_batch_size: int = 1  # tasks per iteration
    inner_updates: int = 5  # policy-gradient updates per sampled task
    episodes_per_update: int = 10  # episodes per update (paper: K = 10)
    test_episodes_per_update: int = 0  # the same on new tasks; 0: episodes_per_update
    inner_optimizer: str = "adam"  # adam or sgd
    inner_learning_rate: float = 0.01
    discount: float = 0.99
    return_type: str = "reward_to_go"  # or whole_return
    baseline: str = "time_step_mean"  # none, batch_mean, time_step_mean or linear_feature
    gae_lambda: float = 1.0  # of generalised advantage estimation; 1: return minus baseline
    normalize_advantage: bool = True

    def __post_init__(self):
        for name in ("num_iterations", "test_episodes_per_update"):
            check(getattr(self, name) >= 0, name, getattr(self, name), ">= 0")
        for name in ("meta_batch_size", "inner_updates", "episodes_per_update"):
            check(getattr(self, name) >= 1, name, getattr(self, name), ">= 1")
        check_positive(inner_learning_rate=self.inner_learning_rate)
        check(0 < self.discount <= 1, "discount", self.discount, "in (0, 1]")
        check(0 <= self.gae_lambda <= 1, "gae_lambda", self.gae_lambda, "in [0, 1]")
        if self.gae_lambda < 1:
            rule = "reward_to_go when gae_lambda < 1"
            check(self.return_type == "reward_to_go", "return_type", self.return_type, rule)
        check_one_of("inner_optimizer", self.inner_optimizer, ("adam", "sgd"))
        check_one_of("return_type", self.return_type, tuple(baselines.RETURNS))
        check_one_of("baseline", self.baseline, tuple(baselines.BASELINES))

    def check_advantages(self):
        """Refuses a single episode per update where its advantages would all be 0.

        Raises:
          ConfigError: `episodes_per_update` or `test_episodes_per_update` is 1, and the baseline is
            a mean over episodes, or fits the one number that is the whole return.
        """
        if self.baseline == "time_step_mean":
            why = "the mean over episodes at each time step"
        elif self.baseline != "none" and self.return_type == "whole_return":
            why = f"{self.baseline} of whole_return, which is one number per episode"
        else:
            return
        rule = f">= 2 with baseline={self.baseline}: of one episode {why} leaves advantages of 0"
        for name in ("episodes_per_update", "test_episodes_per_update"):
            check(getattr(self, name) != 1, name, getattr(self, name), rule)

    def inner(self):
        """The `Optimizer` of the inner loop that these settings name."""
        return optimizers.by_name(self.inner_optimizer, self.inner_learning_rate)

    def check_steps(self, num_updates):
        """Refuses settings that cannot act when new tasks are adapted to in `num_updates` steps.

        Raises:
          ConfigError: one of them that is not at its default.
        """
        fields = ("test_episodes_per_update",)
        check_acts(self, fields, num_updates > 0, "where new tasks are adapted to")


class MetaLearner(tf.Module):
    """Base class of all meta-learners.

    Args:
      environment: an `TaskFamily`.
      policy: a `Policy`.
      config: the learner's config dataclass; `Config()`, its defaults, unless given.
      seed: Python int; decides the initial parameters.
      jit_compile: whether iterations are compiled with XLA: True, False, or None (automatic), which
        compiles them where `xla_pays` and the environment and the policy allow it.
      loss: a loss that comes with its own returns and advantages, such as that of a TF-Agents
        agent (`tfcaml.agents.AgentLoss`), in place of the config's estimator, baseline, discount.

    Raises:
      ConfigError: `jit_compile` is True and the environment or the policy does not support XLA, or
        it is something else than True, False and None; `policy` is not that of `loss`; or the
        config's baseline does not suit the observations.
    """

    Config = LearnerConfig

    def __init__(self, environment, policy, config=None, seed=0, jit_compile=None, loss=None):
        super().__init__()
        check(loss is None or policy is loss.policy, "policy", policy, "loss.policy")
        config = config or self.Config()
        self.environment = environment
        self.policy = policy
        self.loss = loss
        self.config = config
        settings.check_switch("jit_compile", jit_compile)
        if jit_compile is None:
            possible = environment.supports_xla and policy.supports_xla
            jit_compile = self.xla_pays() and possible
        rule = f"False: {type(environment).__name__} runs in Python, which XLA can't compile"
        check(environment.supports_xla or not jit_compile, "jit_compile", jit_compile, rule)
        rule = "False or None: XLA can't compile networks with memory or convolutions"
        check(policy.supports_xla or not jit_compile, "jit_compile", jit_compile, rule)
        self.jit_compile = jit_compile
        if loss is None:
            config.check_advantages()
            baselines.check_baseline(config.baseline, environment.observation_spec)
        self.inner_optimizer = config.inner()
        self.meta = Variables(self.init(seed), name="meta")
        self.iteration = tf.Variable(0, trainable=False, dtype=tf.int32, name="iteration")
        self.bad_updates = tf.Variable(0, trainable=False, dtype=tf.int32, name="bad_updates")
        compiled = functools.partial(tf.function, autograph=False, jit_compile=self.jit_compile)
        self._train = compiled(self._train_iteration)
        self._evaluate = compiled(self._evaluate_update)
        # Not part of the iteration, whose numbers are the same with and without them.
        self._learned = tf.function(self._read_learned, autograph=False)
        self._finite = tf.function(self._is_finite, autograph=False)

    @classmethod
    def xla_pays(cls):
        """Whether iterations under XLA are quicker here, compilation included.

        Measured on a CPU for CAML, Reptile and joint pretraining: an iteration takes a half to a
        seventh of the time on TensorFlow 2.21, for seconds of compilation; 2.15 gains nothing.
        """
        return tuple(map(int, tf.__version__.split(".")[:2])) >= (2, 19)

    # What a learner defines.

    def init(self, seed):
        """The initial meta parameters for a seed (Python int): nest of tensors."""
        return {"params": self.policy.init(seed)}

    def training_tasks(self, population, seed):
        """The entities of one iteration, nest with leading [N], drawn with `seed` [2]."""
        return population.sample(self.config.meta_batch_size, seed)

    def start(self, meta, num_tasks):
        """`FastState` parameters for `num_tasks` tasks before any experience."""
        params = nest.repeat(meta["params"], num_tasks)
        return FastState(params, self.inner_optimizer.init(params, num_tasks))

    def try_out(self, meta, task, seed):
        """`FastState` parameters for new tasks, after trying them if the learner does that.

        Returns:
          (`FastState`, dict of metrics of the trials).
        """
        return self.start(meta, nest.leading(task)), {}

    def experience(self, params, trajectory):
        """`Experience`: what `adapt` learns from a trajectory that `params` [N, ...] made."""
        if self.loss is not None:
            return self.loss.experience(params, trajectory)
        return Experience(trajectory, self.advantage(trajectory))

    def adapt(self, meta, fast, support):
        """One adaptation step from `fast` on the `Experience` `support`: `FastState`."""
        loss = lambda params: self.inner_loss(params, support)
        return inner.step(loss, self.inner_optimizer, fast)[0]

    def inner_loss(self, params, support):
        """The loss [N] an inner step descends: params [N, ...], `Experience`."""
        if self.loss is not None:
            return self.loss(params, support)
        return losses.policy_gradient(self.policy, params, support.trajectory, support.advantage)

    def collect(self, meta, task, seed):
        """Experience of one iteration on `task` [N]; what `update` learns from."""
        raise NotImplementedError

    def update(self, batch):
        """Learns from what `collect` returned; writes the variables and returns metrics."""
        raise NotImplementedError

    @property
    def episodes_per_iteration(self):
        """Episodes that one training iteration plays."""
        config = self.config
        return config.meta_batch_size * config.inner_updates * config.episodes_per_update

    @property
    def test_episodes(self):
        """Episodes per update on a new task."""
        return self.config.test_episodes_per_update or self.config.episodes_per_update

    # What is built on it.

    def reset(self, seed):
        """Back to the state before training, with the initial parameters of another seed."""
        self.meta.write(self.init(seed))
        self.iteration.assign(0)
        self.bad_updates.assign(0)

    def checkpointed(self):
        """What a checkpoint holds: name -> variables. All else follows from config and seed."""
        return {"meta": self.meta, "iteration": self.iteration, "bad_updates": self.bad_updates}

    @from_python()
    def train(self, task, seed):
        """One iteration on `task` [N] with `seed` [2]. Returns metrics as scalars.

        An update that leads to NaN or infinity, in a metric or in what is learned, is taken back
        and counted in `bad_updates`; the metric "bad_update" is 1 then, else 0.
        """
        metrics = self._contained(lambda: self._train(task, seed))
        self.iteration.assign_add(1)
        return metrics

    @from_python()
    def evaluate_update(self, fast, task, num_episodes, seed):
        """Returns before an adaptation step, and it: (returns [N, E], `FastState`, trajectory)."""
        return self._evaluate(fast, task, num_episodes, seed)

    def sample(self, params, task, num_episodes, seed):
        """`Trajectory` of `params` on `task`."""
        return sampling.sample(self.policy, self.environment, params, task, num_episodes, seed)

    def support(self, params, task, seed):
        """The episodes that one update of `adapt_online` learns from: `Trajectory`."""
        return self.sample(params, task, self.config.episodes_per_update, seed)

    def advantage(self, trajectory):
        """Advantages of a trajectory by the config's rule, [N, E, T]."""
        config = self.config
        return baselines.advantage(
            trajectory,
            config.discount,
            config.return_type,
            config.baseline,
            config.normalize_advantage,
            config.gae_lambda,
        )

    def adapt_online(self, meta, fast, task, num_updates, seed):
        """`num_updates` times: sample a batch with the current weights, take one step.

        Returns:
          (`FastState`, mean return of each batch [num_updates, N]).
        """
        shape = [nest.leading(fast.params)]
        history = tf.TensorArray(tf.float32, num_updates, element_shape=shape)

        def body(update, fast, history):
            support = self.support(fast.params, task, keys.fold(seed, update))
            history = history.write(update, tf.reduce_mean(episode_return(support), axis=1))
            support = self.experience(fast.params, support)
            return update + 1, self.adapt(meta, fast, support), history

        _, fast, history = tf.while_loop(
            lambda update, *_: update < num_updates,
            body,
            (0, fast, history),
            maximum_iterations=num_updates,
            parallel_iterations=1,
        )
        return fast, history.stack()

    def _contained(self, step):
        """Takes back what `step`, () -> metrics, did to the variables if it is not finite."""
        before = self._learned()
        try:
            metrics = {name: float(value) for name, value in step().items()}
            bad = [f"{name}={value}" for name, value in metrics.items() if not np.isfinite(value)]
            if not self._finite():
                bad.append("what is learned is not finite")
        except NotFiniteError as error:
            metrics, bad = {}, [str(error)]
        if bad:
            for variables, values in zip(self._learned_variables(), before):
                variables.write(values)
            self.bad_updates.assign_add(1)
            done, what = int(self.iteration), ", ".join(bad)
            _log.warning("%s, %d iterations: update skipped: %s", type(self).__name__, done, what)
        return {**metrics, "bad_update": float(bool(bad))}

    def _learned_variables(self):
        return [item for item in self.checkpointed().values() if isinstance(item, Variables)]

    def _read_learned(self):
        return [variables.read() for variables in self._learned_variables()]

    def _is_finite(self):
        leaves = [x for x in tf.nest.flatten(self._read_learned()) if x.dtype.is_floating]
        return tf.reduce_all([tf.reduce_all(tf.math.is_finite(x)) for x in leaves])

    def _train_iteration(self, task, seed):
        return self.update(self.collect(self.meta.read(), task, seed))

    def _evaluate_update(self, fast, task, num_episodes, seed):
        test = self.sample(fast.params, task, num_episodes, keys.fold(seed, 0))
        support = self.sample(fast.params, task, self.test_episodes, keys.fold(seed, 1))
        support = self.experience(fast.params, support)
        return episode_return(test), self.adapt(self.meta.read(), fast, support), test
