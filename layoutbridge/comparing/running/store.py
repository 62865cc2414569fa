"""The tensors of a run, kept on the disk: a network has more of them than fit in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class _Kept:
    file: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


class Store:
    """Arrays by name, in the order in which they were put there; float64 is kept as float32."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept: dict[str, _Kept] = {}
        self._written = 0

    def put(self, name: str, values: NDArray[Any]) -> None:
        """Keep an array; one of the same name is replaced."""
        held = np.asarray(values)
        if held.dtype == np.float64:
            held = held.astype(np.float32)
        file = self._folder / str(self._written)
        self._written += 1
        np.ascontiguousarray(held).tofile(file)
        if name in self._kept:
            self._kept[name].file.unlink()
        self._kept[name] = _Kept(file, held.shape, held.dtype)

    def get(self, name: str) -> NDArray[Any]:
        """The array, read from the disk: whoever has it holds it alone. Raises `KeyError`."""
        kept = self._kept[name]
        return np.fromfile(kept.file, kept.dtype).reshape(kept.shape)

    def size(self, name: str) -> int:
        """How many elements it has. Raises `KeyError`."""
        return prod(self._kept[name].shape)

    def __contains__(self, name: str) -> bool:
        return name in self._kept

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)


@contextmanager
def stored() -> Iterator[Store]:
    """A store that goes with the block.

    >>> with stored() as store:
    ...     store.put("a", np.arange(3))
    ...     list(store), int(store.get("a")[2])
    (['a'], 2)
    """
    with tempfile.TemporaryDirectory(prefix="layoutbridge-") as folder:
        yield Store(Path(folder))
