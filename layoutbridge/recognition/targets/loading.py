"""From a word on the command line to a thing to identify: a table, a model's file, a callable."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

from layoutbridge.errors import UnusableInputError, class_and_first_line
from layoutbridge.frameworks.table import frameworks
from layoutbridge.inputs import file_size
from layoutbridge.recognition.targets.table_files import READERS, read_table

_LARGEST_PROGRAM = 1 << 24  # bytes of a Python file
_SHOWN = 100  # characters of a call in an error


def load_target(text: str | os.PathLike[str]) -> Any:
    """What `text` names: a table from .npy, .csv or .json, a model in a file that a framework reads, or a callable.

    `module:callable` imports the module, `file.py:callable` runs the file; the callable may be a dotted attribute,
    and a class is called without arguments, or with those written behind it: `ports.py:Reorg(stride=2)`.
    Raises `UnusableInputError` in one line for what is not there or cannot be read.
    """
    name = os.fsdecode(text)
    suffix = Path(name).suffix.lower()
    if suffix in READERS:
        return read_table(name)
    readers = _model_readers()
    if suffix in readers:
        return readers[suffix](name)
    place, colon, attribute = _split_place(name)
    if not colon or not attribute or not place:
        *others, last = [*READERS, *readers]
        raise UnusableInputError(
            f"'{name}' names nothing to identify: give a {', '.join(others)} or {last} file, "
            f"module:callable or file.py:callable"
        )
    module = _run_file(place) if place.endswith(".py") else _import_module(place)
    return _attribute(module, place, attribute)


def is_loaded(path: str | os.PathLike[str]) -> bool:
    """Whether a path has the ending of a model's file that is read here.

    >>> is_loaded("net.onnx"), is_loaded("net.cfg")
    (True, False)
    """
    return Path(os.fsdecode(path)).suffix.lower() in _model_readers()


def _model_readers() -> dict[str, Callable[[str], Any]]:
    return {ending: read for framework in frameworks() for ending, read in framework.reads.items()}


def _split_place(name: str) -> tuple[str, str, str]:
    """`file.py:Callable(...)` cut at the colon before the callable; drive letters and arguments may hold others."""
    before, bracket, arguments = name.partition("(")
    place, colon, attribute = before.rpartition(":")
    return place, colon, attribute + bracket + arguments


def _run_file(path: str) -> ModuleType:
    file_size(path, "file", most=_LARGEST_PROGRAM)
    name = _module_name(path)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UnusableInputError(f"'{path}' cannot be loaded as Python")
    module = importlib.util.module_from_spec(spec)
    # it stays there, as what is imported does: dataclasses and pickling in the file look it up
    listed = sys.modules.setdefault(name, module) is module
    with _imports_from(os.path.dirname(os.path.realpath(path))):  # as `python file.py` does, for its neighbours
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
def _imports_from(folder: str) -> Iterator[None]:
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        with suppress(ValueError):
            sys.path.remove(folder)


def _import_module(name: str) -> ModuleType:
    try:
        here = os.getcwd()
    except OSError as error:  # somebody took the folder away
        raise UnusableInputError(f"cannot look for '{name}' in the current folder: {error.strerror}") from None
    with _imports_from(here):
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
            call = ", ".join([*map(repr, positional), *(f"{k}={v!r}" for k, v in named.items())])
            raise UnusableInputError(
                f"{name}({call if len(call) <= _SHOWN else call[:_SHOWN] + '...'}) raised "
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
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):  # what parsing strange text raises
        raise UnusableInputError(
            f"'{text}' is not a callable with plain values as arguments, such as Reorg(2)"
        ) from None
