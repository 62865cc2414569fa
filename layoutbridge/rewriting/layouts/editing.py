"""A node changed so that it computes the same on tensors that are stored otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from layoutbridge.rewriting.places.models import constant_of, drop_unread, new_constant, opset_of
from layoutbridge.rewriting.places.names import FreshNames

AXES_ARE_INPUTS = 13  # the first opset in which Squeeze and Unsqueeze take their axes as an input
_SHARED = 4096  # bytes of constants that are written once for all who read the same


class Workshop:
    """Where nodes and constants are made for one graph of a model."""

    def __init__(self, model: ir.Model, graph: ir.Graph, names: FreshNames) -> None:
        self.model, self.graph, self.names = model, graph, names
        self.opset = opset_of(model)
        self._shared: dict[tuple[str, tuple[int, ...], bytes], ir.Value] = {}

    def constant(self, array: NDArray[Any], name: str, before: ir.Node | None, dtype: Any = None) -> ir.Value:
        """A constant; small ones are written once, however many read them."""
        array = np.ascontiguousarray(array).reshape(array.shape)
        key = (str(dtype or array.dtype), array.shape, array.tobytes()) if array.nbytes <= _SHARED else None
        if key is not None and key in self._shared:
            return self._shared[key]
        name = self.names(name)
        value = new_constant(self.model, self.graph, ir.tensor(array, dtype=dtype, name=name), name, before)
        if key is not None:
            self._shared[key] = value
        return value

    def node(
        self, operator: str, inputs: Sequence[ir.Value | None], before: ir.Node | None, name: str, **attributes: Any
    ) -> ir.Value:
        """What a new node gives; it comes last where it stands before none."""
        held = [_attribute(key, value) for key, value in attributes.items()]
        made = ir.Node("", operator, inputs, held, name=self.names(name))
        made.outputs[0].name = made.name
        if before is None:
            self.graph.append(made)
        else:
            self.graph.insert_before(before, made)
        return made.outputs[0]

    def unsqueezed(self, value: ir.Value, axes: Sequence[int], before: ir.Node, name: str) -> ir.Value:
        """The same with axes of length 1 at these places, a constant as another constant."""
        tensor = constant_of(value)
        if tensor is not None:
            return self.constant(
                np.expand_dims(tensor.numpy(), tuple(axes)), f"{value.name}/wide", before, tensor.dtype
            )
        if self.opset < AXES_ARE_INPUTS:
            made = self.node("Unsqueeze", [value], before, name, axes=list(axes))
        else:
            held = self.constant(np.array(axes, np.int64), f"{name}/axes", before)
            made = self.node("Unsqueeze", [value, held], before, name)
        made.type = value.type
        return made

    def gathered(self, value: ir.Value, order: Sequence[int], before: ir.Node, name: str) -> ir.Value:
        """The entries of a row in another order, of a constant as another constant."""
        tensor = constant_of(value)
        if tensor is not None:
            return self.constant(tensor.numpy()[list(order)], f"{value.name}/ordered", before, tensor.dtype)
        made = self.node(
            "Gather", [value, self.constant(np.array(order, np.int64), f"{name}/order", before)], before, name
        )
        made.type = value.type
        return made


def _attribute(name: str, value: Any) -> ir.Attr:
    if isinstance(value, int):
        return ir.AttrInt64(name, value)
    if isinstance(value, str):
        return ir.AttrString(name, value)
    return ir.AttrInt64s(name, [int(each) for each in value])


class Editor:
    """Changes one node, whose tensors are stored as they shall be already."""

    def __init__(self, shop: Workshop, node: ir.Node) -> None:
        self._shop, self.node = shop, node

    def say(self, name: str, value: int | str | Sequence[int]) -> None:
        """Set an attribute."""
        self.node.attributes[name] = _attribute(name, value)

    def forget(self, name: str) -> None:
        """Leave an attribute away."""
        self.node.attributes.pop(name, None)

    def put(self, place: int, array: NDArray[Any]) -> None:
        """A constant as an input."""
        name = f"{self.node.name or self.node.outputs[0].name}/{place}"
        self._read(place, self._shop.constant(array, name, self.node))

    def reorder(self, place: int, order: Sequence[int]) -> None:
        """The entries of an input that is a row in another order."""
        held = self.node.inputs[place]
        assert held is not None
        self._read(place, self._shop.gathered(held, order, self.node, f"{held.name}/ordered"))

    def unsqueeze(self, place: int, axes: Sequence[int]) -> None:
        """Axes of length 1 more in an input."""
        held = self.node.inputs[place]
        assert held is not None
        self._read(place, self._shop.unsqueezed(held, axes, self.node, f"{held.name}/wide"))

    def exchange(self, one: int, two: int) -> None:
        """Two inputs in each other's place."""
        first, second = self.node.inputs[one], self.node.inputs[two]
        self.node.replace_input_with(one, second)
        self.node.replace_input_with(two, first)

    def become(self, operator: str, inputs: int) -> None:
        """Another operator without attributes, with so many of the inputs."""
        self.node.op_type = operator
        self.node.attributes.clear()
        self.node.resize_inputs(inputs)

    def reorder_output(self, order: Sequence[int]) -> None:
        """The entries of the only output, a row, in another order; who reads it reads them so."""
        output = self.node.outputs[0]
        name, shape = output.name, output.shape
        output.name = self._shop.names(f"{name}/stored")
        output.shape = None
        held = self._shop.constant(np.array(order, np.int64), f"{name}/order", self.node)
        made = ir.Node("", "Gather", [output, held], [], name=self._shop.names(f"{name}/ordered"))
        self._shop.graph.insert_after(self.node, made)
        new = made.outputs[0]
        new.name, new.type, new.shape = name, output.type, shape
        ir.convenience.replace_all_uses_with(output, new, replace_graph_outputs=True)
        made.replace_input_with(0, output)

    def _read(self, place: int, value: ir.Value) -> None:
        if place >= len(self.node.inputs):
            self.node.resize_inputs(place + 1)
        before = self.node.inputs[place]
        self.node.replace_input_with(place, value)
        if before is not None:
            drop_unread(before)
