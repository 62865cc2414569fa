"""A graph of float32 turned into one of int8, as pairs of QuantizeLinear and DequantizeLinear around what is rounded.

Weights are int8, a scale for each of their outputs; tensors between operators are uint8 with one scale, over the range
that was measured (`layoutbridge.frameworks.rounding`); biases int32 with the scale of the sums that they are added to.
onnxruntime and OpenVINO read the pairs around an operator as the operator in whole numbers.

Names cost bytes, and such a graph has many: those of nodes are left out, tensors between them are numbered.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from string import ascii_letters
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import AttributeProto, GraphProto, NodeProto, TensorProto, helper

from layoutbridge.frameworks.onnx.network.graph import Initializer, whole
from layoutbridge.frameworks.rounding import Range, bias_rounded, weights_rounded

LEAST_OPSET = 13  # from here on DequantizeLinear has a scale for each entry of an axis
_PRODUCTS = {"Conv": 0, "ConvTranspose": 1, "Gemm": 0}  # and the axis of their weights that the outputs lie along
_MOVES = ("MaxPool", "Resize", "Upsample", "Reshape", "Transpose", "SpaceToDepth", "DepthToSpace", "Split", "Slice")
_IN_INT8 = (*_PRODUCTS, *_MOVES, "Relu", "LeakyRelu", "Clip", "Add", "Concat")
_LETTERS = ascii_letters
_BOUNDED = ("Relu", "Clip")  # which rounding to their range does, too


@dataclass(frozen=True, slots=True)
class Int8Graph:
    """The graph, and the tensors that are rounded in it."""

    nodes: list[NodeProto]
    initializers: list[Initializer]
    rounded: tuple[str, ...]


def rounded_tensors(
    nodes: Sequence[NodeProto],
    inputs: Collection[str],
    stays: Callable[[NodeProto], bool],
    keeps: Callable[[str], bool],
    *,
    behind_products: bool,
) -> tuple[str, ...]:
    """The tensors that are rounded, in the order in which they are made.

    Those are what an operator with a form in whole numbers reads, or gives to such a one. What only nodes read that
    stay in float32 (`stays`) is not rounded, nor what `keeps` names, nor what an activation makes part of the product
    before it. With `behind_products` sums of products are rounded whatever reads them: onnxruntime has products that
    give whole numbers alone.
    """
    readers: dict[str, list[NodeProto]] = {}
    for node in nodes:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    makers = {name: node for node in nodes for name in node.output}
    fused = _BOUNDED if behind_products else (*_BOUNDED, "LeakyRelu")

    def is_rounded(name: str) -> bool:
        reading = [node for node in readers.get(name, ()) if not stays(node)]
        maker = makers.get(name)
        if not reading or keeps(name) or (maker is not None and stays(maker)):
            return False
        sums = maker is not None and maker.op_type in (*_PRODUCTS, "Add")
        if sums and len(reading) == 1 and reading[0].op_type in fused:
            return False
        wanted = any(node.op_type in _IN_INT8 and name in _data(node) for node in reading)
        return wanted or (behind_products and maker is not None and maker.op_type in _PRODUCTS)

    made = [*inputs, *(name for node in nodes for name in node.output)]
    return tuple(name for name in made if is_rounded(name))


def in_int8(
    nodes: Sequence[NodeProto],
    initializers: Iterable[Initializer],
    outputs: Collection[str],
    ranges: Mapping[str, Range],
    stays: Callable[[NodeProto], bool],
    inputs: Collection[str],
    *,
    biases: bool,
) -> Int8Graph:
    """The graph with the tensors of `ranges` rounded, and all products' weights. Nodes stand as they run.

    With `biases` those of products in whole numbers are int32, as onnxruntime wants them; OpenVINO adds floats.
    """
    held = {each.name: each for each in initializers}
    within = {name for node in nodes for body in _bodies(node) for name in _names_in(body)}
    graph = _Conversion(held, {*inputs, *within}, outputs, ranges, biases)
    for name in within & held.keys():
        graph.initializers[name] = held[name]
    for name in inputs:
        graph.round(name)
    for node in nodes:
        graph.add(node, stays(node))
    return Int8Graph(graph.nodes, list(graph.initializers.values()), tuple(ranges))


def _data(node: NodeProto) -> Sequence[str]:
    """The inputs that are data: of a product, and of what moves or bounds them, the first alone."""
    return node.input if node.op_type in ("Add", "Concat") else node.input[:1]


class _Conversion:
    """The new graph while it grows."""

    def __init__(
        self,
        held: Mapping[str, Initializer],
        fixed: Collection[str],
        outputs: Collection[str],
        ranges: Mapping[str, Range],
        biases: bool,
    ) -> None:
        self.held, self.outputs, self.ranges, self.biases = held, outputs, ranges, biases
        self.nodes: list[NodeProto] = []
        self.initializers: dict[str, Initializer] = {}
        self._names: dict[str, str] = {name: name for name in (*fixed, *outputs)}
        self._rounded: dict[str, str] = {}  # of a tensor: what its rounded form is called
        self._products: dict[object, dict[int, str]] = {}
        self._numbers: dict[object, str] = {}
        self._taken, self._count = {*fixed, *outputs}, 0

    def add(self, node: NodeProto, stays: bool) -> None:
        made = NodeProto()
        made.CopyFrom(node)
        made.name = ""
        _drop_defaults(made)
        replaced = self._rounded_weights(node) if _has_weights(node, self.held) and not stays else {}
        made.input[:] = [
            replaced[place] if place in replaced else self._read(name, stays) if name else ""
            for place, name in enumerate(node.input)
        ]
        made.output[:] = [self._output(name) for name in node.output]
        self.nodes.append(made)
        for name in node.output:
            self.round(name)

    def round(self, name: str) -> None:
        """The pair behind a tensor that is to be rounded; an output of the graph is what it is rounded to."""
        if name not in self.ranges:
            return
        scale, zero = self._parameters(self.ranges[name])
        whole_number = self._new()
        result = name if name in self.outputs else self._new()
        self._add("QuantizeLinear", [self._names[name], scale, zero], whole_number)
        self._add("DequantizeLinear", [whole_number, scale, zero], result)
        self._rounded[name] = result

    def _output(self, name: str) -> str:
        if name not in self._names or (name in self.ranges and name in self.outputs):
            self._names[name] = self._new()
        return self._names[name]

    def _read(self, name: str, stays: bool) -> str:
        """What a node reads instead of a tensor, which it needs before it was rounded where it stays in float32."""
        if name in self.held:
            return self._constant(self.held[name])
        return self._names[name] if stays else self._rounded.get(name, self._names[name])

    def _rounded_weights(self, node: NodeProto) -> dict[int, str]:
        """What a product reads instead of its weights and of its bias, by the places of these.

        The bias of a product whose input is not rounded stays as it is.
        """
        weights, axis = self.held[node.input[1]], _PRODUCTS[node.op_type]
        given = self.ranges.get(node.input[0]) if self.biases else None
        bias = self.held.get(node.input[2]) if len(node.input) > 2 and given is not None else None
        key = (weights.name, None if bias is None else (bias.name, given))
        if key not in self._products:
            addends = None if bias is None or given is None else (_read_whole(bias), given.scale)
            numbers, scales = weights_rounded(_read_whole(weights), axis, addends)
            scale = self._scales(scales)
            made = {1: self._dequantized(numbers, TensorProto.INT8, scale, axis)}
            if addends is not None:
                step, sums = np.asarray(addends[1], np.float32), self._new()
                self._add("Mul", [scale, self._number(step, TensorProto.FLOAT)], sums)
                made[2] = self._dequantized(bias_rounded(addends[0], scales * step), TensorProto.INT32, sums, 0)
            self._products[key] = made
        return self._products[key]

    def _scales(self, scales: NDArray[np.float32]) -> str:
        """Those of weights; for onnxruntime, which works out constants when it loads, in float16 where that fits."""
        short = scales.astype(np.float16)
        if not self.biases or (short != scales).any():
            return self._hold(scales, TensorProto.FLOAT)
        name = self._new()
        self._add("Cast", [self._hold(short, TensorProto.FLOAT16)], name, to=TensorProto.FLOAT)
        return name

    def _dequantized(self, numbers: NDArray[Any], elem_type: int, scale: str, axis: int) -> str:
        name = self._new()
        self._add("DequantizeLinear", [self._hold(numbers, elem_type), scale], name, axis=axis)
        return name

    def _add(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> None:
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))

    def _new(self) -> str:
        """A name that nothing has: short, as there are many."""
        while True:
            name = _spelled(self._count)
            self._count += 1
            if name not in self._taken:
                return name

    def _parameters(self, given: Range) -> tuple[str, str]:
        scale = self._number(np.asarray(given.scale, np.float32), TensorProto.FLOAT)
        return scale, self._number(np.asarray(given.zero, np.uint8), TensorProto.UINT8)

    def _number(self, value: NDArray[Any], elem_type: int) -> str:
        key = (elem_type, value.item())
        if key not in self._numbers:
            self._numbers[key] = self._hold(value, elem_type)
        return self._numbers[key]

    def _hold(self, values: NDArray[Any], elem_type: int) -> str:
        name = self._new()
        self.initializers[name] = Initializer(name, values.shape, elem_type, partial(whole, values))
        return name

    def _constant(self, held: Initializer) -> str:
        """A constant that stays as it is, under a shorter name."""
        if held.name not in self._names:
            name = self._names[held.name] = self._new()
            self.initializers[name] = Initializer(name, held.shape, held.elem_type, held.values)
        return self._names[held.name]


def _has_weights(node: NodeProto, held: Mapping[str, Initializer]) -> bool:
    return node.op_type in _PRODUCTS and node.input[1] in held


def _bodies(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
            for inner in attribute.g.node:
                yield from _bodies(inner)


def _names_in(body: GraphProto) -> Iterator[str]:
    """All that it reads and makes: what it reads from outside keeps its name there."""
    for node in body.node:
        yield from (name for name in (*node.input, *node.output) if name)
    yield from (value.name for value in (*body.input, *body.output))


def _read_whole(held: Initializer) -> NDArray[np.float32]:
    return np.concatenate([np.ravel(part) for part in held.values(dtype="f4")]).reshape(held.shape)


_DEFAULTS = {"group": 1, "dilations": 1, "strides": 1, "pads": 0}  # of convolutions


def _drop_defaults(node: NodeProto) -> None:
    """Leave out what a convolution's attributes say by themselves, or its weights' shape does."""
    if node.op_type in _PRODUCTS:
        kept = [each for each in node.attribute if not _is_told(each)]
        del node.attribute[:]
        node.attribute.extend(kept)


def _is_told(attribute: AttributeProto) -> bool:
    default = _DEFAULTS.get(attribute.name)
    values = [attribute.i] if attribute.type == AttributeProto.INT else list(attribute.ints)
    return attribute.name == "kernel_shape" or (default is not None and set(values) == {default})


def _spelled(number: int) -> str:
    """A number in letters.

    >>> _spelled(0), _spelled(51), _spelled(52)
    ('a', 'Z', 'ab')
    """
    text = _LETTERS[number % len(_LETTERS)]
    while number := number // len(_LETTERS):
        text += _LETTERS[number % len(_LETTERS)]
    return text
