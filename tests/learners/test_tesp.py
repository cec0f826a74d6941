"""TESP's buffer, what travels with adaptation, what it refuses; its numbers: test_tesp_by_hand."""

import numpy as np
import pytest
import tensorflow as tf

from tests.eager import PlainEncoder, PlainPolicy, eagerly
from tests.learners.checks import assert_resumes
from tfcaml import agents, environments, evaluation, keys, learners, nest, policies, settings
from tfcaml.errors import ConfigError
from tfcaml.types import Trajectory

SIZES = {"meta_batch_size": 2, "episodes_per_update": 3, "encoder_units": 3, "context_size": 2}
HORIZON = 4


def make(cls=learners.TESP, **options):
    family = environments.PointTarget(environments.PointTargetConfig(horizon=HORIZON))
    sizes = {name: SIZES[name] for name in SIZES if hasattr(cls.Config, name)}
    config = cls.Config(
        **{**sizes, "buffer_size": 4, "inner_updates": 3, "outer": {"steps": 2}, **options}
    )
    return cls(family, policy_of(family, config.context_size), config)


def policy_of(family, size):
    seen = policies.with_context(family.observation_spec, size)
    policy = PlainPolicy(seen, family.action_spec)
    return policies.ContextPolicy(policy, family.observation_spec, size)


