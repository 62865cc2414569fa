"""How right a model is over labelled pictures: one run, counted as Darknet counts and as COCO does."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.detection.boxes import Rows, check_share
from layoutbridge.darknet.detection.names import Names
from layoutbridge.darknet.detection.pictures import open_picture
from layoutbridge.darknet.detectors.detector import OVERLAP, DetectOptions, Detector
from layoutbridge.darknet.evaluation import coco, counting
from layoutbridge.darknet.evaluation.coco import CocoCount
from layoutbridge.darknet.evaluation.counting import ClassCount, DarknetCount
from layoutbridge.darknet.evaluation.datasets import Labelled, data_options, data_path, read_coco, read_data
from layoutbridge.darknet.networks.network import DarknetNetwork
from layoutbridge.errors import ParameterError, UnsupportedError, UnusableInputError, counted, shown
from layoutbridge.frameworks.base import check_count

if TYPE_CHECKING:
    from PIL.Image import Image

Count = Literal["darknet", "coco", "both"]
_MOST_AT_ONCE = 1024
_MOST_POINTS = 1001
_UNREADABLE_SIDE = 10  # pixels of the black picture that Darknet takes in place of one that it cannot read


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a model found: `darknet` as Darknet counts, `coco` as COCO does; None for what was not asked.

    `unreadable` has a line for each picture that could not be read: a black one stood for it. `without_labels` names
    those whose file of labels was not found, which count as empty. `notes` says how classes were understood.
    """

    model: str
    data: str
    pictures: int
    darknet: DarknetCount | None
    coco: CocoCount | None
    unreadable: tuple[str, ...] = ()
    without_labels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        told = []
        if self.darknet is not None:
            told.append(f"mAP@{self.darknet.iou:.2f} {self.darknet.mean_average_precision:.2%}")
        if self.coco is not None:
            told.append(f"COCO's AP {self.coco.ap:.2%}, AP50 {self.coco.ap50:.2%}")
        return f"{self.model} on {counted(self.pictures, 'picture')} of {self.data}: {'; '.join(told)}"

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain data, but the curves: those are `darknet.curves` and `coco.class_curves`."""
        record = asdict(self)
        for count, curves in (("darknet", "curves"), ("coco", "class_curves")):
            if record[count] is not None:
                del record[count][curves]
        return record

    def to_json(self, indent: int | None = None) -> str:
        """The same as one JSON object."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def to_columns(self) -> dict[str, list[Any]]:
        """Darknet's table as lists by column, a class a row; any data frame takes it. Empty without that count."""
        names = ClassCount.__dataclass_fields__
        rows = () if self.darknet is None else self.darknet.classes
        return {name: [getattr(row, name) for row in rows] for name in names}

    def table(self) -> str:
        """Both counts as text, in the words that Darknet and pycocotools print."""
        return "\n".join([*_darknet_lines(self.darknet), *_coco_lines(self.coco)])


