"""An exported program for inference: batch norms folded and convolutions packed when it is loaded, as `packing` does.

What the file says stays what it is: the graph of the loaded module is changed. In bfloat16 convolutions compute, and
what only moves or compares their results hands on; all else is in float32, the places of boxes too.
"""

from __future__ import annotations

import operator
from typing import Any, cast

import numpy as np
import torch
from torch.fx import GraphModule, Node
from torch.nn import functional

from layoutbridge.frameworks.torch.packing import PackedConvolution

_ATEN = torch.ops.aten
_ACTIVATIONS = {
    _ATEN.leaky_relu.default: functional.leaky_relu,
    _ATEN.relu.default: torch.relu,
    _ATEN.silu.default: functional.silu,
}
_HANDING_ON = (  # in bfloat16 they lose nothing
    _ATEN.max_pool2d.default, _ATEN.cat.default, _ATEN.slice.Tensor, _ATEN.upsample_nearest2d.vec,
    _ATEN.split_with_sizes.default, operator.getitem,
)  # fmt: skip
_SLOPE = 0.01  # leaky_relu's own


def pack(module: GraphModule, *, bfloat16: bool = False) -> int:
    """Put packed convolutions into the module's graph, with the batch norms and activations behind them.

    How many there are is returned: none where the graph changes tensors in place or reads them by strides, for
    results lie channels last then. Those of shapes that are open are left as they are.

    >>> class Net(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.layer = torch.nn.Conv2d(3, 4, 3)
    ...     def forward(self, x):
    ...         return torch.relu(self.layer(x))
    >>> x = torch.ones(1, 3, 5, 5)
    >>> module = torch.export.export(Net(), (x,)).module()
    >>> before = module(x)
    >>> pack(module), torch.allclose(module(x), before, atol=1e-6)
    (1, True)
    """
    if any(_is_bound_to_memory(node) for node in module.graph.nodes):
        return 0
    packed: set[Node] = set()
    for node in list(module.graph.nodes):
        if node.target == _ATEN.view.default:
            node.target = _ATEN.reshape.default  # a view of what lies channels last may not be there
        elif node.target == _ATEN.conv2d.default:
            made = _packed(module, node, len(packed))
            if made is not None:
                packed.add(made)
    if bfloat16:
        _in_bfloat16(module, packed)
    module.graph.eliminate_dead_code()
    module.delete_all_unused_submodules()
    module.recompile()
    return len(packed)


def _is_bound_to_memory(node: Node) -> bool:
    schema = getattr(node.target, "_schema", None)
    return node.target == _ATEN.as_strided.default or (schema is not None and schema.is_mutable)


def _packed(module: GraphModule, node: Node, number: int) -> Node | None:
    """The call of a packed convolution in the place of this one and what follows; None where it cannot be packed."""
    given = dict(zip(("x", "weight", "bias", "stride", "padding", "dilation", "groups"), node.args, strict=False))
    given |= node.kwargs
    source = cast("Node", given["x"])
    weights, bias = _values(module, given["weight"]), _values(module, given.get("bias"))
    shape = tuple(getattr(source.meta.get("val"), "shape", ()))
    if weights is None or len(shape) != 4 or not all(isinstance(length, int) for length in shape[1:]):
        return None
    if given.get("bias") is not None and bias is None:
        return None
    last, factors = node, np.ones(len(weights))
    follower = _only_user(node, _ATEN.batch_norm.default)
    if follower is not None:
        told = [_values(module, argument) for argument in follower.args[1:5]]
        if follower.args[5] is False and told[2] is not None and told[3] is not None:
            mean, variance = told[2], told[3]
            factors = (1.0 if told[0] is None else told[0]) / np.sqrt(variance + cast("float", follower.args[7]))
            bias = ((0.0 if bias is None else bias) - mean) * factors + (0.0 if told[1] is None else told[1])
            last = follower
    convolution = PackedConvolution(
        (weights * factors[:, None, None, None]).astype(np.float32),
        None if bias is None else bias.astype(np.float32),
        in_shape=shape[1:],
        stride=_pair(given.get("stride", 1)),
        padding=_pair(given.get("padding", 0)),
        dilation=_pair(given.get("dilation", 1)),
        groups=cast("int", given.get("groups", 1)),
    )
    for target, function in _ACTIVATIONS.items():
        follower = _only_user(last, target)
        if follower is not None:
            numbers = ((*follower.args[1:], _SLOPE)[0],) if function is functional.leaky_relu else ()
            convolution.activation, last = (function, numbers), follower
            break
    name = f"packed_{number}"
    module.add_submodule(name, convolution)
    with module.graph.inserting_before(node):
        made = module.graph.call_module(name, (source,))
    made.meta = dict(last.meta)
    last.replace_all_uses_with(made)
    return made


def _only_user(node: Node, target: Any) -> Node | None:
    """What alone reads the node, where that is such an operation, of the node first."""
    users = list(node.users)
    fits = len(users) == 1 and users[0].target == target and users[0].args[0] is node
    return users[0] if fits else None


def _values(module: GraphModule, argument: object) -> Any:
    """The values of a parameter of the graph, float64; None where it is none, or not of float32."""
    if not isinstance(argument, Node) or argument.op != "get_attr":
        return None
    held = operator.attrgetter(str(argument.target))(module)
    if not isinstance(held, torch.Tensor) or held.dtype != torch.float32 or held.device.type != "cpu":
        return None
    return held.detach().numpy().astype(np.float64)


def _pair(told: Any) -> tuple[int, int]:
    numbers = [told, told] if isinstance(told, int) else [*told] * 2
    return numbers[0], numbers[1]


def _in_bfloat16(module: GraphModule, packed: set[Node]) -> None:
    """Convolutions in bfloat16, and casts where it begins and ends."""
    short = set(packed)
    for node in list(module.graph.nodes):
        sources = node.all_input_nodes
        if node in packed:
            module.get_submodule(str(node.target)).to(torch.bfloat16)
            if sources[0] not in short:
                with module.graph.inserting_before(node):
                    node.update_arg(0, module.graph.call_method("bfloat16", (sources[0],)))
        elif node.target in _HANDING_ON and sources and all(source in short for source in sources):
            short.add(node)
        else:
            for source in sources:
                if source in short:
                    with module.graph.inserting_before(node):
                        node.replace_input_with(source, module.graph.call_method("float", (source,)))
