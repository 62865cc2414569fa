"""Which ncnn layers compute a rearrangement, at a known shape.

ncnn's blobs have at most four axes, so a permutation of up to four digits is one `Permute` between two views, and one
of more digits a chain of swaps of neighbouring blocks, each of which has four: what lies before, the two blocks, what
lies behind. Blocks moved into channels or out of them are a `Reorg` or a `PixelShuffle` of a view. Darknet's reorg is
the first of these on the view (C/s², H·s, W·s), or on any other one with the same rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import gcd, prod

from layoutbridge.algebra.digits import DigitStep
from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.algebra.sizes import Size
from layoutbridge.algebra.table import Digits
from layoutbridge.frameworks.onnx.plan import swap_chain
from layoutbridge.frameworks.primitives import Shape

MOST_AXES = 4
# ncnn counts the orders of axes from the innermost one, and these not alphabetically
_ORDERS = {
    2: ("WH", "HW"),
    3: ("WHC", "HWC", "WCH", "CWH", "HCW", "CHW"),
    4: (
        *("WHDC", "HWDC", "WDHC", "DWHC", "HDWC", "DHWC", "WHCD", "HWCD", "WCHD", "CWHD", "HCWD", "CHWD"),
        *("WDCH", "DWCH", "WCDH", "CWDH", "DCWH", "CDWH", "HDCW", "DHCW", "HCDW", "CHDW", "DCHW", "CDHW"),
    ),
}
_AXES = {2: "HW", 3: "CHW", 4: "CDHW"}


@dataclass(frozen=True, slots=True)
class Move:
    """One layer of ncnn: it takes the blob as `view` and gives it as `written`; `numbers` are its own."""

    kind: str
    view: Shape
    written: Shape
    numbers: Mapping[int, int]


def moves(operation: Rearrangement, shape: Shape) -> list[Move]:
    """The layers that apply `operation` to a blob of `shape`, one after another; then a view as the result's shape.

    >>> from layoutbridge.operations.catalog import op
    >>> [(move.kind, move.view) for move in moves(op("darknet_reorg"), (64, 26, 26))]
    [('Reorg', (32, 26, 52))]
    >>> [move.view for move in moves(Rearrangement("a b c d e -> e d c b a"), (2, 3, 4, 5, 6))]
    [(6, 20, 6), (4, 10, 18), (12, 30, 2)]
    """
    made: list[Move] = []
    result = operation.out_shape(shape)
    for digits in operation.bind(shape).steps:
        sizes, order = _digits(digits)
        if len(sizes) < 2:
            continue  # at this shape nothing moves
        block = _into_channels(sizes, order, shape[0]) or _out_of_channels(sizes, order, result[0])
        made += _permutes(sizes, order) if block is None else [block]
    return made


def _digits(digits: Digits) -> tuple[Shape, tuple[int, ...]]:
    """Sizes in the source's order, and which of them is written at each place: the fewest digits."""
    several = [digit for digit in digits if digit[0] > 1]
    by_source = sorted(several, key=lambda digit: -digit[1])
    order = tuple(by_source.index(digit) for digit in several)
    step = DigitStep(tuple(Size.constant(size) for size, _ in by_source), order).normalized()
    return tuple(int(size.coefficient) for size in step.sizes), step.order


def _into_channels(sizes: Shape, order: tuple[int, ...], channels: int) -> Move | None:
    """A Reorg where digits (c, h, p, w, q) become (p, q, c, h, w), mode 1, or (c, p, q, h, w), mode 0.

    In mode 1 c and h stay neighbours and are one digit, of which any part may be the view's channels: as many as fit
    `channels`, so that the view is none where the operation has none.
    """
    if order == (1, 3, 0, 2):
        (rows, p, w, q), mode = sizes, 1
        c = gcd(rows, channels)
        h = rows // c
    elif order == (0, 2, 4, 1, 3):
        (c, h, p, w, q), mode = sizes, 0
    else:
        return None
    return Move("Reorg", (c, h * p, w * q), (c * p * q, h, w), {0: p, 1: mode}) if p == q else None


def _out_of_channels(sizes: Shape, order: tuple[int, ...], channels: int) -> Move | None:
    """A PixelShuffle where digits (p, q, c, h, w), mode 1, or (c, p, q, h, w), mode 0, become (c, h, p, w, q)."""
    if order == (2, 0, 3, 1):
        (p, q, rows, w), mode = sizes, 1
        c = gcd(rows, channels)
        h = rows // c
    elif order == (0, 3, 1, 4, 2):
        (c, p, q, h, w), mode = sizes, 0
    else:
        return None
    return Move("PixelShuffle", (c * p * q, h, w), (c, h * p, w * q), {0: p, 1: mode}) if p == q else None


def _permutes(sizes: Shape, order: tuple[int, ...]) -> list[Move]:
    if len(sizes) <= MOST_AXES:
        return [_permute(sizes, order)]
    made = []
    for start, middle, end in swap_chain(order) or _one_by_one(order):
        blocks = (sizes[:start], sizes[start:middle], sizes[middle:end], sizes[end:])
        kept = [k for k in (0, 1, 2, 3) if blocks[k]]
        written = [kept.index(k) for k in (0, 2, 1, 3) if blocks[k]]
        made.append(_permute(tuple(prod(blocks[k]) for k in kept), tuple(written)))
        sizes = blocks[0] + blocks[2] + blocks[1] + blocks[3]
    return made


def _permute(view: Shape, order: tuple[int, ...]) -> Move:
    axes = _AXES[len(view)]
    letters = "".join(axes[axis] for axis in reversed(order))
    number = _ORDERS[len(view)].index(letters)
    return Move("Permute", view, tuple(view[axis] for axis in order), {0: number})


def _one_by_one(order: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """Swaps (start, middle, end) of neighbouring blocks that bring each digit to its place, the first one first."""
    present, swaps = list(range(len(order))), []
    for start, digit in enumerate(order):
        middle = present.index(digit)
        if middle != start:
            present.insert(start, present.pop(middle))
            swaps.append((start, middle, middle + 1))
    return swaps
