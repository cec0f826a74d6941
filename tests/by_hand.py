"""A hand-made batch of episodes, and the papers' formulae for it in plain NumPy.

Nothing here uses tfcaml's own arithmetic: episodes are lists of different lengths and every formula
is a loop over them. The policy is a softmax of one linear layer, whose score

    d log pi(a | o) / d (W, b) = ([o, 1] outer (onehot(a) - pi(. | o)))

is known in closed form. Derivatives of whole objectives, through adaptation, are taken with a
complex step (W. Squire, G. Trapp, "Using complex variables to estimate derivatives of real
functions", SIAM Review 40, 1998): f'(x) = Im f(x + i h) / h, exact to rounding for h = 1e-30. The
real part of a number then is the number as a constant, so that `np.real` is "stop gradient".
"""

import copy

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.specs import tensor_spec

from tfcaml import keys
from tfcaml.policies import ContextPolicy, LatentPolicy, Policy, distributions
from tfcaml.types import Trajectory

TASKS, EPISODES, STEPS = 3, 3, 5
SIZE, ACTIONS = 2, 4  # of observations; number of actions
WEIGHTS = (SIZE + 1) * ACTIONS

# Lengths of the episodes, and how they end: at the horizon ("cut"), early by a time limit of the
# environment ("limit"), or by termination ("end"), early or on the very last step.
LENGTHS = np.array([[5, 3, 4], [2, 5, 1], [5, 4, 2]])
ENDS = [["cut", "end", "limit"], ["end", "end", "limit"], ["cut", "limit", "end"]]


class Softmax(Policy):
    """Logits o W + b: params (W [N, size, ACTIONS], b [N, ACTIONS])."""

    action_spec = tensor_spec.BoundedTensorSpec([], tf.int32, 0, ACTIONS - 1)
    num_actions = ACTIONS

    def __init__(self, dtype=tf.float64, size=SIZE):
        self.dtype = dtype
        self.size = size

    def init(self, seed):
        return split(tf.constant(weights(seed, self.size), self.dtype), self.size)

    def __call__(self, params, observation):
        kernel, bias = params
        logits = tf.matmul(observation, kernel) + bias[:, None]
        return tfp.distributions.Categorical(logits=logits)

    def noise(self, key, num_steps):
        return keys.uniform(key, [num_steps, 1])

    def sample(self, distribution, noise):
        return distributions.sample_discrete(distribution, noise, tf.int32)


def with_context(size, dtype=tf.float64):
    """A `Softmax` that sees a context of this size behind the observation."""
    return ContextPolicy(Softmax(dtype, SIZE + size), tf.TensorSpec([SIZE], dtype), size)


def with_latent(size, dtype=tf.float64):
    """A `Softmax` that sees a latent of this size behind the observation."""
    return LatentPolicy(Softmax(dtype, SIZE + size), tf.TensorSpec([SIZE], dtype), size)


def weights(seed, size=SIZE):
    """Weights of a policy as one vector [(size + 1) ACTIONS]."""
    return 0.5 * np.random.default_rng([seed, 1]).normal(size=(size + 1) * ACTIONS)


def split(vector, size=SIZE):
    """[..., (size + 1) ACTIONS] -> (W [..., size, ACTIONS], b [..., ACTIONS])."""
    leading, kernel = vector.shape[:-1], size * ACTIONS
    return (
        tf.reshape(vector[..., :kernel], [*leading, size, ACTIONS]),
        vector[..., kernel:],
    )


def join(params):
    """The inverse of `split`, as an array."""
    kernel, bias = (np.asarray(x) for x in params)
    return np.concatenate([kernel.reshape(*kernel.shape[:-2], -1), bias], axis=-1)


