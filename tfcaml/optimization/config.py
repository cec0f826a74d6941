"""Settings of outer steps."""

import dataclasses
from typing import ClassVar

from tfcaml import settings
from tfcaml.errors import check, check_acts, check_one_of, check_positive
from tfcaml.optimization import evolution, outer, trpo

# Outer steps by name, see `OuterConfig`.
OPTIMIZERS = ("adam", "evolution_strategy", "ppo", "trpo")
# How step sizes change over a training, by name.
ANNEALINGS = ("linear", "none", "to_a_tenth")
_OF_EVOLUTION = ("population", "antithetic", "noise_scale", "weight_decay")
_OF_TRPO = (
    *("max_kl", "damping", "cg_iterations", "backtrack_ratio", "max_backtracks"),
    *("hessian_products", "fisher_subsample"),
)


@settings.checked
@dataclasses.dataclass(frozen=True)
class OuterConfig:
    """Which outer step is taken, and how far; defaults: C. Finn et al., ICML 2017.

    Sources: "paper" is its text, "code" its published code where the text is silent.

    Attributes:
      optimizer: The outer step: "trpo" (one step in a trust region), "ppo" (several Adam steps on a
        clipped ratio), "adam" (one Adam step) or "evolution_strategy" (one Adam step without
        momentum along an estimate from members of a population). Source: MAML paper, section 5.3.
      learning_rate: Step size of Adam, with all but "trpo". Source: ProMP's code, 1e-3.
      annealing: "linear" lets the step size fall to 0 over the config's iterations, after which
        nothing is learned any more; "to_a_tenth" to a tenth over the first half of them; "none"
        leaves it; with all but "trpo". Source: ProMP's code: none; EPG's: to_a_tenth.
      steps: Adam steps per iteration, with "ppo". Source: ProMP's code, 5.
      clip_ratio: Epsilon, by which the ratio of probabilities may leave 1, with "ppo". Source:
        ProMP's code, 0.3.
      keep_below_kl: With "ppo" of several steps, the parameters with the lowest loss are kept of
        those before each step whose mean divergence is below it; 0 keeps those after the last step.
        Unit: nats. Source: TESP's code, 0.01; ProMP's code keeps the last.
      max_grad_norm: Largest norm of the gradient of an Adam step, to which longer ones are scaled,
        with "ppo" and "adam"; 0: none is scaled. Source: tfcaml; VariBAD's code: 0.5.
      minibatches: Parts that the tasks of a batch are cut into, of which each Adam step takes the
        next, with "ppo"; 1: each takes all. Source: ProMP's code: 1; the code of RL2: 128 trials
        each.
      max_kl: Delta, the largest mean divergence of the adapted policies that a step may cause, with
        "trpo". Unit: nats. Source: MAML's code, 0.01.
      damping: What is added to the diagonal of the curvature, with "trpo". Source: MAML's code,
        1e-5.
      cg_iterations: Iterations of the conjugate gradient method, with "trpo". Source: the study
        maml_fisher; MAML's code has 10.
      backtrack_ratio: By what a step length is multiplied where it does not do, with "trpo".
        Source: MAML's code, 0.8.
      max_backtracks: Step lengths that the line search tries, with "trpo". Source: MAML's code, 15.
      hessian_products: How the curvature is multiplied by a vector, with "trpo": "gauss_newton" or
        "hessian", which gives the same numbers in twice the time. Source: tfcaml; MAML's code takes
        finite differences.
      fisher_subsample: Most tasks whose curvature is used, with "trpo"; 0 stands for all tasks.
        Unit: tasks. Source: the study maml_fisher; MAML's code uses all.
      population: V, members of the population, with "evolution_strategy". Source: EPG's paper: 64.
      antithetic: Whether members come in pairs of opposite changes, with "evolution_strategy".
        Source: tfcaml; EPG's code: no.
      noise_scale: Sigma, the standard deviation of a member's changes, with "evolution_strategy".
        Source: tfcaml; EPG's code: 0.01.
      weight_decay: What the parameters are multiplied by to be taken off the gradient that Adam
        gets, with "evolution_strategy". Source: EPG's code: 1e-3, beside a gradient without the
        division by sigma.
    """

    optimizer: str = "trpo"
    learning_rate: float = 1e-3
    annealing: str = "none"
    steps: int = 5
    clip_ratio: float = 0.3
    keep_below_kl: float = 0.0
    max_grad_norm: float = 0.0
    minibatches: int = 1
    max_kl: float = 0.01
    damping: float = 1e-5
    cg_iterations: int = 5
    backtrack_ratio: float = 0.8
    max_backtracks: int = 15
    hessian_products: str = "gauss_newton"
    fisher_subsample: int = 5
    population: int = 64
    antithetic: bool = True
    noise_scale: float = 0.1
    weight_decay: float = 1e-3

    def __post_init__(self) -> None:
        check_one_of("optimizer", self.optimizer, OPTIMIZERS)
        check_one_of("hessian_products", self.hessian_products, tuple(trpo.PRODUCTS))
        check_positive(
            learning_rate=self.learning_rate,
            steps=self.steps,
            minibatches=self.minibatches,
            clip_ratio=self.clip_ratio,
            max_kl=self.max_kl,
            cg_iterations=self.cg_iterations,
            max_backtracks=self.max_backtracks,
            noise_scale=self.noise_scale,
        )
        check(self.weight_decay >= 0, "weight_decay", self.weight_decay, ">= 0")
        even = self.population >= 2 and not (self.antithetic and self.population % 2)
        rule = "at least 2, and even with antithetic=True"
        check(even, "population", self.population, rule)
        check(self.keep_below_kl >= 0, "keep_below_kl", self.keep_below_kl, ">= 0")
        check(self.max_grad_norm >= 0, "max_grad_norm", self.max_grad_norm, ">= 0")
        check(self.damping >= 0, "damping", self.damping, ">= 0")
        check(0 < self.backtrack_ratio < 1, "backtrack_ratio", self.backtrack_ratio, "in (0, 1)")
        check(self.fisher_subsample >= 0, "fisher_subsample", self.fisher_subsample, ">= 0")
        name = self.optimizer
        check_acts(self, _OF_TRPO, name == "trpo", "with optimizer=trpo")
        check_acts(self, ("backtrack_ratio",), self.max_backtracks > 1, "with max_backtracks > 1")
        of_steps = ("learning_rate", "annealing")
        check_acts(self, of_steps, name != "trpo", "with all optimizers but trpo")
        of_adam = ("max_grad_norm",)
        check_acts(self, of_adam, name in ("adam", "ppo"), "with optimizer=adam or ppo")
        evolves = name == "evolution_strategy"
        check_acts(self, _OF_EVOLUTION, evolves, "with optimizer=evolution_strategy")
        other = "linear" if evolves else "to_a_tenth"
        known = [each for each in ANNEALINGS if each != other]
        rule = f"one of {', '.join(known)} with optimizer={name}"
        check(self.annealing in known, "annealing", self.annealing, rule)
        check_acts(self, ("steps",), name == "ppo", "with optimizer=ppo")
        # In the first step on a batch nothing has moved yet, and the ratio is 1.
        of_several = ("clip_ratio", "keep_below_kl")
        several = name == "ppo" and self.steps > 1
        check_acts(self, of_several, several, "with optimizer=ppo and steps > 1")
        check_acts(self, ("minibatches",), name == "ppo", "with optimizer=ppo")
        check(self.minibatches <= self.steps, "minibatches", self.minibatches, "<= steps")
        whole = self.minibatches == 1 or not self.keep_below_kl
        check(whole, "minibatches", self.minibatches, "1 with keep_below_kl > 0")

    @property
    def moves_on_a_batch(self) -> bool:
        """Whether a loss is worked out at other parameters than those that made the batch."""
        return self.optimizer == "trpo" or (self.optimizer == "ppo" and self.steps > 1)

    def check_parts(self, num_tasks: int) -> None:
        """Refuses `minibatches` that so many tasks can't be cut into evenly."""
        parts, rule = self.minibatches, f"a divisor of {num_tasks}, the tasks of a batch"
        check(num_tasks % parts == 0, "outer.minibatches", parts, rule)

    def evolution(self, num_iterations: int) -> evolution.Evolution:
        """The `Evolution` for a training of so many iterations."""
        return evolution.evolution_strategy(
            self.population,
            self.antithetic,
            self.noise_scale,
            self.learning_rate,
            self.weight_decay,
            max(num_iterations // 2, 1) if self.annealing == "to_a_tenth" else 0,
        )

    def make(self, num_iterations: int) -> outer.OuterOptimizer:
        """The `OuterOptimizer` for a training of so many iterations."""
        if self.optimizer == "adam":
            return self.adam(self.learning_rate, 1, num_iterations)
        if self.optimizer == "ppo":
            guard = self.keep_below_kl if self.steps > 1 else 0
            parts = self.minibatches
            return self.adam(self.learning_rate, self.steps, num_iterations, parts, guard or None)
        return trpo.trpo(
            max_kl=self.max_kl,
            damping=self.damping,
            cg_iterations=self.cg_iterations,
            backtrack_ratio=self.backtrack_ratio,
            max_backtracks=self.max_backtracks,
            products=self.hessian_products,
            fisher_subsample=self.fisher_subsample,
        )

    def adam(
        self,
        learning_rate: float,
        num_steps: int,
        num_iterations: int,
        minibatches: int = 1,
        keep_below_kl: float | None = None,
    ) -> outer.OuterOptimizer:
        """Adam steps with this config's `max_grad_norm` and `annealing`.

        Args:
          learning_rate, num_steps, minibatches, keep_below_kl: as of `outer.adam`.
          num_iterations: of training, each of `num_steps`.
        """
        decay = num_iterations * num_steps if self.annealing == "linear" else 0
        clip = self.max_grad_norm or None
        return outer.adam(learning_rate, num_steps, keep_below_kl, minibatches, clip, decay)


@settings.checked
@dataclasses.dataclass(frozen=True)
class AdamConfig:
    """Settings of an outer step that is one of Adam.

    Attributes:
      learning_rate: Step size of Adam. Source: MAML's code for images, and MIL's: 1e-3.
      max_grad_norm: Norm over all weights that longer gradients are scaled to; 0: none is scaled.
        Source: MIL's code; MAML's clips each number of the gradient at 10 on MiniImagenet.
      decays: Whether it falls linearly to 0 over the config's iterations. Source: tfcaml; in MAML's
        and MIL's code it stays.
    """

    learning_rate: float = 1e-3
    max_grad_norm: float = 0.0
    decays: bool = False

    optimizer: ClassVar[str] = "adam"  # which the family reads

    def __post_init__(self) -> None:
        check_positive(learning_rate=self.learning_rate)
        check(self.max_grad_norm >= 0, "max_grad_norm", self.max_grad_norm, ">= 0")

    def make(self, num_iterations: int) -> outer.OuterOptimizer:
        """The `OuterOptimizer` of a training of so many iterations."""
        return outer.adam(
            self.learning_rate,
            max_grad_norm=self.max_grad_norm or None,
            decay_steps=num_iterations if self.decays else 0,
        )
