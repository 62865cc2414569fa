"""From a word on the command line to a thing to identify: a table, a model's file, a callable."""

from __future__ import annotations

import ast
import csv
import importlib
import importlib.util
import io
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.errors import UnusableInputError, class_and_first_line, first_line
from layoutbridge.frameworks.table import frameworks

_TABLE_SUFFIXES = (".npy", ".csv", ".json")


def load_target(text: str | os.PathLike[str]) -> Any:
    """What `text` names: a table from .npy, .csv or .json, a model in a file that a framework reads, or a callable.

    `module:callable` imports the module, `file.py:callable` runs the file; the callable may be a dotted attribute,
    and a class is called without arguments, or with those written behind it: `ports.py:Reorg(stride=2)`.
    Raises `UnusableInputError` in one line for what is not there or cannot be read.
    """
    name = os.fspath(text)
    suffix = Path(name).suffix.lower()
    if suffix in _TABLE_SUFFIXES:
        return read_table(name)
    readers = {ending: read for framework in frameworks() for ending, read in framework.reads.items()}
    if suffix in readers:
        return readers[suffix](name)
    place, colon, attribute = _split_place(name)
    if not colon or not attribute or not place:
        *others, last = [*_TABLE_SUFFIXES, *readers]
        raise UnusableInputError(
            f"'{name}' names nothing to identify: give a {', '.join(others)} or {last} file, "
            f"module:callable or file.py:callable"
        )
    module = _run_file(place) if place.endswith(".py") else _import_module(place)
    return _attribute(module, place, attribute)


def _split_place(name: str) -> tuple[str, str, str]:
    """`file.py:Callable(...)` cut at the colon before the callable; drive letters and arguments may hold others."""
    before, bracket, arguments = name.partition("(")
    place, colon, attribute = before.rpartition(":")
    return place, colon, attribute + bracket + arguments


def read_table(path: str) -> NDArray[Any]:
    """The integers in a .npy, .csv or .json file; raises `UnusableInputError` with the reason for any other content."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise UnusableInputError(f"cannot read '{path}': {error.strerror or error}") from None
    if not content:
        raise UnusableInputError(f"'{path}' is empty")
    suffix = Path(path).suffix.lower()
    try:
        array = {".npy": _read_npy, ".csv": _read_csv, ".json": _read_json}[suffix](content)
    except (ValueError, EOFError, RecursionError, MemoryError, OverflowError) as error:
        raise UnusableInputError(f"'{path}' is no table of integers: {first_line(error)}") from None
    if array.dtype.kind not in "iu":
        raise UnusableInputError(f"'{path}' holds {array.dtype}, and a table holds integers (positions)")
    return array


def _read_npy(content: bytes) -> NDArray[Any]:
    stream = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = reader(stream)
    except Exception as error:  # a header is Python text: a broken one raises whatever the parser raises
        raise ValueError(f"not a whole .npy file ({error})") from None
    if dtype.hasobject:
        raise ValueError("it holds pickled Python objects, which are not loaded")
    wanted, held = int(np.prod(shape, dtype=object)) * dtype.itemsize, len(content) - stream.tell()
    if held < wanted:
        raise ValueError(f"it is cut short: its header promises {wanted} bytes and {held} are there")
    stream.seek(0)
    array: NDArray[Any] = np.load(stream, allow_pickle=False)
    return array


def _read_csv(content: bytes) -> NDArray[Any]:
    rows = [row for row in csv.reader(io.StringIO(content.decode("utf-8-sig"))) if row]
    return np.array([[int(cell) for cell in row] for row in rows], np.int64).reshape(-1)


def _read_json(content: bytes) -> NDArray[Any]:
    value = json.loads(content)
    if isinstance(value, dict):
        if "table" not in value:
            raise ValueError("a JSON object needs the key 'table'")
        value = value["table"]
    return np.asarray(value)


def _run_file(path: str) -> ModuleType:
    if not Path(path).is_file():
        raise UnusableInputError(f"there is no file '{path}'")
    name = _module_name(path)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UnusableInputError(f"'{path}' cannot be loaded as Python")
    module = importlib.util.module_from_spec(spec)
    # it stays there, as what is imported does: dataclasses and pickling in the file look it up
    listed = sys.modules.setdefault(name, module) is module
    with _imports_from(Path(path).resolve().parent):  # as `python file.py` does, for its neighbours
        try:
            spec.loader.exec_module(module)
        except BaseException as error:
            if listed:
                sys.modules.pop(name, None)
            if isinstance(error, KeyboardInterrupt):
                raise
            raise UnusableInputError(f"running '{path}' raised {class_and_first_line(error)}") from error
    return module


def _module_name(path: str) -> str:
    """The file's name without its ending; another where this would be the name of a module that programs may import.

    >>> _module_name("somewhere/reorg_in_numpy.py"), _module_name("somewhere/json.py")
    ('reorg_in_numpy', 'json_py')
    """
    name = Path(path).stem
    try:
        known = importlib.util.find_spec(name)
    except (ImportError, ValueError):  # the name of a part of no package, or of `__main__`
        known = None
    own = known is None or (known.origin is not None and os.path.realpath(known.origin) == os.path.realpath(path))
    return name if own else f"{name}_py"


@contextmanager
def _imports_from(folder: Path) -> Iterator[None]:
    place = str(folder)
    sys.path.insert(0, place)
    try:
        yield
    finally:
        with suppress(ValueError):
            sys.path.remove(place)


def _import_module(name: str) -> ModuleType:
    with _imports_from(Path.cwd()):
        try:
            return importlib.import_module(name)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise UnusableInputError(f"importing '{name}' raised {class_and_first_line(error)}") from error


def _attribute(module: ModuleType, place: str, text: str) -> Any:
    name, _, _ = text.partition("(")
    value: Any = module
    for part in name.strip().split("."):
        try:
            value = getattr(value, part)
        except AttributeError:
            near = get_close_matches(part, dir(value), n=3) or [key for key in vars(module) if not key.startswith("_")]
            raise UnusableInputError(f"'{place}' has no '{name}'; it has {', '.join(near[:8])}") from None
        except Exception as error:  # a property, or a module's own __getattr__
            raise UnusableInputError(f"'{name}' in '{place}' raised {class_and_first_line(error)}") from error
    positional, named = _arguments(text)
    if isinstance(value, type) or "(" in text:
        try:
            value = value(*positional, **named)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            raise UnusableInputError(
                f"{name}({', '.join([*map(repr, positional), *(f'{k}={v!r}' for k, v in named.items())])}) raised "
                f"{class_and_first_line(error)}; arguments may be written behind it: '{place}:{name}(2)'"
            ) from error
    if not callable(value):
        raise UnusableInputError(f"'{name}' in '{place}' is {type(value).__name__}, not a callable")
    return value


def _arguments(text: str) -> tuple[list[Any], dict[str, Any]]:
    """The literal arguments in `Name(2, flag=True)`."""
    if "(" not in text:
        return [], {}
    try:
        call = ast.parse(text.strip(), mode="eval").body
        if not isinstance(call, ast.Call) or any(keyword.arg is None for keyword in call.keywords):
            raise ValueError
        named = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
        return [ast.literal_eval(argument) for argument in call.args], named
    except (SyntaxError, ValueError):
        raise UnusableInputError(
            f"'{text}' is not a callable with plain values as arguments, such as Reorg(2)"
        ) from None
