"""The notebooks: each run from its first cell to its last, and shown as a page with what its cells gave."""

from __future__ import annotations

import ast
import contextlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: its text, and of code what it printed and the value of its last line, as text or as HTML."""

    source: str
    is_code: bool
    text: str = ""
    html: str = ""


def notebooks() -> list[Path]:
    """The files."""
    return sorted(FOLDER.glob("*.ipynb"))


def run(path: Path) -> list[Cell]:
    """The cells of a notebook, run one after the other; what a cell raises is raised. Plain Python: no magic."""
    names: dict[str, Any] = {"__name__": "__main__"}
    cells = [
        (cell["cell_type"], "".join(cell["source"])) for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
    ]
    with contextlib.chdir(FOLDER):
        return [
            _run(source, names, path.name) if kind == "code" else Cell(source, is_code=False) for kind, source in cells
        ]


def _run(source: str, names: dict[str, Any], file: str) -> Cell:
    tree = ast.parse(source, file)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, file, "exec"), names)
        value = eval(compile(ast.Expression(last.value), file, "eval"), names) if isinstance(last, ast.Expr) else None
    drawn = getattr(value, "_repr_html_", None)
    shown = "" if value is None or drawn else repr(value)
    return Cell(source, is_code=True, text=printed.getvalue() + shown, html=drawn() if drawn else "")


def pages() -> dict[str, str]:
    """The pages by their names."""
    return {f"notebooks/{path.stem}.md": _page(path) for path in notebooks()}


def _page(path: Path) -> str:
    parts: list[str] = []
    for cell in run(path):
        parts.append(f"```python\n{cell.source}\n```" if cell.is_code else cell.source)
        if cell.text:
            parts.append(f"```{{ .text .output }}\n{cell.text.rstrip()}\n```")
        if cell.html:
            parts.append(f'<div class="figure">{cell.html}</div>')
    title, *rest = parts
    heading, _, told = title.partition("\n")
    return "\n\n".join([heading, f"*[The notebook]({path.name})*", told.strip(), *rest])
