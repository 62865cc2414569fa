"""region, yolo, Gaussian_yolo, detection: what they do to their input before boxes are read from it."""

from __future__ import annotations

import numpy as np

from layoutbridge.darknet.reference.pointwise import softmax_groups
from layoutbridge.darknet.reference.values import Array, Given, logistic, softmax


def region(given: Given) -> Array:
    """Logistics and softmax of the flavour; the fork's result is left as [H·W, boxes, entries]."""
    settings = given.layer.settings
    boxes = _boxes(given)
    for first, end in settings["logistic"]:
        boxes[:, :, first:end] = logistic(boxes[:, :, first:end])
    if settings["softmax_entries"] is not None:
        first, end = settings["softmax_entries"]
        part = boxes[:, :, first:end]
        tree = settings["tree"]
        boxes[:, :, first:end] = softmax(part, axis=2) if tree is None else softmax_groups(part, tree.sizes, 1.0, 2)
    if not settings["channels_last"]:
        return boxes
    _, height, width = given.layer.out_shape
    flat = boxes.reshape(given.batch, -1, height * width)
    return np.ascontiguousarray(flat.transpose(0, 2, 1))


def yolo(given: Given) -> Array:
    """Logistics unless new_coords, then x and y spread about the middle of their cell."""
    return _yolo(given, (0, 1))


def gaussian_yolo(given: Given) -> Array:
    """The same, with x and y at entries 0 and 2."""
    return _yolo(given, (0, 2))


def _yolo(given: Given, spread: tuple[int, int]) -> Array:
    boxes, scale = _boxes(given), given["scale_x_y"]
    for first, end in given["logistic"]:
        boxes[:, :, first:end] = logistic(boxes[:, :, first:end])
    for entry in spread:
        boxes[:, :, entry] = scale * boxes[:, :, entry] - 0.5 * (scale - 1)
    return boxes


def _boxes(given: Given) -> Array:
    """A copy of the input as [N, boxes, entries, H·W]."""
    return np.array(given.x).reshape(given.batch, given["num"], given["entries"], -1)


def detection(given: Given) -> Array:
    """A softmax over each place's classes, where asked for; they stand first."""
    flat = np.array(given.x).reshape(given.batch, -1)
    if given["softmax"]:
        places, classes = given["side"] ** 2, given["classes"]
        scores = flat[:, : places * classes].reshape(given.batch, places, classes)
        flat[:, : places * classes] = softmax(scores).reshape(given.batch, -1)
    return flat
