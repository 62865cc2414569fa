"""The layers of ncnn that move elements: the shapes that they give, and what they do to arrays.

After ncnn's src/layer. A blob's axes are [C, D, H, W], [C, H, W], [H, W] or [W]; ncnn's own numbers have the innermost
first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from operator import methodcaller
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.errors import shown
from layoutbridge.scanning.graphs.graph import Kind, Movement
from layoutbridge.scanning.graphs.movements import joined, patches, sliced
from layoutbridge.scanning.readers.ncnn_formulas import AXES, lengths_of
from layoutbridge.scanning.readers.ncnn_param import ABSENT, Layer, MisfitError

Shape = tuple[int, ...]
_KEYS = {"w": 0, "h": 1, "c": 2, "d": 11}  # of a length in Reshape, Squeeze and Input
_FOUR = (
    "whdc hwdc wdhc dwhc hdwc dhwc whcd hwcd wchd cwhd hcwd chwd "
    "wdch dwch wcdh cwdh dcwh cdwh hdcw dhcw hcdw chdw dchw cdhw"
)
_ORDERS: Mapping[int, tuple[str, ...]] = MappingProxyType(  # of Permute, by the number of axes, innermost first
    {
        1: ("w",) * 24,
        2: ("wh", "hw"),
        3: ("whc", "hwc", "wch", "cwh", "hcw", "chw"),
        4: tuple(_FOUR.split()),
    }
)


@dataclass(frozen=True, slots=True)
class Move:
    """What a layer does for one of its outputs; `reads` are the places of the inputs whose elements it has."""

    shape: Shape
    movement: Movement
    kind: Kind = "moves"
    order: tuple[int, ...] = ()
    reads: tuple[int, ...] = (0,)


def viewed(shape: Shape) -> Move:
    """The same elements in the same flat order."""
    return Move(shape, methodcaller("reshape", shape), "view")


def _turned(shape: Shape, order: tuple[int, ...]) -> Move:
    if order == tuple(range(len(order))):
        return viewed(shape)
    result = tuple(shape[axis] for axis in order)
    return Move(result, methodcaller("transpose", order), "transpose", order)


def _cut(shape: Shape, places: Sequence[slice]) -> Move:
    result = tuple(len(range(*place.indices(length))) for place, length in zip(places, shape, strict=True))
    return Move(result, partial(sliced, places=tuple(places)))


def axis_of(axis: int, axes: int) -> int:
    """The number of an axis, counted from the end where it is below 0."""
    found = axis + axes if axis < 0 else axis
    if not 0 <= found < axes:
        raise MisfitError(f"it has axis {axis}, and its input {axes} axes")
    return found


# ---------------------------------------------------------------------- views and transposes


def _aliases(layer: Layer, shapes: Sequence[Shape]) -> list[Move]:
    return [viewed(shapes[0]) for _ in layer.outputs]


def _each(layer: Layer, shapes: Sequence[Shape]) -> list[Move]:
    return [
        Move(shape, methodcaller("reshape", shape), "view", reads=(place,))
        for place, shape in zip(range(len(layer.outputs)), shapes, strict=False)
    ]


def _flatten(_: Layer, shapes: Sequence[Shape]) -> list[Move]:
    return [viewed((prod(shapes[0]),))]


def _reshape(layer: Layer, shapes: Sequence[Shape]) -> list[Move]:
    shape = shapes[0]
    result = _completed(_asked_shape(layer, shapes), shape)
    if layer.whole(3) == 1:  # of older versions: both sides with their channels last
        return [_channels_last_view(shape, result)]
    return [viewed(result)]


def _asked_shape(layer: Layer, shapes: Sequence[Shape]) -> Shape:
    if layer.text(6):
        asked = lengths_of(layer.text(6), shapes)[::-1]
    else:
        given = {axis: layer.whole(key, ABSENT) for axis, key in _KEYS.items()}
        count = 0
        for axes, axis in ((1, "w"), (2, "h"), (3, "c"), (4, "d")):
            if given[axis] == ABSENT:
                break
            count = axes
        asked = tuple(given[axis] for axis in AXES.get(count, ""))
    if not 1 <= len(asked) <= 4:
        raise MisfitError(f"it asks for {len(asked)} axes: 1 to 4 are ncnn's")
    return asked


def _completed(asked: Shape, shape: Shape) -> Shape:
    """0 stands for the input's length on the axis of that letter, -1 for what remains."""
    lengths = dict(zip(AXES[len(shape)], shape, strict=True))
    known = [
        lengths.get(axis, 1) if length == 0 else length for axis, length in zip(AXES[len(asked)], asked, strict=True)
    ]
    rest = prod(length for length in known if length != -1)
    if known.count(-1) == 1 and rest > 0 and prod(shape) % rest == 0:
        known[known.index(-1)] = prod(shape) // rest
    if any(length < 1 for length in known) or prod(known) != prod(shape):
        raise MisfitError(f"{list(asked)} has not the {prod(shape)} elements of {list(shape)}")
    return tuple(known)


