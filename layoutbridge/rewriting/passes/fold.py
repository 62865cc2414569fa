"""The pass that folds blocks of space into the convolution behind them: a kernel and steps as many blocks large."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir
from numpy.typing import NDArray

from layoutbridge.rewriting.passes.fix import ir_graphs, makers_of, remove_unneeded, visible_value, visible_values
from layoutbridge.rewriting.passes.fix_weights import ELEMENTWISE, replace_weight
from layoutbridge.rewriting.places.blocks import Blocks
from layoutbridge.rewriting.places.locating import Located
from layoutbridge.rewriting.places.models import STANDARD
from layoutbridge.rewriting.places.names import FreshNames

SUMMED_ANEW = {ir.DataType.FLOAT, ir.DataType.DOUBLE}  # in others an order of summation changes too much
_MOST = 128  # channels of the picture times the kernel's length: beyond, onnxruntime takes longer than for both


@dataclass(frozen=True)
class Fold:
    """A place that puts `blocks` into channels, which convolutions alone read."""

    located: Located
    blocks: Blocks


@dataclass(frozen=True)
class Convolution:
    """A convolution that reads blocks: its weight, its padding in front of each axis and behind it, its steps."""

    node: ir.Node
    weight: NDArray[Any]
    pads: tuple[int, ...]
    strides: tuple[int, ...]


class FoldPass(ir.passes.InPlacePass):
    """Gives each convolution behind a place a kernel for the picture itself, and takes out the place.

    Where the picture has its channels last a Transpose stays. Between the place and its convolutions may stand what
    works on each element alone.
    """

    def __init__(self, folds: Sequence[Fold]) -> None:
        self.folds = folds

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Apply every fold."""
        graphs = list(ir_graphs(model.graph))
        for fold in self.folds:
            _fold(model, graphs[fold.located.inside], fold)
        return ir.passes.PassResult(model, modified=bool(self.folds))


def convolutions_behind(graph: ir.Graph, fold: Fold) -> tuple[Convolution, ...]:
    """All that reads what a place gives, where that is convolutions into which its blocks can be folded; else none."""
    readers = list(_readers(graph, visible_value(graph, fold.located.region.output)))
    found = [_convolution(fold, node) for node in readers if node is not None]
    return tuple(each for each in found if each is not None) if None not in (*readers, *found) else ()


def _readers(graph: ir.Graph, value: ir.Value) -> Iterator[ir.Node | None]:
    """Who reads a tensor, through what works on each element alone; None for what is neither that nor a convolution."""
    if value.is_graph_output() or not value.uses():
        yield None
    for use in value.uses():
        if use.node.graph is not graph or use.node.domain not in STANDARD:
            yield None
        elif use.node.op_type in ELEMENTWISE and use.idx == 0:
            yield from _readers(graph, use.node.outputs[0])
        else:
            yield use.node if use.node.op_type == "Conv" and use.idx == 0 else None


def _convolution(fold: Fold, node: ir.Node) -> Convolution | None:
    blocks = fold.blocks
    held = node.inputs[1]
    tensor = None if held is None or held.is_graph_input() else ir.convenience.get_const_tensor(held)
    if tensor is None or tensor.dtype not in SUMMED_ANEW:
        return None
    weight, rank = tensor.numpy(), len(blocks.sizes)
    attributes = node.attributes
    if weight.ndim != rank + 2 or weight.shape[1] != len(blocks.channels) or attributes.get_int("group", 1) != 1:
        return None
    if any(each != 1 for each in attributes.get_ints("dilations", [1])):
        return None
    if blocks.picture_channels * max(weight.shape[2:]) > _MOST:
        return None
    strides = tuple(attributes.get_ints("strides", [1] * rank))
    pads = _pads(fold.located, node, weight.shape[2:], strides)
    return None if pads is None else Convolution(node, weight, pads, strides)


def _pads(located: Located, node: ir.Node, kernel: Sequence[int], strides: Sequence[int]) -> tuple[int, ...] | None:
    """The padding of a convolution in numbers; None where it depends on sizes that are open."""
    mode = node.attributes.get_string("auto_pad", "NOTSET")
    if mode == "NOTSET":
        return tuple(node.attributes.get_ints("pads", [0] * 2 * len(kernel)))
    if mode == "VALID":
        return (0,) * 2 * len(kernel)
    totals = {
        tuple(
            max((-(-length // step) - 1) * step + size - length, 0)
            for length, step, size in zip(given[2:], strides, kernel, strict=True)
        )
        for _, given in located.seen_at
    }
    if len(totals) > 1 or (located.is_open and any(step > 1 for step in strides)):
        return None
    (total,) = totals
    less = tuple(each // 2 for each in total)
    more = tuple(each - each // 2 for each in total)
    return (*less, *more) if mode == "SAME_UPPER" else (*more, *less)


def _fold(model: ir.Model, graph: ir.Graph, fold: Fold) -> None:
    located, blocks = fold.located, fold.blocks
    values = visible_values(graph)
    source, output = (values[name] for name in (located.region.sources[0], located.region.output))
    convolutions = convolutions_behind(graph, fold)
    last = output.producer()
    assert last is not None
    picture = source if blocks.is_channels_first else _turned(model, graph, fold, source, last)
    between = [use.node for use in output.uses()]
    while between:  # whose results are as large as the picture from now on
        node = between.pop()
        if node.op_type != "Conv":
            node.outputs[0].shape = None
            between += [use.node for use in node.outputs[0].uses()]
    ir.convenience.replace_all_uses_with(output, picture)
    remove_unneeded(graph, makers_of(located, values))
    for each in convolutions:
        _enlarge(model, each, blocks)


def _turned(model: ir.Model, graph: ir.Graph, fold: Fold, source: ir.Value, before: ir.Node) -> ir.Value:
    """The picture with its channels first."""
    name = FreshNames(model)(f"{fold.located.region.names[-1]}/Transpose")
    order = ir.AttrInt64s("perm", fold.blocks.order)
    made = ir.Node("", "Transpose", [source], [order], name=name)
    made.outputs[0].name = FreshNames(model)(f"{name}:0")
    made.outputs[0].type = source.type
    graph.insert_before(before, made)
    return made.outputs[0]


def _enlarge(model: ir.Model, convolution: Convolution, blocks: Blocks) -> None:
    node, sizes = convolution.node, blocks.sizes
    held = node.inputs[1]
    assert held is not None
    weight = blocks.unfolded(convolution.weight)
    replace_weight(model, node, ir.tensor(weight), f"{held.name}/unfolded")
    node.attributes.pop("auto_pad", None)
    numbers = {
        "kernel_shape": weight.shape[2:],
        "strides": [step * size for step, size in zip(convolution.strides, sizes, strict=True)],
        "pads": [pad * size for pad, size in zip(convolution.pads, sizes * 2, strict=True)],
    }
    node.attributes.update({name: ir.AttrInt64s(name, each) for name, each in numbers.items()})
