"""A module in evaluation mode for a while: a twin of it, or itself, whichever threads want it so."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import Enum
from functools import partial
from threading import Lock
from types import BuiltinFunctionType, FunctionType, ModuleType

import numpy as np
import torch
from torch.nn import Module

_TABLES = ("_parameters", "_buffers", "_modules")
_PLAIN = (type, ModuleType, Enum, bool, int, float, complex, str, bytes, np.generic, np.dtype)
_PLAIN_OF_TORCH = (torch.Tensor, torch.dtype, torch.device, torch.layout, torch.memory_format)
_HOLDERS = (dict, OrderedDict, list, tuple, set, frozenset, torch.Size, partial, BuiltinFunctionType)
_LOCK = Lock()
_blocks: Counter[int] = Counter()  # how many blocks hold a part, by its id, that is in training mode outside them


@contextmanager
def in_evaluation(module: Module) -> Iterator[Module]:
    """What computes as `module` does in evaluation mode, in the block; the modes of its parts are afterwards as before.

    It is `module` where nothing of it is in training mode, else a twin that shares parameters and buffers, and `module`
    never leaves its mode. Where something kept in a part may call the original, as hooks, closures and scripted code
    may, that is switched over instead: every part is in evaluation mode in the block, and of blocks that overlap, in
    threads or one within another, the last gives a part its mode back. Code that trains the module meanwhile sees
    evaluation mode then, and so does a child that is forked.
    """
    with _LOCK:  # a part that another block has switched over is in training mode in truth
        trains = any(part.training or id(part) in _blocks for part in module.modules())
    if not trains:
        yield module
    elif all(map(_has_twin, module.modules())):
        yield _twin(module, {})
    else:
        with _switched(module):
            yield module


def _has_twin(part: Module) -> bool:
    """Whether a part consists of what a twin may share: nothing in it can lead back to the part, or to another."""
    slots = any(vars(kind).get("__slots__") for kind in type(part).__mro__)
    return not slots and all(_leads_nowhere(value) for name, value in vars(part).items() if name not in _TABLES)


def _leads_nowhere(value: object, depth: int = 4) -> bool:
    """Whether `value` is plain data, or a function of PyTorch's own."""
    if value is None or isinstance(value, (*_PLAIN, *_PLAIN_OF_TORCH)):
        return True
    if isinstance(value, np.ndarray):
        return not value.dtype.hasobject
    if isinstance(value, FunctionType):
        return value.__module__.partition(".")[0] == "torch" and not value.__closure__
    return type(value) in _HOLDERS and depth > 0 and all(_leads_nowhere(each, depth - 1) for each in _held(value))


def _held(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return *value, *value.values()
    if isinstance(value, partial):
        return value.func, value.args, value.keywords
    return value if isinstance(value, Iterable) else (getattr(value, "__self__", None),)


def _twin(part: Module, made: dict[int, Module]) -> Module:
    """A module of the same class and attributes, its parts twins too, in evaluation mode; `made` holds those made."""
    if id(part) not in made:
        twin = made[id(part)] = object.__new__(type(part))
        tables = {name: vars(part)[name].copy() for name in _TABLES}
        vars(twin).update(vars(part), **tables, training=False)
        for name, inner in tables["_modules"].items():
            tables["_modules"][name] = None if inner is None else _twin(inner, made)
    return made[id(part)]


@contextmanager
def _switched(module: Module) -> Iterator[None]:
    with _LOCK:
        parts = [part for part in module.modules() if part.training or id(part) in _blocks]
        _blocks.update(map(id, parts))
    try:
        for part in parts:
            part.training = False
        yield
    finally:
        with _LOCK:
            for part in parts:
                _blocks[id(part)] -= 1
                if not _blocks[id(part)]:
                    del _blocks[id(part)]
                    part.training = True
