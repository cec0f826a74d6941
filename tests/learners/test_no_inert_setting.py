"""Every setting of every learner changes a number, or is refused where it cannot act.

A field without an entry in the tables below fails. Learners run eagerly and at the smallest sizes:
numbers are compared, nothing is learned.
"""

import copy
import dataclasses
import functools
from typing import Any, NamedTuple

import pytest
import tensorflow as tf

import tfcaml
from tests import homes
from tests.dotted import nested
from tests.eager import (
    PlainActorCritic,
    PlainEncoder,
    PlainPolicy,
    PlainRecurrent,
    differ,
    eagerly,
)
from tests.places import Places
from tfcaml import environments, keys, learners, nest, settings
from tfcaml.errors import ConfigError
from tfcaml.exploration.vime import VIMEConfig
from tfcaml.learners import LEARNERS
from tfcaml.policies import (
    ContextPolicy,
    LatentPolicy,
    NormalizedPolicy,
    TrialPolicy,
    TwoLevelPolicy,
    with_context,
    with_last_step,
)
from tfcaml.policies.two_level import choice_spec
from tfcaml.rollouts import demonstrations, sampling

NUM_TASKS, NUM_UPDATES = 2, 2  # of the evaluation
DEMONSTRATE = demonstrations.demonstrate
TINY = {"num_iterations": 2, "meta_batch_size": 2, "inner_updates": 2, "episodes_per_update": 3}
GRADIENT = {
    **{**TINY, "num_iterations": 1, "inner_updates": 1},
    **{"outer.optimizer": "adam", "outer.learning_rate": 0.1},
}
HINDSIGHT = {
    **{**GRADIENT, "meta_batch_size": 3, "similarity.steps": 2},
    # All that was played may guide in all tasks.
    **{"buffer.best": 1.0, "guidance.min_similarity": 0.0},
}
LATENT = {**TINY, "inner_updates": 1, "num_training_tasks": 24}  # all particles there are
IMITATION = {
    **{"num_iterations": 2, "meta_batch_size": 2, "episodes_per_update": 3},
    **{"demonstrations.per_task": 5, "demonstrations.noise": 0.9, "demonstrations.attempts": 1},
    "outer.learning_rate": 0.1,
    **{"network.filters": 2, "network.kernel_sizes": (3,), "network.strides": (2,)},
    **{"network.object_layers": 2, "network.object_units": 3, "network.places": 2},
    **{"network.temperature": 2.0, "network.bias_transform": 3},
}
ADAPTED_TO = {**IMITATION, "inner_learning_rate": 0.1, "clip": 1.0}
LABELLED = {"num_iterations": 2, "meta_batch_size": 2, "outer.learning_rate": 0.1}
REGRESSION = {**TINY, "inner_updates": 1, "inner_learning_rate": 0.1}
ACTOR_CRITIC = {**TINY, "inner_learning_rate": 0.1}
TINY_OF = {
    **dict.fromkeys(("maml", "fomaml", "meta_sgd", "e_maml", "pretrained", "oracle"), GRADIENT),
    **dict.fromkeys(("anil", "cavia", "adapt_sv"), GRADIENT),
    "tesp": {
        **{**GRADIENT, "inner_updates": 2, "encoder_units": 3, "buffer_size": 2},
        **{"inner_learning_rate": 0.05, "rates": "learned"},
    },
    "natural_policy_gradient": GRADIENT,
    **dict.fromkeys(("maesn", "latent_space"), LATENT),
    "promp": {**GRADIENT, "outer.optimizer": "ppo", "outer.steps": 2},
    "rl2": {
        **{"num_iterations": 1, "meta_batch_size": 2, "trials_per_task": 3},
        **{"episodes_per_update": 2, "outer.learning_rate": 0.1, "outer.steps": 2},
    },
    "hindsight_maml": HINDSIGHT,
    "hindsight_relabelling": HINDSIGHT,
    "hindsight_cloning": {**HINDSIGHT, "cloning_steps": 2},
    "caml": {
        **{**TINY, "num_iterations": 3, "policies_per_clustering": 4, "num_medoids": 2},
        **{"choice.trial_episodes": 4, "divergence.num_states": 10, "inner_learning_rate": 0.1},
    },
    "joint": {**TINY, "meta_batch_size": 1},
    "joint_mixed": {**TINY, "meta_batch_size": 1},
    "random": {"test_episodes_per_update": 3, "inner_learning_rate": 0.1},
    "ppo": {"episodes_per_update": 3, "minibatches": 3, "inner_learning_rate": 0.1},
    "epg": {
        **{**TINY, "num_iterations": 3, "meta_batch_size": 1, "buffer_updates": 4, "memory": 2},
        **{"inner_learning_rate": 0.5, "minibatches": 3, "fitness_episodes": 5, "bootstrap": 0.9},
        **{"outer.population": 4, "outer.learning_rate": 0.5},
    },
    "mlsh": {
        **{**TINY, "warm_up": 1, "period": 2, "master_steps": 2, "sub_steps": 2},
        **{"inner_learning_rate": 0.1, "sub_learning_rate": 0.1},
    },
    **{"mil": ADAPTED_TO, "cloning": ADAPTED_TO},
    **dict.fromkeys(("contextual", "recurrent_cloning"), IMITATION),
    **dict.fromkeys(("maml_classification", "pretrained_classification"), LABELLED),
    **{"prototypical": LABELLED, "nearest_neighbour": {}},
    "maml_regression": REGRESSION,
    "pretrained_regression": REGRESSION,
    **dict.fromkeys(("a2c", "vtrace"), ACTOR_CRITIC),
    "meta_gradient": {
        **{**ACTOR_CRITIC, "outer_learning_rate": 0.1},
        **{"advantage.discount": 0.9, "advantage.gae_lambda": 0.9},
    },
}


class Acts(NamedTuple):
    """A number changes when a field takes `value`, beside `company`, other settings.

    In so many updates of an evaluation, where that is what it takes.
    """

    value: Any
    company: dict = {}
    num_updates: int = NUM_UPDATES


class Refused(NamedTuple):
    """`value` of a field cannot act in any company, and is refused."""

    value: Any
    company: dict = {}


class Tied(NamedTuple):
    """`value` of a field does not go with the tasks, and training refuses it by this rule."""

    value: Any
    company: dict = {}
    rule: str = f"{NUM_TASKS}, the number of"


