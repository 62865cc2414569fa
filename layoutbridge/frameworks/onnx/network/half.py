"""A graph of float32 turned into one of float16, but for those nodes that are to stay as they are.

The model's inputs and outputs stay float32: a Cast stands wherever a tensor goes from one precision to the other, once
for each tensor. Constants are rounded once; float32 readers of the same constant keep their own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from onnx import NodeProto, TensorProto, helper

from layoutbridge.frameworks.onnx.network.graph import Initializer

FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16
_SUFFIXES: dict[int, str] = {FLOAT: "float32", HALF: "float16"}
_ROUNDED_TO_INFINITY = 65520.0  # the least that float16, whose largest number is 65504, has no number for
_SMALLEST_NORMAL = 2.0**-14  # below it float16 has fewer and fewer digits
_RESIZE_NUMBERS = (1, 2)  # the places of its region and its scales
_NO_FLOATS = ("Shape", "NonMaxSuppression", "Greater")


@dataclass(frozen=True, slots=True)
class HalfGraph:
    """The graph; the element type of each tensor in it; and what stayed in float32 unasked.

    `unfit` maps the scopes whose constants float16 cannot hold to the constant's name and its largest magnitude.
    """

    nodes: list[NodeProto]
    initializers: list[Initializer]
    types: Mapping[str, int]
    unfit: Mapping[str, tuple[str, float]]


def scope_of(node: NodeProto) -> str:
    """The outermost scope of a node, empty without one.

    >>> scope_of(NodeProto(name="27_reorg/SpaceToDepth"))
    '27_reorg'
    """
    return node.name.split("/")[0] if "/" in node.name else ""


def in_half(
    nodes: Sequence[NodeProto],
    initializers: Iterable[Initializer],
    inputs: Collection[str],
    outputs: Collection[str],
    stays: Callable[[NodeProto], bool],
) -> HalfGraph:
    """The graph in float16. `nodes` stand in the order in which they run; those that `stays` names stay in float32.

    So do all nodes of a scope where one of them reads a constant beyond float16: |x| of 65520 or more, or a matrix or
    a factor whose largest |x| is below 2^−14, where digits are lost.
    """
    graph = _Conversion({held.name: held for held in initializers}, inputs, outputs)
    halved = [node for node in nodes if not stays(node)]
    unfit = _unfit(halved, graph.held)
    for node in nodes:
        graph.add(node, FLOAT if stays(node) or scope_of(node) in unfit else HALF)
    return HalfGraph(graph.nodes, list(graph.initializers.values()), graph.types, unfit)


class _Conversion:
    """The new graph while it grows. A tensor keeps its name in the precision in which it is made."""

    def __init__(self, held: Mapping[str, Initializer], inputs: Collection[str], outputs: Collection[str]) -> None:
        self.held, self.outputs = held, outputs
        self.nodes: list[NodeProto] = []
        self.initializers: dict[str, Initializer] = {}
        self.types: dict[str, int] = dict.fromkeys(inputs, FLOAT) | {k: v.elem_type for k, v in held.items()}
        self._names: dict[tuple[str, int], str] = {}  # of a tensor in a precision

    def add(self, node: NodeProto, precision: int) -> None:
        """`node`, computed in `precision` where it computes with floats at all."""
        floats = [
            bool(name) and self.types[name] in _SUFFIXES and not _float32_always(node, place)
            for place, name in enumerate(node.input)
        ]
        made = NodeProto()
        made.CopyFrom(node)
        made.input[:] = [
            self._as(name, precision if is_float else self.types.get(name, FLOAT))
            for name, is_float in zip(node.input, floats, strict=True)
        ]
        to_float = node.op_type == "Cast" and node.attribute[0].i == FLOAT
        if to_float:
            made.attribute[0].i = precision
        integer = node.op_type in _NO_FLOATS or not (any(floats) or to_float)
        kind = TensorProto.INT64 if integer else precision
        self.nodes.append(made)
        for place, name in enumerate(node.output):
            self.types[name] = kind
            if kind == HALF and name in self.outputs:
                made.output[place] = self._names[name, HALF] = f"{name}/{_SUFFIXES[HALF]}"
                self._names[name, FLOAT] = name
                self._cast(made.output[place], name, FLOAT)

    def _as(self, name: str, precision: int) -> str:
        """What the tensor is called in this precision; made when it is first asked for."""
        if not name:
            return name
        if (name, precision) not in self._names:
            self._names[name, precision] = self._made(name, precision)
        return self._names[name, precision]

    def _made(self, name: str, precision: int) -> str:
        held = self.held.get(name)
        if held is not None:
            free = name if name not in self.initializers else f"{name}/{_SUFFIXES[precision]}"
            self.initializers[free] = replace(held, name=free, elem_type=precision)
            return free
        if self.types[name] == precision:
            return name
        return self._cast(name, f"{name}/{_SUFFIXES[precision]}", precision)

    def _cast(self, name: str, to: str, precision: int) -> str:
        title = to if "/" in to else f"{to}/{_SUFFIXES[precision]}"
        self.nodes.append(helper.make_node("Cast", [name], [to], name=title, to=precision))
        return to


def _float32_always(node: NodeProto, place: int) -> bool:
    """Whether the operator takes this input in float32 alone."""
    return node.op_type in ("Resize", "Upsample") and place in _RESIZE_NUMBERS


def _unfit(nodes: Iterable[NodeProto], held: Mapping[str, Initializer]) -> dict[str, tuple[str, float]]:
    """The scopes of those nodes that read a constant beyond float16, with the constant and its largest magnitude."""
    beyond: dict[str, float | None] = {}
    scopes: dict[str, tuple[str, float]] = {}
    for node in nodes:
        for place, name in enumerate(node.input):
            if name not in held or held[name].elem_type != FLOAT or _float32_always(node, place):
                continue
            if name not in beyond:
                beyond[name] = _beyond(held[name])
            largest = beyond[name]
            if largest is not None:
                scopes.setdefault(scope_of(node), (name, largest))
    return scopes


def _beyond(held: Initializer) -> float | None:
    """The largest magnitude where float16 cannot hold it, else None. Small biases are nothing beside their sums."""
    largest = max((max(float(part.max()), -float(part.min())) for part in held.values(dtype="f4")), default=0.0)
    too_small = 0 < largest < _SMALLEST_NORMAL and len(held.shape) != 1
    return largest if largest >= _ROUNDED_TO_INFINITY or too_small else None
