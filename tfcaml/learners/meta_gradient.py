"""Meta-gradient RL: what a return is, its discount and its lambda, is learned while acting.

Z. Xu, H. van Hasselt, D. Silver, "Meta-gradient reinforcement learning", NeurIPS 2018. There is no
family of tasks to learn from: one life goes on, and eta = (gamma, lambda) is tuned by whether the
last update was one for the better, by the returns of fixed gamma-bar and lambda-bar on the sample
that follows:

    theta' = theta + f(tau, theta, eta)                         an update on the sample tau
    tau' ~ pi_theta'                                            the next sample
    z' = mu z + d f / d eta                                     mu instead of I + d f / d theta
    eta <- eta - beta (d J-bar(tau', theta') / d theta')^T z'   by the outer optimiser
    tau <- tau'

For control, f descends L of `references/actor_critic.py` with returns of eta, and

    J-bar(tau', theta') = - mean of (g-bar_t - V(s_t)) log pi_theta'(a_t | s_t)

its part of the policy with returns of gamma-bar and lambda-bar; for prediction, f and J-bar are of
half the squared error (g_t - V_theta(s_t))^2 / 2 alone. In f and in J-bar returns are constants for
the derivative in theta; f is differentiated in eta exactly, through the optimiser.

gamma and lambda of a step are those of its arrival, each a sigmoid between two bounds. They may be
one number for all lives or one for each, and one for each observation where these are one-hot.

Differences from the paper:
  - Losses are means over steps, not sums.
  - An update may be several: eta then is kept for `updates_per_meta` updates, whose derivative is
    exact, also that of their optimiser's state; mu stands for what lies before them.
  - A second critic may learn the returns of gamma-bar, to stand in J-bar: the critic of eta's
    returns makes the meta-gradient biased (C. Bonnet et al., "Debiasing meta-gradient reinforcement
    learning by learning the outer value function", NeurIPS 2022 workshop).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfcaml import keys, losses, nest, settings
from tfcaml.errors import check, check_acts, check_one_of, check_positive
from tfcaml.learners.references.actor_critic import (
    A2C,
    ActorCriticConfig,
    Credit,
    CreditLoss,
    Life,
)
from tfcaml.optimization import inner, optimizers
from tfcaml.policies import (
    BesideContext,
    ContextPolicy,
    actor_critic,
    check_contextual,
    with_context,
)
from tfcaml.types import (
    Experience,
    FastState,
    Metric,
    Nest,
    Params,
    Task,
    Trajectory,
    blank_trajectory,
    next_observation,
)

_OBJECTIVES = ("control", "prediction")


@settings.checked
@dataclasses.dataclass(frozen=True)
class MetaGradientConfig(ActorCriticConfig):
    """Settings of meta-gradient RL.

    Attributes:
      inner_updates: Updates of eta in an iteration. Source: tfcaml.
      updates_per_meta: Updates of the weights for each of eta. Source: the paper: 1.
      objective: What is learned: "control" or "prediction". Source: the paper, sections 1.2, 1.3.
      learn_discount: Whether gamma is learned, from `advantage.discount` on. Source: the paper.
      learn_lambda: Whether lambda is learned, from `advantage.gae_lambda` on. Source: the paper.
      discount_low: Lower bound of a learned gamma. Source: the paper: 0; Bonnet et al.: 0.9.
      discount_high: Upper bound of a learned gamma. Source: the paper: 1.
      lambda_low: Lower bound of a learned lambda. Source: the paper: 0.
      lambda_high: Upper bound of a learned lambda. Source: the paper: 1.
      per_life: Whether each life has its own eta; one for all follows the mean of their
        meta-gradients. Source: tfcaml.
      per_state: Whether each number of an observation, such as each state where these are one-hot,
        has an eta of its own. Source: the paper, section 2.1.
      outer_discount: Gamma-bar. Source: the paper: 0.99 and 0.995.
      outer_lambda: Lambda-bar. Source: the paper: 1.
      outer_critic: Whether a second critic learns the returns of gamma-bar. Source: Bonnet et al.
      outer_optimizer: What moves the logits of eta: "adam", "rmsprop" or "sgd". Source: the paper.
      outer_learning_rate: Beta, its step size. Source: the paper: 1e-3.
      trace_decay: Mu, what older updates count in the meta-gradient; in [0, 1]. Source: the paper:
        0.
      embedding_size: Numbers of the embedding of eta that the policy and the critics see; 0: they
        do not. Source: the paper: 16.
    """

    updates_per_meta: int = 1
    objective: str = "control"
    learn_discount: bool = True
    learn_lambda: bool = False
    discount_low: float = 0.0
    discount_high: float = 1.0
    lambda_low: float = 0.0
    lambda_high: float = 1.0
    per_life: bool = False
    per_state: bool = False
    outer_discount: float = 0.995
    outer_lambda: float = 1.0
    outer_critic: bool = False
    outer_optimizer: str = "adam"
    outer_learning_rate: float = 1e-3
    trace_decay: float = 0.0
    embedding_size: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_one_of("objective", self.objective, _OBJECTIVES)
        check_one_of("outer_optimizer", self.outer_optimizer, self.INNER_OPTIMIZERS)
        check_positive(
            outer_learning_rate=self.outer_learning_rate, updates_per_meta=self.updates_per_meta
        )
        for name in ("outer_discount", "outer_lambda", "trace_decay"):
            check(0 <= getattr(self, name) <= 1, name, getattr(self, name), "in [0, 1]")
        check(self.embedding_size >= 0, "embedding_size", self.embedding_size, ">= 0")
        learned = self.learn_discount or self.learn_lambda
        check(learned, "learn_discount", self.learn_discount, "True where learn_lambda is False")
        initial = {"discount": self.advantage.discount, "lambda": self.advantage.gae_lambda}
        for name, (low, high) in self.bounds.items():
            check(0 <= low < high, f"{name}_low", low, f">= 0 and below {name}_high={high}")
            check(high <= 1, f"{name}_high", high, "<= 1")
            if name in self.learned:
                full = "advantage.discount" if name == "discount" else "advantage.gae_lambda"
                rule = f"between its bounds {low} and {high}, as it is learned"
                check(low < initial[name] < high, full, initial[name], rule)
            fields = f"{name}_low", f"{name}_high"
            check_acts(self, fields, name in self.learned, f"with learn_{name}=True")
        is_control = self.objective == "control"
        check_acts(self, ("value_weight", "entropy_weight"), is_control, "with objective=control")
        check_acts(self, ("outer_critic",), is_control, "with objective=control")
        check(self.lag == 0, "lag", self.lag, "0: a sample is of the weights it judges")
        rule = "0 with per_state=True: there is no vector of eta to see"
        check(
            not (self.embedding_size and self.per_state),
            "embedding_size",
            self.embedding_size,
            rule,
        )
        check_acts(self, ("per_life",), self.meta_batch_size > 1, "with meta_batch_size > 1")

    def stored(self, sizes: settings.Sizes, num_tasks: int) -> list[settings.Stored]:
        # Updates are differentiated through, so that what they learned from stays.
        return [settings.stored_by_tasks(self, sizes, self.updates_per_meta + 1, 4)]

    @property
    def learned(self) -> tuple[str, ...]:
        """Names of what eta has, in their order."""
        chosen = (("discount", self.learn_discount), ("lambda", self.learn_lambda))
        return tuple(name for name, is_learned in chosen if is_learned)

    @property
    def bounds(self) -> dict[str, tuple[float, float]]:
        """dict name -> (lower bound, upper bound)."""
        return {
            "discount": (self.discount_low, self.discount_high),
            "lambda": (self.lambda_low, self.lambda_high),
        }


class MetaGradientLoss(CreditLoss):
    """L of the actor-critic, or its critic's part alone where the objective is prediction."""

    def inner(self, meta: Nest, params: Params, support: Experience) -> tf.Tensor:
        if self.config.objective == "prediction":
            return self.critic(params, support)
        return super().inner(meta, params, support)


