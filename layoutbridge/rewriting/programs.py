"""Exported programs of PyTorch with other operations in their places, proven and tried as models of ONNX are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
import torch
from torch.export import ExportedProgram
from torch.fx import GraphModule

from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.errors import UnsupportedError, visible
from layoutbridge.frameworks.torch.emission import to_numpy
from layoutbridge.rewriting.applied import Applied, bytes_moved
from layoutbridge.rewriting.asking import fixes_asked
from layoutbridge.rewriting.checking import CLOSE, Values, deviation, is_same
from layoutbridge.rewriting.places.locating import Located, Wishes, graphs_at_sizes
from layoutbridge.rewriting.places.wanted import Fix, is_same_map, present_at
from layoutbridge.rewriting.proving import proven, region_of
from layoutbridge.rewriting.torch.cancelling import Cancelled, cancel
from layoutbridge.rewriting.torch.memory import Memory
from layoutbridge.rewriting.torch.programs import finished, graphs_within, looked_at, work_on
from layoutbridge.rewriting.torch.replacing import put, shorten
from layoutbridge.rewriting.torch.running import Run, Trial
from layoutbridge.rewriting.torch.scenes import ProgramScene, Spot, bare, scene_of_program, spot_of, turns_of
from layoutbridge.scanning.graphs.sizes import Shapes


@dataclass(frozen=True)
class ProgramDraft:
    """A program on its way, as it is now with its places, and what was done until now; `shape` is the caller's."""

    program: ExportedProgram
    scene: ProgramScene
    shape: Shapes
    passes: tuple[Applied, ...] = ()

    def with_program(self, program: ExportedProgram) -> ProgramDraft:
        """The same with a changed program, whose places are found anew."""
        return replace(self, program=program, scene=scene_of_program(program, self.scene.name, self.shape))

    def with_passes(self, *passes: Applied) -> ProgramDraft:
        """The same with what was done behind what was done before."""
        return replace(self, passes=(*self.passes, *passes))


Stage = Callable[[ProgramDraft], ProgramDraft]  # gives back the draft itself where there is nothing to do


def begin(program: ExportedProgram, name: str, shape: Shapes) -> ProgramDraft:
    """A program before anything is done; raises as `scan` does."""
    return ProgramDraft(program, scene_of_program(program, name, shape), shape)


# ---------------------------------------------------------------------- fix


def fixed(draft: ProgramDraft, fix: Wishes, *, check: bool) -> tuple[ProgramDraft, float | None]:
    """The program with what is wished for in its places, and how far its outputs moved, where it is run to `check`.

    Each place is looked at again in the program that was made. Raises as `rewrite` does.
    """
    work = work_on(draft.program)

    def refuse(located: Located) -> None:
        spot_of(work, located)

    (fixes,) = fixes_asked(draft.scene, (fix,), refuse)
    if not fixes:
        return draft, 0.0 if check else None
    for each in fixes:
        put(work, spot_of(work, each.located), each.wanted.on_all_axes)
    made = draft.with_program(finished(work))
    passes = [proven("fix", each.located, made.scene, each.wanted.on_all_axes, each.wanted.label) for each in fixes]
    return made.with_passes(*passes), _compare_fixed(draft, made, fixes) if check else None


def _compare_fixed(before: ProgramDraft, after: ProgramDraft, fixes: Sequence[Fix]) -> float:
    """Run both: each place must give what is wanted of it, and what depends on none stays bit for bit.

    Returns the largest difference of an output, as a share of the largest value of that. Raises `UnsupportedError`.
    """
    shown = [(each, _spot_after(after, each.located)) for each in fixes if each.located.inside == 0]
    trial = Trial(before.program, before.scene.graph)
    one = trial.run(before.program)
    outputs, readers = (
        [spot.output.name for _, spot in shown],
        {spot.reader.name: spot.source.name for _, spot in shown},
    )
    two = trial.run(after.program, outputs, readers)
    for each, spot in shown:
        source, given = to_numpy(two.read[spot.reader.name]), to_numpy(two.values[spot.output.name])
        if not is_same(np.asarray(each.wanted.on_all_axes(source)), given):
            raise UnsupportedError(f"{each.located.told} would not give what {each.wanted.label} does")
    changed = _changed_outputs(before, fixes)
    first, second = _values(before, one), _values(after, two)
    for name, value in first.items():
        if name not in changed and not is_same(value, second[name]):
            raise UnsupportedError(f"'{visible(name[:80])}' depends on no place, and its values would change")
    return deviation(first, second)


