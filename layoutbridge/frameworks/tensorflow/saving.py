"""TensorFlow's writer of SavedModels, by which LiteRT's converter begins, too."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock, get_ident

_WRITER = RLock()


@contextmanager
def saving() -> Iterator[None]:
    """For what writes a SavedModel: one thread at a time, and without the remark that names a temporary folder.

    TensorFlow sets Python's warnings and its own logging aside while it looks at a model, for the whole process and for
    moments; of two threads at once the second would leave them so for good. A program that writes SavedModels itself
    beside this one must not do so at the same time.
    """
    import tensorflow as tf

    here, logger = get_ident(), tf.get_logger()

    def is_told(record: logging.LogRecord) -> bool:  # of this thread not "Assets written to", which says where for now
        return record.thread != here or record.levelno >= logging.WARNING

    with _WRITER:
        logger.addFilter(is_told)
        try:
            yield
        finally:
            logger.removeFilter(is_told)
