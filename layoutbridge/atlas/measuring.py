"""A subject's cells, run at many shapes, strides and dtypes: which map each is, what it takes, what it refuses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from layoutbridge.algebra.factorization import factorize
from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.atlas.asking import Asked, CellError
from layoutbridge.atlas.descriptions.subject import Cell, Subject
from layoutbridge.atlas.repros import STRIDE, asking, shape_given
from layoutbridge.errors import LayoutBridgeError
from layoutbridge.frameworks.base import Layout, numpy_dtype
from layoutbridge.operations.catalog import entry
from layoutbridge.recognition.naming import names_at
from layoutbridge.recognition.recover import Recovered, recover
from layoutbridge.recognition.verification import shapes_for

Outcome = Literal["moves", "differs", "refused"]
_STRIDES = (2, 3, 4, 1)
_TELLING = 2  # at stride 1 every space and depth operation moves nothing
_USUAL = "float32"
_ODD = (5, 7)


@dataclass(frozen=True, slots=True)
class Trial:
    """One cell at one shape (as [N, C, H, W]), stride, dtype and direction, and what came of it.

    `names` are the entries of the catalogue that are the same map, `inverses` those whose inverse it is. Where the
    outcome is "differs" it moves elements otherwise than any entry, or does more than that; "refused" is what the
    subject said, or how it ended: `detail`.
    """

    shape: tuple[int, ...]
    stride: int
    dtype: str
    direction: Literal["forward", "backward"]
    outcome: Outcome
    names: tuple[str, ...] = ()
    inverses: tuple[str, ...] = ()
    detail: str = ""

    @property
    def is_odd(self) -> bool:
        """Whether it has rows or columns that no entry's stride divides: to see what becomes of them."""
        return self.shape[2:] == _ODD


