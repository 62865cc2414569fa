"""What stands for a tensor while a graph is made."""

from __future__ import annotations

from dataclasses import dataclass

from layoutbridge.frameworks.primitives import Shape


@dataclass(frozen=True, slots=True)
class OnnxValue:
    """A tensor of the graph: float32 [N, *shape].

    `open` are the axes of `shape` whose lengths may be others when the model runs; `batched` is off for a constant,
    [1, *shape]. With `integer` it is an int64 tensor of `shape`, without a batch; with `counts` int32 [N, *shape].
    """

    name: str
    shape: Shape
    open: frozenset[int] = frozenset()
    batched: bool = True
    integer: bool = False
    counts: bool = False
