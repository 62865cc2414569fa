"""What a figure shows, before it has a place on paper: panels, each a tensor in planes of numbered cells.

The first panel is the input; each other one is a result whose cells hold elements of that input. A tensor is shown in
planes of its last two axes, as NumPy prints it. One that is too large to be read is shown in part: its first planes,
and a corner of each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from math import prod

from layoutbridge.algebra.proof import shapes_by_size
from layoutbridge.algebra.rearrangement import BoundRearrangement, Rearrangement
from layoutbridge.algebra.table import unravel
from layoutbridge.errors import ShapeError

MOST_CELLS = 1024  # of a tensor that is drawn whole
_MOST_COLUMNS = 128  # of one that is drawn whole
_PART_CELLS = 256  # of a tensor that is drawn in part
_PART_COLUMNS = 32
_USUAL = (4, 4, 4)
_LARGEST = 2**31  # elements: the table of more, with which a figure can be compared, is too large for most machines


@dataclass(frozen=True, slots=True)
class Cell:
    """An element in its place: `position` in its own tensor and `source` in the input, both flat.

    `colour` is a number below the picture's count of them; `differs` marks what is compared and not equal.
    """

    position: int
    source: int
    colour: int
    differs: bool = False


@dataclass(frozen=True, slots=True)
class Plane:
    """Cells in rows; `outer` is where the plane is on the axes in front of the last two."""

    outer: tuple[int, ...]
    rows: tuple[tuple[Cell, ...], ...]

    @property
    def name(self) -> str:
        """Where the plane is, as NumPy would index it; nothing of a tensor that is a plane itself."""
        return f"[{', '.join(map(str, self.outer))}]" if self.outer else ""


@dataclass(frozen=True, slots=True)
class Panel:
    """One tensor. `origin` is the number of the panel that its elements come from; `part` says what is left out."""

    title: str
    shape: tuple[int, ...]
    planes: tuple[Plane, ...]
    origin: int
    part: str = ""

    @property
    def cells(self) -> Iterator[Cell]:
        """All cells that are drawn, in the order of their positions within a plane, plane by plane."""
        return (cell for plane in self.planes for row in plane.rows for cell in row)


@dataclass(frozen=True, slots=True)
class Picture:
    """Panels, the input first, how many colours their cells have, and sentences on how to read them."""

    title: str
    panels: tuple[Panel, ...]
    colours: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stage:
    """A result to show: of the input, or of the stage before."""

    title: str
    op: Rearrangement
    of_stage_before: bool = False


def picture_of(title: str, shape: Sequence[int], stages: Sequence[Stage], *, compares: bool = False) -> Picture:
    """The picture of `stages` at the input's `shape`; with `compares` the last is marked where the first is another.

    Raises `ShapeError` for a shape that does not fit, or has too many elements.

    >>> from layoutbridge.operations.catalog import op
    >>> picture = picture_of("focus", (1, 2, 2), [Stage("focus", op("focus"))])
    >>> [(cell.position, cell.source) for cell in picture.panels[1].cells]
    [(0, 0), (1, 2), (2, 1), (3, 3)]
    """
    chains: list[tuple[BoundRearrangement, ...]] = []
    for stage in stages:
        before = chains[-1] if stage.of_stage_before else ()
        chains.append((*before, _bound(stage.op, before[-1].out_shape if before else shape)))
    in_shape = chains[0][0].in_shape
    drafts = [_panel("input", in_shape, 0, lambda position: position)]
    for number, (stage, chain) in enumerate(zip(stages, chains, strict=True)):
        origin = number if stage.of_stage_before else 0
        drafts.append(_panel(stage.title, chain[-1].out_shape, origin, _reader(chain)))
    key, told = _colour_key(drafts)
    keys = sorted({key(cell.source) for panel in drafts for cell in panel.cells})
    numbers = {value: number for number, value in enumerate(keys)}
    other = _reader(chains[0]) if compares else None
    panels = [
        _finished(panel, lambda source: numbers[key(source)], other if number == len(drafts) - 1 else None)
        for number, panel in enumerate(drafts)
    ]
    notes = ["Each cell has the number of the input's element that it holds, its flat position.", told]
    return Picture(title, tuple(panels), len(keys), (*notes, *(_compared(panels) if compares else ())))


def _bound(op: Rearrangement, shape: Sequence[int]) -> BoundRearrangement:
    bound = op.bind(shape)
    if prod(bound.in_shape) > _LARGEST:
        raise ShapeError(
            f"{op.label}: a figure of {list(bound.in_shape)} would be of {prod(bound.in_shape)} elements, and 2^31 are "
            "the most: a small shape shows the same, such as 4,4,4"
        )
    return bound


def _reader(chain: Sequence[BoundRearrangement]) -> Callable[[int], int]:
    """The input's position that each position of the chain's result holds."""

    def read(position: int) -> int:
        for bound in reversed(chain):
            position = bound.read_position(position)
        return position

    return read


# ---------------------------------------------------------------------- shapes


def small_shape(ops: Sequence[Rearrangement]) -> tuple[int, ...]:
    """A small shape that all of `ops` take: [4, 4, 4], else one longer than it must be, else the smallest of the first.

    It is [4, 4, 4] as well where none of these fits: what is drawn of it says why.

    >>> from layoutbridge.operations.catalog import op
    >>> small_shape([op("darknet_reorg")]), small_shape([op("transpose")]), small_shape([op("patchify")])
    ((4, 4, 4), (2, 3), (1, 16, 16))
    """
    rank, domain = ops[0].rank, ops[0].domain
    fixed = dict(domain.fixed)
    longer = tuple(fixed.get(axis, (2 + axis % 2) * domain.divisor(axis)) for axis in range(rank))
    usual = [_USUAL] if rank == len(_USUAL) else []
    for shape in (*usual, longer, *islice(shapes_by_size(domain), 1)):
        if shape is not longer or prod(shape) <= MOST_CELLS:
            with suppress(ShapeError):
                if all(op.bind(shape) for op in ops):
                    return shape
    return _USUAL


# ---------------------------------------------------------------------- what of a tensor is drawn


def window(shape: Sequence[int]) -> tuple[int, int, int]:
    """How many planes, rows and columns of a tensor of `shape` are drawn, from its start.

    >>> window((4, 4, 4)), window((64, 26, 26)), window((5000,))
    ((4, 4, 4), (4, 7, 7), (1, 1, 32))
    """
    drawn = list(_planes_rows_columns(shape))
    if prod(drawn) <= MOST_CELLS and drawn[2] <= _MOST_COLUMNS:
        return drawn[0], drawn[1], drawn[2]
    drawn[2] = min(drawn[2], _PART_COLUMNS)
    while prod(drawn) > _PART_CELLS:
        longest = drawn.index(max(drawn))
        drawn[longest] = (drawn[longest] + 1) // 2
    return drawn[0], drawn[1], drawn[2]


def _planes_rows_columns(shape: Sequence[int]) -> tuple[int, int, int]:
    rows, columns = (1, 1, *shape)[-2:]
    return prod(shape[:-2]), rows, columns


def _part_told(shape: Sequence[int]) -> str:
    """What is drawn of a tensor that is not drawn whole."""
    (planes, rows, columns), drawn = _planes_rows_columns(shape), window(shape)
    if drawn == (planes, rows, columns):
        return ""
    told = [f"the first {drawn[0]} of {planes:,} planes"] if drawn[0] < planes else []
    if drawn[1:] != (rows, columns):
        each = " of each" if planes > 1 else ""
        size = f"{drawn[2]} of {columns:,}" if rows == 1 else f"{drawn[1]} × {drawn[2]} of {rows:,} × {columns:,}"
        told.append(f"the first {size} cells{each}")
    return f"shown: {', '.join(told)}"


def _panel(title: str, shape: tuple[int, ...], origin: int, read: Callable[[int], int]) -> Panel:
    """A panel whose cells have no colour yet."""
    planes, rows, columns = window(shape)
    height, width = (1, 1, *shape)[-2:]

    def row_at(start: int) -> tuple[Cell, ...]:
        return tuple(Cell(position, read(position), 0) for position in range(start, start + columns))

    drawn = tuple(
        Plane(
            unravel(plane, shape[:-2]),
            tuple(row_at((plane * height + row) * width) for row in range(rows)),
        )
        for plane in range(planes)
    )
    return Panel(title, shape, drawn, origin, _part_told(shape))


# ---------------------------------------------------------------------- colours and marks


def _colour_key(drafts: Sequence[Panel]) -> tuple[Callable[[int], int], str]:
    """What an element's colour stands for, and the sentence that says so: whatever there are several of."""
    source, result = drafts[0], drafts[1]
    planes, rows, columns = _planes_rows_columns(source.shape)
    if planes > 1:
        return (lambda position: position // (rows * columns)), "Its colour is the plane of the input that it is from."
    result_planes, *size = _planes_rows_columns(result.shape)
    if result_planes > 1 and not (source.part or result.part):
        holds: Mapping[int, int] = {cell.source: cell.position // prod(size) for cell in result.cells}
        return holds.__getitem__, "Its colour is the plane of the result that it goes to."
    if rows > 1:
        return (lambda position: position // columns), "Its colour is the row of the input that it is from."
    return (lambda position: position), "Its colour is its place in the input."


def _finished(panel: Panel, coloured: Callable[[int], int], other: Callable[[int], int] | None) -> Panel:
    """The panel with its cells' colours; marked where `other` has another element at the same flat position."""

    def cell(draft: Cell) -> Cell:
        differs = other is not None and other(draft.position) != draft.source
        return replace(draft, colour=coloured(draft.source), differs=differs)

    planes = tuple(replace(plane, rows=tuple(tuple(map(cell, row)) for row in plane.rows)) for plane in panel.planes)
    return replace(panel, planes=planes)


def _compared(panels: Sequence[Panel]) -> Iterator[str]:
    first, last = panels[1], panels[-1]
    cells = [cell.differs for cell in last.cells]
    drawn = " that are drawn" if last.part else ""
    if sum(cells):
        yield f"Marked: {sum(cells):,} of the {len(cells):,} cells{drawn} hold another element than the result above."
    else:
        yield f"All {len(cells):,} cells{drawn} hold the same element as the result above."
    if first.shape != last.shape:
        yield f"The shapes differ, {list(first.shape)} and {list(last.shape)}: cells are compared by flat position."
