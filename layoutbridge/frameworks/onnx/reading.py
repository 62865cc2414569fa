"""An ONNX file as a function of one array: read with care, because it may come from anywhere."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any, cast

from layoutbridge.errors import UnusableInputError, counted, first_line, named
from layoutbridge.frameworks.apart import run_apart
from layoutbridge.frameworks.base import require
from layoutbridge.frameworks.framework import TypedCallable
from layoutbridge.frameworks.onnx.folding import folded_bytes
from layoutbridge.frameworks.onnx.sessions import Run, run_in_onnxruntime, run_in_reference
from layoutbridge.frameworks.onnx.versions import EXTRA
from layoutbridge.inputs import exists, file_size, is_regular_file, read_bytes

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

_OPENER = "layoutbridge.frameworks.onnx.reading:open_file"
_LARGEST = (1 << 31) - 1  # bytes that protobuf reads; weights beyond lie in a file of their own
_MOST_NODES = 100_000  # with those of all subgraphs; the largest network has some thousand
_NOT_MODELS = (
    (b"version https://git-lfs", "a git-LFS pointer, not the model: fetch it with `git lfs pull`"),
    (b"<!doctype", "an HTML page, not a model: download the file itself"),
    (b"<html", "an HTML page, not a model: download the file itself"),
    (b"PK\x03\x04", "a zip archive (or a PyTorch file), not an ONNX model"),
    (b"\x89HDF", "an HDF5 file, not an ONNX model"),
)


def load_callable(path: str | os.PathLike[str]) -> TypedCallable:
    """The model in `path` as a function of one array, which knows the name of the dtype that it takes.

    It runs in onnxruntime, or in onnx's reference evaluator where onnxruntime is missing or cannot load it. Raises
    `UnusableInputError` for what is no readable ONNX model of one tensor in and one out, and for external data that
    is missing or not inside the model's folder: such data is never opened. Raises `MissingFrameworkError` without onnx.
    It runs in a process of its own: see `frameworks.apart`.

    >>> import tempfile, numpy as np
    >>> from layoutbridge.operations.catalog import op
    >>> from layoutbridge.frameworks.onnx.emission import save
    >>> folder = tempfile.mkdtemp()
    >>> save(op("nchw_to_nhwc"), f"{folder}/a.onnx", dtype="int32")
    >>> model = load_callable(f"{folder}/a.onnx")
    >>> model(np.zeros((1, 2, 3, 4), model.dtype)).shape, model.dtype
    ((1, 3, 4, 2), 'int32')
    """
    file = Path(path)
    model, size = read_model(file)
    _input_dtype(model, file)
    del model
    return run_apart(_OPENER, file, size)


@dataclass(frozen=True, slots=True)
class Declared:
    """What an ONNX file says of itself: `size` in bytes, external data with it, and its metadata.

    `shape` is that of its first input, None for a length that is open; () where it takes no tensor. `folded` are the
    bytes of what follows from its constants alone, None where that cannot be told.
    """

    size: int
    shape: tuple[int | None, ...]
    metadata: Mapping[str, str]
    folded: int | None


def read_declared(path: str | os.PathLike[str]) -> Declared:
    """What the ONNX file at `path` declares; nothing of it runs.

    Raises `UnusableInputError` as `load_callable` does for what is no readable model and for its external data, and for
    functions of its own, which may be in each other many times over. Raises `MissingFrameworkError` without onnx.
    """
    model, size = read_model(path)
    if model.functions:
        raise UnusableInputError(f"'{os.fspath(path)}' has functions of its own: it was not exported by layoutbridge")
    inputs = _inputs(model)
    lengths = inputs[0].type.tensor_type.shape.dim if inputs else ()
    shape = tuple(length.dim_value if length.HasField("dim_value") else None for length in lengths)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    return Declared(size, shape, metadata, folded_bytes(model))


def read_model(path: str | os.PathLike[str]) -> tuple[ModelProto, int]:
    """The model in a file, and its bytes with those of the files that its data lies in, none of which is opened.

    Raises as `load_callable` does.
    """
    file = Path(path)
    size = file_size(file, "model", most=_LARGEST)
    model = _read(file)
    return model, size + _size_of_external_data(model, file)


def read_sparing(path: str | os.PathLike[str]) -> tuple[ModelProto, Path]:
    """The same model, large weights left in the file as data in other files are, and the folder that both lie in.

    Data of a tensor in the model's own file have that file's name as their location. Raises as `load_callable` does.
    """
    given, real = Path(path), Path(os.path.realpath(path))
    model, is_whole = _read_sparing(given)
    if not is_whole and given.absolute() != real and any(name != real.name for name in _locations(model)):
        model, is_whole = _read(given), True  # data beside a link, not beside what it leads to
    _size_of_external_data(model, given if is_whole else real)
    return model, (given.absolute() if is_whole else real).parent


def _read_sparing(file: Path) -> tuple[ModelProto, bool]:
    """The model, and whether all that lies in the file is in it."""
    require("onnx", "onnx", EXTRA)
    from layoutbridge.frameworks.onnx.protobuf.unread_weights import without_weights

    file_size(file, "model", most=_LARGEST)
    content = without_weights(os.path.realpath(file))
    return (_read(file), True) if content is None else (_parsed(content, file), False)


def _read(file: Path) -> ModelProto:
    return _parsed(read_bytes(file, "model", most=_LARGEST), file)


def _parsed(content: bytes, file: Path) -> ModelProto:
    if not content:
        raise UnusableInputError(f"'{file}' is empty")
    start = content[:512].lstrip().lower()
    for mark, what in _NOT_MODELS:
        if start.startswith(mark.lower()):
            raise UnusableInputError(f"'{file}' is {what}")
    onnx = require("onnx", "onnx", EXTRA)
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        model = onnx.load_model_from_string(content)
    except (DecodeError, ValueError):
        raise UnusableInputError(
            f"'{file}' is no ONNX model, or only a part of one ({counted(len(content), 'byte')})"
        ) from None
    if not model.opset_import or not model.HasField("graph"):
        raise UnusableInputError(f"'{file}' is no ONNX model: it has no graph or no opset")
    if next(islice(_nodes(model.graph), _MOST_NODES, None), None) is not None:
        raise UnusableInputError(f"'{file}' has more than {_MOST_NODES:,} nodes: it is not read")
    return cast("ModelProto", model)


# ---------------------------------------------------------------------- external data


def data_files(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """The files that an ONNX model keeps data in, as it names them, whether they are there or not.

    Raises `UnusableInputError` for what is no readable model.
    """
    model, _ = _read_sparing(Path(path))
    own = os.path.basename(os.path.realpath(path))
    return tuple(name for name in _locations(model) if name != own)


def _locations(model: ModelProto) -> tuple[str, ...]:
    from onnx import TensorProto

    tensors = (tensor for tensor in all_tensors(model) if tensor.data_location == TensorProto.EXTERNAL)
    named = (entry.value for tensor in tensors for entry in tensor.external_data if entry.key == "location")
    return tuple(dict.fromkeys(named))


def _size_of_external_data(model: ModelProto, file: Path) -> int:
    """The bytes of the files that hold data, each of which lies in the model's folder, links followed."""
    from onnx import TensorProto

    sizes: dict[str, int] = {}
    folder = Path(os.path.realpath(file.parent))
    for tensor in all_tensors(model):
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        held = {entry.key: entry.value for entry in tensor.external_data}
        location = held.get("location", "")
        name = named(tensor.name)
        where = f"'{file}' keeps the data of '{name}' in '{named(location)}'"
        if not location or "\0" in location:
            raise UnusableInputError(f"'{file}' names no file for the external data of '{name}'")
        if PurePosixPath(location).is_absolute() or PureWindowsPath(location).anchor:
            raise UnusableInputError(f"{where}, an absolute path: external data must lie in the model's folder")
        if ".." in PurePosixPath(location).parts or ".." in PureWindowsPath(location).parts:
            raise UnusableInputError(f"{where}, outside the model's folder: it is not opened")
        data = folder / location
        if not Path(os.path.realpath(data)).is_relative_to(folder):
            raise UnusableInputError(f"{where}, a link that leads outside the model's folder: it is not opened")
        if not exists(data):
            raise UnusableInputError(f"{where}, which is not there: put it beside the model")
        if not is_regular_file(data):
            raise UnusableInputError(f"{where}, which is no regular file: it is not opened")
        sizes[location] = file_size(data, "file of data")
        _refuse_short_data(held, sizes[location], where)
    return sum(sizes.values())


