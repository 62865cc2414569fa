"""A tensor as a file holds it, and what a rule makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.files import Progress

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Stored:
    """One tensor: its dtype as the format calls it, the bytes of an element (None: no whole ones, or not known).

    `start` is where its bytes begin in the file and `size` how many they are.
    """

    name: str
    dtype: str
    shape: Shape
    itemsize: int | None
    start: int
    size: int


@dataclass(frozen=True, slots=True)
class Change:
    """What is done to one tensor: `operation`, by the rule of that number (from 1 on), on `shape`, giving `result`."""

    name: str
    dtype: str
    shape: Shape
    result: Shape
    operation: Rearrangement
    rule: int
    size: int


class Checkpoint(Protocol):
    """A file, or files that belong together, with named tensors."""

    @property
    def tensors(self) -> tuple[Stored, ...]:
        """Its tensors, in the order of the file."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that it is read from."""

    @property
    def ending(self) -> str:
        """How the name of a copy ends; empty for a folder."""

    def write(self, target: Path, changes: Mapping[str, Change], progress: Progress) -> None:
        """Write it to `target` with the tensors in `changes` rearranged, all else as it is, byte by byte."""
