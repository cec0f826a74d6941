"""Single-line mutations of the mathematical files, each with the tests that should notice it.

An entry names a file below tfcaml/, a piece of one line that occurs exactly once in the file, what
stands there instead, and the tests to run (arguments of pytest, below tests/). When a line is
rewritten, its entry is adapted or replaced: `tests/test_mutations.py` says which no longer apply.
"""

from typing import NamedTuple


class Mutation(NamedTuple):
    """file: below tfcaml/; old -> new: within a line; tests: arguments of pytest, below tests/."""

    file: str
    old: str
    new: str
    tests: str


BY_HAND = "learners/test_by_hand.py"
LOSSES = "losses/test_by_hand.py"
ESTIMATORS = "losses/test_estimators.py"
ADVANTAGES = "advantages/test_by_hand.py"
NOISE = "learners/test_noise.py"
EVERY_SEED = f"{NOISE}::test_every_batch_of_episodes_has_a_seed_of_its_own"
CAML = "learners/caml/test_learner.py"
TWO_STEPS = f"{BY_HAND}::test_several_adam_steps_of_ppo"
EARLY_STOP = "learners/test_trust_region_by_hand.py"
THE_STEP = f"{BY_HAND}::test_the_step_of_trpo"
CLUSTERING = "divergence/test_clustering.py"
ACTION_DISTANCE = "divergence/test_action_distance.py"
DENSITY = "divergence/test_density.py"
TABULAR = "divergence/test_tabular_metrics.py"
DIVERGENCE = "divergence/test_policy_divergence.py"
JENSEN_SHANNON = "divergence/test_jensen_shannon.py"
PARTICLE = "environments/native/test_particle.py"
NAVIGATION = "environments/native/test_navigation.py"
GLUCOSE = "environments/glucose/test_model.py"
ENGINE = "environments/mujoco/test_engine.py"
SIMULATION = "environments/mujoco/test_simulation.py"
TARGETS = "environments/mujoco/test_targets.py"
ACTOR_CRITIC = "learners/references/test_actor_critic.py"
META_GRADIENT = "learners/test_meta_gradient_rl.py"
EPG = "learners/test_epg.py"
MLSH = "learners/test_mlsh.py"
TWO_LEVEL = "policies/test_two_level.py"
NORMALIZED = "policies/test_normalized.py"
EVOLUTION = "optimization/test_evolution.py"
AGENT_LOSS = "agents/test_agent_loss.py"

