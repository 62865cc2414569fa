"""Moves of a few SIMD registers, as LLVM IR: what numba's own vectoriser does not find.

Addresses are plain integers, so that one compiled kernel serves read-only, unaligned and every other kind
of array of one item size. `kind` is an unsigned integer whose type alone matters: the type of an item.
All steps are in bytes. Loads and stores assume no alignment unless they say so.
"""

# numba describes its own decorators badly.
# mypy: disable-error-code="no-untyped-call, no-any-return, return-value, arg-type"

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_INT32 = ir.IntType(32)
_BYTES_POINTER = ir.IntType(8).as_pointer()
LINE = 64  # bytes in a cache line, and the alignment that streaming stores need


def _vector_type(kind: Any, lanes: int) -> ir.VectorType:
    return ir.VectorType(ir.IntType(kind.bitwidth), lanes)


def _load(builder: Any, address: Any, type_: Any) -> Any:
    return builder.load(builder.inttoptr(address, type_.as_pointer()), align=1, typ=type_)


def _store(builder: Any, value: Any, address: Any) -> None:
    builder.store(value, builder.inttoptr(address, value.type.as_pointer()), align=1)


def _plus(builder: Any, address: Any, bytes_: int) -> Any:
    return builder.add(address, ir.Constant(address.type, bytes_))


def _shuffle(builder: Any, low: Any, high: Any, lanes: Sequence[int]) -> Any:
    mask = ir.Constant(ir.VectorType(_INT32, len(lanes)), [ir.Constant(_INT32, lane) for lane in lanes])
    return builder.shuffle_vector(low, high, mask)


def _select(builder: Any, vectors: Sequence[Any], picks: Sequence[tuple[int, int]]) -> Any:
    """The vector whose lane i is lane picks[i][1] of vectors[picks[i][0]]: one shuffle a vector beyond the first."""
    lanes = len(picks)
    used = sorted({vector for vector, _ in picks})
    first = vectors[used[0]]
    result = _shuffle(builder, first, first, [lane if vector == used[0] else 0 for vector, lane in picks])
    if len(used) > 1:
        result = first
        where = [lane if vector == used[0] else 0 for vector, lane in picks]
        for vector in used[1:]:
            joined = [lanes + lane if v == vector else where[i] for i, (v, lane) in enumerate(picks)]
            result = _shuffle(builder, result, vectors[vector], joined)
            where = list(range(lanes))
    return result


def _deinterleaver(ways: int, lanes: int) -> Callable[..., None]:
    """(source, out, out_step, kind): out[k][i] = source[i * ways + k] for `lanes` items in each of `ways` rows."""

    @intrinsic
    def move(_typing: Any, source: Any, out: Any, out_step: Any, kind: Any) -> Any:
        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            source, out, out_step, _ = arguments
            width = lanes * kind.bitwidth // 8
            type_ = _vector_type(kind, lanes)
            vectors = [_load(builder, _plus(builder, source, k * width), type_) for k in range(ways)]
            for k in range(ways):
                picks = [divmod(i * ways + k, lanes) for i in range(lanes)]
                _store(builder, _select(builder, vectors, picks), out)
                out = builder.add(out, out_step)
            return context.get_dummy_value()

        return types.void(source, out, out_step, kind), generate

    return move


