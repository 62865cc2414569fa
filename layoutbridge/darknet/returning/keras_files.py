"""Files of Keras read as they lie, without TensorFlow: .keras, whole models and weights alone in .h5 of Keras 2 and 3.

No layer is made of them, so that Lambdas and classes of somebody else's do no harm and are no hindrance.
"""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.returning.keras_source import KerasLayer, source_of_layers
from layoutbridge.darknet.returning.source import Source
from layoutbridge.darknet.structure.choices import Flavor
from layoutbridge.errors import LayoutBridgeError, UnusableInputError, first_line
from layoutbridge.frameworks.apart import run_apart
from layoutbridge.frameworks.framework import TypedCallable
from layoutbridge.frameworks.tensorflow.archive import check_weights, read_unmade
from layoutbridge.frameworks.tensorflow.start_up import require_h5py
from layoutbridge.inputs import file_size, read_bytes

KERAS = ".keras"
ENDINGS = (KERAS, ".h5", ".hdf5")
_OPENER = "layoutbridge.darknet.returning.keras_files:open_layers"
_LARGEST = 1 << 34
_LONGEST_CONFIG = 1 << 26  # characters
_CLASSES = {  # by what groups of weights are called in files of Keras 3
    "conv2d": "Conv2D", "depthwise_conv2d": "DepthwiseConv2D", "conv2d_transpose": "Conv2DTranspose",
    "separable_conv2d": "SeparableConv2D", "dense": "Dense", "batch_normalization": "BatchNormalization",
    "parameter": "Parameter", "locally_connected2d": "LocallyConnected2D",
}  # fmt: skip
_VARIABLES = {  # of a class, in the order in which Keras 3 keeps them
    "DepthwiseConv2D": ("kernel", "bias"), "SeparableConv2D": ("depthwise_kernel", "pointwise_kernel", "bias"),
    "Parameter": ("array",),
}  # fmt: skip
_DIGITS = re.compile(r"(\d+)$")
Described = Mapping[str, tuple[str, Mapping[str, Any], str | None]]  # by name: class, config, what stands before


def source_of_file(path: str | os.PathLike[str], flavor: Flavor, epsilon: float | None = None) -> Source:
    """The layers of a .keras or .h5 file; `epsilon` is that of its batch norms where it does not tell.

    HDF5's library ends the process at some broken files, or never comes back: another process reads it. Raises
    `UnusableInputError` for a file that is not whole, no Keras model, or keeps its weights elsewhere, and
    `MissingFrameworkError` without h5py.
    """
    require_h5py()
    if Path(path).suffix.lower() not in ENDINGS:
        raise UnusableInputError(
            f"'{os.fspath(path)}' is no file of Keras by its ending: {', '.join(ENDINGS)} are read"
        )
    size = file_size(path, "file of Keras", most=_LARGEST)
    run = run_apart(_OPENER, path, size)
    layers, known_graph = unpacked(run(np.zeros(1, np.uint8)))
    return source_of_layers(layers, flavor, known_graph=known_graph, epsilon=epsilon)


def open_layers(path: str | os.PathLike[str]) -> TypedCallable:
    """What gives the layers of a file, `packed`; made in a process of its own. Raises as `source_of_file`."""
    told = f"'{os.fspath(path)}'"
    config: Any = None
    if Path(path).suffix.lower() == KERAS:
        config, content = read_unmade(path)
    else:
        content = read_bytes(path, "file of Keras", most=_LARGEST)
        if not content.startswith(b"\x89HDF"):
            raise UnusableInputError(f"{told} is no HDF5 file")
    try:
        layers, known_graph = _layers(content, config)
    except LayoutBridgeError as error:
        raise UnusableInputError(f"{told} is not read: {error}") from None
    except Exception as error:  # whatever reading bytes that are no such file runs into
        raise UnusableInputError(f"{told} is no whole file of Keras: {first_line(error)}") from None
    del content
    held = packed(layers, known_graph)
    return TypedCallable(lambda _: held, "uint8")


def packed(layers: Sequence[KerasLayer], known_graph: bool) -> NDArray[np.uint8]:
    """Layers as bytes: the length of a JSON text, the text, the arrays in turn."""
    told = {
        "known_graph": known_graph,
        "layers": [
            {
                "name": layer.name, "kind": layer.kind, "before": layer.before,
                "config": {"epsilon": layer.config["epsilon"]} if "epsilon" in layer.config else {},
                "arrays": [[name, str(values.dtype), list(values.shape)] for name, values in layer.arrays.items()],
            }
            for layer in layers
        ],
    }  # fmt: skip
    text = json.dumps(told).encode()
    arrays = [np.ascontiguousarray(values).reshape(-1) for layer in layers for values in layer.arrays.values()]
    whole = np.empty(8 + len(text) + sum(values.nbytes for values in arrays), np.uint8)
    whole[:8] = np.frombuffer(len(text).to_bytes(8, "little"), np.uint8)
    whole[8 : 8 + len(text)] = np.frombuffer(text, np.uint8)
    at = 8 + len(text)
    for values in arrays:
        whole[at : at + values.nbytes] = values.view(np.uint8)
        at += values.nbytes
    return whole


