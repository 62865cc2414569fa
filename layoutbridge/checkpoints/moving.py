"""A tensor's elements rearranged on the way from file to file, with no more than a block or two in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.algebra.factorization import flat_rearrangement
from layoutbridge.algebra.readings import REVERSED, is_order
from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.algebra.table import Digit, Digits, reading_of
from layoutbridge.copying import Copier, compiled
from layoutbridge.copying.numpy_copy import build_numpy_copier

Elements = NDArray[Any]
ReadInto = Callable[[Elements, int], None]  # fill an array from an element of the tensor on
BLOCK = 1 << 20  # bytes: read, moved and written within a second-level cache
LARGEST = 64 << 20  # bytes of a block whose elements come from all over the tensor
LOADING_PAYS = 1_500_000_000  # bytes of such blocks in all, above which compiled kernels save more than loading takes
LEAST_RUN = 16 << 10  # bytes that lie together in the file: reading fewer at once costs more than the cache saves


class Workspace:
    """What one thread keeps from tensor to tensor: arrays, for fresh memory costs as much as the copy.

    Without `loads`, compiled kernels are used where they are there, and not loaded.
    """

    def __init__(self, *, loads: bool = True) -> None:
        self.loads = loads
        self._held: dict[str, NDArray[np.uint8]] = {}

    def get(self, name: str, length: int, dtype: np.dtype[Any]) -> Elements:
        """One of `length` elements, whose content may be anything."""
        size, held = length * dtype.itemsize, self._held.get(name)
        if held is None or held.size < size:
            held = self._held[name] = np.empty(size, np.uint8)
        return held[:size].view(dtype)


def moved_blocks(
    operation: Rearrangement,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    read: ReadInto,
    workspace: Workspace,
    block: int = BLOCK,
    largest: int = LARGEST,
) -> Iterator[Elements]:
    """The flat result of `operation` on a tensor of `shape`, in blocks that follow one another.

    `read` fills arrays of `dtype` from the tensor. Results lie in `workspace`: each is only good until the next one is
    asked for. One has about `block` bytes where what makes it up lies in long runs in the tensor, else `largest`.
    """
    digits, total = _digits_of(operation, shape), prod(shape)
    if digits is None:  # a chain: its steps want all of it
        whole = np.empty(total, dtype)
        read(whole, 0)
        yield operation(whole.reshape(shape)).reshape(-1)
        return
    if not total:
        return
    mover = _Mover(dtype, read, workspace)
    for first, own in _pieces(digits, 0, _most(digits, dtype.itemsize, block, largest)):
        yield mover.moved(own, first)


def is_scattered(operation: Rearrangement, shape: tuple[int, ...], itemsize: int) -> bool:
    """Whether what makes up a block lies in short runs in the tensor, so that elements are moved one by one."""
    digits = _digits_of(operation, shape)
    return digits is None or _most(digits, itemsize, BLOCK, LARGEST) > BLOCK // itemsize


def _digits_of(operation: Rearrangement, shape: tuple[int, ...]) -> Digits | None:
    """Its digits, one at least; None for a chain."""
    digits = operation.bind(shape).digits
    return None if digits is None else tuple(digit for digit in digits if digit[0] > 1) or ((prod(shape), 1),)


def _most(digits: Digits, itemsize: int, block: int, largest: int) -> int:
    """How many elements a block has at most."""
    most = max(1, block // itemsize)
    _, own = next(_pieces(digits, 0, most))
    return most if _run_of(own) * itemsize >= min(LEAST_RUN, block) else max(most, largest // itemsize)


def _run_of(digits: Digits) -> int:
    """How many elements that these digits read follow one another in the tensor, each time."""
    run = 1
    for size, stride in sorted((digit[:2] for digit in digits), key=lambda digit: digit[1]):
        if stride != run:
            break
        run *= size
    return run


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
        lowest = reading[first] if is_order(reading) else size - first - count if reading == REVERSED else first
        own: Digit = (count, stride, reading) if reading == REVERSED else (count, stride)
        yield from _pieces(digits[1:] if count == 1 else (own, *digits[1:]), base + lowest * stride, most)


class _Mover:
    """Reads what digits read, and moves it."""

    def __init__(self, dtype: np.dtype[Any], read: ReadInto, workspace: Workspace) -> None:
        self._dtype, self._read, self._workspace = dtype, read, workspace
        self._moves: dict[Digits, Copier | None] = {}

    def moved(self, digits: Digits, first: int) -> Elements:
        """What the digits read from element `first` on, in the order of writing."""
        total = prod(digit[0] for digit in digits)
        source = self._workspace.get("source", total, self._dtype)
        self._fill(source, digits, first)
        move = self._move(digits)
        return source if move is None else move(source, self._workspace.get("result", total, self._dtype))

    def _fill(self, source: Elements, digits: Digits, first: int) -> None:
        """The elements in the order of the tensor, close together."""
        run = _run_of(digits)
        outer = sorted((digit[1::-1] for digit in digits if digit[1] >= run), reverse=True)
        starts = product(*(range(0, size * stride, stride) for stride, size in outer))
        for number, offsets in enumerate(starts):
            self._read(source[number * run : (number + 1) * run], first + sum(offsets))

    def _move(self, digits: Digits) -> Copier | None:
        """How they are moved, once they lie together; None where they lie as they are written."""
        if digits not in self._moves:
            strides = [digit[1] for digit in digits]
            read_otherwise = any(map(reading_of, digits))
            stays = strides == sorted(strides, reverse=True) and not read_otherwise
            move = None if stays else flat_rearrangement(digits)
            if move is None or read_otherwise or self._workspace.loads or compiled.state.kernels is not None:
                self._moves[digits] = move
            else:
                flat = (prod(digit[0] for digit in digits),)
                plain = tuple(digit[:2] for digit in move.bind(flat).digits or ())
                self._moves[digits] = build_numpy_copier(flat, self._dtype, plain, flat)
        return self._moves[digits]