def _interleaver(ways: int, lanes: int) -> Callable[..., None]:
    """(source, source_step, out, kind): out[i * ways + k] = source[k][i], the other way round."""

    @intrinsic
    def move(_typing: Any, source: Any, source_step: Any, out: Any, kind: Any) -> Any:
        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            source, source_step, out, _ = arguments
            width = lanes * kind.bitwidth // 8
            vectors = []
            for _k in range(ways):
                vectors.append(_load(builder, source, _vector_type(kind, lanes)))
                source = builder.add(source, source_step)
            for j in range(ways):
                picks = [((j * lanes + i) % ways, (j * lanes + i) // ways) for i in range(lanes)]
                _store(builder, _select(builder, vectors, picks), _plus(builder, out, j * width))
            return context.get_dummy_value()

        return types.void(source, source_step, out, kind), generate

    return move


def _transposer(lanes: int) -> Callable[..., None]:
    """(source, source_step, out, out_step, kind): out[j][i] = source[i][j], a square of `lanes` items a side."""

    @intrinsic
    def move(_typing: Any, source: Any, source_step: Any, out: Any, out_step: Any, kind: Any) -> Any:
        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            source, source_step, out, out_step, _ = arguments
            rows = []
            for _i in range(lanes):
                rows.append(_load(builder, source, _vector_type(kind, lanes)))
                source = builder.add(source, source_step)
            half = lanes // 2
            while half:  # swap the off-diagonal quarters, then within the quarters, and so on
                for i in range(lanes):
                    if i & half:
                        continue
                    low, high = rows[i], rows[i | half]
                    upper = [lane if not lane & half else lanes + (lane ^ half) for lane in range(lanes)]
                    lower = [lane | half if not lane & half else lanes + lane for lane in range(lanes)]
                    rows[i] = _shuffle(builder, low, high, upper)
                    rows[i | half] = _shuffle(builder, low, high, lower)
                half //= 2
            for row in rows:
                _store(builder, row, out)
                out = builder.add(out, out_step)
            return context.get_dummy_value()

        return types.void(source, source_step, out, out_step, kind), generate

    return move


deinterleave_2, deinterleave_2_half, deinterleave_2_quarter = (_deinterleaver(2, n) for n in (16, 8, 4))
deinterleave_3, deinterleave_3_half, deinterleave_3_quarter = (_deinterleaver(3, n) for n in (16, 8, 4))
interleave_2, interleave_2_half, interleave_2_quarter = (_interleaver(2, n) for n in (16, 8, 4))
interleave_3, interleave_3_half, interleave_3_quarter = (_interleaver(3, n) for n in (16, 8, 4))
transpose_16, transpose_8, transpose_4 = _transposer(16), _transposer(8), _transposer(4)


@intrinsic
def move_item(_typing: Any, source: Any, out: Any, kind: Any) -> Any:
    """Copy one item."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        source, out, _ = arguments
        _store(builder, _load(builder, source, ir.IntType(kind.bitwidth)), out)
        return context.get_dummy_value()

    return types.void(source, out, kind), generate


@intrinsic
def move_bytes(_typing: Any, source: Any, out: Any, count: Any) -> Any:
    """Copy `count` bytes with memcpy."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        source, out, count = arguments
        source, out = (builder.inttoptr(address, _BYTES_POINTER) for address in (source, out))
        cgutils.raw_memcpy(builder, out, source, count, 1)
        return context.get_dummy_value()

    return types.void(source, out, count), generate


@intrinsic
def stream_line(_typing: Any, source: Any, out: Any) -> Any:
    """Copy one cache line past the caches; `out` must be aligned to it."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        source, out = arguments
        type_ = ir.VectorType(ir.IntType(64), LINE // 8)
        pointer = builder.inttoptr(out, type_.as_pointer())
        store = builder.store(_load(builder, source, type_), pointer, align=LINE)
        store.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(_INT32, 1)]))
        return context.get_dummy_value()

    return types.void(source, out), generate


@intrinsic
def fence(_typing: Any) -> Any:
    """Make streamed lines visible to other threads before anything that follows."""

    def generate(context: Any, builder: Any, _signature: Any, _arguments: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), generate


def _prefetcher(writing: int) -> Callable[..., None]:
    """(address): ask for its cache line; an address outside any array does no harm."""

    @intrinsic
    def prefetch(_typing: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            pointer = builder.inttoptr(arguments[0], _BYTES_POINTER)
            type_ = ir.FunctionType(ir.VoidType(), [_BYTES_POINTER, _INT32, _INT32, _INT32])
            function = builder.module.declare_intrinsic("llvm.prefetch", [_BYTES_POINTER], type_)
            near, data = 3, 1
            builder.call(function, [pointer, *(ir.Constant(_INT32, n) for n in (writing, near, data))])
            return context.get_dummy_value()

        return types.void(address), generate

    return prefetch


prefetch_read, prefetch_write = _prefetcher(0), _prefetcher(1)
