"""Modules that load slowly, loaded when they are first used: whoever asks for names alone does not wait for NumPy."""

from __future__ import annotations

from importlib import import_module
from typing import Any


class Late:
    """Stands for the module `name`: what is asked of it is fetched from there once.

    For modules whose annotations alone name it when they are imported, as
    `if TYPE_CHECKING: import numpy as np`, `else: np = Late("numpy")`.

    >>> Late("numpy").arange(3).tolist()
    [0, 1, 2]
    """

    def __init__(self, name: str) -> None:
        self.__name__ = name

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(import_module(self.__name__), attribute)
        setattr(self, attribute, found)
        return found
