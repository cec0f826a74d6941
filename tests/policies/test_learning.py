"""Learners with networks that are not plain: one iteration each."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.networks import sequential
from tf_agents.specs import tensor_spec

from tests.policies.conftest import Tiny
from tfcaml import keys, learners, nest
from tfcaml.errors import ConfigError
from tfcaml.policies import NetworkPolicy, mlp_policy
from tfcaml.types import Trajectory

TINY = {"meta_batch_size": 2, "inner_updates": 1, "episodes_per_update": 3}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["lstm", "conv", "dict"])
@pytest.mark.parametrize(
    ("learner_class", "settings"),
    [(learners.MAML, {"outer": {"optimizer": "adam"}}), (learners.Reptile, {})],
)
def test_one_iteration(cases, learner_class, settings, kind):
    case = cases(kind)
    config = learner_class.Config(**TINY, **settings)
    learner = learner_class(case.environment, case.policy, config)
    before = learner.meta.read()["params"]
    metrics = learner.train(case.task, keys.from_int(0))
    assert np.isfinite(list(metrics.values())).all()
    after = learner.meta.read()["params"]
    moved = [np.abs(new - old).max() for new, old in zip(after, before)]
    assert np.isfinite(moved).all() and np.sum(np.array(moved) > 0) > len(moved) / 2


def test_networks_that_xla_cannot_compile_run_in_graph_mode(cases, xla_pays):
    make = lambda kind, **options: learners.Reptile(
        cases(kind).environment, cases(kind).policy, learners.Reptile.Config(**TINY), **options
    )
    assert make("squashed").jit_compile is True
    for kind in ("lstm", "conv"):
        assert make(kind).jit_compile is False
        with pytest.raises(ConfigError, match="memory or convolutions; received jit_compile=True"):
            make(kind, jit_compile=True)


def test_policies_with_memory_answer_to_episodes_only(cases):
    case = cases("lstm")
    with pytest.raises(ConfigError, match=r"ActorDistributionRnnNetwork \(`act` and `unroll`"):
        case.policy(case.params, tf.zeros([2, 3, 2]))


tfb, INF = tfp.bijectors, np.inf
OBSERVATION = tf.TensorSpec([2], tf.float32)
# Name -> (low, high, bijector from all numbers to those between, or None for a Gaussian).
BOUNDS = {
    "mixed": ([0, -INF, -INF, -1, 0], [INF, 2, INF, 1e8, 3.4e38], None),
    "from_0": ([0], [INF], tfb.Softplus()),
    "up_to_2": ([-INF], [2], tfb.Chain([tfb.Shift(2.0), tfb.Scale(-1.0), tfb.Exp()])),
    "wide": ([0, -1], [1e8, 1], tfb.Sigmoid([0.0, -1.0], [1e8, 1.0])),
}


def policy_within(name):
    low, high, bijector = BOUNDS[name]
    shape = [len(low)]
    action = tensor_spec.BoundedTensorSpec(shape, tf.float32, np.float32(low), np.float32(high))
    if bijector is None:
        return mlp_policy(OBSERVATION, action, (4,))

    def head(means):
        normal = tfp.distributions.MultivariateNormalDiag(means, tf.ones_like(means))
        return tfp.distributions.TransformedDistribution(normal, bijector)

    layers = [tf.keras.layers.Dense(shape[0]), tf.keras.layers.Lambda(head)]
    return NetworkPolicy(sequential.Sequential(layers, input_spec=OBSERVATION), action)


SOME = [name if name == "mixed" else pytest.param(name, marks=pytest.mark.slow) for name in BOUNDS]


@pytest.mark.parametrize("name", SOME)
def test_half_open_and_unbounded_actions_are_learned(name):
    policy, task = policy_within(name), {"goal": tf.constant([0.3, -1.0])}
    environment = Tiny(OBSERVATION, policy.action_spec)
    config = learners.Reptile.Config(**TINY)
    learner = learners.Reptile(environment, policy, config, jit_compile=False)
    before = learner.meta.read()["params"]
    for iteration in range(3):
        metrics = learner.train(task, keys.from_int(iteration))
        assert np.isfinite(list(metrics.values())).all() and metrics["bad_update"] == 0
    after = learner.meta.read()["params"]
    assert max(np.abs(new - old).max() for new, old in zip(after, before)) > 0
    # Actions as the distribution has them: none replaced by a bound, or by a number of its size.
    observation = tf.constant(np.random.default_rng(0).normal(size=(1, 1, 1, 2)), tf.float32)
    seen = Trajectory(tf.repeat(observation, 400, axis=2), *[None] * 6)
    distribution = policy.unroll(nest.repeat(after, 1), seen)
    noise = policy.noise(keys.per_episode(keys.from_int(9), 1, 1), 400)
    acts = policy.sample(distribution, noise[:, 0]).numpy()
    assert np.isfinite(distribution.log_prob(acts)).all()
    expected = distribution.sample(seed=1).numpy()
    for drawn, other in zip(acts[0].T, expected[0].T):
        assert scipy.stats.ks_2samp(drawn, other).pvalue > 1e-3
