"""A map without a name as a pattern: its digits along the tensor's own axes, with sizes as two shapes show them.

A digit of a table is cut where an axis of the input or of the result begins, so that each lies within one axis of both
where that can be: then the pattern is a plain one. Seen at two shapes, a digit's size is a number times lengths of
axes; seen at one, it is a number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import combinations
from math import prod

from layoutbridge.algebra.readings import Reading, is_order, written_reading
from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.algebra.sizes import Size
from layoutbridge.algebra.table import Digit, Digits, reading_of
from layoutbridge.errors import LayoutBridgeError

_AXES = {1: "k", 2: "k d", 3: "c h w", 4: "n c h w", 5: "n c d h w"}
_CHANNELS_LAST = "n h w c"
_TOKENS, _PLANES = "n l c", "n h w"  # three axes of which the first stays where it is
_PRIMES = (2, 3, 5, 7, 11, 13)
_INNER = "pqrstuvabefgijmoxyz"  # digits that share an axis with another
_CUTS = ((True, True), (True, False), (False, True), (False, False))


@dataclass(frozen=True, slots=True)
class Seen:
    """A map at one shape: its digits, outermost first as they are written, and the shapes before and after."""

    digits: Digits
    in_shape: tuple[int, ...]
    out_shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Piece:
    """A digit within one axis of the input and one of the result; where an axis was not cut, -1 in its place."""

    size: int
    stride: int
    reading: Reading
    in_axis: int
    out_axis: int


@lru_cache(maxsize=256)
def pattern_of(first: Seen, second: Seen | None = None, *, drop_batch: bool = True) -> str | None:
    """The map as a pattern that holds at both shapes; where there is one shape, for that alone.

    A batch axis in front that is left alone is not written, unless `drop_batch` is off. None where the two shapes do
    not show one pattern.

    >>> pattern_of(Seen(((2, 1), (3, 2)), (6,), (2, 3)))
    '(k p:2) -> p k, k=3'
    >>> pattern_of(Seen(((2, 1), (3, 2)), (6,), (2, 3)), Seen(((2, 1), (5, 2)), (10,), (2, 5)))
    '(k p:2) -> p k'
    """
    both = [first] if second is None else [first, second]
    for by_input, by_result in _CUTS:
        pieces = [_cut(seen, by_input, by_result) for seen in both]
        if None in pieces or len({_form(each) for each in pieces if each is not None}) > 1:
            continue
        written = _Text(both, [each for each in pieces if each is not None], drop_batch)
        text = written.plain() if by_input and by_result else None
        text = text or written.barred()
        if text is not None and _holds(text, both):
            return text
    return None


@lru_cache(maxsize=1024)
def sizes_within(digits: Digits, in_shape: tuple[int, ...], out_shape: tuple[int, ...] | None) -> frozenset[int]:
    """What the parameters of an operation with these digits may be: products of neighbouring digits, cut at the axes.

    >>> sorted(sizes_within(((2, 3), (5, 6), (3, 1)), (30,), None))
    [1, 2, 3, 5, 6, 10, 15, 30]
    """
    pieces = _cut(Seen(digits, in_shape, out_shape or in_shape), True, out_shape is not None)
    if pieces is None:
        return frozenset()
    by_source = sorted(pieces, key=lambda piece: -piece.stride)
    sizes = {1}
    for order in (pieces, by_source):
        for start in range(len(order)):
            size = 1
            for piece in order[start:]:
                size *= piece.size
                sizes.add(size)
    return frozenset(sizes)


def another_shape(seen: Seen) -> tuple[int, ...]:
    """A shape at which the same map tells more: in each axis the largest of its digits is another, small prime.

    >>> another_shape(Seen(((4, 1), (16, 4)), (64,), (64,)))
    (8,)
    """
    pieces = _cut(seen, True, False)
    if pieces is None:
        return tuple(length * (1 if length == 1 else _PRIMES[axis % 4]) for axis, length in enumerate(seen.in_shape))
    shape = []
    for axis, length in enumerate(seen.in_shape):
        sizes = [piece.size for piece in pieces if piece.in_axis == axis and not is_order(piece.reading)]
        largest = max(sizes, default=1)
        other = next(prime for prime in _PRIMES[axis % 4 :] if prime != largest)
        shape.append(length // largest * other if sizes else length)
    return tuple(shape)


def _holds(text: str, both: Iterable[Seen]) -> bool:
    try:
        made = Rearrangement(text)
        bound = [made.bind(seen.in_shape) for seen in both]
    except LayoutBridgeError:
        return False
    return all(b.digits == s.digits and b.out_shape == s.out_shape for b, s in zip(bound, both, strict=True))


def _form(pieces: Sequence[_Piece]) -> tuple[object, ...]:
    """What must be alike at two shapes: everything but the sizes."""
    ranks = sorted(range(len(pieces)), key=lambda k: -pieces[k].stride)
    return tuple((ranks.index(k), each.reading, each.in_axis, each.out_axis) for k, each in enumerate(pieces))


def turned(seen: Seen, before: Sequence[int], after: Sequence[int]) -> Digits | None:
    """The digits of what is done between two transposes; None where it has none.

    The input's axes were taken in the order `before`, and the result's were given in the order `after`; empty where
    they stay.

    >>> turned(Seen(((2, 3), (3, 1)), (2, 3), (2, 3)), (1, 0), ())
    ((2, 1), (3, 2))
    """
    pieces = _cut(seen, bool(before), bool(after))
    if pieces is None:
        return None
    if after:
        pieces = [piece for axis in range(len(after)) for piece in pieces if piece.out_axis == after.index(axis)]
    starts, inside = _starts(seen.in_shape), _starts(tuple(seen.in_shape[axis] for axis in before))
    digits: list[Digit] = []
    for piece in pieces:
        stride = piece.stride
        if before:
            stride = stride // starts[piece.in_axis] * inside[before.index(piece.in_axis)]
        last = digits[-1] if digits else None
        follows = last is not None and last[1] == stride * piece.size and reading_of(last) == piece.reading
        if last is not None and follows and not is_order(piece.reading):
            size = last[0] * piece.size
            digits[-1] = (size, stride, piece.reading) if piece.reading else (size, stride)
        elif piece.size > 1:
            digits.append((piece.size, stride, piece.reading) if piece.reading else (piece.size, stride))
    return tuple(digits)


def follow_transpose(seen: Seen, order: Sequence[int]) -> Digits | None:
    """The digits of a map whose result's axes are then taken in another order; None where that has none.

    >>> follow_transpose(Seen(((6, 1),), (6,), (2, 3)), (1, 0))
    ((3, 1), (2, 3))
    """
    return turned(seen, (), [order.index(axis) for axis in range(len(order))])


def _cut(seen: Seen, by_input: bool, by_result: bool) -> list[_Piece] | None:
    """The digits, cut at the axes; None where a cut is not exact."""
    pieces: list[_Piece] = []
    starts_in, starts_out = _starts(seen.in_shape), _starts(seen.out_shape)
    out_stride = prod(seen.in_shape)
    for digit in seen.digits:
        size, stride, reading = digit[0], digit[1], reading_of(digit)
        out_stride //= size
        ends = {size}  # of the parts that the digit is cut into, in its own values
        for starts, own in ((starts_in if by_input else (), stride), (starts_out if by_result else (), out_stride)):
            inside = [start for start in starts if own < start < own * size]
            if any(start % own for start in inside):
                return None
            ends.update(start // own for start in inside)
        if len(ends) > 1 and is_order(reading):
            return None
        parts, below = [], 1
        for end in sorted(ends):
            if end % below:
                return None
            parts.append((end // below, below))
            below = end
        for part, offset in reversed(parts):
            place_in = _axis(starts_in, stride * offset) if by_input else -1
            place_out = _axis(starts_out, out_stride * offset) if by_result else -1
            pieces.append(_Piece(part, stride * offset, reading, place_in, place_out))
    return pieces


def _starts(shape: tuple[int, ...]) -> list[int]:
    """The stride of each axis: where its digits begin."""
    return [prod(shape[axis + 1 :]) for axis in range(len(shape))]


def _axis(starts: Sequence[int], stride: int) -> int:
    """The axis that a digit of this stride lies in: the first of those whose stride is not larger."""
    return next(axis for axis, start in enumerate(starts) if start <= stride)


class _Text:
    """The pieces of one or two shapes as a pattern's text."""

    def __init__(self, both: Sequence[Seen], pieces: Sequence[Sequence[_Piece]], drop_batch: bool) -> None:
        self.in_shapes, self.out_shapes = [seen.in_shape for seen in both], [seen.out_shape for seen in both]
        self.written, self.pieces = pieces[0], pieces
        self.source = sorted(range(len(self.written)), key=lambda k: -self.written[k].stride)
        self.rank = len(self.in_shapes[0])
        self.drops_batch = drop_batch and self.rank in (4, 5) and self._stays_in_front()
        self.axes = self._axis_names()

    def _stays_in_front(self) -> bool:
        """Whether the first axis is left alone: a digit of its own, or a length of 1 on both sides."""
        first = self.written[0] if self.written else None
        if first is None or first.in_axis != 0:
            return all(shape[0] == 1 for shape in (*self.in_shapes, *self.out_shapes))
        alone = first.out_axis == 0 and not first.reading and self.source[0] == 0
        return alone and all(i[0] == o[0] for i, o in zip(self.in_shapes, self.out_shapes, strict=True))

    def _axis_names(self) -> list[str]:
        """Usual names: of a picture, channels last where two axes are cut and the one behind them is not."""
        cut = [sum(piece.in_axis == axis for piece in self.written) > 1 for axis in range(self.rank)]
        if self.rank == 4 and cut[1:] == [True, True, False]:
            return _CHANNELS_LAST.split()
        if self.rank == 3 and self._stays_in_front():
            return (_PLANES if cut[1:] == [True, True] else _TOKENS).split()
        return _AXES[self.rank].split() if self.rank in _AXES else [f"x{axis}" for axis in range(self.rank)]

    def size(self, k: int) -> Size | None:
        """The size of the k-th piece as it is written."""
        axis = self.written[k].in_axis
        return _size([pieces[k].size for pieces in self.pieces], self.in_shapes, [axis] if axis >= 0 else None)

    def names(self) -> list[str]:
        """A name for each piece as it is written: its axis' where it is alone there, or the one that grows."""
        names = [""] * len(self.written)
        inner = iter([letter for letter in _INNER if letter not in self.axes] + [f"digit{k}" for k in range(64)])
        for axis in dict.fromkeys(self.written[k].in_axis for k in self.source):
            own = [k for k in self.source if self.written[k].in_axis == axis]
            growing = [k for k in own if (size := self.size(k)) is not None and not size.is_constant]
            bearer = (growing or sorted(own, key=lambda k: -self.written[k].size))[0] if axis >= 0 else None
            for k in own:
                names[k] = self.axes[axis] if k == bearer else next(inner)
        return names

    def plain(self) -> str | None:
        """With brackets around the digits of an axis; None where a digit that shares an axis has no fixed size."""
        names = self.names()
        left: list[list[str]] = [[] for _ in range(self.rank)]
        right: list[list[str]] = [[] for _ in self.out_shapes[0]]
        for k in self.source:
            piece, name = self.written[k], names[k]
            size = self.size(k)
            if name != self.axes[piece.in_axis]:
                if size is None or not size.is_constant:
                    return None
                name = f"{name}:{int(size.coefficient)}"
            left[piece.in_axis].append(name)
        for k, piece in enumerate(self.written):
            right[piece.out_axis].append(f"{names[k]}{written_reading(piece.reading)}")
        for empty_in, empty_out in zip(_empty(left), _empty(right), strict=False):  # lengths of 1 that stay
            left[empty_in], right[empty_out] = [self.axes[empty_in]], [self.axes[empty_in]]
        if self.drops_batch:
            left, right = left[1:], right[1:]
        lengths = self._lengths(
            {self.axes[p.in_axis]: p.size for k, p in enumerate(self.written) if names[k] in self.axes}
        )
        return f"{_groups(left)} -> {_groups(right)}{lengths}"

    def barred(self) -> str | None:
        """With axes and digits apart, where digits cross the axes."""
        names, sizes = self.names(), [self.size(k) for k in range(len(self.written))]
        results = [_size(lengths, self.in_shapes, None) for lengths in zip(*self.out_shapes, strict=True)]
        if None in sizes or None in results:
            return None
        axes = [name.upper() for name in self.axes]
        skip = 1 if self.drops_batch else 0
        kept = [k for k in range(len(names)) if not (skip and k == 0 and self.written[0].in_axis == 0)]
        sized = " ".join(f"{names[k]}:{_format(sizes[k], axes)}" for k in self.source if k in kept)
        order = " ".join(f"{names[k]}{written_reading(self.written[k].reading)}" for k in kept)
        label = " ".join(_format(size, axes) for size in results[skip:])
        lengths = self._lengths(dict(zip(axes, self.in_shapes[0], strict=True)), skip)
        return f"{' '.join(axes[skip:])} | {sized} -> {order} | {label}{lengths}"

    def _lengths(self, lengths: dict[str, int], skip: int = 0) -> str:
        """What is fixed where only one shape was seen."""
        if len(self.pieces) > 1:
            return ""
        dropped = {self.axes[0]} if self.drops_batch else set()
        told = [(name, length) for name, length in list(lengths.items())[skip:] if name not in dropped]
        return "".join(f", {name}={length}" for name, length in told)


def _format(size: Size | None, axes: Sequence[str]) -> str:
    assert size is not None
    return size.format(axes)


def _empty(groups: Sequence[Sequence[str]]) -> list[int]:
    return [axis for axis, group in enumerate(groups) if not group]


def _groups(groups: Sequence[Sequence[str]]) -> str:
    return " ".join("1" if not group else group[0] if len(group) == 1 else f"({' '.join(group)})" for group in groups)


def _size(values: Sequence[int], shapes: Sequence[tuple[int, ...]], axes: Sequence[int] | None) -> Size | None:
    """A number, or a number times lengths of axes (of those of `axes` first), that has these values at the shapes."""
    if len(set(values)) == 1:
        return Size.constant(values[0])
    every = range(len(shapes[0])) if axes is None else axes
    for count in range(1, len(every) + 1):
        for chosen in combinations(every, count):
            ratios = {
                Fraction(value, prod(shape[axis] for axis in chosen))
                for value, shape in zip(values, shapes, strict=True)
            }
            if len(ratios) == 1:
                return Size(ratios.pop(), tuple((axis, 1) for axis in chosen))
    return None if axes is None else _size(values, shapes, None)
