"""Goals to learn from and three named sets of goals to adapt to.

Goals of L. Lan, Z. Li, X. Guan, P. Wang, "Meta reinforcement learning with task embedding and
shared policy" (TESP), IJCAI 2019, section 5. There are finitely many goals to learn from, in a ring
around the start, and three sets to adapt to:

  D    the goals that were learned from
  D'   others in the same ring
  D''  goals further out than any that were learned from

All goals of a ring keep a distance from each other.
"""

import numpy as np
import tensorflow as tf

from tfcaml import keys
from tfcaml.environments.base import Population
from tfcaml.errors import ConfigError, check_whole

SETS = ("D", "D'", "D''")  # the named sets of test tasks
# Half the side of the square that goals are drawn from.
SQUARE = 1.5
_NEAR, _FAR = (0.2, 1.1), (1.1, 1.5)  # the rings
_BLOCK, _MOST_BLOCKS = 4096, 50  # places that are tried


def population(seed: int, num_train: int, num_test: int, separation: float) -> Population:
    """Goals to learn from, and those of the three sets in turn: D, D', D'', D, ...

    A task is {"goal": [N, 2]}.

    Args:
      seed: an integer from 0 to 2**62 - 1.
      num_train: S.
      num_test: Q, at most three times S.
      separation: the least distance of two goals.

    Raises:
      ConfigError: there is no room for so many goals.
    """
    check_whole("num_test", num_test, 1, len(SETS) * num_train)
    kind = np.arange(num_test) % len(SETS)
    rng = [np.random.default_rng([keys.as_int(seed), 0x7A26, i]) for i in range(len(SETS))]
    nowhere = np.zeros([0, 2], np.float32)

    def apart(index: int, number: int, ring: tuple[float, float], taken: np.ndarray) -> np.ndarray:
        found = _apart(rng[index], number, ring, taken, separation)
        if len(found) < number:
            raise ConfigError(
                f"expected fewer targets, as at least {separation} m are to be between them in the "
                f"ring from {ring[0]} to {ring[1]} m; received num_train={num_train} and {number} "
                "in the ring"
            )
        return found

    known = apart(0, num_train, _NEAR, nowhere)
    others = apart(1, int(np.sum(kind == 1)), _NEAR, known)
    far = apart(2, int(np.sum(kind == 2)), _FAR, nowhere)
    test = np.zeros([num_test, 2], np.float32)
    for index, goals in enumerate((known, others, far)):
        test[kind == index] = goals[: np.sum(kind == index)]
    return Population(
        {"goal": tf.constant(known)},
        {"goal": tf.constant(test)},
        np.zeros(num_train, np.int64),
        kind,
        test_set=np.array(SETS)[kind],
        seen_sets=SETS[:1],
    )


def _apart(
    rng: np.random.Generator,
    number: int,
    ring: tuple[float, float],
    taken: np.ndarray,
    separation: float,
) -> np.ndarray:
    """Places [number, 2] in a ring that are apart from each other and those taken [n, 2].

    Places of a square are drawn and those that do not fit left out, so that fewer places are the
    first of more. Where there is no room it returns fewer.
    """
    places = list(taken)
    for _ in range(_MOST_BLOCKS):
        if len(places) == len(taken) + number:
            break
        tried = rng.uniform(-SQUARE, SQUARE, [_BLOCK, 2]).astype(np.float32)
        radius = np.linalg.norm(tried, axis=-1)
        within = tried[(ring[0] < radius) & (radius < ring[1])]
        for place in _free(within, places, separation):
            if len(places) < len(taken) + number and len(_free(place[None], places, separation)):
                places.append(place)
    return np.array(places[len(taken) :], np.float32).reshape(-1, 2)


def _free(tried: np.ndarray, places: list[np.ndarray], separation: float) -> np.ndarray:
    """Those of [n, 2] that are far enough from all places."""
    if not places:
        return tried
    apart = np.linalg.norm(tried[:, None] - np.array(places), axis=-1) > separation
    return tried[apart.all(axis=1)]
