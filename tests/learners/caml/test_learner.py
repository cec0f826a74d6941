import dataclasses

import numpy as np
import pytest
import tensorflow as tf

import tfcaml
from tests.learners.caml import plain_bandit
from tfcaml import divergence, keys, nest
from tfcaml.errors import ConfigError
from tfcaml.learners.caml import CAML, CAMLConfig, bandit, paper_config
from tfcaml.learners.caml.config import ChoiceConfig, DivergenceConfig
from tfcaml.rollouts import sampling
from tfcaml.training import train_iteration

TINY = {
    "num_iterations": 5,
    "meta_batch_size": 2,
    "policies_per_clustering": 4,
    "num_medoids": 2,
    "inner_updates": 2,
    "episodes_per_update": 3,
    "inner_learning_rate": 0.1,
    "choice": {"trial_episodes": 4},
    "divergence": {"num_states": 20},
}


def flat(saved):
    """[n] saved policies as an [n, numbers] matrix."""
    leaves = tf.nest.flatten((saved["fast"], saved["trajectory"], saved["task"]))
    return np.concatenate([np.reshape(x, [x.shape[0], -1]) for x in leaves], axis=1)


def assert_members(some, all_of_them):
    """Every row of `some` is a row of `all_of_them`."""
    for row in flat(some):
        assert np.isclose(flat(all_of_them), row, atol=1e-6).all(axis=1).any()


@pytest.fixture(scope="module")
def run(particle, policy, population):
    """A training run: the learner, and its meta parameters and metrics after each iteration."""
    learner = CAML(particle, policy, CAMLConfig(**TINY), seed=1)
    history = [(nest.map(tf.identity, learner.meta.read()), {}, None)]
    while int(learner.iteration) < learner.config.num_iterations:
        metrics = train_iteration(learner, population, seed=3)
        history.append((learner.meta.read(), metrics, learner.last_clustering))
    return learner, history


def test_pool_fills_and_is_clustered(run):
    """Ten policies, four to a clustering: 4, 4, and a last shorter block of 2."""
    _, history = run
    pool_sizes = [int(meta["pool_size"]) for meta, _, _ in history]
    clusterings = [int(meta["clusterings"]) for meta, _, _ in history]
    assert pool_sizes == [0, 2, 0, 2, 0, 0]
    assert clusterings == [0, 0, 1, 1, 2, 3]
    for index, (_, metrics, _) in enumerate(history[1:], start=1):
        assert ("clustering_cost" in metrics) == (index in (2, 4, 5))
        assert {"return_before", "return_last_update", "return_after"} <= set(metrics)


def test_what_is_clustered(run):
    """At first the pool; later the medoids and the pool; at last a part of the pool."""
    learner, history = run
    for index, pooled, medoids in ((2, 4, 0), (4, 4, 2), (5, 2, 2)):
        before, after = history[index - 1][0], history[index][0]
        record = history[index][2]
        saved = nest.map(lambda x: x[:pooled], after["pool"])
        if medoids:
            saved = nest.concat(before["medoids"], saved)
        assert record.matrix.shape == (pooled + medoids,) * 2
        assert_members(after["medoids"], saved)
        expected = nest.take(saved, record.clustering.medoids)
        np.testing.assert_array_equal(flat(after["medoids"]), flat(expected))
        np.testing.assert_array_equal(record.task["displacement"], saved["task"]["displacement"])
        assert len(set(record.clustering.medoids)) == learner.config.num_medoids
        again = divergence.k_medoids(record.matrix, 2)
        np.testing.assert_allclose(record.clustering.cost, again.cost)


def test_matrix_is_that_of_algorithm_1(run):
    """With another seed for the states, which makes no great difference."""
    learner, history = run
    saved = history[2][0]["pool"]
    expected = divergence.policy_divergence_matrix(
        learner.policy, saved["fast"].params, saved["trajectory"], num_states=1000
    )
    np.testing.assert_allclose(history[2][2].matrix, expected, atol=0.15)


