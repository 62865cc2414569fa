"""What may be asked of a network's graph, and what goes together."""

from __future__ import annotations

from layoutbridge.errors import ParameterError, UnsupportedError, counted
from layoutbridge.frameworks.base import check_count
from layoutbridge.frameworks.onnx.versions import LOWEST_OPSET
from layoutbridge.frameworks.primitives import Shape


def check_asked(
    in_shape: Shape, opset: int, *, batch: int | None, open_size: bool, winograd: bool, steps: int | None
) -> None:
    """Raise `ParameterError` for numbers that are none and for what does not go together.

    Raises `UnsupportedError` for the open size of a flat input, and for Winograd's form at an opset that lacks it.
    """
    check_count("the batch", batch, may_be_open=True)
    check_count("steps", steps, may_be_open=True)
    if open_size and len(in_shape) != 3:
        raise UnsupportedError(f"the input is flat, {counted(in_shape[0], 'value')}: it has no size to leave open")
    if winograd and open_size:
        raise ParameterError("winograd cuts the picture into tiles: the size cannot be left open with it")
    if winograd and opset < LOWEST_OPSET:
        raise UnsupportedError(f"winograd is written from opset {LOWEST_OPSET} on: opset is {opset}")
    if steps is not None and open_size:  # a Reshape has room for one unknown length, and the batch takes it
        raise ParameterError(f"steps={steps} and a size left open do not go together: leave out one of them")
