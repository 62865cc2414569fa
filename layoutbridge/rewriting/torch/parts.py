"""Submodules by their dotted names: found, watched while the module runs, and others put in their place in a copy."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import chain
from typing import Any

import torch
from torch.nn import Module
from torch.utils import _pytree as pytree

from layoutbridge.errors import (
    ShapeError,
    UnknownNameError,
    UnsupportedError,
    UnusableInputError,
    class_and_first_line,
    shown,
    visible,
)
from layoutbridge.scanning.graphs.sizes import Shapes, filled_shapes

_SHOWN = 80
# At which a module that moves elements most likely runs: lengths that many numbers divide, no two of them equal.
_LIKELY = ((1, 144, 24, 36), (1, 64, 16, 32), (1, 48, 12, 24), (1, 24, 36, 144), (1, 144, 36), (1, 36, 144),
           (1, 16, 4, 8, 12), (144, 24, 36), (36, 144))  # fmt: skip
EXPORT = "export the module first, torch.export.export(module, (example,)), and rewrite the program"


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a submodule: what it took, and what it gave."""

    taken: torch.Tensor
    given: torch.Tensor

    @property
    def sides(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The shapes of both."""
        return tuple(self.taken.shape), tuple(self.given.shape)


def copied(module: Module) -> Module:
    """A copy of a module that has the same parameters, not copies of them, and buffers of its own."""
    kept: dict[int, Any] = {id(parameter): parameter for parameter in module.parameters()}
    try:
        return copy.deepcopy(module, kept)
    except Exception as error:  # what somebody else's class keeps
        told = f"{type(module).__name__} cannot be copied: {class_and_first_line(error)}"
        raise UnsupportedError(f"{told}; {EXPORT}") from None


def names_of(module: Module, wish: object) -> tuple[str, ...]:
    """All names of the submodule that somebody calls `wish`, that one first.

    Raises `UnsupportedError` for a number, which is a place in a forward function, and for the module itself, and
    `UnknownNameError` with the nearest where there is no such submodule.
    """
    kind = type(module).__name__
    if not isinstance(wish, str):
        raise UnsupportedError(f"place {shown(wish)} is none of the submodules of {kind}, which have names: {EXPORT}")
    known = dict(module.named_modules(remove_duplicate=False))
    if not wish:
        raise UnsupportedError(f"{kind} itself is no submodule: lb.emit(op, 'torch') makes the module of an operation")
    if wish not in known:
        near = get_close_matches(wish[:_SHOWN], known, n=1, cutoff=0.4)
        meant = f"did you mean {shown(near[0])}?" if near else f"it has {visible(_few(known))}"
        raise UnknownNameError(
            f"no submodule of {kind} is called {shown(wish)}; {meant} For what its forward does itself, {EXPORT}"
        )
    return wish, *(name for name, part in known.items() if part is known[wish] and name != wish)


def put(module: Module, names: Iterable[str], part: Module) -> None:
    """Put another submodule in the place of those of these names."""
    for name in names:
        holder, _, own = name.rpartition(".")
        setattr(module.get_submodule(holder), own, part)


def inputs_for(module: Module, shapes: Shapes) -> Iterator[dict[str, torch.Tensor]]:
    """Random inputs by the names of the arguments of a module's forward function, of shapes that are given.

    Lengths that are left open get numbers, one choice after the other. Raises `ShapeError` for a name that it lacks.
    """
    parameters = inspect.signature(module.forward).parameters.values()
    names = [each.name for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    given = shapes if isinstance(shapes, Mapping) else {names[0] if names else "input": shapes or ()}
    for name in given:
        if names and name not in names:
            raise ShapeError(f"{type(module).__name__} takes nothing called {shown(name)}; it takes {', '.join(names)}")
    held = (each for each in chain(module.parameters(), module.buffers()) if each.is_floating_point())
    like = next(held, torch.zeros(()))
    for filled in filled_shapes({name: tuple(shape) for name, shape in given.items()}, None):
        random = torch.Generator().manual_seed(0)
        yield {name: torch.randn(shape, generator=random).to(like.device, like.dtype) for name, shape in filled.items()}


def run(
    module: Module, inputs: Mapping[str, torch.Tensor], watched: Sequence[str]
) -> tuple[Any, dict[str, list[Call]]]:
    """What a module in evaluation mode gives, and all calls of the submodules of these names.

    Raises `UnusableInputError` where it does not run, and `UnsupportedError` for a submodule that takes or gives
    anything but one tensor.
    """
    calls: dict[str, list[Call]] = {name: [] for name in watched}
    handles = [_watch(module.get_submodule(name), name, calls[name]) for name in watched]
    first, *rest = inputs.items()
    try:
        with torch.no_grad(), torch.random.fork_rng([]):
            torch.manual_seed(0)
            made = module.eval()(first[1].clone(), **{name: x.clone() for name, x in rest})
    except UnsupportedError:
        raise
    except Exception as error:  # somebody else's forward function
        told = ", ".join(f"{name} {list(x.shape)}" for name, x in inputs.items())
        raise UnusableInputError(
            f"{type(module).__name__} cannot be run at {told}: {class_and_first_line(error)}"
        ) from None
    finally:
        for handle in handles:
            handle.remove()
    return made, calls


def likely_call(part: Module, name: str) -> Call:
    """A submodule called with a shape that it takes; raises `ShapeError` where none of those that are tried is."""
    for shape in _LIKELY:
        try:
            with torch.no_grad():
                x = torch.randn(shape)
                y = part(x)
        except Exception:  # of another shape than it takes
            continue
        if isinstance(y, torch.Tensor):
            return Call(x, y)
    raise ShapeError(
        f"'{visible(name[:_SHOWN])}' ({type(part).__name__}) does not run at the shapes that were tried: give that of "
        "the module's input, shape=(1, 3, 416, 416)"
    )


def tensors_of(made: Any) -> dict[str, torch.Tensor]:
    """The tensors among what a module gave, in their order."""
    leaves = pytree.tree_leaves(made)
    return {f"output {k}": value for k, value in enumerate(leaves) if isinstance(value, torch.Tensor)}


def _watch(part: Module, name: str, calls: list[Call]) -> Any:
    def hook(_: Module, args: tuple[Any, ...], kwargs: dict[str, Any], given: Any) -> None:
        taken = [value for value in (*args, *kwargs.values()) if isinstance(value, torch.Tensor)]
        if len(taken) != 1 or not isinstance(given, torch.Tensor):
            raise UnsupportedError(
                f"'{visible(name[:_SHOWN])}' ({type(part).__name__}) does not take one tensor and give one, as every "
                "entry of the catalogue does"
            )
        calls.append(Call(taken[0].clone(), given.clone()))

    return part.register_forward_hook(hook, with_kwargs=True)


def _few(names: Iterable[str]) -> str:
    told = [name for name in names if name]
    return f"{', '.join(told[: _SHOWN // 10])}{' and more' if len(told) > _SHOWN // 10 else ''}." if told else "none."
