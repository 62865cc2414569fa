"""TensorFlow and Keras imported, without the notes that their C++ code writes to stderr."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from tempfile import TemporaryFile
from threading import RLock
from typing import Any

from layoutbridge.errors import LayoutBridgeError, UnsupportedError
from layoutbridge.frameworks.base import default_environment, installed_version, require

EXTRA = "tensorflow"
_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_QUIET = RLock()  # a process has one stderr: one block at a time has it turned away
# What absl's and TensorFlow's logging write, the line that goes on with it, LiteRT of its kernels, and its converter.
_NOTE = re.compile(
    rb"[IWEF]\d{4} \d\d:\d\d:\d"
    rb"|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: [IWEF] "
    rb"|WARNING: All log messages before absl::"
    rb"|To enable the following instructions: "
    rb"|INFO: (Created|Initialized) TensorFlow Lite "
    rb"|(loc\(.*: |<unknown>:0: |)(error|note): "
)


def installed() -> str | None:
    """TensorFlow's version, or None where it is not installed."""
    return installed_version("tensorflow", "tensorflow-cpu", "tf-nightly")


def load_keras() -> Any:
    """Import TensorFlow and Keras, quietly, and return the module `keras`.

    TensorFlow reads TF_CPP_MIN_LOG_LEVEL while it is imported: 3 where the caller says nothing, 0 brings its notes
    back. Raises `MissingFrameworkError` where they are not installed, `UnsupportedError` where Keras has another
    backend.
    """
    with nullcontext() if "tensorflow" in sys.modules else _quiet_start():
        require("tensorflow", "TensorFlow", EXTRA)  # before Keras, which would import it with all its notes
    keras = require("keras", "Keras", EXTRA)
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise UnsupportedError(f"Keras runs on {backend} here: set KERAS_BACKEND=tensorflow before it is imported")
    return keras


def require_h5py() -> None:
    """Raise `MissingFrameworkError` where h5py is not installed, without which Keras has no .keras files."""
    require("h5py", "h5py", EXTRA)


@contextmanager
def _quiet_start() -> Iterator[None]:
    """The first notes come before TensorFlow's logging is set up and heed no level: they are kept off stderr."""
    with default_environment(_LEVEL, "3"), nullcontext() if os.environ[_LEVEL] == "0" else quiet_stderr():
        yield


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Keep the notes of TensorFlow's and LiteRT's C++ code off stderr, unless the block fails with an error of its own.

    What else is written meanwhile, by other threads too, comes to stderr when the block is left. Of another thread's
    lines those are lost that look like such a note. Threads go through these blocks one after another.
    """
    with _QUIET:
        try:
            stderr = os.dup(2)
        except OSError:  # a process without stderr
            yield
            return
        with TemporaryFile() as written:
            os.dup2(written.fileno(), 2)
            said: str | None = ""
            try:
                yield
            except LayoutBridgeError as error:  # whose text says it all, for the error that it stands for
                said = str(error.__context__)
                raise
            except Exception:  # not one who stops the process: the notes of what was under way help nobody
                said = None
                raise
            finally:
                os.dup2(stderr, 2)
                written.seek(0)
                text = written.read()
                with suppress(OSError), open(stderr, "wb") as out:
                    out.write(text if said is None else _without_notes(text, said))


def _without_notes(text: bytes, said: str) -> bytes:
    """The lines that are no notes of C++ code and stand not in `said`."""
    known = set(said.encode().splitlines())
    lines = text.splitlines(keepends=True)
    return b"".join(line for line in lines if not _NOTE.match(line) and line.rstrip(b"\r\n") not in known)
