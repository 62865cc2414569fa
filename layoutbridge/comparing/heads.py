"""Outputs of a port that no layer of Darknet has: boxes that it decodes itself, in one of the public styles.

A head's numbers are turned into the columns that decoders make of them, and each column of the port's is looked for
among these by its sorted values: so neither the order of the boxes nor the layout matters. Columns are right where all
of a box are of one style; one that only a known fault gives tells what is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.comparing.alignment import Alignment, Pair
from layoutbridge.comparing.causes import Cause
from layoutbridge.comparing.relations import Related
from layoutbridge.comparing.tracing import Trace
from layoutbridge.darknet.network import DarknetNetwork
from layoutbridge.darknet.reference.values import logistic, softmax
from layoutbridge.darknet.structure.heads import Region, Yolo
from layoutbridge.darknet.structure.model import Layer, Network

Array = NDArray[np.float64]
Boxes = Sequence[Array]  # of each head, what it is fed: [N, boxes, entries, H, W]
_SIDES = ("x", "y", "w", "h")


@dataclass(frozen=True, slots=True)
class Decoded:
    """What columns of boxes are: `wrong` has what differs from what Darknet decodes, if anything does."""

    wrong: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is apart once decoded outputs are known: nothing where they are right; else the `cause`, if it is known."""

    first: Pair | None
    cause: Cause | None = None


def judged(
    net: DarknetNetwork,
    reference: Trace,
    candidate: Trace,
    alignment: Alignment,
    first: Pair | None,
    others: Sequence[str],
    tolerance: float,
) -> Verdict:
    """The verdict on outputs of the candidate that are no tensor of the reference, where all before the heads is right.

    `others` are these outputs, `first` is what is apart without them.
    """
    heads = [layer for layer in net.layers if isinstance(layer.settings, Yolo | Region)]
    names = {layer.name for layer in heads}
    if not heads or not others or (first is not None and first.reference not in names):
        return Verdict(first)
    fed = []
    for layer in heads:
        settings: Any = layer.settings
        values = np.asarray(reference.values.get(net.layers[layer.inputs[0]].name), np.float64)
        fed.append(values.reshape(len(values), settings.num, settings.entries, *layer.out_shape[1:]))
    choices = [(heads, fed), *(([head], [values]) for head, values in zip(heads, fed, strict=True))]
    for name in others:
        output = candidate.values.get(name)
        found = [
            (chosen[0], made)
            for chosen, values in choices
            if (made := decoding_of(net.network, chosen, values, output, tolerance)) is not None
        ]
        right = any(not made.wrong for _, made in found)
        if right:
            continue
        at, told = found[0] if found else (heads[0], None)
        apart = first or Pair(at.name, name, Related("differs", 1.0, ()))
        if told is None:
            return Verdict(apart)
        return Verdict(
            apart,
            Cause(
                "head", apart.reference, "; ".join(told.wrong), "as Darknet decodes boxes",
                # without a partner all of it is apart; columns that are told are within the tolerance
                apart.related.deviation if np.isfinite(apart.related.deviation) else 1.0, tolerance,
                f"boxes are decoded otherwise: {'; '.join(told.wrong)}",
                "x, y: (logistic + place) · stride; w, h: exp · anchor of the mask; logistic of objectness and classes",
            ),
        )  # fmt: skip
    return Verdict(None)


def decoding_of(
    network: Network, heads: Sequence[Layer], fed: Boxes, output: NDArray[Any], tolerance: float
) -> Decoded | None:
    """What the columns of a port's `output` are; None where it has no boxes of these heads, or unknown columns.

    `fed` is what each of the `heads` is fed. Only [yolo] and [region] are known.
    """
    if not all(isinstance(head.settings, Yolo | Region) for head in heads):
        return None
    known = _Known(network, heads, fed)
    for columns in _in_columns(np.asarray(output, np.float64), known):
        found = _matched(columns, known, tolerance)
        if found is not None:
            return found
    return None


