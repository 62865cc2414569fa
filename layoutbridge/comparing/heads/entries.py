"""What a head is fed, entry by entry: in one order for every kind of head, and as ports misread it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.comparing.running.darknet import by_axes
from layoutbridge.darknet.reference.values import RULES, Feed
from layoutbridge.darknet.structure.heads import DetectionHead, GaussianYolo, Region, Yolo, YoloHead
from layoutbridge.darknet.structure.model import Layer, Network

Array = NDArray[np.float64]
DECODED = (Yolo, GaussianYolo, Region, DetectionHead)  # heads whose boxes are known
BOX = 5  # x, y, w, h and the objectness
_PARTS = ("classes", "confidences", "boxes")  # of what [detection] is fed


@dataclass(frozen=True, slots=True)
class Entries:
    """A head's entries [N, boxes, entries, H, W], `raw` as it is fed them and `done` as it leaves them.

    They are x, y, w, h, objectness, the classes, and at the end the deviations of x, y, w, h where it has any; `own`
    are raw and done in the head's own order. `table` are the anchors of the cfg, widths and heights, in its unit,
    `mask` those of this head; `stride` is the width and height of a place in pixels.
    """

    layer: Layer
    raw: Array
    done: Array
    own: tuple[Array, Array]
    table: Array
    mask: tuple[int, ...]
    stride: tuple[float, float]

    @property
    def settings(self) -> Any:
        """Those of the layer."""
        return self.layer.settings

    @property
    def classes(self) -> int:
        """How many classes it has."""
        return int(self.settings.classes)

    @property
    def boxes(self) -> int:
        """How many boxes it has of one picture."""
        return int(self.raw.shape[1] * self.raw.shape[3] * self.raw.shape[4])

    @property
    def cells(self) -> tuple[int, int]:
        """How many places it has across and down."""
        return self.raw.shape[4], self.raw.shape[3]

    @property
    def has_deviations(self) -> bool:
        """Whether each of x, y, w, h comes with a deviation."""
        return isinstance(self.settings, GaussianYolo)


def entries_of(network: Network, feed: Feed) -> Entries:
    """The entries of a head of one of the `DECODED` kinds that is so fed."""
    layer, settings = feed.layer, feed.layer.settings
    done = RULES[layer.kind](feed, settings).reshape(feed.batch, *layer.out_shape)
    if isinstance(settings, DetectionHead):
        raw_, done_ = (_of_vector(settings, np.asarray(each, np.float64)) for each in (feed.x, done))
        stride = network.width / settings.side, network.height / settings.side
        whole = np.full((settings.num, 2), float(settings.side))  # sizes are shares of the picture
        return Entries(layer, raw_, done_, (raw_, done_), whole, tuple(range(settings.num)), stride)
    assert isinstance(settings, Region | YoloHead)
    _, height, width = layer.out_shape
    own = (
        np.asarray(feed.x, np.float64).reshape(feed.batch, settings.num, settings.entries, height, width),
        np.asarray(by_axes(layer, done), np.float64),
    )
    order = _order(settings)
    table = np.asarray(settings.anchors, np.float64).reshape(-1, 2)
    mask = tuple(settings.mask) if isinstance(settings, YoloHead) else tuple(range(settings.num))
    raw, made = own if order == list(range(settings.entries)) else (each[:, :, order] for each in own)
    return Entries(
        layer, raw, made, own, table, mask,
        (network.width / width, network.height / height),
    )  # fmt: skip


def _order(settings: Region | YoloHead) -> list[int]:
    if isinstance(settings, GaussianYolo):
        return [0, 2, 4, 6, *range(8, settings.entries), 1, 3, 5, 7]
    return [0, 1, 2, 3, *range(settings.coords, settings.entries)]


def _of_vector(settings: DetectionHead, values: Array) -> Array:
    """[N, boxes, entries, H, W] of a vector: classes of all places, then all confidences, then all boxes."""
    side, num, classes = settings.side, settings.num, settings.classes
    flat = values.reshape(len(values), -1)
    first, second = side * side * classes, side * side * (classes + num)
    scores = flat[:, :first].reshape(-1, side, side, 1, classes)
    sure = flat[:, first:second].reshape(-1, side, side, num, 1)
    boxes = flat[:, second : second + side * side * num * 4].reshape(-1, side, side, num, 4)
    rows = np.concatenate([boxes, sure, np.broadcast_to(scores, (*sure.shape[:4], classes))], axis=-1)
    return rows.transpose(0, 3, 4, 1, 2)


def of_places(entries: Entries) -> Entries | None:
    """The classes of a [detection] head's places, which all boxes of a place share, as if each had one box."""
    if not isinstance(entries.settings, DetectionHead) or entries.settings.num == 1:
        return None
    raw, done = entries.raw[:, :1], entries.done[:, :1]
    return replace(entries, raw=raw, done=done, own=(raw, done), table=entries.table[:1], mask=(0,))


