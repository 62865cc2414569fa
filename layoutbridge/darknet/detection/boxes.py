"""From what a network's last layers hold to Darknet's boxes, in NumPy: decoding, thresholds, letterbox.

A row is x, y (of the centre), w, h as shares of a picture's width and height, objectness, one score a class. `decode`
gives every box of every detection layer before any threshold, in the order of Darknet's decoder: layer after layer as
in the cfg; in a layer place by place (the grid's rows first) and anchor by anchor in each place, but for the
original's [region], which goes anchor by anchor and place by place in each anchor.

Where the forks part: the main fork's [region] reports an objectness of 1 for every box (the scores carry the real
one), as the original does where the layer has a background class. With a tree of classes Darknet returns one class a
box; here the objectness is the layer's own in either fork, a class's score is objectness × the product of the
probabilities from the root down to it, and the choice of the one class is left to `apply_threshold`. A [detection]
layer's boxes are shares too, where Darknet gives pixels of the picture.

Definitions: get_*_detections, get_*_box and correct_*_boxes in yolo_layer.c, gaussian_yolo_layer.c, region_layer.c,
detection_layer.c and network.c; tree.c.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.detection.resizing import letterbox_size
from layoutbridge.darknet.structure.choices import FLAVORS, NMS_KINDS
from layoutbridge.darknet.structure.heads import DetectionHead, GaussianYolo, Head, Region, YoloHead
from layoutbridge.darknet.structure.kinds import KINDS, Softmax
from layoutbridge.darknet.structure.model import Layer, Network
from layoutbridge.darknet.structure.settings import SoftmaxTree, check_tree, is_whole
from layoutbridge.errors import ParameterError, ShapeError, UnsupportedError, shown
from layoutbridge.inputs import read_json

Rows = NDArray[np.float32]
Values = NDArray[np.float64]
Outputs = Mapping[int, NDArray[Any]] | Sequence[NDArray[Any]]

MOST_CLASSES = 100_000  # of rules that are read from a file
_LARGEST_BETA = 1000
TREE_THRESHOLD = 0.5  # -hier's default in the original, a constant in the fork
_BOX = 5  # numbers of a row before its scores


@dataclass(frozen=True, slots=True)
class HeadRules:
    """What else Darknet needs to turn rows into detections: plain data that a model file's metadata can hold.

    `gated`: only a box with an objectness over the threshold counts (all heads but [detection]). `nms_kind` and
    `beta_nms` are the last head's. `letterbox`: whether Darknet letterboxes the picture by itself. `tree_parents` and
    `tree_sizes` are those of the tree of classes, empty without one. Boxes under `least_objectness` do not count.
    """

    flavor: str
    classes: int
    gated: bool = True
    nms_kind: str = "default"
    beta_nms: float = 0.6
    letterbox: bool = False
    tree_parents: tuple[int, ...] = ()
    tree_sizes: tuple[int, ...] = ()
    least_objectness: float = 0.0

    def to_json(self) -> str:
        """The rules as one line of JSON."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> HeadRules:
        """The rules that `to_json` wrote; raises `ValueError` for any other text.

        >>> rules = HeadRules("alexey", classes=80, nms_kind="diounms")
        >>> HeadRules.from_json(rules.to_json()) == rules
        True
        """
        read = read_json(text)
        names = {one.name for one in fields(cls)}
        if not isinstance(read, dict) or not {"flavor", "classes"} <= read.keys() <= names:
            raise ValueError("these are no rules of a detection head")
        given: dict[str, Any] = {name: tuple(held) if isinstance(held, list) else held for name, held in read.items()}
        rules = cls(**given)
        _check_rules(rules)
        return rules


