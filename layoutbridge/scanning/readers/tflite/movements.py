"""What each of LiteRT's operators that moves elements does to them: as TensorFlow's operator that it was made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.scanning.readers.tensorflow import movements
from layoutbridge.scanning.readers.tensorflow.movements import Call, Moved
from layoutbridge.scanning.readers.tflite.model import Operator

Array = NDArray[Any]
Shape = tuple[int, ...]
Options = Mapping[str, Any]


def _blocks(options: Options) -> dict[str, Any]:
    return {"block_size": options["blockSize"], "data_format": b"NHWC"}


# LiteRT's operator: TensorFlow's, and that one's attributes out of LiteRT's settings.
_ATTRIBUTES: Mapping[str, tuple[str, Callable[[Options], dict[str, Any]]]] = {
    **{
        name: (known, lambda _: {})
        for name, known in {
            "RESHAPE": "Reshape", "SQUEEZE": "Squeeze", "EXPAND_DIMS": "ExpandDims", "TRANSPOSE": "Transpose",
            "SLICE": "Slice", "CONCATENATION": "ConcatV2", "SPLIT": "Split", "SPLIT_V": "SplitV", "TILE": "Tile",
            "GATHER_ND": "GatherNd", "SPACE_TO_BATCH_ND": "SpaceToBatchND", "BATCH_TO_SPACE_ND": "BatchToSpaceND",
            "REVERSE_V2": "ReverseV2", "BROADCAST_TO": "BroadcastTo",
        }.items()
    },
    "PACK": ("Pack", lambda options: {"axis": options["axis"]}),
    "UNPACK": ("Unpack", lambda options: {"axis": options["axis"]}),
    "GATHER": ("GatherV2", lambda options: {"batch_dims": options["batchDims"]}),
    "SPACE_TO_DEPTH": ("SpaceToDepth", _blocks),
    "DEPTH_TO_SPACE": ("DepthToSpace", _blocks),
    "RESIZE_NEAREST_NEIGHBOR": (
        "ResizeNearestNeighbor", lambda options: {"align_corners": options["alignCorners"]},
    ),
    "MIRROR_PAD": ("MirrorPad", lambda options: {"mode": (b"REFLECT", b"SYMMETRIC")[options["mode"]]}),
    "STRIDED_SLICE": ("StridedSlice", lambda options: {
        "begin_mask": options["beginMask"], "end_mask": options["endMask"], "ellipsis_mask": options["ellipsisMask"],
        "new_axis_mask": options["newAxisMask"], "shrink_axis_mask": options["shrinkAxisMask"],
    }),
}  # fmt: skip
_AXIS_IS_INPUT = ("CONCATENATION", "GATHER")  # in TensorFlow, where LiteRT has a setting


def moved_by(operator: Operator, shapes: Mapping[int, Shape], values: Mapping[int, Array]) -> Moved | None:
    """What `operator` moves, the sources being tensors by number; None where it changes values, or is not known.

    >>> turn = Operator("TRANSPOSE", [0, 1], [2], {})
    >>> moved_by(turn, {0: (2, 3), 1: (2,), 2: (3, 2)}, {1: np.array([1, 0])}).moves[0].order
    (1, 0)
    """
    if operator.custom or operator.name not in _ATTRIBUTES or operator.options.get("fusedActivationFunction"):
        return None
    name, attributes = _ATTRIBUTES[operator.name]
    try:
        given = _values(operator, values)
        call = Call(
            name,
            [*(shapes[number] for number in operator.inputs), *[()] * (len(given) - len(operator.inputs))],
            [shapes[number] for number in operator.outputs],
            given,
            attributes(operator.options),
        )
    except (LookupError, TypeError):  # a setting that is missing, a tensor that is left out
        return None
    moved = movements.moved_by(call)
    if moved is None:
        return None
    return Moved(tuple(operator.inputs[place] for place in moved.sources), moved.moves)


def _values(operator: Operator, values: Mapping[int, Array]) -> list[Array | None]:
    """The known values of what TensorFlow's operator takes."""
    given = [values.get(number) for number in operator.inputs]
    if operator.name in _AXIS_IS_INPUT:
        given.append(np.array(operator.options["axis"]))
    begin = given[1] if operator.name == "STRIDED_SLICE" else None
    if begin is not None and given[2] is not None and operator.options.get("offset"):
        given[2] = begin + given[2]  # which are lengths then
    return given
