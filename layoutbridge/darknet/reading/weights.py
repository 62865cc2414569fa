"""Weights files: read once into memory, checked, and written back byte for byte.

The header is three int32 (major, minor, revision), then the number of pictures seen in training: 8 bytes from version
0.2 on, else 4; a major or minor over 1000 says that connected weights are stored transposed, and there the original
reads 4 bytes and the fork 8. Then every layer's arrays of float32 in their order, with nothing between them.

Definition: parser.c (load_weights_upto, save_weights_upto) of both forks.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BufferedReader
from math import prod
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.reading.fitting import Blueprint, Fits, fits, floats_of
from layoutbridge.darknet.structure.choices import Flavor
from layoutbridge.darknet.structure.kinds import Deconvolutional, Local
from layoutbridge.darknet.structure.model import Layer, Network, Parameter
from layoutbridge.errors import WeightsError, counted
from layoutbridge.files import Progress, whole_file
from layoutbridge.inputs import opened, refuse_costly, stamp_of

Arrays = Mapping[tuple[int, str], NDArray[np.float32]]
_CHUNK = 1 << 20  # floats that are checked, or bytes that are written, at a time
_LARGEST_VERSION = 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Header:
    """The beginning of a weights file: its version, pictures seen, and the bytes themselves."""

    major: int
    minor: int
    revision: int
    seen: int
    transposed: bool
    raw: bytes

    def flips(self, parameter: Parameter) -> bool:
        """Whether the file holds a parameter with its first axis last."""
        return parameter.flipped or (parameter.may_be_flipped and self.transposed)


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """A weights file read for one network.

    `arrays` maps (layer index, parameter name) to a read-only float32 array in the parameter's shape, mostly a view of
    the bytes that were read; a layer that shares another's has its own entries. `trailing` are the bytes behind the
    last parameter.
    """

    header: Header
    arrays: Arrays
    stored: tuple[NDArray[np.uint8], ...]
    trailing: NDArray[np.uint8]
    warnings: tuple[str, ...] = ()


def read_weights(
    network: Network,
    path: str | os.PathLike[str],
    *,
    strict: bool = False,
    blueprint: Blueprint | None = None,
    progress: Progress | None = None,
) -> Weights:
    """The weights of `network` in the file at `path`: read once, and nothing is copied then but a part-loaded layer.

    With `upto` no more is read than the layers kept. The bytes are in memory, not mapped: whatever becomes of the file
    later, they stay, and a map of a file that another cuts short would end the process. Raises `WeightsError` for a
    file that changes while it is read, is missing, empty, no weights file (a Git LFS pointer, an HTML page), too short
    (how many floats, at which layer), so small a part of its network that filling it up would take more memory than
    such a file may (`inputs.memory_allowed`), holds NaN, infinity or a negative variance (which layer and channel), and
    is too long: with `strict`, or where another class count or flavour takes all of it. What would fit is looked for
    with the `blueprint` of the network.
    """
    file = Path(path)
    with opened(file, "weights file", error=WeightsError) as stream:
        status = os.fstat(stream.fileno())
        if status.st_size == 0:
            raise WeightsError(f"{file.name} is empty")
        start = stream.read(20)
        header = read_header(start, network.flavor, file.name)
        behind = status.st_size - len(header.raw)
        available, needed = behind // 4, floats_of(network)
        extra = behind - 4 * needed
        misfit = extra < 0 or (extra > 0 and network.upto is None)
        held = _held(start, status.st_size, file.name)
        would = Fits() if blueprint is None or not misfit else fits(blueprint, network, held)
        if available < needed:
            raise _too_short(network, file.name, available, needed, would)
        warnings: list[str] = []
        if misfit:
            text = (
                f"{file.name} holds {available:,} floats and the network takes {needed:,}: {available - needed:,} "
                f"floats{f' and {extra % 4} bytes' if extra % 4 else ''} are left over"
                f"{would.clauses or '; is it the weights file of this cfg?'}"
            )
            if strict or would.certain:
                raise WeightsError(text)
            warnings.append(text)
        stream.seek(len(header.raw))
        body = _Body(stream, status, 4 * needed if network.upto is not None else behind)
        try:
            arrays, stored = _arrays(network, body, header, file.name, progress)
        except _ImpossibleValue as error:
            left = f"; {available - needed:,} floats are left over{would.clauses}" if misfit else ""
            raise WeightsError(f"{error}{left}") from None
        body.finish()
    return Weights(header, MappingProxyType(arrays), stored, body.data[4 * needed :], tuple(warnings))


def read_header(start: bytes, flavor: Flavor, source: str) -> Header:
    """The header in the first bytes of a weights file; `WeightsError` where they are none."""
    lowered = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if lowered.startswith(b"version https://"):
        raise WeightsError(f"{source} is a Git LFS pointer, not the weights: fetch the file itself (git lfs pull)")
    if lowered.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        raise WeightsError(f"{source} is an HTML page, not the weights: the download went wrong")
    if len(start) < 16:
        raise WeightsError(f"{source} has {counted(len(start), 'byte')}, less than the header of a weights file")
    major, minor, revision = struct.unpack_from("<3i", start)
    if not all(0 <= number <= _LARGEST_VERSION for number in (major, minor, revision)):
        raise WeightsError(f"{source} is no Darknet weights file: its version would be {major}.{minor}.{revision}")
    transposed = major > 1000 or minor > 1000
    long = major * 10 + minor >= 2 and not (flavor == "pjreddie" and (major >= 1000 or minor >= 1000))
    if long and len(start) < 20:
        raise WeightsError(
            f"{source} has {counted(len(start), 'byte')}, less than the header of version {major}.{minor}"
        )
    (seen,) = struct.unpack_from("<Q" if long else "<I", start, 12)
    return Header(major, minor, revision, seen, transposed, start[: 20 if long else 16])


def write_weights(weights: Weights, path: str | os.PathLike[str]) -> None:
    """Write `weights` to `path` as they were read, byte for byte; whole or not at all.

    After `upto` only the layers kept are written, as by Darknet's `partial`. Raises `UnusableInputError` where the
    folder cannot be written.
    """
    with whole_file(path) as temporary, temporary.open("wb") as file:
        file.write(weights.header.raw)
        for part in (*weights.stored, weights.trailing):
            for start in range(0, part.size, _CHUNK):
                file.write(part[start : start + _CHUNK].data)


def new_header(flavor: Flavor, seen: int = 0) -> Header:
    """The header that a fork of today writes: version 0.2.0 of the original, 0.2.5 of its main fork, 8 bytes of `seen`.

    >>> new_header("pjreddie").raw.hex(), new_header("alexey", 64).seen
    ('0000000002000000000000000000000000000000', 64)
    """
    revision = 0 if flavor == "pjreddie" else 5
    return Header(0, 2, revision, seen, False, struct.pack("<3iQ", 0, 2, revision, seen))


def made_weights(
    layers: Sequence[tuple[str, Sequence[Parameter]]],
    values: Callable[[int, str], NDArray[np.float32]],
    header: Header,
    trailing: NDArray[np.uint8],
) -> Weights:
    """The file that has these `values` of each layer's parameters, by its index and their names.

    `layers` are all of the network, each its name and its parameters. What lies in memory in the file's order is not
    copied. Raises `WeightsError` for NaN, infinity and negative variances, and for numbers that the file has no room
    for (`numload`, `dontload`, `dontloadscales`).
    """
    arrays: dict[tuple[int, str], NDArray[np.float32]] = {}
    stored: list[NDArray[np.uint8]] = []
    for index, (name, parameters) in enumerate(layers):
        for parameter in parameters:
            key = (index, parameter.name)
            if parameter.shared_with is not None:
                arrays[key] = arrays[parameter.shared_with, parameter.name]
                continue
            held = np.ascontiguousarray(values(*key), np.float32)
            _check_made(held, parameter, name)
            stored.append(_as_stored(held, parameter, header.flips(parameter)))
            arrays[key] = held.view()
            arrays[key].flags.writeable = False
    return Weights(header, MappingProxyType(arrays), tuple(stored), trailing)


def _check_made(values: NDArray[np.float32], parameter: Parameter, layer: str) -> None:
    if not np.isfinite(values).all():
        raise WeightsError(f"the {parameter.name} of layer {layer} hold NaN or infinity: the training diverged")
    if parameter.name.endswith("variances") and (values < 0).any():
        raise WeightsError(f"the {parameter.name} of layer {layer} hold {values.min():g}, and no variance is negative")
    if (values[parameter.leading :] != parameter.fill).any():
        raise WeightsError(
            f"the {parameter.name} of layer {layer} were trained, and the cfg's weights file holds {parameter.leading} "
            f"of {parameter.shape[0]} entries: take numload, dontload and dontloadscales out of the cfg"
        )


def _as_stored(values: NDArray[np.float32], parameter: Parameter, flipped: bool) -> NDArray[np.uint8]:
    """The bytes of `values` in the file's order."""
    part = values[: parameter.leading].reshape(parameter.leading, prod(parameter.shape[1:]))
    ordered = part.T if flipped else part
    return np.ascontiguousarray(ordered, "<f4").reshape(-1).view(np.uint8)