# The first changes are those that no test of 0.1.0 noticed.
MUTATIONS = [
    Mutation(
        "learners/e_maml.py", "sampling -= batch", "sampling += batch", f"{BY_HAND} -k e_maml"
    ),
    Mutation(
        "learners/promp.py",
        "result.loss + self.config.kl_penalty * penalty",
        "result.loss - self.config.kl_penalty * penalty",
        f"{BY_HAND} -k promp",
    ),
    Mutation("optimization/trpo.py", "tf.sqrt(2 * max_kl", "tf.sqrt(0.5 * max_kl", THE_STEP),
    Mutation(
        "learners/gradient_based.py",
        "self.task_at(task, phase), keys.fold(key, phase)",
        "self.task_at(task, phase), keys.fold(key, phase // 2)",
        f"{NOISE} -k query",
    ),
    Mutation(
        "reporting/report.py",
        "math.ceil(max(m",
        "math.floor(max(m",
        "reporting/test_equal_episodes.py",
    ),
    Mutation(
        "losses/estimators.py",
        "tf.reduce_sum(box * credit, axis=[1, 2])",
        "tf.reduce_sum(box * credit * trajectory.mask, axis=[1, 2])",
        f"{ESTIMATORS} -k one_action_ends",
    ),
    Mutation(
        "learners/e_maml.py",
        "tf.reduce_mean(episode_return(trajectory), axis=1)",
        "losses.mean_over_steps(trajectory.reward, trajectory.mask)",
        f"{BY_HAND} -k e_maml",
    ),
    Mutation(
        "learners/e_maml.py",
        "baselines.standardized(mean_return)",
        "mean_return",
        f"{BY_HAND} -k e_maml",
    ),
    # Returns.
    Mutation(
        "advantages/returns.py",
        "np.where(lag >= 0, float(discount)",
        "np.where(lag > 0, float(discount)",
        f"{ADVANTAGES} -k returns",
    ),
    Mutation(
        "advantages/returns.py",
        "within + weight *",
        "within - weight *",
        "advantages/test_returns.py -k long_episodes",
    ),
    Mutation(
        "advantages/returns.py",
        "np.arange(_BLOCK, 0, -1,",
        "np.arange(_BLOCK - 1, -1, -1,",
        "advantages/test_returns.py -k long_episodes",
    ),
    Mutation(
        "advantages/returns.py",
        "discount * gae_lambda)",
        "discount)",
        f"{ADVANTAGES} -k 'test_advantage'",
    ),
    Mutation(
        "advantages/returns.py",
        "reward + discount * next_value - value",
        "reward + next_value - value",
        f"{ADVANTAGES} -k 'test_advantage'",
    ),
    Mutation(
        "advantages/returns.py", "[..., :1], reward.shape)", "[..., -1:], reward.shape)", ADVANTAGES
    ),
    Mutation(
        "advantages/returns.py", "value *= mask", "value *= 1", f"{ADVANTAGES} -k 'test_advantage'"
    ),
    Mutation(
        "advantages/returns.py",
        "steps = np.arange(reward.shape[-1], dtype",
        "steps = np.arange(1, 1 + reward.shape[-1], dtype",
        ADVANTAGES,
    ),
    # Baselines and advantages.
    Mutation(
        "advantages/baselines.py",
        "return _mean(value, mask, axis=[1, 2])",
        "return _mean(value, mask, axis=[0, 1, 2])",
        ADVANTAGES,
    ),
    Mutation(
        "advantages/baselines.py",
        "return _mean(value, mask, axis=[1])",
        "return tf.reduce_mean(value, axis=1, keepdims=True)",
        ADVANTAGES,
    ),
    Mutation("advantages/baselines.py", "ridge: float = 1e-5", "ridge: float = 1e-4", ADVANTAGES),
    Mutation("advantages/baselines.py", "-10, 10)", "-9, 9)", ADVANTAGES),
    Mutation("advantages/baselines.py", "tf.float64) / 100", "tf.float64) / 50", ADVANTAGES),
    Mutation(
        "advantages/baselines.py",
        "axis=-1) * tf.cast(mask, tf.float64)[..., None]",
        "axis=-1)",
        ADVANTAGES,
    ),
    Mutation(
        "advantages/baselines.py",
        "result -= _mean(result",
        "result -= 0 * _mean(result",
        ADVANTAGES,
    ),
    Mutation(
        "advantages/baselines.py",
        "_SMALLEST_SCALE = 1e-6",
        "_SMALLEST_SCALE = 0.0",
        "advantages/test_baselines.py -k 'equal_episodes or rounding'",
    ),
    Mutation(
        "advantages/baselines.py",
        "tf.reduce_mean(discounted, axis=1, keepdims=True)",
        "tf.reduce_mean(discounted, axis=[1, 2], keepdims=True)",
        f"{ADVANTAGES} -k credit",
    ),
    Mutation(
        "advantages/baselines.py",
        "to_go = returns.reward_to_go(credit, 1.0)",
        "to_go = returns.reward_to_go(credit, discount)",
        f"{ADVANTAGES} -k credit",
    ),
    Mutation(
        "advantages/baselines.py",
        "deviation = exact - mean(exact)",
        "deviation = exact",
        f"{ADVANTAGES} -k standardized",
    ),
    Mutation(
        "advantages/baselines.py",
        "return tf.stop_gradient(tf.cast(result * mask, dtype))",
        "return tf.cast(result * mask, dtype)",
        "advantages/test_baselines.py -k constant",
    ),
    Mutation(
        "advantages/baselines.py",
        "tf.cast(result * mask, dtype)",
        "tf.cast(result, dtype)",
        ADVANTAGES,
    ),
    Mutation(
        "advantages/baselines.py",
        "tf.sqrt(_mean(x**2, mask, axis=[1, 2]))",
        "tf.sqrt(_mean(x**2, mask, axis=[0, 1, 2]))",
        ADVANTAGES,
    ),
    # Losses.
    Mutation(
        "losses/policy_gradient.py",
        "return -mean_over_steps(log_prob * advantage",
        "return mean_over_steps(log_prob * advantage",
        f"{LOSSES} -k policy_gradient",
    ),
    Mutation(
        "losses/policy_gradient.py",
        "tf.reduce_sum(value * mask, axis=[1, 2])",
        "tf.reduce_sum(value, axis=[1, 2])",
        f"{LOSSES} -k kl",
    ),
    Mutation(
        "losses/policy_gradient.py",
        "steps = tf.reduce_sum(mask, axis=[1, 2])",
        "steps = tf.reduce_sum(mask**0, axis=[1, 2])",
        f"{LOSSES} -k kl",
    ),
    Mutation(
        "losses/estimators.py",
        "tf.exp(log_prob - trajectory.log_prob) * credit",
        "tf.exp(log_prob - tf.stop_gradient(log_prob)) * credit",
        f"{LOSSES} -k likelihood_ratio",
    ),
    Mutation(
        "losses/estimators.py",
        "(box - previous) * credit",
        "box * credit",
        f"{LOSSES} -k loaded_dice",
    ),
    Mutation(
        "losses/estimators.py",
        "tf.cumsum(log_prob, axis=-1)",
        "tf.cumsum(log_prob, axis=-1, reverse=True)",
        f"{LOSSES} -k dice",
    ),
    Mutation(
        "losses/estimators.py",
        "action_log_prob(policy, params, trajectory) * trajectory.mask",
        "action_log_prob(policy, params, trajectory)",
        f"{LOSSES} -k dice",
    ),
    Mutation(
        "losses/estimators.py",
        "tf.exp(total - tf.stop_gradient(total))",
        "tf.exp(total)",
        f"{LOSSES} -k dice",
    ),
    Mutation(
        "losses/surrogate.py",
        "-mean_over_steps(ratio * advantage, mask)",
        "-mean_over_steps(tf.math.log(ratio) * advantage, mask)",
        f"{LOSSES} -k surrogates",
    ),
    Mutation("losses/surrogate.py", "tf.minimum(", "tf.maximum(", f"{LOSSES} -k surrogates"),
    Mutation(
        "losses/surrogate.py",
        "tf.clip_by_value(ratio, 1 - clip_ratio, 1 + clip_ratio)",
        "tf.clip_by_value(ratio, 1 - clip_ratio, 1 / (1 - clip_ratio))",
        f"{LOSSES} -k surrogates",
    ),
    Mutation(
        "losses/surrogate.py",
        "old.kl_divergence(new)",
        "new.kl_divergence(old)",
        f"{LOSSES} -k mean_kl",
    ),
    Mutation(
        "losses/importance.py",
        "tf.cumsum(log_ratio * mask, axis=-1)",
        "log_ratio * mask",
        f"{LOSSES} -k importance",
    ),
    Mutation(
        "losses/importance.py",
        "alive = tf.reduce_sum(mask, axis=1, keepdims=True)",
        "alive = tf.reduce_sum(mask**0, axis=1, keepdims=True)",
        f"{LOSSES} -k importance",
    ),
    Mutation(
        "losses/importance.py",
        "divide_no_nan(total**2, squares * steps)",
        "divide_no_nan(total**2, squares * steps**2)",
        f"{LOSSES} -k importance",
    ),
    Mutation(
        "losses/importance.py",
        "tf.stop_gradient(log_prob) - trajectory.log_prob",
        "log_prob - trajectory.log_prob",
        f"{LOSSES} -k importance",
    ),
    Mutation(
        "losses/importance.py",
        "log_ratio = tf.minimum(log_ratio",
        "log_ratio = tf.maximum(log_ratio",
        f"{LOSSES} -k importance",
    ),
    # Adaptation.
    Mutation(
        "optimization/inner.py",
        "total = tf.reduce_sum(value)",
        "total = tf.reduce_mean(value)",
        f"{BY_HAND} -k later_inner",
    ),
    Mutation(
        "optimization/inner.py",
        "gradients = nest.stop_gradient(gradients)",
        "gradients = nest.map(tf.identity, gradients)",
        "optimization/test_inner.py",
    ),
    Mutation(
        "learners/gradient_based.py",
        "gradients = nest.stop_gradient(gradients)",
        "gradients = nest.map(tf.identity, gradients)",
        f"{BY_HAND} -k first_order",
    ),
    Mutation(
        "learners/gradient_based.py",
        "return p - nest",
        "return p + nest",
        f"{BY_HAND} -k later_inner",
    ),
    Mutation(
        "learners/gradient_based.py",
        "num_steps < self.config.inner_updates",
        "num_steps <= self.config.inner_updates",
        f"{BY_HAND} -k later_inner_steps",
    ),
    Mutation(
        "learners/gradient_based.py",
        "slots=fast.slots + 1)",
        "slots=fast.slots)",
        f"{BY_HAND} -k later_inner_steps",
    ),
    Mutation(
        "learners/gradient_based.py",
        '"return_after": returns[-1]',
        '"return_after": returns[0]',
        TWO_STEPS,
    ),
    Mutation(
        "losses/task_loss.py",
        'self.config.inner_estimator != "dice"',
        'self.config.inner_estimator == "dice"',
        f"{BY_HAND} -k maml",
    ),
    Mutation(
        "evaluation.py",
        "learner.adapt_to(fast, now, keys.fold(own, 1))",
        "learner.adapt_to(fast, now, keys.fold(own, 0))",
        "test_evaluation.py -k episodes_of_its_own",
    ),
    Mutation(
        "training.py",
        "learner.training_tasks(population, keys.fold(key, 0))",
        "learner.training_tasks(population, keys.from_int(seed))",
        f"{NOISE} -k its_own_tasks",
    ),
    Mutation(
        "losses/supervised.py",
        "tf.reduce_mean(squared, axis=1)",
        "tf.reduce_sum(squared, axis=1)",
        "learners/test_regression_by_hand.py",
    ),
    Mutation(
        "learners/base.py",
        "keys.fold(key, update), num",
        "keys.fold(key, 0), num",
        f"'{EVERY_SEED}[Reptile]'",
    ),
    # Learners.
    Mutation(
        "learners/meta_sgd.py",
        "alpha * tf.ones_like(p)",
        "alpha * tf.abs(p)",
        f"{BY_HAND} -k meta_sgd",
    ),
    Mutation(
        "learners/meta_sgd.py",
        'return meta["rates"]',
        'return nest.stop_gradient(meta["rates"])',
        f"{BY_HAND} -k meta_sgd",
    ),
    Mutation(
        "learners/e_maml.py",
        "losses.mean_over_steps(log_prob, trajectory.mask)",
        "tf.reduce_sum(log_prob * trajectory.mask, axis=[1, 2])",
        f"{BY_HAND} -k e_maml",
    ),
    Mutation(
        "learners/e_maml.py",
        "result.loss + weight * sampling",
        "result.loss + sampling",
        f"{BY_HAND} -k e_maml",
    ),
    Mutation("learners/promp.py", "batch.support[0])", "batch.support[-1])", f"{BY_HAND} -k promp"),
    Mutation(
        "learners/reptile.py",
        "tf.reduce_mean(phi, axis=0)",
        "tf.reduce_sum(phi, axis=0)",
        f"{BY_HAND} -k reptile",
    ),
    Mutation(
        "learners/reptile.py", "epsilon *= 1 - done", "epsilon *= done", f"{BY_HAND} -k reptile"
    ),
    Mutation(
        "learners/reptile.py",
        "optimizers.adam(self.inner_learning_rate, self.adam_beta_1)",
        "optimizers.adam(self.inner_learning_rate)",
        f"{BY_HAND} -k reptile",
    ),
    Mutation(
        "learners/caml/learner.py",
        "self.config.saved_episodes, keys.fold(key, 2))",
        "self.config.saved_episodes, keys.fold(key, 0))",
        f"'{EVERY_SEED}[CAML]'",
    ),
    Mutation(
        "learners/caml/learner.py",
        "tf.argmax(returns[:, :, 0]",
        "tf.argmin(returns[:, :, 0]",
        f"{CAML} -k best_trial",
    ),
    Mutation(
        "learners/caml/learner.py",
        "np.tile(np.arange(num_arms), num_tasks)",
        "np.repeat(np.arange(num_arms), num_tasks)",
        f"{CAML} -k best_trial_continues",
    ),
    Mutation(
        "learners/caml/learner.py",
        "return tf.reduce_mean(returns, axis=1).numpy()",
        "return -tf.reduce_mean(returns, axis=1).numpy()",
        f"{CAML} -k 'fallback or every_choice_rule'",
    ),
    Mutation(
        "learners/hindsight/maml.py",
        "weight = tf.where(enough, weight, own)",
        "weight = weight * own",
        f"{BY_HAND} -k hindsight",
    ),
    Mutation(
        "learners/hindsight/maml.py",
        "self.loss.advantage(trajectory) * tf.stop_gradient(weight)",
        "self.loss.advantage(trajectory)",
        f"{BY_HAND} -k hindsight",
    ),
    Mutation(
        "learners/hindsight/maml.py",
        "reward=trajectory.reward * mask)",
        "reward=trajectory.reward)",
        f"{BY_HAND} -k hindsight",
    ),
    Mutation(
        "learners/hindsight/maml.py",
        "1 - fast.slots / self.config.guidance.updates",
        "1 - 0 * fast.slots / self.config.guidance.updates",
        "learners/hindsight/test_maml.py -k similar_policies",
    ),
    # Optimisers.
    Mutation(
        "optimization/optimizers.py",
        "m_hat = m / (1 - beta_1**n)",
        "m_hat = m",
        "optimization/test_optimizers.py",
    ),
    Mutation(
        "optimization/optimizers.py",
        "(1 - beta_2) * g * g",
        "(1 - beta_1) * g * g",
        "optimization/test_optimizers.py",
    ),
    Mutation(
        "optimization/optimizers.py",
        "_root(v_hat) + epsilon",
        "_root(v_hat + epsilon)",
        "optimization/test_optimizers.py",
    ),
    Mutation(
        "optimization/optimizers.py",
        "tf.where(count == 0",
        "tf.where(count <= 1",
        "optimization/test_optimizers.py",
    ),
    # Outer steps.
    Mutation("optimization/trpo.py", "+ damping * vector", "+ 0 * damping * vector", THE_STEP),
    Mutation(
        "optimization/trpo.py",
        "tf.tensordot(direction, gradient - residual, 1)",
        "tf.tensordot(gradient, gradient - residual, 1)",
        EARLY_STOP,
    ),
    Mutation(
        "optimization/trpo.py", "kl <= max_kl", "kl <= 2 * max_kl", "optimization/test_trpo.py"
    ),
    Mutation(
        "optimization/trpo.py",
        "theta - length * full_step",
        "theta + length * full_step",
        THE_STEP,
    ),
    Mutation(
        "optimization/trpo.py",
        "length * ratio,",
        "length * ratio / 2,",
        "optimization/test_trpo.py",
    ),
    Mutation(
        "optimization/trpo.py",
        "next_squared / squared * p",
        "squared / next_squared * p",
        "optimization/test_trpo.py",
    ),
    Mutation(
        "optimization/trpo.py",
        "value * (size / num_tasks)",
        "value / len(sizes)",
        "learners/test_trpo.py -k part_by_part",
    ),
    Mutation("optimization/outer.py", '"kl": history[-1, 1]', '"kl": history[0, 1]', TWO_STEPS),
    Mutation(
        "optimization/outer.py",
        "losses.mean_kl(acted, result.distribution, mask)",
        "losses.mean_kl(result.distribution, acted, mask)",
        TWO_STEPS,
    ),
    # Sampling and keys.
    Mutation(
        "rollouts/sampling.py",
        "nest.where(alive, next_state, state)",
        "nest.where(alive, next_state, next_state)",
        "rollouts/test_sampling.py -k 'replay or episode_return'",
    ),
    Mutation(
        "rollouts/sampling.py",
        "alive & ~ended, steps",
        "~ended, steps",
        "rollouts/test_sampling.py -k 'replay or episode_return'",
    ),
    Mutation(
        "rollouts/sampling.py",
        "reward * living,",
        "reward,",
        "rollouts/test_sampling.py -k 'replay or episode_return'",
    ),
    Mutation(
        "rollouts/sampling.py",
        "terminated & alive",
        "terminated",
        "rollouts/test_sampling.py -k 'replay or episode_return'",
    ),
    Mutation(
        "rollouts/sampling.py",
        "action_noise[time]",
        "action_noise[0]",
        "rollouts/test_sampling.py -k numbers_of_their_own",
    ),
    Mutation(
        "rollouts/sampling.py",
        "salted(keys.STEPS)",
        "salted(keys.ACTIONS)",
        f"{NOISE} -k actions_steps_and_starts",
    ),
    Mutation(
        "keys.py",
        "tf.stack([hashes, episode]",
        "tf.stack([hashes, 0 * episode]",
        "test_keys.py -k do_not_depend",
    ),
    Mutation(
        "keys.py",
        "fold(key, task, 0)[0]",
        "fold(key, 0, 0)[0]",
        "test_keys.py -k do_not_depend",
    ),
    Mutation(
        "evaluation.py",
        "keys.fold(key, 1, update)",
        "keys.fold(key, 1, 0)",
        "test_evaluation.py -k each_measurement",
    ),
    # Bandit.
    Mutation(
        "learners/caml/bandit.py",
        "_mean(returns) + bonus",
        "_mean(returns) - bonus",
        "learners/caml/test_bandit.py",
    ),
    Mutation(
        "learners/caml/bandit.py",
        "total / tf.maximum(pulls, 1)",
        "total",
        "learners/caml/test_bandit.py",
    ),
    Mutation(
        "learners/caml/bandit.py",
        'direction="DESCENDING"',
        'direction="ASCENDING"',
        "learners/caml/test_bandit.py",
    ),
    Mutation(
        "learners/caml/bandit.py",
        "mean - fallback >= min_transfer",
        "mean >= min_transfer",
        "learners/caml/test_bandit.py",
    ),
    Mutation(
        "learners/caml/bandit.py",
        "tf.stack([tf.range(num_tasks), arm, before]",
        "tf.stack([tf.range(num_tasks), arm, 0 * before]",
        "learners/caml/test_bandit.py",
    ),
    Mutation(
        "learners/caml/learner.py",
        "trial = self.sample(nest.take(arms, arm), task, 1, episode[:, None])",
        "trial = self.sample(nest.take(arms, arm), task, 1, own[:, 0, :1])",
        f"{CAML} -k episodes_that_count",
    ),
    # Exploration, similarity, buffer.
    Mutation(
        "exploration/mixture.py",
        "(mixed - before)",
        "(mixed + 0 * before)",
        "exploration/test_mixture.py -k one_of_episodes",
    ),
    Mutation(
        "exploration/mixture.py",
        "so_far + log_share",
        "so_far",
        "exploration/test_mixture.py -k one_of_episodes",
    ),
    Mutation(
        "exploration/mixture.py",
        "others *= kappa[:, None]",
        "others *= 1",
        "exploration/test_mixture.py -k test_shares",
    ),
    Mutation(
        "exploration/mixture.py",
        "+ 0.5) / num_episodes",
        "+ 1.0) / num_episodes",
        "exploration/test_mixture.py -k few_episodes",
    ),
    Mutation(
        "exploration/vime.py",
        "variance, 2 * slope**2 / variance)",
        "variance, slope**2 / variance)",
        "exploration/test_vime.py -k gain_of_a_linear",
    ),
    Mutation(
        "exploration/vime.py",
        "tf.reduce_mean(likelihood, axis=[1, 2]) - divergence / num",
        "tf.reduce_mean(likelihood, axis=[1, 2]) - divergence",
        "exploration/test_vime.py -k variational_bound",
    ),
    Mutation(
        "exploration/vime.py",
        "_STEP**2 / 2 *",
        "_STEP**2 *",
        "exploration/test_vime.py -k gain_of_a_linear",
    ),
    Mutation(
        "exploration/vime.py",
        "tf.concat([medians[:, 1:], latest], axis=1)",
        "tf.concat([latest, medians[:, 1:]], axis=1)",
        "learners/references/test_curious.py -k reports",
    ),
    Mutation(
        "exploration/vime.py",
        "[:, -self.config.capacity :]",
        "[:, : self.config.capacity]",
        "exploration/test_vime.py -k latest_transitions",
    ),
    Mutation(
        "exploration/vime.py",
        "gain.dtype.max), axis=1)",
        "0.0), axis=1)",
        "exploration/test_vime.py -k by_the_median",
    ),
    Mutation(
        "exploration/vime.py",
        "nest.where(enough, moved, (posterior, slots))",
        "moved",
        "exploration/test_vime.py -k too_few",
    ),
    Mutation(
        "learners/references/curious.py",
        "trajectory.reward + bonus",
        "trajectory.reward",
        "learners/references/test_curious.py -k advantages",
    ),
    Mutation(
        "environments/native/mountain_car.py",
        "tf.cos(3 * place)",
        "tf.cos(2 * place)",
        "environments/native/test_mountain_car.py -k gymnasium",
    ),
    Mutation(
        "environments/native/mountain_car.py",
        "(place <= _LEFT) & (speed < 0)",
        "(place <= _LEFT) & (speed > 0)",
        "environments/native/test_mountain_car.py -k gymnasium",
    ),
    Mutation(
        "learners/hindsight/task_similarity.py",
        "logits = -tf.math.log",
        "logits = tf.math.log",
        "learners/hindsight/test_task_similarity.py -k drawn",
    ),
    Mutation(
        "learners/hindsight/task_similarity.py",
        "tf.abs(one - other)",
        "(one - other)",
        "learners/hindsight/test_task_similarity.py -k symmetric",
    ),
    Mutation(
        "learners/hindsight/task_similarity.py",
        "distance <= threshold",
        "distance < threshold",
        "learners/hindsight/test_task_similarity.py -k share",
    ),
    Mutation(
        "learners/hindsight/task_similarity.py",
        'tf.reduce_sum((rows - moments["mean"]) * mask',
        'tf.reduce_sum((rows - moments["mean"])',
        "learners/hindsight/test_task_similarity.py -k moments",
    ),
    Mutation(
        "learners/hindsight/task_similarity.py",
        "_HUBER * (error - _HUBER / 2)",
        "_HUBER * (error - _HUBER)",
        "learners/hindsight/test_task_similarity.py -k hubers",
    ),
    Mutation(
        "learners/hindsight/buffer.py",
        "mean_return > self.config.floor",
        "mean_return >= self.config.floor",
        "learners/hindsight/test_buffer.py -k failures",
    ),
    # Divergence.
    Mutation(
        "divergence/jensen_shannon.py",
        "np.where(pairs[:, 0] == pairs[:, 1], 0.5, 1.0)",
        "np.where(pairs[:, 0] == pairs[:, 1], 1.0, 1.0)",
        f"{JENSEN_SHANNON} -k matrix_is_the_function",
    ),
    Mutation(
        "divergence/jensen_shannon.py",
        "tf.exp(0.5 * log_p) - tf.exp(0.5 * log_q)",
        "tf.exp(log_p) - tf.exp(log_q)",
        f"{JENSEN_SHANNON} -k hellinger",
    ),
    Mutation(
        "divergence/action_distance.py",
        "return 0.5 * tf.reduce_sum(",
        "return tf.reduce_sum(",
        f"{ACTION_DISTANCE} -k symmetric_kl",
    ),
    Mutation(
        "divergence/action_distance.py",
        "-tf.math.log1p(0.5 *",
        "-tf.math.log1p(1.0 *",
        f"{ACTION_DISTANCE} -k known",
    ),
    Mutation(
        "divergence/action_distance.py",
        "weight / weight.sum()",
        "weight",
        f"{ACTION_DISTANCE} -k one_dimension",
    ),
    Mutation(
        "divergence/density.py",
        "log_sum - log_det[:, None]",
        "log_sum + log_det[:, None]",
        f"{DENSITY} -k scikit",
    ),
    Mutation(
        "divergence/density.py",
        "tf.maximum(count - 1, 1)",
        "tf.maximum(count, 1)",
        f"{DENSITY} -k scipy",
    ),
    Mutation(
        "divergence/density.py",
        "-2 / (dimension + 4)",
        "-1 / (dimension + 4)",
        f"{DENSITY} -k scipy",
    ),
    Mutation(
        "divergence/policy_divergence.py",
        '"inverse_density": -1.0',
        '"inverse_density": 1.0',
        f"{DIVERGENCE} -k integral_of_two",
    ),
    Mutation(
        "divergence/policy_divergence.py",
        "tf.math.log(tf.cast(num_states, log_q.dtype))",
        "0.0",
        f"{DIVERGENCE} -k integral_of_two",
    ),
    Mutation(
        "divergence/clustering.py",
        "nearest = distances[:, others].min(axis=1, initial=np.inf)",
        "nearest = distances[:, medoids].min(axis=1, initial=np.inf)",
        f"{CLUSTERING} -k optimum",
    ),
    Mutation(
        "divergence/tabular_metrics.py",
        "total_p / length_p + total_q / length_q",
        "total_p / length_q + total_q / length_p",
        TABULAR,
    ),
    Mutation(
        "divergence/tabular_metrics.py",
        "tf.minimum(cast(weight_p)",
        "tf.maximum(cast(weight_p)",
        TABULAR,
    ),
    Mutation(
        "divergence/policy_metrics.py",
        "total / along.shape[1]",
        "total",
        "divergence/test_policy_metrics.py -k trajectory_divergence",
    ),
    # Statistics and report.
    Mutation(
        "statistics.py",
        "per_seed.std(ddof=1)",
        "per_seed.std(ddof=0)",
        "test_statistics.py -k student",
    ),
    Mutation(
        "statistics.py",
        "np.sqrt(len(per_seed))",
        "np.sqrt(len(per_seed) - 1)",
        "test_statistics.py -k student",
    ),
    Mutation(
        "statistics.py",
        "cut = cells.shape[-1] // 4",
        "cut = cells.shape[-1] // 5",
        "test_middle_half.py",
    ),
    Mutation(
        "statistics.py",
        "difference.mean(axis=1)",
        "difference.mean(axis=0)",
        "test_statistics.py -k paired",
    ),
    # Environments.
    Mutation("environments/native/particle.py", "(2 * noise - 1)", "(2 * noise)", PARTICLE),
    Mutation(
        "environments/native/particle.py",
        "position, -squared_distance,",
        "position, squared_distance,",
        PARTICLE,
    ),
    Mutation(
        "environments/native/particle.py", "termination_radius**2", "termination_radius", PARTICLE
    ),
    Mutation("environments/native/particle.py", "rng.uniform(-variance", "rng.uniform(0", PARTICLE),
    Mutation(
        "environments/native/navigation.py",
        "_MAX_MOVE / config.action_range",
        "_MAX_MOVE",
        f"{NAVIGATION} -k returns",
    ),
    Mutation(
        "environments/native/navigation.py",
        "reward = -distance",
        "reward = -(distance**2)",
        f"{NAVIGATION} -k a_step",
    ),
    Mutation(
        "environments/native/navigation.py",
        "1 - distance, 0)",
        "distance, 0)",
        f"{NAVIGATION} -k sparse",
    ),
    Mutation(
        "environments/native/navigation.py",
        "tf.reduce_all(tf.abs(offset)",
        "tf.reduce_any(tf.abs(offset)",
        f"{NAVIGATION} -k 'box or a_step'",
    ),
    Mutation(
        "environments/host/cart_pole.py",
        "math.floor(i * fraction)",
        "math.ceil(i * fraction)",
        "environments/host/test_cart_pole.py -k reversed",
    ),
    Mutation(
        "environments/host/cart_pole.py",
        "environment.total_mass = environment.masspole + environment.masscart",
        "environment.total_mass = environment.masscart",
        "environments/host/test_cart_pole.py -k push",
    ),
    Mutation(
        "environments/host/cart_pole.py",
        "= environment.masspole * environment.length",
        "= environment.masspole",
        "environments/host/test_cart_pole.py -k push",
    ),
    Mutation(
        "environments/glucose/model.py",
        "(k1 + 2 * (k2 + k3) + k4) / 6",
        "(k1 + 2 * (k2 + k3) + k4) / 6.01",
        f"{GLUCOSE} -k that_of_scipy",
    ),
    Mutation(
        "environments/glucose/model.py",
        '- p["kp3"] *',
        '+ p["kp3"] *',
        f"{GLUCOSE} -k that_of_scipy",
    ),
    Mutation(
        "environments/glucose/model.py",
        'tf.maximum(x.plasma_glucose - p["ke2"], 0.0)',
        '(x.plasma_glucose - p["ke2"])',
        f"{GLUCOSE} -k that_of_scipy",
    ),
    Mutation(
        "environments/glucose/model.py",
        '0.5 * (p["kmax"] - p["kmin"])',
        '(p["kmax"] - p["kmin"])',
        f"{GLUCOSE} -k that_of_scipy",
    ),
    Mutation(
        "environments/glucose/model.py",
        "tf.where(state < 0, 0.0, change)",
        "tf.where(state < 0, change, change)",
        f"{GLUCOSE} -k overdosed",
    ),
    Mutation(
        "environments/glucose/risk.py",
        "** 1.084 - 5.381",
        "** 1.084 - 5.3",
        "environments/glucose/test_measures.py -k formula",
    ),
    Mutation(
        "environments/native/maze.py",
        "exclusive=True",
        "exclusive=False",
        "environments/native/test_maze.py -k relabelled",
    ),
    Mutation(
        "environments/supervised/sinusoid.py",
        'tf.sin(x - task["phase"]',
        'tf.sin(x + task["phase"]',
        "environments/supervised/test_sinusoid.py",
    ),
    # Losses of agents.
    Mutation(
        "agents/agent_loss.py",
        "weights=mask / tf.reduce_mean(mask)",
        "weights=mask",
        f"{AGENT_LOSS} -k 'ppo_loss or padding'",
    ),
    Mutation(
        "agents/agent_loss.py",
        "tf.reduce_sum(exact * valid) / steps) * valid",
        "tf.reduce_sum(exact * valid) / steps)",
        f"{AGENT_LOSS} -k 'hand_made_batch or one_padded_step'",
    ),
    Mutation(
        "agents/agent_loss.py", "value[..., :-1]", "value[..., 1:]", "agents/test_value_clipping.py"
    ),
    # What learners and families have in common since they share a contract.
    Mutation(
        "programs.py",
        "rows = [(node.op, [place(x) for x in node.input], of_all(node.attr)) for node in nodes]",
        "rows = [(node.op, [place(x) for x in node.input]) for node in nodes]",
        "test_programs.py -k apart",
    ),
    Mutation(
        "programs.py",
        "return [i for i, x in enumerate(graph.inputs) if x.consumers()]",
        "return [i for i, x in enumerate(graph.inputs)][:1]",
        "test_programs.py -k 'share or captured or unused'",
    ),
    Mutation(
        "programs.py",
        "traced.captured_inputs])",
        "traced.captured_inputs[::-1]])",
        "test_programs.py",
    ),
    Mutation(
        "environments/base.py",
        "np.flatnonzero(~np.isin(self.test_set, self.seen_sets))",
        "np.flatnonzero(np.isin(self.test_set, self.seen_sets))",
        "environments/test_base.py",
    ),
    Mutation(
        "reporting/report.py",
        'np.asarray(run["test_set"]) == name for run in runs',
        'np.asarray(run["test_set"]) != name for run in runs',
        "reporting/test_report.py -k named",
    ),
    Mutation(
        "learners/caml/learner.py",
        "tf.stack([arm, before], axis=1), batch_dims=1)",
        "tf.stack([arm, 0 * before], axis=1), batch_dims=1)",
        f"{CAML} -k 'trial or choose or bandit or episodes'",
    ),
    Mutation(
        "optimization/partition.py",
        "own[i] if i in own else",
        "nest.repeat(leaf, num_tasks) if i in own else",
        "optimization/test_partition.py",
    ),
    Mutation(
        "learners/tesp.py",
        "nest.expand(filled, g) * g",
        "g",
        "learners/test_tesp.py -k adapted_policy",
    ),
    Mutation(
        "learners/tesp.py",
        "tf.where(played, score, told.dtype.min)",
        "score",
        "learners/test_tesp.py -k no_step",
    ),
    Mutation(
        "learners/adapt_sv.py",
        "tf.clip_by_value(alpha, -bound, bound)",
        "alpha",
        "learners/test_tesp_by_hand.py -k adapt_sv",
    ),
    Mutation(
        "learners/adapt_sv.py",
        'nest.map(tf.add, fast.memory["gradients"], gradients)',
        "gradients",
        "learners/test_tesp_by_hand.py -k adapt_sv",
    ),
    Mutation(
        "policies/sequence_encoder.py",
        "tf.where(valid[time], tf.ensure_shape(moved, shape), hidden)",
        "tf.ensure_shape(moved, shape)",
        "policies/test_sequence_encoder.py",
    ),
    Mutation(
        "optimization/outer.py",
        "(kl < keep_below_kl)",
        "(kl < 2 * keep_below_kl)",
        "optimization/test_outer.py",
    ),
    Mutation(
        "learners/cavia.py",
        "tf.zeros([num_tasks, self",
        "tf.ones([num_tasks, self",
        "learners/test_cavia.py",
    ),
    Mutation(
        "learners/maesn.py",
        'nest.take(meta["latent"], index)',
        'nest.take(meta["latent"], tf.sort(index))',
        "learners/test_maesn.py -k 'inner_step or start_at'",
    ),
    Mutation(
        "learners/maesn.py",
        "deviation**2 / 2 + log_sigma",
        "deviation**2 / 2 - log_sigma",
        "learners/test_maesn.py -k densities",
    ),
    Mutation(
        "learners/maesn.py",
        "trajectory._replace(start=latent))",
        "trajectory)",
        "learners/test_maesn.py -k 'inner_step or know'",
    ),
    Mutation(
        "learners/maesn.py",
        "later = tf.minimum(later, 1)",
        "later = tf.minimum(later, 2)",
        "learners/test_maesn.py -k shortened",
    ),
    Mutation(
        "learners/rl2.py",
        "return episode + 1, after, arrays",
        "return episode + 1, fast, arrays",
        "learners/test_rl2.py -k unrolled",
    ),
    Mutation(
        "learners/rl2.py",
        "loss -= self.config.entropy_weight",
        "loss += self.config.entropy_weight",
        "learners/test_rl2.py -k entropy",
    ),
    Mutation(
        "learners/rl2.py",
        "critic=(value, tf.zeros_like(value[..., 0])),",
        "critic=(value, value[..., -1]),",
        "learners/test_rl2.py -k advantages",
    ),
    Mutation(
        "learners/rl2.py",
        "if of_all else self.config.trials_per_task",
        "if of_all else 1",
        "learners/test_rl2.py -k advantages",
    ),
    Mutation(
        "optimization/config.py",
        "clip = self.max_grad_norm or None",
        "clip = None",
        "learners/test_rl2.py -k scaled",
    ),
    Mutation(
        "optimization/config.py",
        "decay = num_iterations * num_steps if",
        "decay = num_iterations if",
        "optimization/test_outer.py -k config",
    ),
    Mutation(
        "optimization/optimizers.py",
        "left = tf.maximum(1 - (n - 1) / decay_steps, 0)",
        "left = tf.maximum(1 - n / decay_steps, 0)",
        "optimization/test_outer.py -k falls",
    ),
    Mutation(
        "policies/cells.py",
        '"lstm": [-kept, kept, zeros, zeros]',
        '"lstm": [kept, -kept, zeros, zeros]',
        "policies/test_cells.py",
    ),
    Mutation(
        "policies/cells.py",
        '"gru": [kept, zeros, zeros]',
        '"gru": [-kept, zeros, zeros]',
        "policies/test_cells.py",
    ),
    Mutation(
        "optimization/outer.py",
        "gradients, _ = tf.clip_by_global_norm(gradients, max_grad_norm)",
        "gradients = [tf.clip_by_norm(g, max_grad_norm) for g in gradients]",
        "optimization/test_outer.py -k long_gradient",
    ),
    Mutation(
        "policies/trial.py",
        "parts = action, reward[..., None], ended[..., None]",
        "parts = action, reward[..., None], 0 * tf.cast(ended, self.dtype)[..., None]",
        "policies/test_trial.py -k told",
    ),
    Mutation(
        "policies/trial.py",
        "weights, hidden = nest.stop_gradient((weights, hidden))",
        "weights, hidden = weights, hidden",
        "learners/test_rl2.py -k truncated",
    ),
    Mutation(
        "policies/base.py",
        "return time + 1, nest.where(alive, self.observe(acted, action, reward, ended), memory)",
        "return time + 1, self.observe(acted, action, reward, ended)",
        "learners/test_rl2.py -k 'unrolled or remember'",
    ),
    Mutation(
        "types.py",
        "tf.where(mask > 0, 0, steps) + tf.range(steps)",
        "tf.range(steps)",
        "learners/test_rl2.py -k unrolled",
    ),
    Mutation(
        "environments/native/bandit_solvers.py",
        "mean * (1 + discount * value[:, 1:])",
        "mean * (1 + discount * value[:, :-1])",
        "environments/native/test_bandit.py -k indices",
    ),
    Mutation(
        "environments/native/tabular_mdp.py",
        "noise[..., :1] >= up_to[..., :-1]",
        "noise[..., :1] >= up_to[..., 1:]",
        "environments/native/test_tabular_mdp.py -k probabilities",
    ),
    Mutation(
        "policies/latent.py",
        'tf.exp(params["log_sigma"])[:, None] * noise',
        'tf.exp(params["log_sigma"])[:, None] * tf.abs(noise)',
        "policies/test_latent.py",
    ),
    Mutation(
        "environments/native/point_ring.py",
        "near = distance <= config.sparse_radius",
        "near = distance <= config.radius",
        "environments/native/test_point_ring.py",
    ),
    Mutation(
        "keys.py",
        "seed >> _BITS",
        "seed >> 2 * _BITS",
        "test_keys.py",
    ),
    # Simulators: their engine, families and films, and the workers that share their tasks.
    Mutation(
        "environments/mujoco/engine.py",
        "own = {name: operator.attrgetter(name)(self._model) for name in self._physics}",
        "own = {}",
        f"{ENGINE} -k physics",
    ),
    Mutation(
        "environments/mujoco/engine.py",
        "if changed:  # what MuJoCo derives from them",
        "if False:",
        f"{ENGINE} -k physics",
    ),
    Mutation(
        "environments/mujoco/engine.py",
        "kept = diverged | still",
        "kept = still",
        f"{ENGINE} -k bad_row",
    ),
    Mutation(
        "environments/mujoco/simulation.py",
        'moved = (row - state["row"])[..., : self.model.nq]',
        "moved = (after.qpos - before.qpos)[..., : self.model.nq]",
        f"{SIMULATION} -k far_from_the_start",
    ),
    Mutation(
        "environments/mujoco/simulation.py",
        "unit = tf.clip_by_value(action / self.config.action_range, -1, 1)",
        "unit = action / self.config.action_range",
        f"{SIMULATION} -k share_of_the_whole",
    ),
    Mutation(
        "environments/mujoco/simulation.py",
        "reward = self.reward(task, before, after, velocity, control)",
        "reward = self.reward(task, before, after, velocity, told)",
        f"{SIMULATION} -k weak_motor",
    ),
    Mutation(
        "environments/mujoco/simulation.py",
        "ended = self.ended(task, after) & ~cut",
        "ended = self.ended(task, after)",
        f"{SIMULATION} -k what_is_cut",
    ),
    Mutation(
        "environments/mujoco/simulation.py",
        "test = self.tasks(parts.on_grid(draw(), of_tests=True))",
        "test = self.tasks(parts.on_grid(draw(), of_tests=False))",
        f"{SIMULATION} -k adapt_to",
    ),
    Mutation(
        "environments/goal_sets.py",
        "int(np.sum(kind == 1)), _NEAR, known)",
        "int(np.sum(kind == 1)), _NEAR, known[:0])",
        f"{TARGETS} -k sets",
    ),
    Mutation(
        "environments/mujoco/sparse.py",
        "parts.on_grid(index, bool(odd))",
        "parts.on_grid(index, False)",
        "environments/mujoco/test_rings.py -k adapt_to",
    ),
    Mutation(
        "environments/mujoco/random_robots.py",
        '"geom_rbound": model.geom_rbound + more,',
        '"geom_rbound": model.geom_rbound + 0 * more,',
        "environments/mujoco/test_random_robots.py -k radii",
    ),
    Mutation(
        "environments/mujoco/ant.py",
        "(away(before) - away(after)) / self.seconds_per_step",
        "(away(after) - away(before)) / self.seconds_per_step",
        "environments/mujoco/test_ant.py -k rewards",
    ),
    Mutation(
        "rollouts/ray_sampler.py",
        "groups = max(1, -(-(num_tasks - 1) // _TOGETHER))",
        "groups = max(1, -(-num_tasks // _TOGETHER))",
        "rollouts/test_ray_sampler.py -k shares_are_of",
    ),
    Mutation(
        "optimization/optimizers.py",
        "tf.maximum(total, max_norm**2)",
        "tf.maximum(total, 0 * max_norm**2)",
        "optimization/test_optimizers.py -k clipped",
    ),
    Mutation(
        "optimization/optimizers.py",
        "g * tf.math.rsqrt(v + epsilon)",
        "g / (tf.sqrt(v) + epsilon)",
        "optimization/test_optimizers.py -k rmsprop",
    ),
    Mutation(
        "learners/references/actor_critic.py",
        "trajectory.mask) / 2",
        "trajectory.mask)",
        f"{ACTOR_CRITIC} -k by_hand",
    ),
    Mutation(
        "learners/references/actor_critic.py",
        "nest.map(lambda x: x[0], life.past)",
        "nest.map(lambda x: x[-1], life.past)",
        f"{ACTOR_CRITIC} -k updates_old",
    ),
    Mutation(
        "learners/references/actor_critic.py",
        "latest = tf.where(rollout.alive, life.latest, earned)",
        "latest = earned",
        f"{ACTOR_CRITIC} -k follow_one_another",
    ),
    Mutation(
        "optimization/evolution.py",
        "tf.concat([noise, -noise], axis=0) if antithetic",
        "tf.concat([noise, noise], axis=0) if antithetic",
        f"{EVOLUTION} -k own",
    ),
    Mutation(
        "optimization/evolution.py",
        "weight_decay * p - g, uphill, meta",
        "g - weight_decay * p, uphill, meta",
        f"{EVOLUTION} -k by_hand",
    ),
    Mutation(
        "optimization/evolution.py",
        "fitness = tf.concat([more, -more], axis=0)",
        "fitness = tf.identity(fitness)",
        f"{EVOLUTION} -k pairs_are",
    ),
    Mutation(
        "optimization/evolution.py",
        "tf.maximum(1 - 0.9 * slots",
        "tf.maximum(1 - slots",
        f"{EVOLUTION} -k by_hand",
    ),
    Mutation(
        "losses/learned.py",
        "total = tf.reduce_sum(loss * weight, axis=1)",
        "total = tf.reduce_sum(loss, axis=1)",
        "losses/test_learned.py -k a_row_is",
    ),
    Mutation(
        "learners/epg.py",
        "context.append(tf.stop_gradient(remembered))",
        "context.append(remembered)",
        f"{EPG} -k gradients_reach",
    ),
    Mutation(
        "learners/epg.py",
        "some = lambda x: x[:, number :: self.config.minibatches]",
        "some = lambda x: x",
        f"{EPG} -k by_hand",
    ),
    Mutation(
        "learners/epg.py",
        'variance = moments["square"] - moments["mean"] ** 2',
        'variance = moments["square"]',
        f"{EPG} -k by_hand",
    ),
    Mutation(
        "learners/epg.py",
        "learned = lambda params: (1 - alpha) * self.learned_loss",
        "learned = lambda params: self.learned_loss",
        f"{EPG} -k alpha_1",
    ),
    Mutation(
        "learners/epg.py",
        "else tf.zeros_like(mask)",
        'else buffer["reward"]',
        f"{EPG} -k are_not_seen",
    ),
    Mutation(
        "learners/epg.py",
        "own = both(keys.per_episode(keys.fold(key, _UPDATES, number), num, episodes))",
        "own = keys.per_episode(keys.fold(key, _UPDATES, number), copies * num, episodes)",
        f"{EPG} -k pair_live",
    ),
    Mutation(
        "losses/proximal.py",
        "ratio = tf.exp(tf.minimum(change, _FARTHEST))",
        "ratio = tf.exp(change)",
        "losses/test_proximal.py",
    ),
    Mutation(
        "losses/proximal.py",
        "return found + mean_over_steps(",
        "return found + 0.5 * mean_over_steps(",
        "losses/test_proximal.py",
    ),
    Mutation(
        "learners/mlsh.py",
        "terminated=tf.reduce_max(rows(trajectory.terminated), axis=3)",
        "terminated=first(trajectory.terminated)",
        "learners/test_mlsh.py",
    ),
    Mutation(
        "losses/proximal.py",
        "return tf.gather(rows, number, axis=2)",
        "return tf.gather(rows, 0 * number, axis=2)",
        "learners/references/test_ppo.py",
    ),
    Mutation(
        "losses/proximal.py",
        "reward = trajectory.reward + discount * cut",
        "reward = trajectory.reward",
        "learners/references/test_ppo.py",
    ),
    Mutation(
        "losses/proximal.py",
        "deviation = (value - mean(value)) * mask",
        "deviation = value * mask",
        "learners/references/test_ppo.py",
    ),
    Mutation(
        "learners/gradient_based.py",
        'slots, fitness = self.state["outer_slots"], returns[:, -1]',
        'slots, fitness = self.state["outer_slots"], returns[:, 0]',
        "learners/test_evolved.py -k evolution_follows",
    ),
    Mutation(
        "learners/mlsh.py",
        "reward=tf.reduce_sum(rows(trajectory.reward * trajectory.mask), axis=3)",
        "reward=first(trajectory.reward * trajectory.mask)",
        f"{MLSH} -k rewards_of_the_masters",
    ),
    Mutation(
        "learners/mlsh.py",
        "below = each._replace(mask=each.mask * counts)",
        "below = each._replace(mask=1 * each.mask)",
        f"{MLSH} -k each_step_trains",
    ),
    Mutation(
        "learners/mlsh.py",
        "value = tf.reduce_sum(tf.reshape(value, acted.shape) * acted, axis=0)",
        "value = tf.reduce_mean(tf.reshape(value, acted.shape), axis=0)",
        f"{MLSH} -k credited_by",
    ),
    Mutation(
        "learners/mlsh.py",
        'joint = tf.cast(life["age"] >= config.warm_up,',
        'joint = tf.cast(life["age"] > config.warm_up - 2,',
        f"{MLSH} -k no_step_of_a_warm_up",
    ),
    Mutation(
        "learners/mlsh.py",
        'due = (life["age"] == 0) | ~life["born"]',
        'due = ~life["born"]',
        f"{MLSH} -k are_due",
    ),
    Mutation(
        "learners/mlsh.py",
        'made = (info["chosen"] * trajectory.mask)[..., None]',
        "made = trajectory.mask[..., None]",
        f"{MLSH} -k usage_counts",
    ),
    Mutation(
        "policies/two_level.py",
        'return memory["time"] % self.period == 0',
        'return memory["time"] % (self.period + 1) == 0',
        f"{TWO_LEVEL} -k master_chooses",
    ),
    Mutation(
        "policies/two_level.py",
        "option = tf.where(whether < share, evenly, option)",
        "option = tf.where(whether > share, evenly, option)",
        f"{TWO_LEVEL} -k drawn_evenly",
    ),
    Mutation(
        "policies/two_level.py",
        'option = tf.where(free, option, memory["option"])',
        "option = tf.where(free, option, option)",
        f"{TWO_LEVEL} -k master_chooses",
    ),
    Mutation(
        "policies/normalized.py",
        "tf.maximum(square - mean**2, _FLOOR)",
        "tf.maximum(square, _FLOOR)",
        f"{NORMALIZED} -k standard_observations",
    ),
    Mutation(
        "policies/normalized.py",
        'count = seen["count"] + more',
        "count = more",
        f"{NORMALIZED} -k moments_are",
    ),
    Mutation(
        "policies/normalized.py",
        "final = self.normalized(seen, trajectory.final_observation)",
        "final = trajectory.final_observation",
        f"{NORMALIZED} -k values_are",
    ),
    Mutation(
        "learners/references/actor_critic.py",
        "goes_on = discount * (1 - trajectory.terminated) * mask",
        "goes_on = discount * mask",
        f"{META_GRADIENT} -k closed_form",
    ),
    Mutation(
        "learners/meta_gradient.py",
        "decay * z + new",
        "z + new",
        f"{META_GRADIENT} -k a_trace_is",
    ),
    Mutation(
        "learners/meta_gradient.py",
        "share = lambda x: x * (x.shape[0] / self.config.meta_batch_size)",
        "share = lambda x: x",
        f"{META_GRADIENT} -k central_differences",
    ),
    Mutation(
        "learners/meta_gradient.py",
        'head = "outer" if self.config.outer_critic else "value"',
        'head = "value"',
        f"{META_GRADIENT} -k second_critic",
    ),
    Mutation(
        "learners/meta_gradient.py",
        "seen = tf.stop_gradient(tf.stack(values, axis=-1))",
        "seen = tf.identity(tf.stack(values, axis=-1))",
        f"{META_GRADIENT} -k weights_see",
    ),
    Mutation(
        "learners/meta_gradient.py",
        "if logits.shape[0] == 1:",
        "if False:",
        f"{META_GRADIENT} -k a_trace_is",
    ),
    Mutation(
        "learners/meta_gradient.py",
        "arrival = nest.vectors(next_observation(trajectory), 3)",
        "arrival = nest.vectors(trajectory.observation, 3)",
        f"{META_GRADIENT} -k state_it_leads_to",
    ),
    Mutation(
        "advantages/multistep.py",
        "return 1 - tf.one_hot(",
        "return 1 - 0 * tf.one_hot(",
        "advantages/test_multistep.py -k lambda_returns",
    ),
    Mutation(
        "advantages/multistep.py",
        "advantage = rho * (reward",
        "advantage = 1 * (reward",
        "advantages/test_multistep.py -k published_sum",
    ),
    Mutation(
        "advantages/multistep.py",
        "rho, trace = clipped(clip_rho), clipped(clip_c)",
        "rho, trace = clipped(clip_rho), clipped(clip_rho)",
        "advantages/test_multistep.py -k published_sum",
    ),
    Mutation(
        "environments/native/catch.py",
        "tf.clip_by_value(moved, 0, self.config.columns - 1)",
        "tf.maximum(moved, 0)",
        "environments/native/test_catch.py -k stays_on",
    ),
    Mutation(
        "environments/native/reward_process.py",
        'tf.where(is_odd, random, -state["paid"])',
        "tf.where(is_odd, random, -random)",
        "environments/native/test_reward_process.py -k take_back",
    ),
    Mutation(
        "environments/native/discounting_chain.py",
        'tf.where(choice == task["bonus"][:, None], 1.1, 1.0)',
        "tf.where(choice == 3, 1.1, 1.0)",
        "environments/native/test_discounting_chain.py -k paid_for_once",
    ),
    Mutation(
        "environments/native/moving_point.py",
        "tf.reduce_sum((position - place) ** 2, axis=-1) < radius**2",
        "tf.reduce_sum((position - place) ** 2, axis=-1) <= radius**2",
        "environments/native/test_moving_bandits.py -k paid_for",
    ),
    Mutation(
        "environments/native/moving_bandits.py",
        'moving_point.chosen(state["goals"], task["right"])',
        'moving_point.chosen(state["goals"], 1 - task["right"])',
        "environments/native/test_moving_bandits.py -k greedy",
    ),
    Mutation(
        "environments/native/all_walk.py",
        "tf.reduce_sum(tf.abs(position -",
        "tf.reduce_sum(tf.abs(state -",
        "environments/native/test_all_walk.py -k a_step",
    ),
    Mutation(
        "environments/native/key_door.py",
        'has_key = state["has_key"] | near(',
        "has_key = near(",
        "environments/native/test_key_door.py -k taken_less_than",
    ),
    Mutation(
        "environments/native/key_door.py",
        "tf.cast(has_key & at_door, tf.float32)",
        "tf.cast(at_door, tf.float32)",
        "environments/native/test_key_door.py -k only_with_the_key",
    ),
    Mutation(
        "environments/native/four_rooms.py",
        "slips = (cell != state) & (noise",
        "slips = (cell >= 0) & (noise",
        "environments/native/test_four_rooms.py -k into_a_wall",
    ),
    Mutation(
        "environments/native/four_rooms.py",
        "tf.gather(table(self._num_beside), cell)",
        "tf.gather(table(self._num_beside), state)",
        "environments/native/test_four_rooms.py -k into_a_wall",
    ),
    Mutation(
        "optimization/optimizers.py",
        "positive = x > 0",
        "positive = x >= 0",
        "optimization/test_optimizers.py -k finite_derivative",
    ),
    Mutation(
        "losses/imitation.py",
        "error = self.multiplier * (action - tf.cast(wanted, action.dtype))",
        "error = action - tf.cast(wanted, action.dtype)",
        "losses/test_imitation.py -k inner_loss",
    ),
    Mutation(
        "losses/imitation.py",
        "wanted = trajectory.action if self.has_actions else tf.zeros_like(trajectory.action)",
        "wanted = trajectory.action",
        "losses/test_imitation.py -k without_actions",
    ),
    Mutation(
        "policies/imitation.py",
        "rows.append(tf.stop_gradient(pose))",
        "rows.append(pose)",
        "policies/test_imitation_heads.py -k poses",
    ),
    Mutation(
        "policies/imitation.py",
        "if self._sees_all:  # looks again, as it now knows what to look for",
        "if False:",
        "policies/test_imitation_heads.py -k knows_the_context",
    ),
    Mutation(
        "policies/imitation.py",
        "x, pose = self._seen(params, observation, judged, context)",
        "x, pose = self._seen(params, observation, judged, tf.stop_gradient(context))",
        "learners/imitation/test_conditioned.py -k outer_gradient",
    ),
    Mutation(
        "policies/imitation.py",
        "vectors = self.vectors(params, observation, judged)",
        "vectors = self.vectors(params, observation)",
        "policies/test_imitation_heads.py -k hidden",
    ),
    Mutation(
        "policies/imitation.py",
        'layers.layer_norm(x, head[str(i)]["offset"], valid)',
        'layers.layer_norm(x, head[str(i)]["offset"])',
        "policies/test_imitation_heads.py -k temporal",
    ),
    Mutation(
        "policies/imitation.py",
        "own = [tf.zeros_like(x) if n in self.hidden else x for n, x in zip(names, own)]",
        "pass",
        "policies/test_imitation_heads.py -k hidden",
    ),
    Mutation(
        "policies/imitation.py",
        "tf.where(valid > 0, alike, alike.dtype.min)",
        "alike",
        "policies/test_imitation_heads.py -k attention_to_steps",
    ),
    Mutation(
        "policies/layers.py",
        "hidden = now * tf.sigmoid(out) * tf.tanh(moved) + (1 - now) * hidden",
        "hidden = tf.sigmoid(out) * tf.tanh(moved)",
        "policies/test_imitation_heads.py -k memory",
    ),
    Mutation(
        "rollouts/demonstrations.py",
        "action=played.info,",
        "action=played.action,",
        "rollouts/test_demonstrations.py -k own_actions",
    ),
    Mutation(
        "learners/imitation/mil.py",
        "tf.clip_by_value(g, -clip, clip)",
        "tf.maximum(g, -clip)",
        "learners/imitation/test_mil.py -k step_by_hand",
    ),
    Mutation(
        "learners/imitation/mil.py",
        "rates = nest.map(lambda _: self.config.inner_learning_rate, gradients)",
        "rates = nest.map(lambda _: -self.config.inner_learning_rate, gradients)",
        "learners/imitation/test_mil.py -k none_is_clipped",
    ),
    Mutation(
        "learners/imitation/base.py",
        "part(config.episodes_per_update, used)",
        "part(0, config.query_episodes)",
        "learners/imitation/test_base.py -k different_demonstrations",
    ),
    Mutation(
        "learners/imitation/conditioned.py",
        "total = tf.reduce_sum(tf.concat(seen, axis=-1) * held, axis=1)",
        "total = tf.reduce_sum(tf.concat(seen, axis=-1), axis=1)",
        "learners/imitation/test_conditioned.py -k zeros_are_seen",
    ),
    Mutation(
        "environments/supervised/few_shot.py",
        "number = shots + tf.minimum(choice[..., 1], others - 1)",
        "number = tf.minimum(choice[..., 1], others - 1)",
        "environments/supervised/test_few_shot.py -k single_queries",
    ),
    Mutation(
        "environments/supervised/few_shot.py",
        "self.images(task, label, first + episode // way), label",
        "self.images(task, label, episode // way), label",
        "learners/test_classification.py -k share_no_drawing",
    ),
    Mutation(
        "environments/supervised/few_shot.py",
        "test = self._draw(num_test, own, self.num_training, len(self._counts), 0)",
        "test = self._draw(num_test, own, 0, self.num_training, 0)",
        "environments/supervised/test_few_shot.py -k 161_characters",
    ),
    Mutation(
        "environments/supervised/few_shot.py",
        "seen = tf.reverse(tf.transpose(seen, [0, 1, 3, 2, 4]), [2])",
        "seen = tf.transpose(seen, [0, 1, 3, 2, 4])",
        "environments/supervised/test_few_shot.py -k inverted_and_turned",
    ),
    Mutation(
        "environments/supervised/few_shot.py",
        "source = tf.clip_by_value(tf.range(size) - shift[..., axis, None], 0, size - 1)",
        "source = tf.clip_by_value(tf.range(size) + shift[..., axis, None], 0, size - 1)",
        "environments/supervised/test_few_shot.py -k may_be_moved",
    ),
    Mutation(
        "learners/prototypical.py",
        '"kernel": 2 * tf.linalg.matrix_transpose(prototype),',
        '"kernel": tf.linalg.matrix_transpose(prototype),',
        "learners/test_classification.py -k nearest_mean",
    ),
    Mutation(
        "learners/prototypical.py",
        '"bias": -tf.reduce_sum(prototype**2, axis=-1),',
        '"bias": -tf.reduce_sum(tf.abs(prototype), axis=-1),',
        "learners/test_classification.py -k nearest_mean",
    ),
    Mutation(
        "policies/few_shot_network.py",
        "x = tf.reduce_mean(x, axis=[2, 3])",
        "x = tf.reduce_max(x, axis=[2, 3])",
        "policies/test_few_shot_network.py -k keras_network",
    ),
    Mutation(
        "losses/supervised.py",
        "loss = -tf.reduce_mean(distribution.log_prob(label), axis=1)",
        "loss = -tf.reduce_sum(distribution.log_prob(label), axis=1)",
        "losses/test_supervised.py -k cross_entropy",
    ),
    Mutation(
        "environments/mujoco/colour_reach.py",
        'near = (distance <= NEAR) & (time > self.horizon - LAST) & ~later["cut"]',
        'near = (distance <= NEAR) & ~later["cut"]',
        "environments/mujoco/test_colour_reach.py -k last_ten_steps",
    ),
    Mutation(
        "environments/mujoco/colour_reach.py",
        'slot = tf.argmin(state["order"], axis=-1)',
        'slot = tf.zeros(state["order"].shape[:2], tf.int64)',
        "environments/mujoco/test_colour_reach.py -k distance_is_paid",
    ),
    Mutation(
        "environments/mujoco/colour_reach.py",
        "test = _distinct(rng, palette[:kept], num_test)",
        "test = _distinct(rng, palette[kept:], num_test)",
        "environments/mujoco/test_colour_reach.py -k unseen",
    ),
]
