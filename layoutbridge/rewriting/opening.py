"""Models from files and from memory, and back to files with all that they keep in others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.errors import UnsupportedError, UnusableInputError, first_line, named, shown
from layoutbridge.files import refuse_overwriting, whole_file
from layoutbridge.frameworks.base import require
from layoutbridge.frameworks.onnx.reading import all_tensors, data_files, read_sparing
from layoutbridge.frameworks.onnx.versions import EXTRA
from layoutbridge.inputs import PathLike, read_file, refuse_changed
from layoutbridge.inputs import opened as opened_file

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, TensorProto

    from layoutbridge.frameworks.onnx.network.graph import Initializer

_PROGRAM = ".pt2"
_PIECE = 1 << 22  # bytes of data that are copied at a time


@dataclass(frozen=True)
class Source:
    """Where a model comes from: `name` is what errors call it, `folder` where data lie that it keeps in files.

    `own_file` is the model's own file, where large weights of it were left: its name is then their location.
    """

    name: str
    folder: Path | None = None
    own_file: PathLike | None = None

    def is_own(self, tensor: TensorProto) -> bool:
        """Whether a tensor's data were left in the model's own file."""
        return self.own_file is not None and _location(tensor) == os.path.basename(self.own_file)

    @contextmanager
    def opened(self, tensor: TensorProto) -> Iterator[BufferedReader]:
        """The file that a tensor's data lie in, at their first byte; refused where it is another than was read."""
        assert self.folder is not None
        held = {entry.key: entry.value for entry in tensor.external_data}
        path = self.own_file if self.own_file is not None and self.is_own(tensor) else self.folder / held["location"]
        with opened_file(path, "file of data") as file:
            refuse_changed(file, path)
            file.seek(int(held.get("offset") or 0))
            yield file


def opened(model: object) -> tuple[ModelProto, Source]:
    """A model by its path or itself, and where it comes from. Large weights of a file are left there.

    Raises `UnusableInputError` for what is no ONNX model, and `UnsupportedError` for what a rewriting would lose.
    """
    onnx = require("onnx", "onnx", EXTRA)
    require("onnx_ir", "onnx-ir", EXTRA)
    if isinstance(model, str | os.PathLike):
        if Path(model).suffix.lower() != ".onnx":
            raise UnusableInputError(
                f"'{os.fspath(model)}' is neither an .onnx nor a .pt2 file: others are not rewritten"
            )
        own_file = read_file(os.path.realpath(model))
        proto, folder = read_sparing(model)
        source = Source(os.fspath(model), folder, own_file)
    elif isinstance(model, onnx.ModelProto):
        proto, source = model, Source("model")
        if any(tensor.data_location == tensor.EXTERNAL for tensor in all_tensors(proto)):
            raise UnusableInputError("the model keeps data in other files: give its path, beside which they lie")
    else:
        raise UnusableInputError(
            "a path of an .onnx or .pt2 file, an onnx.ModelProto, an exported program of PyTorch or an nn.Module is "
            f"rewritten, not {shown(model)}"
        )
    if any(tensor.sparse_initializer for tensor in _graphs(proto.graph)):
        raise UnsupportedError(
            f"'{source.name}' has sparse initializers, which onnx-ir does not keep: make them dense first"
        )
    return proto, source


def _graphs(graph: GraphProto) -> Iterator[GraphProto]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*attribute.graphs, *((attribute.g,) if attribute.HasField("g") else ())):
                yield from _graphs(inner)


def as_ir(model: ModelProto, source: Source) -> Any:
    """The same as an `onnx_ir.Model`, whose data in other files are read when they are asked for.

    Raises `UnusableInputError` for a model that onnx-ir cannot take, such as one with two tensors of one name.
    """
    import onnx_ir as ir

    try:
        made = ir.from_proto(model)
    except Exception as error:  # its errors have no common class
        raise UnusableInputError(f"onnx-ir cannot read '{source.name}': {first_line(error)}") from None
    if source.folder is not None:
        ir.external_data.set_base_dir(made.graph, source.folder)
    return made