def _spot_after(draft: ProgramDraft, located: Located) -> Spot:
    """A place that was written anew, in the program that was made."""
    return spot_of(looked_at(draft.program), replace(located, region=region_of(draft.scene.graph, located)))


def _changed_outputs(draft: ProgramDraft, fixes: Sequence[Fix]) -> set[str]:
    """The outputs that depend on a place, or on the control flow that it lies in."""
    spots = [spot_of(looked_at(draft.program), each.located) for each in fixes]
    module = draft.program.graph_module
    changed = Memory(module).dependents(spot.root or spot.output for spot in spots)
    (output,) = (node for node in module.graph.nodes if node.op == "output")
    held = dict(zip(_output_names(draft), output.args[0], strict=True))
    return {name for name, node in held.items() if node in changed}


def _output_names(draft: ProgramDraft) -> list[str]:
    return [f"output {k} ({spec.arg.name})" for k, spec in enumerate(draft.program.graph_signature.output_specs)]


def _values(draft: ProgramDraft, run: Run) -> Values:
    """The tensors among what a program gave."""
    held = zip(_output_names(draft), run.outputs, strict=True)
    return {name: to_numpy(value) for name, value in held if isinstance(value, torch.Tensor)}


# ---------------------------------------------------------------------- native


def shortened(draft: ProgramDraft) -> ProgramDraft:
    """The program with every place in its shortest form, where that moves fewer bytes or takes fewer calls."""
    work = work_on(draft.program)
    changed: list[tuple[Located, Rearrangement | None]] = []
    renamed: dict[str, str] = {}
    memories: dict[GraphModule, Memory] = {}
    for located in draft.scene.places:
        operation = _operation_at(located)
        if operation is None and located.place.kind != "view":
            continue
        try:
            spot = spot_of(work, _renamed(located, renamed))
        except UnsupportedError:
            continue
        size = located.graph.tensors[located.region.output].bytes
        cost = bytes_moved(located.graph, located.region.nodes), len(located.region.names)
        memory = memories.pop(spot.module, None) or Memory(spot.module)
        is_shorter = shorten(work, spot, operation, memory, size=size, cost=cost)
        if not (
            is_shorter and (memory.writes or memory.private)
        ):  # where nothing is written there is nothing to be found anew
            memories[spot.module] = memory
        if is_shorter:
            changed.append((located, operation))
            if not any(node.name == bare(located.region.output) for node in spot.module.graph.nodes):
                renamed[located.region.output] = located.region.sources[0]
    if not changed:
        return draft
    made = draft.with_program(finished(work))
    return made.with_passes(*(_shortened(made, located, operation, renamed) for located, operation in changed))


def _renamed(located: Located, renamed: Mapping[str, str]) -> Located:
    """A place, where what goes into it has another name now."""
    source = located.region.sources[0]
    while source in renamed:
        source = renamed[source]
    return replace(located, region=replace(located.region, sources=(source, *located.region.sources[1:])))


def _operation_at(located: Located) -> Rearrangement | None:
    """What a place that moves elements is at each size at which it was seen; None where that is not written down."""
    if located.place.kind != "moves":
        return None
    try:
        operation = present_at(located)
    except UnsupportedError:
        return None
    graphs = (located.graph, *((located.second,) if len(located.seen_at) > 1 else ()))
    seen = (graph for graph in graphs if graph is not None)
    is_it = all(is_same_map(graph, region_of(graph, located), operation) for graph in seen)
    return operation if is_it else None


