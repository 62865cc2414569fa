"""`--html`: a command's report as a page, asked for before the work, written behind it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from layoutbridge.cli.shared.overwriting import ask_before_overwriting
from layoutbridge.cli.shared.printing import remark
from layoutbridge.errors import ParameterError

if TYPE_CHECKING:
    from layoutbridge.report.pages.origin import Origin

Html = Annotated[
    str | None,
    typer.Option(
        metavar="<file.html>", help="Write a report, one page that needs nothing beside it.", show_default=False
    ),
]
_ENDINGS = (".html", ".htm")


def ask_for_page(
    html: str | None, inputs: Iterable[str | None], *, force: bool, beside: Sequence[str | None] = ()
) -> None:
    """See that a page can be written before the work begins, and ask whether it may replace a file that is there.

    `inputs` are words that may be files, `beside` what else the command writes. Raises `ParameterError` for another
    ending or for the place of what else is written, `UnusableInputError` where nothing can be written, where it would
    replace an input, and for a no.
    """
    if html is not None:
        from layoutbridge.files import refuse_overwriting, refuse_unwritable

        if Path(html).suffix.lower() not in _ENDINGS:
            raise ParameterError(f"--html writes a page: give it FILE.html or FILE.htm, not '{html[:200]}'")
        if any(path is not None and os.path.realpath(path) == os.path.realpath(html) for path in beside):
            raise ParameterError(f"--html and --output would both be '{html[:200]}': give the page another name")
        refuse_overwriting(html, files_among(inputs))
        refuse_unwritable(html)
    ask_before_overwriting([path for path in (*beside, html) if path is not None], force=force)


def write_page(
    html: str,
    context: typer.Context,
    inputs: Iterable[str | None],
    make: Callable[[Origin], str],
    packages: Sequence[str] = (),
) -> None:
    """Write what `make` makes of where it comes from.

    That is the command line's words, the files among `inputs`, and `packages` that ran in other processes.
    """
    from layoutbridge.files import whole_file
    from layoutbridge.report.pages.origin import Origin

    text = make(Origin(context.obj or (), files_among(inputs), packages))
    with whole_file(html) as temporary:
        temporary.write_text(text, encoding="utf-8")
    remark(f"wrote {html}")


def files_among(words: Iterable[str | None]) -> list[str]:
    """The files and folders among words, those that name something in a file of Python too: `ports.py:Net()`.

    >>> files_among(["pyproject.toml", "no such file", "layoutbridge/version.py:Net(2)", None])
    ['pyproject.toml', 'layoutbridge/version.py']
    """
    given = [word for word in words if word is not None]
    held = (word if os.path.exists(word) else word.rpartition(":")[0] for word in given)
    return [path for path in held if path and os.path.exists(path)]
