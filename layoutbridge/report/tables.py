"""Gather tables in the formats that other programs read, and a short view for people."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from math import prod
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.algebra.table import unravel

FORMATS = ("npy", "csv", "json", "c")
_SUFFIXES = {".npy": "npy", ".csv": "csv", ".json": "json", ".c": "c", ".h": "c"}
_SHOWN = 12


def format_of(path: str) -> str | None:
    """The table format that a file name asks for, or None."""
    return next((name for suffix, name in _SUFFIXES.items() if path.lower().endswith(suffix)), None)


def write_table(file: BinaryIO, op: Rearrangement, shape: tuple[int, ...], form: str) -> None:
    """Write the gather table of `op` at `shape` to `file`, in `form`, one of `FORMATS`.

    Text is made piece by piece: it takes no memory beside the table's.
    """
    _WRITERS[form](file, op, shape, op.table(shape))


def _npy(file: BinaryIO, _: Rearrangement, __: tuple[int, ...], table: NDArray[np.int64]) -> None:
    np.lib.format.write_array(file, table, allow_pickle=False)


def _csv(file: BinaryIO, _: Rearrangement, __: tuple[int, ...], table: NDArray[np.int64]) -> None:
    file.writelines(_joined(table, "\n", "\n"))
    file.write(b"\n")


def _json(file: BinaryIO, op: Rearrangement, shape: tuple[int, ...], table: NDArray[np.int64]) -> None:
    record = {
        "name": op.name,
        "parameters": dict(op.parameters),
        "pattern": op.pattern,
        "in_shape": list(shape),
        "out_shape": list(op.out_shape(shape)),
        "table": [],
    }
    file.write(json.dumps(record).removesuffix("]}").encode())
    file.writelines(_joined(table, ", ", ", "))
    file.write(b"]}\n")


def _c_array(file: BinaryIO, op: Rearrangement, shape: tuple[int, ...], table: NDArray[np.int64]) -> None:
    """A C99 array of the smallest unsigned type that holds the positions, and its length."""
    bits = next(bits for bits in (8, 16, 32, 64) if table.size <= 2**bits)
    name = op.name if op.name and op.name.isascii() else "gather_table"
    told = " ".join(op.pattern.split()).encode("ascii", "replace").decode().replace("*/", "* /").replace("??/", "?? /")
    file.write(
        f"/* {told}\n"
        f" * input {_c_shape(shape)}, output {_c_shape(op.out_shape(shape))}: output[i] = input[{name}[i]] */\n"
        f"#include <stdint.h>\n\n"
        f"enum {{ {name}_size = {table.size} }};\n\n"
        f"static const uint{bits}_t {name}[{table.size}] = {{\n    ".encode()
    )
    file.writelines(_joined(table, ", ", ",\n    ", each=16))
    file.write(b"\n};\n")


_WRITERS: Mapping[str, Callable[[BinaryIO, Rearrangement, tuple[int, ...], NDArray[np.int64]], None]] = {
    "npy": _npy,
    "csv": _csv,
    "json": _json,
    "c": _c_array,
}


def _joined(table: NDArray[np.int64], between: str, behind: str, *, each: int = 1 << 12) -> Iterator[bytes]:
    """The numbers with `between` them, and `behind` every `each` of them but the last."""
    for start in range(0, table.size, each):
        mark = behind if start else ""
        yield (mark + between.join(map(str, table[start : start + each].tolist()))).encode()


def _c_shape(shape: tuple[int, ...]) -> str:
    return "".join(f"[{length}]" for length in shape)


def first_entries(op: Rearrangement, shape: tuple[int, ...]) -> list[tuple[int, tuple[int, ...], int, tuple[int, ...]]]:
    """The first dozen (index, place in the result, position read, its place in the input)."""
    bound = op.bind(shape)
    entries = []
    for index in range(min(_SHOWN, prod(shape))):
        position = bound.read_position(index)
        entries.append((index, unravel(index, bound.out_shape), position, unravel(position, shape)))
    return entries
