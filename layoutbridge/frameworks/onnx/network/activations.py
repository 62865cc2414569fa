"""The activations in ONNX: one operator, or the few that runtimes recognise as one."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from onnx import TensorProto

from layoutbridge.frameworks.onnx.network.graph import Graph
from layoutbridge.frameworks.onnx.network.operators import clip
from layoutbridge.frameworks.onnx.programs.forms import Forms
from layoutbridge.frameworks.primitives import Function

_DIRECT: dict[str, tuple[str, dict[str, str]]] = {
    "sigmoid": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
    "relu": ("Relu", {}),
    "leaky_relu": ("LeakyRelu", {"slope": "alpha"}),
    "elu": ("Elu", {"alpha": "alpha"}),
    "selu": ("Selu", {"alpha": "alpha", "gamma": "gamma"}),
    "exp": ("Exp", {}),
    "sqrt": ("Sqrt", {}),
    "floor": ("Floor", {}),
}


def activation(
    graph: Graph,
    x: str,
    function: Function,
    numbers: Mapping[str, float],
    forms: Forms,
    without: Collection[str],
) -> str:
    """`function` of every element of x, `numbers` as `Function` names them, in the `forms` of a runtime.

    Where Clip, Softplus or Selu are in `without`, others stand for them.
    """
    add = graph.add
    if "Clip" in without and function in ("clip", "step"):
        if function == "step" and forms.whole_constants:  # no number is repeated for several pictures in Greater
            return add("Ceil", [add("Tanh", [add("Relu", [x])])])
        if function == "step":
            return add("Cast", [add("Greater", [x, graph.number(0.0)])], to=TensorProto.FLOAT)
        return _clip_by_relu(graph, x, numbers)
    if function == "clip":
        return clip(graph, x, numbers["low"], numbers["high"])
    if function == "step":
        return add("Ceil", [clip(graph, x, 0.0, 1.0)])
    if function == "swish":
        return add("Mul", [x, add("Sigmoid", [x])])
    if function == "selu" and "Selu" in without:
        return add("Mul", [add("Elu", [x], alpha=float(numbers["alpha"])), graph.number(numbers["gamma"])])
    if function == "mish" and (forms.mish_by_exp or "Softplus" in without):  # right where exp is 0 or infinite, too
        power = add("Exp", [x])
        ratio = add("Mul", [power, add("Add", [power, graph.number(2.0)])])
        below = add("Add", [add("Div", [graph.number(2.0), ratio]), graph.number(1.0)])
        return add("Div", [x, below])
    if function == "mish":  # the operator itself exists from opset 18 on, and has no kernel everywhere
        return add("Mul", [x, add("Tanh", [add("Softplus", [x])])])
    operator, attributes = _DIRECT[function]
    return add(operator, [x], **{attributes[key]: float(value) for key, value in numbers.items()})


def _clip_by_relu(graph: Graph, x: str, numbers: Mapping[str, float]) -> str:
    """high − relu(high − low − relu(x − low)): as near as the largest of both bounds is rounded."""
    low, high = (float(numbers[key]) for key in ("low", "high"))
    above = graph.add("Relu", [graph.add("Add", [x, graph.number(-low)]) if low else x])
    missing = graph.add("Relu", [_less_than(graph, high - low, above)])
    return _less_than(graph, high, missing)


def _less_than(graph: Graph, number: float, x: str) -> str:
    """number − x."""
    return graph.add("Add", [graph.add("Mul", [x, graph.number(-1.0)]), graph.number(number)])
