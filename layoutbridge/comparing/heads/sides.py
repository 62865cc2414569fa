"""Where boxes are: what decoders make of x, y, w and h, rightly and with the faults that ports have."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.comparing.heads.entries import Array, Entries
from layoutbridge.darknet.reference.values import logistic
from layoutbridge.darknet.structure.heads import DetectionHead, GaussianYolo, Region, YoloHead

SIDES = ("x", "y", "w", "h")
DECODED_UNITS = ("pixels", "shares", "places")
# Not yet decoded: as the head leaves them, and with the power of w and h taken, without grid and anchors.
UNITS = (*DECODED_UNITS, "entries", "powers")
_UNSPREAD = "scale_x_y left out"
_MOST_ORDERED = 4  # anchors whose orders are all tried
Options = Iterator[tuple[str, Array]]


def right_side(e: Entries, side: int, unit: str) -> Iterator[Array]:
    """What stands in the column of x, y, w or h where it is right: once but for entries, which a head may leave raw."""
    axis = side % 2
    if unit == "entries":
        yield e.done[:, :, side]
        if side < 2:
            yield _inside(e, axis)
    elif side < 2:
        yield (
            _inside(e, axis)
            if unit == "powers"
            else (_inside(e, axis) + _grid(e, axis) + _shift(e, axis)) * (_factor(e, axis, unit))
        )
    else:
        yield _size(e, axis) * (1 if unit == "powers" else _along(e, _anchors(e), axis) * _factor(e, axis, unit))


def wrong_side(e: Entries, others: Sequence[Entries], side: int, unit: str) -> Options:
    """What else ports make of it, and what that is called; `others` are the other heads of the network."""
    axis = side % 2
    if unit == "entries" and side < 2:
        yield "no logistic", e.raw[:, :, side]
        yield _UNSPREAD, _unspread(e, axis)
    if unit not in DECODED_UNITS:
        return
    right = next(right_side(e, side, unit))
    faults = _centres(e, axis) if side < 2 else _sizes(e, others, axis)
    for told, made in faults:
        yield told, made * _factor(e, axis, unit)
    for other in others:
        ratio = other.stride[axis] / e.stride[axis]
        if ratio != 1:
            yield f"the stride of {other.layer.name}", right * ratio
    if side >= 2:
        stride = e.stride[axis]
        yield "anchors times the stride once more", right * stride
        yield "anchors divided by the stride once more", right / stride
    else:
        yield "times the stride once more", right * e.stride[axis]
    across = _factor(e, 1 - axis, unit) / _factor(e, axis, unit)
    if across != 1:
        yield "the stride or the size of the other axis", right * across
    yield f"{'x and y' if side < 2 else 'w and h'} exchanged", next(right_side(e, side + 1 - 2 * axis, unit))
    for other_unit in DECODED_UNITS:
        if other_unit != unit:
            yield f"in {other_unit}, where the others are in {unit}", next(right_side(e, side, other_unit))


def limit(e: Entries, axis: int, unit: str) -> float:
    """How long the picture is along an axis, in a unit."""
    return e.cells[axis] * _factor(e, axis, unit)


def _factor(e: Entries, axis: int, unit: str) -> float:
    """From places to a unit."""
    return {"pixels": e.stride[axis], "shares": 1 / e.cells[axis]}.get(unit, 1.0)


# ---------------------------------------------------------------------- the centre, in places of the grid


def _inside(e: Entries, axis: int) -> Array:
    """Where in its place a box's centre is; the original's [region] has the logistic done, the main fork's has not."""
    return np.asarray(logistic(e.raw[:, :, axis])) if isinstance(e.settings, Region) else e.done[:, :, axis]


def _unspread(e: Entries, axis: int) -> Array:
    """The same without scale_x_y."""
    raw = e.raw[:, :, axis]
    return np.asarray(logistic(raw)) if _has_logistic(e) else raw


def _grid(e: Entries, axis: int) -> Array:
    return np.arange(float(e.cells[0])) if axis == 0 else np.arange(float(e.cells[1]))[:, None]


def _shift(e: Entries, axis: int) -> Array | float:
    """From the point that x and y are of to the centre."""
    point = e.settings.yolo_point if isinstance(e.settings, GaussianYolo) else "center"
    if point == "center":
        return 0.0
    return (0.5 if point == "left_top" else -0.5) * _size(e, axis) * _along(e, _anchors(e), axis)


