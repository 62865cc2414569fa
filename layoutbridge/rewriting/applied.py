"""What a pass did at a place, and how many bytes the nodes of a graph move."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from layoutbridge.scanning.graphs.graph import Graph, Node


@dataclass(frozen=True)
class Applied:
    """What a pass did at some `places`, by their numbers in the scan of the model that the pass was given; in a
    module they are the names of a submodule.

    `proof` says why that is what was asked for; `bytes_before` and `bytes_after` are what the places' nodes move, at
    the sizes at which the model was read.
    """

    name: str
    places: tuple[int | str, ...]
    proof: str
    bytes_before: int
    bytes_after: int

    def as_json(self) -> dict[str, Any]:
        """The pass as it stands in `rewrite --json`."""
        return {
            "pass": self.name, "places": list(self.places), "proof": self.proof,
            "bytes_before": self.bytes_before, "bytes_after": self.bytes_after,
        }  # fmt: skip


def bytes_moved_in(graph: Graph) -> int:
    """The bytes that all movements of a graph, and of those within it, write."""
    return bytes_moved(graph, graph.nodes) + sum(bytes_moved_in(inner) for inner in graph.inner)


def bytes_moved(graph: Graph, nodes: Sequence[Node]) -> int:
    """The bytes that nodes write elsewhere than they lie: views write none.

    >>> from layoutbridge.scanning.graphs.graph import Tensor
    >>> node = Node("turn", "Transpose", ("x",), "y", lambda x: x.T, "transpose", (1, 0))
    >>> graph = Graph("m", "none", (node,), {"x": Tensor("x", (2, 3)), "y": Tensor("y", (3, 2))}, ("x",), ("y",), 1)
    >>> bytes_moved_in(graph)
    24
    """
    return sum(graph.tensors[node.output].bytes for node in _moving(nodes))


def _moving(nodes: Sequence[Node]) -> Iterator[Node]:
    return (node for node in nodes if node.movement is not None and node.kind != "view")
