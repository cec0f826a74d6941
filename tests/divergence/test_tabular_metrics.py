import itertools
import math

import numpy as np
import pytest

from tfcaml.divergence import (
    equivalence_distance,
    mean_over_states,
    pairs,
    reachable,
    root_jensen_shannon,
    square,
    state_distributions,
    state_visits,
    tabular_divergence,
)


def log(probability):
    with np.errstate(divide="ignore"):
        return np.log(probability)


def tables(num_policies, num_states, num_actions, seed):
    """Random policies [N, S, A], without a third of the actions, in an MDP [S, A, S] that ends."""
    rng = np.random.default_rng(seed)
    policy = rng.dirichlet(np.ones(num_actions), [num_policies, num_states])
    policy = np.where(rng.uniform(size=policy.shape) < 0.3, 0, policy)
    policy[..., 0] += 1 - policy.sum(axis=-1)
    transition = rng.dirichlet(np.full(num_states + 1, 0.5), [num_states, num_actions])[..., :-1]
    transition *= rng.uniform(size=transition.shape) < 0.6
    start = rng.dirichlet(np.full(num_states, 0.4))
    return log(policy), transition, np.where(start < 0.2, 0, start) / start[start >= 0.2].sum()


def exact(log_policy, transition, start, horizon):
    """P, d_E and d_P of every pair of policies: matrices."""
    i, j = pairs(len(log_policy))
    visits = state_visits(log_policy, transition, start, horizon).numpy()
    reach = reachable(log_policy, transition, start, horizon).numpy()
    distance = root_jensen_shannon(log_policy[i], log_policy[j])
    values = (
        tabular_divergence(log_policy[i], log_policy[j], visits[i], visits[j]).total,
        equivalence_distance(distance, reach[i], reach[j]),
        mean_over_states(distance),
    )
    return [square(x, len(log_policy)).numpy() for x in values]


def trajectories(log_policy, transition, start, horizon):
    """Every trajectory ((s, a), ...) of one policy and its probability, by enumeration."""
    size, num_actions, _ = transition.shape
    steps = list(itertools.product(range(size), range(num_actions)))
    found = {}

    def extend(episode, probability):
        state, action = episode[-1]
        ends = 1 - transition[state, action].sum()
        if len(episode) == horizon:
            found[episode] = probability
            return
        if ends > 1e-12:
            found[episode] = probability * ends
        for s, a in steps:
            p = probability * transition[state, action, s] * math.exp(log_policy[s, a])
            if p > 0:
                extend((*episode, (s, a)), p)

    for s, a in steps:
        if start[s] * math.exp(log_policy[s, a]) > 0:
            extend(((s, a),), start[s] * math.exp(log_policy[s, a]))
    return found


@pytest.mark.parametrize("seed", range(6))
def test_enumeration_gives_the_same_divergence(seed):
    horizon = 2 + seed % 3
    log_policy, transition, start = tables(2, 3, 2, seed)
    found = [trajectories(x, transition, start, horizon) for x in log_policy]
    distance = root_jensen_shannon(*log_policy).numpy()
    total, mean = 0, 0
    for episodes in found:
        assert sum(episodes.values()) == pytest.approx(1)
        summed = sum(p * sum(distance[s] for s, _ in e) for e, p in episodes.items())
        total += summed
        mean += 0.5 * summed / sum(p * len(e) for e, p in episodes.items())
    visits = state_visits(log_policy, transition, start, horizon).numpy()
    actual = tabular_divergence(log_policy[:1], log_policy[1:], visits[:1], visits[1:])
    np.testing.assert_allclose(actual.total, [total], rtol=1e-6)
    np.testing.assert_allclose(actual.normalized, [mean], rtol=1e-6)


def test_zero_if_and_only_if_equivalent():
    """P and d_E, of policies that share some rows, against the trajectories themselves."""
    rng = np.random.default_rng(3)
    zeros = 0
    for seed in range(12):
        log_policy, transition, start = tables(2, 4, 2, 100 + seed)
        keep = rng.uniform(size=4) < 0.7
        log_policy[1, keep] = log_policy[0, keep]
        first, second = (trajectories(x, transition, start, 3) for x in log_policy)
        same = first.keys() == second.keys() and all(
            first[e] == pytest.approx(second[e], abs=1e-12) for e in first
        )
        total, equivalence, _ = exact(log_policy, transition, start, 3)
        assert (total[0, 1] < 1e-9) == (equivalence[0, 1] < 1e-9) == same
        zeros += same
    assert 2 <= zeros <= 10


def test_symmetry_and_range():
    horizon = 4
    log_policy, transition, start = tables(8, 4, 3, 7)
    visits = state_visits(log_policy, transition, start, horizon).numpy()
    reach = reachable(log_policy, transition, start, horizon).numpy()
    i, j = pairs(8)
    one = tabular_divergence(log_policy[i], log_policy[j], visits[i], visits[j])
    two = tabular_divergence(log_policy[j], log_policy[i], visits[j], visits[i])
    np.testing.assert_allclose(one.total, two.total, rtol=1e-12)
    most = math.sqrt(math.log(2))
    assert (one.total.numpy() > 0).all() and (one.total.numpy() <= 2 * horizon * most).all()
    assert (one.normalized.numpy() <= most).all()
    distance = root_jensen_shannon(log_policy[i], log_policy[j])
    np.testing.assert_array_equal(
        equivalence_distance(distance, reach[i], reach[j]),
        equivalence_distance(distance, reach[j], reach[i]),
    )
    lasting = transition / transition.sum(axis=-1, keepdims=True).clip(1e-9)
    lasting = np.where(transition.sum(axis=-1, keepdims=True) > 0, lasting, 0.25)
    visits = state_visits(log_policy, lasting, start, horizon).numpy()
    full = tabular_divergence(log_policy[i], log_policy[j], visits[i], visits[j])
    np.testing.assert_allclose(full.normalized, full.total / (2 * horizon), rtol=1e-6)


