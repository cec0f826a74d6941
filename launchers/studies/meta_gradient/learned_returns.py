"""Meta-gradient RL beside fixed discounts, and V-trace beside steps that are not corrected.

Runs the configs `meta_gradient/...` in run directories of the study, so that it goes on where it
stopped. Each of `PARTS` may be run by itself: `chain(range(10), pathlib.Path("runs/chain"))`.
"""

import numpy as np
from tfcaml.configs.meta_gradient import (
    cartpole,
    catch,
    catch_vtrace,
    discounting_chain,
    process_discount,
    process_lambda,
)

from tfcaml import figures, statistics
from tfcaml.experiments.experiment import Experiment
from tfcaml.reporting import report, tensorboard

from ..runs import config_name, interval, rounded, run_config, shrink

PROCESSES = {"discount": process_discount, "lambda": process_lambda}
CONTROL = {"cartpole": ("CartPole", cartpole), "catch": ("Catch", catch)}
# What the processes and the chain have to show: (least, most) of a mean over seeds.
BARS = {
    "discount": {"even": (0.0, 0.2), "odd": (0.85, 1.0)},
    "lambda": {"even": (0.9, 1.0), "last odd": (0.0, 0.4), "even - odd": (0.2, 1.0)},
    "chain": {"discount": (0.997, 1.0), "return": (1.05, 1.1)},
}
_KEEP = 1000  # checkpoints, of which curves over training are made


def run(study_seeds, out_dir, quick=False, train=Experiment.train):
    """Runs all parts of the study; see `launchers.reproduce`."""
    results, lines, pictures = {"seeds": list(study_seeds)}, [], {}
    for part in PARTS:
        found, text, drawn = part(study_seeds, out_dir, quick, train)
        results |= found
        lines += text
        pictures |= drawn
    return results, "\n".join(lines), pictures


def processes(study_seeds, out_dir, quick=False, train=Experiment.train):
    """The two Markov reward processes: what gammas and lambdas of states are learned.

    Returns:
      (dict of results, lines of Markdown, dict name -> figure), as all parts do.
    """
    results, lines, pictures = {}, [], {}
    for kind, module in list(PROCESSES.items())[: 1 if quick else None]:
        experiment, _ = _run(module, study_seeds, out_dir, quick, train)
        iterations, values = _of_states(experiment, kind)
        groups = _groups(values)
        last = {name: rows[:, -1] for name, rows in groups.items()}
        shown = {name: row for name, row in groups.items() if name != "even - odd"}
        episodes = _episodes(experiment, iterations)
        name = f"process_{kind}"
        pictures[name] = figures.seed_curves(
            {kind: {label: (episodes, rows) for label, rows in shown.items()}},
            "episodes",
            f"Learned {kind} of states",
        )
        results[name] = rounded(
            {
                "episodes": episodes[-1],
                "states": {group: _row(rows) for group, rows in last.items()},
                "of_each_state": values[:, -1].mean(axis=0).tolist(),
            }
        )
        lines += _text_of_process(kind, experiment, results[name])
    return results, lines, pictures


def chain(study_seeds, out_dir, quick=False, train=Experiment.train):
    """The discounting chain, with a second critic for the meta-gradient and without."""
    return _compared(
        *("chain", "Discounting chain", discounting_chain),
        *(study_seeds, out_dir, quick, train),
    )


def control(study_seeds, out_dir, quick=False, train=Experiment.train):
    """CartPole and catch: a discount that is learned from 0.9 on, and five that are fixed."""
    results, lines, pictures = {}, [], {}
    for name, (title, module) in list(CONTROL.items())[-1 if quick else 0 :]:
        found = _compared(name, title, module, study_seeds, out_dir, quick, train)
        results |= found[0]
        lines += found[1]
        pictures |= found[2]
    return results, lines, pictures


def vtrace(study_seeds, out_dir, quick=False, train=Experiment.train):
    """Catch by V-trace: on policy, and with steps of old weights that it corrects or that stay."""
    return _compared(
        *("catch_vtrace", "Catch by V-trace", catch_vtrace),
        *(study_seeds, out_dir, quick, train),
        pairs=(("vtrace_lag", "uncorrected_lag"),),
    )


PARTS = (processes, chain, control, vtrace)


def _run(module, study_seeds, out_dir, quick, train):
    """(`Experiment`, summary of its evaluation) of a config."""
    content = module.get_config().to_dict()
    if quick:
        horizon = content["environment"].get("horizon")
        shrink(content, list(content["compared"])[:2])
        if horizon and content["environment"]["name"] == "discounting_chain":
            content["environment"]["horizon"] = 30  # the step that pays best
    root = out_dir / "runs" / config_name(module).replace("/", "_")
    seeds = study_seeds[: content["num_seeds"]]
    return run_config(content, seeds, root, train=train, keep=_KEEP)


def _of_states(experiment, kind):
    """Learned numbers of the states that steps come to and go on from, the second to the last one.

    Returns:
      (iterations [I], values [S, I, states]).
    """
    method, config = next(iter(experiment.config.learners)), experiment.config
    length = config.learners[method][1].num_iterations
    iterations = [*range(0, length, config.save_interval), length]

    def values(seed, iteration):
        learner = experiment.trained(method, seed, iteration)
        numbers = learner.number(learner.meta.read()["eta"], kind)[0].numpy()
        return numbers[1 : experiment.environment.horizon]

    return iterations, np.array([[values(seed, i) for i in iterations] for seed in config.seeds])