def test_medoids_do_not_change_between_clusterings(run):
    _, history = run
    for index in (1, 3):
        before, after = history[index - 1][0], history[index][0]
        np.testing.assert_array_equal(flat(before["medoids"]), flat(after["medoids"]))


def test_saved_trajectories_are_those_of_the_saved_policies(run):
    learner, history = run
    pool = history[2][0]["pool"]
    log_prob = tfcaml.losses.action_log_prob(
        learner.policy, pool["fast"].params, pool["trajectory"]
    )
    np.testing.assert_allclose(pool["trajectory"].log_prob, log_prob, rtol=1e-4, atol=1e-4)
    assert len({row.tobytes() for row in pool["task"]["displacement"].numpy()}) > 1
    moves = tf.gather(pool["task"]["displacement"], pool["trajectory"].action, batch_dims=1)
    np.testing.assert_allclose(
        pool["trajectory"].final_observation, 0.1 * np.sum(moves, axis=2), rtol=1e-3, atol=1e-4
    )


def test_optimizer_state_travels_with_the_policy(run):
    """Its step count is the number of all updates of the policy and its ancestors."""
    _, history = run
    counts = [
        np.ravel(meta["pool"]["fast"].slots["count"])[:size]
        for (meta, _, _), size in zip(history[1:], (2, 4, 2, 4, 2))
    ]
    np.testing.assert_array_equal(counts[1], 2)  # from the initial weights
    np.testing.assert_array_equal(counts[3], 4)  # from medoids with 2 updates
    assert set(counts[4]) <= {4, 6}  # from medoids with 2 or 4
    second_moment = history[2][0]["medoids"]["fast"].slots["v"]
    assert all(np.abs(x).max() > 0 for x in second_moment)


def test_evaluation_starts_with_fresh_optimizer_state(run, population):
    learner, history = run
    fast, _ = learner.choose_start(history[-1][0], population.test, keys.from_int(0))
    for leaf in tf.nest.flatten(fast.slots):
        np.testing.assert_array_equal(leaf, 0)


def test_evaluation_repeats_itself_and_changes_nothing(run, population):
    learner, _ = run
    before = [variable.numpy() for variable in learner.variables]
    first, second = (
        tfcaml.evaluate(learner, population.test, num_updates=2, num_episodes=3, seed=5)
        for _ in range(2)
    )
    other = tfcaml.evaluate(learner, population.test, num_updates=2, num_episodes=3, seed=6)
    for variable, value in zip(learner.variables, before):
        np.testing.assert_array_equal(variable, value)
    assert first.returns.shape == (3, 3, 3)
    np.testing.assert_array_equal(first.returns, second.returns)
    assert np.abs(first.returns - other.returns).max() > 1e-3
    for name in ("trial_return", "chosen_medoid"):
        assert first.trials[name].shape == (3,)
        np.testing.assert_array_equal(first.trials[name], second.trials[name])


def test_training_repeats_itself(run, population):
    """Also in the same object, after `reset`."""
    learner, history = run
    try:
        learner.reset(seed=1)
        assert int(learner.iteration) == 0
        metrics = tfcaml.train(learner, population, seed=3)
        for again, (_, once, _) in zip(metrics, history[1:]):
            assert again == pytest.approx(once, nan_ok=True)
        np.testing.assert_allclose(
            flat(learner.meta.read()["medoids"]), flat(history[-1][0]["medoids"]), atol=1e-6
        )
        learner.reset(seed=1)
        other = train_iteration(learner, population, seed=4)
        assert other["return_before"] != history[1][1]["return_before"]
    finally:
        learner.meta.write(history[-1][0])
        learner.iteration.assign(5)


