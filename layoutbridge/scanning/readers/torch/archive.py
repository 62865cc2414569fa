"""An exported program in its file: the JSON of its graph, and the small constants. Nothing that it pickles is read.

PyTorch's own reader unpickles parts of a file and evaluates others, which would run a stranger's code.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from math import prod
from typing import Any
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from layoutbridge.archives import checked_zip
from layoutbridge.errors import UnusableInputError, class_and_first_line
from layoutbridge.inputs import PathLike, file_size, refuse_costly

_TIMES_IN_MEMORY = 12  # what JSON takes when it is read
_LARGEST_CONSTANT = 1 << 24  # bytes
_OLD_NAME = "serialized_exported_program.json"
DTYPES = {
    1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32", 8: "float64",
    10: "complex64", 11: "complex128", 12: "bool", 13: "bfloat16", 28: "uint16",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Archive:
    """A program as its file has it: `content` is the JSON of the whole, `constants` those that lie in it unpickled."""

    path: str
    content: dict[str, Any]
    constants: dict[str, NDArray[Any]]


def read_archive(path: PathLike) -> Archive:
    """The program in the .pt2 file at `path`.

    Raises `UnusableInputError` for what is no such file, holds several programs or none, or would take more memory than
    it is worth.

    >>> read_archive("net.cfg")
    Traceback (most recent call last):
    ...
    layoutbridge.errors.UnusableInputError: there is no .pt2 file 'net.cfg'
    """
    told = os.fspath(path)
    size = file_size(path, ".pt2 file")
    members = {member.filename: member for member in checked_zip(path, ".pt2 file")}
    programs = [name for name in members if _is_program(name)]
    if len(programs) != 1:
        raise UnusableInputError(
            f"'{told}' holds {len(programs)} exported programs, and one is read: write it with torch.export.save"
        )
    refuse_costly(_TIMES_IN_MEMORY * members[programs[0]].file_size, size, f"'{told}'")
    try:
        with ZipFile(path) as archive:
            content = json.loads(archive.read(programs[0]))
            if not isinstance(content["graph_module"]["graph"]["nodes"], list):
                raise TypeError("its nodes are no list")
            constants = _constants(archive, members)
    except Exception as error:  # whatever reading a broken file runs into
        raise UnusableInputError(
            f"'{told}' is no whole exported program ({class_and_first_line(error)}): write it again"
        ) from None
    return Archive(told, content, constants)


def _is_program(name: str) -> bool:
    folders = name.split("/")
    return (name.endswith(".json") and folders[-2:-1] == ["models"]) or folders[-1] == _OLD_NAME


def _constants(archive: ZipFile, members: dict[str, Any]) -> dict[str, NDArray[Any]]:
    """The constants by their names; those that are pickled, large or no plain array are left out."""
    ending = "constants_config.json"
    held: dict[str, NDArray[Any]] = {}
    for name in [name for name in members if name.endswith(ending)]:
        folder = name.rpartition("/")[0]
        for key, told in json.loads(archive.read(name))["config"].items():
            member = members.get(f"{folder}/{told['path_name']}")
            if told.get("use_pickle") or not told.get("tensor_meta") or member is None:
                continue
            if member.file_size <= _LARGEST_CONSTANT:
                made = _array(archive.read(member), told["tensor_meta"])
                if made is not None:
                    held[key] = made
    return held


def _array(content: bytes, meta: dict[str, Any]) -> NDArray[Any] | None:
    dtype = DTYPES.get(meta["dtype"])
    if dtype in (None, "bfloat16"):
        return None
    shape, strides = (tuple(each["as_int"] for each in meta[key]) for key in ("sizes", "strides"))
    flat = np.frombuffer(content, dtype)
    offset = meta["storage_offset"]["as_int"]
    reach = offset + sum((length - 1) * step for length, step in zip(shape, strides, strict=True))
    if prod(shape) > _LARGEST_CONSTANT or min((*shape, *strides, offset), default=0) < 0:
        return None
    if prod(shape) and reach >= len(flat):
        return None
    steps = [step * flat.itemsize for step in strides]
    return np.array(np.lib.stride_tricks.as_strided(flat[offset:], shape, steps))
