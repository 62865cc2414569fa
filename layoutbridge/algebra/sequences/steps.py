"""What one move does to digits that are grouped into axes: transposes, gathers, flips, blocks, parts cut and joined.

A tensor's axes are groups of digits, outermost first, each digit called by its number. A group may be empty: an axis of
length 1. Some digits may lie apart: there is then one tensor for each of their values, all of the same axes. A digit is
unread where it has a reading and no move has applied it yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, combinations, combinations_with_replacement, pairwise, permutations, product
from math import prod
from typing import Literal, NamedTuple

from layoutbridge.algebra.readings import REVERSED, Reading

Digits = tuple[int, ...]
Axes = tuple[Digits, ...]
Kind = Literal[
    "transpose",
    "gather",  # any order of the digits of one axis, all of known length
    "flip",
    "space_to_depth",
    "space_to_depth_crd",
    "depth_to_space",
    "depth_to_space_crd",
    "split",  # the outermost digit of one axis apart
    "slice",  # the outermost or innermost digits of some axes apart
    "join",  # digits that lie apart as the outermost ones of an axis
]
BLOCKS: tuple[Kind, ...] = ("space_to_depth", "space_to_depth_crd", "depth_to_space", "depth_to_space_crd")
_INVERSE: dict[Kind, Kind] = dict(zip(BLOCKS, (*BLOCKS[2:], *BLOCKS[:2]), strict=True))
_BLOCK_AXES = 4
_MOST_AXES = 5  # on which all orders are tried
_MOST_ORDERED = 5  # digits of an axis whose orders are all tried
_MOST_TAKEN = 3  # digits that one move takes apart


@dataclass(frozen=True, slots=True)
class Abilities:
    """What may be used: moves of these `kinds` on at most `most_axes`, between views or (`views` off) without any.

    A gather permutes at most `most_gathered` positions, single elements (the innermost axis) only with
    `single_elements`; there are at most `most_parts` tensors at a time.
    """

    kinds: frozenset[Kind]
    most_axes: int
    views: bool = True
    most_gathered: int = 1 << 20
    single_elements: bool = False
    most_parts: int = 64


class State(NamedTuple):
    """Where the digits are: in `axes` (one group of all where views are free), `apart`, and which are `unread`.

    Of those apart some were cut from an axis of open length without a view that makes sure that it divides (`loose`).
    """

    axes: Axes
    apart: frozenset[int] = frozenset()
    unread: frozenset[int] = frozenset()
    loose: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Task:
    """Digits of these `lengths` (None: open) and `readings`, which are to lie in this `order`.

    `start` and `goal` are the axes in which they lie before and are to lie after, None where an axis' end falls inside
    a digit. They only count where there are no views between the moves, but then they must be there.
    """

    lengths: tuple[int | None, ...]
    readings: tuple[Reading, ...]
    order: Digits
    start: Axes | None
    goal: Axes | None
    abilities: Abilities

    @property
    def first(self) -> State:
        """Where the digits are before any move."""
        axes = (tuple(range(len(self.lengths))),) if self.abilities.views or self.start is None else self.start
        return State(axes, unread=self.read)

    @property
    def last(self) -> State:
        """Where they are to be."""
        return State((self.order,) if self.abilities.views or self.goal is None else self.goal)

    @cached_property
    def read(self) -> frozenset[int]:
        """The digits that have a reading."""
        return frozenset(digit for digit, reading in enumerate(self.readings) if reading)

    @property
    def most_axes(self) -> int:
        """The most axes that are tried: orders of more are too many."""
        return min(self.abilities.most_axes, _MOST_AXES)

    def count(self, digits: Digits) -> int | None:
        """How many values these digits have together, None where one is open."""
        if digits not in self._counts:
            known = [length for digit in digits if (length := self.lengths[digit]) is not None]
            self._counts[digits] = prod(known) if len(known) == len(digits) else None
        return self._counts[digits]

    @cached_property
    def _counts(self) -> dict[Digits, int | None]:
        return {}


class Step(NamedTuple):
    """One move from axes to axes. `axis` is where a gather or a join works; `moved` are an order of axes, or digits.

    A transpose's `moved` is the axis written at each place, that of a cut the digits that lie apart after it, in their
    order among the parts, and that of a join those that it puts in front of an axis. `read` are the digits whose
    reading it applies.
    """

    kind: Kind
    before: Axes
    after: Axes
    moved: Digits = ()
    axis: int = 0
    read: frozenset[int] = frozenset()


def groupings(digits: Digits, most: int) -> Iterator[Axes]:
    """All ways to cut digits into at most so many groups.

    >>> list(groupings((2, 0, 1), 2))
    [((2, 0, 1),), ((2,), (0, 1)), ((2, 0), (1,))]
    """
    for count in range(min(most, max(len(digits), 1))):
        for cuts in combinations(range(1, len(digits)), count):
            yield tuple(digits[a:b] for a, b in pairwise((0, *cuts, len(digits))))


def flat(axes: Axes) -> Digits:
    """All digits in their order.

    >>> flat(((2,), (), (0, 1)))
    (2, 0, 1)
    """
    return tuple(digit for group in axes for digit in group)


def steps_from(task: Task, state: State) -> Iterator[Step]:
    """Every move that `state` allows; between views each on the fewest axes."""
    kinds, views = task.abilities.kinds, task.abilities.views
    for axes in groupings(flat(state.axes), task.most_axes) if views else (state.axes,):
        if "transpose" in kinds:
            yield from _transposes(axes, views)
        if "gather" in kinds:
            yield from _gathers(task, axes, state.unread)
        if "flip" in kinds:
            yield from _flips(task, axes, state.unread)
        if "split" in kinds or "slice" in kinds:
            yield from _cuts(task, axes, state.apart)
        if "join" in kinds and state.apart:
            yield from _joins(task, axes, state)
    for axes in _block_axes(task, state.axes):
        for kind in BLOCKS:
            if kind in kinds:
                yield from _blocks(task, kind, axes)


def steps_into(task: Task) -> Iterator[tuple[State, Step]]:
    """Every move that ends at the goal, with the state that it starts from."""
    kinds, views = task.abilities.kinds, task.abilities.views

    def from_(axes: Axes, apart: Digits = (), unread: frozenset[int] = frozenset()) -> State:
        return State((flat(axes),) if views else axes, frozenset(apart), unread)

    last = task.last.axes
    for axes in groupings(flat(last), task.most_axes) if views else (last,):
        if "transpose" in kinds:
            for step in _transposes(axes, views):
                order = tuple(step.moved.index(place) for place in range(len(axes)))
                yield from_(step.after), Step("transpose", step.after, axes, order)
        if "gather" in kinds:
            for step in _gathers(task, axes, frozenset()):
                for read in _read_or_not(task, axes[step.axis]):
                    back = Step("gather", step.after, axes, axis=step.axis, read=read)
                    yield from_(step.after, unread=read), back
            for place, group in enumerate(axes):
                read = task.read.intersection(group)
                if read and _may_gather(task, axes, place):
                    yield from_(axes, unread=read), Step("gather", axes, axes, axis=place, read=read)
        if "flip" in kinds:
            for step in _flips(task, axes, task.read):
                yield from_(axes, unread=step.read), step
        if "join" in kinds:
            for place, group in enumerate(axes):
                for end in range(1, len(group) + 1):
                    taken = group[:end]
                    before = (*axes[:place], group[end:], *axes[place + 1 :])
                    if _fits_parts(task, taken):
                        for read, loose in product(_read_or_not(task, taken), _some_of(taken)):
                            if _may_join(task, before, place, loose):
                                state = from_(before, taken, read)._replace(loose=loose)
                                yield state, Step("join", before, axes, taken, place, read)
    for axes in _block_axes(task, last):
        for kind in BLOCKS:
            if kind in kinds:
                for step in _blocks(task, _INVERSE[kind], axes):
                    yield from_(step.after), Step(kind, step.after, axes)


def _transposes(axes: Axes, views: bool) -> Iterator[Step]:
    """Every order of the axes; between views none that leaves two side by side, which are then one axis."""
    if len(axes) > _MOST_AXES:
        return
    for order in permutations(range(len(axes))):
        together = any(b == a + 1 for a, b in pairwise(order))
        if not together if views else order != tuple(range(len(axes))):
            yield Step("transpose", axes, tuple(axes[place] for place in order), order)


def _is_spare(task: Task, axes: Axes, used: Iterable[int]) -> bool:
    """Whether two neighbouring axes that a move does not work on could be one, in a view."""
    idle = {*range(len(axes))}.difference(used)
    return task.abilities.views and any(place + 1 in idle for place in idle)


# ---------------------------------------------------------------------- along one axis


def _may_gather(task: Task, axes: Axes, place: int) -> bool:
    abilities = task.abilities
    count = task.count(axes[place])
    if count is None or count > abilities.most_gathered or len(axes[place]) > _MOST_ORDERED:
        return False
    if _is_spare(task, axes, [place]):
        return False
    return abilities.single_elements or bool(flat(axes[place + 1 :]))


def _gathers(task: Task, axes: Axes, unread: frozenset[int]) -> Iterator[Step]:
    for place, group in enumerate(axes):
        if not _may_gather(task, axes, place):
            continue
        read = unread.intersection(group)
        for order in permutations(group):
            ends = {group[0] == order[0], group[-1] == order[-1]} if group else {True}
            if read or (True not in ends if task.abilities.views else order != group):
                after = (*axes[:place], order, *axes[place + 1 :])
                yield Step("gather", axes, after, axis=place, read=read)


def _flips(task: Task, axes: Axes, unread: frozenset[int]) -> Iterator[Step]:
    """All axes that consist of nothing but digits to be read backwards; each by itself, too."""
    backwards = [
        frozenset(group)
        for group in axes
        if group and all(digit in unread and task.readings[digit] == REVERSED for digit in group)
    ]
    for read in dict.fromkeys((*backwards, frozenset().union(*backwards))):
        if read and not _is_spare(task, axes, (place for place, group in enumerate(axes) if read.issuperset(group))):
            yield Step("flip", axes, axes, read=read)


def _read_or_not(task: Task, digits: Digits) -> tuple[frozenset[int], ...]:
    """What a move that can apply all readings of `digits` may find unread."""
    read = task.read.intersection(digits)
    return (frozenset(), read) if read else (read,)


# ---------------------------------------------------------------------- parts


def _some_of(digits: Digits) -> Iterator[frozenset[int]]:
    for count in range(len(digits) + 1):
        yield from map(frozenset, combinations(digits, count))


def _fits_parts(task: Task, digits: Digits) -> bool:
    count = task.count(digits)
    return count is not None and count <= task.abilities.most_parts


def _cuts(task: Task, axes: Axes, apart: frozenset[int]) -> Iterator[Step]:
    """Digits at the ends of axes taken apart: one axis by a split, several by slices."""
    ends = [list(_ends(task, group)) for group in axes]
    kinds = task.abilities.kinds
    most = _MOST_TAKEN if "slice" in kinds else 1
    for cut in chain.from_iterable(combinations(range(len(axes)), count) for count in range(1, most + 1)):
        if _is_spare(task, axes, cut):
            continue
        for chosen in product(*(ends[place] for place in cut)):
            taken = flat(tuple(digits for digits, _, _ in chosen))
            if len(taken) > _MOST_TAKEN or not _fits_parts(task, (*apart, *taken)):
                continue
            rests = {place: rest for place, (_, rest, _) in zip(cut, chosen, strict=True)}
            after = tuple(rests.get(place, group) for place, group in enumerate(axes))
            if "split" in kinds and len(cut) == 1 and chosen[0][2]:
                yield Step("split", axes, after, taken, cut[0])
            elif "slice" in kinds and all(not outer or task.count(rest) is not None for _, rest, outer in chosen):
                yield Step("slice", axes, after, taken)


def _ends(task: Task, group: Digits) -> Iterator[tuple[Digits, Digits, bool]]:
    """What may be taken of an axis, what is left, and whether the outermost digits are taken."""
    for end in range(1, len(group) + 1):
        taken, rest = group[:end], group[end:]
        # parts of an axis that is as long as it likes are cut in a view, where a length that does not divide fails
        if _fits_parts(task, taken) and (task.abilities.views or task.count(rest) is not None):
            yield taken, rest, True
    for end in range(1, len(group)):
        if _fits_parts(task, group[end:]):
            yield group[end:], group[:end], False


def loosely_cut(task: Task, step: Step) -> frozenset[int]:
    """The digits that a cut takes from the inner end of an axis of open length: its parts may be unequally long."""
    return frozenset(
        digit
        for before, after in zip(step.before, step.after, strict=True)
        if before[: len(after)] == after and task.count(after) is None
        for digit in before[len(after) :]
    )


def _may_join(task: Task, axes: Axes, place: int, loose: Iterable[int]) -> bool:
    """Parts of an axis that did not divide must meet on another one, where their lengths have to be equal."""
    return not loose or task.count(axes[place]) is not None


def _joins(task: Task, axes: Axes, state: State) -> Iterator[Step]:
    longer = task.abilities.views and len(axes) < task.most_axes and flat(axes)
    for own in (axes, (*axes, ())) if longer else (axes,):
        for place in range(len(own)) if own is axes else (len(axes),):
            if _is_spare(task, own, [place]):
                continue
            for count in range(1, len(state.apart) + 1):
                for taken in permutations(sorted(state.apart), count):
                    if _may_join(task, own, place, state.loose.intersection(taken)):
                        after = (*own[:place], taken + own[place], *own[place + 1 :])
                        yield Step("join", own, after, taken, place, state.unread.intersection(taken))


# ---------------------------------------------------------------------- blocks


def _block_axes(task: Task, axes: Axes) -> Iterator[Axes]:
    """The groupings into the four axes that blocks are moved on."""
    if not task.abilities.views:
        if len(axes) == _BLOCK_AXES:
            yield axes
    elif task.abilities.most_axes >= _BLOCK_AXES and task.abilities.kinds.intersection(BLOCKS):
        digits = flat(axes)
        for cuts in combinations_with_replacement(range(len(digits) + 1), _BLOCK_AXES - 1):
            yield tuple(digits[a:b] for a, b in pairwise((0, *cuts, len(digits))))


def _blocks(task: Task, kind: Kind, axes: Axes) -> Iterator[Step]:
    """Blocks from rows and columns into channels, or out of them; DCR has them in front of the channels."""
    front, channels, rows, columns = axes
    crd = kind.endswith("_crd")
    if kind.startswith("space_to_depth"):
        for i, j in product(range(len(rows)), range(len(columns))):
            down, across = rows[i:], columns[j:]
            if _same_block(task, down, across):
                deep = (*channels, *down, *across) if crd else (*down, *across, *channels)
                yield Step(kind, axes, (front, deep, rows[:i], columns[:j]))
        return
    for i, j in combinations(range(len(channels) + 1), 2):
        first, second, third = channels[:i], channels[i:j], channels[j:]
        rest, down, across = (first, second, third) if crd else (third, first, second)
        if _same_block(task, down, across):
            yield Step(kind, axes, (front, rest, rows + down, columns + across))


def _same_block(task: Task, down: Digits, across: Digits) -> bool:
    size = task.count(down)
    return size is not None and size > 1 and size == task.count(across)
