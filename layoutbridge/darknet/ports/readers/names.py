"""The classes' names as files of text have them."""

from __future__ import annotations

from collections.abc import Sequence


def listed(names: Sequence[str]) -> str:
    """A name a line.

    >>> listed(["traffic light", "two\\nlines"])
    'traffic light\\ntwo lines\\n'
    """
    return "".join(f"{' '.join(name.split())}\n" for name in names)
