"""Losses: (policy, params, trajectory, ...) -> [N], one number per task."""

from tfcaml.losses.estimators import (
    ESTIMATORS,
    dice,
    likelihood_ratio,
    loaded_dice,
    log_likelihood,
)
from tfcaml.losses.imitation import BehaviourCloning
from tfcaml.losses.importance import (
    IMPORTANCE_WEIGHTS,
    effective_sample_share,
    importance_weighted,
    per_decision_weights,
    per_step_weights,
    unit_weights,
)
from tfcaml.losses.learned import LossNetwork
from tfcaml.losses.policy_gradient import (
    action_distribution,
    action_log_prob,
    mean_over_steps,
    policy_gradient,
)
from tfcaml.losses.supervised import CrossEntropy, MeanSquaredError, cross_entropy
from tfcaml.losses.surrogate import (
    clipped_surrogate,
    mean_kl,
    probability_ratio,
    surrogate,
)
from tfcaml.losses.task_loss import PolicyGradientLoss, SurrogateLoss, TaskLoss

__all__ = [
    "BehaviourCloning",
    "CrossEntropy",
    "LossNetwork",
    "MeanSquaredError",
    "PolicyGradientLoss",
    "SurrogateLoss",
    "TaskLoss",
    "ESTIMATORS",
    "IMPORTANCE_WEIGHTS",
    "action_distribution",
    "action_log_prob",
    "clipped_surrogate",
    "cross_entropy",
    "dice",
    "effective_sample_share",
    "importance_weighted",
    "likelihood_ratio",
    "loaded_dice",
    "log_likelihood",
    "mean_kl",
    "mean_over_steps",
    "per_decision_weights",
    "per_step_weights",
    "policy_gradient",
    "probability_ratio",
    "surrogate",
    "unit_weights",
]
