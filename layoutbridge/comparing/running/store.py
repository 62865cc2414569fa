"""The tensors of a run, kept on the disk: a network has more of them than fit in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class _Kept:
    file: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class Store:
    """Arrays by name, in the order in which they were put there; float64 is kept as float32.

    `others` are in it from the start, as long as their own store is there.
    """

    def __init__(self, folder: Path, others: Mapping[str, _Kept] = MappingProxyType({})) -> None:
        self._folder = folder
        self._kept = dict(others)
        self._written = 0

    def put(self, name: str, values: NDArray[Any]) -> None:
        """Keep an array; one of the same name is replaced."""
        held = np.asarray(values)
        if held.dtype == np.float64:
            held = held.astype(np.float32)
        file = self._folder / str(self._written)
        self._written += 1
        np.ascontiguousarray(held).tofile(file)
        if name in self._kept and self._kept[name].file.parent == self._folder:
            self._kept[name].file.unlink()
        self._kept[name] = _Kept(file, held.shape, held.dtype)

    def get(self, name: str) -> NDArray[Any]:
        """The array, read from the disk: whoever has it holds it alone. Raises `KeyError`."""
        kept = self._kept[name]
        return np.fromfile(kept.file, kept.dtype).reshape(kept.shape)

    def size(self, name: str) -> int:
        """How many elements it has. Raises `KeyError`."""
        return prod(self._kept[name].shape)

    def of(self, names: Iterable[str]) -> Mapping[str, _Kept]:
        """Some of its arrays, for another store."""
        return {name: self._kept[name] for name in names}

    def __contains__(self, name: str) -> bool:
        return name in self._kept

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)


@contextmanager
def stored(others: Mapping[str, _Kept] = MappingProxyType({})) -> Iterator[Store]:
    """A store that goes with the block, with `others` in it.

    >>> with stored() as store:
    ...     store.put("a", np.arange(3))
    ...     list(store), int(store.get("a")[2])
    (['a'], 2)
    """
    with tempfile.TemporaryDirectory(prefix="layoutbridge-") as folder:
        yield Store(Path(folder), others)
