"""Compiled programs are shared by graphs that are equal, and by no others."""

import dataclasses
import functools
import gc

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.eager import context

import tfcaml
from tfcaml import environments, keys, learners, programs
from tfcaml.learners.references.joint import JointConfig, RandomInitializationConfig
from tfcaml.learners.reptile import ReptileConfig


def content(function, *args):
    """Of a function traced with these arguments; nothing is compiled."""
    return programs.content(
        tf.function(function, autograph=False).get_concrete_function(*args).graph
    )


def memory_optimization():
    """What functions that are called now are told about TensorFlow's memory optimiser."""
    told = context.context().function_call_options.config_proto_serialized
    rewriting = tf.compat.v1.ConfigProto.FromString(told).graph_options.rewrite_options
    return rewriting.MemOptType.Name(rewriting.memory_optimization)


def test_the_memory_optimizer_is_off_for_a_while_only():
    assert memory_optimization() == "DEFAULT_MEM_OPT"
    with programs.without_memory_optimizer():
        assert memory_optimization() == "NO_MEM_OPT"
    assert memory_optimization() == "DEFAULT_MEM_OPT"
    with pytest.raises(ValueError), programs.without_memory_optimizer():
        raise ValueError
    assert memory_optimization() == "DEFAULT_MEM_OPT"


@pytest.mark.slow
def test_an_update_of_large_batches_can_be_repeated():
    """Its graph needs more than the optimiser takes a CPU to have, in a loop."""
    options = environments.DiscountingChainConfig(observation="one_hot")
    chain = environments.DiscountingChain(options)
    config = learners.MetaGradient.Config(
        num_iterations=2, inner_updates=2, episodes_per_update=128, inner_optimizer="sgd",
        outer_critic=True, advantage={"discount": 0.95},
    )  # fmt: skip
    policy = learners.MetaGradient.make_policy(chain, config, ())
    learner = learners.MetaGradient(chain, policy, config)
    assert len(tfcaml.train(learner, chain.population(0), seed=100)) == 2


def program(shared):
    """The compiled function behind a `Shared` that was called with arguments of one kind."""
    (call,) = shared._programs.values()
    return next(x.cell_contents for x in call.__closure__ if callable(x.cell_contents))


def looped(constant):
    body = lambda i, x: (i + 1, x * constant)
    return lambda x: tf.while_loop(lambda i, x: i < 3, body, (0, x))[1]


def called(constant):
    @tf.function(autograph=False)
    def inner(x):
        return x + constant

    return lambda x: inner(x) * 2


def branched(constant):
    return lambda x: tf.switch_case(tf.size(x), [lambda: x, lambda: x + constant])


def differentiated(constant):
    @tf.function(autograph=False)
    def inner(x):
        return constant * x**3

    return lambda x: tf.gradients(inner(x), x)[0]


@pytest.mark.parametrize("make", [looped, called, branched, differentiated])
def test_a_constant_within_tells_graphs_apart(make):
    x = tf.ones([2])
    assert content(make(2.0), x) == content(make(2.0), x) != content(make(3.0), x)


def test_what_tells_graphs_apart():
    x, y = tf.ones([2, 2]), tf.zeros([2, 2])
    every = [
        content(lambda x, y: x - y, x, y),
        content(lambda x, y: y - x, x, y),
        content(lambda x, y: tf.matmul(x, y), x, y),
        content(lambda x, y: tf.matmul(x, y, transpose_b=True), x, y),
        content(lambda x, y: (x + 1, x + 2), x, y),
        content(lambda x, y: (x + 1, x + 2)[::-1], x, y),
        content(lambda x, y: x - y, tf.cast(x, tf.float64), tf.cast(y, tf.float64)),
        content(lambda x, y: x - y, x[:1], y[:1]),
    ]
    assert len(set(every)) == len(every)


def test_inputs_that_are_not_used_do_not_count():
    x = tf.ones([2])
    alone = content(lambda x: x + 1, x)
    assert alone == content(lambda other, x: x + 1, {"a": x, "b": (x, x)}, x)
    assert alone != content(lambda other, x: x + 1 + other["a"], {"a": x}, x)


def test_equal_functions_share_a_program():
    make = lambda: programs.Shared(lambda x, n, other: {"sum": x["a"] * n, "it": (x["b"],)}, True)
    one, two = make(), make()
    args = {"a": tf.constant([1.0, 2.0]), "b": np.float32([5, 6])}, 3
    for shared, other in ((one, ()), (two, tf.zeros([7]))):
        result = shared(*args, other)
        np.testing.assert_array_equal(result["sum"], [3, 6])
        np.testing.assert_array_equal(result["it"][0], [5, 6])
    assert program(one) is program(two)
    assert two(*args[:1], 4, ())["sum"].numpy().tolist() == [4, 8]  # another constant


