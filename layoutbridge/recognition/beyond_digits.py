"""Names of what is no digits alone: an input filled up with zeros, a result with one axis in another order."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from layoutbridge.algebra.factorization import factorize
from layoutbridge.errors import LayoutBridgeError
from layoutbridge.recognition.naming import Match, candidates
from layoutbridge.recognition.structure import Seen, pattern_of
from layoutbridge.recognition.wrapping import PLAIN, Wrapping, named

_LONGEST_ORDER = 64  # positions on an axis that may be in another order


def padded(
    table: NDArray[np.int64], in_shape: tuple[int, ...], out_shape: tuple[int, ...]
) -> tuple[tuple[Match, ...], tuple[int, ...]]:
    """The names of what a table with -1 for zeros does once one axis of the input is filled up, and that shape.

    >>> from layoutbridge.operations.catalog import op
    >>> padded(np.array([0, 2, 1, -1]), (3, 1, 1), (4, 1, 1))[0][0].name
    'channel_shuffle'
    """
    kept = table >= 0
    for axis, length in enumerate(in_shape):
        longer, rest = divmod(table.size, prod(in_shape) // length)
        if rest or longer <= length:
            continue
        filled = (*in_shape[:axis], longer, *in_shape[axis + 1 :])
        places = np.arange(table.size).reshape(filled).take(range(length), axis).reshape(-1)
        wanted = places[table[kept]]
        fitting = []
        for match in candidates(filled, out_shape):
            try:
                reads = match.op.table(filled)
            except LayoutBridgeError:
                continue
            if np.array_equal(reads[kept], wanted):
                fitting.append(match)
        if fitting:
            return tuple(fitting), filled
    return (), in_shape


def in_another_order(
    table: NDArray[np.int64], in_shape: tuple[int, ...], out_shape: tuple[int, ...] | None
) -> tuple[tuple[Match, ...], Wrapping, str | None]:
    """Names and pattern of a permutation whose result has digits once the positions on one of its axes are sorted."""
    for axis, length in enumerate(out_shape or ()):
        assert out_shape is not None
        if not 2 < length <= _LONGEST_ORDER:
            continue
        rows = table.reshape(out_shape)
        order = np.argsort(np.moveaxis(rows, axis, 0).reshape(length, -1)[:, 0])
        digits = factorize(rows.take(order, axis)).digits
        if digits is None:
            continue
        back = np.argsort(order).tolist()
        found = named(digits, in_shape, out_shape)
        wrapping = found.wrapping
        told = f"then axis {axis} in the order {' '.join(map(str, back))}"
        words = f"{wrapping.words}, {told}" if wrapping.words else told
        names = [f"x{k}" for k in range(len(out_shape))]
        ordered = [f"{name}[{' '.join(map(str, back))}]" if k == axis else name for k, name in enumerate(names)]
        first = pattern_of(Seen(digits, in_shape, out_shape), drop_batch=False)
        pattern = None if first is None else f"{first} then {' '.join(names)} -> {' '.join(ordered)}"
        fitting = tuple(match for match in found.matches if not match.op.is_identity)  # then the order is all there is
        return fitting, replace(wrapping, words=words, is_view=True), pattern
    return (), PLAIN, None
