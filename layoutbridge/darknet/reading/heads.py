"""The layers that end a detector: region, yolo, Gaussian_yolo, detection.

Only what they do to their input; turning it into boxes is another room's. Definition: region_layer.c,
yolo_layer.c, gaussian_yolo_layer.c, detection_layer.c of both forks.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from layoutbridge.darknet.reading.place import Place, describe, reads
from layoutbridge.darknet.reading.softmax_tree import read_tree
from layoutbridge.darknet.structure.heads import DetectionHead, GaussianYolo, Region, Yolo
from layoutbridge.darknet.structure.model import Layer, Shape
from layoutbridge.darknet.structure.settings import Range
from layoutbridge.errors import counted

_MOST_CLASSES = 1 << 24
_LEAST_OBJECTNESS = 0.5  # a constant in get_region_boxes
_MOST_BOXES = 10_000  # of one place; each has its anchors in memory


@reads(Region)
def region(place: Place) -> Layer:
    """[region]: YOLOv2's head. The original applies more logistics; the fork leaves its channels last."""
    options = place.options
    classes = _count(place, "classes", 20)
    coords = _count(place, "coords", 4)
    num = _count(place, "num", 1)
    softmax = options.flag("softmax")
    background = place.original and options.flag("background")
    anchors = _anchors(place, num, num)
    options.integer("absolute", 0)  # these two are of training alone, and must be numbers
    options.number("thresh", 0.5)
    classfix = options.integer("classfix", 0)
    tree = read_tree(place)
    if tree is not None and sum(tree.sizes) != classes:
        raise place.error(f"its tree has {sum(tree.sizes)} classes, the layer classes={classes}", "tree")
    entries = coords + classes + 1
    shape = _check_channels(place, num * entries, f"num={num} × (coords={coords} + classes={classes} + 1)")
    logistic: tuple[Range, ...] = ((4, 5),)  # the fork's fixed place of the objectness
    softmax_entries = (5, 5 + classes) if softmax or tree is not None else None
    if place.original:
        first = coords + (0 if background else 1)
        logistic = ((0, min(2, entries)),)
        if not background:
            logistic += ((coords, coords + 1),)
        if not softmax and tree is None:
            logistic += ((coords + 1, entries),)
        softmax_entries = (first, first + classes + background) if softmax else None
        if tree is not None:
            softmax_entries = (coords + 1, entries)
    elif coords != 4:
        raise place.error(f"coords={coords}: Darknet's main fork counts on 4", "coords")
    settings = Region(
        classes=classes,
        coords=coords,
        num=num,
        anchors=anchors,
        background=background,
        tree=tree,
        logistic=logistic,
        softmax_entries=softmax_entries,
        channels_last=not place.original,
        entries=entries,
        least_objectness=_LEAST_OBJECTNESS if classfix == -1 and not place.original else 0.0,
    )
    return place.layer(shape, settings)


@reads(Yolo)
def yolo(place: Place) -> Layer:
    """[yolo]: the head of YOLOv3 and later."""
    new_coords, scale = False, 1.0
    if not place.original:
        new_coords = place.options.flag("new_coords")
        scale = place.options.number("scale_x_y", 1.0)
    boxes = _boxes(place, 4)
    settings = Yolo(
        classes=boxes.classes,
        num=len(boxes.mask),
        mask=boxes.mask,
        anchors=boxes.anchors,
        new_coords=new_coords,
        scale_x_y=scale,
        entries=boxes.entries,
        logistic=() if new_coords else ((0, 2), (4, boxes.entries)),
        nms_kind=boxes.nms_kind,
        beta_nms=boxes.beta_nms,
    )
    return place.layer(boxes.shape, settings)


@reads(GaussianYolo)
def gaussian_yolo(place: Place) -> Layer:
    """[Gaussian_yolo], the fork's: a mean and a spread for each of x, y, w, h."""
    scale = place.options.number("scale_x_y", 1.0)
    point = place.options.text("yolo_point", "center") or "center"
    boxes = _boxes(place, 8)
    settings = GaussianYolo(
        classes=boxes.classes,
        num=len(boxes.mask),
        mask=boxes.mask,
        anchors=boxes.anchors,
        new_coords=False,
        scale_x_y=scale,
        entries=boxes.entries,
        logistic=((0, 2), (2, 4), (5, 6), (7, 8), (8, boxes.entries)),
        nms_kind=boxes.nms_kind,
        beta_nms=boxes.beta_nms,
        yolo_point=point,
    )
    return place.layer(boxes.shape, settings)


