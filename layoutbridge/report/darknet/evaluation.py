"""How right a model is, in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from layoutbridge.darknet.evaluation.coco import CocoCount
    from layoutbridge.darknet.evaluation.counting import DarknetCount
    from layoutbridge.darknet.evaluation.evaluations import Evaluation


def show_evaluation(console: Console, result: Evaluation) -> None:
    """Darknet's table of classes with its sums, then COCO's twelve numbers."""
    if result.darknet is not None:
        _show_darknet(console, result.darknet, result.coco)
    if result.coco is not None:
        _show_coco(console, result.coco)


def _show_darknet(console: Console, count: DarknetCount, coco: CocoCount | None) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("class")
    columns = ("boxes", "AP", "TP", "FP", "precision", "recall", "average IoU")
    for heading in columns if coco is None else (*columns, "COCO's AP"):
        table.add_column(heading, justify="right")
    for row in count.classes:
        positives = (f"{row.true_positives:,}", f"{row.false_positives:,}")
        shares = (f"{row.precision:.2f}", f"{row.recall:.2f}", f"{row.average_iou:.2%}")
        own = () if coco is None else (_share(coco.class_aps[row.class_index]),)
        name = f"[cyan]{escape(row.label)}[/]"
        table.add_row(name, f"{row.truths:,}", f"{row.average_precision:.2%}", *positives, *shares, *own)
    console.print(table)
    found = f"{count.true_positives:,} found, {count.false_positives:,} wrong, {count.false_negatives:,} missed"
    shares_told = f"precision {count.precision:.2f}, recall {count.recall:.2f}, F1 {count.f1:.2f}"
    _line(console, f"at the threshold {count.threshold:g}: {found}")
    _line(console, f"  {shares_told}, average IoU {count.average_iou:.2%}")
    how = f"at {count.points} recalls" if count.points else "area under the curve"
    mean = count.mean_average_precision
    console.print(f"[bold]mAP@{count.iou:.2f} = {mean:.6f}[/], or {mean:.2%} ({how})", highlight=False)
    if told := absent_told(count):
        _line(console, f"  {told}")


def absent_told(count: DarknetCount) -> str:
    """What the mean is without classes that have no boxes, where there are some."""
    there = [row for row in count.classes if row.truths]
    if not there or len(there) == len(count.classes):
        return ""
    others = sum(row.average_precision for row in there) / len(there)
    absent = f"{len(count.classes) - len(there)} of the {len(count.classes)} classes have no boxes in these pictures"
    return f"{absent} and count as 0, as in Darknet: of the others the mean is {others:.2%}"


def _show_coco(console: Console, count: CocoCount) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("COCO's")
    for heading in ("all", "at 0.5", "at 0.75", "small", "medium", "large"):
        table.add_column(heading, justify="right")
    precisions = (count.ap, count.ap50, count.ap75, count.ap_small, count.ap_medium, count.ap_large)
    recalls = (count.ar100, None, None, count.ar_small, count.ar_medium, count.ar_large)
    table.add_row("[cyan]AP[/]", *map(_share, precisions))
    table.add_row("[cyan]AR[/]", *("" if each is None else _share(each) for each in recalls))
    console.print(table)
    recalls_told = ", ".join(map(_share, (count.ar1, count.ar10, count.ar100)))
    _line(console, f"recall with 1, 10 and 100 detections: {recalls_told}")
    console.print(f"[bold]mAP@[.5:.95] = {count.ap:.6f}[/]", highlight=False)


def _share(number: float) -> str:
    return "-" if number < 0 else f"{number:.3f}"


def _line(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False)
