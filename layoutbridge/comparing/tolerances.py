"""How far a right port may be from its original, by the numbers that it computes with."""

from __future__ import annotations

from collections.abc import Mapping

from layoutbridge.scanning.graphs.graph import Graph

TOLERANCE = 5e-5  # of a tensor's largest value: what float32 leaves a right port
_COARSER: Mapping[str, float] = {"float16": 2e-2, "bfloat16": 1e-1, "int8": 2e-1, "uint8": 2e-1, "int16": 2e-2}


def tolerance_for(*graphs: Graph) -> tuple[float, tuple[str, ...]]:
    """The tolerance for models that compute as these do, and a note where it is not that of float32.

    >>> from layoutbridge.scanning.graphs.graph import Node, Tensor
    >>> node = Node("half", "Cast", ("x",), "y")
    >>> tolerance_for(Graph("m", "none", (node,), {"y": Tensor("y", (1, 3), "float16")}, ("x",), ("y",), 1))
    (0.02, ("m computes in float16: what is within 0.02 of a tensor's largest value is taken for equal",))
    """
    found = [(_coarsest(graph), graph.name) for graph in graphs]
    dtype, name = max(found, key=lambda each: _COARSER.get(each[0], TOLERANCE))
    if dtype not in _COARSER:
        return TOLERANCE, ()
    told = (
        f"{name} computes in {dtype}: what is within {_COARSER[dtype]:g} of a tensor's largest value is taken for equal"
    )
    return _COARSER[dtype], (told,)


def _coarsest(graph: Graph) -> str:
    """The dtype of those that nodes give which has the fewest digits."""
    made = (graph.tensors.get(node.output) for node in graph.nodes)
    dtypes = {tensor.dtype for tensor in made if tensor is not None and not tensor.is_constant}
    return max(dtypes, key=lambda dtype: _COARSER.get(dtype, 0.0), default="float32")
