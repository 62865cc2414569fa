"""Keras models: their layers with weights, in the order in which they were made.

`keras_files` reads the same of files. Layers under Keras' own names (`conv2d_12`) are numbered as they are made, and
`model.layers` may have them in another order: those of a class stand in the order of their numbers here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.meaning.normalization import kept_epsilon
from layoutbridge.darknet.returning.source import Kind, Normalization, Part, Source, Tensor, loose_tensors
from layoutbridge.darknet.structure.choices import Flavor
from layoutbridge.errors import UnusableInputError

EPSILON = 1e-3  # of Keras' BatchNormalization
_COUNTED = re.compile(r"^(?P<base>[A-Za-z][A-Za-z0-9_]*?)(?:_(?P<number>\d+))?$")
_OWN = re.compile(r"^\d+_")  # how layers of our exports begin
_STATISTICS = ("moving_mean", "moving_variance")
_BETWEEN = ("Cropping2D", "Dropout", "Identity", "Reshape")  # that may stand between a product and its batch norm
_RECURRENT = ("recurrent_kernel",)


@dataclass(frozen=True, slots=True, eq=False)
class KerasLayer:
    """A layer: its name, the class where it is known, what its config says, its arrays, and what stands before it."""

    name: str
    kind: str
    arrays: Mapping[str, NDArray[Any]]
    config: Mapping[str, Any] = field(default_factory=dict)
    before: str | None = None


def source_of_layers(
    layers: Sequence[KerasLayer], flavor: Flavor, *, known_graph: bool, epsilon: float | None = None
) -> Source:
    """The source that `layers` are; with `known_graph` a batch norm's `before` is the layer that it follows.

    Without, the batch norms follow in turn the products that have no bias. `epsilon` None is what a layer's config
    says, of ours (by its name) what our exports have of networks of this `flavor`, or Keras' own.
    """
    ordered = _as_made([layer for layer in layers if layer.arrays])
    norms = {layer.name: _normalization(layer, epsilon, flavor) for layer in ordered if _is_norm(layer)}
    made: dict[str, list[Part]] = {layer.name: _parts(layer) for layer in ordered if layer.name not in norms}
    every = {layer.name: layer for layer in layers}
    pairs = _paired(ordered, made, norms, every if known_graph else None)
    parts: list[Part] = []
    for layer in ordered:
        if layer.name in made:
            norm = norms.get(pairs.get(layer.name, ""))
            parts += [*made[layer.name][:-1], *(replace(last, normalization=norm) for last in made[layer.name][-1:])]
        elif layer.name not in pairs.values():
            parts.append(Part(layer.name, "normalization", normalization=norms[layer.name]))
    loose = {
        _loose_name(layer, name): values
        for layer in ordered
        if ("array" in layer.arrays or not made.get(layer.name)) and layer.name not in norms
        for name, values in layer.arrays.items()
    }
    told = []
    assumed = [
        layer.name for layer in ordered if layer.name in norms and "epsilon" not in layer.config and not _is_own(layer)
    ]
    if assumed and epsilon is None:
        told.append(f"batch norm's epsilon is taken to be {EPSILON:g}: weights alone do not hold it (epsilon= says it)")
    return Source("Keras", tuple(parts), loose_tensors(loose), "the order in which its layers were made", tuple(told))


def live_layers(model: Any) -> tuple[list[KerasLayer], bool]:
    """The layers of a model in memory, of models within it too, and whether what stands before them is known."""
    found: list[KerasLayer] = []
    seen: set[int] = set()
    for layer in _flat(model):
        if id(layer) in seen:
            continue
        seen.add(id(layer))
        arrays = {_last(variable): np.asarray(variable) for variable in layer.weights}
        try:
            config = layer.get_config()
        except Exception:  # somebody else's class
            config = {name: value for name in ("epsilon",) if (value := getattr(layer, name, None)) is not None}
        name = layer.name
        if "array" in arrays:  # of ours, named after the parameter before it took its layer's name
            name = _path(layer.weights[0]).split("/")[-2]
        found.append(KerasLayer(name, type(layer).__name__, arrays, config, _before(layer)))
    if not found:
        raise UnusableInputError(f"{type(model).__name__} has no layers: build the model, or call it once, first")
    return found, any(layer.before is not None for layer in found)


def _flat(model: Any) -> Iterator[Any]:
    for layer in getattr(model, "layers", ()):
        if getattr(layer, "layers", None):
            yield from _flat(layer)
        else:
            yield layer


def _path(variable: Any) -> str:
    return str(getattr(variable, "path", variable.name))


def _last(variable: Any) -> str:
    """The last word of a variable's name, as `kernel`."""
    return _path(variable).split("/")[-1].split(":")[0]


def _before(layer: Any) -> str | None:
    """The layer whose output a live layer takes, None where that is not known."""
    try:
        taken = layer._inbound_nodes[0].input_tensors[0]
        made = taken._keras_history
        return str(getattr(made, "operation", made[0]).name)
    except Exception:  # called outside of a functional model, or another Keras
        return None


# ---------------------------------------------------------------------- layers


def _as_made(layers: Sequence[KerasLayer]) -> list[KerasLayer]:
    """The layers, those of a class that Keras numbered in the order of these numbers, at the places of that class."""
    bases: dict[str, list[tuple[int, int]]] = {}
    for place, layer in enumerate(layers):
        counted = None if _OWN.match(layer.name) else _COUNTED.match(layer.name)
        if counted is not None and _is_usual(counted["base"], layer):
            bases.setdefault(counted["base"], []).append((int(counted["number"] or 0), place))
    order = list(range(len(layers)))
    for numbered in bases.values():
        places = sorted(place for _, place in numbered)
        for place, (_, taken) in zip(places, sorted(numbered), strict=True):
            order[place] = taken
    return [layers[place] for place in order]


