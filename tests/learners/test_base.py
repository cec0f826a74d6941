"""What holds for every learner."""

import numpy as np
import pytest
import tensorflow as tf

from tests.homes import FEW_SHOT, IMITATION, home, small_settings
from tfcaml import environments, keys, losses
from tfcaml.errors import ConfigError
from tfcaml.learners import LEARNERS, MAML, Reptile
from tfcaml.optimization.config import OuterConfig
from tfcaml.policies import mlp_policy

# At home in another family; they add no variables.
OTHERS = {"hindsight_relabelling", "maml_regression", "oracle", "pretrained_regression"}
NAMES = sorted(set(LEARNERS) - OTHERS)


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_holds_every_variable(name, particle, policy):
    learner_class = LEARNERS[name]
    with_latents = name in ("maesn", "latent_space")  # whose outer step is TRPO's
    outer = getattr(learner_class.Config, "outer", None)
    chooses = isinstance(outer, OuterConfig) and not with_latents and name != "epg"
    changes = {"outer": {"optimizer": "ppo"}} if chooses else small_settings(name)
    # Policies of their own.
    critics = ("a2c", "epg", "meta_gradient", "mlsh", "ppo", "vtrace")
    elsewhere = name in IMITATION | FEW_SHOT
    own = name in ("adapt_sv", "cavia", "rl2", "tesp", *critics) or with_latents or elsewhere
    family = home(name) if elsewhere else particle
    learner = learner_class(family, None if own else policy, learner_class.Config(**changes))
    if name in IMITATION:
        learner.training_tasks(family.population(0, 2), keys.from_int(0))
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


@pytest.mark.parametrize("name", ["a2c", "epg", "mlsh", "ppo"])
def test_a_loss_is_refused_where_it_would_not_be_learned_by(name, particle):
    kind = LEARNERS[name]
    policy = kind.make_policy(particle, kind.Config(), (4,))
    with pytest.raises(ConfigError, match=r"loss to be left out.*received loss="):
        kind(particle, policy, loss=losses.PolicyGradientLoss(policy, MAML.Config()))


@pytest.mark.parametrize(
    "name, settings, message",
    [
        ("reptile", {"episodes_per_update": 1}, ">= 2 with baseline=time_step_mean"),
        ("reptile", {"test_episodes_per_update": 1}, "test_episodes_per_update=1"),
        (
            "caml",
            {
                "episodes_per_update": 1,
                "advantage": {"baseline": "batch_mean", "return_type": "whole_return"},
            },
            "batch_mean of whole_return",
        ),
        (
            "maml",
            {"episodes_per_update": 1, "advantage": {"return_type": "whole_return"}},
            "linear_feature of whole_return",
        ),
        ("maml", {"episodes_per_update": 1, "inner_estimator": "dice"}, "inner_estimator=dice"),
    ],
)
def test_single_episodes_that_teach_nothing_are_refused(name, settings, message, particle, policy):
    config = LEARNERS[name].Config(**settings)
    with pytest.raises(ConfigError, match=message):
        LEARNERS[name](particle, policy, config)


@pytest.mark.parametrize("baseline", ["none", "batch_mean", "linear_feature"])
def test_single_episodes_that_teach_something_are_not(baseline, particle, policy):
    Reptile(
        particle, policy, Reptile.Config(episodes_per_update=1, advantage={"baseline": baseline})
    )


def test_a_baseline_has_to_suit_the_observations(policy):
    class Images(environments.Particle):
        observation_spec = property(lambda self: tf.TensorSpec([20, 20, 3]), lambda self, _: None)

    wide = mlp_policy(Images().observation_spec, policy.action_spec, (4,))
    with pytest.raises(ConfigError, match="observations of 1200 numbers"):
        MAML(Images(), wide)
