"""NaN and infinity, put in on purpose: the update is taken back and counted, and training ends in
time, with the last good checkpoint named."""

import functools
import json
import logging

import numpy as np
import pytest
import tensorflow as tf

import tfcaml
from tests.experiments.test_experiment import small_config
from tests.reporting.run_reports import read_page
from tfcaml import environments, keys, learners, losses, nest
from tfcaml.errors import ConfigError, NotFiniteError, RunError
from tfcaml.experiments.experiment import Experiment, ExperimentConfig
from tfcaml.experiments.run_directory import RunDirectory
from tfcaml.policies import distributions
from tfcaml.reporting import tensorboard
from tfcaml.types import Surrogate

HEALTHY = 1.0
slow = functools.partial(pytest.param, marks=pytest.mark.slow)


class Poisoned(environments.Navigation):
    """Rewards and observations are multiplied by variables."""

    def __init__(self):
        super().__init__(environments.NavigationConfig(horizon=5))
        self.poison = {name: tf.Variable(HEALTHY) for name in ("reward", "observation")}

    def step(self, task, state, action, noise):
        state, observation, reward, terminated = super().step(task, state, action, noise)
        poison = self.poison
        return state, observation * poison["observation"], reward * poison["reward"], terminated


class PoisonedMAML(learners.MAML):
    """So are the outer loss, its gradient and the distributions that KL is worked out from."""

    def __init__(self, *args, **kwargs):
        names = ("loss", "gradient", "kl", "fisher", "matrix")
        self.poison = {name: tf.Variable(HEALTHY) for name in names}
        super().__init__(*args, **kwargs)

    def make_loss(self):
        return PoisonedLoss(self.policy, self.config, self.poison)


class PoisonedLoss(losses.SurrogateLoss):
    """The loss of it."""

    def __init__(self, policy, config, poison):
        super().__init__(policy, config)
        self.poison = poison

    def advantage(self, trajectory):
        root = tf.linalg.cholesky(self.poison["matrix"][None, None])[0, 0]  # NaN below 0
        return super().advantage(trajectory) * root

    def surrogate(self, meta, params, query):
        found = super().surrogate(meta, params, query)
        loss, distribution = found.loss, found.distribution

        @tf.custom_gradient
        def identity(x):
            return x, lambda upstream: upstream * self.poison["gradient"]

        tensors = distributions.tensors(distribution)
        fisher = self.poison["fisher"]  # 0: the Hessian of the KL is 0
        tensors = nest.map(lambda x: fisher * x + (1 - fisher) * tf.stop_gradient(x), tensors)
        tensors = nest.map(lambda x: x * self.poison["kl"], tensors)
        loss = identity(loss) * self.poison["loss"]
        return Surrogate(loss, distributions.rebuild(distribution, tensors))


# A singular metric is to be divided by, and the line search is to be short.
_OUTER = {"trpo": {"damping": 0.0, "max_backtracks": 3}, "adam": {}, "ppo": {}}


def small(learner_class, environment, jit_compile=False, **settings):
    config = learner_class.Config(
        **{"meta_batch_size": 2, "inner_updates": 1, "episodes_per_update": 3, **settings}
    )
    policy = learner_class.make_policy(environment, config, (4,))
    return learner_class(environment, policy, config, jit_compile=jit_compile)


def state(learner):
    values = {}
    for name, item in learner.checkpointed().items():
        values[name] = nest.map(np.array, item.read()) if hasattr(item, "read") else item.numpy()
    return values


def train(learner):
    task = learner.environment.population(0).train
    task = nest.take(task, range(learner.config.meta_batch_size))
    return learner.train(task, keys.fold(keys.from_int(1), learner.iteration))


def check_contained(learner, variable, value):
    """A sound iteration, a poisoned one that changes nothing, a sound one."""
    assert train(learner)["bad_update"] == 0
    before = state(learner)
    variable.assign(value)
    metrics = train(learner)
    variable.assign(HEALTHY)
    after = state(learner)
    assert metrics["bad_update"] == 1
    assert (after.pop("bad_updates"), after.pop("iteration")) == (1, before.pop("iteration") + 1)
    assert before.pop("bad_updates") == 0
    nest.map(np.testing.assert_array_equal, before, after)
    metrics = train(learner)
    assert metrics["bad_update"] == 0 and all(map(np.isfinite, metrics.values()))
    assert int(learner.bad_updates) == 1
    assert all(np.isfinite(x).all() for x in tf.nest.flatten(learner.meta.read()))
    changed = zip(tf.nest.flatten(after["meta"]), tf.nest.flatten(learner.meta.read()))
    assert any((old != new.numpy()).any() for old, new in changed)


