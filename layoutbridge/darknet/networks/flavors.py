"""Where the two forks' rules make something else of the same cfg and weights: which layers, and by how much.

Each layer is compared by itself: the same input in both flavours. What both compute alike is not told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.detection.boxes import head_rules
from layoutbridge.darknet.networks.summary import count_flops
from layoutbridge.darknet.reading.fitting import Blueprint, floats_of
from layoutbridge.darknet.reading.weights import Arrays, Weights, read_header
from layoutbridge.darknet.structure.choices import FLAVORS, Flavor
from layoutbridge.darknet.structure.kinds import Convolutional, ScaledSum, Shortcut, Sum
from layoutbridge.darknet.structure.model import Layer, Network, Shape
from layoutbridge.errors import LayoutBridgeError

_LEAST = 1e-6  # of a layer's largest value: what rounding alone may make
# Of layers that are computed to see by how much they differ: a cfg of some lines may ask for far more.
_MOST_VALUES = 1 << 22  # that one takes, gives or has as parameters
_MOST_WINDOWS = 1 << 24  # values of all its windows, which a convolution gathers
_MOST_WORK = 1 << 32  # operations of all of them together
_A_LAYER = 1 << 21  # operations that take as long as all else about a small one
_BATCH_NORM = "batch norm"


@dataclass(frozen=True, slots=True)
class FlavorDifference:
    """What the two flavours do differently, and where: of a network as the other flavour would have it.

    `what` is a kind of layers, "batch norm", or a clause of its own; `layers` are their names. `share` is the largest
    difference as a share of the layer's largest value (of batch norm, of a channel's factor) and `worst` where that is;
    both are None where nothing is measured.
    """

    what: str
    layers: tuple[str, ...] = ()
    share: float | None = None
    worst: str | None = None

    @property
    def told(self) -> str:
        """The same in words.

        >>> FlavorDifference("batch norm", ("0_convolutional", "2_convolutional"), 0.0031, "2_convolutional").told
        'batch norm in 2 layers by up to 0.31 % (2_convolutional)'
        """
        if not self.layers:
            return self.what
        amount = "" if self.share is None else f" by up to {_percent(self.share)}"
        if len(self.layers) == 1:
            name = f"{self.what} of {self.layers[0]}" if self.what == _BATCH_NORM else self.layers[0]
            return f"{name}{amount}"
        return f"{self.what} in {len(self.layers)} layers{amount}{f' ({self.worst})' if self.worst else ''}"


def other_flavor(flavor: Flavor) -> Flavor:
    """The one that `flavor` is not."""
    return FLAVORS[1 - FLAVORS.index(flavor)]


def flavor_differences(
    blueprint: Blueprint, network: Network, weights: Weights | None = None
) -> tuple[FlavorDifference, ...]:
    """Where the flavour that `network` was not read in makes something else of it; none where it cannot read the cfg.

    `blueprint` is what `network` was made of. Without `weights` nothing is told of batch norm's amount.
    """
    flavor = other_flavor(network.flavor)
    in_other = blueprint.in_flavor(flavor)
    try:
        other = None if in_other is None else in_other.build()
    except LayoutBridgeError:
        other = None
    if other is None:
        return ()
    found = [*_of_files(network, other, weights), *_of_layers(network, other, weights), *_of_pictures(network, other)]
    return tuple(found)


def told_differences(network: Network, differences: tuple[FlavorDifference, ...]) -> str:
    """All of them in a line, empty where there are none."""
    if not differences:
        return ""
    told = "; ".join(difference.told for difference in differences)
    return f"flavor {network.flavor}; {other_flavor(network.flavor)} would differ, each layer taken by itself: {told}"


def _of_files(network: Network, other: Network, weights: Weights | None) -> Iterator[FlavorDifference]:
    here, there = floats_of(network), floats_of(other)
    if here != there:
        yield FlavorDifference(f"it takes {there:,} floats of the weights file, not {here:,}")
    if weights is not None:
        raw = weights.header.raw
        length = len(read_header((raw + bytes(20))[:20], other.flavor, network.source).raw)
        if length != len(raw):
            yield FlavorDifference(f"it reads {length} bytes as the weights' header, not {len(raw)}")


def _of_layers(network: Network, other: Network, weights: Weights | None) -> Iterator[FlavorDifference]:
    """By kind of layer; up to the first layer whose output has another shape."""
    arrays: Arrays = {} if weights is None else weights.arrays
    normalized: dict[str, float | None] = {}
    found: dict[str, dict[str, float | None]] = {}
    shapes = None
    left: float = _MOST_WORK
    for here, there in zip(network.layers, other.layers, strict=True):
        if _plain(here.out_shape) != _plain(there.out_shape) or here.kind != there.kind:
            shapes = FlavorDifference(f"from {here.name} on shapes are others, {list(there.out_shape)} there")
            break
        differs, share = _is_told_apart(here, there), None
        if differs is None and (work := _work(here)) <= left:
            left -= work
            differs, share = _measured(here, there, arrays)
        if differs is not False:
            found.setdefault(here.kind, {})[here.name] = share
        variances = [p.name for p in here.parameters if p.name.endswith("variances")]
        if variances and not (differs and here.parts):
            normalized[here.name] = None if weights is None else max(_factor(arrays[here.index, v]) for v in variances)
    if shapes is not None:
        yield shapes
    yield from (_joined(kind, layers) for kind, layers in found.items())
    if normalized:
        yield _joined(_BATCH_NORM, normalized)


def _joined(what: str, layers: Mapping[str, float | None]) -> FlavorDifference:
    measured = {name: share for name, share in layers.items() if share is not None}
    worst = max(measured, key=lambda name: measured[name], default=None)
    return FlavorDifference(what, tuple(layers), None if worst is None else measured[worst], worst)


def _is_told_apart(here: Layer, there: Layer) -> bool | None:
    """Whether two flavours' layer computes something else of the same input, batch norm aside; None: compute it."""
    names = _names(here)
    if sorted(names) != sorted(_names(there)):
        return True
    alike = here.settings == there.settings or (_adds_plainly(here) and _adds_plainly(there))
    return False if alike and names == _names(there) and not _is_by_flavor(here) else None


