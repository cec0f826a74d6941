"""What holds for every learner."""

import pytest
import tensorflow as tf

from tfcaml.learners import LEARNERS

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
