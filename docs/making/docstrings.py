"""The examples of docstrings as the site shows them: a block of code, where Markdown would see quotations."""

from __future__ import annotations

import re

import griffe

_EXAMPLE = re.compile(r"(?:^>>> .*\n?(?:^(?!\s*$).*\n?)*\n?)+", re.MULTILINE)


class Examples(griffe.Extension):
    """Fences around examples."""

    def on_object(self, *, obj: griffe.Object, **_: object) -> None:
        """Fence those of one object."""
        if obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value)


def fenced(text: str) -> str:
    """`text` with each run of examples in a fence of its own.

    >>> print(fenced("Adds.\\n\\n>>> 1 + 1\\n2\\n\\nNothing else."))
    Adds.
    <BLANKLINE>
    ```pycon
    >>> 1 + 1
    2
    ```
    <BLANKLINE>
    Nothing else.
    """
    return _EXAMPLE.sub(lambda run: f"```pycon\n{run[0].rstrip()}\n```\n\n", text).rstrip()
