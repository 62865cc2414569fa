"""The spelling of names: what pages write as code is there, commands, options, functions, words of the sources."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from docs.making.commands import commands, options, takes_parameters
from docs.making.shown import MARK

ROOT = Path(__file__).resolve().parent.parent.parent
_OWN_TESTS = ROOT / "tests" / "site"  # which misspell on purpose
_KNOWN = Path(__file__).with_name("foreign_names.txt")
_FENCE = re.compile(r"^(```+)(\w*)\n(.*?)^\1\s*?$", re.MULTILINE | re.DOTALL)
_BLOCK = re.compile(r"(?:^    .*\n?)+", re.MULTILINE)
_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_OURS = re.compile(r"\b(?:lb|layoutbridge)((?:\.[A-Za-z_]\w*)+)")
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]+")
_SNAKE = re.compile(r"(?<![\w./\-])[a-z]\w*_\w+(?![\w./\-])")
_WORD = re.compile(r"[A-Za-z_]\w+")
_CALL = re.compile(r"(?:^\s*|&& |\$ |run: |>>> !)layoutbridge +([^`|;&#\n]*)")
_RUN = ("python", "pycon")  # what is defined in code that runs may be named on its page
_SOURCES = {".py", ".md", ".toml", ".cfg", ".json", ".h", ".c", ".txt"}


def misspelled(pages: Mapping[str, str]) -> list[str]:
    """What stands on pages as a name of ours and is none: a line each, with the page and the line.

    >>> misspelled({"a.md": "Call `lb.prov(a, b)` or `layoutbridge scan net.onnx --shap 1`."})
    ['a.md:1: lb.prov', 'a.md:1: layoutbridge scan has no --shap']
    """
    found = []
    for name, text in pages.items():
        own = {word for fence in _FENCE.finditer(text) if fence[2] in _RUN for word in _WORD.findall(fence[3])}
        for start, code, inline in _code(text):
            line = text.count("\n", 0, start) + 1
            found += [f"{name}:{line}: {wrong}" for wrong in _wrong(code, inline) if wrong not in own]
    return found


def _code(text: str) -> Iterator[tuple[int, str, bool]]:
    """The pieces of code on a page: where each starts, its text, whether it stands within a line."""
    rest = text
    for pattern, group in ((_FENCE, 3), (_BLOCK, 0)):
        for block in pattern.finditer(rest):
            yield from _lines(block.start(group), block[group])
        rest = pattern.sub(lambda block: re.sub(r"[^\n]", " ", block[0]), rest)
    for mark in MARK.finditer(rest):
        yield mark.start(), mark[1], False
    for span in _SPAN.finditer(rest):
        yield span.start(), span[1], True


def _lines(start: int, block: str) -> Iterator[tuple[int, str, bool]]:
    for line in block.splitlines(keepends=True):
        yield start, line, False
        start += len(line)


def _wrong(code: str, inline: bool) -> Iterator[str]:
    for path in _OURS.finditer(code):
        if path[0].split(".")[-1] not in ("cfg", "py", "json", "md") and not _is_there(path[1][1:]):
            yield path[0]
    call = _CALL.search(code)
    if call:
        yield from _wrong_call(call[1])
    if inline:
        if not call:
            yield from (option for option in _OPTION.findall(code) if option not in _every_option() | _foreign())
        yield from (word for word in _SNAKE.findall(code) if word not in _words() and word not in _foreign())


def _wrong_call(words: str) -> Iterator[str]:
    """What is wrong with a call of the program: its command, its options."""
    command = words.split(" ", maxsplit=1)[0].strip()
    if not re.fullmatch(r"[a-z]+", command):
        return
    if command not in commands():
        yield f"layoutbridge has no command {command}"
        return
    own = options(command) | (_parameters() if takes_parameters(command) else frozenset())
    yield from (f"layoutbridge {command} has no {option}" for option in _OPTION.findall(words) if option not in own)


@cache
def _is_there(path: str) -> bool:
    """Whether `layoutbridge.PATH` is something."""
    found: Any = import_module("layoutbridge")
    for name in path.split("."):
        if hasattr(found, name):
            found = getattr(found, name)
        else:  # what only an instance has, or a module that needs a framework to be imported
            of_package = isinstance(found, ModuleType) and find_spec(f"{found.__name__}.{name}") is not None
            return of_package or name in getattr(found, "__dataclass_fields__", ())
    return True


@cache
def _parameters() -> frozenset[str]:
    from layoutbridge import catalog

    return frozenset(f"--{name.replace('_', '-')}" for entry in catalog().values() for name in entry.parameters)


@cache
def _every_option() -> frozenset[str]:
    every = _parameters() | {"--version", "--install-completion", "--show-completion", "--help"}
    every |= set(_OPTION.findall((ROOT / "layoutbridge" / "testing" / "plugin.py").read_text(encoding="utf-8")))
    return every.union(*map(options, commands()))


@cache
def _foreign() -> frozenset[str]:
    lines = _KNOWN.read_text(encoding="utf-8").splitlines()
    return frozenset(line.partition("#")[0].strip() for line in lines if not line.startswith("#"))


@cache
def _words() -> frozenset[str]:
    """Every word of the package, the tests, benchmarks and fixtures: what is written nowhere there is a misspelling."""
    folders = ("layoutbridge", "benchmarks", "fixtures", "tests")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.parent != _OWN_TESTS]
    read = (path.read_text(encoding="utf-8", errors="replace") for path in files if path.suffix in _SOURCES)
    named = (path.stem for path in files)
    return frozenset(word for text in (*read, *named) for word in _WORD.findall(text))