def test_d_p_is_a_metric_where_every_state_has_weight():
    log_policy = tables(12, 4, 3, 8)[0]
    weight = np.array([0.1, 2.0, 0.5, 0.01])
    d = lambda i, j: mean_over_states(root_jensen_shannon(log_policy[i], log_policy[j]), weight)
    every = np.arange(12)
    matrix = d(every[:, None], every[None]).numpy()
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-12)
    assert (np.diag(matrix) == 0).all() and (matrix + np.eye(12) > 1e-3).all()
    assert (matrix[:, None] <= matrix[:, :, None] + matrix[None] + 1e-9).all()
    # One state differs, and has no weight.
    other = log_policy[0].copy()
    other[1] = np.roll(other[1], 1)
    distance = root_jensen_shannon(log_policy[0], other)
    assert float(mean_over_states(distance, weight)) > 0
    assert float(mean_over_states(distance, [1, 0, 1, 1])) == 0


def test_two_states_of_which_one_is_never_reached():
    """Action 0 stays, 1 changes sides. A stays everywhere, B leaves state 1."""
    transition = np.zeros([2, 2, 2])
    transition[[0, 1], 0, [0, 1]] = transition[[0, 1], 1, [1, 0]] = 1
    log_policy = log(np.array([[[1.0, 0], [1, 0]], [[1, 0], [0, 1]]]))
    total, equivalence, everywhere = exact(log_policy, transition, [1.0, 0], 5)
    assert total[0, 1] == 0 and equivalence[0, 1] == 0
    assert everywhere[0, 1] == pytest.approx(math.sqrt(math.log(2)) / 2)
    for matrix in exact(log_policy, transition, [0.9, 0.1], 5):
        assert matrix[0, 1] > 0.05


def corridors():
    """A decision between two corridors of three states; a goes left, c right, b either way."""
    transition = np.zeros([7, 2, 7])
    transition[0, 0, 1] = transition[0, 1, 4] = 1
    for state in (1, 2, 4, 5):
        transition[state, :, state + 1] = 1
    policy = np.full([3, 7, 2], 0.5)
    policy[0, 0], policy[2, 0] = [1, 0], [0, 1]
    return log(policy), transition, np.eye(7)[0]


def test_d_e_breaks_the_triangle_inequality():
    _, d_e, _ = exact(*corridors(), 4)
    a, b, c = range(3)
    assert d_e[a, c] == pytest.approx(0.8326, abs=1e-4)
    assert d_e[a, b] + d_e[b, c] == pytest.approx(0.2323, abs=1e-4)


def test_p_breaks_the_triangle_inequality_too():
    """Not of these three policies, but of others in the same corridors."""
    log_policy, transition, start = corridors()
    total, _, _ = exact(log_policy, transition, start, 4)
    assert total[0, 2] == pytest.approx(1.665, abs=1e-3)
    assert total[0, 1] + total[1, 2] == pytest.approx(1.858, abs=1e-3)
    # Where a and c differ, and stay, b is not seen: half way between them, half the visits count.
    transition[6, :, 6] = 1
    policy = np.full([3, 7, 2], 0.5)
    policy[[0, 1, 2], 0] = [[0, 1], [1, 0], [0, 1]]
    policy[0, 4:], policy[2, 4:] = [1, 0], [0, 1]
    total, _, _ = exact(log(policy), transition, start, 10)
    assert total[0, 2] == pytest.approx(14.99, abs=0.01)
    assert total[0, 1] + total[1, 2] == pytest.approx(11.69, abs=0.01)


def test_distributions_lose_what_ends():
    transition = np.array([[[0.0, 0.5]], [[0.0, 0.0]]])
    actual = state_distributions(np.zeros([1, 2, 1]), transition, [1.0, 0.0], 3)
    np.testing.assert_allclose(actual, [[[1, 0], [0, 0.5], [0, 0]]])


def test_what_is_reached_however_seldom():
    """Probabilities that underflow when multiplied."""
    size = 6
    transition = np.zeros([size, 2, size])
    transition[np.arange(size), 0, np.arange(size)] = 1
    transition[np.arange(size - 1), 1, np.arange(1, size)] = 1
    log_policy = np.tile([0.0, -200.0], [1, size, 1])
    start = np.eye(size)[0]
    np.testing.assert_array_equal(reachable(log_policy, transition, start, 5)[0], [1] * 5 + [0])
    assert state_visits(log_policy, transition, start, 5)[0, 4] == 0
    log_policy[0, 2, 1] = -np.inf
    np.testing.assert_array_equal(reachable(log_policy, transition, start, 6)[0], [1] * 3 + [0] * 3)


def test_pairs_fill_a_matrix():
    i, j = pairs(4)
    matrix = square(10.0 * i + j, 4).numpy()
    expected = [[0, 1, 2, 3], [1, 0, 12, 13], [2, 12, 0, 23], [3, 13, 23, 0]]
    np.testing.assert_array_equal(matrix, expected)


def test_nothing_in_common():
    distance = np.ones([1, 2])
    assert float(equivalence_distance(distance, [[1.0, 0]], [[0, 1.0]])[0]) == 0
    assert float(mean_over_states(distance)[0]) == 1
