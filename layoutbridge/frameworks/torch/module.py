"""The `nn.Module` behind `emit` for PyTorch; `layoutbridge.frameworks.torch.emission` imports it when it is needed.

PyTorch's own `pixel_unshuffle`, `pixel_shuffle` and `channel_shuffle` stand where they are the very map. Everything
else is view, permute, clone, move by move: that beats them between views, and concatenated slices
(`benchmarks/bench_torch_forms.py`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch.nn import functional

from layoutbridge.algebra.moves import Lowering, Move, along_axes, as_blocks, lower
from layoutbridge.algebra.rearrangement import Rearrangement, with_batch_axis
from layoutbridge.algebra.sizes import Size
from layoutbridge.errors import ShapeError
from layoutbridge.frameworks.batch import refuse_misfit
from layoutbridge.operations.catalog import catalog
from layoutbridge.operations.catalog import op as catalog_op

_SHAPES_KEPT = 256
_NATIVE_RANK = 4  # of the tensors that PyTorch's own functions take; a pattern may name all their axes
# Lengths under a tracer are not ints but stand for them, and take part in the same arithmetic.
Lengths = tuple[Any, ...]
Views = tuple[tuple[Lengths, ...], Lengths]  # each move's view, and the result's shape


class Length(NamedTuple):
    """A size in plain numbers, which every tracer follows: `factor` and axes `over`, by `divisor` and axes `under`."""

    factor: int
    over: tuple[int, ...]
    divisor: int
    under: tuple[int, ...]

    def parts(self, shape: Lengths) -> tuple[Any, Any]:
        """What is divided, and by what, where the axes have the lengths in `shape`."""
        over, under = self.factor, self.divisor
        for axis in self.over:
            over = over * shape[axis]
        for axis in self.under:
            under = under * shape[axis]
        return over, under

    def at(self, shape: Lengths) -> Any:
        """Its value where the axes have the lengths in `shape`."""
        over, under = self.parts(shape)
        return over if self.divisor == 1 and not self.under else over // under


class Rearrange(torch.nn.Module):
    """A rearrangement as a module without parameters; `layoutbridge.emit(op, "torch")` makes it.

    Takes [N, ...] or one item [...], by `batch` one of the two alone, of any dtype, strides and device, and returns a
    new contiguous tensor. The gradient is the inverse rearrangement, to any order. Raises `ShapeError` for a shape that
    does not fit.

    >>> Rearrange(Rearrangement("n c (h p:2) (w q:2) -> n (c p q) h w"), batch=False)(torch.zeros(1, 3, 4, 4)).shape
    torch.Size([1, 12, 2, 2])
    """

    def __init__(self, op: Rearrangement, *, batch: bool | None = None) -> None:
        super().__init__()
        lowering = lower(op)
        self.op = op
        self.batch = batch
        first, *others = lowering.moves or (_copy(lowering),)
        cut = along_axes(first, lowering.in_shape, lowering.domain) if first.kind == "transpose" else None
        self._cut_along_axes = cut is not None  # then the first view is one of every tensor, whatever its strides
        self._moves = tuple(move.map_lengths(length_of) for move in (cut or first, *others))
        self._orders = {move.indices: torch.tensor(move.indices) for move in self._moves if move.kind == "gather"}
        self._shuffles = tuple(map(_pixel_shuffle, (first, *others)))  # the same by `pixel_shuffle`, where that can be
        self._result = tuple(map(length_of, lowering.result))
        self._whole = tuple(map(length_of, op.domain.whole))
        self._ranks = [op.rank] * (batch is not True) + [op.rank + 1] * (batch is not False)
        self._native = _native_of(op)
        # a tracer takes channel_shuffle for one that excludes lengths of 1
        self._native_traces = self._native is not None and self._native.args[0] is not functional.channel_shuffle
        self._known: dict[tuple[int, ...], Views] = {}

    def extra_repr(self) -> str:
        """The name and parameters of the rearrangement, and its pattern."""
        name = [self.op.name] if self.op.name else []
        values = [f"{parameter}={value}" for parameter, value in self.op.parameters]
        batch = [] if self.batch is None else [f"batch={self.batch}"]
        return ", ".join([*name, *values, f"'{self.op.pattern}'", *batch])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`x` rearranged; see the class."""
        if torch.compiler.is_compiling() or _in_jit_trace():
            return self._forward_traced(x)
        try:
            known = self._known.get(x.shape)
        except TypeError:  # a length that stands for any number has no hash
            return self._forward_traced(x)
        views, result = known or self._checked_views(x)
        if self._native is not None and x.dim() == _NATIVE_RANK:
            return self._native(x).contiguous()
        for move, view in zip(self._moves, views, strict=True):
            x = self._applied(move, x.reshape(view))
        return x.view(result)

    def _applied(self, move: Move[Length], x: torch.Tensor) -> torch.Tensor:
        """One move on its view, as a new contiguous tensor."""
        if move.kind == "gather":
            return x.index_select(move.axis, self._orders[move.indices].to(x.device))
        if move.kind == "flip":
            return x.flip(move.flipped).contiguous()
        return x.permute(move.order).clone(memory_format=torch.contiguous_format)

    def _forward_traced(self, x: torch.Tensor) -> torch.Tensor:
        """The same in terms that a tracer follows for lengths that it does not know.

        A view that crosses axes goes through one axis: which way the direct one goes depends on what divides what.
        """
        self._check_traced(x)
        batched = self._batched(x)
        if self._native is not None and self._native_traces and x.dim() == _NATIVE_RANK and not _is_recorded():
            return self._native(x).contiguous()
        views, result = self._views(batched, x.dim())
        # ONNX Runtime's DepthToSpace takes half the time of Transpose, but is not there for every dtype
        use_native = x.dtype is torch.float32 and torch.onnx.is_in_onnx_export()
        for number, (move, view, shuffle) in enumerate(zip(self._moves, views, self._shuffles, strict=True)):
            if use_native and shuffle is not None:
                x = functional.pixel_shuffle(x.reshape(-1).view(_at(shuffle.view, batched)), shuffle.block)
            else:
                x = x.reshape(view) if number == 0 and self._cut_along_axes else x.reshape(-1).view(view)
                x = self._applied(move, x)
        return x.view(-1).view(result)

    def _batched(self, x: torch.Tensor) -> Lengths:
        """The shape of `x`, with a batch axis."""
        return tuple(x.shape) if x.dim() > self.op.rank else (1, *x.shape)

    def _views(self, batched: Lengths, rank: int) -> Views:
        """Each move's view, and the shape of the result, for an input of `rank` axes."""
        result = _at(self._result, batched)
        return tuple(_at(move.view, batched) for move in self._moves), result[len(batched) - rank :]

    def _checked_views(self, x: torch.Tensor) -> Views:
        """The same for a shape that is not known yet; raises `ShapeError`."""
        # Where torch.compile gives up on `forward` it goes on to compile what that calls, and NumPy goes wrong there.
        bind: Callable[[tuple[int, ...]], object] = self._bind
        if "torch._dynamo" in sys.modules:
            bind = torch.compiler.disable(bind)  # type: ignore[no-untyped-call]
        bind(x.shape)
        if len(self._known) >= _SHAPES_KEPT:
            self._known.clear()
        views = self._known[x.shape] = self._views(self._batched(x), x.dim())
        return views

    def _bind(self, shape: tuple[int, ...]) -> None:
        refuse_misfit(self.op, tuple(shape), self.batch)
        self.op.bind(shape)

    def _check_traced(self, x: torch.Tensor) -> None:
        """Refuse what `op.bind` refuses, without reading a length that is not known; lengths of 0 pass."""
        if x.dim() in self._ranks and (_in_jit_trace() or self._fits(x.shape[-self.op.rank :])):
            return  # in a JIT trace lengths are tensors, and asking them would be recorded as a constant
        if torch.compiler.is_dynamo_compiling():  # it drops the error's text; `forward` then runs as it is, and tells
            raise ShapeError(self.op.label)
        known = tuple(length if type(length) is int else None for length in x.shape)
        refuse_misfit(self.op, known, self.batch, may_be_empty=range(x.dim()))
        # an open length is at fault: that of the example is read, which may be, for the trace ends here
        refuse_misfit(self.op, tuple(map(int, x.shape)), self.batch, may_be_empty=range(x.dim()))

    def _fits(self, item: Lengths) -> bool:
        """Whether lengths of one item fit, in arithmetic that every tracer follows."""
        if any(item[axis] != length for axis, length in self.op.domain.fixed):
            return False
        for length in self._whole:
            over, under = length.parts(item)
            if over % under != 0:
                return False
        return True


