"""What each of LiteRT's operators that moves elements does to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import accumulate
from math import prod
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from layoutbridge.scanning.graphs.graph import Kind, Movement
from layoutbridge.scanning.graphs.movements import gathered, joined, taken, tiled
from layoutbridge.scanning.readers.tensorflow import arrays
from layoutbridge.scanning.readers.tflite.model import Operator

Array = NDArray[Any]
Shape = tuple[int, ...]


class Move(NamedTuple):
    """What an operator does to elements, for one of its outputs, as `Node` has it."""

    movement: Movement
    kind: Kind = "moves"
    order: tuple[int, ...] = ()


class Moved(NamedTuple):
    """The tensors whose elements are moved, by number, and a `Move` for each output."""

    sources: tuple[int, ...]
    moves: tuple[Move, ...]


class Call(NamedTuple):
    """An operator with its tensors' shapes, and the values of those that are known."""

    operator: Operator
    shapes: Mapping[int, Shape]
    values: Mapping[int, Array]

    @property
    def shape(self) -> Shape:
        """The first input's shape."""
        return self.shapes[self.operator.inputs[0]]

    @property
    def out_shapes(self) -> list[Shape]:
        """The outputs' shapes."""
        return [self.shapes[number] for number in self.operator.outputs]

    def value(self, position: int) -> list[Any]:
        """The known value of an input, as a list; raises `KeyError` where it is not known."""
        return list(self.values[self.operator.inputs[position]].ravel().tolist())

    def option(self, name: str) -> Any:
        """A setting."""
        return self.operator.options[name]

    def one(self, movement: Movement, kind: Kind = "moves", order: Shape = (), source: int = 0) -> Moved:
        """A movement of one input to the one output."""
        return Moved((self.operator.inputs[source],), (Move(movement, kind, order),))


Function = TypeVar("Function", bound=Callable[[Call], Moved | None])
_TABLE: dict[str, Callable[[Call], Moved | None]] = {}
_MIRRORED = ("reflect", "symmetric")


def moved_by(operator: Operator, shapes: Mapping[int, Shape], values: Mapping[int, Array]) -> Moved | None:
    """What `operator` moves; None where it changes values, or where this is not known.

    >>> turn = Operator("TRANSPOSE", [0, 1], [2], {})
    >>> moved_by(turn, {0: (2, 3), 1: (2,), 2: (3, 2)}, {1: np.array([1, 0])}).moves[0].order
    (1, 0)
    """
    function = _TABLE.get(operator.name)
    if function is None or operator.custom:
        return None
    try:
        made = function(Call(operator, shapes, values))
    except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError):  # a call of another form
        return None
    return made if made is not None and len(made.moves) == len(operator.outputs) else None


def _moves(*names: str) -> Callable[[Function], Function]:
    def register(function: Function) -> Function:
        _TABLE.update(dict.fromkeys(names, function))
        return function

    return register


