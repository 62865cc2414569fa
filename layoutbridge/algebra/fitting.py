"""Which shapes a rearrangement takes, and what is wrong with one that it does not: one sentence everywhere.

Lengths may be known in part: None is one left open, shown as `?`. What cannot be decided is left to when it is known.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterable, Sequence
from math import prod
from typing import TYPE_CHECKING, Any, Protocol

from layoutbridge.algebra.digits import DigitStep
from layoutbridge.algebra.pattern import LARGEST, batch_name
from layoutbridge.algebra.sizes import Domain, Size
from layoutbridge.errors import ShapeError, shown
from layoutbridge.late import Late

if TYPE_CHECKING:
    import numpy as np
else:
    np = Late("numpy")

Lengths = tuple[int | None, ...]
Refusal = Callable[[tuple[int, ...]], str | None]


class TakesShapes(Protocol):
    """What a `Rearrangement` says of the shapes that it takes."""

    axes: tuple[str, ...]
    in_shape: tuple[Size, ...]
    result_shape: tuple[Size, ...]
    steps: tuple[DigitStep, ...]
    domain: Domain
    _refusal: Refusal | None

    @property
    def rank(self) -> int:
        """How many axes one item has."""

    @property
    def label(self) -> str:
        """What an error calls it."""


def read_lengths(op: TakesShapes, shape: Iterable[Any]) -> tuple[int, ...]:
    """`shape` as plain numbers; raises `ShapeError` for what is no list of whole numbers."""
    try:
        given = tuple(shape)
        if not {bool, np.bool}.intersection(map(type, given)):  # both pass for numbers, NumPy's before 2.3
            return tuple(map(operator.index, given))
    except TypeError:
        pass
    raise ShapeError(f"{op.label}: a shape is a list of whole numbers, not {shown(shape)}")


def read_open_lengths(op: TakesShapes, shape: Sequence[int | None]) -> Lengths:
    """The same where None leaves a length open; raises `ShapeError` where the others cannot fit, as `refuse_misfit`.

    >>> from layoutbridge.operations.catalog import op
    >>> read_open_lengths(op("darknet_reorg"), (None, 64, None, 26))
    (None, 64, None, 26)
    """
    given = tuple(shape)
    numbers = read_lengths(op, [0 if length is None else length for length in given])
    lengths = tuple(None if length is None else number for length, number in zip(given, numbers, strict=True))
    refuse_misfit(op, lengths)
    return lengths


def refuse_misfit(
    op: TakesShapes,
    lengths: Lengths,
    *,
    batch_required: bool = False,
    batch_refused: bool = False,
    may_be_empty: Collection[int] = (),
) -> None:
    """Raise `ShapeError` where no tensor of these `lengths` fits, one item or with a batch axis in front.

    The batch axis may be required, or refused. Axes in `may_be_empty` may have length 0.

    >>> from layoutbridge.operations.catalog import op
    >>> refuse_misfit(op("focus"), (None, 3, 5, None))
    Traceback (most recent call last):
    layoutbridge.errors.ShapeError: focus (stride 2) does not take shape (?, 3, 5, ?): H = 5 is not a multiple of 2
    """
    complaint = (
        _axes_complaint(op, lengths, batch_required, batch_refused)
        or _numbers_complaint(op, lengths, may_be_empty)
        or _domain_complaint(op, lengths)
    )
    if complaint is not None:
        raise ShapeError(complaint)


def refuse_impossible(op: TakesShapes) -> None:
    """Raise `ShapeError` where every shape that `op` takes has more elements than can be counted.

    >>> from layoutbridge.operations.catalog import op
    >>> refuse_impossible(op("focus", stride=2**32))
    Traceback (most recent call last):
    layoutbridge.errors.ShapeError: focus (stride 4294967296) takes no shape with at most 2^63 - 1 elements
    """
    sizes = [*op.in_shape, *op.result_shape, *op.domain.whole, *(size for step in op.steps for size in step.sizes)]
    largest = max((max(size.coefficient.numerator, size.coefficient.denominator) for size in sizes), default=1)
    if max(largest, prod(op.domain.divisor(axis) for axis in range(op.rank))) > LARGEST:
        raise ShapeError(f"{op.label} takes no shape with at most 2^63 - 1 elements")


def _axes_complaint(op: TakesShapes, lengths: Lengths, batch_required: bool, batch_refused: bool) -> str | None:
    count = len(lengths)
    if (count == op.rank + 1 and not batch_refused) or (count == op.rank and not batch_required):
        return None
    if batch_refused:
        takes = f"{op.rank} axes [{', '.join(op.axes)}] and none in front (batch=True, or --batch, adds one)"
    elif count == op.rank:
        takes = f"{op.rank + 1} axes [{', '.join([batch_name(op.axes), *op.axes])}], the batch axis in front"
    else:
        takes = f"{op.rank} axes [{', '.join(op.axes)}], or {op.rank + 1} with a batch axis in front"
    return f"{op.label} takes {takes}, and shape {_written(lengths)} has {count}"


def _numbers_complaint(op: TakesShapes, lengths: Lengths, may_be_empty: Collection[int]) -> str | None:
    known = {axis: length for axis, length in enumerate(lengths) if length is not None}
    if any(length < (0 if axis in may_be_empty else 1) for axis, length in known.items()):
        return f"{op.label}: every length in shape {_written(lengths)} must be at least 1"
    if (total := prod(known.values())) > LARGEST:
        counted = f"shape {_written(lengths)} has {shown(total)} elements"
        return f"{op.label}: {counted}, more than the 2^63 - 1 that can be counted"
    return None


def _domain_complaint(op: TakesShapes, lengths: Lengths) -> str | None:
    item = lengths[-op.rank :]
    for axis, fixed in op.domain.fixed:
        if item[axis] not in (None, fixed):
            return _does_not_take(op, lengths, f"{op.axes[axis]} = {item[axis]} must be {fixed}")
    size = op.domain.violated(item)
    return None if size is None else _does_not_take(op, lengths, _not_whole(op, item, size))


def _not_whole(op: TakesShapes, item: Lengths, size: Size) -> str:
    axis = size.single_axis
    if axis is not None:
        return f"{op.axes[axis]} = {item[axis]} is not a multiple of {size.coefficient.denominator}"
    value = float(size.evaluate([length or 0 for length in item]))
    return f"{size.format(op.axes)} = {value:g} must be a whole number"


def _does_not_take(op: TakesShapes, lengths: Lengths, complaint: str) -> str:
    known = tuple(length for length in lengths[-op.rank :] if length is not None)
    more = op._refusal(known) if op._refusal is not None and len(known) == op.rank and 0 not in known else None
    return f"{op.label} does not take shape {_written(lengths)}: {complaint}{'; ' + more if more else ''}"


def _written(lengths: Lengths) -> str:
    return shown(lengths).replace("None", "?")