def _is_usual(base: str, layer: KerasLayer) -> bool:
    """Whether Keras itself gives layers of this class such names."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", layer.kind).lower()
    return base.replace("_", "") == words.replace("_", "") or layer.kind == ""


def _is_norm(layer: KerasLayer) -> bool:
    return all(name in layer.arrays for name in _STATISTICS)


def _normalization(layer: KerasLayer, epsilon: float | None, flavor: Flavor) -> Normalization:
    held = {name: Tensor(f"{layer.name}/{name}", values) for name, values in layer.arrays.items()}
    usual = kept_epsilon(flavor) if _is_own(layer) else EPSILON
    taken = epsilon if epsilon is not None else float(layer.config.get("epsilon", usual))
    return Normalization(held.get("gamma"), held.get("beta"), held["moving_mean"], held["moving_variance"], taken)


def _parts(layer: KerasLayer) -> list[Part]:
    """What a layer multiplies by, in Darknet's order; nothing where it is of another kind."""
    held = layer.arrays
    if any(name in held for name in _RECURRENT):
        return []
    bias = Tensor(f"{layer.name}/bias", held["bias"]) if "bias" in held else None
    depthwise = held.get("depthwise_kernel")
    kernel = held.get("kernel")
    word = f"{layer.kind} {layer.name}".lower()
    if depthwise is None and kernel is not None and kernel.ndim == 4 and "depthwise" in word and not _is_own(layer):
        depthwise, kernel = kernel, None
    if depthwise is None and layer.kind == "DepthwiseConv2D" and kernel is not None:
        depthwise, kernel = kernel, None
    made: list[Part] = []
    if depthwise is not None and depthwise.ndim == 4:
        rows, columns, channels, each = depthwise.shape
        lying = depthwise.transpose(2, 3, 0, 1).reshape(channels * each, 1, rows, columns)
        pointwise = held.get("pointwise_kernel")
        told = Tensor(f"{layer.name}/depthwise_kernel", lying)
        made.append(Part(layer.name, "convolution", told, None if pointwise is not None else bias))
        if pointwise is not None:
            told = Tensor(f"{layer.name}/pointwise_kernel", pointwise.transpose(3, 2, 0, 1))
            made.append(Part(f"{layer.name}/pointwise", "convolution", told, bias))
    elif kernel is not None and kernel.ndim == 4:
        kind: Kind = "transposed" if "transpose" in word else "convolution"
        # Keras has [H, W, filters, C] of a transposed one, [H, W, C, filters] of others: both become Darknet's so
        made.append(Part(layer.name, kind, Tensor(f"{layer.name}/kernel", kernel.transpose(3, 2, 0, 1)), bias))
    elif kernel is not None and kernel.ndim == 3 and bias is not None and bias.values.ndim == 3:
        made.append(Part(layer.name, "local", Tensor(f"{layer.name}/kernel", kernel), bias, channels_last=True))
    elif "array" in held and held["array"].ndim == 4 and _is_own(layer):  # Darknet's filters, of which we take signs
        name = layer.name.removesuffix("_weights")
        made.append(Part(name, "convolution", Tensor(layer.name, held["array"])))
    elif kernel is not None and kernel.ndim == 2:
        made.append(Part(layer.name, "dense", Tensor(f"{layer.name}/kernel", kernel.T), bias, channels_last=True))
    return made


def _is_own(layer: KerasLayer) -> bool:
    return _OWN.match(layer.name) is not None


def _loose_name(layer: KerasLayer, array: str) -> str:
    """What a lone array is called: of ours its layer has the whole name."""
    return layer.name if array == "array" else f"{layer.name}/{array}"


def _paired(
    layers: Sequence[KerasLayer],
    made: Mapping[str, Sequence[Part]],
    norms: Mapping[str, Normalization],
    every: Mapping[str, KerasLayer] | None,
) -> dict[str, str]:
    """For each product the batch norm behind it; `every` layer is given where what stands before them is known."""

    def fit(product: str, norm: str) -> bool:
        held = made.get(product)
        return bool(held) and held[-1].channels == norms[norm].channels  # type: ignore[index]

    called = {name: f"{parts[-1].name}_batch_norm" for name, parts in made.items() if parts}
    own = {name: norm for name, norm in called.items() if norm in norms}  # as our exports call them
    if every is not None:
        behind = ((_product(layer, every), layer.name) for layer in layers if layer.name in norms)
        return own | {product: norm for product, norm in behind if product is not None and fit(product, norm)}
    bare = [name for name, parts in made.items() if parts and parts[-1].bias is None and name not in own]
    rest = [name for name in norms if name not in own.values()]
    if len(bare) == len(rest) and all(fit(product, norm) for product, norm in zip(bare, rest, strict=True)):
        return own | dict(zip(bare, rest, strict=True))
    found: dict[str, str] = {}
    latest: list[str] = []
    for layer in layers:
        if layer.name in made:
            latest.append(layer.name)
        elif layer.name in rest:
            product = next((name for name in reversed(latest) if fit(name, layer.name) and name not in found), None)
            if product is not None:
                found[product] = layer.name
    return own | found


def _product(norm: KerasLayer, every: Mapping[str, KerasLayer]) -> str | None:
    """The layer whose output a batch norm takes, through layers that compute nothing."""
    name, left = norm.before, len(every)
    while name is not None and name in every and every[name].kind in _BETWEEN and left:
        name, left = every[name].before, left - 1
    return name
