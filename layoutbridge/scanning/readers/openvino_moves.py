"""The operations of OpenVINO that move elements: what they do to arrays.

After OpenVINO's own operation specifications. Operands beside the data are constant here: the reader folds what only
depends on shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from operator import methodcaller
from types import EllipsisType, MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.operations.catalog import op
from layoutbridge.scanning.graphs.graph import Kind, Movement
from layoutbridge.scanning.graphs.movements import einsum_order, joined, patches, sliced

Shape = tuple[int, ...]
Place = slice | int | EllipsisType | None


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation at numbers for all sizes: `constants` are the operands whose values are known, None for others."""

    kind: str
    attributes: Mapping[str, Any]
    inputs: tuple[Shape, ...]
    constants: tuple[NDArray[Any] | None, ...]
    outputs: tuple[Shape, ...]

    def numbers(self, place: int) -> list[int]:
        """The whole numbers of an operand; raises `UnknownOperandError` where they are not known."""
        values = self.constants[place] if place < len(self.constants) else None
        if values is None:
            raise UnknownOperandError(self.kind)
        return [int(value) for value in np.ravel(values)]

    def axis(self, place: int) -> int:
        """The axis that an operand tells, counted from the front."""
        return self.from_front(self.numbers(place)[0])

    def from_front(self, axis: int) -> int:
        """The number of an axis of the data, counted from the front."""
        return axis + len(self.inputs[0]) if axis < 0 else axis


class UnknownOperandError(Exception):
    """What an operation does depends on values."""


@dataclass(frozen=True, slots=True)
class Move:
    """What an operation does for one of its outputs; it reads the first `reads` inputs."""

    movement: Movement
    kind: Kind = "moves"
    order: tuple[int, ...] = ()
    reads: int = 1


def _whole(axes: int) -> list[slice]:
    return [slice(None)] * axes


def _cut(places: Sequence[Place]) -> Move:
    return Move(partial(sliced, places=tuple(places)))  # type: ignore[arg-type]  # NumPy takes any of them


# ---------------------------------------------------------------------- views and transposes


def _view(operation: Operation) -> list[Move]:
    return [Move(methodcaller("reshape", operation.outputs[0]), "view")]


def _turned(order: Sequence[int]) -> Move:
    return Move(methodcaller("transpose", tuple(order)), "transpose", tuple(order))


def _transpose(operation: Operation) -> list[Move]:
    axes = len(operation.inputs[0])
    order = [operation.from_front(axis) for axis in operation.numbers(1)]
    return [_turned(order or range(axes)[::-1])]


def _einsum(operation: Operation) -> list[Move] | None:
    """One that only has axes change places."""
    order = einsum_order(str(operation.attributes.get("equation", "")))
    return None if order is None or len(operation.inputs) != 1 else [_turned(list(order))]


# ---------------------------------------------------------------------- parts


def _strided_slice(operation: Operation) -> list[Move]:
    begins, ends = operation.numbers(1), operation.numbers(2)
    steps = operation.numbers(3) if len(operation.inputs) > 3 else [1] * len(begins)
    masks = {
        name: [int(bit) for bit in operation.attributes.get(f"{name}_mask") or ()]
        for name in ("begin", "end", "new_axis", "shrink_axis", "ellipsis")
    }

    def is_on(name: str, place: int) -> bool:
        return place < len(masks[name]) and masks[name][place] == 1

    places: list[Place] = []
    for place, (begin, end, step) in enumerate(zip(begins, ends, steps, strict=True)):
        if is_on("ellipsis", place):
            places.append(...)
        elif is_on("new_axis", place):
            places.append(None)
        elif is_on("shrink_axis", place):
            places.append(0 if is_on("begin", place) else begin)
        else:
            start = None if is_on("begin", place) else begin
            places.append(slice(start, None if is_on("end", place) else end, step))
    if prod(operation.inputs[0]) == prod(operation.outputs[0]) and all(step > 0 for step in steps):
        return _view(operation)
    return [_cut(places)]


