"""Meta-gradient RL: its gradient in float64 against differences and by hand."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from tf_agents.specs import tensor_spec

from tfcaml import environments, keys, learners, nest
from tfcaml.errors import ConfigError
from tfcaml.policies import ContextPolicy, Policy
from tfcaml.types import FastState, Trajectory

TASKS, EPISODES, STEPS, SIZE, ACTIONS = 2, 3, 4, 3, 2


class Linear(Policy):
    """Logits and values that are linear in the observation, in the weights' precision."""

    action_spec = tensor_spec.BoundedTensorSpec([], tf.int32, 0, ACTIONS - 1)
    num_actions = ACTIONS

    def __init__(self, heads, size=SIZE):
        self.heads, self.size = heads, size

    def init(self, seed):
        rng = np.random.default_rng(seed)
        draw = lambda n: tf.constant(0.5 * rng.normal(size=[self.size, n]), tf.float32)
        return {"actor": draw(ACTIONS), **{head: draw(1) for head in self.heads}}

    def __call__(self, params, observation):
        return tfp.distributions.Categorical(
            logits=tf.einsum("nbo,noa->nba", observation, params["actor"])
        )

    def value(self, params, trajectory, head="value"):
        at = lambda x: tf.einsum("n...o,no->n...", x, params[head][..., 0])
        return at(trajectory.observation), at(trajectory.final_observation)


class Line(environments.TaskFamily):
    """Only specs: nothing is played."""

    task_spec = {"x": tf.TensorSpec([], tf.float32)}
    observation_spec = tf.TensorSpec([SIZE], tf.float32)
    action_spec = Linear.action_spec
    horizon = STEPS


def double(tree):
    return nest.map(lambda x: tf.cast(x, tf.float64) if x.dtype.is_floating else x, tree)


