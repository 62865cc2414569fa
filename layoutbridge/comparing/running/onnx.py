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
from layoutbridge.scanning.graphs.graph import Graph

if TYPE_CHECKING:
    from onnx import ModelProto


def values(
    model: ModelProto, graph: Graph, given: Mapping[str, NDArray[Any]], path: str | os.PathLike[str] | None = None
) -> Iterator[tuple[str, NDArray[Any]]]:
    """The tensors of `model`, read as `graph`, for `given` inputs; data in other files lies beside `path`.

    Raises `UnusableInputError` for what onnxruntime cannot load or run, and `MissingFrameworkError`.
    """
    onnx = require("onnx", "onnx", EXTRA)
    told = path or graph.name
    made = wanted(graph)
    held = onnx.ModelProto()
    held.CopyFrom(model)
    if path is not None:
        onnx.load_external_data_for_model(held, os.path.dirname(os.path.abspath(path)))
    known = {value.name for value in held.graph.output}
    held.graph.output.extend(onnx.ValueInfoProto(name=name) for name in made if name not in known)
    with refusals_of(told, "load"):
        session = open_session(held.SerializeToString())
    del held
    with refusals_of(told, "run"):
        for names in in_shares(made, graph):
            yield from zip(names, session.run(names, dict(given)), strict=True)
