"""The faults of a port, one behind the other: the reference is given each that is found, and runs again.

A fault may show later than where it is. An activation that is too many leaves the tensor in front of it as it should
be; what is off by less than the tolerance adds up. So the layers in front of the first that is apart are looked at,
too, each fed with what the candidate fed it.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.comparing.alignment import Alignment, Pair, align
from layoutbridge.comparing.causes import Cause
from layoutbridge.comparing.decoded import judged
from layoutbridge.comparing.faults.elsewhere import Numbers
from layoutbridge.comparing.fingerprints import distance
from layoutbridge.comparing.graph_causes import with_command
from layoutbridge.comparing.heads.entries import DECODED
from layoutbridge.comparing.opening import Opened
from layoutbridge.comparing.relations import Related, related
from layoutbridge.comparing.running.darknet import values as darknet_values
from layoutbridge.comparing.running.store import stored
from layoutbridge.comparing.suspects import (
    ROUNDING,
    Beside,
    Suspect,
    causes_of,
    earlier_places,
    is_nearly_same,
    later_places,
    own_deviation,
    share_of,
    solved,
    tried,
)
from layoutbridge.comparing.tracing import Trace, trace_of
from layoutbridge.darknet.networks.network import DarknetNetwork
from layoutbridge.darknet.structure.model import Layer

_MOST_FAULTS = 8
_MOST_QUIET = 12  # layers within the tolerance that are looked at
_MOST_WEAK = 3
_PASSING = ("dropout", "route")
_CLEARLY = 4  # times nearer is what a fault makes of a layer within the tolerance
_ALIKE = 1e-9  # of the largest value: a layer that gives what it was given
Progress = Callable[[str], None]


def parting(
    alignment: Alignment, reference: Trace, candidate: Trace, tolerance: float, weighted: Container[str] = ()
) -> Pair | None:
    """The first pair apart; None where all that the candidate gives is the same as something of the reference.

    A port may leave out what ends a network, a head, where it gives what that reads. What has weights, the tensors
    called `weighted`, it may not; nor what moves elements, nor all that there is, giving the input back.
    """
    first = alignment.first
    if first is None:
        return None
    outputs = {name for name in candidate.outputs if name in candidate.values}
    same = {pair.candidate for pair in alignment.pairs if pair.related.relation == "same"} | outputs
    wanted = {name for names in reference.parents.values() for name in names}.union(reference.outputs)
    behind = [
        pair
        for pair in alignment.pairs
        if pair.related.relation != "same" and not pair.healed and (pair.candidate or pair.reference in wanted)
    ]  # what nobody reads, such as where a maximum was, may be missing
    given = {
        pair.reference
        for pair in alignment.pairs
        if pair.reference not in reference.inputs
        and (
            pair.candidate in outputs
            or any(_is_copy_of(pair, reference, candidate, name, tolerance) for name in outputs - {pair.candidate})
        )
    }
    ended: set[str] = set()
    for pair in behind:
        before = [
            alignment.by_reference[name] for name in reference.parents[pair.reference] if name in alignment.by_reference
        ]
        is_end = all(each.reference in ended or each.reference in given for each in before)
        may_end = pair.candidate in (None, *same) and pair.reference not in weighted
        if is_end and may_end and not _moves(pair, reference, tolerance):
            ended.add(pair.reference)
    if not outputs:
        return first
    left = next((pair for pair in behind if pair.reference not in ended), None)
    return left or (first if strange_outputs(alignment, reference, candidate, tolerance) else None)


def _moves(pair: Pair, reference: Trace, tolerance: float) -> bool:
    """Whether a tensor has the values of one that it is computed from, in an order that no order of axes makes."""
    made = reference.prints[pair.reference]
    return any(
        distance(reference.prints[name], made) <= tolerance
        and related(reference.values.get(name), reference.values.get(pair.reference), tolerance).relation == "moved"
        for name in reference.parents[pair.reference]
        if name in reference.prints
    )


def weighted(net: DarknetNetwork) -> frozenset[str]:
    """The layers that have weights."""
    return frozenset(layer.name for layer in net.layers if layer.parameters)


def strange_outputs(alignment: Alignment, reference: Trace, candidate: Trace, tolerance: float) -> list[str]:
    """The outputs of the candidate, numbers with a point, that are the same as no tensor of the reference."""
    same = {pair.candidate for pair in alignment.pairs if pair.related.relation == "same"}
    return [
        name
        for name in candidate.outputs
        if name in candidate.values
        and name not in same
        and candidate.values.get(name).dtype.kind not in "iub"
        and not _is_copy(alignment, reference, candidate, name, tolerance)
    ]


def _is_copy(alignment: Alignment, reference: Trace, candidate: Trace, name: str, tolerance: float) -> bool:
    """Whether a tensor is the same as one of the reference's that has a partner already, under another name."""
    return any(_is_copy_of(pair, reference, candidate, name, tolerance) for pair in alignment.pairs)


