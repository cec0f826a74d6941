"""Any TF-Agents network or Keras model as a policy, with one set of weights per task."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import tensorflow as tf
from tf_agents.keras_layers import dynamic_unroll_layer
from tf_agents.networks import (
    Network,
    actor_distribution_network,
    actor_distribution_rnn_network,
    categorical_projection_network,
    normal_projection_network,
)
from tf_agents.specs import tensor_spec
from tf_agents.trajectories.time_step import StepType

from tfcaml import keys, nest
from tfcaml.errors import (
    ConfigError,
    check,
    check_is,
    check_one_of,
    check_whole,
    checked_call,
    shown,
)
from tfcaml.policies import distributions
from tfcaml.policies.base import Policy, last_layer
from tfcaml.policies.cells import make_cell
from tfcaml.policies.functional import Functional
from tfcaml.policies.inputs import vector_layers
from tfcaml.policies.keras_actor import KerasActor
from tfcaml.types import Nest, Params, Trajectory

if TYPE_CHECKING:
    from tensorflow_probability import distributions as tfd

_Convolution = tf.keras.layers.Conv2D.__base__  # of any rank
# Activations of hidden layers, by name.
ACTIVATIONS = ("tanh", "relu", "elu", "selu", "sigmoid", "swish")


class NetworkPolicy(Policy):
    """A stochastic policy made of an unmodified TF-Agents network, with or without memory.

    Feed-forward, convolutional and recurrent networks, and `Sequential`, of any nest of
    observations; actions from a Categorical, a Gaussian, or one that is squashed or otherwise
    transformed. A network runs as at test time: dropout is off.

    Args:
      network: network that maps observations to a distribution, such as
        `ActorDistributionNetwork` or `ActorDistributionRnnNetwork`.
      action_spec: `BoundedTensorSpec` of one action: an integer from 0 on, or floats.

    Raises:
      ConfigError: a network that gives something else, or no network of TF-Agents; actions of
        another kind; half or mixed precision.
      ValueError: see `Functional`.
    """

    @checked_call
    def __init__(self, network: Network, action_spec: tensor_spec.BoundedTensorSpec) -> None:
        expected = "a TF-Agents network (of a Keras model: `NetworkPolicy.from_keras`)"
        check_is("network", network, Network, expected)
        self.num_actions = _num_actions(action_spec)
        self.network = network
        self.observation_spec = network.input_tensor_spec
        self.action_spec = action_spec
        self.functional = Functional(network)
        self.has_memory = bool(tf.nest.flatten(network.state_spec))
        convolves = any(isinstance(layer, _Convolution) for layer in network.submodules)
        # With a task axis both become loops of sizes that XLA does not see as constants.
        self.supports_xla = not (self.has_memory or convolves)
        self._example = self._answer_to_zeros()
        distributions.check_supported(self._example, action_spec, self.num_actions)

    @classmethod
    @checked_call
    def from_keras(
        cls,
        model: tf.keras.Model,
        observation_spec: Nest,
        action_spec: tensor_spec.BoundedTensorSpec,
    ) -> NetworkPolicy:
        """A policy of a Keras 2 model without memory.

        Args:
          model: model of observations [B, ...], or of a nest of them, that gives logits
            [B, number of actions], or means [B, A]. Means get a standard deviation per component
            that does not depend on the state: the exponential of a weight that starts at 0.
          observation_spec: nest of `TensorSpec`s of one observation.
          action_spec: as above.

        Raises:
          ConfigError: the model's output does not fit the actions.
        """
        _num_actions(action_spec)  # says what is no action
        return cls(KerasActor(model, observation_spec, action_spec), action_spec)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the network's variables, in the order of the weights."""
        return tuple(variable.name for variable in self.functional.variables)

    @property
    def head(self) -> tuple[int, ...]:
        """The positions of the weights of the layers that give the distribution's parameters.

        Of a TF-Agents actor its projection network; of other networks the last layer. Weights that
        the policy holds beside its network's, such as a critic's, are none of them.
        """
        own = self.network.trainable_variables
        projections = tf.nest.flatten(getattr(self.network, "_projection_networks", ()))
        chosen = {x.ref() for part in projections for x in part.trainable_variables}
        of_actor = tuple(i for i, x in enumerate(own) if x.ref() in chosen)
        return of_actor or last_layer([x.shape.rank for x in own])

    @checked_call
    def init(self, seed: int) -> Params:
        """New weights, a tuple of tensors without task axis. `seed`: see `keys.as_int`."""
        return self.functional.init(keys.as_int(seed))

    def __call__(self, params: Params, observation: Nest) -> tfd.Distribution:
        """The action distribution.

        Args:
          params: weights, each [N, ...].
          observation: nest of [N, B, ...].

        Returns:
          `tfd.Distribution` with batch shape [N, B].

        Raises:
          ConfigError: the network has a memory.
        """
        if self.has_memory:
            raise ConfigError(
                "expected a policy without memory, to ask it about states one by one; received one "
                f"of {type(self.network).__name__} (`act` and `unroll` answer to episodes)"
            )
        return distributions.rebuild(self._example, self._answer(params, observation, ())[0])

    def initial_memory(self, params: Params, num_episodes: int, noise: Nest = ()) -> Nest:
        """The network's initial state: nest of [N, E, ...], `()` of networks without one."""
        num_tasks = nest.num_rows(params)
        state = self.network.get_initial_state(num_tasks * num_episodes)
        return nest.map(lambda x: tf.reshape(x, [num_tasks, num_episodes, *x.shape[1:]]), state)

    def act(self, params: Params, observation: Nest, memory: Nest) -> tuple[tfd.Distribution, Nest]:
        """One step of episodes: (distribution of batch shape [N, E], memory). See `Policy`."""
        tensors, memory = self._answer(params, observation, memory)
        return distributions.rebuild(self._example, tensors), memory

    def unroll(self, params: Params, trajectory: Trajectory) -> tfd.Distribution:
        """The distributions at all steps of episodes, batch shape [N, E * T]. See `Policy`."""
        if not self.has_memory:
            return super().unroll(params, trajectory)
        # Step by step as in a rollout, not by the network's own loop: with tasks as a batch that
        # takes as long to run and four times as long to trace.
        observation = nest.map(nest.time_major, trajectory.observation)
        steps, *rows = nest.shape(observation)[:3]
        start = trajectory.start
        if not tf.nest.flatten(start):
            start = self.initial_memory(params, rows[1])
        specs = nest.map(lambda x: x[0], distributions.batched_tensors(self._example, 1))
        arrays = nest.map(
            lambda x: tf.TensorArray(x.dtype, steps, element_shape=[*rows, *x.shape]), specs
        )

        def step(time: tf.Tensor, memory: Nest, arrays: Nest) -> tuple[Any, ...]:
            tensors, memory = self._answer(params, nest.map(lambda x: x[time], observation), memory)
            return time + 1, memory, nest.map(lambda a, x: a.write(time, x), arrays, tensors)

        _, _, arrays = tf.while_loop(
            lambda time, *_: time < steps,
            step,
            (0, start, arrays),
            maximum_iterations=steps,
            parallel_iterations=1,
        )
        tensors = nest.map(lambda array: nest.task_major(array.stack()), arrays)
        return distributions.rebuild(self._example, nest.flat_steps(tensors))

    def noise(self, key: tf.Tensor, num_steps: int) -> tf.Tensor:
        """The numbers `sample` turns into actions, see `Policy`.

        Raises:
          ConfigError: the network is not in float32, which rollouts are.
        """
        action = tf.zeros([1, *self.action_spec.shape], self.action_spec.dtype)
        dtype = self._example.log_prob(action).dtype.name
        allowed = "float32, to play episodes (see tf.keras.backend.set_floatx)"
        check(dtype == "float32", "dtype of the policy's network", dtype, allowed)
        return super().noise(key, num_steps)

    def _answer(self, params: Params, observation: Nest, memory: Nest) -> tuple[Nest, Nest]:
        """One call of the network per task: (tensors of its distributions, memory)."""
        batch_size = tf.shape(tf.nest.flatten(observation)[0])[1]

        # AutoGraph would take two seconds over the network's code, and only eagerly and under XLA.
        @tf.autograph.experimental.do_not_convert
        def one_task(inputs: Nest) -> tuple[Any, ...]:
            task_params, task_observation, state = inputs
            # Never a first step: that would have a network forget the memory it is given.
            step_type = tf.fill([batch_size], StepType.MID)
            distribution, state = self.functional(
                task_params, task_observation, step_type=step_type, network_state=state
            )
            # Tensors only: `vectorized_map` passes nothing else.
            tensors = distributions.batched_tensors(distribution, batch_size)
            return tensors, tf.nest.flatten(state)

        tensors, state = tf.vectorized_map(one_task, (tuple(params), observation, memory))
        return tensors, tf.nest.pack_sequence_as(memory, state)

    def _answer_to_zeros(self) -> Any:
        """What the network gives for one observation of zeros: tells the kind of distribution."""
        zeros = lambda spec: tf.zeros([1, *spec.shape], spec.dtype)
        observation = nest.map(zeros, self.network.input_tensor_spec)
        state = self.network.get_initial_state(1)
        step_type = tf.fill([1], StepType.MID)
        return self.network(observation, step_type=step_type, network_state=state)[0]