@dataclass(frozen=True, slots=True)
class Measured:
    """A cell and its trials; `example` is the shape that its program is shown with, and `shown` what that prints."""

    cell: Cell
    trials: tuple[Trial, ...]
    example: tuple[int, ...] = ()
    shown: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The entries that it is at every stride that tells, in float32; else in the dtypes that it takes."""
        moved = [
            each
            for each in self.trials
            if each.outcome != "refused" and each.direction == "forward" and not each.is_odd
        ]
        usual = [each for each in moved if each.dtype == _USUAL] or moved
        telling = [each for each in usual if each.stride >= _TELLING]
        if not telling:
            return ()
        names = _common([each.names for each in telling])
        return names or tuple(f"inverse of {name}" for name in _common([each.inverses for each in telling]))


def _common(names: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(name for name in names[0] if all(name in each for each in names))


def version_of(subject: Subject, asked: Asked) -> str:
    """The version of a subject in the environment of `asked`. Raises `CellError` where it is not installed."""
    return asked.text(subject.version, "version")


def measure(subject: Subject, asked: Asked) -> tuple[Measured, ...]:
    """All cells of a subject, as they were measured in the environment of `asked`."""
    return tuple(_measured(asked, cell) for cell in subject.cells)


def _measured(asked: Asked, cell: Cell) -> Measured:
    trials = tuple(_trials(asked, cell))
    shape = shape_given(cell, _example(cell, trials))
    try:
        shown = asked.text(asking(cell.text, shape), "shown")
    except CellError:  # which the trials tell
        return Measured(cell, trials)
    return Measured(cell, trials, shape, shown)


def _example(cell: Cell, trials: Sequence[Trial]) -> tuple[int, ...]:
    """The shape that an op is shown at: one where it is no entry, the usual one, or another where it refuses that."""
    usual = _usual(cell, STRIDE)
    ran = [
        each
        for each in trials
        if each.stride == STRIDE and each.dtype == _USUAL and each.outcome != "refused" and not each.is_odd
    ]
    return min(ran, key=lambda each: (each.outcome != "differs", each.shape != usual)).shape if ran else usual


def _trials(asked: Asked, cell: Cell) -> Iterator[Trial]:
    for stride in _STRIDES:
        shapes, usual = _shapes(cell, stride), _usual(cell, stride)
        tried = [usual] if cell.is_costly else shapes
        for shape in [*tried, *_odd_shapes(shapes, stride)]:
            yield _forward(asked, cell, shape, stride, _USUAL)
        if stride == _TELLING:
            yield from (_forward(asked, cell, usual, stride, dtype) for dtype in cell.dtypes if dtype != _USUAL)
    if cell.gradient:
        yield from _backward(asked, cell)


def _shapes(cell: Cell, stride: int) -> list[tuple[int, ...]]:
    """Those of verification, as one picture each where the cell takes no batch; an entry may name the batch itself."""
    like = entry(cell.shapes_of)
    shapes = [shape if like.has_batch else shape[1:] for shape in shapes_for(like.build_at(stride))]
    return [shape if cell.takes_batches else (1, *shape[1:]) for shape in shapes]


def _usual(cell: Cell, stride: int) -> tuple[int, ...]:
    """The shape that dtypes are tried at; of a costly cell the only one, with no length at which maps coincide."""
    first, second, *_ = _shapes(cell, stride)
    return tuple(map(max, first, second)) if cell.is_costly else second


def _odd_shapes(shapes: Sequence[tuple[int, ...]], stride: int) -> Iterator[tuple[int, ...]]:
    """A shape whose rows and columns the stride does not divide."""
    if stride == _TELLING and len(shapes[0]) == 4:
        yield (1, shapes[1][1], *_ODD)


def _forward(asked: Asked, cell: Cell, shape: tuple[int, ...], stride: int, dtype: str) -> Trial:
    def run(x: NDArray[Any]) -> NDArray[Any]:
        return _first(asked.array(cell.code, {"s": stride}, cell.setup, x=_last(x, cell.layout)), cell.layout)

    return _tried(run, shape, shape, stride, dtype, "forward", None)


def _backward(asked: Asked, cell: Cell) -> Iterator[Trial]:
    """The gradient is that of the map that goes forward where it is the inverse of it."""
    stride = _TELLING
    shape = _usual(cell, stride)
    forward = _forward(asked, cell, shape, stride, _USUAL)
    if not forward.names:
        return
    op = entry(forward.names[0]).build_at(stride)
    for dtype in cell.differentiable:
        x = _last(np.ones(shape, numpy_dtype(dtype)), cell.layout)

        def run(upstream: NDArray[Any], x: NDArray[Any] = x) -> NDArray[Any]:
            given = _last(upstream, cell.layout)
            return _first(asked.array(cell.gradient, {"s": stride}, cell.setup, x=x, upstream=given), cell.layout)

        yield _tried(run, shape, op.out_shape(shape), stride, dtype, "backward", op.inverse())


def _tried(
    run: Any,
    shape: tuple[int, ...],
    read: tuple[int, ...],
    stride: int,
    dtype: str,
    direction: Literal["forward", "backward"],
    expected: Rearrangement | None,
) -> Trial:
    """What `run` does to an array of the shape `read`; where it is `expected`, that is said, else its names."""
    about = (shape, stride, dtype, direction)
    try:
        found = recover(run, read, numpy_dtype(dtype))
    except (CellError, LayoutBridgeError) as error:
        return Trial(*about, "refused", detail=str(error))
    if found.table is None:
        return Trial(*about, "differs", detail=f"{found.behaviour}: {found.detail}")
    if expected is not None:
        is_right = found.out_shape == shape and np.array_equal(found.table, expected.table(read))
        return Trial(*about, "moves" if is_right else "differs", detail="" if is_right else "not the inverse's table")
    names, inverses = _names(found, stride)
    known = bool(names or inverses)
    return Trial(*about, "moves" if known else "differs", names, inverses, "" if known else "no entry is this map")


def _names(found: Recovered, stride: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The entries that are the map at this stride, and those whose inverse it is."""
    assert found.table is not None
    if found.table.size != prod(found.in_shape):
        return (), ()
    digits = factorize(found.table).digits
    if digits is None:
        return (), ()
    back = factorize(np.argsort(found.table)).digits
    assert back is not None
    return (
        names_at(stride, digits, found.in_shape, found.out_shape),
        names_at(stride, back, found.out_shape, found.in_shape),
    )


def _last(x: NDArray[Any], layout: Layout) -> NDArray[Any]:
    return np.ascontiguousarray(np.moveaxis(x, 1, -1)) if layout == "NHWC" else x


def _first(y: NDArray[Any], layout: Layout) -> NDArray[Any]:
    return np.moveaxis(y, -1, 1) if layout == "NHWC" and y.ndim > 1 else y