def _check_rules(rules: HeadRules) -> None:
    """Raise `ValueError` for what no cfg makes: each field's type, its range, and the tree as a whole."""
    if rules.flavor not in FLAVORS or rules.nms_kind not in NMS_KINDS:
        raise ValueError("its flavor or its nms_kind is unknown")
    if not is_whole(rules.classes, 1, MOST_CLASSES):
        raise ValueError(f"classes must be a number from 1 to {MOST_CLASSES:,}")
    if not isinstance(rules.gated, bool) or not isinstance(rules.letterbox, bool):
        raise ValueError("gated and letterbox must be true or false")
    beta = rules.beta_nms
    if isinstance(beta, bool) or not isinstance(beta, int | float) or not 0 <= beta <= _LARGEST_BETA:
        raise ValueError(f"beta_nms must be a number from 0 to {_LARGEST_BETA:,}")
    least = rules.least_objectness
    if isinstance(least, bool) or not isinstance(least, int | float) or not 0 <= least <= 1:
        raise ValueError("least_objectness must be a number from 0 to 1")
    check_tree(rules.tree_parents, rules.tree_sizes)
    parents, sizes = rules.tree_parents, rules.tree_sizes
    if (parents or sizes) and not len(parents) == sum(sizes) == rules.classes:
        raise ValueError(f"its tree has {len(parents):,} classes in groups of {sum(sizes):,}, not {rules.classes:,}")


def head_layers(network: Network) -> tuple[Layer, ...]:
    """The network's detection layers in order; `UnsupportedError` where it has none, or where they cannot be joined."""
    return tuple(layer for layer, _ in _heads(network))


def head_rules(network: Network) -> HeadRules:
    """The rules of the network's detection layers; raises as `head_layers` does.

    The original letterboxes every picture but those of the first YOLO, the fork where [net] says letter_box=1.
    """
    heads = [head for _, head in _heads(network)]
    last = heads[-1]
    tree = next((head.tree for head in heads if head.tree is not None), None)
    gated = any(head.gated for head in heads)
    return HeadRules(
        flavor=network.flavor,
        classes=last.classes,
        gated=gated,
        nms_kind=last.nms_kind if last.nms_kind in NMS_KINDS else "default",  # as Darknet takes an unknown word
        beta_nms=last.beta_nms,
        letterbox=gated if network.flavor == "pjreddie" else network.letterbox,
        tree_parents=() if tree is None else tree.parents,
        tree_sizes=() if tree is None else tree.sizes,
        least_objectness=max(head.least_objectness if isinstance(head, Region) else 0.0 for head in heads),
    )


def _heads(network: Network) -> tuple[tuple[Layer, Head], ...]:
    """Each detection layer with its settings; raises as `head_layers` does."""
    heads = tuple((layer, layer.settings) for layer in network.layers if isinstance(layer.settings, Head))
    if not heads:
        last = network.layers[-1].kind if network.layers else "nothing"
        kinds = [kind for kind, settings in KINDS.items() if issubclass(settings, Head)]
        raise UnsupportedError(
            f"{network.source} has no detection layer ([{'], ['.join(kinds)}]), so it gives no boxes: it ends "
            f"in [{last}]{', as classifiers do, which classify takes' if last == Softmax.kind else ''}"
        )
    if len({head.classes for _, head in heads}) > 1:
        lines = ", ".join(f"line {layer.line}: {head.classes}" for layer, head in heads)
        raise UnsupportedError(f"{network.source}: its detection layers differ in their classes ({lines})")
    for layer, head in heads:
        if head.coords < 4:
            raise UnsupportedError(f"{network.where(layer)}: a box needs coords=4 at least")
    return heads


# ---------------------------------------------------------------------- decoding


def decode(network: Network, outputs: Outputs) -> Rows:
    """All boxes: float32 [N, boxes, 5 + classes], in shares of the network's input, before any threshold.

    `outputs` gives each detection layer's output under its index (a list holds every layer's), [N, C, H, W] or
    [N, K] as Darknet holds it. Computed in float64. Raises `ShapeError` for an output of another size and
    `UnsupportedError` as `head_layers` does.
    """
    parts = [_decode_layer(network, layer, head, outputs[layer.index]) for layer, head in _heads(network)]
    return np.concatenate(parts, axis=1).astype(np.float32)


def _decode_layer(network: Network, layer: Layer, head: Head, output: NDArray[Any]) -> Values:
    values = np.asarray(output, np.float64)
    if values.ndim < 2 or prod(values.shape[1:]) != prod(layer.out_shape):
        wanted = ", ".join(map(str, layer.out_shape))
        raise ShapeError(f"layer {layer.name} holds [N, {wanted}], not {list(values.shape)}")
    values = values.reshape(len(values), -1)
    match head:
        case DetectionHead():
            return _detection_rows(head, values)
        case Region():
            return _region_rows(layer, head, values)
        case YoloHead():
            return _yolo_rows(network, layer, head, values)
    raise AssertionError(f"[{layer.kind}] is decoded nowhere")


