"""No two batches of episodes share their noise."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.specs import tensor_spec

from tests.by_hand import Softmax, with_context, with_latent
from tests.eager import PlainActorCritic, PlainRecurrent
from tfcaml import environments, keys, learners, nest, training
from tfcaml.policies import Policy, TrialPolicy, with_last_step
from tfcaml.rollouts import sampling

PLAYERS = [
    *(learners.MAML, learners.FOMAML, learners.MetaSGD, learners.EMAML, learners.ProMP),
    *(learners.ANIL, learners.CAVIA, learners.AdaptSV, learners.TESP),
    *(learners.MAESN, learners.LatentSpace),
    *(learners.Pretrained, learners.NaturalPolicyGradient, learners.HindsightMAML),
    *(learners.CAML, learners.Reptile, learners.Joint, learners.JointMixed),
    *(learners.PolicyGradient, learners.RandomInitialization, learners.RL2),
    *(learners.A2C, learners.VTrace, learners.MetaGradient),
]
SIZES = {"meta_batch_size": 2, "inner_updates": 3, "episodes_per_update": 2}


@pytest.fixture(scope="module")
def family():
    return environments.Particle(environments.ParticleConfig(horizon=2))


class Recorder:
    """A sampler that keeps the key of every batch of episodes, as tuples."""

    def __init__(self):
        self.used = []

    def __call__(self, *arguments):
        self.used.append(tuple(arguments[-1].numpy()))
        return sampling.sample(*arguments)


def make(cls, family, sampler=None, **settings):
    sizes = {**SIZES, "meta_batch_size": 1 if cls in (learners.Joint, learners.JointMixed) else 2}
    if cls is learners.CAML:
        sizes |= {"policies_per_clustering": 2, "num_medoids": 2, "assignment": "best_trial"}
    if cls is learners.RandomInitialization:  # has no training to set anything of
        sizes = {"episodes_per_update": 2}
    if issubclass(cls, learners.MAESN):
        sizes |= {"num_training_tasks": 24}
    if cls is learners.RL2:
        sizes |= {"inner_updates": 0, "trials_per_task": 2}
    config = cls.Config(**{**sizes, **settings})
    policy = Softmax(tf.float32)
    if issubclass(cls, learners.CAVIA):
        policy = with_context(config.context_size, tf.float32)
    elif issubclass(cls, learners.MAESN):
        policy = with_latent(config.latent_size, tf.float32)
    elif cls is learners.RL2:
        specs = family.observation_spec, family.action_spec
        within = PlainRecurrent(with_last_step(*specs), family.action_spec)
        policy = TrialPolicy(within, family.observation_spec)
    elif issubclass(cls, learners.A2C):
        policy = PlainActorCritic(family.observation_spec, family.action_spec)
    return cls(family, policy, config, sampler=sampler)


@pytest.mark.parametrize("cls", PLAYERS)
def test_every_batch_of_episodes_has_a_seed_of_its_own(cls, family):
    """Within an iteration, and from one to the next; on new tasks, in every update."""
    recorder = Recorder()
    keys_used = recorder.used
    learner, population = make(cls, family, recorder), family.population(0)
    if cls is not learners.RandomInitialization:
        batches = 0
        for iteration in range(2):
            learner.iteration.assign(iteration)
            task, key, index = training.draw(learner, population, 0)
            learner.collect(learner.meta.read(), task, key, index)
            batches = batches or len(keys_used)
        assert batches >= 1 and len(keys_used) == 2 * batches
    task = nest.map(lambda x: x[:2], population.test)
    meta = learner.meta.read()
    fast = learner.start(meta, 2)
    before = len(keys_used)
    for update in range(2):
        key = keys.from_int(update)
        learner.sample(learner.acting(meta, fast), task, 2, keys.fold(key, 0))
        support = learner.test_support(meta, fast, task, keys.fold(key, 1))
        fast = learner.adapt(meta, fast, support)
    assert len(keys_used) == before + 4
    assert len(set(keys_used)) == len(keys_used)


@pytest.mark.parametrize("cls", [learners.MAML, learners.CAML, learners.JointMixed])
def test_every_iteration_draws_its_own_tasks(cls, family):
    learner, population = make(cls, family), family.population(0)
    drawn = []
    for iteration in range(3):
        learner.iteration.assign(iteration)
        drawn.append(training.draw(learner, population, 0)[0]["displacement"].numpy())
    assert len({task.tobytes() for task in drawn}) == 3


def test_the_query_is_not_sampled_with_the_noise_of_the_support(family):
    """With next to no adaptation equal noise would give equal actions."""
    learner = make(learners.MAML, family, inner_learning_rate=1e-9, episodes_per_update=20)
    task, key, index = training.draw(learner, family.population(0), 0)
    batch = learner.collect(learner.meta.read(), task, key, index)
    phases = [np.ravel(phase.trajectory.action) for phase in (*batch.support, batch.query)]
    assert len(phases) == 4
    for i, one in enumerate(phases):
        for other in phases[:i]:
            assert 0.1 < np.mean(one == other) < 0.6  # a quarter, by chance


class Heard(environments.TaskFamily):
    """Observes the noise of its own start, then that of its last step."""

    noise_size, horizon = 1, 3

    def __init__(self):
        self.task_spec = {"nothing": tf.TensorSpec([], tf.float32)}
        self.observation_spec = tf.TensorSpec([1], tf.float32)
        self.action_spec = tensor_spec.BoundedTensorSpec([1], tf.float32, 0, 1)

    def reset(self, task, key):
        start = keys.uniform(key, [1])
        return start, start

    def step(self, task, state, action, noise):
        return noise, noise, noise[..., 0], noise[..., 0] < 0


class Said(Policy):
    """Takes the noise of its actions as the action."""

    def __call__(self, params, observation):
        return tfp.distributions.MultivariateNormalDiag(observation, tf.ones([1]))

    def noise(self, key, num_steps):
        return keys.uniform(key, [num_steps, 1])

    def sample(self, distribution, noise):
        return noise

    action_spec = Heard().action_spec


def test_the_noise_of_actions_steps_and_starts_is_not_the_same():
    task = {"nothing": tf.zeros([2])}
    trajectory = sampling.sample(Said(), Heard(), (), task, 2, keys.from_int(0))
    starts = trajectory.observation[:, :, 0, 0].numpy()
    steps = np.ravel(trajectory.reward)
    actions = np.ravel(trajectory.action)
    numbers = np.concatenate([np.ravel(starts), steps, actions])
    assert len(numbers) == len(set(numbers)) == 4 + 12 + 12
