"""ONNX models as graphs: shapes inferred node by node, what computes shapes worked out, movements bound."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.errors import ShapeError, UnusableInputError, first_line, named
from layoutbridge.frameworks.onnx.reading import read_sparing
from layoutbridge.scanning.graphs.graph import Graph, Node, Tensor
from layoutbridge.scanning.graphs.limits import refuse_more_nodes
from layoutbridge.scanning.graphs.shape_readers import GIVEN_BACK, ShapeReaders
from layoutbridge.scanning.graphs.sizes import OpenShape, Shapes, filled_shapes, no_such_input
from layoutbridge.scanning.readers.onnx_arithmetic import LARGEST_KNOWN, computed, ends_inference
from layoutbridge.scanning.readers.onnx_contrib import alike, as_standard
from layoutbridge.scanning.readers.onnx_movements import Case, is_movement, moved
from layoutbridge.scanning.readers.onnx_order import in_order, read_by

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto, TypeProto, ValueInfoProto

_STANDARD = ("", "ai.onnx")
_SHOWN = 8  # custom operators that a note lists
_NO_TYPES: Mapping[str, int] = MappingProxyType({})
_CONTROL = {"If", "Loop", "Scan"}
_DRAWN = {"Bernoulli", "Multinomial", "RandomNormalLike", "RandomUniformLike"}  # values that no constant decides


def read(path: str | os.PathLike[str], shapes: Shapes = None) -> Graph:
    """The model in the file at `path`; its data in other files is not opened.

    Open sizes are those of `shapes`, else numbers that are made up, another choice of them for each `choice`. Raises
    `UnusableInputError` for what is no readable model, `ShapeError` where no shapes fit, `MissingFrameworkError`.

    >>> import tempfile
    >>> from layoutbridge.frameworks.onnx.emission import save
    >>> from layoutbridge.operations.catalog import op
    >>> path = os.path.join(tempfile.mkdtemp(), "focus.onnx")
    >>> save(op("focus"), path, shape=(None, 3, 8, 8))
    >>> [(node.operator, node.kind) for node in read(path).nodes]
    [('SpaceToDepth', 'moves'), ('Gather', 'moves')]
    """
    model, _ = read_sparing(path)
    return read_proto(model, os.fspath(path), shapes)


def read_proto(model: ModelProto, name: str, shapes: Shapes = None) -> Graph:
    """The same of a model in memory, which `name` stands for in the answer and in errors."""
    if model.functions:
        from onnx import inliner

        model = inliner.inline_local_functions(model)
    refuse_more_nodes(name, _node_count(model.graph))
    _refuse_names(model.graph, name)
    open_shapes = _open_shapes(model.graph)
    open_shapes |= _ranks_given(model.graph, open_shapes, shapes)
    reasons: list[str] = []
    for filled in filled_shapes(open_shapes, shapes):
        try:
            return _Reader(model, name).read(filled, open_shapes)
        except ShapeError as error:
            reasons.append(str(error))
    raise ShapeError(reasons[0])


def _refuse_names(graph: GraphProto, name: str) -> None:
    """Raise `UnusableInputError` where a name is no text, as in a file that is damaged."""
    if not all(isinstance(text, str) for text in _names(graph)):
        raise UnusableInputError(f"'{name}' is damaged: a name in it is no text")


def _node_count(graph: GraphProto) -> int:
    inner = (body for node in graph.node for each in node.attribute for body in (each.g, *each.graphs))
    return len(graph.node) + sum(map(_node_count, inner))


def _names(graph: GraphProto) -> Iterator[str]:
    """The names of a graph and of those within its nodes, those of open lengths too."""
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        for attribute in node.attribute:
            yield attribute.name
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _names(inner)
    for value in (*graph.input, *graph.output, *graph.value_info):
        yield value.name
        yield from (length.dim_param for length in value.type.tensor_type.shape.dim)
    yield from (tensor.name for tensor in graph.initializer)


def _open_shapes(graph: GraphProto) -> dict[str, OpenShape]:
    constants = {tensor.name for tensor in graph.initializer}
    constants |= {sparse.values.name for sparse in graph.sparse_initializer}
    return {
        value.name: shape
        for value in graph.input
        if value.name not in constants and (shape := _declared(value)) is not None
    }


def _ranks_given(graph: GraphProto, known: Mapping[str, OpenShape], given: Shapes) -> dict[str, OpenShape]:
    """The tensors that go in and are of no rank in the file, of which the user says the shape: all of it is open."""
    unknown = [name for name in _unranked(graph) if name not in known]
    if given is None or not isinstance(given, Mapping):
        given = {} if given is None or len(unknown) + len(known) != 1 else dict.fromkeys(unknown, given)
    if unknown and (strange := next((name for name in given if name not in (*known, *unknown)), None)) is not None:
        raise ShapeError(no_such_input(strange, (*known, *unknown)))
    return {name: (None,) * len(given[name]) for name in unknown if name in given}


def _unranked(graph: GraphProto) -> list[str]:
    """The tensors that go in of which the file does not even say how many axes they have."""
    constants = {tensor.name for tensor in graph.initializer}
    return [
        value.name
        for value in graph.input
        if value.name not in constants
        and value.type.WhichOneof("value") == "tensor_type"
        and not value.type.tensor_type.HasField("shape")
    ]


def _declared(value: ValueInfoProto) -> OpenShape | None:
    """The shape of a tensor as the file has it; None for one of unknown rank, and for what is no tensor."""
    kind = value.type.tensor_type
    if value.type.WhichOneof("value") != "tensor_type" or not kind.HasField("shape"):
        return None
    return tuple(
        length.dim_value if length.HasField("dim_value") and length.dim_value > 0 else length.dim_param or None
        for length in kind.shape.dim
    )


@dataclass
class _Scope:
    """What is known of the tensors of a graph, and of those around it."""

    types: dict[str, TypeProto] = field(default_factory=dict)
    known: dict[str, NDArray[Any]] = field(default_factory=dict)
    arithmetic: set[str] = field(default_factory=set)  # what was computed from shapes
    tensors: dict[str, Tensor] = field(default_factory=dict)
    weights: dict[str, TensorProto] = field(default_factory=dict)
    shape_readers: ShapeReaders = field(default_factory=ShapeReaders)

    def within(self) -> _Scope:
        """A scope in which all of this is seen, for a graph within a node."""
        return _Scope(
            dict(self.types), dict(self.known), set(self.arithmetic), dict(self.tensors), dict(self.weights),
            self.shape_readers.within(),
        )  # fmt: skip


class _Reader:
    """Reads one model at one choice of sizes."""

    def __init__(self, model: ModelProto, name: str) -> None:
        from onnx import defs

        self.name, self.graph = name, model.graph
        self.opsets = list(model.opset_import)
        self.ir_version = model.ir_version
        self.version = next((each.version for each in self.opsets if each.domain in _STANDARD), 1)
        self.newest = defs.onnx_opset_version()
        self.custom: dict[str, int] = {}
        self.unknown: dict[str, int] = {}
        self.unranked: dict[str, str] = {}  # tensors of no known shape, by the input that theirs depends on

    def read(self, filled: Mapping[str, tuple[int, ...]], open_shapes: Mapping[str, OpenShape]) -> Graph:
        self.unranked = {name: name for name in _unranked(self.graph) if name not in filled}
        made = self._graph(self.graph, _Scope(), filled, open_shapes, self.name)
        notes = []
        if made_up := [name for name, shape in open_shapes.items() if any(not isinstance(n, int) for n in shape)]:
            told = ", ".join(f"{named(name)} {list(filled[name])}" for name in made_up)
            notes.append(f"open sizes are filled in: {told}")
        for what, counts in (
            ("custom operators", self.custom),
            ("operators whose results have no known shape", self.unknown),
        ):
            if counts:
                told = ", ".join(f"{named(name)} ({count})" for name, count in list(counts.items())[:_SHOWN])
                notes.append(f"{what} are passed over: {told}")
        return replace(made, notes=tuple(notes))

    def _graph(
        self,
        graph: GraphProto,
        scope: _Scope,
        filled: Mapping[str, tuple[int, ...]],
        open_shapes: Mapping[str, OpenShape],
        name: str,
        elem_types: Mapping[str, int] = _NO_TYPES,
    ) -> Graph:
        for tensor in graph.initializer:
            self._add_constant(scope, tensor, tensor.name)
        for value in graph.input:
            if value.name in filled and value.name not in scope.weights:
                elem_type = value.type.tensor_type.elem_type or elem_types.get(value.name, 0)
                self._add(scope, value.name, elem_type, filled[value.name], open_shape=open_shapes.get(value.name))
        nodes: list[Node] = []
        inner: list[Graph] = []
        declared = {value.name: value for value in (*graph.value_info, *graph.output)}
        for place, node in enumerate(in_order(graph, self.name)):
            nodes += self._node(node, place, scope, declared, inner)
        outputs = tuple(value.name for value in graph.output)
        scope.shape_readers.use(outputs, [GIVEN_BACK])
        return Graph(
            name, "onnx", tuple(nodes), scope.tensors, tuple(value.name for value in graph.input), outputs,
            len(graph.node) + sum(each.node_count for each in inner), tuple(inner),
            shape_readers=scope.shape_readers.by_tensor(),
        )  # fmt: skip

    # ------------------------------------------------------------------ one node

    def _node(
        self,
        node: NodeProto,
        place: int,
        scope: _Scope,
        declared: Mapping[str, ValueInfoProto],
        inner: list[Graph],
    ) -> list[Node]:
        name = node.name or next((output for output in node.output if output), f"{node.op_type}_{place}")
        if node.op_type == "Constant" and node.domain in _STANDARD:
            self._constant(node, scope)
            return []
        if node.op_type in _CONTROL and node.domain in _STANDARD:
            inner += self._inside(node, name, scope)
        read = read_by(node)
        self._infer(node, read, scope, declared)
        self._refuse_sizes(node, read, name, scope)
        values = self._computed(node, scope)
        if values is not None:
            for output, value in zip(node.output, values, strict=False):
                scope.known[output] = value
        if node.op_type in ("Shape", "Size"):
            scope.arithmetic.update(node.output)
            scope.shape_readers.ask(node.input, node.output)
        elif _is_arithmetic(read, scope):
            scope.arithmetic.update(node.output)
            scope.shape_readers.work_out(read, node.output)
        else:
            scope.shape_readers.use(read, node.output)
        made = []
        for number, output in enumerate(node.output):
            if not output or output in scope.arithmetic:  # who only asks for a shape reads no element
                continue
            found = None
            if not _is_index(scope, output, values):
                found = moved(Case(node, number, scope.tensors, scope.known, scope.weights))
            if found is None:
                made.append(Node(name, node.op_type, read, output))
            else:
                inputs, movement, kind, order = found
                made.append(Node(name, node.op_type, inputs, output, movement, kind, order))
        return made

    def _refuse_sizes(self, node: NodeProto, read: Sequence[str], name: str, scope: _Scope) -> None:
        """Raise `ShapeError` for elements that do not fill a shape, and where one is missing that nobody gives."""
        if node.domain not in _STANDARD:
            return
        origin = next((self.unranked[entry] for entry in read if entry in self.unranked), None)
        if origin is not None:
            self.unranked.update((output, origin) for output in node.output if output not in scope.tensors)
            if is_movement(node) and any(output in self.unranked for output in node.output):
                raise ShapeError(
                    f"'{self.name}' does not say which shape its input '{named(origin)}' has, and node '{named(name)}' "
                    f"moves what comes of it: give the shape, {named(origin)}=…"
                )
        if node.op_type == "Reshape" and (len(node.input) < 2 or node.input[1] in scope.known):
            before, after = (scope.tensors.get(each[0]) for each in (node.input, node.output))
            if before is not None and after is not None and prod(before.shape) != prod(after.shape):
                raise ShapeError(
                    f"'{self.name}': node '{named(name)}' cannot make {list(after.shape)} of a tensor of shape "
                    f"{list(before.shape)}: give the sizes that the model takes"
                )

    def _constant(self, node: NodeProto, scope: _Scope) -> None:
        from onnx import numpy_helper

        for attribute in node.attribute:
            if attribute.name == "value":
                self._add_constant(scope, attribute.t, node.output[0])
            elif attribute.name in ("value_int", "value_ints", "value_float", "value_floats"):
                value = attribute.i, list(attribute.ints), attribute.f, list(attribute.floats)
                chosen = value[("value_int", "value_ints", "value_float", "value_floats").index(attribute.name)]
                dtype = np.int64 if "int" in attribute.name else np.float32
                tensor = numpy_helper.from_array(np.asarray(chosen, dtype))
                self._add_constant(scope, tensor, node.output[0])

    def _add_constant(self, scope: _Scope, tensor: TensorProto, name: str) -> None:
        from onnx import numpy_helper

        shape = tuple(tensor.dims)
        if min(shape, default=0) < 0:
            raise UnusableInputError(f"'{self.name}': the constant '{named(name)}' has the shape {list(shape)}")
        self._add(scope, name, tensor.data_type, shape, is_constant=True)
        scope.weights[name] = tensor
        is_inside = tensor.data_location != tensor.EXTERNAL
        if is_inside and prod(shape) <= LARGEST_KNOWN:
            try:
                scope.known[name] = numpy_helper.to_array(tensor)
            except Exception as error:  # data of another length than its shape, an unknown dtype
                raise UnusableInputError(
                    f"'{self.name}': the constant '{named(name)}' cannot be read: {first_line(error)}"
                ) from None

    def _add(
        self,
        scope: _Scope,
        name: str,
        elem_type: int,
        shape: Sequence[int],
        *,
        open_shape: OpenShape | None = None,
        is_constant: bool = False,
    ) -> None:
        from onnx import helper

        scope.types[name] = helper.make_tensor_type_proto(elem_type, tuple(shape))
        try:
            dtype = helper.tensor_dtype_to_np_dtype(elem_type)
        except (KeyError, ValueError):
            return
        if dtype.kind != "O":
            scope.tensors[name] = Tensor(name, tuple(shape), dtype.name, open_shape, is_constant)

    # ------------------------------------------------------------------ shapes

    def _infer(
        self, node: NodeProto, read: Sequence[str], scope: _Scope, declared: Mapping[str, ValueInfoProto]
    ) -> None:
        """Types of the node's outputs, where they can be had."""
        found = self._inferred(node, scope)
        is_constant = node.op_type not in _DRAWN and _are_constants(read, scope)
        for output in node.output:
            if not output or output in scope.types:
                continue
            kind = found.get(output)
            shape = _numbers(kind)
            if shape is None and output in declared:
                kind = declared[output].type
                shape = _numbers(kind)
            if kind is not None and shape is not None:
                self._add(scope, output, kind.tensor_type.elem_type, shape, is_constant=is_constant)
            elif node.op_type not in _CONTROL and kind is not None and not node.domain:
                self.unknown[node.op_type] = self.unknown.get(node.op_type, 0) + 1

    def _inferred(self, node: NodeProto, scope: _Scope) -> dict[str, TypeProto]:
        from onnx import defs, numpy_helper, shape_inference

        is_standard, node = node.domain in _STANDARD, as_standard(node)
        if node.domain not in _STANDARD:
            self.custom[f"{node.domain}.{node.op_type}"] = self.custom.get(f"{node.domain}.{node.op_type}", 0) + 1
            return {}
        if node.op_type in _CONTROL or any(entry and entry not in scope.types for entry in node.input):
            return {}
        if ends_inference(node):
            return {}
        try:
            schema = defs.get_schema(node.op_type, max(1, min(self.version, self.newest)), "")
        except defs.SchemaError:
            self.custom[node.op_type] = self.custom.get(node.op_type, 0) + 1
            return {}
        types = {entry: scope.types[entry] for entry in node.input if entry}
        if not is_standard:  # weights of theirs are whole numbers, where the standard operator has them as its input
            types = alike(types)
        data = {
            entry: numpy_helper.from_array(np.array(scope.known[entry], order="C"))
            for entry in node.input
            if entry in scope.known and scope.known[entry].dtype.kind in "biuf"
        }
        try:
            return dict(
                shape_inference.infer_node_outputs(
                    schema, node, types, data, opset_imports=self.opsets, ir_version=self.ir_version
                )
            )
        except shape_inference.InferenceError as error:
            told = first_line(error)
            raise ShapeError(
                f"'{self.name}': node '{named(node.name or node.op_type)}' takes no inputs of shapes "
                f"{[list(scope.tensors[e].shape) for e in node.input if e in scope.tensors]}: {told}"
            ) from None
        except Exception:  # what is declared wrongly, in many ways: its shape is not known then
            return {}

    def _computed(self, node: NodeProto, scope: _Scope) -> tuple[NDArray[Any], ...] | None:
        shapes = {entry: scope.tensors[entry].shape for entry in node.input if entry in scope.tensors}
        return computed(node, scope.known, shapes, self.version)

    # ------------------------------------------------------------------ control flow

    def _inside(self, node: NodeProto, name: str, scope: _Scope) -> list[Graph]:
        made = []
        results: list[list[tuple[int, tuple[int, ...]] | None]] = []
        for attribute in node.attribute:
            if not attribute.HasField("g"):
                continue
            within, body = scope.within(), attribute.g
            given = zip((value.name for value in body.input), self._given(node, scope), strict=False)
            known = {inside: held for inside, held in given if held is not None}
            filled = {inside: shape for inside, (_, shape) in known.items()}
            elem_types = {inside: elem_type for inside, (elem_type, _) in known.items()}
            graph = self._graph(body, within, filled, {}, f"{name}/{attribute.name}", elem_types)
            made.append(graph)
            results.append([_held(within, value.name) for value in body.output])
        self._outputs_of(node, scope, results)
        return made

    def _given(self, node: NodeProto, scope: _Scope) -> Iterable[tuple[int, tuple[int, ...]] | None]:
        """The type and shape of each input of a body: of a loop its number and condition first, of a scan slices."""
        from onnx import TensorProto

        held = [_held(scope, entry) for entry in node.input]
        if node.op_type == "Loop":
            return [(TensorProto.INT64, ()), (TensorProto.BOOL, ()), *held[2:]]
        if node.op_type == "Scan":
            scans = next((attribute.i for attribute in node.attribute if attribute.name == "num_scan_inputs"), 0)
            states = len(held) - scans
            sliced = [None if each is None else (each[0], each[1][1:]) for each in held[states:]]
            return [*held[:states], *sliced]
        return []

    def _outputs_of(
        self, node: NodeProto, scope: _Scope, results: Sequence[Sequence[tuple[int, tuple[int, ...]] | None]]
    ) -> None:
        """What a branch gives, where all branches give it alike; of a loop what it carries."""
        if not results:
            return
        first = results[0]
        if node.op_type == "Loop":
            first = first[1 : len(node.input) - 1]
        elif node.op_type == "If":
            first = [
                one if all(other[k : k + 1] == [one] for other in results) else None for k, one in enumerate(first)
            ]
        else:
            return
        for output, held in zip(node.output, first, strict=False):
            if held is not None and output:
                self._add(scope, output, *held)


