"""What is measured: a runtime, an importer or a converter, and its ops as text that runs in its own environment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from layoutbridge.frameworks.base import DTYPE_NAMES, FLOAT_NAMES, Layout

Role = Literal["runtime", "importer", "converter"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One op in one mode and layout: `code` is Python that makes `y` of `x`, in the subject's own words alone.

    `x` is an array [N, C, H, W], or [N, H, W, C] by `layout`; `s` is the block size, the stride or the number of
    groups; `folder` is an empty one for files. What the code reads beside these it imports. `gradient`, where there is
    one, makes `y`, the gradient with respect to x, of `x` and `upstream`. `setup`, where there is one, is run before
    either, once for a shape, dtype and stride: it makes what `code` runs of an `x` whose values say nothing.

    `shapes_of` is the entry of the catalogue whose inputs it is tried at. `documented` is the entry that the subject's
    documentation says it is, at the address `source`; empty where that does not say. `since` is the version that
    brought it, as far as its documentation says. `dtypes` are those that its interface has arrays of, and only one
    that `takes_batches` is given several pictures at once.
    """

    op: str
    code: str
    mode: str = ""
    layout: Layout = "NCHW"
    shapes_of: str = "space_to_depth"
    documented: str = ""
    source: str = ""
    since: str = ""
    setup: str = ""
    gradient: str = ""
    differentiable: tuple[str, ...] = FLOAT_NAMES
    dtypes: tuple[str, ...] = DTYPE_NAMES
    takes_batches: bool = True
    is_costly: bool = False

    @property
    def text(self) -> str:
        """All of its Python.

        >>> print(Cell("abs", "y = f(x)", setup="f = np.abs").text)
        f = np.abs
        y = f(x)
        """
        return f"{self.setup}\n{self.code}" if self.setup else self.code


@dataclass(frozen=True, slots=True)
class Subject:
    """A runtime, an importer or a converter by its `name`; `title` is what people call it.

    `environment` is that of `environments.ENVIRONMENTS` in which it runs. `version` is Python that makes `version`, a
    text; it fails where the subject is not installed. `notes` are told beside the table.
    """

    name: str
    title: str
    role: Role
    environment: str
    version: str
    cells: tuple[Cell, ...]
    notes: str = ""


def distribution_version(*names: str) -> str:
    """Python that makes `version` from those of installed distributions.

    >>> held = {}
    >>> exec(distribution_version("numpy"), held)
    >>> held["version"].startswith("numpy ")
    True
    """
    parts = " + ', ' + ".join(f"'{name} ' + metadata.version('{name}')" for name in names)
    return f"from importlib import metadata\nversion = {parts}"
