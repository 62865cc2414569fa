"""What verification runs of ONNX: its operators and our models, in onnxruntime and in the reference evaluator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from numpy.typing import NDArray

from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.algebra.sizes import Domain
from layoutbridge.errors import MissingFrameworkError
from layoutbridge.frameworks.base import DTYPE_NAMES, Runnable, require
from layoutbridge.frameworks.onnx.moves import SPACE_TO_DEPTH_MODE_OPSET
from layoutbridge.frameworks.onnx.sessions import (
    Run,
    highest_loadable_opset,
    one_node_model,
    run_in_onnxruntime,
    run_in_reference,
)
from layoutbridge.frameworks.onnx.versions import DEFAULT_OPSET, ELEM_TYPES, EXTRA, onnx_version, runtime_version

Emit = Callable[..., Any]  # `emission.emit`, which stands above this module
_NATIVE_OPSET = 13


@dataclass(frozen=True)
class Operator:
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
    Operator("SpaceToDepth", "space_to_depth"),
    Operator("SpaceToDepth", "space_to_depth", SPACE_TO_DEPTH_MODE_OPSET, "DCR"),
    Operator("SpaceToDepth", "space_to_depth_crd", SPACE_TO_DEPTH_MODE_OPSET, "CRD"),
    Operator("DepthToSpace", "depth_to_space", mode="DCR"),
    Operator("DepthToSpace", "depth_to_space_crd", mode="CRD"),
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

    def cannot(self, native: Operator) -> str | None:
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
    no_onnx, no_runtime = _lack_of("onnx"), _lack_of("onnxruntime")
    return (
        Runtime("onnxruntime", f"onnxruntime {runtime_version() or ''}".strip(), no_runtime or no_onnx),
        Runtime("reference", f"onnx {onnx_version() or ''} reference".replace("  ", " "), no_onnx),
    )


def _lack_of(module: str) -> str | None:
    """What to install where `module` is not there."""
    try:
        require(module, module, EXTRA)
    except MissingFrameworkError as error:
        return str(error)
    return None


def all_runnables(stride: int, entries: Iterable[Rearrangement], emit: Emit) -> Iterator[Runnable]:
    """The native operators and the models that `emit` makes of `entries`, each in both runtimes."""
    entries = list(entries)
    for runtime in runtimes():
        for native in NATIVE_OPS:
            if runtime.missing or native.opset <= _highest_opset():
                yield _native_runnable(runtime, native, stride)
        for op in entries:
            yield _emitted_runnable(runtime, op, emit)


def _highest_opset() -> int:
    import onnx

    return onnx.defs.onnx_opset_version()


def _native_runnable(runtime: Runtime, native: Operator, stride: int) -> Runnable:
    def run(x: NDArray[Any]) -> NDArray[Any]:
        return _opened_native(runtime, native, stride, x.dtype.name)(x)

    return Runnable(
        "onnx", runtime.version, native.label, native.entry, False, "NCHW", run, unavailable=runtime.cannot(native)
    )


def _emitted_runnable(runtime: Runtime, op: Rearrangement, emit: Emit) -> Runnable:
    opened: dict[tuple[str, tuple[int, ...]], Run] = {}
    opened_inverses: dict[tuple[str, tuple[int, ...]], Run] = {}

    def run(x: NDArray[Any]) -> NDArray[Any]:
        key = x.dtype.name, x.shape
        if key not in opened:
            opened[key] = _opened_model(runtime, emit, op, op.domain, *key)
        return opened[key](x)

    def gradient(_: NDArray[Any], upstream: NDArray[Any]) -> NDArray[Any]:
        key = upstream.dtype.name, upstream.shape
        if key not in opened_inverses:
            inverse = op.inverse()
            opened_inverses[key] = _opened_model(runtime, emit, inverse, inverse.domain, *key)
        return opened_inverses[key](upstream)

    return Runnable(
        "onnx", runtime.version, op.label, op.name, True, "NCHW", run, gradient, DTYPE_NAMES, runtime.missing
    )


@lru_cache(maxsize=128)
def _opened_native(runtime: Runtime, native: Operator, stride: int, dtype: str) -> Run:
    from onnx import helper

    attributes = {"mode": native.mode} if native.mode else {}
    node = helper.make_node(native.operator, ["x"], ["y"], blocksize=stride, **attributes)
    return runtime.open(one_node_model(node, ELEM_TYPES[dtype], native.opset))


@lru_cache(maxsize=1024)
def _opened_model(
    runtime: Runtime, emit: Emit, op: Rearrangement, domain: Domain, dtype: str, shape: tuple[int, ...]
) -> Run:
    """Opened once for all runnables: equal rearrangements over one domain have one model but for its names."""
    return runtime.open(_written_model(emit, op, domain, dtype, shape[1:]))


@lru_cache(maxsize=1024)
def _written_model(emit: Emit, op: Rearrangement, _: Domain, dtype: str, item: tuple[int, ...]) -> bytes:
    """As `export` writes it by default, for any batch."""
    content: bytes = emit(op, shape=(None, *item), dtype=dtype, opset=DEFAULT_OPSET, batch=True).SerializeToString()
    return content