def _channels_last_view(shape: Shape, result: Shape) -> Move:
    last = tuple(result[axis] for axis in (*range(1, len(result)), 0))
    return Move(result, partial(_through_channels_last, shape=last))


def _through_channels_last(x: NDArray[Any], *, shape: Shape) -> NDArray[Any]:
    return np.moveaxis(np.moveaxis(x, 0, -1).reshape(shape), -1, 0)


def _squeeze(layer: Layer, shapes: Sequence[Shape]) -> list[Move]:
    shape = shapes[0]
    axes = layer.wholes(3)
    if axes:
        chosen = {axis_of(axis, len(shape)) for axis in axes}
    else:
        chosen = {place for place, axis in enumerate(AXES[len(shape)]) if layer.whole(_KEYS[axis])}
    kept = tuple(length for axis, length in enumerate(shape) if length != 1 or axis not in chosen)
    return [viewed(kept or (1,))]


def _expand_dims(layer: Layer, shapes: Sequence[Shape]) -> list[Move]:
    shape, axes = shapes[0], layer.wholes(3)
    count = len(shape) + len(axes)
    if count > 4:
        raise MisfitError(f"it makes {count} axes: ncnn has 4 at most")
    ones = {axis_of(axis, count) for axis in axes}
    if len(ones) != len(axes):
        raise MisfitError(f"its axes {list(axes)} are not all different")
    lengths = iter(shape)
    return [viewed(tuple(1 if axis in ones else next(lengths) for axis in range(count)))]


def _permute(layer: Layer, shapes: Sequence[Shape]) -> list[Move]:
    shape, number = shapes[0], layer.whole(0)
    orders = _ORDERS[len(shape)]
    if not 0 <= number < len(orders):
        raise MisfitError(f"it has order {number}, and ncnn {len(orders)} of {len(shape)} axes")
    return [_turned(shape, tuple(AXES[len(shape)].index(axis) for axis in reversed(orders[number])))]


# ---------------------------------------------------------------------- blocks and channels


def _three(shape: Shape) -> Shape:
    """[C, H, W], with 1 for axes that a blob has not."""
    if len(shape) > 3:
        raise MisfitError(f"{list(shape)} has {len(shape)} axes: 3 at most fit")
    return (1,) * (3 - len(shape)) + shape


def _in_blocks(x: NDArray[Any], *, apart: Shape, order: tuple[int, ...], shape: Shape) -> NDArray[Any]:
    return x.reshape(apart).transpose(order).reshape(shape)


def _pixel_shuffle(layer: Layer, shapes: Sequence[Shape]) -> list[Move]:
    channels, rows, columns = _three(shapes[0])
    size = _positive(layer.whole(0, 1), "factor")
    if channels % size**2:
        raise MisfitError(f"{channels} channels are no multiple of {size}²")
    left = channels // size**2
    result = (left, rows * size, columns * size)
    if layer.whole(1) == 0:
        apart, order = (left, size, size, rows, columns), (0, 3, 1, 4, 2)
    else:
        apart, order = (size, size, left, rows, columns), (2, 3, 0, 4, 1)
    return [Move(result, partial(_in_blocks, apart=apart, order=order, shape=result))]


