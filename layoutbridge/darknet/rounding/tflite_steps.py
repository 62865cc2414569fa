"""Steps of a rounded .tflite graph, with which the same whole numbers are computed, and less has to be told.

A tensor may have any step from one whole number to the next as long as what makes it and what reads it agree: the
scales of products' weights take up the difference. Where what a product reads has a step of 1, its bias has the very
scales of its weights, which a file holds once.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

_PRODUCTS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
_SCALED_ALIKE = (  # give a factor times what they gave, for a factor times what they read
    "ADD", "CONCATENATION", "MAX_POOL_2D", "RESIZE_NEAREST_NEIGHBOR", "PAD", "RESHAPE", "TRANSPOSE", "SLICE",
    "STRIDED_SLICE", "SPLIT", "SPACE_TO_DEPTH", "RELU", "LEAKY_RELU",
)  # fmt: skip
_FIXED = -1  # stands for tensors that keep their step


def with_steps_of_one(model: Any, graph: Any, schema: Any) -> None:
    """Have what products read step by 1, where nothing but whole numbers hangs on it; changed in place."""
    kinds = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    bounded = (schema.ActivationFunctionType.NONE, schema.ActivationFunctionType.RELU)
    uses = Counter(int(each) for operator in graph.operators for each in operator.inputs)
    groups: dict[int, int] = {}

    def group(tensor: int) -> int:
        while groups.get(tensor, tensor) != tensor:
            tensor = groups[tensor]
        return tensor

    def join(tensors: list[int]) -> None:
        first, *others = sorted(map(group, tensors))
        for other in others:
            groups[other] = first

    def is_whole(tensor: int) -> bool:
        return tensor >= 0 and bool(graph.tensors[tensor].type == schema.TensorType.INT8)

    def is_constant(tensor: int) -> bool:
        return model.buffers[graph.tensors[tensor].buffer].data is not None

    def takes_any(operator: Any, kind: str) -> bool:
        """Whether it is a product with weights of its own, whose scales may change."""
        held = [int(each) for each in operator.inputs[1:] if each >= 0]
        alone = all(is_constant(each) and uses[each] == 1 for each in held)
        return kind in _PRODUCTS and alone and all(map(is_whole, (operator.inputs[0], held[0], operator.outputs[0])))

    products = []
    join([_FIXED, *(int(each) for each in (*graph.inputs, *graph.outputs))])
    for operator in graph.operators:
        kind = kinds[codes[operator.opcodeIndex]]
        whole = [int(each) for each in (*operator.inputs, *operator.outputs) if is_whole(int(each))]
        free = getattr(operator.builtinOptions, "fusedActivationFunction", bounded[0]) in bounded
        if free and takes_any(operator, kind):
            products.append(operator)
        elif free and kind in _SCALED_ALIKE and not any(map(is_constant, whole)):
            join(whole or [_FIXED])
        else:
            join([_FIXED, *whole])
    seen: dict[int, Counter[float]] = {}
    for operator in products:
        read = int(operator.inputs[0])
        filters = len(graph.tensors[operator.inputs[1]].quantization.scale)
        seen.setdefault(group(read), Counter())[_step(graph, read)] += filters
    factors = {each: 1.0 if each == _FIXED else max(counts, key=counts.__getitem__) for each, counts in seen.items()}
    changed: dict[int, float] = {}
    for tensor in {int(each) for one in graph.operators for each in (*one.inputs, *one.outputs) if is_whole(int(each))}:
        changed[tensor] = 1.0 if is_constant(tensor) else factors.get(group(tensor), 1.0)
    for operator in products:
        read, weights, given = int(operator.inputs[0]), int(operator.inputs[1]), int(operator.outputs[0])
        _scale(graph.tensors[weights], changed[read] / changed[given])
    for tensor, factor in changed.items():
        if factor != 1:
            _scale(graph.tensors[tensor], 1 / factor)
    for operator in products:
        if len(operator.inputs) > 2 and operator.inputs[2] >= 0:
            scales = graph.tensors[operator.inputs[1]].quantization.scale
            step = np.float32(_step(graph, int(operator.inputs[0])))
            bias = graph.tensors[operator.inputs[2]].quantization
            if len(bias.scale) == len(scales):
                bias.scale = scales * step


def _step(graph: Any, tensor: int) -> float:
    return float(graph.tensors[tensor].quantization.scale[0])


def _scale(tensor: Any, factor: float) -> None:
    scale = tensor.quantization.scale
    tensor.quantization.scale = (scale.astype(np.float64) * factor).astype(np.float32)
