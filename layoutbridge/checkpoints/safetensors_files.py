"""Safetensors files, one tensor at a time; what no rule touches is copied by the system, as it lies."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.checkpoints.headers import Header, read_header
from layoutbridge.checkpoints.moving import moved_blocks
from layoutbridge.checkpoints.stored import Change, Stored
from layoutbridge.errors import UnusableInputError
from layoutbridge.files import Progress
from layoutbridge.inputs import PathLike, opened, stamp_of

ENDING = ".safetensors"
_COPIED_AT_ONCE = 64 << 20  # bytes, so that progress shows and a signal is heeded
_BUFFER = 8 << 20


@dataclass(frozen=True)
class SafetensorsFile:
    """A safetensors file whose header was read; `stamp` tells whether it is still the same one."""

    path: Path
    header: Header
    size: int
    stamp: tuple[int, int, int]

    @property
    def tensors(self) -> tuple[Stored, ...]:
        """Its tensors, in the order of the file."""
        return self.header.tensors

    @property
    def files(self) -> tuple[Path, ...]:
        """The file itself."""
        return (self.path,)

    @property
    def ending(self) -> str:
        """Of its name, and of a copy's."""
        return ENDING

    def write(self, target: Path, changes: Mapping[str, Change], progress: Progress) -> None:
        """Write it to `target` with the tensors in `changes` rearranged, all else as it is, byte by byte.

        Raises `UnusableInputError` where the file is another one by now, or cannot be read, and `OSError` for what
        cannot be written.
        """
        shapes = {name: change.result for name, change in changes.items() if change.result != change.shape}
        with opened(self.path) as source, FileIO(target, "w") as out:
            self._refuse_changed(source.fileno())
            _write_all(out, memoryview(self.header.with_shapes(shapes)))
            done = 8 + self.header.length  # the input's, of which progress tells
            for start, size, tensor in self._parts(changes):
                if tensor is None:
                    for count in _copied(source.fileno(), start, size, out):
                        done += count
                        progress(done, self.size)
                    continue
                change = changes[tensor.name]
                reader = _Reader(source.fileno(), tensor, self.path)
                for block in moved_blocks(change.operation, change.shape, reader.dtype, reader):
                    done += _write_all(out, block.data.cast("B"))
                    progress(done, self.size)
            self._refuse_changed(source.fileno())

    def _parts(self, changes: Mapping[str, Change]) -> Iterator[tuple[int, int, Stored | None]]:
        """Start and size of what is copied in one go (None), and of each tensor that is moved."""
        start = 8 + self.header.length
        for tensor in self.tensors:
            if tensor.name in changes:
                yield start, tensor.start - start, None
                yield tensor.start, tensor.size, tensor
                start = tensor.start + tensor.size
        yield start, self.size - start, None

    def _refuse_changed(self, descriptor: int) -> None:
        if stamp_of(os.fstat(descriptor)) != self.stamp:
            raise UnusableInputError(f"'{self.path}' changed while it was read: start again when it is written")


def read_safetensors(path: PathLike) -> SafetensorsFile:
    """The safetensors file at `path`, of which only the header is read; raises as `read_header` does."""
    with opened(path, "safetensors file") as file:
        status = os.fstat(file.fileno())
        return SafetensorsFile(
            Path(path), read_header(file, status.st_size, os.fspath(path)), status.st_size, stamp_of(status)
        )


@dataclass(frozen=True)
class _Reader:
    """Fills arrays with a tensor's elements, as numbers of the same bytes."""

    descriptor: int
    tensor: Stored
    path: Path

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(f"u{self.tensor.itemsize}")

    def __call__(self, array: NDArray[Any], first: int) -> None:
        view = array.data.cast("B")
        at = self.tensor.start + first * array.itemsize
        while view:
            count = _read_at(self.descriptor, view, at)
            if count == 0:
                raise UnusableInputError(f"'{self.path}' ends within tensor '{self.tensor.name[:80]}': copy it again")
            view, at = view[count:], at + count


def _read_at(descriptor: int, view: memoryview, at: int) -> int:
    if hasattr(os, "preadv"):
        return os.preadv(descriptor, [view[: 1 << 30]], at)
    os.lseek(descriptor, at, os.SEEK_SET)  # Windows
    content = os.read(descriptor, min(len(view), _BUFFER))
    view[: len(content)] = content
    return len(content)


def _write_all(out: FileIO, view: memoryview) -> int:
    """Write all of it; a system may take less at once."""
    size = len(view)
    while view:
        view = view[out.write(view) or 0 :]
    return size


def _copied(source: int, start: int, size: int, out: FileIO) -> Iterator[int]:
    """Copy bytes to the end of `out`, by the system where it can; yields how many each time."""
    by_system = hasattr(os, "copy_file_range")
    end = start + size
    while start < end:
        count = 0
        if by_system:
            try:
                count = os.copy_file_range(source, out.fileno(), min(end - start, _COPIED_AT_ONCE), start)
            except OSError:  # between file systems, or of one that cannot
                by_system = False
        if count == 0:
            by_system = False
            view = memoryview(bytearray(min(end - start, _BUFFER)))
            count = _read_at(source, view, start)
            if count == 0:
                raise UnusableInputError("the file ends before its tensors do: copy it again")
            _write_all(out, view[:count])
        start += count
        yield count
