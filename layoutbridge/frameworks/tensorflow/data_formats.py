"""How a layer's tensors are held: Keras' two names for it, and what a rearrangement does to them."""

from __future__ import annotations

from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.errors import ParameterError, shown
from layoutbridge.frameworks.base import Layout

LAYOUTS: dict[str, Layout] = {"channels_first": "NCHW", "channels_last": "NHWC"}
DATA_FORMATS = ("channels_last", "channels_first")
_TO_FIRST = Rearrangement("H W C -> C H W")
_TO_LAST = Rearrangement("C H W -> H W C")
_IMAGE = ("C", "H", "W")


def check_data_format(data_format: str) -> None:
    """Raise `ParameterError` for a format there is not."""
    if data_format not in DATA_FORMATS:
        raise ParameterError(f"data_format is {' or '.join(DATA_FORMATS)}, not {shown(data_format)}")


def in_layout(op: Rearrangement, data_format: str) -> Rearrangement:
    """What `op` does to tensors held in `data_format`; raises `ParameterError` for a format there is not.

    >>> from layoutbridge.operations.catalog import op
    >>> in_layout(op("space_to_depth"), "channels_last").out_shape((4, 6, 3))
    (2, 3, 12)
    """
    check_data_format(data_format)
    if data_format == "channels_first" or not has_data_format(op):
        return op
    refusal = op._refusal
    conjugated = _TO_FIRST.then(op).then(_TO_LAST)
    if op.name is None:
        return conjugated
    told = None if refusal is None else (lambda item: refusal((item[2], item[0], item[1])))
    return conjugated.named(f"{op.name} on channels-last tensors", op.parameters, told)


def has_data_format(op: Rearrangement) -> bool:
    """Whether `op` maps images to images, so that channels may come first or last; layout changes do not.

    A named one says so by its axes, for those of `patch_merging` are H, W, C; a pattern may call them anything.
    """
    if op.name is not None and op.axes != _IMAGE:
        return False
    return op.rank == 3 and len(op.result_shape) == 3 and op not in (_TO_FIRST, _TO_LAST)
