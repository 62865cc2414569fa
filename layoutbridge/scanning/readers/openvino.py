"""OpenVINO's IR (.xml, its weights in the .bin beside it) as graphs, read by OpenVINO itself."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any

import numpy as np

from layoutbridge.errors import ShapeError, UnusableInputError, first_line, visible
from layoutbridge.frameworks.base import require
from layoutbridge.inputs import PathLike, file_size, refuse_costly
from layoutbridge.scanning.graphs.graph import Graph, Node, Tensor
from layoutbridge.scanning.graphs.limits import refuse_more_nodes
from layoutbridge.scanning.graphs.sizes import OpenShape, Shapes, filled_shapes
from layoutbridge.scanning.readers.openvino_moves import MOVES, Move, Operation, UnknownOperandError

Shape = tuple[int, ...]
_DTYPES = {
    "f64": "float64",
    "f32": "float32",
    "f16": "float16",
    "bf16": "bfloat16",
    "boolean": "bool",
    **{
        f"{letter}{bits}": f"{name}{bits}" for letter, name in (("i", "int"), ("u", "uint")) for bits in (8, 16, 32, 64)
    },
}
_LAYER, _PIECE = b"<layer ", 1 << 22  # what a layer begins with, and bytes that are read at once
_NOT_STEPS = ("Parameter", "Constant", "Result")


def read(path: PathLike, shapes: Shapes = None) -> Graph:
    """The model of an .xml file; `shapes` are those of inputs with open sizes, by name, or the one of the only input.

    What computes shapes is folded away. Raises `UnusableInputError` for a file that OpenVINO does not read,
    `ShapeError` where shapes do not fit, and `MissingFrameworkError` without OpenVINO.

    >>> import tempfile, numpy as np, openvino
    >>> from openvino import opset13 as ops
    >>> x = ops.parameter([1, 8, 4, 4], np.float32, name="x")
    >>> path = tempfile.mkdtemp() + "/net.xml"
    >>> openvino.save_model(openvino.Model([ops.space_to_depth(x, "blocks_first", 2)], [x], "net"), path)
    >>> [(node.operator, node.inputs) for node in read(path).nodes]
    [('SpaceToDepth', ('x',))]
    """
    openvino = require("openvino", "OpenVINO", "openvino")
    size = file_size(path, "OpenVINO model")
    refuse_more_nodes(path, _layers_in(path))
    weights = os.path.splitext(os.fspath(path))[0] + ".bin"
    size += os.path.getsize(weights) if os.path.isfile(weights) else 0
    with _refusals_of(path):
        model = _loaded(path)
        open_shapes = {_name(port): _open_shape(port, shapes) for port in _given(model)}
        sized = _at_sizes(openvino, model, open_shapes, shapes)
        count = sum(node.get_type_name() not in _NOT_STEPS for node in model.get_ordered_ops())
        refuse_costly(_constant_bytes(sized), size, f"'{os.fspath(path)}'", doing="to fold its constants")
        _fold(sized)
        return _Reading(os.path.basename(os.fspath(path)), open_shapes).graph(sized, count)


def _layers_in(path: PathLike) -> int:
    """How many layers an .xml file has, which takes OpenVINO minutes where they are a million."""
    count, end = 0, b""
    with open(path, "rb") as file:
        while piece := file.read(_PIECE):
            count += (end + piece).count(_LAYER)
            end = piece[1 - len(_LAYER) :]
    return count


def _loaded(path: PathLike) -> Any:
    """The model by the front end for IR alone: others would say on standard error what they think of the file."""
    frontend = require("openvino.frontend", "OpenVINO", "openvino").FrontEndManager().load_by_framework("ir")
    return frontend.convert(frontend.load(os.fspath(path)))


def _given(model: Any) -> list[Any]:
    return [parameter.output(0) for parameter in model.get_parameters()]


# ---------------------------------------------------------------------- sizes


def _open_shape(port: Any, given: Shapes) -> OpenShape:
    shape = port.get_partial_shape()
    if shape.rank.is_static:
        return tuple(length.get_length() if length.is_static else None for length in shape)
    asked = given.get(_name(port)) if isinstance(given, Mapping) else given
    if asked is None:
        raise ShapeError(f"input {_name(port)} has any number of axes: give --shape, as in --shape 1,3,224,224")
    return (None,) * len(asked)


def _at_sizes(openvino: Any, model: Any, open_shapes: Mapping[str, OpenShape], given: Shapes) -> Any:
    """The model at the first sizes that it can be at."""
    problem = ""
    for filled in filled_shapes(open_shapes, given):
        if all(None not in shape for shape in open_shapes.values()):
            return model
        sized = model.clone()
        wanted = {port: openvino.PartialShape(list(filled[_name(port)])) for port in _given(sized)}
        try:
            sized.reshape(wanted)
        except RuntimeError as error:
            told = ", ".join(f"{name} {list(shape)}" for name, shape in filled.items())
            problem = problem or f"the model cannot be at {told}: {_reason(error)}"
            continue
        return sized
    raise ShapeError(f"{problem}: give --shape")


# ---------------------------------------------------------------------- constants


def _constant_bytes(model: Any) -> int:
    """How much folding makes: what depends on no input, and on no more than a shape."""
    known: set[str] = set()
    total = 0
    for node in model.get_ordered_ops():
        kind = node.get_type_name()
        sources = [value.get_node().get_name() for value in node.input_values()]
        if kind == "Constant":
            known.add(node.get_name())
        elif kind == "ShapeOf" or (sources and known.issuperset(sources)):
            known.add(node.get_name())
            total += sum(_size(port) for port in node.outputs())
    return total


def _size(port: Any) -> int:
    shape = port.get_partial_shape()
    return prod(shape.to_shape()) * 8 if shape.is_static else 0


def _fold(model: Any) -> None:
    passes = require("openvino.passes", "OpenVINO", "openvino")
    manager = passes.Manager()
    manager.register_pass(passes.ConstantFolding())
    manager.run_passes(model)


# ---------------------------------------------------------------------- nodes


class _Reading:
    """One model on its way to a graph; bodies of control flow each have their own."""

    def __init__(self, title: str, open_shapes: Mapping[str, OpenShape]) -> None:
        self.title = title
        self.open_shapes = open_shapes
        self.names: dict[tuple[str, int], str] = {}  # (OpenVINO's own unique name, output's number): the user's
        self.taken: set[str] = set()
        self.tensors: dict[str, Tensor] = {}
        self.nodes: list[Node] = []
        self.inner: list[Graph] = []
        self.unknown: dict[str, int] = {}
        self.used_elsewhere: list[str] = []

    def graph(self, model: Any, count: int) -> Graph:
        """The model's graph; `count` is how many nodes the file has."""
        for node in model.get_ordered_ops():
            kind = node.get_type_name()
            if kind == "Result":
                continue
            constant = kind == "Constant" or self._is_constant(node)
            for port in node.outputs():
                self._keep(port, constant=constant)
            if kind != "Parameter" and not constant:
                self._read(node, kind)
                self.inner += _bodies(node)
        ends = [self._source(node.input_value(0)) for node in model.get_results()]
        # What a passed-over operation reads counts as given back, so that no region goes past it.
        outputs = [name for name in dict.fromkeys([*ends, *self.used_elsewhere]) if name in self.tensors]
        given = [self._source(port) for port in _given(model)]
        return Graph(
            name=self.title,
            format="OpenVINO",
            nodes=tuple(self.nodes),
            tensors=self.tensors,
            inputs=tuple(name for name in given if name in self.tensors),
            outputs=tuple(outputs),
            node_count=count,
            inner=tuple(self.inner),
            notes=tuple(map(visible, self._notes())),
        )

    def _source(self, value: Any) -> str:
        return self.names[value.get_node().get_name(), value.get_index()]

    def _is_constant(self, node: Any) -> bool:
        """Whether it only depends on weights: some, stored in fewer bits, are not folded."""
        sources = [self.tensors.get(self._source(value)) for value in node.input_values()]
        return bool(sources) and all(source is not None and source.is_constant for source in sources)

    def _keep(self, port: Any, *, constant: bool) -> None:
        name, shape = _name(port), port.get_partial_shape()
        if name in self.taken:
            name = f"{name} ({port.get_node().get_name()}:{port.get_index()})"
        self.taken.add(name)
        self.names[port.get_node().get_name(), port.get_index()] = name
        if shape.is_static:
            dtype = _DTYPES.get(port.get_element_type().get_type_name(), "uint8")
            open_shape = self.open_shapes.get(name)
            self.tensors[name] = Tensor(name, tuple(shape.to_shape()), dtype, open_shape, constant)

    def _read(self, node: Any, kind: str) -> None:
        inputs = tuple(name for name in map(self._source, node.input_values()) if name in self.tensors)
        outputs = [self._source(port) for port in node.outputs()]
        if any(name not in self.tensors for name in outputs):
            self.unknown[kind] = self.unknown.get(kind, 0) + 1
            self.used_elsewhere += inputs
        moves = self._moves(node, kind, outputs) if len(inputs) == len(node.input_values()) else None
        for place, name in enumerate(outputs):
            if name not in self.tensors:
                continue
            if moves is None:
                self.nodes.append(Node(node.get_friendly_name(), kind, inputs, name))
                continue
            move = moves[place]
            taken = inputs[: move.reads]
            self.nodes.append(Node(node.get_friendly_name(), kind, taken, name, move.movement, move.kind, move.order))

    def _moves(self, node: Any, kind: str, outputs: Sequence[str]) -> list[Move] | None:
        if kind not in MOVES or any(name not in self.tensors for name in outputs):
            return None
        values = node.input_values()
        operation = Operation(
            kind,
            node.get_attributes(),
            tuple(self.tensors[self._source(value)].shape for value in values),
            (None, *map(_values, values[1:])),
            tuple(self.tensors[name].shape for name in outputs),
        )
        try:
            return MOVES[kind](operation)
        except (UnknownOperandError, ValueError, LookupError, ArithmeticError):
            return None  # operands that do not fit each other: OpenVINO itself looks at them when it runs

    def _notes(self) -> Iterator[str]:
        for name, shape in self.open_shapes.items():
            if None in shape and name in self.tensors:
                sizes = list(self.tensors[name].shape)
                yield f"the file leaves sizes of input {name} open: it was read at {sizes}"
        if self.unknown:
            kinds = ", ".join(f"{kind} ({count})" for kind, count in self.unknown.items())
            yield f"passed over, since the shapes that they give depend on values: {kinds}"


