"""From one layout of a tensor to another: a view where all elements keep their order, else one transposition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from layoutbridge.rewriting.layouts.layout import Layout, Part, length_of, pieces
from layoutbridge.rewriting.layouts.sizes import Sized, target

SCATTERED = 4  # times as long take elements that are moved one by one, measured in onnxruntime
_LINE = 64  # bytes of a cache line
Piece = tuple[int, Part | None]  # of an axis; None for the whole of it


@dataclass(frozen=True)
class Conversion:
    """What takes a stored tensor from one layout to another: Reshape, Transpose, Reshape, each if there is one.

    `run` is how many elements stay together in a transposition.
    """

    cut: list[int] | None
    order: tuple[int, ...] | None
    joined: list[int] | None
    run: int = 0

    @property
    def nodes(self) -> int:
        """How many nodes it takes."""
        return sum(each is not None for each in (self.cut, self.order, self.joined))


@lru_cache(maxsize=1 << 16)
def conversion(sized: Sized, given: Layout, wanted: Layout) -> Conversion | None:
    """How a tensor that is stored as `given` gets to be stored as `wanted`; None where no such steps do.

    >>> nchw, nhwc = Layout((0, 1, 2, 3)), Layout((0, 2, 3, 1))
    >>> conversion(Sized((2, 3, 8, 8), (3, 3, 9, 9), 0), nchw, nhwc)
    Conversion(cut=None, order=(0, 2, 3, 1), joined=None, run=1)
    >>> conversion(Sized((2, 3, 1, 1), (3, 3, 1, 1), 0), nchw, nhwc)
    Conversion(cut=None, order=None, joined=[0, 1, 1, 3], run=0)
    """
    refined = _refined(given, wanted)
    if refined is None:
        return None
    before, after = refined
    lengths = [[_length(sized, piece) for piece in _each(axis)] for axis in (before, after)]
    sides = [[_whole(sized, axis) for axis in layout.order] for layout in (given, wanted)]
    if _moving(sized, before) == _moving(sized, after):
        joined = target(*sides)
        if joined is not None:
            return Conversion(None, None, joined)
    is_cut = any(len(axis) > 1 for axis in before)
    is_joined = any(len(axis) > 1 for axis in after)
    cut, joined = target(sides[0], lengths[0]), target(lengths[1], sides[1])
    if (is_cut and cut is None) or (is_joined and joined is None):
        return None
    places = {piece: place for place, piece in enumerate(_each(before))}
    order = tuple(places[piece] for piece in _each(after))
    run = _run(sized, _moving(sized, before), _moving(sized, after))
    return Conversion(cut if is_cut else None, order, joined if is_joined else None, run)


def is_view(sized: Sized, given: Layout, wanted: Layout) -> bool:
    """Whether the elements of a tensor lie in the same order in both layouts, and a Reshape can say so.

    >>> is_view(Sized((2, 3, 1, 8), (3, 3, 1, 9), 0), Layout((0, 1, 2, 3)), Layout((0, 2, 1, 3)))
    True
    """
    if given == wanted:
        return True
    made = conversion(sized, given, wanted)
    return made is not None and made.order is None


def effort(sized: Sized, given: Layout, wanted: Layout) -> int:
    """The bytes that are moved from one layout to the other; such as lie in runs shorter than a line count for more.

    >>> heads, given = Sized((2, 3, 8, 16), (2, 3, 8, 16), 3072), Layout((0, 1, 2, 3))
    >>> effort(heads, given, Layout((0, 2, 1, 3))), effort(heads, given, Layout((0, 2, 3, 1)))
    (3072, 12288)
    """
    if given == wanted:
        return 0
    made = conversion(sized, given, wanted)
    if made is None or made.order is None:
        return 0
    return sized.bytes * (SCATTERED if is_short(made.run, sized) else 1)


def is_short(run: int, sized: Sized) -> bool:
    """Whether so many elements of a tensor that lie together are less than a line of the cache."""
    return run * sized.itemsize < _LINE


def _run(sized: Sized, before: Sequence[Piece], after: Sequence[Piece]) -> int:
    """How many elements at the end of both stay together."""
    count = 1
    for one, two in zip(reversed(before), reversed(after), strict=True):
        if one != two:
            break
        count *= sized.shape[one[0]] if one[1] is None else one[1][1]
    return count


def _refined(given: Layout, wanted: Layout) -> tuple[list[list[Piece]], list[list[Piece]]] | None:
    """The pieces of each stored axis, so that both layouts are of the same pieces; None where there are no such."""
    steps: dict[int, list[int] | None] = {}
    for axis in given.order:
        one, two = given.cut.get(axis), wanted.cut.get(axis)
        if one == two:
            steps[axis] = None
            continue
        length = length_of(one or two or ())
        bounds = sorted({1, length, *(step for step, _ in (*(one or ()), *(two or ())))})
        if any(high % low for low, high in pairwise(bounds)):
            return None
        steps[axis] = bounds
    sides = []
    for layout in (given, wanted):
        side: list[list[Piece]] = []
        for axis in layout.order:
            bounds_of = steps[axis]
            if bounds_of is None:
                side.append([(axis, None)])
                continue
            cut = pieces(layout.cut.get(axis, ((1, bounds_of[-1]),)), bounds_of)
            if cut is None:
                return None
            side.append([(axis, piece) for piece in cut])
        sides.append(side)
    return sides[0], sides[1]


def _each(axes: Sequence[Sequence[Piece]]) -> list[Piece]:
    return [piece for axis in axes for piece in axis]


def _moving(sized: Sized, axes: Sequence[Sequence[Piece]]) -> list[Piece]:
    """The pieces that have more than one place."""
    return [piece for piece in _each(axes) if piece[1] is not None or not sized.is_one(piece[0])]


def _length(sized: Sized, piece: Piece) -> object:
    axis, part = piece
    return _whole(sized, axis) if part is None else part[1]


def _whole(sized: Sized, axis: int) -> object:
    """The length of an axis, or the axis itself, told apart from a number, where it is open."""
    known = sized.known[axis]
    return ("open", axis) if known is None else known
