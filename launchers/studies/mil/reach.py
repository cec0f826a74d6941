"""Reaching for the block of the colour that a demonstration shows, in blocks and in images.

Runs the configs `mil/reach...` in run directories of the study, so that it goes on where it
stopped. Each of `PARTS` may be run by itself: `blocks(range(3), pathlib.Path("runs/blocks"))`.
"""

import numpy as np
from tfcaml.configs.mil import reach

from tfcaml import figures
from tfcaml.experiments.experiment import Experiment

from ..runs import interval, rounded, run_config, run_parts
from . import imitation

_SHOTS = (1, 2, 5)
_TASKS = (50, 200)  # that are learned from in `demonstrations`, beside those of `blocks`


def run(study_seeds, out_dir, quick=False, train=Experiment.train):
    """Runs all parts of the study; see `launchers.reproduce`."""
    return run_parts(PARTS, study_seeds, out_dir, quick, train)


def blocks(study_seeds, out_dir, quick=False, train=Experiment.train):
    """Policies that observe places and colours of blocks."""
    content, root = reach.get_config().to_dict(), out_dir / "runs" / "mil_reach"
    shots = _SHOTS[:1] if quick else _SHOTS
    title = "Reaching, blocks observed"
    return imitation.part("blocks", title, content, study_seeds, root, quick, train, shots)


def images(study_seeds, out_dir, quick=False, train=Experiment.train):
    """Policies that observe an image."""
    content, root = reach.get_config("image").to_dict(), out_dir / "runs" / "mil_reach_image"
    title = "Reaching, images observed"
    return imitation.part("images", title, content, study_seeds, root, quick, train)


def demonstrations(study_seeds, out_dir, quick=False, train=Experiment.train):
    """Success against the number of demonstrations that are learned from, blocks observed."""
    whole = reach.get_config().to_dict()
    compared = ("contextual", "lstm", "lstm_sees_all", "states_sees_all")
    each = whole["learner"]["demonstrations"]["per_task"]
    sizes = (*_TASKS, whole["environment"]["num_train"])
    found = {}
    for size in sizes:
        content = reach.get_config().to_dict()
        content["environment"]["num_train"] = size
        root = out_dir / "runs" / f"mil_reach_{size}"
        if size == sizes[-1]:
            root = out_dir / "runs" / "mil_reach"  # that of `blocks`
        else:
            content["compared"] = {name: content["compared"][name] for name in compared}
        if quick:
            imitation.quickly(content, compared[:1])
        seeds = study_seeds[: content["num_seeds"]]
        _, summary = run_config(content, seeds, root, train=train)
        for method in ("mil", *compared):
            if method in summary["methods"]:
                returns = np.array(summary["methods"][method]["returns"])
                found.setdefault(method, []).append(100 * returns[:, 1].mean(axis=-1))
    counts = [size * each for size in sizes]
    means = {method: [imitation.mean(x) for x in rows] for method, rows in found.items()}
    lines = [
        "## Number of demonstrations",
        "",
        f"Successes after one demonstration of a new task, in per cent [95 % interval], by the "
        f"number of demonstrations that were learned from, {each} of each training task.",
        "",
        f"| method | {' | '.join(map(str, counts))} |",
        "|---" * (len(counts) + 1) + "|",
        *(f"| {name} | {' | '.join(map(interval, rows))} |" for name, rows in means.items()),
        "",
    ]
    curves = {method: (counts, np.array(rows).T) for method, rows in found.items()}
    picture = figures.seed_curves(
        {"success, %": curves}, "demonstrations learned from", "Reaching, blocks observed"
    )
    results = rounded({"demonstrations": counts, "after": means})
    return {"demonstrations": results}, lines, {"demonstrations": picture}


PARTS = (blocks, images, demonstrations)
