"""What is read of an onnx-ir model and put into it: its opset, what is constant, new constants."""

from __future__ import annotations

import onnx_ir as ir

STANDARD = ("", "ai.onnx")
_INITIALIZERS_ALONE = 4  # the first IR version in which an initializer need not be an input


def opset_of(model: ir.Model) -> int:
    """The version of the standard operators that a model is written in."""
    return next((version for domain, version in model.opset_imports.items() if domain in STANDARD), 1)


def constant_of(value: ir.Value | None) -> ir.TensorProtocol | None:
    """What a value always is; None for what is computed, and for an initializer that the caller may give otherwise.

    >>> constant_of(ir.Value(name="x")) is None
    True
    """
    if value is None or value.is_graph_input():
        return None
    node = value.producer()
    if node is not None and (len(node.outputs) != 1 or len(node.attributes) != 1):
        return None
    return ir.convenience.get_const_tensor(value)


def new_constant(
    model: ir.Model, graph: ir.Graph, tensor: ir.TensorProtocol, name: str, before: ir.Node | None
) -> ir.Value:
    """A constant as an initializer, which in models of old is an input as well: there as a node, last before none."""
    if model.ir_version >= _INITIALIZERS_ALONE:
        value = ir.Value(name=name, const_value=tensor)
        graph.register_initializer(value)
        return value
    made = ir.Node("", "Constant", [], [ir.AttrTensor("value", tensor)], name=name)
    made.outputs[0].name = name
    if before is None:
        graph.append(made)
    else:
        graph.insert_before(before, made)
    return made.outputs[0]


def drop_unread(value: ir.Value) -> None:
    """Take out a constant that nobody reads any more, unless a caller may give it."""
    if value.uses() or value.is_graph_output():
        return
    graph, node = value.graph, value.producer()
    if node is not None:
        if node.op_type == "Constant" and node.graph is not None:
            node.graph.remove(node, safe=True)
    elif value.is_initializer() and not value.is_graph_input():
        assert isinstance(graph, ir.Graph) and value.name is not None
        del graph.initializers[value.name]
