"""What a graph computes from shapes, in NumPy: it is known where the shapes are, and no node then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.scanning.readers.tensorflow.movements import Call, moved_by

Array = NDArray[Any]
LARGEST = 4096  # elements of what is computed from shapes
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "Add": np.add,
    "AddV2": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "FloorDiv": np.floor_divide,
    "FloorMod": np.mod,
    "Maximum": np.maximum,
    "Minimum": np.minimum,
    "Neg": np.negative,
    "Cast": lambda a: a,
    "Range": np.arange,
    "Fill": np.full,
    "Prod": lambda a, axes: np.prod(a, axis=tuple(np.ravel(axes))),
    "Sum": lambda a, axes: np.sum(a, axis=tuple(np.ravel(axes))),
    "SelectV2": np.where,
    "Equal": np.equal,
    "NotEqual": np.not_equal,
    "Less": np.less,
    "Greater": np.greater,
    "LessEqual": np.less_equal,
    "GreaterEqual": np.greater_equal,
    "LogicalAnd": np.logical_and,
    "LogicalNot": np.logical_not,
    "InvertPermutation": np.argsort,
}


def computed(call: Call, dtype: str) -> Array | None:
    """What comes out of `call`, where it is a few whole numbers that depend on constants and shapes alone.

    >>> computed(Call("Shape", [(2, 3)], [(2,)], [None], {}), "int32").tolist()
    [2, 3]
    """
    if np.dtype(dtype).kind not in "iub" or len(call.out_shapes) != 1:
        return None
    if call.operator == "Shape":
        return np.array(call.shapes[0], dtype)
    if call.operator in ("Size", "Rank"):
        return np.array(np.prod(call.shapes[0]) if call.operator == "Size" else len(call.shapes[0]), dtype)
    known = [value for value in call.values if value is not None]
    if not known or len(known) < len(call.values) or max(value.size for value in known) > LARGEST:
        return None
    if np.prod(call.out_shapes[0]) > LARGEST:
        return None
    try:
        if call.operator in _FUNCTIONS:
            made = _FUNCTIONS[call.operator](*known)
        elif (moved := moved_by(call)) is not None:
            made = moved.moves[0].movement(*(known[position] for position in moved.sources))
        else:
            return None
        return np.reshape(made, call.out_shapes[0]).astype(dtype)
    except (ValueError, TypeError, LookupError, ArithmeticError):
        return None
