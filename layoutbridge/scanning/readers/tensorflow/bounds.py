"""How much TensorFlow computes when a graph is made: it works out what depends on constants alone, to infer shapes.

A few bytes may ask for terabytes so. A step that only depends on constants, and may become large or is not known, is
cut off from them by one that TensorFlow does not work out, and that changes no shape.
"""

from __future__ import annotations

from math import prod
from typing import Any

LARGEST = 1 << 20  # elements
BARRIER = "Print"
_SMALL = frozenset(("Shape", "ShapeN", "Size", "Rank"))
_NOT_MORE = frozenset((
    "Identity", "StopGradient", "Reshape", "Squeeze", "ExpandDims", "Transpose", "Cast", "Neg", "StridedSlice", "Slice",
    "Prod", "Sum", "Max", "Min", "All", "Any", "InvertPermutation", "LogicalNot", "Unpack", "Split", "SplitV",
    "ReverseV2", "Sqrt", "Rsqrt", "Exp", "Abs", "Floor",
))  # fmt: skip
_TOGETHER = frozenset(("Pack", "ConcatV2"))
_EACH_WITH_EACH = frozenset((
    "Add", "AddV2", "Sub", "Mul", "FloorDiv", "RealDiv", "FloorMod", "Maximum", "Minimum", "SelectV2", "Equal",
    "NotEqual", "Less", "LessEqual", "Greater", "GreaterEqual", "LogicalAnd", "LogicalOr", "GatherV2", "Pow",
))  # fmt: skip
_AXES = 64  # more than the shape of any tensor has


class Bounds:
    """The most elements of each tensor that only depends on constants, as a graph is put together."""

    def __init__(self) -> None:
        self._most: dict[str, int] = {}
        self._numbers: dict[str, int] = {}

    def admit(self, node: Any, outputs: int) -> int | None:
        """Take note of `node`; which of its inputs needs a step before it, if one does."""
        made = [f"{node.name}:{place}" for place in range(outputs)]
        most = self._of(node)
        if most is not None and most <= LARGEST:
            self._most.update(dict.fromkeys(made, most))
        elif node.input and node.op != "Const" and all(tensor in self._most for tensor in node.input):
            return 1 if node.op == "Fill" else 0
        return None

    def _of(self, node: Any) -> int | None:
        if node.op == "Const":
            return self._constant(node)
        if node.op in _SMALL:
            return _AXES
        sizes = [self._most.get(tensor) for tensor in node.input]
        known = [size for size in sizes if size is not None]
        if not sizes or len(known) < len(sizes):
            return None
        if node.op == "Range":
            return self._range(node)
        if node.op in _NOT_MORE:
            return max(known)
        if node.op in _TOGETHER:
            return sum(known)
        return prod(known) if node.op in _EACH_WITH_EACH else None

    def _constant(self, node: Any) -> int:
        tensor = node.attr["value"].tensor
        size = prod(length.size for length in tensor.tensor_shape.dim)
        held = [*tensor.int_val, *tensor.int64_val]
        if size == 1 and len(held) == 1:
            self._numbers[f"{node.name}:0"] = int(held[0])
        return size

    def _range(self, node: Any) -> int | None:
        numbers = [self._numbers.get(tensor) for tensor in node.input]
        start, limit, step = numbers if len(numbers) == 3 else (None, None, None)
        if start is None or limit is None or not step:
            return None
        return abs(limit - start) // abs(step) + 1
