"""Darknet networks as graphs: from the cfg alone, each layer's movement the one that its meaning has.

Arrays are [1, C, H, W], or [1, K] where Darknet holds a flat vector.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import prod
from operator import methodcaller
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.darknet.networks.network import DarknetNetwork, load
from layoutbridge.darknet.structure.kinds import Contrastive, Cost, Crop, Dropout, Empty, Implicit, Route
from layoutbridge.darknet.structure.model import Layer, Network
from layoutbridge.darknet.structure.settings import Moving
from layoutbridge.errors import ShapeError, shown
from layoutbridge.inputs import PathLike
from layoutbridge.operations.catalog import entry, op
from layoutbridge.scanning.graphs.graph import Graph, Kind, Movement, Node, Tensor
from layoutbridge.scanning.graphs.movements import sliced
from layoutbridge.scanning.graphs.sizes import Shapes

INPUT_NAME = "input"


def read(source: DarknetNetwork | PathLike, flavor: str = "alexey", shapes: Shapes = None) -> Graph:
    """The network of a cfg file, or one that `darknet.load` gave; weights are not needed.

    `shapes` is the input's, [C, H, W] or with a 1 for the batch in front: another height and width than the cfg's make
    the network of that size. Raises `CfgError` as `darknet.load` does, and `ShapeError` where the shape does not fit.

    >>> graph = read("fixtures/nets/pjreddie/passthrough/net.cfg", "pjreddie")
    >>> node = next(node for node in graph.nodes if node.operator == "reorg")
    >>> node.name, graph.tensors[node.output].shape
    ('layer 4 (reorg)', (1, 32, 4, 6))
    """
    net = source if isinstance(source, DarknetNetwork) else load(source, flavor=flavor)
    network = _sized(net, _asked(shapes))
    names = [layer.name for layer in network.layers]
    tensors = {INPUT_NAME: Tensor(INPUT_NAME, (1, *network.in_shape))}
    for layer in network.layers:
        constant = isinstance(layer.settings, Implicit)
        tensors[layer.name] = Tensor(layer.name, (1, *layer.out_shape), is_constant=constant)
    used = {place for layer in network.layers for place in layer.inputs}
    ends = [name for index, name in enumerate(names) if index not in used or index == len(names) - 1]
    return Graph(
        name=network.source,
        format="Darknet",
        nodes=tuple(_node(network, layer) for layer in network.layers if not isinstance(layer.settings, Implicit)),
        tensors=tensors,
        inputs=(INPUT_NAME,),
        outputs=tuple(ends),
        node_count=len(names),
        notes=tuple(network.warnings),
    )


# ---------------------------------------------------------------------- the size


def _asked(shapes: Shapes) -> tuple[int | str | None, ...] | None:
    if not isinstance(shapes, Mapping):
        return None if shapes is None else tuple(shapes)
    for name in shapes:
        if name != INPUT_NAME:
            raise ShapeError(f"the model has no input called {shown(name)}; it has {INPUT_NAME}")
    return tuple(shapes[INPUT_NAME]) if shapes else None


def _sized(net: DarknetNetwork, asked: Sequence[int | str | None] | None) -> Network:
    """The network at the size that is asked."""
    held = net.network.in_shape
    if asked is None:
        return net.network
    lengths = list(asked[1:] if len(asked) == len(held) + 1 and asked[0] in (1, None) else asked)
    wrong = ShapeError(
        f"the cfg takes [1, {', '.join(map(str, held))}], not {shown(list(asked))}: one picture at a time"
    )
    if len(lengths) != len(held):
        raise wrong
    wanted = tuple(length if isinstance(length, int) else own for length, own in zip(lengths, held, strict=True))
    if wanted == held:
        return net.network
    if wanted[0] != held[0] or len(held) != 3 or net.blueprint is None:
        raise wrong
    return replace(net.blueprint, size=(wanted[2], wanted[1])).build()


# ---------------------------------------------------------------------- layers


def _node(network: Network, layer: Layer) -> Node:
    inputs = tuple(INPUT_NAME if place == -1 else network.layers[place].name for place in layer.inputs)
    movement, kind = _moved(layer)
    return Node(f"layer {layer.index} ({layer.kind})", layer.kind, inputs, layer.name, movement, kind)


def _moved(layer: Layer) -> tuple[Movement | None, Kind]:
    """What a layer does to elements, as `darknet.meaning` has it."""
    shape = (1, *layer.out_shape)
    match layer.settings:
        case Dropout() | Empty() | Cost() | Contrastive():
            return methodcaller("reshape", shape), "view"
        case Route() as route if route.groups == 1 and len(layer.inputs) == 1:
            return methodcaller("reshape", shape), "view"
        case Route() as route:
            return partial(_routed, groups=route.groups, group=route.group_id, shape=shape), "moves"
        case Moving() as moving if moving.operation is not None:
            return partial(_rearranged, operation=_operation(moving, moving.operation), shape=shape), "moves"
        case Crop() as crop if crop.scale == 1 and crop.offset == 0:
            rows, columns = layer.out_shape[-2:]
            places = (slice(crop.top, crop.top + rows), slice(crop.left, crop.left + columns))
            return partial(sliced, places=(slice(None), slice(None), *places)), "moves"
    return None, "other"


def _operation(moving: Moving, name: str) -> Rearrangement:
    return op(name, **({"stride": moving.stride} if "stride" in entry(name).parameters else {}))


def _rearranged(x: NDArray[Any], *, operation: Rearrangement, shape: tuple[int, ...]) -> NDArray[Any]:
    return operation(x).reshape(shape)


def _routed(*parts: NDArray[Any], groups: int, group: int, shape: tuple[int, ...]) -> NDArray[Any]:
    """One of `groups` parts of each input, side by side."""
    return np.concatenate(list(_groups(parts, groups, group)), axis=1).reshape(shape)


def _groups(parts: Sequence[NDArray[Any]], groups: int, group: int) -> Iterator[NDArray[Any]]:
    for x in parts:
        flat = x.reshape(1, -1)
        length = prod(x.shape) // groups
        yield flat[:, group * length : (group + 1) * length]
