"""Models from files and from memory, and back to files with all that they keep in others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.errors import UnsupportedError, UnusableInputError, first_line, shown
from layoutbridge.files import refuse_overwriting, whole_file
from layoutbridge.frameworks.base import require
from layoutbridge.frameworks.onnx.reading import all_tensors, data_files, read_model
from layoutbridge.frameworks.onnx.versions import EXTRA

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, TensorProto

    from layoutbridge.frameworks.onnx.network.graph import Initializer

_PIECE = 1 << 22  # bytes of data that are copied at a time


def opened(model: object) -> tuple[ModelProto, str, Path | None]:
    """A model by its path or itself, what errors call it, and the folder that its data lie in.

    Raises `UnusableInputError` for what is no ONNX model, and `UnsupportedError` for what a rewriting would lose.
    """
    onnx = require("onnx", "onnx", EXTRA)
    require("onnx_ir", "onnx-ir", EXTRA)
    folder = None
    if isinstance(model, str | os.PathLike):
        if Path(model).suffix.lower() != ".onnx":
            raise UnusableInputError(f"'{os.fspath(model)}' is no .onnx file: only ONNX models are rewritten")
        proto, name, folder = read_model(model)[0], os.fspath(model), Path(model).absolute().parent
    elif isinstance(model, onnx.ModelProto):
        proto, name = model, "model"
        if any(tensor.data_location == tensor.EXTERNAL for tensor in all_tensors(proto)):
            raise UnusableInputError("the model keeps data in other files: give its path, beside which they lie")
    else:
        raise UnusableInputError(f"a path of an .onnx file or an onnx.ModelProto is rewritten, not {shown(model)}")
    if any(tensor.sparse_initializer for tensor in _graphs(proto.graph)):
        raise UnsupportedError(f"'{name}' has sparse initializers, which onnx-ir does not keep: make them dense first")
    return proto, name, folder


def _graphs(graph: GraphProto) -> Iterator[GraphProto]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*attribute.graphs, *((attribute.g,) if attribute.HasField("g") else ())):
                yield from _graphs(inner)


def as_ir(model: ModelProto, name: str, folder: Path | None) -> Any:
    """The same as an `onnx_ir.Model`, whose data in other files are read when they are asked for.

    Raises `UnusableInputError` for a model that onnx-ir cannot take, such as one with two tensors of one name.
    """
    import onnx_ir as ir

    try:
        made = ir.from_proto(model)
    except Exception as error:  # its errors have no common class
        raise UnusableInputError(f"onnx-ir cannot read '{name}': {first_line(error)}") from None
    if folder is not None:
        ir.external_data.set_base_dir(made.graph, folder)
    return made


def as_proto(model: Any, before: ModelProto) -> ModelProto:
    """Back again, with what onnx-ir does not know of."""
    import onnx_ir as ir

    made = ir.to_proto(model)
    made.training_info.extend(before.training_info)
    return made


def refuse_output(model: object, output: str | os.PathLike[str]) -> None:
    """Raise `UnusableInputError` where writing to `output` would destroy the model or data that it is read from."""
    if not isinstance(model, str | os.PathLike):
        refuse_overwriting(output, ())
        return
    folder = Path(model).parent
    inputs = [Path(model), *(folder / name for name in data_files(model))]
    for path in (output, f"{os.fspath(output)}.data"):
        refuse_overwriting(path, inputs)


def write(model: ModelProto, folder: Path | None, output: str | os.PathLike[str]) -> None:
    """Write a model whole or not at all, with data that it keeps in other files in one beside it, `<output>.data`."""
    from onnx import TensorProto

    from layoutbridge.frameworks.onnx.writer import data_of, write_model

    if not any(tensor.data_location == TensorProto.EXTERNAL for tensor in all_tensors(model)):
        with whole_file(output, partial(data_of, output)) as temporary:
            temporary.write_bytes(model.SerializeToString())
        return
    assert folder is not None
    kept = type(model)()
    kept.CopyFrom(model)
    inside = [held for held in kept.graph.initializer if held.data_location != TensorProto.EXTERNAL]
    outside = [held for held in kept.graph.initializer if held.data_location == TensorProto.EXTERNAL]
    moved = [_initializer(held, folder) for held in outside]
    plain = [_copied(held) for held in inside]
    del kept.graph.initializer[:]
    kept.graph.initializer.extend(plain)
    for tensor in all_tensors(kept):  # in nodes and graphs within, which the format's readers expect in the model
        if tensor.data_location == TensorProto.EXTERNAL:
            _bring_in(tensor, folder)
    write_model(kept, moved, output, external_data=True)


def _copied(tensor: TensorProto) -> TensorProto:
    made = type(tensor)()
    made.CopyFrom(tensor)
    return made


def _where(tensor: TensorProto, folder: Path) -> tuple[Path, int, int | None]:
    held = {entry.key: entry.value for entry in tensor.external_data}
    length = int(held["length"]) if held.get("length") else None
    return folder / held["location"], int(held.get("offset") or 0), length


def _initializer(tensor: TensorProto, folder: Path) -> Initializer:
    """A tensor whose data are copied from where they lie, a piece at a time."""
    from layoutbridge.frameworks.onnx.network.graph import Initializer

    path, offset, _ = _where(tensor, folder)
    name, shape = tensor.name, tuple(tensor.dims)
    made: list[Initializer] = []

    def values(dtype: np.dtype[Any]) -> Iterator[NDArray[Any]]:
        left = made[0].nbytes
        with path.open("rb") as file:
            file.seek(offset)
            while left:
                piece = file.read(min(left, _PIECE))
                if not piece:
                    raise UnusableInputError(f"'{path}' ends before the data of '{name}' do")
                left -= len(piece)
                yield np.frombuffer(piece, np.uint8)

    made.append(Initializer(name, shape, tensor.data_type, values))
    return made[0]


def _bring_in(tensor: TensorProto, folder: Path) -> None:
    path, offset, length = _where(tensor, folder)
    with path.open("rb") as file:
        file.seek(offset)
        tensor.raw_data = file.read() if length is None else file.read(length)
    del tensor.external_data[:]
    tensor.data_location = tensor.DEFAULT
