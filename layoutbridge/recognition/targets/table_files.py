"""Tables in files that nobody vouches for: .npy, .csv and .json, read at a cost that their size bounds."""

from __future__ import annotations

import csv
import io
import json
import os
from array import array
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from layoutbridge.errors import LayoutBridgeError, UnusableInputError, counted, first_line
from layoutbridge.inputs import opened, refuse_costly

_PIECE = 1 << 20  # characters of a line that are taken at once
_CUT = "\0"  # what no text holds
_MOST_AXES = 64  # what NumPy has
_LARGEST_JSON = 1 << 28  # bytes
# Bytes of memory that what begins or ends with a character takes in Python, at most.
_OBJECT_SIZES = MappingProxyType({",": 56, "[": 120, "{": 300, '"': 60})


def read_table(path: str | os.PathLike[str]) -> NDArray[Any]:
    """The integers in a .npy, .csv or .json file; raises `UnusableInputError` with the reason for any other content.

    It takes no more memory than `inputs.memory_allowed` says; JSON that would take more is refused.
    """
    name = os.fspath(path)
    with opened(path, "table") as file:
        if not os.fstat(file.fileno()).st_size:
            raise UnusableInputError(f"'{name}' is empty")
        try:
            return READERS[Path(name).suffix.lower()](file)
        except LayoutBridgeError:
            raise
        except (ValueError, EOFError, RecursionError, MemoryError, OverflowError, csv.Error) as error:
            raise UnusableInputError(f"'{name}' is no table of integers: {first_line(error)}") from None


def _read_npy(file: BinaryIO) -> NDArray[Any]:
    try:
        version = np.lib.format.read_magic(file)
        reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = reader(file)
    except Exception as error:  # a header is Python text: a broken one raises whatever the parser raises
        raise ValueError(f"not a whole .npy file ({first_line(error)})") from None
    if dtype.hasobject:
        raise ValueError("it holds pickled Python objects, which are not loaded")
    if dtype.kind not in "iu":
        raise ValueError(f"it holds {dtype}, and a table holds integers (positions)")
    if len(shape) > _MOST_AXES or min(shape, default=1) < 0 or max(shape, default=1) >= 1 << 63:
        raise ValueError(
            f"its header says {counted(len(shape), 'axis', 'axes')}, some of a negative length or too many, or too long"
        )
    wanted = int(np.prod(shape, dtype=object)) * dtype.itemsize
    held = os.fstat(file.fileno()).st_size - file.tell()
    if held < wanted:
        raise ValueError(f"it is cut short: its header promises {counted(wanted, 'byte')} and {held} are there")
    file.seek(0)
    table: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    return table


def _read_csv(file: BinaryIO) -> NDArray[Any]:
    """All cells one after another; a line may end as on any system, old Macs among them."""
    positions = array("q")
    rows = csv.reader(_pieces(io.TextIOWrapper(file, "utf-8-sig")))
    positions.extend(int(cell) for row in rows for cell in row if cell != _CUT)
    return np.frombuffer(positions, np.int64)


def _pieces(text: io.TextIOWrapper) -> Iterator[str]:
    """The lines of `text`, long ones cut behind a comma with `_CUT` as the last cell: csv makes objects of a line."""
    left = ""
    while piece := text.readline(_PIECE):
        if _CUT in piece:
            raise ValueError("it holds zeros, which text does not")
        left += piece
        end = left.rfind(",", 0, len(left) - 1) + 1
        if left.endswith("\n"):
            yield left
            left = ""
        elif end:
            yield left[:end] + _CUT
            left = left[end:]
        elif len(left) > csv.field_size_limit():
            break
    if left:
        yield left


def _read_json(file: BinaryIO) -> NDArray[Any]:
    """A list of integers, nested evenly, or an object that has one as "table"."""
    size = os.fstat(file.fileno()).st_size
    if size > _LARGEST_JSON:
        raise ValueError(f"JSON may have {_LARGEST_JSON:,} bytes at most, and it has {size:,}: write it as .npy")
    content = file.read()
    text = content.decode(json.detect_encoding(content))
    del content
    needed = len(text) * (1 if text.isascii() else 4)
    needed += sum(each * text.count(mark) for mark, each in _OBJECT_SIZES.items())
    refuse_costly(needed, size, f"'{file.name}'")
    value = json.loads(text)
    if isinstance(value, dict):
        if "table" not in value:
            raise ValueError("a JSON object needs the key 'table'")
        value = value["table"]
    return _nested(value)


def _nested(value: Any) -> NDArray[Any]:
    """Lists in lists, as many in each, as an array; NumPy would make text or objects of what is none."""
    level, shape = [value], list[int]()
    while level and all(type(one) is list for one in level):
        lengths = {len(one) for one in level}
        if len(lengths) > 1:
            raise ValueError(f"its lists have {min(lengths)} to {max(lengths)} entries side by side")
        shape += lengths
        level = list(chain.from_iterable(level))
    if len(shape) > _MOST_AXES:
        raise ValueError(f"its lists are nested {len(shape)} deep")
    strange = next((type(one) for one in level if type(one) is not int), None)
    if strange is not None:
        raise ValueError(f"it holds {_JSON_KINDS.get(strange, 'null')}, and a table holds integers (positions)")
    return np.array(level, np.int64).reshape(shape)


_JSON_KINDS: Mapping[type, str] = MappingProxyType(
    {str: "text", float: "a fraction", bool: "true or false", dict: "an object", list: "a list beside numbers"}
)
READERS: Mapping[str, Callable[[BinaryIO], NDArray[Any]]] = MappingProxyType(
    {".npy": _read_npy, ".csv": _read_csv, ".json": _read_json}
)
