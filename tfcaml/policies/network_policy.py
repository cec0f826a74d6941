"""Any feed-forward TF-Agents actor network as a policy, with one set of weights per task."""

import functools
import math

import tensorflow as tf
from tf_agents.distributions import utils as distribution_utils
from tf_agents.networks import (
    actor_distribution_network,
    categorical_projection_network,
    normal_projection_network,
)
from tf_agents.specs import tensor_spec

from tfcaml import seeds
from tfcaml.errors import check, check_one_of
from tfcaml.functional import Functional

ACTIVATIONS = ("tanh", "relu", "elu", "selu", "sigmoid", "swish")


class NetworkPolicy:
    """A stochastic policy made of an unmodified TF-Agents network.

    Args:
      network: network that maps observations to a distribution, such as
        `ActorDistributionNetwork`.
      action_spec: `BoundedTensorSpec` of one action: an integer from 0 on, or a float vector.

    Attributes:
      num_actions: how many actions there are, or None when actions are continuous.
    """

    def __init__(self, network, action_spec):
        self.network = network
        self.action_spec = action_spec
        self.functional = Functional(network)
        self.num_actions = _num_actions(action_spec)

    def init(self, seed):
        """New weights, a tuple of tensors without task axis. `seed`: Python int."""
        return self.functional.init(seed)

    def __call__(self, params, observation):
        """The action distribution.

        Args:
          params: weights, each [N, ...].
          observation: [N, B, O].

        Returns:
          `tfd.Distribution` with batch shape [N, B].
        """
        batch_size = tf.shape(observation)[1]
        template = None

        def one_task(inputs):
            task_params, task_observation = inputs
            step_type = tf.ones([batch_size], tf.int32)
            distribution, _ = self.functional(task_params, task_observation, step_type, ())
            # `vectorized_map` passes tensors only: the distribution's type waits in `template`.
            nonlocal template
            template = distribution_utils.get_parameters(distribution)
            return distribution_utils.parameters_to_dict(template, tensors_only=True)

        tensors = tf.vectorized_map(one_task, (tuple(params), observation))
        merged = distribution_utils.merge_to_parameters_from_dict(template, tensors)
        return distribution_utils.make_from_parameters(merged)

    def noise(self, seed, num_steps):
        """The numbers `sample` turns into actions, drawn before a rollout.

        Args:
          seed: [N, E, 2], one seed per episode.
          num_steps: T.

        Returns:
          [N, E, T, 1] of U(0, 1) for discrete actions, [N, E, T, A] of N(0, 1) for others.
        """
        if self.num_actions:
            return seeds.uniform(seed, [num_steps, 1])
        return seeds.normal(seed, [num_steps, *self.action_spec.shape])

    def sample(self, distribution, noise):
        """An action per row of `distribution` [N, B] from its `noise` [N, B, 1 or A]."""
        if self.num_actions:
            # Inverts the cumulative distribution; its last entry, 1 but for rounding, is left out.
            cumulative = tf.cumsum(distribution.probs_parameter(), axis=-1)[..., :-1]
            passed = tf.cast(noise >= cumulative, self.action_spec.dtype)
            return tf.reduce_sum(passed, axis=-1)
        return distribution.mean() + distribution.stddev() * noise


def mlp_policy(observation_spec, action_spec, fc_layer_params=(100, 100), activation="tanh"):
    """A multilayer-perceptron policy built as a TF-Agents `ActorDistributionNetwork`.

    Glorot-uniform kernels; a softmax head for discrete actions, a Gaussian with a
    state-independent standard deviation (the exponential of a weight that starts at 0 and is
    floored at log 1e-6) and an unsquashed mean for continuous ones.

    Args:
      observation_spec: `TensorSpec` of one observation.
      action_spec: `BoundedTensorSpec` of one action.
      fc_layer_params: units of each hidden layer.
      activation: name of the hidden activation.

    Raises:
      ConfigError: an unknown activation.
    """
    check_one_of("policy.activation", activation, ACTIVATIONS)
    # The head draws normal numbers of variance factor / fan_in; Glorot's is 2 / (in + out).
    fan_in = fc_layer_params[-1]
    outputs = _num_actions(action_spec)
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
    network = actor_distribution_network.ActorDistributionNetwork(
        observation_spec,
        action_spec,
        fc_layer_params=tuple(fc_layer_params),
        activation_fn=getattr(tf.keras.activations, activation),
        kernel_initializer=tf.keras.initializers.GlorotUniform(seed=0),
        discrete_projection_net=categorical,
        continuous_projection_net=normal,
    )
    return NetworkPolicy(network, action_spec)


def _num_actions(action_spec):
    """How many actions there are; None when actions are continuous."""
    if not tensor_spec.is_discrete(action_spec):
        return None
    from_0 = action_spec.shape.rank == 0 and action_spec.minimum == 0
    check(from_0, "action_spec", action_spec, "one integer from 0 on, or floats")
    return int(action_spec.maximum) + 1


def _floored_exp(log_std):
    """exp, of log 1e-6 at least: a standard deviation that can't vanish."""
    return tf.exp(tf.maximum(log_std, math.log(1e-6)))