class SameNumbers(NamedTuple):
    """The two values of a field are two ways to the same numbers."""

    value: Any
    company: dict
    why: str


PPO = {"outer.optimizer": "ppo"}
TRPO = {"outer.optimizer": "trpo", "outer.learning_rate": 1e-3, "outer.steps": 5}
# Far steps along noise: of three iterations' line searches one at least refuses its first trial.
SEARCHED = {**TRPO, "outer.max_kl": 1.0, "advantage.baseline": "none", "num_iterations": 3}
# Where the products are far from singular, so that rounding does not grow.
WELL_CONDITIONED = {**TRPO, "outer.cg_iterations": 2, "outer.damping": 0.1}
# Two iterations are paid for: the model learns from the first, and its gains are by that.
VIME = {"vime.eta": 0.5, "vime.capacity": 20, "vime.min_transitions": 3, "vime.window": 1}
VIME |= {"vime.steps": 2, "vime.batch_size": 2, "vime.num_samples": 2, "vime.units": 4}
VIME |= {"num_iterations": 3, "inner_updates": 1}
EVOLVED = {"outer.optimizer": "evolution_strategy", "outer.population": 4, "num_iterations": 2}
LEARNED = {"advantage.baseline": "recurrent", "num_iterations": 2, "critic_steps": 1}
VTRACE = {"correction": "vtrace"}
TWO_HEADS = {"network.two_heads": True}
IN_TIME = {**TWO_HEADS, "network.loss_head": "temporal"}
FIELDS = {
    "num_iterations": Acts(3),
    "meta_batch_size": Acts(4),
    "inner_updates": Acts(3),
    "episodes_per_update": Acts(2),
    "test_episodes_per_update": Acts(2),
    "inner_optimizer": Acts("sgd"),
    "inner_learning_rate": Acts(0.3),
    "advantage.discount": Acts(0.5),
    "advantage.return_type": Acts("whole_return"),
    "advantage.baseline": Acts("batch_mean"),
    "advantage.gae_lambda": Acts(0.5),
    "advantage.normalize": Acts(False),
    # Reptile
    "outer_step_size": Acts(0.5),
    "annealing": Acts("none"),
    "adam_beta_1": Acts(0.5),
    # Independent policies
    "shared_initialization": Acts(True),
    # The gradient-based family
    "later_step_scale": Acts(0.25),
    "inner_estimator": Acts("dice"),
    "first_order": Acts(True),
    "outer.optimizer": Acts("trpo", {"outer.learning_rate": 1e-3}),
    "outer.learning_rate": Acts(0.3),
    "outer.steps": Acts(3, PPO),
    "outer.clip_ratio": Acts(0.01, PPO),
    "outer.keep_below_kl": Acts(1e-6, {**PPO, "outer.steps": 3}),
    "outer.minibatches": Acts(2, PPO),
    "outer.max_grad_norm": Acts(1e-9, PPO),
    "outer.annealing": Acts("linear", PPO),
    "outer.max_kl": Acts(0.1, TRPO),
    "outer.damping": Acts(1.0, TRPO),
    "outer.cg_iterations": Acts(1, TRPO),
    "outer.backtrack_ratio": Acts(0.3, SEARCHED),
    "outer.max_backtracks": Acts(1, SEARCHED),
    "outer.hessian_products": SameNumbers(
        "hessian", WELL_CONDITIONED, "exact products by another way, in more time"
    ),
    "outer.fisher_subsample": Acts(1, TRPO),
    "outer.population": Acts(6, EVOLVED),
    "outer.antithetic": Acts(False, EVOLVED),
    "outer.noise_scale": Acts(0.5, EVOLVED),
    "outer.weight_decay": Acts(0.5, EVOLVED),
    "exploration_weight": Acts(0.0),
    "kl_penalty": Acts(5.0),
    # The bonus of VIME
    "vime.eta": Acts(0.1, VIME),
    "vime.units": Acts(5, VIME),
    "vime.prior_scale": Acts(1.0, VIME),
    "vime.likelihood_scale": Acts(1.0, VIME),
    "vime.num_samples": Acts(3, VIME),
    "vime.learning_rate": Acts(0.1, VIME),
    "vime.steps": Acts(3, VIME),
    "vime.batch_size": Acts(3, VIME),
    "vime.capacity": Acts(5, VIME),
    "vime.min_transitions": Acts(15, VIME),
    "vime.window": Acts(2, VIME),
    # Latents
    "num_training_tasks": Tied(3, rule="24, the training tasks of the family"),
    "latent_size": Acts(3),
    "latent_learning_rate": Acts(0.3),
    "latent_gradient": Acts("reparameterized"),
    "adapt_network": Acts(True),
    "kl_weight": Acts(5.0),
    "later_step_rule": Acts("once", num_updates=3),
    # Trials
    "trials_per_task": Acts(4),
    "truncation": Acts(2),
    "entropy_weight": Acts(0.5),
    "critic_learning_rate": Acts(0.1, LEARNED),
    "critic_steps": Acts(2, LEARNED),
    # Hindsight
    "similarity.steps": Acts(3),
    "similarity.learning_rate": Acts(0.1),
    "similarity.objective": Acts("regression"),
    "similarity.units": Acts(8),
    "similarity.pairs_per_step": Acts(3),
    "similarity.nearest": Acts(0.6),
    "saved_episodes": Acts(1),
    "buffer.capacity": Acts(4, {"num_iterations": 2}),
    "buffer.best": Acts(0.25),
    "buffer.window": Acts(3, {"num_iterations": 2}),
    "buffer.floor": Acts(0.5),
    "guidance.share": Acts(0.9),
    "guidance.updates": Acts(1),
    "guidance.num_similar": Acts(1),
    "guidance.min_similarity": Acts(0.99),
    "guidance.importance_weights": Acts("per_decision"),
    "guidance.importance_clip": Acts(1.0),
    "guidance.min_effective_share": Acts(1.0),
    "cloning_steps": Acts(3),
    "cloning_learning_rate": Acts(0.1),
    # CAML
    "policies_per_clustering": Acts(2),
    "num_medoids": Acts(3),
    "assignment": Acts("random"),
    "choice.rule": Acts("oracle"),
    "choice.trial_episodes": Acts(6),
    "choice.include_initial_weights": Acts(False),
    "choice.min_transfer": Acts(100.0, {"inner_learning_rate": 0.5}),
    "keep_optimizer_state": Acts(False),
    "divergence.metric": Acts("state"),
    "divergence.bandwidth": Acts("1.0"),
    "divergence.weight": Acts("uniform"),
    "divergence.form": Acts("hellinger"),
    "divergence.num_states": Acts(20),
    "divergence.time_indexed": Acts(True),
    "adaptive_k": Acts(True, {"num_medoids": 3}),
    # Actor-critics
    "unroll": Acts(2),
    "reward_clip": Acts(0.01),
    "torso": Acts("residual"),
    "rms_decay": Acts(0.5),
    "rms_epsilon": Acts(0.1),
    "max_grad_norm": Acts(0.01),
    "value_weight": Acts(5.0),
    "correction": Acts("vtrace", {"lag": 1}),  # only what others have played is corrected
    "clip_rho": Acts(0.5, VTRACE),
    "clip_c": Acts(0.5, VTRACE),
    "lag": Acts(1),
    # Sub-policies and masters
    "warm_up": Acts(0),
    "groups": Acts(2),
    "num_options": Acts(3),
    "period": Acts(1),
    "random_choices": Acts(0.9),
    "master_steps": Acts(3),
    "sub_learning_rate": Acts(0.3),
    "sub_steps": Acts(3),
    "sub_minibatches": Acts(3),
    "observation_clip": Acts(0.5),
    # Meta-gradient RL
    "updates_per_meta": Acts(2),
    "objective": Acts("prediction"),
    "learn_discount": Acts(False, {"learn_lambda": True}),
    "learn_lambda": Acts(True),
    "discount_low": Acts(0.5),
    "discount_high": Acts(0.95),
    "lambda_low": Acts(0.5, {"learn_lambda": True}),
    "lambda_high": Acts(0.95, {"learn_lambda": True}),
    "per_life": Acts(True),
    "per_state": Acts(True),
    "outer_discount": Acts(0.5),
    "outer_lambda": Acts(0.5),
    "outer_critic": Acts(True),
    "outer_optimizer": Acts("sgd"),
    "outer_learning_rate": Acts(0.5),
    "trace_decay": Acts(0.5),
    "embedding_size": Acts(2),
    # Demonstrations
    "query_episodes": Acts(2),
    "multiplier": Acts(10.0),
    "pose": Acts("point"),
    "pose_weight": Acts(5.0, {"pose": "point"}),
    "clip": Acts(0.01),
    "demonstrations.path": Acts("demonstrations.npz"),
    "demonstrations.per_task": Acts(6),
    "demonstrations.noise": Acts(0.6),
    "demonstrations.attempts": Acts(3),
    "demonstrations.steps": Acts(2),
    "demonstrations.shown": Acts("states", TWO_HEADS),
    "network.filters": Acts(3),
    "network.kernel_sizes": Acts((2,)),
    "network.strides": Acts((3,)),
    "network.image_features": Acts("soft_argmax"),
    "network.image_bias": Acts(1),
    "network.object_layers": Acts(1),
    "network.object_units": Acts(4),
    "network.attention_sees": Acts("all"),
    "network.places": Acts(3),
    "network.temperature": Acts(5.0),
    "network.bias_transform": Acts(2),
    "network.bias_transform_layers": Acts("all"),
    "network.two_heads": Acts(True),
    "network.loss_head": Acts("temporal", TWO_HEADS),
    "network.temporal_filters": Acts(3, IN_TIME),
    "network.temporal_width": Acts(2, IN_TIME),
    "outer.decays": Acts(True),
    "units": Acts(5),
    "attention": Acts(True),
    "attention_units": Acts(5, {"attention": True}),
    # Images with labels
    "network": Acts("dense"),
}
NOT_EVOLVED = {
    "outer.population": Refused(6),
    "outer.antithetic": Refused(False),
    "outer.noise_scale": Refused(0.5),
    "outer.weight_decay": Refused(0.5),
}
MAY_EVOLVE = {"inner_optimizer": Refused("adam")}
ONLY_SGD = {**MAY_EVOLVE, **NOT_EVOLVED}
NO_INNER_STEPS = {**ONLY_SGD, "first_order": Refused(True)}
TEN_OF_ALL = {"outer.cg_iterations": 10, "outer.fisher_subsample": 0}  # products; tasks
SEARCHED_OF_THREE = {  # tasks
    "outer.backtrack_ratio": Acts(0.3, {**TRPO, **TEN_OF_ALL, "outer.max_kl": 0.5}),
    "outer.max_backtracks": Acts(1, {**TRPO, **TEN_OF_ALL, "outer.max_kl": 0.5}),
}
ONLY_TRPO = {
    **ONLY_SGD,
    "outer.optimizer": Refused("adam"),
    "outer.learning_rate": Refused(0.3),
    "outer.steps": Refused(3),
    "outer.clip_ratio": Refused(0.01),
    "outer.fisher_subsample": Refused(1),
    "outer.keep_below_kl": Refused(0.5),
    "outer.minibatches": Refused(2),
    "outer.max_grad_norm": Refused(0.5),
    "outer.annealing": Refused("linear"),
    "inner_learning_rate": Acts(0.3, {"adapt_network": True}),
    "inner_estimator": Acts("dice", {"adapt_network": True}),
}
ONE_EACH = {"shared_initialization": Acts(False), "meta_batch_size": Tied(3)}
OF_CONTEXTS = {
    **ONLY_SGD,
    "context_size": Acts(2),
    "first_order": Refused(False),
    "advantage.normalize": Acts(True),
    "advantage.return_type": Acts("whole_return", {"advantage.gae_lambda": 1.0}),
    "inner_learning_rate": Acts(0.01),
    "rates": Acts("constant"),
    "rate_bound": Acts(0.06),
    "regularizer": Acts(0.5),
    "outer.learning_rate": Acts(0.3),
    "outer.steps": Acts(3, PPO),
    "outer.clip_ratio": Acts(0.01, {**PPO, "outer.steps": 3}),
    "outer.keep_below_kl": Acts(10.0, {**PPO, "outer.steps": 3}),
    "outer.minibatches": Acts(2, {**PPO, "outer.steps": 3, "outer.keep_below_kl": 0.0}),
    "outer.max_grad_norm": Acts(1e-9, {**PPO, "outer.steps": 3}),
    "outer.annealing": Acts("linear", {**PPO, "outer.steps": 3}),
    "outer.optimizer": Acts("trpo", {"outer.learning_rate": 3e-4}),
}
OF_A_CRITIC = {
    "advantage.return_type": Refused("whole_return"),
    "advantage.baseline": Refused("batch_mean"),
    "advantage.normalize": Refused(True),
}
# Of policies from random weights, by PPO.
OF_A_LIFE = {
    **OF_A_CRITIC,
    "advantage.normalize": Refused(False),
    "advantage.gae_lambda": Acts(0.5),
    "num_iterations": Refused(1),
    "meta_batch_size": Refused(2),
    "inner_updates": Refused(2),
    "minibatches": Acts(1),
    "clip_ratio": Acts(0.01),
    "kl_weight": Acts(5.0),
}
NO_EVOLUTION = {**{"outer.annealing": "none", "outer.population": 64, "outer.learning_rate": 1e-3}}
OF_EVOLUTION = {name: FIELDS[name] for name in NOT_EVOLVED}
REFUSED_OF_EVOLUTION = {
    **{"outer.steps": 3, "outer.clip_ratio": 0.01, "outer.keep_below_kl": 0.5},
    **{"outer.minibatches": 2, "outer.max_grad_norm": 0.5, "outer.max_kl": 0.1},
    **{"outer.damping": 1.0, "outer.cg_iterations": 1, "outer.backtrack_ratio": 0.3},
    **{"outer.max_backtracks": 1, "outer.hessian_products": "hessian", "outer.fisher_subsample": 1},
}
BY_ADAM = {"outer.max_grad_norm": Acts(1e-9)}
ONE_HEAD = {
    **BY_ADAM,
    "network.two_heads": Refused(True),
    "network.loss_head": Refused("temporal"),
    "network.temporal_filters": Refused(3),
    "network.temporal_width": Refused(2),
}
PARTICULAR = {  # name of a learner -> fields that are otherwise there
    **dict.fromkeys(("maml", "meta_sgd"), MAY_EVOLVE),
    "e_maml": ONLY_SGD,
    "anil": {**MAY_EVOLVE, "adapted": Acts("0")},
    "cavia": {**MAY_EVOLVE, "context_size": Acts(2)},
    "ppo": OF_A_LIFE,
    "epg": {
        **{**OF_A_LIFE, "num_iterations": Acts(4), "meta_batch_size": Acts(2)},
        "inner_updates": Acts(3),
        # Of a buffer that is not full a longer one only has more padding in front, which counts.
        **{"buffer_updates": Acts(5), "memory": Acts(3), "normalize": Acts(False)},
        **{"sees_reward": Acts(False), "bootstrap": Acts(0.5), "fitness_episodes": Acts(1)},
        **{"outer.optimizer": Refused("ppo", NO_EVOLUTION)},
        **{name: Refused(value) for name, value in REFUSED_OF_EVOLUTION.items()},
        **{"outer.annealing": Acts("none"), "outer.learning_rate": Acts(0.1)},
        **{name: each._replace(company={}) for name, each in OF_EVOLUTION.items()},
    },
    "mlsh": {
        **{**OF_A_CRITIC, "advantage.normalize": Refused(False)},
        **{"master_clip_ratio": Acts(0.01), "sub_clip_ratio": Acts(0.01)},
    },
    "adapt_sv": OF_CONTEXTS,
    "tesp": {
        **OF_CONTEXTS,
        "later_step_scale": Acts(0.25, {"inner_updates": 1}),
        "buffer": Acts("last"),
        "buffer_size": Acts(3),
        "encoder_units": Acts(4),
        "encoder_sees": Acts("action"),
        "adapt_policy": Acts(True),
    },
    "fomaml": {**ONLY_SGD, "first_order": Acts(False)},
    "promp": {
        **ONLY_SGD,
        "outer.optimizer": Acts("adam", {"outer.steps": 5}),
    },
    "rl2": {
        **ONLY_SGD,
        "inner_updates": Refused(2),
        "inner_learning_rate": Refused(0.3),
        "later_step_scale": Refused(0.25),
        "inner_estimator": Refused("dice"),
        "first_order": Refused(True),
        "episodes_per_update": Acts(3),
        "cell": Acts("lstm", LEARNED),  # of the baseline; the policy here is another
        "units": Acts(5, LEARNED),
        "memory_steps": Acts(5, LEARNED),
        "advantage.baseline": Acts("linear_feature"),
        "outer.optimizer": Acts("adam", {"outer.steps": 5}),
    },
    "pretrained": NO_INNER_STEPS,
    "oracle": NO_INNER_STEPS,
    "natural_policy_gradient": {
        **NO_INNER_STEPS,
        "outer.fisher_subsample": Refused(1),
        "outer.minibatches": Refused(2, PPO),
        "outer.max_grad_norm": Refused(0.5, PPO),
    },
    "maesn": ONLY_TRPO,
    "latent_space": {**ONLY_TRPO, "first_order": Refused(True)},
    "hindsight_maml": {
        **{**ONLY_SGD, "inner_estimator": Refused("dice"), **SEARCHED_OF_THREE},
        "outer.minibatches": Acts(3, PPO),
    },
    "hindsight_relabelling": {
        **ONLY_SGD,
        "inner_estimator": Refused("dice"),
        "guidance.share": Acts(
            0.0, {"similarity.objective": "regression", "guidance.min_similarity": -10.0}
        ),
    },
    "hindsight_cloning": {
        **ONLY_SGD,
        "inner_estimator": Refused("dice"),
        "guidance.share": Refused(0.9),
        **SEARCHED_OF_THREE,
        "guidance.updates": Refused(1),
        "guidance.importance_weights": Refused("per_decision"),
        "guidance.importance_clip": Refused(1.0),
        "guidance.min_effective_share": Refused(1.0),
    },
    "cloning": {
        **{**ONE_HEAD, "first_order": Refused(True), "demonstrations.shown": Refused("states")},
        "inner_updates": Acts(2, {"later_step_scale": 0.5}),
    },
    # It sees how a demonstration ends, and so no actions.
    "contextual": {**ONE_HEAD, "demonstrations.shown": Acts("video")},
    "recurrent_cloning": {**ONE_HEAD, "demonstrations.shown": Acts("states")},
    **{
        name: {**BY_ADAM, "episodes_per_update": Acts(3)}
        for name in ("maml_classification", "pretrained_classification", "prototypical")
    },
    "mil": BY_ADAM,
    "pretrained_regression": {
        "first_order": Refused(True),
        "inner_updates": Acts(2, {"later_step_scale": 0.5}),
    },
    "reptile": {"later_step_scale": Acts(0.25, {"inner_optimizer": "sgd"})},
    "random": {
        "episodes_per_update": Acts(2, {"test_episodes_per_update": 0}),
        "num_iterations": Refused(1),
        "meta_batch_size": Refused(2),
        "inner_updates": Refused(2),
    },
    "matched": ONE_EACH,
    "unmatched": ONE_EACH,
    "caml": {"num_iterations": Acts(2), "saved_episodes": Acts(2)},
    "joint": {"meta_batch_size": Refused(2)},
    "joint_mixed": {"meta_batch_size": Refused(2)},
    "a2c": OF_A_CRITIC,
    "vtrace": {**OF_A_CRITIC, "correction": Acts("none", {"lag": 1})},
    "meta_gradient": {
        **{**OF_A_CRITIC, "lag": Refused(1)},
        # Weights see the eta of now, and what was played saw that of before.
        "correction": Acts("vtrace", {"embedding_size": 2}),
    },
}


