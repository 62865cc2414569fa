"""Scan a model of any format: every place in it that moves elements."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from layoutbridge.errors import LayoutBridgeError, UnusableInputError, shown
from layoutbridge.scanning.graphs.graph import Graph
from layoutbridge.scanning.graphs.sizes import Shapes
from layoutbridge.scanning.places import Place, places_in

Read = Callable[..., Graph]
# The endings of files, and which reader takes them.
_READERS: Mapping[str, str] = {
    ".onnx": "onnx",
    ".param": "ncnn",
    ".xml": "openvino",
    ".cfg": "darknet",
}
_LARGER = {64: 224, 96: 256, 160: 320, 128: 192, 224: 96, 256: 160, 320: 64, 192: 128, 8: 20, 12: 28, 20: 12, 28: 8}


@dataclass(frozen=True)
class Scan:
    """What a model was found to move: its `places`, of `nodes` nodes in all, and `notes` on what was passed over."""

    model: str
    format: str
    nodes: int
    places: tuple[Place, ...]
    notes: tuple[str, ...] = ()

    def to_json(self) -> str:
        """The scan as JSON text, in the form of `layoutbridge scan --json`."""
        return json.dumps(self.as_json())

    def as_json(self) -> dict[str, Any]:
        """The same before it is text."""
        return {
            "model": self.model, "format": self.format, "nodes": self.nodes,
            "places": [place.as_json() for place in self.places], "notes": list(self.notes),
        }  # fmt: skip


def scan(model: object, shape: Shapes = None, **options: Any) -> Scan:
    """Find every place in `model` that moves elements.

    `model` is the path of a file (.onnx, ncnn's .param, OpenVINO's .xml, Darknet's .cfg), an `onnx.ModelProto` or a
    Darknet network. `shape` is that of its input, or shapes by the names of its inputs, where the model leaves sizes
    open; without it they are made up, and the answer tells open lengths by name. `flavor="pjreddie"` reads a cfg as the
    original Darknet does. Raises `UnusableInputError`, `ShapeError` and `MissingFrameworkError`.

    >>> import tempfile, layoutbridge as lb
    >>> path = os.path.join(tempfile.mkdtemp(), "focus.onnx")
    >>> lb.export(lb.op("focus"), "onnx", path, shape=(1, 3, 8, 8))
    >>> [(place.kind, place.names, place.pattern) for place in scan(path).places]
    [('moves', ('focus',), 'c (h p:s) (w q:s) -> (q p c) h w, s=2')]
    """
    read = reader_of(model, options)
    graph = read(model, shapes=shape)
    return Scan(
        graph.name,
        graph.format,
        graph.node_count,
        tuple(places_in(graph, _second(read, model, graph, shape))),
        graph.notes,
    )


def can_be_scanned(name: str) -> bool:
    """Whether a path has the ending of a model that is read here.

    >>> can_be_scanned("net.onnx"), can_be_scanned("ports.py:Reorg")
    (True, False)
    """
    return Path(name).suffix.lower() in _READERS


def reader_of(model: object, options: Mapping[str, Any]) -> Read:
    """What reads `model`; raises `UnusableInputError` where nothing does, with what there is."""
    if isinstance(model, str | os.PathLike):
        ending = Path(model).suffix.lower()
        if ending not in _READERS:
            known = ", ".join(_READERS)
            raise UnusableInputError(f"no reader knows '{os.fspath(model)}': there are {known}")
        read: Read = import_module(f"layoutbridge.scanning.readers.{_READERS[ending]}").read
        return _with_flavor(read, options) if ending == ".cfg" else read
    if type(model).__name__ == "ModelProto":
        from layoutbridge.scanning.readers.onnx import read_proto

        return lambda given, shapes=None: read_proto(given, "model", shapes)
    if type(model).__name__ == "DarknetNetwork":
        from layoutbridge.scanning.readers.darknet import read as read_network

        return _with_flavor(read_network, options)
    raise UnusableInputError(f"a path or a model is scanned, not {shown(model)}")


def _with_flavor(read: Read, options: Mapping[str, Any]) -> Read:
    flavor = options.get("flavor") or "alexey"
    return lambda given, shapes=None: read(given, flavor=flavor, shapes=shapes)


def _second(read: Read, model: object, graph: Graph, shape: Shapes) -> Graph | None:
    """The model at other sizes where some are open and were made up; None where there are none, or they do not fit."""
    if shape is not None:
        return None
    shapes = {}
    for name in graph.inputs:
        tensor = graph.tensors.get(name)
        if tensor is not None and tensor.open_shape is not None:
            shapes[name] = tuple(
                length if isinstance(told, int) else _another(length)
                for told, length in zip(tensor.open_shape, tensor.shape, strict=True)
            )
    if all(shapes[name] == graph.tensors[name].shape for name in shapes):
        return None
    try:
        return read(model, shapes=shapes)
    except LayoutBridgeError:
        return None


def _another(length: int) -> int:
    return _LARGER.get(length, length + 1)
