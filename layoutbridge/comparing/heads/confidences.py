"""How sure boxes are: what decoders make of the objectness and of the classes, rightly and with faults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from layoutbridge.comparing.heads.entries import BOX, Array, Entries
from layoutbridge.darknet.reference.values import logistic, softmax
from layoutbridge.darknet.structure.heads import Region

Options = Iterator[tuple[str, Array]]


@dataclass(frozen=True, slots=True)
class Style:
    """One right way to give confidences: the `objectness` [N, boxes, H, W], and classes, each with a factor of it.

    `classes` [N, boxes, classes, H, W] are without the factor `times`.
    """

    objectness: Array
    times: Array
    classes: Array


def styles(e: Entries, with_deviations: bool) -> Mapping[str, Style]:
    """The right ways by name: classes alone or times the objectness, or as the main fork's [region] reports it.

    The scores of [Gaussian_yolo] are times 1 − the mean of the deviations: with them, or `with_deviations` beside them,
    which leave it to the reader.
    """
    sure, chances, ones = _sure(e), _chances(e), np.ones_like(e.done[:, :, 4])
    made = {"alone": Style(sure, ones, chances), "times the objectness": Style(sure, sure, chances)}
    if isinstance(e.settings, Region) and e.settings.channels_last and e.settings.tree is None:
        made["with an objectness of 1"] = Style(ones, sure, chances)
    if e.has_deviations:
        own, certain = _classes(e, e.done), _certain(e)
        made["alone, the objectness times 1 − uncertainty"] = Style(sure * certain, ones, own)
        if with_deviations:
            made["alone, uncertainty left to the reader"] = Style(sure, ones, own)
            made["times the objectness, uncertainty left to the reader"] = Style(sure, sure, own)
    return made


def wrong_objectness(e: Entries, style: Style) -> Options:
    """What else ports make of the objectness, and what that is called."""
    raw = e.raw[:, :, 4]
    if e.has_deviations:
        yield "times 1 − uncertainty, as the classes are", style.objectness * _certain(e)
    yield "no logistic", raw
    yield "the logistic twice", logistic(logistic(raw))
    yield "a logistic too many", logistic(e.done[:, :, 4])
    if getattr(e.settings, "background", False):
        yield "the background's probability taken for it", e.done[:, :, 4]
    yield "1 for every box", np.ones_like(raw)
    yield "times the best class's score", style.objectness * (style.times * style.classes.max(axis=2))


def wrong_classes(e: Entries, style: Style) -> Options:
    """What else ports make of the classes [N, boxes, classes, H, W], and what that is called."""
    times, raw, done, sure = style.times[:, :, None], _classes(e, e.raw), _classes(e, e.done), _sure(e)[:, :, None]
    for told, made in _other_chances(e, raw, done):
        yield told, times * made
    is_alone = bool((style.times == 1).all())
    yield (
        ("times the objectness, where it is not in the others", sure * style.classes)
        if is_alone
        else ("not times the objectness, as the others are", style.classes)
    )
    yield "times the objectness twice", sure * sure * style.classes
    yield "times the objectness without its logistic", e.raw[:, :, 4:5] * style.classes


def _other_chances(e: Entries, raw: Array, done: Array) -> Options:
    """Without the factor of the objectness."""
    if e.has_deviations:
        yield "not times 1 − uncertainty", done
        yield "times 1 − uncertainty twice", _chances(e) * _certain(e)[:, :, None]
    if getattr(e.settings, "tree", None) is not None:
        yield "not times those above them in the tree", done
    right = _function_of_classes(e)
    if right:
        yield f"no {right}", raw
    else:
        yield "a logistic too many", logistic(raw)
    if right == "softmax":
        yield "the logistic instead of the softmax", logistic(raw)
        yield "the softmax over the boxes of a place", softmax(raw, axis=1)
        yield "the softmax over a row of places", softmax(raw, axis=4)
        yield "the softmax over the places", softmax(raw.reshape(*raw.shape[:3], -1)).reshape(raw.shape)
        yield "the softmax over the objectness too", softmax(e.raw[:, :, 4 : BOX + e.classes], axis=2)[:, :, 1:]
        yield "the softmax twice", softmax(softmax(raw, axis=2), axis=2)
    else:
        told = "a softmax instead of the logistic" if right else "a softmax too many"
        yield told, softmax(raw, axis=2)
        yield "the logistic twice", logistic(logistic(raw))
    yield "read from one entry before", e.done[:, :, 4 : 4 + e.classes]


def _function_of_classes(e: Entries) -> str:
    """What the head does to its classes: softmax, logistic or nothing."""
    settings: Any = e.settings
    if getattr(settings, "softmax_entries", None) is not None or getattr(settings, "softmax", False):
        return "softmax"
    return "logistic" if any(end > getattr(settings, "coords", 4) + 1 for _, end in _logistics(settings)) else ""


def _logistics(settings: Any) -> tuple[tuple[int, int], ...]:
    return getattr(settings, "logistic", ())


def _classes(e: Entries, entries: Array) -> Array:
    return entries[:, :, BOX : BOX + e.classes]


def _certain(e: Entries) -> Array:
    """1 − the mean of the deviations of a box."""
    return np.asarray(1 - e.done[:, :, -4:].mean(axis=2))


def _sure(e: Entries) -> Array:
    """The objectness; all boxes have one where the background is a class."""
    return np.ones_like(e.done[:, :, 4]) if getattr(e.settings, "background", False) else e.done[:, :, 4]


def _chances(e: Entries) -> Array:
    """The probabilities of the classes, but for the objectness."""
    own = _classes(e, e.done)
    if e.has_deviations:
        return own * _certain(e)[:, :, None]
    tree = getattr(e.settings, "tree", None)
    if tree is None:
        return own
    made, start = own.copy(), 0
    for size in tree.sizes:
        parent = tree.parents[start]
        if parent >= 0:
            made[:, :, start : start + size] *= made[:, :, parent : parent + 1]
        start += size
    return made
