"""Blocks of a port's columns beside what may stand there: where boxes are, and how sure they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from layoutbridge.comparing.heads.columns import Column, apart, is_near, line
from layoutbridge.comparing.heads.entries import Array
from layoutbridge.comparing.heads.forms import CORNERS, FORMS, Form
from layoutbridge.comparing.heads.groups import Group, Option, Styles
from layoutbridge.comparing.heads.layouts import Block
from layoutbridge.comparing.heads.sides import DECODED_UNITS, SIDES, UNITS

_CUT = "corners cut off at the edge of the picture"
_MOST_LISTED = 8  # classes whose order is told
Columns = Sequence[Column]


class Told(NamedTuple):
    """What is `wrong` with a column, "" where it is with all: how far from what is right, and from what is told."""

    column: str
    wrong: str
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Match:
    """What columns are that have these `names`: what is `told` to be wrong, and what was `made` to be the same."""

    told: tuple[Told, ...] = ()
    names: tuple[str, ...] = ()
    made: tuple[Column, ...] = ()


class Place(NamedTuple):
    """A way to say where boxes are: the numbers of a form, or those of two sides, in a unit."""

    form: Form | tuple[int, int]
    unit: str


def furthest(own: Columns, made: Columns) -> float:
    """How far columns are from those that are made, at most."""
    return max(apart(column, each) for column, each in zip(own, made, strict=True))


# ---------------------------------------------------------------------- where boxes are


def boxes_of(
    group: Group, block: Block, columns: Columns, tolerance: float, *, right_only: bool
) -> Iterator[tuple[Place, Match]]:
    """What the numbers of a box are, in each way in which that is known."""
    own = columns[block.start : block.end]
    if block.kind != "box":
        first = SIDES.index("x" if block.kind == "centre" else "w")
        for sides in ((first, first + 1), (first + 1, first)):
            for unit in UNITS:
                match = _two(group, Place(sides, unit), sides, own, tolerance, right_only=right_only)
                if match is not None:
                    yield Place(sides, unit), match
        return
    for form in FORMS:
        if right_only and form.wrong:
            continue
        with np.errstate(invalid="ignore", over="ignore"):
            boxes = [Column(each) for each in form.to_box(*_values(own))]
        for unit in UNITS if form.plain else DECODED_UNITS:
            match = _four(group, form, unit, own, boxes, tolerance, right_only=right_only)
            if match is not None:
                yield Place(form, unit), match
    if not right_only:
        yield from _cut(group, own, tolerance)


def right_boxes(group: Group, place: Place) -> tuple[Column, ...]:
    """The right numbers, said in that way."""
    form, unit = place
    if isinstance(form, tuple):
        return tuple(_right(group, side, unit) for side in form)
    rights = [_right(group, side, unit) for side in range(len(SIDES))]
    return _formed(CORNERS if form.wrong else form, rights)


def _right(group: Group, side: int, unit: str) -> Column:
    return group.side(side, unit, right_only=True)[0].columns[0]


def _two(
    group: Group, place: Place, sides: tuple[int, int], own: Columns, tolerance: float, *, right_only: bool
) -> Match | None:
    found = [
        _side(group, side, place.unit, column, tolerance, 0.0, right_only=right_only)
        for side, column in zip(sides, own, strict=True)
    ]
    told = [each for each in found if each is not None]
    if len(told) < len(found):
        return None
    made = tuple(each.columns[0] for each in told)
    names = tuple(SIDES[side] for side in sides)
    return Match(_single(names, told, own, right_boxes(group, place), made), names, made)


def _four(
    group: Group, form: Form, unit: str, own: Columns, boxes: Columns, tolerance: float, *, right_only: bool
) -> Match | None:
    slack = 0.0 if form.plain else 2 * tolerance * max(each.largest for each in own)
    found: list[Option] = []
    for side, column in enumerate(boxes):
        held = _side(group, side, unit, column, tolerance, slack, right_only=right_only)
        if held is None:
            return None
        found.append(held)
    made = _formed(form, [each.columns[0] for each in found])
    if not all(is_near(*each, tolerance) for each in zip(own, made, strict=True)):
        return None
    right = right_boxes(group, Place(form, unit))
    before, after = furthest(own, right), furthest(own, made)
    if form.plain:
        order = [form.names.index(name) for name in SIDES]
        told = _single(SIDES, found, *([each[place] for place in order] for each in (own, right, made)))
    else:
        told = tuple(Told(*_named(name, each.wrong), before, after)
                     for name, each in zip(SIDES, found, strict=True) if each.wrong)  # fmt: skip
    if form.wrong:
        told = (Told("", form.wrong, before, after), *told)
    return Match(told, form.names, made)


def _cut(group: Group, own: Columns, tolerance: float) -> Iterator[tuple[Place, Match]]:
    """Right corners that are cut off where the picture ends, or one pixel before."""
    for unit, less in (("pixels", 0.0), ("pixels", 1.0), ("shares", 0.0)):
        right = right_boxes(group, Place(CORNERS, unit))
        ends = [group.limit(axis, unit) - less for axis in (0, 1)]
        made = tuple(Column(np.clip(each.values, 0, ends[number % 2])) for number, each in enumerate(right))
        if all(is_near(*each, tolerance) for each in zip(own, made, strict=True)):
            told = Told("", _CUT, furthest(own, right), furthest(own, made))
            yield Place(CORNERS, unit), Match((told,), CORNERS.names, made)


def _formed(form: Form, box: Columns) -> tuple[Column, ...]:
    with np.errstate(invalid="ignore", over="ignore"):
        return tuple(Column(each) for each in form.of_box(*_values(box)))


def _values(columns: Columns) -> tuple[Array, Array, Array, Array]:
    first, second, third, fourth = (each.values for each in columns)
    return first, second, third, fourth


def _single(
    names: Sequence[str], options: Sequence[Option], own: Columns, right: Columns, made: Columns
) -> tuple[Told, ...]:
    """What is wrong with columns that stand each for itself."""
    return tuple(
        Told(*_named(name, option.wrong), apart(column, wanted), apart(column, found))
        for name, option, column, wanted, found in zip(names, options, own, right, made, strict=True)
        if option.wrong
    )


def _named(name: str, wrong: str) -> tuple[str, str]:
    """The column that something is wrong with; "" where what is wrong names two of them itself."""
    return ("" if wrong.endswith(" exchanged") and wrong.split(maxsplit=1)[0] in SIDES else name), wrong


# ---------------------------------------------------------------------- how sure boxes are


def confidences_of(
    group: Group, blocks: Sequence[Block], columns: Columns, tolerance: float, *, right_only: bool
) -> Iterator[tuple[str, Match]]:
    """What the blocks are that say how sure a box is, in each right style in which all of them are known."""
    for name, style in group.styles(_has_deviations(blocks)).items():
        found: list[Match] = []
        for block in blocks:
            own = columns[block.start : block.end]
            match = _block(block, _options(group, block, style, right_only=right_only), own, tolerance)
            if match is None and block.kind == "classes" and not right_only:
                match = _in_another_order(group, style, own, tolerance)
            if match is None:
                break
            found.append(match)
        else:
            yield name, joined(found)


def right_confidences(group: Group, blocks: Sequence[Block], style: str) -> tuple[Column, ...]:
    """The right columns of these blocks in a style."""
    held = group.styles(_has_deviations(blocks))[style]
    return tuple(
        column for block in blocks for column in next(iter(_options(group, block, held, right_only=True))).columns
    )


def joined(matches: Iterable[Match]) -> Match:
    """Several blocks side by side."""
    held = list(matches)
    return Match(
        tuple(told for each in held for told in each.told),
        tuple(name for each in held for name in each.names),
        tuple(column for each in held for column in each.made),
    )


def _has_deviations(blocks: Sequence[Block]) -> bool:
    return any(block.kind == "deviations" for block in blocks)


def _options(group: Group, block: Block, style: Styles, *, right_only: bool) -> Iterator[Option]:
    if block.kind == "objectness":
        return group.objectness(style, right_only=right_only)
    if block.kind == "deviations":
        return group.deviations(right_only=right_only)
    return group.scores(style, right_only=right_only, best=block.kind == "best")


def _block(block: Block, options: Iterator[Option], own: Columns, tolerance: float) -> Match | None:
    right: Option | None = None
    for option in options:
        right = right or option
        if _is(option, own, tolerance):
            told = Told(block.kind, option.wrong, furthest(own, right.columns), furthest(own, option.columns))
            return Match((told,) if option.wrong else (), names_of(block), option.columns)
    return None


def names_of(block: Block) -> tuple[str, ...]:
    """The names of a block's columns."""
    count = block.end - block.start
    return (block.kind,) if count == 1 else tuple(f"{block.kind} {number}" for number in range(count))