def still(particle, policy, **options):
    """A learner whose policies hardly learn, so that one sees where they started."""
    config = {**TINY, "inner_optimizer": "sgd", "inner_learning_rate": 1e-9, "inner_updates": 1}
    config = CAMLConfig(**{**config, "policies_per_clustering": 4, "num_medoids": 4, **options})
    return CAML(particle, policy, config)


def with_medoids(learner, arms):
    """The meta parameters with the medoids' weights replaced."""
    meta = learner.meta.read()
    meta["medoids"]["fast"] = meta["medoids"]["fast"]._replace(params=arms)
    return meta


def best_actions(task):
    """For each entity the action that, taken for ten steps, brings the highest return."""
    moves = task["displacement"].numpy()
    position = np.arange(1, 11)[:, None] * 0.1 * moves[:, :, None]  # [N, 4, 10, 2]
    returns = -((np.clip(position, -2, 2) - 1) ** 2).sum(axis=(2, 3))
    return returns.argmax(axis=1), returns


def started_from(learner, meta, task, arms):
    """(Index of the arm with whose weights each task was started, what came of it)."""
    saved, _ = tf.function(learner.collect, autograph=False)(meta, task, keys.from_int(0))
    distance = np.abs(saved["fast"].params[-1].numpy()[:, None] - arms[-1].numpy()).sum(axis=-1)
    assert distance.min(axis=1).max() < 1e-3
    return distance.argmin(axis=1), saved


def test_best_trial_continues_the_medoid_that_suits_the_entity(
    particle, policy, population, constant_action
):
    learner = still(particle, policy)
    arms = constant_action([0, 1, 2, 3])
    best, _ = best_actions(population.train)
    started, _ = started_from(learner, with_medoids(learner, arms), population.train, arms)
    np.testing.assert_array_equal(started, best)
    assert len(set(best)) == 4


def test_random_assignment_does_not_look_at_returns(particle, policy, population, constant_action):
    """And without `keep_optimizer_state` the optimiser of a training entity starts afresh."""
    learner = still(
        particle,
        policy,
        assignment="random",
        inner_optimizer="adam",
        keep_optimizer_state=False,
    )
    arms = constant_action([0, 1, 2, 3])
    meta = with_medoids(learner, arms)
    meta["medoids"]["fast"].slots["count"] = tf.fill([4], 7.0)
    best, _ = best_actions(population.train)
    started, saved = started_from(learner, meta, population.train, arms)
    assert set(started) == {0, 1, 2, 3}
    assert 0.05 < np.mean(started == best) < 0.6
    np.testing.assert_array_equal(saved["fast"].slots["count"], 1)


@pytest.mark.slow
def test_every_choice_rule_finds_the_medoid_that_suits_a_new_entity(
    particle, policy, population, constant_action
):
    arms = constant_action([0, 1, 2, 3])
    best, returns = best_actions(population.train)
    for rule in bandit.RULES:
        choice = {"rule": rule, "trial_episodes": 24, "include_initial_weights": False}
        learner = still(particle, policy, choice=choice)
        fast, trials = learner.choose_start(
            with_medoids(learner, arms), population.train, keys.from_int(2)
        )
        np.testing.assert_array_equal(trials["chosen_medoid"], best, err_msg=rule)
        np.testing.assert_array_equal(fast.params[-1], tf.gather(arms[-1], best))
        assert (trials["trial_return"] <= returns.max(axis=1) + 1e-4).all()
        assert (trials["trial_return"] >= returns.min(axis=1) - 1e-4).all()


