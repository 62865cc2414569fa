"""A .tflite file's operators and their settings, and the shapes that LiteRT gives its tensors. Nothing is run.

LiteRT plans memory before it runs, and knows all shapes then but those behind a reshape whose shape is computed. Such
a shape is worked out here and written into a copy of the model in memory, until all shapes are known.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.errors import UnusableInputError, class_and_first_line, first_line
from layoutbridge.frameworks.base import require
from layoutbridge.inputs import PathLike, read_bytes, refuse_costly
from layoutbridge.scanning.graphs.limits import refuse_more_nodes

Array = NDArray[Any]
LARGEST = 2 << 30
_OF_OPERANDS = ("INT32", "INT64", "BOOL")
DTYPES = {
    "FLOAT32": "float32", "FLOAT16": "float16", "INT32": "int32", "UINT8": "uint8", "INT64": "int64", "BOOL": "bool",
    "INT16": "int16", "INT8": "int8", "FLOAT64": "float64", "UINT64": "uint64", "UINT32": "uint32", "UINT16": "uint16",
    "COMPLEX64": "complex64", "COMPLEX128": "complex128", "BFLOAT16": "bfloat16",
}  # fmt: skip


@dataclass(slots=True)
class Operator:
    """An operator of the file: `name` as "RESHAPE", a custom one its own; tensors by number, −1 where none is given."""

    name: str
    inputs: list[int]
    outputs: list[int]
    options: Mapping[str, Any]
    custom: bool = False


@dataclass(slots=True)
class Subgraph:
    """A graph of the file; `shapes` and `values` are by the tensors' numbers, `values` those of constants."""

    name: str
    tensors: list[Any]
    operators: list[Operator]
    inputs: list[int]
    outputs: list[int]
    dtypes: list[str]
    names: list[str]
    values: dict[int, Array] = field(default_factory=dict)
    constants: set[int] = field(default_factory=set)

    def file_shapes(self) -> dict[int, tuple[int, ...]]:
        """The shapes that the file says, with a 1 where it leaves a length open."""
        return {k: tuple(max(int(n), 0) for n in _listed(held.shape)) for k, held in enumerate(self.tensors)}

    def bytes(self) -> list[int]:
        """How many bytes each tensor takes at these shapes."""
        kinds = ("uint16" if dtype == "bfloat16" else dtype for dtype in self.dtypes)
        sizes = map(prod, self.file_shapes().values())
        return [size * np.dtype(kind).itemsize for size, kind in zip(sizes, kinds, strict=True)]

    def open_shape(self, number: int) -> tuple[int | None, ...]:
        """The shape of a tensor with None where the file leaves it open."""
        held = self.tensors[number]
        told = _listed(held.shape if held.shapeSignature is None else held.shapeSignature)
        return tuple(None if n < 0 else int(n) for n in told)