@checked_call
def mlp_policy(
    observation_spec: Nest,
    action_spec: tensor_spec.BoundedTensorSpec,
    fc_layer_params: Sequence[int] = (100, 100),
    activation: str = "tanh",
    one_hot: int = 0,
) -> NetworkPolicy:
    """A multilayer-perceptron policy built as a TF-Agents `ActorDistributionNetwork`.

    Glorot-uniform kernels; a softmax head for discrete actions, a Gaussian with a
    state-independent standard deviation (the exponential of a weight that starts at 0 and is
    floored at log 1e-6) and an unsquashed mean for continuous ones.

    Args:
      observation_spec: nest of `TensorSpec`s of one observation, of any shapes and of any dtypes of
        numbers or booleans. All of it enters as one float32 vector, integers and booleans as the
        numbers they are.
      action_spec: `BoundedTensorSpec` of one action: an integer from 0 on, or floats.
      fc_layer_params: units of each hidden layer; empty: actions are linear in the observation.
      activation: name of the hidden activation.
      one_hot: integers whose bounds leave at most this many values (such as a gymnasium Discrete
        or MultiDiscrete) enter as one-hot vectors instead, one input per value. 0: none do.

    Raises:
      ConfigError: an unknown activation, actions of another kind, a `one_hot` that no observation
        has so few values for, or a Keras that is set to another precision than float32.
    """
    _check_layers(fc_layer_params, activation)
    joining, inputs = vector_layers(observation_spec, one_hot)
    network = actor_distribution_network.ActorDistributionNetwork(
        observation_spec,
        action_spec,
        fc_layer_params=tuple(fc_layer_params),
        activation_fn=getattr(tf.keras.activations, activation),
        kernel_initializer=tf.keras.initializers.GlorotUniform(seed=0),
        **_projections(action_spec, [inputs, *fc_layer_params][-1]),
        **joining,
    )
    return NetworkPolicy(network, action_spec)


