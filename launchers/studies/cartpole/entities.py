"""CartPole entities: parts of TF-Agents and gymnasium, meta-trained, exported, personalised.

Runs `configs/cartpole/entities.py` in a run directory of the study, so that it goes on where it
stopped; then saves the first seed's learner as a SavedModel and plays that on a held-out entity.
"""

import shutil

import numpy as np
import tensorflow as tf
from tfcaml.configs.cartpole import entities as cartpole_entities

from tfcaml import agents, figures, nest, statistics
from tfcaml.environments.host import cart_pole
from tfcaml.experiments.experiment import Experiment
from tfcaml.reporting import report

from ... import personalise
from ..runs import interval, paired_rows, run_config, shrink

_HELD_OUT = "each held-out entity (a negative force is a reversed one)"


def run(study_seeds, out_dir, quick=False, train=Experiment.train):
    """Runs the study; see `launchers.reproduce`."""
    content = cartpole_entities.get_config().to_dict()
    if quick:
        shrink(content, ["random"])
    experiment, summary = run_config(
        content, study_seeds, out_dir / "runs" / "cartpole_entities", train=train
    )
    returns = {name: np.array(row["returns"]) for name, row in summary["methods"].items()}
    gains = {"maml after k - maml before": _gains(returns["maml"])}
    results = {
        "seeds": list(study_seeds),
        "methods": {name: row["summary"] for name, row in summary["methods"].items()},
        "paired": summary["paired"] | gains,
        "environment_steps": {name: experiment.environment_steps(name) for name in returns},
        "seconds": {name: experiment.training_seconds(name) for name in returns},
        "personalised": _personalised(experiment, study_seeds[0], out_dir / "model"),
    }
    title = "CartPole entities never seen before"
    return results, _text(results), {"adaptation": figures.adaptation_curves(returns, title)}


def _gains(returns):
    """What adaptation brought, paired over seeds: returns [S, U + 1, Q] -> rows by update."""
    gains = (statistics.paired(after, returns[:, 0]) for after in np.moveaxis(returns, 1, 0))
    return {"same_update": [report.paired_row(gain) for gain in gains]}


def _personalised(experiment, seed, directory):
    """Mean return of the exported policy in gymnasium, before and after each update, per entity."""
    from tfcaml.environments.host.gym_adapter import gymnasium

    learner = experiment.trained("maml", seed)
    if directory.exists():
        shutil.rmtree(directory)
    card = agents.export(learner, str(directory))
    model = tf.saved_model.load(str(directory))
    query = experiment.population(seed).test
    found = []
    for row in range(nest.leading(query)):
        task = nest.map(lambda x: float(x[row]), query)
        environment = gymnasium.make(
            "CartPole-v1", max_episode_steps=card["environment"]["horizon"]
        )
        cart_pole.set_entity(environment.unwrapped, task)
        player = personalise.Player(model, card, environment, seed=row)
        rounds = personalise.personalise(
            player, card["shots"], card["shots"], experiment.config.num_updates
        )
        means = [float(np.mean(returns)) for _, _, returns in rounds]
        found.append({"entity": task, "mean_returns": means})
    return found


def _text(results):
    updates = range(len(results["methods"]["maml"]))
    lines = [
        "Mean return (at most 200) over held-out entities [95 % interval over "
        f"{len(results['seeds'])} seeds] after k updates of ten episodes.",
        "",
        "| method | "
        + " | ".join(f"k = {k}" for k in updates)
        + " | environment steps | seconds |",
        "|---" * (len(updates) + 3) + "|",
    ]
    for name, rows in results["methods"].items():
        cells = " | ".join(interval(row["mean"]) for row in rows)
        steps = results["environment_steps"][name] / 1e6
        lines.append(f"| {name} | {cells} | {steps:.1f} M | {results['seconds'][name]:.0f} |")
    lines += ["", "Differences, paired over seeds [95 % interval] (seeds won).", ""]
    lines += paired_rows(results["paired"])
    lines += [
        "",
        f"The first seed's learner as an exported SavedModel, in gymnasium, on {_HELD_OUT}.",
        "",
        "| force, N | half length, m | " + " | ".join(f"k = {k}" for k in updates) + " |",
        "|---" * (len(updates) + 2) + "|",
    ]
    for row in results["personalised"]:
        cells = " | ".join(f"{value:.0f}" for value in row["mean_returns"])
        entity = row["entity"]
        lines.append(f"| {entity['force']:.1f} | {entity['length']:.2f} | {cells} |")
    return "\n".join(lines) + "\n"
