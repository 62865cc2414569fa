"""Pages of the public functions and classes: what stands on them mkdocstrings reads from the docstrings."""

from __future__ import annotations

import ast
from functools import cache
from importlib import import_module
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent.parent / "layoutbridge"
MODULES = {
    "layoutbridge": "What `import layoutbridge as lb` gives.",
    "layoutbridge.darknet": "Darknet networks: what `layoutbridge.darknet`, or `lb.darknet`, gives.",
    "layoutbridge.testing": "Assertions for tests: what `layoutbridge.testing` gives.",
    "layoutbridge.errors": "Every error is a `LayoutBridgeError`, and says what was given and what to do about it.",
}


def public(module: str) -> dict[str, str]:
    """The public functions and classes of a module, each with the path of where it is defined.

    >>> public("layoutbridge")["prove"]
    'layoutbridge.operations.comparison.prove'
    """
    loaded = import_module(module)
    names = getattr(loaded, "__all__", None) or [name for name, each in vars(loaded).items() if _is_error(each)]
    homes = {name: _home(module, name) for name in names}
    return {name: home for name, home in homes.items() if home}


def _is_error(each: object) -> bool:
    from layoutbridge.errors import LayoutBridgeError

    return isinstance(each, type) and issubclass(each, LayoutBridgeError)


def _home(module: str, name: str) -> str | None:
    """Where it is defined, or None for what is no function and no class: modules, the version."""
    each = getattr(import_module(module), name)
    home = getattr(each, "__module__", None)
    return f"{home}.{each.__qualname__}" if home and hasattr(each, "__qualname__") else None


def held(module: str) -> dict[str, str]:
    """Classes that the attributes of a module's public classes hold, and that no module exports: by their names.

    >>> held("layoutbridge")["Place"]
    'layoutbridge.scanning.places.Place'
    """
    exported = {path for each in MODULES for path in public(each).values()}
    found: dict[str, str] = {}
    waiting = list(public(module).values())
    while waiting:
        for path in _annotated(waiting.pop()):
            name = path.rpartition(".")[2]
            if path not in exported and not name.startswith("_") and found.get(name) != path:
                found[name] = path
                waiting.append(path)
    return dict(sorted(found.items()))


def _annotated(path: str) -> list[str]:
    """The package's classes in the annotations of a class' public attributes and of what its methods return."""
    module, _, name = path.rpartition(".")
    tree = _tree(module)
    imported = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("layoutbridge.")
        for alias in node.names
    }
    imported |= {node.name: f"{module}.{node.name}" for node in tree.body if isinstance(node, ast.ClassDef)}
    defined = [node for node in tree.body if getattr(node, "name", None) == name]
    return [
        imported[each.id]
        for node in defined
        for annotation in _results(node)
        for each in ast.walk(annotation)
        if isinstance(each, ast.Name) and each.id in imported and _is_class(imported[each.id])
    ]


def _results(node: ast.AST) -> list[ast.expr]:
    members = node.body if isinstance(node, ast.ClassDef) else [node]
    return [
        annotation
        for member in members
        if not getattr(member, "name", getattr(getattr(member, "target", None), "id", "")).startswith("_")
        and (annotation := getattr(member, "returns", None) or getattr(member, "annotation", None)) is not None
    ]


def _is_class(path: str) -> bool:
    module, _, name = path.rpartition(".")
    return any(isinstance(node, ast.ClassDef) and node.name == name for node in _tree(module).body)


@cache
def _tree(module: str) -> ast.Module:
    folder = PACKAGE.parent / module.replace(".", "/")
    file = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
    return ast.parse(file.read_text(encoding="utf-8"))


def pages() -> dict[str, str]:
    """The pages by their names."""
    named = {module: module.rpartition(".")[2] for module in MODULES}
    rows = [f"| [`{module}`]({named[module]}.md) | {told} |" for module, told in MODULES.items()]
    index = "\n".join(["# Functions and classes", "", "All that programs import.", "", "| | |", "|---|---|", *rows])
    return {"functions/index.md": index} | {
        f"functions/{named[module]}.md": _page(module, told) for module, told in MODULES.items()
    }


def _page(module: str, told: str) -> str:
    names = public(module)
    functions = [path for name, path in sorted(names.items()) if not name[0].isupper()]
    classes = [path for name, path in sorted(names.items()) if name[0].isupper()]
    parts = [f"# {module}", told, *(f"::: {path}" for path in [*functions, *classes])]
    if inner := held(module):
        parts += ["## What they hold", "Classes of attributes and results; programs meet them, and make none."]
        parts += [f"::: {path}\n    options:\n      heading_level: 3" for path in inner.values()]
    return "\n\n".join(parts)