def _groups(values):
    """Means over even and odd states, of values [..., states] from state 2 on."""
    even, odd = values[..., 0::2].mean(axis=-1), values[..., 1::2].mean(axis=-1)
    number_of_odd = values.shape[-1] // 2
    last = values[..., 1::2][..., number_of_odd - 1]
    return {"even": even, "odd": odd, "last odd": last, "even - odd": even - odd}


def _episodes(experiment, iterations):
    """Episodes played up to the end of each of so many iterations."""
    method = next(iter(experiment.config.learners))
    each = experiment.trainer.made(method).episodes_per_iteration
    return [iteration * each for iteration in iterations]


def _row(values):
    """Mean over seeds with its interval, and the least and the greatest, of values [S]."""
    mean = report.summary(np.reshape(values, [-1, 1]))["mean"]
    return {**mean, "least": float(np.min(values)), "greatest": float(np.max(values))}


def _compared(name, title, module, study_seeds, out_dir, quick, train, pairs=None):
    """The part of a config whose methods are compared by their returns.

    Args:
      name: of the part.
      title: of the part.
      module: the config.
      study_seeds, out_dir, quick, train: as of `run`.
      pairs: (method, other)s whose differences are shown; unless given, the main method and each of
        the others.
    """
    experiment, summary = _run(module, study_seeds, out_dir, quick, train)
    methods = list(experiment.config.learners)
    pairs = pairs or [(methods[0], other) for other in methods[1:]]
    measured, rows, panels = {}, {}, {"return": {}, "discount": {}}
    for method in methods:
        config = experiment.config.learners[method][1]
        folders = [experiment.directory.train(method, seed) for seed in experiment.config.seeds]
        curves = tensorboard.read_training(folders)
        iterations, returns = curves["return_after"]
        steps = experiment.environment_steps(method)
        x = [(iteration + 1) * steps / config.num_iterations for iteration in iterations]
        panels["return"][method] = x, returns
        measured[method] = {
            "return": np.array(summary["methods"][method]["returns"])[:, 0].mean(axis=-1),
            "in_training": returns.mean(axis=1),
        }
        rows[method] = {key: _row(values) for key, values in measured[method].items()}
        rows[method]["discount"] = config.advantage.discount
        if "discount" in curves:
            panels["discount"][method] = x, curves["discount"][1]
            rows[method]["discount"] = _row(curves["discount"][1][:, -1])
        rows[method]["environment_steps"] = steps
        rows[method]["seconds"] = experiment.training_seconds(method)
    paired = {
        f"{method} - {other}": {
            key: report.paired_row(
                statistics.paired(*(measured[each][key][:, None] for each in (method, other)))
            )
            for key in ("return", "in_training")
        }
        for method, other in pairs
        if {method, other} <= set(methods)
    }
    results = rounded(
        {"seeds": list(experiment.config.seeds), "methods": rows, "paired": paired}, 5
    )
    panels = {label: lines for label, lines in panels.items() if lines}
    picture = figures.seed_curves(panels, "environment steps", title)
    return {name: results}, _text(name, title, experiment, results), {name: picture}


def _text_of_process(kind, experiment, results):
    seeds = len(experiment.config.seeds)
    lines = [
        f"## Markov reward process: the {kind} of each state",
        "",
        f"After {results['episodes']:,} episodes, mean over {seeds} seeds [95 % interval].",
        "",
        f"| states | {kind} | least and greatest of a seed | to show | shown |",
        "|---|---|---|---|---|",
    ]
    for group, row in results["states"].items():
        spread = f"{row['least']:.2f}, {row['greatest']:.2f}"
        lines.append(f"| {group} | {interval(row, 2)} | {spread} | {_bar(kind, group, row)} |")
    return [*lines, ""]


def _bar(part, name, row):
    """What a mean has to be and whether it is, as two cells; empty where nothing is said of it."""
    if name not in BARS.get(part, {}):
        return " | "
    low, high = BARS[part][name]
    return f"{low:g} to {high:g} | {'yes' if low <= row['value'] <= high else 'no'}"


def _text(name, title, experiment, results):
    config = experiment.config
    lines = [
        f"## {title}",
        "",
        f"{experiment.environment.notice} {len(config.seeds)} seeds [95 % interval over seeds]. "
        f"Mean return of {config.episodes} episodes after training, and of the episodes in it; the "
        "discount at its end.".strip(),
        "",
        "| method | return after training | mean return in training | discount "
        "| environment steps | seconds per seed |",
        "|---|---|---|---|---|---|",
    ]
    for method, row in results["methods"].items():
        discount = row["discount"]
        discount = interval(discount, 4) if isinstance(discount, dict) else f"{discount:g}"
        cells = [interval(row["return"], 3), interval(row["in_training"], 3), discount]
        steps = f"{row['environment_steps'] / 1e6:.2f} M"
        lines.append(f"| {method} | {' | '.join(cells)} | {steps} | {row['seconds']:.0f} |")
    main = next(iter(results["methods"].values()))
    for key in BARS.get(name, {}):
        wanted, shown = _bar(name, key, main[key]).split(" | ")
        lines += ["", f"To show: {key} of the first from {wanted}. Shown: {shown}."]
    every = [row for pair in results["paired"].values() for row in pair.values()]
    if every:
        marks = iter(report.surviving(every))
        lines += [
            "",
            "Differences, paired over seeds (seeds won).",
            "",
            "| | after training | in training |",
            "|---|---|---|",
        ]
        for names, pair in results["paired"].items():
            cells = [
                f"{interval(row, 3)} ({row['seeds_won']}/{row['num_seeds']}){next(marks)}"
                for row in pair.values()
            ]
            lines.append(f"| {names} | {' | '.join(cells)} |")
        note = report.many_comparisons(every)
        lines += ["", note] if note else []
    return [*lines, ""]