def _slice(operation: Operation) -> list[Move]:
    starts, stops, steps = (operation.numbers(place) for place in (1, 2, 3))
    axes = operation.numbers(4) if len(operation.inputs) > 4 else range(len(starts))
    places = _whole(len(operation.inputs[0]))
    for axis, start, stop, step in zip(axes, starts, stops, steps, strict=True):
        places[operation.from_front(axis)] = slice(start, stop, step)
    return [_cut(places)]


def _split(operation: Operation) -> list[Move]:
    axis = operation.axis(1)
    moves, begin = [], 0
    for shape in operation.outputs:
        places = _whole(len(shape))
        places[axis] = slice(begin, begin + shape[axis])
        begin += shape[axis]
        moves.append(_cut(places))
    return moves


def _gather(operation: Operation) -> list[Move] | None:
    axis = operation.axis(2)
    indices = operation.constants[1]
    if indices is None or int(operation.attributes.get("batch_dims", 0)) != 0:
        return None
    length = operation.inputs[0][axis]
    if indices.size and (indices.min() < -length or indices.max() >= length):
        return None  # zeros stand for places that are not there
    return [Move(partial(np.take, indices=np.asarray(indices, np.int64), axis=axis))]


def _reverse(operation: Operation) -> list[Move]:
    numbers = operation.numbers(1)
    if operation.attributes.get("mode") == "mask":
        chosen = {axis for axis, is_on in enumerate(numbers) if is_on}
    else:
        chosen = {operation.from_front(axis) for axis in numbers}
    return [_cut([slice(None, None, -1 if axis in chosen else 1) for axis in range(len(operation.inputs[0]))])]


# ---------------------------------------------------------------------- joined and repeated


def _concat(operation: Operation) -> list[Move]:
    axis = operation.from_front(int(operation.attributes["axis"]))
    return [Move(partial(joined, axis=axis), "join", (axis,), reads=len(operation.inputs))]


def _tile(operation: Operation) -> list[Move]:
    return [Move(partial(np.tile, reps=tuple(operation.numbers(1))))]


def _broadcast(operation: Operation) -> list[Move]:
    data, shape = operation.inputs[0], operation.outputs[0]
    seen = data
    if str(operation.attributes.get("mode")) == "explicit":
        axes = operation.numbers(2)
        lengths = dict(zip(axes, data, strict=True))
        seen = tuple(lengths.get(axis, 1) for axis in range(len(shape)))
    if prod(data) == prod(shape):
        return _view(operation)
    return [Move(partial(_repeated, seen=seen, shape=shape))]


def _repeated(x: NDArray[Any], *, seen: Shape, shape: Shape) -> NDArray[Any]:
    return np.broadcast_to(x.reshape(seen), shape)


def _roll(operation: Operation) -> list[Move]:
    axes = [operation.from_front(axis) for axis in operation.numbers(2)]
    shifts = operation.numbers(1)
    return [Move(partial(np.roll, shift=tuple(shifts * len(axes) if len(shifts) == 1 else shifts), axis=tuple(axes)))]


# ---------------------------------------------------------------------- blocks and channels


def _blocks(apart: Shape, order: Sequence[int], shape: Shape) -> Move:
    return Move(partial(_in_blocks, apart=apart, order=tuple(order), shape=shape))


def _in_blocks(x: NDArray[Any], *, apart: Shape, order: tuple[int, ...], shape: Shape) -> NDArray[Any]:
    return x.reshape(apart).transpose(order).reshape(shape)


def _depth_to_space(operation: Operation) -> list[Move]:
    batch, _, *places = operation.inputs[0]
    channels, size, count = operation.outputs[0][1], int(operation.attributes["block_size"]), len(places)
    blocks = (size,) * count
    if operation.attributes["mode"] == "blocks_first":
        apart = (batch, *blocks, channels, *places)
        order = [0, count + 1, *(axis for k in range(count) for axis in (count + 2 + k, 1 + k))]
    else:
        apart = (batch, channels, *blocks, *places)
        order = [0, 1, *(axis for k in range(count) for axis in (count + 2 + k, 2 + k))]
    return [_blocks(apart, order, operation.outputs[0])]


