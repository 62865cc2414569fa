"""How protobuf lays out a message: fields, each a tag and its content, whole numbers seven bits a byte."""

from __future__ import annotations

from typing import Any

LENGTH_DELIMITED = 2
_LONGEST = 70  # bits of a whole number


def number_of(message: Any, name: str) -> int:
    """The number of a field of a class of messages."""
    return int(message.DESCRIPTOR.fields_by_name[name].number)


def field_head(number: int, length: int) -> bytes:
    """The tag and length in front of a field that is framed by its length.

    >>> field_head(9, 300).hex()
    '4aac02'
    """
    return varint(number << 3 | LENGTH_DELIMITED) + varint(length)


def varint(value: int) -> bytes:
    """A whole number as protobuf writes it."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(content: Any, place: int) -> tuple[int, int]:
    """The whole number at `place` of some bytes, and where it ends.

    Raises `ValueError` or `IndexError` where there is none.

    >>> read_varint(varint(300) + b"x", 0)
    (300, 2)
    """
    value = shift = 0
    while True:
        byte = content[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
        if shift >= _LONGEST:
            raise ValueError("a whole number does not end")
