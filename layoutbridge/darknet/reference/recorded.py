"""Recorded outputs of a real Darknet: an .npz with `input` and `layer00`, `layer01`, ..., as Darknet holds them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from layoutbridge.archives import checked_zip
from layoutbridge.darknet.structure.model import Network
from layoutbridge.errors import UnusableInputError, counted, first_line
from layoutbridge.inputs import file_size, opened, refuse_costly

_ARRAY = ".npy"  # what arrays are called in the archive
_FLOAT64 = 8


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
    values as the network's. Raises `UnusableInputError` for a file that cannot be read, is no .npz, lacks an array,
    is another network's, or would take more memory than a file of its size may (`inputs.memory_allowed`).
    """
    name = Path(path).name
    wanted = ["input", *map(_key, range(len(network.layers)))]
    with opened(path, "file of recorded outputs") as file:
        if file.read(2) != b"PK":
            raise UnusableInputError(f"'{name}' is no .npz of recorded outputs: it is no zip archive")
    members = checked_zip(path, "npz of recorded outputs")
    _check_keys(name, [member.filename.removesuffix(_ARRAY) for member in members], wanted, network)
    try:
        with ZipFile(path) as archive:
            shapes = {key: _declared_shape(archive, key, name) for key in wanted}
            size = file_size(path)
            refuse_costly(sum(_FLOAT64 * prod(shape) for shape in shapes.values()), size, f"'{name}'")
            x = _read(archive, "input")
            leading = 2 if network.states else 1
            if x.shape[-len(network.in_shape) :] == network.in_shape and x.ndim == len(network.in_shape) + leading - 1:
                x = np.expand_dims(x, leading - 1)
            if x.ndim != len(network.in_shape) + leading or x.shape[leading:] != network.in_shape or not x.size:
                raise UnusableInputError(
                    f"'{name}' has an input {list(shapes['input'])[:8]}, and {network.source} takes "
                    f"{list(network.in_shape)}"
                )
            layers: list[NDArray[np.float64]] = []
            for layer in network.layers:
                key, wanted_shape = _key(layer.index), (*x.shape[:leading], *layer.out_shape)
                if prod(shapes[key]) != prod(wanted_shape):
                    raise UnusableInputError(
                        f"'{name}' has {key} {list(shapes[key])[:8]}, and layer {layer.name} of {network.source} "
                        f"gives {list(wanted_shape)}"
                    )
                layers.append(_read(archive, key).reshape(wanted_shape).astype(np.float64))
    except UnusableInputError:
        raise
    except Exception as error:  # a broken zip or header raises whatever its parser raises
        raise UnusableInputError(f"'{name}' is no .npz of recorded outputs: {first_line(error)}") from None
    return Recorded(name, x.astype(np.float32), tuple(layers))


def _declared_shape(archive: ZipFile, key: str, name: str) -> tuple[int, ...]:
    """The shape in an array's header, after it was compared with what its member holds."""
    size = archive.getinfo(key + _ARRAY).file_size
    with archive.open(key + _ARRAY) as stream:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(stream)
        start = stream.tell()
    if dtype.kind not in "fiu":
        raise UnusableInputError(f"'{name}' holds {dtype} as {key}, not numbers")
    if min(shape, default=1) < 0 or start + prod(shape) * dtype.itemsize != size:
        raise UnusableInputError(f"'{name}' is no .npz of recorded outputs: {key} is not of the size it declares")
    return tuple(shape)


def _read(archive: ZipFile, key: str) -> NDArray[Any]:
    with archive.open(key + _ARRAY) as stream:
        return np.asarray(np.lib.format.read_array(stream, allow_pickle=False))


def _key(index: int) -> str:
    return f"layer{index:02d}"


def _check_keys(name: str, held: list[str], wanted: list[str], network: Network) -> None:
    missing = next((key for key in wanted if key not in held), None)
    if missing is not None:
        raise UnusableInputError(f"'{name}' has no array {missing!r}: it is not of {network.source}, or not whole")
    if network.upto is None and _key(len(network.layers)) in held:
        count = sum(key.startswith("layer") for key in held)
        raise UnusableInputError(
            f"'{name}' records {counted(count, 'layer')}, and {network.source} has {len(network.layers)}"
        )
