"""Pictures in, labelled boxes on them out: a Darknet network, an exported model of any format, or another YOLO's.

Darknet's own steps in its own order: its resize or letterbox, its decoder's thresholds, boxes put back onto the
picture, its suppression class by class. The threshold is 0.25 by default, as in the main fork (0.24 in older copies,
0.5 in today's original). Definitions: test_detector in detector.c of both forks.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, BinaryIO, TypedDict, TypeVar, Unpack, get_args, overload

import numpy as np
from numpy.typing import NDArray

from layoutbridge.copying.threads import worker_count
from layoutbridge.darknet.detection.boxes import Rows, apply_threshold, check_share, sure_rows
from layoutbridge.darknet.detection.detections import Detections
from layoutbridge.darknet.detection.fitting import Fit, fit, unfit
from layoutbridge.darknet.detection.names import Names, listed_names
from layoutbridge.darknet.detection.objects import Detection
from layoutbridge.darknet.detection.resizing import expect
from layoutbridge.darknet.detection.suppression import distance_exponent, suppress
from layoutbridge.darknet.detectors.answers import answer_of, best_class_only
from layoutbridge.darknet.detectors.networks import open_model, read_model
from layoutbridge.darknet.detectors.opened import Opened, Size
from layoutbridge.darknet.detectors.sources import (
    Beside,
    ColorOrder,
    Frame,
    frames,
    how_many,
    is_single,
    open_frame,
    readable,
    through,
)
from layoutbridge.darknet.networks.network import DarknetNetwork
from layoutbridge.errors import (
    LayoutBridgeError,
    ParameterError,
    UnusableInputError,
    counted,
    shown,
)
from layoutbridge.frameworks.base import check_count
from layoutbridge.inputs import is_regular_file, seconds_allowed

if TYPE_CHECKING:
    from PIL.Image import Image

    from layoutbridge.darknet.detection.pictures import Picture
    from layoutbridge.darknet.ports.records.halves import Settings

CONFIDENCE = 0.25
OVERLAP = 0.45
_BOX = 5  # numbers of a row before its scores
_SECONDS = 60.0  # that a suppression may take
_MOST_AT_ONCE = 1024
_FEW = 16  # groups of pictures for which a model is not opened once more
RowsOf = Callable[[NDArray[np.float32]], NDArray[np.float32]]
Item = TypeVar("Item")
Ready = TypeVar("Ready")
Result = TypeVar("Result")


class Unreadable(UserWarning):
    """A picture among many could not be read: the others were looked at."""


class Found(list[Detections]):
    """The detections of several pictures, in their order; `unreadable` has a line for each that could not be read."""

    def __init__(self) -> None:
        super().__init__()
        self.unreadable: list[str] = []

    def __str__(self) -> str:
        told = [counted(len(self), "picture"), counted(sum(map(len, self)), "detection")]
        return ", ".join([*told, f"{len(self.unreadable)} unreadable"] if self.unreadable else told)


class Detector:
    """A model that is loaded once and run on many pictures.

    `model` is a .cfg with its `weights`, a network from `load`, or a file: ONNX, OpenVINO, ncnn, LiteRT, Keras, a
    SavedModel, a .pt2, as `export` writes them, or YOLOv5's, YOLOv8's and the like in one of these formats. A .cfg or a
    network is exported and run in `framework`, a target of `ports.table` or "reference"; None takes the fastest that is
    installed. `cfg` is the network's, for files that do not tell their anchors: with the heads `darknet` and `raw`.
    `names` are the classes' names, by number where they are a mapping, or a file of them; without it those that the
    model's file has, then numbers. `threads` None leaves their number to the runtime. `settings` are the runtime's own,
    by its names, as in `{"INFERENCE_PRECISION_HINT": "bf16"}` for OpenVINO; None takes those that the file was tuned
    with. All is computed in float32 but for what they say.

    An .onnx or .xml that leaves the size of pictures open needs the argument `size`, (width, height).

    `size` is (width, height) of the network's input, `channels` their number, `rules` what else Darknet needs, `source`
    the model's file.

    Raises `UnusableInputError` for a file that is no such model and for names that do not fit, `ParameterError` for
    options and settings that do not go with the model, `UnsupportedError` for a network without detection layers, and
    `MissingFrameworkError`.

    >>> nets = "fixtures/nets/alexey/yolo_head"
    >>> detector = Detector(f"{nets}/net.cfg", f"{nets}/net.weights", framework="reference")
    >>> detector.size, len(detector.names)
    ((16, 16), 4)
    >>> found = detector.detect(np.zeros((40, 60, 3), np.uint8), confidence=0.5)
    >>> found.picture_size, found.xyxy.shape[1]
    ((60, 40), 4)
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | DarknetNetwork,
        weights: str | os.PathLike[str] | None = None,
        *,
        cfg: str | os.PathLike[str] | None = None,
        names: Names | None = None,
        flavor: str = "alexey",
        framework: str | None = None,
        threads: int | None = None,
        settings: Settings | None = None,
        size: Size | None = None,
    ) -> None:
        check_count("threads", threads, may_be_open=True)
        listed = None if names is None else listed_names(names)
        given, network = read_model(model, weights, cfg=cfg, flavor=flavor, size=size)
        opened = open_model(given, framework, threads or 0, head="boxes", settings=settings, size=size)
        self._threads = threads
        self._beside: Opened | None = None
        self._model, self._answer = opened, answer_of(opened, network, None if listed is None else len(listed))
        self.rules = self._answer.rules
        self.channels, height, width = opened.in_shape
        self.size = (width, height)
        self.framework = opened.framework
        self.source = opened.source
        self.names = _checked_names(listed if listed is not None else self._answer.names, self.rules.classes)

    def __repr__(self) -> str:
        width, height = self.size
        return f"<Detector {self.source} in {self.framework}: {width}x{height}, {len(self.names)} classes>"

    def rows(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """All boxes before any threshold, as `boxes.decode`: [N, boxes, 5 + classes] for x [N, C, H, W] in 0..1."""
        return self._answer.read(self._model.outputs(x))

    @overload
    def detect(
        self, source: bytes | BinaryIO | Image | NDArray[np.uint8], **options: Unpack[DetectOptions]
    ) -> Detections: ...

    @overload
    def detect(self, source: list[Any] | tuple[Any, ...], **options: Unpack[DetectOptions]) -> Found: ...

    @overload
    def detect(self, source: str | os.PathLike[str], **options: Unpack[DetectOptions]) -> Any: ...

    def detect(self, source: Any, **options: Unpack[DetectOptions]) -> Detections | Found:
        """What is found in a picture, as `Detections`; in several, as `Found`, which is a list of them.

        One picture is a file, its bytes, an open file, a Pillow image, or an array uint8 [H, W] or [H, W, 3 or 4];
        several are a list, an array [N, H, W, C], a folder, a pattern, a text file of names, a film, an address:
        `sources.frames` says all. Of a stream or a camera that does not end take `stream`.

        `confidence`: scores over it count. `nms`: the overlap over which the less sure of two boxes of a class goes;
        None or 0 keeps all. `nms_kind`: how it is measured (`heads.NMS_KINDS`), None as the cfg says; "greedynms-iou"
        is what older copies of the main fork mean by greedynms. `letterbox` keeps the picture's aspect; where it is
        None the original does so (but not for the first YOLO), the main fork where [net] says letter_box=1, and models
        of others as they were trained. `upright` turns pictures as their EXIF says, as Darknet does not. `color_order`
        "BGR" is for arrays from OpenCV. `most` keeps so many of the surest, and says how many were left out. `batch`
        pictures are computed at once, where the model leaves that open.

        Recurrent layers start anew with each picture. A box with several classes over the confidence gives a detection
        for each. Raises `UnusableInputError` for a picture that cannot be read, of several where none can be,
        `ParameterError` for an option out of range, and `MissingFrameworkError` without Pillow, or PyAV for a film.
        """
        how = _How.of(options)
        if is_single(source):
            (frame,) = frames(source)
            x, prepared = self._prepared(frame, how)
            return self._detections(prepared, self.rows(x[None])[0], how)
        found = Found()
        for one in self._through(source, how, found.unreadable.append):
            if one.frame is not None:
                one.image = None  # those of a whole film would not fit into memory
            found.append(one)
        if not found and found.unreadable:
            raise UnusableInputError(f"none of {len(found.unreadable)} pictures can be read: {found.unreadable[0]}")
        return found

    def stream(self, source: Any, **options: Unpack[DetectOptions]) -> Iterator[Detections]:
        """The same picture after picture, as they come: for films and cameras, each with its `image`.

        The next pictures are read while one is looked at. One that cannot be read is told as a warning, `Unreadable`.
        """
        yield from self._through(source, _How.of(options), lambda told: warnings.warn(told, Unreadable, stacklevel=4))

    def fitted(self, image: Image, *, letterbox: bool | None = None) -> NDArray[np.float32]:
        """An image of `open_picture` as the network takes it: float32 [C, H, W]."""
        return fit(image, self.channels, self.size, self._fit(letterbox))

    def kept(self, rows: Rows, picture: tuple[int, int], **options: Unpack[DetectOptions]) -> Rows:
        """What is left of a picture's `rows` [boxes, 5 + classes]: over the confidence, on it, after the suppression.

        `picture` is its (width, height); the boxes come in shares of it, a score that does not count is 0, in the order
        that Darknet's suppression leaves. `options` are those of `detect`.
        """
        return self._kept(rows, picture, _How.of(options))

    # ------------------------------------------------------------------ the steps

    def over(
        self,
        items: Iterator[Item],
        prepare: Callable[[Item], tuple[NDArray[np.float32], Ready] | str],
        finish: Callable[[Ready, Rows], Result],
        *,
        batch: int,
        unreadable: Callable[[str], object],
        expected: int | None = None,
    ) -> Iterator[Result]:
        """What `finish` makes of what `prepare` has made of each item and of its rows, by all cores, in order.

        `prepare` gives an input [C, H, W] and what else is to be known of it, or a line, which goes to `unreadable`.
        `expected` is how many items there will be, where that is known.
        """

        def looking(rows_of: RowsOf) -> Callable[[list[tuple[NDArray[np.float32], Ready]]], list[Result]]:
            def look(group: list[tuple[NDArray[np.float32], Ready]]) -> list[Result]:
                inputs = [x for x, _ in group]
                rows = rows_of(inputs[0][None] if len(inputs) == 1 else np.stack(inputs))
                return [finish(ready, own) for (_, ready), own in zip(group, rows, strict=True)]

            return look

        threads = self._threads or worker_count()
        expect(expected or 0)

        def opened() -> Callable[[list[tuple[NDArray[np.float32], Ready]]], list[Result]] | None:
            rows_of = self._rows_beside(threads)
            return None if rows_of is None else looking(rows_of)

        beside = None if self._model.beside is None else Beside(threads, 0 if self._beside else _FEW, opened)
        return through(items, prepare, looking(self.rows), batch=batch, unreadable=unreadable, beside=beside)

    def _through(self, source: Any, how: _How, unreadable: Callable[[str], object]) -> Iterator[Detections]:
        return self.over(
            frames(source),
            readable(lambda frame: self._prepared(frame, how)),
            lambda one, rows: self._detections(one, rows, how),
            batch=how.batch,
            unreadable=unreadable,
            expected=how_many(source),
        )

    def _rows_beside(self, count: int) -> RowsOf | None:
        """As `rows`, for so many threads at once; None where the model cannot be opened once more."""
        if self._beside is None and self._model.beside is not None:
            with contextlib.suppress(LayoutBridgeError):
                self._beside = self._model.beside(count)
        beside = self._beside
        return None if beside is None else lambda x: self._answer.read(beside.outputs(x))

    def _prepared(self, frame: Frame, how: _How) -> tuple[NDArray[np.float32], _Prepared]:
        image = open_frame(frame, upright=how.upright, color_order=how.color_order)
        return self.fitted(image, letterbox=how.letterbox), _Prepared(frame, image)

    def _fit(self, letterbox: bool | None) -> Fit:
        if letterbox is not False and self._answer.fits is not None:
            return self._answer.fits
        boxed = self.rules.letterbox if letterbox is None else letterbox
        return "letterbox" if boxed else "stretch"

    def _kept(self, rows: Rows, picture: tuple[int, int], how: _How) -> Rows:
        rows = sure_rows(rows, self.rules, how.confidence)
        if self._answer.best_only:
            rows = best_class_only(rows)
        rows = apply_threshold(rows, self.rules, how.confidence)
        rows = rows[(rows[:, _BOX:] != 0).any(axis=1) & np.isfinite(rows).all(axis=1)]
        rows = unfit(rows, picture, self.size, self._fit(how.letterbox))
        if how.nms and not self._answer.suppressed:
            kind = how.nms_kind or self.rules.nms_kind
            rows = suppress(rows, how.nms, kind, self.rules.beta_nms, seconds_allowed(_SECONDS))
        return rows

    def _detections(self, one: _Prepared, rows: Rows, how: _How) -> Detections:
        rows = self._kept(rows, one.image.size, how)
        name, number = one.frame.name, one.frame.number
        objects, count = self._named(rows, one.image.size, how.most)
        again = name is not None and number is None and is_regular_file(name)  # a pipe is read once
        image = None if again else one.image
        return Detections(objects, one.image.size, name, frame=number, image=image, left_out=count - len(objects))

    def _named(self, rows: Rows, size: tuple[int, int], most: int | None) -> tuple[list[Detection], int]:
        """The surest, `most` of them, and how many there are in all."""
        width, height = size
        places, columns = np.nonzero(rows[:, _BOX:] > 0)
        scores = rows[places, _BOX + columns]
        order = _surest(scores, most)
        x, y, w, h = rows[places[order], :4].astype(np.float64).T
        corners = ((x - w / 2) * width, (y - h / 2) * height, w * width, h * height)
        columns = columns[order]
        numbers = zip(columns.tolist(), scores[order].tolist(), *(each.tolist() for each in corners), strict=True)
        return [Detection(self.names[column], column, *rest) for column, *rest in numbers], len(scores)


class DetectOptions(TypedDict, total=False):
    """What may be chosen of each run: see `Detector.detect`."""

    confidence: float
    nms: float | None
    nms_kind: str | None
    letterbox: bool | None
    upright: bool
    color_order: ColorOrder
    most: int | None
    batch: int


@dataclass(frozen=True, slots=True)
class _How:
    """The same, checked."""

    confidence: float = CONFIDENCE
    nms: float | None = OVERLAP
    nms_kind: str | None = None
    letterbox: bool | None = None
    upright: bool = True
    color_order: ColorOrder = "RGB"
    most: int | None = None
    batch: int = 1

    @classmethod
    def of(cls, options: DetectOptions) -> _How:
        """They; raises `ParameterError` for one that is out of range, and Python's own `TypeError` for another name."""
        unknown = sorted(set(options) - {one.name for one in fields(cls)})
        if unknown:
            known = ", ".join(one.name for one in fields(cls))
            raise TypeError(f"detect has no option {unknown[0]!r}; it has {known}")
        how = cls(**options)
        check_share("confidence", how.confidence)
        if how.nms is not None:
            check_share("nms", how.nms)
        if how.nms_kind is not None:
            distance_exponent(how.nms_kind, 0.0)
        if how.color_order not in get_args(ColorOrder):
            raise ParameterError(f"color_order is RGB or BGR, not {shown(how.color_order)}")
        check_count("most", how.most, may_be_open=True)
        check_count("batch", how.batch, most=_MOST_AT_ONCE)
        return how


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A picture, opened."""

    frame: Frame
    image: Image


def detect(
    model: str | os.PathLike[str] | DarknetNetwork | Detector,
    picture: Picture,
    *,
    names: Names | None = None,
    threshold: float = CONFIDENCE,
    nms: float | None = OVERLAP,
    nms_kind: str | None = None,
    letterbox: bool | None = None,
    upright: bool = True,
    framework: str | None = None,
) -> Detections:
    """The objects that a model finds in one picture, as Darknet finds them, the surest first.

    `model`, `names` and `framework` are those of `Detector`, which loads once for many pictures, and may be given
    instead; the rest is as for `Detector.detect`, with `threshold` for its `confidence`. Raises as both do.
    """
    if isinstance(model, Detector):
        if names is not None:
            raise ParameterError("a Detector has its names already: give them when it is made")
        detector = model
    else:
        detector = Detector(model, names=names, framework=framework)
    if not is_single(picture):
        raise ParameterError("detect takes one picture: Detector(model).detect takes several")
    source: Any = picture
    found: Detections = detector.detect(
        source, confidence=threshold, nms=nms, nms_kind=nms_kind, letterbox=letterbox, upright=upright
    )
    return found


# ---------------------------------------------------------------------- small parts


def _surest(scores: Rows, most: int | None) -> NDArray[np.intp]:
    """The places of the highest scores, the highest first, of those alike the first one first."""
    if most is None or len(scores) <= 2 * most:
        return np.argsort(-scores, kind="stable")[:most]
    least = np.partition(scores, -most)[-most]
    some = np.flatnonzero(scores >= least)  # sorting millions takes long
    return some[np.argsort(-scores[some], kind="stable")[:most]]


def _checked_names(names: Sequence[str] | None, classes: int) -> list[str]:
    if names is None:
        return [f"class {number}" for number in range(classes)]
    if len(names) != classes:
        raise UnusableInputError(f"{len(names)} names were given for the model's {classes} classes")
    return [str(name) for name in names]
