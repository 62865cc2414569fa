"""ncnn's networks, a .param with its .bin beside it, every blob kept and in float32."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.comparing.running.feeding import fed, wanted
from layoutbridge.errors import UnusableInputError
from layoutbridge.frameworks.base import require
from layoutbridge.frameworks.ncnn.writer import bin_beside
from layoutbridge.inputs import PathLike, file_size
from layoutbridge.scanning.graphs.graph import Graph

_THREADS = 2
# The first frees blobs or computes over them, others store or compute with fewer bits than float32 has, the last two
# lay channels between each other and sum in another order.
_OFF = (
    "lightmode",
    "use_fp16_packed",
    "use_fp16_storage",
    "use_fp16_arithmetic",
    "use_bf16_packed",
    "use_bf16_storage",
    "use_packing_layout",
    "use_winograd_convolution",
)


def values(path: PathLike, graph: Graph, given: Mapping[str, NDArray[Any]]) -> Iterator[tuple[str, NDArray[Any]]]:
    """The blobs of the .param file at `path`, read as `graph`, for `given` inputs, which have no batch.

    ncnn checks little of what a .param says, and others than a converter's may end the process. Blobs of no size,
    where nothing was detected, are left out. Raises `UnusableInputError` where the .bin is missing, and for what ncnn
    cannot load or compute, `ShapeError` for inputs that do not fit, `ParameterError` for another ending, and
    `MissingFrameworkError`.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from layoutbridge.scanning.readers.ncnn import read
    >>> file = Path(tempfile.mkdtemp()) / "net.param"
    >>> _ = file.write_text("7767517\\n2 2\\nInput in 0 1 x 0=4 1=4 2=8\\nReorg moved 1 1 x y 0=2\\n")
    >>> _ = file.with_suffix(".bin").write_bytes(b"")
    >>> [(name, made.shape) for name, made in values(file, read(file), {"x": np.zeros((8, 4, 4))})]
    [('y', (32, 2, 2))]
    """
    ncnn = require("ncnn", "ncnn", "ncnn")
    weights = bin_beside(path)
    for file in (path, weights):
        file_size(file, "file of ncnn's")
    taken = fed(graph, given)
    net = ncnn.Net()
    for option in _OFF:
        if hasattr(net.opt, option):  # older versions have fewer
            setattr(net.opt, option, False)
    net.opt.num_threads = _THREADS
    if net.load_param(os.fspath(path)) != 0:
        raise UnusableInputError(f"ncnn cannot read '{os.fspath(path)}': it is no .param, or has unknown layers")
    if net.load_model(os.fspath(weights)) != 0:
        raise UnusableInputError(f"ncnn cannot read '{weights}': its weights are not those of the .param")
    with net.create_extractor() as extractor:
        for name, x in taken.items():
            extractor.input(name, ncnn.Mat(x).clone())  # a copy, with its channels aligned
        for name in wanted(graph):
            status, blob = extractor.extract(name)
            if status != 0:
                raise UnusableInputError(f"ncnn cannot compute {name} of '{os.fspath(path)}' ({status})")
            if not blob.empty():
                yield name, np.array(blob, np.float32)
