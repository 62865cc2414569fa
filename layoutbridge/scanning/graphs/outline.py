"""What there is to draw of a graph: its steps by name, and which reads which."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from layoutbridge.scanning.graphs.graph import Graph

INPUT = "input"


@dataclass(frozen=True, slots=True)
class Step:
    """A node of a graph, or one of its inputs: the tensors that it reads and the one that it gives, by name."""

    name: str
    operator: str
    inputs: tuple[str, ...]
    output: str
    shape: tuple[int, ...]


def outline(graph: Graph) -> tuple[Step, ...]:
    """The inputs of a graph, then its nodes, those of the graphs within it last; without constants.

    >>> from layoutbridge.scanning.graphs.graph import Node, Tensor
    >>> node = Node("turn", "Transpose", ("x", "order"), "y")
    >>> graph = Graph("m", "none", (node,), {"x": Tensor("x", (2, 3)), "y": Tensor("y", (3, 2))}, ("x",), ("y",), 1)
    >>> [(step.name, step.inputs, step.shape) for step in outline(graph)]
    [('x', (), (2, 3)), ('turn', ('x', 'order'), (3, 2))]
    """
    return tuple(_steps(graph))


def _steps(graph: Graph) -> Iterator[Step]:
    for name in graph.inputs:
        tensor = graph.tensors.get(name)
        if tensor is not None and not tensor.is_constant:
            yield Step(name, INPUT, (), name, tensor.shape)
    for node in graph.nodes:
        tensor = graph.tensors.get(node.output)
        if tensor is None or not tensor.is_constant:
            yield Step(node.name, node.operator, node.inputs, node.output, () if tensor is None else tensor.shape)
    for inner in graph.inner:
        yield from _steps(inner)
