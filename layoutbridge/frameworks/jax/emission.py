"""JAX: a rearrangement as a function of its arrays, in `jax.numpy`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

from layoutbridge.algebra.rearrangement import Rearrangement, with_batch_axis
from layoutbridge.algebra.sizes import Size
from layoutbridge.errors import ShapeError
from layoutbridge.frameworks.base import installed_version, require

if TYPE_CHECKING:
    import jax

EXTRA = "jax"


def installed() -> str | None:
    """JAX's version, or None where it is not installed."""
    return installed_version("jax")


def emit(op: Rearrangement) -> Callable[[jax.Array], jax.Array]:
    """`op` as a function of arrays [N, ...], or of one item [...], of any dtype.

    It may be transformed as any function of JAX: `jit`, `grad` (its gradient is the inverse rearrangement), `vmap`, and
    `jax.export` with symbolic lengths. The function raises `ShapeError` for a shape that does not fit, when it is
    traced; `emit` raises `MissingFrameworkError` without JAX.

    >>> import jax
    >>> from layoutbridge.operations.catalog import op
    >>> reorg = jax.jit(emit(op("darknet_reorg", stride=2)))
    >>> reorg(jax.numpy.zeros((1, 64, 26, 26), "int8")).shape
    (1, 256, 13, 13)
    """
    numpy = require("jax.numpy", "JAX", EXTRA)

    def rearrange(x: jax.Array) -> jax.Array:
        x = numpy.asarray(x)
        views, result = _views(op, x.shape)
        for view, order in views:
            x = x.reshape(view).transpose(order)
        return x.reshape(result)

    rearrange.__name__ = rearrange.__qualname__ = op.name or "rearrange"
    rearrange.__doc__ = f"{op.label}: {op.pattern}"
    return rearrange


Lengths = tuple[Any, ...]  # numbers, or what `jax.export` has for lengths that are not known


def _views(op: Rearrangement, shape: Lengths) -> tuple[list[tuple[Lengths, tuple[int, ...]]], Lengths]:
    """Each step's view and its order, and the shape of the result; raises `ShapeError` where `shape` does not fit."""
    if all(isinstance(length, int) for length in shape) or len(shape) not in (op.rank, op.rank + 1):
        op.bind(shape)
    else:
        _refuse_symbolic(op, shape)
    whole = with_batch_axis(op, len(shape))
    steps = [(tuple(_length(size, shape) for size in step.sizes), step.order) for step in whole.steps]
    return steps, tuple(_length(size, shape) for size in whole.result_shape)


def _refuse_symbolic(op: Rearrangement, shape: Lengths) -> None:
    item = shape[-op.rank :]
    told = f"{op.label} does not take shape ({', '.join(map(str, shape))})"
    for axis, length in op.domain.fixed:
        if item[axis] != length:
            raise ShapeError(f"{told}: {op.axes[axis]} = {item[axis]} must be {length}")
    for size in op.domain.whole:
        over, under = _ratio(size, item)
        if over % under != 0:
            raise ShapeError(
                f"{told}: {size.format(op.axes)} must be a whole number; "
                f"a length that may be any multiple of 2 is written '2*h' for jax.export.symbolic_shape"
            )


def _ratio(size: Size, lengths: Sequence[Any]) -> tuple[Any, Any]:
    """What is divided, and by what."""
    over = prod([lengths[axis] ** power for axis, power in size.powers if power > 0], start=size.coefficient.numerator)
    under = prod(
        [lengths[axis] ** -power for axis, power in size.powers if power < 0], start=size.coefficient.denominator
    )
    return over, under


def _length(size: Size, lengths: Sequence[Any]) -> Any:
    over, under = _ratio(size, lengths)
    return over // under