def samples(number, seed=0):
    """Random episodes of several lengths; some end, others are cut."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(number):
        shape = (TASKS, EPISODES, STEPS)
        normal = lambda *more: tf.constant(rng.normal(size=(*shape, *more)))
        length = rng.integers(2, STEPS + 1, shape[:2])[..., None]
        mask = (np.arange(STEPS) < length).astype(float)
        ended = (np.arange(STEPS) == length - 1) * rng.integers(0, 2, shape[:2])[..., None]
        action = tf.constant(rng.integers(0, ACTIONS, shape), tf.int32)
        reward = normal() * mask
        log_prob = tf.math.log(tf.constant(rng.uniform(0.2, 0.9, shape)))
        found.append(
            Trajectory(normal(SIZE), action, reward, tf.constant(mask), log_prob,
                       tf.constant(ended.astype(float)), normal(SIZE)[:, :, 0])
        )  # fmt: skip
    return found


def made(**settings):
    """(learner, eta, `FastState`) in float64."""
    settings = {
        "meta_batch_size": TASKS, "inner_learning_rate": 0.1, "learn_lambda": True,
        "advantage": {"discount": 0.9, "gae_lambda": 0.8}, "max_grad_norm": 0.0, **settings,
    }  # fmt: skip
    if settings.get("inner_optimizer", "rmsprop") == "rmsprop":
        settings.setdefault("rms_epsilon", 0.01)
    config = learners.MetaGradient.Config(**settings)
    policy = Linear(learners.MetaGradient.heads_of(config))
    learner = learners.MetaGradient(Line(), policy, config)
    meta = double(learner.meta.read())
    fast = FastState(meta["params"], double(learner.state["life"].read().slots))
    if config.inner_optimizer == "adam":  # whose first step is of one length, whatever eta is
        fast = chain(learner, meta["eta"], fast, samples(2, seed=9))
    return learner, meta["eta"], fast


def found(learner, eta, fast, given, trace=()):
    """What `meta_gradient` gives where `given` are the samples."""
    play = lambda eta, params, life, update: (life, given[update + 1])
    return learner.meta_gradient(eta, fast, given[0], trace, (), play)


def differences(value, eta, step=1e-5):
    """Central differences of a scalar in every number of a nest of logits."""
    vector, unravel = nest.ravel(eta)
    moves = step * np.eye(len(vector))
    compiled = tf.function(lambda x: value(unravel(x)), autograph=False)
    at = lambda move: float(compiled(vector + move))
    found = [(8 * (at(m) - at(-m)) - at(2 * m) + at(-2 * m)) / (12 * step) for m in moves]
    return np.array(found)


def flat(eta):
    return nest.ravel(eta)[0].numpy()


def chain(learner, eta, fast, given):
    for sample in given:
        fast = learner.adapt({"eta": eta}, fast, learner.experience({"eta": eta}, fast, sample))
    return fast


OPTIMIZERS = ("sgd", "rmsprop", "adam")


@pytest.mark.parametrize("updates", [1, pytest.param(5, marks=pytest.mark.slow)])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"per_life": True, "outer_critic": True, "max_grad_norm": 0.1},
        {"per_state": True, "correction": "vtrace", "discount_low": 0.5},
        {"objective": "prediction", "per_life": True, "per_state": True},
    ],
    ids=["scalar", "per life", "per state", "prediction"],
)
def test_it_is_that_of_central_differences(settings, optimizer, updates):
    learner, eta, fast = made(inner_optimizer=optimizer, updates_per_meta=updates, **settings)
    given = samples(updates + 1)
    # Of J-bar in theta' the derivative of what it is a loss for: its returns are constants.
    gradient = found(learner, eta, fast, given)[0]
    after = chain(learner, eta, fast, given[:-1]).params
    with tf.GradientTape() as tape:
        tape.watch(after)
        loss = learner.outer_loss({"eta": eta}, after, given[-1])
    slope = nest.ravel(tape.gradient(loss, after, unconnected_gradients="zero"))[0]
    share = 1 if settings.get("per_life") else 1 / TASKS
    value = lambda eta: (
        share * tf.reduce_sum(slope * nest.ravel(chain(learner, eta, fast, given[:-1]).params)[0])
    )
    expected = differences(value, eta)
    assert np.linalg.norm(expected) > 1e-9
    np.testing.assert_allclose(
        flat(gradient), expected, rtol=0, atol=1e-6 * np.linalg.norm(expected)
    )


def test_the_outer_loss_is_what_its_differences_say_for_prediction():
    """With gamma-bar and lambda-bar of 1 and ends, no return depends on the weights."""
    learner, eta, fast = made(objective="prediction", outer_discount=1.0, inner_optimizer="sgd")
    given = samples(2)
    last = given[1]
    whole = tf.ones_like(last.mask)
    end = tf.concat([tf.zeros_like(whole[..., 1:]), whole[..., :1]], axis=-1)
    given[1] = last._replace(mask=whole, terminated=end)
    value = lambda eta: tf.reduce_mean(
        learner.outer_loss({"eta": eta}, chain(learner, eta, fast, given[:1]).params, given[1])
    )
    gradient = flat(found(learner, eta, fast, given)[0])
    np.testing.assert_allclose(gradient, differences(value, eta), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("optimizer", "decay", "per_life"),
    [(name, decay, True) for name in OPTIMIZERS for decay in (0.0, 0.5, 1.0)]
    + [("sgd", 0.5, False)],
)
def test_a_trace_is_what_updates_did_by_themselves(optimizer, decay, per_life):
    """z of five updates: the sum of mu^(5 - k) d f_k / d eta, each by differences."""
    learner, eta, fast = made(inner_optimizer=optimizer, trace_decay=decay, per_life=per_life)
    given, columns = samples(6), 0.0
    trace = double(learner.state["trace"].read()) if decay else ()
    for k in range(5):
        gradient, after, _, trace, _, _ = found(learner, eta, fast, given[k : k + 2], trace)
        vector, unravel = nest.ravel(eta)
        moved = lambda x, k=k, fast=fast, unravel=unravel: nest.ravel(
            chain(learner, unravel(x), fast, given[k : k + 1]).params
        )[0]
        compiled = tf.function(moved, autograph=False)
        at = lambda move, compiled=compiled, vector=vector: compiled(vector + move).numpy()
        moves = 1e-5 * np.eye(len(vector))
        own = [(8 * (at(m) - at(-m)) - at(2 * m) + at(-2 * m)) / 12e-5 for m in moves]
        columns = decay * columns + np.array(own)
        fast = after
    with tf.GradientTape() as tape:
        tape.watch(fast.params)
        loss = learner.outer_loss({"eta": eta}, fast.params, given[5])
    slope = nest.ravel(tape.gradient(loss, fast.params, unconnected_gradients="zero"))[0]
    expected = columns @ slope.numpy() / (1 if per_life else TASKS)
    np.testing.assert_allclose(
        flat(gradient), expected, rtol=0, atol=1e-6 * np.linalg.norm(expected)
    )


def test_it_is_the_closed_form_on_a_linear_model():
    """- d J-bar / d theta' . alpha (d g / d eta) (d log pi + b d v), by loops in NumPy."""
    rate, b, bar = 0.3, 0.7, 0.97
    learner, eta, fast = made(
        inner_optimizer="sgd", inner_learning_rate=rate, value_weight=b, per_life=True,
        outer_discount=bar, outer_lambda=0.9,
    )  # fmt: skip
    given = samples(2)
    gradient = {k: x.numpy() for k, x in found(learner, eta, fast, given)[0].items()}
    theta = nest.map(lambda x: x.numpy(), fast.params)
    after = nest.map(lambda x: x.numpy(), chain(learner, eta, fast, given[:1]).params)
    for task in range(TASKS):
        at = {k: float(1 / (1 + np.exp(-eta[k][task]))) for k in eta}
        own = {k: x[task] for k, x in theta.items()}
        derivative = {k: {"actor": 0.0, "value": 0.0} for k in eta}
        for obs, act, _, dg, _ in by_hand(given[0], task, own, at["discount"], at["lambda"]):
            actor, critic = scores(obs, act, own)
            for k in eta:
                derivative[k]["actor"] += rate * dg[k] * actor
                derivative[k]["value"] += rate * dg[k] * b * critic
        own, slope, steps = {k: x[task] for k, x in after.items()}, 0.0, 0
        for obs, act, g, _, v in by_hand(given[1], task, own, bar, 0.9):
            slope, steps = slope - (g - v) * scores(obs, act, own)[0], steps + 1
        num = given[0].mask.numpy()[task].sum()
        for k in eta:
            chained = np.sum(slope / steps * derivative[k]["actor"] / num)
            expected = chained * at[k] * (1 - at[k])  # of the sigmoid
            np.testing.assert_allclose(gradient[k][task], expected, rtol=0, atol=1e-8)


