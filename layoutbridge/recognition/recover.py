"""What does a black box do to positions? Recovered exactly, whatever the dtype.

Every element of the input is given a code that says where it stands; the codes in the result then are the gather
table. For dtypes of 32 and 64 bits two runs with unlike codes say all: where both give the same table, the box moves
elements and does nothing else. Else, and for smaller dtypes, the position is written in as many passes as the dtype
needs (two for uint8 beyond 255 elements; one a bit for bool), and further passes with shuffled, negative and arbitrary
values tell a fixed movement of elements from one that depends on the values, on their sign, or changes them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from layoutbridge.algebra.table import machine_memory, unravel
from layoutbridge.errors import ShapeError
from layoutbridge.recognition.codes import codes_for

Behaviour = Literal[
    "moves elements", "fills up with zeros", "depends on values", "depends on sign", "changes values", "changes shape"
]
_FILLED = -1
_MOST_CODES = 2**31
Run = Callable[[NDArray[Any]], NDArray[Any]]
_BYTES_EACH = 48  # of memory, for each element: its position and codes, the input, its copy, the result
_EXACT_INTEGERS = {"float64": 2**53, "float32": 2**24, "float16": 2**11, "bfloat16": 2**8}


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a black box did at one shape and dtype.

    `table` is the int64 gather table over its flat input, None where elements are not merely moved; it need be
    no permutation: positions may be missing or repeated, and -1 stands where the box fills up with zeros. `detail` is
    one sentence on what else it does.
    """

    behaviour: Behaviour
    in_shape: tuple[int, ...]
    out_shape: tuple[int, ...]
    table: NDArray[np.int64] | None
    detail: str = ""


