"""OpenVINO's IR on the CPU, in float32."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.comparing.running.feeding import fed, in_shares, wanted
from layoutbridge.errors import LayoutBridgeError, UnusableInputError, first_line
from layoutbridge.frameworks.base import require
from layoutbridge.inputs import PathLike, file_size
from layoutbridge.scanning.graphs.graph import Graph

_FLOAT32 = {"INFERENCE_PRECISION_HINT": "f32"}  # by itself OpenVINO computes in fewer bits where the processor can


def values(path: PathLike, graph: Graph, given: Mapping[str, NDArray[Any]]) -> Iterator[tuple[str, NDArray[Any]]]:
    """The tensors of the .xml file at `path`, its weights in the .bin beside it, read as `graph`, for `given` inputs.

    Raises `UnusableInputError` where the .bin is missing and for what OpenVINO cannot load or run, `ShapeError` for
    inputs that do not fit, and `MissingFrameworkError`.

    >>> import tempfile, openvino
    >>> from openvino import opset13 as ops
    >>> from layoutbridge.scanning.readers.openvino import read
    >>> x = ops.parameter([1, 8, 4, 4], np.float32, name="x")
    >>> path = tempfile.mkdtemp() + "/net.xml"
    >>> openvino.save_model(openvino.Model([ops.space_to_depth(x, "blocks_first", 2)], [x], "net"), path)
    >>> [made.shape for name, made in values(path, read(path), {"x": np.zeros((1, 8, 4, 4))})]
    [(1, 32, 2, 2)]
    """
    openvino = require("openvino", "OpenVINO", "openvino")
    weights = os.path.splitext(os.fspath(path))[0] + ".bin"
    for file in (path, weights):
        file_size(file, "file of OpenVINO's")
    taken = fed(graph, given)
    with _refusals_of(path, "load"):
        model = _at_sizes(openvino, path, graph)
    numbers = _numbers(model, graph)
    for share in in_shares(wanted(graph), graph):
        with _refusals_of(path, "run"):
            made = _run(openvino, model, [numbers[name] for name in share], list(taken.values()))
        yield from zip(share, made, strict=True)


def _at_sizes(openvino: Any, path: PathLike, graph: Graph) -> Any:
    """The model at the graph's sizes, with what only depends on constants and shapes folded, as the reader has it."""
    frontend = require("openvino.frontend", "OpenVINO", "openvino").FrontEndManager().load_by_framework("ir")
    model = frontend.convert(frontend.load(os.fspath(path)))
    ports = [parameter.output(0) for parameter in model.get_parameters()]
    if any(port.get_partial_shape().is_dynamic for port in ports):
        shapes = (openvino.PartialShape(list(graph.tensors[name].shape)) for name in graph.inputs)
        model.reshape(dict(zip(ports, shapes, strict=True)))
    manager = require("openvino.passes", "OpenVINO", "openvino").Manager()
    manager.register_pass(require("openvino.passes", "OpenVINO", "openvino").ConstantFolding())
    manager.run_passes(model)
    return model


def _ports(model: Any) -> list[Any]:
    """The outputs of all operations whose shapes are known, in OpenVINO's order."""
    nodes = [node for node in model.get_ordered_ops() if node.get_type_name() != "Result"]
    return [port for node in nodes for port in node.outputs() if port.get_partial_shape().is_static]


def _numbers(model: Any, graph: Graph) -> dict[str, int]:
    """Which of the model's outputs each tensor is: the reader has them in OpenVINO's order."""
    shapes = [tuple(port.get_partial_shape().to_shape()) for port in _ports(model)]
    if shapes != [tensor.shape for tensor in graph.tensors.values()]:
        raise UnusableInputError(f"'{graph.name}' is not the model that was read: read it again")
    return {name: number for number, name in enumerate(graph.tensors)}


def _run(openvino: Any, model: Any, numbers: list[int], inputs: list[NDArray[Any]]) -> list[NDArray[Any]]:
    """The model's outputs of these numbers, by a copy of it that gives them beside its own."""
    copied = model.clone()
    ports = _ports(copied)
    first = len(copied.get_results())
    for number in numbers:
        copied.add_results([openvino.opset1.result(ports[number])])
    compiled = openvino.Core().compile_model(copied, "CPU", _FLOAT32)
    results = compiled(inputs)
    return [np.array(results[first + place]) for place in range(len(numbers))]


@contextmanager
def _refusals_of(path: PathLike, doing: str) -> Iterator[None]:
    """`UnusableInputError` with OpenVINO's own words for what it raises: RuntimeError, ValueError for other text."""
    try:
        yield
    except LayoutBridgeError:
        raise
    except (RuntimeError, ValueError) as error:
        raise UnusableInputError(f"OpenVINO cannot {doing} '{os.fspath(path)}': {_reason(error)}") from None


def _reason(error: Exception) -> str:
    """The line that says what is wrong: those in front of it are places in OpenVINO's own program."""
    lines = str(error).splitlines()
    told = [line for line in lines if line.strip() and not line.startswith(("Exception from ", "Check '"))]
    return first_line(RuntimeError("\n".join(told or lines)))
