"""R12: long trainings trace nothing anew and hold no more memory than short ones."""

import pathlib

import numpy as np
import pytest
from tfcaml.configs import base

import tfcaml
from tfcaml import environments, learners, policies
from tfcaml.experiments.experiment import Experiment, ExperimentConfig
from tfcaml.experiments.run_directory import RunDirectory

WARM_UP = 100  # iterations, before memory is looked at
MOST = 0.1  # MB that an iteration may add

CONFIGS = {
    "caml": lambda n: learners.CAML.Config(
        num_iterations=n, meta_batch_size=2, episodes_per_update=2, inner_updates=2,
        policies_per_clustering=4, num_medoids=2,
        choice={"trial_episodes": 4}, divergence={"num_states": 20},
    ),
    "maml": lambda n: learners.MAML.Config(
        num_iterations=n, meta_batch_size=2, episodes_per_update=2,
        advantage={"baseline": "time_step_mean"},
    ),
}  # fmt: skip
FORMS = pytest.mark.parametrize(
    "iterations", [pytest.param(6, id="short"), pytest.param(500, marks=pytest.mark.soak)]
)


def resident():
    """What this process holds of memory, MB."""
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise OSError("no VmRSS in /proc/self/status")


def traces(learner):
    functions = [learner._train, learner._measure, learner._adapt_to]
    functions += [learner._trials] if hasattr(learner, "_trials") else []
    return [function.experimental_get_tracing_count() for function in functions]


class Watch:
    """Called after each iteration: what it holds, and how often something was traced."""

    def __init__(self):
        self.memory, self.traces = [], []

    def __call__(self, learner):
        self.memory.append(resident())
        self.traces.append(traces(learner))

    def check(self, iterations, name):
        assert len(self.memory) == iterations
        assert self.traces[1] == self.traces[-1], self.traces[-1]
        if iterations > 2 * WARM_UP:
            steps = np.arange(WARM_UP, iterations)
            slope = np.polyfit(steps, self.memory[WARM_UP:], 1)[0]
            print(f"{name}: {slope:.4f} MB an iteration, {self.memory[-1]:.0f} MB in the end")
            assert slope < MOST


@pytest.mark.slow
@FORMS
@pytest.mark.parametrize("name", CONFIGS)
def test_learners(name, iterations, particle, policy, population):
    """With an evaluation after every iteration of the short form, every tenth of the long one."""
    learner = learners.LEARNERS[name](particle, policy, CONFIGS[name](iterations))
    watch = Watch()
    every = 1 if iterations < WARM_UP else 10

    def callback(learner, population, metrics):
        if int(learner.iteration) == 1 or int(learner.iteration) % every == 0:
            tfcaml.evaluate(learner, population.test, num_updates=1, num_episodes=2)
        watch(learner)

    tfcaml.train(learner, population, callback=callback)
    watch.check(iterations, name)
    assert watch.traces[-1] == [1] * len(watch.traces[-1])


@pytest.mark.slow
@FORMS
def test_a_simulated_robot(iterations):
    """With evaluations of another number of episodes, for which the engine has other memory."""
    family = environments.HalfCheetahVelocity(environments.HalfCheetahVelocityConfig(horizon=5))
    policy = policies.mlp_policy(family.observation_spec, family.action_spec, (4,))
    learner = learners.MAML(family, policy, CONFIGS["maml"](iterations))
    population, watch = family.population(0, 2), Watch()

    def callback(learner, population, metrics):
        if int(learner.iteration) == 1 or int(learner.iteration) % 10 == 0:
            tfcaml.evaluate(learner, population.test, num_updates=1, num_episodes=3)
        watch(learner)

    tfcaml.train(learner, population, callback=callback)
    watch.check(iterations, "a simulated robot")
    assert not family.faults()


@pytest.mark.slow
@FORMS
def test_experiments(iterations, tmp_path):
    """With events and checkpoints."""
    content = base.experiment(
        base.section("particle", environments.ParticleConfig(horizon=10)),
        base.section("caml", CONFIGS["caml"](iterations)),
        policy={"fc_layer_params": (8,), "activation": "tanh"},
        evaluation={"num_tasks": 2, "num_updates": 1, "episodes": 2},
        save_interval=5,
    ).to_dict()
    watch = Watch()

    def should_stop():
        watch(experiment.trainer.learners["caml"])
        return False

    directory = RunDirectory(tmp_path, {"config": content})
    experiment = Experiment(ExperimentConfig.from_dict(content), directory, should_stop)
    assert experiment.train()
    watch.check(iterations, "an experiment")
