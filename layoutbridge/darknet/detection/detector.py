"""A picture in, labelled boxes on that picture out: Darknet's detection with an exported model, or a network itself.

Darknet's own steps in its own order: its resize or letterbox, its decoder's thresholds, boxes put back onto the
picture, its suppression class by class. The threshold is 0.25 by default, as in the main fork (0.24 in older copies,
0.5 in today's original). Definitions: test_detector in detector.c of both forks.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.detection.boxes import (
    HeadRules,
    Rows,
    apply_threshold,
    check_share,
    decode,
    head_rules,
    suppress,
    undo_letterbox,
)
from layoutbridge.darknet.detection.detections import Detection, Detections
from layoutbridge.darknet.detection.pictures import fitted, open_picture
from layoutbridge.darknet.structure.model import Network
from layoutbridge.errors import ParameterError, UnsupportedError, UnusableInputError, visible
from layoutbridge.frameworks.base import require
from layoutbridge.frameworks.onnx.reading import Declared, read_declared
from layoutbridge.frameworks.onnx.sessions import fed, open_session, refusals_of, run_limited, state_shapes
from layoutbridge.frameworks.onnx.versions import EXTRA
from layoutbridge.inputs import memory_allowed, read_bytes, read_json, refuse_costly, seconds_allowed

if TYPE_CHECKING:
    from layoutbridge.darknet.detection.pictures import Picture

THRESHOLD = 0.25
OVERLAP = 0.45
_BOX = 5  # numbers of a row before its scores
_LARGEST_NAMES = 4 << 20  # bytes; a list of names takes ten times that in memory
_COPIES = 6  # of an input, that making it of a picture takes
_ROOM = 32  # times an input, that a network's layers may take beside what its file's size allows
_SECONDS = 60.0  # that a suppression may take
Run = Callable[[NDArray[np.float32]], Rows]


class LoadedNetwork(Protocol):
    """What `load` returns: a network that runs."""

    network: Network

    def run(self, x: NDArray[Any], framework: str, every_layer: bool) -> Any:
        """Its layers' outputs."""


class Detector:
    """A model that is loaded once and run on many pictures. Made by `Detector.of`; `run` gives rows for an input.

    `size` is (width, height) of the network's input; `names` are the classes'.
    """

    def __init__(
        self, run: Run, rules: HeadRules, size: tuple[int, int], channels: int = 3, names: Sequence[str] | None = None
    ) -> None:
        self.run, self.rules, self.size, self.channels = run, rules, size, channels
        self.names = _checked_names(names, rules.classes)

    @classmethod
    def of(
        cls,
        model: str | os.PathLike[str] | LoadedNetwork,
        *,
        names: Sequence[str] | str | os.PathLike[str] | None = None,
        framework: str = "onnx",
    ) -> Detector:
        """From an ONNX file written with `head="boxes"`, or from a network with weights, run in `framework`.

        `names` are the classes' names or a file of them; without it those of the model's metadata, then numbers.
        Raises `UnusableInputError` for a file that is no such model and for names that do not fit;
        `UnsupportedError` for a network without detection layers; `MissingFrameworkError` without onnxruntime.
        """
        listed = read_names(names) if isinstance(names, str | os.PathLike) else names
        if isinstance(model, str | os.PathLike):
            return _from_file(cls, model, listed)
        return _from_network(cls, model, listed, framework)

    def detect(
        self,
        picture: Picture,
        *,
        threshold: float = THRESHOLD,
        nms: float | None = OVERLAP,
        nms_kind: str | None = None,
        letterbox: bool | None = None,
        upright: bool = True,
    ) -> Detections:
        """The objects in one picture: see `detect`."""
        check_share("threshold", threshold)
        if nms is not None:
            check_share("nms", nms)
        image = open_picture(picture, upright=upright)
        boxed = self.rules.letterbox if letterbox is None else letterbox
        x = fitted(image, self.channels, self.size, letterboxed=boxed)[None]
        rows = apply_threshold(self.run(x), self.rules, threshold)
        rows = rows[(rows[:, _BOX:] != 0).any(axis=1) & np.isfinite(rows).all(axis=1)]
        if boxed:
            rows = undo_letterbox(rows, image.size, self.size)
        if nms:
            kind = nms_kind or self.rules.nms_kind
            rows = suppress(rows, nms, kind, self.rules.beta_nms, seconds_allowed(_SECONDS))
        name = os.fspath(picture) if isinstance(picture, str | os.PathLike) else None
        return Detections(self._named(rows, image.size), image.size, name)

    def _named(self, rows: Rows, size: tuple[int, int]) -> list[Detection]:
        width, height = size
        objects = []
        for row, column in np.argwhere(rows[:, _BOX:] > 0):
            x, y, w, h = rows[row, :4].astype(np.float64).tolist()
            box = ((x - w / 2) * width, (y - h / 2) * height, w * width, h * height)
            objects.append(Detection(self.names[column], int(column), float(rows[row, _BOX + column]), *box))
        return sorted(objects, key=lambda one: -one.score)


