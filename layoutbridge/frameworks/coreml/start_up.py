"""coremltools imported, and its own remarks kept from the program's stderr."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident
from typing import Any

from layoutbridge.frameworks.base import require

EXTRA = "coreml"
_LOGGER = "coremltools"


def load_coremltools() -> Any:
    """Import coremltools; raises `MissingFrameworkError` where it is not installed."""
    with unheard():
        return require("coremltools", "coremltools", EXTRA)


@contextmanager
def unheard() -> Iterator[None]:
    """Without what coremltools logs in this thread: that other frameworks beside it are new, that it runs nothing."""
    here, logger = get_ident(), logging.getLogger(_LOGGER)

    def is_told(record: logging.LogRecord) -> bool:
        return record.thread != here

    logger.addFilter(is_told)
    try:
        yield
    finally:
        logger.removeFilter(is_told)
