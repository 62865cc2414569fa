"""What an assertion found, and who is told of it besides the test itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from layoutbridge.errors import LayoutBridgeError, first_line, visible

_recordings: list[list[Check]] = []


@dataclass(frozen=True, slots=True)
class Picture:
    """A small result: from which flat place of the input each of its elements comes, and from which it should."""

    shape: tuple[int, ...]
    reads: tuple[int, ...]
    wanted: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Check:
    """What was compared with what, the verdict, and the message of a failure, line by line.

    A failure has a table of what differs: `columns`, `rows`, and `marked`, which of these stand out. It is made of
    plain values alone: pytest-xdist carries it from process to process.
    """

    compared: str
    verdict: Literal["same", "differs", "unusable"]
    lines: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    marked: tuple[int, ...] = ()
    picture: Picture | None = field(default=None, repr=False)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Check:
        """The check that `dataclasses.asdict` made `values` of."""
        picture = values["picture"]
        return cls(**{**values, "picture": None if picture is None else Picture(**picture)})


@contextmanager
def recording() -> Iterator[list[Check]]:
    """A list of all checks that are settled in the block, in any thread; within another such block the inner one's.

    >>> with recording() as checks:
    ...     settle("a and b", lambda: Check("a and b", "same"))
    >>> checks
    [Check(compared='a and b', verdict='same', lines=(), columns=(), rows=(), marked=())]
    """
    checks: list[Check] = []
    _recordings.append(checks)
    try:
        yield checks
    finally:
        _recordings.remove(checks)


def settle(compared: str, make: Callable[[], Check]) -> None:
    """Make the check of what is `compared`, and raise `AssertionError` where it fails; recordings are told first."""
    __tracebackhide__ = True
    try:
        check = make()
    except LayoutBridgeError as error:
        _record(Check(visible(compared), "unusable", (first_line(error),)))
        # our own way to it tells nothing; what somebody else's code raised is its cause
        raise error.with_traceback(None) from error.__cause__
    _record(check)
    if check.verdict == "differs":
        raise AssertionError("\n".join(check.lines))


def _record(check: Check) -> None:
    for checks in _recordings[-1:]:
        checks.append(check)


def described(target: object) -> str:
    """What a message calls a target: a path or text as it is, a callable by its name, all else by its class.

    >>> described(len), described("net.onnx"), described(3)
    ('len', 'net.onnx', 'int')
    """
    if isinstance(target, tuple):  # a Darknet network's two files
        return described(target[0]) if target else "tuple"
    network = getattr(target, "network", None)  # of a DarknetNetwork
    for value in (target, getattr(target, "label", None), getattr(network, "source", None)):
        if isinstance(value, str) or hasattr(value, "__fspath__"):
            return visible(str(value))
    name = getattr(target, "__qualname__", None)
    return visible(name if isinstance(name, str) else type(target).__name__).rpartition("<locals>.")[2]