def _shortened(
    made: ProgramDraft, located: Located, operation: Rearrangement | None, renamed: Mapping[str, str]
) -> Applied:
    region = located.region
    before = bytes_moved(located.graph, region.nodes)
    if region.output in renamed:
        proof = (
            f"nothing moves in {', '.join(region.names)}, as read at {list(located.sides[0])}: all of it is left out"
        )
        return Applied("native", (located.number,), proof, before, 0)
    now = _renamed(located, renamed)
    if operation is not None:
        return proven("native", now, made.scene, operation, operation.label)
    for graph in graphs_at_sizes(made.scene)[located.inside]:
        if graph is not None and region.output in graph.tensors:
            again = region_of(graph, now)
            if again.sources != now.region.sources or any(node.kind != "view" for node in again.nodes):
                raise AssertionError(f"{located.told} did not stay a view")
    return Applied("native", (located.number,), "read again, it is a view: every element stays in its place", before, 0)


# ---------------------------------------------------------------------- cancel


def cancelled(draft: ProgramDraft) -> ProgramDraft:
    """The program with transposes that meet left out, as often as some do."""
    while True:
        work = work_on(draft.program)
        graphs = enumerate(zip(list(graphs_within(work.module)), graphs_at_sizes(draft.scene), strict=True))
        passes = [
            _cancelled(draft, inside, done)
            for inside, ((module, _), (graph, _)) in graphs
            for done in cancel(work, module, turns_of(module, graph))
        ]
        if not passes:
            return draft
        draft = draft.with_program(finished(work)).with_passes(*passes)


def _cancelled(draft: ProgramDraft, inside: int, done: Cancelled) -> Applied:
    turns = set(done.turns)
    places = [
        place.number
        for place in draft.scene.places
        if place.inside == inside and not turns.isdisjoint(bare(node.output) for node in place.region.nodes)
    ]
    how = f"meet through {', '.join(done.between)}, which take elements wherever they lie"
    proof = f"{', '.join(done.turns)} {how if done.between else 'stand one behind the other'}"
    return Applied("cancel", tuple(places), proof, done.before, done.after)


# ---------------------------------------------------------------------- all of it


def rewritten(
    program: ExportedProgram, name: str, fix: Wishes, *, native: bool, cancel: bool, shape: Shapes, check: bool
) -> tuple[ProgramDraft, ProgramDraft, float | None]:
    """A program before and after all that is asked for, and how far its outputs moved where it is run to `check`."""
    start = begin(program, name, shape)
    before, moved = fixed(start, fix, check=check)
    stages: list[Stage] = [*([shortened] if native else ()), *([cancelled] if cancel else ())]
    stages += [shortened] if native and cancel else []  # where transposes are gone, less may be left to be done
    done = reduce(lambda draft, stage: stage(draft), stages, before)
    if check and done is not before:
        moved = _compare_stages(start, before, done)
    return start, done, moved


def _compare_stages(start: ProgramDraft, before: ProgramDraft, after: ProgramDraft) -> float:
    """Run the program as it was `before` some stages and `after` them: both must give the same outputs.

    That is bit for bit where all that both have lies the same way in memory, else to `CLOSE`: PyTorch adds numbers up
    in another order where it does not. Returns the largest difference from the program at the `start`, as a share of
    the largest value of an output. Raises `UnsupportedError`.
    """
    trial = Trial(before.program, before.scene.graph)
    one, two = trial.run(before.program), trial.run(after.program)
    expected, values = _values(before, one), _values(after, two)
    expected = dict(zip(values, expected.values(), strict=True))
    if all(one.strides[name] == two.strides[name] for name in one.strides.keys() & two.strides.keys()):
        for name, value in expected.items():
            if not is_same(value, values[name]):
                raise UnsupportedError(f"the values of '{visible(name[:80])}' would change")
    elif not (apart := deviation(expected, values)) <= CLOSE:
        raise UnsupportedError(f"the outputs would be {apart:.1e} of the largest value away")
    first = expected if start is before else _values(start, trial.run(start.program))
    return deviation(dict(zip(values, first.values(), strict=True)), values)
