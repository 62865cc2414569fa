"""Live modules of PyTorch: their layers with weights, in the order in which they compute where they can be run."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from layoutbridge.darknet.returning.source import Kind, Normalization, Part, Source, Tensor, loose_tensors
from layoutbridge.darknet.returning.torch_states import (
    arrays_of,
    paired,
    source_of_state,
    tensors_of,
    unwrapped,
    with_norms,
)
from layoutbridge.darknet.structure.model import Shape
from layoutbridge.errors import class_and_first_line

if TYPE_CHECKING:
    import torch

_KEPT = 8  # outputs of products that a batch norm may follow: others may stand between the two


def source_of_module(module: torch.nn.Module, in_shape: Shape, epsilon: float | None = None) -> Source:
    """The layers of `module`, which is run once on zeros [1, *in_shape], in evaluation mode and without gradients.

    Where that fails the order is that of definition, and a note says why. Where no layer is of PyTorch's classes, as in
    scripts and exported programs, its state dict is read, with `epsilon` where its batch norms do not tell theirs.
    """
    import torch

    arrays = tensors_of(module.state_dict())
    products: dict[str, Part] = {}
    norms: dict[str, Normalization] = {}
    layers: dict[str, torch.nn.Module] = {}
    used: set[str] = set()
    for name, layer in module.named_modules():
        held = {key: Tensor(f"{name}.{key}", arrays_of({key: value}, name)[key]) for key, value in _own(layer)}
        kind: Kind | None = None
        if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm) and layer.running_var is not None:
            norms[name] = Normalization(
                held.get("weight"), held.get("bias"), held["running_mean"], held["running_var"], layer.eps
            )
        elif isinstance(layer, torch.nn.ConvTranspose2d):
            kind = "transposed"
        elif isinstance(layer, torch.nn.Conv2d):
            kind = "convolution"
        elif isinstance(layer, torch.nn.Linear):
            kind = "dense"
        if kind is not None and "weight" in held:
            products[name] = Part(name, kind, held["weight"], held.get("bias"))
        if name in products or name in norms:
            layers[name] = layer
            used.update(tensor.name for tensor in held.values())
    if not products:
        told_epsilons = {norm.epsilon for norm in norms.values()}
        known = told_epsilons.pop() if len(told_epsilons) == 1 else epsilon
        held_arrays = arrays_of(module.state_dict(), type(module).__name__)
        return source_of_state(held_arrays, ordered=True, epsilon=known, named=type(module).__name__)
    notes: tuple[str, ...] = ()
    try:
        order, pairs = _run(module, layers, products, norms, in_shape)
        told = "the order in which its layers compute"
    except Exception as error:  # somebody else's forward function
        order, pairs, told = [], {}, "the order of definition"
        notes = (f"its layers stand in the order of definition: run once, it raised {class_and_first_line(error)}",)
    order += [name for name in layers if name not in order]
    rest = {name: norm for name, norm in norms.items() if name not in pairs}
    free = {name: part for name, part in products.items() if name not in pairs.values()}
    pairs |= paired(order, free, rest) if notes else {}
    behind = tuple(f"{name}.parametrizations." for name in layers)  # what their weights are made of
    rest_of_it = {name: values for name, values in arrays.items() if name not in used and not name.startswith(behind)}
    loose = loose_tensors(unwrapped(rest_of_it))
    return Source(type(module).__name__, with_norms(order, products, norms, pairs), loose, told, notes)


def _own(layer: torch.nn.Module) -> list[tuple[str, Any]]:
    """The tensors of a layer itself that its kind has, those of a parametrized weight as they come out of it."""
    import torch

    names = ("weight", "bias", "running_mean", "running_var")
    return [(name, value) for name in names if isinstance(value := getattr(layer, name, None), torch.Tensor)]


def _run(
    module: torch.nn.Module,
    layers: dict[str, torch.nn.Module],
    products: dict[str, Part],
    norms: dict[str, Normalization],
    in_shape: Shape,
) -> tuple[list[str], dict[str, str]]:
    """The layers in the order in which they compute, and the product that each batch norm takes its input of."""
    import torch

    from layoutbridge.frameworks.torch.evaluation import in_evaluation

    order: list[str] = []
    pairs: dict[str, str] = {}
    latest: deque[tuple[str, Any]] = deque(maxlen=_KEPT)

    def told(name: str) -> Any:
        def after(_: torch.nn.Module, taken: Any, given: Any) -> None:
            if name not in order:
                order.append(name)
            if name in norms and taken:
                behind = next((product for product, output in latest if output is taken[0]), None)
                if behind is not None:
                    pairs.setdefault(name, behind)
            elif name in products:
                latest.append((name, given))

        return after

    hooks = [layer.register_forward_hook(told(name)) for name, layer in layers.items()]
    try:
        like = next(iter(module.parameters()), torch.zeros(()))
        x = torch.zeros((1, *in_shape), dtype=like.dtype, device=like.device)
        with in_evaluation(module) as mode, torch.random.fork_rng([]), torch.no_grad():
            mode(x)
    finally:
        for hook in hooks:
            hook.remove()
    return order, pairs