class Phase:
    """What was sampled in one phase (a support or the query): a list of episodes for each task.

    An episode has all its steps, `length` of which are valid; what stands on padded ones is
    rubbish, except for the reward 0.

    Args:
      seed: of what was seen, done and paid.
      behaviour: [TASKS, WEIGHTS], who acted; random ones unless given.
    """

    def __init__(self, seed, behaviour=None):
        rng = np.random.default_rng([seed, 2])
        shape = (TASKS, EPISODES, STEPS)
        if behaviour is None:
            behaviour = np.stack([weights(100 * seed + i) for i in range(TASKS)])
        self.behaviour, self.lengths = behaviour, LENGTHS
        self.observation = rng.normal(size=(*shape, SIZE))
        self.action = rng.integers(0, ACTIONS, shape)
        self.mask = np.arange(STEPS) < LENGTHS[..., None]
        self.reward = np.where(self.mask, rng.normal(size=shape) + 0.5, 0.0)
        last = np.arange(STEPS) == LENGTHS[..., None] - 1
        self.terminated = last & (np.array(ENDS) == "end")[..., None]
        self.log_prob = np.stack(
            [log_prob(self.behaviour[i], self.observation[i], self.action[i]) for i in range(TASKS)]
        )

    def trajectory(self, dtype=tf.float64):
        """As a `Trajectory`."""
        number = lambda x: tf.constant(x.astype(np.float64), dtype)
        return Trajectory(
            observation=number(self.observation),
            action=tf.constant(self.action, tf.int32),
            reward=number(self.reward),
            mask=number(self.mask),
            log_prob=number(self.log_prob),
            terminated=number(self.terminated),
            final_observation=number(self.observation[:, :, -1] + 1),
        )

    def without(self, others):
        """The same without some episodes, [TASKS, EPISODES] bool: all their steps are padded."""
        phase = copy.copy(self)
        phase.lengths = np.where(others, 0, self.lengths)
        phase.mask = self.mask & ~others[..., None]
        phase.reward = self.reward * phase.mask
        return phase

    def steps(self, task):
        """(episode, time) of every valid step of a task."""
        return [(e, t) for e in range(EPISODES) for t in range(self.lengths[task][e])]

    def acted(self, dtype=tf.float64):
        """The weights that acted, as params [TASKS, ...]."""
        return split(tf.constant(self.behaviour, dtype))


# Returns, baselines, advantages.


def rewards_to_go(reward, discount):
    """G_t = r_t + discount G_(t+1) of the list of an episode's rewards."""
    result, following = [], 0.0
    for r in reversed(list(reward)):
        following = r + discount * following
        result.insert(0, following)
    return result


def targets(reward, discount, return_type):
    """What a baseline predicts, episode by episode: list of lists."""
    to_go = [rewards_to_go(rewards, discount) for rewards in reward]
    if return_type == "whole_return":
        return [[episode[0]] * len(episode) for episode in to_go]
    return to_go


def baseline_values(name, target, observation):
    """V of every valid step of a task: lists like `target`."""
    every = [g for episode in target for g in episode]
    if name == "none":
        level = lambda t: 0.0
    elif name == "batch_mean":
        level = lambda t: np.mean(every)
    elif name == "time_step_mean":
        level = lambda t: np.mean([episode[t] for episode in target if len(episode) > t])
    else:
        return linear_feature_values(target, observation)
    return [[level(t) for t in range(len(episode))] for episode in target]


def linear_feature_values(target, observation):
    """Ridge regression on [o, o^2, tau, tau^2, tau^3, 1], tau = t / 100, o in [-10, 10]."""
    rows, y = [], []
    for episode, seen in zip(target, observation):
        for t, (g, o) in enumerate(zip(episode, seen)):
            o, tau = np.clip(o, -10, 10), t / 100
            rows.append([*o, *o**2, tau, tau**2, tau**3, 1])
            y.append(g)
    x = np.array(rows)
    weight = np.linalg.solve(x.T @ x + 1e-5 * np.eye(x.shape[1]), x.T @ np.array(y))
    fitted = iter(x @ weight)
    return [[next(fitted) for _ in episode] for episode in target]


