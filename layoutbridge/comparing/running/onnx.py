"""ONNX models in onnxruntime, every tensor of the outermost graph given."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from layoutbridge.comparing.running.feeding import in_shares, wanted
from layoutbridge.frameworks.base import require
from layoutbridge.frameworks.onnx.sessions import open_session, refusals_of
from layoutbridge.frameworks.onnx.versions import EXTRA
from layoutbridge.frameworks.onnx.writer import LARGEST_FILE
from layoutbridge.inputs import read_bytes
from layoutbridge.scanning.graphs.graph import Graph

if TYPE_CHECKING:
    from onnx import ModelProto


def values(
    source: ModelProto | str | os.PathLike[str], graph: Graph, given: Mapping[str, NDArray[Any]]
) -> Iterator[tuple[str, NDArray[Any]]]:
    """The tensors of a model or of the model in a file, read as `graph`, for `given` inputs.

    Raises `UnusableInputError` for what onnxruntime cannot load or run, and `MissingFrameworkError`.
    """
    onnx = require("onnx", "onnx", EXTRA)
    made = wanted(graph)
    more = onnx.ModelProto()  # what is behind a message's bytes is merged into it: nothing of the model is copied
    more.graph.output.extend(onnx.ValueInfoProto(name=name) for name in made if name not in graph.outputs)
    folder = None
    if isinstance(source, str | os.PathLike):
        content, folder = read_bytes(source, "model", most=LARGEST_FILE), os.path.dirname(os.path.abspath(source))
    else:
        content = source.SerializeToString()
    content += more.SerializeToString()
    with refusals_of(graph.name, "load"):
        session = open_session(content, data_folder=folder, sparing=True)
    del content
    with refusals_of(graph.name, "run"):
        for names in in_shares(made, graph):
            yield from zip(names, session.run(names, dict(given)), strict=True)