def _is_copy_of(pair: Pair, reference: Trace, candidate: Trace, name: str, tolerance: float) -> bool:
    """Whether a tensor is the same as the reference's of a pair that is the same."""
    return (
        pair.related.relation == "same"
        and candidate.prints[name].is_telling
        and distance(reference.prints[pair.reference], candidate.prints[name]) <= tolerance
        and related(reference.values.get(pair.reference), candidate.values.get(name), tolerance).relation == "same"
    )


@dataclass(frozen=True)
class _State:
    """The reference with faults beside the candidate, and what is `left` apart then.

    `by_head` are its causes where decoded boxes tell them. `kept` closes what the run is kept in.
    """

    beside: Beside
    left: Pair | None
    by_head: tuple[Cause, ...]
    kept: ExitStack


@dataclass(frozen=True)
class _Step:
    """A `suspect` that holds at `layers`, the first of them where it begins, and the `state` with it.

    None where what comes behind cannot be computed.
    """

    suspect: Suspect
    layers: list[Layer]
    state: _State | None


def find_causes(
    opened: Opened,
    given: Mapping[str, NDArray[Any]],
    reference: Trace,
    candidate: Trace,
    alignment: Alignment,
    first: Pair,
    tolerance: float,
    told: Progress,
    by_head: tuple[Cause, ...] = (),
) -> tuple[Pair, tuple[Cause, ...]]:
    """The faults of the candidate in order, and the pair of the first: that which is apart, or one in front of it.

    `reference` is its run without faults. `by_head` are the causes where decoded boxes show that the first is a
    head's.
    """
    assert opened.net is not None
    beside = Beside(opened.net, Numbers(opened.net), reference, candidate, alignment, tolerance)
    state: _State | None = _State(beside, first, by_head, ExitStack())
    causes, pairs = list[Cause](), list[Pair]()
    with ExitStack() as kept:
        while state is not None and state.left is not None and len(causes) < _MOST_FAULTS:
            if state.by_head:
                causes, pairs = [*causes, *state.by_head], [*pairs, state.left]
                break
            told(f"looking for the cause at {state.left.reference}")
            step = _step(given, state, state.left)
            if step is None:
                break
            pairs.append(_begin(state.beside, step))
            found = causes_of(state.beside, step.suspect, step.layers)
            causes = _together(causes, [with_command(cause, candidate, step.suspect.tensor) for cause in found])
            state = step.state
            if state is not None:
                kept.push(state.kept)
    order = {layer.name: layer.index for layer in opened.net.layers}  # a head's are found after all others
    begin = min(pairs, key=lambda pair: order[pair.reference], default=first)
    return begin, tuple(sorted(causes, key=lambda cause: order[cause.at]))


def _together(causes: list[Cause], found: list[Cause]) -> list[Cause]:
    """The causes with others behind them: what is the same fault at another layer is told once."""
    together = list(causes)
    for cause in found:
        told = (cause.cause, cause.found, cause.expected)
        same = next((n for n, each in enumerate(together) if (each.cause, each.found, each.expected) == told), None)
        if same is None:
            together.append(cause)
        else:
            earlier = together[same]
            places = dict.fromkeys((*earlier.everywhere, cause.at, *cause.everywhere))
            together[same] = replace(earlier, everywhere=tuple(name for name in places if name != earlier.at))
    return together


def _begin(beside: Beside, step: _Step) -> Pair:
    """The pair of the layer at which a fault begins."""
    layer, suspect = step.layers[0], step.suspect
    held = beside.alignment.by_reference[layer.name]
    if held.candidate == suspect.tensor and held.related.relation != "same":
        return held
    if layer.index == suspect.layer.index:
        deviation = suspect.before if np.isfinite(suspect.before) else 1.0
        return Pair(layer.name, suspect.tensor, Related("differs", deviation, ()))
    return replace(held, related=replace(held.related, relation="differs"))


