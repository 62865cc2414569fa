"""ONNX: a rearrangement as a model of one input and one output, in standard operators.

The operator that is the same map where there is one (SpaceToDepth, DepthToSpace, Transpose), else the form that
onnxruntime runs fastest: `moves` chooses, `graph` writes, `runnables` are what verification runs.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from layoutbridge.algebra.fitting import read_open_lengths
from layoutbridge.algebra.rearrangement import Rearrangement, with_batch_axis
from layoutbridge.errors import ParameterError, ShapeError, UnknownNameError, shown
from layoutbridge.files import whole_file
from layoutbridge.frameworks.base import Runnable, require
from layoutbridge.frameworks.batch import has_batch_axis, refuse_misfit
from layoutbridge.frameworks.onnx.limited import nodes_within
from layoutbridge.frameworks.onnx.limits import known_opset, read_limits
from layoutbridge.frameworks.onnx.moves import Written
from layoutbridge.frameworks.onnx.programs.limits import UNLIMITED, Limits
from layoutbridge.frameworks.onnx.programs.table import profile_of
from layoutbridge.frameworks.onnx.versions import (
    BFLOAT16_OPSET,
    ELEM_TYPES,
    EXTRA,
    LOWEST_OPSET,
    installed,
)

if TYPE_CHECKING:
    import onnx

__all__ = ["EXTRA", "emit", "installed", "runnables", "save"]

OpenShape = Sequence[int | str | None]


def emit(
    op: Rearrangement,
    *,
    shape: OpenShape | None = None,
    dtype: str = "float32",
    opset: int | None = None,
    native: bool = True,
    batch: bool | None = None,
    max_rank: int | None = None,
    without: Sequence[str] = (),
    runtime: str | None = None,
    limits: Limits = UNLIMITED,
) -> onnx.ModelProto:
    """`op` as a model from "input" to "output".

    `shape` is the input's with its batch axis in front, [N, C, H, W]; None or a name leaves a length open, and without
    `shape` all are. With `batch` off, or where the pattern names every axis, there is no batch axis in front; a pattern
    of four axes may then be SpaceToDepth or DepthToSpace itself. `dtype` is a float, integer or bool NumPy name, or
    bfloat16. `opset` goes from 11 (13 for bfloat16) to what the installed onnx knows; onnxruntime may know less. With
    `native` off there is no SpaceToDepth and no DepthToSpace in it, which makes depth-to-space at least twice as fast
    in onnxruntime.

    `max_rank` is the most axes of any tensor in it, `without` names ONNX operators that must not stand in it, `runtime`
    a program of `profiles` whose limits count; `limits` are the same as a value, and all that is given counts together.
    The form is then the one that moves the fewest bytes, then of the fewest nodes (`limited`). Where no exact one keeps
    the limits, `UnsupportedError` says which is in the way.

    A fixed length that does not fit raises `ShapeError`, one left open is refused when the model runs. Raises
    `ParameterError` for an unusable opset or dtype and `MissingFrameworkError` without onnx.

    >>> from layoutbridge.operations.catalog import op
    >>> model = emit(op("darknet_reorg"), shape=(None, 64, 26, 26))
    >>> [node.name for node in model.graph.node]
    ['darknet_reorg/Reshape', 'darknet_reorg/SpaceToDepth', 'darknet_reorg/Reshape_2']
    >>> [length.dim_param or length.dim_value for length in model.graph.output[0].type.tensor_type.shape.dim]
    ['N', 256, 13, 13]
    >>> model = emit(Rearrangement("n c (h p:2) (w q:2) -> n (p q c) h w"), batch=False)
    >>> [node.op_type for node in model.graph.node]
    ['SpaceToDepth']
    """
    require("onnx", "onnx", EXTRA)
    from layoutbridge.frameworks.onnx.graph import build_model
    from layoutbridge.version import __version__

    limits |= read_limits(max_rank, without) | profile_of(runtime).limits
    dtype = _known_dtype(dtype)
    lowest, of = (BFLOAT16_OPSET, f"for {dtype}") if dtype == "bfloat16" else (LOWEST_OPSET, "")
    number = known_opset(opset, lowest, limits, of)
    batched = has_batch_axis(op, batch, shape)
    names, known = _read_shape(op, shape, batched)
    name = op.name or "rearrangement"
    written = Written(op, known, dtype, number, native, batched)
    return build_model(
        *nodes_within(limits, written, name),
        name=name,
        names=names,
        elem_type=ELEM_TYPES[dtype],
        opset=number,
        doc=_describe(op),
        version=__version__,
    )


def save(
    op: Rearrangement,
    path: str | os.PathLike[str],
    *,
    shape: OpenShape | None = None,
    dtype: str = "float32",
    opset: int | None = None,
    native: bool = True,
    batch: bool | None = None,
    max_rank: int | None = None,
    without: Sequence[str] = (),
    runtime: str | None = None,
    limits: Limits = UNLIMITED,
) -> None:
    """Write the model that `emit` makes to `path`, whole or not at all.

    Raises as `emit` does, and `UnusableInputError` where `path` cannot be written.
    """
    model = emit(
        op,
        shape=shape,
        dtype=dtype,
        opset=opset,
        native=native,
        batch=batch,
        max_rank=max_rank,
        without=without,
        runtime=runtime,
        limits=limits,
    )
    from layoutbridge.frameworks.onnx.writer import data_of

    with whole_file(path, partial(data_of, path)) as temporary:
        temporary.write_bytes(model.SerializeToString())


def runnables(stride: int, entries: Iterable[Rearrangement]) -> Iterable[Runnable]:
    """SpaceToDepth and DepthToSpace in every mode that the installed onnx has, and each entry's model.

    Each of them runs in onnxruntime and in onnx's reference evaluator; the gradient of an entry's model is the
    model of its inverse. What an installation cannot run says so in `unavailable`.
    """
    from layoutbridge.frameworks.onnx.runnables import all_runnables

    return all_runnables(stride, entries, emit)


def _known_dtype(dtype: str) -> str:
    name = getattr(dtype, "name", dtype)
    if name not in ELEM_TYPES:
        raise ParameterError(f"no ONNX model is written for dtype {shown(name)}; there are {', '.join(ELEM_TYPES)}")
    return str(name)


def _read_shape(op: Rearrangement, shape: OpenShape | None, batched: bool) -> tuple[tuple[str, ...], dict[int, int]]:
    """The name of each axis, a batch in front, and the lengths that are fixed; `ShapeError` where they do not fit."""
    whole = with_batch_axis(op, op.rank + batched)
    known = dict(whole.domain.fixed)
    if shape is None:
        return whole.axes, known
    lengths = read_open_lengths(op, [None if isinstance(length, str) else length for length in shape])
    refuse_misfit(op, lengths, batched)
    names = list(whole.axes)
    for axis, (given, length) in enumerate(zip(shape, lengths, strict=True)):
        if length is not None:
            known[axis] = length
        elif isinstance(given, str):
            if not given.isidentifier():
                raise ShapeError(f"{op.label}: a dynamic axis is None or a name, not {shown(given)}")
            names[axis] = given
    return tuple(names), known


def _describe(op: Rearrangement) -> str:
    """What the model is, for its doc string: label, pattern, where the definition comes from."""
    from layoutbridge.operations.catalog import entry

    lines = [op.label, op.pattern] if op.name else [op.pattern]
    if op.name:
        with suppress(UnknownNameError):  # named by its maker, not in the catalogue
            lines.append(entry(op.name).provenance)
    return "\n".join(lines)