def entry(name, field):
    """What is known of a learner's field; None if nothing is."""
    return PARTICULAR.get(name, {}).get(field, FIELDS.get(field))


def defaults(config_class):
    """Default of each field, by its dotted name."""
    return settings.flat(dataclasses.asdict(config_class()))


def names_of(config_class):
    return list(defaults(config_class))


def fields(name):
    return names_of(LEARNERS[name].Config)


CASES = [(name, field) for name in LEARNERS for field in fields(name)]
# They train like hindsight MAML, so that what acts in training is tried there.
TRAINED_ALIKE = ("hindsight_relabelling", "hindsight_cloning")
# Elsewhere: nothing here is an image for actor-critics, see references/test_actor_critic.py, and no
# file is there to be read, see rollouts/test_demonstrations.py.
ELSEWHERE = ("torso", "demonstrations.path")
# Whose bonus is that of experts: each field acts in `Curious` alone.
PAID_ALIKE = ("policy_gradient", "matched", "unmatched")
IN_ADAPTATION = (
    "test_episodes_per_update",
    "inner_learning_rate",
    "later_step_scale",
    "advantage.discount",
)
TRIED = [
    (name, field)
    for name, field in CASES
    if (
        name not in TRAINED_ALIKE
        or field in IN_ADAPTATION
        or field not in names_of(learners.GradientConfig)
    )
    and not (name in PAID_ALIKE and field.startswith("vime."))
    and field not in ELSEWHERE
]


