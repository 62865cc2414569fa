"""A cell as a program of its own: the runtime's API and NumPy, on numbers that say where each stood."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

import numpy as np

from layoutbridge.atlas.descriptions.subject import Cell
from layoutbridge.frameworks.base import Layout

STRIDE = 2
_Edit = tuple[ast.expr | ast.stmt, str]  # a part of a text, and what is to stand there
_SHOWN = 'np.asarray(y).astype("int64").ravel()[:32].tolist()'


def program(code: str, shape: tuple[int, ...]) -> str:
    """A program that prints the first numbers of what `code` makes of 0, 1, 2, … in `shape`, as it is called.

    What is one and the same at this shape is written out in it, and its files are in the folder where it runs.

    >>> print(program("import torch\\nn, m = x.shape\\ny = torch.einsum(f'{s} {n}', x)", (2, 2)))
    import numpy as np, torch
    x = np.arange(4, dtype="float32").reshape(2, 2)
    y = torch.einsum('2 2', x)
    print(np.asarray(y).astype("int64").ravel()[:32].tolist())
    """
    text = code.strip().replace("folder + '/", "'")
    text = _filled(text, {"x": np.zeros(shape, np.float32), "s": STRIDE, "folder": ".", "list": list})
    lines, modules = text.splitlines(), ["numpy as np"]
    for statement in ast.parse(text).body:
        if isinstance(statement, ast.Import):
            modules.append(ast.unparse(statement).removeprefix("import "))
            lines[statement.lineno - 1] = ""
        elif "os" in _names(statement):  # a setting, which is to be there before the rest is imported
            break
    rest = filter(None, lines)
    return "\n".join((f"import {', '.join(modules)}", _numbers(shape), *rest, f"print({_SHOWN})"))


def asking(code: str, shape: tuple[int, ...]) -> str:
    """The same for a worker: what would be printed is left as `shown`."""
    given = ("import tempfile", f"s, folder = {STRIDE}, tempfile.mkdtemp()", _numbers(shape))
    return "\n".join((*given, code.strip(), f"shown = str({_SHOWN})"))


def _numbers(shape: tuple[int, ...]) -> str:
    return f'x = np.arange({prod(shape)}, dtype="float32").reshape({", ".join(map(str, shape))})'


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


# ---------------------------------------------------------------------- what is known of a program before it runs


def _filled(text: str, known: Mapping[str, Any]) -> str:
    """The text with numbers and texts for what follows from `known`, without the statements that only name those."""
    held, edits = dict(known), list[_Edit]()
    naming: list[ast.stmt] = []
    for statement in ast.parse(text).body:
        if _only_names(statement, held):
            exec(ast.unparse(statement), held)
            naming.append(statement)
            continue
        edits += _fills(statement, held)
        if "x" in _names(statement, ast.Store):
            held.pop("x", None)
    for statement in reversed(naming):
        without = [*edits, (statement, "")]
        is_read = _names(statement, ast.Store) & _names(ast.parse(_edited(text, without)))
        edits = [*edits, *_fills(statement, held)] if is_read else without
    return "\n".join(line for line in _edited(text, edits).splitlines() if line)


def _only_names(statement: ast.stmt, held: Mapping[str, Any]) -> bool:
    """Whether it is such as `n, c, h, w = x.shape`."""
    return (
        isinstance(statement, ast.Assign)
        and isinstance(statement.targets[0], ast.Name | ast.Tuple)
        and _names(statement.value) <= held.keys()
        and "y" not in _names(statement)  # which is printed
        and not any(isinstance(each, ast.JoinedStr) for each in ast.walk(statement))
    )


def _names(node: ast.AST, kind: type[ast.expr_context] = ast.expr_context) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, kind)}


def _fills(node: ast.AST, held: Mapping[str, Any]) -> Iterator[_Edit]:
    """The stride, the folder, and texts filled with nothing but what is known, each as it is written out."""
    if isinstance(node, ast.JoinedStr):  # within it are no places that could be edited
        if _names(node) <= held.keys():
            filled = eval(ast.unparse(node), dict(held))
            yield node, f"'''{filled}'''" if node.end_lineno != node.lineno else repr(filled)
    elif isinstance(node, ast.Name) and node.id in ("s", "folder"):
        yield node, repr(held[node.id])
    else:
        for child in ast.iter_child_nodes(node):
            yield from _fills(child, held)


def _edited(text: str, edits: list[_Edit]) -> str:
    """The text with others in the places of nodes of it."""
    starts = [0]
    for line in text.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    content = text.encode()
    for node, written in sorted(edits, key=lambda each: (each[0].lineno, each[0].col_offset), reverse=True):
        assert node.end_lineno is not None and node.end_col_offset is not None
        first, last = starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset
        content = content[:first] + written.encode() + content[last:]
    return content.decode()