class Model:
    """The file at a path; raises `UnusableInputError` where LiteRT does not take it, `MissingFrameworkError`."""

    def __init__(self, path: PathLike) -> None:
        self.path = os.fspath(path)
        content = read_bytes(path, ".tflite file", most=LARGEST)
        self._interpreter(content)  # which looks whether the file is whole
        self._schema = require("ai_edge_litert.schema_py_generated", "LiteRT", "litert")
        try:
            self._model = self._schema.ModelT.InitFromPackedBuf(content, 0)
            self.subgraphs = [self._subgraph(graph, place) for place, graph in enumerate(self._model.subgraphs)]
        except Exception as error:  # whatever reading a broken buffer runs into
            raise UnusableInputError(
                f"'{self.path}' is no whole .tflite file ({class_and_first_line(error)}): convert it again"
            ) from None
        refuse_more_nodes(path, sum(len(graph.operators) for graph in self.subgraphs))
        if not self.subgraphs:
            raise UnusableInputError(f"'{self.path}' holds no graph: convert it again")
        self._content = content
        sizes = [size for graph in self.subgraphs for size in graph.bytes()]
        refuse_costly(max(sizes, default=0), len(content), f"a tensor of '{self.path}'", doing="when it is planned")

    def shapes_at(self, filled: Mapping[int, tuple[int, ...]]) -> dict[int, tuple[int, ...]]:
        """The shapes of the main graph's tensors where the inputs have these; raises `UnusableInputError`."""
        interpreter = self._interpreter(self._content)
        try:
            for number, shape in filled.items():
                interpreter.resize_tensor_input(number, list(shape))
            interpreter.allocate_tensors()
            details = interpreter.get_tensor_details()
        except (ValueError, RuntimeError, OverflowError) as error:
            raise UnusableInputError(
                f"LiteRT cannot plan '{self.path}' at {_told(filled)}: {first_line(error)}"
            ) from None
        return {held["index"]: tuple(int(n) for n in held["shape"]) for held in details}

    def write_constants(self, operands: Sequence[tuple[int, int, Array]]) -> None:
        """Make operands of the main graph's operators constant: the operator's place, which input, what it is."""
        flatbuffers = require("flatbuffers", "FlatBuffers", "litert")
        schema, graph = self._schema, self._model.subgraphs[0]
        for place, position, value in operands:
            buffer, tensor = schema.BufferT(), schema.TensorT()
            buffer.data = np.frombuffer(value.tobytes(), np.uint8)
            self._model.buffers.append(buffer)
            old = graph.tensors[int(graph.operators[place].inputs[position])]
            tensor.shape, tensor.type, tensor.name = list(value.shape), old.type, old.name
            tensor.buffer, tensor.hasRank = len(self._model.buffers) - 1, True
            graph.tensors.append(tensor)
            inputs = [int(each) for each in graph.operators[place].inputs]
            inputs[position] = len(graph.tensors) - 1
            graph.operators[place].inputs = inputs
        builder = flatbuffers.Builder(len(self._content) + 4096)
        builder.Finish(self._model.Pack(builder), b"TFL3")
        self._content = bytes(builder.Output())

    def _interpreter(self, content: bytes) -> Any:
        litert = require("ai_edge_litert.interpreter", "LiteRT", "litert")
        plain = litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES  # delegates would take tensors' places
        try:
            return litert.Interpreter(model_content=content, experimental_op_resolver_type=plain)
        except (ValueError, RuntimeError, OSError) as error:
            raise UnusableInputError(f"LiteRT cannot load '{self.path}': {first_line(error)}") from None

    def _subgraph(self, graph: Any, place: int) -> Subgraph:
        types = _names_of(self._schema.TensorType)
        made = Subgraph(
            name=_text(graph.name) or str(place),
            tensors=list(graph.tensors),
            operators=[self._operator(each) for each in _listed(graph.operators)],
            inputs=[int(each) for each in _listed(graph.inputs)],
            outputs=[int(each) for each in _listed(graph.outputs)],
            dtypes=[DTYPES.get(types.get(held.type, ""), "uint8") for held in graph.tensors],
            names=_unique([_text(held.name) for held in graph.tensors]),
        )
        for number, held in enumerate(made.tensors):
            data = self._model.buffers[held.buffer].data
            if data is None or not len(data) or held.isVariable:
                continue
            made.constants.add(number)
            if types.get(held.type) in _OF_OPERANDS:
                flat = np.frombuffer(np.asarray(data).tobytes(), made.dtypes[number])
                made.values[number] = flat.reshape([int(n) for n in _listed(held.shape)])
        return made

    def _operator(self, held: Any) -> Operator:
        code = self._model.operatorCodes[held.opcodeIndex]
        kind = max(code.builtinCode, code.deprecatedBuiltinCode)  # a byte of its own for the first 127
        name = _names_of(self._schema.BuiltinOperator).get(kind, str(kind))
        options = {} if held.builtinOptions is None else vars(held.builtinOptions)
        is_custom = name == "CUSTOM"
        return Operator(
            _text(code.customCode) if is_custom else name,
            [int(each) for each in _listed(held.inputs)],
            [int(each) for each in _listed(held.outputs)],
            options,
            is_custom,
        )


def _listed(values: Any) -> list[Any]:
    return [] if values is None else list(values)


def _text(value: bytes | str | None) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value or ""


def _names_of(enumeration: type) -> dict[int, str]:
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}


def _unique(names: list[str]) -> list[str]:
    """The names, those that others have or that are empty with the tensor's number."""
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return [name if name and counts[name] == 1 else f"{name}#{place}" for place, name in enumerate(names)]


def _told(filled: Mapping[int, Sequence[int]]) -> str:
    return ", ".join(str(list(shape)) for shape in filled.values())