def native_call(op: Rearrangement) -> tuple[str, int] | None:
    """PyTorch's own function for [N, C, H, W], where one is this very map and moves something, and its number.

    >>> native_call(catalog_op("channel_shuffle", groups=3)), native_call(catalog_op("focus"))
    (('channel_shuffle', 3), None)
    """
    if op.rank not in (_NATIVE_RANK - 1, _NATIVE_RANK):
        return None
    digits = {int(size.coefficient) for step in op.steps for size in step.sizes if size.is_constant}
    for name in ("pixel_unshuffle", "pixel_shuffle", "channel_shuffle"):
        parameter = next(iter(catalog()[name].parameters))
        for value in digits:
            if op == with_batch_axis(catalog_op(name, **{parameter: value}), op.rank):
                return name, value
    return None


def _native_of(op: Rearrangement) -> partial[torch.Tensor] | None:
    found = native_call(op)
    return None if found is None else partial(_call_native, getattr(functional, found[0]), found[1])


def _call_native(function: Callable[..., torch.Tensor], value: int, x: torch.Tensor) -> torch.Tensor:
    return function(x, value)


def _is_recorded() -> bool:
    """Whether an exporter to ONNX or a JIT trace is looking, which know the plain form better."""
    return torch.onnx.is_in_onnx_export() or _in_jit_trace()


def _in_jit_trace() -> bool:
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]


def _copy(lowering: Lowering[Size]) -> Move[Size]:
    """A move for where nothing moves: the result is a new tensor all the same."""
    return Move("transpose", lowering.in_shape, lowering.in_shape, tuple(range(len(lowering.in_shape))))


def _pixel_shuffle(move: Move[Size]) -> Move[Length] | None:
    blocks = as_blocks(move) if move.kind == "transpose" else None
    return blocks.map_lengths(length_of) if blocks is not None and blocks.kind == "depth_to_space" else None


def length_of(size: Size) -> Length:
    """A size in plain numbers.

    >>> length_of(Size.axis(2) / Size.constant(2)).at((1, 64, 26, 26))
    13
    """
    over = tuple(axis for axis, exponent in size.powers for _ in range(exponent))
    under = tuple(axis for axis, exponent in size.powers for _ in range(-exponent))
    return Length(size.coefficient.numerator, over, size.coefficient.denominator, under)


def _at(sizes: Sequence[Length], shape: Lengths) -> Lengths:
    return tuple(size.at(shape) for size in sizes)
