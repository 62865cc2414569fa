"""Recorded outputs of a real Darknet: an .npz with `input` and `layer00`, `layer01`, ..., as Darknet holds them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.structure.model import Network
from layoutbridge.errors import UnusableInputError, first_line


@dataclass(frozen=True, slots=True, eq=False)
class Recorded:
    """The outputs recorded in the file `source`: `input` [N, *in_shape], and `layers` in float64 [N, *out_shape].

    Of a recurrent network they are sequences: [T, N, ...].
    """

    source: str
    input: NDArray[np.float32]
    layers: tuple[NDArray[np.float64], ...]


def read_recorded(path: str | os.PathLike[str], network: Network) -> Recorded:
    """The recorded outputs of `network` in the .npz file at `path`, of one picture or a batch of them.

    Arrays are `input` [C, H, W] or [N, C, H, W] (flat ones [K], [N, K]; of a recurrent network the steps of one
    sequence, [T, ...], or of several, [T, N, ...]) and `layerNN`, each layer's output, of as many
    values as the network's. Raises `UnusableInputError` for a file that cannot be read, is no .npz, lacks an array or
    is another network's.
    """
    name = Path(path).name
    try:
        with Path(path).open("rb") as file:
            if file.read(2) != b"PK":
                raise UnusableInputError(f"'{name}' is no .npz of recorded outputs: it is no zip archive")
        with np.load(path, allow_pickle=False) as held:
            wanted = ["input", *map(_key, range(len(network.layers)))]
            _check_keys(name, held.files, wanted, network)
            arrays = {key: np.asarray(held[key]) for key in wanted}
    except UnusableInputError:
        raise
    except OSError as error:
        raise UnusableInputError(f"cannot read '{os.fspath(path)}': {error.strerror or error}") from None
    except Exception as error:  # a broken zip or header raises whatever its parser raises
        raise UnusableInputError(f"'{name}' is no .npz of recorded outputs: {first_line(error)}") from None
    for key, array in arrays.items():
        if array.dtype.kind not in "fiu":
            raise UnusableInputError(f"'{name}' holds {array.dtype} as {key}, not numbers")
    x = arrays["input"]
    leading = 2 if network.states else 1
    if x.shape[-len(network.in_shape) :] == network.in_shape and x.ndim == len(network.in_shape) + leading - 1:
        x = np.expand_dims(x, leading - 1)
    if x.ndim != len(network.in_shape) + leading or x.shape[leading:] != network.in_shape or not x.size:
        raise UnusableInputError(
            f"'{name}' has an input {list(arrays['input'].shape)}, and {network.source} takes {list(network.in_shape)}"
        )
    layers: list[NDArray[np.float64]] = []
    for layer in network.layers:
        array = arrays[_key(layer.index)]
        wanted_shape = (*x.shape[:leading], *layer.out_shape)
        if array.size != prod(wanted_shape):
            raise UnusableInputError(
                f"'{name}' has {_key(layer.index)} {list(array.shape)}, and layer {layer.name} of {network.source} "
                f"gives {list(wanted_shape)}"
            )
        layers.append(array.reshape(wanted_shape).astype(np.float64))
    return Recorded(name, x.astype(np.float32), tuple(layers))


def _key(index: int) -> str:
    return f"layer{index:02d}"


def _check_keys(name: str, held: list[str], wanted: list[str], network: Network) -> None:
    missing = next((key for key in wanted if key not in held), None)
    if missing is not None:
        raise UnusableInputError(f"'{name}' has no array {missing!r}: it is not of {network.source}, or not whole")
    if network.upto is None and _key(len(network.layers)) in held:
        count = sum(key.startswith("layer") for key in held)
        raise UnusableInputError(f"'{name}' records {count} layers, and {network.source} has {len(network.layers)}")