def evaluate(
    model: str | os.PathLike[str] | DarknetNetwork | Detector,
    data: str | os.PathLike[str],
    *,
    pictures: str | os.PathLike[str] | None = None,
    count: Count | None = None,
    iou: float = 0.5,
    points: int = 0,
    threshold: float = 0.25,
    nms: float | None = None,
    letterbox: bool | None = None,
    upright: bool = True,
    batch: int = 1,
    weights: str | os.PathLike[str] | None = None,
    cfg: str | os.PathLike[str] | None = None,
    names: Names | None = None,
    flavor: str = "alexey",
    framework: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """How much of what is in labelled pictures a model finds, as Darknet's `detector map` counts it and as COCO does.

    `model` is what `Detector` opens, or one. `data` is a .data file of Darknet's (`valid`, `names`, `difficult`), or a
    .json of COCO's annotations, whose pictures lie in the folder `pictures` or beside it. `count` None is Darknet's for
    the first, both for the second; COCO's needs the extra `coco`.

    Darknet's: `iou` is the overlap over which a box is found, `points` 0 the area under the curve, 11 Pascal VOC
    2007's and 101 COCO's places on it; the class table is at `threshold`. `nms` None is each program's own: .45, and .6
    for COCO's. `letterbox`, `upright` and `batch` are those of `Detector.detect`; `weights`, `cfg`, `names`, `flavor`
    and `framework` those of `Detector`, names by default those that the .data file names. `progress` is called with how
    many pictures are done, of how many.

    Raises `UnusableInputError` for data that are not there, damaged, or not the model's, and where no picture can be
    read; `ParameterError` for an option out of range, and as `Detector` does.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> folder = Path(tempfile.mkdtemp())
    >>> Image.new("RGB", (40, 60), "orange").save(folder / "a.png")
    >>> _ = (folder / "a.txt").write_text("0 0.5 0.5 1 1")
    >>> _ = (folder / "valid.txt").write_text("a.png")
    >>> _ = (folder / "my.data").write_text("valid = valid.txt")
    >>> nets = "fixtures/nets/alexey/yolo_head"
    >>> detector = Detector(f"{nets}/net.cfg", f"{nets}/net.weights", framework="reference")
    >>> result = evaluate(detector, folder / "my.data")
    >>> result.pictures, result.darknet.truths, len(result.darknet.classes)
    (1, 1, 4)
    """
    _check(count, iou, points, threshold, nms, batch)
    of_coco = os.fspath(data).lower().endswith(".json")
    if pictures is not None and not of_coco:
        raise ParameterError("pictures is the folder of COCO's annotations: a .data file says where its own lie")
    counts = count or ("both" if of_coco else "darknet")
    if counts != "darknet":
        coco.require_program()
    options = {} if of_coco else data_options(data)
    if names is None and not isinstance(model, Detector) and "names" in options:
        names = data_path(data, options, "names")
    if isinstance(model, Detector):
        given = {"weights": weights, "cfg": cfg, "names": names, "framework": framework}
        if (told := next((name for name, value in given.items() if value is not None), None)) is not None:
            raise ParameterError(f"a Detector has its {told} already: give {told} when it is made")
        detector = model
    else:
        detector = Detector(model, weights, cfg=cfg, names=names, flavor=flavor, framework=framework)
    classes = len(detector.names)
    held = read_coco(data, pictures, detector.names) if of_coco else read_data(data, options, classes)
    counter = None
    if counts != "coco":
        counter = counting.Counter(detector.names, iou=iou, threshold=threshold)
    collector = None if counts == "darknet" else coco.Collector(held)
    unreadable: list[str] = []
    counted = _options(counting.SCORES_FROM, OVERLAP if nms is None else nms, letterbox)
    collected = _options(coco.SCORES_FROM, coco.OVERLAP if nms is None else nms, letterbox)

    def prepare(one: Labelled) -> tuple[NDArray[np.float32], _Opened]:
        image, fault = _opened(one.picture, upright)
        return detector.fitted(image, letterbox=letterbox), _Opened(one, image.size, fault)

    def finish(one: _Opened, rows: Rows) -> tuple[_Opened, Rows | None, Rows | None]:
        """What is left of the rows for either count, by the threads that look."""
        return (
            one,
            None if counter is None else detector.kept(rows, one.size, **counted),
            None if collector is None else detector.kept(rows, one.size, **collected),
        )

    looked_at = detector.over(
        iter(held.pictures),
        prepare,
        finish,
        batch=batch,
        unreadable=unreadable.append,
        expected=len(held.pictures),
    )
    for done, (one, for_darknet, for_coco) in enumerate(looked_at, 1):
        if one.fault is not None:
            unreadable.append(one.fault)
        if counter is not None and for_darknet is not None:
            counter.add(for_darknet, one.labelled.truth, one.labelled.difficult)
        if collector is not None and for_coco is not None:
            collector.add(one.labelled.number, for_coco, one.size)
        if progress is not None:
            progress(done, len(held.pictures))
    if len(unreadable) == len(held.pictures):
        raise UnusableInputError(f"none of {len(unreadable)} pictures can be read: {unreadable[0]}")
    return Evaluation(
        model=detector.source,
        data=os.fspath(data),
        pictures=len(held.pictures),
        darknet=None if counter is None else counter.count(points=points),
        coco=None if collector is None else collector.count(),
        unreadable=tuple(unreadable),
        without_labels=held.without_labels,
        notes=held.notes,
    )


def _check(count: Count | None, iou: float, points: int, threshold: float, nms: float | None, batch: int) -> None:
    if count is not None and count not in get_args(Count):
        raise ParameterError(f"count is {', '.join(get_args(Count))}, not {shown(count)}")
    check_share("iou", iou)
    check_share("threshold", threshold)
    if nms is not None:
        check_share("nms", nms)
    check_count("batch", batch, most=_MOST_AT_ONCE)
    whole = isinstance(points, int) and not isinstance(points, bool)
    if not whole or (points != 0 and not 2 <= points <= _MOST_POINTS):
        raise ParameterError(f"points is 0, 11 or 101, or another number up to {_MOST_POINTS}, not {shown(points)}")


def _options(confidence: float, nms: float, letterbox: bool | None) -> DetectOptions:
    return {"confidence": confidence, "nms": nms, "letterbox": letterbox}


# ---------------------------------------------------------------------- the run


@dataclass(frozen=True, slots=True)
class _Opened:
    """A picture's labels and size, and why it cannot be read, where it cannot."""

    labelled: Labelled
    size: tuple[int, int]
    fault: str | None


def _opened(path: str, upright: bool) -> tuple[Image, str | None]:
    """A picture; a small black one, and why, where it cannot be read."""
    try:
        return open_picture(path, upright=upright), None
    except (UnusableInputError, UnsupportedError) as error:
        from PIL import Image

        return Image.new("RGB", (_UNREADABLE_SIDE, _UNREADABLE_SIDE)), str(error)


# ---------------------------------------------------------------------- the texts


def _darknet_lines(count: DarknetCount | None) -> Iterator[str]:
    if count is None:
        return
    yield f"detections_count = {count.detections}, unique_truth_count = {count.truths}"
    for row in count.classes:
        told = f"(TP = {row.true_positives}, FP = {row.false_positives})"
        yield f"class_id = {row.class_index}, name = {row.label}, ap = {row.average_precision:.2%}  {told}"
    start = f"for conf_thresh = {count.threshold:.2f},"
    yield f"{start} precision = {count.precision:.2f}, recall = {count.recall:.2f}, F1-score = {count.f1:.2f}"
    found = f"TP = {count.true_positives}, FP = {count.false_positives}, FN = {count.false_negatives}"
    yield f"{start} {found}, average IoU = {count.average_iou:.2%}"
    how = f"used {count.points} Recall-points" if count.points else "used Area-Under-Curve for each unique Recall"
    yield f"IoU threshold = {count.iou:.0%}, {how}"
    mean = count.mean_average_precision
    yield f"mean average precision (mAP@{count.iou:.2f}) = {mean:.6f}, or {mean:.2%}"


_COCO_LINES = (
    ("ap", "Precision", "0.50:0.95", "all", 100),
    ("ap50", "Precision", "0.50", "all", 100),
    ("ap75", "Precision", "0.75", "all", 100),
    ("ap_small", "Precision", "0.50:0.95", "small", 100),
    ("ap_medium", "Precision", "0.50:0.95", "medium", 100),
    ("ap_large", "Precision", "0.50:0.95", "large", 100),
    ("ar1", "Recall", "0.50:0.95", "all", 1),
    ("ar10", "Recall", "0.50:0.95", "all", 10),
    ("ar100", "Recall", "0.50:0.95", "all", 100),
    ("ar_small", "Recall", "0.50:0.95", "small", 100),
    ("ar_medium", "Recall", "0.50:0.95", "medium", 100),
    ("ar_large", "Recall", "0.50:0.95", "large", 100),
)


def _coco_lines(count: CocoCount | None) -> Iterator[str]:
    if count is None:
        return
    for name, what, overlap, area, most in _COCO_LINES:
        where = f"[ IoU={overlap:<9} | area={area:>6} | maxDets={most:>3} ]"
        yield f"Average {what:<9} {where} = {getattr(count, name):.3f}"
