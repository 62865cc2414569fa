"""A tensor's elements rearranged on the way from file to file, with no more than a block or two in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from layoutbridge.algebra.factorization import flat_rearrangement
from layoutbridge.algebra.readings import REVERSED, is_order, values_read
from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.algebra.table import Digit, Digits, reading_of

Elements = NDArray[Any]
ReadInto = Callable[[Elements, int], None]  # fill an array from an element of the tensor on
BLOCK = 32 << 20  # bytes


def moved_blocks(
    operation: Rearrangement, shape: tuple[int, ...], dtype: np.dtype[Any], read: ReadInto, block: int = BLOCK
) -> Iterator[Elements]:
    """The flat result of `operation` on a tensor of `shape`, in blocks of about `block` bytes, one after another.

    `read` fills arrays of `dtype` from the tensor. A block is only good until the next one is asked for. Where the
    outermost digit stays in its place, blocks are read and moved one by one; else the tensor is read whole.
    """
    bound, most = operation.bind(shape), max(1, block // dtype.itemsize)
    total = prod(shape)
    if bound.digits is None:  # a chain: its steps want all of it
        whole = np.empty(total, dtype)
        read(whole, 0)
        yield operation(whole.reshape(shape)).reshape(-1)
        return
    buffers = _Buffers(dtype)
    yield from _blocks(bound.digits or ((total, 1),), 0, most, read, buffers)


class _Buffers:
    """Arrays that are used again from block to block: fresh memory costs as much as the copy."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self._held: dict[str, Elements] = {}

    def get(self, name: str, length: int) -> Elements:
        """One of `length` elements, whose content may be anything."""
        held = self._held.get(name)
        if held is None or held.size < length:
            held = self._held[name] = np.empty(length, self.dtype)
        return held[:length]


def _blocks(digits: Digits, start: int, most: int, read: ReadInto, buffers: _Buffers) -> Iterator[Elements]:
    """The result of these digits, which cover the tensor's elements from `start` on."""
    total = prod(digit[0] for digit in digits)
    size, stride = digits[0][:2]
    if total > most and size * stride == total and not reading_of(digits[0]):
        if stride > most:
            for value in range(size):
                yield from _blocks(digits[1:], start + value * stride, most, read, buffers)
            return
        many = most // stride
        for first in range(0, size, many):
            outer: Digits = ((min(many, size - first), stride),)
            yield _moved((*outer, *digits[1:]), start + first * stride, read, buffers)
        return
    if total <= most:
        yield _moved(digits, start, read, buffers)
        return
    whole = buffers.get("whole", total)
    read(whole, start)
    for base, own in _pieces(digits, 0, most):
        yield _gathered(whole[base:], own, buffers)


def _moved(digits: Digits, start: int, read: ReadInto, buffers: _Buffers) -> Elements:
    digits = tuple(digit for digit in digits if digit[0] > 1)
    total = prod(digit[0] for digit in digits)
    source = buffers.get("source", total)
    read(source, start)
    if len(digits) < 2 and not any(map(reading_of, digits)):
        return source
    return flat_rearrangement(digits)(source, buffers.get("result", total))


def _pieces(digits: Digits, base: int, most: int) -> Iterator[tuple[int, Digits]]:
    """Parts of the result that follow one another, each the digits that are left, read from `base` on."""
    sizes = [digit[0] for digit in digits]
    if prod(sizes) <= most:
        yield base, digits
        return
    (size, stride), reading, inner = digits[0][:2], reading_of(digits[0]), prod(sizes[1:])
    many = 1 if is_order(reading) else max(1, most // inner)
    for first in range(0, size, many):
        count = min(many, size - first)
        lowest = min(values_read(reading, size)[[first, first + count - 1]].tolist())
        own: Digit = (count, stride, reading) if reading == REVERSED else (count, stride)
        yield from _pieces(digits[1:] if count == 1 else (own, *digits[1:]), base + lowest * stride, most)


def _gathered(source: Elements, digits: Digits, buffers: _Buffers) -> Elements:
    """What the digits read of `source`, in the order of writing."""
    step = source.strides[0]
    view = as_strided(source, [digit[0] for digit in digits], [digit[1] * step for digit in digits], writeable=False)
    for axis, digit in enumerate(digits):
        if reading_of(digit):
            view = np.flip(view, axis) if reading_of(digit) == REVERSED else view.take(reading_of(digit), axis)
    result = buffers.get("result", view.size)
    np.copyto(result.reshape(view.shape), view)
    return result
