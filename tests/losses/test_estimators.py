"""All trajectories of a tiny Markov decision process, enumerated: exact expectations."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfcaml import losses
from tfcaml.advantages import baselines
from tfcaml.policies import Policy
from tfcaml.types import Trajectory

STATES, ACTIONS, STEPS, DISCOUNT = 3, 2, 3, 0.9


class Tabular(Policy):
    """A softmax policy with one logit per state and action: params ([N, S * A],)."""

    def __call__(self, params, observation):
        logits = tf.reshape(params[0], [-1, STATES, ACTIONS])
        return tfp.distributions.Categorical(logits=tf.matmul(observation, logits))


class TinyMDP:
    """A random process with every episode of it, one per task row.

    With `ends` an action may also end the episode, with a probability of its own, so that episodes
    have all lengths from 1 to `steps`; without, all have `steps` steps.
    """

    def __init__(self, seed, ends=False, steps=STEPS):
        rng = np.random.default_rng(seed)
        self.steps = steps
        self.theta = tf.constant(rng.normal(size=STATES * ACTIONS))
        going_on = rng.uniform(0.3, 0.9, (STATES, ACTIONS, 1)) if ends else 1.0
        self.transition = going_on * rng.dirichlet(np.ones(STATES), (STATES, ACTIONS))
        self.reward = rng.normal(size=(STATES, ACTIONS))
        episodes = list(self._episodes(0, 1.0, ends))
        length = np.array([len(states) for states, _, _ in episodes])
        pad = lambda row: [*row, *[0] * (steps - len(row))]
        self.state = np.array([pad(states) for states, _, _ in episodes])
        self.action = np.array([pad(actions) for _, actions, _ in episodes])
        self.dynamics = np.array([probability for _, _, probability in episodes])
        self.mask = (np.arange(steps) < length[:, None]).astype(float)  # [paths, T]
        self.step_reward = self.reward[self.state, self.action] * self.mask
        self.known = {}
        self.gamma = DISCOUNT ** np.arange(steps)

    def _episodes(self, state, probability, ends, states=(), actions=()):
        """(states, actions, probability of the dynamics) of every episode, depth first."""
        states = (*states, state)
        for action in range(ACTIONS):
            taken, row = (*actions, action), self.transition[state, action]
            last = len(states) == self.steps
            if last or ends:
                yield states, taken, probability * (1.0 if last else 1 - row.sum())
            if not last:
                for following in range(STATES):
                    moved = probability * row[following]
                    yield from self._episodes(following, moved, ends, states, taken)

    def log_policy(self, theta):
        """log pi of every step of every path, [paths, T]; 0 on padded steps."""
        table = tf.nn.log_softmax(tf.reshape(theta, [STATES, ACTIONS]))
        return tf.gather_nd(table, np.stack([self.state, self.action], axis=-1)) * self.mask

    def probability(self):
        """Of every path under `self.theta`, [paths]."""
        return self.dynamics * np.exp(self.log_policy(self.theta).numpy().sum(axis=1))

    def expected_return(self, theta):
        probability = self.dynamics * tf.exp(tf.reduce_sum(self.log_policy(theta), axis=1))
        return tf.reduce_sum(probability * (self.step_reward @ self.gamma))

    def values(self):
        """(Q, V) of every step of every path, [paths, T]; 0 on padded steps."""
        policy = np.exp(tf.nn.log_softmax(tf.reshape(self.theta, [STATES, ACTIONS])))
        later = np.zeros(STATES)
        q, v = [], []
        for _ in range(self.steps):
            q.insert(0, self.reward + DISCOUNT * self.transition @ later)
            later = (policy * q[0]).sum(axis=1)
            v.insert(0, later)
        at = range(self.steps)
        q = np.stack([q[t][self.state[:, t], self.action[:, t]] for t in at], axis=1)
        v = np.stack([v[t][self.state[:, t]] for t in at], axis=1)
        return q * self.mask, v * self.mask

    def credit(self, name):
        """discount^t times what an estimator may be multiplied with, [paths, T].

        The centred reward is the reward less its mean over all episodes at the same time, those
        that have ended earning 0: there it is minus the mean.
        """
        q, v = self.values()
        centred = self.step_reward - self.probability() @ self.step_reward
        credits = {
            "advantage": q - v,
            "value": q,
            "reward": self.step_reward,
            "centred reward": centred,
        }
        return credits[name] * self.gamma

    def derivatives(self, estimator, credit):
        """(gradient, Hessian) of an estimator's expectation; kept, as several tests ask."""
        if (estimator, credit) not in self.known:
            expectation = self.estimate(estimator, credit)
            self.known[estimator, credit] = derivatives(expectation, self.theta)
        return self.known[estimator, credit]

    def estimate(self, estimator, credit):
        """theta -> expectation of an estimator over data of the policy `self.theta`."""
        one_episode = lambda x: tf.constant(x)[:, None]  # [paths] -> [N = paths, E = 1]
        trajectory = Trajectory(
            observation=one_episode(np.eye(STATES)[self.state]),
            action=one_episode(self.action.astype(np.int32)),
            reward=one_episode(self.step_reward),
            mask=one_episode(self.mask),
            log_prob=self.log_policy(self.theta)[:, None],
            terminated=one_episode(0 * self.mask),
            final_observation=None,
        )
        # The loss is minus a mean over an episode's valid steps.
        weight = -self.probability() * self.mask.sum(axis=1)

        def expectation(theta):
            params = (tf.repeat(theta[None], len(weight), axis=0),)
            loss = losses.ESTIMATORS[estimator](
                Tabular(), params, trajectory, one_episode(self.credit(credit))
            )
            return tf.reduce_sum(weight * loss)

        return expectation