def _reorg(layer: Layer, shapes: Sequence[Shape]) -> list[Move]:
    order = (0, 2, 4, 1, 3) if layer.whole(1) == 0 else (2, 4, 0, 1, 3)
    return [_blocks_to_channels(_three(shapes[0]), _positive(layer.whole(0, 1), "stride"), order)]


def _focus(_: Layer, shapes: Sequence[Shape]) -> list[Move]:
    """A layer of programs, not of ncnn's own: that of its examples, yolov5.cpp and yolox.cpp."""
    shape = _three(shapes[0])
    if shape[2] % 2:
        raise MisfitError(f"its input {list(shape)} has an odd width")
    return [_blocks_to_channels(shape, 2, (4, 2, 0, 1, 3))]


def _blocks_to_channels(shape: Shape, size: int, order: tuple[int, ...]) -> Move:
    """Each block's places as channels, rows and columns behind the last whole block left out.

    `order` is that of channels, blocks down, rows, blocks across and columns.
    """
    channels, rows, columns = shape
    down, across = rows // size, columns // size
    if not down or not across:
        raise MisfitError(f"blocks of {size} do not fit into {rows} × {columns}")
    result = (channels * size**2, down, across)
    move = partial(
        _blocks_apart,
        places=(slice(None), slice(down * size), slice(across * size)),
        shape=shape,
        apart=(channels, down, size, across, size),
        order=order,
        result=result,
    )
    return Move(result, move)


def _blocks_apart(
    x: NDArray[Any],
    *,
    places: tuple[slice, ...],
    shape: Shape,
    apart: Shape,
    order: tuple[int, ...],
    result: Shape,
) -> NDArray[Any]:
    return _in_blocks(sliced(x.reshape(shape), places=places), apart=apart, order=order, shape=result)


