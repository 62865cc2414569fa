"""The faults of a port, one behind the other: the reference is given each that is found, and runs again.

A fault may show later than where it is. An activation that is too many leaves the tensor in front of it as it should
be; what is off by less than the tolerance adds up. So the layers in front of the first that is apart are looked at,
too, each fed with what the candidate fed it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.comparing.alignment import Alignment, Pair, align
from layoutbridge.comparing.causes import (
    Cause,
    Overrides,
    Suspect,
    causes_of,
    explain,
    is_nearly_same,
    names_of_inputs,
    own_deviation,
    places_of,
    with_fault,
)
from layoutbridge.comparing.decoded import judged
from layoutbridge.comparing.fingerprints import distance
from layoutbridge.comparing.graph_causes import with_command
from layoutbridge.comparing.opening import Opened
from layoutbridge.comparing.relations import Related, related
from layoutbridge.comparing.running.darknet import values as darknet_values
from layoutbridge.comparing.running.store import Store, stored
from layoutbridge.comparing.tracing import Trace, trace_of
from layoutbridge.darknet.network import DarknetNetwork
from layoutbridge.darknet.structure.model import Layer
from layoutbridge.scanning.graphs.graph import Graph

_MOST_FAULTS = 8
_MOST_QUIET = 12  # layers within the tolerance that are looked at
_QUIET = 1e-6  # of the largest value: what float32 leaves of a layer on its own
_CLEARLY = 4  # times nearer is what a fault makes of a layer within the tolerance
Progress = Callable[[str], None]


def parting(alignment: Alignment, reference: Trace, candidate: Trace, tolerance: float) -> Pair | None:
    """The first pair apart; None where all that the candidate gives is the same as something of the reference."""
    first = alignment.first
    if first is None:
        return None
    outputs = [name for name in candidate.outputs if name in candidate.values]
    strange = strange_outputs(alignment, reference, candidate, tolerance)
    same = {pair.candidate for pair in alignment.pairs if pair.related.relation == "same"}.union(outputs)
    behind = [pair for pair in alignment.pairs if pair.related.relation != "same" and not pair.healed]
    if outputs and not strange and all(pair.candidate in (None, *same) for pair in behind):
        return None
    return first


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
    return candidate.prints[name].is_telling and any(
        distance(reference.prints[pair.reference], candidate.prints[name]) <= tolerance
        and related(reference.values.get(pair.reference), candidate.values.get(name), tolerance).relation == "same"
        for pair in alignment.pairs
        if pair.related.relation == "same"
    )


def find_causes(
    opened: Opened,
    graph: Graph,
    given: Mapping[str, NDArray[Any]],
    candidate: Trace,
    alignment: Alignment,
    first: Pair,
    tolerance: float,
    told: Progress,
    by_head: tuple[Cause, ...] = (),
) -> tuple[Pair, tuple[Cause, ...]]:
    """The faults of the candidate in order, and the pair of the first: that which is apart, or one in front of it.

    `by_head` are the causes where it is seen in decoded boxes that the first is a head's.
    """
    assert opened.net is not None
    net, causes = opened.net, list[Cause]()
    overrides: Overrides = {}
    begin, left = first, first
    with stored() as values:
        while not by_head and len(causes) < _MOST_FAULTS:
            told(f"looking for the cause at {left.reference}")
            reference = _traced(opened, graph, given, overrides, values)
            repaired = None
            for suspect in _suspects(net, reference, candidate, alignment, left, tolerance):
                if not suspect.goes_on:
                    return (begin, (*causes, *causes_of(suspect)))
                repaired = _repaired(opened, graph, given, candidate, overrides, suspect, tolerance)
                if _is_further(repaired, alignment, left):
                    break
                repaired = None  # what was suspected does not carry on: it is not the cause
            if repaired is None:
                break
            if not causes and suspect.layer.name != left.reference:
                begin = Pair(suspect.layer.name, suspect.tensor, Related("differs", suspect.before, ()))
            causes += [with_command(cause, candidate, suspect.tensor) for cause in causes_of(suspect, repaired.layers)]
            if repaired.left is None:
                break
            overrides, alignment, left, by_head = (
                repaired.overrides, repaired.alignment, repaired.left, repaired.by_head,
            )  # fmt: skip
    return begin, (*causes, *by_head)


@dataclass(frozen=True)
class _Repaired:
    """What is `left` apart once the reference has the faults of `overrides`, the last at `layers`.

    `by_head` are its causes where decoded boxes tell them.
    """

    overrides: Overrides
    alignment: Alignment
    left: Pair | None
    layers: list[Layer]
    by_head: tuple[Cause, ...]


def _repaired(
    opened: Opened,
    graph: Graph,
    given: Mapping[str, NDArray[Any]],
    candidate: Trace,
    overrides: Overrides,
    suspect: Suspect,
    tolerance: float,
) -> _Repaired:
    """The reference with a fault more, at its layer or wherever it may be: where less is apart."""
    assert opened.net is not None
    best: _Repaired | None = None
    with stored() as values:
        plain = _traced(opened, graph, given, overrides, values)
        for layers in places_of(opened.net, suspect, plain):
            changed = with_fault(overrides, suspect, layers)
            reference = _traced(opened, graph, given, changed, values)
            again = align(reference, candidate, tolerance)
            strange = strange_outputs(again, reference, candidate, tolerance)
            apart = parting(again, reference, candidate, tolerance)
            verdict = judged(opened.net, reference, candidate, again, apart, strange, tolerance)
            made = _Repaired(changed, again, verdict.first, layers, verdict.causes)
            if best is None or (best.left is not None and _is_further(made, best.alignment, best.left)):
                best = made
    assert best is not None
    return best


def _is_further(repaired: _Repaired, alignment: Alignment, left: Pair) -> bool:
    return repaired.left is None or _place(repaired.alignment, repaired.left) > _place(alignment, left)


# ---------------------------------------------------------------------- where the fault may be


def _suspects(
    net: DarknetNetwork, reference: Trace, candidate: Trace, alignment: Alignment, first: Pair, tolerance: float
) -> Iterator[Suspect]:
    """What explains the first pair apart: at its layer, or in front of it, where all seems right."""
    layers = {layer.name: layer for layer in net.layers}
    if first.reference not in layers:
        return
    known = net, reference, candidate, alignment
    layer = layers[first.reference]
    found = explain(*known, layer, first.related.deviation, tolerance)
    quiet: list[Layer] | None = None
    if found is not None:
        quiet = _quiet(*known, layer)
        yield _earliest(*known, found, quiet)
    for name in names_of_inputs(net, layer):
        extra = None if name not in layers else explain(*known, layers[name], float("inf"), tolerance)
        if extra is not None:
            yield extra
    for each in _quiet(*known, layer) if quiet is None else quiet:
        pair = alignment.by_reference[each.name]
        own = own_deviation(*known, each, None)
        held = explain(*known, each, own, own / _CLEARLY, pair.candidate)
        if held is not None:
            yield _earliest(*known, held, [other for other in net.layers if other.index < each.index])


def _quiet(net: DarknetNetwork, reference: Trace, candidate: Trace, alignment: Alignment, layer: Layer) -> list[Layer]:
    """The layers in front of one that are the same, but further from what they should be than others, in order."""
    own: dict[int, float] = {}
    left, seen = list(layer.inputs), set[int]()
    while left:
        index = left.pop()
        if index < 0 or index in seen:
            continue
        seen.add(index)
        each = net.layers[index]
        left += each.inputs
        if is_nearly_same(alignment.by_reference[each.name]) and each.parameters and not each.states:
            own[index] = own_deviation(net, reference, candidate, alignment, each, None)
    usual = float(np.quantile(list(own.values()), 0.25)) if own else 0.0
    loud = sorted(
        (index for index, deviation in own.items() if deviation > max(_QUIET, _CLEARLY * usual)),
        key=lambda index: -own[index],
    )  # fmt: skip
    return [net.layers[index] for index in sorted(loud[:_MOST_QUIET])]


def _earliest(
    net: DarknetNetwork,
    reference: Trace,
    candidate: Trace,
    alignment: Alignment,
    suspect: Suspect,
    layers: Iterable[Layer],
) -> Suspect:
    """The same faults at the first of `layers` that has them, too, within the tolerance."""
    known = net, reference, candidate, alignment
    for layer in layers:
        pair = alignment.by_reference[layer.name]
        if layer.kind != suspect.layer.kind or pair.candidate is None or not is_nearly_same(pair):
            continue
        before, after = (own_deviation(*known, layer, fault) for fault in (None, suspect.faults[0]))
        if _CLEARLY * after <= before and before > _QUIET:
            return replace(suspect, layer=layer, before=before, after=after, tensor=pair.candidate)
    return suspect


def _place(alignment: Alignment, pair: Pair) -> int:
    return next(place for place, each in enumerate(alignment.pairs) if each.reference == pair.reference)


def _traced(
    opened: Opened, graph: Graph, given: Mapping[str, NDArray[Any]], overrides: Overrides, values: Store
) -> Trace:
    assert opened.net is not None
    for name, each in given.items():
        values.put(name, each)
    for name, each in darknet_values(opened.net, graph, given, overrides=overrides):
        values.put(name, each)
    return trace_of(graph, values)
