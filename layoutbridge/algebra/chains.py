"""Steps one after another: composed into one where their digits have a common cut, else a chain.

A step whose digits are read in an order is composed in the same way: orders of one digit join, and where an order
would be cut, the digits that it covers stay together, as long as the other step keeps them side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING

from layoutbridge.algebra.digits import DigitStep, common_refinement
from layoutbridge.algebra.readings import Reading, as_reading, is_order, joined_readings, values_read
from layoutbridge.algebra.sizes import Domain, Size
from layoutbridge.late import Late

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Values = NDArray[np.int64]
else:
    np = Late("numpy")

Refinement = tuple[list[Size], list[int], list[int]]
_LARGEST_ORDER = 4096  # values of an order that is made of the digits of two steps


def compose(first: DigitStep, second: DigitStep, domain: Domain) -> DigitStep | None:
    """`second` after `first` as one normalized step, or None where their digits have no common cut."""
    refined = common_refinement(first.written_sizes, second.sizes, domain)
    if refined is None:
        return None
    if first.readings or second.readings:
        return _compose_read(first, second, refined)
    sizes, in_first, in_second = refined
    between = range(len(sizes))
    # a piece keeps its place inside its digit on both sides; stable sorting keeps that order
    source = sorted(between, key=lambda piece: first.order[in_first[piece]])
    place = {digit: target for target, digit in enumerate(second.order)}
    target = sorted(between, key=lambda piece: place[in_second[piece]])
    position = {piece: index for index, piece in enumerate(source)}
    return DigitStep(tuple(sizes[piece] for piece in source), tuple(position[piece] for piece in target)).normalized()


def same_map(left: Sequence[DigitStep], right: Sequence[DigitStep], domain: Domain) -> bool:
    """Whether two reduced chains are the same map by symbols: alike, or one undone by the other's inverse."""
    if tuple(left) == tuple(right):
        return True
    if len(left) <= 1 and len(right) <= 1:
        return False  # single steps in normal form are the same only when they are alike
    return not reduce_chain([*left, *(step.inverse() for step in reversed(right))], domain)


def reduce_chain(steps: Sequence[DigitStep], domain: Domain) -> tuple[DigitStep, ...]:
    """Steps one after another in fewest steps: neighbours composed where they can be, identities dropped."""
    chain: list[DigitStep] = []
    for step in steps:
        following: DigitStep | None = step.normalized()
        while following is not None and not following.is_identity:
            merged = compose(chain[-1], following, domain) if chain else None
            if merged is None:
                chain.append(following)
                following = None
            else:
                chain.pop()
                following = merged
    return tuple(chain)


# ---------------------------------------------------------------------- where digits are read in an order


def _compose_read(first: DigitStep, second: DigitStep, refined: Refinement) -> DigitStep | None:
    """`second` after `first`, each common digit read by both; None where an order cannot be kept whole."""
    sizes, in_first, in_second = refined
    pieces = range(len(sizes))
    place = {digit: target for target, digit in enumerate(second.order)}
    sources = sorted(pieces, key=lambda piece: first.order[in_first[piece]])
    targets = sorted(pieces, key=lambda piece: place[in_second[piece]])
    groups = _kept_whole(first, second, refined, (sources, targets))
    read: list[tuple[Size, Reading]] = []
    for group in groups:
        if len(group) == 1:
            (piece,) = group
            reading = joined_readings(first.reading(first.order[in_first[piece]]), second.reading(in_second[piece]))
            read.append((sizes[piece], reading))
            continue
        own = [[piece for piece in ranked if piece in group] for ranked in (sources, targets)]
        order = _joined_order(first, second, refined, *own)
        if order is None:
            return None
        read.append((Size.constant(len(order)), as_reading(order)))
    at = {piece: number for number, group in enumerate(groups) for piece in group}
    by_source, by_target = (list(dict.fromkeys(at[piece] for piece in ranked)) for ranked in (sources, targets))
    step = DigitStep(
        tuple(read[number][0] for number in by_source),
        tuple(by_source.index(number) for number in by_target),
        tuple(read[number][1] for number in by_source),
    )
    return step.normalized()


def _kept_whole(
    first: DigitStep, second: DigitStep, refined: Refinement, ranked: tuple[list[int], list[int]]
) -> list[set[int]]:
    """The common digits in groups: each alone, or all those that an order of either step covers, and what lies between.

    What a group holds lies side by side in the source, between the steps and in the result.
    """
    _, in_first, in_second = refined
    covered = [
        {piece for piece, own in enumerate(owner) if own == digit}
        for owner, reading_of in ((in_first, _reading_written(first)), (in_second, second.reading))
        for digit in set(owner)
        if is_order(reading_of(digit))
    ]
    groups = [{piece} for piece in range(len(in_first))]
    for cover in covered:
        whole = _side_by_side(cover, groups, (list(range(len(in_first))), *ranked))
        groups = [group for group in groups if not group & whole] + [whole]
    return groups


def _side_by_side(cover: set[int], groups: Sequence[set[int]], orders: Sequence[Sequence[int]]) -> set[int]:
    """`cover` with the groups that it touches, and what lies between its digits in any of the orders."""
    whole = cover.union(*(group for group in groups if group & cover))
    for order in orders:
        places = [order.index(piece) for piece in whole]
        whole |= set(order[min(places) : max(places) + 1])
    return whole if whole == cover else _side_by_side(whole, groups, orders)


def _reading_written(step: DigitStep) -> Callable[[int], Reading]:
    """How the digit is read that is written at a place."""
    return lambda place: step.reading(step.order[place])


def _joined_order(
    first: DigitStep, second: DigitStep, refined: Refinement, sources: Sequence[int], targets: Sequence[int]
) -> tuple[int, ...] | None:
    """The order in which both steps together read the values of a group of common digits; None for too many."""
    sizes, in_first, in_second = refined
    if not all(sizes[piece].is_constant for piece in sources):
        return None
    lengths = {piece: int(sizes[piece].coefficient) for piece in sources}
    total = prod(lengths.values())
    if total > _LARGEST_ORDER:
        return None
    between = sorted(sources)
    values = _cut(np.arange(total), targets, lengths)
    for owner, reading_of in (
        (in_second, second.reading),
        (in_first, _reading_written(first)),
    ):
        for digit in {owner[piece] for piece in between}:
            own = [piece for piece in between if owner[piece] == digit]
            size = prod(lengths[piece] for piece in own)
            values |= _cut(values_read(reading_of(digit), size)[_put_together(values, own, lengths)], own, lengths)
    return tuple(_put_together(values, sources, lengths).tolist())


def _cut(numbers: Values, pieces: Sequence[int], lengths: Mapping[int, int]) -> dict[int, Values]:
    """Numbers as digits, one for each of `pieces`, outermost first."""
    values: dict[int, Values] = {}
    for piece in reversed(pieces):
        numbers, values[piece] = np.divmod(numbers, lengths[piece])
    return values


def _put_together(values: Mapping[int, Values], pieces: Sequence[int], lengths: Mapping[int, int]) -> Values:
    numbers = np.zeros_like(values[pieces[0]])
    for piece in pieces:
        numbers = numbers * lengths[piece] + values[piece]
    return numbers