@pytest.fixture(scope="module", autouse=True)
def run_eagerly():
    with eagerly(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(learners.tesp, "SequenceEncoder", PlainEncoder)
        patch.setattr(demonstrations, "demonstrate", demonstrated)
        yield


class Both(Places):
    """Places that are told as objects and as an image."""

    def __init__(self):
        super().__init__(horizon=4)
        self.images = Places("image")
        self.observation_spec = {**self.observation_spec, **self.images.observation_spec}

    def _seen(self, task, state):
        return {**super()._seen(task, state), **self.images._seen(task, state)}


@functools.cache
def place(kind):
    """(family, policy, population) of a kind of learner."""
    if kind == "oracle":
        options = environments.NavigationConfig(observe_goal=True, horizon=3)
        family = environments.Navigation(options)
    elif kind == "regression":
        family = environments.Sinusoid()
    elif kind == "relabelling":
        family = environments.Maze(environments.MazeConfig(layout="four_rooms", horizon=3))
    elif kind == "imitation":
        family = Both()
        return family, None, family.population(0, NUM_TASKS)
    elif kind == "labels":
        family = environments.Omniglot(environments.OmniglotConfig(way=3, shots=2))
        return family, None, family.population(0, NUM_TASKS)
    else:
        family = environments.Particle(environments.ParticleConfig(horizon=3, step_size=0.5))
    population = family.population(0, NUM_TASKS)
    if kind == "relabelling":  # goals around the start, which some of the episodes reach
        support, query = family.task([1, 10, 11]), family.task([2, 20])
        population = population._replace(train=support, test=query)
    return family, PlainPolicy(family.observation_spec, family.action_spec), population


def kind_of(name):
    if name in homes.IMITATION | homes.FEW_SHOT:
        return "imitation" if name in homes.IMITATION else "labels"
    return next((kind for kind in ("oracle", "regression", "relabelling") if kind in name), "")


ACTOR_CRITICS = ("a2c", "vtrace", "meta_gradient", "ppo", "epg")
# Learners with a policy of their own, and which field is the size of what it sees besides.
WIDER = {
    **dict.fromkeys(("adapt_sv", "cavia", "tesp"), (ContextPolicy, "context_size")),
    **dict.fromkeys(("maesn", "latent_space"), (LatentPolicy, "latent_size")),
    "rl2": (TrialPolicy, "truncation"),
    "mlsh": (TwoLevelPolicy, "period"),
    **dict.fromkeys(ACTOR_CRITICS, (ContextPolicy, "embedding_size")),
}


def wider(name, family, config):
    """The policy of a learner in `WIDER`."""
    if name == "rl2":
        specs = family.observation_spec, family.action_spec
        within = PlainRecurrent(with_last_step(*specs), family.action_spec)
        return TrialPolicy(within, family.observation_spec, config.truncation)
    if name == "mlsh":
        master, sub = (
            NormalizedPolicy(
                PlainActorCritic(family.observation_spec, actions), config.observation_clip
            )
            for actions in (choice_spec(config.num_options), family.action_spec)
        )
        return TwoLevelPolicy(master, sub, config.period)
    kind, field = WIDER[name]
    size = getattr(config, field, 0)
    if name in ACTOR_CRITICS:
        heads_of = getattr(LEARNERS[name], "heads_of", lambda _: ("value",))
        heads, seen = heads_of(config), family.observation_spec
        seen = with_context(seen, size) if size else seen
        policy = PlainActorCritic(seen, family.action_spec, heads)
        return kind(policy, family.observation_spec, size) if size else policy
    policy = PlainPolicy(with_context(family.observation_spec, size), family.action_spec)
    return kind(policy, family.observation_spec, size)


@functools.cache
def sampler(kind, num_tasks, num_episodes, shape):
    """`sampling.sample` for keys of that shape, a graph also while all else runs eagerly."""
    family, policy, population = place(kind)

    def sample(params, task, key):
        return sampling.sample(policy, family, params, task, num_episodes, key)

    row = lambda x: tf.TensorSpec([num_tasks, *x.shape], x.dtype)
    task = lambda x: tf.TensorSpec([num_tasks, *x.shape[1:]], x.dtype)
    return tf.function(sample, autograph=False).get_concrete_function(
        nest.map(row, policy.init(0)),
        nest.map(task, population.test),
        tf.TensorSpec(shape, keys.from_int(0).dtype),
    )


@functools.cache
def demonstrator(num_tasks, num_demonstrations, noise, attempts):
    """`demonstrations.demonstrate` in the place of imitation, a graph like `sampler`."""
    family, _, population = place("imitation")

    def show(task, key):
        return DEMONSTRATE(family, task, num_demonstrations, key, noise=noise, attempts=attempts)

    row = lambda x: tf.TensorSpec([num_tasks, *x.shape[1:]], x.dtype)
    key = tf.TensorSpec([2], keys.from_int(0).dtype)
    graph = tf.function(show, autograph=False)
    return graph.get_concrete_function(nest.map(row, population.test), key)


def demonstrated(environment, task, num_demonstrations, key, *, noise, attempts):
    """What `demonstrations.demonstrate` gives, by a `demonstrator`."""
    return demonstrator(nest.leading(task), num_demonstrations, noise, attempts)(task, key)


def settings_of(name, **changes):
    found = {**TINY_OF.get(name, TINY), **changes}
    if found.get("outer.optimizer") == "trpo":  # which leaves these at the learner's own defaults
        own = defaults(LEARNERS[name].Config)
        found |= {field: own[field] for field in ("outer.learning_rate", "outer.steps")}
    return found


def config_of(name, given):
    """The config of a learner with these settings, by their dotted names."""
    return LEARNERS[name].Config(**nested(given))


def make(name, given, unchecked):
    """A learner; `unchecked`: settings that are written past the checks of its config."""
    config = config_of(name, given)
    for field, value in unchecked.items():
        group, _, own = field.rpartition(".")
        if group:  # of its own: what is a default is shared
            object.__setattr__(config, group, copy.copy(getattr(config, group)))
        object.__setattr__(getattr(config, group) if group else config, own, value)
    kind = kind_of(name)
    family, policy, _ = place(kind)
    if name in WIDER:
        policy = wider(name, family, config)
    elif policy is None:
        smooth = ("tanh",) if kind == "imitation" else ()  # so that no unit is idle
        policy = LEARNERS[name].make_policy(family, config, (4, 4), *smooth)
    learner = LEARNERS[name](family, policy, config)
    # The sampling of the others is not that of `sampler`.
    if kind in ("", "oracle", "relabelling") and name not in WIDER:
        learner.sample = lambda params, task, num_episodes, key: sampler(
            kind, nest.leading(task), num_episodes, tuple(key.shape)
        )(tuple(params), task, key)
    return learner


@functools.cache
def _trained(name, given, unchecked):
    learner, population = make(name, dict(given), dict(unchecked)), place(kind_of(name))[2]
    history = tfcaml.train(learner, population, seed=0)
    return learner, [
        int(learner.iteration),
        dict(enumerate(history)),
        *(x.read() for x in learner.state.values()),
    ]


@functools.cache
def _evaluated(name, given, unchecked, num_updates):
    learner, _ = _trained(name, given, unchecked)
    found = tfcaml.evaluate(
        learner, place(kind_of(name))[2].test, num_updates=num_updates, num_episodes=2, seed=0
    )
    last = found.trajectories[-1]
    # How probable the last actions were tells of weights what the actions do not.
    return [found.returns, found.trials, last.log_prob, last.action]


def changes_a_number(name, given, changes, unchecked=None, num_updates=NUM_UPDATES):
    """Whether training or evaluation gives another number after `changes` of what is given."""
    hashable = lambda x: tuple(sorted(x.items()))
    before = name, hashable(given), ()
    after = name, hashable({**given, **changes}), hashable(unchecked or {})
    if differ(_trained(*before)[1], _trained(*after)[1]):
        return True
    return differ(_evaluated(*before, num_updates), _evaluated(*after, num_updates))


def refused(name, given, field):
    """Asserts that the settings are refused for a field, in one line that says what to do."""
    with pytest.raises(ConfigError) as caught:
        config_of(name, given)
    message = str(caught.value)
    assert message.startswith(f"expected {field} to be ") and "\n" not in message, message
    assert message.endswith(f"received {field}={given[field]!r}"), message


@pytest.mark.parametrize("name", LEARNERS)
def test_every_field_has_an_entry(name):
    for field in fields(name):
        assert entry(name, field) is not None, f"{field} has no entry in the tables of this file"
        other = entry(name, field).value
        default = defaults(LEARNERS[name].Config)[field]
        assert other != settings_of(name).get(field, default), field


@pytest.mark.parametrize("name", TRAINED_ALIKE)
def test_they_train_alike(name):
    """Nothing that training calls is theirs."""
    own = set(vars(LEARNERS[name]))
    assert not own & {"collect", "update", "objective", "adapt", "surrogate", "look_back"}
    assert LEARNERS[name].after_update is learners.HindsightMAML.after_update


@pytest.mark.parametrize("name", PAID_ALIKE)
def test_they_are_paid_alike(name):
    """Nothing that makes a bonus is theirs."""
    same = ("explored", "after_update", "initial_state")
    experts = learners.NaturalPolicyGradient
    assert all(getattr(LEARNERS[name], each) is getattr(experts, each) for each in same)


@pytest.mark.parametrize("name, field", [x for x in CASES if isinstance(entry(*x), Refused)])
def test_what_a_learner_has_no_use_for_is_refused(name, field):
    value, company = entry(name, field)
    refused(name, settings_of(name, **{**company, field: value}), field)


@pytest.mark.slow
@pytest.mark.parametrize("name, field", [x for x in TRIED if isinstance(entry(*x), Acts)])
def test_every_field_changes_a_number(name, field):
    value, company, num_updates = entry(name, field)
    given = settings_of(name, **company)
    assert changes_a_number(name, given, {field: value}, num_updates=num_updates)


@pytest.mark.parametrize("name, field", [x for x in CASES if isinstance(entry(*x), Tied)])
def test_what_does_not_go_with_the_tasks_is_refused(name, field):
    with pytest.raises(ConfigError, match=f"expected {field} to be {entry(name, field).rule}"):
        changes_a_number(name, settings_of(name), {field: entry(name, field).value})


@pytest.mark.slow
@pytest.mark.parametrize("name, field", [x for x in TRIED if isinstance(entry(*x), SameNumbers)])
def test_other_ways_to_the_same_numbers(name, field):
    value, company, why = entry(name, field)
    assert why and not changes_a_number(name, settings_of(name, **company), {field: value})


# (learner, other settings, field, value): it cannot act in this company.
ADAM = {"outer.optimizer": "adam"}
ONE_STEP = {**PPO, "outer.steps": 1}
NO_GUIDANCE = {"guidance.share": 0.0, "guidance.min_similarity": 0.5}
ONCE = {"divergence.num_states": 300, "num_iterations": 2}  # one clustering
IN_COMPANY = [
    *(
        ("maml", company, field, FIELDS[field].value)
        for company in (ADAM, PPO)
        for field in (
            "outer.max_kl",
            "outer.damping",
            "outer.cg_iterations",
            "outer.backtrack_ratio",
            "outer.max_backtracks",
        )
    ),
    *(
        ("maml", EVOLVED, field, value)
        for field, value in (
            ("inner_estimator", "likelihood_ratio"),
            ("first_order", True),
            ("outer.steps", 3),
            ("outer.max_grad_norm", 0.5),
        )
    ),
    ("maml", ADAM, "outer.hessian_products", "hessian"),
    ("maml", ADAM, "outer.fisher_subsample", 1),
    ("maml", {**TRPO, "outer.max_backtracks": 1}, "outer.backtrack_ratio", 0.3),
    ("maml", {"outer.optimizer": "trpo", "outer.learning_rate": 1e-3}, "outer.learning_rate", 0.3),
    ("maml", TRPO, "outer.steps", 3),
    ("maml", ADAM, "outer.steps", 3),
    ("maml", TRPO, "outer.clip_ratio", 0.01),
    ("maml", ADAM, "outer.clip_ratio", 0.01),
    ("maml", ONE_STEP, "outer.clip_ratio", 0.01),
    *(("tesp", company, "outer.keep_below_kl", 0.5) for company in (ADAM, ONE_STEP)),
    ("tesp", ADAM, "outer.steps", 3),
    ("tesp", ADAM, "outer.clip_ratio", 0.3),
    ("tesp", {"buffer": "all", "buffer_size": 16}, "buffer_size", 3),
    ("tesp", {"rates": "constant"}, "rate_bound", 0.5),
    ("adapt_sv", {"rates": "constant"}, "rate_bound", 0.5),
    *(
        ("tesp", {"rates": "none", "inner_learning_rate": 0.001}, field, value)
        for field, value in (
            ("inner_learning_rate", 0.05),
            ("rate_bound", 0.5),
            ("inner_estimator", "dice"),
            ("later_step_scale", 0.5),
            ("adapt_policy", True),
        )
    ),
    ("fomaml", ADAM, "inner_estimator", "likelihood_ratio"),
    ("fomaml", ONE_STEP, "inner_estimator", "loaded_dice"),
    ("pretrained", TRPO, "inner_estimator", "likelihood_ratio"),
    ("oracle", ADAM, "inner_estimator", "loaded_dice"),
    ("natural_policy_gradient", ADAM, "inner_estimator", "likelihood_ratio"),
    *(
        ("policy_gradient", {}, f"vime.{field.name}", FIELDS[f"vime.{field.name}"].value)
        for field in dataclasses.fields(VIMEConfig)
        if field.name != "eta"
    ),
    ("policy_gradient", VIME, "inner_updates", 2),
    ("maesn", {}, "inner_learning_rate", 0.3),
    ("maesn", {}, "inner_estimator", "dice"),
    ("maesn", {"later_step_scale": 1.0}, "later_step_rule", "once"),
    ("latent_space", {}, "inner_learning_rate", 0.3),
    ("latent_space", {}, "inner_estimator", "dice"),
    ("latent_space", {"adapt_network": True}, "inner_estimator", "likelihood_ratio"),
    ("pretrained", {"later_step_scale": 1.0}, "inner_updates", 2),
    ("natural_policy_gradient", {"later_step_scale": 1.0}, "inner_updates", 2),
    ("pretrained_regression", {"later_step_scale": 1.0}, "inner_updates", 2),
    ("rl2", {}, "critic_learning_rate", 0.1),
    ("rl2", {}, "critic_steps", 2),
    ("rl2", {"outer.optimizer": "adam", "outer.steps": 5}, "outer.minibatches", 2),
    ("promp", {"outer.optimizer": "adam", "outer.steps": 5}, "kl_penalty", 5.0),
    ("promp", {"outer.steps": 1}, "kl_penalty", 5.0),
    ("random", {"test_episodes_per_update": 3}, "episodes_per_update", 4),
    ("a2c", {}, "clip_rho", 0.5),
    ("meta_gradient", {}, "clip_c", 0.5),
    ("vtrace", {"inner_optimizer": "sgd"}, "rms_decay", 0.5),
    ("a2c", {"inner_optimizer": "adam"}, "rms_epsilon", 0.1),
    ("meta_gradient", {"objective": "prediction"}, "value_weight", 5.0),
    ("meta_gradient", {"objective": "prediction"}, "entropy_weight", 0.5),
    ("meta_gradient", {"meta_batch_size": 1}, "per_life", True),
    *(("meta_gradient", {}, field, FIELDS[field].value) for field in ("lambda_low", "lambda_high")),
    *(
        ("meta_gradient", {"learn_discount": False, "learn_lambda": True}, field, value)
        for field, value in (("discount_low", 0.5), ("discount_high", 0.95))
    ),
    *(
        ("hindsight_maml", NO_GUIDANCE, field, FIELDS[field].value)
        for field in (
            "guidance.updates",
            "guidance.num_similar",
            "guidance.min_similarity",
            "guidance.importance_weights",
        )
    ),
    ("hindsight_maml", NO_GUIDANCE, "guidance.importance_clip", 1.0),
    ("hindsight_maml", NO_GUIDANCE, "guidance.min_effective_share", 1.0),
    ("hindsight_maml", {"guidance.importance_weights": "none"}, "guidance.importance_clip", 1.0),
    (
        "hindsight_relabelling",
        {"guidance.importance_weights": "none"},
        "guidance.min_effective_share",
        1.0,
    ),
    ("hindsight_relabelling", {}, "guidance.share", 0.3),
    ("hindsight_maml", {}, "saved_episodes", 5),
    ("mlsh", {"num_options": 1}, "random_choices", 0.9),
    ("mlsh", {"inner_updates": 1, "warm_up": 0}, "groups", 2),
    *(("mil", {}, field, FIELDS[field].value) for field in ("pose_weight", "network.loss_head")),
    *(("mil", TWO_HEADS, f"network.temporal_{field}", 3) for field in ("filters", "width")),
    ("mil", {"network.bias_transform": 0}, "network.bias_transform_layers", "all"),
    ("mil", {"network.object_layers": 0, "network.object_units": 64}, "network.object_units", 4),
    ("recurrent_cloning", {}, "attention_units", 5),
    ("caml", {"choice.include_initial_weights": False}, "choice.min_transfer", 100.0),
    ("caml", {"inner_optimizer": "sgd"}, "keep_optimizer_state", False),
    ("caml", {"num_medoids": 1}, "assignment", "random"),
    ("caml", {"num_medoids": 1}, "choice.rule", "round_robin_mean"),
    ("caml", {"divergence.metric": "parameters", **ONCE}, "divergence.bandwidth", "1.0"),
    ("caml", {"divergence.metric": "random", **ONCE}, "divergence.weight", "uniform"),
    ("caml", {"divergence.metric": "task", **ONCE}, "divergence.form", "hellinger"),
    ("caml", {"divergence.metric": "parameters", **ONCE}, "divergence.num_states", 20),
    ("caml", {"divergence.metric": "task", **ONCE}, "divergence.time_indexed", True),
]
REFUSED = [(*x[:1], {}, x[1], entry(*x).value) for x in CASES if isinstance(entry(*x), Refused)]


def clean(name, company):
    """Settings beside which a field of that company is refused, and nothing else is."""
    trpo = company.get("outer.optimizer") == "trpo"
    return {**settings_of(name), **({"outer.learning_rate": 1e-3} if trpo else {}), **company}


@pytest.mark.parametrize("name, company, field, value", IN_COMPANY)
def test_what_cannot_act_in_company_is_refused(name, company, field, value):
    config_of(name, clean(name, company))
    refused(name, {**clean(name, company), field: value}, field)


# What nothing reads, and what numbers of another size would be made of, is not tried.
UNREAD = ("inner_optimizer", "outer.fisher_subsample", "inner_estimator", "num_iterations")
UNREAD = (*UNREAD, "outer.optimizer")
OF_ANOTHER_SIZE = [("rl2", "inner_updates")]  # would play episodes that are not learned from
# A head that is not learned would judge the demonstrations.
NOT_LEARNED = [("cloning", "demonstrations.shown"), ("cloning", "network.two_heads")]


def can_be_tried(name, field):
    """Whether a refused field can be written past the checks of the config."""
    left_out = [*OF_ANOTHER_SIZE, *NOT_LEARNED]
    return field not in (*UNREAD, "meta_batch_size") and (name, field) not in left_out


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, company, field, value",
    [*IN_COMPANY, *(case for case in REFUSED if can_be_tried(case[0], case[2]))],
)
def test_what_is_refused_changes_no_number(name, company, field, value):
    """Written past the checks of the config."""
    assert not changes_a_number(name, clean(name, company), {}, {field: value})


