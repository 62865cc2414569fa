"""Operators of onnxruntime's own, as the standard operator whose result has the same shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import NodeProto, TypeProto

_DOMAIN = "com.microsoft"
# The operator of onnxruntime: the standard one, and which of its inputs that takes.
_ALIKE: dict[str, tuple[str, tuple[int, ...]]] = {
    "DynamicQuantizeLSTM": ("LSTM", (0, 1, 2)),
    "DynamicQuantizeMatMul": ("MatMul", (0, 1)),
    "FusedConv": ("Conv", (0, 1)),
    "MatMulIntegerToFloat": ("MatMul", (0, 1)),
    "QLinearAdd": ("Add", (0, 3)),
    "QLinearMul": ("Mul", (0, 3)),
    "QLinearGlobalAveragePool": ("GlobalAveragePool", (0,)),
    "QLinearAveragePool": ("AveragePool", (0,)),
    **dict.fromkeys(
        ("Gelu", "FastGelu", "BiasGelu", "QuickGelu", "QLinearLeakyRelu", "QLinearSigmoid", "QLinearSoftmax"),
        ("Relu", (0,)),
    ),
    **dict.fromkeys(
        (
            "SkipLayerNormalization",
            "SkipSimplifiedLayerNormalization",
            "SimplifiedLayerNormalization",
            "RotaryEmbedding",
        ),
        ("Relu", (0,)),
    ),
}


def as_standard(node: NodeProto) -> NodeProto:
    """The standard operator whose first result has the shape of this one's; the node itself where there is none.

    >>> from onnx import helper
    >>> as_standard(helper.make_node("FastGelu", ["x", "bias"], ["y"], domain="com.microsoft")).op_type
    'Relu'
    """
    from onnx import NodeProto, defs

    if node.domain != _DOMAIN or node.op_type not in _ALIKE:
        return node
    operator, places = _ALIKE[node.op_type]
    if any(place >= len(node.input) for place in places):
        return node
    known = defs.get_schema(operator).attributes
    made = NodeProto(op_type=operator, name=node.name)
    made.input.extend(node.input[place] for place in places)
    made.output.extend(node.output if operator == "LSTM" else node.output[:1])
    made.attribute.extend(attribute for attribute in node.attribute if attribute.name in known)
    return made


def alike(types: Mapping[str, TypeProto]) -> dict[str, TypeProto]:
    """The types of inputs with the dtype of the first: these operators mix dtypes, and the standard ones do not."""
    from onnx import helper

    first = next(iter(types.values())).tensor_type.elem_type
    shapes = {name: [length.dim_value for length in kind.tensor_type.shape.dim] for name, kind in types.items()}
    return {name: helper.make_tensor_type_proto(first, shape) for name, shape in shapes.items()}
