"""What an output of a port is that has numbers for all boxes of heads: rows of boxes, right or with what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations

import numpy as np

from layoutbridge.comparing.heads.columns import Column, is_near
from layoutbridge.comparing.heads.entries import Array, Entries
from layoutbridge.comparing.heads.groups import Group
from layoutbridge.comparing.heads.layouts import Block, Laid, layouts, patterns
from layoutbridge.comparing.heads.matching import (
    Match,
    Place,
    Told,
    boxes_of,
    confidences_of,
    furthest,
    right_boxes,
    right_confidences,
)
from layoutbridge.comparing.heads.rows import mixed_rows

_MOST_PERMUTED = 4  # heads whose orders are all tried
_WHERE = ("box", "centre", "size")  # blocks that say where a box is
Misread = Callable[[Entries], Iterable[tuple[str, Group]]]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What an output's columns are: of each of `heads` what is `told` to be wrong.

    `columns` are the port's, [N, boxes], `made` what they are, called `names`, head after head as in the network;
    `axes` are how the boxes lie. `is_raw` says that they are entries as the heads are fed them: right where all are.
    """

    heads: tuple[Entries, ...]
    told: tuple[tuple[Told, ...], ...]
    names: tuple[str, ...]
    columns: tuple[Column, ...]
    made: tuple[Column, ...]
    axes: tuple[int, ...]
    is_raw: bool = False

    @property
    def is_right(self) -> bool:
        """Whether nothing is wrong."""
        return not any(self.told)

    @property
    def faults(self) -> int:
        """How much is wrong, in how many heads."""
        return faults_of(self.told)


def faults_of(told: Sequence[Sequence[Told]]) -> int:
    """How much is wrong in heads, and in how many of them."""
    return len({each[:2] for one in told for each in one}) + sum(map(bool, told))


def explained(
    output: Array,
    heads: Sequence[Entries],
    all_heads: Sequence[Entries],
    misread: Misread,
    tolerance: float,
    *,
    may_be_raw: bool = True,
) -> Explanation | None:
    """What an output with numbers for all boxes of `heads`, and for no other, is; None where that is not known.

    `misread` gives a head's boxes where ports read its entries wrongly. Entries that are not decoded are right if they
    `may_be_raw`.
    """
    whole = Group(heads, all_heads)
    laid = list(layouts(output, whole.boxes, len(heads[0].raw)))
    mixed: Explanation | None = None
    for each in laid:
        raw = _raw(whole, each, tolerance) if may_be_raw else None
        for found in (raw, _best(each, [[_whole(whole, each)]], tolerance)):
            if found is not None and found.is_right:
                return found
            mixed = mixed or found
    if mixed is not None and len(heads) == 1:
        return mixed
    wrong = [_best(each, _partitions(whole, all_heads, each), tolerance, misread) for each in laid]
    return min((each for each in (mixed, *wrong) if each is not None), key=lambda each: each.faults, default=None)


# ---------------------------------------------------------------------- which boxes are whose


Known = Mapping[Hashable, Match]  # by the way or the style in which columns are known


class _Part:
    """The boxes of an output that are those of a group of heads; what is known of them is kept."""

    def __init__(self, group: Group, columns: Iterable[Column]) -> None:
        self.group = group
        self.columns = tuple(columns)
        self._known: dict[Hashable, Known] = {}

    def known(
        self, where: Block | None, rest: tuple[Block, ...], tolerance: float, *, right_only: bool
    ) -> tuple[Known, Known]:
        """What the numbers of boxes are, and the blocks that say how sure these are; a match of nothing for nothing."""
        boxes: Known = {None: Match()} if where is None else self._kept((where, right_only), lambda: boxes_of(
            self.group, where, self.columns, tolerance, right_only=right_only))  # fmt: skip
        if not boxes or not rest:
            return boxes, {None: Match()} if boxes else {}
        return boxes, self._kept((rest, right_only), lambda: confidences_of(
            self.group, rest, self.columns, tolerance, right_only=right_only))  # fmt: skip

    def _kept(self, key: Hashable, find: Callable[[], Iterable[tuple[Hashable, Match]]]) -> Known:
        if key not in self._known:
            self._known[key] = dict(find())
        return self._known[key]


def _whole(group: Group, laid: Laid) -> _Part:
    return _Part(group, map(Column, laid.columns))


def _partitions(whole: Group, all_heads: Sequence[Entries], laid: Laid) -> Iterator[list[_Part]]:
    """All boxes together, then head by head, in every order of these."""
    yield [_whole(whole, laid)]
    heads = whole.heads
    if len(heads) == 1 or laid.columns.shape[2] != whole.boxes:
        return
    groups = [Group([each], all_heads) for each in heads]
    orders = list(permutations(groups)) if len(groups) <= _MOST_PERMUTED else [tuple(groups), tuple(groups[::-1])]
    made: dict[tuple[int, int], _Part] = {}
    for order in orders:
        start, parts = 0, []
        for group in order:
            key = groups.index(group), start
            if key not in made:
                made[key] = _Part(group, map(Column, laid.columns[:, :, start : start + group.boxes]))
            parts.append(made[key])
            start += group.boxes
        yield parts


# ---------------------------------------------------------------------- what stands side by side


