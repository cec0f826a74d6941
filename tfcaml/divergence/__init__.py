"""How far policies have diverged, and which of them belong together.

density -> jensen_shannon -> policy_divergence (Algorithm 1 of the CAML paper) -> clustering
jensen_shannon -> action_distance (in one state) -> tabular_metrics (exact) -> policy_metrics
"""

from tfcaml.divergence.action_distance import (
    action_distance,
    gauss_hermite,
    gaussian_jensen_shannon,
    gaussian_symmetric_kl,
    linear_bound,
    root_jensen_shannon,
    symmetric_kl,
    tight_bound,
)
from tfcaml.divergence.clustering import (
    Agreement,
    Clustering,
    agreement,
    k_medoids,
    silhouette,
    spread,
)
from tfcaml.divergence.controls import euclidean, random_distances
from tfcaml.divergence.density import KernelDensity
from tfcaml.divergence.embedding import t_sne
from tfcaml.divergence.jensen_shannon import hellinger, jensen_shannon
from tfcaml.divergence.policy_divergence import policy_divergence_matrix
from tfcaml.divergence.policy_metrics import (
    Behaviour,
    distances_along,
    state_bank,
    state_bank_distance,
    trajectory_divergence,
    visited_distance,
)
from tfcaml.divergence.tabular_metrics import (
    PolicyDivergence,
    equivalence_distance,
    mean_over_states,
    pairs,
    reachable,
    square,
    state_distributions,
    state_visits,
    tabular_divergence,
)

__all__ = [
    "Agreement",
    "Behaviour",
    "Clustering",
    "KernelDensity",
    "PolicyDivergence",
    "action_distance",
    "agreement",
    "distances_along",
    "equivalence_distance",
    "euclidean",
    "gauss_hermite",
    "gaussian_jensen_shannon",
    "gaussian_symmetric_kl",
    "hellinger",
    "jensen_shannon",
    "k_medoids",
    "linear_bound",
    "mean_over_states",
    "pairs",
    "policy_divergence_matrix",
    "random_distances",
    "reachable",
    "root_jensen_shannon",
    "silhouette",
    "spread",
    "square",
    "state_bank",
    "state_bank_distance",
    "state_distributions",
    "state_visits",
    "symmetric_kl",
    "t_sne",
    "tabular_divergence",
    "tight_bound",
    "trajectory_divergence",
    "visited_distance",
]