def unpacked(whole: NDArray[np.uint8]) -> tuple[list[KerasLayer], bool]:
    """What `packed` made bytes of."""
    at = 8 + int.from_bytes(whole[:8].tobytes(), "little")
    told = json.loads(whole[8:at].tobytes())
    layers = []
    for layer in told["layers"]:
        arrays: dict[str, NDArray[Any]] = {}
        for name, dtype, shape in layer["arrays"]:
            size = prod(shape) * np.dtype(dtype).itemsize
            arrays[name] = whole[at : at + size].copy().view(dtype).reshape(shape)
            at += size
        layers.append(KerasLayer(layer["name"], layer["kind"], arrays, layer["config"], layer["before"]))
    return layers, told["known_graph"]


def _layers(content: bytes, config: Any) -> tuple[list[KerasLayer], bool]:
    import h5py

    check_weights(io.BytesIO(content), len(content))
    with h5py.File(io.BytesIO(content), "r") as file:
        if "model_config" in file.attrs:
            text = _text(file.attrs["model_config"])
            if len(text) > _LONGEST_CONFIG:
                raise UnusableInputError(f"its config has {len(text):,} characters")
            config = json.loads(text)
        described = {} if config is None else _described(config)
        held = file.get("model_weights", file)
        layers = list(_by_names(held, described) if "layer_names" in held.attrs else _by_groups(held, "", described))
    if not any(layer.arrays for layer in layers):
        raise UnusableInputError("it holds no weights of layers")
    held_names = {layer.name for layer in layers}
    layers += [
        KerasLayer(name, kind, {}, inner, before)
        for name, (kind, inner, before) in described.items()
        if name not in held_names
    ]
    places = {name: place for place, name in enumerate(described)}
    layers.sort(key=lambda layer: places.get(layer.name, len(places)))
    return layers, bool(described)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


# ---------------------------------------------------------------------- what a config tells


def _described(config: Any) -> dict[str, tuple[str, Mapping[str, Any], str | None]]:
    """The layers of a model's config by name, those of models within it among them, in their order."""
    found: dict[str, tuple[str, Mapping[str, Any], str | None]] = {}
    held = config.get("config", config) if isinstance(config, Mapping) else config
    layers = held.get("layers", ()) if isinstance(held, Mapping) else held
    before: str | None = None
    sequential = isinstance(config, Mapping) and config.get("class_name") == "Sequential"
    for layer in layers if isinstance(layers, list) else ():
        inner = layer.get("config", {}) if isinstance(layer, Mapping) else None
        if not isinstance(inner, Mapping):
            continue
        name, kind = str(layer.get("name") or inner.get("name", "")), str(layer.get("class_name", ""))
        if isinstance(inner.get("layers"), list):
            found |= _described(layer)
        else:
            found[name] = (kind, inner, before if sequential else _first_name(layer.get("inbound_nodes")))
        before = name
    return found


def _first_name(nodes: Any) -> str | None:
    """The layer that stands first among a layer's inbound nodes, as Keras 3 or Keras 2 writes them."""
    left = [nodes]
    while left:
        held = left.pop(0)
        if isinstance(held, Mapping):
            history = held.get("keras_history")
            if isinstance(history, list) and history:
                return str(history[0])
            left = [*held.values(), *left]
        elif isinstance(held, list) and held:
            if isinstance(held[0], str) and len(held) >= 3:
                return held[0]
            left = [*held, *left]
    return None


# ---------------------------------------------------------------------- arrays


def _by_names(group: Any, described: Described) -> Iterator[KerasLayer]:
    """The layers of a file that lists names, of Keras 2 or of the form that it had."""
    for name in map(_text, group.attrs["layer_names"]):
        owned: dict[str, dict[str, NDArray[Any]]] = {}
        for path in map(_text, group[name].attrs["weight_names"]):
            owner, _, last = path.rpartition("/")
            held = np.asarray(group[name][path])
            owned.setdefault(owner.rpartition("/")[2], {})[last.partition(":")[0]] = held
        for owner, arrays in owned.items():
            told = name if len(owned) == 1 else owner
            kind, config, before = described.get(told, ("", {}, None))
            yield KerasLayer(told, kind, arrays, config, before)


def _by_groups(group: Any, word: str, described: Described) -> Iterator[KerasLayer]:
    """The layers of a file that has a group of numbered variables for each, as Keras 3 writes it."""
    held = group.get("vars")
    if held is not None and len(held):
        name = _text(held.attrs.get("name", word))
        counted = _CLASSES.get(re.sub(r"_\d+$", "", word), "")
        kind, config, before = described.get(name, (counted, {}, None))
        values = [np.asarray(held[number]) for number in sorted(held, key=int)]
        yield KerasLayer(name, kind, dict(_called(kind, config, values)), config, before)
    for word_within in sorted(group, key=_counted):
        if word_within != "vars" and hasattr(group[word_within], "keys"):
            yield from _by_groups(group[word_within], word_within, described)


def _counted(word: str) -> tuple[str, int]:
    found = _DIGITS.search(word)
    return (word, 0) if found is None else (word[: found.start()].rstrip("_"), int(found.group(1)))


def _called(kind: str, config: Mapping[str, Any], values: list[NDArray[Any]]) -> Iterator[tuple[str, NDArray[Any]]]:
    """The variables of a layer under Keras' names."""
    vectors = len({value.shape for value in values}) == 1 and values[0].ndim == 1
    if kind == "BatchNormalization" or (vectors and 2 <= len(values) <= 4 and kind not in _VARIABLES):
        names = [
            *(["gamma"] if config.get("scale", len(values) > 3) else []),
            *(["beta"] if config.get("center", len(values) > 2) else []),
            "moving_mean",
            "moving_variance",
        ]
    else:
        names = [*_VARIABLES.get(kind, ("kernel", "bias"))]
    yield from zip(names, values, strict=False)
