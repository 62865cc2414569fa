"""The nodes of an ONNX graph in an order in which each comes after what it reads, as the format wants them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from layoutbridge.errors import UnusableInputError, named

if TYPE_CHECKING:
    from onnx import GraphProto, NodeProto


def in_order(graph: GraphProto, model: str) -> Sequence[NodeProto]:
    """The nodes as they stand where they are in order, as nearly always; else with what is read moved to the front.

    Raises `UnusableInputError`, which calls the file `model`, for a tensor that is given twice, and for nodes that
    read each other's results.

    >>> from onnx import helper
    >>> nodes = [helper.make_node("Relu", ["b"], ["c"]), helper.make_node("Neg", ["a"], ["b"])]
    >>> [node.op_type for node in in_order(helper.make_graph(nodes, "g", [], []), "m.onnx")]
    ['Neg', 'Relu']
    """
    makers: dict[str, int] = {}
    given = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    for place, node in enumerate(graph.node):
        for output in filter(None, node.output):
            if output in makers or output in given:
                raise UnusableInputError(f"'{model}' is damaged: the tensor '{named(output)}' is given twice in it")
            makers[output] = place
    wanted = [{makers[entry] for entry in read_by(node) if entry in makers} for node in graph.node]
    if all(max(before, default=-1) < place for place, before in enumerate(wanted)):
        return graph.node
    return [graph.node[place] for place in _sorted(graph, wanted, model)]


def _sorted(graph: GraphProto, wanted: Sequence[set[int]], model: str) -> list[int]:
    readers: list[list[int]] = [[] for _ in wanted]
    for place, before in enumerate(wanted):
        for each in before:
            readers[each].append(place)
    missing = list(map(len, wanted))
    ready, order = [place for place, count in enumerate(missing) if not count], []
    heapify(ready)
    while ready:
        order.append(place := heappop(ready))
        for reader in readers[place]:
            missing[reader] -= 1
            if not missing[reader]:
                heappush(ready, reader)
    if len(order) < len(wanted):
        left = graph.node[min(set(range(len(wanted))) - set(order))]
        told = named(left.name or next(iter(left.output), left.op_type))
        raise UnusableInputError(f"'{model}' is damaged: node '{told}' reads what is made of its own result")
    return order


def read_by(node: NodeProto) -> tuple[str, ...]:
    """The tensors that a node reads, each once: its inputs, and those around it that graphs within it read.

    >>> from onnx import helper
    >>> branch = helper.make_graph([helper.make_node("Neg", ["a"], ["b"])], "g", [], [])
    >>> read_by(helper.make_node("If", ["is_on"], ["c"], then_branch=branch, else_branch=branch))
    ('is_on', 'a')
    """
    names = dict.fromkeys(node.input)
    for attribute in node.attribute:
        for body in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
            names |= dict.fromkeys(_captured(body))
    return tuple(filter(None, names))


def _captured(body: GraphProto) -> Iterator[str]:
    """What a graph within a node reads, or gives back, that is not its own."""
    own = {value.name for value in body.input} | {tensor.name for tensor in body.initializer}
    own |= {sparse.values.name for sparse in body.sparse_initializer}
    own |= {output for node in body.node for output in node.output}
    for name in (*(name for node in body.node for name in read_by(node)), *(value.name for value in body.output)):
        if name not in own:
            yield name
