"""The layers that end a detector, as Darknet's own output holds them: region, yolo, Gaussian_yolo, detection.

Definition: region_layer.c, yolo_layer.c, gaussian_yolo_layer.c, detection_layer.c of both forks.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby

from layoutbridge.darknet.meaning.context import Context, means
from layoutbridge.darknet.meaning.pointwise import grouped_softmax
from layoutbridge.darknet.structure.heads import DetectionHead, GaussianYolo, Region, Yolo, YoloHead
from layoutbridge.frameworks.primitives import Target, V
from layoutbridge.operations.catalog import op

Treatment = str  # what is done to an entry of a box: "", "sigmoid", "softmax" or "scaled"


@means(Region)
def region(context: Context[V], settings: Region) -> V:
    """[region]: logistics and softmax over entries of each box; the fork's result lies channels last."""
    target = context.target
    treatments = [""] * settings.entries
    for first, end in settings.logistic:
        treatments[first:end] = ["sigmoid"] * (end - first)
    if settings.softmax_entries is not None:
        first, end = settings.softmax_entries
        treatments[first:end] = ["softmax"] * (end - first)
    tree = settings.tree

    def classes(x: V) -> V:
        return target.softmax(x, 0) if tree is None else grouped_softmax(target, x, tree.sizes)

    x = _by_entries(target, context.x, treatments * settings.num, settings.entries, {"softmax": classes})
    return target.rearrange(x, op("darknet_flatten")) if settings.channels_last else x


@means(Yolo)
def yolo(context: Context[V], settings: Yolo) -> V:
    """[yolo]: logistics; then x and y are spread around their middle by scale_x_y."""
    return _yolo(context, settings, (0, 1))


@means(GaussianYolo)
def gaussian_yolo(context: Context[V], settings: GaussianYolo) -> V:
    """[Gaussian_yolo]: the same, with a spread behind each of x, y, w, h."""
    return _yolo(context, settings, (0, 2))


@means(DetectionHead)
def detection(context: Context[V], settings: DetectionHead) -> V:
    """[detection]: a softmax over the classes of each place, which lie first."""
    target = context.target
    x = context.flat(context.x)
    if not settings.softmax:
        return x
    places, classes = settings.side**2, settings.classes
    scores, rest = target.split(x, (places * classes, x.shape[0] - places * classes))
    shares = target.softmax(target.reshape(scores, (places, classes)), 1)
    return target.concat([target.reshape(shares, scores.shape), rest])


def _yolo(context: Context[V], settings: YoloHead, positions: tuple[int, int]) -> V:
    target, scale = context.target, settings.scale_x_y
    treatments = [""] * settings.entries
    for first, end in settings.logistic:
        treatments[first:end] = ["sigmoid"] * (end - first)
    inner: Callable[[V], V] = lambda x: x  # noqa: E731
    if scale != 1:
        before = {treatments[k] for k in positions}
        for k in positions:
            treatments[k] = "scaled"
        if before == {"sigmoid"}:
            inner = lambda x: target.activation(x, "sigmoid")  # noqa: E731

    def spread(x: V) -> V:
        return target.add(target.multiply(inner(x), scale), -0.5 * (scale - 1))

    return _by_entries(target, context.x, treatments * settings.num, settings.entries, {"scaled": spread})


def _by_entries(
    target: Target[V], x: V, treatments: list[Treatment], entries: int, functions: dict[Treatment, Callable[[V], V]]
) -> V:
    """x with each channel treated as its entry of `treatments` says, neighbours of one treatment together.

    A function of `functions` gets the channels of one box; the logistic may get those of several.
    """
    known = {"": lambda part: part, "sigmoid": lambda part: target.activation(part, "sigmoid"), **functions}
    keys = [(treatment, k // entries if treatment in functions else -1) for k, treatment in enumerate(treatments)]
    runs = [(key[0], len(list(same))) for key, same in groupby(keys)]
    parts = target.split(x, [count for _, count in runs])
    return target.concat([known[treatment](part) for part, (treatment, _) in zip(parts, runs, strict=True)])
