"""The pass `fix`: the op at a place becomes another one of the same shapes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import onnx_ir as ir
from onnx import GraphProto, ModelProto, numpy_helper

from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.errors import ParameterError
from layoutbridge.frameworks.onnx.emission import emit
from layoutbridge.frameworks.onnx.programs.limits import UNLIMITED, Limits
from layoutbridge.frameworks.onnx.versions import LOWEST_OPSET
from layoutbridge.rewriting.places.locating import Located
from layoutbridge.rewriting.places.models import STANDARD, drop_unread, new_constant, opset_of
from layoutbridge.rewriting.places.names import FreshNames
from layoutbridge.rewriting.places.wanted import Fix

_CONTROL = {"If", "Loop", "Scan"}


class FixPass(ir.passes.InPlacePass):
    """Writes each operation in place of the nodes that are there; nodes and constants that nobody else needs go.

    The tensor that comes out keeps its name, its type and what else is told of it. What is written keeps the `limits`.
    """

    def __init__(self, fixes: Sequence[Fix], limits: Limits = UNLIMITED) -> None:
        self.fixes, self.limits = fixes, limits

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Apply every fix."""
        graphs, names = list(ir_graphs(model.graph)), FreshNames(model)
        values = [visible_values(graph) for graph in graphs]
        for each in self.fixes:
            inside = each.located.inside
            _replace(model, graphs[inside], each, values[inside], names, self.limits)
        return ir.passes.PassResult(model, modified=bool(self.fixes))


def ir_graphs(graph: ir.Graph) -> Iterable[ir.Graph]:
    """The graphs of a model in the order of `locating.graphs_within`."""
    yield graph
    for node in graph:
        if node.op_type in _CONTROL and node.domain in STANDARD:
            for attribute in node.attributes.values():
                if attribute.type == ir.AttributeType.GRAPH:
                    yield from ir_graphs(attribute.as_graph())


def visible_value(graph: ir.Graph, name: str) -> ir.Value:
    """The tensor of that name that a graph's nodes give or read, its own or one of a graph around it."""
    return visible_values(graph)[name]


def visible_values(graph: ir.Graph) -> dict[str, ir.Value]:
    """All of them by their names."""
    seen = (value for node in graph for value in (*node.inputs, *node.outputs))
    return {value.name: value for value in seen if value is not None and value.name}


def _replace(
    model: ir.Model, graph: ir.Graph, fix: Fix, values: dict[str, ir.Value], names: FreshNames, limits: Limits
) -> None:
    located = fix.located
    source, output = (values[name] for name in (located.region.sources[0], located.region.output))
    last = output.producer()
    assert last is not None
    written = emitted(fix.wanted.on_all_axes, fix.located, opset_of(model), limits).graph
    new = _written(model, graph, written, fix.located.region.names[-1], source, last, names)
    new.type, new.shape, new.doc_string = output.type, output.shape, output.doc_string
    new.metadata_props.update(output.metadata_props)
    new.meta.update(output.meta)
    ir.convenience.replace_all_uses_with(output, new, replace_graph_outputs=True)
    name, output.name = output.name, names(f"{output.name}/before")
    new.name = name
    remove_unneeded(graph, makers_of(located, values))
    values[located.region.output] = new


def makers_of(located: Located, values: Mapping[str, ir.Value]) -> list[ir.Node]:
    """The nodes of a place, whose graph has these values."""
    made = (values[node.output].producer() for node in located.region.nodes)
    return [node for node in dict.fromkeys(made) if node is not None]


def _written(
    model: ir.Model,
    graph: ir.Graph,
    written: GraphProto,
    scope: str,
    source: ir.Value,
    last: ir.Node,
    names: FreshNames,
) -> ir.Value:
    """The operation on `source`, in front of the node `last`; the tensor that it gives."""
    values: dict[str, ir.Value] = {"input": source}
    for tensor in written.initializer:
        name = names(f"{scope}/{tensor.name}")
        numbers = ir.tensor(numpy_helper.to_array(tensor), name=name)
        values[tensor.name] = new_constant(model, graph, numbers, name, last)
    for node in written.node:
        attributes = [ir.from_proto(attribute) for attribute in node.attribute]
        made = ir.Node(
            "",
            node.op_type,
            [values[name] for name in node.input],
            attributes,
            num_outputs=len(node.output),
            name=names(f"{scope}/{node.name}"),
        )
        for name, output in zip(node.output, made.outputs, strict=True):
            output.name = names(f"{scope}/{name}")
            values[name] = output
        graph.insert_before(last, made)
    return values["output"]


def emitted(operation: Rearrangement, located: Located, opset: int, limits: Limits = UNLIMITED) -> ModelProto:
    """An operation as a model of its own, for the tensor that a place takes.

    Raises `ParameterError` for old opsets, `UnsupportedError` where no form keeps the `limits`.
    """
    if opset < LOWEST_OPSET:
        raise ParameterError(
            f"the model has opset {opset}, and operations are written from {LOWEST_OPSET} on: convert it first, with "
            "onnx.version_converter"
        )
    shape = located.open_shape
    batch = len(shape) > operation.rank
    return emit(operation, shape=shape, dtype=located.dtype, opset=opset, batch=batch, limits=limits)


def remove_unneeded(graph: ir.Graph, nodes: Sequence[ir.Node]) -> None:
    """Take out those of `nodes` that nobody reads any more, and then what only they read, constants included."""
    left = list(dict.fromkeys(nodes))
    while left:
        node = left.pop()
        if node.graph is not graph or any(value.uses() or value.is_graph_output() for value in node.outputs):
            continue
        read = [value for value in node.inputs if value is not None]
        graph.remove(node, safe=True)
        for value in read:
            maker = value.producer()
            if maker is not None:
                left.append(maker)
            else:
                drop_unread(value)
