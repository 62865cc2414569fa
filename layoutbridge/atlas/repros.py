"""A cell as a program of its own: the runtime's API and NumPy, on numbers that say where each stood."""

from __future__ import annotations

from math import prod

from layoutbridge.atlas.descriptions.subject import Cell
from layoutbridge.frameworks.base import Layout

STRIDE = 2
_SHOWN = 'np.asarray(y).astype("int64").ravel()[:32].tolist()'


def program(code: str, shape: tuple[int, ...]) -> str:
    """A program that prints the first numbers of what `code` makes of 0, 1, 2, … in `shape`, as it is called.

    >>> print(program("y = x.T", (2, 2)))
    import numpy as np, tempfile
    s, folder = 2, tempfile.mkdtemp()
    x = np.arange(4, dtype="float32").reshape(2, 2)
    y = x.T
    print(np.asarray(y).astype("int64").ravel()[:32].tolist())
    """
    return "\n".join((*_given(shape), code.strip(), f"print({_SHOWN})"))


def asking(code: str, shape: tuple[int, ...]) -> str:
    """The same for a worker: what would be printed is left as `shown`."""
    return "\n".join((*_given(shape), code.strip(), f"shown = str({_SHOWN})"))


def _given(shape: tuple[int, ...]) -> tuple[str, ...]:
    lengths = ", ".join(map(str, shape))
    return (
        "import numpy as np, tempfile",
        f"s, folder = {STRIDE}, tempfile.mkdtemp()",
        f'x = np.arange({prod(shape)}, dtype="float32").reshape({lengths})',
    )


def shape_given(cell: Cell, shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape [N, C, H, W] as the cell's layout has it, one picture."""
    single = (1, *shape[1:])
    return in_layout(single, cell.layout)


def in_layout(shape: tuple[int, ...], layout: Layout) -> tuple[int, ...]:
    """A shape [N, C, H, W] in a layout.

    >>> in_layout((1, 2, 3, 4), "NHWC")
    (1, 3, 4, 2)
    """
    return (shape[0], *shape[2:], shape[1]) if layout == "NHWC" else shape
