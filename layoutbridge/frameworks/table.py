"""The frameworks there are: a line each. What layoutbridge knows of one lies in its folder, and is loaded on use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from layoutbridge.errors import UnknownNameError, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from layoutbridge.frameworks.framework import Framework

_OTHER_NAMES: dict[str, tuple[str, ...]] = {  # the folder of a framework: what else it is called
    "numpy": (),
    "torch": ("pytorch",),
    "tensorflow": ("keras",),
    "onnx": (),
    "jax": (),
}
FRAMEWORKS = tuple(_OTHER_NAMES)
WRITTEN = ("einops", *FRAMEWORKS)  # what code is written for


def names_of(framework: str) -> tuple[str, ...]:
    """The name of a framework in the table, and what else it is called.

    >>> names_of("tensorflow")
    ('tensorflow', 'keras')
    """
    return framework, *_OTHER_NAMES[framework]


def framework(name: str) -> Framework:
    """The record of the framework called `name`; raises `UnknownNameError` with the names there are.

    >>> framework("pytorch").name
    'torch'
    """
    known = next((known for known in FRAMEWORKS if name in names_of(known)), None)
    if known is None:
        raise UnknownNameError(f"no framework is called {shown(name)}; there are {', '.join(FRAMEWORKS)}")
    record: Framework = import_module(f"layoutbridge.frameworks.{known}.record").RECORD
    return record


def frameworks() -> tuple[Framework, ...]:
    """The records of all frameworks, in the table's order. None of them is imported for it."""
    return tuple(map(framework, FRAMEWORKS))


def code_writer(name: str) -> Callable[..., str]:
    """What writes code for the framework called `name`, or for einops; raises `UnknownNameError` with what there is.

    >>> code_writer("pytorch").__module__
    'layoutbridge.frameworks.torch.code'
    """
    if name == "einops":
        writer: Callable[..., str] = import_module("layoutbridge.frameworks.einops.code").write_code
        return writer
    if not any(name in names_of(known) for known in FRAMEWORKS):
        raise UnknownNameError(f"no code is written for {shown(name)}; there are {', '.join(WRITTEN)}")
    return framework(name).code
