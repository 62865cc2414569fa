"""Calls that do the same whatever order the axes of their tensors are in, once their arguments are told the new one."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import Node
from torch.fx.node import map_arg

from layoutbridge.rewriting.torch.writing import Writer, contiguous_like, is_contiguous

Order = tuple[int, ...]  # of the axes as they are now, in the tensor that is to be
_ATEN = torch.ops.aten
_ELEMENTWISE = frozenset((
    "relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "mish", "sigmoid", "hardsigmoid", "hardswish",
    "hardtanh", "tanh", "softplus", "log_sigmoid", "threshold", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p",
    "sqrt", "rsqrt", "square", "abs", "neg", "sign", "floor", "ceil", "round", "trunc", "frac", "erf", "erfc", "sin",
    "cos", "tan", "sinh", "cosh", "asin", "acos", "atan", "reciprocal", "clamp", "clamp_min", "clamp_max", "clip",
    "nan_to_num", "isnan", "isinf", "logical_not", "bitwise_not", "positive", "alias", "detach", "clone", "contiguous",
    "to", "_to_copy", "dropout", "feature_dropout", "add", "sub", "rsub", "mul", "div", "true_divide", "pow", "maximum",
    "minimum", "fmod", "remainder", "atan2", "where", "eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or",
    "logical_xor", "bitwise_and", "bitwise_or", "bitwise_xor", "lerp", "addcmul", "addcdiv",
))  # fmt: skip
# What works along axes that one of its arguments names, and keeps all of them.
_ALONG = {
    "cat": "dim", "concat": "dim", "softmax": "dim", "_softmax": "dim", "log_softmax": "dim", "_log_softmax": "dim",
    "slice": "dim", "split": "dim", "split_with_sizes": "dim", "chunk": "dim", "flip": "dims", "mean": "dim",
    "sum": "dim", "amax": "dim", "amin": "dim",
}  # fmt: skip
_REDUCING = frozenset(("mean", "sum", "amax", "amin"))
_NORMS = frozenset(("batch_norm", "_native_batch_norm_legit_no_training"))
_DROPOUTS = frozenset(("dropout", "feature_dropout"))
_FORMATS = (torch.contiguous_format, torch.preserve_format)
_CHANNELS = 1


@dataclass(frozen=True, slots=True)
class Turns:
    """The transposes of a graph, by their nodes, and how many bytes each tensor has, by its node's name."""

    orders: Mapping[Node, Order]
    sizes: Mapping[str, int]

    def of(self, node: Node, rank: int) -> Order | None:
        """The order in which a node turns a tensor of so many axes; None where it does something else."""
        order = self.orders.get(node)
        return order if order is not None and len(order) == rank else None

    def bytes(self, node: Node) -> int:
        """The size of a node's tensor."""
        return self.sizes.get(node.name, 0)


def rank_of(node: Node) -> int | None:
    """How many axes the tensor of a node has, or the first of those that it gives; None for what is no tensor."""
    value = node.meta.get("val")
    first = value[0] if isinstance(value, list | tuple) and value else value
    return first.dim() if isinstance(first, torch.Tensor) else None


def is_free(node: Node) -> bool:
    """Whether a call does not mind the order of axes; what writes into its tensor stands for what gives a new one."""
    name = _name(node)
    formats = (value for value in (*node.args, *node.kwargs.values()) if isinstance(value, torch.memory_format))
    if name is None or rank_of(node) is None or any(value not in _FORMATS for value in formats):
        return False
    if name in _DROPOUTS and _argument(node, "train"):
        return False
    if name in _REDUCING and not (_argument(node, "dim") and _argument(node, "keepdim")):
        return False
    if name == "batch_norm" and _argument(node, "training"):
        return False
    if _giving_anew(node) and len({held.meta["val"].dtype for held in taken(node)}) > 1:  # which may give another dtype
        return False
    return name in _ELEMENTWISE or name in _ALONG or name in _NORMS or name == "getitem"


def taken(node: Node) -> list[Node]:
    """The tensors whose elements a free call takes: those that it spreads over others are told by their rank."""
    if _name(node) in _ELEMENTWISE:
        return [held for held in node.all_input_nodes if rank_of(held) is not None]
    first = node.args[0]
    return [held for held in (first if isinstance(first, list | tuple) else [first]) if isinstance(held, Node)]