@pytest.fixture(scope="module")
def by_outer_optimizer():
    made = {}

    def make(name):
        if name not in made:
            outer = {"optimizer": name, **_OUTER[name]}
            made[name] = small(PoisonedMAML, Poisoned(), outer=outer)
        made[name].reset(0)
        return made[name]

    return make


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("outer_optimizer", ["adam", slow("ppo"), slow("trpo")])
@pytest.mark.parametrize("where", ["loss", "gradient", "kl", "reward", "observation"])
def test_a_gradient_learner_takes_back_what_is_not_finite(
    by_outer_optimizer, outer_optimizer, where, value
):
    learner = by_outer_optimizer(outer_optimizer)
    poison = {**learner.poison, **learner.environment.poison}
    check_contained(learner, poison[where], value)


@pytest.mark.slow
def test_a_singular_fisher_matrix_is_a_skipped_update(by_outer_optimizer):
    """Without damping, conjugate gradient divides by zero."""
    learner = by_outer_optimizer("trpo")
    check_contained(learner, learner.poison["fisher"], 0.0)


def test_normal_equations_that_can_not_be_solved_are_a_skipped_update(by_outer_optimizer):
    learner = by_outer_optimizer("adam")
    check_contained(learner, learner.poison["matrix"], -1.0)


@pytest.mark.parametrize("jit_compile", [False, slow(True)])
@pytest.mark.parametrize("name", ["reptile", slow("joint"), slow("caml"), slow("mlsh")])
def test_other_learners_too(name, jit_compile):
    caml = {"policies_per_clustering": 4, "num_medoids": 2, "num_iterations": 4}
    caml["divergence"] = {"num_states": 20}
    settings = {"caml": caml, "joint": {"meta_batch_size": 1}}
    settings["mlsh"] = {"warm_up": 0, "period": 2}
    learner = small(learners.LEARNERS[name], Poisoned(), jit_compile, **settings.get(name, {}))
    check_contained(learner, learner.environment.poison["reward"], np.nan)


def test_what_was_skipped_is_said_once(by_outer_optimizer, caplog):
    learner = by_outer_optimizer("adam")
    learner.poison["loss"].assign(np.nan)
    with caplog.at_level(logging.WARNING):
        train(learner)
    learner.poison["loss"].assign(HEALTHY)
    assert len(caplog.records) == 1
    assert "PoisonedMAML, 0 iterations: update skipped: loss_before=nan" in caplog.text


class TroubledCAML(learners.CAML):
    """Clusterings numbered in `fails` come to nothing."""

    fails = ()
    tried = 0

    def _distances(self, saved, seed):
        self.tried += 1
        if self.tried in self.fails:
            raise NotFiniteError("policy divergence is not finite")
        return super()._distances(saved, seed)


@pytest.fixture(scope="module")
def caml():
    """(numbers of failing clusterings) -> the learner as new."""
    settings = {"policies_per_clustering": 4, "num_medoids": 2, "divergence": {"num_states": 20}}
    learner = small(TroubledCAML, Poisoned(), num_iterations=4, **settings)

    def make(fails):
        learner.reset(0)
        learner.fails, learner.tried = fails, 0
        return learner

    return make


@pytest.mark.slow
def test_caml_tries_a_failed_clustering_again_with_newer_policies(caml):
    learner, counts = caml(fails=(1,)), []
    for _ in range(4):
        train(learner)
        meta = learner.meta.read()
        counts.append((int(meta["pool_size"]), int(meta["clusterings"])))
    assert counts == [(2, 0), (4, 0), (0, 1), (0, 2)]
    assert int(learner.bad_updates) == 1


@pytest.mark.slow
def test_caml_without_any_medoids_says_so(caml):
    learner = caml(fails=(1, 2, 3))
    with pytest.raises(RunError, match="CAML has no medoids: no clustering came to finite"):
        tfcaml.train(learner, learner.environment.population(0))


