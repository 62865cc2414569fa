"""Hostile variations of valid inputs: bytes, text with numbers in it, JSON, zip archives, protobuf messages.

Each function takes a `Random`, so that a seed gives the same input again and hypothesis can choose and shrink. Not a
test itself.
"""

from __future__ import annotations

import io
import json
import re
import struct
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from random import Random
from typing import Any

MOST_BYTES = 1 << 16  # of an input
NUMBERS = (
    "0", "-1", "1", "2", "3", "7", "255", "256", "65535", "65536", "2147483647", "2147483648", "-2147483648",
    "4294967296", "9223372036854775807", "9223372036854775808", "18446744073709551616", "9" * 40, "9" * 5000, "1e9",
    "1e309", "-1e309", "1e-400", "nan", "inf", "-inf", "0.5", "-0.0", ".", "0x10", "1_000", "٣", "１", "00", "+1", "",
)  # fmt: skip
WORDS = (
    "", " ", "\t", "\0", "\n", "\r", "\r\n", "\x1b[31m", "\x85", "\u2028", "\ufeff", "\u202e", "é", "字", "😀",
    "\ud800",
    "[", "]", "(", ")", "{", "}", "=", "==", ",", ",,", ";", "#", "#-1", "/", "..", "../../etc/passwd", "/dev/zero",
    "%s%n",
    "null", "true", "NaN", "A" * 300, "A" * 70_000, "x" * 65, "'", '"', "\\", "$(id)", "__class__", "-", "--", "|",
    "->",
)  # fmt: skip
_WORD = re.compile(rb"[A-Za-z_]+")
_NUMBER = re.compile(rb"[-+]?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_LENGTHS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 62, (1 << 64) - 1)


def encoded(text: str) -> bytes:
    """`text` in UTF-8, lone surrogates included."""
    return text.encode("utf-8", "surrogatepass")


def number(random: Random) -> str:
    """A number that few expect, or a small one."""
    return random.choice(NUMBERS) if random.random() < 0.7 else str(random.randint(-20, 300))


def word(random: Random) -> str:
    """Text that few expect."""
    return random.choice(WORDS)


def mutated(random: Random, data: bytes, others: Sequence[bytes] = ()) -> bytes:
    """`data` with one to four changes; `others` are inputs that parts may come from."""
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        data = random.choice(_CHANGES)(random, data, others)[:MOST_BYTES]
    return data


def _span(random: Random, data: bytes) -> tuple[int, int]:
    start = random.randint(0, len(data))
    return start, min(len(data), start + random.choice((1, 1, 2, 4, 8, 32, 256)))


def _dropped(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _span(random, data)
    return data[:start] + data[end:]


def _repeated(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _span(random, data)
    return data[:start] + data[start:end] * random.choice((2, 2, 3, 50)) + data[end:]


def _cut(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    return data[: random.randint(0, len(data))]


def _flipped(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    at = random.randint(0, max(len(data) - 1, 0))
    return data[:at] + bytes([random.randint(0, 255)]) + data[at + 1 :]


def _lengthened(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    """Four or eight bytes become a number, in either order of bytes."""
    at, form = random.randint(0, len(data)), random.choice(("<I", ">I", "<Q", ">H", "<H"))
    size = struct.calcsize(form)
    return data[:at] + struct.pack(form, random.choice(_LENGTHS) % (1 << 8 * size)) + data[at + size :]


def _inserted(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    at = random.randint(0, len(data))
    return data[:at] + encoded(word(random)) + data[at:]


def _renumbered(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    return _replaced(random, data, _NUMBER, number)


def _reworded(random: Random, data: bytes, _: Sequence[bytes]) -> bytes:
    return _replaced(random, data, _WORD, word)


def _replaced(random: Random, data: bytes, what: re.Pattern[bytes], by: Callable[[Random], str]) -> bytes:
    found = [match.span() for match in what.finditer(data[:MOST_BYTES])]
    if not found:
        return _inserted(random, data, ())
    start, end = random.choice(found)
    return data[:start] + encoded(by(random)) + data[end:]


def _spliced(random: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    other = random.choice(others) if others else data
    start, end = sorted(random.randint(0, len(other)) for _ in range(2))
    at = random.randint(0, len(data))
    return data[:at] + other[start:end] + data[at + random.choice((0, end - start)) :]


def _lines(random: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """A line goes, comes twice, comes from elsewhere, or two change places."""
    lines = data.split(b"\n")
    at, to = random.randrange(len(lines)), random.randrange(len(lines))
    other = (random.choice(others) if others else data).split(b"\n")
    deed = random.randrange(4)
    if deed == 0:
        del lines[at]
    elif deed == 1:
        lines.insert(to, lines[at])
    elif deed == 2:
        lines.insert(at, random.choice(other))
    else:
        lines[at], lines[to] = lines[to], lines[at]
    return b"\n".join(lines)


_CHANGES = (
    _dropped, _repeated, _cut, _flipped, _flipped, _lengthened, _inserted, _renumbered, _renumbered, _reworded,
    _spliced,
    _lines, _lines,
)  # fmt: skip


# ---------------------------------------------------------------------- JSON


def hostile_value(random: Random) -> Any:
    """What a JSON file may hold where something else is expected."""
    return random.choice(
        (None, True, [], {}, [[]], -1, 0, 1, 1 << 31, 1 << 63, 10**30, 1e308, float("nan"), float("inf"), 0.5, "", "1",
         [0] * 300, [[0], 1], [True], ["x"], {"table": [0, 1]}, word(random), number(random))
    )  # fmt: skip


def mutated_json(random: Random, text: str) -> str:
    """JSON with one value changed, dropped, repeated or nested deep; text that is none, as text."""
    if random.random() < 0.1:
        return random.choice(("[", '{"a":', "[[[0],")) * random.choice((10, 20_000))
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return encoded(text).decode("utf-8", "ignore") + word(random)
    return json.dumps(_with_change(random, value))


def _with_change(random: Random, value: Any) -> Any:
    if not isinstance(value, (dict, list)) or not value or random.random() < 0.1:
        return hostile_value(random)
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key, deed = random.choice(keys), random.random()
    changed = value.copy()
    if deed < 0.1:
        del changed[key]
    elif deed < 0.15 and isinstance(value, list):
        changed = value * random.choice((2, 100)) if len(value) < 1000 else value
    elif deed < 0.2 and isinstance(changed, dict):
        changed[word(random)] = hostile_value(random)
    else:
        changed[key] = _with_change(random, value[key])
    return changed


# ---------------------------------------------------------------------- archives


def mutated_zip(random: Random, data: bytes, others: Sequence[bytes] = ()) -> bytes:
    """A zip archive with one member changed by its kind, lost, renamed or compressed anew; or its bytes changed."""
    if random.random() < 0.2:
        return mutated(random, data, others)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
    except Exception:  # it has been changed before
        return mutated(random, data, others)
    name, deed = random.choice(sorted(members) or [""]), random.random()
    content = members.pop(name, b"")
    if deed < 0.6:
        members[name] = _mutated_member(random, content, others)
    elif deed < 0.7:
        members[random.choice((word(random), "config.json", "layer00.npy", "a/b", "../x"))] = content
    elif deed < 0.8:
        members[name] = content + bytes(random.choice((1, 1 << 16, 1 << 22)))  # takes little room when it is packed
    packing = random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED))
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", packing) as archive:
        for key, value in members.items():
            if 0 < len(encoded(key.partition("\0")[0])) < 1 << 15:  # names that a member can have: up to a zero
                archive.writestr(key.encode("utf-8", "replace").decode(), value)
    written = bytearray(held.getvalue())
    if random.random() < 0.15:  # encrypted, of another compression, of another size: in the directory's record
        at = written.find(b"PK\x01\x02")
        field = random.choice((8, 10, 20, 24, 28, 42))
        if 0 <= at < len(written) - 46:
            written[at + field : at + field + 2] = struct.pack("<H", random.choice((1, 9, 14, 99, 0xFFFF)))
    return bytes(written)


def _mutated_member(random: Random, content: bytes, others: Sequence[bytes]) -> bytes:
    if content[:1] in (b"{", b"["):
        return encoded(mutated_json(random, content.decode("utf-8", "replace")))
    return mutated(random, content, others)


# ---------------------------------------------------------------------- protobuf


def mutated_message(random: Random, message: Any) -> None:
    """One field of a protobuf message, or of a message within it, is changed, cleared or repeated, in place."""
    filled = [(field, value) for field, value in message.ListFields()]
    inner = [(field, value) for field, value in filled if field.message_type is not None]
    if inner and random.random() < 0.8:
        field, value = random.choice(inner)
        if not field.is_repeated:
            mutated_message(random, value)
        elif random.random() < 0.15:
            value.append(value[random.randrange(len(value))])
        elif random.random() < 0.1:
            del value[random.randrange(len(value))]
        else:
            mutated_message(random, value[random.randrange(len(value))])
        return
    plain = [field for field in message.DESCRIPTOR.fields if field.message_type is None]
    chosen = [field for field, _ in filled if field.message_type is None]
    if not plain or random.random() < 0.1:
        if filled:
            message.ClearField(random.choice(filled)[0].name)
        return
    _set_field(random, message, random.choice(chosen if chosen and random.random() < 0.8 else plain))


def _set_field(random: Random, message: Any, field: Any) -> None:
    held = getattr(message, field.name)
    with suppress(ValueError, TypeError, OverflowError):  # a value that the field cannot have
        if not field.is_repeated:
            setattr(message, field.name, _field_value(random, field, held))
        elif len(held) and random.random() < 0.6:
            at = random.randrange(len(held))
            held[at] = _field_value(random, field, held[at])
        else:
            held.append(_field_value(random, field, field.default_value if field.default_value != [] else None))


def _field_value(random: Random, field: Any, held: Any) -> Any:
    if field.cpp_type == field.CPPTYPE_STRING:
        if isinstance(held, bytes) or field.type == field.TYPE_BYTES:
            return mutated(random, held if isinstance(held, bytes) else b"")
        text = held if isinstance(held, str) else ""
        changed = mutated_json(random, text) if text[:1] in ("{", "[") else random.choice((word, number))(random)
        return encoded(changed).decode("utf-8", "ignore")
    if field.cpp_type in (field.CPPTYPE_FLOAT, field.CPPTYPE_DOUBLE):
        return float(random.choice((0.0, -1.0, 1e30, float("nan"), float("inf"), 0.5)))
    return random.choice((0, 1, -1, 2, 3, 4, 7, 11, 16, 64, 1 << 20, (1 << 31) - 1, 1 << 40, 1 << 62, -(1 << 63)))
