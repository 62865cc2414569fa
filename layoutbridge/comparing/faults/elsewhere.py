"""Numbers from elsewhere in the weights file than where a layer's stand: another layer's, or from a wrong place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import permutations
from math import prod

import numpy as np

from layoutbridge.comparing.faults.fault import Array, CauseKind
from layoutbridge.comparing.faults.stages import Alternative, Values
from layoutbridge.darknet.networks.network import DarknetNetwork
from layoutbridge.darknet.reference.values import Feed
from layoutbridge.darknet.structure.model import Layer

_FILED = ("biases", "scales", "means", "variances")  # in the order of the file, the weights behind them
_SHIFTS = {-1: "read from one number too early on", 1: "read from one number too late on", -5: "read with the header",
           -4: "read with 4 numbers of the header"}  # fmt: skip


class Numbers:
    """What a weights file holds for each layer of a network."""

    def __init__(self, net: DarknetNetwork) -> None:
        self._net = net
        self._shapes = {
            layer.index: {each.name: each.shape for each in layer.parameters}
            for layer in net.network.layers
            if "weights" in {each.name for each in layer.parameters}
        }

    def of(self, layer: Layer, names: Sequence[str] | None = None) -> Values:
        """A layer's own numbers, or some of them."""
        chosen = [each.name for each in layer.parameters] if names is None else names
        return {name: np.asarray(self._net.parameters[layer.index, name], np.float64) for name in chosen}

    def alike(self, layer: Layer, names: Sequence[str]) -> Iterator[Layer]:
        """The other layers that have numbers of these names in the same shapes."""
        own = self._shapes.get(layer.index)
        for index, shapes in self._shapes.items():
            if own and index != layer.index and all(shapes.get(name) == own[name] for name in names):
                yield self._net.network.layers[index]

    def shifted(self, layer: Layer, by: int) -> Values | None:
        """A layer's numbers where all of the file are read `by` places further on, zeros for what is not there."""
        if layer.index not in self._begin:
            return None
        start, taken = self._begin[layer.index] + by, dict[str, Array]()
        for each in layer.parameters:
            places = np.arange(start, start + each.size)
            held = self._stream[places.clip(0, self._stream.size - 1)]
            inside = (places >= 0) & (places < self._stream.size)
            taken[each.name] = np.where(inside, held, 0).reshape(each.shape).astype(np.float64)
            start += each.size
        return taken

    @cached_property
    def _stream(self) -> Array:
        held = [
            np.asarray(self._net.parameters[layer.index, each.name]).reshape(-1)
            for layer in self._net.network.layers
            for each in layer.parameters
        ]
        return np.concatenate(held)

    @cached_property
    def _begin(self) -> Mapping[int, int]:
        """Where the numbers of each layer begin, for layers in front of which all lies as the file has it."""
        begin, total = {}, 0
        for layer in self._net.network.layers:
            if any(
                each.shared_with is not None or each.flipped or each.stored != each.size for each in layer.parameters
            ):
                break
            begin[layer.index] = total
            total += sum(prod(each.shape) for each in layer.parameters)
        return begin


def borrowed(feed: Feed, numbers: Numbers) -> Iterator[Alternative]:
    """Another layer's numbers in the place of a layer's own, its vectors exchanged, or the file read from elsewhere."""
    own, layer = tuple(feed.parameters), feed.layer
    vectors = tuple(name for name in own if name != "weights")
    rest = "batch norm" if "variances" in own else "biases"
    for told, names in ((f"weights and {rest}", own), ("weights", ("weights",)), (rest, vectors)):
        for other in numbers.alike(layer, names):
            yield _alternative(
                "batch_norm" if told == "batch norm" else "weight_layout", f"the {told} of {other.name}",
                f"the {told} of {layer.name}, its own",
                f"it computes with the {told} of another layer, which has the same shapes",
                f"give it its own: whatever fills the {told} takes the layers in another order",
                _from(numbers, other, names),
            )  # fmt: skip
    if "variances" in own:
        for order in permutations(_FILED):
            if order != _FILED:
                yield _alternative(
                    "batch_norm", _exchanged(order), "biases, scales, means, variances, as the file has them",
                    f"the four vectors of batch norm are mixed up: {_exchanged(order)}",
                    "read them in the order of the file: biases, scales, means, variances, then the weights",
                    _renamed(dict(zip(_FILED, order, strict=True))),
                )  # fmt: skip
        yield _alternative(
            "weight_layout", "weights in front of the vectors", "the vectors, then the weights",
            "the file is read as if a layer's weights stood in front of its vectors",
            "read biases, scales, means, variances, then the weights", _weights_first,
        )  # fmt: skip
    for by, told in _SHIFTS.items():
        yield _alternative(
            "weight_layout", f"the file's numbers, {told}", "the file's numbers from behind its header on",
            f"the numbers come from another place of the file: {told}",
            "skip the whole header: 5 numbers of 4 bytes, or 4 where the version is below 0.2", _shifted(numbers, by),
        )  # fmt: skip


def _alternative(
    cause: CauseKind, found: str, expected: str, explanation: str, fix: str, change: Callable[[Feed], Values]
) -> Alternative:
    return Alternative("numbers", cause, found, expected, explanation, fix, change)


def _from(numbers: Numbers, layer: Layer, names: Sequence[str]) -> Callable[[Feed], Values]:
    return lambda feed: {**feed.parameters, **numbers.of(layer, names)}


def _exchanged(order: Sequence[str]) -> str:
    """Which vectors stand in which place."""
    moved = [(name, other) for name, other in zip(_FILED, order, strict=True) if name != other]
    if len(moved) == 2:
        return f"{moved[0][0]} and {moved[1][0]} exchanged"
    return ", ".join(f"{other} for {name}" for name, other in moved)


def _renamed(names: Mapping[str, str]) -> Callable[[Feed], Values]:
    def change(feed: Feed) -> Values:
        own = feed.parameters
        return own if "variances" not in own else {**own, **{name: own[other] for name, other in names.items()}}

    return change


def _weights_first(feed: Feed) -> Values:
    own, taken = feed.parameters, dict[str, Array]()
    names = ("weights", *(name for name in own if name != "weights"))
    stream, start = np.concatenate([own[name].reshape(-1) for name in own]), 0
    for name in names:
        taken[name] = stream[start : start + own[name].size].reshape(own[name].shape)
        start += own[name].size
    return {name: taken[name] for name in own}


def _shifted(numbers: Numbers, by: int) -> Callable[[Feed], Values]:
    def change(feed: Feed) -> Values:
        taken = numbers.shifted(feed.layer, by)
        return feed.parameters if taken is None else taken

    return change