def derivatives(function, theta):
    """(gradient, Hessian) of a scalar function, as arrays."""
    with tf.GradientTape(persistent=True) as second:
        second.watch(theta)
        with tf.GradientTape() as first:
            first.watch(theta)
            value = function(theta)
        gradient = first.gradient(value, theta)
    jacobian = second.jacobian(gradient, theta, experimental_use_pfor=False)
    return gradient.numpy(), jacobian.numpy()


def error(value, truth):
    return np.linalg.norm(value - truth) / np.linalg.norm(truth)


@pytest.fixture(
    scope="module",
    params=[(0, False, 3), (1, False, 3), (2, False, 3), (3, True, 3), (4, True, 3), (5, True, 4)],
    ids=lambda param: f"seed {param[0]}" + (f", ends within {param[2]} steps" if param[1] else ""),
)
def case(request):
    mdp = TinyMDP(*request.param)
    assert abs(mdp.probability().sum() - 1) < 1e-12
    return mdp, *derivatives(mdp.expected_return, mdp.theta)


UNBIASED = [
    ("dice", "reward"),
    ("dice", "centred reward"),
    ("dice", "advantage"),
    ("loaded_dice", "advantage"),
]
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
    """(H1, H2) by sums over paths and steps; a table's derivatives are known in closed form.

    In state s: d log pi(a | s) = e_a - pi, and its derivative is -(diag(pi) - pi pi^T) for any a.
    """
    policy = np.exp(tf.nn.log_softmax(tf.reshape(mdp.theta, [STATES, ACTIONS])))
    weight = mdp.probability()[:, None] * mdp.credit("value")
    h1, h2 = np.zeros([2, STATES, ACTIONS, STATES, ACTIONS])
    for state, action, w in zip(mdp.state.ravel(), mdp.action.ravel(), weight.ravel()):
        pi = policy[state]
        score = np.eye(ACTIONS)[action] - pi
        h1[state, :, state] += w * np.outer(score, score)
        h2[state, :, state] -= w * (np.diag(pi) - np.outer(pi, pi))
    return (h.reshape(STATES * ACTIONS, -1) for h in (h1, h2))


def test_log_likelihood_keeps_h2_only_which_an_advantage_cancels(case):
    mdp, _, hessian = case
    _, h2 = parts_of_the_hessian(mdp)
    _, value = mdp.derivatives("log_likelihood", "value")
    assert error(value, h2) < 1e-8
    assert error(value, hessian) > 0.3
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


def test_values(case):
    """Of the expectations: a box is 1, a difference of boxes 0."""
    mdp, _, _ = case
    value = lambda *names: float(mdp.estimate(*names)(mdp.theta))
    truth = float(mdp.expected_return(mdp.theta))
    assert abs(value("dice", "reward") - truth) < 1e-8
    assert abs(value("dice", "centred reward")) < 1e-8
    assert abs(value("loaded_dice", "advantage")) < 1e-8
    weighted = lambda x: float((mdp.probability()[:, None] * x).sum())
    assert abs(value("likelihood_ratio", "value") - weighted(mdp.credit("value"))) < 1e-8
    log_prob = mdp.log_policy(mdp.theta).numpy()
    assert abs(value("log_likelihood", "value") - weighted(log_prob * mdp.credit("value"))) < 1e-8


# From rewards to the gradient, by the learner's own rules, in episodes of exact proportions.