def _raw(group: Group, laid: Laid, tolerance: float) -> Explanation | None:
    """Entries as the heads are fed them, some or all, or all as they leave them."""
    part = _whole(group, laid)
    for is_done in (False, True):
        own = group.own(is_done)
        count = len(own) - len(part.columns) + 1
        for start in range(count if not is_done else int(count == 1)):
            made = own[start : start + len(part.columns)]
            if all(is_near(*each, tolerance) for each in zip(part.columns, made, strict=True)):
                names = tuple(f"entry {start + number}" for number in range(len(made)))
                return _together(laid, [part], [Match((), names, made)], tolerance, is_raw=not is_done)
    return None


def _best(
    laid: Laid, partitions: Iterable[list[_Part]], tolerance: float, misread: Misread | None = None
) -> Explanation | None:
    """The explanation with the fewest faults; without `misread` only right ones are looked for."""
    best: Explanation | None = None
    for parts in partitions:
        group = parts[0].group
        for pattern in patterns(len(laid.columns), group.classes, group.heads[0].has_deviations):
            made = _agreed(parts, pattern, tolerance, misread)
            if made is None:
                continue
            found = _together(laid, parts, made, tolerance)
            if best is None or found.faults < best.faults:
                best = found
            if best.is_right:
                return best
    return best


def _together(
    laid: Laid, parts: Sequence[_Part], matches: Sequence[Match], tolerance: float, *, is_raw: bool = False
) -> Explanation:
    """What all parts of an output are, one behind the other, and whether the numbers of a box stand in one row."""
    heads: list[Entries] = []
    told: list[tuple[Told, ...]] = []
    order = sorted(range(len(parts)), key=lambda number: parts[number].group.heads[0].layer.index)
    parts, matches = [parts[number] for number in order], [matches[number] for number in order]
    for part, match in zip(parts, matches, strict=True):
        mixed = mixed_rows(part.group, match.names, part.columns, match.made, tolerance)
        heads += part.group.heads
        told += [(*match.told, *mixed)] * len(part.group.heads)
    made = tuple(
        Column(np.concatenate([each.values for each in columns], axis=1), columns[0].least)
        for columns in zip(*(match.made for match in matches), strict=True)
    )
    return Explanation(
        tuple(heads), tuple(told), matches[0].names, tuple(map(Column, laid.columns)), made, laid.axes, is_raw
    )


def _agreed(
    parts: Sequence[_Part], pattern: tuple[Block, ...], tolerance: float, misread: Misread | None
) -> list[Match] | None:
    """What each part is, in the way and the style with the fewest faults that all parts have."""
    where = next((block for block in pattern if block.kind in _WHERE), None)
    rest = tuple(block for block in pattern if block is not where)
    known: list[tuple[Known, Known]] = []
    others: dict[int, Match] = {}
    for number, part in enumerate(parts):
        boxes, confidences = part.known(where, rest, tolerance, right_only=misread is None)
        if boxes and confidences:
            known.append((boxes, confidences))
            continue
        other = None if misread is None else _otherwise(part, where, rest, misread, tolerance)
        if other is None:
            return None
        others[number] = _in_order(pattern, where, *other)
    chosen = [_fewest([each[which] for each in known]) for which in (0, 1)]
    if None in chosen:
        return None
    held = iter(zip(*(each or [] for each in chosen), strict=True))
    return [others.get(number) or _in_order(pattern, where, *next(held)) for number in range(len(parts))]


def _fewest(known: Sequence[Known]) -> list[Match] | None:
    """The matches under the one name that all have, with the fewest faults; None where there is no such name."""
    if not known:
        return []
    names = [name for name in known[0] if all(name in each for each in known)]
    if not names:
        return None
    best = min(names, key=lambda name: faults_of([each[name].told for each in known]))
    return [each[best] for each in known]


def _in_order(pattern: Sequence[Block], where: Block | None, boxes: Match, confidences: Match) -> Match:
    """The columns of both in the order in which they stand in the output."""
    names, made = list(confidences.names), list(confidences.made)
    if where is not None:
        names[where.start : where.start] = boxes.names
        made[where.start : where.start] = boxes.made
    return Match((*boxes.told, *confidences.told), tuple(names), tuple(made))


def _otherwise(
    part: _Part, where: Block | None, rest: tuple[Block, ...], misread: Misread, tolerance: float
) -> tuple[Match, Match] | None:
    """Right boxes of entries that are read wrongly, of one head."""
    if len(part.group.heads) > 1:
        return None
    (head,) = part.group.heads
    for wrong, group in misread(head):
        boxes, confidences = _Part(group, part.columns).known(where, rest, tolerance, right_only=True)
        if not (boxes and confidences):
            continue
        (place, box), (style, sure) = (next(iter(each.items())) for each in (boxes, confidences))
        right: list[Column] = []
        if isinstance(place, Place):
            right += right_boxes(part.group, place)
        if isinstance(style, str):
            right += right_confidences(part.group, rest, style)
        made = (*box.made, *sure.made)
        own = [*(part.columns[where.start : where.end] if where else ()),
               *(column for block in rest for column in part.columns[block.start : block.end])]  # fmt: skip
        told = Told("", wrong, furthest(own, right), furthest(own, made))
        return replace(box, told=(told,)), sure
    return None
