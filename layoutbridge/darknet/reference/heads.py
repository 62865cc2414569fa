"""region, yolo, Gaussian_yolo, detection: what they do to their input before boxes are read from it."""

from __future__ import annotations

import numpy as np

from layoutbridge.darknet.reference.pointwise import softmax_groups
from layoutbridge.darknet.reference.values import Array, Feed, computes, logistic, softmax
from layoutbridge.darknet.structure.heads import DetectionHead, GaussianYolo, Region, Yolo, YoloHead


@computes(Region)
def region(feed: Feed, settings: Region) -> Array:
    """Logistics and softmax of the flavour; the fork's result is left as [H·W, boxes, entries]."""
    boxes = _boxes(feed, settings)
    for first, end in settings.logistic:
        boxes[:, :, first:end] = logistic(boxes[:, :, first:end])
    if settings.softmax_entries is not None:
        first, end = settings.softmax_entries
        part = boxes[:, :, first:end]
        tree = settings.tree
        boxes[:, :, first:end] = softmax(part, axis=2) if tree is None else softmax_groups(part, tree.sizes, 1.0, 2)
    if not settings.channels_last:
        return boxes
    _, height, width = feed.layer.out_shape
    flat = boxes.reshape(feed.batch, -1, height * width)
    return np.ascontiguousarray(flat.transpose(0, 2, 1))


@computes(Yolo)
def yolo(feed: Feed, settings: Yolo) -> Array:
    """Logistics unless new_coords, then x and y spread about the middle of their cell."""
    return _yolo(feed, settings, (0, 1))


@computes(GaussianYolo)
def gaussian_yolo(feed: Feed, settings: GaussianYolo) -> Array:
    """The same, with x and y at entries 0 and 2."""
    return _yolo(feed, settings, (0, 2))


def _yolo(feed: Feed, settings: YoloHead, spread: tuple[int, int]) -> Array:
    boxes, scale = _boxes(feed, settings), settings.scale_x_y
    for first, end in settings.logistic:
        boxes[:, :, first:end] = logistic(boxes[:, :, first:end])
    for entry in spread:
        boxes[:, :, entry] = scale * boxes[:, :, entry] - 0.5 * (scale - 1)
    return boxes


def _boxes(feed: Feed, settings: Region | YoloHead) -> Array:
    """A copy of the input as [N, boxes, entries, H·W]."""
    return np.array(feed.x).reshape(feed.batch, settings.num, settings.entries, -1)


@computes(DetectionHead)
def detection(feed: Feed, settings: DetectionHead) -> Array:
    """A softmax over each place's classes, where asked for; they stand first."""
    flat = np.array(feed.x).reshape(feed.batch, -1)
    if settings.softmax:
        places, classes = settings.side**2, settings.classes
        scores = flat[:, : places * classes].reshape(feed.batch, places, classes)
        flat[:, : places * classes] = softmax(scores).reshape(feed.batch, -1)
    return flat
