"""What ONNX nodes make of small constants and of shapes: the arithmetic by which models compute their own shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from onnx import NodeProto

LARGEST_KNOWN = 4096  # elements of a constant that is worked with here
Array = NDArray[Any]


def attributes(node: NodeProto) -> dict[str, Any]:
    """The attributes of a node by name, without graphs.

    >>> from onnx import helper
    >>> attributes(helper.make_node("Concat", ["a"], ["b"], axis=1))
    {'axis': 1}
    """
    from onnx import AttributeProto, helper

    graphs = (AttributeProto.GRAPH, AttributeProto.GRAPHS)
    values = {}
    for each in node.attribute:
        if each.type not in graphs:
            with suppress(ValueError):  # of no type that there is, or a reference where no function is around
                values[each.name] = helper.get_attribute_value(each)
    return values


def ends_inference(node: NodeProto) -> bool:
    """Whether onnx's shape inference would end the process, for it takes these numbers unchecked."""
    held = {each.name: each.i for each in node.attribute}
    if node.op_type == "GatherND":
        return held.get("batch_dims", 0) < 0
    return node.op_type == "Split" and held.get("num_outputs", len(node.output)) < len(node.output)


def computed(
    node: NodeProto, known: Mapping[str, Array], shapes: Mapping[str, tuple[int, ...]], version: int
) -> tuple[Array, ...] | None:
    """What the node computes, where that depends on constants and on shapes alone; None where it does not.

    >>> from onnx import helper
    >>> computed(helper.make_node("Shape", ["x"], ["y"]), {}, {"x": (1, 3, 4, 4)}, 17)[0].tolist()
    [1, 3, 4, 4]
    """
    if node.domain not in ("", "ai.onnx"):
        return None
    if node.op_type in ("Shape", "Size") and node.input and node.input[0] in shapes:
        shape = shapes[node.input[0]]
        if node.op_type == "Size":
            return (np.asarray(np.prod(shape, dtype=np.int64)),)
        held = attributes(node)
        start, end = held.get("start", 0), held.get("end", len(shape))
        return (np.array(shape[start:end], np.int64),) if isinstance(start, int) and isinstance(end, int) else None
    if not node.input or not all(not entry or entry in known for entry in node.input):
        return None
    if any(attribute.HasField("g") for attribute in node.attribute):
        return None
    values = [known[entry] if entry else None for entry in node.input]
    try:
        with np.errstate(all="ignore"):  # what they are is the model's own matter
            result = _by_numpy(node, values, version)
    except Exception:  # a node that is wrong, which the shape inference tells better
        return None
    if result is None or any(each.size > LARGEST_KNOWN for each in result):
        return None
    return result


def _by_numpy(node: NodeProto, values: Sequence[Any], version: int) -> tuple[Array, ...] | None:
    plain = _PLAIN.get(node.op_type)
    if plain is not None:
        return (np.asarray(plain(*values)),)
    if node.op_type == "ConstantOfShape" and prod(values[0].tolist()) > LARGEST_KNOWN:
        return None
    if node.op_type == "Expand" and prod(values[1].tolist()) > LARGEST_KNOWN:
        return None
    if node.op_type not in _EVALUATED:
        return None
    from onnx import TypeProto, helper
    from onnx.reference import ReferenceEvaluator

    made = helper.make_graph(
        [node],
        "arithmetic",
        [helper.make_value_info(entry, helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(v.dtype), None))
         for entry, v in zip(node.input, values, strict=True) if entry],
        [helper.make_value_info(output, TypeProto()) for output in node.output if output],
    )  # fmt: skip
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", version)])
    given = {entry: value for entry, value in zip(node.input, values, strict=True) if entry}
    return tuple(np.asarray(each) for each in ReferenceEvaluator(model).run(None, given))


def _divided(one: Array, other: Array) -> Array:
    """As ONNX divides: whole numbers towards zero."""
    if one.dtype.kind in "iu" and not np.any(other == 0):
        return (np.sign(one) * np.sign(other) * (np.abs(one) // np.abs(other))).astype(one.dtype)
    return one / other


_PLAIN: Mapping[str, Callable[..., Any]] = {
    "Add": lambda one, other: one + other,
    "Sub": lambda one, other: one - other,
    "Mul": lambda one, other: one * other,
    "Div": _divided,
    "Identity": lambda one: one,
    "Floor": np.floor,
    "Ceil": np.ceil,
    "Neg": lambda one: -one,
}
# Evaluated by onnx's own reference: rarer, or with attributes that changed from opset to opset.
_EVALUATED = frozenset(
    [
        "Abs",
        "And",
        "ArgMax",
        "Cast",
        "Concat",
        "ConstantOfShape",
        "CumSum",
        "Equal",
        "Expand",
        "Flatten",
        "Gather",
        "GatherElements",
        "GatherND",
        "Greater",
        "GreaterOrEqual",
        "Less",
        "LessOrEqual",
        "Max",
        "Min",
        "Mod",
        "NonZero",
        "Not",
        "Or",
        "Pad",
        "Pow",
        "Range",
        "ReduceMax",
        "ReduceMin",
        "ReduceProd",
        "ReduceSum",
        "Reshape",
        "Round",
        "ScatterElements",
        "ScatterND",
        "Sign",
        "Slice",
        "Split",
        "Sqrt",
        "Squeeze",
        "Tile",
        "Transpose",
        "Unsqueeze",
        "Where",
    ]
)
