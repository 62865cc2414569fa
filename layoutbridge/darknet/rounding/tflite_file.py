"""A rounded .tflite file in fewer bytes, computing the same.

Google's quantizer leaves much that nothing reads: a name for each tensor, zeros of 8 bytes for each filter, scales of
biases that are products of others, the marks of the converter. What is said twice is held once here, as FlatBuffers
allow.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

from layoutbridge.darknet.rounding.tflite_steps import with_steps_of_one
from layoutbridge.darknet.rounding.tflite_weights import Shape, in_own_shapes
from layoutbridge.frameworks.base import require

_IDENTIFIER = b"TFL3"
_MARKS = b"CONVERSION_METADATA"  # by what the file was made, for Google's own statistics


def compacted(content: bytes, shapes: tuple[Shape | None, ...]) -> bytes:
    """The file without what no runtime reads, its convolutions' weights in these `shapes`."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(bytearray(content))
    for buffer in model.buffers:
        if buffer.offset > 1:  # its data lies behind the graph
            buffer.data = np.frombuffer(content, np.uint8, buffer.size, buffer.offset)
    in_own_shapes(model, shapes)
    for graph in model.subgraphs:
        with_steps_of_one(model, graph, schema)
        _without_unused(graph, model)
        kept = {*graph.inputs, *graph.outputs}
        for place, tensor in enumerate(graph.tensors):
            if place not in kept:
                tensor.name = None
            if tensor.quantization is not None and tensor.quantization.scale is None:
                tensor.quantization = None
    _without_empty(model)
    return _packed(model, len(content))


def _without_unused(graph: Any, model: Any) -> None:
    """Tensors that no operator has a use for any more, left out."""
    read = {int(each) for operator in graph.operators for each in (*operator.inputs, *operator.outputs)}
    read |= {int(each) for each in (*graph.inputs, *graph.outputs)}
    told = [told for told in model.signatureDefs or () if model.subgraphs[told.subgraphIndex] is graph]
    read |= {each.tensorIndex for one in told for each in (*one.inputs, *one.outputs)}
    places = {old: new for new, old in enumerate(sorted(read - {-1}))} | {-1: -1}
    graph.tensors = [graph.tensors[old] for old in places if old >= 0]
    for operator in graph.operators:
        operator.inputs, operator.outputs = (_moved(each, places) for each in (operator.inputs, operator.outputs))
    graph.inputs, graph.outputs = _moved(graph.inputs, places), _moved(graph.outputs, places)
    for one in told:
        for each in (*one.inputs, *one.outputs):
            each.tensorIndex = places[each.tensorIndex]


def _without_empty(model: Any) -> None:
    """Buffers once each, the empty one first, and no operator codes or marks that nothing has."""
    model.metadata = [each for each in model.metadata or () if each.name != _MARKS]
    used = sorted({operator.opcodeIndex for graph in model.subgraphs for operator in graph.operators})
    model.operatorCodes = [model.operatorCodes[index] for index in used]
    buffers: dict[bytes, int] = {b"": 0}

    def placed(index: int) -> int:
        data = model.buffers[index].data
        return buffers.setdefault(b"" if data is None else np.asarray(data, np.uint8).tobytes(), len(buffers))

    for graph in model.subgraphs:
        for operator in graph.operators:
            operator.opcodeIndex = used.index(operator.opcodeIndex)
        for tensor in graph.tensors:
            tensor.buffer = placed(tensor.buffer)
    for each in model.metadata:
        each.buffer = placed(each.buffer)
    held = type(model.buffers[0])
    model.buffers = [held() for _ in buffers]
    for data, place in buffers.items():
        model.buffers[place].data = np.frombuffer(data, np.uint8) if data else None


def _moved(indices: Any, places: dict[int, int]) -> Any:
    return np.array([places[int(each)] for each in indices], np.int32)


def _packed(model: Any, size: int) -> bytes:
    """The model's bytes, with arrays, texts, ranges and settings that are the same once."""
    flatbuffers = require("flatbuffers", "FlatBuffers", "int8")
    seen: dict[Hashable, int] = {}

    def once(key: Hashable, write: Callable[[], int]) -> int:
        if key not in seen:
            seen[key] = write()
        return seen[key]

    class Sharing(flatbuffers.Builder):  # type: ignore[misc, name-defined]
        def CreateNumpyVector(self, x: Any) -> int:
            return once((x.dtype.str, x.tobytes()), lambda: int(flatbuffers.Builder.CreateNumpyVector(self, x)))

        def CreateString(self, s: Any, *options: str) -> int:
            return once(s, lambda: int(flatbuffers.Builder.CreateString(self, s, *options)))

    for graph in model.subgraphs:
        _share_ranges(graph)
        ranges, settings = (
            (tensor.quantization for tensor in graph.tensors),
            (o.builtinOptions for o in graph.operators),
        )
        for part in (*ranges, *settings, *graph.tensors):
            if part is not None:
                part.Pack = _packing(part, once)
    builder = Sharing(size)
    builder.Finish(model.Pack(builder), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


def _share_ranges(graph: Any) -> None:
    """One object for the ranges that are the same, by which tensors are, too."""
    held: dict[Hashable, Any] = {}
    for tensor in graph.tensors:
        if tensor.quantization is not None:
            tensor.quantization = held.setdefault(_values(tensor.quantization), tensor.quantization)


def _packing(part: Any, once: Callable[[Hashable, Callable[[], int]], int]) -> Callable[[Any], int]:
    key = type(part), _values(part)
    return lambda builder: once(key, lambda: int(type(part).Pack(part, builder)))


def _values(part: Any) -> tuple[Hashable, ...]:
    return tuple(value.tobytes() if isinstance(value, np.ndarray) else value for value in vars(part).values())
