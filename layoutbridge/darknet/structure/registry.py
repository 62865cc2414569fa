"""How a stage's functions come to stand under the kinds that they are for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from layoutbridge.darknet.structure.settings import Settings

Function = TypeVar("Function")


def register(functions: dict[str, Function], kinds: Iterable[type[Settings]], function: Function) -> None:
    """Add `function` for each of `kinds`; `AssertionError` for a kind that has one already."""
    for kind in kinds:
        if kind.kind in functions:
            raise AssertionError(f"[{kind.kind}] has a function in this stage already")
        functions[kind.kind] = function
