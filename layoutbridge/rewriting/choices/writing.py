"""A graph written with the forms that were chosen for its nodes: transpositions go, and stand where they are needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import onnx_ir as ir

from layoutbridge.rewriting.choices.candidates import Asked, Nodes
from layoutbridge.rewriting.layouts.conversions import conversion, is_view
from layoutbridge.rewriting.layouts.editing import Editor, Workshop
from layoutbridge.rewriting.layouts.forms import Form, Renaming
from layoutbridge.rewriting.layouts.layout import Layout, plain
from layoutbridge.rewriting.layouts.sizes import Sized
from layoutbridge.rewriting.places.models import constant_of, drop_unread
from layoutbridge.rewriting.places.names import FreshNames

Chosen = Mapping[ir.Node, Form]


def write_forms(model: ir.Model, nodes: Nodes, chosen: Chosen, names: FreshNames, asked: Asked, wanted: Asked) -> None:
    """Write one graph of a model, in place; `asked` are the layouts of its inputs, `wanted` those of its outputs.

    Tensors that are stored as in the file keep their names, and so do inputs and outputs.
    """
    _Writer(model, nodes, names).write(chosen, asked, wanted)


class _Writer:
    def __init__(self, model: ir.Model, nodes: Nodes, names: FreshNames) -> None:
        self.nodes, self.graph = nodes, nodes.graph
        self.shop = Workshop(model, nodes.graph, names)
        self.names = names
        self.stored: dict[ir.Value, dict[Layout, ir.Value]] = {}  # by what the file has, all that it is stored as
        self.shapes: dict[ir.Value, ir.Shape | None] = {}
        self.freed: dict[ir.Value, str] = {}  # names of tensors that are stored otherwise now

    def write(self, chosen: Chosen, asked: Asked, wanted: Asked) -> None:
        for value, layout in asked.items():
            self._store(value, layout)
        for node in list(self.graph):
            self._bring_inside(node, node)
            form = chosen.get(node)
            taken = form.takes if form is not None else (None,) * len(node.inputs)
            for place, (read, wanted_as) in enumerate(zip(node.inputs, taken, strict=True)):
                if read is not None:
                    self._replace(node, place, self._stored_as(read, wanted_as, node))
            if form is None:
                continue
            if isinstance(self.nodes.behaviour(node), Renaming):
                self._rename(node, form)
                continue
            form.write(Editor(self.shop, node))
            for made, given_as in zip(node.outputs, form.gives, strict=True):
                if given_as is not None and not given_as.is_plain:
                    self._store(made, given_as)
        for place, value in enumerate(list(self.graph.outputs)):
            self._give_back(place, value, wanted.get(value))
        for node in chosen:
            if isinstance(self.nodes.behaviour(node), Renaming):
                self.graph.remove(node, safe=True)

    def _replace(self, node: ir.Node, place: int, value: ir.Value) -> None:
        before = node.inputs[place]
        if value is not before:
            node.replace_input_with(place, value)
            if before is not None and constant_of(before) is not None:
                drop_unread(before)

    # ------------------------------------------------------------------ what tensors are stored as

    def _store(self, value: ir.Value, layout: Layout) -> None:
        """From here on a tensor is given in a layout: under another name, but for an input."""
        self.stored[value] = {layout: value}
        self.shapes[value] = value.shape
        if value.shape is not None:
            value.shape = ir.Shape([value.shape[axis] for axis in layout.order])
        if not value.is_graph_input():
            self.freed[value] = value.name or ""
            value.name = self.names(f"{value.name}/{_suffix(layout)}")

    def _rename(self, node: ir.Node, form: Form) -> None:
        """A transposition gives what it takes, whose axes have other names."""
        source, result = node.inputs[0], node.outputs[0]
        wanted, given = form.takes[0], form.gives[0]
        assert source is not None and wanted is not None and given is not None
        self.stored[result] = {given: source}
        self.shapes[result] = result.shape
        self.freed[result] = result.name or ""
        result.name = self.names(f"{result.name}/gone")

    def _stored_as(self, value: ir.Value, layout: Layout | None, before: ir.Node | None) -> ir.Value:
        """A tensor of the file in a layout; None is the file's."""
        held = self.stored.get(value)
        if held is None:
            if layout is None or layout.is_plain:
                return value
            held = self.stored[value] = {plain(layout.rank): value}
            self.shapes[value] = value.shape
        layout = layout or plain(next(iter(held)).rank)
        if layout not in held:
            held[layout] = self._converted(value, held, layout, before)
        return held[layout]

    def _converted(
        self, value: ir.Value, held: Mapping[Layout, ir.Value], layout: Layout, before: ir.Node | None
    ) -> ir.Value:
        tensor = constant_of(value)
        if tensor is not None:
            name = f"{value.name}/{_suffix(layout)}"
            return self.shop.constant(layout.stored(tensor.numpy()), name, before, tensor.dtype)
        sized = self.nodes.sizes(self.freed.get(value, value.name))
        assert sized is not None
        given = next((each for each in held if is_view(sized, each, layout)), next(iter(held)))
        made = self._moved(value, held[given], sized, given, layout, before)
        made.type, made.doc_string = value.type, value.doc_string
        shape = self.shapes[value]
        made.shape = None if shape is None else ir.Shape([shape[axis] for axis in layout.order])
        if layout.is_plain and value in self.freed and not value.is_graph_output():
            made.name = self.freed[value]
        return made

    def _moved(
        self, value: ir.Value, made: ir.Value, sized: Sized, given: Layout, layout: Layout, before: ir.Node | None
    ) -> ir.Value:
        """The nodes from one layout to another."""
        steps = conversion(sized, given, layout)
        assert steps is not None
        name = f"{self.freed.get(value, value.name)}/{_suffix(layout)}"
        if steps.cut is not None:
            made = self._reshaped(made, steps.cut, f"{name}/cut", before)
        if steps.order is not None:
            made = self.shop.node("Transpose", [made], before, name, perm=steps.order)
        if steps.joined is not None:
            made = self._reshaped(made, steps.joined, f"{name}/joined", before)
        return made

    def _reshaped(self, value: ir.Value, shape: list[int], name: str, before: ir.Node | None) -> ir.Value:
        told = self.shop.constant(np.array(shape, np.int64), f"{name}/shape", before)
        return self.shop.node("Reshape", [value, told], before, name)

    # ------------------------------------------------------------------ graphs within, and what is given back

    def _bring_inside(self, node: ir.Node, outer: ir.Node) -> None:
        """Graphs within a node read the tensors around them as the file has them; these are made before `outer`."""
        for inner in _graphs_of(node):
            for inside in inner:
                for place, value in enumerate(inside.inputs):
                    if value is not None and value in self.stored:
                        self._replace(inside, place, self._stored_as(value, None, outer))
                self._bring_inside(inside, outer)
            for place, value in enumerate(inner.outputs):
                if value in self.stored:
                    inner.outputs[place] = self._stored_as(value, None, outer)

    def _give_back(self, place: int, value: ir.Value, layout: Layout | None) -> None:
        """An output in its layout, under its own name."""
        if value not in self.stored and layout is None:
            return
        name = self.freed.get(value, value.name)
        made = self._stored_as(value, layout, None)
        if made is value and value.name == name:
            return
        maker = made.producer()
        is_taken = made is not value and made.is_graph_output()
        if is_taken or maker is None or maker.graph is not self.graph:
            made = self.shop.node("Identity", [made], None, f"{name}/given")
        shape = self.shapes.get(value, value.shape)
        if layout is not None and shape is not None:
            shape = ir.Shape([shape[axis] for axis in layout.order])
        made.type, made.shape, made.doc_string = value.type, shape, value.doc_string
        made.metadata_props.update(value.metadata_props)
        if value.name == name:
            value.name = self.names(f"{name}/before")
        self.graph.outputs[place] = made
        made.name = name


def _graphs_of(node: ir.Node) -> Iterator[ir.Graph]:
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            yield attribute.as_graph()
        elif attribute.type == ir.AttributeType.GRAPHS:
            yield from attribute.as_graphs()


def _suffix(layout: Layout) -> str:
    """What the name of a tensor ends with that is stored so."""
    return "".join(map(str, layout.order)) + "".join(f"_{axis}" for axis, _ in layout.parts)
