"""Modules of PyTorch with other operations in the place of submodules: in a copy, which has the same parameters."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import Module

from layoutbridge.algebra.rearrangement import ParameterValue
from layoutbridge.errors import LayoutBridgeError, ParameterError, UnsupportedError, UnusableInputError, shown, visible
from layoutbridge.frameworks.torch.emission import emit, to_numpy
from layoutbridge.inputs import PathLike
from layoutbridge.recognition.answer import Identification
from layoutbridge.recognition.identification import identify
from layoutbridge.recognition.wrapping import PLAIN, Wrapping
from layoutbridge.rewriting.applied import Applied, bytes_moved_in
from layoutbridge.rewriting.checking import deviation, is_same
from layoutbridge.rewriting.places.locating import Sides
from layoutbridge.rewriting.places.wanted import Wanted, wanted_at
from layoutbridge.rewriting.torch.parts import Call, copied, inputs_for, likely_call, names_of, put, run, tensors_of
from layoutbridge.scanning.graphs.sizes import Shapes
from layoutbridge.scanning.models import graphs_of

_MOVES = ("permutation", "drops or repeats")


@dataclass(frozen=True)
class Part:
    """A submodule by all its `names`, what it is, and its calls."""

    names: tuple[str, ...]
    module: Module
    seen: Identification
    calls: Sequence[Call]

    @property
    def told(self) -> str:
        """What an error calls it."""
        return f"'{visible(self.names[0][:80])}' ({type(self.module).__name__})"

    @property
    def seen_at(self) -> Sequence[Sides]:
        """The shapes before and after of its calls, each once."""
        return list(dict.fromkeys(call.sides for call in self.calls))

    @property
    def wrapping(self) -> Wrapping:
        """What is done around the operation that it is."""
        return self.seen.wrapping

    @property
    def parameters(self) -> Mapping[str, ParameterValue]:
        """Those of the operation that it is."""
        return self.seen.parameters


@dataclass(frozen=True)
class RewrittenModule:
    """A module with other submodules, what was done, how many modules it had and has, bytes, and the deviation."""

    module: Module
    passes: tuple[Applied, ...]
    counts: tuple[int, int, int, int]
    deviation: float | None


def rewritten(module: Module, fix: Mapping[str | int, str], *, shape: Shapes, check: bool) -> RewrittenModule:
    """A copy of a module with what is wished for in the place of submodules; raises as `rewrite` does.

    Parameters are the same tensors, not copies of them. With a `shape` one forward pass tells what the submodules take,
    and with `check` another one whether the module gives what it should.
    """
    wishes = _named(module, fix)
    trial = copied(module)
    inputs, before, calls = _watched(trial, [names[0] for names in wishes], shape)
    made, fresh = copied(module), copied(module)
    passes: list[Applied] = []
    wanted: dict[str, Wanted] = {}
    for names, wish in wishes.items():
        part = _part(trial, names, calls[names[0]])
        found = wanted_at(part, wish)
        if _is_it(part, found):
            continue
        new = _module_of(found).eval()
        for call in part.calls:
            _refuse_wrong(part.told, found, call.taken, new(call.taken))
        put(fresh, names, new)
        put(made, names, _module_of(found).train(module.get_submodule(names[0]).training))
        wanted[names[0]] = found
        passes.append(_fixed(part, found, new))
    if not passes:
        return RewrittenModule(module, (), (_count(module), _count(module), 0, 0), 0.0 if check else None)
    moved = None
    if check and inputs:
        moved = _compare(fresh, inputs, before, calls, wanted)
    totals = [sum(size) for size in zip(*((each.bytes_before, each.bytes_after) for each in passes), strict=True)]
    return RewrittenModule(made, tuple(passes), (_count(module), _count(made), totals[0], totals[1]), moved)


def refuse_saving(path: PathLike) -> None:
    """Raise `UnsupportedError`: a module is Python, of which no file has all."""
    raise UnsupportedError(
        f"a module is not written to '{os.fspath(path)}': keep its weights, torch.save(done.model.state_dict(), …), or "
        "export it with torch.export.export and torch.export.save"
    )


def _named(module: Module, fix: Mapping[str | int, str]) -> dict[tuple[str, ...], str]:
    """What is wished for, by all names of a submodule."""
    wishes: dict[tuple[str, ...], str] = {}
    known: dict[int, str] = {}
    for wish, name in fix.items():
        names = names_of(module, wish)
        if not isinstance(name, str):
            raise ParameterError(f"'{visible(names[0][:80])}' is to be an entry's name, not {shown(name)}")
        part = id(module.get_submodule(names[0]))
        if part in known:
            raise ParameterError(
                f"'{visible(names[0][:80])}' is asked for twice, as {known[part][:80]} and {name[:80]}"
            )
        known[part] = name
        wishes[names] = name
    return wishes


def _watched(
    trial: Module, names: Sequence[str], shape: Shapes
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor], Mapping[str, Sequence[Call]]]:
    """Inputs, what the module makes of them, and these submodules' calls; without a `shape` likely calls alone."""
    if shape is None:
        return {}, {}, {name: [likely_call(trial.eval().get_submodule(name), name)] for name in names}
    reason = ""
    for inputs in inputs_for(trial, shape):
        try:
            made, calls = run(trial, inputs, names)
        except UnusableInputError as error:
            reason = reason or str(error)
            continue
        for name, own in calls.items():
            if not own:
                raise UnsupportedError(
                    f"'{visible(name[:80])}' is not called when the module runs: nothing would change"
                )
        return inputs, tensors_of(made), calls
    raise UnusableInputError(reason)


