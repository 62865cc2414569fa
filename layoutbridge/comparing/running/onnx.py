"""ONNX models in onnxruntime, every tensor of the outermost graph given."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from layoutbridge.comparing.running.feeding import in_shares, wanted
from layoutbridge.frameworks.base import require
from layoutbridge.frameworks.onnx.reading import read_model
from layoutbridge.frameworks.onnx.sessions import open_session, refusals_of
from layoutbridge.frameworks.onnx.versions import EXTRA
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
    is_file = isinstance(source, str | os.PathLike)
    model = read_model(source)[0] if is_file else source
    made = wanted(graph)
    held = onnx.ModelProto()
    held.CopyFrom(model)
    if is_file:
        onnx.load_external_data_for_model(held, os.path.dirname(os.path.abspath(source)))
    known = {value.name for value in held.graph.output}
    held.graph.output.extend(onnx.ValueInfoProto(name=name) for name in made if name not in known)
    with refusals_of(graph.name, "load"):
        session = open_session(held.SerializeToString())
    del held
    with refusals_of(graph.name, "run"):
        for names in in_shares(made, graph):
            yield from zip(names, session.run(names, dict(given)), strict=True)