def advantages(
    phase,
    discount=0.99,
    return_type="reward_to_go",
    baseline="linear_feature",
    normalize=True,
    gae_lambda=1.0,
):
    """[TASKS, EPISODES, STEPS], 0 on padded steps.

    With gae_lambda < 1: J. Schulman et al., ICLR 2016, equation 16.
    """
    result = np.zeros(phase.mask.shape)
    for i in range(TASKS):
        cut = lambda x: [x[i, e, : phase.lengths[i][e]] for e in range(EPISODES)]
        reward = cut(phase.reward)
        target = targets(reward, discount, return_type)
        value = baseline_values(baseline, target, cut(phase.observation))
        for e in range(EPISODES):
            if gae_lambda == 1:
                advantage = np.array(target[e]) - value[e]
            else:
                following = [*value[e][1:], 0.0]
                delta = np.array(reward[e]) + discount * np.array(following) - value[e]
                advantage = rewards_to_go(delta, discount * gae_lambda)
            result[i, e, : phase.lengths[i][e]] = advantage
        if normalize:
            found = np.array([result[i][step] for step in phase.steps(i)])
            mean = 0 if baseline == "none" else found.mean()
            scale = np.sqrt(np.mean((found - mean) ** 2))
            for step, a in zip(phase.steps(i), found):
                result[i][step] = (a - mean) / scale
    return result


def reward_credits(phase, discount=0.99, normalize=True):
    """Credit of DiCE: discount^t r_t less its mean over episodes, an ended one earning 0.

    It is not 0 after the end, where only the mean is taken off. Normalised, the sums from each
    valid step on have root mean square 1.
    """
    result = phase.reward * discount ** np.arange(STEPS)
    result = result - result.mean(axis=1, keepdims=True)
    if normalize:
        for i in range(TASKS):
            to_go = [result[i][e, t:].sum() for e, t in phase.steps(i)]
            result[i] /= np.sqrt(np.mean(np.square(to_go)))
    return result


# The policy.


def log_probs(theta, observation):
    """log pi(. | o) at observations [..., SIZE]: [..., ACTIONS]."""
    kernel = theta[: SIZE * ACTIONS].reshape(SIZE, ACTIONS)
    logits = observation @ kernel + theta[SIZE * ACTIONS :]
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def log_prob(theta, observation, action):
    """log pi(a | o), [...]."""
    return np.take_along_axis(log_probs(theta, observation), action[..., None], axis=-1)[..., 0]


def score(theta, observation, action):
    """d log pi(a | o) / d theta at one step: [WEIGHTS]."""
    away = np.eye(ACTIONS)[action] - np.exp(log_probs(theta, observation))
    return np.concatenate([np.outer(observation, away).ravel(), away])


# Losses of one task: `phase` and `task` tell the episodes, `credit` is [EPISODES, STEPS].


def inner_loss(estimator, theta, phase, task, credit):
    """The value of an inner loss."""
    total = 0.0
    for e in range(EPISODES):
        for t in range(STEPS):
            valid = t < phase.lengths[task][e]
            log_p = log_prob(theta, phase.observation[task, e, t], phase.action[task, e, t])
            if estimator == "log_likelihood" and valid:
                total += log_p * credit[e, t]
            if estimator == "likelihood_ratio" and valid:
                total += np.exp(log_p - phase.log_prob[task, e, t]) * credit[e, t]
            if estimator == "dice":  # box_t = 1, after the end too; box_t - box_(t-1) = 0
                total += credit[e, t]
    return -total / phase.lengths[task].sum()