def test_initial_weights_are_the_fallback_when_no_medoid_is_any_good(
    particle, policy, population, constant_action
):
    choice = {"trial_episodes": 8, "min_transfer": 0.5}
    learner = still(particle, policy, num_medoids=3, choice=choice)
    task = nest.map(lambda x: x[:12], population.train)
    _, returns = best_actions(task)
    meta = with_medoids(learner, constant_action([0, 1, 2]))
    meta["initial"] = nest.map(lambda x: x[0], constant_action([3]))
    reward = tf.fill([3, 1, 10], -1.0)  # at home medoids get -10
    meta["medoids"]["trajectory"] = meta["medoids"]["trajectory"]._replace(
        reward=reward, mask=tf.ones_like(reward)
    )
    _, trials = learner.choose_start(meta, task, keys.from_int(0))
    medoid, fresh = returns[:, :3].max(axis=1), returns[:, 3]
    transfers = medoid - fresh >= 0.5 * np.maximum(-10 - fresh, 0)
    expected = np.where(transfers, returns[:, :3].argmax(axis=1), 3)
    np.testing.assert_array_equal(trials["chosen_medoid"], expected)
    assert transfers.any() and not transfers.all()
    np.testing.assert_allclose(learner.home_returns(meta), -10, rtol=1e-5)


def test_a_choice_does_not_depend_on_other_tasks(particle, policy, population, constant_action):
    choice = {"rule": "uniform_best_episode", "include_initial_weights": False}
    learner = still(particle, policy, choice=choice | {"trial_episodes": 4})
    meta = with_medoids(learner, constant_action([0, 1, 2, 3]))
    _, alone = learner.choose_start(meta, nest.take(population.train, [7]), keys.from_int(0))
    _, among = learner.choose_start(meta, nest.take(population.train, [7, 8]), keys.from_int(0))
    for name in alone:
        assert alone[name][0] == among[name][0]


@pytest.fixture(scope="module", params=[True, False], ids=["fallback", "no_fallback"])
def all_trials(request, run, population):
    """Whether the last arm is a fallback; and what all trials there could be on two tasks bring.

    task, key; the keys of all episodes [N, k, 5, 2], and their returns [N, k, 5].
    """
    learner, history = run
    arms, task, key = (
        learner.arms(history[-1][0]),
        nest.take(population.test, [0, 2]),
        keys.from_int(4),
    )
    if not request.param:
        arms = nest.map(lambda x: x[:-1], arms)
    num_arms = nest.leading(arms)
    every = tf.reshape(keys.per_episode(key, 2 * num_arms, 5), [2, num_arms, 5, 2])
    played = tf.function(learner.trial_returns, autograph=False)
    return request.param, task, key, every.numpy(), played(arms, task, 5, key).numpy()


@pytest.mark.parametrize("rule", sorted(bandit.RULES))
def test_only_the_episodes_that_count_are_played(run, particle, policy, all_trials, rule):
    """They are those that every arm would play on every task, and the choice is by them alone."""
    played, (falls_back, task, key, every, returns) = [], all_trials

    def sampler(policy, environment, params, task, num_episodes, key):
        tf.numpy_function(played.append, [key], [])
        return sampling.sample(policy, environment, params, task, num_episodes, key)

    choice = {"rule": rule, "trial_episodes": 5, "include_initial_weights": falls_back}
    learner = CAML(particle, policy, CAMLConfig(**{**TINY, "choice": choice}), sampler=sampler)
    meta = run[1][-1][0]
    _, found = learner.choose_start(meta, task, key)
    num_played = (9 if falls_back else 10) if rule == "oracle" else 5
    assert np.shape(played) == (num_played, 2, 1, 2)
    for row, own in enumerate(np.concatenate(played, axis=1)):
        times = (every[row][:, :, None] == own).all(axis=-1).sum(axis=2)
        assert times.max() == 1 and times.sum() == num_played
        counts = times == 1
        assert found["trial_return"][row] == pytest.approx(returns[row][counts].mean())
        if rule != "uniform_best_episode":
            home = (learner.home_returns(meta), 0.5) if falls_back else ()
            arm, pulls = plain_bandit.choose(rule, returns[row], 5, *home)
            np.testing.assert_array_equal(counts, np.arange(5) < pulls[:, None])
            assert found["chosen_medoid"][row] == arm


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["parameters", "task", "random", "action"])
def test_metrics(particle, policy, population, metric):
    num_states = 20 if metric == "action" else 300  # of occupancies alone
    settings = {
        "num_iterations": 2,
        "divergence": {"metric": metric, "num_states": num_states},
    }
    learner = CAML(particle, policy, CAMLConfig(**{**TINY, **settings}))
    tfcaml.train(learner, population)
    pool, matrix = learner.meta.read()["pool"], learner.last_clustering.matrix
    expected = {
        "parameters": lambda: divergence.euclidean(pool["fast"].params),
        "task": lambda: divergence.euclidean(pool["task"]),
        "action": lambda: divergence.policy_divergence_matrix(
            policy, pool["fast"].params, pool["trajectory"], occupancy="action", num_states=1000
        ),
        "random": lambda: matrix.T,
    }
    np.testing.assert_allclose(matrix, expected[metric](), atol=0.15 if metric == "action" else 0)
    assert len(np.unique(matrix)) > 4 and (np.diag(matrix) == 0).all()


