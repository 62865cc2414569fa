"""The boxes of a detector as part of its graph: Darknet's decoding written over the targets' primitives.

Three layouts, all detection layers in one tensor, in the order of Darknet's decoder (see `darknet.detection.boxes`):

layout    shape of one picture  a box                                        a class's number
--------  --------------------  -------------------------------------------  --------------------------------------
boxes     [boxes, 5 + classes]  shares of the network's input, objectness    objectness × probability
yolov5    [boxes, 5 + classes]  pixels of the network's input, objectness    probability (the reader multiplies)
yolov8    [4 + classes, boxes]  pixels of the network's input, none          objectness × probability

A box is x, y (of its centre), w, h. In `boxes` the objectness is what Darknet reports: 1 throughout for the main
fork's [region] and for a background class; in `yolov5` it is the layer's own, or the product would be wrong. The
probabilities of [Gaussian_yolo] are times 1 − the mean of the four spreads, those of a tree's classes times those of
their ancestors.

Definitions: as in `darknet.detection.boxes`, which computes the same in NumPy and shares none of this arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.darknet.detection.boxes import check_share, head_layers, head_rules
from layoutbridge.darknet.detection.suppression import distance_exponent
from layoutbridge.darknet.structure.choices import HEAD_LAYOUTS
from layoutbridge.darknet.structure.heads import DetectionHead, GaussianYolo, Region, YoloHead
from layoutbridge.darknet.structure.model import Layer, Network
from layoutbridge.darknet.structure.settings import SoftmaxTree
from layoutbridge.errors import ParameterError, UnknownNameError, UnsupportedError, shown
from layoutbridge.frameworks.primitives import LazyArray, Target, V

Columns = tuple[V, V, V, V | None, V]  # centre, size, objectness told, the scores' factor if any, probabilities


@dataclass(frozen=True, slots=True)
class Suppression:
    """What a graph keeps of its boxes: those with a score over `threshold` that no better one of their class overlaps.

    `overlap` is the most that is let pass, `kind` how it is measured (`heads.NMS_KINDS`), None as the cfg says.
    The numbers are those of Darknet: the fork's -thresh, and its nms. Raises `ParameterError` for others than 0 to 1.
    """

    threshold: float = 0.25
    overlap: float = 0.45
    kind: str | None = None

    def __post_init__(self) -> None:
        check_share("threshold", self.threshold)
        check_share("overlap", self.overlap)
        if not self.overlap:
            raise ParameterError("at an overlap of 0 Darknet suppresses nothing: leave nms away, or give 1")


def append_head(
    target: Target[V],
    network: Network,
    values: Mapping[int, V] | Sequence[V],
    layout: str = "boxes",
    nms: Suppression | None = None,
    *,
    in_shares: bool = False,
) -> tuple[V, Any | None]:
    """Add the boxes to a graph: the tensor in this `layout`, and with `nms` which of them Darknet's suppression keeps.

    `values` holds each detection layer's output under its index. The suppression works class by class on the scores
    (objectness × probability) and on boxes in shares of the input, whatever the layout. With `in_shares` all layouts
    give boxes as `boxes` does. Raises `UnsupportedError` for
    it where the target has no `non_max_suppression`, and for a tree of classes; as `head_layers` does, and for an input
    of open size; and `UnknownNameError` for a layout.
    """
    if layout not in HEAD_LAYOUTS:
        raise UnknownNameError(f"no layout of boxes is called {shown(layout)}; there is {', '.join(HEAD_LAYOUTS)}")
    heads = head_layers(network)
    if (layout == "yolov8" or nms is not None) and head_rules(network).least_objectness:
        raise UnsupportedError(
            f"{network.source}: with classfix=-1 boxes of a lower objectness than 0.5 are none, which is lost in "
            "yolov8's places and in suppressions: take the head boxes without nms"
        )
    scale = (1.0, 1.0) if in_shares or layout == "boxes" else (float(network.width), float(network.height))
    boxes, told, sure, scores, probabilities = [], [], [], [], []
    for layer in heads:
        with target.scope(f"{layer.name}_boxes"):
            centre, size, objectness, factor, classes = _columns(target, network, layer, values[layer.index], scale)
            own = factor if factor is not None and layout == "yolov5" else objectness
            boxes.append(target.concat([centre, size], 1))
            told.append(own)
            sure.append(objectness)
            probabilities.append(classes)
            if factor is not None and (nms is not None or layout != "yolov5"):
                scores.append(target.multiply(factor, classes))
            else:
                scores.append(classes)
    with target.scope(layout):
        placed = target.concat(boxes, 0)
        wanted = target.concat(probabilities if layout == "yolov5" else scores, 0)
        if layout == "yolov8":
            output = target.concat([_turned(target, placed), _turned(target, wanted)], 0)
        else:
            output = target.concat([placed, target.concat(told, 0), wanted], 1)
    if nms is None:
        return output, None
    with target.scope("nms"):
        if scale != (1.0, 1.0):
            shares = LazyArray.of("nms/shares", 1 / np.array([[*scale, *scale]]))
            placed = target.multiply(placed, target.constant(shares))
        ranks, objectness = (_turned(target, target.concat(parts, 0)) for parts in (scores, sure))
        return output, _suppressed(target, network, placed, ranks, objectness, nms)


def boxes_and_scores(target: Target[V], network: Network, values: Mapping[int, V] | Sequence[V]) -> tuple[V, V]:
    """All boxes (boxes, 4) in pixels of the input, centre and size, and their scores (boxes, classes).

    `values` holds each detection layer's output under its index.
    Raises as `head_layers` does.
    """
    boxes, scores = [], []
    for layer in head_layers(network):
        with target.scope(f"{layer.name}_boxes"):
            scale = (float(network.width), float(network.height))
            centre, size, _, factor, classes = _columns(target, network, layer, values[layer.index], scale)
            boxes.append(target.concat([centre, size], 1))
            scores.append(classes if factor is None else target.multiply(factor, classes))
    return target.concat(boxes, 0), target.concat(scores, 0)


def _suppressed(target: Target[V], network: Network, boxes: V, scores: V, objectness: V, nms: Suppression) -> Any:
    suppress = getattr(target, "non_max_suppression", None)
    if suppress is None:
        raise UnsupportedError("this target has no suppression of its own: leave nms away and suppress afterwards")
    rules = head_rules(network)
    if rules.tree_parents:
        raise UnsupportedError(
            f"{network.source}: of a tree of classes Darknet takes one class a box, which no graph does: leave nms away"
        )
    return suppress(
        boxes,
        scores,
        objectness if rules.gated else None,
        overlap=nms.overlap,
        threshold=nms.threshold,
        exponent=distance_exponent(nms.kind or rules.nms_kind, rules.beta_nms),
    )


def _turned(target: Target[V], x: V) -> V:
    return target.rearrange(x, Rearrangement("boxes c -> c boxes"))


def _columns(target: Target[V], network: Network, layer: Layer, x: V, scale: tuple[float, float]) -> Columns[V]:
    match layer.settings:
        case DetectionHead() as settings:
            return _detection_columns(target, layer, settings, x, scale)
        case Region() as settings:
            return _region_columns(target, layer, settings, x, scale)
        case YoloHead() as settings:
            return _yolo_columns(target, network, layer, settings, x, scale)
    raise AssertionError(f"[{layer.kind}] is no detection layer")


def _yolo_columns(
    target: Target[V], network: Network, layer: Layer, settings: YoloHead, x: V, scale: tuple[float, float]
) -> Columns[V]:
    num, entries, classes = settings.num, settings.entries, settings.classes
    cells = (layer.out_shape[2], layer.out_shape[1])
    rows = target.rearrange(x, Rearrangement("(n e) h w -> (h w n) e", n=num))
    per_pixel = np.array([scale[0] / network.width, scale[1] / network.height])
    anchors = np.array(settings.anchors).reshape(-1, 2)[list(settings.mask)] * per_pixel
    if isinstance(settings, GaussianYolo):
        x_, x_spread, y_, y_spread, w_, w_spread, h_, h_spread, objectness, chances = target.split(
            rows, [1] * 9 + [entries - 9], 1
        )
        centre, size = target.concat([x_, y_], 1), target.concat([w_, h_], 1)
        spread = target.add(target.add(x_spread, y_spread), target.add(w_spread, h_spread))
        chances = target.multiply(chances, target.add(target.multiply(spread, -0.25), 1.0))
    else:
        centre, size, objectness, chances = target.split(rows, [2, 2, 1, classes], 1)
    if settings.new_coords:  # (2·v)² in place of exp(v)
        size, anchors = target.multiply(size, size), 4 * anchors
    else:
        size = target.activation(size, "exp")
    size = target.multiply(size, _constant(target, layer, "anchors", np.tile(anchors, (cells[0] * cells[1], 1))))
    centre = _on_the_grid(target, layer, centre, _grid(cells, num, places_first=True), cells, scale)
    if isinstance(settings, GaussianYolo) and settings.yolo_point != "center":
        centre = target.add(centre, target.multiply(size, 0.5 if settings.yolo_point == "left_top" else -0.5))
    return centre, size, objectness, objectness, chances


def _region_columns(target: Target[V], layer: Layer, settings: Region, x: V, scale: tuple[float, float]) -> Columns[V]:
    num, entries, coords, classes = settings.num, settings.entries, settings.coords, settings.classes
    cells = (layer.out_shape[2], layer.out_shape[1])
    count = cells[0] * cells[1] * num
    fork = settings.channels_last
    if fork:
        rows = target.reshape(x, (count, entries))
    else:
        rows = target.rearrange(x, Rearrangement("(n e) h w -> (n h w) e", n=num))
    extra = [coords - 4] if coords > 4 else []
    parts = target.split(rows, [2, 2, *extra, 1, classes], 1)
    centre, size, objectness, chances = *parts[:2], *parts[-2:]
    # the background's probability may stand where the objectness would
    factor = None if settings.background else objectness
    tree = settings.tree
    if tree is not None:
        chances = _down_the_tree(target, chances, tree)
    is_sure = factor is None or (fork and tree is None)
    told = _constant(target, layer, "ones", np.ones((count, 1))) if is_sure else objectness
    if fork:
        centre = target.activation(centre, "sigmoid")
    anchors = np.array(settings.anchors).reshape(-1, 2)[:num] / cells * scale
    places = cells[0] * cells[1]
    laid = np.tile(anchors, (places, 1)) if fork else np.repeat(anchors, places, axis=0)
    size = target.multiply(target.activation(size, "exp"), _constant(target, layer, "anchors", laid))
    centre = _on_the_grid(target, layer, centre, _grid(cells, num, places_first=fork), cells, scale)
    return centre, size, told, factor, chances


def _detection_columns(
    target: Target[V], layer: Layer, settings: DetectionHead, x: V, scale: tuple[float, float]
) -> Columns[V]:
    side, num, classes, coords = settings.side, settings.num, settings.classes, settings.coords
    places = side * side
    sizes = [places * classes, places * num, places * num * 4]
    if coords > 4:
        sizes.append(places * num * (coords - 4))
    flat, factor, boxes = target.split(x, sizes, 0)[:3]
    factor = target.reshape(factor, (places * num, 1))
    centre, size = target.split(target.reshape(boxes, (places * num, 4)), [2, 2], 1)
    chances = target.reshape(flat, (places, 1, classes))
    if num > 1:
        chances = target.concat([chances] * num, 1)
    chances = target.reshape(chances, (places * num, classes))
    if settings.sqrt:
        size = target.multiply(size, size)
    if scale != (1.0, 1.0):
        size = target.multiply(size, _constant(target, layer, "scale", np.array([scale])))
    centre = _on_the_grid(target, layer, centre, _grid((side, side), num, places_first=True), (side, side), scale)
    return centre, size, factor, factor, chances


def _grid(cells: tuple[int, int], num: int, places_first: bool) -> NDArray[np.float64]:
    """[boxes, 2]: the column and the row of each box's place."""
    down, across = np.divmod(np.arange(cells[0] * cells[1]), cells[0])
    grid = np.stack([across, down], axis=1).astype(np.float64)
    return np.repeat(grid, num, axis=0) if places_first else np.tile(grid, (num, 1))


