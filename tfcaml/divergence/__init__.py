"""How far policies have diverged, and which of them belong together.

density -> jensen_shannon -> policy_divergence (Algorithm 1 of the CAML paper) -> clustering
"""

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

__all__ = [
    "Agreement",
    "Clustering",
    "KernelDensity",
    "agreement",
    "euclidean",
    "hellinger",
    "jensen_shannon",
    "k_medoids",
    "policy_divergence_matrix",
    "random_distances",
    "silhouette",
    "spread",
    "t_sne",
]