@checked_call
def rnn_policy(
    observation_spec: Nest,
    action_spec: tensor_spec.BoundedTensorSpec,
    cell: str = "gru",
    units: int = 64,
    fc_layer_params: Sequence[int] = (),
    activation: str = "tanh",
    memory_steps: int = 0,
) -> NetworkPolicy:
    """A recurrent policy built as a TF-Agents `ActorDistributionRnnNetwork`.

    A cell sees the observation, and dense layers what is hidden in it; heads are as of
    `mlp_policy`.

    Args:
      observation_spec, action_spec: as of `mlp_policy`.
      cell, units, memory_steps: as of `make_cell`.
      fc_layer_params: units of each dense layer behind the cell; empty: actions are linear in what
        is hidden.
      activation: name of these layers' activation.

    Raises:
      ConfigError: as of `mlp_policy` and `make_cell`.
    """
    _check_layers(fc_layer_params, activation)
    make_cell(cell, units, memory_steps)  # refuses before layers are made
    joining, _ = vector_layers(observation_spec)
    network = actor_distribution_rnn_network.ActorDistributionRnnNetwork(
        observation_spec,
        action_spec,
        input_fc_layer_params=None,
        output_fc_layer_params=tuple(fc_layer_params) or None,
        activation_fn=getattr(tf.keras.activations, activation),
        rnn_construction_fn=lambda: dynamic_unroll_layer.DynamicUnroll(
            make_cell(cell, units, memory_steps)
        ),
        rnn_construction_kwargs={},
        **_projections(action_spec, [units, *fc_layer_params][-1]),
        **joining,
    )
    return NetworkPolicy(network, action_spec)


