"""The pass that takes out places which move nothing and keep the shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx_ir as ir

from layoutbridge.rewriting.passes.fix import ir_graphs, makers_of, remove_unneeded, visible_values
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
        values = [visible_values(graph) for graph in graphs]  # by the names that they had before any of this
        names = FreshNames(model)
        for located in self.dropped:
            _drop(graphs[located.inside], located, values[located.inside], names)
        return ir.passes.PassResult(model, modified=bool(self.dropped))


def _drop(graph: ir.Graph, located: Located, values: Mapping[str, ir.Value], names: FreshNames) -> None:
    source, output = (values[name] for name in (located.region.sources[0], located.region.output))
    last = output.producer()
    assert last is not None
    if output.is_graph_output():
        if source.producer() is None or source.graph is not graph or source.is_graph_output():
            source = _copy(graph, source, last, names)
        source.type, source.shape, source.doc_string = output.type, output.shape, output.doc_string
        source.metadata_props.update(output.metadata_props)
        name, output.name = output.name, names(f"{output.name}/before")
        ir.convenience.replace_all_uses_with(output, source, replace_graph_outputs=True)
        source.name = name
    else:
        ir.convenience.replace_all_uses_with(output, source)
    remove_unneeded(graph, makers_of(located, values))


def _copy(graph: ir.Graph, source: ir.Value, before: ir.Node, names: FreshNames) -> ir.Value:
    made = ir.Node("", "Identity", [source], name=names(f"{before.name}/Identity"))
    graph.insert_before(before, made)
    return made.outputs[0]
