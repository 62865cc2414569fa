"""LiteRT's .tflite files in its interpreter, which keeps all tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.comparing.running.feeding import fed, wanted
from layoutbridge.errors import LayoutBridgeError, UnusableInputError, first_line
from layoutbridge.frameworks.base import numpy_dtype, require
from layoutbridge.inputs import PathLike, read_bytes
from layoutbridge.scanning.graphs.graph import Graph
from layoutbridge.scanning.readers.tflite.model import LARGEST, Model

_THREADS = 2


def values(path: PathLike, graph: Graph, given: Mapping[str, NDArray[Any]]) -> Iterator[tuple[str, NDArray[Any]]]:
    """The tensors of the .tflite file at `path`, read as `graph`, for `given` inputs; quantised ones as float32.

    An input that is quantised takes numbers as they are meant, if they are floating-point ones. Kernels are LiteRT's
    own: delegates would keep tensors for themselves. Raises
    `UnusableInputError` where LiteRT cannot load or run it, `ShapeError` for inputs that do not fit, and
    `MissingFrameworkError`.

    >>> values("net.tflite", Graph("net", "LiteRT", (), {}, (), (), 0), {}).__next__()
    Traceback (most recent call last):
    ...
    layoutbridge.errors.UnusableInputError: there is no .tflite file 'net.tflite'
    """
    content = read_bytes(path, ".tflite file", most=LARGEST)
    numbers = {name: number for number, name in enumerate(Model(path).subgraphs[0].names)}
    litert = require("ai_edge_litert.interpreter", "LiteRT", "litert")
    with _refusals_of(graph.name, "load"):
        interpreter = litert.Interpreter(
            model_content=content,
            num_threads=_THREADS,
            experimental_op_resolver_type=litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            experimental_preserve_all_tensors=True,
        )
        for name in graph.inputs:
            interpreter.resize_tensor_input(numbers[name], list(graph.tensors[name].shape))
        interpreter.allocate_tensors()
    details = {held["index"]: held for held in interpreter.get_tensor_details()}
    with _refusals_of(graph.name, "run"):
        for name, x in _as_taken(graph, given, numbers, details).items():
            interpreter.set_tensor(numbers[name], x)
        interpreter.invoke()
    for name in wanted(graph):
        try:
            made = interpreter.get_tensor(numbers[name])
        except ValueError:  # a tensor that no kernel filled: one within another, or of a type that NumPy lacks
            continue
        yield name, _meant(made, details[numbers[name]]["quantization_parameters"])


def _as_taken(
    graph: Graph, given: Mapping[str, NDArray[Any]], numbers: Mapping[str, int], details: Mapping[int, Any]
) -> dict[str, NDArray[Any]]:
    """The inputs, floating-point ones quantised where the file takes them so."""
    taken = {
        name: _quantised(x, graph.tensors[name].dtype, details[numbers[name]]["quantization_parameters"])
        if name in graph.inputs
        else x
        for name, x in given.items()
    }
    return fed(graph, taken)


def _quantised(x: NDArray[Any], dtype: str, told: Mapping[str, Any]) -> NDArray[Any]:
    kind = numpy_dtype(dtype)
    if not len(told["scales"]) or x.dtype.kind != "f" or kind.kind not in "iu":
        return x
    scale, zero = (_spread(told[key], told, x.ndim) for key in ("scales", "zero_points"))
    limits = np.iinfo(kind)
    return np.clip(np.rint(x / scale) + zero, limits.min, limits.max).astype(kind)


def _meant(x: NDArray[Any], told: Mapping[str, Any]) -> NDArray[Any]:
    """What whole numbers stand for; other tensors as they are."""
    if not len(told["scales"]) or x.dtype.kind not in "iu":
        return x
    scale, zero = (_spread(told[key], told, x.ndim) for key in ("scales", "zero_points"))
    return ((x.astype(np.float32) - zero) * scale).astype(np.float32)


def _spread(numbers: NDArray[Any], told: Mapping[str, Any], rank: int) -> NDArray[Any]:
    """A number for each place along the axis that is quantised, or one for all, to compute with."""
    shape = [1] * rank
    if len(numbers) > 1:
        shape[told["quantized_dimension"]] = len(numbers)
    return np.asarray(numbers, np.float32).reshape(shape)


@contextmanager
def _refusals_of(name: str, doing: str) -> Iterator[None]:
    try:
        yield
    except LayoutBridgeError:
        raise
    except (ValueError, RuntimeError, OSError) as error:
        raise UnusableInputError(f"LiteRT cannot {doing} '{name}': {first_line(error)}") from None