AFTER = {  # name of a learner -> fields that act in adaptation steps only
    **dict.fromkeys(LEARNERS, ("test_episodes_per_update",)),
    **dict.fromkeys(homes.FEW_SHOT, ()),
    "pretrained_classification": ("inner_learning_rate",),
    "cloning": ("inner_learning_rate", "clip", "test_episodes_per_update"),
    "pretrained": ("inner_learning_rate", "inner_estimator", "later_step_scale"),
    "oracle": ("inner_learning_rate", "inner_updates"),
    "natural_policy_gradient": ("inner_learning_rate", "test_episodes_per_update"),
    "latent_space": ("latent_learning_rate", "latent_gradient", "inner_updates"),
    "pretrained_regression": ("inner_learning_rate", "test_episodes_per_update"),
    "hindsight_maml": ("guidance.share", "guidance.importance_clip", "guidance.min_similarity"),
    "random": ("advantage.discount", "inner_optimizer", "episodes_per_update"),
}


@pytest.mark.parametrize(
    "name, field", [(n, field) for n, names in AFTER.items() for field in names]
)
def test_settings_of_adaptation_are_refused_where_there_is_none(name, field):
    value = FIELDS[field].value
    config = config_of(name, {field: value})
    config.check_steps(10)
    with pytest.raises(ConfigError, match=f"expected {field} to be left at .*={value!r}"):
        config.check_steps(0)
    LEARNERS[name].Config().check_steps(0)


@pytest.mark.parametrize("name", ["maml", "meta_sgd", "promp", "maesn", "maml_regression"])
def test_shorter_steps_are_refused_where_no_further_step_is_taken(name):
    config = LEARNERS[name].Config(inner_updates=2, later_step_scale=0.25)
    config.check_steps(3)
    with pytest.raises(
        ConfigError, match=r"later_step_scale .* only in steps beyond inner_updates=2"
    ):
        config.check_steps(2)


@pytest.mark.parametrize("name", ["maesn", "latent_space"])
def test_shorter_and_shorter_steps_are_refused_where_there_is_but_one(name):
    config = LEARNERS[name].Config(inner_updates=2, later_step_rule="once")
    config.check_steps(4)
    with pytest.raises(ConfigError, match=r"later_step_rule .* only in more than 3 steps on a new"):
        config.check_steps(3)
