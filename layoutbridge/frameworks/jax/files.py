"""Functions as `jax.export` keeps them: written, and read again."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from layoutbridge.algebra.fitting import read_open_lengths
from layoutbridge.algebra.rearrangement import Rearrangement, with_batch_axis
from layoutbridge.errors import ParameterError, ShapeError, UnusableInputError, counted, first_line, shown
from layoutbridge.files import whole_file
from layoutbridge.frameworks.apart import run_apart
from layoutbridge.frameworks.base import DTYPE_NAMES, require
from layoutbridge.frameworks.batch import has_batch_axis, refuse_misfit
from layoutbridge.frameworks.framework import TypedCallable
from layoutbridge.frameworks.jax.emission import EXTRA, emit
from layoutbridge.inputs import file_size, read_bytes

ENDING = ".jax"
_OPENER = "layoutbridge.frameworks.jax.files:open_file"
_LARGEST = (1 << 31) - 1  # bytes of a flatbuffer
_COMPILER = 1 << 28  # XLA's own memory is allowed for as a file of so many bytes
_CALL = re.compile(r"custom_call(?: @(?P<target>[\w.]+)\()?")
_MARKS = frozenset(("shape_assertion", "Sharding", "SPMDFullToShardShape", "SPMDShardToFullShape"))
_PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


def save(
    op: Rearrangement,
    path: str | os.PathLike[str],
    *,
    shape: Sequence[int | None] | None = None,
    dtype: str = "float32",
    batch: bool | None = None,
) -> None:
    """Write `op` as an exported function (.jax), whole or not at all, for CPUs, GPUs and TPUs.

    The function takes arrays of `shape` and `dtype`; an axis given as None may have any length that `op` accepts, and
    without a shape all may, `batch` or else `op.has_batch` saying whether there is a batch axis.
    `jax.export.deserialize(Path(path).read_bytes()).call(x)` runs it where layoutbridge is not installed, and it has
    its gradient with it. Raises `ParameterError` for another ending or an unknown dtype, `ShapeError` for a shape that
    does not fit, and `MissingFrameworkError`.

    >>> import tempfile, jax
    >>> from layoutbridge.operations.catalog import op
    >>> path = os.path.join(tempfile.mkdtemp(), "reorg.jax")
    >>> save(op("darknet_reorg"), path, shape=(None, 64, None, 26))
    >>> exported = jax.export.deserialize(Path(path).read_bytes())
    >>> exported.out_avals, exported.call(jax.numpy.zeros((3, 64, 52, 26))).shape
    ((ShapedArray(float32[N,256,H,13]),), (3, 256, 26, 13))
    """
    jax = require("jax", "JAX", EXTRA)
    from jax import export

    if Path(path).suffix != ENDING:
        raise ParameterError(f"'{path}' must end in {ENDING}, the ending of exported functions")
    try:
        kind = jax.numpy.dtype(dtype)
    except TypeError:
        kind = None
    if kind is None or kind.kind in "OSUMm":
        raise ParameterError(f"JAX has no dtype {shown(dtype)}; it has {', '.join(DTYPE_NAMES)} and more")
    lengths = _symbolic(op, (None,) * (op.rank + has_batch_axis(op, batch)) if shape is None else shape, batch)
    with _wide_numbers(kind):
        try:
            exported = export.export(jax.jit(emit(op, batch=batch)), platforms=_PLATFORMS)(
                jax.ShapeDtypeStruct(lengths, kind)
            )
        except OverflowError:  # of a number beside an open length
            raise ShapeError(
                f"{op.label}: JAX counts open lengths in 32 bits: give every length of the shape"
            ) from None
        differentiable = jax.numpy.issubdtype(kind, jax.numpy.inexact)
        content = exported.serialize(vjp_order=1 if differentiable else 0)
    with whole_file(path) as temporary:
        temporary.write_bytes(content)


def _symbolic(op: Rearrangement, shape: Sequence[int | None], batch: bool | None) -> tuple[Any, ...]:
    """The lengths, those left open as multiples of what `op` divides them by, named as its axes."""
    from jax import export

    lengths = read_open_lengths(op, shape)
    refuse_misfit(op, lengths, batch)
    whole = with_batch_axis(op, len(lengths))
    fixed = dict(whole.domain.fixed)
    written = []
    for axis, (length, name) in enumerate(zip(lengths, whole.axes, strict=True)):
        multiple = fixed.get(axis, f"{whole.domain.divisor(axis)}*{name}")
        written.append(str(multiple if length is None else length))
    return tuple(export.symbolic_shape(", ".join(written)))


def _wide_numbers(kind: Any) -> AbstractContextManager[object]:
    """Where numbers of 64 bits are not made numbers of 32."""
    import jax

    return jax.enable_x64(True) if kind.itemsize == 8 else nullcontext()


def refuse_calls(program: str, told: str) -> None:
    """Raise `UnusableInputError` where a `program` in MLIR calls what is not in it, functions of Python, say.

    JAX exports no such calls to Python, and checks nothing of the kind in what it reads. What remains are marks for its
    compiler. `told` names the file.

    >>> refuse_calls("stablehlo.custom_call @shape_assertion(%4, %0)", "'a.jax'")
    >>> refuse_calls("stablehlo.custom_call @xla_ffi_python_cpu_callback(%4)", "'a.jax'")
    Traceback (most recent call last):
    ...
    layoutbridge.errors.UnusableInputError: 'a.jax' calls xla_ffi_python_cpu_callback, which is code outside of the file
    """
    for call in _CALL.finditer(program):
        target = call["target"]
        if target not in _MARKS:
            raise UnusableInputError(f"{told} calls {target or 'something'}, which is code outside of the file")


def load_exported(path: str | os.PathLike[str]) -> TypedCallable:
    """The exported function in a file as a function of one array, which runs in a process of its own.

    Raises `UnusableInputError` for what is no such file, takes or gives other than one array, or calls code outside of
    it, `MissingFrameworkError`, and as `frameworks.apart.run_apart`.
    """
    return run_apart(_OPENER, path, file_size(path, "exported function", most=_LARGEST) + _COMPILER)


def open_file(path: str | os.PathLike[str]) -> TypedCallable:
    """The same in this process. Raises as `load_exported` does."""
    export = require("jax.export", "JAX", EXTRA)
    content = read_bytes(path, "exported function", most=_LARGEST)
    try:
        exported = export.deserialize(bytearray(content))
    except Exception as error:  # whatever reading bytes that are none of its own runs into
        raise UnusableInputError(
            f"'{os.fspath(path)}' is no function that this JAX can read: {first_line(error)}"
        ) from None
    refuse_calls(exported.mlir_module(), f"'{os.fspath(path)}'")
    taken, given = len(exported.in_avals), len(exported.out_avals)
    if (taken, given) != (1, 1):
        raise UnusableInputError(
            f"'{os.fspath(path)}' takes {counted(taken, 'array')} and gives {given}: one is wanted"
        )
    kind = exported.in_avals[0].dtype

    def run(x: NDArray[Any]) -> Any:
        with _wide_numbers(kind):
            return exported.call(x)

    return TypedCallable(run, kind.name)
