"""A model of any format, ready to be read as a graph at some shapes and to be run there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from layoutbridge.comparing.running import recorded
from layoutbridge.comparing.running.store import Store
from layoutbridge.comparing.tracing import Trace, trace_of
from layoutbridge.darknet.networks.network import DarknetNetwork, load
from layoutbridge.errors import UnusableInputError
from layoutbridge.scanning.graphs.graph import Graph
from layoutbridge.scanning.graphs.sizes import Shapes
from layoutbridge.scanning.models import AtShapes, is_one, opened

Given = Mapping[str, NDArray[Any]]
Values = Callable[[Graph, Given], Iterator[tuple[str, NDArray[Any]]]]
Outputs = Callable[[Graph, Given], Iterable[tuple[str, NDArray[Any]]]]
_RUNNING = "layoutbridge.comparing.running"
# What runs a model of a graph's `format`, a module in `running` and its function.
_RUNNERS: Mapping[str, tuple[str, str]] = {
    "onnx": ("onnx", "values"),
    "Darknet": ("darknet", "values"),
    "PyTorch": ("torch", "values"),
    "TensorFlow": ("tensorflow", "values_of_keras"),
    "LiteRT": ("tflite", "values"),
    "ncnn": ("ncnn", "values"),
    "OpenVINO": ("openvino", "values"),
    recorded.FORMAT: ("recorded", "values"),
}


@dataclass(frozen=True, slots=True)
class Opened:
    """`at_shapes` reads the model as a graph, `values` runs it as that graph.

    `net` is it where it is Darknet's; `channels_last` is on where its pictures likely have their channels behind. Of
    outputs that were recorded `recorded_input` is what they were recorded for, where that is there. `outputs` are what
    the model itself gives where `values` runs what was exported of it.
    """

    name: str
    at_shapes: AtShapes
    values: Values
    net: DarknetNetwork | None = None
    channels_last: bool = False
    recorded_input: NDArray[Any] | None = None
    is_recorded: bool = False
    outputs: Outputs | None = None

    def read_already(self) -> Opened:
        """The same to be run alone: what was held to read it at other shapes, all its weights, may go."""
        return replace(self, at_shapes=_refuse_reading)

    def trace(self, graph: Graph, given: Given, store: Store) -> Trace:
        """Run the model on `given`, inputs by the names that `graph` has, and keep all tensors in `store`."""
        for name, values in given.items():
            store.put(name, values)
        for name, values in self.values(graph, given):
            store.put(name, values)
        return trace_of(graph, store)


def _refuse_reading(shapes: Shapes) -> Graph:
    raise AssertionError(f"it was read already, not at {shapes}")


def opened_model(model: object, *, flavor: str = "alexey") -> Opened:
    """What `model` is: a path, a live model, a Darknet network, its files as a pair (cfg, weights), recorded outputs.

    Raises `UnusableInputError` for what no reader knows, and as the readers do.
    """
    if isinstance(model, tuple) and len(model) == 2:
        model = load(model[0], model[1], flavor=flavor)
    if isinstance(model, str | os.PathLike) and Path(model).suffix.lower() == ".cfg":
        raise UnusableInputError(f"'{os.fspath(model)}' has no weights: give its .weights file behind it")
    if isinstance(model, str | os.PathLike) and Path(model).suffix.lower() == ".npz":
        graph, told = recorded.read(model), os.fspath(model)
        x = recorded.recorded_input(model)
        return Opened(told, lambda _: graph, partial(_values, model), recorded_input=x, is_recorded=True)
    net = model if isinstance(model, DarknetNetwork) else None
    name = os.fspath(model) if isinstance(model, str | os.PathLike) else net.network.source if net else "model"
    if is_one(model, "torch.nn", "Module"):
        live = import_module(f"{_RUNNING}.torch").LiveModule(model)
        return Opened(type(model).__name__, live.at_shapes, live.values, outputs=live.outputs)
    at_shapes = opened(model, flavor)
    return Opened(name, at_shapes, partial(_values, model), net, _is_channels_last(model))


def _is_channels_last(model: object) -> bool:
    """Whether it is of TensorFlow, by its file's ending or its class; a choice where both layouts fit."""
    if isinstance(model, str | os.PathLike):
        return Path(model).suffix.lower() in (".keras", ".h5", ".hdf5", ".tflite", "")
    return type(model).__module__.partition(".")[0] in ("keras", "tensorflow")


def _values(model: object, graph: Graph, given: Given) -> Iterator[tuple[str, NDArray[Any]]]:
    module, function = _RUNNERS[graph.format]
    if graph.format == "TensorFlow" and isinstance(model, str | os.PathLike) and Path(model).is_dir():
        function = "values_of_saved_model"
    run = getattr(import_module(f"{_RUNNING}.{module}"), function)
    yield from run(model, graph, given)
