"""A rearrangement spelled out for readers: the digits of its pattern, with their names, unmerged.

`moves.lower` merges whatever stays together, which runs fastest; code that people read keeps `(h p) (w q)` apart, as
its pattern does. What has no pattern of its own, an inverse or several after one another, is cut along the axes of the
tensor and of the result, where these can be cut so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from layoutbridge.algebra.digits import DigitStep, common_refinement
from layoutbridge.algebra.moves import Lowering, Move, Shape
from layoutbridge.algebra.pattern import batch_name, parse_pattern
from layoutbridge.algebra.readings import PLAIN, REVERSED, is_order
from layoutbridge.algebra.rearrangement import Rearrangement, with_batch_axis
from layoutbridge.algebra.sizes import Domain, Size, product


@dataclass(frozen=True, slots=True)
class SpelledStep:
    """A step whose digits are as somebody wrote them, none of size 1. `names` is empty where nobody did."""

    names: tuple[str, ...]
    step: DigitStep


@dataclass(frozen=True, slots=True)
class Spelling:
    """`steps` one after another on a tensor with these `axes`, then a view as `result`."""

    axes: tuple[str, ...]
    in_shape: Shape
    result: Shape
    steps: tuple[SpelledStep, ...]
    domain: Domain

    @property
    def lowering(self) -> Lowering[Size]:
        """Each step as a transpose of its digits, then those that are read backwards flipped, then each order gathered.

        >>> from layoutbridge.operations.catalog import op
        >>> [(move.kind, move.order) for move in spelled(op("pixel_unshuffle"), batch=True).lowering.moves]
        [('transpose', (0, 1, 3, 5, 2, 4))]
        """
        turn = _turn_of_axes(self)
        moves = [turn] if turn is not None else [move for spelled in self.steps for move in _moves(spelled.step)]
        return Lowering(self.in_shape, tuple(moves), self.result, self.domain)


def spelled(op: Rearrangement, *, batch: bool) -> Spelling:
    """`op` on one item, or with a `batch` axis in front.

    >>> from layoutbridge.operations.catalog import op
    >>> (only,) = spelled(op("darknet_reorg"), batch=True).steps
    >>> " ".join(only.names), [str(size) for size in only.step.sizes]
    ('N c h p w q', ['x0', 'x1/4', 'x2', '2', 'x3', '2'])
    """
    steps = _as_written(op) or _along_axes(op)
    if not batch:
        return Spelling(op.axes, op.in_shape, op.result_shape, steps, op.domain)
    whole = with_batch_axis(op, op.rank + 1)
    name = batch_name(op.axes)
    behind = tuple(_behind_batch(name, step, op.rank) for step in steps)
    return Spelling(whole.axes, whole.in_shape, whole.result_shape, behind, whole.domain)


def groups_of(sizes: Sequence[Size], shape: Sequence[Size]) -> list[list[int]] | None:
    """Which of the digits make up each axis of `shape`; None where an axis ends inside a digit.

    >>> two, axis = Size.constant(2), Size.axis(0)
    >>> groups_of([axis / two, two, two], [axis, Size.constant(1), two]), groups_of([axis], [two, axis / two])
    ([[0, 1], [], [2]], None)
    """
    groups: list[list[int]] = []
    following = 0
    for length in shape:
        group: list[int] = []
        while product([sizes[digit] for digit in group]) != length:
            if following == len(sizes):
                return None
            group.append(following)
            following += 1
        groups.append(group)
    return groups if following == len(sizes) else None


def _as_written(op: Rearrangement) -> tuple[SpelledStep, ...]:
    """The one step of a pattern that somebody wrote; nothing where there is no such pattern."""
    if op.source_pattern is None or " then " in op.source_pattern:
        return ()
    parsed = parse_pattern(op.source_pattern, {})
    return (_without_ones(SpelledStep(parsed.digits, parsed.step)),)


def _along_axes(op: Rearrangement) -> tuple[SpelledStep, ...]:
    """The steps of the normal form, the first cut along the tensor's axes and the last along the result's."""
    steps = list(op.steps)
    if steps:
        steps[0] = _cut(steps[0], op.in_shape, op.domain)
        steps[-1] = _cut(steps[-1].inverse(), op.result_shape, op.domain).inverse()
    return tuple(_without_ones(SpelledStep((), step)) for step in steps)


def _cut(step: DigitStep, shape: Shape, domain: Domain) -> DigitStep:
    """The step with its digits cut where axes of `shape` end; as it is where one of them cannot be cut."""
    refined = common_refinement(shape, step.sizes, domain)
    if refined is None:
        return step
    sizes, _, owners = refined
    if any(is_order(step.reading(owner)) and owners.count(owner) > 1 for owner in owners):
        return step
    order = tuple(piece for source in step.order for piece, owner in enumerate(owners) if owner == source)
    readings = tuple(step.reading(owner) for owner in owners) if step.readings else ()
    return DigitStep(tuple(sizes), order, readings)


def _without_ones(spelled_step: SpelledStep) -> SpelledStep:
    names, step = spelled_step.names, spelled_step.step
    kept = [digit for digit, size in enumerate(step.sizes) if not size.is_one]
    order = tuple(kept.index(digit) for digit in step.order if digit in kept)
    readings = tuple(step.readings[digit] for digit in kept) if step.readings else ()
    plain = DigitStep(tuple(step.sizes[digit] for digit in kept), order, readings if any(readings) else ())
    return SpelledStep(tuple(names[digit] for digit in kept) if names else (), plain)


def _behind_batch(name: str, spelled_step: SpelledStep, rank: int) -> SpelledStep:
    step = spelled_step.step.map_sizes({axis: Size.axis(axis + 1) for axis in range(rank)})
    readings = (PLAIN, *step.readings) if step.readings else ()
    whole = DigitStep((Size.axis(0), *step.sizes), (0, *(digit + 1 for digit in step.order)), readings)
    return SpelledStep((name, *spelled_step.names) if spelled_step.names else (), whole)


def _moves(step: DigitStep) -> list[Move[Size]]:
    view = step.written_sizes
    written = [step.reading(digit) for digit in step.order]
    moves: list[Move[Size]] = []
    if step.order != tuple(range(len(step.order))):
        moves.append(Move("transpose", step.sizes, view, step.order))
    backwards = tuple(place for place, reading in enumerate(written) if reading == REVERSED)
    if backwards:
        moves.append(Move("flip", view, view, flipped=backwards))
    orders = [(place, reading) for place, reading in enumerate(written) if is_order(reading)]
    return moves + [Move("gather", view, view, axis=place, indices=reading) for place, reading in orders]


def _turn_of_axes(spelling: Spelling) -> Move[Size] | None:
    """The one move that puts whole axes in another order, those of length 1 among them; None where there is none."""
    before, after = ([axis for axis, size in enumerate(s) if size.is_one] for s in (spelling.in_shape, spelling.result))
    if len(spelling.steps) != 1 or spelling.steps[0].step.readings or not before or len(before) != len(after):
        return None
    step = spelling.steps[0].step
    whole = [axis for axis in range(len(spelling.in_shape)) if axis not in before]
    if step.sizes != tuple(spelling.in_shape[axis] for axis in whole):
        return None
    ones, others = iter(before), (whole[digit] for digit in step.order)
    order = tuple(next(ones) if axis in after else next(others) for axis in range(len(spelling.result)))
    written = tuple(spelling.in_shape[axis] for axis in order)
    is_turn = written == spelling.result and order != tuple(range(len(order)))
    return Move("transpose", spelling.in_shape, written, order) if is_turn else None
