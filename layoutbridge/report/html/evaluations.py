"""The page of `map`: mean average precisions, curves and numbers of every class, as Darknet counts and as COCO does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from layoutbridge.errors import counted
from layoutbridge.report.darknet.evaluation import absent_told
from layoutbridge.report.pages.charts import bar, curve
from layoutbridge.report.pages.frame import Section, Verdict, page
from layoutbridge.report.pages.origin import Origin, sections
from layoutbridge.report.pages.parts import facts, first_of, folded, number, paragraphs, table, text

if TYPE_CHECKING:
    from layoutbridge.darknet.evaluation.coco import CocoCount
    from layoutbridge.darknet.evaluation.counting import ClassCount, DarknetCount
    from layoutbridge.darknet.evaluation.evaluations import Evaluation

_ROWS, _CURVES, _LINES = 2000, 200, 50
_LONGEST = 80  # characters of a class's name
_SHARE = ".4f"


def evaluation_page(found: Evaluation, names: Sequence[str], origin: Origin) -> str:
    """The page of one evaluation; `names` are the classes'."""
    opening: dict[str, str] = {"pictures": number(found.pictures, ",d")}
    words, parts = [], []
    if (count := found.darknet) is not None:
        words.append(f"mAP@{count.iou:.2f} = {count.mean_average_precision:.2%}")
        opening |= {
            "boxes": number(count.truths, ",d"), "found": number(count.true_positives, ",d"),
            "wrong": number(count.false_positives, ",d"), "missed": number(count.false_negatives, ",d"),
            "precision": number(count.precision, _SHARE), "recall": number(count.recall, _SHARE),
            "F1": number(count.f1, _SHARE), "average IoU": number(count.average_iou, _SHARE),
        }  # fmt: skip
        parts.append(Section("Classes, as Darknet counts", _darknet_classes(count, found.coco)))
    if found.coco is not None:
        words.append(f"COCO's AP = {_told(found.coco.ap)}, AP50 = {_told(found.coco.ap50)}")
        own = _coco_classes(found.coco, names) if count is None else []
        parts.append(Section("As COCO counts", [*_coco(found.coco), *own]))
    if drawn := list(_curves(found, names)):
        parts.append(Section("Precision over recall", drawn))
    remarks = [*found.notes, *(f"counted as a black picture: {each}" for each in found.unreadable[:_LINES])]
    remarks += [f"has no file of labels, and counts as empty: {each}" for each in found.without_labels[:_LINES]]
    if remarks:
        parts.append(Section("Notes", paragraphs(remarks, "note")))
    lines = []
    if count is not None:
        lines = [
            *filter(None, [absent_told(count)]),
            f"Found, wrong and missed are at the threshold {count.threshold:g}.",
        ]
    return page(
        f"layoutbridge map: {words[0]}", f"What {found.model} finds in the pictures of {found.data}",
        Verdict("told", "; ".join(words), lines), [*parts, *sections(origin)], opening=facts(opening),
        made_by="layoutbridge map",
    )  # fmt: skip


def _darknet_classes(count: DarknetCount, coco: CocoCount | None) -> list[str]:
    columns = ["class", "AP", "", "boxes", "found", "wrong", "precision", "recall", "average IoU"]
    columns += [] if coco is None else ["COCO's AP"]
    how = f"at {count.points} recalls" if count.points else "the area under the curve"
    caption = f"AP is {how}, at an overlap over {count.iou:g}; the rest is at the threshold {count.threshold:g}."
    numbers = [column for column in columns if column not in ("class", "")]

    def told(rows: Sequence[ClassCount]) -> list[str]:
        shown, more = first_of(rows, _ROWS)
        cells = (_class_cells(row, coco) for row in shown)
        return [*table(columns, cells, caption=caption, numbers=numbers, bars=("",)), *more]

    there = [row for row in count.classes if row.truths]
    absent = [row for row in count.classes if not row.truths]
    return [
        *told(there),
        *(
            folded(f"{counted(len(absent), 'class', 'classes', form=',')} without boxes", told(absent))
            if absent
            else []
        ),
    ]


def _class_cells(row: ClassCount, coco: CocoCount | None) -> list[str]:
    cells = [
        text(row.label, most=_LONGEST), number(row.average_precision, _SHARE), bar(row.average_precision, 1),
        number(row.truths, ",d"), number(row.true_positives, ",d"), number(row.false_positives, ",d"),
        number(row.precision, _SHARE), number(row.recall, _SHARE), number(row.average_iou, _SHARE),
    ]  # fmt: skip
    return cells if coco is None else [*cells, _cell(coco.class_aps[row.class_index])]


def _coco(count: CocoCount) -> list[str]:
    precisions = (count.ap, count.ap50, count.ap75, count.ap_small, count.ap_medium, count.ap_large)
    recalls = (count.ar100, None, None, count.ar_small, count.ar_medium, count.ar_large)
    columns = ("", "all", "at 0.5", "at 0.75", "small", "medium", "large")
    rows = [("AP", *map(_cell, precisions)), ("AR", *map(_cell, recalls))]
    told = ", ".join(map(_cell, (count.ar1, count.ar10, count.ar100)))
    caption = "− says that there is nothing to find."
    return [
        *table(columns, rows, caption=caption, numbers=columns[1:]),
        f"<p>Recall with 1, 10 and 100 detections: {told}.</p>",
    ]


def _coco_classes(count: CocoCount, names: Sequence[str]) -> list[str]:
    """The classes that have boxes, where Darknet's table does not tell of them."""
    there = [(name, ap) for name, ap in zip(names, count.class_aps, strict=True) if ap >= 0]
    shown, more = first_of(there, _ROWS)
    cells = ((text(name, most=_LONGEST), number(ap, _SHARE), bar(ap, 1)) for name, ap in shown)
    caption = "The mean over overlaps of .5 to .95, of classes that have boxes in these pictures."
    return [*table(("class", "AP", ""), cells, caption=caption, numbers=("AP",), bars=("",)), *more]


def _cell(value: float | None) -> str:
    return "−" if value is not None and value < 0 else number(value, _SHARE)


def _told(value: float) -> str:
    return "−" if value < 0 else f"{value:.4f}"


def _curves(found: Evaluation, names: Sequence[str]) -> Iterator[str]:
    held: list[tuple[str, tuple[tuple[float, float], ...], str]] = []
    whose = ""
    if (count := found.darknet) is not None:
        held = [
            (row.label, points, f"{row.average_precision:.2%} of {row.truths:,}")
            for row, points in zip(count.classes, count.curves, strict=True)
            if row.truths
        ]
        whose = f"Darknet's count, at an overlap over {count.iou:g}"
    elif (coco := found.coco) is not None:
        held = [
            (name, tuple((place / 100, value) for place, value in enumerate(points)), f"AP {_told(ap)}")
            for name, points, ap in zip(names, coco.class_curves, coco.class_aps, strict=True)
            if points
        ]
        whose = "COCO's count, at an overlap of 0.5"
    shown, more = first_of(held, _CURVES)
    if shown:
        yield f"<p>The best precision (up) at each recall (right) or more, both from 0 to 1: {text(whose)}.</p>"
        yield '<div class="curves">'
        yield from (curve(*each) for each in shown)
        yield "</div>"
        yield from more
