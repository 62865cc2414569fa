"""`back_to_darknet`: a model's weights for a Darknet network, proven by running both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.comparing.causes import Cause
from layoutbridge.comparing.comparison import Comparison, Progress, compared
from layoutbridge.darknet.networks.network import DarknetNetwork
from layoutbridge.darknet.reading.weights import made_weights
from layoutbridge.darknet.returning.matching import alike
from layoutbridge.darknet.returning.opening import source_of
from layoutbridge.darknet.returning.returned import Returned, ReturnedParameter, chosen
from layoutbridge.darknet.structure.kinds import Convolutional, Route
from layoutbridge.darknet.structure.model import Layer
from layoutbridge.darknet.structure.settings import Moving
from layoutbridge.errors import LayoutBridgeError, counted
from layoutbridge.operations.catalog import op
from layoutbridge.scanning.models import can_be_scanned, is_one
from layoutbridge.weights.carrying import carry

_MOST_TRIES = 24  # of other choices among layers of one shape: both models run for each
_MOVED = "rearrangement"  # the cause of a port whose reorg is another one
Layers = Mapping[tuple[int, str], NDArray[np.float32]]


@dataclass(frozen=True, slots=True, eq=False)
class BroughtBack:
    """A network with the weights of another model, and what running both gave.

    `rows` say where each parameter is from, `how` how that was found: "names", "numbers" in names, or "order".
    `comparison` is None where the model cannot be run: nothing is proven then, and `notes` say why.
    """

    network: DarknetNetwork
    rows: tuple[ReturnedParameter, ...]
    how: str
    comparison: Comparison | None
    notes: tuple[str, ...]

    @property
    def proven(self) -> bool | None:
        """Whether both compute the same; None where the model cannot be run."""
        return None if self.comparison is None else self.comparison.equal

    def __str__(self) -> str:
        proof = "not proven: nothing was run" if self.comparison is None else str(self.comparison)
        return f"{counted(len(self.rows), 'parameter')} of {self.network.network.source}, found by {self.how}; {proof}"

    def as_json(self) -> dict[str, Any]:
        """What `layoutbridge weights --json` tells."""
        return {
            "network": self.network.network.source, "how": self.how, "proven": self.proven,
            "parameters": [
                {"layer": row.layer, "parameter": row.parameter, "source": row.source, "shape": list(row.shape),
                 "how": row.how}
                for row in self.rows
            ],
            "comparison": None if self.comparison is None else self.comparison.as_json(),
            "notes": list(self.notes),
        }  # fmt: skip


def back_to_darknet(
    net: DarknetNetwork,
    model: object,
    *,
    epsilon: float | None = None,
    tolerance: float | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> BroughtBack:
    """`net` with the weights of `model`, and whether the two then compute the same for one random input.

    `model` is a Keras, PyTorch or ONNX model in memory, a state dict, or a path of a file: .keras, .h5, .safetensors,
    .pth, .pt, .onnx. Where layers were taken by order, and something differs, layers of one shape change places until
    nothing does, 24 times at most. Where the model's reorg is another permutation than Darknet's, the weights behind it
    are carried over, if an order of channels is all that the two differ by. `epsilon` is as for `net.from_torch`,
    `tolerance` and `seed` as for `compare`.

    Raises as `net.from_torch`, `net.from_keras` and `net.from_onnx` do.

    >>> import layoutbridge as lb
    >>> net = lb.darknet.load("fixtures/nets/alexey/residual/net.cfg", "fixtures/nets/alexey/residual/net.weights")
    >>> state = {f"{net.layers[i].name}.{name}": values for (i, name), values in net.parameters.items()}
    >>> back = back_to_darknet(net, state)
    >>> back.how, back.proven, back.rows[0].source
    ('names', None, '0_convolutional.biases')
    """
    told = progress or (lambda _: None)
    told("reading")
    brought = net.with_weights_of(source_of(net.network, model, epsilon))
    found = brought.returned
    assert found is not None
    reason = _why_unproven(model)
    if reason is not None:
        return BroughtBack(brought, found.rows, found.how, None, (*found.notes, reason))

    def tried(network: DarknetNetwork, with_causes: bool = False) -> Comparison:
        return compared(network, model, tolerance=tolerance, seed=seed, progress=told, with_causes=with_causes)

    try:
        comparison = tried(brought)
    except LayoutBridgeError as error:
        reason = f"{_by(found)}, not proven: the model cannot be run ({error})"
        return BroughtBack(brought, found.rows, found.how, None, (*found.notes, reason))
    notes: tuple[str, ...] = ()
    if not comparison.equal and found.how == "order":
        brought, comparison, notes = _repaired(net, brought, comparison, tried, told)
        found = brought.returned or found
    if not comparison.equal:
        brought, comparison, more = _carried(brought, tried(brought, True), tried)
        notes += more
    return BroughtBack(brought, found.rows, found.how, comparison, (*found.notes, *notes))


def _by(found: Returned) -> str:
    return "by order" if found.how == "order" else f"by {found.how}"


def _why_unproven(model: object) -> str | None:
    """Why a model cannot be run; None where it can."""
    if isinstance(model, Mapping):
        return "not proven: a state dict alone cannot be run"
    if is_one(model, "torch.nn", "Module") or is_one(model, "keras", "Layer") or is_one(model, "onnx", "ModelProto"):
        return None
    if can_be_scanned(model):
        return None
    return f"not proven: '{model}' holds weights alone, which cannot be run"


# ---------------------------------------------------------------------- layers of one shape


def _repaired(
    net: DarknetNetwork,
    brought: DarknetNetwork,
    comparison: Comparison,
    tried: Callable[[DarknetNetwork], Comparison],
    told: Progress,
) -> tuple[DarknetNetwork, Comparison, tuple[str, ...]]:
    """The network after layers of one shape changed places, as long as that brings the first difference further on."""
    left, swapped = _MOST_TRIES, 0
    while not comparison.equal:
        found = brought.returned
        assert found is not None
        reached = _layer_of(comparison, brought)
        better: tuple[DarknetNetwork, Comparison] | None = None
        for one, other in _pairs(found, reached):
            if left == 0:
                break
            left -= 1
            told(f"trying {found.slots[one].name} and {found.slots[other].name} the other way round")
            choice = list(found.choice)
            choice[one], choice[other] = choice[other], choice[one]
            changed = net.with_returned(chosen(net.network, found, choice, net.weights))
            again = tried(changed)
            if again.equal or _layer_of(again, changed) > reached:
                better = changed, again
                break
        if better is None:
            break
        brought, comparison = better
        swapped += 1
    if not comparison.equal:
        count = _MOST_TRIES - left
        return brought, comparison, (f"{count} other choices among layers of one shape were tried",) if count else ()
    return brought, comparison, (f"layers of one shape changed places ({swapped} times) until nothing differed",)


def _pairs(found: Returned, reached: int) -> Iterator[tuple[int, int]]:
    """Pairs of slots whose parts may change places, those nearest before the layer `reached` first."""
    others = alike(found.slots, found.source.parts, found.choice)
    pairs = [(one, other) for one, held in others.items() for other in held if one < other]

    def far(pair: tuple[int, int]) -> tuple[bool, int]:
        first, second = (found.slots[k].layer.index for k in pair)
        return first > reached, abs(reached - first) + abs(reached - second)

    yield from sorted(pairs, key=far)


def _layer_of(comparison: Comparison, network: DarknetNetwork) -> int:
    """The layer from which the two part."""
    if comparison.first is None:
        return len(network.layers)
    word = comparison.first.reference.partition("_")[0]
    return int(word) if word.isdigit() else len(network.layers) - 1


# ---------------------------------------------------------------------- another reorg


def _carried(
    brought: DarknetNetwork, comparison: Comparison, tried: Callable[[DarknetNetwork, bool], Comparison]
) -> tuple[DarknetNetwork, Comparison, tuple[str, ...]]:
    """The network with the weights behind a reorg that the model has another of, where that can be."""
    notes: list[str] = []
    arrays = dict(brought.parameters)
    moved = [cause for cause in comparison.causes if cause.cause == _MOVED]
    for cause in moved:
        for name in (cause.at, *cause.everywhere):
            layer = next((layer for layer in brought.layers if layer.name == name), None)
            if layer is None or not isinstance(layer.settings, Moving) or layer.settings.operation is None:
                continue
            try:
                changed = _behind(brought.layers, layer, cause, arrays)
            except LayoutBridgeError as error:
                notes.append(
                    f"{name} is {cause.found} in the model, and no weights make up for that: {error}; train the model "
                    f"with {cause.expected}, or keep the network out of Darknet"
                )
                return brought, comparison, tuple(notes)
            arrays |= changed
            behind = ", ".join(brought.layers[index].name for index, _ in changed)
            notes.append(f"{name} is {cause.found} in the model: the weights of {behind} were carried to Darknet's")
    if not notes:
        return brought, comparison, ()
    assert brought.weights is not None
    layers = [(layer.name, layer.parameters) for layer in brought.layers]
    weights = made_weights(layers, lambda *key: arrays[key], brought.weights.header, brought.weights.trailing)
    network = DarknetNetwork(brought.network, weights, brought.sources, brought.blueprint, brought.returned)
    return network, tried(network, True), tuple(notes)


def _behind(layers: Sequence[Layer], moving: Layer, cause: Cause, arrays: Layers) -> dict[tuple[int, str], Any]:
    """The weights of the convolutions that read what `moving` gives, through routes, for Darknet's own operation.

    Raises `UnsupportedError` where more than an order of channels differs, or something else reads it.
    """
    assert isinstance(moving.settings, Moving) and moving.settings.operation is not None
    there, here = (op(name, stride=moving.settings.stride) for name in (cause.found, moving.settings.operation))
    channels = moving.out_shape[0]
    changed: dict[tuple[int, str], Any] = {}
    left = [(moving.index, 0)]
    while left:
        index, offset = left.pop()
        for layer in layers:
            if index not in layer.inputs:
                continue
            if isinstance(layer.settings, Route) and layer.settings.groups == 1:
                for place, source in enumerate(layer.inputs):
                    if source == index:
                        before = sum(shape[0] for shape in layer.in_shapes[:place])
                        left.append((layer.index, before + offset))
            elif isinstance(layer.settings, Convolutional) and layer.settings.groups == 1:
                key = (layer.index, "weights")
                held = np.array(changed.get(key, arrays[key]))
                part = held[:, offset : offset + channels]
                held[:, offset : offset + channels] = carry(there, part, instead=here)
                changed[key] = held
            else:
                raise LayoutBridgeError(f"{layer.name} reads it, too, and has no weights that could change")
    return changed
