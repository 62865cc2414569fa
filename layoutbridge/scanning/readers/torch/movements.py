"""What each of ATen's operators that moves elements does to them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import accumulate
from math import prod
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from layoutbridge.operations.catalog import op
from layoutbridge.scanning.graphs.graph import Move
from layoutbridge.scanning.graphs.movements import (
    einsum_order,
    gathered_along,
    padded,
    patches,
    python_slice,
    repeated,
    sliced,
    stacked,
)
from layoutbridge.scanning.readers.torch import arrays
from layoutbridge.scanning.readers.torch.calls import Call, Moved, Ref, view

Function = TypeVar("Function", bound=Callable[[Call], Moved | None])
_TABLE: dict[str, Callable[[Call], Moved | None]] = {}
_NOT_GIVEN = 2**63 - 1  # ATen's end of a slice to the axis' end
_PADS = {"circular": "wrap", "reflect": "reflect", "replicate": "edge"}
_VIEWS = (
    "view", "_unsafe_view", "reshape", "flatten", "unflatten", "ravel", "squeeze", "unsqueeze", "contiguous", "clone",
    "alias", "detach", "detach_", "lift_fresh", "lift_fresh_copy", "view_as", "reshape_as", "atleast_1d", "atleast_2d",
    "atleast_3d", "squeeze_", "unsqueeze_", "_reshape_alias", "view_copy", "_to_copy", "to", "type_as", "positive",
    "squeeze_copy", "unsqueeze_copy", "alias_copy", "detach_copy",
)  # fmt: skip
_DROPOUTS = ("dropout", "dropout_", "feature_dropout", "alpha_dropout", "feature_alpha_dropout", "native_dropout")


def moved_by(call: Call) -> Moved | None:
    """What `call` moves; None where it changes values, or where this is not known.

    >>> from layoutbridge.scanning.readers.torch.calls import Held
    >>> held = {"x": Held((2, 3), "float32")}
    >>> call = Call("aten.t", "default", {"self": Ref("x")}, held, (Held((3, 2), "float32"),))
    >>> moved_by(call).moves[0].order
    (1, 0)
    """
    function = _TABLE.get(call.operator)
    if function is None or any(held.dtype != _dtype(call) for held in call.outputs):
        return None
    try:
        made = function(call)
    except (KeyError, ValueError, TypeError, IndexError, AttributeError, OverflowError):  # a call of another form
        return None
    return made if made is not None and len(made.moves) == len(call.outputs) else None


def _dtype(call: Call) -> str:
    return call.tensors[_sources(call)[0]].dtype


def _sources(call: Call) -> tuple[Ref, ...]:
    """All tensors that a call takes, of lists the parts."""
    found: list[Ref] = []
    for value in call.arguments.values():
        found.extend(each for each in (value if isinstance(value, list) else [value]) if isinstance(each, Ref))
    if not found:
        raise KeyError("a tensor")
    return tuple(found)


def _moves(*names: str) -> Callable[[Function], Function]:
    def register(function: Function) -> Function:
        _TABLE.update({f"aten.{name}": function for name in names})
        return function

    return register


@_moves(*_VIEWS)
def _view(call: Call) -> Moved | None:
    return call.viewed() if prod(call.shape) == prod(call.out_shape) else None


@_moves(*_DROPOUTS)
def _dropout(call: Call) -> Moved | None:
    return None if call.get("train", True) and call.get("p", 1) else call.viewed()


# ---------------------------------------------------------------------- orders of axes


@_moves("permute", "permute_copy")
def _permute(call: Call) -> Moved:
    return call.transposed(call.axes("dims"))


@_moves("transpose", "swapaxes", "swapdims", "transpose_", "transpose_copy")
def _transpose(call: Call) -> Moved:
    pair = ("axis0", "axis1") if "axis0" in call.arguments else ("dim0", "dim1")
    first, second = (call.axis(name) for name in pair)
    order = list(range(call.rank))
    order[first], order[second] = order[second], order[first]
    return call.transposed(tuple(order))


@_moves("t", "numpy_T", "t_", "t_copy")
def _reversed(call: Call) -> Moved:
    return call.transposed(tuple(reversed(range(call.rank))))


@_moves("mT")
def _last_two(call: Call) -> Moved:
    return call.transposed((*range(call.rank - 2), call.rank - 1, call.rank - 2))


@_moves("movedim", "moveaxis")
def _movedim(call: Call) -> Moved:
    before, after = call.axes("source"), call.axes("destination")
    places = dict(zip(after, before, strict=True))
    others = iter(axis for axis in range(call.rank) if axis not in before)
    return call.transposed(tuple(places[axis] if axis in places else next(others) for axis in range(call.rank)))


@_moves("einsum")
def _einsum(call: Call) -> Moved | None:
    (x,) = call.arguments["tensors"]
    order = einsum_order(call.arguments["equation"])
    return None if order is None else Moved((x,), (Move(partial(np.transpose, axes=order), "transpose", order),))


# ---------------------------------------------------------------------- parts


@_moves("slice", "slice_copy")
def _slice(call: Call) -> Moved:
    axis = call.axis()
    part = python_slice(call.get("start", 0), call.get("end", _NOT_GIVEN), call.get("step", 1), call.shape[axis])
    return _at(call, axis, part)


@_moves("narrow", "narrow_copy")
def _narrow(call: Call) -> Moved:
    axis = call.axis()
    start = call.get("start", 0) % max(call.shape[axis], 1)
    return _at(call, axis, slice(start, start + call.arguments["length"]))


@_moves("select", "select_copy")
def _select(call: Call) -> Moved:
    return _at(call, call.axis(), call.arguments["index"])


def _at(call: Call, axis: int, place: int | slice) -> Moved:
    return call.moved(sliced, places=(*(slice(None) for _ in range(axis)), place, ...))


@_moves("split", "split_with_sizes", "chunk", "tensor_split", "unsafe_split", "unsafe_chunk", "split_copy",
        "unsafe_split_with_sizes", "hsplit", "vsplit", "dsplit", "array_split", "split_with_sizes_copy")  # fmt: skip
def _split(call: Call) -> Moved | None:
    usual = {"aten.hsplit": 1 if call.rank > 1 else 0, "aten.dsplit": 2}.get(call.operator, 0)
    axis = call.axis(usual=usual)
    ends = list(accumulate(held.shape[axis] for held in call.outputs))
    if ends[-1] != call.shape[axis]:
        return None
    before = tuple(slice(None) for _ in range(axis))
    places = [(*before, slice(start, end)) for start, end in zip((0, *ends), ends, strict=False)]
    return Moved((call.x,), tuple(Move(partial(sliced, places=place)) for place in places))


@_moves("unbind", "unbind_copy")
def _unbind(call: Call) -> Moved:
    before = tuple(slice(None) for _ in range(call.axis()))
    places = [(*before, position, ...) for position in range(len(call.outputs))]
    return Moved((call.x,), tuple(Move(partial(sliced, places=place)) for place in places))


@_moves("index_select")
def _index_select(call: Call) -> Moved | None:
    indices = _constant(call, "index")
    return None if indices is None else call.moved(np.take, indices=np.atleast_1d(indices), axis=call.axis())


@_moves("gather")
def _gather(call: Call) -> Moved | None:
    indices, axis = _constant(call, "index"), call.axis()
    if indices is None:
        return None
    inside = tuple(slice(None) if k == axis else slice(0, length) for k, length in enumerate(indices.shape))
    return call.moved(_gathered, inside=inside, indices=indices, axis=axis)


def _gathered(x: NDArray[Any], *, inside: tuple[slice, ...], indices: NDArray[np.int64], axis: int) -> NDArray[Any]:
    return gathered_along(x[inside], indices=indices, axis=axis)


@_moves("take")
def _take(call: Call) -> Moved | None:
    indices = _constant(call, "index")
    return None if indices is None else call.moved(np.take, indices=indices)


@_moves("index")
def _index(call: Call) -> Moved | None:
    index: list[Any] = []
    for each in call.arguments["indices"]:
        value = slice(None) if each is None else call.tensors[each].value
        if value is None:
            return None
        index.append(value)
    return call.moved(sliced, places=tuple(index))


def _constant(call: Call, name: str) -> NDArray[Any] | None:
    return call.tensors[call.arguments[name]].value


# ---------------------------------------------------------------------- several together


@_moves("cat", "concat", "concatenate")
def _cat(call: Call) -> Moved:
    parts = tuple(call.arguments["tensors"])
    axis = call.axis("axis" if "axis" in call.arguments else "dim", rank=len(call.out_shape))
    return Moved(parts, (Move(partial(arrays.concatenated, axis=axis), "join", (axis,)),))


@_moves("hstack", "vstack")
def _hstack(call: Call) -> Moved | None:
    parts = tuple(call.arguments["tensors"])
    ranks = {len(call.tensors[part].shape) for part in parts}
    if min(ranks) < 2:
        return None
    axis = 1 if call.operator == "aten.hstack" else 0
    return Moved(parts, (Move(partial(arrays.concatenated, axis=axis), "join", (axis,)),))


@_moves("stack")
def _stack(call: Call) -> Moved:
    parts = tuple(call.arguments["tensors"])
    axis = call.axis(rank=len(call.out_shape))
    return Moved(parts, (Move(partial(stacked, axis=axis), "join", (axis,)),))


@_moves("slice_scatter", "select_scatter")
def _scatter(call: Call) -> Moved:
    part: Moved = _slice(call) if call.operator == "aten.slice_scatter" else _select(call)
    places = part.moves[0].movement
    return Moved((call.x, call.arguments["src"]), (Move(partial(arrays.written, places=places)),))


@_moves("copy_", "copy")
def _copy(call: Call) -> Moved | None:
    source = call.arguments["src"]
    if call.tensors[source].dtype != call.outputs[0].dtype:
        return None
    if prod(call.tensors[source].shape) == prod(call.out_shape):
        return Moved((source,), (view(call.out_shape),))
    return Moved((source,), (Move(partial(np.broadcast_to, shape=call.out_shape)),))


# ---------------------------------------------------------------------- repeated


@_moves("expand", "expand_as", "broadcast_to", "expand_copy")
def _expand(call: Call) -> Moved:
    if prod(call.shape) == prod(call.out_shape):
        return call.viewed()
    return call.moved(np.broadcast_to, shape=call.out_shape)


@_moves("repeat", "tile")
def _repeat(call: Call) -> Moved:
    repeats = tuple(call.get("repeats", call.get("dims")))
    return call.viewed() if prod(repeats) == 1 else call.moved(np.tile, reps=repeats)


@_moves("repeat_interleave")
def _repeat_interleave(call: Call) -> Moved | None:
    if call.overload != "self_int":
        return None
    return call.moved(np.repeat, repeats=call.arguments["repeats"], axis=call.arguments.get("dim"))


@_moves("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d")
def _upsample(call: Call) -> Moved | None:
    pairs = list(zip(call.shape[2:], call.out_shape[2:], strict=True))
    scales = call.get("scale_factors") or [call.get(name) for name in ("scales_d", "scales_h", "scales_w", "scales")]
    whole = all(scale is None or float(scale).is_integer() for scale in scales)
    if not whole or any(after % before for before, after in pairs):
        return None
    return call.moved(repeated, factors=tuple(after // before for before, after in pairs), first_axis=2)


@_moves("constant_pad_nd", "pad")
def _pad(call: Call) -> Moved | None:
    sides = list(call.arguments["pad"])
    pairs = list(zip(sides[::2], sides[1::2], strict=True))[::-1]
    widths = [(0, 0)] * (call.rank - len(pairs)) + pairs
    mode = call.get("mode", "constant")
    if not any(sides):
        return call.viewed()
    if max(sides) <= 0:
        lengths = zip(widths, call.shape, strict=True)
        return call.moved(sliced, places=tuple(slice(-a, length + b) for (a, b), length in lengths))
    return None if mode not in _PADS else call.moved(padded, widths=tuple(widths), mode=_PADS[mode])


@_moves("reflection_pad1d", "reflection_pad2d", "reflection_pad3d")
def _reflection_pad(call: Call) -> Moved | None:
    return _padded(call, "reflect")


@_moves("replication_pad1d", "replication_pad2d", "replication_pad3d")
def _replication_pad(call: Call) -> Moved | None:
    return _padded(call, "replicate")


def _padded(call: Call, mode: str) -> Moved | None:
    sides = list(call.arguments["padding"])
    pairs = list(zip(sides[::2], sides[1::2], strict=True))[::-1]
    if min(sides) < 0:
        return None
    widths = (*((0, 0) for _ in range(call.rank - len(pairs))), *pairs)
    return call.moved(padded, widths=widths, mode=_PADS[mode])


# ---------------------------------------------------------------------- whole operations


@_moves("pixel_shuffle")
def _pixel_shuffle(call: Call) -> Moved:
    return call.moved(arrays.on_pictures, operation=op("pixel_shuffle", stride=call.arguments["upscale_factor"]))


@_moves("pixel_unshuffle")
def _pixel_unshuffle(call: Call) -> Moved:
    return call.moved(arrays.on_pictures, operation=op("pixel_unshuffle", stride=call.arguments["downscale_factor"]))


@_moves("channel_shuffle", "native_channel_shuffle")
def _channel_shuffle(call: Call) -> Moved:
    return call.moved(arrays.channels_shuffled, groups=call.arguments["groups"])


@_moves("flip", "fliplr", "flipud")
def _flip(call: Call) -> Moved:
    usual = {"aten.fliplr": (1,), "aten.flipud": (0,)}.get(call.operator)
    return call.moved(np.flip, axis=usual or call.axes("dims"))


@_moves("roll")
def _roll(call: Call) -> Moved:
    shifts, axes = call.arguments["shifts"], call.axes("dims")
    return call.moved(np.roll, shift=tuple(shifts) if axes else shifts[0], axis=axes or None)


@_moves("rot90")
def _rot90(call: Call) -> Moved:
    return call.moved(np.rot90, k=call.get("k", 1), axes=call.axes("dims") or (0, 1))


@_moves("im2col")
def _im2col(call: Call) -> Moved | None:
    settings = {name: tuple(call.arguments[name]) for name in ("kernel_size", "dilation", "padding", "stride")}
    if call.rank != 4 or any(settings["padding"]):
        return None
    kernel, dilation, _, stride = settings.values()
    return call.moved(patches, kernel=kernel, stride=stride, dilation=dilation)


@_moves("unfold", "unfold_copy")
def _unfold(call: Call) -> Moved:
    axis = call.axis("dimension")
    return call.moved(arrays.windows, axis=axis, size=call.arguments["size"], step=call.arguments["step"])


@_moves("diagonal", "diagonal_copy")
def _diagonal(call: Call) -> Moved:
    axes = call.axis("dim1", 0), call.axis("dim2", 1)
    return call.moved(arrays.diagonal, offset=call.get("offset", 0), axes=axes)