class _Body:
    """What stands behind the header: read piece by piece, as each is checked, so that what is refused costs little."""

    def __init__(self, stream: BufferedReader, status: os.stat_result, count: int) -> None:
        try:
            self._bytes = np.empty(count, np.uint8)
        except MemoryError:
            raise WeightsError(f"'{stream.name}' does not fit in memory: it has {status.st_size:,} bytes") from None
        self._stream, self._status, self._read = stream, status, 0
        self.data = self._bytes.view()
        self.data.flags.writeable = False

    def read_to(self, end: int) -> None:
        """Read up to this byte; raises `WeightsError` where the file has none there any more."""
        while self._read < end:
            count = self._stream.readinto(self._bytes[self._read : min(self._read + _CHUNK, end)].data)
            if not count:
                raise self._changed()
            self._read += count

    def finish(self) -> None:
        """Read the rest; raises `WeightsError` where the file is not the one any more that it was."""
        self.read_to(self._bytes.size)
        if stamp_of(os.fstat(self._stream.fileno())) != stamp_of(self._status):
            raise self._changed()

    def _changed(self) -> WeightsError:
        size = os.fstat(self._stream.fileno()).st_size
        return WeightsError(
            f"'{self._stream.name}' changed while it was read (it had {self._status.st_size:,} bytes, now {size:,}): "
            "wait until whoever writes it has ended"
        )


