"""The graph that scanning reads, of a graph of TensorFlow's whose shapes have been inferred. Nothing is run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.errors import UnusableInputError, class_and_first_line
from layoutbridge.scanning.graphs.graph import Graph, Node, Tensor
from layoutbridge.scanning.graphs.shape_readers import GIVEN_BACK, ShapeReaders
from layoutbridge.scanning.readers.tensorflow.arithmetic import computed
from layoutbridge.scanning.readers.tensorflow.bounds import BARRIER
from layoutbridge.scanning.readers.tensorflow.flattening import Flat, Functions
from layoutbridge.scanning.readers.tensorflow.movements import Call, Moved, moved_by

FORMAT = "TensorFlow"
_DEEPEST = 16  # branches within branches
_BRANCHES = {
    "If": ("then_branch", "else_branch"),
    "StatelessIf": ("then_branch", "else_branch"),
    "While": ("cond", "body"),
    "StatelessWhile": ("cond", "body"),
}
_HANDLES = ("resource", "variant")


@dataclass(frozen=True, slots=True)
class Source:
    """A `GraphDef` by its nodes and functions, with the shapes of the inputs by their nodes' names, and the outputs."""

    name: str
    nodes: Mapping[str, Any]
    library: Functions
    inputs: Mapping[str, tuple[int, ...]]
    outputs: Sequence[str]
    open_shapes: Mapping[str, tuple[int | str | None, ...]] = field(default_factory=dict)
    called: Mapping[str, str] = field(default_factory=dict)


class Misfit(UnusableInputError):
    """The graph has no meaning at these shapes."""


def graph_of(source: Source, label: Callable[[str], str], notes: Sequence[str] = (), depth: int = 0) -> Graph:
    """The graph of `source`; `label` says what users call a node.

    Raises `Misfit` where it does not fit its inputs' shapes, `UnusableInputError` for a graph that is not whole.
    """
    import tensorflow as tf

    nodes = dict(source.nodes)
    for name, shape in source.inputs.items():
        nodes[name] = placeholder(nodes[name], shape)
    flat = Flat(source.library, source.name)
    inputs = flat.add(nodes, list(source.inputs))
    outputs = flat.add(nodes, list(source.outputs), {name: f"{name}:0" for name in source.inputs})
    flat.graph.library.function.extend(source.library.values())
    graph = tf.Graph()
    try:
        with graph.as_default():
            tf.import_graph_def(flat.graph, name="")
    except (ValueError, TypeError, tf.errors.OpError) as error:
        told = ", ".join(f"{source.called.get(name, name)} {list(shape)}" for name, shape in source.inputs.items())
        raise Misfit(f"'{source.name}' has no meaning at {told}: {class_and_first_line(error)}") from None
    reader = _Reader(source, label, depth)
    return reader.read(graph, inputs, outputs, notes)


def placeholder(held: Any, shape: Sequence[int] | None) -> Any:
    """A node of the same name and dtype that is given from outside."""
    from tensorflow.core.framework.node_def_pb2 import NodeDef

    made = NodeDef(name=held.name, op="Placeholder")
    made.attr["dtype"].CopyFrom(held.attr["dtype"])
    if shape is not None:
        made.attr["shape"].shape.SetInParent()
        for length in shape:
            made.attr["shape"].shape.dim.add().size = length
    else:
        made.attr["shape"].shape.unknown_rank = True
    return made


class _Attributes(Mapping[str, Any]):
    """An operator's settings, each read when it is asked for."""

    def __init__(self, op: Any) -> None:
        self._op = op

    def __getitem__(self, name: str) -> Any:
        try:
            return self._op.get_attr(name)
        except ValueError:
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._op.node_def.attr)

    def __len__(self) -> int:
        return len(self._op.node_def.attr)