class MetaGradient(A2C):
    """meta = {"eta": logits by name, each [R] or [R, S], "params": theta, each [N, ...]}.

    R is 1, or N where each life has its own eta. With an embedding theta is {"embedding": W
    [N, H, C], "policy": weights of the policy within}.
    """

    Config: type = MetaGradientConfig
    config: MetaGradientConfig
    Loss = MetaGradientLoss

    @classmethod
    def make_policy(
        cls,
        environment: Any,
        config: Any,
        fc_layer_params: Sequence[int] = (64,),
        activation: str = "tanh",
    ) -> Any:
        """As A2C's; with an embedding of eta behind what the torso gives, where that is seen."""
        size, layers = config.embedding_size, (fc_layer_params, activation)
        if not size:
            return super().make_policy(environment, config, *layers)
        seen = with_context(environment.observation_spec, size)
        torso = cls.torso_of(environment, config)
        torso = None if torso is None else BesideContext(torso, size)
        heads = cls.heads_of(config)
        within = actor_critic(seen, environment.action_spec, *layers, heads, torso)
        return ContextPolicy(within, environment.observation_spec, size)

    @classmethod
    def heads_of(cls, config: Any) -> tuple[str, ...]:
        return ("value", "outer") if config.outer_critic else ("value",)

    def setup(self) -> None:
        super().setup()
        config = self.config
        if config.embedding_size:
            check_contextual(self.policy, ContextPolicy, "embedding_size", config.embedding_size)
        self.outer = optimizers.by_name(config.outer_optimizer, config.outer_learning_rate)

    def init(self, seed: int) -> Nest:
        config = self.config
        initial = {"discount": config.advantage.discount, "lambda": config.advantage.gae_lambda}
        shape = [config.meta_batch_size if config.per_life else 1]
        if config.per_state:
            observed = nest.map(
                lambda x: tf.zeros([1, *x.shape]), self.environment.observation_spec
            )
            shape.append(nest.vectors(observed, 1).shape[-1])

        def logit(name: str) -> tf.Tensor:
            low, high = config.bounds[name]
            share = (initial[name] - low) / (high - low)
            return tf.fill(shape, tf.constant(np.log(share / (1 - share)), tf.float32))

        return {"eta": {name: logit(name) for name in config.learned}, **super().init(seed)}

    def fresh(self, seed: int) -> Params:
        params = super().fresh(seed)
        if not self.config.embedding_size:
            return params
        shape = [len(self.config.learned), self.config.embedding_size]
        embedding = keys.normal(keys.fold(keys.from_int(seed), keys.START), shape)
        return {"embedding": embedding, "policy": params["policy"]}

    def initial_state(self, seed: int) -> dict[str, Nest]:
        state = super().initial_state(seed)
        eta, params = state["meta"]["eta"], state["meta"]["params"]
        state["outer_slots"] = self.outer.init(eta)
        # The sample that the first update learns from is played before it.
        state["sample"] = {"played": tf.zeros([], tf.bool), "trajectory": self._blank()}
        if self.config.trace_decay:
            state["trace"] = self._no_trace(eta, params)
        return state

    def acting(self, meta: Nest, fast: FastState) -> Params:
        if not self.config.embedding_size:
            return fast.params
        values = [self.number(meta["eta"], name) for name in self.config.learned]
        seen = tf.stop_gradient(tf.stack(values, axis=-1))  # [R, H]; eta is no weight of these
        embedding = fast.params["embedding"]
        context = tf.reduce_sum(seen[:, :, None] * embedding, axis=1)
        return {"context": context, "policy": fast.params["policy"]}

    def number(self, eta: Nest, name: str) -> tf.Tensor:
        """gamma or lambda of its logits: [R] or [R, S], between their bounds."""
        low, high = self.config.bounds[name]
        return low + (high - low) * tf.sigmoid(eta[name])

    def of_arrivals(self, eta: Nest, name: str, trajectory: Trajectory) -> tf.Tensor | float:
        """gamma or lambda of what each step leads to; broadcasts to [N, E, T]."""
        config = self.config.advantage
        if name not in eta:
            return config.discount if name == "discount" else config.gae_lambda
        if not self.config.per_state:
            return self.number(eta, name)[:, None, None]
        low, high = self.config.bounds[name]
        arrival = nest.vectors(next_observation(trajectory), 3)
        logit = tf.reduce_sum(arrival * eta[name][:, None, None], axis=-1)
        return low + (high - low) * tf.sigmoid(logit)

    def credit(self, meta: Nest, fast: FastState, trajectory: Trajectory) -> Credit:
        """Returns of eta, differentiable in it; and those of gamma-bar for the second critic."""
        params = self.acting(meta, fast)
        discount, lambda_ = (
            self.of_arrivals(meta["eta"], name, trajectory) for name in ("discount", "lambda")
        )
        target, advantage = self.traced(params, trajectory, discount, lambda_, "value")
        targets = {"value": target}
        if self.config.outer_critic:
            targets["outer"], _ = self.traced(params, trajectory, *self._outer, "outer")
        return Credit(advantage, targets)

    def outer_loss(self, meta: Nest, params: Params, trajectory: Trajectory) -> tf.Tensor:
        """J-bar, a loss: [N]. `params`: what is adapted, each [N, ...]."""
        head = "outer" if self.config.outer_critic else "value"
        acting = self.acting(meta, FastState(params, ()))
        target, advantage = nest.stop_gradient(self.traced(acting, trajectory, *self._outer, head))
        if self.config.objective == "prediction":
            credit = Credit(advantage, {head: target})
            return self.loss.critic(acting, Experience(trajectory, trajectory.mask, extra=credit))
        return losses.policy_gradient(self.policy, acting, trajectory, advantage)

    def collect(
        self, meta: Nest, task: Task, key: tf.Tensor, index: tf.Tensor | tuple[()] = ()
    ) -> tuple[Nest, dict[str, Nest], dict[str, tf.Tensor]]:
        """`inner_updates` times the algorithm above: (meta, other state, metrics) after them."""
        config, state = self.config, {name: self.state[name].read() for name in self.state}
        first = keys.fold(key, 0)
        life, sample = tf.cond(
            state["sample"]["played"],
            lambda: (state["life"], state["sample"]["trajectory"]),
            lambda: self.played(meta, meta["params"], task, state["life"], first),
        )
        trace = state.get("trace", ())

        def body(
            update: tf.Tensor,
            eta: Nest,
            outer_slots: Nest,
            params: Params,
            life: Life,
            sample: Trajectory,
            trace: Nest,
            loss: tf.Tensor,
        ) -> tuple[Any, ...]:
            own = keys.fold(key, update + 1)
            play = lambda eta, params, life, step: self.played(
                {"eta": eta}, params, task, life, keys.fold(own, step)
            )
            eta_gradient, fast, sample, trace, life, loss = self.meta_gradient(
                eta, FastState(params, life.slots), sample, trace, life, play
            )
            eta, outer_slots = self.outer.apply(eta, eta_gradient, outer_slots)
            life = life._replace(slots=fast.slots)
            return update + 1, eta, outer_slots, fast.params, life, sample, trace, loss

        _, eta, outer_slots, params, life, sample, trace, loss = tf.while_loop(
            lambda update, *_: update < config.inner_updates,
            body,
            (0, meta["eta"], state["outer_slots"], meta["params"], life, sample, trace, 0.0),
            maximum_iterations=config.inner_updates,
            parallel_iterations=1,
        )
        others = {"life": life, "outer_slots": outer_slots}
        others["sample"] = {"played": tf.ones([], tf.bool), "trajectory": sample}
        if config.trace_decay:
            others["trace"] = trace
        metrics = {"return_after": tf.reduce_mean(life.latest), "outer_loss": loss}
        metrics |= {name: tf.reduce_mean(self.number(eta, name)) for name in config.learned}
        return {"eta": eta, "params": params}, others, metrics

    def meta_gradient(
        self,
        eta: Nest,
        fast: FastState,
        sample: Trajectory,
        trace: Nest,
        life: Life,
        play: Callable[[Nest, Params, Life, int], tuple[Life, Trajectory]],
    ) -> tuple[Nest, FastState, Trajectory, Nest, Life, tf.Tensor]:
        """theta', tau' and the gradient of J-bar in eta.

        Args:
          eta: logits by name.
          fast: `FastState` of theta.
          sample: tau, a `Trajectory`.
          trace: z, dict name -> nest of [S, N, ...], S of 1 without `per_state`; `()` where mu is
            0.
          life: `Life`.
          play: function (eta, params, life, number of the update) -> (`Life`, next sample).

        Returns:
          (gradient: nest like eta, `FastState` of theta', tau', z', `Life`, mean J-bar).
        """
        decay = self.config.trace_decay
        with tf.GradientTape(persistent=decay > 0) as tape:
            tape.watch(eta)
            for update in range(self.config.updates_per_meta):
                meta = {"eta": eta}
                fast = self.adapt(meta, fast, self.experience(meta, fast, sample))
                with tape.stop_recording():  # what is played is data
                    life, sample = play(eta, fast.params, life, update)
        loss, gradient = inner.gradient(
            lambda params: self.outer_loss({"eta": eta}, params, sample),
            nest.stop_gradient(fast.params),
        )
        if decay:
            moved = _columns(tape, fast.params, eta)
            trace = nest.map(lambda z, new: decay * z + new, trace, moved)
            found = {name: _product(gradient, trace[name], eta[name]) for name in eta}
        else:
            found = tape.gradient(fast.params, eta, gradient, "zero")
        # One eta for all lives follows the mean of their meta-gradients.
        share = lambda x: x * (x.shape[0] / self.config.meta_batch_size)
        after = nest.stop_gradient(fast)
        return nest.map(share, found), after, sample, trace, life, tf.reduce_mean(loss)

    def _blank(self) -> Trajectory:
        """A sample of zeros."""
        config = self.config
        rows = config.meta_batch_size, config.episodes_per_update
        steps = config.unroll or None
        return blank_trajectory(self.environment, self.policy, *rows, num_steps=steps)

    def _no_trace(self, eta: Nest, params: Params) -> Nest:
        """z before the first update."""
        size = lambda logits: logits.shape[1:].num_elements()
        zeros = lambda num: nest.map(lambda x: tf.zeros([num, *x.shape], x.dtype), params)
        return {name: zeros(size(logits)) for name, logits in eta.items()}

    @property
    def episodes_per_iteration(self) -> int:
        """As of A2C; the first iteration plays one sample more, before its first update."""
        return super().episodes_per_iteration * self.config.updates_per_meta

    @property
    def _outer(self) -> tuple[float, float]:
        return self.config.outer_discount, self.config.outer_lambda

    @property
    def metrics(self) -> dict[str, Metric]:
        return {
            **super().metrics,
            "discount": Metric("Mean of the learned discounts, gamma."),
            "lambda": Metric("Mean of the learned lambdas."),
            "outer_loss": Metric("J-bar on the last sample, mean over lives, before eta moved."),
        }


