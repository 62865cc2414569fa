"""The explorer as a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.errors import ParameterError, UnusableInputError, named, shown
from layoutbridge.files import PathLike, whole_file
from layoutbridge.report.explorer.links import link
from layoutbridge.report.explorer.pages import explorer_page

_ENDINGS = (".html", ".htm")


def explore(
    path: PathLike,
    op: Rearrangement | None = None,
    *,
    compare: Rearrangement | None = None,
    shape: Sequence[int] | None = None,
) -> None:
    """Write the explorer to `path`: one HTML page that needs no server and no network, with every entry of now in it.

    It begins with `op` at `shape`, beside `compare` where that is given. Raises `UnusableInputError` for a path that
    does not end in .html or cannot be written, `ParameterError` for a `compare` or a `shape` without an `op` and for
    what is no `Rearrangement`, `ShapeError` for a shape that does not fit.

    >>> import os, tempfile
    >>> from layoutbridge.operations.catalog import op
    >>> path = os.path.join(tempfile.mkdtemp(), "explorer.html")
    >>> explore(path, op("darknet_reorg"), compare=op("space_to_depth"), shape=(4, 4, 4))
    >>> os.path.getsize(path) < 500_000
    True
    """
    refuse_other_ending(path)
    for given in (op, compare):
        if given is not None and not isinstance(given, Rearrangement):
            raise ParameterError(f"the explorer shows a Rearrangement, as lb.op(NAME) gives, not {shown(given)}")
    if op is None and (compare is not None or shape is not None):
        raise ParameterError("compare and shape are those of an op: give one")
    page = explorer_page("" if op is None else link(op, compare, shape))
    with whole_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def refuse_other_ending(path: PathLike) -> None:
    """Raise `UnusableInputError` for a path that does not say that it is a page."""
    if Path(path).suffix.lower() not in _ENDINGS:
        raise UnusableInputError(f"the explorer is a page: end '{named(str(path))}' in .html")
