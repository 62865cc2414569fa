"""PyTorch: a rearrangement as code to paste."""

from __future__ import annotations

from layoutbridge.algebra.moves import Move, lower, own_blocks
from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.algebra.sizes import Size
from layoutbridge.algebra.spelling import spelled
from layoutbridge.frameworks.source_text import (
    Bracketed,
    Methods,
    call,
    docstring,
    function_name,
    function_text,
    listed,
    method_function,
)

_IMPORTS = ("import torch", "import torch.nn.functional as F")
_BLOCKS = {"space_to_depth": "pixel_unshuffle", "depth_to_space": "pixel_shuffle"}


def write_code(op: Rearrangement, *, batch: bool) -> str:
    """A function of tensors: PyTorch's own op where it is the same map, else views, `permute`, `flip`, `index_select`.

    >>> from layoutbridge.operations.catalog import op
    >>> print(write_code(op("darknet_reorg"), batch=False).splitlines()[-1])
        return x.reshape(c // 4, h, 2, w, 2).permute(2, 4, 0, 1, 3).reshape(c * 4, h // 2, w // 2)
    """
    native = _native(op, batch)
    if native is not None:
        function, number = native
        lines = [*docstring(op), f"    return F.{function}(x, {number})"]
        return function_text(_IMPORTS, function_name(op, ("F", "torch")), ["x: torch.Tensor"], "torch.Tensor", lines)
    methods = Methods("permute", _flipped, _selected)
    return method_function(op, spelled(op, batch=batch), methods, _IMPORTS[:1], "torch.Tensor")


def _native(op: Rearrangement, batch: bool) -> tuple[str, int] | None:
    """The function of `torch.nn.functional` that is the same map, and its number."""
    if op.domain.fixed or len(op.steps) != 1:
        return None
    (step,) = op.steps
    is_shuffle = batch and op.rank > 1 and op.result_shape == op.in_shape and step.order == (1, 0, 2)
    if is_shuffle and step.sizes[0].is_constant and step.sizes[0] * step.sizes[1] == op.in_shape[0]:
        return "channel_shuffle", int(step.sizes[0].coefficient)
    if op.rank not in (3, 4 - batch):
        return None
    lowering = lower(op, [None] * 4)  # both pixel shuffles leave any axes in front alone
    blocks = own_blocks(lowering.moves[0], lowering.in_shape, lowering.result) if len(lowering.moves) == 1 else None
    return (_BLOCKS[blocks.kind], blocks.block) if blocks is not None and blocks.mode == "CRD" else None


def _flipped(move: Move[Size]) -> str:
    return f".flip({', '.join(str(axis - len(move.view)) for axis in move.flipped)})"


def _selected(move: Move[Size]) -> Bracketed:
    order = call("torch.tensor", listed(move.indices), "device=x.device")
    return call(".index_select", str(move.axis - len(move.view)), order)
