"""The classes' names in a file, one a line, in whatever encoding an editor left them.

A mark at the start tells UTF-8 and UTF-16; zeros at every second place UTF-16 without one; and what can be read as
UTF-8 is that. What is left holds one of the encodings that editors on Windows write: two bytes for each letter as GBK
has for the commonest Chinese ones, else Windows-1252. Programs that guess by statistics need more text than a list of
names has: of fourteen short ones in GBK, Windows-1252 and UTF-16, charset-normalizer read six.
"""

from __future__ import annotations

import codecs
import os
import warnings
from collections.abc import Mapping, Sequence

from layoutbridge.errors import UnusableInputError, shown
from layoutbridge.inputs import read_bytes

Names = Sequence[str] | Mapping[int, str] | str | os.PathLike[str]
_LARGEST = 4 << 20  # bytes; a list of names takes ten times that in memory
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins as UTF-16's does
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_TOLD = {"utf-16-le": "UTF-16", "utf-16-be": "UTF-16", "gbk": "GBK", "cp1252": "Windows-1252"}
_COMMON_FIRST = range(0xB0, 0xD8)  # first bytes of the 3,755 commonest letters of GBK, sorted by sound
_SIGNS_FIRST = range(0xA1, 0xAA)  # of brackets, commas and the like
_COMMON_SHARE = 0.7  # of the letters of two bytes, above which a text is Chinese
_SAMPLE = 1 << 16  # bytes
_BLANKS = "\t\n\r\f\v"


class GuessedEncoding(UserWarning):
    """The names in a file are in no UTF-8, and were read in the encoding that is most likely."""


def read_names(path: str | os.PathLike[str]) -> list[str]:
    """The classes' names, one a line; empty lines at the end do not count.

    They may be in UTF-8, UTF-16, GBK or Windows-1252; where that is guessed it is told as a warning, `GuessedEncoding`.
    Raises `UnusableInputError` for what is no text in any of these.
    """
    content = read_bytes(path, "file of names", most=_LARGEST, pipe=True)
    return [line.strip() for line in text_of(content, path, "names of classes").rstrip().splitlines()]


def text_of(content: bytes, path: str | os.PathLike[str], what: str) -> str:
    """The `content` of the file `path`, in whatever encoding it is; a guessed one is told, as `GuessedEncoding`.

    Raises `UnusableInputError` where it is no text, and thus not `what` is wanted.
    """
    source = os.fspath(path)
    text, guessed = decode(content)
    if text is None or "\0" in text or (guessed and any(char < " " and char not in _BLANKS for char in text)):
        raise UnusableInputError(f"'{source}' holds no {what}: it is no text")
    if guessed is not None:
        told = f"'{source}' is not in UTF-8: it is read as {_TOLD[guessed]}; save it in UTF-8 if names look wrong"
        warnings.warn(told, GuessedEncoding, stacklevel=3)
    return text


def listed_names(names: Names) -> Sequence[str]:
    """They as a list: of a file, or by number from 0 on, as Ultralytics' models have them.

    Raises `UnusableInputError` as `read_names` does, and for numbers that leave some out.

    >>> listed_names({1: "cat", 0: "dog"})
    ['dog', 'cat']
    """
    if isinstance(names, str | os.PathLike):
        return read_names(names)
    if not isinstance(names, Mapping):
        return names
    if {*names} != {*range(len(names))}:
        raise UnusableInputError(f"{len(names)} names by number go from 0 to {len(names) - 1}, not {shown([*names])}")
    return [names[number] for number in range(len(names))]


def decode(content: bytes) -> tuple[str | None, str | None]:
    """The text, None where it is none; and its encoding where that was guessed.

    >>> decode("café".encode()), decode("café".encode("cp1252")), decode("汽车".encode("gbk"))
    (('café', None), ('café', 'cp1252'), ('汽车', 'gbk'))
    """
    for mark, name in _MARKS:
        if content.startswith(mark):
            return _read(content.removeprefix(mark), name), None
    wide = _is_wide(content)
    if wide is not None:
        text = _read(content, wide)
        return text, None if text is None else wide
    text = _read(content, "utf-8")
    if text is not None:
        return text, None
    for name in ("gbk", "cp1252") if _is_chinese(content[:_SAMPLE]) else ("cp1252",):
        text = _read(content, name)
        if text is not None:
            return text, name
    return None, None


def _read(content: bytes, encoding: str) -> str | None:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        return None


def _is_wide(content: bytes) -> str | None:
    """UTF-16, where a byte of the line ends and of plain letters is zero: nearly always the same one of two."""
    even, odd = content[::2].count(0), content[1::2].count(0)
    if len(content) % 2 or even == odd:
        return None
    name = "utf-16-le" if odd > even else "utf-16-be"
    text = _read(content, name)
    return None if text is None or "\0" in text else name


def _is_chinese(content: bytes) -> bool:
    """Whether the bytes over 127 come in pairs, most of which are common Chinese letters."""
    pairs = common = place = 0
    while place < len(content):
        if content[place] < 0x80:
            place += 1
            continue
        second = content[place + 1] if place + 1 < len(content) else 0
        if second < 0x40 or second == 0x7F:
            return False
        if content[place] not in _SIGNS_FIRST:
            pairs += 1
            common += content[place] in _COMMON_FIRST and second >= 0xA1
        place += 2
    return 0 < pairs * _COMMON_SHARE <= common
