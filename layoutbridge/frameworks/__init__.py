"""One module a framework: how to emit a rearrangement there, how to run one there.

Each has `emit` (a rearrangement as that framework's users expect it), `save` (to a file, whole or not at all),
`installed` (its version, or None) and `runnables` (its native ops and every emitted entry, for verification).
A framework is imported when it is used.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any, Protocol, cast

from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.errors import UnknownNameError
from layoutbridge.frameworks.base import Runnable

FRAMEWORKS = ("numpy", "torch", "tensorflow", "onnx")
_ALIASES = {"keras": "tensorflow", "pytorch": "torch"}


class Framework(Protocol):
    """What a framework's module offers."""

    EXTRA: str

    def installed(self) -> str | None:
        """Its version, or None where it is not installed."""

    def emit(self, op: Rearrangement, **options: Any) -> Any:
        """`op` as the framework's users expect it."""

    def save(
        self,
        op: Rearrangement,
        path: str | os.PathLike[str],
        *,
        shape: Sequence[int | None] | None = None,
        **options: Any,
    ) -> None:
        """Write `op` to a file, whole or not at all."""

    def runnables(self, stride: int, entries: Iterable[Rearrangement]) -> Iterable[Runnable]:
        """The framework's own ops at `stride`, then each of `entries` emitted."""


def framework_module(name: str) -> Framework:
    """The module of the framework called `name`; raises `UnknownNameError` with the names there are."""
    known = _ALIASES.get(name, name)
    if known not in FRAMEWORKS:
        raise UnknownNameError(f"no framework is called {name!r}; there are {', '.join(FRAMEWORKS)}")
    return cast(Framework, import_module(f"layoutbridge.frameworks.{known}.emission"))


def emit(op: Rearrangement, framework: str, **options: Any) -> Any:
    """`op` in `framework`: a function, an `nn.Module`, a Keras layer or an `onnx.ModelProto`.

    `options` are those of that framework's `emit`. Raises `MissingFrameworkError` where it is not installed.
    """
    return framework_module(framework).emit(op, **options)


def export(
    op: Rearrangement,
    framework: str,
    path: str | os.PathLike[str],
    *,
    shape: Sequence[int | None] | None = None,
    **options: Any,
) -> None:
    """Write `op` to `path` as `framework` stores models, whole or not at all.

    `shape` is the input's, [N, C, H, W]; None leaves an axis open where the framework can. Raises as `emit` does,
    and `ShapeError` for a shape that does not fit.
    """
    framework_module(framework).save(op, path, shape=shape, **options)