@pytest.mark.slow
def test_adaptive_k_takes_the_best_silhouette(particle, policy, population):
    """Beyond the clusters medoids repeat; only the clusters are tried and go into the next pool."""
    tiny = {**TINY, "num_medoids": 4, "policies_per_clustering": 8, "num_iterations": 8}
    learner = CAML(particle, policy, CAMLConfig(**tiny, adaptive_k=True))
    clusters = []
    for _ in range(8):
        metrics = train_iteration(learner, population, seed=1)
        if "num_clusters" in metrics:
            meta, record = learner.meta.read(), learner.last_clustering
            pooled = 8 + (clusters[-1] if clusters else 0)
            clusters.append(int(meta["num_clusters"]))
            assert len(record.matrix) == pooled
            scores = {
                k: divergence.silhouette(record.matrix, divergence.k_medoids(record.matrix, k)[1])
                for k in (2, 3, 4)
            }
            assert clusters[-1] == max(scores, key=scores.get) == metrics["num_clusters"]
            rows = flat(meta["medoids"])
            np.testing.assert_array_equal(rows, rows[np.arange(4) % clusters[-1]])
            assert nest.leading(learner.arms(meta)) == clusters[-1] + 1
    assert len(clusters) == 2


def test_before_the_first_clustering_everyone_starts_from_the_initial_weights(run):
    _, history = run
    meta = history[0][0]
    for medoid, initial in zip(meta["medoids"]["fast"].params, meta["initial"]):
        for row in medoid:
            np.testing.assert_array_equal(row, initial)


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 2])
def test_as_many_medoids_as_policies(particle, policy, population, size):
    """Then the first medoids are all policies there are."""
    config = CAMLConfig(
        **{
            **TINY,
            "num_iterations": 2,
            "meta_batch_size": 1,
            "policies_per_clustering": size,
            "num_medoids": size,
            "inner_updates": 1,
        }
    )
    learner = CAML(particle, policy, config)
    for _ in range(size):
        train_iteration(learner, population, seed=0)
    meta = learner.meta.read()
    assert int(meta["clusterings"]) == 1
    np.testing.assert_array_equal(flat(meta["medoids"]), flat(meta["pool"]))


def test_paper_config():
    config = paper_config()
    assert (config.policies_per_clustering, config.num_medoids) == (25, 6)
    assert config.assignment == "random"
    assert config.choice == ChoiceConfig("uniform_best_episode", 10, include_initial_weights=False)
    assert config.divergence == DivergenceConfig(bandwidth="scott", weight="density")
    assert paper_config(num_medoids=3, divergence={"weight": "uniform"}) == dataclasses.replace(
        config,
        num_medoids=3,
        divergence=dataclasses.replace(config.divergence, weight="uniform"),
    )