def _columns(tape: tf.GradientTape, params: Params, eta: Nest) -> Nest:
    """d params / d eta: dict name -> nest of [S, N, ...].

    From gradients of gradients, as what a tape gives is linear in the output gradients.
    """
    upstream = nest.map(tf.ones_like, params)
    with tf.GradientTape(persistent=True) as linear:
        linear.watch(tf.nest.flatten(upstream))
        pulled = tape.gradient(params, eta, upstream, "zero")
        # A row of the weights depends on one row of eta.
        columns = {
            name: tf.reduce_sum(tf.reshape(x, [x.shape[0], -1]), 0) for name, x in pulled.items()
        }

    def of(column: tf.Tensor) -> Nest:
        if column.shape[0] > 1:
            return linear.jacobian(column, upstream, unconnected_gradients="zero")
        alone = linear.gradient(column, upstream, unconnected_gradients="zero")
        return nest.map(lambda x: x[None], alone)

    return {name: of(column) for name, column in columns.items()}


def _product(gradient: Params, trace: Nest, logits: tf.Tensor) -> tf.Tensor:
    """Gradient [N, ...] times z [S, N, ...], of the shape of the logits [R] or [R, S]."""
    rows = lambda g, z: tf.reduce_sum(tf.reshape(g * z, [*z.shape[:2], -1]), axis=2)
    total = tf.add_n(tf.nest.flatten(nest.map(rows, gradient, trace)))  # [S, N]
    if logits.shape[0] == 1:
        total = tf.reduce_sum(total, axis=1, keepdims=True)
    return tf.reshape(tf.transpose(total), logits.shape)
