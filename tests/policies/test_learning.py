"""Learners with networks that are not plain: one iteration each."""

import numpy as np
import pytest
import tensorflow as tf

from tfcaml import learners, seeds
from tfcaml.errors import ConfigError

TINY = {"meta_batch_size": 2, "inner_updates": 1, "episodes_per_update": 3}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["lstm", "conv", "dict"])
@pytest.mark.parametrize(
    ("learner_class", "settings"),
    [(learners.MAML, {"outer_optimizer": "adam"}), (learners.Reptile, {})],
)
def test_one_iteration(cases, learner_class, settings, kind):
    case = cases(kind)
    config = learner_class.Config(**TINY, **settings)
    learner = learner_class(case.environment, case.policy, config)
    before = learner.meta.read()["params"]
    metrics = learner.train(case.task, seeds.from_int(0))
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
