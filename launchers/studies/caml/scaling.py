"""What the divergence of many policies costs, and whether the cheap form finds the same clusters.

Seconds and memory of the matrix of N policies with an episode of 100 steps each, by Jensen-Shannon
divergence (the paper's Eq. 2) and by squared Hellinger distance, each in a fresh process; then
both matrices of up to 1,000 trained policies of six latent groups, clustered into six.
"""

import dataclasses
import functools
import time

import numpy as np
from sklearn import metrics

from tfcaml import divergence, environments, figures, keys, learners, nest, policies, training
from tfcaml.progress import Progress

from ...benchmarks.many_policies import timed_matrix
from ...benchmarks.timing import apart
from ..runs import kept, rounded

FORMS = {"jensen_shannon": "Jensen-Shannon", "hellinger": "squared Hellinger"}
STAGES = {"whole": "whole matrix", "pairs": "pairs only"}
SIZES = (24, 50, 100, 200, 500, 1000)
CLUSTERED = (24, 100, 1000)
NUM_STATES, REPEATS, CHUNK, GROUPS = 500, 5, 250, 6
_LARGEST = 3  # sizes that the exponent is fitted to


def run(study_seeds, out_dir, quick=False):
    """Runs the study; see `launchers.reproduce`."""
    sizes, num_states, horizon = ((6, 12), 20, 8) if quick else (SIZES, NUM_STATES, 100)
    # Timings come first, while nothing else has taken memory.
    timings = _timings(sizes, num_states, horizon, out_dir / "parts", quick)
    learner = _learner(sizes, horizon, quick)
    agreement = _agreements(learner, study_seeds, (12,) if quick else CLUSTERED, out_dir / "parts")
    results = rounded(
        {
            "seeds": list(study_seeds),
            "sizes": list(sizes),
            "num_states": num_states,
            "environment": dataclasses.asdict(learner.environment.config),
            "learner": dataclasses.asdict(learner.config),
            "timings": timings,
            "agreement": agreement,
        },
        digits=6,
    )
    return results, text(results), {"scaling": _picture(results)}


def _timings(sizes, num_states, horizon, parts, quick):
    """{form: [what `timed_matrix` gives, per size]}; in this very process when `quick`."""
    found = {form: [] for form in FORMS}
    with Progress(len(FORMS) * len(sizes)) as progress:
        for form in FORMS:
            for size in sizes:
                arguments = form, size, num_states, horizon, REPEATS
                compute = functools.partial(timed_matrix, *arguments)
                if not quick:
                    compute = functools.partial(apart, timed_matrix, *arguments)
                path = parts / f"{form}_{size}.json"
                found[form].append(kept(path, {"arguments": arguments}, compute))
                progress.advance(FORMS[form], f"{size} policies")
    return found


