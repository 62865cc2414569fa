"""The pass that takes out places which move nothing and keep the shape."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from layoutbridge.rewriting.passes.fix import ir_graphs, remove_unneeded, visible_value
from layoutbridge.rewriting.places.locating import Located
from layoutbridge.rewriting.places.names import FreshNames


class DropPass(ir.passes.InPlacePass):
    """Lets everybody read what goes into a place instead of what comes out.

    An output of a graph keeps its name: what computes the tensor gives it under that, or an Identity where it cannot.
    """

    def __init__(self, dropped: Sequence[Located]) -> None:
        self.dropped = dropped

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Take out every place."""
        graphs = list(ir_graphs(model.graph))
        for located in self.dropped:
            _drop(model, graphs[located.inside], located)
        return ir.passes.PassResult(model, modified=bool(self.dropped))


def _drop(model: ir.Model, graph: ir.Graph, located: Located) -> None:
    source, output = (visible_value(graph, name) for name in (located.region.sources[0], located.region.output))
    last = output.producer()
    assert last is not None
    if output.is_graph_output():
        if source.producer() is None or source.graph is not graph or source.is_graph_output():
            source = _copy(model, graph, source, last)
        source.type, source.shape, source.doc_string = output.type, output.shape, output.doc_string
        source.metadata_props.update(output.metadata_props)
        name, output.name = output.name, FreshNames(model)(f"{output.name}/before")
        ir.convenience.replace_all_uses_with(output, source, replace_graph_outputs=True)
        source.name = name
    else:
        ir.convenience.replace_all_uses_with(output, source)
    gone = {node.output for node in located.region.nodes}
    remove_unneeded(graph, [node for node in graph if any(value.name in gone for value in node.outputs)] + [last])


def _copy(model: ir.Model, graph: ir.Graph, source: ir.Value, before: ir.Node) -> ir.Value:
    made = ir.Node("", "Identity", [source], name=FreshNames(model)(f"{before.name}/Identity"))
    graph.insert_before(before, made)
    return made.outputs[0]
