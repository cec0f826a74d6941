"""Hindsight in mini-mazes: does it help to explore where similar goals were reached?

Goals of a maze are tasks. Experts for the training goals, by natural policy gradient, say how far
apart the solutions of two goals are; a network learns to tell that from the goals alone; and what
the experts did is what hindsight MAML then explores held-out goals by. Beside it: MAML alone, and
hindsight with each part changed. All start from the same meta parameters, of
`configs/hindsight/maze.py`, and play as many episodes.
"""

import functools

import numpy as np

from tfcaml import figures, statistics
from tfcaml.progress import Progress
from tfcaml.reporting import report

from ..runs import interval, kept, rounded
from .bench import ALONE, ARMS, GUIDED, WITHOUT_EXPERTS, Bench

LAYOUTS = ("maze", "four_rooms")
_SHOWN = 0.4  # of the way along the goals: whose distance to all others is drawn
_CURVES = (ALONE, GUIDED, "guided, random similarity", "relabelling", "cloning")


def run(study_seeds, out_dir, quick=False):
    """Runs the study; see `launchers.reproduce`."""
    layouts = LAYOUTS[:1] if quick else LAYOUTS
    found, settings, pictures = {}, {}, {}
    with Progress(len(layouts) * len(study_seeds)) as progress:
        for layout in layouts:
            bench = Bench(layout, quick)
            parts = []
            for seed in study_seeds:
                path = out_dir / "parts" / f"{layout}_seed_{seed}.json"
                parts.append(kept(path, bench.settings, functools.partial(bench.measure, seed)))
                progress.advance(layout, f"seed {seed}")
            settings[layout] = bench.settings
            found[layout] = _summary(bench, parts)
            pictures |= _pictures(layout, bench, parts)
    found = rounded(found)
    results = {"seeds": list(study_seeds), "settings": settings, "layouts": found}
    return results, _text(results), pictures


def _summary(bench, parts):
    """All numbers of a layout, with intervals over seeds."""
    first, returns = _first_success(parts), _returns(parts)
    arms = {}
    for name in ARMS:
        gain = statistics.paired(returns[name][:, -1], returns[ALONE][:, -1])
        compared = name != ALONE  # with the policy alone
        ratio = up_to(bench.num_episodes, statistics.median_ratio, first[name], first[ALONE])
        arms[name] = {
            "first_success": up_to(bench.num_episodes, statistics.median, first[name]),
            "first_success_ratio": ratio if compared else None,
            "found": _row(statistics.mean(first[name] <= bench.num_episodes)),
            "returns": [_row(statistics.mean(x)) for x in np.moveaxis(returns[name], 1, 0)],
            "gain": report.paired_row(gain) if compared else None,
        }
    auc = {kind: [[part["auc"][kind]] for part in parts] for kind in parts[0]["auc"]}
    return {
        "episodes": bench.num_episodes,
        "training_episodes": bench.training_episodes,
        "expert_horizon": bench.experts.environment.horizon,
        "spearman": bench.similarity.way_correlation(),
        "expert_return": _row(statistics.mean([[part["expert_return"]] for part in parts])),
        "auc": {kind: _row(statistics.mean(values)) for kind, values in auc.items()},
        "arms": arms,
    }


def up_to(most, summary, *episodes):
    """A summary of episodes to the first success, some of which are only known to be above `most`.

    Args:
      most: episodes that were played.
      summary: (cells, ...) -> `statistics.Interval`, of cells that may be inf.
      episodes: arrays [S, Q]; more than `most` is: not within `most`.

    Returns:
      dict(value, lower, upper) with `most` in place of what is not known; and, where that decides a
      number, `censored`, see `launchers.studies.runs.interval`.
    """
    near = summary(*(np.minimum(x, most) for x in episodes))
    far = summary(*(np.where(x > most, np.inf, x) for x in episodes))
    if np.isnan([far.lower, far.upper]).any():
        near = near._replace(lower=np.nan, upper=np.nan)
    censored = {
        name: "<" if end < known else ">" if end > known else "?"
        for name, known, end in zip(near._fields, near, far)
        if end != known and not np.isnan(known)
    }
    return _row(near) | ({"censored": censored} if censored else {})


