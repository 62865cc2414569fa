"""Surfaces of whole models whose graphs are read without their runtimes."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

from layoutbridge.scanning.models import scan
from layoutbridge.scanning.readers.ncnn import read
from layoutbridge.scanning.readers.ncnn_moves import MOVES
from layoutbridge.scanning.readers.ncnn_shapes import SHAPES
from tests.fuzzing.models import mutated_onnx
from tests.fuzzing.mutation import encoded, number, word
from tests.fuzzing.surface import refuse_unclear, surface, written

_KINDS = sorted({*MOVES, *SHAPES, "Input", "MemoryData", "Mystery"})
_NUMBERS = ("0", "1", "2", "3", "4", "8", "-1", "-2", "-233", "-234", "2147483647", "-2147483648", "0.5", "1e9")
_FORMULAS = ('"0w,0h"', '"//(0w,0)"', '"*(0w,2),-1"', '"max(1c,-)"', '"1e999"', '"floor(/(0w,3))"', "0c,0h")


def drawn_param(random: Random) -> bytes:
    """A network of ncnn's layers, each with some numbers, most of whose blobs were given before."""
    lines, blobs = ["Input in 0 1 b0 0=8 1=6 2=4"], ["b0"]
    for place in range(random.choice((1, 2, 4, 8))):
        taken = random.choices(blobs, k=random.choice((0, 1, 1, 1, 1, 2, 3)))
        given = [f"b{len(blobs) + k}" for k in range(random.choice((0, 1, 1, 1, 1, 2, 3)))]
        name = f"l{place}" if random.random() < 0.95 else word(random)
        values = [_value(random) for _ in range(random.randint(0, 5))]
        words = (random.choice(_KINDS), name, len(taken), len(given), *taken, *given, *values)
        lines.append(" ".join(map(str, words)))
        blobs += given
    count = len(lines) if random.random() < 0.95 else number(random)
    return encoded("\n".join(["7767517", f"{count} {len(blobs)}", *lines, ""]))


def _value(random: Random) -> str:
    key, deed = random.choice((*range(24), 30)), random.random()
    if deed < 0.7:
        return f"{key}={random.choice(_NUMBERS) if random.random() < 0.9 else number(random)}"
    if deed < 0.75:
        return f"{key}={random.choice(_FORMULAS)}"
    entries = [random.choice(_NUMBERS) for _ in range(random.randint(0, 4))]
    return f"{-23300 - key}={','.join([str(len(entries)), *entries])}"


@surface(".param", drawn_param)
def scanned_ncnn(data: bytes, folder: Path) -> None:
    """An ncnn network's .param, read as a graph: each tensor has a size, and each node's inputs are there."""
    graph = read(written(folder, "net.param", data))
    for note in graph.notes:
        refuse_unclear(note, 1)
    made = {*graph.inputs, *(name for name, tensor in graph.tensors.items() if tensor.is_constant)}
    for node in graph.nodes:
        assert made.issuperset(node.inputs), node
        assert graph.tensors[node.output].bytes > 0, node
        made.add(node.output)
    assert made.issuperset(graph.outputs)


# ---------------------------------------------------------------------- ONNX

_INPUTS = ((1, 4, 4, 4), (1, 4, 4, 4), (1, 8, 6, 4), (2, 3, 4), ("N", 4, "H", "W"), ("N", 4), (None, None), (), (6,))
_LISTS: tuple[tuple[int, ...], ...] = (
    (0, 2, 3, 1), (0, 3, 1, 2), (1, 0, 2), (1, 4, 2, 2, 4), (0, -1), (1, -1, 4), (2, 2), (-1,), (0,), (1,), (), (4, 4),
    (0, 1), (2, 3), (1, 2, 1, 2), (3, 2, 1, 0), (1 << 62,), (-(1 << 63),), (0, 0, 0, 0, 1, 1, 1, 1), (1 << 20, 1 << 20),
)  # fmt: skip
_WORDS = ("CRD", "DCR", "reflect", "VALID", "nchw->nhwc", "ij,jk->ik", "ii->i", "...a->a...", "n->", "abcd->dcba", "x")
_WHOLE = (0, 1, 1, 2, 2, 3, 4, -1, -2, 7, 9, 99, 1 << 40, 1 << 62, -(1 << 63))
_OPERATORS = (
    "Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Dropout", "Cast", "Pad", "Transpose", "Slice", "Split",
    "Concat", "Gather", "GatherElements", "GatherND", "Tile", "Expand", "SpaceToDepth", "DepthToSpace", "Einsum",
    "Conv", "Shape", "Size", "Add", "Mul", "Div", "Floor", "Relu", "MatMul", "Gemm", "ConstantOfShape", "Range",
    "Resize", "Where", "ReduceSum", "ReverseSequence", "Mystery", "If", "Loop",
)  # fmt: skip


