"""What a learner may define beyond the losses, seen at work in a family of integers."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.specs import tensor_spec

import tfcaml
from tests.eager import eagerly
from tfcaml import environments, keys, learners, nest
from tfcaml.policies import Policy, distributions
from tfcaml.rollouts import sampling


class Line(environments.TaskFamily):
    """Action 1 moves a point one ahead; a step pays `slope` times where it leads."""

    horizon = 3
    observation_spec = tf.TensorSpec([1], tf.float32)
    action_spec = tensor_spec.BoundedTensorSpec([], tf.int32, 0, 1)
    task_spec = {"slope": tf.TensorSpec([], tf.float32)}

    def population(self, seed, num_test=1):
        tasks = lambda *slopes: {"slope": tf.constant(slopes, tf.float32)}
        zeros = np.zeros(3, int)
        return environments.Population(tasks(1, 2, 3), tasks(5), zeros, zeros[:1])

    def reset(self, task, key):
        position = tf.zeros([*key.shape[:2], 1])
        return position, position

    def step(self, task, state, action, noise):
        position = state + tf.cast(action, tf.float32)[..., None]
        reward = task["slope"][:, None] * position[..., 0]
        return position, position, reward, tf.zeros(action.shape, tf.bool)


class Tilt(Policy):
    """Action 1 with the probability that belongs to the logit, params {"logit": [N]}."""

    action_spec, num_actions = Line.action_spec, 2

    def init(self, seed):
        return {"logit": tf.constant(0.5)}

    def __call__(self, params, observation):
        logit = params["logit"][:, None] + 0 * observation[..., 0]
        return tfp.distributions.Categorical(logits=tf.stack([0 * logit, logit], axis=-1))

    def noise(self, key, num_steps):
        return keys.uniform(key, [num_steps, 1])

    def sample(self, distribution, noise):
        return distributions.sample_discrete(distribution, noise, tf.int32)


class Follows(learners.MAML):
    """MAML that defines all of it, and keeps what it was called with."""

    starts_at_random = True

    def setup(self):
        super().setup()
        self.calls = []

    def init(self, seed):
        return {**super().init(seed), "shift": tf.constant([0.1, 0.2, 0.3])}

    def start(self, meta, num_tasks, key=()):
        self.calls.append(("start", key))
        return super().start(meta, num_tasks)

    def resume(self, meta, num_tasks, index, key=()):
        self.calls.append(("resume", index, key))
        params = {"logit": meta["params"]["logit"] + tf.gather(meta["shift"], index)}
        return super().start(meta, num_tasks)._replace(params=params)

    def task_at(self, task, update):
        return {"slope": task["slope"] * tf.cast(update + 1, tf.float32)}

    def carry(self, fast, trajectory):
        return {"logit": fast.params["logit"], "paid": tf.reduce_sum(trajectory.reward, [1, 2])}

    def finish(self, meta, batch):
        self.calls.append(("finish", batch))
        return batch._replace(query=batch.query._replace(weight=7 + 0 * batch.query.weight))

    def after_update(self, meta, batch, task, key):
        self.calls.append(("after_update", meta, batch, task, key))
        return {"after_update": tf.constant(1.0)}

    def after_iteration(self, key):
        self.calls.append(("after_iteration", int(self.iteration), key))
        return {"after_iteration": 2.0, "bad_update": 1.0}

    def of(self, name):
        return [call[1:] for call in self.calls if call[0] == name]


CONFIG = {"meta_batch_size": 2, "episodes_per_update": 4, "inner_updates": 2}
CONFIG |= {"advantage": {"baseline": "none"}, "outer": {"optimizer": "adam"}, "num_iterations": 1}


@pytest.fixture(scope="module")
def followed():
    """(learner after an iteration on tasks 2 and 0, its metrics, the meta parameters before)."""
    with eagerly():
        learner = Follows(Line(), Tilt(), Follows.Config(**CONFIG))
        meta = learner.meta.read()
        index = tf.constant([2, 0])
        task = nest.take(Line().population(0).train, index)
        metrics = learner.train(task, keys.from_int(3), index)
    return learner, metrics, meta


def test_a_task_is_as_it_is_at_the_time_of_each_phase(followed):
    """The three phases pay one, two and three times the slope."""
    _, batch, task, _ = followed[0].of("after_update")[0]
    np.testing.assert_array_equal(task["slope"], [3, 1])
    for phase, each in enumerate([*batch.support, batch.query]):
        moved = np.cumsum(each.trajectory.action, axis=2)
        expected = (phase + 1) * task["slope"].numpy()[:, None, None] * moved
        np.testing.assert_array_equal(each.trajectory.reward, expected)


def test_known_tasks_are_resumed_by_number_and_adapted_anew_from_the_same(followed):
    """In collecting and again in the objective, with the key of the task; new ones are started."""
    learner, _, meta = followed
    (collected, key), (again, same_key) = learner.of("resume")
    np.testing.assert_array_equal(collected, [2, 0])
    np.testing.assert_array_equal(again, collected)
    np.testing.assert_array_equal(key, same_key)
    assert key.shape == [2, 2] and not np.array_equal(key[0], key[1])
    phases = [keys.fold(keys.from_int(3), phase).numpy().tolist() for phase in range(3)]
    assert not any(row in phases for row in key.numpy().tolist())  # nor those of what is played
    assert not learner.of("start")
    _, batch, _, _ = learner.of("after_update")[0]
    first = batch.support[0].trajectory
    logit = 0.5 + np.array([0.3, 0.1])
    chance = tf.sigmoid(logit).numpy()[:, None, None]
    expected = np.log(np.where(first.action == 1, chance, 1 - chance))
    np.testing.assert_allclose(first.log_prob, expected, rtol=1e-5)
    np.testing.assert_array_equal(batch.index, [2, 0])
    # Task 1 was not there: its shift has no gradient, and Adam leaves it where it was.
    moved = learner.meta.read()["shift"].numpy() != meta["shift"].numpy()
    np.testing.assert_array_equal(moved, [True, False, True])


def test_what_adaptation_left_is_carried_and_the_batch_is_finished(followed):
    learner, _, meta = followed
    (unfinished,) = learner.of("finish")[0]
    _, batch, _, _ = learner.of("after_update")[0]
    assert len(unfinished.support) == 2
    paid = tf.reduce_sum(batch.query.trajectory.reward, [1, 2])
    np.testing.assert_array_equal(batch.per_task["paid"], paid)
    start = {"logit": 0.5 + tf.constant([0.3, 0.1])}
    fast = learners.MAML.start(learner, meta, 2)._replace(params=start)
    for support in batch.support:
        fast = learner.adapt(meta, fast, support)
    np.testing.assert_allclose(batch.per_task["logit"], fast.params["logit"], rtol=1e-6)
    np.testing.assert_array_equal(batch.query.weight, np.full([2, 4, 3], 7))
    assert not np.any(unfinished.query.weight == 7)


def test_what_happens_after_an_update_and_between_iterations(followed):
    learner, metrics, meta = followed
    given, _, _, key = learner.of("after_update")[0]
    nest.map(np.testing.assert_array_equal, given, meta)  # as they were before the update
    assert not np.array_equal(learner.meta.read()["params"]["logit"], meta["params"]["logit"])
    np.testing.assert_array_equal(key, keys.from_int(3))
    assert learner.of("after_iteration")[0][0] == 1  # counted by then
    np.testing.assert_array_equal(learner.of("after_iteration")[0][1], keys.from_int(3))
    assert metrics["after_update"] == 1 and metrics["after_iteration"] == 2
    assert metrics["bad_update"] == 1 and int(learner.bad_updates) == 0
    assert "loss_before" in metrics


def test_new_tasks_are_started_on_with_a_key_each_and_change_from_update_to_update():
    with eagerly():
        learner = Follows(Line(), Tilt(), Follows.Config(**CONFIG))
        task = {"slope": tf.constant([1.0, 10.0])}
        found = tfcaml.evaluate(learner, task, num_updates=2, num_episodes=50, seed=1)
        again = tfcaml.evaluate(learner, task, num_updates=0, num_episodes=50, seed=2)
    (key,), (other,) = learner.of("start")
    assert key.shape == [2, 2] and not np.array_equal(key[0], key[1])
    assert not np.array_equal(key, other) and again.returns.shape == (1, 2, 50)
    assert not learner.of("resume")
    last = found.trajectories[-1]
    moved = np.cumsum(last.action, axis=2)
    np.testing.assert_array_equal(last.reward[1], 3 * 10 * moved[1])


def test_tasks_that_are_made_anew_have_no_number():
    with eagerly():
        learner = Follows(Line(), Tilt(), Follows.Config(**CONFIG))
        draw = lambda num_tasks, key: {"slope": tf.ones([num_tasks])}
        population = Line().population(0)._replace(draw=draw)
        tfcaml.train(learner, population, seed=0)
    assert len(learner.of("start")) == 2 and not learner.of("resume")
    assert learner.of("after_update")[0][1].index == ()


def test_a_sampler_plays_all_episodes():
    """Those of training, of adapting to new tasks and of measuring."""
    played = []

    def sampler(policy, environment, params, task, num_episodes, key):
        played.append((nest.leading(task), num_episodes))
        found = sampling.sample(policy, environment, params, task, num_episodes, key)
        return found._replace(reward=found.reward + 1)

    with eagerly():
        config = learners.MAML.Config(**CONFIG, test_episodes_per_update=5)
        learner = learners.MAML(Line(), Tilt(), config, sampler=sampler)
        population = Line().population(0)
        tfcaml.train(learner, population, seed=0)
        assert played == [(2, 4)] * 3
        found = tfcaml.evaluate(learner, population.test, num_updates=1, num_episodes=6)
    assert played[3:] == [(1, 6), (1, 5), (1, 6)]
    ended = 5 * np.cumsum(found.trajectories[0].action, axis=2)
    np.testing.assert_array_equal(found.returns[0], (ended + 1).sum(axis=2))


class Longer(Line):
    """A line with more steps, which a learner makes of the one it is given."""

    def __init__(self, horizon):
        self.horizon = horizon


class Wanders(learners.MAML):
    """Plays twice as long, with a policy that knows how long."""

    @classmethod
    def plays_in(cls, environment, config):
        return Longer(2 * environment.horizon)

    @classmethod
    def make_policy(cls, environment, config, fc_layer_params=(1,), activation="tanh"):
        policy = Tilt()
        policy.made_for = environment.horizon, config, fc_layer_params
        return policy


def test_a_learner_plays_in_its_own_family_with_its_own_policy():
    config = Wanders.Config(**CONFIG)
    learner = Wanders(Line(), config=config)
    assert learner.environment.horizon == 6
    assert learner.policy.made_for == (6, config, (1,))
    with eagerly():
        fast = learner.start(learner.meta.read(), 1)
        played = learner.measure(fast, {"slope": tf.ones([1])}, 2, keys.from_int(0))
    assert played.reward.shape == [1, 2, 6]
    own = Tilt()
    assert Wanders(Line(), own, config).policy is own