def inner_gradient(estimator, theta, phase, task, credit):
    """The gradient [WEIGHTS] that an inner step descends; complex-safe, for second derivatives."""
    total = np.zeros(WEIGHTS, theta.dtype)
    box = lambda log_p: np.exp(log_p - np.real(log_p))  # DiCE: 1, with the derivative of log_p
    for e in range(EPISODES):
        so_far, scores = 0.0, np.zeros(WEIGHTS, theta.dtype)
        for t in range(STEPS):
            before, scores_before = so_far, scores
            valid = t < phase.lengths[task][e]
            if valid:
                o, a = phase.observation[task, e, t], phase.action[task, e, t]
                own, log_p = score(theta, o, a), log_prob(theta, o, a)
                so_far, scores = so_far + log_p, scores + own
            if estimator == "dice":
                total = total + credit[e, t] * box(so_far) * scores
            if estimator == "loaded_dice" and valid:
                step = box(so_far) * scores - box(before) * scores_before
                total = total + credit[e, t] * step
            if estimator == "log_likelihood" and valid:
                total = total + credit[e, t] * own
            if estimator == "likelihood_ratio" and valid:
                ratio = np.exp(log_p - phase.log_prob[task, e, t])
                total = total + credit[e, t] * ratio * own
    return -total / phase.lengths[task].sum()


def surrogate(theta, phase, task, credit, clip_ratio=None):
    """- mean of r A, or of min(r A, clip(r, 1 - eps, 1 + eps) A)."""
    total = 0.0
    for e, t in phase.steps(task):
        log_p = log_prob(theta, phase.observation[task, e, t], phase.action[task, e, t])
        ratio, a = np.exp(log_p - phase.log_prob[task, e, t]), credit[e, t]
        gain = ratio * a
        if clip_ratio is not None:
            bounded = min(max(ratio.real, 1 - clip_ratio), 1 + clip_ratio) * a
            if bounded < gain.real:
                gain = bounded
        total = total + gain
    return -total / len(phase.steps(task))


def kl(theta, phase, task):
    """Mean over valid steps of KL(who acted || theta)."""
    total = 0.0
    for e, t in phase.steps(task):
        o = phase.observation[task, e, t]
        old = log_probs(phase.behaviour[task], o)
        total = total + (np.exp(old) * (old - log_probs(theta, o))).sum()
    return total / len(phase.steps(task))


def mean_log_prob(theta, phase, task):
    """Mean over valid steps of log pi."""
    found = [
        log_prob(theta, phase.observation[task, e, t], phase.action[task, e, t])
        for e, t in phase.steps(task)
    ]
    return sum(found) / len(found)


# Derivatives.


def complex_step(function, vector):
    """The gradient of a real function of a vector [P] -> [...]: [..., P]."""
    slopes = []
    for i in range(len(vector)):
        moved = vector.astype(complex)
        moved[i] += 1e-30j
        slopes.append(np.imag(function(moved)) / 1e-30)
    return np.stack(slopes, axis=-1)


def fisher(adapted, vector, phase, task):
    """The Hessian in `vector` of `kl` of the adapted policy, where that is the one that acted.

    There it is the mean over valid steps of sum_a pi(a) (d log pi(a)) (d log pi(a))^T.

    Args:
      adapted: vector -> weights [WEIGHTS].
    """
    total = 0.0
    for e, t in phase.steps(task):
        o = phase.observation[task, e, t]
        slopes = complex_step(lambda x: log_probs(adapted(x), o), vector)  # [ACTIONS, P]
        total = total + (slopes.T * np.exp(log_probs(adapted(vector), o))) @ slopes
    return total / len(phase.steps(task))


def adam_steps(vector, gradient, learning_rate, num_steps, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
    """D. Kingma, J. Ba, ICLR 2015, Algorithm 1: all vectors on the way, the first included."""
    m, v, found = 0.0, 0.0, [vector]
    for t in range(1, num_steps + 1):
        g = gradient(found[-1], t - 1)
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g**2
        m_hat, v_hat = m / (1 - beta_1**t), v / (1 - beta_2**t)
        found.append(found[-1] - learning_rate * m_hat / (np.sqrt(v_hat) + epsilon))
    return found
