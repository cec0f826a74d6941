"""R9 and R10: a seed decides every bit, whatever else is run, and looking changes nothing."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf
from tfcaml.configs import base

import tfcaml
from tests.homes import FEW_SHOT, IMITATION, home, small_settings
from tfcaml import environments, learners
from tfcaml.experiments.experiment import Experiment, ExperimentConfig
from tfcaml.experiments.run_directory import RunDirectory
from tfcaml.learners import LEARNERS

COMMON = {"num_iterations": 4, "meta_batch_size": 2, "episodes_per_update": 2}
GRADIENT = {**COMMON, "advantage": {"baseline": "time_step_mean"}}
METHODS = {
    "caml": learners.CAML.Config(
        **COMMON, inner_updates=2, policies_per_clustering=4, num_medoids=2,
        choice={"trial_episodes": 4}, divergence={"num_states": 20},
    ),
    "reptile": learners.Reptile.Config(**COMMON, inner_updates=2),
    "maml": learners.MAML.Config(**GRADIENT),
    "meta_sgd": learners.MetaSGD.Config(**GRADIENT, outer={"optimizer": "adam"}),
}  # fmt: skip
_COMPILED = {}  # of the experiments below; an `Experiment` resets a learner before it uses it


def trained(root, first_seed, num_seeds):
    """A finished experiment of the four methods, and its evaluation.json."""
    sections = {name: base.section(name, config) for name, config in METHODS.items()}
    content = base.experiment(
        base.section("particle", environments.ParticleConfig(horizon=5)),
        sections.pop("caml"),
        sections,
        policy={"fc_layer_params": (4,), "activation": "tanh"},
        evaluation={"num_tasks": 2, "num_updates": 1, "episodes": 2},
        num_seeds=num_seeds,
        log_interval=4,
    ).to_dict()
    config = ExperimentConfig.from_dict(content, first_seed)
    experiment = Experiment(config, RunDirectory(root, {"config": content}))
    experiment.trainer.learners = _COMPILED
    assert experiment.train()
    experiment.evaluate()
    return experiment, json.loads((root / "eval" / "evaluation.json").read_text())


def bits(learner):
    return [variable.numpy() for variable in learner.variables]


def same(left, right):
    return all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """Seeds 0 and 1 in one run."""
    return trained(tmp_path_factory.mktemp("together"), 0, 2)


@pytest.mark.slow
def test_a_seed_decides_every_bit_whatever_other_seeds_are_run(together, tmp_path):
    """All of CAML, Reptile, MAML-TRPO, Meta-SGD: every variable and every return of seed 1."""
    both, numbers = together
    alone, own = trained(tmp_path, 1, 1)
    for method in METHODS:
        expected = bits(both.trained(method, 1))
        assert len(expected) > 4
        assert same(bits(alone.trained(method, 1)), expected)
        returns = [each["methods"][method]["returns"] for each in (numbers, own)]
        assert returns[0][1] == returns[1][0]
        assert not same(bits(both.trained(method, 0)), expected)
        assert returns[0][0] != returns[0][1]


def close(few, many):
    """Equal but for the last bit, and integers equal.

    Kernels work on four to sixteen numbers at a time and on what is left over one by one, in which
    a product and a sum may be rounded once or twice; which numbers are left over hangs on how many
    there are.
    """
    few, many = np.asarray(few), np.asarray(many)
    tolerance = 1e-5 if few.dtype.kind == "f" else 0
    np.testing.assert_allclose(few, many, rtol=tolerance, atol=tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["caml", "reptile"])
def test_the_first_entities_are_measured_alike_among_few_and_many(together, method):
    """`tfcaml.evaluate` of two entities, and of five of which they are the first."""
    experiment, _ = together
    learner = experiment.trained(method, 0)
    few, many = (
        tfcaml.evaluate(
            learner, experiment.population(0, number).test, num_updates=1, num_episodes=2, seed=3
        )
        for number in (2, 5)
    )
    close(few.returns, many.returns[:, :2])
    for one, other in zip(few.trajectories, many.trajectories):
        for a, b in zip(tf.nest.flatten(one), tf.nest.flatten(other), strict=True):
            close(a, b[:2])


def small(name):
    """A learner of any kind at a small size, and the entities of its family."""
    learner_class = LEARNERS[name]
    family = home(name)
    fields = {field.name for field in dataclasses.fields(learner_class.Config)}
    settings = {**COMMON, "num_iterations": 2, "inner_updates": 1}
    if name in IMITATION | FEW_SHOT:
        settings = {field: value for field, value in settings.items() if field in fields}
        settings |= small_settings(name)
    if name in ("joint", "joint_mixed"):
        settings["meta_batch_size"] = 1
    if name == "ppo":  # nothing is trained
        settings = {"episodes_per_update": settings["episodes_per_update"]}
    elif name == "epg":
        settings |= {"buffer_updates": 4, "memory": 2}
        settings |= {"outer": {"optimizer": "evolution_strategy", "population": 4}}
    elif name == "mlsh":
        settings |= {"warm_up": 0, "period": 2, "master_steps": 2, "sub_steps": 2}
    elif {"advantage", "outer"} <= fields:
        settings |= {"advantage": {"baseline": "time_step_mean"}, "outer": {"optimizer": "adam"}}
    if name == "rl2":  # it learns within its trials
        settings["inner_updates"] = 0
    if "num_training_tasks" in fields:  # TRPO's outer step
        settings |= {"num_training_tasks": 24, "outer": {"cg_iterations": 2}}
    if "num_medoids" in fields:
        settings |= {"num_medoids": 2, "policies_per_clustering": 2}
        settings |= {"choice": {"trial_episodes": 2}, "divergence": {"num_states": 10}}
    config = learner_class.Config(**settings)
    policy = learner_class.make_policy(family, config, (4,))
    return learner_class(family, policy, config), family.population(0, 2)


def check_looking_changes_nothing(learner, population):
    """Trained with an evaluation after every iteration, and without: every variable to the bit."""
    found = []
    for look in (False, True):
        learner.reset(0)

        def callback(learner, population, metrics, look=look):
            if look:
                tfcaml.evaluate(learner, population.test, num_updates=1, num_episodes=2)

        tfcaml.train(learner, population, seed=0, callback=callback)
        found.append(bits(learner))
    assert same(*found)
    learner.reset(0)
    assert not same(bits(learner), found[0])  # training has changed something


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_an_evaluation_between_iterations_changes_no_number(together, method):
    experiment, _ = together
    learner = experiment.trainer.new(method, 0)
    check_looking_changes_nothing(learner, experiment.population(0))


TRAINED = sorted(set(LEARNERS) - {"nearest_neighbour", "ppo", "random"})


@pytest.mark.soak
@pytest.mark.parametrize("name", TRAINED)
def test_an_evaluation_between_iterations_changes_no_number_of_any_learner(name):
    check_looking_changes_nothing(*small(name))


# One of those that share all that an evaluation calls.
_CALLED = ("choose_start", "start", "sample", "support", "test_support", "adapt", "make_loss")
DISTINCT = {tuple(getattr(each, n) for n in _CALLED): name for name, each in LEARNERS.items()}


@pytest.mark.parametrize(
    "name",
    [
        name if name in ("caml", "reptile") else pytest.param(name, marks=pytest.mark.slow)
        for name in sorted(DISTINCT.values())
    ],
)
def test_an_evaluation_changes_nothing_of_a_learner(name):
    """No variable and no attribute: all that its next iteration could depend on."""
    learner, population = small(name)
    before, attributes = bits(learner), dict(vars(learner))
    tfcaml.evaluate(learner, population.test, num_updates=1, num_episodes=2)
    assert same(bits(learner), before)
    assert vars(learner) == attributes
