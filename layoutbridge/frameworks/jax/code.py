"""JAX: a rearrangement as code to paste."""

from __future__ import annotations

from layoutbridge.algebra.moves import Move
from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.algebra.sizes import Size
from layoutbridge.algebra.spelling import spelled
from layoutbridge.frameworks.source_text import Bracketed, Methods, call, flipped_by_index, listed, method_function


def write_code(op: Rearrangement, *, batch: bool) -> str:
    """A function of JAX arrays, which `jit`, `grad` and `vmap` take.

    >>> from layoutbridge.operations.catalog import op
    >>> print(write_code(op("gru_gates"), batch=False).splitlines()[-1])
        return x.reshape(3, d // 3, k).take(jnp.array([1, 0, 2]), axis=-3).reshape(d, k)
    """
    spelling = spelled(op, batch=batch)
    gathers = any(move.kind == "gather" for move in spelling.lowering.moves)
    imports = ["import jax", "import jax.numpy as jnp"] if gathers else ["import jax"]
    methods = Methods("transpose", flipped_by_index, _taken)
    return method_function(op, spelling, methods, imports, "jax.Array")


def _taken(move: Move[Size]) -> Bracketed:
    return call(".take", call("jnp.array", listed(move.indices)), f"axis={move.axis - len(move.view)}")
