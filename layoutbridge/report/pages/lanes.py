"""A network as a column: a step a row, and lanes beside it for what is read further down, as in logs of versions.

A layout in layers, as graph drawers make, is broad where a network is broad and unreadable at four hundred layers; a
column is as long as the network, and every name has a line to itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_MOST_LANES = 10
ROW, LANE, EDGE = 34, 11, 8  # pixels: a row's height, a lane's width, the room for arrowheads


@dataclass(frozen=True)
class Lane:
    """From the row of what is read to the rows of what reads it; `number` 0 is next to the steps."""

    number: int
    start: int
    ends: tuple[int, ...]


@dataclass(frozen=True)
class Column:
    """`flows` are the rows from which a line goes straight down to the next step; `through` those that it passes.

    `cut` has, by the rows that read them, the rows for which there was no lane any more.
    """

    lanes: tuple[Lane, ...]
    flows: frozenset[int]
    through: frozenset[int]
    cut: Mapping[int, tuple[int, ...]]

    @property
    def width(self) -> int:
        """Pixels of all lanes."""
        return EDGE + LANE * (1 + max(lane.number for lane in self.lanes)) if self.lanes else 0


def column(rows: Sequence[int | None], sources: Mapping[int, Sequence[int]]) -> Column:
    """Lanes for steps that stand in these rows, None where a row is empty; `sources` are the steps that each reads.

    >>> made = column([0, 1, None, 2], {1: [0], 2: [1, 0]})
    >>> sorted(made.flows), sorted(made.through), [(lane.start, lane.ends) for lane in made.lanes]
    ([0, 1], [2], [(0, (3,))])
    """
    places = {step: row for row, step in enumerate(rows) if step is not None}
    filled = sorted(places.values())
    before = dict(zip(filled[1:], filled, strict=False))
    flows: set[int] = set()
    through: set[int] = set()
    ends: dict[int, list[int]] = {}
    for step, row in places.items():
        for source in sources.get(step, ()):
            start = places.get(source, row)
            if start == before.get(row):
                flows.add(start)
                through.update(range(start + 1, row))
            elif start < row and row not in ends.setdefault(start, []):
                ends[start].append(row)
    lanes = _laid(ends)
    return Column(lanes, frozenset(flows), frozenset(through), _cut(ends, lanes))


def _laid(ends: Mapping[int, list[int]]) -> tuple[Lane, ...]:
    free: list[int] = []  # the last row that each lane is taken in
    made = []
    for start in sorted(ends):
        if not ends[start]:
            continue
        number = next((number for number, last in enumerate(free) if last < start), len(free))
        if number == len(free):
            free.append(0)
        free[number] = max(ends[start])
        made.append(Lane(number, start, tuple(ends[start])))
    return tuple(lane for lane in made if lane.number < _MOST_LANES)


def _cut(ends: Mapping[int, list[int]], lanes: Sequence[Lane]) -> dict[int, tuple[int, ...]]:
    drawn = {lane.start for lane in lanes}
    cut: dict[int, list[int]] = {}
    for start, rows in ends.items():
        for row in rows if start not in drawn else ():
            cut.setdefault(row, []).append(start)
    return {row: tuple(starts) for row, starts in cut.items()}


def lane_cells(made: Column, count: int, *, mirrored: bool = False) -> list[str]:
    """The cells of a table with the lanes, one for each of `count` rows; `mirrored` where steps stand on the left."""
    if not made.lanes:
        return [""] * count
    lines: list[list[str]] = [[] for _ in range(count)]
    heads: list[bool] = [False] * count
    width, middle = made.width, ROW // 2
    for lane in made.lanes:
        across = width - EDGE - LANE * lane.number - LANE // 2
        last = max(lane.ends)
        at, edge = (width - across, 0) if mirrored else (across, width)
        lines[lane.start].append(f"M{edge} {middle}H{at}V{ROW}")
        for row in range(lane.start + 1, last + 1):
            lines[row].append(f"M{at} 0V{ROW if row < last else middle}")
            if row in lane.ends:
                lines[row].append(f"M{at} {middle}H{edge}")
                heads[row] = True
    tip = f"M0 {middle}l6-4v8z" if mirrored else f"M{width} {middle}l-6-4v8z"
    return [
        f'<td class="lanes"><svg width="{width}" height="{ROW}" aria-hidden="true"><path d="{"".join(held)}"/>'
        f"{f'<path class={chr(34)}head{chr(34)} d={chr(34)}{tip}{chr(34)}/>' if head else ''}</svg></td>"
        for held, head in zip(lines, heads, strict=True)
    ]