def _held(scope: _Scope, name: str) -> tuple[int, tuple[int, ...]] | None:
    if name not in scope.tensors or name not in scope.types:
        return None
    return scope.types[name].tensor_type.elem_type, scope.tensors[name].shape


def _are_constants(read: Sequence[str], scope: _Scope) -> bool:
    """Whether a node that reads these takes constants alone, such as weights that are stored in fewer bits."""
    taken = [scope.tensors.get(entry) for entry in read]
    return bool(taken) and all(each is not None and each.is_constant for each in taken)


def _is_arithmetic(read: Sequence[str], scope: _Scope) -> bool:
    """Whether a node that reads these works with shapes and constants alone, whether its result is known or not."""
    return any(entry in scope.arithmetic for entry in read) and all(
        entry in scope.arithmetic or entry in scope.known for entry in read
    )


def _is_index(scope: _Scope, output: str, values: object) -> bool:
    """Whether a tensor is made of constants alone and holds whole numbers, as shapes and indices do."""
    return values is not None and scope.known[output].dtype.kind in "biu"


def _numbers(kind: TypeProto | None) -> tuple[int, ...] | None:
    """The shape in a type where all of it is numbers."""
    if kind is None or kind.WhichOneof("value") != "tensor_type" or not kind.tensor_type.HasField("shape"):
        return None
    lengths = kind.tensor_type.shape.dim
    if not all(length.HasField("dim_value") and length.dim_value >= 0 for length in lengths):
        return None
    return tuple(length.dim_value for length in lengths)
