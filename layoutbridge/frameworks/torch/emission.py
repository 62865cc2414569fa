"""PyTorch: a rearrangement as an `nn.Module`, exported programs, and what PyTorch has of this kind itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from itertools import zip_longest
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.algebra.fitting import read_open_lengths
from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.errors import ParameterError, ShapeError, shown
from layoutbridge.files import whole_file
from layoutbridge.frameworks.base import DTYPE_NAMES, Runnable, installed_version, numpy_dtype, require
from layoutbridge.frameworks.batch import refuse_misfit
from layoutbridge.frameworks.torch.metadata import state_dict_of

if TYPE_CHECKING:
    import torch

EXTRA = "torch"
_EXPORTER = RLock()


def installed() -> str | None:
    """PyTorch's version, or None where it is not installed."""
    return installed_version("torch")


def emit(op: Rearrangement, *, batch: bool | None = None) -> torch.nn.Module:
    """`op` as an `nn.Module` on tensors [N, ...], or on one item [...], of any dtype, strides and device.

    With `batch` on or off it takes one of the two alone.

    It has no parameters, returns a new contiguous tensor, and its gradient is the inverse rearrangement. It goes
    through `torch.compile`, `torch.export`, `torch.jit.trace` and `torch.onnx.export`, with dynamic shapes too.
    The module raises `ShapeError` for a shape that does not fit, `emit` `MissingFrameworkError` without PyTorch.

    >>> import torch
    >>> from layoutbridge.operations.catalog import op
    >>> module = emit(op("pixel_unshuffle", stride=2))
    >>> module
    Rearrange(pixel_unshuffle, stride=2, 'c (h p:s) (w q:s) -> (c p q) h w, s=2')
    >>> x = torch.arange(48).view(1, 3, 4, 4)
    >>> torch.equal(module(x), torch.nn.functional.pixel_unshuffle(x, 2))
    True
    >>> emit(op("oihw_to_hwio"), batch=False)(torch.zeros(8, 4, 3, 3)).shape
    torch.Size([3, 3, 4, 8])
    """
    require("torch", "PyTorch", EXTRA)
    from layoutbridge.frameworks.torch.module import Rearrange

    return Rearrange(op, batch=batch)


def save(
    op: Rearrangement,
    path: str | os.PathLike[str],
    *,
    shape: Sequence[int | None] | None = None,
    dtype: str = "float32",
    batch: bool | None = None,
) -> None:
    """Write `op` as an exported program (.pt2), whole or not at all; `torch.export.load` reads it.

    The program takes tensors of `shape` and `dtype`; an axis given as None may have any length that `op` accepts. With
    `batch` on the shape has a batch axis, with it off none; without it either.
    Raises `ParameterError` without a shape or for an unknown dtype, `ShapeError` for a shape that does not fit,
    and `MissingFrameworkError`.

    >>> import tempfile, torch
    >>> from layoutbridge.operations.catalog import op
    >>> path = os.path.join(tempfile.mkdtemp(), "reorg.pt2")
    >>> save(op("darknet_reorg"), path, shape=(None, 64, None, 26))
    >>> torch.export.load(path).module()(torch.zeros(3, 64, 52, 26)).shape
    torch.Size([3, 256, 26, 13])
    """
    require("torch", "PyTorch", EXTRA)
    import torch

    if shape is None:
        raise ParameterError("an exported program needs a shape: give shape (--shape 1,64,26,26, or N,64,H,W)")
    kind = getattr(torch, dtype, None)
    if not isinstance(kind, torch.dtype):
        raise ParameterError(f"PyTorch has no dtype {shown(dtype)}; it has {', '.join(DTYPE_NAMES)} and more")
    if Path(path).suffix != ".pt2":
        raise ParameterError(f"'{path}' must end in .pt2, the ending of exported programs")
    refuse_misfit(op, read_open_lengths(op, shape), batch)
    fixed = {axis + len(shape) - op.rank: length for axis, length in op.domain.fixed}
    shape = [fixed.get(axis) if length is None else length for axis, length in enumerate(shape)]
    divisors = [1, *(op.domain.divisor(axis) for axis in range(op.rank))][-len(shape) :]
    # an open axis is traced at twice the least length: the exporter takes a length of 1 for a constant
    traced = [2 * least if length is None else length for least, length in zip_longest(divisors, shape, fillvalue=1)]
    lengths = op.bind(traced).in_shape
    dimensions: dict[int, Any] = {}
    for axis, (length, divisor) in enumerate(zip(shape, divisors, strict=True)):
        if length is None:
            dimension = torch.export.Dim(f"length_{axis}")
            dimensions[axis] = dimension if divisor == 1 else divisor * dimension
    try:
        example = torch.zeros(lengths, dtype=kind)
    except RuntimeError:  # PyTorch's, for want of memory
        raise ShapeError(f"an example of shape {lengths} does not fit into memory: take a smaller shape") from None
    with exporting():
        program = torch.export.export(emit(op, batch=batch), (example,), dynamic_shapes=(dimensions,), strict=False)
    with whole_file(path, partial(state_dict_of, path)) as temporary, exporting():
        torch.export.save(program, temporary)


