"""Gather tables in the formats that other programs read, and a short view for people."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from math import prod

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


def table_bytes(op: Rearrangement, shape: tuple[int, ...], form: str) -> bytes:
    """The gather table of `op` at `shape` in `form`, one of `FORMATS`."""
    writers: dict[str, Callable[[Rearrangement, tuple[int, ...], NDArray[np.int64]], bytes]] = {
        "npy": _npy,
        "csv": _csv,
        "json": _json,
        "c": _c_array,
    }
    return writers[form](op, shape, op.table(shape))


def _npy(_: Rearrangement, __: tuple[int, ...], table: NDArray[np.int64]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, table, allow_pickle=False)
    return stream.getvalue()


def _csv(_: Rearrangement, __: tuple[int, ...], table: NDArray[np.int64]) -> bytes:
    return ("\n".join(map(str, table.tolist())) + "\n").encode()


def _json(op: Rearrangement, shape: tuple[int, ...], table: NDArray[np.int64]) -> bytes:
    record = {
        "name": op.name,
        "parameters": dict(op.parameters),
        "pattern": op.pattern,
        "in_shape": list(shape),
        "out_shape": list(op.out_shape(shape)),
        "table": table.tolist(),
    }
    return (json.dumps(record) + "\n").encode()


def _c_array(op: Rearrangement, shape: tuple[int, ...], table: NDArray[np.int64]) -> bytes:
    """A C99 array of the smallest unsigned type that holds the positions, and its length."""
    bits = next(bits for bits in (8, 16, 32, 64) if table.size <= 2**bits)
    name = op.name if op.name and op.name.isascii() else "gather_table"
    values = table.tolist()
    rows = [", ".join(map(str, values[start : start + 16])) for start in range(0, len(values), 16)]
    ascii_pattern = op.pattern.encode("ascii", "replace").decode().replace("*/", "* /")
    return (
        f"/* {ascii_pattern}\n"
        f" * input {_c_shape(shape)}, output {_c_shape(op.out_shape(shape))}: output[i] = input[{name}[i]] */\n"
        f"#include <stdint.h>\n\n"
        f"enum {{ {name}_size = {table.size} }};\n\n"
        f"static const uint{bits}_t {name}[{table.size}] = {{\n    " + ",\n    ".join(rows) + "\n};\n"
    ).encode()


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
