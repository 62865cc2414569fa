"""A program from a .pt2 file by PyTorch's own reader, after everything in the file that would run code is refused.

That reader unpickles parts of a file, evaluates others, and imports modules that they name.
"""

from __future__ import annotations

import ast
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile, ZipInfo

import torch
from torch.export import ExportedProgram

from layoutbridge.archives import checked_zip
from layoutbridge.errors import UnusableInputError, class_and_first_line, visible
from layoutbridge.files import whole_file
from layoutbridge.frameworks.torch.emission import exporting
from layoutbridge.frameworks.torch.metadata import state_dict_of
from layoutbridge.inputs import PathLike
from layoutbridge.scanning.readers.torch.archive import read_archive

_PICKLES = (".pt", ".pkl")
_CONFIGS = ("weights_config.json", "constants_config.json")
_COMPILED = ("/aotinductor/", ".so", ".cubin")
_EXTRA = ("/extra/", "extra_files/")  # in front of the names of files that were written along
_TARGETS = ("torch.ops.", "torch.sym_", "_operator.", "math.")
_OPENS_FILES = "torch.ops.aten.from_file"
_FORMULA = (
    ast.Expression, ast.Call, ast.Name, ast.Load, ast.Constant, ast.keyword, ast.BinOp, ast.UnaryOp, ast.Compare,
    ast.operator, ast.unaryop, ast.cmpop,
)  # fmt: skip
_FUNCTIONS = frozenset((
    "Integer", "Rational", "Float", "Symbol", "Identity", "Add", "Mul", "Pow", "Mod", "Max", "Min", "Abs", "FloorDiv",
    "CleanDiv", "CeilDiv", "ModularIndexing", "Where", "PythonMod", "PowByNatural", "FloatPow", "FloatTrueDiv",
    "IntTrueDiv", "floor", "ceiling", "FloorToInt", "CeilToInt", "RoundToInt", "RoundDecimal", "TruncToInt",
    "TruncToFloat", "ToFloat", "LShift", "RShift", "IsNonOverlappingAndDenseIndicator", "BitwiseFn_bitwise_and",
    "BitwiseFn_bitwise_or", "Eq", "Ne", "Equality", "Unequality", "StrictLessThan", "LessThan", "StrictGreaterThan",
    "GreaterThan", "And", "Or", "Not", "Piecewise", "ExprCondPair",
))  # fmt: skip
_TOLD = {"expr_str": "a formula", "target": "a call", "in_spec": "a structure", "out_spec": "a structure"}
_LONGEST = 20_000  # characters of a formula


def load(path: PathLike) -> tuple[ExportedProgram, dict[str, str]]:
    """The program in a .pt2 file, and the texts that were written along.

    Raises `UnusableInputError` for a file that is not whole, was written by another version, or holds what would run
    code when PyTorch reads it.
    """
    told = os.fspath(path)
    content = read_archive(path).content
    members = checked_zip(path, ".pt2 file")
    try:
        with ZipFile(path) as archive:
            refused = next(_what_runs_code(archive, members, content), None)
            extra = dict(_extra_files(archive, members))
    except Exception as error:  # whatever reading a broken file runs into
        raise UnusableInputError(f"'{told}' is not whole ({class_and_first_line(error)}): write it again") from None
    if refused is not None:
        raise UnusableInputError(
            f"'{told}' has {visible(refused[:200])}, and reading that may run code: where you trust the file, load it "
            "with torch.export.load and give the program"
        )
    try:
        with exporting():
            return torch.export.load(path), extra
    except Exception as error:
        raise UnusableInputError(f"PyTorch cannot read '{told}': {class_and_first_line(error)}") from None


def save(program: ExportedProgram, extra: dict[str, str], output: PathLike) -> None:
    """Write a program to a .pt2 file, whole or not at all. Raises `UnusableInputError` for another ending."""
    if Path(output).suffix.lower() != ".pt2":
        raise UnusableInputError(f"'{os.fspath(output)}' must end in .pt2, as programs of PyTorch do")
    with whole_file(output, lambda: state_dict_of(output)) as temporary:
        try:
            with exporting():
                torch.export.save(program, temporary, extra_files=extra)
        except (OSError, RuntimeError) as error:  # PyTorch's own writer raises RuntimeError for a full disk
            raise UnusableInputError(f"cannot write '{os.fspath(output)}': {class_and_first_line(error)}") from None


