"""A TF-Agents or Keras network as a pure function of its weights.

For the length of one call the tensors given as weights stand in the instance dictionaries of the
network's layers, where its variables stood; Keras's attribute tracking does not see it. Gradients
of any order flow to those tensors.

This is the only place in tfcaml that swaps weights. It must not be wrapped in a `tf.function` of
its own with the weights captured: such a function keeps the first weights it was traced with.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import tensorflow as tf
from tf_agents.trajectories.time_step import StepType

from tfcaml.errors import check
from tfcaml.types import Params

if TYPE_CHECKING:
    from tf_agents.networks.network import Network


class Functional:
    """`network` as a function `(params, *args, **kwargs) -> network(*args, **kwargs)`.

    Args:
      network: a `tf_agents` network or a built Keras model. Variables it has are not changed; ones
        that it lacks are created.

    Raises:
      ConfigError: layers that compute in half or mixed precision, or weights of several dtypes.
      ValueError: a trainable variable is not an attribute of any of the network's layers, so that
        no other weights can take its place.
    """

    def __init__(self, network: Network) -> None:
        check_precision(network)
        if hasattr(network, "create_variables"):
            _create_variables(network)
        self.network = network
        self.variables = tuple(network.trainable_variables)
        dtypes = sorted({variable.dtype.name for variable in self.variables})
        one = "one (tf.keras.backend.floatx() is that of layers that are given none)"
        check(len(dtypes) <= 1, "dtypes of the network's weights", dtypes, one)
        self.slots = _find_slots(network, self.variables)

    def __call__(self, params: Params, *args: Any, **kwargs: Any) -> Any:
        """Calls the network with `params`, a tuple of tensors shaped like its variables."""
        return self.run(params, self.network, *args, **kwargs)

    def run(self, params: Params, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Calls `function`, which uses the network, with `params` in place of its weights."""
        with self._swapped(params):
            return function(*args, **kwargs)

    @contextlib.contextmanager
    def _swapped(self, params: Params) -> Iterator[None]:
        saved = []
        try:
            for places, value in zip(self.slots, params, strict=True):
                for layer, name in places:
                    saved.append((layer, name, layer.__dict__[name]))
                    layer.__dict__[name] = value
            yield
        finally:
            for layer, name, variable in saved:
                layer.__dict__[name] = variable

    def init(self, seed: int) -> tuple[tf.Tensor, ...]:
        """New weights drawn by the network's own initializers.

        Args:
          seed: Python int. The same seed gives the same weights.

        Returns:
          tuple of tensors shaped like the network's variables.

        Raises:
          ValueError: a variable whose layer does not keep the initializer that made it.
        """
        values = []
        for index, (variable, places) in enumerate(zip(self.variables, self.slots)):
            layer, name = places[0]
            initializer = _initializer(layer, name, (seed * 7919 + index * 104729) % (2**31))
            if initializer is None:
                raise ValueError(
                    f"cannot draw new values for {variable.name}: its layer "
                    f"{type(layer).__name__} keeps no initializer for {name!r}"
                )
            values.append(
                tf.cast(initializer(variable.shape, dtype=variable.dtype), variable.dtype)
            )
        return tuple(values)


def check_precision(network: Network) -> None:
    """Refuses half and mixed precision, in which weights and gradients would be rounded on the way.

    Args:
      network: `tf_agents` network or Keras model, built or not.

    Raises:
      ConfigError: a layer computes in float16 or bfloat16, or in another dtype than its weights'.
    """
    for layer in [network, *network.submodules]:
        compute = getattr(layer, "compute_dtype", None)
        full = compute not in ("float16", "bfloat16") and compute == getattr(
            layer, "variable_dtype", None
        )
        what = f"precision of the layer {getattr(layer, 'name', layer)}"
        allowed = "float32 or float64 (see tf.keras.mixed_precision.set_global_policy)"
        check(full, what, getattr(getattr(layer, "dtype_policy", None), "name", compute), allowed)


@contextlib.contextmanager
def seeded(network: Network) -> Iterator[None]:
    """Gives seeds to the initializers of layers that have none, while variables are created.

    TensorFlow refuses draws without a seed when told to be deterministic. Which seed does not
    matter: the values are replaced by those of `Functional.init`.
    """
    initializers = [
        value
        for layer in [network, *network.submodules]
        for name, value in vars(layer).items()
        if name.endswith("_initializer") and getattr(value, "seed", 0) is None
    ]
    for initializer in initializers:
        initializer.seed = 0
    try:
        yield
    finally:
        for initializer in initializers:
            initializer.seed = None


def _create_variables(network: Network) -> None:
    """As the network's own `create_variables`, which draws an observation without a seed."""
    spec = network.input_tensor_spec
    if spec is None:
        network.create_variables()  # says what is missing
    zeros = tf.nest.map_structure(lambda x: tf.zeros([1, *x.shape], x.dtype), spec)
    with seeded(network):
        network(
            zeros,
            step_type=tf.fill([1], StepType.FIRST),
            network_state=network.get_initial_state(batch_size=1),
        )


def _find_slots(network: Network, variables: Sequence[tf.Variable]) -> list[list[tuple[Any, str]]]:
    """For each variable the (layer, attribute) pairs under which the network's layers hold it."""
    index = {variable.ref(): i for i, variable in enumerate(variables)}
    slots: list[list[tuple[Any, str]]] = [[] for _ in variables]
    for layer in [network, *network.submodules]:
        for name, value in vars(layer).items():
            if isinstance(value, tf.Variable) and value.ref() in index:
                slots[index[value.ref()]].append((layer, name))
    for variable, places in zip(variables, slots):
        if not places:
            raise ValueError(
                f"cannot run {type(network).__name__} with other weights: no layer holds the "
                f"variable {variable.name} as a plain attribute"
            )
    return slots


def _initializer(layer: Any, attribute: str, seed: int) -> Any:
    """The initializer of `layer.attribute` with `seed` put in, or None."""
    owner = {"recurrent_kernel": "recurrent"}.get(attribute, attribute)
    original = getattr(layer, f"{owner}_initializer", None)
    if original is None or not hasattr(original, "get_config"):
        return original
    config = {k: v for k, v in original.get_config().items() if k != "dtype"}
    if "seed" in config:
        config["seed"] = seed
    kind = type(original)
    if kind.__module__.startswith(("tensorflow", "tf_keras", "keras")):
        # Rebuilt as Keras's own class: TF 1 initializers draw from the global random stream.
        initializer = tf.keras.initializers.get({"class_name": kind.__name__, "config": config})
    else:
        initializer = kind.from_config(config)
    if attribute == "bias" and getattr(layer, "unit_forget_bias", False):
        return functools.partial(_unit_forget_bias, initializer)
    return initializer


def _unit_forget_bias(initializer: Any, shape: Any, dtype: tf.DType) -> tf.Tensor:
    """The bias of Keras's LSTM: 1 for the second of its four gates."""
    gate = tf.range(shape[0]) // (shape[0] // 4)
    return tf.where(gate == 1, tf.ones(shape, dtype), initializer(shape, dtype=dtype))