def runnables(stride: int, entries: Iterable[Rearrangement]) -> Iterable[Runnable]:
    """PyTorch's own operations at `stride`, and every entry as its emitted module."""
    from torch.nn import functional

    version = f"torch {installed()}"
    for name in ("pixel_unshuffle", "pixel_shuffle", "channel_shuffle"):
        native = getattr(functional, name)

        def run_native(x: torch.Tensor, native: Callable[..., torch.Tensor] = native) -> torch.Tensor:
            return native(x, stride)

        yield _runnable(version, name, name, run_native, emitted=False)
    for op in entries:
        yield _runnable(version, op.label, op.name, emit(op), emitted=True)


def _runnable(
    version: str, title: str, entry: str | None, function: Callable[[torch.Tensor], torch.Tensor], *, emitted: bool
) -> Runnable:
    def run(x: NDArray[Any]) -> NDArray[Any]:
        return to_numpy(function(to_tensor(x)))

    def gradient(x: NDArray[Any], upstream: NDArray[Any]) -> NDArray[Any]:
        import torch

        leaf = to_tensor(x).requires_grad_()
        (made,) = torch.autograd.grad(function(leaf), leaf, to_tensor(upstream))
        return to_numpy(made)

    return Runnable("torch", version, title, entry, emitted, "NCHW", run, gradient)


def to_tensor(x: NDArray[Any]) -> torch.Tensor:
    """`x` as a tensor, sharing its memory where PyTorch can: a read-only or reversed array is copied.

    >>> to_tensor(np.arange(3, dtype=np.uint8))
    tensor([0, 1, 2], dtype=torch.uint8)
    """
    import torch

    if not x.flags.writeable or min(x.strides, default=0) < 0:
        x = x.copy()
    if x.dtype.name == "bfloat16":  # PyTorch does not know NumPy's name for it, but the bits are the same
        return torch.from_numpy(x.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(x)


def to_numpy(x: torch.Tensor) -> NDArray[Any]:
    """`x` as an array, sharing its memory where it is on the CPU; bfloat16 as ml_dtypes has it."""
    import torch

    x = x.detach().cpu()
    if x.dtype is torch.bfloat16:
        return x.view(torch.int16).numpy().view(numpy_dtype("bfloat16"))
    return x.numpy()


@contextmanager
def exporting() -> Iterator[None]:
    """For PyTorch's exporter and the writer of its programs: one thread at a time, and no dynamic length of 1 excluded.

    Both change the process while they work, `max`, `min` and `math.pow` among others, and of two at once neither ends
    well. A program that calls `torch.export` itself beside this one must not do so at the same time.
    """
    from torch.fx.experimental import _config

    known = hasattr(_config, "backed_size_oblivious")  # as `torch.onnx.export` sets it; older ones have no such thing
    with _EXPORTER, _config.patch(backed_size_oblivious=True) if known else nullcontext():  # type: ignore[attr-defined]
        yield