def _step(given: Mapping[str, NDArray[Any]], state: _State, left: Pair, *, with_weak: bool = True) -> _Step | None:
    """The first suspect that holds: with its faults in the reference less is apart.

    `with_weak` are those, too, behind which the next layer has a fault of its own.
    """
    weak = list[_Step]()
    for suspect in _suspects(state.beside, left):
        if not suspect.goes_on:
            return _Step(suspect, [suspect.layer], None)
        step = _repaired(given, state, suspect)
        assert step.state is not None
        if _is_further(step.state, state) and (not suspect.is_weak or _carries_on(step.state, suspect)):
            for other in weak:
                _close(other)
            return _from_the_first(given, state, step)
        if with_weak and len(weak) < _MOST_WEAK and _is_further(step.state, state):
            weak.append(step)
        else:
            _close(step)  # what was suspected does not carry on: it is not the cause
    found = next((step for step in weak if _goes_on(given, step)), None)
    for other in weak:
        if other is not found:
            _close(other)
    return found


def _goes_on(given: Mapping[str, NDArray[Any]], step: _Step) -> bool:
    """Whether what is apart behind a step is a fault of a layer that reads its own."""
    assert step.state is not None and step.state.left is not None
    at = next((each for each in step.state.beside.net.layers if each.name == step.state.left.reference), None)
    if at is None or step.suspect.layer.index not in at.inputs:
        return False
    behind = _step(given, step.state, step.state.left, with_weak=False)
    if behind is None:
        return False
    _close(behind)
    return behind.suspect.layer.index == at.index


def _close(step: _Step) -> None:
    if step.state is not None:
        step.state.kept.close()


def _repaired(given: Mapping[str, NDArray[Any]], state: _State, suspect: Suspect) -> _Step:
    """The reference with a fault more, at its layer or wherever behind it may be: where less is apart."""
    later = later_places(state.beside, suspect)
    alone = _with_fault(given, state, suspect, [suspect.layer])
    if not later or alone.left is None:
        return _Step(suspect, [suspect.layer], alone)
    everywhere = _with_fault(given, state, suspect, [suspect.layer, *later])
    if _is_further(everywhere, alone):
        alone.kept.close()
        return _Step(suspect, [suspect.layer, *later], everywhere)
    everywhere.kept.close()
    return _Step(suspect, [suspect.layer], alone)


def _from_the_first(given: Mapping[str, NDArray[Any]], state: _State, step: _Step) -> _Step:
    """The same faults from the first layer on that has them, too, within the tolerance.

    One that is everywhere behind begins where nothing speaks against it.
    """
    suspect, has, may = step.suspect, list[Layer](), list[Layer]()
    for layer in earlier_places(state.beside, suspect, state.beside.known):
        found = share_of(state.beside, layer, suspect.faults[0])
        if found:
            has.append(layer)
        may = [] if found is False else [*may, layer]
    front = sorted({*has, *(may if len(step.layers) > 1 else ())}, key=lambda layer: layer.index)
    if not front:
        return step
    again = _with_fault(given, state, suspect, [*front, *step.layers])
    assert step.state is not None
    if _is_further(step.state, again):
        again.kept.close()
        return step
    step.state.kept.close()
    return _Step(suspect, [*front, *step.layers], again)


def _with_fault(given: Mapping[str, NDArray[Any]], state: _State, suspect: Suspect, layers: list[Layer]) -> _State:
    """The state with faults more at `layers`: run again from the first of them on."""
    beside, begin = state.beside, layers[0].index
    net, candidate, tolerance = beside.net, beside.candidate, beside.tolerance
    known = {**beside.known, **{layer.index: suspect.faults[0] for layer in layers}}
    overrides = {index: fault.output for index, fault in known.items()}
    graph, before = beside.reference.graph, beside.reference.values
    assert graph is not None
    kept = [*beside.reference.inputs, *(layer.name for layer in net.layers[:begin])]
    with ExitStack() as stack:
        values = stack.enter_context(stored(before.of(kept)))
        held = darknet_values(
            net, graph, given, overrides=overrides, begin=begin, before=lambda layer: before.get(layer.name)
        )
        for name, each in held:
            values.put(name, each)
        reference = trace_of(graph, values, {name: beside.reference.prints[name] for name in kept})
        alignment = align(reference, candidate, tolerance, {name: beside.alignment.by_reference[name] for name in kept})
        strange = strange_outputs(alignment, reference, candidate, tolerance)
        apart = parting(alignment, reference, candidate, tolerance, weighted(net))
        verdict = judged(net, reference, candidate, alignment, apart, strange, tolerance)
        found = replace(beside, reference=reference, alignment=alignment, known=known)
        return _State(found, verdict.first, verdict.causes, stack.pop_all())