def as_proto(model: Any, before: ModelProto) -> ModelProto:
    """Back again, with what onnx-ir does not know of."""
    import onnx_ir as ir

    made = ir.to_proto(model)
    made.training_info.extend(before.training_info)
    return made


def refuse_output(model: object, output: str | os.PathLike[str]) -> None:
    """Raise `UnusableInputError` where writing to `output` would destroy the model or data that it is read from.

    So it does where one of both has the ending of a program of PyTorch, and the other has not.
    """
    if isinstance(model, str | os.PathLike):
        kinds = {Path(path).suffix.lower() == _PROGRAM for path in (model, output)}
        if len(kinds) > 1:
            told = Path(model).suffix
            raise UnusableInputError(f"'{os.fspath(output)}' must end in {told}: what is written is of the same kind")
        if kinds == {True}:
            refuse_overwriting(output, [Path(model)])
            return
    if not isinstance(model, str | os.PathLike):
        refuse_overwriting(output, ())
        return
    folder = Path(model).parent
    inputs = [Path(model), *(folder / name for name in data_files(model))]
    for path in (output, f"{os.fspath(output)}.data"):
        refuse_overwriting(path, inputs)


def write(model: ModelProto, source: Source, output: str | os.PathLike[str]) -> None:
    """Write a model whole or not at all; data that it keeps in other files go to one beside it, `<output>.data`."""
    from layoutbridge.frameworks.onnx.writer import data_of, write_model

    left = [tensor for tensor in all_tensors(model) if _is_outside(tensor)]
    if not left:
        with whole_file(output, partial(data_of, output)) as temporary:
            temporary.write_bytes(model.SerializeToString())
        return
    kept = type(model)()
    kept.CopyFrom(model)
    moved = [_initializer(held, source) for held in model.graph.initializer if _is_outside(held)]
    inside = [_copied(held) for held in model.graph.initializer if not _is_outside(held)]
    del kept.graph.initializer[:]
    kept.graph.initializer.extend(inside)
    for tensor in all_tensors(kept):  # in nodes and graphs within, which the format's readers expect in the model
        if _is_outside(tensor):
            _bring_in(tensor, source)
    apart = not all(source.is_own(tensor) for tensor in left)
    write_model(kept, moved, output, external_data=apart)


def with_own_weights(model: ModelProto, source: Source) -> ModelProto:
    """The same model with all that was left in its own file."""
    if not any(_is_outside(tensor) and source.is_own(tensor) for tensor in model.graph.initializer):
        return model
    made = type(model)()
    made.CopyFrom(model)
    for tensor in made.graph.initializer:
        if _is_outside(tensor) and source.is_own(tensor):
            _bring_in(tensor, source)
    return made


def _is_outside(tensor: TensorProto) -> bool:
    return bool(tensor.data_location == tensor.EXTERNAL)


def _location(tensor: TensorProto) -> str:
    return next((entry.value for entry in tensor.external_data if entry.key == "location"), "")


def _copied(tensor: TensorProto) -> TensorProto:
    made = type(tensor)()
    made.CopyFrom(tensor)
    return made


def _initializer(tensor: TensorProto, source: Source) -> Initializer:
    """A tensor whose data are copied from where they lie, a piece at a time."""
    from layoutbridge.frameworks.onnx.network.graph import Initializer

    made: list[Initializer] = []

    def values(dtype: np.dtype[Any]) -> Iterator[NDArray[Any]]:
        left = made[0].nbytes
        with source.opened(tensor) as file:
            while left:
                piece = file.read(min(left, _PIECE))
                if not piece:
                    raise UnusableInputError(f"'{file.name}' ends before the data of '{named(tensor.name)}' do")
                left -= len(piece)
                yield np.frombuffer(piece, np.uint8)

    made.append(Initializer(tensor.name, tuple(tensor.dims), tensor.data_type, values))
    return made[0]


def _bring_in(tensor: TensorProto, source: Source) -> None:
    length = next((int(entry.value) for entry in tensor.external_data if entry.key == "length"), -1)
    with source.opened(tensor) as file:
        tensor.raw_data = file.read(length)
    del tensor.external_data[:]
    tensor.data_location = tensor.DEFAULT
