"""Which axes of tensors are batch, channels, rows and columns: told by the operators that fix them."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import onnx_ir as ir

from layoutbridge.rewriting.choices.candidates import Nodes, ports
from layoutbridge.rewriting.layouts.layout import Layout, plain
from layoutbridge.rewriting.places.models import STANDARD
from layoutbridge.rewriting.rules.products import RULES as PRODUCTS
from layoutbridge.rewriting.rules.windows import CHANNELS_SECOND

_RANK = 4
NAMED: Mapping[str, tuple[int, ...]] = {"nchw": (0, 1, 2, 3), "nhwc": (0, 2, 3, 1)}  # of batch, channels, rows, columns


def picture_axes(nodes: Nodes) -> dict[ir.Value, Layout]:
    """For each tensor that is a picture, the layout in which its channels lie behind the batch, then rows and columns.

    That is what convolutions, pools and the like take and give; it is carried on through nodes whose tensors share
    their axes. What is nearest to such a node is taken where several ways lead to a tensor.
    """
    found: dict[ir.Value, Layout] = {}
    waiting: deque[ir.Value] = deque()

    def note(value: ir.Value, layout: Layout) -> None:
        if value not in found:
            found[value] = layout
            waiting.append(value)

    for node in nodes.graph:
        if node.op_type in CHANNELS_SECOND and node.domain in STANDARD:
            for value in (*node.inputs[:1], *node.outputs[:1]):
                sized = None if value is None else nodes.sizes(value.name)
                if value is not None and sized is not None and sized.rank == _RANK:
                    note(value, plain(_RANK))
    while waiting:
        value = waiting.popleft()
        for node, form in nodes.forms(value, found[value]):
            if node.op_type not in CHANNELS_SECOND and node.op_type not in PRODUCTS:
                for other, layout in ports(node, form):
                    note(other, layout)
    return {value: layout for value, layout in found.items() if layout.rank == _RANK and not layout.parts}


def asked_for(pictures: Mapping[ir.Value, Layout], value: ir.Value, name: str) -> Layout | None:
    """The layout that a tensor of the file is to have to be NCHW or NHWC; None where its axes are not known.

    >>> image = ir.Value(name="image")
    >>> asked_for({image: Layout((0, 3, 1, 2))}, image, "nchw")
    Layout(order=(0, 3, 1, 2), parts=())
    >>> asked_for({image: Layout((0, 3, 1, 2))}, image, "nhwc").is_plain
    True
    """
    held = pictures.get(value)
    return None if held is None else Layout(tuple(held.order[axis] for axis in NAMED[name]))