def detect(
    model: str | os.PathLike[str] | LoadedNetwork | Detector,
    picture: Picture,
    *,
    names: Sequence[str] | str | os.PathLike[str] | None = None,
    threshold: float = THRESHOLD,
    nms: float | None = OVERLAP,
    nms_kind: str | None = None,
    letterbox: bool | None = None,
    upright: bool = True,
    framework: str = "onnx",
) -> Detections:
    """The objects that a model finds in a picture, as Darknet finds them, the surest first.

    `model` is an ONNX file exported with `head="boxes"`, a network from `load` (run in `framework`), or a `Detector`,
    which loads once for many pictures. `picture`, `upright`: see `pictures.open_picture`. `threshold`: scores
    over it count. `nms`: the overlap over which the less sure of two boxes of a class goes; None or 0 keeps all.
    `nms_kind`: how it is measured (`boxes.NMS_KINDS`), None as the cfg says; "greedynms-iou" is what older copies of
    the main fork mean by greedynms, the plain intersection over union.
    `letterbox` keeps the picture's aspect; where it is None the original does so (but not for the first YOLO), the main
    fork where [net] says letter_box=1. Recurrent layers start anew with each picture. `names`: see `Detector.of`. A
    box with several classes over the threshold gives a detection for each. Raises as `Detector.of` and `open_picture`
    do, and `ParameterError` for a number out of range.
    """
    if isinstance(model, Detector):
        if names is not None:
            raise ParameterError("a Detector has its names already: give them to Detector.of")
        detector = model
    else:
        detector = Detector.of(model, names=names, framework=framework)
    return detector.detect(
        picture, threshold=threshold, nms=nms, nms_kind=nms_kind, letterbox=letterbox, upright=upright
    )


def read_names(path: str | os.PathLike[str]) -> list[str]:
    """The classes' names, one a line; empty lines at the end do not count. Raises `UnusableInputError`."""
    try:
        text = read_bytes(path, "file of names", most=_LARGEST_NAMES, pipe=True).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UnusableInputError(f"'{path}' holds no names of classes: it is no text in UTF-8") from None
    if "\0" in text:
        raise UnusableInputError(f"'{path}' holds no names of classes: it is no text")
    return [line.strip() for line in text.rstrip().splitlines()]


# ---------------------------------------------------------------------- where rows come from


