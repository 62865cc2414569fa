"""What is computed from parameters before a layer uses them, written in NumPy, recorded in PyTorch.

A layer's meaning may compute with a parameter as with any array: its root, its share of a sum. Where the parameter
can be trained, that must happen at every forward pass, with a gradient. `Derived` stands for the array then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import numpy as np
import torch
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import DTypeLike, NDArray

from layoutbridge.frameworks.primitives import LazyArray, Shape
from layoutbridge.frameworks.torch.program import Program, Source


@dataclass(frozen=True, slots=True)
class Held(LazyArray):
    """An array that the module holds, or computes from what it holds: `source` says where its tensor is."""

    source: Source = ""


def _maximum(a: torch.Tensor, b: torch.Tensor | float) -> torch.Tensor:
    return torch.maximum(a, b) if isinstance(b, torch.Tensor) else a.clamp_min(b)


def step(x: torch.Tensor) -> torch.Tensor:
    """1 where x > 0, else 0; its gradient is that of x/2 within −1 and 1, with which Darknet trains signs."""
    steps = (x > 0).to(x.dtype)
    if not (torch.is_grad_enabled() and x.requires_grad):
        return steps
    slope = x.clamp(-1, 1) / 2
    return steps + (slope - slope.detach())


def _heaviside(x: torch.Tensor, at_zero: float) -> torch.Tensor:
    if at_zero != 0:
        raise TypeError(f"heaviside of a parameter is 0 at 0, not {at_zero}")
    return step(x)


_FUNCTIONS: dict[np.ufunc, Callable[..., torch.Tensor]] = {
    np.add: torch.add,
    np.subtract: torch.sub,
    np.multiply: torch.mul,
    np.divide: torch.div,
    np.power: torch.pow,
    np.square: torch.square,
    np.sqrt: torch.sqrt,
    np.exp: torch.exp,
    np.maximum: _maximum,
    np.absolute: torch.abs,
    np.heaviside: _heaviside,
}
_COMMUTATIVE = (np.add, np.multiply, np.maximum)


class Derived(NDArrayOperatorsMixin):
    """An array of which every NumPy operation is also recorded for the tensor at `source`.

    `value` is what NumPy makes of the parameters as they are now: it tells shapes, and is not used otherwise. The
    tensor keeps the dtype that the module has, whatever `astype` is asked for.
    """

    def __init__(self, program: Program, source: Source, value: NDArray[Any]) -> None:
        self.program, self.source, self.value = program, source, value

    @property
    def shape(self) -> Shape:
        """Its shape."""
        return self.value.shape

    def held(self, name: str) -> Held:
        """The same for the primitives."""
        values = np.asarray(self.value, np.float32)
        return Held(name, values.shape, lambda start, stop: values[start:stop], self.source)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **keywords: Any) -> Any:
        """Record PyTorch's function of the same name: of this array and arrays like it, or a number beside it."""
        if not isinstance(inputs[0], Derived) and ufunc in _COMMUTATIVE:
            inputs = inputs[::-1]
        function = _FUNCTIONS.get(ufunc)
        tensors = list(takewhile(lambda x: isinstance(x, Derived), inputs))
        rest = inputs[len(tensors) :]
        numbers = all(isinstance(x, int | float) for x in rest)
        if function is None or method != "__call__" or keywords or not tensors or not numbers:
            raise TypeError(f"{ufunc.__name__} of a parameter is not recorded so; there is {_known()}")
        value = ufunc(*(x.value for x in tensors), *rest)
        return self._made(value, function, *(x.source for x in tensors), rest=rest)

    def __array__(self, *_: object, **__: object) -> NDArray[Any]:
        """Refused: an array of numbers would not follow the parameter when it is trained."""
        raise TypeError(f"a parameter was turned into plain numbers; what is recorded is {_known()}")

    def astype(self, dtype: DTypeLike) -> Derived:
        """Itself for `float32` and `float64`: the module has one dtype."""
        if np.dtype(dtype).kind != "f":
            raise TypeError(f"a parameter stays a float and does not become {np.dtype(dtype)}")
        return self

    def max(self, axis: int) -> Derived:
        """The maximum along `axis`."""
        return self._made(self.value.max(axis=axis), torch.amax, self.source, dim=axis)

    def sum(self, axis: int) -> Derived:
        """The sum along `axis`."""
        return self._made(self.value.sum(axis=axis), torch.sum, self.source, dim=axis)

    def reshape(self, *shape: int) -> Derived:
        """The same values as `shape`."""
        return self._made(self.value.reshape(shape), torch.reshape, self.source, rest=(shape,))

    def __getitem__(self, index: int | slice) -> Derived:
        """An entry of the first axis, or some of them."""
        return self._made(self.value[index], _item, self.source, rest=(index,))

    def _made(self, value: Any, function: Callable[..., Any], *sources: Source, **call: Any) -> Derived:
        return Derived(self.program, self.program.record(function, *sources, **call), np.asarray(value))


def _item(x: torch.Tensor, index: int | slice) -> torch.Tensor:
    return x[index]


def _known() -> str:
    return ", ".join(ufunc.__name__ for ufunc in _FUNCTIONS)
