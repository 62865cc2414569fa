"""A node, and what is known around it, for the rules of operators."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from layoutbridge.rewriting.layouts.sizes import Sized, Sizes
from layoutbridge.rewriting.places.models import STANDARD, constant_of


class Unruled(Exception):
    """What a rule raises where it does not hold: an operand that is computed, an attribute of another meaning."""


class Case:
    """A node in a model of an `opset`; what is asked for and not there ends the rule with `Unruled`."""

    def __init__(self, node: ir.Node, sizes: Sizes, opset: int) -> None:
        self.node, self.opset = node, opset
        self._sizes = sizes

    @property
    def operator(self) -> str:
        """Its name, with the domain where that is not the standard's."""
        return operator_of(self.node)

    def has(self, place: int) -> bool:
        """Whether an input is given."""
        return place < len(self.node.inputs) and self.node.inputs[place] is not None

    def gives(self, number: int) -> bool:
        """Whether an output is asked for."""
        if number >= len(self.node.outputs):
            return False
        output = self.node.outputs[number]
        return bool(output.uses()) or output.is_graph_output()

    def input(self, place: int) -> Sized:
        """An input's sizes."""
        return self._sized(self.node.inputs[place] if self.has(place) else None)

    def output(self, number: int = 0) -> Sized:
        """An output's sizes."""
        return self._sized(self.node.outputs[number] if number < len(self.node.outputs) else None)

    def _sized(self, value: ir.Value | None) -> Sized:
        found = None if value is None else self._sizes(value.name)
        if found is None:
            raise Unruled
        return found

    def constant(self, place: int) -> NDArray[Any]:
        """What an input always is."""
        tensor = constant_of(self.node.inputs[place]) if self.has(place) else None
        if tensor is None:
            raise Unruled
        return tensor.numpy()

    def is_constant(self, place: int) -> bool:
        """Whether an input is always the same."""
        return self.has(place) and constant_of(self.node.inputs[place]) is not None

    def whole_numbers(self, place: int, name: str) -> list[int] | None:
        """What stands in an input, or in older opsets in an attribute; None where it is left out."""
        if self.has(place):
            held = self.constant(place)
            if held.dtype.kind not in "iu":
                raise Unruled
            return [int(each) for each in np.atleast_1d(held).reshape(-1)]
        return self.ints(name)

    def ints(self, name: str) -> list[int] | None:
        """An attribute that is a row of whole numbers."""
        attribute = self._attribute(name, ir.AttributeType.INTS)
        return None if attribute is None else [int(each) for each in attribute.as_ints()]

    def number(self, name: str, default: int) -> int:
        """An attribute that is a whole number."""
        attribute = self._attribute(name, ir.AttributeType.INT)
        return default if attribute is None else int(attribute.as_int())

    def text(self, name: str, default: str) -> str:
        """An attribute that is a word."""
        attribute = self._attribute(name, ir.AttributeType.STRING)
        return default if attribute is None else attribute.as_string()

    def _attribute(self, name: str, kind: Any) -> ir.Attr | None:
        attribute = self.node.attributes.get(name)
        if attribute is not None and (attribute.is_ref() or attribute.type != kind):
            raise Unruled
        return attribute

    def axis(self, default: int, rank: int, name: str = "axis") -> int:
        """The attribute that names an axis, from the front."""
        return at(self.number(name, default), rank)


def operator_of(node: ir.Node) -> str:
    """What a node does, with the domain where that is not the standard's.

    >>> operator_of(ir.Node("com.microsoft", "QLinearAdd", []))
    'com.microsoft.QLinearAdd'
    """
    return node.op_type if node.domain in STANDARD else f"{node.domain}.{node.op_type}"


def at(axis: int, rank: int) -> int:
    """An axis from the front; raises `Unruled` for one that is not there.

    >>> at(-1, 4)
    3
    """
    if not -rank <= axis < rank:
        raise Unruled
    return axis % rank