@_moves("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
def _view(call: Call) -> Moved | None:
    (shape,) = call.out_shapes
    return call.one(partial(np.reshape, shape=shape), "view") if prod(shape) == prod(call.shape) else None


@_moves("TRANSPOSE")
def _transpose(call: Call) -> Moved:
    order = tuple(axis + len(call.shape) if axis < 0 else axis for axis in call.value(1))
    return call.one(partial(np.transpose, axes=order), "transpose", order)


@_moves("STRIDED_SLICE")
def _strided_slice(call: Call) -> Moved | None:
    names = {"begin": "beginMask", "end": "endMask", "ellipsis": "ellipsisMask", "new": "newAxisMask",
             "shrink": "shrinkAxisMask"}  # fmt: skip
    begin, end, strides = (call.value(position) for position in (1, 2, 3))
    if call.option("offset"):
        end = [first + length for first, length in zip(begin, end, strict=True)]
    masks = {name: call.option(option) for name, option in names.items()}
    return call.one(partial(arrays.indexed, index=arrays.strided_index(begin, end, strides, masks)))


@_moves("SLICE")
def _slice(call: Call) -> Moved:
    (shape,) = call.out_shapes
    index = tuple(slice(first, first + length) for first, length in zip(call.value(1), shape, strict=True))
    return call.one(partial(arrays.indexed, index=index))


@_moves("CONCATENATION")
def _concatenation(call: Call) -> Moved | None:
    if call.option("fusedActivationFunction"):
        return None
    return Moved(tuple(call.operator.inputs), (Move(partial(joined, axis=call.option("axis"))),))


@_moves("PACK")
def _pack(call: Call) -> Moved:
    return Moved(tuple(call.operator.inputs), (Move(partial(arrays.stacked, axis=call.option("axis"))),))


@_moves("UNPACK")
def _unpack(call: Call) -> Moved:
    axis = call.option("axis") % len(call.shape)
    before = tuple(slice(None) for _ in range(axis))
    places = [(*before, place) for place in range(len(call.operator.outputs))]
    return Moved((call.operator.inputs[0],), tuple(Move(partial(arrays.indexed, index=place)) for place in places))


@_moves("SPLIT")
def _split(call: Call) -> Moved:
    (axis,) = call.value(0)
    return _parts(call, 1, axis)


@_moves("SPLIT_V")
def _split_v(call: Call) -> Moved:
    (axis,) = call.value(2)
    return _parts(call, 0, axis)


def _parts(call: Call, source: int, axis: int) -> Moved:
    number = call.operator.inputs[source]
    axis %= len(call.shapes[number])
    ends = list(accumulate(shape[axis] for shape in call.out_shapes))
    before = tuple(slice(None) for _ in range(axis))
    places = [(*before, slice(start, end)) for start, end in zip((0, *ends), ends, strict=False)]
    return Moved((number,), tuple(Move(partial(arrays.indexed, index=place)) for place in places))


@_moves("GATHER")
def _gather(call: Call) -> Moved | None:
    if call.option("batchDims"):
        return None
    indices = call.values[call.operator.inputs[1]].astype(np.int64)
    return call.one(partial(taken, indices=indices, axis=call.option("axis")))


@_moves("GATHER_ND")
def _gather_nd(call: Call) -> Moved:
    return call.one(partial(gathered, indices=call.values[call.operator.inputs[1]].astype(np.int64), leading=0))


@_moves("SPACE_TO_DEPTH")
def _space_to_depth(call: Call) -> Moved:
    return call.one(partial(arrays.space_to_depth, block=call.option("blockSize")))


@_moves("DEPTH_TO_SPACE")
def _depth_to_space(call: Call) -> Moved:
    return call.one(partial(arrays.depth_to_space, block=call.option("blockSize")))


@_moves("SPACE_TO_BATCH_ND")
def _space_to_batch(call: Call) -> Moved | None:
    if any(call.value(2)):
        return None
    return call.one(partial(arrays.space_to_batch, blocks=call.value(1)))


@_moves("BATCH_TO_SPACE_ND")
def _batch_to_space(call: Call) -> Moved:
    crops = np.reshape(call.value(2), (-1, 2)).tolist()
    return call.one(partial(arrays.batch_to_space, blocks=call.value(1), crops=crops))


@_moves("REVERSE_V2")
def _reverse(call: Call) -> Moved:
    return call.one(partial(np.flip, axis=tuple(call.value(1))))


@_moves("TILE")
def _tile(call: Call) -> Moved:
    return call.one(partial(tiled, repeats=tuple(call.value(1))))


@_moves("BROADCAST_TO")
def _broadcast(call: Call) -> Moved:
    return call.one(partial(np.broadcast_to, shape=call.out_shapes[0]))


@_moves("RESIZE_NEAREST_NEIGHBOR")
def _resize(call: Call) -> Moved | None:
    pairs = list(zip(call.shape[1:3], call.out_shapes[0][1:3], strict=True))
    if call.option("alignCorners") or any(after % before for before, after in pairs):
        return None
    factors = tuple(after // before for before, after in pairs)
    return call.one(partial(arrays.repeated, factors=factors, first_axis=1))


@_moves("MIRROR_PAD")
def _mirror_pad(call: Call) -> Moved:
    widths = np.reshape(call.value(1), (-1, 2)).tolist()
    return call.one(partial(arrays.mirrored, widths=widths, mode=_MIRRORED[call.option("mode")]))
