"""Surfaces of whole models whose graphs are read without their runtimes."""

from __future__ import annotations

from pathlib import Path
from random import Random

from layoutbridge.scanning.readers.ncnn import read
from layoutbridge.scanning.readers.ncnn_moves import MOVES
from layoutbridge.scanning.readers.ncnn_shapes import SHAPES
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
