"""Maps of policies in the plane."""

import numpy as np
import threadpoolctl
from sklearn import manifold


def t_sne(distances, seed=0, perplexity=None):
    """t-SNE map (van der Maaten & Hinton 2008) of a distance matrix.

    Args:
      distances: [n, n].
      seed: Python int.
      perplexity: neighbours that count; a third of n, at most 15, unless given.

    Returns:
      [n, 2].
    """
    distances = np.asarray(distances, np.float64)
    n = len(distances)
    if n < 4:
        return np.zeros([n, 2])
    embedding = manifold.TSNE(
        metric="precomputed",
        init="random",
        perplexity=perplexity or min(15.0, (n - 1) / 3),
        random_state=seed,
    )
    # One thread: so small a problem waits for its threads, for seconds when cores are busy, and
    # sums in another order each time.
    with threadpoolctl.threadpool_limits(1):
        return embedding.fit_transform(distances)
