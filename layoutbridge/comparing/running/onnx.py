"""ONNX models in onnxruntime, every tensor of the outermost graph given."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from layoutbridge.frameworks.base import require
from layoutbridge.frameworks.onnx.reading import read_model
from layoutbridge.frameworks.onnx.sessions import open_session, refusals_of
from layoutbridge.frameworks.onnx.versions import EXTRA
from layoutbridge.scanning.graphs.graph import Graph

if TYPE_CHECKING:
    from onnx import ModelProto

_MOST_BYTES = 1 << 29  # of tensors that one run gives: a network may have gigabytes of them


def values(
    source: ModelProto | str | os.PathLike[str], graph: Graph, given: Mapping[str, NDArray[Any]]
) -> Iterator[tuple[str, NDArray[Any]]]:
    """The tensors of a model or of the model in a file, read as `graph`, for `given` inputs.

    Raises `UnusableInputError` for what onnxruntime cannot load or run, and `MissingFrameworkError`.
    """
    onnx = require("onnx", "onnx", EXTRA)
    is_file = isinstance(source, str | os.PathLike)
    model = read_model(source)[0] if is_file else source
    constant = {name for name, tensor in graph.tensors.items() if tensor.is_constant}
    wanted = list(dict.fromkeys(node.output for node in graph.nodes if node.output not in constant))
    held = onnx.ModelProto()
    held.CopyFrom(model)
    if is_file:
        onnx.load_external_data_for_model(held, os.path.dirname(os.path.abspath(source)))
    known = {value.name for value in held.graph.output}
    held.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted if name not in known)
    with refusals_of(graph.name, "load"):
        session = open_session(held.SerializeToString())
    del held
    with refusals_of(graph.name, "run"):
        for names in _in_shares(wanted, graph):
            yield from zip(names, session.run(names, dict(given)), strict=True)


def _in_shares(names: Sequence[str], graph: Graph) -> Iterator[list[str]]:
    share: list[str] = []
    size = 0
    for name in names:
        tensor = graph.tensors.get(name)
        each = 0 if tensor is None else tensor.bytes
        if share and size + each > _MOST_BYTES:
            yield share
            share, size = [], 0
        share.append(name)
        size += each
    if share:
        yield share
