"""Warnings of a file: the first thousand, and how many more there were. A file of megabytes may earn millions."""

from __future__ import annotations

from collections.abc import Iterable

MOST_KEPT = 1_000


class Warnings(tuple[str, ...]):
    """Warnings, one line each, in the order in which they were found; `left_out` is how many more there were.

    >>> few = Warnings(["one", "two"], 3)
    >>> few, few.left_out
    (('one', 'two'), 3)
    >>> (few + Warnings(["three"], 1)).left_out
    4
    """

    left_out: int

    def __new__(cls, lines: Iterable[str] = (), left_out: int = 0) -> Warnings:
        """As the class says."""
        made = super().__new__(cls, lines)
        made.left_out = left_out
        return made

    def __add__(self, others: tuple[str, ...]) -> Warnings:  # type: ignore[override]
        """Both, counted together."""
        return Warnings((*self, *others), self.left_out + (others.left_out if isinstance(others, Warnings) else 0))


class Collected(list[str]):
    """Warnings while they are found: those behind the first `MOST_KEPT` are counted and not kept."""

    def __init__(self, found: Iterable[str] = ()) -> None:
        super().__init__(found)
        self.left_out = found.left_out if isinstance(found, Warnings) else 0

    @property
    def is_full(self) -> bool:
        """Whether one more would only be counted."""
        return len(self) >= MOST_KEPT

    def append(self, line: str) -> None:
        """Keep or count one more."""
        if self.is_full:
            self.left_out += 1
        else:
            super().append(line)

    def amend(self, place: int, more: str) -> None:
        """Put `more` behind the line at `place`, if it is kept."""
        if place < len(self):
            self[place] += more

    def told(self) -> Warnings:
        """All of them."""
        return Warnings(self, self.left_out)


NO_WARNINGS = Warnings()