def _extra_files(archive: ZipFile, members: tuple[ZipInfo, ...]) -> Iterator[tuple[str, str]]:
    for member in members:
        for marker in _EXTRA:
            _, found, name = f"/{member.filename}".partition(marker)
            if found and name:
                yield name, archive.read(member).decode()


def _what_runs_code(archive: ZipFile, members: tuple[ZipInfo, ...], content: dict[str, Any]) -> Iterator[str]:
    """All that PyTorch would unpickle without care, evaluate, import or start."""
    for member in members:
        name = member.filename
        if any(mark in f"/{name}" for mark in _EXTRA):
            continue
        if any(mark in f"/{name}" for mark in _COMPILED):
            yield f"compiled code, {name}"
        elif name.endswith(_CONFIGS):
            config = json.loads(archive.read(member))["config"].values()
            yield from (f"a pickle, {told['path_name']}" for told in config if not told.get("tensor_meta"))
            yield from (f"a pickle, {told['path_name']}" for told in config if told.get("use_pickle"))
        elif name.endswith(_PICKLES) and not _is_of_plain_tensors(archive.read(member)):
            yield f"a pickle, {name}"
    yield from _in_content(content)


def _is_of_plain_tensors(pickle: bytes) -> bool:
    """Whether PyTorch's careful reader takes it, which it tries first."""
    try:
        if pickle:
            torch.load(io.BytesIO(pickle), map_location="cpu", weights_only=True)
    except Exception:  # of which there are many
        return False
    return True


def _in_content(told: Any) -> Iterator[str]:
    left = [told]
    while left:
        part = left.pop()
        if isinstance(part, list):
            left += part
        elif isinstance(part, dict):
            left += part.values()
            for key, value in part.items():
                if isinstance(value, str) and not _is_plain(key, value):
                    yield f"{_TOLD[key]}, {value}"


def _is_plain(key: str, value: str) -> bool:
    if key == "expr_str":
        return is_formula(value)
    if key == "target":
        return value.startswith(_TARGETS) and not value.startswith(_OPENS_FILES)
    if key in ("in_spec", "out_spec"):
        return not value or _is_of_containers(json.loads(value))
    return True


def is_formula(text: str) -> bool:
    """Whether a text is numbers, symbols and PyTorch's arithmetic of them: it is going to be evaluated.

    >>> is_formula("Mul(Integer(2), Symbol('s77', positive=True, integer=True))"), is_formula("2*s77 + 1")
    (True, True)
    >>> is_formula("__import__('os')"), is_formula("Add(Symbol('x').__class__, 1)"), is_formula("Integer('f()')")
    (False, False, False)
    """
    try:
        tree = ast.parse(text, mode="eval") if len(text) <= _LONGEST else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    if tree is None:
        return False
    names = {id(each) for node in ast.walk(tree) if isinstance(node, ast.Call) for each in _names_given(node)}
    return all(_is_of_formula(node, names) for node in ast.walk(tree))


def _names_given(call: ast.Call) -> list[ast.expr]:
    """The text that a symbol is called by."""
    return call.args[:1] if isinstance(call.func, ast.Name) and call.func.id == "Symbol" else []


def _is_of_formula(node: ast.AST, names: set[int]) -> bool:
    if not isinstance(node, _FORMULA):
        return False
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS
    if isinstance(node, ast.Name):
        return not node.id.startswith("_")
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return id(node) in names and node.value.isidentifier()
    return True


def _is_of_containers(told: Any) -> bool:
    """Whether the structure of what goes in or comes out is of lists, tuples and dicts: others are imported."""
    if isinstance(told, list):
        return all(map(_is_of_containers, told))
    if isinstance(told, dict):
        return (
            "__enum__" not in told
            and "default_factory_module" not in told
            and all(map(_is_of_containers, told.values()))
        )
    return not (isinstance(told, str) and ("__enum__" in told or "default_factory_module" in told))
