"""Settings of CAML, and those that its paper takes literally."""

import dataclasses
from typing import Any

from tfcaml import settings
from tfcaml.divergence.density import BANDWIDTH_RULES
from tfcaml.divergence.jensen_shannon import FORMS
from tfcaml.divergence.policy_divergence import OCCUPANCIES, WEIGHTS
from tfcaml.errors import check, check_acts, check_one_of
from tfcaml.learners.base import LearnerConfig
from tfcaml.learners.caml import bandit

# Which medoid a training entity goes on from, see `CAMLConfig`.
ASSIGNMENTS = ("best_trial", "random")
# Divergences of an occupancy; and controls: distances of weights, at random, and of the tasks
# themselves, which no learner knows.
METRICS = (*OCCUPANCIES, "parameters", "random", "task")
_OF_OCCUPANCIES = ("bandwidth", "weight", "form", "num_states", "time_indexed")


@settings.checked
@dataclasses.dataclass(frozen=True)
class DivergenceConfig:
    """By what saved policies are compared, see `divergence.policy_divergence_matrix`.

    Attributes:
      metric: What clusters are made by: the divergence of an occupancy ("state_action", "state" or
        "action"), or a control: "parameters" (distance of weights), "random", or "task" (distance
        of the tasks themselves, which no learner knows). Source: CAML paper, equation 2:
        state_action.
      bandwidth: Width of the kernels of the densities: a number in units of observations, or the
        name of a rule that works it out from the data, "scott" for each policy or "pooled" for all
        together. Unit: of observations. Source: the study caml_figure2; the paper's
        formula is usually read with Scott's rule.
      weight: What sampled states are weighted by: "inverse_density", "uniform" or "density".
        Source: the study caml_figure2; the paper has "density".
      form: The divergence of two occupancies: "jensen_shannon", "normalized_jensen_shannon" or
        "hellinger", which is quicker. Source: CAML paper, equation 2: jensen_shannon.
      num_states: States at which occupancies are compared. Source: the study caml_figure2.
      time_indexed: Whether densities are of (state, time) instead of states. Source: the study
        caml_figure2.
    """

    metric: str = "state_action"
    bandwidth: str = "0.5"
    weight: str = "inverse_density"
    form: str = "jensen_shannon"
    num_states: int = 300
    time_indexed: bool = False

    def __post_init__(self) -> None:
        check(self.num_states >= 1, "num_states", self.num_states, ">= 1")
        check_one_of("weight", self.weight, WEIGHTS)
        check_one_of("form", self.form, FORMS)
        check_one_of("metric", self.metric, METRICS)
        self.kernel_bandwidth()
        where = "with metric=" + " or ".join(OCCUPANCIES)
        check_acts(self, _OF_OCCUPANCIES, self.metric in OCCUPANCIES, where)

    @property
    def unit(self) -> str:
        """Of the distances, as a figure names it."""
        if self.metric not in OCCUPANCIES:
            return f"distance by {self.metric}"
        return "nats" if self.form == "jensen_shannon" else self.form.replace("_", " ")

    def kernel_bandwidth(self) -> float | str:
        """`bandwidth` as a number or a rule's name."""
        if self.bandwidth in BANDWIDTH_RULES:
            return self.bandwidth
        try:
            value = float(self.bandwidth)
        except ValueError:
            value = -1.0
        rule = "a number > 0 or one of " + ", ".join(BANDWIDTH_RULES)
        check(0 < value < float("inf"), "bandwidth", self.bandwidth, rule)
        return value


@settings.checked
@dataclasses.dataclass(frozen=True)
class ChoiceConfig:
    """How the start for a new entity is chosen, see `tfcaml.learners.caml.bandit`.

    Attributes:
      rule: How the best medoid for a new entity is found, a name in `bandit.RULES`. Source: the
        study caml_ablation; the paper's rule is "uniform_best_episode".
      trial_episodes: Episodes spent on the choice. Source: CAML paper: K = 10.
      include_initial_weights: Whether one trial is of the initial weights, to fall back on them.
        Source: the study caml_ablation; not in the paper.
      min_transfer: Share of its gain over the initial weights at home that a medoid must bring on
        the new entity; else the initial weights are taken. Source: the study caml_ablation; not in
        the paper.
    """

    rule: str = "successive_halving"
    trial_episodes: int = 10
    include_initial_weights: bool = True
    min_transfer: float = 0.5

    def __post_init__(self) -> None:
        check_one_of("rule", self.rule, tuple(bandit.RULES))
        least = 2 if self.include_initial_weights else 1
        check(self.trial_episodes >= least, "trial_episodes", self.trial_episodes, f">= {least}")
        check(self.min_transfer >= 0, "min_transfer", self.min_transfer, ">= 0")
        where = "with include_initial_weights=True"
        check_acts(self, ("min_transfer",), self.include_initial_weights, where)