def _first_success(parts):
    """dict arm -> [S, Q] episodes."""
    return _stacked(parts, "first_success")


def _returns(parts):
    """dict arm -> [S, U + 1, Q]."""
    return _stacked(parts, "returns")


def _stacked(parts, key):
    return {name: np.array([part["arms"][name][key] for part in parts]) for name in ARMS}


def _row(value):
    return {key: None if np.isnan(x) else x for key, x in value._asdict().items()}


def _text(results):
    lines = [
        f"Held-out goals, {len(results['seeds'])} seeds, [95 % interval over seeds]. Episodes are "
        "counted until the first that arrives, also those that others play; `found`: share of "
        "goals found at all. Returns are of the policy itself: the share of its episodes that "
        "arrive. Ratio and gain: to the same policy alone, paired over seeds (seeds won). Goals "
        "that are not found count as more episodes than were played: < and > mark what that "
        "decides, ? what it leaves open. Intervals of shares next to 0 or 1 are too narrow (at "
        "0.995, with 20 seeds of 20 goals, they cover about 0.86)."
    ]
    for layout, found in results["layouts"].items():
        updates = len(found["arms"][ALONE]["returns"]) - 1
        marks = sorted({0, min(5, updates), updates // 2, updates})
        gains = {name: row["gain"] for name, row in found["arms"].items() if row["gain"]}
        stars = dict(zip(gains, report.surviving(list(gains.values()))))
        lines += [
            "",
            f"**{layout}**",
            "",
            "| | episodes to first success, median | ratio | found | "
            + " | ".join(f"return, k = {k}" for k in marks)
            + " | gain | episodes of experts |",
            "|---" * (len(marks) + 6) + "|",
        ]
        for name, row in found["arms"].items():
            cells = " | ".join(interval(row["returns"][k], 2) for k in marks)
            ratio, gain = row["first_success_ratio"], row["gain"]
            ratio = interval(ratio, 2) if ratio else ""
            won = f"({gain['seeds_won']}/{gain['num_seeds']})" if gain else ""
            gain = f"{interval(gain, 2)} {won}{stars[name]}" if gain else ""
            experts = 0 if name in WITHOUT_EXPERTS else found["training_episodes"]["experts"]
            lines.append(
                f"| {name} | {interval(row['first_success'], 0)} | {ratio} "
                f"| {interval(row['found'], 2)} | {cells} | {gain} | {experts:,} |"
            )
        note = report.many_comparisons(list(gains.values()))
        lines += ["", note] if note else []
        lines += [
            "",
            f"Before new goals come all arms learn from {found['training_episodes']['meta']:,} "
            "episodes on the training goals. The experts' episodes, on the same goals and of "
            f"{found['expert_horizon']} steps, come on top where an arm uses them.",
        ]
        lines += [
            "",
            f"Rank correlation of the exact policy divergence with the way on foot between goals: "
            f"{found['spearman']:.2f}. Mean return of the experts on their own goals: "
            f"{interval(found['expert_return'], 2)}. Which pairs of held-out goals are similar, "
            "area under the ROC curve: "
            + "; ".join(f"from {kind} {interval(x, 2)}" for kind, x in found["auc"].items())
            + ".",
        ]
    return "\n".join(lines) + "\n"


def _pictures(layout, bench, parts):
    similarity, goals = bench.similarity, bench.similarity.goals
    shown = int(_SHOWN * len(goals))
    learned = np.array(parts[0]["learned"])
    first, returns = _first_success(parts), _returns(parts)
    title = f"Held-out goals of {layout}"
    return {
        f"{layout}_goals": figures.goal_similarity(
            bench.maze.cells[goals],
            bench.maze.cells[bench.maze.start],
            shown,
            similarity.exact,
            learned,
            layout,
        ),
        f"{layout}_found": figures.success_curves(
            {name: first[name] for name in _CURVES}, bench.num_episodes, title
        ),
        f"{layout}_returns": figures.adaptation_curves(
            {name: returns[name] for name in _CURVES}, title
        ),
    }
