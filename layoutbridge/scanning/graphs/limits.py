"""How large a model may be to be read: more nodes than any network has are refused before time is spent on them."""

from __future__ import annotations

import os

from layoutbridge.errors import UnusableInputError
from layoutbridge.inputs import PathLike

MOST_NODES = 100_000  # with those of all subgraphs; the largest network has some ten thousand


def refuse_more_nodes(path: PathLike, count: int) -> None:
    """Raise `UnusableInputError` for a model of more nodes than are read.

    >>> refuse_more_nodes("net.param", 1_000_000)
    Traceback (most recent call last):
    ...
    layoutbridge.errors.UnusableInputError: 'net.param' has more than 100,000 nodes: it is not read
    """
    if count > MOST_NODES:
        raise UnusableInputError(f"'{os.fspath(path)}' has more than {MOST_NODES:,} nodes: it is not read")
