"""What a surface is here: a reader that takes bytes from strangers, and what draws such bytes for it.

A surface more is one function, `(data, folder) -> None`, under `@surface(...)`: it hands `data` to a reader, in a file
in `folder` where the reader wants one. It may return, and it may raise a `LayoutBridgeError`; anything else is a find.
Not a test itself.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from random import Random

from layoutbridge.errors import LayoutBridgeError
from tests.fuzzing.mutation import mutated

CORPORA = Path(__file__).resolve().parents[2] / "fixtures" / "fuzz"
_KINDS = ("texts", "checkpoints", "networks", "graphs", "models", "commands")
_MODULES = tuple(f"tests.fuzzing.{name}" for name in _KINDS)
BESIDE = "tests.fuzzing.exports"
_LONGEST_LINE = 2000  # characters of an error
_MOST_LINES = 21  # of a cfg's

Read = Callable[[bytes, Path], object]  # False: it refused the input
Draw = Callable[[Random], bytes]
Mutate = Callable[[Random, bytes, Sequence[bytes]], bytes]


class UnclearError(AssertionError):
    """An error of ours that is no clear one: too long, of several lines, or with characters that steer a terminal."""


@dataclass(frozen=True)
class Surface:
    """A reader under test.

    `read` hands it an input; `draw` makes a new one, and `mutate` another of one there is; without `draw` inputs come
    from the corpus alone, the files in `fixtures/fuzz/NAME/`. `ending` is that of its inputs' files, `needs` are the
    modules without which it cannot run, `share` says how much of the time it gets, and `loud` that a library of others
    may print what it thinks of an input, which is no find then.
    """

    name: str
    read: Read
    ending: str
    draw: Draw | None
    mutate: Mutate
    needs: tuple[str, ...]
    share: float
    loud: bool

    @cached_property
    def corpus(self) -> tuple[bytes, ...]:
        """The inputs that are kept in the repository, in the order of their names."""
        return tuple(path.read_bytes() for path in sorted((CORPORA / self.name).glob("*")))

    @property
    def module(self) -> str:
        """The module that it is written in."""
        return self.read.__module__

    @property
    def missing(self) -> str | None:
        """A module that it needs and that is not installed."""
        return next((name for name in self.needs if importlib.util.find_spec(name) is None), None)

    def new(self, random: Random) -> bytes:
        """An input: drawn, or one of the corpus, changed or not."""
        if self.draw is not None and (not self.corpus or random.random() < 0.6):
            drawn = self.draw(random)
            return drawn if random.random() < 0.6 else self.mutate(random, drawn, self.corpus)
        return self.mutate(random, random.choice(self.corpus or (b"",)), self.corpus)

    def check(self, data: bytes, folder: Path) -> bool:
        """Whether the reader takes `data`; False where it refuses it clearly. Anything else is raised."""
        try:
            return self.read(data, folder) is not False
        except LayoutBridgeError as error:
            refuse_unclear(str(error), _MOST_LINES)
            return False


def refuse_unclear(text: str, most_lines: int, quoted: int = 0) -> None:
    """Raise `UnclearError` where `text` is not what a terminal can show on so many lines.

    `quoted` are the characters that it may repeat of what the caller typed.
    """
    lines = text.split("\n")
    longest = _LONGEST_LINE + 10 * quoted  # a character is as many where it is escaped
    wrong = [line for line in lines if not line or not line.isprintable() or len(line) > longest]
    if wrong or len(lines) > most_lines:
        raise UnclearError(f"{len(lines)} lines, of which these are none: {[line[:300] for line in wrong[:3]]}")


_SURFACES: list[Surface] = []


def surface(
    ending: str,
    draw: Draw | None = None,
    *,
    mutate: Mutate = mutated,
    needs: Sequence[str] = (),
    share: float = 1.0,
    loud: bool = False,
) -> Callable[[Read], Read]:
    """Put the function under it into the table, under its own name."""

    def enlist(read: Read) -> Read:
        _SURFACES.append(Surface(read.__name__, read, ending, draw, mutate, tuple(needs), share, loud))
        return read

    return enlist


def surfaces(*modules: str) -> tuple[Surface, ...]:
    """Those in the modules; by default all that there are."""
    chosen = modules or _MODULES
    for module in chosen:
        import_module(module)
    return tuple(each for each in _SURFACES if each.module in chosen)


def written(folder: Path, name: str, data: bytes) -> Path:
    """The path of a file with `data`, made anew: what the one before left open is not written into."""
    path = folder / name
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    return path
