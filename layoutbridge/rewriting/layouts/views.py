"""Layouts through a view: what a tensor that is stored otherwise is, once it is seen in another shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from layoutbridge.rewriting.layouts.layout import Layout, Part, laid_out, pieces
from layoutbridge.rewriting.layouts.sizes import Sized


@dataclass(frozen=True, slots=True)
class Group:
    """Neighbouring axes of a shape that are neighbouring axes of another, none of which can be split off."""

    before: tuple[int, ...]
    after: tuple[int, ...]


def groups(before: Sized, after: Sized) -> list[Group] | None:
    """How the axes of one shape become those of another, axes of length 1 left out; None where it cannot be told.

    >>> groups(Sized((2, 12, 5), (3, 12, 7), 0), Sized((2, 3, 4, 1, 5), (3, 3, 4, 1, 7), 0))
    [Group(before=(0,), after=(0,)), Group(before=(1,), after=(1, 2)), Group(before=(2,), after=(4,))]
    """
    if 0 in (*before.shape, *after.shape):
        return None
    left, right = ([axis for axis in range(each.rank) if not each.is_one(axis)] for each in (before, after))
    made: list[Group] = []
    one, two = 0, 0
    while one < len(left) or two < len(right):
        if one == len(left) or two == len(right):
            return None
        ends = one + 1, two + 1
        while (counts := (_counts(before, left[one : ends[0]]), _counts(after, right[two : ends[1]])))[0] != counts[1]:
            is_less = counts[0][0] < counts[1][0] or (counts[0][0] == counts[1][0] and counts[0][1] < counts[1][1])
            ends = (ends[0] + 1, ends[1]) if is_less else (ends[0], ends[1] + 1)
            if ends[0] > len(left) or ends[1] > len(right):
                return None
        made.append(Group(tuple(left[one : ends[0]]), tuple(right[two : ends[1]])))
        one, two = ends
    return made


def _counts(sized: Sized, axes: Sequence[int]) -> tuple[int, int]:
    return prod(sized.shape[axis] for axis in axes), prod(sized.second[axis] for axis in axes)


def through_view(layout: Layout, before: Sized, after: Sized) -> Layout | None:
    """The layout in which a tensor of shape `after` is seen where one of shape `before` is stored as `layout`.

    None where its axes do not lie whole behind one another. A length that is open is never cut.

    >>> nhwc = Layout((0, 2, 3, 1))
    >>> through_view(nhwc, Sized((1, 2, 3, 4), (1, 2, 3, 4), 0), Sized((1, 24), (1, 24), 0))
    Layout(order=(0, 1), parts=((1, ((1, 12), (12, 2))),))
    >>> through_view(nhwc, Sized((1, 2, 3, 4), (1, 2, 5, 7), 0), Sized((1, 2, 12), (1, 2, 35), 0))
    Layout(order=(0, 2, 1), parts=())
    """
    found = groups(before, after)
    if found is None:
        return None
    belongs = {axis: group for group in found for axis in group.before}
    line: list[tuple[int, list[Part] | None]] = []  # axes of `after`, or parts of them, as they lie in memory
    stored = [axis for axis in layout.order if axis in belongs]
    place = 0
    while place < len(stored):
        group = belongs[stored[place]]
        count = len(group.before)
        is_whole = tuple(stored[place : place + count]) == group.before
        parts = [layout.cut.get(axis) for axis in group.before]
        if count == len(group.after) == 1:
            line.append((group.after[0], None if parts[0] is None else list(parts[0])))
            place += 1
        elif is_whole and not any(parts):
            line += [(axis, None) for axis in group.after]
            place += count
        else:
            moved = _cut(stored[place], layout, group, before, after)
            if moved is None:
                return None
            line += moved
            place += 1
    return _laid(line, after)


def _cut(
    axis: int, layout: Layout, group: Group, before: Sized, after: Sized
) -> list[tuple[int, list[Part] | None]] | None:
    """One stored axis as parts of the axes that its group has in the other shape."""
    if None in [before.known[each] for each in group.before] + [after.known[each] for each in group.after]:
        return None
    behind = prod(before.shape[each] for each in group.before if each > axis)
    parts = layout.cut.get(axis, ((1, before.shape[axis]),))
    flat = tuple((step * behind, length) for step, length in parts)
    steps, step = {}, 1
    for each in reversed(group.after):
        steps[each] = step
        step *= after.shape[each]
    found = pieces(flat, sorted([*steps.values(), step]))
    if found is None:
        return None
    made: list[tuple[int, list[Part] | None]] = []
    for low, length in found:
        owner = max((each for each in group.after if steps[each] <= low), key=lambda each: steps[each])
        if low % steps[owner]:
            return None
        made.append((owner, [(low // steps[owner], length)]))
    return made


def _laid(line: Sequence[tuple[int, list[Part] | None]], after: Sized) -> Layout | None:
    """A layout of axes and parts in the order in which they lie; None where an axis lies in several places."""
    order: list[int] = []
    parts: dict[int, list[Part]] = {}
    for axis, found in line:
        if axis not in order:
            order.append(axis)
            if found is not None:
                parts[axis] = list(found)
        elif order[-1] != axis or found is None or axis not in parts:
            return None
        else:
            parts[axis] += found
    for axis in range(after.rank):  # those of length 1 lie behind the axis that the file has in front of them
        if axis not in order:
            order.insert(order.index(axis - 1) + 1 if axis else 0, axis)
    return laid_out(order, parts)
