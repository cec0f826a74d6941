"""Divergences between policies: tfcaml beside loops over SciPy's densities."""

import functools

import numpy as np
import scipy.special
import scipy.stats
import threadpoolctl

from tfcaml import keys, nest
from tfcaml.divergence import policy_divergence

from .many_policies import population_of_policies, timed_matrix
from .timing import Contestant, Ratio, apart, judged, measure


def run(repeats, quick):
    """Algorithm 1 for 24 policies against a loop over SciPy's densities; and for 1,000 policies."""
    size, num_states, horizon, many = (4, 20, 5, 12) if quick else (24, 500, 100, 1000)
    policy, params, trajectories = population_of_policies(size, horizon)
    options = {"bandwidth": 0.5, "num_states": num_states}
    key = keys.from_int(0)
    states = policy_divergence.sampled_states(trajectories, options["bandwidth"], num_states, key)
    states = states[-1].numpy()  # the loop gets them for nothing

    def tfcaml_matrix():
        return policy_divergence.policy_divergence_matrix(
            policy, params, trajectories, weight="inverse_density", **options
        )

    def scipy_matrix(once):
        # NumPy's threads wait for each other by spinning, which on a busy machine takes for ever.
        with threadpoolctl.threadpool_limits(1, "blas"):
            return _scipy_divergence(params, trajectories, states, options["bandwidth"], once)

    loops = {"SciPy, pair by pair": False, "SciPy, densities kept": True}
    result = measure(
        {
            "tfcaml": Contestant(tfcaml_matrix, unit="matrices/s"),
            **{
                name: Contestant(functools.partial(scipy_matrix, once), unit="matrices/s")
                for name, once in loops.items()
            },
        },
        repeats,
        [Ratio("tfcaml", name, 10) for name in loops],
    )
    difference = float(np.abs(tfcaml_matrix() - scipy_matrix(True)).max())
    result["checks"] = {"largest difference between tfcaml and SciPy": difference}
    for form in ("jensen_shannon", "hellinger"):
        figures = apart(timed_matrix, form, many, num_states, horizon, 2, quick=quick)
        result["checks"][f"{form}, {many} policies, peak memory, MiB"] = figures.pop("peak_mebi")
        result["checks"][f"{form}, {many} policies, before, MiB"] = figures.pop("before_mebi")
        result["figures"] |= {f"{form}, {many}": figures.pop("whole")}
        result["figures"] |= {f"{form}, {many}, pairs only": figures.pop("pairs")}
    slow, fast = (f"{form}, {many}, pairs only" for form in ("jensen_shannon", "hellinger"))
    result["ratios"].append(judged(Ratio(fast, slow, 20), result["figures"]))
    return result


def _scipy_divergence(params, trajectories, states, bandwidth, once):
    """The same matrix by a loop over pairs of policies.

    `once`: keep each policy's occupancy, rather than compute both anew for every pair.
    """
    weights = nest.map(lambda x: x.numpy().astype(np.float64), params)
    observation, mask = trajectories.observation.numpy(), trajectories.mask.numpy().astype(bool)

    def density(i):
        return _FixedKernel(observation[i][mask[i]].T, bandwidth)(states.T)

    def occupancy(i):
        kernel_1, bias_1, kernel_2, bias_2, kernel_3, bias_3 = [w[i] for w in weights]
        hidden = np.tanh(np.tanh(states @ kernel_1 + bias_1) @ kernel_2 + bias_2)
        return density(i)[:, None] * scipy.special.softmax(hidden @ kernel_3 + bias_3, axis=1)

    if once:
        density, occupancy = functools.cache(density), functools.cache(occupancy)
    weight = 1 / np.mean([density(i) for i in range(len(mask))], axis=0) / len(states)
    matrix = np.zeros(2 * [len(mask)])
    for i, j in zip(*np.triu_indices(len(mask), 1)):
        p, q = occupancy(i), occupancy(j)
        terms = scipy.special.rel_entr(p, (p + q) / 2) + scipy.special.rel_entr(q, (p + q) / 2)
        matrix[i, j] = matrix[j, i] = weight @ terms.sum(axis=1)
    return matrix


class _FixedKernel(scipy.stats.gaussian_kde):
    """SciPy's density with a given standard deviation, which it has no option for."""

    def __init__(self, points, bandwidth):
        self._bandwidth = bandwidth
        super().__init__(points)

    def _compute_covariance(self):
        self.covariance = self._bandwidth**2 * np.eye(self.d)
        self.cho_cov = self._bandwidth * np.eye(self.d)
        self.log_det = 2 * self.d * np.log(self._bandwidth * np.sqrt(2 * np.pi))
