"""Weights of any framework as NumPy arrays, and back to what they were."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.errors import ParameterError, UnsupportedError, UnusableInputError

Back = Callable[[NDArray[Any]], Any]
_CHANNELS_LAST = {  # whose weights have their outputs last
    "tensorflow",
    "keras",
    "jax",
    "jaxlib",
    "flax",
}


def as_numpy(weight: Any, layout: str | None) -> tuple[NDArray[Any], Back]:
    """`weight` as an array, and what makes an array of its kind again.

    A PyTorch tensor comes back as one, of its dtype and on its device, without gradient; what PyTorch alone has
    (bfloat16, float8) goes as integers of the same bytes. TensorFlow's, Keras' and JAX' come back as arrays, and must
    say their `layout`. Raises `UnusableInputError` for what is no array, `UnsupportedError` for a tensor that has no
    plain elements.
    """
    owner = type(weight).__module__.partition(".")[0]
    if hasattr(weight, "detach") and hasattr(weight, "is_quantized"):
        return _from_torch(weight)
    if owner in _CHANNELS_LAST:
        array = np.asarray(weight)
        if layout is None and array.ndim > 1:
            raise ParameterError(
                f"say the order of the weight's axes: layout='IO' or 'HWIO' as {owner} has them, or 'OI', 'OIHW'"
            )
        return array, _unchanged
    if not isinstance(weight, np.ndarray) or isinstance(weight, np.ma.MaskedArray):
        raise UnusableInputError(f"a weight is a NumPy array or a tensor, not {type(weight).__name__}: convert it")
    return np.asarray(weight), _unchanged


def _unchanged(array: NDArray[Any]) -> NDArray[Any]:
    return array


def _from_torch(weight: Any) -> tuple[NDArray[Any], Back]:
    import torch

    dtype, device = weight.dtype, weight.device
    if weight.layout is not torch.strided or weight.is_quantized or device.type == "meta" or "_x2" in str(dtype):
        raise UnsupportedError(
            f"a weight must have plain elements in memory, not {dtype}, {weight.layout} on {device}: convert it first"
        )
    plain = weight.detach().cpu().resolve_conj().resolve_neg().contiguous()
    try:
        array = plain.numpy()
    except TypeError:  # NumPy has no such elements
        array = plain.view({1: torch.uint8, 2: torch.int16}[plain.element_size()]).numpy()

    def back(made: NDArray[Any]) -> Any:
        return torch.from_numpy(np.ascontiguousarray(made)).view(dtype).to(device)

    return array, back
