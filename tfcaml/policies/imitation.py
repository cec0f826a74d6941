"""A policy that is learned from demonstrations, with the loss that a demonstration is judged by.

C. Finn, T. Yu, T. Zhang, P. Abbeel, S. Levine, "One-shot visual imitation learning via
meta-learning" (MIL), CoRL 2017, section 4, and T. Yu, C. Finn et al., "One-shot imitation from
observing humans via domain-adaptive meta-learning" (DAML), RSS 2018, section 5.2. Images go
through convolutions, sets of objects through a network that all objects share; what comes of both
is joined with the other observations and with learned numbers that do not depend on them, the bias
transformation, and goes through dense layers.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfcaml import nest, settings
from tfcaml.errors import (
    check,
    check_acts,
    check_is,
    check_one_of,
    check_positive,
    check_whole,
    checked_call,
)
from tfcaml.policies import layers
from tfcaml.policies.base import Policy
from tfcaml.types import Nest, Params

if TYPE_CHECKING:
    from tensorflow_probability import distributions as tfd
    from tf_agents.specs import tensor_spec

_ACTIVATIONS = {"tanh": tf.tanh, "relu": tf.nn.relu, "elu": tf.nn.elu, "swish": tf.nn.swish}
_DEVIATION_FLOOR = 1e-3  # least that an observation is divided by; MIL's code
_BRIGHTEST = 255  # of images of integers
_CONTRAST = 0.4  # what first weights of attention to places in images are multiplied by
_DENSE_DEVIATION = 0.01  # of dense layers' first weights; MIL's code


@settings.checked
@dataclasses.dataclass(frozen=True)
class ImitationNetworkConfig:
    """Settings of the network of `ImitationPolicy`, beside its dense layers.

    Attributes:
      filters: Filters of each convolution that images go through. Source: MIL's code: 30 for
        reaching, 16 for pushing.
      kernel_sizes: Height and width of a filter of each of them. Unit: pixels. Source: MIL's code:
        three of 3 for reaching, four of 5 for pushing.
      strides: What lies between two places of a filter, for each of them. Unit: pixels. Source:
        MIL's code: 2.
      image_features: What dense layers see of the convolutions' answers: "flat", all of them;
        "soft_argmax", where in the image each filter answers; or "attention", the same of `places`
        sums of filters. Source: MIL's code: flat for reaching, soft_argmax for pushing; tfcaml:
        attention.
      image_bias: Learned images that stand behind an image's channels, 0 at first; 0: none. Source:
        MIL's code.
      object_layers: Hidden layers that all objects of a set share; 0: attention is linear in an
        object's features. Source: tfcaml.
      object_units: Units of each of them. Source: tfcaml.
      attention_sees: What attention to a set's objects goes by: "objects", each object alone; or
        "all", vectors and what is known of a demonstration beside each. Source: tfcaml.
      places: Weighted means that are taken of a set's objects, and of an image's places with
        image_features=attention. Source: tfcaml.
      temperature: What these weights are the softmax of is multiplied by it, and starts as much
        smaller, so that an inner step moves attention by its square more. Source: tfcaml.
      bias_transform: Learned numbers behind the input of dense layers; 0: none. Source: MIL's code:
        10 for reaching, 20 for pushing.
      bias_transform_layers: Which dense layers have them: the "first", or "all". Source: MIL's
        code: first.
      two_heads: Whether demonstrations are judged by a last layer of their own. Source: MIL paper,
        section 4.2.
      loss_head: What that layer is: "linear", or "temporal", three convolutions over the steps of
        a demonstration. Source: DAML paper, section 5.2.
      temporal_filters: Filters of the first two of these. Source: DAML's code: 32.
      temporal_width: Steps that they see. Unit: steps. Source: DAML's code: 10.
    """

    filters: int = 30
    kernel_sizes: tuple = (3, 3, 3)
    strides: tuple = (2, 2, 2)
    image_features: str = "flat"
    image_bias: int = 0
    object_layers: int = 2
    object_units: int = 64
    attention_sees: str = "objects"
    places: int = 16
    temperature: float = 30.0
    bias_transform: int = 10
    bias_transform_layers: str = "first"
    two_heads: bool = False
    loss_head: str = "linear"
    temporal_filters: int = 32
    temporal_width: int = 10

    def __post_init__(self) -> None:
        check_one_of("image_features", self.image_features, ("flat", "soft_argmax", "attention"))
        check_one_of("attention_sees", self.attention_sees, ("objects", "all"))
        check_one_of("bias_transform_layers", self.bias_transform_layers, ("first", "all"))
        check_one_of("loss_head", self.loss_head, ("linear", "temporal"))
        counts = ("filters", "object_units", "places", "temporal_filters", "temporal_width")
        for name in counts:
            check_whole(name, getattr(self, name), 1)
        for name in ("kernel_sizes", "strides"):
            for size in getattr(self, name):
                check_whole(f"number in {name}", size, 1)
            object.__setattr__(self, name, tuple(getattr(self, name)))  # a list, in JSON
        same = len(self.kernel_sizes) == len(self.strides) >= 1
        rule = f"as many numbers as kernel_sizes has, {len(self.kernel_sizes)}, and one at least"
        check(same, "strides", self.strides, rule)
        for name in ("object_layers", "image_bias", "bias_transform"):
            check_whole(name, getattr(self, name), 0)
        check_positive(temperature=self.temperature)
        check_acts(self, ("object_units",), self.object_layers > 0, "with object_layers >= 1")
        check_acts(self, ("bias_transform_layers",), self.bias_transform > 0, "with bias_transform")
        check_acts(self, ("loss_head",), self.two_heads, "with two_heads=True")
        temporal = self.loss_head == "temporal"
        fields = ("temporal_filters", "temporal_width")
        check_acts(self, fields, temporal, "with loss_head=temporal")


class ImitationPolicy(Policy):
    """Deterministic actions from observations, as a pure function of named weights.

    An observation of rank 1 is a vector, of rank 2 a set of objects, [objects, features], of rank 3
    an image, [height, width, channels]. Of a set it is seen where attention goes: the mean of the
    objects' features under a softmax, over the objects, of what the shared network says of each,
    once for each of `places`; so that their order does not matter, as places in an image do
    not to the spatial soft-argmax.

    params = {"weights": nest of what is learned, "moments": means and deviations of the vectors and
    of the objects' features and images' channels, by which they are brought to mean 0 and deviation
    1}.

    Args:
      observation_spec: `TensorSpec`, or a dict of them, of ranks 1 to 3.
      action_spec: `BoundedTensorSpec` of a vector of floats.
      fc_layer_params: units of each dense layer, one layer at least.
      activation: of these and of the objects' layers: "tanh", "relu", "elu" or "swish".
      config: `ImitationNetworkConfig`.
      hidden: names of observations that demonstrations lack, see `judged`.
      pose: name of an observation, a vector; its values at the end of an episode are predicted from
        images and objects, and the prediction is seen by dense layers. "": none is.
      context: numbers that stand behind the input of the first dense layer, see `context`.
      dtype: of the weights.

    Raises:
      ConfigError: an argument of another kind.
    """

    @checked_call
    def __init__(
        self,
        observation_spec: Nest,
        action_spec: tensor_spec.BoundedTensorSpec,
        fc_layer_params: Sequence[int] = (200, 200, 200),
        activation: str = "relu",
        config: ImitationNetworkConfig | None = None,
        hidden: Sequence[str] = (),
        pose: str = "",
        context: int = 0,
        dtype: tf.DType = tf.float32,
    ) -> None:
        self.config = ImitationNetworkConfig() if config is None else config
        check_is("config", self.config, ImitationNetworkConfig, "an ImitationNetworkConfig")
        check_one_of("policy.activation", activation, tuple(_ACTIVATIONS))
        check(len(fc_layer_params), "fc_layer_params", fc_layer_params, "one layer at least")
        for units in fc_layer_params:
            check_whole("units in fc_layer_params", units, 1)
        continuous = action_spec.dtype.is_floating and action_spec.shape.rank == 1
        check(continuous, "actions", action_spec, "a vector of floats, to be imitated")
        self.observation_spec, self.action_spec = observation_spec, action_spec
        self.layers, self.activation = tuple(fc_layer_params), _ACTIVATIONS[activation]
        self.context_size, self.dtype = check_whole("context", context, 0), dtype
        self.specs = dict(zip(nest.names(observation_spec), tf.nest.flatten(observation_spec)))
        for name, spec in self.specs.items():
            rule = "of rank 1 (a vector), 2 (objects) or 3 (an image)"
            check(spec.shape.rank in (1, 2, 3), f"observation {name!r}", spec.shape, rule)
        self._check_acts({spec.shape.rank for spec in self.specs.values()})
        vectors = [name for name, spec in self.specs.items() if spec.shape.rank == 1]
        for name in hidden:
            check_one_of("hidden", name, vectors)
        if pose:
            check_one_of("pose", pose, vectors)
        self.hidden, self.pose = tuple(hidden), pose
        self._seen_size = 0  # known once weights have been drawn
        self.init(0)

    def _check_acts(self, ranks: set[int]) -> None:
        """Refuses settings of what is not observed; ranks: of all observations."""
        config = self.config
        of_images = ("filters", "kernel_sizes", "strides", "image_features", "image_bias")
        check_acts(config, of_images, 3 in ranks, "where an image is observed")
        of_objects = ("object_layers", "object_units")
        check_acts(config, of_objects, 2 in ranks, "where a set of objects is observed")
        beside = 2 in ranks and (1 in ranks or self.context_size > 0)
        where = "where something stands beside a set of objects: a vector, or a demonstration"
        check_acts(config, ("attention_sees",), beside, where)
        attends = 2 in ranks or (3 in ranks and config.image_features == "attention")
        where = "where a set of objects is observed, or an image with image_features=attention"
        check_acts(config, ("places", "temperature"), attends, where)

    @property
    def seen_size(self) -> int:
        """F + V, the numbers of `perceived` and `vectors`."""
        return self._seen_size

    @property
    def adapted(self) -> tuple[str, ...]:
        """The names of the weights that a demonstration moves: all but offsets of layer
        normalisation and what it is not judged by."""
        unused = ["post"] if self.config.two_heads else []
        unused += ["dense0"] if self.hidden else []
        return tuple(
            name
            for name in nest.names(self.init(0)["weights"])
            if not name.endswith("/offset") and name.split("/")[0] not in unused
        )

    def init(self, seed: int) -> Params:
        """New weights without task axis, see the class. `seed`: Python int."""
        config, draw = self.config, _Draws(seed, self.dtype)
        weights: dict[str, Any] = {}
        seen = 0  # by the first dense layer
        for name, spec in self.specs.items():
            if spec.shape.rank == 1:
                seen += spec.shape[0]
            elif spec.shape.rank == 2:
                features, hidden = spec.shape[1], [config.object_units] * config.object_layers
                beside = self._vectors + self.context_size if self._sees_all else 0
                sizes = [features + beside + config.bias_transform, *hidden, config.places]
                own = {
                    str(i): draw.glorot(*pair) for i, pair in enumerate(itertools.pairwise(sizes))
                }
                last = own[str(config.object_layers)]
                last["kernel"] /= config.temperature
                if config.bias_transform:
                    own["0"]["bias_transform"] = draw.zeros(config.bias_transform)
                weights[f"objects_{name}"] = own
                seen += config.places * features
            else:
                weights[f"image_{name}"], features = self._new_convolutions(spec.shape, draw)
                seen += features
        self._seen_size = seen
        if self.pose:
            weights["pose"] = draw.small(seen - self._vectors, self.specs[self.pose].shape[0])
            seen += self.specs[self.pose].shape[0]
        seen += self.context_size
        size = seen
        for i, units in enumerate(self.layers):
            more = config.bias_transform if i == 0 or config.bias_transform_layers == "all" else 0
            weights[f"dense{i}"] = draw.glorot(size + more, units)
            if more:
                weights[f"dense{i}"]["bias_transform"] = draw.zeros(more)
            size = units
        if self.hidden:
            weights["blind"] = draw.glorot(seen + config.bias_transform, self.layers[0])
            if config.bias_transform:
                weights["blind"]["bias_transform"] = draw.zeros(config.bias_transform)
        outputs = self.action_spec.shape[0]
        weights["post"] = draw.small(size, outputs)
        if config.two_heads:
            weights["pre"] = self._new_loss_head(size, outputs, draw)
        return {"weights": weights, "moments": self.moments(None)}

    def moments(self, observation: Nest | None, mask: tf.Tensor | None = None) -> Nest:
        """{"mean", "deviation"} of vectors, of objects' features and of images' channels, by name.

        Args:
          observation: nest of [..., steps, ...] that are looked at; None: 0 and 1.
          mask: 1 for observations that count, of the leading axes of `observation`.
        """
        leaves = (
            dict(zip(self.specs, tf.nest.flatten(observation))) if observation is not None else {}
        )
        found: dict[str, dict[str, tf.Tensor]] = {"mean": {}, "deviation": {}}
        for name, spec in self.specs.items():
            size = spec.shape[-1:]
            mean, deviation = tf.zeros(size, self.dtype), tf.ones(size, self.dtype)
            if spec.shape.rank == 3 and spec.dtype.is_integer:
                deviation *= _BRIGHTEST
            if leaves:
                if spec.shape.rank == 3:  # the first of each episode, as there are many numbers
                    valid = leaves[name][..., 0, :, :, :]
                else:
                    valid = tf.boolean_mask(leaves[name], tf.cast(mask, tf.bool))
                axes, valid = list(range(valid.shape.rank - 1)), tf.cast(valid, self.dtype)
                mean = tf.reduce_mean(valid, axis=axes)
                deviation = tf.math.reduce_std(valid, axis=axes)
            found["mean"][name], found["deviation"][name] = mean, deviation
        return found

    def __call__(self, params: Params, observation: Nest) -> tfd.Distribution:
        """A Gaussian of deviation 1, whose mean is what `sample` gives; see `Policy`."""
        return self._gaussian(self.predicted(params, observation)[0])

    def predicted(self, params: Params, observation: Nest) -> tuple[tf.Tensor, tf.Tensor]:
        """(actions [N, B, A], predicted poses at the end of the episode [N, B, P])."""
        features, pose = self._features(params, observation, judged=False)
        return layers.dense(features, params["weights"]["post"]), pose

    def judged(
        self, params: Params, observation: Nest, mask: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """What a demonstration is judged by, in place of actions; see MIL, section 4.2.

        What is `hidden` is seen as 0, by a first dense layer of its own.

        Args:
          params: weights, each [N, ...].
          observation: nest of [N, D, T, ...].
          mask: [N, D, T].

        Returns:
          ([N, D, T, A], predicted poses at the end [N, D, T, P]).
        """
        features, pose = self._features(params, nest.flat_steps(observation), judged=True)
        weights = params["weights"]
        shape = nest.axes(mask)
        steps = lambda x: tf.reshape(x, [*shape, x.shape[-1]])
        if not self.config.two_heads:
            return steps(layers.dense(features, weights["post"])), steps(pose)
        head, x = weights["pre"], steps(features)
        if self.config.loss_head == "linear":
            return steps(layers.dense(features, head)), steps(pose)
        # Padded steps look like what is beyond the ends.
        valid = tf.cast(mask, self.dtype)[..., None]
        for i in range(2):
            x = layers.convolve_in_time(x * valid, head[str(i)]["kernel"])
            x = tf.nn.relu(layers.layer_norm(x, head[str(i)]["offset"], valid))
        x = layers.convolve_in_time(x * valid, head["2"]["kernel"])
        return x + head["2"]["bias"][:, None, None], steps(pose)

    def perceived(
        self,
        params: Params,
        observation: Nest,
        judged: bool = False,
        context: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """What is seen of images and of objects: nest of [N, B, ...] -> [N, B, F].

        Args:
          params: weights, each [N, ...].
          observation: nest of [N, B, ...].
          judged: whether what is `hidden` is 0.
          context: [N, B, context], what is known of a demonstration; None: zeros.
        """
        weights, leaves = params["weights"], self._leaves(observation)
        seen, beside = [], None
        if self._sees_all:
            vectors = self.vectors(params, observation, judged)
            if context is None:
                context = tf.zeros([*nest.axes(vectors, 2), self.context_size], self.dtype)
            beside = tf.concat([vectors, context], axis=-1)
        for name, spec in self.specs.items():
            if spec.shape.rank == 2:
                objects = self._normalized(params, name, leaves[name])
                seen.append(self._of_objects(weights[f"objects_{name}"], objects, beside))
            elif spec.shape.rank == 3:
                image = self._normalized(params, name, leaves[name])
                seen.append(self._of_image(weights[f"image_{name}"], image))
        if seen:
            return tf.concat(seen, axis=-1)
        first = tf.nest.flatten(observation)[0]
        return tf.zeros([*nest.axes(first, 2), 0], self.dtype)

    def vectors(self, params: Params, observation: Nest, judged: bool = False) -> tf.Tensor:
        """The vectors of observations, joined: nest of [N, B, ...] -> [N, B, V].

        Args:
          params: weights, each [N, ...].
          observation: nest of [N, B, ...].
          judged: whether what is `hidden` is 0.
        """
        leaves = self._leaves(observation)
        names = [name for name, spec in self.specs.items() if spec.shape.rank == 1]
        if not names:
            return tf.zeros([*nest.axes(tf.nest.flatten(observation)[0], 2), 0], self.dtype)
        own = [self._normalized(params, name, leaves[name]) for name in names]
        if judged:
            own = [tf.zeros_like(x) if n in self.hidden else x for n, x in zip(names, own)]
        return tf.concat(own, axis=-1)

    def context(self, params: Params, seen: tf.Tensor) -> tf.Tensor:
        """What else the first dense layer sees: [N, B, context], or B = 1 for the same in all rows.

        Args:
          params: weights; with the "context" [N, context] here.
          seen: [N, B, ...], what that layer sees besides.
        """
        return params["context"][:, None]

    def pose_of(self, params: Params, observation: Nest) -> tf.Tensor:
        """The pose that observations [N, B, ...] tell, in deviations: [N, B, P]."""
        return self._normalized(params, self.pose, self._leaves(observation)[self.pose])

    def sample(self, distribution: tfd.Distribution, noise: tf.Tensor) -> tf.Tensor:
        """The mean: the policy does not explore."""
        return distribution.mean()

    def _features(self, params: Params, observation: Nest, judged: bool) -> tuple[Any, Any]:
        """(what the last dense layer gives [N, B, U], predicted poses [N, B, P])."""
        weights = params["weights"]
        x, pose = self._seen(params, observation, judged)
        if self.context_size:
            context = self.context(params, x)
            context = tf.broadcast_to(context, [*nest.axes(x, 2), self.context_size])
            if self._sees_all:  # looks again, as it now knows what to look for
                x, pose = self._seen(params, observation, judged, context)
            x = tf.concat([x, context], axis=-1)
        for i in range(len(self.layers)):
            layer = weights["blind" if judged and self.hidden and i == 0 else f"dense{i}"]
            x = self.activation(layers.dense(_with_bias_transform(x, layer), layer))
        return x, pose

    def _seen(
        self, params: Params, observation: Nest, judged: bool, context: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """(what dense layers see beside the context [N, B, I], predicted poses [N, B, P])."""
        seen = self.perceived(params, observation, judged, context)
        rows = [seen, self.vectors(params, observation, judged)]
        pose = tf.zeros([*nest.axes(seen, 2), 0], self.dtype)
        if self.pose:
            pose = layers.dense(seen, params["weights"]["pose"])
            rows.append(tf.stop_gradient(pose))
        return tf.concat(rows, axis=-1), pose

    def _of_objects(self, weights: Nest, x: tf.Tensor, beside: tf.Tensor | None) -> tf.Tensor:
        """[N, B, M, F], beside each object [N, B, H] -> [N, B, places * F], see the class."""
        tasks, rows, objects, features = nest.axes(x)
        said = x
        if beside is not None:
            same = tf.broadcast_to(beside[:, :, None], [tasks, rows, objects, beside.shape[-1]])
            said = tf.concat([x, same], axis=-1)
        said = tf.reshape(said, [tasks, rows * objects, said.shape[-1]])
        for i in range(self.config.object_layers + 1):
            layer = weights[str(i)]
            said = layers.dense(_with_bias_transform(said, layer), layer)
            if i < self.config.object_layers:
                said = self.activation(said)
        said = tf.reshape(said, [tasks, rows, objects, said.shape[-1]])
        share = tf.nn.softmax(self.config.temperature * said, axis=2)
        means = tf.einsum("nbmp,nbmf->nbpf", share, x)
        return tf.reshape(means, [tasks, rows, means.shape[2] * features])

    def _of_image(self, weights: Nest, x: tf.Tensor) -> tf.Tensor:
        """[N, B, H, W, C] -> [N, B, F]."""
        if self.config.image_bias:
            bias = weights["bias_transform"][:, None]
            x = tf.concat([x, tf.broadcast_to(bias, [*nest.axes(x)[:-1], bias.shape[-1]])], axis=-1)
        for i, stride in enumerate(self.config.strides):
            x = layers.convolve(x, weights[str(i)]["kernel"], stride)
            x = tf.nn.relu(layers.layer_norm(x, weights[str(i)]["offset"]))
        if self.config.image_features == "attention":
            x = self.config.temperature * layers.convolve(x, weights["attention"]["kernel"])
        if self.config.image_features != "flat":
            return layers.spatial_soft_argmax(x)
        return tf.reshape(x, [*nest.axes(x, 2), x.shape[2:].num_elements()])

    def _new_convolutions(self, shape: Sequence[int], draw: _Draws) -> tuple[Nest, int]:
        """(weights of an image's convolutions, numbers that come of them)."""
        config = self.config
        height, width, channels = shape
        weights: dict[str, Any] = {}
        if config.image_bias:
            weights["bias_transform"] = draw.zeros(height, width, config.image_bias)
        channels += config.image_bias
        for i, (size, stride) in enumerate(zip(config.kernel_sizes, config.strides)):
            kernel = draw.xavier(size, size, channels, config.filters)
            weights[str(i)] = {"kernel": kernel, "offset": draw.zeros(config.filters)}
            channels = config.filters
            height, width = (-(-size // stride) for size in (height, width))
        if config.image_features == "attention":
            # Attention starts where many filters answer, not on a floor that is everywhere.
            kernel = _CONTRAST * tf.abs(draw.xavier(1, 1, channels, config.places))
            kernel /= config.temperature
            weights["attention"] = {"kernel": kernel}
            channels = config.places
        flat = config.image_features == "flat"
        return weights, height * width * channels if flat else 2 * channels

    def _new_loss_head(self, inputs: int, outputs: int, draw: _Draws) -> Nest:
        if self.config.loss_head == "linear":
            return draw.small(inputs, outputs)
        filters, width = self.config.temporal_filters, self.config.temporal_width
        sizes = (inputs, filters, filters)
        return {
            **{
                str(i): {
                    "kernel": draw.xavier(width, sizes[i], filters),
                    "offset": draw.zeros(filters),
                }
                for i in range(2)
            },
            "2": {"kernel": draw.xavier(1, filters, outputs), "bias": draw.zeros(outputs)},
        }

    @property
    def _sees_all(self) -> bool:
        """Whether attention to objects goes by all that is known."""
        return self.config.attention_sees == "all"

    @property
    def _vectors(self) -> int:
        """How many numbers the vectors of an observation have."""
        return sum(spec.shape[0] for spec in self.specs.values() if spec.shape.rank == 1)

    def _leaves(self, observation: Nest) -> dict[str, tf.Tensor]:
        return dict(zip(self.specs, tf.nest.flatten(observation)))

    def _normalized(self, params: Params, name: str, x: tf.Tensor) -> tf.Tensor:
        mean, deviation = (params["moments"][of][name] for of in ("mean", "deviation"))
        shape = [-1, *[1] * (x.shape.rank - 2), x.shape[-1]]
        scale = tf.maximum(deviation, tf.cast(_DEVIATION_FLOOR, self.dtype))
        return (tf.cast(x, self.dtype) - tf.reshape(mean, shape)) / tf.reshape(scale, shape)

    def _gaussian(self, mean: tf.Tensor) -> tfd.Distribution:
        return tfp.distributions.MultivariateNormalDiag(mean, tf.ones_like(mean))


class AttentivePolicy(ImitationPolicy):
    """An `ImitationPolicy` whose context is what it attends to among the steps of demonstrations.

    Its `params` have "read", [N, D, T, context], what was made of each step, and "mask" [N, D, T].
    What the policy sees is compared with all valid steps, and the context is their mean under the
    softmax of that (dot-product attention); 0 where there is none.

    Args:
      args, kwargs: as of `ImitationPolicy`.
      attention_units: numbers that are compared.
    """

    @checked_call
    def __init__(self, *args: Any, attention_units: int = 32, **kwargs: Any) -> None:
        self.attention_units = check_whole("attention_units", attention_units, 1)
        super().__init__(*args, **kwargs)

    def init(self, seed: int) -> Params:
        params = super().init(seed)
        draw, units = _Draws(seed + 1, self.dtype), self.attention_units
        seen = self.seen_size + (self.specs[self.pose].shape[0] if self.pose else 0)
        weights = {"query": draw.glorot(seen, units), "key": draw.glorot(self.context_size, units)}
        return {**params, "weights": {**params["weights"], "attention": weights}}

    def context(self, params: Params, seen: tf.Tensor) -> tf.Tensor:
        weights, read = params["weights"]["attention"], params["read"]
        steps = tf.reshape(read, [nest.num_rows(read), -1, read.shape[-1]])
        valid = tf.reshape(tf.cast(params["mask"], read.dtype), [nest.num_rows(read), 1, -1])
        asked, held = layers.dense(seen, weights["query"]), layers.dense(steps, weights["key"])
        alike = tf.matmul(asked, held, transpose_b=True) / np.sqrt(self.attention_units)
        share = tf.nn.softmax(tf.where(valid > 0, alike, alike.dtype.min), axis=-1) * valid
        return tf.matmul(share, steps)


def _with_bias_transform(x: tf.Tensor, layer: Nest) -> tf.Tensor:
    """[N, B, I] with the learned numbers of a layer behind each row."""
    learned = layer.get("bias_transform")
    if learned is None:
        return x
    shape = [*nest.axes(x, 2), learned.shape[-1]]
    return tf.concat([x, tf.broadcast_to(learned[:, None], shape)], axis=-1)


class _Draws:
    """New weights of a seed, each of numbers of its own."""

    def __init__(self, seed: int, dtype: tf.DType) -> None:
        self._rng, self._dtype = np.random.default_rng([seed, 0x1317]), dtype

    def zeros(self, *shape: int) -> tf.Tensor:
        return tf.zeros(shape, self._dtype)

    def glorot(self, inputs: int, units: int) -> Nest:
        return {"kernel": self.xavier(inputs, units), "bias": self.zeros(units)}

    def small(self, inputs: int, units: int) -> Nest:
        kernel = self._rng.normal(0.0, _DENSE_DEVIATION, [inputs, units])
        return {"kernel": tf.constant(kernel, self._dtype), "bias": self.zeros(units)}

    def xavier(self, *shape: int) -> tf.Tensor:
        """Glorot-uniform numbers of a kernel, [..., inputs, outputs]."""
        window = int(np.prod(shape[:-2]))
        bound = np.sqrt(6 / (window * (shape[-2] + shape[-1])))
        return tf.constant(self._rng.uniform(-bound, bound, shape), self._dtype)