def _learner(sizes, horizon, quick):
    """A learner of a chunk of policies, whose family has enough entities in every group."""
    variants = -(-max(sizes) // GROUPS)
    config = environments.ParticleConfig(
        horizon=horizon, num_groups=GROUPS, variants_per_group=variants
    )
    environment = environments.Particle(config)
    units, chunk, updates = ((8,), 6, 1) if quick else ((100, 100), CHUNK, 40)
    policy = policies.mlp_policy(environment.observation_spec, environment.action_spec, units)
    config = learners.PolicyGradient.Config(num_iterations=updates, meta_batch_size=chunk)
    jit_compile = False if quick else None  # compiling would take longer than all else
    return learners.PolicyGradient(environment, policy, config, jit_compile=jit_compile)


def _agreements(learner, study_seeds, sizes, parts):
    """{size: {measure: [seed]}} of clusterings of the first policies, as many as `sizes` say."""
    updates = max(sizes) // learner.config.meta_batch_size * learner.config.num_iterations
    path = {seed: parts / f"agreement_seed_{seed}.json" for seed in study_seeds}
    done = sum(updates for seed in study_seeds if path[seed].exists())
    rows = []
    with Progress(len(study_seeds) * updates, done) as progress:
        for seed in study_seeds:
            settings = {
                "seed": seed,
                "sizes": sizes,
                "environment": dataclasses.asdict(learner.environment.config),
                "learner": dataclasses.asdict(learner.config),
                "jit_compile": learner.jit_compile,
            }
            compute = functools.partial(_agreement, learner, seed, sizes, progress)
            rows.append(kept(path[seed], settings, compute))
    return {
        str(size): {name: [row[index][name] for row in rows] for name in rows[0][index]}
        for index, size in enumerate(sizes)
    }


def _agreement(learner, seed, sizes, progress):
    """Measures of one seed, one dict per size."""
    params, trajectory, groups = _trained(learner, seed, max(sizes), progress)
    return [
        _compare(
            learner.policy,
            nest.take(params, np.arange(size)),
            nest.take(trajectory, np.arange(size)),
            groups[:size],
            seed,
        )
        for size in sizes
    ]


def _trained(learner, seed, size, progress):
    """Policies of entities that take turns in the groups, trained chunk by chunk.

    Returns:
      (weights, each [size, ...]; `Trajectory` of an episode of each; groups [size]).
    """
    population = learner.environment.population(seed)
    variants = nest.leading(population.train) // GROUPS
    order = np.arange(GROUPS * variants).reshape(GROUPS, variants).T.ravel()[:size]
    chunks = []
    for index, rows in enumerate(np.split(order, size // learner.config.meta_batch_size)):
        task, own_seed = nest.take(population.train, rows), 1000 * seed + index
        learner.reset(own_seed)
        while int(learner.iteration) < learner.config.num_iterations:
            training.train_all(learner, task, own_seed)
            progress.advance(f"seed {seed}", f"policies {len(rows) * (index + 1)}")
        fast = learner.meta.read()
        key = keys.fold(keys.from_int(own_seed), 0x5CA1E)
        chunks.append((fast.params, learner.measure(fast, task, 1, keys.fold(key, 0))))
    params, trajectory = nest.concat(*chunks)
    return params, trajectory, np.asarray(population.train_group)[order]


def _compare(policy, params, trajectory, groups, seed):
    """How the clusters by the two forms agree with each other and with the groups."""
    matrices, labels, seconds = {}, {}, {}
    for form in FORMS:
        matrices[form] = divergence.policy_divergence_matrix(
            policy, params, trajectory, form=form, num_states=NUM_STATES, seed=seed
        ).numpy()
        start = time.perf_counter()
        labels[form] = divergence.k_medoids(matrices[form], GROUPS, seed).labels
        seconds[form] = time.perf_counter() - start
    pairs = np.triu_indices(len(groups), 1)
    return {
        "between forms": metrics.adjusted_rand_score(*labels.values()),
        **{
            f"{form} and groups": metrics.adjusted_rand_score(groups, labels[form])
            for form in FORMS
        },
        "correlation": np.corrcoef(*[matrix[pairs] for matrix in matrices.values()])[0, 1],
        "k_medoids_seconds": seconds["jensen_shannon"],
    }


def exponent(sizes, seconds):
    """The power of N that the seconds of the largest sizes grow with."""
    return np.polyfit(np.log(sizes[-_LARGEST:]), np.log(seconds[-_LARGEST:]), 1)[0]


def _seconds(results, form, stage):
    """The least wall seconds of the repeats, per size."""
    return [min(row[stage]["seconds"]) for row in results["timings"][form]]


def text(results):
    """The tables of results, as Markdown."""
    sizes, timings, last = results["sizes"], results["timings"], results["sizes"][-1]
    least = {(f, s): _seconds(results, f, s) for f in FORMS for s in STAGES}
    cpu = {(f, s): [row[s]["median_cpu_seconds"] for row in timings[f]] for f, s in least}
    columns = [f"{FORMS[form]}, {STAGES[stage]}" for form, stage in least]
    lines = [
        f"Divergence matrix of N policies, an episode each, {results['num_states']} states: least "
        f"wall seconds of {REPEATS} runs after a first one (median CPU seconds), and the peak of "
        "memory of a fresh process, TensorFlow itself included, GB. Wall beyond CPU seconds is "
        "waiting: for one core to end its part, or for other work on the machine.",
        "",
        "| N | " + " | ".join(columns) + " | memory, " + " / ".join(FORMS.values()) + " |",
        "|---" * (len(columns) + 2) + "|",
    ]
    for i, size in enumerate(sizes):
        cells = [f"{seconds[i]:.3f} ({cpu[key][i]:.3f})" for key, seconds in least.items()]
        memory = " / ".join(f"{timings[form][i]['peak_mebi'] * 2**20 / 1e9:.2f}" for form in FORMS)
        lines.append(f"| {size} | {' | '.join(cells)} | {memory} |")
    powers = [f"{exponent(sizes, seconds):.2f}" for seconds in cpu.values()]
    fitted = f"power of N, CPU seconds, last {min(_LARGEST, len(sizes))}"
    lines.append(f"| {fitted} | {' | '.join(powers)} | |")
    ratio = {s: least["jensen_shannon", s][-1] / least["hellinger", s][-1] for s in STAGES}
    lines += [
        "",
        f"Squared Hellinger against Jensen-Shannon at {last} policies: "
        f"{ratio['pairs']:.0f} times faster over the pairs, {ratio['whole']:.1f} times with the "
        "densities and the policies at the states, which both forms need.",
        "",
        *_agreement_lines(results),
    ]
    return "\n".join(lines) + "\n"


def _agreement_lines(results):
    updates = results["learner"]["num_iterations"]
    yield (
        f"Policies of {GROUPS} latent groups, trained apart for {updates} updates, clustered into "
        f"{GROUPS} by either form: adjusted Rand index, median over {len(results['seeds'])} seeds "
        "(worst); correlation of the divergences; seconds of K-medoids."
    )
    yield ""
    yield (
        "| N | form against form | "
        + " | ".join(f"{name} against groups" for name in FORMS.values())
        + " | correlation | K-medoids, s |"
    )
    yield "|---|---|---|---|---|---|"
    for size, rows in results["agreement"].items():
        cells = [
            f"{np.median(rows[name]):.2f} ({min(rows[name]):.2f})"
            for name in ("between forms", *(f"{form} and groups" for form in FORMS))
        ]
        correlation, seconds = np.median(rows["correlation"]), np.median(rows["k_medoids_seconds"])
        yield f"| {size} | {' | '.join(cells)} | {correlation:.3f} | {seconds:.2f} |"


def _picture(results):
    timings = results["timings"]
    panels = {
        "wall seconds": {
            f"{FORMS[form]}, {STAGES[stage]}": np.array(
                [row[stage]["seconds"] for row in timings[form]]
            ).T
            for form in FORMS
            for stage in STAGES
        },
    }
    names = list(panels["wall seconds"])
    title = "Divergence matrix of N policies: medians and ranges of repeats"
    return figures.curves(panels, results["sizes"], "policies", title, bands=names, log=True)