def _from_file(cls: type[Detector], path: str | os.PathLike[str], names: Sequence[str] | None) -> Detector:
    require("onnxruntime", "onnxruntime", EXTRA)
    declared = read_declared(path)
    metadata = declared.metadata
    rules = _rules_in(metadata, path)
    batch, channels, height, width = _input_lengths(declared, path)
    if names is None and "names" in metadata:
        names = _names_in(metadata["names"], path)
    given = 4 * max(batch, 1) * channels * height * width
    refuse_costly(_COPIES * given, declared.size, f"the input {declared.shape} of '{os.fspath(path)}'", doing="to fill")
    most_bytes = memory_allowed(declared.size) + _ROOM * given
    with refusals_of(path, "load"):
        session = open_session(path, most_bytes=most_bytes)
    if not session.get_inputs() or not session.get_outputs():
        raise UnusableInputError(f"'{path}' takes nothing, or gives nothing: it finds no objects")
    returned = session.get_outputs()[0]
    _check_classes(rules, returned.shape, path)
    states = sum(4 * max(batch, 1) * prod(shape) for shape in state_shapes(session).values())
    refuse_costly(states, declared.size, f"the states of '{os.fspath(path)}'", doing="to fill")

    def run(x: NDArray[np.float32]) -> Rows:
        if batch > 1:
            x = np.repeat(x, batch, axis=0)
        (result,) = run_limited(session, [returned.name], fed(session, x), path, most_bytes)
        with refusals_of(path, "run"):
            rows = np.asarray(result, np.float32)[0]
        if rows.ndim != 2 or rows.shape[1] != _BOX + rules.classes:
            raise UnusableInputError(f"'{path}' gives {list(rows.shape)}, not [boxes, 5 + {rules.classes} classes]")
        return rows

    return cls(run, rules, (width, height), channels, names)


def _rules_in(metadata: Mapping[str, str], path: str | os.PathLike[str]) -> HeadRules:
    head = metadata.get("head")
    if head is None:
        raise UnusableInputError(f"'{path}' was not exported by layoutbridge: its metadata says nothing of its head")
    if "head_rules" not in metadata:
        raise UnsupportedError(f"'{path}' comes from a network without detection layers, so it finds no objects")
    if head != "boxes":
        raise UnusableInputError(
            f"'{path}' was exported with the head '{visible(head[:40])}': export it with the head boxes"
        )
    if metadata.get("input_range", "0..1") != "0..1" or metadata.get("input_color_order", "RGB") != "RGB":
        raise UnsupportedError(f"'{path}' does not take RGB in 0..1, as Darknet's pictures are")
    try:
        return HeadRules.from_json(metadata["head_rules"])
    except ValueError as error:
        raise UnusableInputError(f"'{path}': its metadata head_rules cannot be read ({error})") from None


def _input_lengths(declared: Declared, path: str | os.PathLike[str]) -> tuple[int, int, int, int]:
    """The batch, 0 where it is open, and [C, H, W]."""
    lengths = [length or 0 for length in declared.shape]
    if len(lengths) != 4 or min(lengths[1:]) < 1 or lengths[0] < 0:
        raise UnsupportedError(
            f"'{path}' takes {list(declared.shape)[:8]}: a picture of a fixed size, [N, C, H, W], is wanted"
        )
    return lengths[0], lengths[1], lengths[2], lengths[3]


def _check_classes(rules: HeadRules, shape: object, path: str | os.PathLike[str]) -> None:
    """Raise where the output's declared shape has other classes than the rules; an open one is told at the run."""
    lengths = shape if isinstance(shape, list) else []
    if len(lengths) == 3 and isinstance(lengths[2], int) and lengths[2] != _BOX + rules.classes:
        raise UnusableInputError(f"'{path}' gives {lengths[1:]}, not [boxes, 5 + {rules.classes} classes]")


def _names_in(text: str, path: str | os.PathLike[str]) -> list[str]:
    names = read_json(text, longest=_LARGEST_NAMES)
    if not isinstance(names, list) or not all(isinstance(name, str | int | float) for name in names):
        raise UnusableInputError(f"'{path}': its metadata names is no list of names")
    return [str(name) for name in names]


def _from_network(cls: type[Detector], net: LoadedNetwork, names: Sequence[str] | None, framework: str) -> Detector:
    network = net.network
    rules = head_rules(network)
    if len(network.in_shape) != 3:
        raise UnsupportedError(f"{network.source} takes {network.channels} numbers, no picture")

    def run(x: NDArray[np.float32]) -> Rows:
        return decode(network, net.run(x, framework, True))[0]

    return cls(run, rules, (network.width, network.height), network.channels, names)


# ---------------------------------------------------------------------- small parts


def _checked_names(names: Sequence[str] | None, classes: int) -> list[str]:
    if names is None:
        return [f"class {number}" for number in range(classes)]
    if len(names) != classes:
        raise UnusableInputError(f"{len(names)} names were given for the model's {classes} classes")
    return [str(name) for name in names]
