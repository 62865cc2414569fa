"""What every format's runner does alike: inputs as a graph takes them, the tensors to give, and how many at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.errors import ShapeError, shown
from layoutbridge.frameworks.base import numpy_dtype
from layoutbridge.scanning.graphs.graph import Graph

_MOST_BYTES = 1 << 28  # of tensors that one run gives: a network may have gigabytes of them


def fed(graph: Graph, given: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """An array for each input of `graph`, of its shape and dtype, in the graph's order; `given` ones may be others'.

    Raises `ShapeError` for a missing input, one that the graph does not have, and another shape.

    >>> from layoutbridge.scanning.graphs.graph import Tensor
    >>> graph = Graph("net", "ONNX", (), {"x": Tensor("x", (1, 2))}, ("x",), (), 0)
    >>> fed(graph, {"x": np.zeros((1, 2))})["x"].dtype
    dtype('float32')
    >>> fed(graph, {"x": np.zeros((1, 3))})
    Traceback (most recent call last):
    ...
    layoutbridge.errors.ShapeError: input x of 'net' is [1, 2], and what is given [1, 3]
    """
    strange = next((name for name in given if name not in graph.inputs), None)
    if strange is not None:
        raise ShapeError(f"'{graph.name}' has no input called {shown(strange)}; it has {', '.join(graph.inputs)}")
    made = {}
    for name in graph.inputs:
        if name not in given:
            raise ShapeError(f"'{graph.name}' takes an input {name}, and none is given: it has {len(graph.inputs)}")
        x, taken = np.asarray(given[name]), graph.tensors[name]
        if x.shape != taken.shape:
            raise ShapeError(
                f"input {name} of '{graph.name}' is {list(taken.shape)}, and what is given {list(x.shape)}"
            )
        made[name] = np.ascontiguousarray(x, numpy_dtype(taken.dtype)).reshape(x.shape)
    return made


def wanted(graph: Graph) -> list[str]:
    """The tensors that nodes make and that are no constants, each once, in the order of the nodes."""
    made = dict.fromkeys(node.output for node in graph.nodes)
    constant = {name for name, tensor in graph.tensors.items() if tensor.is_constant}
    return [name for name in made if name not in constant]


def in_shares(names: Sequence[str], graph: Graph) -> Iterator[list[str]]:
    """`names` in shares of a quarter of a gigabyte of tensors, which are given by a run each."""
    share: list[str] = []
    size = 0
    for name in names:
        tensor = graph.tensors.get(name)
        each = 0 if tensor is None else tensor.bytes
        if share and size + each > _MOST_BYTES:
            yield share
            share, size = [], 0
        share.append(name)
        size += each
    if share:
        yield share
