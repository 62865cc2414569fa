"""ONNX models in onnxruntime: files that nobody vouches for run within limits of memory and time."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.detectors.opened import Opened, Outputs, Size, picture_shape
from layoutbridge.darknet.ports.records.tuned import Settings, as_tuned
from layoutbridge.errors import UnusableInputError
from layoutbridge.frameworks.base import require
from layoutbridge.frameworks.onnx.reading import read_declared
from layoutbridge.frameworks.onnx.sessions import feeding, open_session, refusals_of, run_limited, state_shapes
from layoutbridge.frameworks.onnx.versions import EXTRA
from layoutbridge.inputs import memory_allowed, refuse_costly

_COPIES = 6  # of an input, that making it of a picture takes
_ROOM = 32  # times an input, that a network's layers may take beside what its file's size allows


def open_model(
    path: str | os.PathLike[str],
    threads: int = 0,
    *,
    vouched: bool = False,
    settings: Settings | None = None,
    size: Size | None = None,
) -> Opened:
    """The ONNX model at `path`; `threads` 0 leaves their number to onnxruntime, `settings` are its own.

    `size` is (width, height) of pictures where the file leaves them open.

    A model that is `vouched` for may take what memory it likes. Raises `UnusableInputError` for what onnxruntime cannot
    load and, of others, for what takes more memory than a file of its size may, `UnsupportedError` where its input is
    no picture, and `MissingFrameworkError`.
    """
    require("onnxruntime", "onnxruntime", EXTRA)
    source, declared = os.fspath(path), read_declared(path)
    in_shape = picture_shape(declared.shape, source, size=size)
    batch = declared.shape[0] or None
    given = 4 * (batch or 1) * prod(in_shape)
    refuse_costly(_COPIES * given, declared.size, f"the input {declared.shape} of '{source}'", doing="to fill")
    most_bytes = memory_allowed(declared.size) + _ROOM * given
    folds = declared.folded is not None and declared.folded <= most_bytes
    threads, used = as_tuned(declared.metadata, "onnx", threads, settings)

    def opened_session(threads: int, count: int = 1) -> Any:
        limit = None if vouched else count * most_bytes
        with refusals_of(path, "load"):
            return open_session(path, threads=threads, most_bytes=limit, folds=folds, settings=used)

    session = opened_session(threads)
    if not session.get_inputs() or not session.get_outputs():
        raise UnusableInputError(f"'{source}' takes nothing, or gives nothing: it finds no objects")
    names = [output.name for output in session.get_outputs()]
    states = sum(4 * (batch or 1) * prod(shape) for shape in state_shapes(session).values())
    refuse_costly(states, declared.size, f"the states of '{source}'", doing="to fill")

    def running(session: Any, most_bytes: int) -> Callable[[NDArray[np.float32]], Outputs]:
        fed = feeding(session)

        def run(x: NDArray[np.float32]) -> Outputs:
            return dict(zip(names, run_limited(session, names, fed(x), path, most_bytes), strict=True))

        return run

    opened = Opened(source, "onnx", running(session, most_bytes), in_shape, batch, metadata=declared.metadata)

    def beside(count: int) -> Opened:
        return replace(opened, run=running(opened_session(1, count), count * most_bytes))

    return replace(opened, beside=beside)
