"""What is computed from trained parameters before a layer uses them, written in NumPy, recorded in Keras.

The sibling of PyTorch's module of this name: a layer's meaning may compute with a parameter as with any array, and
training must see that computation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import DTypeLike, NDArray

from layoutbridge.frameworks.primitives import Shape
from layoutbridge.frameworks.tensorflow.layers import Arithmetic
from layoutbridge.frameworks.tensorflow.values import Held


def _heaviside(x: Any, at_zero: float) -> Any:
    if at_zero != 0:
        raise TypeError(f"heaviside of a parameter is 0 at 0, not {at_zero}")
    return Arithmetic("step")(x)


_FUNCTIONS: dict[np.ufunc, Callable[..., Any]] = {
    np.add: keras.ops.add,
    np.subtract: keras.ops.subtract,
    np.multiply: keras.ops.multiply,
    np.divide: keras.ops.divide,
    np.exp: keras.ops.exp,
    np.maximum: keras.ops.maximum,
    np.sqrt: keras.ops.sqrt,
    np.absolute: keras.ops.absolute,
    np.heaviside: _heaviside,
}


class Derived(NDArrayOperatorsMixin):
    """An array of which every NumPy operation is also recorded for `tensor`, a KerasTensor of the same shape.

    `value` is what NumPy makes of the parameters as they are now: it tells shapes, and is not used otherwise.
    """

    def __init__(self, tensor: Any, value: NDArray[Any]) -> None:
        self.tensor, self.value = tensor, value

    @property
    def shape(self) -> Shape:
        """Its shape."""
        return self.value.shape

    def held(self, name: str) -> Held:
        """The same for the primitives."""
        values = np.asarray(self.value, np.float32)
        return Held(name, values.shape, lambda start, stop: values[start:stop], tensor=self.tensor)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **keywords: Any) -> Derived:
        """Record Keras' function of the same name, of arrays like this one and of numbers."""
        function = _FUNCTIONS.get(ufunc)
        if function is None or method != "__call__" or keywords:
            known = ", ".join(known.__name__ for known in _FUNCTIONS)
            raise TypeError(f"{ufunc.__name__} of a parameter is not recorded; there is {known}")
        tensors, values = zip(*((x.tensor, x.value) if isinstance(x, Derived) else (x, x) for x in inputs), strict=True)
        return Derived(function(*tensors), ufunc(*values))

    def __array__(self, *_: object, **__: object) -> NDArray[Any]:
        """Refused: an array of numbers would not follow the parameter when it is trained."""
        raise TypeError("a parameter was turned into plain numbers")

    def astype(self, dtype: DTypeLike) -> Derived:
        """Itself for `float32` and `float64`: the model has one dtype."""
        if np.dtype(dtype).kind != "f":
            raise TypeError(f"a parameter stays a float and does not become {np.dtype(dtype)}")
        return self

    def max(self, axis: int) -> Derived:
        """The maximum along `axis`."""
        return Derived(keras.ops.max(self.tensor, axis), self.value.max(axis=axis))

    def sum(self, axis: int) -> Derived:
        """The sum along `axis`."""
        return Derived(keras.ops.sum(self.tensor, axis), self.value.sum(axis=axis))

    def reshape(self, *shape: int) -> Derived:
        """The same values as `shape`."""
        value = self.value.reshape(shape)
        return Derived(keras.ops.reshape(self.tensor, value.shape), value)

    def __getitem__(self, index: int | slice) -> Derived:
        """An entry of the first axis, or some of them."""
        value = self.value[index]
        first, last, _ = (index if isinstance(index, slice) else slice(index, index + 1)).indices(len(self.value))
        starts = (first, *(0 for _ in self.value.shape[1:]))
        part = keras.ops.slice(self.tensor, starts, (last - first, *self.value.shape[1:]))
        return Derived(keras.ops.reshape(part, value.shape), value)