def _in_columns(output: Array, known: _Known) -> Iterator[list[Array]]:
    """The columns of an output that has one number, or more, for each box, in each layout in which it may lie."""
    count = known.boxes
    if output.size % count:
        return
    width = output.size // count
    if width == 1:
        yield [np.sort(output.reshape(-1))]
        return
    for axis in range(output.ndim - 1, -1, -1):
        length = output.shape[axis]
        if length == width:
            yield list(np.sort(np.moveaxis(output, axis, 0).reshape(width, -1)))
        elif length % width == 0 and length:  # boxes of one place and their entries in one axis
            moved = np.moveaxis(output, axis, 0).reshape(length // width, width, -1)
            yield list(np.sort(moved.transpose(1, 0, 2).reshape(width, -1)))


def _matched(columns: list[Array], known: _Known, tolerance: float) -> Decoded | None:
    """What is told of the columns, where each is one that is known, right or wrong."""
    classes = known.classes
    if len(columns) == len(raw := known.raw()) and all(
        _is(column, made, tolerance) for column, made in zip(columns, raw, strict=True)
    ):
        return Decoded(())
    for start, has_objectness in product((4, 2, 0), (True, False)):
        rest = len(columns) - start - has_objectness
        if rest not in (0, classes) or (start == 0 and rest == 0 and not has_objectness):
            continue
        wrong: list[str] | None = _geometry(columns[:start], known, tolerance) if start else []
        if wrong is None:
            continue
        if has_objectness:
            told = _found(columns[start], known.objectness(), tolerance)
            if told is None:
                continue
            wrong += [told] if told else []
        told_classes = [
            _found(column, known.scores(number), tolerance)
            for number, column in enumerate(columns[start + has_objectness :])
        ]
        if any(told is None for told in told_classes):
            continue
        wrong += sorted({told for told in told_classes if told})
        return Decoded(tuple(dict.fromkeys(wrong)))
    return None


def _geometry(columns: list[Array], known: _Known, tolerance: float) -> list[str] | None:
    """What is wrong with where boxes are; None where it is not known."""
    styles = known.right_boxes()
    if any(all(_is(column, made, tolerance) for column, made in zip(columns, style, strict=False)) for style in styles):
        return []
    for unit in known.units:
        told = [_found(column, known.side(number, unit), tolerance) for number, column in enumerate(columns)]
        if all(each is not None for each in told):
            return sorted({each for each in told if each})
    return None


def _found(column: Array, options: Mapping[str, Array], tolerance: float) -> str | None:
    """Which of the options a column is; right ones are called "" and come first."""
    return next((name.strip() for name, made in options.items() if _is(column, made, tolerance)), None)


def _is(column: Array, made: Array, tolerance: float) -> bool:
    ordered = np.sort(made.reshape(-1))
    if ordered.shape != column.shape:
        return False
    largest = float(np.abs(ordered).max(initial=0)) or 1.0
    return bool(np.abs(ordered - column).max(initial=0) <= tolerance * largest)


# ---------------------------------------------------------------------- what decoders make


class _Known:
    """The columns that decoders make of what heads are fed, all heads together."""

    units = ("pixels", "shares", "places")

    def __init__(self, network: Network, heads: Sequence[Layer], fed: Boxes) -> None:
        self._network = network
        self._heads = heads
        self._fed = fed
        settings: Any = heads[0].settings
        self._settings = settings
        self.classes: int = settings.classes
        self.boxes = sum(each.size // each.shape[2] for each in fed)

    def _each(self, make: Any) -> Array:
        with np.errstate(over="ignore", invalid="ignore"):
            parts = [make(head, values) for head, values in zip(self._heads, self._fed, strict=True)]
        return np.concatenate([np.broadcast_to(p, (*v.shape[:2], *v.shape[3:])).reshape(-1)
                               for p, v in zip(parts, self._fed, strict=True)])  # fmt: skip

    def raw(self) -> list[Array]:
        """All entries as the heads are fed them."""
        return [self._each(lambda head, v, k=k: v[:, :, k]) for k in range(self._fed[0].shape[2])]

    def right_boxes(self) -> Iterator[tuple[Array, ...]]:
        """Where boxes are, in every right style: x, y, w, h or two corners, and what the head itself has."""
        yield tuple(self._each(lambda head, v, k=k: v[:, :, k]) for k in range(4))
        spread = [self._each(lambda head, v, k=k: _spread(head, v[:, :, k])) for k in (0, 1)]
        plain = [self._each(lambda head, v, k=k: v[:, :, k]) for k in (2, 3)]
        yield (*spread, *plain)
        for unit in self.units:
            x, y, w, h = (self.side(number, unit)[""] for number in range(4))
            yield x, y, w, h
            corners = x - w / 2, y - h / 2, x + w / 2, y + h / 2
            yield corners
            yield corners[1], corners[0], corners[3], corners[2]
            yield corners[0], corners[1], w, h

    def side(self, number: int, unit: str) -> dict[str, Array]:
        """What may stand in the column of x, y, w or h, in a unit; the right one is called ""."""
        name, axis = _SIDES[number], number % 2
        if number < 2:
            options: dict[str, Any] = {
                "": lambda head, v: _spread(head, v[:, :, number]) + _grid(v, axis),
                f"{name}: no offset of its place in the grid": lambda head, v: _spread(head, v[:, :, number]),
                f"{name}: no logistic": lambda head, v: v[:, :, number] + _grid(v, axis),
                f"{name}: scale_x_y left out": lambda head, v: logistic(v[:, :, number]) + _grid(v, axis),
                f"{name}: 2·v − 0.5, as in YOLOv5": (
                    lambda head, v: 2 * logistic(v[:, :, number]) - 0.5 + _grid(v, axis)
                ),
                f"{name}: half a place too much": lambda head, v: _spread(head, v[:, :, number]) + _grid(v, axis) + 0.5,
                f"{name}: the offset of the other axis": (
                    lambda head, v: _spread(head, v[:, :, number]) + _grid(v, 1 - axis)
                ),
                "x and y exchanged": lambda head, v: _spread(head, v[:, :, 1 - number]) + _grid(v, 1 - axis),
            }  # fmt: skip
            made = {told: self._each(self._in_unit(make, axis, unit)) for told, make in options.items()}
        else:
            powers: dict[str, Any] = {
                "": lambda head, v: _power(head, v[:, :, number]),
                f"{name}: no exp": lambda head, v: v[:, :, number],
                f"{name}: (2·v)², as in YOLOv5": lambda head, v: (2 * logistic(v[:, :, number])) ** 2,
                f"{name}: exp of the logistic": lambda head, v: np.exp(logistic(v[:, :, number])),
            }
            made = {}
            for told, make in powers.items():
                made[told] = self._each(self._sized(make, axis, unit, lambda anchors, mask: anchors[mask]))
            chosen: dict[str, Any] = {
                f"{name}: no anchors": lambda anchors, mask: np.ones((len(mask), 2)),
                f"{name}: anchors with width and height exchanged": lambda anchors, mask: anchors[mask][:, ::-1],
                f"{name}: the first anchors whatever the mask": lambda anchors, mask: anchors[: len(mask)],
                f"{name}: anchors of another mask": lambda anchors, mask: np.roll(anchors, len(mask), 0)[mask],
                f"{name}: anchors in the other order": lambda anchors, mask: anchors[mask][::-1],
            }
            for told, choose in chosen.items():
                made[told] = self._each(self._sized(powers[""], axis, unit, choose))
            stride = self._each(lambda head, v: self._stride(v, axis))
            made[f"{name}: anchors times the stride once more"] = made[""] * stride
            made[f"{name}: anchors divided by the stride once more"] = made[""] / stride
        for other in self.units:
            if other != unit:
                made.setdefault(f"{name}: in {other}, where the others are in {unit}", self._right(number, other))
        return made

    def _right(self, number: int, unit: str) -> Array:
        axis = number % 2
        if number < 2:
            return self._each(
                self._in_unit(lambda head, v: _spread(head, v[:, :, number]) + _grid(v, axis), axis, unit)
            )
        return self._each(
            self._sized(lambda head, v: _power(head, v[:, :, number]), axis, unit, lambda anchors, mask: anchors[mask])
        )

    def _stride(self, v: Array, axis: int) -> float:
        whole = (self._network.width, self._network.height)[axis]
        return float(whole) / v.shape[4 - axis]

    def _in_unit(self, make: Any, axis: int, unit: str) -> Any:
        """A number in places of the grid, in another unit."""

        def made(head: Layer, v: Array) -> Array:
            stride, length = self._stride(v, axis), v.shape[4 - axis]
            factor = {"pixels": stride, "shares": 1 / length, "places": 1.0}[unit]
            return np.asarray(make(head, v) * factor)

        return made

    def _sized(self, make: Any, axis: int, unit: str, choose: Any) -> Any:
        """A share of an anchor in a unit; anchors are pixels of the input for [yolo], places for [region]."""

        def made(head: Layer, v: Array) -> Array:
            settings: Any = head.settings
            anchors = np.asarray(settings.anchors, np.float64).reshape(-1, 2)
            mask = list(settings.mask) if isinstance(settings, Yolo) else list(range(settings.num))
            own = choose(anchors, mask)[:, axis].reshape(1, -1, 1, 1)
            if isinstance(settings, Yolo):
                own = own / self._stride(v, axis)
            return np.asarray(self._in_unit(lambda head, v: make(head, v) * own, axis, unit)(head, v))

        return made

    def objectness(self) -> dict[str, Array]:
        """What may stand in the column of the objectness."""
        return {
            "": self._each(lambda head, v: _logistic_unless_done(head, v[:, :, 4])),
            " ": self._each(lambda head, v: v[:, :, 4]) if self._is_raw() else np.zeros(0),
            "  ": self._each(lambda head, v: np.ones(())) if isinstance(self._settings, Region) else np.zeros(0),
            "objectness: no logistic": self._each(lambda head, v: v[:, :, 4]),
            "objectness: the logistic twice": self._each(lambda head, v: logistic(logistic(v[:, :, 4]))),
        }

    def _is_raw(self) -> bool:
        settings: Any = self._settings
        return bool(getattr(settings, "new_coords", False))

    def scores(self, number: int) -> dict[str, Array]:
        """What may stand in the column of a class."""

        def sure(head: Layer, v: Array) -> Array:
            return _logistic_unless_done(head, v[:, :, 4])

        def own(head: Layer, v: Array) -> Array:
            return _classes(head, v)[:, :, number]

        def softened(head: Layer, v: Array) -> Array:
            return np.asarray(softmax(v[:, :, 5:], axis=2))[:, :, number]

        return {
            "": self._each(own),
            " ": self._each(lambda head, v: sure(head, v) * own(head, v)),
            "classes: no logistic": self._each(lambda head, v: v[:, :, 5 + number]),
            "classes: a softmax instead of the logistic": self._each(softened),
            "classes: a softmax instead of the logistic ": self._each(
                lambda head, v: sure(head, v) * softened(head, v)
            ),
            "classes: the logistic instead of the softmax": self._each(lambda head, v: logistic(v[:, :, 5 + number])),
            "classes: the logistic twice": self._each(lambda head, v: logistic(logistic(v[:, :, 5 + number]))),
            "classes: in another order": self._each(lambda head, v: _classes(head, v)[:, :, ::-1][:, :, number]),
        }


def _grid(v: Array, axis: int) -> Array:
    height, width = v.shape[3:]
    return np.arange(float(width)) if axis == 0 else np.arange(float(height))[:, None]


def _spread(head: Layer, values: Array) -> Array:
    settings: Any = head.settings
    scale = getattr(settings, "scale_x_y", 1.0)
    done = values if getattr(settings, "new_coords", False) else logistic(values)
    return np.asarray(scale * done - 0.5 * (scale - 1))


def _power(head: Layer, values: Array) -> Array:
    return np.asarray((2 * values) ** 2 if getattr(head.settings, "new_coords", False) else np.exp(values))


def _logistic_unless_done(head: Layer, values: Array) -> Array:
    return values if getattr(head.settings, "new_coords", False) else np.asarray(logistic(values))


def _classes(head: Layer, v: Array) -> Array:
    settings: Any = head.settings
    if isinstance(settings, Region) and settings.softmax_entries is not None:
        return np.asarray(softmax(v[:, :, 5:], axis=2))
    return _logistic_unless_done(head, v[:, :, 5:])
