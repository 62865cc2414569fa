"""Models opened in onnxruntime and in onnx's reference evaluator, and run on NumPy arrays."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from math import prod
from threading import Lock
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.errors import LayoutBridgeError, UnusableInputError, first_line
from layoutbridge.frameworks.apart import is_lack_of_memory
from layoutbridge.frameworks.base import numpy_dtype, require
from layoutbridge.frameworks.deadlines import stopped_after
from layoutbridge.frameworks.onnx.versions import ELEM_TYPES, EXTRA
from layoutbridge.inputs import read_json, seconds_allowed, too_large, too_slow

Run = Callable[[NDArray[Any]], NDArray[Any]]
_FATAL_ONLY = 4  # what onnxruntime prints; its errors are raised anyway
_PROVIDERS = ["CPUExecutionProvider"]
_DATA_FOLDER = "session.model_external_initializers_file_folder_path"
LEVEL = "graph_optimization_level"  # an attribute of the options, not an entry
_AS_ASKED = 1  # an arena that grows by what is asked for, not by powers of two
_REGISTERING = Lock()
_SECONDS = 60.0  # that a model nobody vouches for may run
_STOPPED = "terminate flag"  # onnxruntime's words for it


def open_session(
    model: str | os.PathLike[str] | bytes,
    *,
    threads: int = 0,
    optimized: bool = True,
    most_bytes: int | None = None,
    folds: bool = False,
    data_folder: str | os.PathLike[str] | None = None,
    sparing: bool = False,
    settings: Mapping[str, str] = MappingProxyType({}),
) -> Any:
    """The `onnxruntime.InferenceSession` of a model, given by its path or its bytes, on the CPU; it prints nothing.

    `threads` 0 leaves their number to onnxruntime; `optimized` lets it rewrite the graph first. With
    `most_bytes` the tensors of a run take no more together: for models that nobody vouches for (`run_limited`). What
    follows from constants alone is then computed in every run, where it counts, but for a model that `folds` to few
    enough bytes (`folding.folded_bytes`). Data in other files of a model that is given by its bytes lie in
    `data_folder`. A `sparing` one holds no memory in store and no second copy of weights: slower, for what runs once.
    `settings` are entries of onnxruntime's configuration of sessions; `LEVEL` among them is "all" or "extended".
    Raises `MissingFrameworkError`, and what onnxruntime raises: see `refusals_of`.
    """
    onnxruntime = require("onnxruntime", "onnxruntime", EXTRA)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL_ONLY
    options.intra_op_num_threads = threads
    levels = onnxruntime.GraphOptimizationLevel
    for name, value in settings.items():
        if name == LEVEL:
            options.graph_optimization_level = (
                levels.ORT_ENABLE_EXTENDED if value == "extended" else levels.ORT_ENABLE_ALL
            )
        else:
            options.add_session_config_entry(name, value)
    if not optimized:
        options.graph_optimization_level = levels.ORT_DISABLE_ALL
    if sparing:
        options.enable_cpu_mem_arena = False
        options.add_session_config_entry("session.disable_prepacking", "1")
    if data_folder is not None:
        options.add_session_config_entry(_DATA_FOLDER, os.fspath(data_folder))
    held = model if isinstance(model, bytes) else os.fspath(model)
    if most_bytes is None:
        return onnxruntime.InferenceSession(held, options, providers=_PROVIDERS)
    options.add_session_config_entry("session.use_env_allocators", "1")
    arena = onnxruntime.OrtArenaCfg({"max_mem": most_bytes, "arena_extend_strategy": _AS_ASKED})
    of_the_cpu = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    with _REGISTERING:  # a session keeps what was registered last before it was made
        onnxruntime.create_and_register_allocator(of_the_cpu, arena)
        # constants are folded outside of what was registered
        unfolded = set() if folds else {"ConstantFolding"}
        return onnxruntime.InferenceSession(held, options, providers=_PROVIDERS, disabled_optimizers=unfolded)


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


def run_limited(
    session: Any, outputs: list[str], given: Mapping[str, NDArray[Any]], path: str | os.PathLike[str], most_bytes: int
) -> list[Any]:
    """What a session that was opened with `most_bytes` gives, stopped behind the node at which its time is over.

    Raises `UnusableInputError`, with the limit to lift for too much time or memory, else as `refusals_of`.
    """
    import onnxruntime

    seconds = seconds_allowed(_SECONDS)
    options = onnxruntime.RunOptions()
    try:
        with stopped_after(seconds, lambda: setattr(options, "terminate", True)), refusals_of(path, "run"):
            results: list[Any] = session.run(outputs, given, options)
            return results
    except UnusableInputError as error:
        if _STOPPED in str(error.__cause__):
            raise too_slow(f"'{os.fspath(path)}'", seconds) from None
        if error.__cause__ is not None and is_lack_of_memory(error.__cause__):
            raise too_large(f"'{os.fspath(path)}'", most_bytes) from None
        raise


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


def feeding(session: Any) -> Callable[[NDArray[Any]], dict[str, NDArray[np.float32]]]:
    """What makes of x [N, ...] a model's first input, and zeros for the states [N, ...] that its metadata name.

    Raises `UnusableInputError` where the model leaves the size of a state open.
    """
    taken, states = session.get_inputs()[0].name, state_shapes(session)  # told slowly: asked for once

    def fed(x: NDArray[Any]) -> dict[str, NDArray[np.float32]]:
        given = {taken: np.ascontiguousarray(x, np.float32)}
        return given | {name: np.zeros((len(x), *shape), np.float32) for name, shape in states.items()}

    return fed


def state_shapes(session: Any) -> dict[str, tuple[int, ...]]:
    """The states that a model's metadata name, with the shapes of one picture.

    Metadata that are no list of names, which other programs may have written, name none. Raises `UnusableInputError`
    where the model leaves the size of a state open.
    """
    told = read_json(session.get_modelmeta().custom_metadata_map.get("states", "[]"))
    names = told if isinstance(told, list) and all(isinstance(name, str) for name in told) else []
    shapes = {each.name: tuple(each.shape[1:]) for each in session.get_inputs()[1:] if each.name in names}
    for name, shape in shapes.items():
        if not all(isinstance(length, int) and length > 0 for length in shape):  # open ones are names or None
            raise UnusableInputError(
                f"the model leaves the size of state {name[:80]} open: run it with states of your own"
            )
    return shapes


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