class _Reader:
    def __init__(self, source: Source, label: Callable[[str], str], depth: int) -> None:
        self.source, self.label, self.depth = source, label, depth
        self.tensors: dict[str, Tensor] = {}
        self.nodes: list[Node] = []
        self.inner: list[Graph] = []
        self.names: dict[str, str] = {}
        self.values: dict[str, NDArray[Any]] = {}
        self.unknown: set[str] = set()
        self.shape_readers = ShapeReaders()
        self._labels: dict[str, str] = {}

    def read(self, graph: Any, inputs: Sequence[str], outputs: Sequence[str], notes: Sequence[str]) -> Graph:
        operations = graph.get_operations()
        for op in operations:
            self._read(op)
        self.shape_readers.use((self.names[name] for name in outputs if name in self.names), [GIVEN_BACK])
        told = list(notes)
        if self.unknown:
            told.append("lengths that depend on values were taken as 1, and what has them is passed over")
        return Graph(
            name=self.source.name,
            format=FORMAT,
            nodes=tuple(self.nodes),
            tensors=self.tensors,
            inputs=tuple(self.names[name] for name in inputs),
            outputs=tuple(dict.fromkeys(self.names[name] for name in outputs if name in self.names)),
            node_count=len(operations),
            inner=tuple(self.inner),
            notes=tuple(told),
            shape_readers=self.shape_readers.by_tensor(),
        )

    def _read(self, op: Any) -> None:
        if op.type == BARRIER:
            self._pass_on(op.inputs[0].name, op.outputs[0].name)
            return
        label = self._free(self.source.called.get(op.name) or self.label(op.name))
        inputs = [tensor for tensor in op.inputs if tensor.dtype.name not in _HANDLES]
        outputs = [tensor for tensor in op.outputs if tensor.dtype.name not in _HANDLES]
        self._read_inner(op, label)
        if not outputs:
            return
        is_given = op.type in ("Const", "ReadVariableOp", "Placeholder", "PlaceholderWithDefault")
        has_all = bool(inputs) and all(self.tensors[self.names[each.name]].is_constant for each in inputs)
        call = self._call(op, inputs, outputs)
        value = _constant(op) if op.type == "Const" else None
        if value is None and call is not None:
            value = computed(call, _dtype(outputs[0]))
        for place, tensor in enumerate(outputs):
            told = label if len(op.outputs) == 1 else f"{label}:{place}"
            is_constant = op.type in ("Const", "ReadVariableOp") or has_all or value is not None
            self._enter(tensor, told, is_constant)
        if value is not None:
            self.values[outputs[0].name] = value
        self._note_shapes(op, inputs, outputs, value is not None)
        if not is_given and value is None:
            self._enter_nodes(op, label, inputs, outputs, None if call is None else moved_by(call))

    def _note_shapes(self, op: Any, inputs: Sequence[Any], outputs: Sequence[Any], is_known: bool) -> None:
        taken, given = ([self.names[tensor.name] for tensor in each] for each in (inputs, outputs))
        if is_known and op.type in ("Shape", "Size"):
            self.shape_readers.ask(taken, given)
        elif is_known:
            self.shape_readers.work_out(taken, given)
        else:
            self.shape_readers.use(taken, given)

    def _pass_on(self, name: str, new: str) -> None:
        self.names[new] = self.names[name]
        if name in self.values:
            self.values[new] = self.values[name]

    def _enter(self, tensor: Any, label: str, is_constant: bool) -> None:
        shape = _shape(tensor)
        if shape is None:
            self.unknown.add(tensor.name)
            told = [1] if tensor.shape.rank is None else [1 if n is None else n for n in tensor.shape.as_list()]
        self.names[tensor.name] = label
        known = tuple(told) if shape is None else shape
        open_shape = self.source.open_shapes.get(label)
        self.tensors[label] = Tensor(label, known, _dtype(tensor), open_shape, is_constant)

    def _call(self, op: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> Call | None:
        shapes, out_shapes = list(map(_shape, inputs)), list(map(_shape, outputs))
        if None in shapes or None in out_shapes or len(inputs) < len(op.inputs):
            return None
        kept, made = [shape for shape in shapes if shape is not None], [s for s in out_shapes if s is not None]
        values = [self.values.get(tensor.name) for tensor in inputs]
        return Call(op.type, kept, made, values, _Attributes(op))

    def _enter_nodes(
        self, op: Any, label: str, inputs: Sequence[Any], outputs: Sequence[Any], moved: Moved | None
    ) -> None:
        read = [self.names[tensor.name] for tensor in inputs]
        sources = tuple(read if moved is None else (read[position] for position in moved.sources))
        for place, tensor in enumerate(outputs):
            move = () if moved is None else moved.moves[place]
            self.nodes.append(Node(label, op.type, sources, self.names[tensor.name], *move))

    def _free(self, label: str) -> str:
        made, count = label, 1
        while made in self._labels:
            count += 1
            made = f"{label} ({count})"
        self._labels[made] = label
        return made

    # ------------------------------------------------------------------ branches and loops

    def _read_inner(self, op: Any, label: str) -> None:
        attributes = _Attributes(op)
        functions = [attributes[name].name for name in _BRANCHES.get(op.type, ())]
        if op.type == "Case":
            functions = [each.name for each in attributes["branches"]]
        taken = list(op.inputs) if op.type.endswith("While") else list(op.inputs)[1:]
        for function in functions if self.depth < _DEEPEST else ():
            self.inner.append(self._inner(self.source.library[function], taken, label))

    def _inner(self, function: Any, taken: Sequence[Any], label: str) -> Graph:
        nodes, results = self.source.library.body(function)
        inputs: dict[str, tuple[int, ...]] = {}
        for argument, tensor in zip(function.signature.input_arg, taken, strict=True):
            shape = _shape(tensor)
            if tensor.op.type == "VarHandleOp":
                handle = type(nodes[argument.name])()
                handle.CopyFrom(tensor.op.node_def)
                handle.name = argument.name
                nodes[argument.name] = handle
            elif shape is None or tensor.dtype.name in _HANDLES:
                nodes[argument.name] = placeholder(nodes[argument.name], None)
            else:
                inputs[argument.name] = shape
        source = Source(label, nodes, self.source.library, inputs, results)
        return graph_of(source, self.label, (), self.depth + 1)


def _shape(tensor: Any) -> tuple[int, ...] | None:
    return tuple(tensor.shape.as_list()) if tensor.shape.is_fully_defined() else None


def _dtype(tensor: Any) -> str:
    name = tensor.dtype.base_dtype.name
    if name == "bfloat16":
        return str(name)
    try:
        return np.dtype(name).name
    except TypeError:  # texts, and TensorFlow's own kinds of numbers
        return "object" if tensor.dtype.name == "string" else f"uint{8 * max(tensor.dtype.size, 1)}"


def _constant(op: Any) -> NDArray[Any] | None:
    """What is in a constant of whole numbers: what says where elements go."""
    from tensorflow.python.framework import tensor_util

    if np.dtype(_dtype(op.outputs[0])).kind not in "iub":
        return None
    return np.asarray(tensor_util.MakeNdarray(op.node_def.attr["value"].tensor))