def _held(start: bytes, size: int, source: str) -> Callable[[Flavor], int | None]:
    """How many floats stand behind the header as a flavour reads it; None where that leaves bytes over."""

    def held(flavor: Flavor) -> int | None:
        try:
            behind = size - len(read_header(start, flavor, source).raw)
        except WeightsError:
            return None
        return None if behind % 4 else behind // 4

    return held


class _ImpossibleValue(WeightsError):
    """A value that no trained network has."""


def _too_short(network: Network, source: str, available: int, needed: int, would: Fits) -> WeightsError:
    position = 0
    for layer in network.layers:
        for parameter in layer.parameters:
            if position + parameter.stored > available:
                return WeightsError(
                    f"{source} is too short: {needed - available:,} of {needed:,} floats are missing, from the "
                    f"{parameter.name} of layer {layer.name} ({network.where(layer)}) on{would.clauses}"
                )
            position += parameter.stored
    raise AssertionError("asked only where a parameter is missing")


def _arrays(
    network: Network, body: _Body, header: Header, source: str, progress: Progress | None
) -> tuple[dict[tuple[int, str], NDArray[np.float32]], tuple[NDArray[np.uint8], ...]]:
    arrays: dict[tuple[int, str], NDArray[np.float32]] = {}
    needed = floats_of(network)
    floats = body.data[: 4 * needed].view("<f4")
    refuse_costly(_filled_bytes(network), body.data.size, source, error=WeightsError)
    position = 0
    for layer in network.layers:
        for parameter in layer.parameters:
            if parameter.shared_with is not None:
                arrays[layer.index, parameter.name] = arrays[parameter.shared_with, parameter.name]
                continue
            body.read_to(4 * (position + parameter.stored))
            values = floats[position : position + parameter.stored]
            _check_possible(values, layer, parameter, header, network, source)
            position += parameter.stored
            arrays[layer.index, parameter.name] = _shaped(values, layer, parameter, header)
            if progress is not None:
                progress(position, needed)
    return arrays, (body.data[: 4 * needed],)


def _filled_bytes(network: Network) -> int:
    """What the parameters take that the file holds in part alone: they are copied, and filled up."""
    parameters = [p for layer in network.layers for p in layer.parameters if p.shared_with is None]
    return sum(4 * prod(p.shape) for p in parameters if 0 < p.leading < p.shape[0])


def _check_possible(
    values: NDArray[np.float32], layer: Layer, parameter: Parameter, header: Header, network: Network, source: str
) -> None:
    """Raise `_ImpossibleValue` at the first value that is no finite number, or a variance below 0."""
    variances = parameter.name.endswith("variances")
    for start in range(0, values.size, _CHUNK):
        part = values[start : start + _CHUNK]
        possible = np.isfinite(part)
        if variances:
            possible &= ~(part < 0)
        if not possible.all():
            at = start + int(np.argmin(possible))
            negative = ", and no variance is negative" if np.isfinite(values[at]) else ""
            raise _ImpossibleValue(
                f"{source} holds {float(values[at]):g} among the {parameter.name} of layer {layer.name} "
                f"(value {at:,} of {values.size:,}, channel {_channel(at, layer, parameter, header)}; "
                f"{network.where(layer)}){negative}: the cfg has another class count or is another network's, the "
                f"header is of another version or the flavor is not {network.flavor}, the file is damaged, or its "
                "training diverged"
            )


def _channel(at: int, layer: Layer, parameter: Parameter, header: Header) -> int:
    """The output channel of the value that stands at `at` among the parameter's in the file."""
    if header.flips(parameter):
        return at % parameter.leading
    by_second = parameter.name == "weights" and isinstance(layer.settings, (Deconvolutional, Local))
    return int(np.unravel_index(at, (parameter.leading, *parameter.shape[1:]))[by_second])


def _shaped(values: NDArray[np.float32], layer: Layer, parameter: Parameter, header: Header) -> NDArray[np.float32]:
    """`values` in the parameter's shape: a view, but for a layer that is loaded in part."""
    shape, leading = parameter.shape, parameter.leading
    if leading == 0:
        return np.broadcast_to(np.float32(parameter.fill), shape)  # takes no memory
    inner = prod(shape[1:])
    if header.flips(parameter):
        part = values.reshape(inner, leading).T.reshape(leading, *shape[1:])
    else:
        part = values.reshape(leading, *shape[1:])
    if leading == shape[0]:
        return part
    try:
        whole = np.full(shape, parameter.fill, np.float32)
    except MemoryError:
        raise WeightsError(f"the {parameter.name} of layer {layer.name} do not fit in memory") from None
    whole[:leading] = part
    whole.flags.writeable = False
    return whole
