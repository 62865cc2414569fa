"""The digits of a rearrangement as lanes, from the order in which they are read to that in which they are written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

from layoutbridge.algebra.pattern import ParsedPattern, batch_name, parse_pattern
from layoutbridge.algebra.readings import REVERSED, written_reading
from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.report.figures.colours import colour
from layoutbridge.report.figures.scene import (
    LABEL_SIZE,
    LINE,
    MARGIN,
    TITLE_SIZE,
    Box,
    Curve,
    Label,
    Scene,
    note_lines,
    shortened,
    text_width,
    title_label,
)

_THEN = " then "
_NARROWEST, _HEIGHT = 128.0, 28.0  # of a box
_LONGEST = 28  # characters of a digit's name, with the order in which it is read
_STEP = 40.0  # from a digit to the one below
_CROSSING = 260.0  # between the boxes
_NOTE = "Digits from the outermost down: as the input's flat index is read, and as the result's is written."


@dataclass(frozen=True, slots=True)
class Digit:
    """One digit: what the pattern calls it, how many values it has, and how these are read where not as they are."""

    name: str
    size: int
    reading: str = ""

    @property
    def read(self) -> str:
        """What stands where its lane begins: `p: 2`."""
        return f"{shortened(self.name, _LONGEST)}: {self.size}"

    @property
    def written(self) -> str:
        """What stands where it ends, with the order in which its values are read: `p[::-1]: 2`."""
        return f"{shortened(self.name + self.reading, _LONGEST)}: {self.size}"


@dataclass(frozen=True, slots=True)
class Axes:
    """The digits from `start` up to `end` make these axes: one axis, or several that the digits cross."""

    words: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Crossing:
    """One permutation of digits: `order[i]` is the digit, in the order of reading, that is written i-th."""

    title: str
    digits: tuple[Digit, ...]
    order: tuple[int, ...]
    read_axes: tuple[Axes, ...]
    written_axes: tuple[Axes, ...]


def crossings_of(title: str, op: Rearrangement, shape: Sequence[int]) -> tuple[Crossing, ...]:
    """The crossings of `op` at `shape`, one for each step of its pattern; raises `ShapeError` for a shape that misfits.

    >>> from layoutbridge.operations.catalog import op
    >>> (crossing,) = crossings_of("focus", op("focus"), (3, 4, 4))
    >>> [digit.read for digit in crossing.digits], crossing.order
    (['c: 3', 'h: 2', 'p: 2', 'w: 2', 'q: 2'], (4, 2, 0, 1, 3))
    """
    lengths = op.bind(shape).in_shape
    made = []
    for number, pattern in enumerate(op.pattern.split(_THEN)):
        crossing, lengths = _crossing(f"then {pattern}" if number else title, parse_pattern(pattern, {}), lengths)
        made.append(crossing)
    return tuple(made)


def _crossing(title: str, parsed: ParsedPattern, lengths: tuple[int, ...]) -> tuple[Crossing, tuple[int, ...]]:
    batch, item = lengths[: -len(parsed.axes)], lengths[-len(parsed.axes) :]
    names = (*(batch_name(parsed.axes) for _ in batch), *parsed.digits)
    sizes = (*batch, *(int(size.evaluate(item)) for size in parsed.step.sizes))
    order = (*range(len(batch)), *(len(batch) + source for source in parsed.step.order))
    readings = ["" for _ in batch]
    readings += ["[::-1]" if reading == REVERSED else written_reading(reading) for reading in _readings(parsed)]
    digits = tuple(map(Digit, names, sizes, readings))
    result = batch + tuple(int(size.evaluate(item)) for size in parsed.out_shape)
    axes = (*(batch_name(parsed.axes) for _ in batch), *parsed.axes)
    read = _grouped(sizes, lengths, axes)
    written = _grouped([sizes[source] for source in order], result, [f"axis {axis}" for axis in range(len(result))])
    return Crossing(title, digits, order, tuple(read), tuple(written)), result


def _readings(parsed: ParsedPattern) -> Iterator[tuple[int, ...]]:
    return (parsed.step.reading(source) for source in range(len(parsed.digits)))


def _grouped(sizes: Sequence[int], lengths: Sequence[int], names: Sequence[str]) -> Iterator[Axes]:
    """Digits and axes together wherever both end at the same place: fewest of each."""
    digit = axis = 0
    while digit < len(sizes) or axis < len(lengths):
        start, first = digit, axis
        digit, axis = min(digit + 1, len(sizes)), min(axis + 1, len(lengths))
        while (held := prod(sizes[start:digit])) != (made := prod(lengths[first:axis])):
            digit, axis = (digit + 1, axis) if held < made else (digit, axis + 1)
        if digit == len(sizes):
            axis = len(lengths)  # what is left of axes has length 1
        if axis == len(lengths):
            digit = len(sizes)
        told = ", ".join(f"{name} = {length}" for name, length in list(zip(names, lengths, strict=True))[first:axis])
        yield Axes(told, start, digit)


# ---------------------------------------------------------------------- where it lies


def lanes_scene(title: str, crossings: Sequence[Crossing]) -> Scene:
    """Crossings one below another: digits as read on the left, as written on the right, and a lane for each.

    >>> from layoutbridge.operations.catalog import op
    >>> scene = lanes_scene("focus", crossings_of("focus", op("focus"), (3, 4, 4)))
    >>> [box.words for box in scene.boxes][:4]
    ['c: 3', 'q: 2', 'h: 2', 'p: 2']
    """
    labels = [title_label(title)]
    boxes: list[Box] = []
    curves: list[Curve] = []
    beside = max((text_width(Label((0, 0), own.words)) for each in crossings for own in each.read_axes), default=0.0)
    left, bottom = MARGIN + beside + 24, MARGIN + TITLE_SIZE
    words = [words for each in crossings for digit in each.digits for words in (digit.read, digit.written)]
    box = max((_NARROWEST, *(text_width(Label((0, 0), each)) + 16 for each in words)))
    right = left + box + _CROSSING
    for crossing in crossings:
        if crossing.title != title:
            bottom += 1.6 * LINE
            labels.append(Label((MARGIN, bottom), shortened(crossing.title), is_bold=True))
        labels += [Label((x, bottom + 1.8 * LINE), side) for x, side in ((left, "read as"), (right, "written as"))]
        top = bottom + 2.4 * LINE
        boxes += _ends(crossing, left, right, top, box)
        curves += _lanes(crossing, left + box, right, top)
        for axes, edge, outward in ((crossing.read_axes, left, -1), (crossing.written_axes, right + box, 1)):
            for group in axes:
                curves += _bracket(group, edge, outward, top)
                labels.append(_axes_label(group, edge, outward, top))
        bottom = top + max(len(crossing.order), 1) * _STEP - _STEP + _HEIGHT
    width = max(right + box, *(label.at[0] + text_width(label) for label in labels if label.anchor == "start"))
    notes, bottom = note_lines([_NOTE], width, bottom)
    described = "; ".join(_described(crossing) for crossing in crossings)
    size = (width + MARGIN, bottom + MARGIN)
    return Scene(size, title, f"{described}. {_NOTE}", tuple(boxes), (*labels, *notes), tuple(curves))


def _ends(crossing: Crossing, left: float, right: float, top: float, width: float) -> Iterator[Box]:
    """The boxes between which the lanes run."""
    count = len(crossing.order)
    for place, source in enumerate(crossing.order):
        y = top + place * _STEP
        yield Box((left, y), (width, _HEIGHT), colour(place, count), crossing.digits[place].read)
        yield Box((right, y), (width, _HEIGHT), colour(source, count), crossing.digits[source].written)


def _lanes(crossing: Crossing, left: float, right: float, top: float) -> Iterator[Curve]:
    middle = top + _HEIGHT / 2
    for place, source in enumerate(crossing.order):
        stroke = colour(source, len(crossing.order))
        yield Curve((left, middle + source * _STEP), (right, middle + place * _STEP), stroke)


def _bracket(group: Axes, edge: float, outward: int, top: float) -> Iterator[Curve]:
    """A line along the boxes of a group, with a short one at each end."""
    upper, lower = top + group.start * _STEP, top + (max(group.end, group.start + 1) - 1) * _STEP + _HEIGHT
    x, near = edge + outward * 12, edge + outward * 6
    yield Curve((x, upper), (x, lower), "", is_thin=True)
    for y in (upper, lower):
        yield Curve((near, y), (x, y), "", is_thin=True)


def _axes_label(group: Axes, edge: float, outward: int, top: float) -> Label:
    middle = top + (group.start + max(group.end, group.start + 1) - 1) / 2 * _STEP + _HEIGHT / 2 + LABEL_SIZE / 3
    return Label((edge + outward * 18, middle), group.words, anchor="end" if outward < 0 else "start")


def _described(crossing: Crossing) -> str:
    read = ", ".join(digit.read for digit in crossing.digits)
    written = ", ".join(crossing.digits[source].written for source in crossing.order)
    return f"{crossing.title}: digits read as {read}; written as {written}"