def test_the_second_critic_is_of_the_fixed_discount_and_stands_in_the_outer_loss():
    """Its targets and J-bar by loops in NumPy, whatever the learned discount is."""
    learner, eta, fast = made(outer_critic=True, outer_discount=0.97, outer_lambda=0.9)
    (sample,) = samples(1)
    targets = learner.credit({"eta": eta}, fast, sample).target["outer"].numpy()
    loss = learner.outer_loss({"eta": eta}, fast.params, sample).numpy()
    for task in range(TASKS):
        own = {"value": fast.params["outer"][task].numpy()}
        actor, terms, returns = fast.params["actor"][task].numpy(), [], []
        for obs, act, g, _, v in by_hand(sample, task, own, 0.97, 0.9):
            logits = obs @ actor
            terms.append((g - v) * (logits[act] - np.log(np.exp(logits).sum())))
            returns.append(g)
        learned = targets[task][sample.mask[task].numpy() > 0]
        np.testing.assert_allclose(np.sort(learned), np.sort(returns), rtol=0, atol=1e-12)
        np.testing.assert_allclose(loss[task], -np.mean(terms), rtol=0, atol=1e-12)


def test_a_step_has_the_discount_of_the_state_it_leads_to():
    family = environments.RewardProcess()
    learner = learners.MetaGradient(
        family,
        config=learners.MetaGradient.Config(
            objective="prediction", per_state=True, episodes_per_update=1,
            advantage={"discount": 0.5, "baseline": "none", "normalize": False},
        ),
    )  # fmt: skip
    meta, task = learner.meta.read(), family.population(0).train
    trajectory = learner.sample(meta["params"], task, 1, keys.from_int(0))
    eta = {"discount": tf.linspace(-2.0, 2.0, 11)[None]}
    given = learner.of_arrivals(eta, "discount", trajectory)
    np.testing.assert_allclose(given[0, 0], learner.number(eta, "discount")[0, 1:], rtol=1e-6)


