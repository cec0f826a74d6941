"""Cases in float64, where central differences can tell."""

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.networks import actor_distribution_network, normal_projection_network
from tf_agents.specs import tensor_spec

from tfcaml import environments, learners, losses, nest, policies
from tfcaml.policies import distributions
from tfcaml.types import Experience, MetaBatch, Trajectory


def _policy(head, size=2):
    """A float64 policy with one tanh layer; TF-Agents' softmax head rounds to float32 inside."""
    before = tf.keras.backend.floatx()
    tf.keras.backend.set_floatx("float64")
    try:
        observation = tf.TensorSpec([size], tf.float64)
        action = tensor_spec.BoundedTensorSpec([2], tf.float64, -1, 1)
        if head == "categorical":
            action = tensor_spec.BoundedTensorSpec([], tf.int32, 0, 3)
        network = actor_distribution_network.ActorDistributionNetwork(
            observation,
            action,
            fc_layer_params=(5,),
            activation_fn=tf.tanh,
            dtype=tf.float64,
            continuous_projection_net=lambda spec: (
                normal_projection_network.NormalProjectionNetwork(
                    spec, mean_transform=None, std_transform=tf.exp, scale_distribution=False
                )
            ),
        )
        return policies.NetworkPolicy(network, action)
    finally:
        tf.keras.backend.set_floatx(before)


class Case:
    """A learner, meta parameters a little off those that acted, and a batch of random episodes."""

    shape = (3, 4, 5)  # N, E, T

    def __init__(self, learner_class, policy, seed=0, **settings):
        settings = {"meta_batch_size": 3, "episodes_per_update": 4, **settings}
        config = learner_class.Config(**settings)
        family = environments.Navigation()
        family.action_spec = policy.action_spec  # nothing is played
        self.learner = learner_class(family, policy, config)
        self.rng = np.random.default_rng(seed)
        self.acted = nest.map(self.noisy(0.3), self.learner.meta.read())
        self.batch = self._batch()
        self.meta = nest.map(self.noisy(0.05), self.acted)

    def noisy(self, scale):
        return lambda x: x + tf.cast(scale * self.rng.normal(size=x.shape), x.dtype)

    def loss(self, meta, batch=None):
        return tf.reduce_mean(self.learner.objective(meta, batch or self.batch).loss)

    def gradient(self, meta):
        vector, unravel = nest.ravel(meta)
        with tf.GradientTape() as tape:
            tape.watch(vector)
            loss = self.loss(unravel(vector))
        return tape.gradient(loss, vector)

    def _batch(self):
        learner, support = self.learner, []
        fast = learner.start(self.acted, self.shape[0])
        for _ in range(learner.config.inner_updates):
            support.append(self._experience(learner.acting(self.acted, fast)))
            fast = learner.adapt(self.acted, fast, support[-1])
        query = self._experience(learner.acting(self.acted, fast))
        return MetaBatch(tuple(support), query, learner.carry(None, query.trajectory))

    def _experience(self, params):
        normal = lambda *shape: tf.constant(self.rng.normal(size=(*self.shape, *shape)))
        action = normal(2)
        if self.learner.policy.num_actions:
            action = tf.constant(self.rng.integers(0, 4, self.shape), tf.int32)
        mask = np.ones(self.shape)
        mask[0, 1, 3:] = 0
        seen = normal(2)
        trajectory = Trajectory(
            seen, action, normal(), tf.constant(mask), normal(), normal(), seen[:, :, -1]
        )
        policy = self.learner.policy
        log_prob = losses.action_log_prob(policy, params, trajectory)
        trajectory = trajectory._replace(log_prob=log_prob)
        distribution = losses.action_distribution(policy, params, trajectory)
        return Experience(trajectory, normal(), distributions.tensors(distribution))


@pytest.fixture(scope="session")
def float64_policy():
    found = {head: _policy(head) for head in ("gaussian", "categorical")}
    seen = tf.TensorSpec([2], tf.float64)
    return {**found, "context": policies.ContextPolicy(_policy("gaussian", 2 + 5), seen, 5)}


@pytest.fixture(scope="session")
def case(float64_policy):
    """(learner class, head, **settings) -> `Case`."""

    def make(learner_class=learners.MAML, head="gaussian", **settings):
        head = "context" if learner_class is learners.CAVIA else head
        return Case(learner_class, float64_policy[head], **settings)

    return make


def relative_error(value, truth):
    value, truth = np.asarray(value), np.asarray(truth)
    return np.linalg.norm(value - truth) / np.linalg.norm(truth)


@pytest.fixture(scope="session", name="relative_error")
def relative_error_fixture():
    return relative_error


@pytest.fixture(scope="session")
def remember():
    """(learner, task, params, trajectory=None, similar=True): a buffer of one entry.

    task, params: leaves [1, ...]; trajectory: `Trajectory` [1, E, T, ...], zeros unless given. As
    similar to it counts what is the same task; nothing, unless `similar`.
    """

    def fill(learner, task, params, trajectory=None, similar=True):
        learner.reset(0)
        stored, state = learner.state["hindsight"].read(), learner.state["similarity"].read()
        entries = stored["entries"]
        put = lambda x, new: tf.tensor_scatter_nd_update(x, [[2]], new)
        stored["order"] = put(stored["order"], [1])
        changes = {"task": nest.map(put, entries.task, task)}
        changes["params"] = nest.map(put, entries.params, tuple(params))
        if trajectory is not None:
            changes["trajectory"] = nest.map(put, entries.trajectory, trajectory)
        stored["entries"] = entries._replace(**changes)
        learner.state["hindsight"].write(stored)
        state["weights"]["bias"] = tf.constant(3.0 if similar else -30.0)
        state["weights"]["direction"] = tf.fill(state["weights"]["direction"].shape, -1e3)
        learner.state["similarity"].write(state)

    return fill
