"""ncnn's two files, written as a stream: layers as text in the .param, their weights as bytes in the .bin.

The .param is the magic number, how many layers and blobs there are, and a line for each layer: kind, name, how many
blobs it reads and makes, their names, then `key=value`; a list is `-(23300 + key)=length,values`. The .bin holds the
weights alone, in the order of the layers, little-endian; a tagged one has a word before it, 0 for float32, and behind
1 stand 256 numbers, then each weight's place among them, a byte.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np

from layoutbridge.errors import ParameterError, UnusableInputError
from layoutbridge.files import Progress, whole_files
from layoutbridge.frameworks.ncnn.graph import TABLE, NcnnLayer, Number, Stored
from layoutbridge.frameworks.rounding import codebook
from layoutbridge.inputs import read_bytes

_MAGIC = 7767517
_LIST = 23300  # added to the key of a list, which is then negative
_LARGEST_PARAM = 64 << 20  # bytes of a .param, which has a line a layer
_STORED: dict[Stored, tuple[bytes, str]] = {  # the tag of weights, and their numbers
    "float32": (bytes(4), "<f4"),
    "float16": (bytes.fromhex("476b3001"), "<f2"),
    "int8": (bytes.fromhex("384b0d00"), "i1"),
    "table": (bytes.fromhex("01000000"), "u1"),
}


def bin_beside(path: str | os.PathLike[str]) -> Path:
    """The .bin that belongs to a .param; raises `ParameterError` for another ending."""
    target = Path(path)
    if target.suffix != ".param":
        raise ParameterError(f"'{os.fspath(path)}' must end in .param: ncnn's weights go into the .bin beside it")
    return target.with_suffix(".bin")


def write_files(
    layers: Sequence[NcnnLayer],
    path: str | os.PathLike[str],
    *,
    beside: Mapping[Path, str] = MappingProxyType({}),
    progress: Progress | None = None,
) -> Path:
    """Write `layers` to `path`, which ends in .param, and their weights to the .bin beside it; whole or not at all.

    `beside` are texts that belong to them, by the files that they go into. Returns the path of the .bin. Raises
    `ParameterError` for another ending and `UnusableInputError` where the folder cannot be written; all files are then
    as they were.
    """
    weights_path = bin_beside(path)
    weights = [weight for layer in layers for weight in layer.weights]
    total, done = sum(weight.nbytes for weight in weights), 0
    try:
        with whole_files((path, weights_path, *beside)) as (temporary, temporary_weights, *others):
            temporary.write_text(text_of(layers), encoding="utf-8", newline="\n")
            for other, text in zip(others, beside.values(), strict=True):
                other.write_text(text, encoding="utf-8", newline="\n")
            with temporary_weights.open("wb") as file:
                for weight in weights:
                    tag, numbers = _STORED[weight.stored]
                    if weight.tagged:
                        done += file.write(tag)
                    chunks = weight.array.chunks()
                    if weight.stored == "table":
                        table, places = codebook(weight.array.read(), TABLE)
                        done += file.write(table.astype("<f4").tobytes())
                        chunks = iter([places])
                    for chunk in chunks:
                        done += file.write(np.ascontiguousarray(chunk, numbers).reshape(-1).view(np.uint8).data)
                        if progress is not None:
                            progress(done, total)
                    done += file.write(bytes(-done % 4))
            if done != total:
                raise AssertionError(f"the weights have {done} bytes, not {total}")
    except OSError as error:  # a full disk, most of all
        raise UnusableInputError(f"cannot write '{os.fspath(path)}': {error.strerror or error}") from None
    return weights_path


def input_shape(path: str | os.PathLike[str]) -> tuple[int, ...]:
    """The shape that a .param tells of its first input, outermost axis first; () where it tells none.

    Raises `UnusableInputError` for a file that cannot be read, and for a length that is no number from 0 on.
    """
    text = read_bytes(path, ".param", most=_LARGEST_PARAM).decode("utf-8", errors="replace")
    line = next((line for line in text.splitlines() if line.startswith("Input ")), "")
    told = dict(part.split("=", 1) for part in line.split() if "=" in part)
    lengths = [told[key] for key in ("2", "11", "1", "0") if key in told]
    wrong = next((length for length in lengths if not re.fullmatch("[0-9]{1,10}", length, re.ASCII)), None)
    if wrong is not None:
        raise UnusableInputError(f"'{os.fspath(path)}' tells an input of length {wrong[:40]!r}, which is no number")
    return tuple(map(int, lengths))


def text_of(layers: Sequence[NcnnLayer]) -> str:
    """The .param's text.

    >>> print(text_of([NcnnLayer("Input", "x", (), ("x",), {0: 2}), NcnnLayer("Clip", "y", ("x",), ("y",), {0: 0.5})]))
    7767517
    2 2
    Input x 0 1 x 0=2
    Clip y 1 1 x y 0=0.5
    """
    blobs = sum(len(layer.outputs) for layer in layers)
    lines = [str(_MAGIC), f"{len(layers)} {blobs}", *map(_line, layers)]
    return "\n".join(lines) + "\n"


def _line(layer: NcnnLayer) -> str:
    names = (layer.kind, layer.name, len(layer.inputs), len(layer.outputs), *layer.inputs, *layer.outputs)
    return " ".join([*map(str, names), *(_pair(key, value) for key, value in layer.numbers.items())])


def _pair(key: int, value: Number) -> str:
    if isinstance(value, tuple):
        return f"{-_LIST - key}={','.join([str(len(value)), *map(_number, value)])}"
    return f"{key}={_number(value)}"


def _number(value: float) -> str:
    """An integer plainly; a float in the fewest digits that give back its float32, always with a point or an e."""
    return str(value) if isinstance(value, int) else str(np.float32(value))