@pytest.fixture(scope="module", autouse=True)
def run_eagerly():
    with eagerly(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(learners.tesp, "SequenceEncoder", PlainEncoder)
        yield


@pytest.fixture(scope="module")
def learner():
    return make()


def episodes(returns, steps=HORIZON):
    """Episodes of one task with these returns, each seen from another place: [1, E, steps]."""
    number, lengths = len(returns), np.arange(len(returns)) % steps + 1
    mask = (np.arange(steps) < lengths[:, None])[None].astype(np.float32)
    reward = mask * (np.array(returns) / lengths)[None, :, None]
    place = np.arange(1, number + 1)[None, :, None, None] * np.ones([1, number, steps, 2])
    tensor = lambda x: tf.constant(x, tf.float32)
    seen = tensor(place)
    zeros = tf.zeros_like(tensor(mask))
    return Trajectory(seen, 0 * seen, tensor(reward), tensor(mask), zeros, zeros, seen[:, :, -1])


def after(learner, *phases):
    """The buffer of one task after updates, as {"score": [M], "place": [M]}; 0 where none is."""
    meta = learner.meta.read()
    fast = learner.start(meta, 1)
    for returns in phases:
        support = learner.experience(meta, fast, episodes(returns))
        fast = learner.adapt(meta, fast, support)
    buffer = fast.memory["buffer"]
    place = buffer["steps"][0, :, 0, 0].numpy()
    held = buffer["mask"][0, :, 0].numpy() > 0
    np.testing.assert_array_equal(place > 0, held)
    return {"score": np.where(held, buffer["score"][0], 0).tolist(), "place": place.tolist()}


def test_the_best_of_all_updates_stay_and_of_equal_ones_the_earlier(learner):
    """The first update counts as the others do."""
    first = after(learner, [1, 3, 2])
    assert first == {"score": [3, 2, 1, 0], "place": [2, 3, 1, 0]}
    assert after(learner, [1, 3, 2], [2, 5, 3])["score"] == [5, 3, 3, 2]
    # Places of the second update are 1, 2, 3 as well: the 3 of the first one goes before its own.
    assert after(learner, [1, 3, 2], [2, 5, 3])["place"] == [2, 2, 3, 3]
    equal = after(learner, [-2, -2, -2], [-2, -2, -2])
    assert equal["place"] == [1, 2, 3, 1]


def test_what_has_no_step_is_no_episode(learner):
    """Such as a recorded row that ends where it begins: the return 0 of none is not the best."""
    meta = learner.meta.read()
    fast, played = learner.start(meta, 1), episodes([-1, -3, -2])
    kept = played.mask * tf.constant([1.0, 0.0, 1.0])[None, :, None]
    some = played._replace(mask=kept, reward=played.reward * kept)
    fast = learner.adapt(meta, fast, learner.experience(meta, fast, some))
    fast = learner.adapt(meta, fast, learner.experience(meta, fast, played))
    np.testing.assert_array_equal(fast.memory["buffer"]["score"], [[-1, -1, -2, -2]])


def test_the_last_episodes_and_all_of_them():
    last = make(buffer="last")
    assert after(last, [1, 3, 2])["score"] == [0, 1, 3, 2]
    assert after(last, [1, 3, 2], [7, 0.5, 6])["score"] == [2, 7, 0.5, 6]
    every = make(buffer="all", buffer_size=16)
    assert every.config.capacity == 9
    found = after(every, [1, 3, 2], [7, 0.5, 6], [4, 5, 8])
    assert found["score"] == [1, 3, 2, 7, 0.5, 6, 4, 5, 8]
    later = after(every, [1, 3, 2], [7, 0.5, 6], [4, 5, 8], [9, 9, 9])
    assert later["score"] == [7, 0.5, 6, 4, 5, 8, 9, 9, 9]
    wide = make(buffer="all", buffer_size=16, test_episodes_per_update=5)
    assert wide.config.capacity == 15


def test_the_first_update_fills_the_buffer_and_moves_nothing(learner):
    """Without episodes the vector is 0; with some it is the mean of the encoder's answers."""
    meta, task = learner.meta.read(), nest.take(learner.environment.population(0).test, [0, 1])
    start = learner.start(meta, 2)
    np.testing.assert_array_equal(learner.embedding(start), np.zeros([2, 2]))
    first = learner.adapt_to(start, task, keys.from_int(1))
    nest.map(np.testing.assert_array_equal, first.params, start.params)
    buffer = first.memory["buffer"]
    answers = learner.encoder(first.params["encoder"], buffer["steps"], buffer["mask"])
    np.testing.assert_allclose(
        learner.embedding(first), answers.numpy()[:, :3].mean(axis=1), rtol=1e-4, atol=1e-8
    )
    second = learner.adapt_to(first, task, keys.from_int(2))
    moved = [np.abs(a - b).max() for a, b in zip(second.params["encoder"], first.params["encoder"])]
    assert min(moved) > 0
    np.testing.assert_array_equal(learner.acting(meta, second)["policy"][0][0], meta["params"][0])


def test_an_adapted_policy_moves_from_the_second_update_on():
    learner = make(adapt_policy=True)
    meta = learner.meta.read()
    assert set(meta["adapted"]) == set(meta["rates"]) == {"encoder", "policy"}
    assert "params" not in meta
    task = nest.take(learner.environment.population(0).test, [0, 1])
    start = learner.start(meta, 2)
    first = learner.adapt_to(start, task, keys.from_int(1))
    nest.map(np.testing.assert_array_equal, first.params, start.params)
    second = learner.adapt_to(first, task, keys.from_int(2))
    weights = learner.acting(meta, second)["policy"]
    assert all(np.abs(a[0] - b).max() > 0 for a, b in zip(weights, meta["adapted"]["policy"]))


def test_shorter_episodes_are_padded_and_longer_ones_refused(learner):
    """Such as recorded ones."""
    meta = learner.meta.read()
    fast = learner.start(meta, 1)
    short, whole = (episodes([1, 3, 2], steps) for steps in (3, HORIZON))
    found = learner.adapt(meta, fast, learner.experience(meta, fast, short))
    assert found.memory["buffer"]["steps"].shape == fast.memory["buffer"]["steps"].shape
    # Episodes of one to three steps are the same ones in both.
    same = learner.adapt(meta, fast, learner.experience(meta, fast, whole))
    for one, other in zip(
        tf.nest.flatten(found.memory["buffer"]), tf.nest.flatten(same.memory["buffer"])
    ):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    long = learner.experience(meta, fast, episodes([1, 3, 2], 6))
    rule = "expected steps of an episode to be at most the horizon of PointTarget, 4; received"
    with pytest.raises(ConfigError, match=rule):
        learner.adapt(meta, fast, long)


def test_an_agent_of_it_learns_from_recorded_episodes(learner):
    """Of which TF-Agents' data may be shorter than the horizon."""
    learner.reset(0)
    agent = agents.MetaAgent(learner)
    population = learner.environment.population(0, 3)
    data = agent.experience(population, seed=0)
    short = nest.map(lambda x: x[:, :, :3] if x.shape.rank > 2 else x, data)
    before = nest.ravel(learner.meta.read())[0].numpy()
    info = agent.train(short)
    assert np.isfinite(info.loss)
    assert not np.array_equal(nest.ravel(learner.meta.read())[0], before)
    learner.reset(0)


@pytest.mark.parametrize("sees, features", [("distribution", 2 + 4 + 1), ("action", 2 + 2 + 1)])
def test_what_the_encoder_is_told_by_name(sees, features):
    learner = make(encoder_sees=sees)
    assert learner.encoder.inputs == features
    meta = learner.meta.read()
    fast = learner.start(meta, 1)
    trajectory = episodes([1, 3, 2])
    acted = trajectory._replace(action=tf.fill([1, 3, HORIZON, 2], 0.7))
    found = learner.adapt(meta, fast, learner.experience(meta, fast, acted))
    steps = found.memory["buffer"]["steps"][0, 0].numpy()  # of the second episode, of two steps
    np.testing.assert_array_equal(steps[:2, :2], np.full([2, 2], 2.0))
    np.testing.assert_allclose(steps[:2, -1], 1.5)
    np.testing.assert_array_equal(steps[2:], np.zeros([2, features]))
    if sees == "action":
        np.testing.assert_allclose(steps[:2, 2:4], 0.7)
    else:
        params = learner.acting(meta, fast)
        policy = learner.policy(params, trajectory.observation[:, :, 0])
        np.testing.assert_allclose(steps[0, 2:4], policy.mean()[0, 1], rtol=1e-5)
        np.testing.assert_allclose(steps[0, 4:6], [1, 1])  # standard deviations


def test_actions_by_number_are_told_as_one_of_all(particle):
    config = learners.TESP.Config(**SIZES, encoder_sees="action")
    learner = learners.TESP(particle, policy_of(particle, 2), config)
    size = particle.observation_spec.shape.num_elements()
    assert learner.encoder.inputs == size + learner.policy.num_actions + 1


@pytest.mark.parametrize(
    "cls, options, message",
    [
        (learners.TESP, {"buffer": "first"}, "buffer to be one of best, last, all"),
        (learners.TESP, {"buffer_size": 0}, "buffer_size to be >= 1"),
        (learners.TESP, {"encoder_units": 0}, "encoder_units to be >= 1"),
        (learners.TESP, {"encoder_sees": "reward"}, "encoder_sees to be one of"),
        (learners.TESP, {"rates": "some"}, "rates to be one of learned, constant, none"),
        (learners.AdaptSV, {"rates": "none"}, "rates to be one of learned, constant;"),
        (learners.AdaptSV, {"regularizer": -1.0}, "regularizer to be >= 0"),
        (learners.AdaptSV, {"inner_learning_rate": 0.2}, "rate_bound to be >= inner_learning_rate"),
        (learners.AdaptSV, {"first_order": False}, "first_order to be True"),
        (learners.AdaptSV, {"context_size": 0}, "context_size to be >= 1"),
    ],
)
def test_bad_settings_are_refused(cls, options, message):
    with pytest.raises(ConfigError, match=f"expected {message}") as caught:
        cls.Config(**options)
    assert "\n" not in str(caught.value)


def test_another_outer_step_leaves_tesps_own_settings_where_they_are():
    """Its twenty steps are nobody's setting where one Adam step is taken."""
    for cls in (learners.TESP, learners.AdaptSV):
        config = cls.Config(outer={"optimizer": "adam"})
        assert config.outer.steps == 20 and config.outer.optimizer == "adam"
        cls.Config(outer={"optimizer": "trpo"})
        cls.Config(outer={"steps": 1}).outer.make(1)
        with pytest.raises(ConfigError, match=r"outer\.steps to be left at 20"):
            cls.Config(outer={"optimizer": "adam", "steps": 5})


def test_rates_are_refused_where_no_update_comes_after_the_first():
    """Which fills the buffer: in training, and on new tasks."""
    alone = {"inner_updates": 1}
    learners.TESP.Config(**alone).check_steps(1)
    for options in (
        {"inner_learning_rate": 0.01},
        {"rates": "constant"},
        {"rate_bound": 0.5},
        {"adapt_policy": True},
    ):
        config = learners.TESP.Config(**alone, **options)
        config.check_steps(2)
        with pytest.raises(ConfigError, match="only in updates beyond the first, which fills the"):
            config.check_steps(1)
        learners.TESP.Config(**options).check_steps(1)


def test_a_policy_without_its_context_is_refused(particle, policy):
    for cls in (learners.TESP, learners.AdaptSV):
        with pytest.raises(ConfigError, match="policy to be a ContextPolicy of context_size=8"):
            cls(particle, policy)


def test_what_it_holds_is_counted():
    """Buffers, what the encoder makes of them, its weights; in training and in an evaluation."""
    family = environments.PointTarget()
    measured = {"num_tasks": 3, "episodes": 2}
    check = lambda **options: settings.check_sizes(
        "tesp", learners.TESP.Config(**options), family, (100,), measured
    )
    check()
    with pytest.raises(ConfigError, match="meta_batch_size to be so small"):
        check(buffer_size=20_000)
    with pytest.raises(ConfigError, match="meta_batch_size to be so small"):
        check(encoder_units=5_000)
    few = {"meta_batch_size": 1, "buffer_size": 2_000}
    check(**few)
    measured["num_tasks"] = 30
    with pytest.raises(ConfigError, match=r"evaluation\.num_tasks to be so small"):
        check(**few)


def test_three_updates_are_evaluated(learner):
    learner.reset(0)
    task = nest.take(learner.environment.population(0).test, [0, 1, 2])
    found = evaluation.evaluate(learner, task, num_updates=4, num_episodes=2)
    assert found.returns.shape == (5, 3, 2) and not found.bad_updates.any()
    before, after_first = found.returns[:2].mean(axis=(1, 2))
    assert before != after_first


@pytest.mark.slow
def test_a_stopped_run_goes_on_to_the_bit(tmp_path):
    learner = make(num_iterations=3)
    assert_resumes(learner, learner.environment.population(0, 3), tmp_path)


@pytest.mark.slow
def test_a_stopped_run_of_adapt_sv_goes_on_to_the_bit(tmp_path):
    family = environments.PointTarget(environments.PointTargetConfig(horizon=HORIZON))
    sizes = {"meta_batch_size": 2, "episodes_per_update": 3, "num_iterations": 3}
    config = learners.AdaptSV.Config(**sizes, outer={"steps": 2})
    learner = learners.AdaptSV(family, policy_of(family, config.context_size), config)
    assert_resumes(learner, family.population(0, 3), tmp_path)
