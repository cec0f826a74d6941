"""All trajectories of a tiny Markov decision process, enumerated: exact expectations."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfcaml import losses
from tfcaml.policies import Policy
from tfcaml.types import Trajectory

STATES, ACTIONS, STEPS, DISCOUNT = 3, 2, 3, 0.9


class Tabular(Policy):
    """A softmax policy with one logit per state and action: params ([N, S * A],)."""

    def __call__(self, params, observation):
        logits = tf.reshape(params[0], [-1, STATES, ACTIONS])
        return tfp.distributions.Categorical(logits=tf.matmul(observation, logits))


class TinyMDP:
    """A random process with every trajectory of it, one per task row."""

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self.theta = tf.constant(rng.normal(size=STATES * ACTIONS))
        self.transition = rng.dirichlet(np.ones(STATES), (STATES, ACTIONS))
        self.reward = rng.normal(size=(STATES, ACTIONS))
        choices = itertools.product(range(ACTIONS), repeat=STEPS)
        paths = itertools.product(choices, itertools.product(range(STATES), repeat=STEPS - 1))
        actions, later = map(np.array, zip(*paths))
        self.action = actions
        self.state = np.concatenate([np.zeros((len(later), 1), int), later], axis=1)
        moves = self.transition[self.state[:, :-1], self.action[:, :-1], self.state[:, 1:]]
        self.dynamics = moves.prod(axis=1)  # [paths]
        self.step_reward = self.reward[self.state, self.action]  # [paths, T]
        self.known = {}
        self.gamma = DISCOUNT ** np.arange(STEPS)

    def log_policy(self, theta):
        """log pi of every step of every path, [paths, T]."""
        table = tf.nn.log_softmax(tf.reshape(theta, [STATES, ACTIONS]))
        return tf.gather_nd(table, np.stack([self.state, self.action], axis=-1))

    def expected_return(self, theta):
        probability = self.dynamics * tf.exp(tf.reduce_sum(self.log_policy(theta), axis=1))
        return tf.reduce_sum(probability * (self.step_reward @ self.gamma))

    def values(self):
        """(Q, V) of every step of every path, [paths, T]."""
        policy = np.exp(tf.nn.log_softmax(tf.reshape(self.theta, [STATES, ACTIONS])))
        later = np.zeros(STATES)
        q, v = [], []
        for _ in range(STEPS):
            q.insert(0, self.reward + DISCOUNT * self.transition @ later)
            later = (policy * q[0]).sum(axis=1)
            v.insert(0, later)
        at = range(STEPS)
        q = np.stack([q[t][self.state[:, t], self.action[:, t]] for t in at], axis=1)
        return q, np.stack([v[t][self.state[:, t]] for t in at], axis=1)

    def credit(self, name):
        """discount^t times what an estimator may be multiplied with, [paths, T]."""
        q, v = self.values()
        credit = {"advantage": q - v, "value": q, "reward": self.step_reward}[name]
        return credit * self.gamma

    def derivatives(self, estimator, credit):
        """(gradient, Hessian) of an estimator's expectation; kept, as several tests ask."""
        if (estimator, credit) not in self.known:
            expectation = self.estimate(estimator, credit)
            self.known[estimator, credit] = derivatives(expectation, self.theta)
        return self.known[estimator, credit]

    def estimate(self, estimator, credit):
        """theta -> expectation of an estimator over data of the policy `self.theta`."""
        one_episode = lambda x: tf.constant(x)[:, None]  # [paths] -> [N = paths, E = 1]
        log_prob = self.log_policy(self.theta)
        probability = self.dynamics * np.exp(log_prob.numpy().sum(axis=1))
        ones = np.ones_like(self.step_reward)
        trajectory = Trajectory(
            observation=one_episode(np.eye(STATES)[self.state]),
            action=one_episode(self.action.astype(np.int32)),
            reward=one_episode(self.step_reward),
            mask=one_episode(ones),
            log_prob=log_prob[:, None],
            terminated=one_episode(0 * ones),
            final_observation=None,
        )

        def expectation(theta):
            params = (tf.repeat(theta[None], len(probability), axis=0),)
            loss = losses.ESTIMATORS[estimator](
                Tabular(), params, trajectory, one_episode(self.credit(credit))
            )
            return -STEPS * tf.reduce_sum(probability * loss)  # the loss is a mean over steps

        return expectation


def derivatives(function, theta):
    """(gradient, Hessian) of a scalar function, as arrays."""
    with tf.GradientTape() as second:
        second.watch(theta)
        with tf.GradientTape() as first:
            first.watch(theta)
            value = function(theta)
        gradient = first.gradient(value, theta)
    return gradient.numpy(), second.jacobian(gradient, theta).numpy()


def error(value, truth):
    return np.linalg.norm(value - truth) / np.linalg.norm(truth)


@pytest.fixture(scope="module", params=[0, 1, 2])
def case(request):
    mdp = TinyMDP(request.param)
    return mdp, *derivatives(mdp.expected_return, mdp.theta)


UNBIASED = [("dice", "reward"), ("dice", "advantage"), ("loaded_dice", "advantage")]
BIASED = [
    ("log_likelihood", "value"),
    ("log_likelihood", "advantage"),
    ("likelihood_ratio", "value"),
    ("likelihood_ratio", "advantage"),
]


@pytest.mark.parametrize("estimator, credit", UNBIASED + BIASED)
def test_first_derivative_is_the_policy_gradient(case, estimator, credit):
    mdp, gradient, _ = case
    value, _ = mdp.derivatives(estimator, credit)
    assert error(value, gradient) < 1e-8


@pytest.mark.parametrize("estimator, credit", UNBIASED)
def test_second_derivative_of_dice_is_exact(case, estimator, credit):
    mdp, _, hessian = case
    _, value = mdp.derivatives(estimator, credit)
    assert error(value, hessian) < 1e-8


def parts_of_the_hessian(mdp):
    """(H1, H2) by explicit sums over paths and steps."""
    with tf.GradientTape() as second:
        second.watch(mdp.theta)
        with tf.GradientTape() as first:
            first.watch(mdp.theta)
            log_prob = mdp.log_policy(mdp.theta)
        score = first.jacobian(log_prob, mdp.theta)  # [paths, T, P]
    curvature = second.jacobian(score, mdp.theta).numpy()
    score = score.numpy()
    weight = mdp.dynamics * np.exp(log_prob.numpy().sum(axis=1))
    weight = weight[:, None] * mdp.credit("value")
    h1 = np.einsum("nt,nti,ntj->ij", weight, score, score)
    return h1, np.einsum("nt,ntij->ij", weight, curvature)


def test_log_likelihood_keeps_h2_only_which_an_advantage_cancels(case):
    mdp, _, hessian = case
    _, h2 = parts_of_the_hessian(mdp)
    _, value = mdp.derivatives("log_likelihood", "value")
    assert error(value, h2) < 1e-8
    assert error(value, hessian) > 0.5
    _, value = mdp.derivatives("log_likelihood", "advantage")
    assert abs(error(value, hessian) - 1) < 1e-8


def test_likelihood_ratio_keeps_h1_and_h2(case):
    mdp, _, hessian = case
    h1, h2 = parts_of_the_hessian(mdp)
    for credit in ("value", "advantage"):
        _, value = mdp.derivatives("likelihood_ratio", credit)
        assert error(value, h1 + h2) < 1e-8
        assert 0.05 < error(value, hessian) < 1


def test_magic_box_times_reward_to_go_is_wrong(case):
    mdp, gradient, _ = case
    value, _ = mdp.derivatives("dice", "value")
    assert error(value, gradient) > 1e-2