@settings.checked
@dataclasses.dataclass(frozen=True)
class CAMLConfig(LearnerConfig):
    """Settings of CAML; sampled entities in all: num_iterations * meta_batch_size.

    Attributes:
      num_iterations: Outer iterations of training; times `meta_batch_size`, the entities sampled in
        all. Source: CAML paper, Figure 3: 100 sampled entities.
      meta_batch_size: Entities trained side by side; it divides `policies_per_clustering`. Source:
        tfcaml; one by one in the paper's Algorithm 2.
      policies_per_clustering: n, policies saved between two clusterings. Source: CAML paper: 25.
      num_medoids: k, clusters. Source: the study caml_ablation; the paper has 6, the number of its
        groups.
      adaptive_k: Whether there are 2 to `num_medoids` clusters, as many as give the best
        silhouette. Source: tfcaml.
      assignment: Which medoid a training entity goes on from: "best_trial", the best in one episode
        each, or "random". Source: the study caml_ablation; the paper has "random".
      keep_optimizer_state: Whether a policy takes the state of its optimiser along in training; on
        new entities it is fresh. Source: the CAML reproduction.
      saved_episodes: Episodes that represent a saved policy. Source: CAML paper, Algorithm 1: 1.
      choice: How the start for a new entity is chosen. Source: the study caml_ablation.
      divergence: By what saved policies are compared. Source: the study caml_figure2.
    """

    num_iterations: int = 20
    meta_batch_size: int = 5
    policies_per_clustering: int = 25
    num_medoids: int = 8
    adaptive_k: bool = False
    assignment: str = "best_trial"
    keep_optimizer_state: bool = True
    saved_episodes: int = 1
    choice: ChoiceConfig = ChoiceConfig()
    divergence: DivergenceConfig = DivergenceConfig()

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self.saved_episodes >= 1, "saved_episodes", self.saved_episodes, ">= 1")
        check_one_of("assignment", self.assignment, ASSIGNMENTS)
        least, rule = (3, ">= 3, to choose from 2 on") if self.adaptive_k else (1, ">= 1")
        check(self.num_medoids >= least, "num_medoids", self.num_medoids, rule)
        n, total = self.policies_per_clustering, self.num_iterations * self.meta_batch_size
        rule = f"at most policies_per_clustering={n}"
        check(self.num_medoids <= n, "num_medoids", self.num_medoids, rule)
        check(
            n <= total,
            "policies_per_clustering",
            n,
            f"at most num_iterations * meta_batch_size = {total}, the policies trained",
        )
        check(
            n % self.meta_batch_size == 0,
            "policies_per_clustering",
            n,
            f"a multiple of meta_batch_size={self.meta_batch_size}",
        )
        several = self.num_medoids > 1
        check_acts(self, ("assignment", "choice.rule"), several, "with num_medoids > 1")
        has_state = self.inner_optimizer == "adam"
        check_acts(self, ("keep_optimizer_state",), has_state, "with inner_optimizer=adam")

    def stored(self, sizes: settings.Sizes, num_tasks: int) -> list[settings.Stored]:
        policies, kept = self.policies_per_clustering, self.saved_episodes
        # Beside the episodes each policy's density at all the states where they are compared.
        density = self.divergence.num_states * sizes.outputs
        numbers = kept * sizes.played + sizes.weights + density + policies
        tried = self.meta_batch_size  # by all medoids at once
        return [
            *super().stored(sizes, num_tasks),
            settings.Stored("policies_per_clustering", policies, kept, numbers),
            settings.Stored(
                *("num_medoids", self.num_medoids, tried),
                tried * (sizes.played + sizes.weights),
            ),
        ]

    @classmethod
    def smallest(cls, section: dict[str, Any]) -> dict[str, Any]:
        of_clusters = {"num_medoids": 2, "policies_per_clustering": 2, "adaptive_k": False}
        return {**super().smallest(section), **of_clusters}


def paper_config(**changes: Any) -> CAMLConfig:
    """The literal choices of the paper's Algorithm 2, but for the five updates per entity.

    Args:
      **changes: of fields; dicts of changes of the paper's groups.
    """
    paper = {
        "num_medoids": 6,
        "assignment": "random",
        "choice": {"rule": "uniform_best_episode", "include_initial_weights": False},
        "divergence": {"bandwidth": "scott", "weight": "density"},
    }
    return CAMLConfig(**settings.merged(paper, changes))
