"""Safetensors files, tensor by tensor; what no rule touches is copied as it lies."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from io import FileIO
from pathlib import Path
from threading import local
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.checkpoints.headers import Header, read_header
from layoutbridge.checkpoints.moving import LOADING_PAYS, Workspace, is_scattered, moved_blocks
from layoutbridge.checkpoints.stored import Change, Stored
from layoutbridge.checkpoints.transfer import AT_ONCE, Job, Transfer
from layoutbridge.errors import UnusableInputError
from layoutbridge.files import Progress
from layoutbridge.inputs import PathLike, opened, stamp_of

ENDING = ".safetensors"


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
            transfer = Transfer(source.fileno(), self.path, out, progress, self.size)
            header = self.header.with_shapes(shapes)
            transfer.write(memoryview(header), 0)
            transfer.tell(self._begin)
            shift = len(header) - self._begin
            try:
                transfer.run(self._jobs(transfer, changes, shift))
            except UnusableInputError:
                self._refuse_changed(source.fileno())  # which is why it ended too soon
                raise
            progress(self.size, self.size)
            self._refuse_changed(source.fileno())

    @property
    def _begin(self) -> int:
        """Where its tensors begin."""
        return 8 + self.header.length

    def _jobs(self, transfer: Transfer, changes: Mapping[str, Change], shift: int) -> list[Job]:
        """What is to be done; all lies `shift` bytes further on in the copy."""
        scattered = sum(
            tensor.size
            for tensor in self.tensors
            if (change := changes.get(tensor.name)) is not None
            and is_scattered(change.operation, change.shape, tensor.itemsize or 1)
        )
        kept = _Kept(loads=scattered > LOADING_PAYS)
        return [
            partial(_copy, transfer, start, size, shift)
            if tensor is None
            else partial(_move, transfer, tensor, changes[tensor.name], shift, kept)
            for start, size, tensor in self._parts(changes)
        ]

    def _parts(self, changes: Mapping[str, Change]) -> Iterator[tuple[int, int, Stored | None]]:
        """Start and size of what is copied in one go (None), and of each tensor that is moved, in their order."""
        start = self._begin
        for tensor in self.tensors:
            if tensor.name in changes:
                yield from _ranges(start, tensor.start)
                yield tensor.start, tensor.size, tensor
                start = tensor.start + tensor.size
        yield from _ranges(start, self.size)

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


def _ranges(start: int, end: int) -> Iterator[tuple[int, int, None]]:
    for first in range(start, end, AT_ONCE):
        yield first, min(AT_ONCE, end - first), None


def _copy(transfer: Transfer, start: int, size: int, shift: int) -> None:
    transfer.copy(start, size, start + shift)
    transfer.flush(start + shift, start + size + shift)


class _Kept(local):
    """What each thread keeps from tensor to tensor."""

    def __init__(self, *, loads: bool) -> None:
        self.workspace = Workspace(loads=loads)


def _move(transfer: Transfer, tensor: Stored, change: Change, shift: int, kept: _Kept) -> None:
    """Rearrange one tensor; its elements are numbers of as many bytes."""
    dtype = np.dtype(f"u{tensor.itemsize}")

    def read(array: NDArray[Any], first: int) -> None:
        transfer.read(array.data.cast("B"), tensor.start + first * dtype.itemsize)

    at = flushed = tensor.start + shift
    for block in moved_blocks(change.operation, change.shape, dtype, read, kept.workspace):
        transfer.write(block.data.cast("B"), at)
        at += block.nbytes
        transfer.tell(block.nbytes)
        if at - flushed >= AT_ONCE:
            transfer.flush(flushed, at)
            flushed = at
    transfer.flush(flushed, at)
