"""Which columns of boxes are right where not all of them are known."""

from __future__ import annotations

from collections.abc import Sequence

from layoutbridge.comparing.heads.columns import Column, is_near
from layoutbridge.comparing.heads.entries import Array
from layoutbridge.comparing.heads.forms import FORMS
from layoutbridge.comparing.heads.groups import Group
from layoutbridge.comparing.heads.layouts import Block, layouts, patterns
from layoutbridge.comparing.heads.matching import Place, names_of, right_boxes, right_confidences
from layoutbridge.comparing.heads.rows import listed
from layoutbridge.comparing.heads.sides import DECODED_UNITS, UNITS

_Judged = list[tuple[str, bool]]  # columns by name, and whether each is right


def partly_right(output: Array, group: Group, tolerance: float) -> str:
    """What is told of an output of which some columns are those of right boxes; "" where none are."""
    best: _Judged = []
    for laid in layouts(output, group.boxes, len(group.heads[0].raw)):
        columns = tuple(map(Column, laid.columns))
        for pattern in patterns(len(columns), group.classes, group.heads[0].has_deviations):
            where = [block for block in pattern if block.kind == "box"]
            rest = [block for block in pattern if block.kind in ("objectness", "classes", "best", "deviations")]
            if len(where) + len(rest) == len(pattern):
                best = max(best, _judged(group, where, rest, columns, tolerance), key=_right)
    if not _right(best):
        return ""
    names = [name for name, _ in best]
    right, unknown = ([name for name, is_right in best if is_right is wanted] for wanted in (True, False))
    return f"of its columns {listed(right, names)} are right, {listed(unknown, names)} of no kind that is known"


def _right(judged: _Judged) -> int:
    return sum(is_right for _, is_right in judged)


def _judged(
    group: Group, where: Sequence[Block], rest: Sequence[Block], columns: Sequence[Column], tolerance: float
) -> _Judged:
    """The columns of a pattern, in the form, unit and style in which most are right."""
    boxes: list[_Judged] = [[]]
    for form in (form for form in FORMS if where and not form.wrong):
        for unit in UNITS if form.plain else DECODED_UNITS:
            own = columns[where[0].start : where[0].end]
            boxes.append(_beside(form.names, own, right_boxes(group, Place(form, unit)), tolerance))
    sure: list[_Judged] = [[]]
    if rest:
        own = [column for block in rest for column in columns[block.start : block.end]]
        names = [name for block in rest for name in names_of(block)]
        for style in group.styles(any(block.kind == "deviations" for block in rest)):
            sure.append(_beside(names, own, right_confidences(group, rest, style), tolerance))
    return max(boxes[bool(where) :], key=_right) + max(sure[bool(rest) :], key=_right)


def _beside(names: Sequence[str], own: Sequence[Column], right: Sequence[Column], tolerance: float) -> _Judged:
    return [(name, is_near(column, wanted, tolerance)) for name, column, wanted in zip(names, own, right, strict=True)]