class Tree:
    """Episodes of one task under a uniform policy, in exact proportions: [1, E, T].

    `outcomes` maps (state, action) to (reward, next state or None); the policy has a table of
    logits, all 0, so an episode of n steps stands for 2^(steps - n) of 2^steps.
    """

    def __init__(self, outcomes, steps):
        rows = []
        for choices in itertools.product(range(ACTIONS), repeat=steps):
            state, row = 0, []
            for action in choices:
                if state is None:
                    row.append((0, action, 0.0, 0.0))
                else:
                    reward, following = outcomes[state, action]
                    row.append((state, action, reward, 1.0))
                    state = following
            rows.append(row)
        state, action, self.reward, self.mask = np.array(rows).transpose(2, 0, 1)
        self.state, self.action = state.astype(int), action.astype(np.int32)
        number = lambda x: tf.constant(x)[None]
        self.trajectory = Trajectory(
            observation=number(np.eye(STATES)[self.state]),
            action=number(self.action),
            reward=number(self.reward),
            mask=number(self.mask),
            log_prob=number(np.full(self.mask.shape, np.log(1 / ACTIONS))),
            terminated=number(0 * self.mask),
            final_observation=None,
        )

    def expected_return(self, theta, discount):
        table = tf.nn.log_softmax(tf.reshape(theta, [STATES, ACTIONS]))
        log_prob = tf.gather_nd(table, np.stack([self.state, self.action], axis=-1))
        # Steps after the end are no choices: each such row stands for a share of its episode.
        log_prob = tf.where(self.mask > 0, log_prob, np.log(1 / ACTIONS))
        gamma = discount ** np.arange(self.mask.shape[1])
        return tf.reduce_sum(tf.exp(tf.reduce_sum(log_prob, axis=1)) * (self.reward @ gamma))

    def loss(self, estimator, theta, discount, normalize=False):
        """(loss per episode, what it was divided by): of an inner step's rules for one task."""
        if estimator == "dice":
            credit = baselines.reward_credit(self.trajectory, discount, normalize)
        else:
            credit = baselines.advantage(
                self.trajectory, discount, "reward_to_go", "time_step_mean", normalize
            )
        loss = losses.ESTIMATORS[estimator](Tabular(), (theta[None],), self.trajectory, credit)
        return loss[0] * self.mask.sum() / len(self.mask)


def test_dice_where_one_action_ends_the_episode():
    """Action 0 ends it and pays 1.5, action 1 goes on and pays 2 at the next step: better by 1/2.

    With pi = 1/2 the gradient in the first state's logits is (-1/4, 1/4) / 2.
    """
    outcomes = {(0, 0): (1.5, None), (0, 1): (0.0, 1), (1, 0): (2.0, None), (1, 1): (2.0, None)}
    tree = Tree(outcomes, steps=2)
    theta = tf.zeros([STATES * ACTIONS], tf.float64)
    for estimator in losses.ESTIMATORS:
        gradient, _ = derivatives(lambda x, e=estimator: tree.loss(e, x, 1.0), theta)
        np.testing.assert_allclose(-gradient, [-0.125, 0.125, 0, 0, 0, 0], atol=1e-12)
    for estimator in ("dice", "loaded_dice"):  # normalised: the same direction
        scaled, _ = derivatives(lambda x, e=estimator: tree.loss(e, x, 1.0, True), theta)
        assert scaled[1] < -0.1 and abs(scaled[0] + scaled[1]) < 1e-12


@pytest.mark.parametrize("discount", [1.0, 0.9])
@pytest.mark.parametrize("steps", [2, 3, 4])
def test_credits_of_the_learners_give_the_exact_gradient(steps, discount):
    """And the exact second derivative with DiCE, as its baseline depends on the time only."""
    rng = np.random.default_rng(steps)
    outcomes = {}
    for state, action in itertools.product(range(STATES), range(ACTIONS)):
        following = [None, *range(STATES)][rng.integers(STATES + 1)]
        outcomes[state, action] = rng.normal(), following
    outcomes[0, 1] = outcomes[0, 1][0], None  # it does end early
    outcomes[0, 0] = outcomes[0, 0][0], 1
    tree = Tree(outcomes, steps)
    assert 0 < tree.mask.mean() < 1
    theta = tf.zeros([STATES * ACTIONS], tf.float64)
    gradient, hessian = derivatives(lambda x: tree.expected_return(x, discount), theta)
    # Other estimators' credits are not discounted by the time of their step.
    for name in ["dice"] if discount < 1 else list(losses.ESTIMATORS):
        value, curvature = derivatives(lambda x, name=name: -tree.loss(name, x, discount), theta)
        assert error(value, gradient) < 1e-8
        if name == "dice":
            assert error(curvature, hessian) < 1e-8