def _in_another_order(group: Group, style: Styles, own: Columns, tolerance: float) -> Match | None:
    """The right classes, each in the column of another."""
    right = next(group.scores(style, right_only=True, best=False)).columns
    order: list[int] = []
    for column in own:
        free = [number for number in range(len(right)) if number not in order]
        found = next((number for number in free if is_near(column, right[number], tolerance)), None)
        if found is None:
            return None
        order.append(found)
    told = "in another order"
    if len(order) <= _MOST_LISTED:
        told += f": {', '.join(map(str, order))}"
    made = tuple(right[number] for number in order)
    names = tuple(f"classes {number}" for number in order)
    return Match((Told("classes", told, furthest(own, right), furthest(own, made)),), names, made)


# ---------------------------------------------------------------------- which of the options


def _side(
    group: Group, side: int, unit: str, column: Column, tolerance: float, slack: float, *, right_only: bool
) -> Option | None:
    """The first that a column is: of those within the `slack` of numbers that were taken from corners the nearest.

    Of what is decoded it may be a factor and an offset away from what is right.
    """
    options = group.side(side, unit, right_only=right_only)
    near = [option for option in options if is_near(column, option.columns[0], tolerance, slack)]
    if near:
        return near[0] if not slack else min(near, key=lambda option: apart(column, option.columns[0]))
    right = options[0].columns[0]
    found = None if right_only or unit not in DECODED_UNITS else line(column, right, tolerance)
    if found is None:
        return None
    scale, offset = found
    return Option(_line(scale, offset, tolerance, right.largest), (Column(scale * right.values + offset),))


def _line(scale: float, offset: float, tolerance: float, largest: float) -> str:
    """What is told of a column that is a factor times the right one, plus an offset."""
    times = "" if abs(abs(scale) - 1) <= tolerance else f"{abs(scale):.4g} times "
    if abs(offset) <= tolerance * largest:
        return f"{times}as much" if scale > 0 else f"{times}as much, negative"
    if scale > 0 and not times:
        return f"{abs(offset):.4g} too {'much' if offset > 0 else 'little'}"
    return f"{offset:.4g} {'minus' if scale < 0 else 'plus'} {times}it"


def _is(option: Option, own: Columns, tolerance: float) -> bool:
    return len(option.columns) == len(own) and all(
        is_near(*each, tolerance) for each in zip(own, option.columns, strict=True)
    )