def _yolo_rows(network: Network, layer: Layer, settings: YoloHead, flat: Values) -> Values:
    _, height, width = layer.out_shape
    values = flat.reshape(len(flat), settings.num, settings.entries, height, width).transpose(0, 3, 4, 1, 2)
    anchors = np.asarray(settings.anchors, np.float64).reshape(-1, 2)[list(settings.mask)]
    columns, rows = np.arange(width)[:, None], np.arange(height)[:, None, None]
    spreads = isinstance(settings, GaussianYolo)
    step = 2 if spreads else 1  # a spread follows each mean
    x, y, w, h = (values[..., k * step] for k in range(4))
    first = 8 if spreads else 4
    objectness = values[..., first]
    factor = objectness
    if spreads:
        factor = objectness * (1 - values[..., 1:8:2].mean(axis=-1))
    power = (lambda v: (2 * v) ** 2) if settings.new_coords else np.exp
    x, y = (columns + x) / width, (rows + y) / height
    w, h = power(w) * anchors[:, 0] / network.width, power(h) * anchors[:, 1] / network.height
    if isinstance(settings, GaussianYolo) and settings.yolo_point != "center":  # a corner is what it predicts
        sign = 1 if settings.yolo_point == "left_top" else -1
        x, y = x + sign * w / 2, y + sign * h / 2
    return _joined(x, y, w, h, objectness, factor[..., None] * values[..., first + 1 :])


def _region_rows(layer: Layer, settings: Region, flat: Values) -> Values:
    _, height, width = layer.out_shape
    num, entries, coords = settings.num, settings.entries, settings.coords
    anchors = np.asarray(settings.anchors, np.float64).reshape(-1, 2)[:num]
    fork = settings.channels_last
    if fork:  # [N, H, W, num, entries]
        values = flat.reshape(len(flat), height, width, num, entries)
        columns, rows = np.arange(width)[:, None], np.arange(height)[:, None, None]
        x, y = _logistic(values[..., 0]), _logistic(values[..., 1])
    else:  # [N, num, H, W, entries]
        values = flat.reshape(len(flat), num, entries, height, width).transpose(0, 1, 3, 4, 2)
        columns, rows = np.arange(width), np.arange(height)[:, None]
        anchors = anchors[:, None, None]
        x, y = values[..., 0], values[..., 1]
    x, y = (columns + x) / width, (rows + y) / height
    w = np.exp(values[..., 2]) * anchors[..., 0] / width
    h = np.exp(values[..., 3]) * anchors[..., 1] / height
    background = settings.background
    objectness = np.ones_like(x) if background else values[..., coords]
    classes = values[..., coords + 1 :]  # behind the objectness, or the background class
    tree = settings.tree
    if tree is not None:
        classes = _down_the_tree(classes, tree)
    told = np.ones_like(x) if fork and tree is None and not settings.least_objectness else objectness
    return _joined(x, y, w, h, told, objectness[..., None] * classes)


def _detection_rows(settings: DetectionHead, flat: Values) -> Values:
    side, num, classes = settings.side, settings.num, settings.classes
    places = side * side
    scores = flat[:, : places * classes].reshape(-1, side, side, 1, classes)
    objectness = flat[:, places * classes : places * (classes + num)].reshape(-1, side, side, num)
    # Darknet steps by 4 through the boxes whatever coords says.
    boxes = flat[:, places * (classes + num) :][:, : places * num * 4].reshape(-1, side, side, num, 4)
    x = (np.arange(side)[:, None] + boxes[..., 0]) / side
    y = (np.arange(side)[:, None, None] + boxes[..., 1]) / side
    w, h = boxes[..., 2], boxes[..., 3]
    if settings.sqrt:
        w, h = w * w, h * h
    return _joined(x, y, w, h, objectness, objectness[..., None] * scores)


def _joined(x: Values, y: Values, w: Values, h: Values, objectness: Values, scores: Values) -> Values:
    rows = np.concatenate([np.stack([x, y, w, h, objectness], axis=-1), scores], axis=-1)
    return rows.reshape(len(rows), -1, rows.shape[-1])


def _logistic(x: Values) -> Values:
    return np.exp(-np.logaddexp(0, -x))


