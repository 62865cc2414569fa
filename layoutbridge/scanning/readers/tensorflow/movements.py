"""What each of TensorFlow's operators that moves elements does to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from math import prod
from operator import methodcaller
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.frameworks.tensorflow.data_formats import LAYOUTS, in_layout
from layoutbridge.operations.catalog import op
from layoutbridge.scanning.graphs.graph import Kind, Move, Movement
from layoutbridge.scanning.graphs.movements import einsum_order, gathered, joined, padded, repeated, sliced, stacked
from layoutbridge.scanning.readers.tensorflow import arrays

Array = NDArray[Any]
Shape = tuple[int, ...]


class Moved(NamedTuple):
    """Which of an operator's inputs hold the elements that it moves, and a `Move` for each output."""

    sources: tuple[int, ...]
    moves: tuple[Move, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """An operator with the shapes of its inputs and outputs, and the values of the inputs that are known."""

    operator: str
    shapes: Sequence[Shape]
    out_shapes: Sequence[Shape]
    values: Sequence[Array | None]
    attributes: Mapping[str, Any]

    def value(self, position: int) -> list[Any]:
        """The known value of an input, as a list; raises `LookupError` where it is not known."""
        held = self.values[position]
        if held is None:
            raise LookupError(position)
        return list(held.ravel().tolist())

    def one(self, movement: Movement, kind: Kind = "moves", order: Shape = ()) -> Moved:
        """A movement of the first input to the one output."""
        return Moved((0,), (Move(movement, kind, order),))


Function = TypeVar("Function", bound=Callable[[Call], Moved | None])
_TABLE: dict[str, Callable[[Call], Moved | None]] = {}
_MASKS = {"begin": "begin_mask", "end": "end_mask", "ellipsis": "ellipsis_mask", "new": "new_axis_mask",
          "shrink": "shrink_axis_mask"}  # fmt: skip


def moved_by(call: Call) -> Moved | None:
    """What `call` moves; None where it changes values, or where this is not known.

    >>> call = Call("Transpose", [(2, 3), (2,)], [(3, 2)], [None, np.array([1, 0])], {})
    >>> moved_by(call).moves[0].order
    (1, 0)
    """
    function = _TABLE.get(call.operator)
    if function is None:
        return None
    try:
        made = function(call)
    except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError):  # a call of another form
        return None
    return made if made is not None and len(made.moves) == len(call.out_shapes) else None


def _moves(*names: str) -> Callable[[Function], Function]:
    def register(function: Function) -> Function:
        _TABLE.update(dict.fromkeys(names, function))
        return function

    return register


@_moves("Reshape", "Squeeze", "ExpandDims", "Identity", "StopGradient", "PreventGradient", "EnsureShape", "Snapshot")
def _view(call: Call) -> Moved | None:
    (shape,) = call.out_shapes
    return call.one(methodcaller("reshape", shape), "view") if prod(shape) == prod(call.shapes[0]) else None


@_moves("Transpose")
def _transpose(call: Call) -> Moved:
    order = tuple(axis + len(call.shapes[0]) if axis < 0 else axis for axis in call.value(1))
    return call.one(partial(np.transpose, axes=order), "transpose", order)


@_moves("Einsum")
def _einsum(call: Call) -> Moved | None:
    order = einsum_order(call.attributes["equation"].decode())
    if order is None or len(call.shapes) != 1:
        return None
    return call.one(partial(np.transpose, axes=order), "transpose", order)


@_moves("StridedSlice")
def _strided_slice(call: Call) -> Moved:
    begin, end, strides = (call.value(position) for position in (1, 2, 3))
    masks = {name: int(call.attributes[attribute]) for name, attribute in _MASKS.items()}
    return call.one(partial(sliced, places=arrays.strided_index(begin, end, strides, masks)))


@_moves("Slice")
def _slice(call: Call) -> Moved:
    (shape,) = call.out_shapes
    index = tuple(slice(first, first + length) for first, length in zip(call.value(1), shape, strict=True))
    return call.one(partial(sliced, places=index))


@_moves("ConcatV2")
def _concat(call: Call) -> Moved:
    count = len(call.shapes) - 1
    (axis,) = call.value(count)
    return Moved(tuple(range(count)), (Move(partial(joined, axis=axis), "join", (int(axis),)),))


@_moves("Pack")
def _pack(call: Call) -> Moved:
    axis = int(call.attributes["axis"])
    return Moved(tuple(range(len(call.shapes))), (Move(partial(stacked, axis=axis), "join", (axis,)),))


