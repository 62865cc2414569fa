"""A module in evaluation mode for a while, whichever threads want it so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.nn import Module

_LOCK = Lock()
_blocks: Counter[int] = Counter()  # how many blocks hold a part, by its id, that is in training mode outside them


@contextmanager
def in_evaluation(module: Module) -> Iterator[None]:
    """Every part of `module` is in evaluation mode in the block, and afterwards in the mode that it had.

    Of blocks that overlap, in threads or one within another, the last gives a part its mode back; code that trains
    the module meanwhile sees evaluation mode. A copy would spare it that, but hooks and closures name the original.
    """
    with _LOCK:
        parts = [part for part in module.modules() if part.training or id(part) in _blocks]
        _blocks.update(map(id, parts))
    try:
        for part in parts:
            part.training = False
        yield
    finally:
        with _LOCK:
            for part in parts:
                _blocks[id(part)] -= 1
                if not _blocks[id(part)]:
                    del _blocks[id(part)]
                    part.training = True