@dataclass(frozen=True, slots=True)
class _Boxes:
    """What [yolo] and [Gaussian_yolo] say of their boxes."""

    shape: Shape
    classes: int
    mask: tuple[int, ...]
    anchors: tuple[float, ...]
    entries: int
    nms_kind: str
    beta_nms: float


def _boxes(place: Place, numbers: int) -> _Boxes:
    """The boxes of a head that holds so many `numbers` of each before its objectness."""
    options = place.options
    total = _count(place, "num", 1)
    mask = options.integers("mask", note_ends_list=not place.original) or tuple(range(total))
    if not 0 <= min(mask) <= max(mask) < _MOST_BOXES:
        raise place.error(
            f"mask names anchors {min(mask)} to {max(mask)}: they must lie in 0 to {_MOST_BOXES - 1}", "mask"
        )
    if max(mask) >= total:
        options.warn(f"mask names anchor {max(mask)} of num={total}: Darknet reads it from beyond its table", "mask")
    anchors = _anchors(place, total, max(total, max(mask) + 1))
    _check_anchors(place, max(mask) + 1)
    classes = _count(place, "classes", 20)
    nms_kind, beta_nms = "default", 0.6
    if not place.original:
        nms_kind, beta_nms = options.text("nms_kind", nms_kind) or nms_kind, options.number("beta_nms", beta_nms)
    entries = numbers + 1 + classes
    shape = _check_channels(place, len(mask) * entries, f"{len(mask)} masks × ({numbers} + 1 + classes={classes})")
    return _Boxes(shape, classes, mask, anchors, entries, nms_kind, beta_nms)


@reads(DetectionHead)
def detection(place: Place) -> Layer:
    """[detection]: the first YOLO's head; a softmax over each place's classes where it asks for one."""
    options = place.options
    classes = _count(place, "classes", 1)
    coords = _count(place, "coords", 1)
    num = _count(place, "num", 1)
    side = _count(place, "side", 7)
    wanted = side * side * ((1 + coords) * num + classes)
    total = prod(place.in_shape)
    if total != wanted:
        raise place.error(
            f"has {counted(total, 'input')} and needs {wanted}: side={side}² × ((1 + coords={coords}) × num={num} + "
            f"classes={classes})"
        )
    settings = DetectionHead(
        classes=classes,
        coords=coords,
        num=num,
        side=side,
        softmax=options.flag("softmax"),
        sqrt=options.flag("sqrt"),
    )
    return place.layer((total,), settings)


def _count(place: Place, key: str, default: int) -> int:
    return place.options.integer(key, default, least=1, most=_MOST_CLASSES if key == "classes" else _MOST_BOXES)


def _check_channels(place: Place, wanted: int, reason: str) -> tuple[int, int, int]:
    shape = place.image()
    if shape[0] != wanted:
        raise place.error(
            f"its input {describe(shape)} has {counted(shape[0], 'channel')} and must have {wanted} = {reason}: "
            "set filters= of the layer before"
        )
    return shape


def _anchors(place: Place, total: int, needed: int) -> tuple[float, ...]:
    """Two numbers for each of `needed` anchors; those that the cfg leaves out are 0.5, as Darknet starts them."""
    anchors = place.options.numbers("anchors", note_ends_list=not place.original)
    if len(anchors) > 2 * total:
        then = "the original Darknet writes on behind its table" if place.original else "Darknet leaves the others out"
        place.options.warn_once(f"anchors has {counted(len(anchors), 'number')} for num={total}: {then}", "anchors")
    return (anchors + (0.5,) * (2 * needed - len(anchors)))[: 2 * needed]


def _check_anchors(place: Place, named: int) -> None:
    """An error where the cfg gives anchors, and nothing of one that a mask names; `named` are as many as it reaches to.

    Without any all are 0.5, as in Darknet.
    """
    options = place.options
    given = len(options.numbers("anchors", note_ends_list=not place.original))
    told = f"anchors has {counted(given, 'number')}, and mask names anchor {named - 1}"
    if 0 < given < 2 * named - 1:
        options.keep(place.error(f"{told}: give {2 * named} numbers, two for each anchor", "anchors"))
    elif given == 2 * named - 1:
        options.warn(f"{told}: its height is 0.5, as in Darknet", "anchors")