@_moves("Unpack")
def _unpack(call: Call) -> Moved:
    axis = int(call.attributes["axis"]) % len(call.shapes[0])
    before = tuple(slice(None) for _ in range(axis))
    places = [(*before, place) for place in range(len(call.out_shapes))]
    return Moved((0,), tuple(Move(partial(sliced, places=place)) for place in places))


@_moves("Split")
def _split(call: Call) -> Moved:
    (axis,) = call.value(0)
    return _parts(call, 1, axis)


@_moves("SplitV")
def _split_v(call: Call) -> Moved:
    (axis,) = call.value(2)
    return _parts(call, 0, axis)


def _parts(call: Call, source: int, axis: int) -> Moved:
    axis %= len(call.shapes[source])
    ends = list(accumulate(shape[axis] for shape in call.out_shapes))
    before = tuple(slice(None) for _ in range(axis))
    places = [(*before, slice(start, end)) for start, end in zip((0, *ends), ends, strict=False)]
    return Moved((source,), tuple(Move(partial(sliced, places=place)) for place in places))


@_moves("GatherV2")
def _gather(call: Call) -> Moved | None:
    indices = call.values[1]
    (axis,) = call.value(2)
    if indices is None or call.attributes.get("batch_dims"):
        return None
    return call.one(partial(np.take, indices=indices.astype(np.int64), axis=axis))


@_moves("GatherNd")
def _gather_nd(call: Call) -> Moved | None:
    indices = call.values[1]
    return None if indices is None else call.one(partial(gathered, indices=indices.astype(np.int64), leading=0))


@_moves("Tile")
def _tile(call: Call) -> Moved:
    return call.one(partial(np.tile, reps=tuple(call.value(1))))


@_moves("BroadcastTo")
def _broadcast(call: Call) -> Moved:
    (shape,) = call.out_shapes
    return _view(call) or call.one(partial(np.broadcast_to, shape=shape))


@_moves("ReverseV2")
def _reverse_v2(call: Call) -> Moved:
    return call.one(partial(np.flip, axis=tuple(call.value(1))))


@_moves("Reverse")
def _reverse(call: Call) -> Moved:
    return call.one(partial(np.flip, axis=tuple(axis for axis, turned in enumerate(call.value(1)) if turned)))


@_moves("Roll")
def _roll(call: Call) -> Moved:
    return call.one(partial(np.roll, shift=tuple(call.value(1)), axis=tuple(call.value(2))))


@_moves("SpaceToDepth")
def _space_to_depth(call: Call) -> Moved:
    return call.one(_of_blocks("space_to_depth", call))


@_moves("DepthToSpace")
def _depth_to_space(call: Call) -> Moved:
    return call.one(_of_blocks("depth_to_space", call))


def _of_blocks(name: str, call: Call) -> Rearrangement:
    formats = {layout: data_format for data_format, layout in LAYOUTS.items()}
    data_format = formats[call.attributes["data_format"].decode()]
    return in_layout(op(name, stride=int(call.attributes["block_size"])), data_format)


@_moves("SpaceToBatchND")
def _space_to_batch(call: Call) -> Moved | None:
    return None if any(call.value(2)) else call.one(partial(arrays.space_to_batch, blocks=call.value(1)))


@_moves("BatchToSpaceND")
def _batch_to_space(call: Call) -> Moved:
    crops = np.reshape(call.value(2), (-1, 2)).tolist()
    return call.one(partial(arrays.batch_to_space, blocks=call.value(1), crops=crops))


@_moves("ExtractImagePatches")
def _patches(call: Call) -> Moved | None:
    names = {"sizes": "ksizes", "strides": "strides", "rates": "rates"}
    settings: dict[str, Any] = {
        name: [int(n) for n in call.attributes[attribute]][1:3] for name, attribute in names.items()
    }
    lengths = zip(call.shapes[0][1:3], call.out_shapes[0][1:3], *settings.values(), strict=True)
    inside = all((size - 1) * rate + (count - 1) * step < length for length, count, size, step, rate in lengths)
    if not inside or call.attributes["padding"] != b"VALID":
        return None
    return call.one(partial(arrays.image_patches, **settings))


@_moves("ResizeNearestNeighbor")
def _resize(call: Call) -> Moved | None:
    pairs = list(zip(call.shapes[0][1:3], call.out_shapes[0][1:3], strict=True))
    if call.attributes.get("align_corners") or any(after % before for before, after in pairs):
        return None
    factors = tuple(after // before for before, after in pairs)
    return call.one(partial(repeated, factors=factors, first_axis=1))


@_moves("MirrorPad")
def _mirror_pad(call: Call) -> Moved:
    widths = np.reshape(call.value(1), (-1, 2)).tolist()
    return call.one(partial(padded, widths=widths, mode=call.attributes["mode"].decode().lower()))
