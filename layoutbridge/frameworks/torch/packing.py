"""Convolutions for inference: weights once in the order in which the processor reads them, the activation within.

PyTorch's own `conv2d` puts the weights into that order at every call, which takes a quarter of YOLOv2's time. oneDNN's
operators beside it, those that torch.compile's freezing writes, take packed weights and an activation. Where they are
not there, or the numbers are others than they take, the convolution is PyTorch's own, channels last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from layoutbridge.errors import ParameterError
from layoutbridge.frameworks.primitives import Pair, Shape
from layoutbridge.frameworks.torch.program import Program, called

_NAMES: dict[Callable[..., Any], str] = {  # oneDNN's, of the activations that a convolution may end with
    functional.leaky_relu: "leaky_relu",
    torch.relu: "relu",
    functional.silu: "swish",
}


class PackedConvolution(torch.nn.Module):
    """conv2d of [N, C, H, W] in channels-last memory, then `activation`; it has no gradient and no state dict.

    The weights [filters, C/groups, rows, columns] and biases [filters] are float32, and converted with the module
    (`to`, `double`, `cuda`). They are packed for pictures of `in_shape`, and right for others.

    >>> convolution = PackedConvolution(
    ...     np.ones((2, 3, 1, 1), np.float32), None, in_shape=(3, 4, 4), stride=(1, 1), padding=(0, 0)
    ... )
    >>> convolution(torch.ones(5, 3, 4, 4)).unique()
    tensor([3.])
    """

    weights: torch.Tensor | None
    bias: torch.Tensor | None

    def __init__(
        self,
        weights: NDArray[np.float32],
        bias: NDArray[np.float32] | None,
        *,
        in_shape: Shape,
        stride: Pair,
        padding: Pair,
        dilation: Pair = (1, 1),
        groups: int = 1,
    ) -> None:
        super().__init__()
        self.in_shape, self.shape = in_shape, weights.shape
        self.options = (padding, stride, dilation, groups)
        self.activation: tuple[Callable[..., Any], tuple[Any, ...]] | None = None
        self.register_buffer("weights", torch.from_numpy(np.array(weights, np.float32)), persistent=False)
        self.register_buffer(
            "bias", None if bias is None else torch.from_numpy(np.array(bias, np.float32)), persistent=False
        )
        self._packed: torch.Tensor | None = None
        self._pack()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The activated convolution [N, filters, H, W], channels last.

        Raises `ParameterError` where it is exported or traced, and for an x of another dtype than the weights.
        """
        held = self.weights if self._packed is None else self._packed
        assert held is not None
        # packed weights would take some other dtypes, rounding silently, and oneDNN refuses the rest in its own words
        if x.dtype != held.dtype and not torch.is_autocast_enabled(x.device.type):
            raise ParameterError(f"the input is {x.dtype} and the weights are {held.dtype}: convert one of them")
        x = x.contiguous(memory_format=torch.channels_last)
        padding, stride, dilation, groups = self.options
        if self._packed is None:
            made = functional.conv2d(x, held, self.bias, stride, padding, dilation, groups)
            return made if self.activation is None else self.activation[0](made, *self.activation[1])
        if _is_exported():
            raise ParameterError("a module for inference cannot be exported: export that of to_torch() without")
        name, numbers = ("none", ()) if self.activation is None else (_NAMES[self.activation[0]], self.activation[1])
        made = torch.ops.mkldnn._convolution_pointwise(
            x, self._packed, self.bias, padding, stride, dilation, groups, name, [*numbers], ""
        )
        return made  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        """Shape of the weights, and what follows."""
        name = "" if self.activation is None else f", {_NAMES[self.activation[0]]}"
        return f"{'×'.join(map(str, self.shape))}{name}"

    def _pack(self) -> None:
        """Put the weights into oneDNN's order, where it is there and takes them; they are not kept in another."""
        weights = self.weights
        assert weights is not None
        if _is_packable(weights):
            picture = (1, *self.in_shape)
            self._packed = torch.ops.mkldnn._reorder_convolution_weight(weights, *self.options, picture)
            self.weights = None
        else:
            self.weights = weights.contiguous(memory_format=torch.channels_last)

    def _unpack(self) -> None:
        if self._packed is not None:
            self.weights, self._packed = self._packed.to_dense(), None

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> PackedConvolution:
        """What `to`, `double` and `cuda` call: packed weights neither change their type nor leave the processor."""
        self._unpack()
        try:
            super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        finally:  # a device that is not there changes nothing
            self._pack()
        return self

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        if self._packed is not None:  # which has no storage that could be copied
            state["_buffers"] = {**self._buffers, "weights": self._packed.to_dense()}
            state["_packed"] = None
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._pack()


def with_activations(program: Program, result: int) -> None:
    """Put activations into the packed convolutions before them, but for those that others read, or the `result` is."""
    readers = Counter(source for call in program.calls for source in call.sources)
    makers = dict(enumerate(program.calls, program.inputs))
    for place, call in enumerate(program.calls):
        if call.function not in _NAMES or call.sources[0] == result or readers[call.sources[0]] > 1:
            continue
        source = call.sources[0]
        before = makers.get(source) if isinstance(source, int) else None
        name = before.sources[0] if before is not None and before.function is called else None
        if isinstance(name, str) and readers[name] == 1:
            convolution = program.modules[name]
            if before is not None and isinstance(convolution, PackedConvolution):
                convolution.activation = call.function, call.rest
                program.calls[place] = before


def _is_packable(weights: torch.Tensor) -> bool:
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    if weights.device.type != "cpu":
        return False
    if not hasattr(torch.ops.mkldnn, "_reorder_convolution_weight"):
        return False
    return weights.dtype == torch.float32 or (
        weights.dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    )


def _is_exported() -> bool:
    """Whether torch.export (which PyTorch tells from 2.7 on) or a trace follows: neither can write packed weights."""
    traced = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]  # public, without types
    return bool(getattr(torch.compiler, "is_exporting", bool)()) or bool(traced)
