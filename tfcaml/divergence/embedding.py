"""Maps of policies in the plane."""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING

import numpy as np
import threadpoolctl

from tfcaml.divergence.arrays import distance_matrix
from tfcaml.errors import check, checked_call

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@checked_call
def t_sne(distances: ArrayLike, seed: int = 0, perplexity: float | None = None) -> np.ndarray:
    """t-SNE map (van der Maaten & Hinton 2008) of a distance matrix.

    Args:
      distances: [n, n].
      seed: an integer from 0 to 2**32 - 1, Python's or NumPy's.
      perplexity: neighbours that count; a third of n, at most 15, unless given.

    Returns:
      [n, 2].

    Raises:
      ConfigError: another seed, a matrix that `k_medoids` would refuse, or a perplexity that is not
        between 0 and n.
    """
    from sklearn import manifold  # loaded when used: it takes a second

    fits = isinstance(seed, numbers.Integral) and 0 <= seed < 2**32
    check(fits, "seed", seed, "an integer from 0 to 2**32 - 1")
    distances = distance_matrix("distances", distances)
    n = len(distances)
    if perplexity is not None:
        fits = isinstance(perplexity, numbers.Real) and 0 < perplexity < max(n, 1)
        check(fits, "perplexity", perplexity, f"a number > 0 and less than the {n} rows")
    if n < 4:
        return np.zeros([n, 2])
    embedding = manifold.TSNE(
        metric="precomputed",
        init="random",
        perplexity=perplexity or min(15.0, (n - 1) / 3),
        random_state=int(seed),
    )
    # One thread: so small a problem waits for its threads, for seconds when cores are busy, and
    # sums in another order each time.
    with threadpoolctl.threadpool_limits(1):
        return embedding.fit_transform(distances)