def rnn_critic(
    observation_spec: Nest, cell: str = "gru", units: int = 64, memory_steps: int = 0
) -> NetworkPolicy:
    """A recurrent network that answers with a number: the mean of the distributions of `unroll`.

    Arguments as of `rnn_policy`.
    """
    number = tensor_spec.BoundedTensorSpec([1], tf.float32, -1, 1)
    return rnn_policy(observation_spec, number, cell, units, memory_steps=memory_steps)


def _check_layers(fc_layer_params: Sequence[int], activation: str) -> None:
    """Raises `ConfigError` unless float32 layers of these units can be made."""
    check_one_of("policy.activation", activation, ACTIVATIONS)
    precision = tf.keras.mixed_precision.global_policy().name
    what = "the precision of Keras (set_floatx, mixed_precision.set_global_policy)"
    check(precision == "float32", what, precision, "float32, as rollouts are")
    check_is("fc_layer_params", fc_layer_params, (list, tuple), "a list of units, one per layer")
    for units in fc_layer_params:
        check_whole("units in fc_layer_params", units, 1)


def _projections(action_spec: tensor_spec.BoundedTensorSpec, fan_in: int) -> dict[str, Any]:
    """The heads of an actor network, on so many units."""
    # The head draws normal numbers of variance factor / fan_in; Glorot's is 2 / (in + out).
    outputs = _num_actions(action_spec)
    fits = outputs or action_spec.dtype == tf.float32
    check(fits, "dtype of action_spec", action_spec.dtype.name, "float32 or an integer's")
    categorical = functools.partial(
        categorical_projection_network.CategoricalProjectionNetwork,
        logits_init_output_factor=2 * fan_in / (fan_in + outputs) if outputs else None,
    )
    normal = functools.partial(
        normal_projection_network.NormalProjectionNetwork,
        mean_transform=None,
        init_means_output_factor=1.0,
        std_transform=_floored_exp,
        std_bias_initializer_value=math.log(1.0),
        state_dependent_std=False,
        scale_distribution=False,
    )
    return {"discrete_projection_net": categorical, "continuous_projection_net": normal}


def _num_actions(action_spec: tensor_spec.BoundedTensorSpec) -> int | None:
    """How many actions there are; None when actions are continuous."""
    is_known = isinstance(action_spec, tf.TensorSpec) and action_spec.shape.is_fully_defined()
    if is_known and action_spec.dtype.is_floating:
        return None
    is_integer = isinstance(action_spec, tensor_spec.BoundedTensorSpec)
    is_integer = is_integer and action_spec.dtype.is_integer and action_spec.shape.rank == 0
    if not (is_integer and action_spec.minimum == 0):
        raise ConfigError(
            "expected action_spec to be a single BoundedTensorSpec, of one integer from 0 on, or "
            f"floats; received action_spec={shown(action_spec)}"
        )
    return int(action_spec.maximum) + 1


def _floored_exp(log_std: tf.Tensor) -> tf.Tensor:
    """exp, of log 1e-6 at least: a standard deviation that can't vanish."""
    return tf.exp(tf.maximum(log_std, math.log(1e-6)))
