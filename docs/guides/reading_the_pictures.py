"""The pictures of a small run: CAML and Reptile on personalised particles."""

import tfcaml  # isort: skip  (first: TF-Agents needs Keras 2)

import pathlib

from configs import base

from tfcaml import environments, figures, learners
from tfcaml.experiments.experiment import Experiment
from tfcaml.reporting.divergence_monitor import DivergenceMonitor, DivergenceMonitorConfig


def config(iterations, num_seeds, horizon):
    """A config as a file of configs/ has it."""
    caml = learners.CAML.Config(num_iterations=iterations, num_medoids=6)
    reptile = learners.Reptile.Config(num_iterations=5 * iterations)
    return base.experiment(
        environment=base.section("particle", environments.ParticleConfig(horizon=horizon)),
        learner=base.section("caml", caml),
        compared={"reptile": base.section("reptile", reptile)},
        num_seeds=num_seeds,
        evaluation={"num_tasks": 3, "num_updates": 5, "episodes": 20},
    )


def main(iterations=20, num_seeds=4, horizon=100, num_updates=20, directory="runs/pictures"):
    """Where the pictures are; how many there are."""
    root = pathlib.Path(directory)
    run = Experiment.create(root / "run", config(iterations, num_seeds, horizon).to_dict())
    run.train()
    run.evaluate()  # draws adaptation, training and trajectories
    # Maps and curves of Reptile's policies, adapted to every training entity.
    family = run.environment
    population = family.population(seed=0)
    learner = learners.Reptile(
        family, run.policy, learners.Reptile.Config(num_iterations=5 * iterations)
    )
    followed = DivergenceMonitorConfig(interval=iterations, num_updates=num_updates)
    monitor = DivergenceMonitor(root / "followed", followed)
    tfcaml.train(learner, population, seed=0, callback=monitor)
    last = monitor.follow(5 * iterations, learner, population.train, population.train_group)
    drawn = sorted((root / "run" / "figures").glob("*.png"))
    for name, figure in last.figures.items():
        figures.save(figure, root / f"{name}.png")
        drawn.append(root / f"{name}.png")
    for path in drawn:
        print(path.relative_to(root))
    return {"pictures": len(drawn), "ari": last.metrics["ari"]}


if __name__ == "__main__":
    main()
