"""Values that say where they stand, whatever order they come in: one number of 32 or 64 bits for each position.

A position p becomes q = (p * multiplier + offset) mod 2^31, and q a number of the dtype: for floats a sign and the bits
of a magnitude between 1e-19 and 3e19, for integers the number itself. Neighbours have nothing in common, so what sorts,
clips, rounds or drops signs gives values that are no codes, or other positions with another multiplier.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_CHUNK = 1 << 15  # positions that are worked on at a time: they stay in the processor's second cache
_BITS = 31
_MASK = np.uint32(2**_BITS - 1)
_LEAST: Mapping[int, Any] = {4: np.uint32(0x20000000), 8: np.uint64(0x3C00 << 48)}  # a magnitude's bits, by width
_FILLING = np.uint64(0x9E3779B97F4A7C15)  # for the bits that 31 leave over in 64
_WIDTH: Mapping[int, np.dtype[Any]] = {4: np.dtype("uint32"), 8: np.dtype("uint64")}


@dataclass(frozen=True, slots=True)
class Code:
    """One way to write positions as values of `dtype`; `multiplier` is odd."""

    dtype: np.dtype[Any]
    multiplier: int
    offset: int

    def values(self, count: int) -> NDArray[Any]:
        """The values of the positions from 0 up."""
        values = np.empty(count, self.dtype)
        for start in range(0, count, _CHUNK):
            numbers = np.arange(start, min(start + _CHUNK, count), dtype=np.uint32)
            numbers *= np.uint32(self.multiplier)
            numbers += np.uint32(self.offset)
            numbers &= _MASK
            values[start : start + _CHUNK] = self._written(numbers)
        return values

    def positions(self, values: NDArray[Any], count: int) -> NDArray[np.int64] | None:
        """The positions of values in any order, flat; None where one is the value of none of `count` positions."""
        if values.dtype != self.dtype:
            return None
        flat = np.ascontiguousarray(values).reshape(-1)
        found = np.empty(flat.size, np.int64)
        for start in range(0, flat.size, _CHUNK):
            part = self._positions(flat[start : start + _CHUNK], count)
            if part is None:
                return None
            found[start : start + _CHUNK] = part
        return found

    def agrees(self, values: NDArray[Any], count: int, table: NDArray[np.int64]) -> bool:
        """Whether these values stand for the positions in `table`, which has as many entries."""
        if values.dtype != self.dtype or values.size != table.size:
            return False
        flat, wanted = np.ascontiguousarray(values).reshape(-1), table.reshape(-1)
        for start in range(0, flat.size, _CHUNK):
            part = self._positions(flat[start : start + _CHUNK], count)
            if part is None or not np.array_equal(part, wanted[start : start + _CHUNK]):
                return False
        return True

    def _positions(self, values: NDArray[Any], count: int) -> NDArray[np.uint32] | None:
        numbers = self._read(values)
        if numbers is None:
            return None
        numbers -= np.uint32(self.offset)
        numbers *= np.uint32(pow(self.multiplier, -1, 2**_BITS))
        numbers &= _MASK
        return None if int(numbers.max()) >= count else numbers

    def _written(self, numbers: NDArray[np.uint32]) -> NDArray[Any]:
        width = _WIDTH[self.dtype.itemsize]
        if width.itemsize == 8:
            wide = numbers.astype(np.uint64)
            numbers_64 = (wide << np.uint64(20)) | ((wide * _FILLING) >> np.uint64(44))
            if self.dtype.kind != "f":
                return numbers_64.view(self.dtype)
            sign = (numbers_64 & np.uint64(1)) << np.uint64(63)
            return (sign | ((numbers_64 >> np.uint64(1)) + _LEAST[8])).view(self.dtype)
        if self.dtype.kind != "f":
            return numbers.view(self.dtype)
        bits = numbers >> np.uint32(1)
        bits += _LEAST[4]
        bits |= numbers << np.uint32(_BITS)
        return bits.view(self.dtype)

    def _read(self, values: NDArray[Any]) -> NDArray[np.uint32] | None:
        """The numbers behind the values, as a new array; None where one has bits that no number gives it."""
        bits = values.view(_WIDTH[self.dtype.itemsize])
        if self.dtype.itemsize == 8:
            if self.dtype.kind == "f":
                bits = (((bits & np.uint64(2**63 - 1)) - _LEAST[8]) << np.uint64(1)) | (bits >> np.uint64(63))
            numbers = (bits >> np.uint64(20)).astype(np.uint32)
            return (
                numbers
                if bool((self._written(numbers.copy()).view(np.uint64) == values.view(np.uint64)).all())
                else None
            )
        if self.dtype.kind != "f":
            return bits.copy()
        numbers = bits & _MASK
        numbers -= _LEAST[4]
        numbers <<= np.uint32(1)
        numbers |= bits >> np.uint32(_BITS)
        return numbers


def codes_for(dtype: np.dtype[Any]) -> tuple[Code, ...]:
    """Two codes for a dtype of 32 or 64 bits, and none for another.

    >>> one, other = codes_for(np.dtype("float32"))
    >>> one.positions(one.values(5)[::-1], 5).tolist(), other.positions(one.values(5), 5)
    ([4, 3, 2, 1, 0], None)
    """
    if dtype.kind not in "fiu" or dtype.itemsize not in _WIDTH or not dtype.isnative:
        return ()
    return Code(dtype, 0x2545F491 | 1, 0x1B873593), Code(dtype, 0x5851F42D | 1, 0x6A09E667)
