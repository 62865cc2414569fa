"""An ONNX file without its large weights: these stay where they lie, as data in the file itself.

ONNX lets a tensor name a file, an offset and a length for its data. Here that file is the model's own: whoever reads
data in other files reads these, too, when they are asked for. Protobuf frames each message by its length, so the graph
is walked without a look at the numbers.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from onnx import GraphProto, ModelProto, TensorProto

from layoutbridge.frameworks.onnx.protobuf.wire import LENGTH_DELIMITED, field_head, number_of, read_varint

_LEAST = 1 << 16  # bytes that are worth it
_LOOKED_AT = 1 << 12  # bytes of a weight that tell whether it moves elements
# What is in the file as 1: weights of a convolution that are 0 and 1 alone move elements, and are read.
_ONES: dict[int, bytes] = {TensorProto.FLOAT: b"\0\0\x80\x3f", TensorProto.DOUBLE: b"\0\0\0\0\0\0\xf0\x3f",
         TensorProto.FLOAT16: b"\0\x3c", TensorProto.BFLOAT16: b"\x80\x3f"}  # fmt: skip
_GRAPH = number_of(ModelProto, "graph")
_INITIALIZER = number_of(GraphProto, "initializer")
_DATA_TYPE, _RAW_DATA, _LOCATION = (number_of(TensorProto, name) for name in ("data_type", "raw_data", "data_location"))


class _Field(NamedTuple):
    """A field of a message: where it begins, where its content does, and where both end; `value` of a whole number."""

    number: int
    begin: int
    content: int
    end: int
    value: int


def without_weights(path: str | os.PathLike[str]) -> bytes | None:
    """The model in `path` as bytes, with large weights left in the file; None where there are none or it is no model.

    The weights that are left are initializers of floating-point numbers, at least 64 KB each, of the model's own graph.
    """
    file = Path(path)
    try:
        name = file.name.encode()
        with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
            parts = list(_model(content, name.decode()))
            left = len(content) - sum(map(len, parts))
    except (ValueError, IndexError, OSError):  # an odd name, an empty file, no protobuf
        return None
    return b"".join(parts) if left > 0 else None


def _model(content: mmap.mmap, name: str) -> Iterator[bytes]:
    for field in _fields(content, 0, len(content)):
        if field.number != _GRAPH:
            yield content[field.begin : field.end]
            continue
        parts = list(_graph(content, field.content, field.end, name))
        yield field_head(_GRAPH, sum(map(len, parts)))
        yield from parts


def _graph(content: mmap.mmap, begin: int, end: int, name: str) -> Iterator[bytes]:
    done = begin
    for field in _fields(content, begin, end):
        if field.number != _INITIALIZER or field.end - field.content < _LEAST:
            continue
        tensor = _tensor(content, field.content, field.end, name)
        if tensor is not None:
            yield content[done : field.begin]
            yield field_head(_INITIALIZER, len(tensor)) + tensor
            done = field.end
    yield content[done:end]


def _tensor(content: mmap.mmap, begin: int, end: int, name: str) -> bytes | None:
    """A tensor that names its data in the file; None where it stays as it is."""
    fields = list(_fields(content, begin, end))
    held = {field.number: field for field in fields}
    raw = held.get(_RAW_DATA)
    one = _ONES.get(held[_DATA_TYPE].value) if _DATA_TYPE in held else None
    if raw is None or one is None or _LOCATION in held or raw.end - raw.content < _LEAST:
        return None
    if sum(field.number == _RAW_DATA for field in fields) > 1 or _may_move(content, raw, one):
        return None
    reference = TensorProto(data_location=TensorProto.EXTERNAL)
    for key, value in (("location", name), ("offset", raw.content), ("length", raw.end - raw.content)):
        reference.external_data.add(key=key, value=str(value))
    return content[begin : raw.begin] + content[raw.end : end] + reference.SerializeToString()


def _may_move(content: mmap.mmap, raw: _Field, one: bytes) -> bool:
    seen = content[raw.content : min(raw.content + _LOOKED_AT, raw.end)]
    numbers = {seen[place : place + len(one)] for place in range(0, len(seen), len(one))}
    return numbers <= {one, bytes(len(one))}


def _fields(content: mmap.mmap, begin: int, end: int) -> Iterator[_Field]:
    """The fields of a message; raises `ValueError` or `IndexError` where it is none."""
    place = begin
    while place < end:
        first = place
        key, place = read_varint(content, place)
        number, kind = key >> 3, key & 7
        inside, value = place, 0
        if kind == LENGTH_DELIMITED:
            length, inside = read_varint(content, place)
            place = inside + length
        elif kind == 0:
            value, place = read_varint(content, place)
        elif kind in (1, 5):
            place += 8 if kind == 1 else 4
        else:
            raise ValueError(f"kind {kind} is none of a field's")
        if place > end:
            raise ValueError(f"a field of {place - first} bytes, and {end - first} are left")
        yield _Field(number, first, inside, place, value)
