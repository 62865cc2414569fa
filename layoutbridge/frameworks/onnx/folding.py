"""What onnxruntime would compute once, when it loads a model: all that follows from constants alone.

Folded, such values cost memory beside what a run may take, and a model of a few bytes may ask for any amount. So their
sizes are found first, from the graph, without computing anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

_MOST_PRODUCTS = 1e10  # multiplications of all matrix products together: a second or two
_LARGEST_ELEMENT = 8  # bytes
_ELEMENTS = {1: 4, 2: 1, 3: 1, 6: 4, 9: 1, 10: 2, 12: 4, 16: 2}  # bytes of ONNX's types that are smaller
_SMALL = 1024  # elements of a tensor that may be read as lengths
_PRODUCTS = ("Gemm", "MatMul")
_OF_SHAPES = ("Shape", "Size")  # known for every tensor whose lengths are
_ELEMENTWISE = ("Add", "And", "Cast", "Ceil", "Div", "Equal", "Exp", "Floor", "Greater", "Less", "Log", "Max", "Min",
                "Mul", "Neg", "Not", "Or", "Pow", "Reciprocal", "Sqrt", "Sub", "Where")  # fmt: skip
_MOVES = ("Concat", "Expand", "Flatten", "Gather", "Identity", "Pad", "Reshape", "Slice", "Split", "Squeeze", "Tile",
          "Transpose", "Unsqueeze")  # fmt: skip
_MADE = ("Constant", "ConstantOfShape", "DequantizeLinear", "Range")
_KNOWN = frozenset((*_PRODUCTS, *_OF_SHAPES, *_ELEMENTWISE, *_MOVES, *_MADE))


def folded_bytes(model: ModelProto) -> int | None:
    """The bytes, at most, that folding the constants of a model takes; None where that cannot be told.

    Counted are twice the values that the rest of the model reads, which onnxruntime packs another time, and twice the
    largest on the way to them. It cannot be told where an operator is not one of the common ones, where a length is not
    known, and where it would take long to compute. What the model says of the shapes of its tensors counts for its
    inputs alone.

    >>> from layoutbridge.frameworks.onnx.emission import emit
    >>> from layoutbridge.operations.catalog import op
    >>> folded_bytes(emit(op("space_to_depth"), shape=(1, 4, 6, 6)))
    0
    """
    graph = model.graph
    known = _inferred(model) if any(node.op_type in _OF_SHAPES for node in graph.node) else {}
    nodes = _from_constants(graph, known)
    if nodes is None:
        return None
    if all(node.op_type == "Constant" for node in nodes):
        return 0
    known = known or _inferred(model, nodes)
    folded = {name for node in nodes for name in node.output if name}
    if not folded.issubset(known):
        return None
    made = {id(node) for node in nodes}
    read = {name for node in graph.node if id(node) not in made for name in node.input}
    read |= {output.name for output in graph.output}
    products = 0.0
    for node in nodes:
        if node.op_type in _PRODUCTS:
            if node.input[0] not in known:
                return None
            products += _summed_length(node, known) * prod(known[node.output[0]].shape)
    sizes = {name: known[name].bytes for name in folded}
    kept = sum(sizes[name] for name in folded & read)
    return 2 * (kept + max(sizes.values())) if products <= _MOST_PRODUCTS else None


@dataclass(frozen=True, slots=True)
class _Tensor:
    shape: tuple[int, ...]
    element: int  # bytes

    @property
    def bytes(self) -> int:
        return self.element * prod(self.shape)


def _from_constants(graph: GraphProto, known: Mapping[str, _Tensor]) -> list[NodeProto] | None:
    """The nodes that read nothing but constants, in order; None where one of them is none of `_KNOWN`.

    Shapes that are `known` are constants; of others only those of inputs that leave a length open surely are none.
    """
    given = {value.name for value in graph.input}
    constants = {tensor.name for tensor in graph.initializer} - given | {""}
    constants |= {sparse.values.name for sparse in graph.sparse_initializer} - given
    found = []
    for node in graph.node:
        if node.op_type in _OF_SHAPES:
            if node.input[0] not in known:
                if node.input[0] in given:
                    continue
                return None
        elif not constants.issuperset(node.input):
            continue
        if node.domain or node.op_type not in _KNOWN:
            return None
        constants.update(node.output)
        found.append(node)
    return found


def _inferred(model: ModelProto, nodes: Sequence[NodeProto] | None = None) -> dict[str, _Tensor]:
    """The tensors whose lengths ONNX infers: of all nodes, or of these, which read constants alone."""
    from onnx import helper, shape_inference

    graph = model.graph
    held = [tensor for tensor in graph.initializer if prod(tensor.dims) <= _SMALL and not tensor.external_data]
    small = {tensor.name for tensor in held}
    large = [
        helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
        for tensor in graph.initializer
        if tensor.name not in small
    ]
    given = {value.name: value for value in [*large, *graph.input]}
    bare = helper.make_model(
        helper.make_graph(
            list(graph.node) if nodes is None else nodes, "bare", list(given.values()), [], initializer=held
        ),
        opset_imports=model.opset_import,
        ir_version=model.ir_version,
    )
    try:
        inferred = shape_inference.infer_shapes(bare, data_prop=True).graph
    except (shape_inference.InferenceError, ValueError, RuntimeError):
        return {}
    tensors = {tensor.name: _Tensor(tuple(tensor.dims), _LARGEST_ELEMENT) for tensor in held}
    for value in [*given.values(), *inferred.value_info]:
        lengths = value.type.tensor_type.shape.dim
        if value.type.tensor_type.HasField("shape") and all(length.HasField("dim_value") for length in lengths):
            shape = tuple(length.dim_value for length in lengths)
            tensors[value.name] = _Tensor(shape, _ELEMENTS.get(value.type.tensor_type.elem_type, _LARGEST_ELEMENT))
    return tensors


def _summed_length(node: NodeProto, known: Mapping[str, _Tensor]) -> int:
    """How many products make one element of a matrix product."""
    shape = known[node.input[0]].shape or (1,)
    transposed = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
    return shape[0] if transposed else shape[-1]
