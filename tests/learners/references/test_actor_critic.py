"""A2C and V-trace actor-critics: an update by hand, streams of episodes, lags, catch."""

import types

import numpy as np
import pytest
import tensorflow as tf
from tf_agents.specs import tensor_spec

from tests.eager import PlainActorCritic, eagerly
from tests.learners.checks import assert_resumes
from tests.learners.test_meta_gradient_rl import Line, Linear, by_hand, double, samples, scores
from tfcaml import environments, keys, learners, nest, training
from tfcaml.errors import ConfigError
from tfcaml.policies import TORSOS, mlp_policy
from tfcaml.rollouts import sampling
from tfcaml.types import FastState

LEARNERS = {x: learners.LEARNERS[x] for x in ("a2c", "vtrace", "meta_gradient")}


def test_an_update_of_a2c_is_that_by_hand():
    """Of a linear model, in float64; the entropy's part by differences."""
    rate, b, c = 0.3, 0.7, 0.2
    config = learners.A2C.Config(
        meta_batch_size=2, inner_optimizer="sgd", inner_learning_rate=rate, max_grad_norm=0.0,
        value_weight=b, entropy_weight=c, advantage={"discount": 0.9, "gae_lambda": 0.8},
    )  # fmt: skip
    learner = learners.A2C(Line(), Linear(("value",)), config)
    params, (sample,) = double(learner.meta.read()["params"]), samples(1)
    fast = FastState(params, ())
    after = learner.adapt({}, fast, learner.experience({}, fast, sample)).params
    for task in range(2):
        own = {k: x[task].numpy() for k, x in params.items()}
        steps = list(by_hand(sample, task, own, 0.9, 0.8))
        gradient = {"actor": 0.0, "value": 0.0}
        for obs, act, g, _, v in steps:
            actor, critic = scores(obs, act, own)
            logits = obs @ own["actor"]
            p = np.exp(logits) / np.exp(logits).sum()
            entropy = np.outer(obs, -p * (np.log(p) - np.sum(p * np.log(p))))
            gradient["actor"] += ((g - v) * actor + c * entropy) / len(steps)
            gradient["value"] += b * (g - v) * critic / len(steps)
        for k in gradient:
            np.testing.assert_allclose(after[k][task], own[k] + rate * gradient[k], atol=1e-12)


@pytest.fixture(scope="module")
def catch():
    return environments.Catch(environments.CatchConfig(rows=5, columns=3))


class Flat(PlainActorCritic):
    """Sees the board as a vector."""

    def __init__(self, family):
        size = family.observation_spec.shape.num_elements()
        super().__init__(tf.TensorSpec([size], tf.float32), family.action_spec)
        self.observation_spec = family.observation_spec

    def __call__(self, params, observation):
        return super().__call__(params, nest.vectors(observation, 2))

    def value(self, params, trajectory, head="value"):
        flat = lambda x, axes: nest.vectors(x, axes)
        seen, last = trajectory.observation, trajectory.final_observation
        return super().value(
            params,
            trajectory._replace(observation=flat(seen, 3), final_observation=flat(last, 2)),
            head,
        )


def made(catch, name="a2c", **settings):
    sizes = {"meta_batch_size": 2, "episodes_per_update": 3, "inner_updates": 4}
    cls = LEARNERS[name]
    return cls(catch, Flat(catch), cls.Config(**{**sizes, **settings}))


class Played:
    """Keeps what a learner plays."""

    def __init__(self, learner, monkeypatch):
        self.trajectories, self.weights, play = [], [], learner.played

        def played(meta, params, *rest):
            life, trajectory = play(meta, params, *rest)
            self.trajectories.append(trajectory)
            self.weights.append(params)
            return life, trajectory

        monkeypatch.setattr(learner, "played", played)


def iterate(learner, catch, number=2):
    with eagerly():
        return [
            training.train_iteration(learner, catch.population(0), seed=100) for _ in range(number)
        ]


@pytest.mark.parametrize(
    "name, settings, updates",
    [
        ("a2c", {}, 4),
        ("vtrace", {"unroll": 3}, 4),
        ("meta_gradient", {"unroll": 2, "updates_per_meta": 2}, 8),
        ("meta_gradient", {"updates_per_meta": 3, "inner_updates": 1}, 3),
    ],
)
def test_an_iteration_takes_as_many_steps_as_it_says(catch, name, settings, updates, monkeypatch):
    learner = made(catch, name, **settings)
    played = Played(learner, monkeypatch)
    iterate(learner, catch)
    number = [x.reward.numpy().size for x in played.trajectories]
    assert number == [number[0]] * (2 * updates + (name == "meta_gradient"))
    steps = settings.get("unroll", catch.horizon)
    assert learner.steps_per_iteration == updates * number[0] == updates * 2 * 3 * steps


