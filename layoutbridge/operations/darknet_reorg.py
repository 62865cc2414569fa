"""What Darknet's own reorg loops do where they are no permutation: which elements are lost, which repeat.

`[reorg]` in its usual direction (the C function `reorg_cpu` with forward = 0) writes every position of the
input's shape [C, H, W] and reads, for channel k, the position of [C/s², H·s, W·s] with channel k mod (C/s²)
and offset k div (C/s²). With C not a multiple of s² the integer quotient C/s² is too small: offsets run past
s², some positions are read twice and others never.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from layoutbridge.late import Late

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
else:
    np = Late("numpy")

_SHOWN = 6
_LARGEST_TABLE = 1 << 18  # elements: a larger shape is refused without the list


def literal_reorg_table(shape: tuple[int, int, int], stride: int) -> NDArray[np.int64]:
    """The flat positions that `[reorg]` reads for [C, H, W], also where they are no permutation.

    C must be at least stride², for Darknet divides by C // stride².

    >>> literal_reorg_table((4, 2, 2), 2)[:5].tolist()
    [0, 2, 8, 10, 1]
    """
    channels, height, width = shape
    groups = channels // stride**2
    k, j, i = np.ogrid[:channels, :height, :width]
    channel, offset = k % groups, k // groups
    column, row = i * stride + offset % stride, j * stride + offset // stride
    positions: NDArray[np.int64] = column + width * stride * (row + height * stride * channel)
    return positions.reshape(-1)


def describe_refusal(stride: int, shape: tuple[int, ...], *, reverse: bool = False) -> str | None:
    """What `[reorg]` would do to an unusable `shape` [C, H, W]: the sentence that goes into the error.

    With `reverse` the same pairs of positions are written instead of read, and later writes win.
    """
    channels, height, width = shape
    total = channels * height * width
    if channels < stride**2:
        return f"with C = {channels} below stride² = {stride**2} Darknet itself divides by zero"
    if channels % stride**2 == 0 or total > _LARGEST_TABLE:
        return None
    table = literal_reorg_table((channels, height, width), stride)
    end = channels // stride**2 * stride**2 * height * width if reverse else total
    kept = np.zeros(total, bool)
    if reverse:
        last_writer = np.zeros(int(table.max()) + 1, np.int64)
        last_writer[table] = np.arange(total)
        kept[last_writer[np.unique(table[table < end])]] = True
    else:
        kept[table[table < end]] = True
    lost = np.flatnonzero(~kept)
    listed = ", ".join(
        f"[{', '.join(str(int(k)) for k in np.unravel_index(position, shape))}]" for position in lost[:_SHOWN]
    )
    more = ", ..." if lost.size > _SHOWN else ""
    repeated = total - np.unique(table).size
    does = "writes over" if reverse else "repeats"
    beyond = int((table >= end).sum())
    past = f", and {'writes' if reverse else 'reads'} {beyond} beyond the tensor's end" if beyond else ""
    return (
        f"there Darknet itself loses {lost.size} of {total} elements, those at [c, h, w] = {listed}{more}, "
        f"and {does} {repeated}{past}"
    )
