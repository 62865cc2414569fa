"""ONNX files written as a stream: the weights go from where they lie to the file, a few megabytes at a time.

Protobuf frames a message by its length, and every length is known before a number is read. So the graph without its
initializers is serialised by onnx, and each initializer's `raw_data` follows as a field of its own: fields of
a message may stand in any order, and repeated ones add up. A file of over 2 GB cannot be read by protobuf: its weights
go to a second file, `<name>.data`, which the model names. That name stays the same when the files are written again,
as programs and people know it; `exchange` says how the model there names data of its own at every moment all the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from onnx import GraphProto, ModelProto, TensorProto

from layoutbridge.errors import UnusableInputError
from layoutbridge.exchange import interim_beside
from layoutbridge.files import Progress, WayToDisk, whole_file, whole_files
from layoutbridge.frameworks.onnx.network.graph import Initializer
from layoutbridge.frameworks.onnx.protobuf.wire import field_head, number_of, varint

LARGEST_FILE = (1 << 31) - 1  # what protobuf parses
_LEAST_EXTERNAL = 1024  # bytes
_ALIGNED_FROM, _ALIGNMENT = 1 << 16, 4096  # large ones begin on a page, so that they can be mapped
_OURS = b"\x12\x0clayoutbridge"  # the field of the producer's name
_HEAD, _PIECE = 1 << 12, 1 << 20  # bytes in which that stands, and that are read or written at a time
_GRAPH = number_of(ModelProto, "graph")
_INITIALIZER = number_of(GraphProto, "initializer")
_RAW_DATA = number_of(TensorProto, "raw_data")
Metadata = Mapping[str, "str | Future[str]"]


def write_model(
    model: ModelProto,
    initializers: Sequence[Initializer],
    path: str | os.PathLike[str],
    *,
    external_data: bool = False,
    metadata: Metadata | None = None,
    progress: Progress | None = None,
) -> Path | None:
    """Write `model`, whose graph has no initializers yet, with `initializers` to `path`; whole or not at all.

    Returns the path of the data file, or None where all is in one file. A value of `metadata` may be a future: it is
    waited for after the weights are written. Raises `UnusableInputError` where the folder cannot be written, and
    what reading the weights raises; `path` is then as it was.
    """
    target = Path(path)
    total = sum(held.nbytes for held in initializers)
    slack = 1 << 20  # metadata and framing
    apart = external_data or total + model.ByteSize() + 64 * len(initializers) + slack > LARGEST_FILE
    report = _Counter(total, progress)
    try:
        if apart:
            return _write_two_files(target, model, initializers, metadata or {}, report)
        with whole_file(target, partial(data_of, target)) as temporary, temporary.open("wb") as file:
            _write(file, model, initializers, (), metadata or {}, report)
        return None
    except OSError as error:  # a full disk, most of all
        raise UnusableInputError(f"cannot write '{target}': {error.strerror or error}") from None


def data_of(path: str | os.PathLike[str]) -> tuple[Path, ...]:
    """The data file beside the model of ours at `path`, which that names; none where there is no such model or file.

    An empty one counts as named: small weights all lie in the model.
    """
    target, data = Path(path), _data_beside(Path(path))
    if target.is_symlink() or not (os.path.isfile(target) and os.path.isfile(data)):
        return ()
    name = os.fsencode(data.name)
    named = b"\n\x08location\x12" + varint(len(name)) + name  # an entry of external_data
    with target.open("rb") as file:
        before = file.read(_PIECE)
        if _OURS not in before[:_HEAD]:
            return ()
        if data.stat().st_size == 0:
            return (data,)
        while before:
            piece = file.read(_PIECE)
            if named in before + piece:
                return (data,)
            before = piece
    return ()


def _data_beside(target: Path) -> Path:
    return target.with_name(f"{target.name}.data")


def _write_two_files(
    target: Path, model: ModelProto, initializers: Sequence[Initializer], metadata: Metadata, report: _Counter
) -> Path:
    data = _data_beside(target)
    with whole_files((target, data)) as (temporary, temporary_data):
        outside = [held for held in initializers if _may_lie_outside(held)]
        inside = [held for held in initializers if not _may_lie_outside(held)]
        gaps, positions = _aligned(outside)
        with temporary_data.open("wb") as file:
            _write_data(file, zip(map(bytes, gaps), outside, strict=True), report)

        def write_to(path: Path, location: str, report: _Counter) -> None:
            references = [_reference(held, location, at) for held, at in zip(outside, positions, strict=True)]
            with path.open("wb") as file:
                _write(file, model, inside, references, metadata, report)

        write_to(temporary, data.name, report)
        if target.exists() and not (target.is_symlink() or data.is_symlink()):
            where = temporary_data.relative_to(temporary.parents[2]).as_posix()
            write_to(interim_beside(temporary), where, _Counter(0, None))
    return data


def _may_lie_outside(held: Initializer) -> bool:
    """Whether it is large, and none of the whole numbers that shape inference reads, as the lengths of a Split."""
    return held.nbytes >= _LEAST_EXTERNAL and held.elem_type != TensorProto.INT64


class _Counter:
    def __init__(self, total: int, progress: Progress | None) -> None:
        self.done, self.total, self.progress = 0, total, progress

    def add(self, count: int) -> None:
        self.done += count
        if self.progress is not None:
            self.progress(self.done, self.total)


def _write(
    file: BinaryIO,
    model: ModelProto,
    inside: Sequence[Initializer],
    references: Sequence[bytes],
    metadata: Metadata,
    report: _Counter,
) -> None:
    graph = model.graph.SerializeToString()
    shell = ModelProto()
    shell.CopyFrom(model)
    shell.ClearField("graph")
    heads = [_tensor(held).SerializeToString() + field_head(_RAW_DATA, held.nbytes) for held in inside]
    frames = [
        field_head(_INITIALIZER, len(head) + held.nbytes) + head for head, held in zip(heads, inside, strict=True)
    ]
    tails = [field_head(_INITIALIZER, len(reference)) + reference for reference in references]
    length = len(graph) + sum(map(len, frames)) + sum(held.nbytes for held in inside) + sum(map(len, tails))
    file.write(shell.SerializeToString())
    file.write(field_head(_GRAPH, length))
    file.write(graph)
    for tail in tails:
        file.write(tail)
    _write_data(file, zip(frames, inside, strict=True), report)
    file.write(_metadata_fields(metadata))


def _aligned(outside: Sequence[Initializer]) -> tuple[list[int], list[int]]:
    """How many bytes each tensor leaves free before it in the data file, and where it begins."""
    gaps, positions, end = [], [], 0
    for held in outside:
        gaps.append(-end % (_ALIGNMENT if held.nbytes >= _ALIGNED_FROM else 4))
        positions.append(end + gaps[-1])
        end = positions[-1] + held.nbytes
    return gaps, positions


def _reference(held: Initializer, location: str, position: int) -> bytes:
    """The serialised tensor that refers to its bytes in the data file."""
    tensor = _tensor(held)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", position), ("length", held.nbytes)):
        tensor.external_data.add(key=key, value=str(value))
    return tensor.SerializeToString()


def _write_data(file: BinaryIO, tensors: Iterable[tuple[bytes, Initializer]], report: _Counter) -> None:
    """Write each tensor with the bytes before it; the next pieces are computed while some are written."""
    together = _together(_pieces(tensors))
    way = WayToDisk(file)
    with ThreadPoolExecutor(1, thread_name_prefix="layoutbridge") as pool:
        coming = pool.submit(next, together, None)
        while (pieces := coming.result()) is not None:
            coming = pool.submit(next, together, None)
            for before, chunk in pieces:
                file.write(before)
                file.write(chunk)
            report.add(sum(len(chunk) for _, chunk in pieces))
            way.go_on()


def _together(pieces: Iterable[tuple[bytes, Any]]) -> Iterator[list[tuple[bytes, Any]]]:
    """So many at once that threads seldom wait for each other."""
    held: list[tuple[bytes, Any]] = []
    size = 0
    for before, chunk in pieces:
        held.append((before, chunk))
        size += len(before) + len(chunk)
        if size >= _PIECE:
            yield held
            held, size = [], 0
    if held:
        yield held


def _pieces(tensors: Iterable[tuple[bytes, Initializer]]) -> Iterator[tuple[bytes, Any]]:
    for before, held in tensors:
        yield before, b""
        size = 0
        for chunk in held.chunks():
            size += len(chunk)
            yield b"", chunk
        if size != held.nbytes:
            raise AssertionError(f"{held.name} has {size} bytes, not {held.nbytes}")


def _tensor(held: Initializer) -> TensorProto:
    return TensorProto(dims=held.shape, data_type=held.elem_type, name=held.name)


def _metadata_fields(metadata: Metadata) -> bytes:
    shell = ModelProto()
    for key, value in metadata.items():
        shell.metadata_props.add(key=key, value=value if isinstance(value, str) else value.result())
    return shell.SerializeToString()
