"""One folder a framework: how to emit a rearrangement there, how to run one there.

Each has a record (see `layoutbridge.frameworks.framework`), and `layoutbridge.frameworks.table` lists them.
A framework is imported when it is used.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from layoutbridge.algebra.rearrangement import Rearrangement


def emit(op: Rearrangement, framework: str, **options: Any) -> Any:
    """`op` in `framework`: a function, an `nn.Module`, a Keras layer or an `onnx.ModelProto`.

    `options` are those of that framework's `emit`; another one raises `ParameterError` with the names of those. Raises
    `UnknownNameError` for an unknown framework, `MissingFrameworkError` where it is not installed,
    and `ShapeError` for an `op` that no array can be of a shape for.
    """
    from layoutbridge.algebra.fitting import refuse_impossible
    from layoutbridge.frameworks.framework import refuse_unknown
    from layoutbridge.frameworks.table import framework as framework_named

    record = framework_named(framework)
    refuse_unknown(f"emit for {record.name}", record.emit, options)
    refuse_impossible(op)
    return record.emit(op, **options)


def export(
    op: Rearrangement,
    framework: str,
    path: str | os.PathLike[str],
    *,
    shape: Sequence[int | None] | None = None,
    **options: Any,
) -> None:
    """Write `op` to `path` as `framework` stores models, whole or not at all.

    `shape` is the input's, [N, C, H, W]; None leaves an axis open where the framework can. Raises as `emit` does,
    and `ShapeError` for a shape that does not fit.
    """
    from layoutbridge.algebra.fitting import refuse_impossible
    from layoutbridge.frameworks.framework import refuse_unknown
    from layoutbridge.frameworks.table import framework as framework_named

    record = framework_named(framework)
    refuse_unknown(f"export for {record.name}", record.save, options)
    refuse_impossible(op)
    record.save(op, path, shape=shape, **options)