def recover(run: Run, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Recovered:
    """Recover what `run` does to an array of `shape` and `dtype`; whatever `run` raises passes through.

    Raises `ShapeError` for a shape that would take more than half of the machine's memory.

    >>> found = recover(lambda x: x.T, (2, 3), np.dtype(np.uint8))
    >>> found.table.tolist()
    [0, 3, 1, 4, 2, 5]
    >>> recover(lambda x: np.maximum(x, 0), (2, 3), np.dtype(np.float32)).behaviour
    'depends on sign'
    """
    total = prod(shape)
    if (needed := total * _BYTES_EACH) > machine_memory() // 2:  # the system may promise more than it has
        raise ShapeError(
            f"recovering at shape {shape} needs {needed / 2**30:.1f} GiB, more than half of this machine's memory: "
            f"give a smaller shape"
        )
    at_once = _recovered_at_once(run, shape, dtype)
    if at_once is not None:
        return at_once
    base = _codes(dtype)
    table: NDArray[np.int64] | None = None
    positions, weight = np.arange(total), 1
    out_shape: tuple[int, ...] | None = None
    while weight < total or table is None:
        codes = positions // weight % base
        result = _observed(run, _encoded(codes, dtype).reshape(shape))
        if out_shape not in (None, result.shape):
            return Recovered("changes shape", shape, result.shape, None, "the result's shape depends on the values")
        out_shape = result.shape
        found = _decoded(result, dtype, base, total)
        if isinstance(found, str):
            return Recovered("changes values", shape, out_shape, None, found)
        filled = found == _FILLED
        if table is not None and not np.array_equal(filled, table == _FILLED):
            return Recovered("depends on values", shape, out_shape, None, "it gives zeros in other places each time")
        table = found * weight if table is None else table + found * weight
        table[filled] = _FILLED
        weight *= base
    assert table is not None and out_shape is not None
    if table.size and int(table.max()) >= total:
        place = list(unravel(int(table.argmax()), out_shape))
        return Recovered("changes values", shape, out_shape, None, f"the value at {place} was in no input element")
    return _checked(run, shape, dtype, base, table, out_shape)


def _recovered_at_once(run: Run, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Recovered | None:
    """What two runs with unlike codes agree on; None where they do not, or where the dtype holds no such codes."""
    total = prod(shape)
    if total > _MOST_CODES:
        return None
    table: NDArray[np.int64] | None = None
    for code in codes_for(dtype):
        result = np.asarray(run(code.values(total).reshape(shape)))
        if table is None:
            found = code.positions(result, total)
            if found is None:
                return None
            table = found.reshape(result.shape)
        elif result.shape != table.shape or not code.agrees(result, total, table):
            return None
    return None if table is None else Recovered("moves elements", shape, table.shape, table.reshape(-1))


def _checked(
    run: Run,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    base: int,
    table: NDArray[np.int64],
    out_shape: tuple[int, ...],
) -> Recovered:
    """Repeat with values that tell nothing of the position; compare with what the table says."""
    random = np.random.default_rng(prod(shape))
    fills = bool(table.size) and int(table.min()) == _FILLED
    shuffled = _encoded(random.integers(0, base, prod(shape)), dtype)
    negative, arbitrary = _negative(random, prod(shape), dtype), _arbitrary(random, prod(shape), dtype)

    def differing(behaviour: Behaviour, values: NDArray[Any], condition: str) -> Recovered | None:
        result = _observed(run, values.reshape(shape))
        if result.shape != out_shape:
            return Recovered("changes shape", shape, result.shape, None, f"the result's shape differs {condition}")
        expected = np.where(table == _FILLED, values.dtype.type(0), values.take(table)) if fills else values.take(table)
        different = np.flatnonzero(result.reshape(-1) != expected)
        if not different.size:
            return None
        index = int(different[0])
        source = list(unravel(int(table[index]), shape))
        detail = (
            f"{condition}, the input's {expected[index]} at {source} arrives as "
            f"{result.reshape(-1)[index]} at {list(unravel(index, out_shape))}"
        )
        changes = behaviour == "depends on values" and not np.isin(result, values).all()
        return Recovered("changes values" if changes else behaviour, shape, out_shape, None, detail)

    # these two are in another order, too: the codes in another order only tell more of what differs
    found = differing("depends on sign", negative, "with negative values")
    found = found or differing("changes values", arbitrary, "with arbitrary values")
    if found is None:
        return Recovered("fills up with zeros" if fills else "moves elements", shape, out_shape, table)
    return differing("depends on values", shuffled, "in another order of values") or found


def _observed(run: Run, x: NDArray[Any]) -> NDArray[Any]:
    """The result as it is now: the box may work in place, and may use its result's memory again."""
    return np.array(run(x.copy()))


def _codes(dtype: np.dtype[Any]) -> int:
    """How many different codes one pass can carry in `dtype`; code 0 is not the value 0 but for bool."""
    if dtype.kind == "b":
        return 2
    if dtype.kind in "iu":
        return min(int(np.iinfo(dtype).max), 2**31)
    return _EXACT_INTEGERS.get(dtype.name, 2**8)


def _encoded(codes: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    return codes.astype(dtype) if dtype.kind == "b" else (codes + 1).astype(dtype)


def _decoded(result: NDArray[Any], dtype: np.dtype[Any], base: int, elements: int) -> NDArray[np.int64] | str:
    """The codes in a result, -1 for the zeros of one larger than the input; or what is wrong with a value."""
    flat = result.reshape(-1)
    if flat.dtype.kind not in "biuf" and flat.dtype.name != "bfloat16":
        return f"the result holds {flat.dtype}, not numbers"
    numbers = flat.astype(np.float64) if flat.dtype.kind not in "biu" else flat
    lowest = 0 if dtype.kind == "b" else 1
    may_fill = lowest == 1 and result.size > elements
    wrong = ~((numbers >= lowest) & (numbers < base + lowest))
    if numbers.dtype.kind == "f":
        wrong |= numbers != np.floor(numbers)
    if may_fill:
        wrong &= numbers != 0
    if wrong.any():
        index = int(np.argmax(wrong))
        return f"the result holds {flat[index]} at {list(unravel(index, result.shape))}, which no input element held"
    return numbers.astype(np.int64) - lowest


def _negative(random: np.random.Generator, count: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    if dtype.kind in "bu":
        return _arbitrary(random, count, dtype)
    return (-random.integers(1, 120, count)).astype(dtype)


def _arbitrary(random: np.random.Generator, count: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    if dtype.kind == "b":
        return random.integers(0, 2, count).astype(bool)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return random.integers(limits.min, limits.max, count, dtype=dtype, endpoint=True)
    return (random.standard_normal(count) * 10.0 ** random.integers(-3, 4, count)).astype(dtype)