def test_segments_follow_one_another(catch, monkeypatch):
    """Episodes of four steps in segments of three: what one ends with, the next begins with."""
    learner = made(catch, unroll=3, inner_updates=3)
    played = Played(learner, monkeypatch)
    metrics = iterate(learner, catch, 3)  # in the end new episodes are under way
    assert len(played.trajectories) == 9
    earlier, ended = None, np.zeros([2, 3])
    for number, now in enumerate(played.trajectories):
        if number % 2:
            np.testing.assert_array_equal(now.observation[:, :, 0], earlier.final_observation)
            np.testing.assert_array_equal(now.mask[..., 0], np.ones([2, 3]))
            np.testing.assert_array_equal(now.mask[..., 1], np.zeros([2, 3]))
            np.testing.assert_array_equal(now.terminated[..., 0], np.ones([2, 3]))
            ended = now.reward.numpy()[..., 0]
        else:  # new episodes, the ball in the first row
            assert now.observation.numpy()[:, :, 0, 0].sum() == 2 * 3
            assert now.reward.numpy().sum() == now.terminated.numpy().sum() == 0
        earlier = now
    assert metrics[-1]["return_after"] == pytest.approx(ended.mean())


def test_segments_are_of_other_noise_than_whole_episodes_but_of_the_same_kind(catch):
    """Balls fall in all columns, whichever way they are played."""
    learner = made(catch, unroll=4, episodes_per_update=50, inner_updates=1)
    iterate(learner, catch, 1)
    first = learner.state["life"].read().rollout.observation
    assert (first.numpy().sum(axis=(1, 2)) > 0).all()


def test_what_plays_is_as_many_updates_old_as_is_said(catch, monkeypatch):
    learner = made(catch, "vtrace", lag=2)
    learned, adapt = [], learner.adapt

    def kept(meta, fast, support):
        learned.append(fast.params)
        return adapt(meta, fast, support)

    monkeypatch.setattr(learner, "adapt", kept)
    played = Played(learner, monkeypatch)
    iterate(learner, catch)
    for number, weights in enumerate(played.weights):
        expected = learned[max(0, number - 2)]
        nest.map(np.testing.assert_array_equal, weights, expected)


def test_a_step_of_v_trace_without_a_lag_is_that_of_a2c(catch):
    """Where nothing is old there is nothing to correct; with a lag there is."""

    def weights(name, **settings):
        learner = made(catch, name, inner_learning_rate=0.3, **settings)
        iterate(learner, catch, 1)
        return nest.ravel(learner.meta.read())[0].numpy()

    np.testing.assert_allclose(weights("vtrace"), weights("a2c"), atol=1e-5)
    assert np.abs(weights("vtrace", lag=2) - weights("a2c", lag=2)).max() > 1e-2


def test_clipped_rewards_are_learned_from_and_whole_ones_told(catch):
    """Catch that pays 5, clipped to 1, is learned like catch that pays 1."""
    rich = environments.Catch(environments.CatchConfig(rows=5, columns=3, reward_scale=5.0))
    learned, told = [], []
    for family, settings in ((catch, {}), (rich, {"reward_clip": 1.0}), (rich, {})):
        learner = made(family, **settings)
        told += [iterate(learner, family, 1)[0]["return_after"]]
        learned += [nest.ravel(learner.meta.read())[0].numpy()]
    np.testing.assert_array_equal(learned[0], learned[1])
    assert np.abs(learned[0] - learned[2]).max() > 1e-4
    assert told[0] != 0 and told[1] == pytest.approx(5 * told[0])


IMAGES = types.SimpleNamespace(
    observation_spec=tf.TensorSpec([20, 24, 2], tf.uint8),
    action_spec=tensor_spec.BoundedTensorSpec([], tf.int32, 0, 2),
)


@pytest.mark.parametrize("torso", ["convolutional", "residual"])
def test_the_torso_is_what_the_settings_name(torso):
    make = lambda cls, **settings: cls.make_policy(IMAGES, cls.Config(**settings), ())
    policy = make(learners.A2C, torso=torso)
    assert type(policy.torso.network) is TORSOS[torso]
    images = np.random.default_rng(0).integers(0, 256, [1, 3, 20, 24, 2])
    images, params = tf.constant(images, tf.uint8), nest.repeat(policy.init(0), 1)
    logits = policy(params, images).logits
    features = policy.torso(policy.init(0)["torso"], images[0])[0]
    kernel, bias = policy.init(0)["actor"]
    np.testing.assert_allclose(logits[0], features @ kernel + bias, atol=1e-5)
    seen = make(learners.MetaGradient, torso=torso, embedding_size=2)
    params = nest.repeat(seen.init(0), 1)
    one, other = ({**params, "context": tf.constant([[x, 1.0]])} for x in (0.0, 3.0))
    assert np.abs(seen(one, images).logits - seen(other, images).logits).max() > 1e-2


