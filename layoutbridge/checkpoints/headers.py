"""The header of a safetensors file: read and checked by the format's own rules, and with other shapes in their places.

A file is eight bytes with the length of the header, the header (JSON), and the tensors without a gap:
https://github.com/huggingface/safetensors. The text is kept and only shapes are written anew in it, so that order,
`__metadata__` and whatever else stands there stay, and undoing gives the bytes that there were.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, NoReturn

from layoutbridge.checkpoints.stored import Shape, Stored
from layoutbridge.errors import UnusableInputError, shown
from layoutbridge.inputs import refuse_costly

_LARGEST = 100_000_000  # bytes of a header, as safetensors itself takes them
_PREFIX = 8  # bytes that tell its length
_TIMES_IN_MEMORY = 16  # what a header of nothing but small tensors takes, read
_ALIGNED = 8
_SPACE = re.compile(r"[ \t\n\r]*")
_LONGEST_NUMBER = 20  # digits
_METADATA = "__metadata__"
_BITS = {
    8: ("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"),
    16: ("U16", "I16", "F16", "BF16"),
    32: ("U32", "I32", "F32"),
    64: ("U64", "I64", "F64", "C64"),
    6: ("F6_E2M3", "F6_E3M2"),
    4: ("F4",),
}
_BITS_OF = {name: bits for bits, names in _BITS.items() for name in names}
Fail = Callable[[str], NoReturn]
_KEYS = {"dtype", "shape", "data_offsets"}


@dataclass(frozen=True)
class Header:
    """What the header of a safetensors file says. `text` is its JSON, which takes `length` bytes with what fills it up.

    `places` says where in the text the value of each tensor begins.
    """

    text: str
    length: int
    tensors: tuple[Stored, ...]  # as they follow one another in the file
    places: Mapping[str, int]

    def with_shapes(self, shapes: Mapping[str, Shape]) -> bytes:
        """The bytes in front of the tensors' with other shapes for some of them."""
        parts, done = [], 0
        for name in sorted(shapes, key=self.places.__getitem__):
            start, end = _span(self.text, self.places[name], "shape")
            between = ", " if self.text[start - 1].isspace() else ","  # as the file itself is written
            parts += [self.text[done:start], f"[{between.join(map(str, shapes[name]))}]"]
            done = end
        written = "".join([*parts, self.text[done:]]).encode()
        length = len(written) + -len(written) % _ALIGNED
        held = len(self.text.encode())
        if self.length != held + -held % _ALIGNED or not shapes:  # filled up with more: as it is, while it lasts
            length = max(length, self.length) if shapes else self.length
        return length.to_bytes(_PREFIX, "little") + written.ljust(length)


def read_header(file: BinaryIO, size: int, told: str) -> Header:
    """The header of a safetensors file of `size` bytes that `told` names; the file is read from its beginning on.

    Raises `UnusableInputError` for one that is cut short, that no JSON of the format stands in, and whose tensors
    overlap, leave gaps, or do not have as many bytes as their dtypes and shapes say.
    """

    def fail(reason: str) -> NoReturn:
        raise UnusableInputError(f"'{told}' is no whole safetensors file: {reason}")

    prefix = file.read(_PREFIX)
    if len(prefix) < _PREFIX:
        fail(f"it has {size} bytes, and the length of its header alone takes {_PREFIX}")
    length = int.from_bytes(prefix, "little")
    if length > _LARGEST:
        fail(f"its header would have {length:,} bytes, and may have {_LARGEST:,}")
    if length > size - _PREFIX:
        fail(f"its header would have {length:,} bytes, and {size - _PREFIX:,} are there")
    refuse_costly(_TIMES_IN_MEMORY * length, size, f"the header of '{told}'")
    raw = file.read(length)
    if len(raw) < length:
        fail("it ends within its header")
    try:
        text = raw.decode().rstrip(" \t\n\r")
        values, places = _read_object(text)
    except (ValueError, RecursionError) as error:
        fail(f"its header is no JSON of this form ({str(error)[:100]})")
    _check_metadata(values.pop(_METADATA, {}), fail)
    places.pop(_METADATA, None)
    tensors = [_tensor(name, value, _PREFIX + length, fail) for name, value in values.items()]
    tensors.sort(key=lambda tensor: (tensor.start, tensor.size))
    end = _PREFIX + length
    for tensor in tensors:
        if tensor.start != end:
            overlap = "overlaps the one before" if tensor.start < end else "leaves a gap before it"
            fail(f"tensor {shown(tensor.name)} {overlap}")
        end += tensor.size
    if end != size:
        fail(f"its tensors end at byte {end:,}, and it has {size:,}")
    return Header(text, length, tuple(tensors), places)


