"""Whether what is emitted has a batch axis in front of the pattern's own: what the option `batch` means everywhere.

True is one, False is none, and the tensor then has the pattern's axes alone. None leaves it to the rearrangement and
the shape: a batch axis where its `has_batch` is on, or where a shape with one is given. What takes tensors of several
ranks, a function or a module, then takes both.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from layoutbridge.algebra import fitting
from layoutbridge.algebra.fitting import Lengths
from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.errors import ParameterError, shown


def check_batch(batch: object) -> None:
    """Raise `ParameterError` for what is no value of `batch`.

    >>> check_batch("no")
    Traceback (most recent call last):
    layoutbridge.errors.ParameterError: batch is True, False or None (by the operation), not 'no'
    """
    if batch is not None and not isinstance(batch, bool):
        raise ParameterError(f"batch is True, False or None (by the operation), not {shown(batch)}")


def has_batch_axis(op: Rearrangement, batch: bool | None, shape: Sequence[object] | None = None) -> bool:
    """Whether a model of `op` has a batch axis, `shape` being its input's where that is told.

    >>> from layoutbridge.operations.catalog import op
    >>> [has_batch_axis(op(name), None) for name in ("focus", "oihw_to_hwio")]
    [True, False]
    >>> has_batch_axis(op("oihw_to_hwio"), None, (1, 64, 3, 3, 3)), has_batch_axis(op("focus"), False)
    (True, False)
    """
    if batch is not None:
        return batch
    return op.has_batch or (shape is not None and len(shape) == op.rank + 1)


def refuse_misfit(
    op: Rearrangement, lengths: Lengths, batch: bool | None, *, may_be_empty: Collection[int] = ()
) -> None:
    """Raise `ShapeError` where no tensor of these `lengths` fits, with a batch axis or without, as `batch` says.

    >>> from layoutbridge.operations.catalog import op
    >>> refuse_misfit(op("transpose"), (1, 4, 6), False)
    Traceback (most recent call last):
    layoutbridge.errors.ShapeError: transpose takes 2 axes [K, D] and none in front (batch=True, or --batch, adds one), and shape (1, 4, 6) has 3
    """  # noqa: E501
    fitting.refuse_misfit(
        op, lengths, batch_required=batch is True, batch_refused=batch is False, may_be_empty=may_be_empty
    )