def _centres(e: Entries, axis: int) -> Options:
    raw, inside, grid, shift = e.raw[:, :, axis], _inside(e, axis), _grid(e, axis), _shift(e, axis)
    if not isinstance(shift, float):
        yield "the corner that is predicted taken for the centre", inside + grid
    yield "no offset of its place in the grid", inside + shift
    if _has_logistic(e):
        yield "no logistic", raw + grid + shift
    else:
        yield "a logistic too many", np.asarray(logistic(raw)) + grid + shift
    if isinstance(e.settings, YoloHead):
        plain = _unspread(e, axis)
        yield _UNSPREAD, plain + grid + shift
        yield "2·v − 0.5, as in YOLOv5", 2 * plain - 0.5 + grid + shift
    for told, more in (("half a place too much", 0.5), ("half a place too little", -0.5), ("a place too much", 1.0)):
        yield told, inside + grid + shift + more
    yield "the offset of the other axis", inside + _grid(e, 1 - axis) + shift
    across, down = e.cells
    numbers = np.arange(float(across * down)).reshape(down, across)
    turned = np.floor(numbers / down) if axis == 0 else numbers % down
    yield "the offset of a grid whose rows and columns are exchanged", inside + turned + shift
    for place in (_by_box(e) // len(e.mask), _by_place(e) % (across * down)):
        yield (
            "the grid laid out for boxes in another order",
            inside + (place // across, place % across)[axis == 0] + shift,
        )
    if e.has_deviations:
        yield "the deviation taken for it", e.done[:, :, axis - 4] + grid + shift


def _by_box(e: Entries) -> NDArray[np.int64]:
    """Each box's number [boxes of a place, H, W] where boxes go anchor by anchor and place by place for each."""
    shape = len(e.mask), e.cells[1], e.cells[0]
    return np.arange(e.boxes).reshape(shape)


def _by_place(e: Entries) -> NDArray[np.int64]:
    """Each box's number where boxes go place by place and anchor by anchor in each."""
    return np.arange(e.boxes).reshape(e.cells[1], e.cells[0], len(e.mask)).transpose(2, 0, 1)


def _has_logistic(e: Entries) -> bool:
    return isinstance(e.settings, Region) or (isinstance(e.settings, YoloHead) and not e.settings.new_coords)


# ---------------------------------------------------------------------- the size, in places of the grid


def _size(e: Entries, axis: int) -> Array:
    """The share of an anchor, or of the picture."""
    return _power(e.settings)(e.done[:, :, 2 + axis])


def _power(settings: Any) -> Callable[[Array], Array]:
    if isinstance(settings, DetectionHead):
        return np.square if settings.sqrt else np.positive
    return _doubled if getattr(settings, "new_coords", False) else np.exp


def _doubled(values: Array) -> Array:
    return np.square(2 * values)


def _anchors(e: Entries) -> Array:
    return e.table[list(e.mask)]


def _along(e: Entries, anchors: Array, axis: int) -> Array:
    """Anchors [boxes, 2] of the cfg's unit in places: those of YOLOv3 and later are pixels."""
    own = anchors[:, axis].reshape(1, -1, 1, 1)
    return own / e.stride[axis] if isinstance(e.settings, YoloHead) else own


def _sizes(e: Entries, others: Sequence[Entries], axis: int) -> Options:
    raw, anchors = e.raw[:, :, 2 + axis], _along(e, _anchors(e), axis)
    for told, power in _other_powers(e.settings):
        yield told, power(raw) * anchors
    for told, chosen in _other_anchors(e, others):
        yield told, _size(e, axis) * _along(e, chosen, axis)
    if isinstance(e.settings, DetectionHead):
        yield "taken for shares of a place, not of the picture", _size(e, axis)
        return
    for number in (_by_box(e) % len(e.mask), _by_place(e) // (e.cells[0] * e.cells[1])):
        laid = _along(e, _anchors(e), axis).reshape(-1)[number]
        yield "anchors laid out for boxes in another order", _size(e, axis) * laid
    yield "no anchors", _size(e, axis) / e.stride[axis]
    yield "no anchors", _size(e, axis)
    if e.has_deviations:
        for deviations in (e.raw, e.done):
            yield "the deviation taken for it", np.exp(deviations[:, :, axis - 2]) * anchors


def _other_powers(settings: Any) -> Iterator[tuple[str, Callable[[Array], Array]]]:
    if isinstance(settings, DetectionHead):
        yield ("the square is missing", np.positive) if settings.sqrt else ("squared, and sqrt=0", np.square)
        yield "exp, as in later heads", np.exp
        return
    if getattr(settings, "new_coords", False):
        yield "exp, and new_coords=1", np.exp
        yield "2·v without the square", lambda v: 2 * v
        yield "v² without the factor 4", np.square
        yield "the logistic twice", lambda v: _doubled(logistic(v))
    else:
        yield "no exp", np.positive
        yield "(2·v)², as in YOLOv5", lambda v: _doubled(logistic(v))
        yield "exp of the logistic", lambda v: np.exp(logistic(v))
        yield "the logistic for exp", logistic


def _other_anchors(e: Entries, others: Sequence[Entries]) -> Iterator[tuple[str, Array]]:
    """Other anchors than those of the mask, as many."""
    if isinstance(e.settings, DetectionHead):
        return
    own, table = _anchors(e), e.table
    count = len(own)
    for other in others:
        if len(other.mask) == count:
            yield f"anchors of {other.layer.name}", _anchors(other)
    yield "anchors with width and height exchanged", own[:, ::-1]
    orders = list(permutations(range(count))) if count <= _MOST_ORDERED else [tuple(range(count))[::-1]]
    for order in orders:
        if order != tuple(range(count)):
            yield "anchors in another order", own[list(order)]
    yield "the first anchors whatever the mask", table[:count]
    told = {other.mask for other in others}
    for start in range(1, len(table)):
        mask = tuple((number + start) % len(table) for number in e.mask)
        if mask not in told:
            yield "anchors of another mask", table[list(mask)]
    yield "anchors read as all widths, then all heights", table.reshape(2, -1).T[list(e.mask)]
