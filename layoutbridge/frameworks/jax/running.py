"""What verification runs of JAX, and somebody's code called with a JAX array."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.algebra.sizes import Domain
from layoutbridge.frameworks.base import DTYPE_NAMES, FLOAT_NAMES, Runnable, numpy_dtype
from layoutbridge.frameworks.jax.emission import emit, installed

Run = Callable[..., NDArray[Any]]
# what is compiled here is small and runs a few times: optimising it would take longer than running it
_COMPILER_OPTIONS: dict[str, str | bool] = {
    "xla_backend_optimization_level": "0",
    "xla_llvm_disable_expensive_passes": True,
    "xla_cpu_use_fusion_emitters": False,
}


def call(target: Callable[..., Any], x: NDArray[Any]) -> Any:
    """The result of `target` for `x` as a JAX array."""
    from jax import numpy

    return target(numpy.asarray(x))


def runnables(stride: int, entries: Iterable[Rearrangement]) -> Iterator[Runnable]:
    """Every entry as its emitted function, compiled, and its pullback. JAX has no op of this kind of its own."""
    version = f"jax {installed()}"
    for op in entries:

        def run(x: NDArray[Any], op: Rearrangement = op) -> NDArray[Any]:
            return _compiled(op, op.domain, x.shape)(x)

        def gradient(x: NDArray[Any], upstream: NDArray[Any], op: Rearrangement = op) -> NDArray[Any]:
            return _compiled_pullback(op, op.domain, x.shape)(upstream)

        yield Runnable("jax", version, op.label, op.name, True, "NCHW", run, gradient)


@lru_cache(maxsize=256)
def _compiled(op: Rearrangement, _: Domain, shape: tuple[int, ...]) -> Run:
    """Compiled once for all runnables: equal rearrangements over one domain are one program."""
    return _of_one_dtype(emit(op), shape, DTYPE_NAMES)


@lru_cache(maxsize=256)
def _compiled_pullback(op: Rearrangement, _: Domain, shape: tuple[int, ...]) -> Run:
    import jax

    def pullback(upstream: jax.Array) -> jax.Array:
        x = jax.numpy.zeros(shape, upstream.dtype)
        (gradient,) = jax.vjp(emit(op), x)[1](upstream)
        return gradient

    return _of_one_dtype(pullback, op.out_shape(shape), FLOAT_NAMES)


def _of_one_dtype(function: Callable[[Any], Any], shape: tuple[int, ...], dtypes: tuple[str, ...]) -> Run:
    """`function` of arrays of `shape`, compiled for all `dtypes` in one program, which takes far less than one each."""
    import jax

    zeros = {name: np.zeros(shape, numpy_dtype(name)) for name in dtypes}
    with jax.enable_x64(True):
        program = jax.jit(lambda arrays: {name: function(x) for name, x in arrays.items()})
        lowered = program.lower(zeros)
        try:
            compiled = lowered.compile(_COMPILER_OPTIONS)
        except jax.errors.JaxRuntimeError:  # an XLA that has one of the options no more
            compiled = lowered.compile()

    def run(x: NDArray[Any]) -> NDArray[Any]:
        with jax.enable_x64(True):
            return np.asarray(compiled(zeros | {x.dtype.name: x})[x.dtype.name])

    return run
