"""NumPy's archives of arrays, one member at a time; pickled objects are copied and never loaded."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from math import prod
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any
from zipfile import BadZipFile, ZipFile, ZipInfo
from zlib import error as ZlibError

import numpy as np
from numpy.lib import format as npy

from layoutbridge.archives import checked_zip
from layoutbridge.checkpoints.stored import Change, Stored
from layoutbridge.errors import UnusableInputError
from layoutbridge.files import Progress
from layoutbridge.inputs import PathLike, opened, stamp_of

ENDING = ".npz"
_ARRAY = ".npy"
_BUFFER = 1 << 20
# What zipfile and NumPy raise for what is none: NumPy has Python's tokenizer read headers of old versions.
_BROKEN = (BadZipFile, ZlibError, EOFError, ValueError, SyntaxError, TokenError, TypeError, NotImplementedError)
_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


@dataclass(frozen=True)
class NpzFile:
    """An archive of arrays whose members' headers were read."""

    path: Path
    members: tuple[ZipInfo, ...]
    arrays: Mapping[str, Stored]  # by the members' names
    stamp: tuple[int, int, int]

    @property
    def tensors(self) -> tuple[Stored, ...]:
        """Its arrays, in the order of the archive."""
        return tuple(self.arrays.values())

    @property
    def files(self) -> tuple[Path, ...]:
        """The file itself."""
        return (self.path,)

    @property
    def ending(self) -> str:
        """Of its name, and of a copy's."""
        return ENDING

    def write(self, target: Path, changes: Mapping[str, Change], progress: Progress) -> None:
        """Write it to `target` with the arrays in `changes` rearranged; other members' contents as they are.

        Raises `UnusableInputError` where the file is another one by now or a member is broken, and `OSError` for what
        cannot be written.
        """
        total, done = sum(member.file_size for member in self.members), 0
        with opened(self.path, "archive") as file, _reading(self.path):
            if stamp_of(os.fstat(file.fileno())) != self.stamp:
                raise UnusableInputError(f"'{self.path}' changed while it was read: start again when it is written")
            with ZipFile(file) as source, ZipFile(target, "w") as out:
                out.comment = source.comment
                for member in self.members:
                    array = self.arrays.get(member.filename)
                    change = None if array is None else changes.get(array.name)
                    with source.open(member) as content, out.open(_again(member), "w", force_zip64=True) as written:
                        if change is None:
                            shutil.copyfileobj(content, written, _BUFFER)
                        else:
                            _write_moved(content, written, change)
                    done += member.file_size
                    progress(done, total)


def read_npz(path: PathLike) -> NpzFile:
    """The archive at `path`, of whose members only the headers are read.

    Raises `UnusableInputError` as `checked_zip` does, and for an array that is no whole one.
    """
    with opened(path, "archive") as file, _reading(path):
        stamp = stamp_of(os.fstat(file.fileno()))
        members = checked_zip(path, "archive of arrays")
        arrays: dict[str, Stored] = {}
        with ZipFile(file) as archive:
            for member in members:
                if member.filename.endswith(_ARRAY):
                    with archive.open(member) as content:
                        arrays[member.filename] = _stored(content, member)
        return NpzFile(Path(path), members, arrays, stamp)


@contextmanager
def _reading(path: PathLike) -> Iterator[None]:
    """What is wrong with an archive, told in one line."""
    try:
        yield
    except UnusableInputError:
        raise
    except _BROKEN as error:
        raise UnusableInputError(f"'{os.fspath(path)}' is no whole archive of arrays: {str(error)[:200]}") from None


def _stored(content: IO[bytes], member: ZipInfo) -> Stored:
    """What a member's header says; raises `ValueError` where it does not fit the member."""
    shape, dtype = _read_header(content)[1:3]
    held = member.file_size - content.tell()
    if not dtype.hasobject and prod(shape) * dtype.itemsize != held:
        raise ValueError(f"{member.filename[:80]} has {held} bytes for {dtype} of shape {list(shape)}")
    itemsize = None if dtype.hasobject else dtype.itemsize
    name = member.filename.removesuffix(_ARRAY)
    return Stored(name, str(dtype)[:80], tuple(shape), itemsize, member.header_offset, member.file_size)


def _read_header(content: IO[bytes]) -> tuple[tuple[int, int], tuple[int, ...], np.dtype[Any], bool]:
    version = npy.read_magic(content)
    if version not in _HEADERS:
        raise ValueError(f"an array of format {'.'.join(map(str, version))} is not read")
    shape, fortran_order, dtype = _HEADERS[version](content)
    if any(type(length) is not int or length < 0 for length in shape):
        raise ValueError(f"an array has a shape that is none: {str(shape)[:80]}")
    return version, shape, dtype, fortran_order


def _write_moved(content: IO[bytes], written: IO[bytes], change: Change) -> None:
    version, shape, dtype, fortran_order = _read_header(content)
    held = np.frombuffer(content.read(), dtype)
    array = held.reshape(shape[::-1]).T if fortran_order else held.reshape(shape)
    result = change.operation(array)
    npy.write_array(written, np.asfortranarray(result) if fortran_order else result, version, allow_pickle=False)


def _again(member: ZipInfo) -> ZipInfo:
    """What a copy of the member says of itself."""
    made = ZipInfo(member.filename, member.date_time)
    for attribute in ("compress_type", "comment", "create_system", "external_attr", "internal_attr"):
        setattr(made, attribute, copy(getattr(member, attribute)))
    return made