def test_training_ends_when_too_many_are_skipped():
    learner = small(learners.Reptile, Poisoned(), num_iterations=9)
    learner.environment.poison["reward"].assign(np.nan)
    population, before = learner.environment.population(0), nest.map(np.array, learner.meta.read())
    message = "^Reptile skipped 3 of 3 updates .* more than max_bad_updates=2; lower the learning"
    with pytest.raises(RunError, match=message):
        tfcaml.train(learner, population, max_bad_updates=2)
    nest.map(np.testing.assert_array_equal, learner.meta.read(), before)
    learner.environment.poison["reward"].assign(HEALTHY)
    assert len(tfcaml.train(learner, population, max_bad_updates=3)) == 6  # it goes on
    with pytest.raises(ConfigError, match="max_bad_updates to be a whole number from 0"):
        tfcaml.train(learner, population, max_bad_updates=-1)
    shared = population._replace(test=nest.take(population.train, [0]))
    with pytest.raises(ConfigError, match="held-out entities that are training entities too"):
        tfcaml.train(learner, shared)


@pytest.mark.slow
def test_evaluation_keeps_the_weights_before_a_bad_step():
    learner = small(learners.Reptile, Poisoned(), inner_learning_rate=1e38)
    task = learner.environment.population(0, 3).test
    found = tfcaml.evaluate(learner, task, num_updates=3, num_episodes=4)
    assert np.isfinite(found.returns).all() and (found.bad_updates >= 1).all()
    sound = small(learners.Reptile, learner.environment)
    found = tfcaml.evaluate(sound, task, num_updates=1, num_episodes=4)
    np.testing.assert_array_equal(found.bad_updates, [0, 0, 0])
    learner.environment.poison["reward"].assign(np.nan)
    with pytest.raises(RunError, match=r"finite returns; received .* for task 0 after 0 updates"):
        tfcaml.evaluate(sound, task, num_updates=1, num_episodes=4)


def _experiment(root, max_bad_updates):
    """Reptile with an inner loss that is NaN."""
    content = small_config()
    content.update(learner={"name": "reptile"}, compared={}, num_seeds=1, save_interval=1)
    content["learner"].update({"num_iterations": 4, "inner_updates": 1})
    config = ExperimentConfig.from_dict(content)
    directory = RunDirectory(root, {"config": content})
    experiment = Experiment(config, directory, max_bad_updates=max_bad_updates)
    learner = experiment.trainer.new("reptile", 0)
    loss = learner.inner_loss
    learner.inner_loss = lambda meta, fast, support: loss(meta, fast, support) * np.nan
    return experiment


@pytest.mark.slow
def test_an_experiment_names_the_last_good_checkpoint_and_can_go_on(tmp_path, caplog):
    message = (
        r"^reptile with seed 0: Reptile skipped 3 of 3 updates .* more than max_bad_updates=2; "
        r".*; the last good checkpoint is \S*/train/reptile/seed_0/checkpoints/iteration-2$"
    )
    with pytest.raises(RunError, match=message):
        _experiment(tmp_path, max_bad_updates=2).train()
    page = read_page((tmp_path / "report.html").read_text())
    assert "reptile with seed 0: Reptile skipped 3 of 3 updates" in page.text
    experiment = _experiment(tmp_path, max_bad_updates=4)
    assert experiment.train()
    assert int(experiment.trained("reptile", 0).bad_updates) == 4
    counts = tensorboard.read_scalars(tmp_path / "train" / "reptile" / "seed_0", "training_faults/")
    assert counts["bad_updates"] == {0: 1, 1: 2, 2: 3, 3: 4}
    caplog.clear()
    experiment.evaluate()
    saved = json.loads((tmp_path / "eval" / "evaluation.json").read_text())
    assert saved["methods"]["reptile"]["bad_updates"] == 4  # two tasks, two updates
    assert "reptile with seed 0: 4 adaptation steps skipped" in caplog.text
    page = read_page((tmp_path / "report.html").read_text())
    assert "not finite, and were skipped reptile 0 4" in page.text
    assert "not finite, and were taken back reptile all 4" in page.text