def _work(layer: Layer) -> float:
    """About how many operations computing it takes; without end where it would take much memory."""
    flops, values = count_flops(layer), [*map(prod, (layer.out_shape, *layer.in_shapes))]
    windows = flops // (2 * layer.out_shape[0])
    if max(*values, layer.parameter_count) > _MOST_VALUES or windows > _MOST_WINDOWS:
        return float("inf")
    return flops + sum(values) + _A_LAYER


def _names(layer: Layer) -> list[tuple[str, Shape]]:
    return [(parameter.name, parameter.shape) for parameter in layer.parameters]


def _is_by_flavor(layer: Layer) -> bool:
    return isinstance(layer.settings, Convolutional) and layer.settings.xnor


def _measured(here: Layer, there: Layer, arrays: Arrays) -> tuple[bool, float | None]:
    """Whether the two compute something else of the same input, and the share."""
    names = _names(here)
    same_order = names == _names(there)
    rng = np.random.default_rng(0)
    inputs = [rng.normal(size=(1, *shape)) for shape in here.in_shapes]
    own = {name: arrays.get((here.index, name), _drawn(rng, name, shape)) for name, shape in names}
    moved = own if same_order else _reordered(here, there, own)
    if _is_by_flavor(here):  # each with its own batch norm, which is part of what signs are taken of
        pair = [(here, own, FLAVORS[0]), (there, moved, FLAVORS[1])]
    else:
        pair = [(here, own, FLAVORS[0]), (there, moved, FLAVORS[0])]
    from layoutbridge.darknet.reference import forward_layer

    with np.errstate(all="ignore"):  # of floats that stand in another order roots may be taken that there are not
        made = [
            forward_layer(layer, {(layer.index, k): v for k, v in held.items()}, inputs, flavor, 1).ravel()
            for layer, held, flavor in pair
        ]
        share = float(np.abs(made[0] - made[1]).max() / max(np.abs(made[0]).max(), 1e-30))
    return not share <= _LEAST, share if np.isfinite(share) else None


def _adds_plainly(layer: Layer) -> bool:
    """Whether a layer is the plain sum of two inputs of one shape, and then its activation (which is the cfg's)."""
    if not isinstance(layer.settings, Shortcut) or len(set(layer.in_shapes)) != 1 or len(layer.inputs) != 2:
        return False
    match layer.settings.way:
        case Sum(weights_type="none"):
            return True
        case ScaledSum(alpha=1.0, beta=1.0, step=1, sample=1, overlap=overlap):
            return overlap == layer.in_shape
    return False


def _reordered(here: Layer, there: Layer, own: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
    """The floats of a layer in the file's order, read in the other flavour's."""
    flat = np.concatenate([np.ravel(own[p.name]) for p in here.parameters])
    read, position = {}, 0
    for parameter in there.parameters:
        read[parameter.name] = flat[position : position + parameter.size].reshape(parameter.shape)
        position += parameter.size
    return read


def _drawn(rng: np.random.Generator, name: str, shape: Shape) -> NDArray[np.float32]:
    values = rng.normal(size=shape).astype(np.float32)
    return np.abs(values) + np.float32(0.5) if name.endswith("variances") else values


def _factor(variances: NDArray[np.float32]) -> float:
    """How far the factors of the two batch norms are apart, at most, as a share."""
    wide = variances.astype(np.float64)
    return float(np.abs((np.sqrt(wide) + 0.000001) / np.sqrt(wide + 0.00001) - 1).max())


def _plain(shape: Shape) -> Shape:
    """A shape without the fork's label of vectors as pictures of 1 × 1."""
    return shape[:1] if shape[1:] == (1, 1) else shape


def _of_pictures(network: Network, other: Network) -> Iterator[FlavorDifference]:
    try:
        here, there = head_rules(network), head_rules(other)
    except LayoutBridgeError:
        return
    if here.letterbox != there.letterbox:
        words = ("letterboxed", "stretched") if there.letterbox else ("stretched", "letterboxed")
        yield FlavorDifference(f"pictures are {words[0]} for detection, not {words[1]}")
    if (here.nms_kind, here.beta_nms) != (there.nms_kind, there.beta_nms):
        yield FlavorDifference(f"boxes are suppressed as {there.nms_kind}, not {here.nms_kind}")


def _percent(share: float) -> str:
    """A share in percent, with two digits or whole."""
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"