def _shuffle_channel(layer: Layer, shapes: Sequence[Shape]) -> list[Move]:
    shape = shapes[0]
    channels = shape[0] if len(shape) > 2 else 1
    groups = _positive(layer.whole(0, 1), "group")
    if channels % groups:
        raise MisfitError(f"{channels} channels are no multiple of {groups} groups")
    first = channels // groups if layer.whole(1) else groups
    apart = (first, channels // first, prod(shape) // channels)
    return [Move(shape, partial(_in_blocks, apart=apart, order=(1, 0, 2), shape=shape))]


def _positive(number: int, what: str) -> int:
    if not 0 < number < 1 << 16:
        raise MisfitError(f"its {what} is {number}")
    return number


# ---------------------------------------------------------------------- parts, and parts side by side


def _slice(layer: Layer, shapes: Sequence[Shape]) -> list[Move]:
    shape = shapes[0]
    axis = 0 if len(shape) == 1 else axis_of(layer.whole(1), len(shape))
    moves, begin = [], 0
    for number in range(len(layer.outputs)):
        end = begin + _slice_length(layer, number, begin, shape[axis])
        if not begin < end <= shape[axis]:
            raise MisfitError(f"it takes {begin} to {end} of {shape[axis]}")
        moves.append(_cut(shape, [slice(begin, end) if k == axis else slice(None) for k in range(len(shape))]))
        begin = end
    return moves


def _slice_length(layer: Layer, number: int, begin: int, length: int) -> int:
    indices, sizes, count = layer.wholes(2), layer.wholes(0), len(layer.outputs)
    if indices:
        if number == count - 1:
            return length - begin
        if number < len(indices):
            return (indices[number] + length if indices[number] < 0 else indices[number]) - begin
    elif number < len(sizes):
        return (length - begin) // (count - number) if sizes[number] == ABSENT else sizes[number]
    raise MisfitError(f"it has {count} outputs, and lengths of {len(indices or sizes)}")


def _crop(layer: Layer, shapes: Sequence[Shape]) -> list[Move] | None:
    shape = shapes[0]
    starts, ends, axes = _crop_numbers(layer, shapes)
    if starts and ends:
        places = _places_of(starts, ends, axes, shape)
    elif len(shapes) > 1:
        if layer.whole(0) == ABSENT:
            return None  # the second blob's values say where
        places = _places_like(layer, shape, shapes[1])
    else:
        places = _places_given(layer, shape)
    for (start, end), length in zip(places, shape, strict=True):
        if not 0 <= start < end <= length:
            raise MisfitError(f"it takes {start} to {end} of {length}")
    return [_cut(shape, [slice(start, end) for start, end in places])]


def _crop_numbers(layer: Layer, shapes: Sequence[Shape]) -> tuple[Shape, Shape, Shape]:
    if not (layer.text(19) and layer.text(20)):
        return layer.wholes(9), layer.wholes(10), layer.wholes(11)
    starts, ends = lengths_of(layer.text(19), shapes), lengths_of(layer.text(20), shapes)
    return starts, ends, lengths_of(layer.text(21), shapes) if layer.text(21) else ()


def _places_of(starts: Shape, ends: Shape, axes: Shape, shape: Shape) -> list[tuple[int, int]]:
    places = [(0, length) for length in shape]
    chosen = [axis_of(axis, len(shape)) for axis in axes] or list(range(len(shape)))
    if len(starts) < len(chosen) or len(ends) < len(chosen):
        raise MisfitError(f"it has {len(starts)} starts and {len(ends)} ends of {len(chosen)} axes")
    for axis, start, end in zip(chosen, starts, ends, strict=False):
        length = shape[axis]
        begin = 0 if start == ABSENT else start
        stop = length if end == ABSENT else end
        places[axis] = (begin + length if begin < 0 else begin, min(length, stop if stop > 0 else stop + length))
    return places


_OFFSETS = {"w": 0, "h": 1, "c": 2, "d": 13}
_LENGTHS = {"w": 3, "h": 4, "c": 5, "d": 14}
_ENDS = {"w": 6, "h": 7, "c": 8, "d": 15}


def _places_given(layer: Layer, shape: Shape) -> list[tuple[int, int]]:
    places = []
    for axis, length in zip(AXES[len(shape)], shape, strict=True):
        start = layer.whole(_OFFSETS[axis])
        most = length - start - layer.whole(_ENDS[axis])
        asked = layer.whole(_LENGTHS[axis])
        places.append((start, start + (most if asked == ABSENT else min(asked, most))))
    return places


def _places_like(layer: Layer, shape: Shape, reference: Shape) -> list[tuple[int, int]]:
    lengths = dict(zip(AXES[len(reference)], reference, strict=True))
    places = []
    for number, (axis, length) in enumerate(zip(AXES[len(shape)], shape, strict=True)):
        start = layer.whole(_OFFSETS[axis])
        whole = number == 0 and len(shape) > 2 and len(reference) != len(shape)
        places.append((start, start + (length if whole else lengths.get(axis, 1))))
    return places


def _concat(layer: Layer, shapes: Sequence[Shape]) -> list[Move]:
    first = shapes[0]
    axis = 0 if len(first) == 1 else axis_of(layer.whole(0), len(first))
    rest = {(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}
    if len(rest) > 1 or any(len(shape) != len(first) for shape in shapes):
        raise MisfitError(f"{shown([list(shape) for shape in shapes])} do not join on axis {axis}")
    result = (*first[:axis], sum(shape[axis] for shape in shapes), *first[axis + 1 :])
    return [Move(result, partial(joined, axis=axis), "join", (axis,), reads=tuple(range(len(shapes))))]


def _flip(layer: Layer, shapes: Sequence[Shape]) -> list[Move]:
    chosen = {axis_of(axis, len(shapes[0])) for axis in layer.wholes(0)}
    return [_cut(shapes[0], [slice(None, None, -1 if axis in chosen else 1) for axis in range(len(shapes[0]))])]


def _tile(layer: Layer, shapes: Sequence[Shape]) -> list[Move]:
    shape, repeats = shapes[0], layer.wholes(2)
    if not repeats:
        axis = 0 if len(shape) == 1 else axis_of(layer.whole(0), len(shape))
        repeats = tuple(layer.whole(1, 1) if place == axis else 1 for place in range(len(shape)))
    axes = max(len(shape), len(repeats))
    seen = (1,) * (axes - len(shape)) + shape
    times = (1,) * (axes - len(repeats)) + repeats
    if any(count < 1 for count in times) or axes > 4:
        raise MisfitError(f"it repeats {list(shape)} {shown(list(repeats))} times")
    result = tuple(length * count for length, count in zip(seen, times, strict=True))
    return [Move(result, partial(np.tile, reps=times))]


def _unfold(layer: Layer, shapes: Sequence[Shape]) -> list[Move] | None:
    shape = shapes[0]
    if len(shape) != 3 or any(layer.whole(key) for key in (4, 14, 15, 16)):
        return None  # padding adds zeros
    across = (layer.whole(1), layer.whole(3, 1), layer.whole(2, 1))
    down = tuple(layer.whole(key, same) for key, same in zip((11, 13, 12), across, strict=True))
    places = 1
    for length, (size, stride, dilation) in zip(shape[1:], (down, across), strict=True):
        span = (_positive(size, "kernel") - 1) * _positive(dilation, "dilation") + 1
        if span > length:
            raise MisfitError(f"windows of {span} do not fit into {length}")
        places *= (length - span) // _positive(stride, "stride") + 1
    kernel, steps, gaps = zip(down, across, strict=True)
    move = partial(_columns, kernel=kernel, stride=steps, dilation=gaps)
    return [Move((shape[0] * prod(kernel), places), move)]


def _columns(x: NDArray[Any], *, kernel: Shape, stride: Shape, dilation: Shape) -> NDArray[Any]:
    return patches(x[None], kernel=kernel, stride=stride, dilation=dilation)[0]


def _pooling(layer: Layer, shapes: Sequence[Shape]) -> list[Move] | None:
    """Windows of one place, which ncnn has for steps over rows and columns."""
    shape = shapes[0]
    across, down = layer.whole(2, 1), layer.whole(12, layer.whole(2, 1))
    single = layer.whole(1) == layer.whole(11, layer.whole(1)) == 1
    if len(shape) != 3 or not single or any(layer.whole(key) for key in (3, 13, 14, 15, 4, 7)):
        return None
    steps = (1, _positive(down, "stride"), _positive(across, "stride"))
    if layer.whole(5) == 0 and any((length - 1) % step for length, step in zip(shape, steps, strict=True)):
        return None  # one window more lies in padding
    return [_cut(shape, [slice(None, None, step) for step in steps])]


def _dropout(layer: Layer, shapes: Sequence[Shape]) -> list[Move] | None:
    return _aliases(layer, shapes) if layer.number(0, 1.0) == 1 else None


MOVES: Mapping[str, Callable[[Layer, Sequence[Shape]], list[Move] | None]] = MappingProxyType(
    {
        "Split": _aliases,
        "DeepCopy": _aliases,
        "Packing": _aliases,
        "Noop": _each,
        "Flatten": _flatten,
        "Reshape": _reshape,
        "Squeeze": _squeeze,
        "ExpandDims": _expand_dims,
        "Permute": _permute,
        "PixelShuffle": _pixel_shuffle,
        "Reorg": _reorg,
        "ShuffleChannel": _shuffle_channel,
        "Slice": _slice,
        "Crop": _crop,
        "Concat": _concat,
        "Flip": _flip,
        "Tile": _tile,
        "Unfold": _unfold,
        "Pooling": _pooling,
        "Dropout": _dropout,
        "YoloV5Focus": _focus,
    }
)
