"""The pass `fix-weights`: the op at a place stays, and the layers behind it are permuted as if another stood there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.errors import LayoutBridgeError, UnsupportedError, visible
from layoutbridge.rewriting.passes.fix import ir_graphs, remove_unneeded, visible_value
from layoutbridge.rewriting.places.locating import Located
from layoutbridge.rewriting.places.models import drop_unread, new_constant
from layoutbridge.rewriting.places.names import FreshNames
from layoutbridge.rewriting.places.wanted import Fix, present_at, with_every_axis
from layoutbridge.weights.carrying import Layer, carry

_SHOWN = 80  # characters of a name
# What leaves the order of channels as it is, wherever they stand, and what does where they stand behind the batch.
ELEMENTWISE = {
    "Abs", "Cast", "Ceil", "Celu", "Clip", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "Identity",
    "LeakyRelu", "Log", "Mish", "Neg", "Reciprocal", "Relu", "Selu", "Sigmoid", "Sign", "Softplus", "Softsign", "Sqrt",
    "Tanh", "ThresholdedRelu",
}  # fmt: skip
_SPATIAL = {"AveragePool", "GlobalAveragePool", "GlobalMaxPool", "MaxPool"}


@dataclass(frozen=True)
class _Layer:
    """A layer that reads the place's channels from its own `start` on; `kind` and `layout` are for `carry`."""

    node: ir.Node
    kind: Layer
    layout: str | None
    start: int
    axis: int
    groups: int = 1


@dataclass(frozen=True)
class Permutation:
    """Weights behind a place that are meant for `op`, where `instead` stands; it gives channels on `axis`.

    Both have all axes of the tensor.
    """

    located: Located
    axis: int
    op: Rearrangement
    instead: Rearrangement


