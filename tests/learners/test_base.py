"""What holds for every learner."""

import numpy as np
import pytest
import tensorflow as tf

from tfcaml.errors import ConfigError
from tfcaml.learners import LEARNERS, MAML, Reptile

# Regression needs another family, the oracle one that shows the goal, relabelling one that knows
# what other tasks pay; they add no variables.
OTHERS = {"hindsight_relabelling", "maml_regression", "oracle", "pretrained_regression"}
NAMES = sorted(set(LEARNERS) - OTHERS)


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_holds_every_variable(name, particle, policy):
    learner_class = LEARNERS[name]
    changes = {"outer_optimizer": "ppo"} if hasattr(learner_class.Config, "outer_optimizer") else {}
    learner = learner_class(particle, policy, learner_class.Config(**changes))
    held = set()
    for item in learner.checkpointed().values():
        variables = [item] if isinstance(item, tf.Variable) else item.variables
        held |= {variable.ref() for variable in variables}
    assert held == {variable.ref() for variable in learner.variables}


def test_compilation_is_automatic_unless_it_is_said(particle, policy, xla_pays):
    """In Python as on the command line; nothing but True, False and None says it."""
    assert Reptile(particle, policy).jit_compile is True
    assert Reptile(particle, policy, jit_compile=False).jit_compile is False
    assert MAML(particle, policy).jit_compile is False  # XLA does not pay there
    for value in ("x", "False", 1, 0, (), np.True_):
        with pytest.raises(ConfigError, match="jit_compile to be True, False or None; received"):
            Reptile(particle, policy, jit_compile=value)
