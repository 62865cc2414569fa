"""One folder a framework: how to emit a rearrangement there, how to run one there.

Each has a record (see `layoutbridge.frameworks.framework`), and `layoutbridge.frameworks.table` lists them.
A framework is imported when it is used.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Unpack

if TYPE_CHECKING:
    from layoutbridge.algebra.rearrangement import Rearrangement
    from layoutbridge.frameworks.options import CodeOptions, EmitOptions, ExportOptions


def emit(op: Rearrangement, framework: str, *, batch: bool | None = None, **options: Unpack[EmitOptions]) -> Any:
    """`op` in `framework`: a function, an `nn.Module`, a Keras layer or an `onnx.ModelProto`.

    With `batch` on it takes a batch axis in front of the pattern's, with `batch` off the pattern's axes alone. Without
    it `op.has_batch` decides: off for entries that name every axis themselves, weights and what goes across the batch;
    there a `shape` with one axis more asks for a batch, too. Functions, modules and layers then take both, as far as
    the framework's do.

    `options` are those of that framework's `emit`; another one raises `ParameterError` with the names of those. Raises
    `ParameterError` for another `batch`, `UnknownNameError` for an unknown framework, `MissingFrameworkError` where it
    is not installed, and `ShapeError` for an `op` that no array can be of a shape for.

    >>> from layoutbridge.operations.catalog import op
    >>> from numpy import zeros
    >>> emit(op("window_partition", window=4), "numpy", batch=False)(zeros((2, 8, 8, 3))).shape
    (8, 4, 4, 3)
    """
    from layoutbridge.algebra.fitting import refuse_impossible
    from layoutbridge.frameworks.batch import check_batch
    from layoutbridge.frameworks.framework import refuse_unknown
    from layoutbridge.frameworks.table import framework as framework_named

    record = framework_named(framework)
    refuse_unknown(f"emit for {record.name}", record.emit, options)
    check_batch(batch)
    refuse_impossible(op)
    return record.emit(op, batch=batch, **options)


def export(
    op: Rearrangement,
    framework: str,
    path: str | os.PathLike[str],
    *,
    shape: Sequence[int | None] | None = None,
    batch: bool | None = None,
    **options: Unpack[ExportOptions],
) -> None:
    """Write `op` to `path` as `framework` stores models, whole or not at all.

    `shape` is the input's, [N, C, H, W]; None leaves an axis open where the framework can. With `batch` off it has the
    pattern's axes alone, and so has the model; without `batch` it is as in `emit`. Raises as `emit` does, and
    `ShapeError` for a shape that does not fit.

    >>> import os, tempfile
    >>> from numpy import load
    >>> from layoutbridge.operations.catalog import op
    >>> path = os.path.join(tempfile.mkdtemp(), "table.npy")
    >>> export(op("oihw_to_hwio", spatial=1), "numpy", path, shape=(2, 2, 1))
    >>> load(path)
    array([0, 2, 1, 3])
    """
    from layoutbridge.algebra.fitting import refuse_impossible
    from layoutbridge.frameworks.batch import check_batch
    from layoutbridge.frameworks.framework import refuse_unknown
    from layoutbridge.frameworks.table import framework as framework_named

    record = framework_named(framework)
    refuse_unknown(f"export for {record.name}", record.save, options)
    check_batch(batch)
    refuse_impossible(op)
    record.save(op, path, shape=shape, batch=batch, **options)


def code(op: Rearrangement, framework: str, *, batch: bool | None = None, **options: Unpack[CodeOptions]) -> str:
    """The source text of a function that is `op` and needs nothing but `framework`, which may also be "einops".

    It is for tensors with a batch axis in front, unless `batch` is False; None is as `op.has_batch` says, which for
    weights is without. `options` are the framework's own: TensorFlow's `data_format`, as for `emit`. No
    framework is imported for it. Raises `UnknownNameError` for an unknown framework, `ParameterError` for an unknown
    option or no `Rearrangement`, `ShapeError` for an `op` that no array can be of a shape for.

    >>> from layoutbridge.operations.catalog import op
    >>> print(code(op("window_partition", window=7), "torch"))
    import torch
    <BLANKLINE>
    <BLANKLINE>
    def window_partition(x: torch.Tensor) -> torch.Tensor:
        \"\"\"window_partition (window 7): n (h p:window) (w q:window) c -> (n h w) p q c, window=7\"\"\"
        n, h, w, c = x.shape
        x = x.reshape(n, h // 7, 7, w // 7, 7, c)
        x = x.permute(0, 1, 3, 2, 4, 5)
        return x.reshape(n * h * w // 49, 7, 7, c)
    <BLANKLINE>
    """
    from layoutbridge.algebra.fitting import refuse_impossible
    from layoutbridge.algebra.rearrangement import Rearrangement
    from layoutbridge.errors import ParameterError, shown
    from layoutbridge.frameworks.batch import check_batch
    from layoutbridge.frameworks.framework import refuse_unknown
    from layoutbridge.frameworks.table import code_writer

    if not isinstance(op, Rearrangement):
        raise ParameterError(f"code is written for a Rearrangement, as lb.op(NAME) gives, not for {shown(op)}")
    check_batch(batch)
    writer = code_writer(framework)
    refuse_unknown(f"code for {framework}", writer, options)
    refuse_impossible(op)
    return writer(op, batch=op.has_batch if batch is None else batch, **options)