def test_a_torso_is_of_images(catch):
    with pytest.raises(ConfigError, match="torso to be none: observations of Catch are no images"):
        learners.A2C.make_policy(catch, learners.A2C.Config(torso="residual"))


@pytest.mark.parametrize(
    "name, settings, message",
    [
        ("a2c", {"correction": "retrace"}, "correction to be one of none, vtrace"),
        ("a2c", {"lag": -1}, "lag to be >= 0"),
        ("a2c", {"rms_decay": 1.0}, "rms_decay to be in"),
        ("a2c", {"reward_clip": -1.0}, "reward_clip to be >= 0"),
        ("a2c", {"torso": "deep"}, "torso to be one of none, convolutional, residual"),
        ("vtrace", {"clip_rho": 0.0}, "clip_rho"),
        ("a2c", {"advantage": {"baseline": "none", "normalize": True}}, "advantage.normalize to"),
    ],
)
def test_mistakes_are_one_line(name, settings, message):
    with pytest.raises(ConfigError, match=message):
        LEARNERS[name].Config(**settings)


def test_what_does_not_fit_the_family_or_the_policy_is_refused(catch):
    with pytest.raises(ConfigError, match="unroll to be at most 4, the steps of an episode"):
        made(catch, unroll=5)
    alone = mlp_policy(catch.observation_spec, catch.action_spec, (4,))
    with pytest.raises(ConfigError, match="policy to be one with critics value"):
        learners.A2C(catch, alone)
    car = environments.CartPole(environments.CartPoleConfig(horizon=10))
    with pytest.raises(ConfigError, match="unroll to be 0: episodes of CartPole, which run in P"):
        learners.A2C(car, config=learners.A2C.Config(unroll=5))


@pytest.mark.slow
def test_segments_of_simulated_robots_follow_one_another(monkeypatch):
    """Whose state is all there is of an episode, though they run outside of TensorFlow."""
    options = environments.HalfCheetahDirectionConfig(horizon=5)
    sizes = {"unroll": 2, "inner_updates": 2, "episodes_per_update": 2}
    robot = environments.HalfCheetahDirection(options)
    learner = learners.A2C(robot, config=learners.A2C.Config(**sizes))
    played = Played(learner, monkeypatch)
    iterate(learner, robot, 1)
    first, second = played.trajectories
    np.testing.assert_array_equal(second.observation[:, :, 0], first.final_observation)


def test_a_stream_goes_on_where_it_was(catch):
    """Of `sampling`: episodes in parts are the whole episodes, but for the noise of later steps."""
    policy, task = Flat(catch), nest.repeat(nest.map(lambda x: x[0], catch.population(0).test), 2)
    params = nest.repeat(policy.init(0), 2)
    place = policy, catch, params, task
    nothing = sampling.nothing_played(policy, catch, 2, 3)
    assert not nothing.alive.numpy().any()
    key = keys.per_episode(keys.from_int(1), 2, 3)
    rollout, first = sampling.play(*place, sampling.restart(*place, nothing, key), 2)
    whole = sampling.sample(*place, 3, key)
    for name in ("observation", "action", "reward", "log_prob"):
        part, all_ = getattr(first, name), getattr(whole, name)
        np.testing.assert_allclose(part, all_[:, :, :2], rtol=1e-6, err_msg=name)
    rollout, second = sampling.play(*place, rollout, 2)
    assert not rollout.alive.numpy().any() and (second.terminated[..., -1] == 1).numpy().all()
    np.testing.assert_array_equal(second.observation[:, :, 0], first.final_observation)
    np.testing.assert_array_equal(rollout.time, np.full([2, 3], 4))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, settings",
    [
        ("a2c", {"unroll": 3}),
        ("vtrace", {"lag": 2}),
        ("meta_gradient", {"unroll": 3, "trace_decay": 0.5}),
    ],
)
def test_a_run_that_was_stopped_goes_on_as_if_it_was_not(catch, name, settings, tmp_path):
    """Amid episodes, with weights of before and with a trace."""
    learner = made(catch, name, num_iterations=3, inner_updates=2, **settings)
    history = assert_resumes(learner, catch.population(0), tmp_path)
    if name == "meta_gradient":
        assert len({metrics["discount"] for metrics in history}) == 3