def test_captured_tensors_are_the_own_ones():
    add = lambda value: functools.partial(tf.add, tf.constant([value]))
    one, two = (programs.Shared(add(value), True) for value in (1.0, 2.0))
    x = tf.constant([10.0])
    assert [float(one(x)[0]), float(two(x)[0])] == [11, 12]
    assert program(one) is program(two)


def test_captured_tensors_keep_their_order():
    more, less = tf.constant([7.0]), tf.constant([2.0])
    shared = programs.Shared(lambda x: x * more - less, True)
    assert float(shared(tf.constant([10.0]))[0]) == 68


def test_functions_of_variables_are_not_shared():
    variable = tf.Variable(1.0)
    shared = programs.Shared(lambda x: x + variable, True)
    assert float(shared(tf.constant(1.0))) == 2
    variable.assign(5)
    assert float(shared(tf.constant(1.0))) == 6 and not shared._programs


def test_programs_go_with_their_last_user():
    shared = programs.Shared(lambda x: x * 1234.5, True)
    shared(tf.ones([3]))
    (key,) = (key for key, value in programs._programs.items() if value is program(shared))
    del shared
    gc.collect()
    assert key not in programs._programs


# Learners.


def adaptation(learner):
    """`content` of a learner's steps on three new tasks."""
    fast = learner.start(learner.meta.read(), 3)
    task = learner.environment.population(0, 3).test
    traced = learner._adapt_to._function.get_concrete_function(
        learner.meta.read(), fast, task, keys.from_int(0)
    )
    return programs.content(traced.graph)


@pytest.fixture(scope="module")
def of_joint(particle, policy):
    return adaptation(learners.Joint(particle, policy, JointConfig(episodes_per_update=3)))


def test_learners_that_adapt_alike(particle, policy, of_joint):
    """Whatever else they learn, whatever policies of that kind they have."""
    same = {"episodes_per_update": 3}
    other = tfcaml.policies.mlp_policy(particle.observation_spec, particle.action_spec, (8,))
    reptile = ReptileConfig(**same, adam_beta_1=0.9, outer_step_size=0.3, meta_batch_size=2)
    assert adaptation(learners.Reptile(particle, other, reptile)) == of_joint
    untrained = RandomInitializationConfig(**same)
    assert adaptation(learners.RandomInitialization(particle, policy, untrained)) == of_joint


CHANGES = [
    {"inner_learning_rate": 0.02},
    {"inner_optimizer": "sgd"},
    {"test_episodes_per_update": 4},
    {"advantage": {"discount": 0.9}},
    {"advantage": {"normalize": False}},
    {"advantage": {"gae_lambda": 0.5}},
    {"advantage": {"return_type": "whole_return"}},
    {"advantage": {"baseline": "none"}},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_other_settings_of_adaptation_are_another_program(particle, policy, of_joint, change):
    config = JointConfig(**{"episodes_per_update": 3} | change)
    assert config != JointConfig(episodes_per_update=3)
    assert adaptation(learners.Joint(particle, policy, config)) != of_joint


def test_another_momentum_family_or_policy_is_another_program(particle, policy, of_joint):
    same = {"episodes_per_update": 3}
    momentum = learners.Reptile(particle, policy, ReptileConfig(**same, adam_beta_1=0.5))
    relu = tfcaml.policies.mlp_policy(
        particle.observation_spec, particle.action_spec, (8,), activation="relu"
    )
    quicker = tfcaml.environments.Particle(dataclasses.replace(particle.config, step_size=0.2))
    every = [
        momentum,
        learners.Joint(particle, relu, JointConfig(**same)),
        learners.Joint(quicker, policy, JointConfig(**same)),
    ]
    assert len({of_joint, *map(adaptation, every)}) == 4


def test_a_shared_program_gives_the_numbers_of_an_own_one(particle, policy, population):
    """Bit for bit, and the second learner compiles nothing."""
    same = {"episodes_per_update": 3}
    one = learners.Joint(particle, policy, JointConfig(**same), seed=1, jit_compile=True)
    config = ReptileConfig(**same, adam_beta_1=0.9)
    two = learners.Reptile(particle, policy, config, seed=2, jit_compile=True)
    task, key = population.test, keys.from_int(4)
    for learner in (one, two):
        fast = learner.start(learner.meta.read(), 3)
        adapted = learner.adapt_to(fast, task, key)
    assert program(one._adapt_to) is program(two._adapt_to)
    own = tf.function(two._adapt_to_new, autograph=False, jit_compile=True)
    expected = own(two.meta.read(), fast, task, key)
    tf.nest.map_structure(np.testing.assert_array_equal, adapted, expected)
