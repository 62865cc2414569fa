"""The command line: parses, calls, prints. What the commands do lives elsewhere, and is imported when it is used."""

from __future__ import annotations

from layoutbridge.cli.running import main, program

__all__ = ["main", "program"]
