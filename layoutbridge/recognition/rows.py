"""What verification says of one run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from layoutbridge.frameworks.base import Layout

Status = Literal["matches", "differs", "unavailable", "unsupported"]


@dataclass(frozen=True, slots=True)
class Row:
    """One run: an op of a framework at one shape, stride, dtype and direction.

    `shape` is the input's as [N, C, H, W], whatever the `layout` it ran in. `names` are the catalogue names whose
    map was found (backward: whose map the gradient applies). `status`: matches (the entry that it was emitted from
    or is named after, else any entry), differs, unsupported (the framework refused this combination) or
    unavailable (the framework, or a version that has the op, is not there); `detail` says why.
    """

    framework: str
    version: str
    op: str
    emitted: bool
    layout: Layout
    shape: tuple[int, ...]
    stride: int
    dtype: str
    direction: Literal["forward", "backward"]
    names: tuple[str, ...]
    status: Status
    detail: str
    entry: str | None = None