def _down_the_tree(probabilities: Values, tree: SoftmaxTree) -> Values:
    """Each class's own probability times those of its ancestors; a parent stands before its children."""
    result = probabilities.copy()
    start = 0
    for size in tree.sizes:
        parent = tree.parents[start]
        if parent >= 0:
            result[..., start : start + size] *= result[..., parent : parent + 1]
        start += size
    return result


# ---------------------------------------------------------------------- thresholds and letterbox


def apply_threshold(rows: Rows, rules: HeadRules, threshold: float, tree_threshold: float = TREE_THRESHOLD) -> Rows:
    """`rows` [boxes, 5 + classes] with every score that is not over the threshold set to 0; no row is dropped.

    The objectness of a gated box that is not over it is set to 0 with its scores. With a tree, one class of each box is
    left: the original goes down while the product of what it passes stays over `tree_threshold` and gives the
    class the box's objectness, the fork takes the last class whose own probability is over it, as its score.
    """
    kept = rows.copy()
    limit = np.float32(threshold)
    passed = (kept[:, 4] > limit) & ~(kept[:, 4] < np.float32(rules.least_objectness))
    if rules.tree_parents:
        kept[:, _BOX:] = _one_class_a_box(kept, passed, rules, tree_threshold)
    else:
        kept[:, _BOX:][~(kept[:, _BOX:] > limit)] = 0
    if rules.gated:
        kept[~passed, 4:] = 0
    return kept


def sure_rows(rows: Rows, rules: HeadRules, threshold: float) -> Rows:
    """Those rows of which `apply_threshold` may leave a score: it takes the longer, the more rows there are.

    >>> rows = np.float32([[0, 0, 1, 1, 0.9, 0.8], [0, 0, 1, 1, 0.9, 0.1], [0, 0, 1, 1, 0.1, 0.8]])
    >>> len(sure_rows(rows, HeadRules("alexey", classes=1), 0.5))
    1
    """
    limit = np.float32(threshold)
    if rules.gated:
        rows = rows[rows[:, 4] > limit]
    return rows if rules.tree_parents else rows[(rows[:, _BOX:] > limit).any(axis=1)]


def _one_class_a_box(rows: Rows, passed: NDArray[np.bool_], rules: HeadRules, tree_threshold: float) -> Rows:
    scores = np.zeros_like(rows[:, _BOX:])
    starts = np.cumsum((0, *rules.tree_sizes))[:-1]
    children = {rules.tree_parents[start]: group for group, start in enumerate(starts)}
    for number in np.flatnonzero(passed):
        objectness = rows[number, 4]
        chances = rows[number, _BOX:] / objectness
        if rules.flavor == "alexey":
            over = np.flatnonzero(chances > tree_threshold)
            if over.size:
                scores[number, over[-1]] = chances[over[-1]]
            continue
        product, group = 1.0, 0
        while True:
            start = int(starts[group])
            best = start + int(np.argmax(chances[start : start + rules.tree_sizes[group]]))
            product *= float(chances[best])  # chances are products already: Darknet multiplies twice
            if product > tree_threshold and best in children:
                group = children[best]
                continue
            if not product > tree_threshold and group:
                best = rules.tree_parents[start]
            scores[number, best] = objectness
            break
    return scores


def undo_letterbox(rows: Rows, picture: tuple[int, int], network: tuple[int, int]) -> Rows:
    """Boxes in shares of the letterboxed input as shares of the picture itself; sizes are (width, height).

    As Darknet does it: the picture's size on the input is whole, the margin's halves are not, though the picture was
    put at a whole place. `rows` [..., 4 and more]; a new array.

    >>> undo_letterbox(np.float32([[0.5, 0.5, 0.25, 0.25]]), (200, 100), (32, 32)).tolist()
    [[0.5, 0.5, 0.25, 0.5]]
    """
    result = rows.copy()
    for axis, (fitted, whole) in enumerate(zip(letterbox_size(picture, network), network, strict=True)):
        share = np.float64(np.float32(fitted) / np.float32(whole))
        result[..., axis] = (rows[..., axis].astype(np.float64) - (whole - fitted) / 2.0 / whole) / share
        result[..., axis + 2] = rows[..., axis + 2].astype(np.float64) / share
    return result


def check_share(what: str, value: float) -> None:
    """Raise `ParameterError` for what is no number from 0 to 1; `what` names it."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.floating) or not 0 <= value <= 1:
        raise ParameterError(f"{what} must be a number from 0 to 1, not {shown(value)}")