def allows(node: Node, order: Order) -> bool:
    """Whether a free call can be done with its axes in that order."""
    return _name(node) not in _NORMS or order.index(_CHANNELS) in (_CHANNELS, len(order) - 1)


def turn(node: Node, order: Order, inputs: Mapping[Node, Node]) -> Node:
    """Do a free call on other tensors, whose axes are in that order; gives the node that has the result."""
    is_in_order = all(_lies_in_order(held) for held in inputs.values()) or _name(node) == "contiguous"
    node.args = map_arg(node.args, lambda held: inputs.get(held, held))
    node.kwargs = map_arg(node.kwargs, lambda held: inputs.get(held, held))
    name = _name(node)
    if name in _ALONG:
        _name_axes(node, _ALONG[name], order)
    if writes := _giving_anew(node):
        node.target = writes
    values = node.meta["val"]
    made = [_turned(value, order, node, is_in_order) for value in _listed(values)]
    node.meta["val"] = made[0] if isinstance(values, torch.Tensor) else type(values)(made)
    node.meta.pop("tensor_meta", None)
    if name in _NORMS and order.index(_CHANNELS) != _CHANNELS:
        return _of_rows(node)
    source = node.args[0]
    if name == "getitem" and isinstance(source, Node) and rank_of(source) != len(order):  # of a batch norm of rows
        rows = source.all_input_nodes[0]
        node.meta["val"] = rows.meta["val"]
        return Writer(node.next, None).shaped_as(node, rows.all_input_nodes[0])
    return node


# ---------------------------------------------------------------------- parts


def _name(node: Node) -> str | None:
    """The operator's name; that of one which writes into its tensor without the mark of it."""
    if node.target is operator.getitem:
        return "getitem"
    if not isinstance(node.target, torch._ops.OpOverload) or node.target.namespace != "aten":
        return None
    name: str = node.target._opname
    return name[:-1] if name.endswith("_") else name


def _giving_anew(node: Node) -> torch._ops.OpOverload | None:
    """What gives a new tensor, for an operator that writes into one."""
    target = node.target
    if not isinstance(target, torch._ops.OpOverload) or not target._opname.endswith("_"):
        return None
    found: torch._ops.OpOverload = getattr(getattr(_ATEN, target._opname[:-1]), target._overloadname)
    return found


def _of_rows(node: Node) -> Node:
    """A batch norm of channels that come last, as one of rows."""
    x = node.args[0]
    assert isinstance(x, Node)
    rows = Writer(node, None).as_rows(x)
    node.args = (rows, *node.args[1:])
    value = node.meta["val"]
    if isinstance(value, torch.Tensor):
        node.meta["val"] = contiguous_like(rows, rows.meta["val"].shape)
        return Writer(node.next, None).shaped_as(node, x)
    node.meta["val"] = (contiguous_like(rows, rows.meta["val"].shape), *value[1:])
    return node


def _turned(value: torch.Tensor, order: Order, node: Node, is_in_order: bool) -> torch.Tensor:
    if value.dim() != len(order):
        return value
    made = value.permute(order)
    if not is_in_order:
        return made
    with value.fake_mode:  # type: ignore[attr-defined]
        return torch.empty(made.shape, dtype=value.dtype, device=value.device)


def _lies_in_order(node: Node) -> bool:
    return all(not isinstance(value, torch.Tensor) or is_contiguous(value) for value in _listed(node.meta["val"]))


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _name_axes(node: Node, argument: str, order: Order) -> None:
    now = _argument(node, argument)
    axes = [order.index(axis % len(order)) for axis in _listed(now)]
    _set_argument(node, argument, axes if isinstance(now, list | tuple) else axes[0])


def _argument(node: Node, name: str) -> Any:
    place, usual = _place(node, name)
    return node.args[place] if place < len(node.args) else node.kwargs.get(name, usual)


def _set_argument(node: Node, name: str, value: Any) -> None:
    place, _ = _place(node, name)
    if place < len(node.args):
        node.update_arg(place, value)
    else:
        node.update_kwarg(name, value)


def _place(node: Node, name: str) -> tuple[int, Any]:
    """Where an operator takes an argument, and what it is where it is not given."""
    assert isinstance(node.target, torch._ops.OpOverload)
    for place, argument in enumerate(node.target._schema.arguments):
        if argument.name == name:
            return place, argument.default_value if argument.has_default_value() else None
    return len(node.args), None
