"""The pass that joins at once what is joined in steps: a Concat of Concats along the same axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx_ir as ir

from layoutbridge.rewriting.passes.fix import ir_graphs
from layoutbridge.rewriting.places.models import STANDARD


class JoinPass(ir.passes.InPlacePass):
    """Lets a Concat take what another took whose result nobody else reads.

    `axes` are those of the joins in each graph, in the order of `ir_graphs`, by the names of their outputs. Afterwards
    `gone` has for each graph the names of what is not written any more.
    """

    def __init__(self, axes: Sequence[Mapping[str, int]]) -> None:
        self.axes = axes
        self.gone: list[set[str]] = []

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Join in every graph; nodes stand in the order in which they run, so the inner ones are done first."""
        for graph, axes in zip(ir_graphs(model.graph), self.axes, strict=False):
            gone: set[str] = set()
            for node in list(graph):
                inner = [each for each in node.inputs if _is_step(node, each, axes)]
                if inner:
                    _take_over(graph, node, inner)
                    gone.update(each.name or "" for each in inner if each is not None)
            self.gone.append(gone)
        return ir.passes.PassResult(model, modified=any(self.gone))


def _is_step(node: ir.Node, value: ir.Value | None, axes: Mapping[str, int]) -> bool:
    maker = None if value is None else value.producer()
    if value is None or maker is None or maker.graph is not node.graph or value.is_graph_output():
        return False
    is_joined = all(each.op_type == "Concat" and each.domain in STANDARD for each in (node, maker))
    if not is_joined or len(list(value.uses())) != 1:
        return False
    own, outer = axes.get(value.name or ""), axes.get(node.outputs[0].name or "")
    return own is not None and own == outer


def _take_over(graph: ir.Graph, node: ir.Node, inner: Sequence[ir.Value | None]) -> None:
    taken: list[ir.Value | None] = []
    makers = []
    for value in node.inputs:
        maker = value.producer() if value is not None and value in inner else None
        taken += [value] if maker is None else maker.inputs
        makers += [] if maker is None else [maker]
    node.resize_inputs(len(taken))
    for place, value in enumerate(taken):
        node.replace_input_with(place, value)
    for maker in makers:
        graph.remove(maker, safe=True)