def _is_further(one: _State, other: _State) -> bool:
    """Whether less is apart in one."""
    if other.left is None:
        return False
    return one.left is None or _place(one, one.left) > _place(other, other.left)


def _place(state: _State, pair: Pair) -> tuple[bool, int]:
    """Where a pair stands in the order in which faults are looked for: heads behind all others."""
    layer = next((each for each in state.beside.net.layers if each.name == pair.reference), None)
    place = next(place for place, each in enumerate(state.beside.alignment.pairs) if each.reference == pair.reference)
    return layer is not None and isinstance(layer.settings, DECODED), place


def _carries_on(state: _State, suspect: Suspect) -> bool:
    """Whether a layer that reads a suspect's is the same with its faults, or whoever takes the outputs reads it."""
    if suspect.tensor in state.beside.candidate.outputs:
        return True
    beside, left, seen = state.beside, [suspect.layer.index], set[int]()
    prints, readers = beside.reference.prints, 0
    while left:
        index = left.pop()
        for layer in beside.net.layers:
            if index not in layer.inputs or layer.index in seen:
                continue
            seen.add(layer.index)
            if distance(prints[layer.name], prints[suspect.layer.name]) <= _ALIKE:
                left.append(layer.index)  # it gives what it is given: what reads it tells more
                continue
            readers += 1
            if beside.alignment.by_reference[layer.name].related.relation == "same":
                return True
    return not readers


# ---------------------------------------------------------------------- where the fault may be


def _suspects(beside: Beside, first: Pair) -> Iterator[Suspect]:
    """What explains the first pair apart: at its layer, or in front of it, where all seems right."""
    layers = {layer.name: layer for layer in beside.net.layers}
    if first.reference not in layers:
        return
    layer = layers[first.reference]
    yield from tried(beside, layer, first.related.deviation)
    for name in _given_by(beside.net, layer):
        pair = beside.alignment.by_reference[name]
        yield from islice(tried(beside, layers[name], float("inf")), 1)
        if not is_nearly_same(pair):  # as what stands beside it hides: the largest of some, for one
            yield from tried(beside, layers[name], pair.related.deviation, with_inner=True)
    yield from tried(beside, layer, first.related.deviation, with_inner=True)
    yield from solved(beside, layer, first.related.deviation)
    for each in _quiet(beside, layer):
        pair = beside.alignment.by_reference[each.name]
        within = own_deviation(beside, each) / _CLEARLY
        yield from islice(tried(replace(beside, tolerance=within), each, _CLEARLY * within, pair.candidate), 1)


def _given_by(net: DarknetNetwork, layer: Layer) -> list[str]:
    """The layers that compute what a layer reads, by name: a dropout, or a route of one, passes on what it is given."""
    found = list[str]()
    for place in layer.inputs:
        source = place
        while source >= 0 and net.layers[source].kind in _PASSING and len(net.layers[source].inputs) == 1:
            (source,) = net.layers[source].inputs
        found += [net.layers[source].name] if source >= 0 else []
    return found


def _quiet(beside: Beside, layer: Layer) -> list[Layer]:
    """The layers in front of one that are the same, but further from what they should be than others, in order."""
    net, own = beside.net, dict[int, float]()
    left, seen = list(layer.inputs), set[int]()
    while left:
        index = left.pop()
        if index < 0 or index in seen:
            continue
        seen.add(index)
        each = net.layers[index]
        left += each.inputs
        if is_nearly_same(beside.alignment.by_reference[each.name]) and each.parameters and not each.states:
            own[index] = own_deviation(beside, each)
    usual = float(np.quantile(list(own.values()), 0.25)) if own else 0.0
    loud = sorted(
        (index for index, deviation in own.items() if deviation > max(ROUNDING, _CLEARLY * usual)),
        key=lambda index: -own[index],
    )  # fmt: skip
    return [net.layers[index] for index in sorted(loud[:_MOST_QUIET])]