class FixWeightsPass(ir.passes.InPlacePass):
    """Permutes the weights of the layers that read what a place gives, so that it may stay as it is.

    Between both may stand what works on each element alone, pooling, and joins of channels. Raises `UnsupportedError`
    for anything else, and with the reason of `carry` where no weights can make up for the difference.
    """

    def __init__(self, fixes: Sequence[Fix]) -> None:
        self.fixes = fixes

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Permute the weights behind every place."""
        graphs = list(ir_graphs(model.graph))
        for fix in self.fixes:
            graph = graphs[fix.located.inside]
            output = visible_value(graph, fix.located.region.output)
            axis, rank = fix.wanted.channel_axis(len(fix.located.sides[1])), len(fix.located.sides[0])
            wanted = with_every_axis(fix.wanted.on_all_axes, rank)
            permute_behind(model, graph, output, Permutation(fix.located, axis, wanted, present_at(fix.located)))
        return ir.passes.PassResult(model, modified=bool(self.fixes))


def permute_behind(model: ir.Model, graph: ir.Graph, output: ir.Value, permutation: Permutation) -> None:
    """Permute the weights of every layer that reads `output`, what a place gives; raises `UnsupportedError`."""
    for layer in list(_layers_behind(permutation.located, graph, output, permutation.axis, 0)):
        _permute(model, permutation, layer)


def permuted_dtypes(graph: ir.Graph, output: ir.Value, permutation: Permutation) -> set[ir.DataType]:
    """The dtypes of the weights that would be permuted; raises `UnsupportedError` as `permute_behind` does."""
    layers = _layers_behind(permutation.located, graph, output, permutation.axis, 0)
    return {_permuted(permutation, layer).dtype for layer in layers}


def _layers_behind(located: Located, graph: ir.Graph, value: ir.Value, axis: int, start: int) -> Iterator[_Layer]:
    if value.is_graph_output():
        raise _cannot(located, f"{_told(value.name)} is an output of its graph, which no weights follow")
    for use in value.uses():
        node, place = use.node, use.idx
        if node.graph is not graph or node.domain not in ("", "ai.onnx"):
            raise _cannot(located, f"{_named(node)} reads it")
        if (layer := _layer(node, place, axis, start, _rank(located, value))) is not None:
            yield layer
        elif node.op_type == "Concat" and node.attributes["axis"].as_int() in (axis, axis - _rank(located, value)):
            before = sum(_length(located, each, axis) for each in node.inputs[:place])
            yield from _layers_behind(located, graph, node.outputs[0], axis, start + before)
        elif node.op_type in ELEMENTWISE or (node.op_type in _SPATIAL and axis == 1):
            yield from _layers_behind(located, graph, node.outputs[0], axis, start)
        else:
            raise _cannot(located, f"{_named(node)} reads it, whose weights are not permuted")


def _layer(node: ir.Node, place: int, axis: int, start: int, rank: int) -> _Layer | None:
    if place:
        return None
    if node.op_type == "Conv" and axis == 1:
        return _Layer(node, "conv", None, start, axis, node.attributes.get_int("group", 1))
    if node.op_type == "ConvTranspose" and axis == 1:
        return _Layer(node, "conv_transpose", None, start, axis, node.attributes.get_int("group", 1))
    if node.op_type == "MatMul" and axis == rank - 1:
        return _Layer(node, "conv", "IO", start, axis)
    if node.op_type == "Gemm" and axis == 1 and not node.attributes.get_int("transA", 0):
        return _Layer(node, "conv", "OI" if node.attributes.get_int("transB", 0) else "IO", start, axis)
    return None


def _permute(model: ir.Model, permutation: Permutation, layer: _Layer) -> None:
    held = layer.node.inputs[1]
    made = _permuted(permutation, layer)
    assert held is not None
    replace_weight(model, layer.node, made, f"{held.name}/{permutation.op.name or 'permuted'}")


def replace_weight(model: ir.Model, node: ir.Node, tensor: ir.TensorProtocol, name: str) -> None:
    """Give a layer another constant weight, under a name that is free; the one that nobody reads any more goes."""
    held, graph = node.inputs[1], node.graph
    assert held is not None and isinstance(graph, ir.Graph)
    tensor.name = FreshNames(model)(name)
    node.replace_input_with(1, new_constant(model, graph, tensor, tensor.name, node))
    maker = held.producer()
    if maker is None:
        drop_unread(held)
    elif isinstance(maker.graph, ir.Graph):
        remove_unneeded(maker.graph, [maker])


def _permuted(permutation: Permutation, layer: _Layer) -> ir.TensorProtocol:
    """The weight of a layer in the other order."""
    located, node, held = permutation.located, layer.node, layer.node.inputs[1]
    tensor = None if held is None else ir.convenience.get_const_tensor(held)
    if held is None or tensor is None:
        raise _cannot(located, f"the weights of {_named(node)} are no constant")
    if held.is_graph_input():
        raise _cannot(located, f"the weights of {_named(node)}, {_told(held.name)}, may be given by the caller")
    weight = tensor.numpy()
    if layer.layout is not None and weight.ndim != 2:
        raise _cannot(located, f"the weights of {_named(node)} have shape {list(weight.shape)}, and no 2 axes")
    return ir.tensor(np.ascontiguousarray(_carried(permutation, layer, weight)), dtype=tensor.dtype)


def _carried(permutation: Permutation, layer: _Layer, weight: NDArray[Any]) -> NDArray[Any]:
    """The weight with the channels that the place gives in another order: all of what the layer reads, or some."""
    located = permutation.located
    count = located.sides[1][layer.axis]
    axis = 0 if (layer.kind == "conv_transpose" or layer.layout == "IO") else 1
    reads = weight.shape[axis] * (1 if layer.kind == "conv_transpose" else layer.groups)
    part = np.s_[layer.start : layer.start + count]
    places = (slice(None),) * axis + (part,)
    is_part = reads != count
    if is_part and layer.groups > 1:
        raise _cannot(located, f"{_named(layer.node)} reads it beside others, in {layer.groups} groups")
    try:
        carried = _carry(permutation, weight[places] if is_part else weight, layer)
    except LayoutBridgeError as error:
        raise UnsupportedError(f"{located.told}: {error}") from None
    if not is_part:
        return carried
    made = weight.copy()
    made[places] = carried
    return made


def _carry(permutation: Permutation, weight: NDArray[Any], layer: _Layer) -> NDArray[Any]:
    located = permutation.located
    shape = located.sides[0]
    known = None if located.is_open or prod(shape) == 0 else shape
    carried: NDArray[Any] = carry(
        permutation.op, weight, layer.kind, instead=permutation.instead, layout=layer.layout, groups=layer.groups,
        shape=known, channel_axis=layer.axis,
    )  # fmt: skip
    return carried


def _rank(located: Located, value: ir.Value) -> int:
    return len(_shape(located, value))


def _length(located: Located, value: ir.Value | None, axis: int) -> int:
    assert value is not None
    return _shape(located, value)[axis]


def _shape(located: Located, value: ir.Value) -> tuple[int, ...]:
    tensor = located.graph.tensors.get(value.name or "")
    if tensor is None:
        raise _cannot(located, f"the shape of {_told(value.name)} is not known")
    return tensor.shape


def _cannot(located: Located, why: str) -> UnsupportedError:
    return UnsupportedError(f"no weights are permuted behind {located.told}: {why} (--fix replaces the op itself)")


def _named(node: ir.Node) -> str:
    return f"{_told(node.name or node.outputs[0].name)} ({visible(node.op_type[:_SHOWN])})"


def _told(name: str | None) -> str:
    return visible((name or "?")[:_SHOWN])
