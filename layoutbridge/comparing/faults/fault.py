"""A fault that a port may have, and which module knows those of which kind of layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from numpy.typing import NDArray

from layoutbridge.darknet.reference.values import Feed
from layoutbridge.darknet.structure.settings import S

Array = NDArray[Any]
CauseKind = Literal[
    "rearrangement", "concat_order", "flatten_order", "weight_layout", "channel_order", "input_range", "batch_norm",
    "padding", "pooling", "activation", "upsampling", "head", "sum",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fault:
    """What was `found` where something else was `expected`: `output` is what a layer so fed would give with it.

    None says that it cannot be on this layer. `explanation` says in a sentence what happens, and `fix` what to change.
    `choice` is what a layer in stages does otherwise in each: with this fault and those that it was found with.
    """

    cause: CauseKind
    found: str
    expected: str
    explanation: str
    fix: str
    output: Callable[[Feed], Array | None] = field(compare=False, repr=False)
    choice: Callable[[Feed], Mapping[Any, Any]] = field(default=lambda _: {}, compare=False, repr=False)


Faults = Callable[[Feed, S], Iterable[Fault]]
_faults: dict[str, list[Faults[Any]]] = {}
FAULTS: Mapping[str, list[Faults[Any]]] = MappingProxyType(_faults)


def has_faults(*kinds: type[S]) -> Callable[[Faults[S]], Faults[S]]:
    """Say that a function knows faults of layers of these kinds; those that are cheap to try come first."""

    def add(function: Faults[S]) -> Faults[S]:
        for kind in kinds:
            _faults.setdefault(kind.kind, []).append(function)
        return function

    return add
