"""A transpose of many digits as several simpler ones: swaps of neighbouring blocks, or transposes of few axes.

Swapping one block of neighbouring digits with the next runs at copying speed wherever a general permutation of many
axes does not, and needs four axes at most: what lies before, the two blocks, what lies behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from layoutbridge.algebra.moves import Length, Move
from layoutbridge.algebra.sizes import Size, product

Swap = tuple[int, int, int]  # (start, middle, end): digits[start:middle] and digits[middle:end] change places
_LONGEST_CHAIN = 3
_MOST_DIGITS = 6  # of a permutation that is cut into block swaps; 720 orders at most


def block_swaps(move: Move[Size], swaps: Sequence[Swap]) -> tuple[Move[Size], ...]:
    """The transpose as these swaps, one after another, which must make its order.

    Digits in front of the blocks stay apart, those within a block and behind both are one axis each.
    """
    made = []
    digits = move.view
    for start, middle, end in swaps:
        blocks = (digits[start:middle], digits[middle:end], digits[end:])
        view = digits[:start] + tuple(product(block) for block in blocks if block)
        order = (*range(start), start + 1, start, *range(start + 2, len(view)))
        made.append(Move("transpose", view, tuple(view[axis] for axis in order), order))
        digits = swapped(digits, (start, middle, end))
    return tuple(made)


def swapped(digits: tuple[Length, ...], swap: Swap) -> tuple[Length, ...]:
    """`digits` after one swap.

    >>> swapped(("a", "b", "c", "d"), (0, 1, 3))
    ('b', 'c', 'a', 'd')
    """
    start, middle, end = swap
    return digits[:start] + digits[middle:end] + digits[start:middle] + digits[end:]


@lru_cache(maxsize=256)
def swap_chain(order: tuple[int, ...]) -> tuple[Swap, ...] | None:
    """The fewest swaps of neighbouring blocks that make `order`.

    None where that takes so many that one transpose does as well. Of chains that are equally short, the one that
    keeps long rows together: rows behind a swap are copied whole, and a swap that reaches the last digit runs best
    with few digits in front of it.

    >>> swap_chain((0, 2, 4, 1, 3))
    ((1, 2, 3), (2, 4, 5))
    """
    count = len(order)
    if count > _MOST_DIGITS:
        return None
    best: dict[tuple[int, ...], tuple[int, tuple[Swap, ...]]] = {tuple(range(count)): (0, ())}
    for _ in range(_LONGEST_CHAIN):
        reached: dict[tuple[int, ...], tuple[int, tuple[Swap, ...]]] = {}
        for digits, (cost, chain) in best.items():
            for start in range(count - 1):
                for middle in range(start + 1, count):
                    for end in range(middle + 1, count + 1):
                        after = swapped(digits, (start, middle, end))
                        total = cost + (start if end == count else 2 * (end - count))
                        if after not in reached or total < reached[after][0]:
                            reached[after] = total, (*chain, (start, middle, end))
        if order in reached:
            return reached[order][1]
        best = reached
    return None


def one_by_one(order: tuple[int, ...]) -> tuple[Swap, ...]:
    """Swaps that bring each digit to its place, the first one first: many, but of every order.

    >>> one_by_one((2, 0, 3, 1))
    ((0, 2, 3), (2, 3, 4))
    """
    present, swaps = list(range(len(order))), []
    for start, digit in enumerate(order):
        middle = present.index(digit)
        if middle != start:
            present.insert(start, present.pop(middle))
            swaps.append((start, middle, middle + 1))
    return tuple(swaps)


def in_parts(move: Move[Size], most: int) -> list[Move[Size]]:
    """The transpose as transposes of `most` axes at most, which is at least 4, one after the other.

    Each brings as many digits to their places, from the front, as it can with so many axes.

    >>> from layoutbridge.algebra.rearrangement import Rearrangement
    >>> from layoutbridge.algebra.moves import lower
    >>> (move,) = lower(Rearrangement("a b c d e -> c a d b e")).moves
    >>> [part.order for part in in_parts(move, 5)]
    [(0, 2, 1, 3), (0, 2, 1, 3)]
    """
    parts: list[Move[Size]] = []
    lying = list(range(len(move.view)))
    while lying != list(move.order):
        for placed in range(len(lying), 0, -1):
            front = move.order[:placed]
            after = [*front, *(digit for digit in lying if digit not in front)]
            runs = _runs(lying, after)
            if len(runs) <= most:
                break
        in_memory = sorted(runs, key=lambda run: lying.index(run[0]))
        view = tuple(product([move.view[digit] for digit in run]) for run in in_memory)
        order = tuple(map(in_memory.index, runs))
        parts.append(Move("transpose", view, tuple(view[axis] for axis in order), order))
        lying = after
    return parts


def _runs(lying: Sequence[int], after: Sequence[int]) -> list[list[int]]:
    """`after` cut into runs of what follows one another in `lying` too."""
    runs: list[list[int]] = []
    for digit in after:
        if runs and lying.index(digit) == lying.index(runs[-1][-1]) + 1:
            runs[-1].append(digit)
        else:
            runs.append([digit])
    return runs
