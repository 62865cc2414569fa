"""ONNX models in onnxruntime, every tensor of the outermost graph given."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from layoutbridge.frameworks.base import require
from layoutbridge.frameworks.onnx.sessions import open_session, refusals_of
from layoutbridge.frameworks.onnx.versions import EXTRA
from layoutbridge.scanning.graphs.graph import Graph

if TYPE_CHECKING:
    from onnx import ModelProto

_MOST_BYTES = 1 << 29  # of tensors that one run gives: a network may have gigabytes of them


def values(
    model: ModelProto, graph: Graph, given: Mapping[str, NDArray[Any]], path: str | os.PathLike[str] | None = None
) -> Iterator[tuple[str, NDArray[Any]]]:
    """The tensors of `model`, read as `graph`, for `given` inputs; data in other files lies beside `path`.

    Raises `UnusableInputError` for what onnxruntime cannot load or run, and `MissingFrameworkError`.
    """
    onnx = require("onnx", "onnx", EXTRA)
    told = path or graph.name
    constant = {name for name, tensor in graph.tensors.items() if tensor.is_constant}
    wanted = list(dict.fromkeys(node.output for node in graph.nodes if node.output not in constant))
    held = onnx.ModelProto()
    held.CopyFrom(model)
    if path is not None:
        onnx.load_external_data_for_model(held, os.path.dirname(os.path.abspath(path)))
    known = {value.name for value in held.graph.output}
    held.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted if name not in known)
    with refusals_of(told, "load"):
        session = open_session(held.SerializeToString())
    del held
    with refusals_of(told, "run"):
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
