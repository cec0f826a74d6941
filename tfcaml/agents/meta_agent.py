"""A meta-learner as a TF-Agents agent: one `train` is one outer step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tensorflow as tf
from tf_agents.agents import tf_agent
from tf_agents.trajectories import policy_step
from tf_agents.trajectories import trajectory as tf_agents_trajectory
from tf_agents.utils import common

from tfcaml import losses, nest, training
from tfcaml.agents.adapted_policy import AdaptedPolicy
from tfcaml.agents.trajectories import from_tf_agents, recorded_info, to_tf_agents
from tfcaml.environments.base import check_population
from tfcaml.errors import check, checked_call
from tfcaml.learners import GradientLearner, MetaLearner
from tfcaml.types import MetaBatch, Nest, Params, Trajectory

if TYPE_CHECKING:
    from tfcaml.environments.base import Population


class MetaAgent(tf_agent.TFAgent):
    """A learner of the gradient-based family (MAML, FOMAML, Meta-SGD, ...) as a `TFAgent`.

    `train` takes {"support": a tuple of K trajectories, "query": a trajectory}, K being the
    learner's `inner_updates` and every leaf [N tasks, E episodes, T steps, ...] in TF-Agents' form
    (see `from_tf_agents`): support k was played by the policies adapted k times, the query by those
    adapted K times; and "index" [N] and "key" [N, 2] of a `MetaBatch`, for learners that know their
    training tasks or start at random. `experience` collects such data. A batch that was played by
    the current weights is trained on with the very numbers of `learner.train`.

    The learner keeps the variables; a checkpoint of the agent holds them all, so that TF-Agents'
    `Learner` resumes where it stopped. `collect_policy` acts as new tasks start, not adapted;
    `policy` takes the most likely action. Adapted weights, `learner.acting(meta, fast)`, go into
    their `policy_state`, see `AdaptedPolicy.state_of`.

    Args:
      learner: a `GradientLearner`.
      train_step_counter: int64 variable; one of its own unless given.

    Raises:
      ConfigError: a learner of another kind, or one that learns from something else than episodes
        that it plays, such as demonstrations.
    """

    @checked_call
    def __init__(
        self, learner: GradientLearner, train_step_counter: tf.Variable | None = None
    ) -> None:
        tf.Module.__init__(self, name="MetaAgent")
        expected = "a learner of the gradient-based family"
        check(isinstance(learner, GradientLearner), "learner", type(learner).__name__, expected)
        rule = "episodes of its own policies"
        what = "what the learner adapts to"
        check(learner.adapts_to == "episodes", what, learner.adapts_to, rule)
        rule = "left out: evolution takes no other episodes than its members' own"
        what = "a learner with outer.optimizer=evolution_strategy"
        check(not learner.is_evolved, what, type(learner).__name__, rule)
        self._learner = learner
        collect_policy = AdaptedPolicy.of(learner, emit_log_probability=True)
        if train_step_counter is None:
            train_step_counter = tf.Variable(0, trainable=False, dtype=tf.int64, name="train_step")
        super().__init__(
            collect_policy.time_step_spec,
            learner.policy.action_spec,
            AdaptedPolicy.of(learner, greedy=True),
            collect_policy,
            train_sequence_length=None,
            num_outer_dims=1,  # tasks; episodes and steps are axes of the specs
            training_data_spec=_data_spec(learner, collect_policy.trajectory_spec),
            train_step_counter=train_step_counter,
        )
        self._collect = tf.function(learner.collect, autograph=False)

    @property
    def learner(self) -> GradientLearner:
        """The `GradientLearner`."""
        return self._learner

    def experience(self, population: Population, seed: int) -> dict[str, Nest]:
        """Data for the next call of `train`, those that `tfcaml.train` would learn from.

        Args:
          population: a `Population`, whose training entities play.
          seed: Python int.

        Returns:
          nest as `training_data_spec`, with a leading [N].
        """
        check_population(self._learner.environment, population)
        task, key, index = training.draw(self._learner, population, seed)
        batch = self._collect(self._learner.meta.read(), task, key, index)
        data = lambda experience: to_tf_agents(
            experience.trajectory, recorded_info(experience.trajectory)
        )
        which = {name: getattr(batch, name) for name in _which_tasks(self._learner)}
        return {"support": tuple(map(data, batch.support)), "query": data(batch.query), **which}

    def dataset(self, population: Population, seed: int) -> tf.data.Dataset:
        """`experience` as a dataset of one element, (data, ()), as TF-Agents' `Learner` takes it.

        learner = Learner(root, agent.train_step_counter, agent, lambda: agent.dataset(...))
        learner.run(iterator=iter(agent.dataset(population, seed)))  # one outer step
        """
        return tf.data.Dataset.from_tensors((self.experience(population, seed), ()))

    def _train(
        self, experience: dict[str, Nest], weights: tf.Tensor | None = None
    ) -> tf_agent.LossInfo:
        check(weights is None, "weights", weights, "None (tasks count alike)")
        metrics = self._learner.update(self._batch(experience))
        self._learner.iteration.assign_add(1)
        self.train_step_counter.assign_add(1)
        common.summarize_scalar_dict(metrics, self.train_step_counter, name_scope="Meta/")
        return tf_agent.LossInfo(metrics["loss_before"], metrics)

    def _batch(self, data: dict[str, Nest]) -> MetaBatch:
        """The `MetaBatch` of training data, with what the learner works out from it."""
        learner, meta = self._learner, self._learner.meta.read()
        num_phases = len(data["support"])
        expected = f"{learner.config.inner_updates} (inner_updates)"
        check(num_phases == learner.config.inner_updates, "support phases", num_phases, expected)
        phases = [*data["support"], data["query"]]
        read = lambda fast, phase: self._read(learner.acting(meta, fast), phases[phase])
        which = {name: data[name] for name in _which_tasks(learner)}
        return learner.batch(meta, nest.leading(data["query"].reward), read, **which)

    def _read(self, params: Params, data: Nest) -> Trajectory:
        """`Trajectory` of a phase; `params` acted, if no log-probabilities are recorded."""
        recorded = policy_step.get_log_probability(data.policy_info, None)
        trajectory = from_tf_agents(data, recorded)
        if recorded is None:
            expected = (
                "with log_probability, as episodes of a trial are not lived through one by one"
            )
            given = self._learner.policy.outlives_episodes
            check(not given, "policy_info", "without log_probability", expected)
            log_prob = losses.action_log_prob(self._learner.policy, params, trajectory)
            trajectory = trajectory._replace(log_prob=tf.stop_gradient(log_prob))
        return trajectory


def _data_spec(learner: GradientLearner, trajectory_spec: Nest) -> dict[str, Nest]:
    """Specs of one task's data: every leaf [E, T, ...], T being open."""
    episodes = [learner.config.episodes_per_update, None]
    spec = nest.map(
        lambda x: tf.TensorSpec([*episodes, *x.shape], x.dtype, x.name),
        tf_agents_trajectory.Trajectory(*trajectory_spec),
    )
    which = _which_tasks(learner)
    return {"support": (spec,) * learner.config.inner_updates, "query": spec, **which}


def _which_tasks(learner: GradientLearner) -> dict[str, Nest]:
    """Specs of what else has to be known of a task: its number, and the key it was started with."""
    numbered = type(learner).resume is not MetaLearner.resume
    index = {"index": tf.TensorSpec([], tf.int32)} if numbered else {}
    return {**index, "key": tf.TensorSpec([2], tf.int32)} if learner.starts_at_random else index
