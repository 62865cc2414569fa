"""Operators that work on each element alone: any layout does, if all operands have it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from layoutbridge.rewriting.layouts.cases import Case, Unruled
from layoutbridge.rewriting.layouts.editing import Editor
from layoutbridge.rewriting.layouts.forms import Axes, Frame, same_place
from layoutbridge.rewriting.layouts.layout import Layout
from layoutbridge.rewriting.layouts.sizes import Sized

Rule = Callable[[Case], Frame]
_BROADCASTS = 7  # the first opset in which shapes are aligned at their ends
# What gives the same bits wherever an element stands; the others are approximated, in runs of elements and without.
_EXACT = {
    "Abs", "Cast", "Ceil", "Clip", "Floor", "Identity", "IsInf", "IsNaN", "LeakyRelu", "Neg", "Not", "Relu", "Round",
    "Shrink", "Sign", "ThresholdedRelu", "BitwiseNot",
    "Add", "And", "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Div", "Equal", "Greater", "GreaterOrEqual",
    "Less", "LessOrEqual", "Max", "Min", "Mod", "Mul", "Or", "PRelu", "Sub", "Sum", "Where", "Xor",
}  # fmt: skip
_ALONE = {
    "Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BitwiseNot", "Cast", "CastLike", "Ceil", "Celu", "Clip",
    "Cos", "Cosh", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "Identity", "IsInf", "IsNaN",
    "LeakyRelu", "Log", "Mish", "Neg", "Not", "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin",
    "Sinh", "Softplus", "Softsign", "Sqrt", "Swish", "Tan", "Tanh", "ThresholdedRelu", "com.microsoft.QuickGelu",
    "com.microsoft.Gelu",
}  # fmt: skip
_TOGETHER = {
    "Add", "And", "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Div", "Equal", "Greater", "GreaterOrEqual",
    "Less", "LessOrEqual", "Max", "Mean", "Min", "Mod", "Mul", "Or", "PRelu", "Pow", "Sub", "Sum", "Where", "Xor",
}  # fmt: skip


def alone(case: Case) -> Frame:
    """One tensor; other operands, such as the bounds of Clip, are single numbers."""
    result = case.output()
    axes = tuple(range(result.rank))
    others = len(case.node.inputs) - 1
    if (
        any(case.has(place) and case.input(place).rank for place in range(1, 1 + others))
        and case.operator != "CastLike"
    ):
        raise Unruled
    exact = case.operator in _EXACT
    return Frame((axes, *[None] * others), (axes,), result.shape, is_exact=lambda _: exact)


def together(case: Case) -> Frame:
    """Several tensors, aligned at their last axes."""
    if case.opset < _BROADCASTS:
        raise Unruled
    return aligned(case, range(len(case.node.inputs)), is_exact=case.operator in _EXACT)


def aligned(case: Case, operands: range | tuple[int, ...], *, is_exact: bool) -> Frame:
    """The operands at these places aligned at their last axes; of the other inputs none has axes."""
    result = case.output()
    held = {place: trailing(case.input(place), result) for place in operands}
    inputs = tuple(held.get(place) for place in range(len(case.node.inputs)))
    ones = frozenset(
        (place, own)
        for place, axes in held.items()
        for own, axis in enumerate(axes)
        if case.input(place).is_one(own) and not result.is_one(axis)
    )

    def write(frame: Layout, editor: Editor) -> None:
        for place, axes in held.items():
            widen(editor, place, axes, frame)

    axes = tuple(range(result.rank))
    return Frame(inputs, (axes,), result.shape, write, is_exact=lambda _: is_exact, one_long=ones)


def trailing(operand: Sized, result: Sized) -> Axes:
    """Which axes of the result the operand's own are."""
    if operand.rank > result.rank:
        raise Unruled
    return tuple(range(result.rank - operand.rank, result.rank))


def widen(editor: Editor, place: int, axes: Axes, frame: Layout) -> None:
    """Give an operand axes of length 1 where its own do not stand at the end, as they are to be aligned."""
    own = sorted(frame.place_of(axis) for axis in axes)
    if own:
        gaps = [each - own[0] for each in range(own[0], frame.rank) if each not in own]
        if gaps:
            editor.unsqueeze(place, gaps)


def dropout(case: Case) -> Frame:
    """Outside of training it gives what it takes, and a mask."""
    if case.has(2):
        raise Unruled
    result = case.output()
    axes = tuple(range(result.rank))
    return Frame(
        (axes, *[None] * (len(case.node.inputs) - 1)), (axes, *[axes] * (len(case.node.outputs) - 1)), result.shape
    )


def quantize(case: Case) -> Frame:
    """Scales for the whole tensor, or one for each place along an axis."""
    result, scale = case.output(), case.input(1)
    axes = tuple(range(result.rank))
    others = len(case.node.inputs) - 1
    if case.number("block_size", 0):
        raise Unruled
    if scale.rank == 0 or (scale.rank == 1 and scale.is_one(0) and case.opset < _PER_AXIS):
        return Frame((axes, *[None] * others), (axes,), result.shape)
    if scale.rank != 1 or case.opset < _PER_AXIS:
        raise Unruled
    axis = case.axis(1, result.rank)

    def write(frame: Layout, editor: Editor) -> None:
        editor.say("axis", frame.place_of(axis))

    return Frame((axes, *[(axis,)] * others), (axes,), result.shape, write)


_PER_AXIS = 13  # the first opset with scales along an axis


def dynamic_quantize(case: Case) -> Frame:
    """One scale and one zero for all elements."""
    shape = case.output().shape
    axes = tuple(range(len(shape)))
    return Frame((axes,), (axes, None, None), shape, same_place)


def quantized_together(case: Case) -> Frame:
    """onnxruntime's sum and product of quantised tensors: scales and zeros are single numbers."""
    if any(case.input(place).rank for place in (1, 2, 4, 5, 6, 7) if case.has(place)):
        raise Unruled
    return aligned(case, (0, 3), is_exact=True)


RULES: Mapping[str, Rule] = {
    **dict.fromkeys(_ALONE, alone),
    **dict.fromkeys(_TOGETHER, together),
    "Dropout": dropout,
    "QuantizeLinear": quantize,
    "DequantizeLinear": quantize,
    "DynamicQuantizeLinear": dynamic_quantize,
    "com.microsoft.QLinearAdd": quantized_together,
    "com.microsoft.QLinearMul": quantized_together,
}
