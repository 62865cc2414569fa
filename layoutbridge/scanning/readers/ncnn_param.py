"""The text of an ncnn .param file as layers: bounded, and every fault told with its line."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from layoutbridge.errors import UnusableInputError, counted, shown
from layoutbridge.inputs import PathLike, read_bytes
from layoutbridge.scanning.graphs.limits import refuse_more_nodes

Value = int | float | str | tuple[int | float, ...]
ABSENT = -233  # what ncnn takes for a number that is not given
_MAGIC = "7767517"
_MOST_BYTES = 64_000_000
_MOST_BLOBS = 1_000  # of one layer
_LONGEST_NAME = 255  # characters that ncnn reads
_FIRST_ARRAY = -23300  # an older file has the array of key 3 under -23303, its length in front
_PAIR = re.compile(r'(-?[0-9]{1,6})=("[^"]*"|\S+)')
_WHOLE = re.compile(r"[+-]?[0-9]{1,10}")
_LARGEST = 1 << 31


class MisfitError(Exception):
    """What a layer cannot be at its shapes: its message says why."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One line of the file: blobs by name, numbers under ncnn's keys."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    values: Mapping[int, Value]
    line: int

    def whole(self, key: int, default: int = 0) -> int:
        """The whole number under `key`; raises `MisfitError` where another value is there."""
        value = self.values.get(key, default)
        if not isinstance(value, int):
            raise MisfitError(f"{key}={shown(value)} is no whole number")
        return value

    def number(self, key: int, default: float = 0.0) -> float:
        """The number under `key`."""
        value = self.values.get(key, default)
        if isinstance(value, (str, tuple)):
            raise MisfitError(f"{key}={shown(value)} is no number")
        return float(value)

    def wholes(self, key: int) -> tuple[int, ...]:
        """The array of whole numbers under `key`, empty where there is none."""
        value = self.values.get(key, ())
        if not isinstance(value, tuple):
            value = (value,) if isinstance(value, int) else ()
        if not all(isinstance(entry, int) for entry in value):
            raise MisfitError(f"{key}={shown(value)} are no whole numbers")
        return tuple(int(entry) for entry in value)

    def text(self, key: int) -> str:
        """The text under `key`, empty where there is none; a formula of one number is a number."""
        value = self.values.get(key, "")
        return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def read_layers(path: PathLike) -> tuple[tuple[Layer, ...], int]:
    """The layers of a .param file, in order, and how many lines behind them ncnn does not read.

    Each reads what a layer before it gives. Raises `UnusableInputError` with the line for what ncnn would not read.

    >>> import tempfile
    >>> from pathlib import Path
    >>> file = Path(tempfile.mkdtemp()) / "net.param"
    >>> _ = file.write_text("7767517\\n2 2\\nInput in 0 1 x 0=4 1=4 2=8\\nReorg moved 1 1 x y 0=2\\n")
    >>> [(layer.kind, layer.outputs, layer.values) for layer in read_layers(file)[0]]
    [('Input', ('x',), {0: 4, 1: 4, 2: 8}), ('Reorg', ('y',), {0: 2})]
    """
    try:
        text = read_bytes(path, ".param file", most=_MOST_BYTES).decode("utf-8")
    except UnicodeDecodeError:
        raise UnusableInputError(f"'{os.fspath(path)}' is no text: give ncnn's .param, not a .param.bin") from None
    lines = [(number, line.strip()) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not lines or lines[0][1] != _MAGIC:
        found = shown(lines[0][1]) if lines else "nothing"
        raise UnusableInputError(f"'{os.fspath(path)}' is no .param of ncnn: its first line is {found}, not {_MAGIC}")
    if len(lines) == 1:
        raise _fault(path, lines[0][0], "the file ends where the numbers of layers and blobs should stand")
    count = _layer_count(path, *lines[1])
    if not 0 <= count <= len(lines) - 2:
        raise _fault(path, lines[1][0], f"it says {counted(count, 'layer')}, and the file has {len(lines) - 2}")
    refuse_more_nodes(path, count)
    layers = tuple(_layer(path, number, line) for number, line in lines[2 : count + 2])
    _check_blobs(path, layers)
    return layers, len(lines) - 2 - count


def _fault(path: PathLike, line: int, told: str) -> UnusableInputError:
    return UnusableInputError(f"'{os.fspath(path)}', line {line}: {told}")


def _layer_count(path: PathLike, number: int, line: str) -> int:
    words = line.split()
    if len(words) != 2 or not all(_WHOLE.fullmatch(word) for word in words):
        raise _fault(path, number, f"{shown(line)} should be the numbers of layers and blobs")
    return int(words[0])


def _layer(path: PathLike, number: int, line: str) -> Layer:
    words = line.split(maxsplit=4)
    if len(words) < 4 or not all(_WHOLE.fullmatch(word) for word in words[2:4]):
        raise _fault(path, number, f"{shown(line)} should be a layer: its type, name, numbers of inputs and outputs")
    kind, name, taken, given = words[0], words[1], int(words[2]), int(words[3])
    if not (0 <= taken <= _MOST_BLOBS and 0 <= given <= _MOST_BLOBS):
        raise _fault(
            path, number, f"it has {counted(taken, 'input')} and {counted(given, 'output')}: {_MOST_BLOBS} at most"
        )
    rest = words[4] if len(words) == 5 else ""
    parts = rest.split(maxsplit=taken + given) if taken + given else [rest]
    blobs = parts[: taken + given]
    longest = max(map(len, (kind, name, *blobs)))
    if longest > _LONGEST_NAME:
        raise _fault(path, number, f"a name has {longest} characters, and may have {_LONGEST_NAME}")
    if len(blobs) < taken + given:
        raise _fault(
            path,
            number,
            f"{kind} {name} has {len(blobs)} blobs of {counted(taken, 'input')} and {counted(given, 'output')}",
        )
    values = _values(path, number, parts[taken + given] if len(parts) > taken + given else "")
    return Layer(kind, name, tuple(blobs[:taken]), tuple(blobs[taken:]), values, number)


def _values(path: PathLike, number: int, text: str) -> dict[int, Value]:
    left = _PAIR.sub("", text).strip()
    if left:
        raise _fault(path, number, f"{shown(left)} is no key=value")
    values: dict[int, Value] = {}
    for key, word in _PAIR.findall(text):
        try:
            place, value = _entry(int(key), word)
        except ValueError:
            raise _fault(path, number, f"{key}={shown(word)} is no number, array or text of ncnn") from None
        values[place] = value
    return values


def _entry(key: int, word: str) -> tuple[int, Value]:
    """One pair; `ValueError` where ncnn would not read it."""
    if key <= _FIRST_ARRAY:
        count, *entries = word.split(",")
        if int(count) != len(entries):
            raise ValueError(word)
        return _FIRST_ARRAY - key, tuple(map(_number, entries))
    if key < 0:
        raise ValueError(word)
    if word[0].isalpha() or word[0] == '"' or "(" in word or re.search(r"[0-9][whdcn]\b", word):
        return key, word.strip('"')
    if "," in word:
        return key, tuple(_number(entry) for entry in word.split(",") if entry)
    return key, _number(word)


def _number(word: str) -> int | float:
    if not re.fullmatch(r"[+-]?[0-9]+", word):
        return float(word)
    if not -_LARGEST <= int(word) < _LARGEST:
        raise ValueError(word)
    return int(word)


def _check_blobs(path: PathLike, layers: tuple[Layer, ...]) -> None:
    made: dict[str, int] = {}
    for layer in layers:
        for name in layer.inputs:
            if name not in made:
                told = f"{layer.kind} {layer.name} reads {shown(name)}, which no layer before it gives"
                raise _fault(path, layer.line, told)
        for name in layer.outputs:
            if name in made:
                told = f"{layer.kind} {layer.name} gives {shown(name)}, as line {made[name]} does"
                raise _fault(path, layer.line, told)
            made[name] = layer.line