def _space_to_depth(operation: Operation) -> list[Move]:
    batch, channels, *places = operation.inputs[0]
    size = int(operation.attributes["block_size"])
    apart = (batch, channels, *(length for place in places for length in (place // size, size)))
    rows, within = range(2, len(apart), 2), range(3, len(apart), 2)
    order = [0, *within, 1, *rows] if operation.attributes["mode"] == "blocks_first" else [0, 1, *within, *rows]
    return [_blocks(apart, order, operation.outputs[0])]


def _shuffle_channels(operation: Operation) -> list[Move]:
    shape = operation.inputs[0]
    axis, groups = operation.from_front(int(operation.attributes["axis"])), int(operation.attributes["group"])
    apart = (prod(shape[:axis]), groups, shape[axis] // groups, prod(shape[axis + 1 :]))
    return [_blocks(apart, (0, 2, 1, 3), shape)]


def _space_to_batch(operation: Operation) -> list[Move] | None:
    blocks = operation.numbers(1)
    if any(operation.numbers(2)) or any(operation.numbers(3)):
        return None  # pads add zeros
    shape = operation.inputs[0]
    apart = tuple(length for place, size in zip(shape, blocks, strict=True) for length in (place // size, size))
    return [_blocks(apart, (*range(1, len(apart), 2), *range(0, len(apart), 2)), operation.outputs[0])]


def _batch_to_space(operation: Operation) -> list[Move] | None:
    blocks = operation.numbers(1)
    if any(operation.numbers(2)) or any(operation.numbers(3)):
        return None
    batch, *places = operation.inputs[0]
    count = len(blocks)
    apart = (*blocks, batch // prod(blocks), *places)
    order = [axis for k in range(count) for axis in (count + k, k)]
    return [_blocks(apart, order, operation.outputs[0])]


def _reorg_yolo(operation: Operation) -> list[Move] | None:
    steps = {int(step) for step in np.ravel(operation.attributes["stride"])}
    if len(steps) != 1:
        return None
    return [Move(partial(_viewed_after, movement=op("darknet_reorg", stride=steps.pop()), shape=operation.outputs[0]))]


def _viewed_after(x: NDArray[Any], *, movement: Movement, shape: Shape) -> NDArray[Any]:
    return movement(x).reshape(shape)


def _image_patches(operation: Operation) -> list[Move] | None:
    sizes, strides, rates = ([int(n) for n in operation.attributes[name]] for name in ("sizes", "strides", "rates"))
    counts = operation.outputs[0][2:]
    for length, size, stride, rate, count in zip(operation.inputs[0][2:], sizes, strides, rates, counts, strict=True):
        if (count - 1) * stride + (size - 1) * rate + 1 > length:
            return None  # pads add zeros
    cut = partial(patches, kernel=sizes, stride=strides, dilation=rates)
    return [Move(partial(_patches_first, cut=cut, places=prod(sizes), shape=operation.outputs[0]))]


def _patches_first(x: NDArray[Any], *, cut: Movement, places: int, shape: Shape) -> NDArray[Any]:
    """Places of a patch before channels, where `cut` has them behind."""
    batch, channels = x.shape[:2]
    return cut(x).reshape(batch, channels, places, -1).swapaxes(1, 2).reshape(shape)


MOVES: Mapping[str, Callable[[Operation], list[Move] | None]] = MappingProxyType(
    {
        "BatchToSpace": _batch_to_space,
        "Broadcast": _broadcast,
        "Concat": _concat,
        "DepthToSpace": _depth_to_space,
        "Einsum": _einsum,
        "ExtractImagePatches": _image_patches,
        "Gather": _gather,
        "Identity": _view,
        "ReorgYolo": _reorg_yolo,
        "Reshape": _view,
        "Reverse": _reverse,
        "Roll": _roll,
        "ShuffleChannels": _shuffle_channels,
        "Slice": _slice,
        "SpaceToBatch": _space_to_batch,
        "SpaceToDepth": _space_to_depth,
        "Split": _split,
        "Squeeze": _view,
        "StridedSlice": _strided_slice,
        "Tile": _tile,
        "Transpose": _transpose,
        "Unsqueeze": _view,
        "VariadicSplit": _split,
    }
)
