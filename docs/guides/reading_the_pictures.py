"""The pictures of a small run: CAML and Reptile on personalised particles."""

import pathlib

from tfcaml.configs import base

from tfcaml import environments, learners
from tfcaml.experiments.experiment import Experiment


def config(iterations, num_seeds, horizon, num_updates):
    """A config as a file for `tfcaml train --config=FILE` has it."""
    caml = learners.CAML.Config(num_iterations=iterations, num_medoids=6)
    reptile = learners.Reptile.Config(num_iterations=5 * iterations)
    return base.experiment(
        environment=base.section("particle", environments.ParticleConfig(horizon=horizon)),
        learner=base.section("caml", caml),
        compared={"reptile": base.section("reptile", reptile)},
        num_seeds=num_seeds,
        evaluation={"num_tasks": 3, "num_updates": 5, "episodes": 20},
        divergence_interval=iterations,  # follow the divergence of adapted policies
        divergence={
            "num_updates": num_updates,
            "episodes": 1,
            "num_clusters": 6,
            "bandwidth": 0.5,
        },
    )


def main(iterations=20, num_seeds=4, horizon=100, num_updates=20, directory="runs/pictures"):
    """Trains, evaluates and draws; the numbers of pictures, and the returns at the end."""
    settings = config(iterations, num_seeds, horizon, num_updates).to_dict()
    run = Experiment.create(directory, settings)
    run.train()
    summary, _ = run.evaluate()
    drawn = sorted((pathlib.Path(directory) / "figures").glob("*.png"))
    for path in drawn:
        print(path.name)
    last = [
        summary["methods"][name]["summary"][-1]["mean"]["value"] for name in ("caml", "reptile")
    ]
    return {"pictures": len(drawn), "last": last}


if __name__ == "__main__":
    main()
