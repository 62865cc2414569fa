"""Words in SVG and HTML: the one place where what files and users name is made text that can do nothing."""

from __future__ import annotations

from html import escape

from layoutbridge.errors import visible


def escaped(words: str) -> str:
    """Words as they may stand in markup, and what could not be seen of them as Python writes it.

    >>> escaped("<b>" + chr(27))
    '&lt;b&gt;\\\\x1b'
    """
    return escape(visible(words))
