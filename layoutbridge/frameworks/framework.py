"""What a framework is here: one record, which verify, identify, the command line and the tests take from."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from inspect import Parameter, signature
from typing import Any

from numpy.typing import NDArray

from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.errors import ParameterError, shown
from layoutbridge.frameworks.base import Layout, Runnable, to_install

Function = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class TypedCallable:
    """A function of arrays that takes one dtype, as the model in a file does."""

    function: Callable[[NDArray[Any]], Any]
    dtype: str

    def __call__(self, x: NDArray[Any]) -> Any:
        """The function's result."""
        return self.function(x)


@dataclass(frozen=True, slots=True)
class Tensors:
    """A framework's own arrays, and how somebody's function is called with one.

    `title` names one in errors. `call(function, x)` gives the function x as such an array. `takes(target)` says that
    `target` takes nothing else, as an `nn.Module` does; both are asked only where the framework has been imported.
    """

    title: str
    call: Callable[[Function, NDArray[Any]], Any]
    takes: Callable[[object], bool] = field(default=lambda _: False)


@dataclass(frozen=True, slots=True)
class Framework:
    """How a rearrangement is written, run and read in one framework.

    `name` is that of its folder and of the module that a program imports; `extra` brings it (empty where it is always
    there). `installed()` is its version, or None. `emit(op, batch=..., **options)` gives the rearrangement as its users
    expect it, `save(op, path, shape=..., batch=..., **options)` writes it whole or not at all, to a file with one of
    the endings in `writes` (an empty one is a folder); `frameworks/batch.py` tells `batch`. `runnables(stride,
    entries)` are its native ops at that stride and each of the entries emitted, in `layouts`. `code(op,
    batch=..., **options)` is the source text of a function that needs nothing but the framework. `reads` holds, by
    ending, how a model file becomes a function of one array.
    """

    name: str
    extra: str
    installed: Callable[[], str | None]
    emit: Function
    save: Callable[..., None]
    writes: tuple[str, ...]
    runnables: Callable[[int, Iterable[Rearrangement]], Iterable[Runnable]]
    code: Callable[..., str]
    layouts: tuple[Layout, ...] = ("NCHW",)
    reads: Mapping[str, Callable[[str | os.PathLike[str]], Function]] = field(default_factory=dict)
    tensors: Tensors | None = None

    @property
    def remedy(self) -> str:
        """What to type where it is not installed."""
        return to_install(self.extra)


def options_of(function: Function) -> tuple[str, ...]:
    """The options that a framework's `emit` or `save` takes.

    >>> from layoutbridge.frameworks.table import framework
    >>> options_of(framework("torch").save)
    ('shape', 'dtype', 'batch')
    """
    return tuple(
        name for name, option in signature(function).parameters.items() if option.kind is Parameter.KEYWORD_ONLY
    )


def refuse_unknown(what: str, function: Function, options: Iterable[str]) -> None:
    """Raise `ParameterError` for an option that `function` does not take; `what` names it in the error."""
    known = options_of(function)
    for option in options:
        if option not in known:
            raise ParameterError(f"{what} takes no {shown(option)}; it takes {', '.join(known) or 'no options'}")