def _part(trial: Module, names: tuple[str, ...], calls: Sequence[Call]) -> Part:
    module = trial.get_submodule(names[0])
    seen = identify(module, calls[0].sides[0])
    part = Part(names, module, seen, calls)
    if seen.kind not in _MOVES or next(module.parameters(), None) is not None:
        raise UnsupportedError(f"{part.told} does more than to move elements, and is not replaced: {seen.reason}")
    return part


def _is_it(part: Part, wanted: Wanted) -> bool:
    """Whether a submodule is what is wished for already, at all shapes at which it was seen."""
    second = part.seen.second_shape
    shapes = [sides[0] for sides in part.seen_at] + ([] if second is None else [second])
    with torch.no_grad():
        taken = [torch.randn(shape) for shape in shapes]
        return all(is_same(np.asarray(wanted.on_all_axes(to_numpy(x))), to_numpy(part.module(x))) for x in taken)


def _module_of(wanted: Wanted) -> Module:
    plain = wanted.wrapping == PLAIN
    return emit(wanted.operation) if plain else emit(wanted.on_all_axes, batch=False)


def _refuse_wrong(told: str, wanted: Wanted, taken: torch.Tensor, given: torch.Tensor) -> None:
    if not is_same(np.asarray(wanted.on_all_axes(to_numpy(taken))), to_numpy(given)):
        raise UnsupportedError(f"{told} would not give what {wanted.label} does")


def _fixed(part: Part, wanted: Wanted, new: Module) -> Applied:
    shapes = " and ".join(str(list(sides[0])) for sides in part.seen_at)
    also = f"; it is {', '.join(part.names[1:])} as well" if len(part.names) > 1 else ""
    proof = f"run at {shapes}, every element comes from where {wanted.label} has it{also}"
    before, after = (sum(_bytes(module, call) for call in part.calls) for module in (part.module, new))
    return Applied("fix", part.names, proof, before, after)


def _bytes(module: Module, call: Call) -> int:
    """What a call moves; of a submodule that cannot be exported the size of its result."""
    try:
        return bytes_moved_in(graphs_of(module, call.sides[0])[0])
    except LayoutBridgeError:
        return call.given.nbytes


def _compare(
    made: Module,
    inputs: Mapping[str, torch.Tensor],
    before: Mapping[str, torch.Tensor],
    calls: Mapping[str, Sequence[Call]],
    wanted: Mapping[str, Wanted],
) -> float:
    """Run the module that was made: each submodule must give what is wished of it, as often as the one before did."""
    outputs, again = run(made, inputs, list(wanted))
    for name, found in wanted.items():
        told = f"'{visible(name[:80])}'"
        if len(again[name]) != len(calls[name]):
            raise UnsupportedError(
                f"{told} is called {len(again[name])} times of {len(calls[name])}: forward reaches it another way, too"
            )
        for call in again[name]:
            _refuse_wrong(told, found, call.taken, call.given)
    one, two = ({name: to_numpy(x) for name, x in each.items()} for each in (before, tensors_of(outputs)))
    return deviation(one, two)


def _count(module: Module) -> int:
    return sum(1 for _ in module.modules())
