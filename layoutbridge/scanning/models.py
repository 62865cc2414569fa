"""Scan a model of any format: every place in it that moves elements."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

from layoutbridge.displays import as_html
from layoutbridge.errors import LayoutBridgeError, UnusableInputError, counted, shown
from layoutbridge.scanning.graphs.graph import Graph
from layoutbridge.scanning.graphs.outline import Step, outline
from layoutbridge.scanning.graphs.sizes import Shapes, other_shapes
from layoutbridge.scanning.passed_over import passed_over
from layoutbridge.scanning.places import Place, places_in
from layoutbridge.scanning.remedies import likely_remedy, rewrite_command

AtShapes = Callable[[Shapes], Graph]  # a model at sizes that are given, or made up
_READERS = "layoutbridge.scanning.readers"
# The endings of files, and what reads one: a module in `readers`, and its function.
_FILES: Mapping[str, tuple[str, str]] = {
    ".onnx": ("onnx", "read"),
    ".pt2": ("torch.reading", "read_program"),
    ".keras": ("tensorflow.reading", "read_keras"),
    ".h5": ("tensorflow.reading", "read_keras"),
    ".hdf5": ("tensorflow.reading", "read_keras"),
    ".tflite": ("tflite.reading", "read"),
    ".param": ("ncnn", "read"),
    ".xml": ("openvino", "read"),
    ".cfg": ("darknet", "read"),
}
# Models in memory, by the module and the class that one of theirs has among its own; these are imported where one is.
_LIVE: tuple[tuple[str, str, str, str], ...] = (
    ("torch.nn", "Module", "torch.reading", "read_module"),
    ("torch.export", "ExportedProgram", "torch.reading", "read_program"),
    ("keras", "Layer", "tensorflow.reading", "read_keras"),
    ("layoutbridge.darknet.networks.network", "DarknetNetwork", "darknet", "read"),
)
_TOLD = 5  # places in the text of a scan
_MOST_TRIED = 8  # other sizes at which a model is read, where it does not take the first ones
_REWRITABLE = (("onnx", ".onnx"), ("PyTorch", ".pt2"))


@dataclass(frozen=True)
class Scan:
    """What a model was found to move: its `places`, of `nodes` nodes in all, and `notes` on what was passed over.

    `in_shapes` and `out_shapes` are those of its inputs and outputs by name, at the sizes at which it was read; None
    for what has no known shape. `outline` are the steps of its graph.
    """

    model: str
    format: str
    nodes: int
    places: tuple[Place, ...]
    notes: tuple[str, ...] = ()
    in_shapes: Mapping[str, tuple[int, ...] | None] = field(default_factory=dict)
    out_shapes: Mapping[str, tuple[int, ...] | None] = field(default_factory=dict)
    outline: tuple[Step, ...] = field(default=(), repr=False, compare=False)

    _repr_html_ = as_html

    def __str__(self) -> str:
        first = "".join(f"\n{number}: {place.title}" for number, place in enumerate(self.places[:_TOLD]))
        more = f"\nand {len(self.places) - _TOLD} more" if len(self.places) > _TOLD else ""
        count = counted(len(self.places), "place")
        return f"{self.model} ({self.format}, {counted(self.nodes, 'node')}): {count}{':' * bool(first)}{first}{more}"

    @property
    def whole(self) -> Place | None:
        """The place that is the whole model, from its only input to its only output; None where it is more."""
        ends = (tuple(self.in_shapes), tuple(self.out_shapes))
        return next((place for place in self.places if (place.inputs, (place.output,)) == ends), None)

    def to_json(self) -> str:
        """The scan as JSON text, in the form of `layoutbridge scan --json`."""
        return json.dumps(self.as_json())

    def as_json(self) -> dict[str, Any]:
        """The same before it is text."""
        return {
            "model": self.model, "format": self.format, "nodes": self.nodes,
            "places": [place.as_json() | self._remedy(number, place) for number, place in enumerate(self.places)],
            "notes": list(self.notes),
        }  # fmt: skip

    @property
    def is_rewritable_file(self) -> bool:
        """Whether `rewrite` takes what was scanned, by its path."""
        return (self.format, Path(self.model).suffix.lower()) in _REWRITABLE

    def _remedy(self, number: int, place: Place) -> dict[str, str]:
        """In a file that is rewritten, the command that puts the op that may have been meant in a place of blocks."""
        name = likely_remedy(place) if self.is_rewritable_file else None
        return {} if name is None else {"rewrite": rewrite_command(self.model, number, name)}


def scan(model: object, shape: Shapes = None, *, flavor: str = "alexey") -> Scan:
    """Find every place in `model` that moves elements.

    `model` is the path of a file (.onnx, .pt2, .keras, .h5, .tflite, ncnn's .param, OpenVINO's .xml, Darknet's .cfg) or
    of a SavedModel folder, an `onnx.ModelProto`, an `nn.Module` or exported program, a Keras model, or a Darknet
    network. `shape` is that of its input, or shapes by the names of its inputs, where the model leaves sizes open;
    without it they are made up, and the answer tells open lengths by name. `flavor="pjreddie"` reads a cfg as the
    original Darknet does. Raises `UnusableInputError`, `ShapeError` and `MissingFrameworkError`.

    >>> import tempfile, layoutbridge as lb
    >>> path = os.path.join(tempfile.mkdtemp(), "focus.onnx")
    >>> lb.export(lb.op("focus"), "onnx", path, shape=(1, 3, 8, 8))
    >>> [(place.kind, place.names, place.pattern) for place in scan(path).places]
    [('moves', ('focus',), 'c (h p:s) (w q:s) -> (q p c) h w, s=2')]
    """
    graph, second = graphs_of(model, shape, flavor=flavor)
    places = tuple(places_in(graph, second))
    notes = passed_over(graph, {name for place in places for name in place.nodes})
    return Scan(
        graph.name, graph.format, graph.node_count, places, (*graph.notes, *notes),
        _shapes(graph, graph.inputs), _shapes(graph, graph.outputs), outline(graph),
    )  # fmt: skip


def _shapes(graph: Graph, names: Iterable[str]) -> dict[str, tuple[int, ...] | None]:
    """The shapes of some tensors, weights left out: old ONNX files have those among their inputs."""
    held = {name: graph.tensors.get(name) for name in names}
    return {
        name: None if tensor is None else tensor.shape
        for name, tensor in held.items()
        if tensor is None or not tensor.is_constant
    }


def graphs_of(model: object, shape: Shapes = None, *, flavor: str = "alexey") -> tuple[Graph, Graph | None]:
    """The graph of `model`, as `scan` takes it, and the same at other sizes where it leaves some open and they fit."""
    at_shapes = opened(model, flavor)
    graph = at_shapes(shape)
    return graph, at_other_sizes(at_shapes, graph) if shape is None else None


def can_be_scanned(model: object) -> bool:
    """Whether it is a model that is read here: a path by its ending, or a SavedModel folder; or one in memory.

    >>> can_be_scanned("net.onnx"), can_be_scanned("ports.py:Reorg"), can_be_scanned(len)
    (True, False, False)
    """
    if isinstance(model, str | os.PathLike):
        return Path(model).suffix.lower() in _FILES or _is_saved_model(model)
    return is_one(model, "onnx", "ModelProto") or any(is_one(model, module, kind) for module, kind, *_ in _LIVE)


def is_called(model: object) -> bool:
    """Whether a model in memory is a function of one tensor as it is, if it has one input and one output.

    >>> import torch
    >>> is_called(torch.nn.PixelUnshuffle(2)), is_called(len)
    (True, False)
    """
    return is_one(model, "torch.nn", "Module") or is_one(model, "keras", "Layer")


def _is_saved_model(path: str | os.PathLike[str]) -> bool:
    return os.path.isfile(os.path.join(path, "saved_model.pb"))


def opened(model: object, flavor: str) -> AtShapes:
    """The graph of `model` as a function of shapes; an ONNX file is parsed once for all of them.

    Raises `UnusableInputError` for what no reader knows.
    """
    if isinstance(model, str | os.PathLike):
        ending = Path(model).suffix.lower()
        if ending == ".onnx":
            return _onnx(import_module("layoutbridge.frameworks.onnx.reading").read_sparing(model)[0], os.fspath(model))
        if ending == ".cfg":
            return partial(_read_by(*_FILES[ending]), model, flavor)
        if ending in _FILES:
            return partial(_read_by(*_FILES[ending]), model)
        if _is_saved_model(model):
            return partial(_read_by("tensorflow.reading", "read_saved_model"), model)
        raise UnusableInputError(
            f"no reader knows '{os.fspath(model)}': there are {', '.join(_FILES)}, and SavedModel folders"
        )
    if is_one(model, "onnx", "ModelProto"):
        return _onnx(model, "model")
    for module, kind, reader, function in _LIVE:
        if is_one(model, module, kind):
            read = _read_by(reader, function)
            return partial(read, model, flavor) if reader == "darknet" else partial(read, model)
    raise UnusableInputError(f"a path or a model is scanned, not {shown(model)}")


def _onnx(model: object, name: str) -> AtShapes:
    return partial(_read_by("onnx", "read_proto"), model, name)


def _read_by(module: str, function: str) -> Callable[..., Graph]:
    read: Callable[..., Graph] = getattr(import_module(f"{_READERS}.{module}"), function)
    return read


def is_one(model: object, module: str, kind: str) -> bool:
    """Whether it is of a class in a module; of one that is not imported there is nothing yet."""
    held = sys.modules.get(module)
    return held is not None and isinstance(model, getattr(held, kind))


def at_other_sizes(at_shapes: AtShapes, graph: Graph) -> Graph | None:
    """The model that gave `graph` at other sizes where some are open; None where there are none, or they do not fit."""
    shapes = {
        name: (tensor.open_shape, tensor.shape)
        for name in graph.inputs
        if (tensor := graph.tensors.get(name)) is not None and tensor.open_shape is not None
    }
    for others in islice(other_shapes(shapes), _MOST_TRIED):
        with suppress(LayoutBridgeError):
            return at_shapes(others)
    return None