def misread(network: Network, feed: Feed) -> Iterator[tuple[str, Entries]]:
    """What a head's entries are where a port reads them otherwise from the right tensor, and how it does."""
    settings: Any = feed.layer.settings
    read = _misread_vector if isinstance(settings, DetectionHead) else _misread_channels
    for told, x in read(feed, settings):
        changed = np.ascontiguousarray(x).reshape(feed.x.shape)
        yield told, entries_of(network, replace(feed, inputs=(changed, *feed.inputs[1:])))


def _misread_channels(feed: Feed, settings: Any) -> Iterator[tuple[str, Array]]:
    _, height, width = feed.layer.out_shape
    batch, num, entries = feed.batch, settings.num, settings.entries
    x = np.asarray(feed.x, np.float64).reshape(batch, num, entries, height, width)
    yield (
        "entries read from channels in the order (entry, box), not (box, entry)",
        x.reshape(batch, entries, num, height, width).swapaxes(1, 2),
    )
    told = "entries read by a reshape alone, without the transpose"
    yield told, x.reshape(batch, num, height, width, entries).transpose(0, 1, 4, 2, 3)
    yield told, x.reshape(batch, height, width, num, entries).transpose(0, 3, 4, 1, 2)
    yield (
        "channels last read as channels first",
        x.reshape(batch, num * entries, height, width).transpose(0, 2, 3, 1),
    )
    yield "rows and columns exchanged before the grid is added", x.swapaxes(3, 4)
    first = settings.entries - settings.classes - 1  # where the objectness stands
    yield "objectness read from the first entry", x[:, :, [*range(1, first + 1), 0, *range(first + 1, entries)]]
    yield "objectness read behind the classes", x[:, :, [*range(first), entries - 1, *range(first, entries - 1)]]
    if isinstance(settings, GaussianYolo):
        yield (
            "x, y, w, h read from the first four entries: a deviation follows each of them",
            x[:, :, [0, 4, 1, 5, 2, 6, 3, 7, *range(8, entries)]],
        )


def _misread_vector(feed: Feed, settings: DetectionHead) -> Iterator[tuple[str, Array]]:
    places, num, classes = settings.side**2, settings.num, settings.classes
    sizes = dict(zip(_PARTS, (classes, num, 4 * num), strict=True))
    flat = np.asarray(feed.x, np.float64).reshape(feed.batch, -1)
    flat, extra = flat[:, : places * sum(sizes.values())], flat[:, places * sum(sizes.values()) :]
    for order in permutations(_PARTS):
        told = f"the vector read as {', '.join(order)}"
        parts: dict[str, Array] = {}
        by_place: dict[str, Array] = {}
        start = 0
        for name in order:
            end = start + sizes[name]
            parts[name] = flat[:, places * start : places * end]
            by_place[name] = flat.reshape(feed.batch, places, -1)[:, :, start:end].reshape(feed.batch, -1)
            start = end
        if order != _PARTS:
            yield f"{told}: it is {', '.join(_PARTS)}", np.concatenate([*(parts[name] for name in _PARTS), extra], 1)
        yield (
            f"{told} of one place after the other: it is {', '.join(_PARTS)} of all",
            np.concatenate([*(by_place[name] for name in _PARTS), extra], 1),
        )
