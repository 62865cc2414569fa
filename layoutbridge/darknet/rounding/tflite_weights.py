"""Weights of convolutions as matrices while Google's quantizer has them, and in their own shapes again behind it.

What is larger than 32 MiB it rounds in pieces, where it takes a scale for each filter of matrices alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np

_CONVOLUTIONS = ("CONV_2D", "TRANSPOSE_CONV")  # the second thing that they take are weights [filters, ...]
Shape = tuple[int, ...]


def as_matrices(model: Any) -> tuple[Shape | None, ...]:
    """Make [filters, products] of a model's constant weights, in place; the shapes that convolutions had, in order.

    None stands for weights that stay as they are. The model is unpacked, and for the quantizer alone: nothing runs it
    before `in_own_shapes`.
    """
    tensors, shapes = model.subgraphs[0].tensors, dict[int, Shape]()
    wanted = [int(operator.inputs[1]) for operator in _convolutions(model)]
    for weights in wanted:
        tensor = tensors[weights]
        if model.buffers[tensor.buffer].data is not None and len(tensor.shape) > 2:
            shapes[weights] = tuple(map(int, tensor.shape))
            tensor.shape = np.array([shapes[weights][0], prod(shapes[weights][1:])], np.int32)
    return tuple(map(shapes.get, wanted))


def in_own_shapes(model: Any, shapes: tuple[Shape | None, ...]) -> None:
    """Give the weights of a model, unpacked, the shapes from `as_matrices`; changed in place.

    Operators stay in their order when a file is rounded; weights that are stored in whole numbers alone come through
    an operator more.
    """
    graph = model.subgraphs[0]
    makers = {int(output): operator for operator in graph.operators for output in operator.outputs}
    for operator, shape in zip(_convolutions(model), shapes, strict=True):
        weights = None if shape is None else int(operator.inputs[1])
        while weights is not None:
            graph.tensors[weights].shape = np.array(shape, np.int32)
            weights = int(makers[weights].inputs[0]) if weights in makers else None


def _convolutions(model: Any) -> Iterator[Any]:
    from ai_edge_litert import schema_py_generated as schema

    wanted = {getattr(schema.BuiltinOperator, name) for name in _CONVOLUTIONS}
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    return (operator for operator in model.subgraphs[0].operators if codes[operator.opcodeIndex] in wanted)