# ---------------------------------------------------------------------- JSON, with the places of its values


def _refuse_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a name stands twice in it")
    return made


def _whole(digits: str) -> int:
    if len(digits) > _LONGEST_NUMBER:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _refuse_constant(word: str) -> None:
    raise ValueError(word)


_DECODER = json.JSONDecoder(object_pairs_hook=_refuse_twice, parse_int=_whole, parse_constant=_refuse_constant)


def _read_object(text: str) -> tuple[dict[str, Any], dict[str, int]]:
    """The values of the one object that `text` is, by name, and where each begins; raises `ValueError`."""
    if not text.startswith("{"):
        raise ValueError("it does not begin with a brace")
    values: dict[str, Any] = {}
    places: dict[str, int] = {}
    end = _after_space(text, 1) + 1  # of an object without members
    for name, value, start, behind in _members(text, 0):
        if name in values:
            raise ValueError(f"{shown(name)} stands twice in it")
        values[name], places[name], end = value, start, behind
    if end != len(text):
        raise ValueError("something stands behind it")
    return values, places


def _members(text: str, at: int) -> Iterator[tuple[str, Any, int, int]]:
    """Name, value, and where it begins, of each member of the object at `at`, with where the object would end."""
    at = _after_space(text, at + 1)
    if text[at : at + 1] == "}":
        return
    while True:
        name, at = _DECODER.raw_decode(text, at)
        at = _after_space(text, at)
        if not isinstance(name, str) or text[at : at + 1] != ":":
            raise ValueError(f"no name and colon at character {at}")
        start = _after_space(text, at + 1)
        value, at = _DECODER.raw_decode(text, start)
        at = _after_space(text, at)
        yield name, value, start, at + 1
        if text[at : at + 1] == "}":
            return
        if text[at : at + 1] != ",":
            raise ValueError(f"no comma or brace at character {at}")
        at = _after_space(text, at + 1)


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _span(text: str, at: int, key: str) -> tuple[int, int]:
    """Where the value of `key` begins and ends in the object at `at`."""
    start = next(start for name, _, start, _ in _members(text, at) if name == key)
    return start, _DECODER.raw_decode(text, start)[1]


# ---------------------------------------------------------------------- what the values must be


def _check_metadata(value: object, fail: Fail) -> None:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        fail(f"its {_METADATA} holds other things than texts")


def _tensor(name: str, value: object, begin: int, fail: Fail) -> Stored:
    if not isinstance(value, dict) or not value.keys() >= _KEYS:
        fail(f"tensor {shown(name)} has no {', '.join(sorted(_KEYS))}")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or not _are_lengths(shape) or not _are_lengths(offsets) or len(offsets) != 2:
        fail(f"tensor {shown(name)} has dtype {shown(dtype)}, shape {shown(shape)} and offsets {shown(offsets)}")
    size = offsets[1] - offsets[0]
    bits = _BITS_OF.get(dtype)
    if size < 0 or (bits is not None and _bits_of(shape, bits, 8 * size) != 8 * size):
        fail(f"tensor {shown(name)}, {dtype[:40]} of shape {shown(shape)}, has {size:,} bytes")
    itemsize = None if bits is None or bits % 8 else bits // 8
    return Stored(name, dtype, tuple(shape), itemsize, begin + offsets[0], size)


def _are_lengths(value: object) -> bool:
    return isinstance(value, list) and all(type(length) is int and length >= 0 for length in value)


def _bits_of(shape: list[int], bits: int, most: int) -> int:
    """How many bits a tensor has; anything above `most` where it has more."""
    if 0 in shape:
        return 0
    for length in shape:
        bits *= length
        if bits > most:
            break
    return bits
