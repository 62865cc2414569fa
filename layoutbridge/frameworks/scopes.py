"""Names in a graph: under the scope in which something is made, and each once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Scopes:
    """The scopes that are open, and how often each name was given.

    >>> scopes = Scopes()
    >>> with scopes.scope("27_reorg"):
    ...     scopes.unique("Reshape"), scopes.unique("Reshape")
    ('27_reorg/Reshape', '27_reorg/Reshape_2')
    """

    def __init__(self) -> None:
        self._open: list[str] = []
        self._given: dict[str, int] = {}

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Names of what is made within it begin with `name`."""
        self._open.append(name)
        try:
            yield
        finally:
            self._open.pop()

    @property
    def where(self) -> str:
        """The present scope, as in `27_reorg`."""
        return "/".join(self._open)

    def unique(self, name: str) -> str:
        """`name` under the present scope, with a number behind it from the second time on."""
        whole = f"{self.where}/{name}" if self._open else name
        count = self._given[whole] = self._given.get(whole, 0) + 1
        return whole if count == 1 else f"{whole}_{count}"
