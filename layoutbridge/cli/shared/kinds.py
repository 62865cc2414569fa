"""Kinds of option values: how each is read, what help shows for it, and how a shell completes it.

Each function gives keywords for `typer.Option` and `typer.Argument`. A value that does not fit is told in our own
words, which name the option and what was given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import typer

from layoutbridge.errors import LayoutBridgeError, ParameterError


class UnfitValue(typer.BadParameter):
    """A value that cannot be taken; its message is whole, and gets no words in front."""

    def format_message(self) -> str:
        """The message alone."""
        return self.message


def one_of(values: Iterable[str] | Callable[[], Iterable[str]], *, shown: str | None = None) -> dict[str, Any]:
    """One of these words, or of what a function gives; what takes it says which there are where it is none of them.

    `shown` stands for many, which the option's help names.

    >>> one_of(("alexey", "pjreddie"))["metavar"]
    '<alexey|pjreddie>'
    """

    def complete(incomplete: str) -> list[str]:
        return [value for value in (values() if callable(values) else values) if value.startswith(incomplete)]

    return {"metavar": shown or f"<{'|'.join(() if callable(values) else values)}>", "autocompletion": complete}


def whole_number(option: str, *, least: int = 1) -> dict[str, Any]:
    """A whole number, `least` or more.

    >>> whole_number("--batch")["parser"]("2"), whole_number("--batch")["metavar"]
    (2, '<int 1..>')
    """

    def read(text: str | int) -> int:
        from layoutbridge.operations.written import written_number

        return text if isinstance(text, int) else least if text == str(least) else written_number(text, option)

    return _kind(read, f"<int {least}..>")


def share(option: str, *, most: float | None = 1.0, or_zero: bool = True) -> dict[str, Any]:
    """A number from 0 to `most`, without limit for None; 0 itself only with `or_zero`.

    >>> share("--threshold")["parser"]("0.25"), share("--threshold")["metavar"]
    (0.25, '<float 0..1>')
    >>> share("--max-load", most=None, or_zero=False)["parser"]("0")
    Traceback (most recent call last):
    layoutbridge.cli.shared.kinds.UnfitValue: --max-load must be over 0, not 0
    """

    def read(text: str | float) -> float:
        try:
            number = float(text)
        except ValueError:
            raise ParameterError(f"{option} must be a number, not '{str(text)[:80]}'") from None
        fits = (number > 0 or (or_zero and number == 0)) and number <= (float("inf") if most is None else most)
        if not fits or number == float("inf"):
            allowed = f"from 0 to {most:g}" if most is not None else "at least 0" if or_zero else "over 0"
            raise ParameterError(f"{option} must be {allowed}, not {str(text)[:80]}")
        return number

    return _kind(read, "<float 0..>" if most is None else f"<float 0..{most:g}>")


def words_of(known: Sequence[str], shown: str) -> dict[str, Any]:
    """Some of these words with commas between them, for which `shown` stands: text, which `arguments.listed` divides.

    >>> words_of(("cat", "dog"), "<name,...>")["autocompletion"]("dog,c")
    ['dog,cat']
    """

    def complete(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        return [before + comma + value for value in known if value.startswith(last)]

    return {"metavar": shown, "autocompletion": complete}


def _kind(read: Callable[[Any], object], metavar: str) -> dict[str, Any]:
    def parse(text: Any) -> object:
        try:
            return read(text)
        except LayoutBridgeError as error:
            raise UnfitValue(str(error)) from None

    return {"parser": parse, "metavar": metavar}
