"""JAX: a rearrangement as a function of its arrays, in `jax.numpy`."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING, Any

from layoutbridge.algebra.moves import Lowering, lower
from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.algebra.sizes import Size
from layoutbridge.errors import ShapeError
from layoutbridge.frameworks.base import installed_version, require
from layoutbridge.frameworks.batch import refuse_misfit

if TYPE_CHECKING:
    import jax

EXTRA = "jax"


def installed() -> str | None:
    """JAX's version, or None where it is not installed."""
    return installed_version("jax")


def emit(op: Rearrangement, *, batch: bool | None = None) -> Callable[[jax.Array], jax.Array]:
    """`op` as a function of arrays [N, ...], or of one item [...], of any dtype; with `batch` on or off of one of them.

    It may be transformed as any function of JAX: `jit`, `grad` (its gradient is the inverse rearrangement), `vmap`, and
    `jax.export` with symbolic lengths. The function raises `ShapeError` for a shape that does not fit, when it is
    traced; `emit` raises `MissingFrameworkError` without JAX.

    >>> import jax
    >>> from layoutbridge.operations.catalog import op
    >>> reorg = jax.jit(emit(op("darknet_reorg", stride=2)))
    >>> reorg(jax.numpy.zeros((1, 64, 26, 26), "int8")).shape
    (1, 256, 13, 13)
    >>> emit(op("space_to_batch"), batch=False)(jax.numpy.zeros((2, 3, 4, 4))).shape
    (8, 3, 2, 2)
    """
    numpy = require("jax.numpy", "JAX", EXTRA)

    def rearrange(x: jax.Array) -> jax.Array:
        x = numpy.asarray(x)
        lowering = _lowered(op, x.shape, batch)
        for move in lowering.moves:
            x = x.reshape(move.view)
            match move.kind:
                case "gather":
                    x = numpy.take(x, numpy.asarray(move.indices), axis=move.axis)
                case "flip":
                    x = numpy.flip(x, move.flipped)
                case _:
                    x = x.transpose(move.order)
        return x.reshape(lowering.result)

    rearrange.__name__ = rearrange.__qualname__ = op.name or "rearrange"
    rearrange.__doc__ = f"{op.label}: {op.pattern}"
    return rearrange


Lengths = tuple[Any, ...]  # numbers, or what `jax.export` has for lengths that are not known


def _lowered(op: Rearrangement, shape: Lengths, batch: bool | None) -> Lowering[Any]:
    """The transposes of `op` for `shape`; raises `ShapeError` where it does not fit."""
    known = tuple(length if isinstance(length, int) else None for length in shape)
    refuse_misfit(op, known, batch)
    if None in known:
        _refuse_undecided(op, shape)
    return lower(op, known).map_lengths(lambda size: _length(size, shape))


def _refuse_undecided(op: Rearrangement, shape: Lengths) -> None:
    """Raise `ShapeError` where lengths that are not known need not divide as they must."""
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


def _ratio(size: Size, lengths: Lengths) -> tuple[Any, Any]:
    """What is divided, and by what."""
    over = prod([lengths[axis] ** power for axis, power in size.powers if power > 0], start=size.coefficient.numerator)
    under = prod(
        [lengths[axis] ** -power for axis, power in size.powers if power < 0], start=size.coefficient.denominator
    )
    return over, under


def _length(size: Size, lengths: Lengths) -> Any:
    over, under = _ratio(size, lengths)
    return over // under