@pytest.mark.slow
def test_paper_config_trains(particle, policy, population):
    tiny = {name: value for name, value in TINY.items() if name != "num_iterations"}
    learner = CAML(particle, policy, paper_config(num_iterations=3, **tiny))
    metrics = tfcaml.train(learner, population)
    assert len(metrics) == 3 and int(learner.meta.read()["clusterings"]) == 2
    assert np.isfinite(learner.last_clustering.matrix).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_medoids": 26}, "at most policies_per_clustering=25; received num_medoids=26"),
        ({"num_iterations": 4}, "policies_per_clustering to be at most .* 20, .* received .*=25"),
        ({"meta_batch_size": 3, "num_iterations": 40}, "multiple of meta_batch_size=3"),
        ({"num_medoids": 0}, "num_medoids to be >= 1; received num_medoids=0"),
        (
            {"choice": {"trial_episodes": 1}},
            r"choice\.trial_episodes to be >= 2; received choice\.trial_episodes=1",
        ),
        (
            {"choice": {"trial_episodes": 0, "include_initial_weights": False}},
            "trial_episodes=0",
        ),
        ({"choice": {"min_transfer": -0.1}}, "min_transfer=-0.1"),
        ({"divergence": {"metric": "state_visits"}}, "metric='state_visits'"),
        ({"adaptive_k": True, "num_medoids": 1}, "num_medoids to be >= 3"),
        ({"saved_episodes": 0}, "saved_episodes=0"),
        ({"divergence": {"num_states": 0}}, "num_states=0"),
        ({"assignment": "best"}, "best_trial, random; received assignment='best'"),
        ({"choice": {"rule": "greedy"}}, "rule='greedy'"),
        ({"divergence": {"weight": "q"}}, "weight='q'"),
        ({"divergence": {"form": "kl"}}, "form='kl'"),
        (
            {"divergence": {"bandwidth": "silverman"}},
            "number > 0 or one of scott, pooled; .*='silverman'",
        ),
        ({"divergence": {"bandwidth": "-1"}}, "bandwidth='-1'"),
        ({"divergence": {"bandwidth": "0"}}, "bandwidth='0'"),
        ({"divergence": {"bandwidth": "nan"}}, "bandwidth='nan'"),
        ({"divergence": {"bandwidth": "inf"}}, "bandwidth='inf'"),
        ({"inner_learning_rate": -0.1}, "inner_learning_rate to be > 0; received .*=-0.1"),
        ({"inner_learning_rate": float("nan")}, "inner_learning_rate=nan"),
        ({"inner_optimizer": "rmsprop"}, "adam, sgd; received inner_optimizer='rmsprop'"),
        ({"inner_updates": 0}, "inner_updates=0"),
        ({"episodes_per_update": 0}, "episodes_per_update=0"),
        ({"meta_batch_size": 0}, "meta_batch_size=0"),
        ({"num_iterations": -1}, "num_iterations=-1"),
        (
            {"advantage": {"discount": 0.0}},
            r"advantage\.discount to be in \(0, 1\]; received advantage\.discount=0\.0",
        ),
        ({"advantage": {"discount": 1.1}}, "discount=1.1"),
        ({"advantage": {"return_type": "return"}}, "return_type='return'"),
        ({"advantage": {"baseline": "value"}}, "baseline='value'"),
    ],
)
def test_config_errors_name_field_and_value(options, message):
    with pytest.raises(ConfigError, match=message):
        CAMLConfig(**options)


def test_bandwidth_of_the_config():
    assert DivergenceConfig(bandwidth="0.25").kernel_bandwidth() == 0.25
    assert DivergenceConfig(bandwidth="pooled").kernel_bandwidth() == "pooled"


def test_figures_name_the_unit_of_the_distances():
    units = {config.unit for config in map(DivergenceConfig, ("state_action", "state", "action"))}
    assert units == {"nats"}
    assert DivergenceConfig(form="hellinger").unit == "hellinger"
    assert DivergenceConfig(metric="parameters").unit == "distance by parameters"
