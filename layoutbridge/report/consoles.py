"""A rich console on which names and texts of files steer nothing, and which leaves a broken pipe to its caller."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions
from rich.segment import Segment
from rich.text import Text

from layoutbridge.errors import visible


class PlainConsole(Console):
    """Rich ends the process with exit code 1 when a pipe's reader leaves; that code means a finding here.

    What could steer a terminal is shown as Python writes it, whatever is printed: rich takes out only some of it.
    """

    def on_broken_pipe(self) -> None:
        """Raise it again."""
        raise BrokenPipeError

    def render_str(self, text: str, **options: Any) -> Text:
        """The text with its markup read; escaped before it is measured, so that columns stay straight."""
        return super().render_str(_shown(text), **options)

    def render(self, renderable: Any, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """What is written, piece by piece."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(_shown(segment.text), segment.style)


def _shown(text: str) -> str:
    return text if text.isprintable() else "\n".join(map(visible, text.split("\n")))
