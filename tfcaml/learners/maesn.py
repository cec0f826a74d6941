"""MAESN: explore by a latent that is drawn once per episode from what is adapted to the task.

A. Gupta, R. Mendonca, Y. Liu, P. Abbeel, S. Levine, "Meta-reinforcement learning of structured
exploration strategies", NeurIPS 2018, Algorithm 1. Each training task i keeps mu_i and log sigma_i,

    z ~ N(mu_i, sigma_i)  once per episode        a ~ pi_theta(. | s, z)

The inner step moves them, and theta, along gradients of the expected return,

    omega_i' = omega_i - a o grad_omega L_i       omega = (mu, log sigma)
    theta_i' = theta - b o grad_theta L_i         L_i = - mean log pi_theta(a | s, z) A

and the outer step, by TRPO, lowers the loss of the adapted policies, in which z' = mu_i' + sigma_i'
epsilon, plus w KL(N(mu_i, sigma_i) || N(0, I)), over theta, all mu_i and log sigma_i and the step
sizes a and b. A new task starts at the prior N(0, I). The gradient in omega is one of

    likelihood_ratio   L_i = - mean_k log N(z_k; mu_i, sigma_i) A_k,  A_k of an episode's first step
    reparameterized    L_i as of theta, through z = mu_i + sigma_i epsilon

LatentSpace, the paper's baseline, has the same policy and the same latents and trains without an
inner step; its step size on a new task is one number that is not learned.

Differences from the paper:
  - Theta is adapted with `adapt_network=True` only. The authors' code never does.
  - A_k is standardised over a task's episodes, as in that code.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from tfcaml import keys, losses, nest, settings
from tfcaml.advantages import baselines
from tfcaml.errors import check, check_acts, check_one_of, check_positive
from tfcaml.learners.gradient_based import GradientConfig, NoInnerStepsConfig
from tfcaml.learners.maml import MAML
from tfcaml.optimization.config import OuterConfig
from tfcaml.policies import LatentPolicy, check_contextual, contextual_mlp
from tfcaml.types import Experience, FastState, MetaBatch, Nest, Params, Surrogate, Task, Trajectory

if TYPE_CHECKING:
    from tfcaml.environments.base import Population, TaskFamily
    from tfcaml.policies.base import Policy

# How the gradient in mu and log sigma is estimated, by name.
LATENT_GRADIENTS = ("likelihood_ratio", "reparameterized")
# What steps beyond those that were trained are multiplied by: `later_step_scale` once, or once more
# in each of them.
LATER_STEP_RULES = ("once", "cumulative")


@settings.checked
@dataclasses.dataclass(frozen=True)
class LatentOuterConfig(OuterConfig):
    """Outer steps that move a row for each training task.

    Attributes:
      fisher_subsample: Most tasks whose curvature is used; only 0, all of them, is allowed. Unit:
        tasks. Source: tfcaml; rows of the others would have no curvature.
    """

    fisher_subsample: int = 0


@settings.checked
@dataclasses.dataclass(frozen=True)
class MAESNConfig(GradientConfig):
    """Settings of MAESN; "code" is the authors' launchers.

    Attributes:
      episodes_per_update: Episodes of each task, before and after each inner step. Source: MAESN's
        code: 20 or 50.
      inner_learning_rate: What the learned step size of every weight of the network starts at, with
        `adapt_network`. Source: tfcaml, MAML's.
      num_training_tasks: S, the training tasks of the family, each of which keeps a latent
        distribution. Unit: tasks. Source: MAESN's code: 100.
      latent_size: d, numbers of the latent z. Source: MAESN's code: 2.
      latent_learning_rate: What the learned step sizes of mu and log sigma start at. Source:
        MAESN's code: 0.5 or 1.
      latent_gradient: How the gradient in mu and log sigma is estimated: "likelihood_ratio" or
        "reparameterized". Source: MAESN's code: likelihood_ratio.
      adapt_network: Whether inner steps move the weights of the network too, each with a learned
        step size. Source: MAESN's code: False; its paper, Algorithm 1: True.
      kl_weight: w, the weight of the divergence of the latents before adaptation from the prior.
        Source: MAESN's code: 0.1 or 0.5.
      later_step_rule: Whether steps beyond the `inner_updates` trained are shortened "once", all
        alike, or are "cumulative", each shorter than the one before. Source: MAESN's code can be
        read as either.
      outer: The outer step; only "trpo" is allowed, as the momentum of Adam would move the rows of
        tasks that are not in the batch. Source: MAESN paper, Algorithm 1.
    """

    num_training_tasks: int = 100
    latent_size: int = 2
    latent_learning_rate: float = 1.0
    latent_gradient: str = "likelihood_ratio"
    adapt_network: bool = False
    kl_weight: float = 0.1
    later_step_rule: str = "cumulative"
    outer: OuterConfig = LatentOuterConfig()

    def __post_init__(self) -> None:
        super().__post_init__()
        check_one_of("latent_gradient", self.latent_gradient, LATENT_GRADIENTS)
        check_one_of("later_step_rule", self.later_step_rule, LATER_STEP_RULES)
        check_positive(latent_learning_rate=self.latent_learning_rate)
        check(self.kl_weight >= 0, "kl_weight", self.kl_weight, ">= 0")
        for name in ("num_training_tasks", "latent_size"):
            check(getattr(self, name) >= 1, name, getattr(self, name), ">= 1")
        optimizer, tasks = self.outer.optimizer, self.outer.fisher_subsample
        check(optimizer == "trpo", "outer.optimizer", optimizer, "trpo")
        check(
            tasks == 0,
            "outer.fisher_subsample",
            tasks,
            "0: every row needs the curvature of its task",
        )
        adapts = self.adapt_network
        check_acts(self, ("inner_learning_rate",), adapts, "with adapt_network=True")
        where = "with adapt_network=True or latent_gradient=reparameterized"
        of_actions = adapts or self.latent_gradient == "reparameterized"
        check_acts(self, ("inner_estimator",), of_actions, where)
        shortened = self.later_step_scale != 1
        check_acts(self, ("later_step_rule",), shortened, "with later_step_scale != 1")

    def check_steps(self, num_updates: int) -> None:
        super().check_steps(num_updates)
        least = self.inner_updates + 1
        where = f"in more than {least} steps on a new task, not in {num_updates}"
        check_acts(self, ("later_step_rule",), num_updates > least, where)


@settings.checked
@dataclasses.dataclass(frozen=True)
class LatentSpaceConfig(MAESNConfig, NoInnerStepsConfig):
    """Settings of LatentSpace; those of inner steps matter on new tasks only.

    Attributes:
      inner_learning_rate: The step size of the network's weights, with `adapt_network`. Source:
        tfcaml, MAML's.
      latent_learning_rate: The step size of mu and log sigma. Source: MAESN's code: 1.
      adapt_network: Whether steps move the weights of the network too. Source: MAESN's code: False.
    """

    def check_steps(self, num_updates: int) -> None:
        super().check_steps(num_updates)
        fields = ("latent_learning_rate", "latent_gradient", "adapt_network")
        check_acts(self, fields, num_updates > 0, "where new tasks are adapted to")


class LatentLoss(losses.SurrogateLoss):
    """Within: of latents by what their episodes earned. z is the `start` of the support, a number.

    `Experience.extra` is A_k, [N, E].
    """

    policy: LatentPolicy

    def experience(self, meta: Nest, params: Params, trajectory: Trajectory) -> Experience:
        num_episodes, noise = trajectory.mask.shape[1], trajectory.episode_noise
        latent = nest.stop_gradient(self.policy.initial_memory(params, num_episodes, noise))
        found = super().experience(meta, params, trajectory._replace(start=latent))
        credit = baselines.standardized(self.advantage(trajectory)[:, :, 0])
        return found._replace(extra=credit)

    def inner(self, meta: Nest, params: Params, support: Experience) -> tf.Tensor:
        trajectory = support.trajectory
        if self.config.latent_gradient == "reparameterized":  # z follows mu and sigma
            return super().inner(
                meta, params, support._replace(trajectory=trajectory._replace(start=()))
            )
        score = log_density(params, trajectory.start)
        loss = -tf.reduce_mean(score * support.extra, axis=1)
        if self.config.adapt_network:
            loss += super().inner(meta, params, support)
        return loss


class MAESN(MAML):
    """meta = {"params": theta, "latent": {"mu", "log_sigma"} [S, d], "rates": a and b}.

    `FastState.params` holds mu and log sigma of each task and, with `adapt_network`, its theta.

    Raises:
      ConfigError: a policy that is no `LatentPolicy` with a latent of `latent_size` numbers; a
        `loss` of another kind; or, in training, a family that has not `num_training_tasks`.
    """

    Config: type = MAESNConfig
    Loss = LatentLoss
    config: MAESNConfig
    policy: LatentPolicy
    evolves = False

    @classmethod
    def make_policy(
        cls,
        environment: TaskFamily,
        config: Any,
        fc_layer_params: Sequence[int] = (100, 100),
        activation: str = "tanh",
    ) -> Policy:
        """An MLP of the observation and the latent."""
        specs = environment.observation_spec, environment.action_spec
        return contextual_mlp(LatentPolicy, *specs, config.latent_size, fc_layer_params, activation)

    def setup(self) -> None:
        super().setup()
        check_contextual(self.policy, LatentPolicy, "latent_size", self.config.latent_size)
        check(isinstance(self.loss, LatentLoss), "loss", self.loss, "left out, or a LatentLoss")

    def init(self, seed: int) -> Nest:
        config, params = self.config, self.policy.init(seed)["policy"]
        shape = [config.num_training_tasks, config.latent_size]
        key = keys.fold(keys.from_int(seed), keys.LATENT)
        mu = tf.random.stateless_normal(shape, key, dtype=self.policy.dtype)
        latent = {"mu": mu, "log_sigma": tf.zeros_like(mu)}
        rates = nest.map(lambda x: config.latent_learning_rate * tf.ones_like(x[0]), latent)
        if config.adapt_network:
            rates["policy"] = nest.map(
                lambda x: config.inner_learning_rate * tf.ones_like(x), params
            )
        return {"params": params, "latent": latent, "rates": rates}

    def training_tasks(
        self, population: Population, key: tf.Tensor
    ) -> tuple[Task, tf.Tensor | tuple[()]]:
        size = nest.leading(population.train) if population.draw is None else 0
        num = self.config.num_training_tasks
        rule = f"{size}, the training tasks of the family"
        if not size:
            rule = "left to a family of finitely many training tasks, as each keeps its latents"
        check(size == num, "num_training_tasks", num, rule)
        return super().training_tasks(population, key)

    def start(self, meta: Nest, num_tasks: int, key: tf.Tensor | tuple[()] = ()) -> FastState:
        """New tasks, at the prior."""
        prior = nest.map(lambda x: tf.zeros([num_tasks, x.shape[1]], x.dtype), meta["latent"])
        return self._fast(meta, prior, num_tasks)

    def resume(
        self,
        meta: Nest,
        num_tasks: int,
        index: tf.Tensor | tuple[()],
        key: tf.Tensor | tuple[()] = (),
    ) -> FastState:
        """Training tasks, at their own rows."""
        return self._fast(meta, nest.take(meta["latent"], index), num_tasks)

    def acting(self, meta: Nest, fast: FastState) -> Params:
        num_tasks = nest.num_rows(fast.params)
        return {"policy": nest.repeat(meta["params"], num_tasks), **fast.params}

    def rates(self, meta: Nest, gradients: Nest) -> Nest:
        return meta["rates"]

    def step_scale(self, num_steps: tf.Tensor) -> tf.Tensor:
        """Beyond those trained, by `later_step_rule`."""
        later = tf.maximum(num_steps + 1 - self.config.inner_updates, 0)
        if self.config.later_step_rule == "once":
            later = tf.minimum(later, 1)
        return self.config.later_step_scale**later

    def objective(self, meta: Nest, batch: MetaBatch) -> Surrogate:
        result = super().objective(meta, batch)
        before = self.begin(meta, batch.query.weight.shape[0], batch.index)
        penalty = divergence_from_prior(before.params)
        return result._replace(loss=result.loss + self.config.kl_weight * penalty)

    def _fast(self, meta: Nest, latent: dict[str, tf.Tensor], num_tasks: int) -> FastState:
        if self.config.adapt_network:
            latent = {**latent, "policy": nest.repeat(meta["params"], num_tasks)}
        return FastState(latent, tf.zeros([num_tasks]))


class LatentSpace(MAESN):
    """meta = {"params": theta, "latent": {"mu", "log_sigma"} [S, d]}."""

    Config = LatentSpaceConfig
    config: LatentSpaceConfig

    @property
    def episodes_per_iteration(self) -> int:
        return self.config.meta_batch_size * self.config.episodes_per_update

    def init(self, seed: int) -> Nest:
        meta = super().init(seed)
        return {name: meta[name] for name in ("params", "latent")}

    def rates(self, meta: Nest, gradients: Nest) -> Nest:
        network, latent = self.config.inner_learning_rate, self.config.latent_learning_rate
        rate = {"mu": latent, "log_sigma": latent, "policy": network}
        return {name: nest.map(lambda _, x=rate[name]: x, part) for name, part in gradients.items()}

    def collect(
        self, meta: Nest, task: Task, key: tf.Tensor, index: tf.Tensor | tuple[()] = ()
    ) -> MetaBatch:
        fast = self.begin(meta, nest.leading(task), index)
        trajectory = self.sample(
            self.acting(meta, fast), task, self.config.episodes_per_update, key
        )
        return MetaBatch((), self.query_experience(meta, fast, trajectory), (), index)


def log_density(latent: dict[str, tf.Tensor], z: tf.Tensor) -> tf.Tensor:
    """log N(z; mu, sigma) without its constant: mu and log_sigma [N, d], z [N, E, d] -> [N, E]."""
    log_sigma = latent["log_sigma"][:, None]
    deviation = (z - latent["mu"][:, None]) * tf.exp(-log_sigma)
    return -tf.reduce_sum(deviation**2 / 2 + log_sigma, axis=-1)


def divergence_from_prior(latent: dict[str, tf.Tensor]) -> tf.Tensor:
    """KL(N(mu, sigma) || N(0, I)) of mu and log_sigma [N, d], nats: [N]."""
    mu, log_sigma = latent["mu"], latent["log_sigma"]
    return tf.reduce_sum((tf.exp(2 * log_sigma) + mu**2 - 1) / 2 - log_sigma, axis=-1)
