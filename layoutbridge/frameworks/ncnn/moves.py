"""Which ncnn layers compute a rearrangement, at a known shape.

ncnn's blobs have at most four axes, so a permutation of up to four digits is one `Permute` between two views, and one
of more digits a chain of swaps of neighbouring blocks, each of which has four: what lies before, the two blocks, what
lies behind. Blocks moved into channels or out of them are a `Reorg` or a `PixelShuffle` of a view. Darknet's reorg is
the first of these on the view (C/s², H·s, W·s), or on any other one with the same rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import gcd

from layoutbridge.algebra.digits import DigitStep
from layoutbridge.algebra.moves import Move, as_blocks, lower, transpose
from layoutbridge.algebra.parts import block_swaps, one_by_one, swap_chain
from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.algebra.sizes import Size
from layoutbridge.errors import UnsupportedError
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
class NcnnMove:
    """One layer of ncnn: it takes the blob as `view` and gives it as `written`; `numbers` are its own."""

    kind: str
    view: Shape
    written: Shape
    numbers: Mapping[int, int]


def ncnn_moves(operation: Rearrangement, shape: Shape) -> list[NcnnMove]:
    """The layers that apply `operation` to a blob of `shape`, one after another; then a view as the result's shape.

    >>> from layoutbridge.operations.catalog import op
    >>> [(move.kind, move.view) for move in ncnn_moves(op("darknet_reorg"), (64, 26, 26))]
    [('Reorg', (32, 26, 52))]
    >>> [move.view for move in ncnn_moves(Rearrangement("a b c d e -> e d c b a"), (2, 3, 4, 5, 6))]
    [(6, 20, 6), (4, 10, 18), (12, 30, 2)]
    """
    made: list[NcnnMove] = []
    result = operation.out_shape(shape)
    for move in lower(operation, shape).moves:
        if move.kind != "transpose":
            raise UnsupportedError(f"ncnn has no layer that reads an axis backwards or in an order: {operation.label}")
        blocks = as_blocks(move)
        if blocks is None:
            made += _permutes(move)
        elif blocks.kind == "space_to_depth":
            made.append(_reorg(blocks.map_lengths(_number), shape[0]))
        else:
            made.append(_pixel_shuffle(blocks.map_lengths(_number), result[0]))
    return made


def _number(size: Size) -> int:
    return int(size.coefficient)


def _reorg(blocks: Move[int], channels: int) -> NcnnMove:
    """A Reorg from (c, h·p, w·p) to the channels (c, p, p), mode 0, or (p, p, c), mode 1."""
    view, written, mode = _as_blobs(blocks.view, blocks.block, channels)
    return NcnnMove("Reorg", view, written, {0: blocks.block, 1: mode})


def _pixel_shuffle(blocks: Move[int], channels: int) -> NcnnMove:
    """A PixelShuffle from the channels (c, p, p), mode 0, or (p, p, c), mode 1, to (c, h·p, w·p)."""
    written, view, mode = _as_blobs(blocks.written, blocks.block, channels)
    return NcnnMove("PixelShuffle", view, written, {0: blocks.block, 1: mode})


def _as_blobs(wide: Shape, block: int, channels: int) -> tuple[Shape, Shape, int]:
    """The wide and the deep blob of blocks that are [front, 1, height, width] on the wide side, and ncnn's mode.

    What lies in front is the blob's channels, in mode 0. Where nothing does, in mode 1, a part of the rows is, any that
    keeps blocks whole: as many as fit `channels`, so that the view is none where the operation has none.
    """
    front, _, height, width = wide
    c, mode = (front, 0) if front > 1 else (gcd(height // block, channels), 1)
    h = height if mode == 0 else height // c
    return (c, h, width), (c * block * block, h // block, width // block), mode


def _permutes(move: Move[Size]) -> list[NcnnMove]:
    if len(move.view) <= MOST_AXES:
        return [_permute(move)]
    swaps = swap_chain(move.order) or one_by_one(move.order)
    return [_permute(part) for part in block_swaps(move, swaps)]


def _permute(move: Move[Size]) -> NcnnMove:
    """A Permute of the fewest axes."""
    fewest = transpose(DigitStep(move.view, move.order).normalized()).map_lengths(_number)
    axes = _AXES[len(fewest.view)]
    letters = "".join(axes[axis] for axis in reversed(fewest.order))
    number = _ORDERS[len(fewest.view)].index(letters)
    return NcnnMove("Permute", fewest.view, fewest.written, {0: number})
