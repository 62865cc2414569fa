"""Calling anything with a NumPy array: plain callables, torch modules, Keras layers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.errors import LayoutBridgeError, UnusableInputError, class_and_first_line
from layoutbridge.frameworks.torch.evaluation import in_evaluation

ArrayFunction = Callable[[NDArray[Any]], NDArray[Any]]


@dataclass(frozen=True, slots=True)
class TypedCallable:
    """A function of arrays that takes one dtype, as an ONNX model's does."""

    function: Callable[[NDArray[Any]], Any]
    dtype: str

    def __call__(self, x: NDArray[Any]) -> Any:
        """The function's result."""
        return self.function(x)


def as_array_function(target: Callable[..., Any]) -> tuple[ArrayFunction, np.dtype[Any]]:
    """`target` as a function of float32 arrays, and that dtype (an ONNX model's function says its own).

    A torch `nn.Module` is called in evaluation mode with a torch tensor, a Keras layer with a TensorFlow one, all
    else with a NumPy array; where a plain function does not take that, with the tensors of those two frameworks
    that its program has imported. The function raises `UnusableInputError` with the callable's own message.
    """
    dtype = np.dtype("float32")
    if isinstance(target, TypedCallable):
        return _guarded(target.function), np.dtype(target.dtype)
    torch, tensorflow = sys.modules.get("torch"), sys.modules.get("tensorflow")
    if torch is not None and isinstance(target, torch.nn.Module):
        return _guarded(lambda x: _call_torch(torch, target, x)), dtype
    if tensorflow is not None and isinstance(target, _keras_layer_class()):
        return _guarded(lambda x: _call_tensorflow(tensorflow, target, x)), dtype
    attempts: list[tuple[str, Callable[[NDArray[Any]], Any]]] = [("a NumPy array", target)]
    if torch is not None:
        attempts.append(("a torch tensor", lambda x: _call_torch(torch, target, x)))
    if tensorflow is not None:
        attempts.append(("a TensorFlow tensor", lambda x: _call_tensorflow(tensorflow, target, x)))
    return _first_that_works(attempts), dtype


def _keras_layer_class() -> type:
    keras = sys.modules.get("keras")
    return keras.layers.Layer if keras is not None else type(None)


def _call_torch(torch: Any, target: Callable[..., Any], x: NDArray[Any]) -> Any:
    mode = in_evaluation(target) if isinstance(target, torch.nn.Module) else nullcontext()
    with mode, torch.no_grad():
        return target(torch.from_numpy(x.copy()))


def _call_tensorflow(tensorflow: Any, target: Callable[..., Any], x: NDArray[Any]) -> Any:
    return target(tensorflow.constant(x))


def _first_that_works(attempts: Sequence[tuple[str, Callable[[NDArray[Any]], Any]]]) -> ArrayFunction:
    """Try the attempts on the first call; the one that works is kept. If none does, each one's error is told."""
    kept: list[ArrayFunction] = []

    def call(x: NDArray[Any]) -> NDArray[Any]:
        if kept:
            return kept[0](x)
        errors: list[str] = []
        for argument, attempt in attempts:
            function = _guarded(attempt)
            try:
                result = function(x)
            except LayoutBridgeError as error:
                errors.append(f"with {argument} {error}" if len(attempts) > 1 else str(error))
                continue
            kept.append(function)
            return result
        raise UnusableInputError("; ".join(errors))

    return call


def _guarded(function: Callable[[NDArray[Any]], Any]) -> ArrayFunction:
    def call(x: NDArray[Any]) -> NDArray[Any]:
        try:
            result = function(x)
        except (LayoutBridgeError, KeyboardInterrupt):
            raise
        except BaseException as error:  # sys.exit among them: somebody else's code ends here
            raise UnusableInputError(f"the callable raised {class_and_first_line(error)}") from error
        return _as_array(result)

    return call


def _as_array(result: Any) -> NDArray[Any]:
    if isinstance(result, tuple | list) and any(hasattr(part, "shape") for part in result):
        arrays = [part for part in result if part is not None]
        if len(arrays) != 1:
            raise UnusableInputError(f"the callable returned {len(result)} results; one array is wanted")
        result = arrays[0]
    if result is None:
        raise UnusableInputError("the callable returned nothing; one array is wanted")
    if hasattr(result, "detach"):
        result = result.detach().cpu()
    try:
        array = np.asarray(result)
    except Exception as error:
        raise UnusableInputError(
            f"the callable returned {type(result).__name__}, which NumPy cannot read: {error}"
        ) from None
    if array.dtype == object:
        raise UnusableInputError(f"the callable returned {type(result).__name__}; an array of numbers is wanted")
    return array