def drawn_onnx(random: Random) -> bytes:
    """A model of operators that may move elements, with attributes that they have, and constants of any use."""
    from onnx import TensorProto, ValueInfoProto, helper

    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, random.choice(_INPUTS))]
    if random.random() < 0.2:
        inputs.append(helper.make_tensor_value_info("z", random.choice((1, 7, 9, 11)), random.choice(_INPUTS)))
    names = [each.name for each in inputs]
    nodes: list[Any] = []
    constants: list[Any] = []
    for place in range(random.choice((1, 2, 4, 8))):
        kind, domain = random.choice(_OPERATORS), "" if random.random() < 0.97 else "own"
        if kind == "Concat":
            taken = random.choices(names[-3:], k=random.choice((1, 2, 3)))
        else:
            own = [_constant(random, f"c{place}_{each}") for each in range(_others(random, kind))]
            taken = [random.choice(names[-3:]), *(each.name for each in own)]
            constants += own
        given = [f"t{place}_{each}" for each in range(random.choice((1, 1, 1, 1, 2, 3)))]
        made = helper.make_node(kind, taken, given, name=f"n{place}", domain=domain)
        made.attribute.extend(_attributes(random, kind))
        if kind in ("If", "Loop") and nodes:
            body = helper.make_graph(nodes[-1:], "inner", [], [ValueInfoProto(name=nodes[-1].output[0])])
            made.attribute.append(helper.make_attribute("then_branch" if kind == "If" else "body", body))
        nodes.append(made)
        names += given
    outputs = [ValueInfoProto(name=name) for name in names[-random.choice((1, 1, 2)) :]]
    graph = helper.make_graph(nodes, "g", inputs, outputs, constants)
    opset = helper.make_opsetid("", random.choice((17, 17, 13, 18, 21, 11, 9, 1)))
    return helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString()


def _others(random: Random, kind: str) -> int:
    """How many inputs an operator takes beside the first."""
    from onnx import defs

    if not defs.has(kind) or random.random() < 0.2:
        return random.choice((0, 0, 1, 2, 4))
    schema = defs.get_schema(kind)
    return random.randint(max(schema.min_input - 1, 0), min(schema.max_input, 5) - 1) if schema.max_input else 0


def _constant(random: Random, name: str) -> Any:
    from onnx import TensorProto, helper

    held, deed = random.choice(_LISTS), random.random()
    if deed < 0.1:
        return helper.make_tensor(name, TensorProto.INT64, (), [random.choice(_WHOLE)])
    if deed < 0.2:
        return helper.make_tensor(name, TensorProto.FLOAT, (4, 4, 1, 1), [float(each % 5 == 0) for each in range(16)])
    if deed < 0.3:
        return helper.make_tensor(name, TensorProto.INT32, (1, len(held)), [each % 97 for each in held])
    return helper.make_tensor(name, TensorProto.INT64, (len(held),), held)


def _attributes(random: Random, kind: str) -> list[Any]:
    """Some of the attributes that the operator has, at values of their types."""
    from onnx import AttributeProto, defs, helper

    known = defs.get_schema(kind).attributes if defs.has(kind) else {}
    choices: dict[Any, Any] = {AttributeProto.INT: _WHOLE, AttributeProto.INTS: _LISTS, AttributeProto.STRING: _WORDS}
    kinds: list[tuple[str, Any]] = [(name, each.type) for name, each in known.items()]
    return [
        helper.make_attribute(name, random.choice(choices[kind_of]), attr_type=kind_of)
        for name, kind_of in kinds
        if kind_of in choices and random.random() < 0.5
    ]


@surface(".onnx", drawn_onnx, mutate=mutated_onnx, needs=("onnx",), share=2)
def scanned_onnx(data: bytes, folder: Path) -> None:
    """An ONNX model, scanned: each place is of tensors, and stands in JSON."""
    found = scan(written(folder, "model.onnx", data))
    for note in found.notes:
        refuse_unclear(note, 1)
    assert found.to_json().isascii()
    for place in found.places:
        assert place.nodes and place.bytes >= 0, place
