"""A rich console that leaves a broken pipe to its caller."""

from __future__ import annotations

from rich.console import Console


class PipeConsole(Console):
    """Rich ends the process with exit code 1 when a pipe's reader leaves; that code means a finding here."""

    def on_broken_pipe(self) -> None:
        """Raise it again."""
        raise BrokenPipeError
