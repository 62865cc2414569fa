"""ncnn's files, run in float32, a picture at a time."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.detectors.metadata import read_beside
from layoutbridge.darknet.detectors.opened import Opened, Outputs, picture_shape
from layoutbridge.darknet.ports.ncnn import THREADS, about_beside, extracted, loaded
from layoutbridge.darknet.ports.records.tuned import Settings, as_tuned
from layoutbridge.errors import ParameterError, UnsupportedError
from layoutbridge.frameworks.base import require
from layoutbridge.frameworks.ncnn.graph import INPUT_NAME
from layoutbridge.frameworks.ncnn.writer import bin_beside, input_shape


def open_model(path: str | os.PathLike[str], threads: int = 0, *, settings: Settings | None = None) -> Opened:
    """The network in the .param at `path` and the .bin beside it, two threads at `threads` 0.

    `settings` are attributes of ncnn's Option, 0 or 1.

    Raises `ParameterError` for other settings, `UnusableInputError` for what ncnn cannot read, `UnsupportedError` where
    its input is no picture, and `MissingFrameworkError`. ncnn checks little of a .param: take only those that you
    trust.
    """
    ncnn = require("ncnn", "ncnn", "ncnn")
    source = os.fspath(path)
    shape = picture_shape((1, *input_shape(path)), source)
    metadata = read_beside(about_beside(Path(path)))
    threads, used = as_tuned(metadata, "ncnn", threads, settings)
    switches = ncnn.Net().opt
    for name, value in used.items():
        if not isinstance(getattr(switches, name, None), bool) or value not in ("0", "1"):
            raise ParameterError(f"ncnn's settings are switches of its Option, 0 or 1: {name}={value} is none")
    net = loaded(ncnn, path, bin_beside(path), threads or THREADS, used)
    taken, given = list(net.input_names()), list(net.output_names())
    if taken != [INPUT_NAME]:
        raise UnsupportedError(f"'{source}' takes {', '.join(taken)[:80]}: one input called {INPUT_NAME} is wanted")

    def run(x: NDArray[np.float32]) -> Outputs:
        found = extracted(ncnn, net, path, {INPUT_NAME: x[0]}, given)
        return {name: value[None] for name, value in zip(given, found, strict=True)}

    return Opened(source, "ncnn", run, shape, 1, metadata=metadata)