def _on_the_grid(
    target: Target[V],
    layer: Layer,
    centre: V,
    grid: NDArray[np.float64],
    cells: tuple[int, int],
    scale: tuple[float, float],
) -> V:
    """(offset within the place + place) / places · scale."""
    placed = target.add(centre, _constant(target, layer, "grid", grid))
    return target.multiply(placed, _constant(target, layer, "cell", np.array([scale]) / cells))


def _constant(target: Target[V], layer: Layer, name: str, values: NDArray[np.float64]) -> V:
    return target.constant(LazyArray.of(f"{layer.name}_boxes/{name}", values))


def _down_the_tree(target: Target[V], probabilities: V, tree: SoftmaxTree) -> V:
    """Each class's own probability times its ancestors', group by group: a parent stands before its children."""
    groups = target.split(probabilities, tree.sizes, 1)
    starts = np.cumsum((0, *tree.sizes))
    for number, start in enumerate(starts[:-1]):
        parent = tree.parents[start]
        if parent < 0:
            continue
        above = int(np.searchsorted(starts, parent, side="right")) - 1
        place, count = parent - int(starts[above]), probabilities.shape[0]
        one = target.slice(groups[above], (0, place), (count, place + 1))
        groups[number] = target.multiply(groups[number], one)
    return target.concat(groups, 1)
