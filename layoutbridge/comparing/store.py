"""The tensors of a run, kept on the disk: a network has more of them than fit in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Store:
    """Arrays by name, in the order in which they were put there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, Path] = {}
        self._written = 0

    def put(self, name: str, values: NDArray[Any]) -> None:
        """Keep an array; one of the same name is replaced."""
        file = self._folder / f"{self._written}.npy"
        self._written += 1
        np.save(file, np.ascontiguousarray(values))
        if name in self._files:
            self._files[name].unlink()  # whoever looks at it still can
        self._files[name] = file

    def get(self, name: str) -> NDArray[Any]:
        """The array, as it lies on the disk: only what is looked at comes into memory. Raises `KeyError`."""
        array: NDArray[Any] = np.load(self._files[name], mmap_mode="r")
        return array

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)


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