def _refuse_short_data(held: dict[str, str], size: int, where: str) -> None:
    try:
        offset, length = int(held.get("offset") or 0), int(held.get("length") or 0)
    except ValueError:
        raise UnusableInputError(f"{where}, at an offset or length that is no number") from None
    if offset < 0 or length < 0 or offset + length > size:
        raise UnusableInputError(f"{where}, at bytes {offset} to {offset + length}, and that file has {size}")


def all_tensors(model: ModelProto) -> Iterator[TensorProto]:
    """Every tensor in the model, subgraphs, functions and training included."""
    yield from _graph_tensors(model.graph)
    for function in model.functions:
        yield from _node_tensors(function.node)
    for training in model.training_info:
        yield from _graph_tensors(training.initialization)
        yield from _graph_tensors(training.algorithm)


def _nodes(graph: GraphProto) -> Iterator[NodeProto]:
    """The nodes of a graph and of all graphs in them."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _nodes(attribute.g)
            for inner in attribute.graphs:
                yield from _nodes(inner)


def _graph_tensors(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _node_tensors(graph.node)


def _node_tensors(nodes: Any) -> Iterator[TensorProto]:
    node: NodeProto
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)
            if attribute.HasField("g"):
                yield from _graph_tensors(attribute.g)
            yield from chain.from_iterable(_graph_tensors(graph) for graph in attribute.graphs)


# ---------------------------------------------------------------------- one tensor in, one out


def _inputs(model: ModelProto) -> list[ValueInfoProto]:
    constants = {tensor.name for tensor in model.graph.initializer}
    constants |= {sparse.values.name for sparse in model.graph.sparse_initializer}
    return [value for value in model.graph.input if value.name not in constants]


def _input_dtype(model: ModelProto, file: Path) -> str:
    from onnx import helper

    inputs = _inputs(model)
    for what, values in (("inputs", inputs), ("outputs", list(model.graph.output))):
        if len(values) != 1:
            names = ", ".join(named(value.name) for value in values[:8]) or "none"
            raise UnusableInputError(f"'{file}' has {len(values)} {what} ({names}): one is wanted")
        kind = values[0].type.WhichOneof("value")
        if kind != "tensor_type":
            held = kind.removesuffix("_type") if kind else "value of no type"
            raise UnusableInputError(f"'{file}': '{named(values[0].name)}' is a {held}, not a tensor")
    try:
        dtype = helper.tensor_dtype_to_np_dtype(inputs[0].type.tensor_type.elem_type)
    except (KeyError, ValueError):
        raise UnusableInputError(f"'{file}': the input '{named(inputs[0].name)}' has no dtype") from None
    if dtype.kind == "O":
        raise UnusableInputError(f"'{file}': the input '{named(inputs[0].name)}' holds text, not numbers")
    return str(dtype.name)


def open_file(path: str | os.PathLike[str]) -> TypedCallable:
    """The function of one array that the model in a file computes, which runs in this process.

    For files that `read_model` has read: what they name is opened. Raises `UnusableInputError` where neither
    onnxruntime nor onnx's evaluator can run it.
    """
    file = Path(path)
    model = _read(file)
    return TypedCallable(_open(model, file), _input_dtype(model, file))


def _open(model: ModelProto, file: Path) -> Run:
    reasons = []
    try:
        return run_in_onnxruntime(str(file))
    except Exception as error:  # not installed, a newer opset, an operator or a dtype that it does not have
        reasons.append(first_line(error))
    try:
        import onnx

        onnx.load_external_data_for_model(model, str(file.parent))
        return run_in_reference(model)
    except Exception as error:  # the evaluator's errors have no common class either
        reasons.append(first_line(error))
    raise UnusableInputError(f"'{file}' cannot be run: onnxruntime: {reasons[0]}; onnx's evaluator: {reasons[1]}")
