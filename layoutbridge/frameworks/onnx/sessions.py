"""Models run on NumPy arrays, in onnxruntime and in onnx's reference evaluator, for verification."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.algebra.sizes import Domain
from layoutbridge.frameworks.base import DTYPE_NAMES, Runnable, numpy_dtype
from layoutbridge.frameworks.onnx.emission import DEFAULT_OPSET, ELEM_TYPES, emit, onnx_version, runtime_version
from layoutbridge.frameworks.onnx.plan import SPACE_TO_DEPTH_MODE_OPSET

Run = Callable[[NDArray[Any]], NDArray[Any]]
_FATAL_ONLY = 4  # what onnxruntime prints; its errors are raised anyway
_NATIVE_OPSET = 13


def run_in_onnxruntime(model: str | bytes) -> Run:
    """The function of one array that a model, given by its path or its bytes, computes in onnxruntime.

    bfloat16 goes in and comes out as ml_dtypes has it. Raises what onnxruntime raises for a model that it cannot load.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = _FATAL_ONLY
    # what is loaded here is small and runs a few times: optimising it would take longer than running it
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    taken, given = session.get_inputs()[0], session.get_outputs()[0]

    def run(x: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(session.run([given.name], {taken.name: x})[0])

    def run_bfloat16(x: NDArray[Any]) -> NDArray[Any]:
        """NumPy has no bfloat16 that onnxruntime knows, so its values go in and come out as their 16 bits."""
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


@lru_cache(maxsize=1)
def highest_loadable_opset() -> int:
    """The highest opset that the installed onnxruntime loads, found by loading; 0 where it loads none."""
    import onnx
    from onnx import helper

    for opset in range(onnx.defs.onnx_opset_version(), 0, -1):
        try:
            run_in_onnxruntime(_one_node_model(helper.make_node("Identity", ["x"], ["y"]), 1, opset))
        except Exception:  # any refusal, whatever its class, means one opset less
            continue
        return opset
    return 0


def _one_node_model(node: Any, elem_type: int, opset: int) -> bytes:
    from onnx import helper

    sides = [helper.make_tensor_value_info(name, elem_type, [None] * 4) for name in "xy"]
    opsets = [helper.make_opsetid("", opset)]
    model = helper.make_model(
        helper.make_graph([node], "native", sides[:1], sides[1:]),
        opset_imports=opsets,
        ir_version=helper.find_min_ir_version_for(opsets),
    )
    return model.SerializeToString()


# ---------------------------------------------------------------------- what verification runs


@dataclass(frozen=True)
class NativeOp:
    """An ONNX operator that bears the name of an entry: in `mode`, where it has several, at `opset`."""

    operator: str
    entry: str
    opset: int = _NATIVE_OPSET
    mode: str = ""

    @property
    def label(self) -> str:
        """The operator with its mode and opset, as a row of verification calls it."""
        return f"{self.operator}{f' mode {self.mode}' if self.mode else ''} (opset {self.opset})"


NATIVE_OPS = (
    NativeOp("SpaceToDepth", "space_to_depth"),
    NativeOp("SpaceToDepth", "space_to_depth", SPACE_TO_DEPTH_MODE_OPSET, "DCR"),
    NativeOp("SpaceToDepth", "space_to_depth_crd", SPACE_TO_DEPTH_MODE_OPSET, "CRD"),
    NativeOp("DepthToSpace", "depth_to_space", mode="DCR"),
    NativeOp("DepthToSpace", "depth_to_space_crd", mode="CRD"),
)


@dataclass(frozen=True)
class Runtime:
    """One of the two that run models; `missing` says why it cannot, in this installation."""

    name: str
    version: str
    missing: str | None = None

    def open(self, model: bytes) -> Run:
        """The function that a serialised model computes here."""
        if self.name == "onnxruntime":
            return run_in_onnxruntime(model)
        import onnx

        return run_in_reference(onnx.load_model_from_string(model))

    def cannot(self, native: NativeOp) -> str | None:
        """Why an operator cannot run here, or None."""
        if self.missing is not None or self.name != "onnxruntime":
            return self.missing
        highest = highest_loadable_opset()
        if native.opset <= highest:
            return None
        what = f"{native.operator} mode" if native.mode else native.operator
        return f"{what} needs opset {native.opset}; {self.version} loads at most {highest}"


def runtimes() -> tuple[Runtime, ...]:
    """onnxruntime and the reference evaluator, whether they are there or not."""
    install = "is not installed: pip install 'layoutbridge[onnx]'"
    no_onnx = None if _imports("onnx") else f"onnx {install}"
    no_runtime = None if _imports("onnxruntime") else f"onnxruntime {install}"
    return (
        Runtime("onnxruntime", f"onnxruntime {runtime_version() or ''}".strip(), no_runtime or no_onnx),
        Runtime("reference", f"onnx {onnx_version() or ''} reference".replace("  ", " "), no_onnx),
    )


def _imports(module: str) -> bool:
    try:
        __import__(module)
    except ImportError:
        return False
    return True


def all_runnables(stride: int, entries: Iterable[Rearrangement]) -> Iterator[Runnable]:
    """The native operators and the models of `entries`, each in both runtimes."""
    entries = list(entries)
    for runtime in runtimes():
        for native in NATIVE_OPS:
            if runtime.missing or native.opset <= _highest_opset():
                yield _native_runnable(runtime, native, stride)
        for op in entries:
            yield _emitted_runnable(runtime, op)


def _highest_opset() -> int:
    import onnx

    return onnx.defs.onnx_opset_version()


def _native_runnable(runtime: Runtime, native: NativeOp, stride: int) -> Runnable:
    def run(x: NDArray[Any]) -> NDArray[Any]:
        return _opened_native(runtime, native, stride, x.dtype.name)(x)

    return Runnable(
        "onnx", runtime.version, native.label, native.entry, False, "NCHW", run, unavailable=runtime.cannot(native)
    )


def _emitted_runnable(runtime: Runtime, op: Rearrangement) -> Runnable:
    opened: dict[tuple[str, tuple[int, ...]], Run] = {}
    opened_inverses: dict[tuple[str, tuple[int, ...]], Run] = {}

    def run(x: NDArray[Any]) -> NDArray[Any]:
        key = x.dtype.name, x.shape
        if key not in opened:
            opened[key] = _opened_model(runtime, op, op.domain, *key)
        return opened[key](x)

    def gradient(_: NDArray[Any], upstream: NDArray[Any]) -> NDArray[Any]:
        key = upstream.dtype.name, upstream.shape
        if key not in opened_inverses:
            inverse = op.inverse()
            opened_inverses[key] = _opened_model(runtime, inverse, inverse.domain, *key)
        return opened_inverses[key](upstream)

    return Runnable(
        "onnx", runtime.version, op.label, op.name, True, "NCHW", run, gradient, DTYPE_NAMES, runtime.missing
    )


@lru_cache(maxsize=128)
def _opened_native(runtime: Runtime, native: NativeOp, stride: int, dtype: str) -> Run:
    from onnx import helper

    attributes = {"mode": native.mode} if native.mode else {}
    node = helper.make_node(native.operator, ["x"], ["y"], blocksize=stride, **attributes)
    return runtime.open(_one_node_model(node, ELEM_TYPES[dtype], native.opset))


@lru_cache(maxsize=1024)
def _opened_model(runtime: Runtime, op: Rearrangement, domain: Domain, dtype: str, shape: tuple[int, ...]) -> Run:
    """Opened once for all runnables: equal rearrangements over one domain have one model but for its names."""
    return runtime.open(_written_model(op, domain, dtype, shape[1:]))


@lru_cache(maxsize=1024)
def _written_model(op: Rearrangement, _: Domain, dtype: str, item: tuple[int, ...]) -> bytes:
    """As `export` writes it by default, for any batch."""
    return emit(op, shape=(None, *item), dtype=dtype, opset=DEFAULT_OPSET).SerializeToString()
