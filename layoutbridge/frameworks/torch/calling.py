"""Somebody's PyTorch code, called with an array."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from numpy.typing import NDArray


def is_module(target: object) -> bool:
    """Whether `target` is an `nn.Module`."""
    import torch

    return isinstance(target, torch.nn.Module)


def call(target: Callable[..., Any], x: NDArray[Any]) -> Any:
    """The result of `target` for `x` as a tensor, without gradients; that of a module in evaluation mode."""
    import torch

    from layoutbridge.frameworks.torch.evaluation import in_evaluation

    mode = in_evaluation(target) if isinstance(target, torch.nn.Module) else nullcontext(target)
    with mode as function, torch.no_grad():
        return function(torch.from_numpy(x.copy()))
