"""Digit arithmetic shared by the NumPy and the compiled copiers.

A digit is a pair (size, stride): the stride counts elements of the flat, C-contiguous source.
Digits come in output order, outermost first; none has size 1 and no two neighbours merge.
Everything here works on plain tuples and runs once per (shape, dtype), never per copy.
"""

from __future__ import annotations

from math import prod

Digits = tuple[tuple[int, int], ...]
Shape = tuple[int, ...]


def contiguous_strides(sizes: Shape) -> Shape:
    """Strides, in elements, of a C-contiguous array of these sizes."""
    strides = []
    step = 1
    for size in reversed(sizes):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


def source_view(digits: Digits) -> tuple[Shape, Shape]:
    """Sizes of the digits in the source's own order, and the transpose that puts them in output order."""
    by_stride = sorted(range(len(digits)), key=lambda k: -digits[k][1])
    sizes = tuple(digits[k][0] for k in by_stride)
    return sizes, tuple(by_stride.index(k) for k in range(len(digits)))


def split_at(digits: Digits, source_shape: Shape, out_shape: Shape) -> Digits:
    """Split digits at the axes of both shapes wherever the cut is exact.

    A strided array can be viewed in these digits where the merged ones would force a copy of it.
    A cut that would leave a fraction (the axes cross the digits) is left out: reshape then copies.
    """
    source_cuts = set(contiguous_strides(source_shape))
    out_cuts = set(contiguous_strides(out_shape))
    split: list[tuple[int, int]] = []
    out_stride = prod(size for size, _ in digits)
    for size, stride in digits:
        out_stride //= size
        cuts = {cut // stride for cut in source_cuts if cut % stride == 0}
        cuts |= {cut // out_stride for cut in out_cuts if cut % out_stride == 0}
        below = 1
        pieces: list[tuple[int, int]] = []
        for cut in sorted(cuts):
            if below < cut < size and size % cut == 0 and cut % below == 0:
                pieces.append((cut // below, stride * below))
                below = cut
        pieces.append((size // below, stride * below))
        split.extend(reversed(pieces))
    return tuple(split)


def merge(terms: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Sort (size, source stride, output stride) by output stride, outermost first, and merge neighbours."""
    merged: list[tuple[int, int, int]] = []
    for size, source, out in sorted(terms, key=lambda term: -term[2]):
        if merged and merged[-1][1] == source * size and merged[-1][2] == out * size:
            merged[-1] = (merged[-1][0] * size, source, out)
        else:
            merged.append((size, source, out))
    return merged


def with_out_strides(digits: Digits) -> list[tuple[int, int, int]]:
    """The digits as (size, source stride, output stride), in output order."""
    strides = contiguous_strides(tuple(size for size, _ in digits))
    return [(size, source, out) for (size, source), out in zip(digits, strides, strict=True)]
