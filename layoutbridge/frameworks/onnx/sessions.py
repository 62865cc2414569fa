"""Models opened in onnxruntime and in onnx's reference evaluator, and run on NumPy arrays."""

from __future__ import annotations

import ctypes
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.errors import LayoutBridgeError, UnusableInputError, first_line
from layoutbridge.frameworks.base import numpy_dtype, require
from layoutbridge.frameworks.onnx.versions import ELEM_TYPES, EXTRA

Run = Callable[[NDArray[Any]], NDArray[Any]]
_FATAL_ONLY = 4  # what onnxruntime prints; its errors are raised anyway


def open_session(model: str | os.PathLike[str] | bytes, *, threads: int = 0, optimized: bool = True) -> Any:
    """The `onnxruntime.InferenceSession` of a model, given by its path or its bytes, on the CPU; it prints nothing.

    `threads` 0 leaves their number to onnxruntime; `optimized` lets it rewrite the graph first. Raises
    `MissingFrameworkError`, and what onnxruntime raises: see `refusals_of`.
    """
    onnxruntime = require("onnxruntime", "onnxruntime", EXTRA)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL_ONLY
    options.intra_op_num_threads = threads
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    held = model if isinstance(model, bytes) else os.fspath(model)
    return onnxruntime.InferenceSession(held, options, providers=["CPUExecutionProvider"])


@contextmanager
def refusals_of(path: str | os.PathLike[str], doing: str) -> Iterator[None]:
    """`UnusableInputError` with onnxruntime's own words for what it raises: classes without a common base.

    >>> with refusals_of("net.onnx", "load"):
    ...     raise RuntimeError("no graph in it")
    Traceback (most recent call last):
    layoutbridge.errors.UnusableInputError: onnxruntime cannot load 'net.onnx': no graph in it
    """
    try:
        yield
    except LayoutBridgeError:
        raise
    except Exception as error:
        raise UnusableInputError(f"onnxruntime cannot {doing} '{os.fspath(path)}': {first_line(error)}") from error


def run_in_onnxruntime(model: str | bytes) -> Run:
    """The function of one array that a model, given by its path or its bytes, computes in onnxruntime.

    bfloat16 goes in and comes out as ml_dtypes has it. Raises what onnxruntime raises for a model that it cannot load.
    """
    # what is loaded here is small and runs a few times: optimising it would take longer than running it
    session = open_session(model, threads=1, optimized=False)
    taken, given = session.get_inputs()[0], session.get_outputs()[0]

    def run(x: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(session.run([given.name], {taken.name: x})[0])

    def run_bfloat16(x: NDArray[Any]) -> NDArray[Any]:
        """NumPy has no bfloat16 that onnxruntime knows, so its values go in and come out as their 16 bits."""
        import onnxruntime

        x = np.ascontiguousarray(x)
        if x.dtype == numpy_dtype("bfloat16"):
            value = onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(x.view(np.uint16), ELEM_TYPES["bfloat16"])
        else:
            value = onnxruntime.OrtValue.ortvalue_from_numpy(x)
        result = session.run_with_ort_values([given.name], {taken.name: value})[0]
        if result.data_type() != "tensor(bfloat16)":
            return np.asarray(result.numpy())
        shape = result.shape()
        bits = ctypes.string_at(result.data_ptr(), 2 * prod(shape))
        return np.frombuffer(bits, numpy_dtype("bfloat16")).reshape(shape).copy()

    return run_bfloat16 if "tensor(bfloat16)" in (taken.type, given.type) else run


def run_in_reference(model: Any) -> Run:
    """The same in onnx's reference evaluator, for a `ModelProto`."""
    from onnx.reference import ReferenceEvaluator

    evaluator = ReferenceEvaluator(model)
    name = evaluator.input_names[0]

    def run(x: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(evaluator.run(None, {name: x})[0])  # type: ignore[index]

    return run


def fed(session: Any, x: NDArray[Any]) -> dict[str, NDArray[np.float32]]:
    """x [N, ...] for a model's first input, and zeros for the states [N, ...] that its metadata name.

    Raises `UnusableInputError` where the model leaves the size of a state open.
    """
    first, *others = session.get_inputs()
    told = _told_states(session.get_modelmeta().custom_metadata_map.get("states", "[]"))
    given = {first.name: np.ascontiguousarray(x, np.float32)}
    for state in others:
        if state.name in told:
            lengths = state.shape[1:]
            if not all(isinstance(length, int) for length in lengths):  # open ones are names or None
                raise UnusableInputError(
                    f"the model leaves the size of state {state.name} open: run it with states of your own"
                )
            given[state.name] = np.zeros((len(x), *lengths), np.float32)
    return given


def _told_states(text: str) -> list[str]:
    """The names in a list as JSON; none where it is something else, which other programs may have written."""
    try:
        told = json.loads(text)
    except ValueError:
        return []
    return told if isinstance(told, list) and all(isinstance(name, str) for name in told) else []


@lru_cache(maxsize=1)
def highest_loadable_opset() -> int:
    """The highest opset that the installed onnxruntime loads, found by loading; 0 where it loads none."""
    import onnx
    from onnx import helper

    for opset in range(onnx.defs.onnx_opset_version(), 0, -1):
        try:
            run_in_onnxruntime(one_node_model(helper.make_node("Identity", ["x"], ["y"]), 1, opset))
        except Exception:  # any refusal, whatever its class, means one opset less
            continue
        return opset
    return 0


def one_node_model(node: Any, elem_type: int, opset: int) -> bytes:
    """A model of one node from "x" to "y", four axes of any length, as bytes."""
    from onnx import helper

    sides = [helper.make_tensor_value_info(name, elem_type, [None] * 4) for name in "xy"]
    opsets = [helper.make_opsetid("", opset)]
    model = helper.make_model(
        helper.make_graph([node], "native", sides[:1], sides[1:]),
        opset_imports=opsets,
        ir_version=helper.find_min_ir_version_for(opsets),
    )
    return model.SerializeToString()
