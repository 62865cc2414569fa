"""What moves elements in a model and is no place all the same: told in a sentence each, so that nobody misses it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Set
from math import prod

from layoutbridge.errors import named
from layoutbridge.scanning.graphs.graph import Graph, Node

_SHOWN = 8  # operators that a note lists
# What formats call operators that move elements, as small letters alone; their operands say how.
_MOVING = frozenset(
    [
        *("reshape", "view", "squeeze", "unsqueeze", "flatten", "transpose", "permute", "expanddims"),
        *("slice", "stridedslice", "slicetensor", "split", "splitv", "splitwithsizes", "unpack", "crop"),
        *("gather", "gatherv", "gathernd", "gatherelements", "index", "indextensor", "indexselect", "embedding"),
        *("compress", "centercroppad"),
        *("tile", "repeat", "reverse", "reversev", "reversesequence", "roll"),
    ]
)


def passed_over(graph: Graph, in_places: Set[str]) -> Iterator[str]:
    """Notes on a graph and those within it, of whose nodes those of the names `in_places` belong to places.

    >>> from layoutbridge.scanning.graphs.graph import Tensor
    >>> tensors = {name: Tensor(name, (4,)) for name in ("x", "at", "y")}
    >>> graph = Graph("m", "onnx", (Node("n", "Gather", ("x", "at"), "y"),), tensors, ("x",), ("y",), 1)
    >>> list(passed_over(graph, set()))
    ['what moves elements as values decide is passed over: Gather (1)']
    """
    by_values: Counter[str] = Counter()
    beside: Counter[str] = Counter()
    for each in _with_inner(graph):
        for node in each.nodes:
            if node.kind == "join" and node.name not in in_places:
                beside[node.operator] += 1
            elif node.movement is None and _moves_by_values(each, node):
                by_values[node.operator] += 1
    if by_values:
        yield f"what moves elements as values decide is passed over: {_told(by_values)}"
    if beside:
        yield f"joins that lay tensors side by side are no places: {_told(beside)}"


def _with_inner(graph: Graph) -> Iterator[Graph]:
    yield graph
    for inner in graph.inner:
        yield from _with_inner(inner)


def _moves_by_values(graph: Graph, node: Node) -> bool:
    """Whether an operator moves elements by an operand that is computed; not of one number, and not of constants."""
    tensor = graph.tensors.get(node.output)
    if tensor is None or tensor.is_constant or prod(tensor.shape) < 2:
        return False
    words = node.operator.removeprefix("aten.").lower()
    return "".join(letter for letter in words if letter.isalpha()) in _MOVING


def _told(counts: Counter[str]) -> str:
    shown = [f"{named(operator)} ({count})" for operator, count in counts.most_common(_SHOWN)]
    return ", ".join([*shown, *(["…"] if len(counts) > _SHOWN else [])])
