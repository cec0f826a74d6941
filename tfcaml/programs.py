"""How programs are compiled: without what breaks them, and once for all who would do the same.

Compiling takes several times as long as tracing. So every learner traces what it does with new
tasks, and those whose graphs are equal, such as Reptile's and joint pretraining's with the same
settings of adaptation, share one compiled program. A graph holds all that a program depends on,
down to the last constant, so that nobody has to list it.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.python.eager import context

from tfcaml.nest import Nest

# `content` of a graph -> compiled program
_programs: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()
# Attributes that don't matter when a graph runs: what the user calls a tensor, and where to find
# the gradient of a call, which has been taken already.
_MERE_NAMES = {
    *("_gradient_op_type", "_user_specified_name"),
    *("forward_function_name", "backward_function_name"),
}


@contextlib.contextmanager
def without_memory_optimizer() -> Iterator[None]:
    """What is traced and called meanwhile is not rewritten by TensorFlow's memory optimiser.

    That takes every CPU for one of 256 MB. Where a graph needs more than four fifths of it, sums
    become temporary variables, and one that is left over from the end of a loop makes the next call
    fail: "AlreadyExistsError: Resource .../tmp_var" (TensorFlow's issues 23780 and 38906). The
    optimiser has no public switch of its own.
    """
    eager = context.context()
    before = eager.function_call_options
    config = tf.compat.v1.ConfigProto.FromString(before.config_proto_serialized)
    rewriting = config.graph_options.rewrite_options
    rewriting.memory_optimization = rewriting.NO_MEM_OPT
    eager.function_call_options = context.FunctionCallOptions(before.executor_type, config)
    try:
        yield
    finally:
        eager.function_call_options = before


class Shared:
    """A pure function as a `tf.function` that shares its compiled programs.

    Without XLA it is an ordinary `tf.function`; so it is where it uses variables.

    Args:
      function: of nests of tensors and of Python integers, which are constants, to a nest.
      jit_compile: whether it is compiled with XLA.
    """

    def __init__(self, function: Callable[..., Nest], jit_compile: bool) -> None:
        self._function = tf.function(function, autograph=False, jit_compile=jit_compile)
        self._jit_compile = jit_compile
        self._programs: dict[Any, Callable] = {}  # traced function -> its program

    def __call__(self, *args: Nest) -> Nest:
        if not self._jit_compile:
            return self._function(*args)
        as_tensor = lambda x: x if isinstance(x, int) else tf.convert_to_tensor(x)
        args = tf.nest.map_structure(as_tensor, args)
        traced = self._function.get_concrete_function(*args)
        if any(x.dtype == tf.resource for x in traced.captured_inputs):
            return self._function(*args)
        if traced not in self._programs:
            self._programs[traced] = _program(traced.graph)
        inputs = [x for x in tf.nest.flatten(args) if tf.is_tensor(x)]
        results = self._programs[traced]([*inputs, *traced.captured_inputs])
        return tf.nest.pack_sequence_as(traced.structured_outputs, results)

    def experimental_get_tracing_count(self) -> int:
        """As of a `tf.function`."""
        return self._function.experimental_get_tracing_count()


def _program(graph: tf.Graph) -> Callable[[Sequence[tf.Tensor]], list[tf.Tensor]]:
    """The compiled function of a traced graph: list of all its inputs -> list of its outputs."""
    key, used = content(graph), _used(graph)
    program = _programs.get(key)
    if program is None:
        definition = _operations(graph)
        names, outputs = [graph.inputs[i].name for i in used], [x.name for x in graph.outputs]

        def run(*values: tf.Tensor) -> list[tf.Tensor]:
            given = dict(zip(names, values, strict=True))
            return tf.graph_util.import_graph_def(definition, given, outputs)

        program = _programs[key] = tf.function(run, autograph=False, jit_compile=True)
    return lambda values: program(*(values[i] for i in used))


def _used(graph: tf.Graph) -> list[int]:
    """The positions of inputs that something is computed of."""
    return [i for i, x in enumerate(graph.inputs) if x.consumers()]


def _operations(graph: tf.Graph) -> Any:
    """The `GraphDef` of a traced graph without the placeholders of its inputs."""
    definition = graph.as_graph_def()
    placeholders = {x.op.name for x in graph.inputs}
    operations = [node for node in definition.node if node.name not in placeholders]
    del definition.node[:]
    definition.node.extend(operations)
    return definition


def content(graph: tf.Graph) -> str:
    """What a traced graph computes: equal for two only if nothing but names tells them apart.

    Args:
      graph: the graph of a traced `tf.function`. Inputs that it does not use don't count.

    Returns:
      SHA-256 of the operations in their order, each with its attributes and where its inputs are
      from. A function that an operation calls counts by its own content.
    """
    definition, inputs = _operations(graph), [graph.inputs[i] for i in _used(graph)]
    library = {function.signature.name: function for function in definition.library.function}

    @functools.cache
    def of_function(name: str) -> str:
        function, signature = library[name], library[name].signature
        ends = [function.ret[x.name] for x in signature.output_arg]
        ends += [f"^{function.control_ret[x]}" for x in signature.control_output]
        rows = of_nodes([x.name for x in signature.input_arg], function.node_def, ends)
        types = [x.type for x in (*signature.input_arg, *signature.output_arg)]
        return _digest(rows, types, of_all(function.attr))

    def of_nodes(arguments: list[str], nodes: Iterable[Any], ends: list[str]) -> tuple[Any, Any]:
        number = {name: i for i, name in enumerate([*arguments, *(node.name for node in nodes)])}

        def place(
            reference: str,
        ) -> tuple[str, int, str]:  # "name", "name:0", "name:output:0" or "^name"
            name, _, output = reference.lstrip("^").partition(":")
            return reference[: reference.startswith("^")], number[name], output

        rows = [(node.op, [place(x) for x in node.input], of_all(node.attr)) for node in nodes]
        return rows, [place(x) for x in ends]

    def of_all(attributes: Any) -> list[tuple[str, Any]]:
        return [(x, of_one(attributes[x])) for x in sorted(attributes) if x not in _MERE_NAMES]

    def of_one(attribute: Any) -> Any:
        called = [attribute.func] if attribute.HasField("func") else attribute.list.func
        functions = [(of_function(x.name), of_all(x.attr)) for x in called]
        return functions or attribute.SerializeToString(deterministic=True)

    ends = [x.name for x in graph.outputs]
    rows = of_nodes([x.op.name for x in inputs], definition.node, ends)
    return _digest(rows, [(x.dtype.name, str(x.shape)) for x in inputs])


def _digest(*parts: Any) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()
