"""Calling anything with a NumPy array: plain callables, and what takes the tensors of a framework."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.errors import LayoutBridgeError, UnusableInputError, class_and_first_line
from layoutbridge.frameworks.framework import Tensors, TypedCallable
from layoutbridge.frameworks.table import frameworks

ArrayFunction = Callable[[NDArray[Any]], NDArray[Any]]


def as_array_function(target: Callable[..., Any]) -> tuple[ArrayFunction, np.dtype[Any]]:
    """`target` as a function of float32 arrays, and that dtype (a model that was read from a file says its own).

    What takes a framework's tensors alone, such as an `nn.Module` or a Keras layer, is called with those, all else with
    a NumPy array; where a plain function does not take that, with the tensors of the frameworks that its program has
    imported. The function raises `UnusableInputError` with the callable's own message.
    """
    dtype = np.dtype("float32")
    if isinstance(target, TypedCallable):
        return _guarded(target.function), np.dtype(target.dtype)
    imported = _imported()
    for tensors in imported.values():
        if tensors.takes(target):
            return _guarded(partial(tensors.call, target)), dtype
    return _first_that_works([(tensors.title, partial(tensors.call, target)) for tensors in imported.values()]), dtype


def framework_of(target: object) -> str | None:
    """The name of the framework whose tensors are all that `target` takes; None for what takes other things, too.

    >>> framework_of(len)
    """
    return next((name for name, tensors in _imported().items() if tensors.takes(target)), None)


def _imported() -> dict[str, Tensors]:
    """The tensors of the frameworks that the program has imported."""
    return {each.name: each.tensors for each in frameworks() if each.tensors is not None and sys.modules.get(each.name)}


def _first_that_works(attempts: Sequence[tuple[str, Callable[[NDArray[Any]], Any]]]) -> ArrayFunction:
    """Try the attempts on the first call; the one that works is kept. If none does, each one's error is told."""
    kept: list[ArrayFunction] = []

    def call(x: NDArray[Any]) -> NDArray[Any]:
        if kept:
            return kept[0](x)
        errors: list[str] = []
        cause: BaseException | None = None
        for argument, attempt in attempts:
            function = _guarded(attempt)
            try:
                result = function(x)
            except LayoutBridgeError as error:
                errors.append(f"with {argument} {error}" if len(attempts) > 1 else str(error))
                cause = cause or error.__cause__
                continue
            kept.append(function)
            return result
        raise UnusableInputError("; ".join(errors)) from cause

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