def test_weights_see_eta_and_eta_follows_no_gradient_through_that():
    config = learners.MetaGradient.Config(
        meta_batch_size=TASKS, learn_lambda=True, embedding_size=2,
        advantage={"discount": 0.9, "gae_lambda": 0.8},
    )  # fmt: skip
    policy = ContextPolicy(Linear(("value",), SIZE + 2), Line.observation_spec, 2)
    learner = learners.MetaGradient(Line(), policy, config)
    meta = learner.meta.read()
    with tf.GradientTape() as tape:
        tape.watch(meta["eta"])
        context = learner.acting(meta, FastState(meta["params"], ()))["context"]
    embedding = meta["params"]["embedding"].numpy()
    expected = 0.9 * embedding[:, 0] + 0.8 * embedding[:, 1]
    np.testing.assert_allclose(context, expected, rtol=1e-5)
    assert tape.gradient(context, meta["eta"]["discount"]) is None


def by_hand(sample, task, theta, discount, lambda_):
    """(observation, action, g, d g / d gamma and lambda, v) of each valid step of a task."""
    part = nest.map(lambda x: x[task].numpy(), sample)
    for e in range(EPISODES):
        length = int(part.mask[e].sum())
        seen = [*part.observation[e][:length], part.final_observation[e]]
        v = [float(o @ theta["value"][:, 0]) for o in seen]
        ahead, d, rows = v[length], {"discount": 0.0, "lambda": 0.0}, []
        for t in reversed(range(length)):
            last = t == length - 1
            lam = 0.0 if last else lambda_
            gam = discount * (1 - part.terminated[e][t])
            live = 1 - part.terminated[e][t]
            mixed = (1 - lam) * v[t + 1] + lam * ahead
            d = {
                "discount": live * mixed + gam * lam * d["discount"],
                "lambda": (0.0 if last else gam * (ahead - v[t + 1])) + gam * lam * d["lambda"],
            }
            ahead = part.reward[e][t] + gam * mixed
            rows.append((seen[t], part.action[e][t], ahead, d, v[t]))
        yield from rows


def scores(obs, act, theta):
    """Derivatives of log pi(act | obs) and of v(obs)."""
    logits = obs @ theta["actor"]
    pi = np.exp(logits - logits.max())
    pi /= pi.sum()
    return np.outer(obs, np.eye(ACTIONS)[act] - pi), obs[:, None]


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"learn_discount": False, "learn_lambda": False}, "learn_discount to be True"),
        ({"advantage": {"discount": 1.0}}, "advantage.discount to be between"),
        ({"discount_low": 0.5, "discount_high": 0.4}, "discount_low to be >= 0 and below"),
        ({"lag": 1}, "lag to be 0"),
        ({"per_state": True, "embedding_size": 2}, "embedding_size to be 0"),
        ({"trace_decay": 1.5}, "trace_decay to be in"),
        ({"per_life": True}, "per_life"),
        ({"objective": "prediction", "outer_critic": True}, "outer_critic"),
    ],
)
def test_mistakes_are_one_line(settings, message):
    with pytest.raises(ConfigError, match=message):
        learners.MetaGradient.Config(**settings)