def _values(value: Any) -> Any:
    node = value.get_node()
    return np.asarray(node.data) if node.get_type_name() == "Constant" else None


def _bodies(node: Any) -> Iterator[Graph]:
    """The graphs within an If, a Loop or a TensorIterator."""
    if node.get_type_name() == "If":
        bodies = [node.get_then_body(), node.get_else_body()]
    elif node.get_type_name() in ("Loop", "TensorIterator"):
        bodies = [node.get_function()]
    else:
        return
    for body in bodies:
        count = sum(inner.get_type_name() not in _NOT_STEPS for inner in body.get_ordered_ops())
        yield _Reading(node.get_friendly_name(), {}).graph(body, count)


def _name(port: Any) -> str:
    """What the user knows a tensor by: its name, else its operation's."""
    names = sorted(port.get_names())
    if names:
        return str(names[0])
    node = port.get_node()
    name = str(node.get_friendly_name())
    return name if node.get_output_size() == 1 else f"{name}:{port.get_index()}"


# ---------------------------------------------------------------------- refusals


@contextmanager
def _refusals_of(path: PathLike) -> Iterator[None]:
    """`UnusableInputError` with OpenVINO's own words: it raises RuntimeError, and another where a name is no text."""
    try:
        yield
    except (RuntimeError, UnicodeDecodeError) as error:
        raise UnusableInputError(f"OpenVINO cannot read '{os.fspath(path)}': {_reason(error)}") from None


def _reason(error: Exception) -> str:
    """The line that says what is wrong: those in front of it are places in OpenVINO's own program."""
    lines = str(error).splitlines()
    told = [line for line in lines if line.strip() and not line.startswith(("Exception from ", "Check '"))]
    return first_line(RuntimeError("\n".join(told or lines)))
