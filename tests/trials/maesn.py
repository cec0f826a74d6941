"""MAESN: explore by a latent that is drawn once per episode from what is adapted to the task.

A. Gupta, R. Mendonca, Y. Liu, P. Abbeel, S. Levine, "Meta-reinforcement learning of structured
exploration strategies", NeurIPS 2018, Algorithm 1. Every training task i keeps mu_i, log sigma_i;

    z ~ N(mu_i, sigma_i) once per episode       a ~ pi_theta(. | s, z)
    omega_i' = omega_i - a o grad_omega L_i     L_i = - mean_k log N(z_k; mu_i, sigma_i) A_k
    theta_i' = theta - b o grad_theta L_i       L_i = - mean log pi_theta(a | s, z) A

and the outer step (TRPO) lowers the loss of the adapted policies, in which z' = mu' + sigma'
epsilon, plus w KL(N(mu_i, sigma_i) || N(0, I)), over theta, all mu_i and log sigma_i and the step
sizes a, b. A new task starts at the prior N(0, I).

Differences from the paper: theta is adapted only with `adapt_network` (the released code: never);
mu_i and log sigma_i then descend both losses, the second through z = mu_i + sigma_i epsilon.
"""

import dataclasses

import tensorflow as tf

from tests.trials.latent_policy import latent_mlp_policy
from tfcaml import keys, losses, nest
from tfcaml.advantages import baselines
from tfcaml.errors import check, check_positive
from tfcaml.learners.gradient_based import GradientConfig, GradientLearner
from tfcaml.optimization.config import OuterConfig
from tfcaml.types import FastState


@dataclasses.dataclass(frozen=True)
class MAESNConfig(GradientConfig):
    """Settings of MAESN; "code" is the authors' launchers."""

    num_training_tasks: int = 100  # S, rows of the tables (code: 100)
    latent_size: int = 2  # d (code: 2)
    latent_learning_rate: float = 1.0  # initial step size of mu and log sigma (code: 0.5 or 1)
    kl_weight: float = 0.1  # w (code: 0.1 or 0.5)
    adapt_network: bool = False  # adapt theta too, with a step size per weight
    # Of all tasks: the rows of those left out would have no curvature.
    outer: OuterConfig = OuterConfig(fisher_subsample=0)

    def __post_init__(self):
        super().__post_init__()
        check(self.kl_weight >= 0, "kl_weight", self.kl_weight, ">= 0")
        tasks = self.outer.fisher_subsample
        check(tasks == 0, "outer.fisher_subsample", tasks, "0")
        check_positive(
            num_training_tasks=self.num_training_tasks,
            latent_size=self.latent_size,
            latent_learning_rate=self.latent_learning_rate,
        )


class LatentLoss(losses.SurrogateLoss):
    """Scores the latents of the support by what their episodes earned; theirs is its `start`."""

    outer_optimizers = ("trpo",)  # Adam's momentum would move the rows of tasks that are absent

    def experience(self, meta, params, trajectory):
        episodes, noise = trajectory.mask.shape[1], trajectory.episode_noise
        latent = self.policy.initial_memory(params, episodes, noise)
        return super().experience(
            meta, params, trajectory._replace(start=nest.stop_gradient(latent))
        )

    def inner(self, meta, params, support):
        credit = baselines.standardized(support.weight[:, :, 0])
        loss = -tf.reduce_mean(log_density(params, support.trajectory.start) * credit, axis=1)
        if not self.config.adapt_network:
            return loss
        # Of z = mu + sigma epsilon, so that mu and log sigma are moved by this part as well.
        drawn = support._replace(trajectory=support.trajectory._replace(start=()))
        return loss + super().inner(meta, params, drawn)


class MAESN(GradientLearner):
    """meta = {"network": theta, "latent": {"mu", "log_sigma"} [S, d], "rates": a, b}."""

    Config = MAESNConfig
    Loss = LatentLoss

    @classmethod
    def make_policy(cls, environment, config, **options):
        return latent_mlp_policy(environment, config.latent_size, **options)

    def init(self, seed):
        config, network = self.config, self.policy.init(seed)["network"]
        shape = [config.num_training_tasks, config.latent_size]
        mu = tf.random.stateless_normal(shape, keys.fold(keys.from_int(seed), 1))
        latent = {"mu": mu, "log_sigma": tf.zeros(shape)}
        rates = nest.map(lambda x: config.latent_learning_rate * tf.ones_like(x[0]), latent)
        if config.adapt_network:
            alpha = config.inner_learning_rate
            rates["network"] = nest.map(lambda x: alpha * tf.ones_like(x), network)
        return {"network": network, "latent": latent, "rates": rates}

    def training_tasks(self, population, key):
        size = 0 if population.draw else nest.leading(population.train)
        rule = f"{size}, the training tasks that the family keeps"
        num = self.config.num_training_tasks
        check(size == num, "num_training_tasks", num, rule)
        return super().training_tasks(population, key)

    def start(self, meta, num_tasks, key=()):
        return self.fast(meta, nest.repeat(nest.map(lambda x: 0 * x[0], meta["latent"]), num_tasks))

    def resume(self, meta, num_tasks, index, key=()):
        return self.fast(meta, nest.take(meta["latent"], index))

    def fast(self, meta, latent):
        """`FastState` of {"mu", "log_sigma"} [N, d]."""
        num_tasks = nest.leading(latent)
        if self.config.adapt_network:
            latent = {"network": nest.repeat(meta["network"], num_tasks), **latent}
        return FastState(latent, tf.zeros([num_tasks]))

    def acting(self, meta, fast):
        network = nest.repeat(meta["network"], nest.leading(fast.params))
        return {"network": network, **fast.params}

    def adapt(self, meta, fast, support):
        return self.descend(fast, self.inner_gradient(meta, fast, support), meta["rates"])

    def objective(self, meta, batch):
        start = self.begin(meta, nest.leading(batch), batch.index)
        result = self.surrogate(meta, self.readapt(meta, batch), batch.query)
        penalty = self.config.kl_weight * divergence_from_prior(start.params)
        return result._replace(loss=result.loss + penalty)


def log_density(latent, z):
    """log N(z; mu, sigma) without its constant: z [N, E, d] -> [N, E]."""
    log_sigma = latent["log_sigma"][:, None]
    deviation = (z - latent["mu"][:, None]) * tf.exp(-log_sigma)
    return -tf.reduce_sum(deviation**2 / 2 + log_sigma, axis=-1)


def divergence_from_prior(latent):
    """KL(N(mu, sigma) || N(0, I)), [N]."""
    mu, log_sigma = latent["mu"], latent["log_sigma"]
    return tf.reduce_sum((tf.exp(2 * log_sigma) + mu**2 - 1) / 2 - log_sigma, axis=-1)
