"""Why two models part where they do: each suspicion is tried out, and what remains of the difference measured.

A Darknet network is the reference here. Its layer is computed with a fault, on what the candidate fed it, and if the
result is a tensor of the candidate's then that is what the candidate does. The reference is made to do the same, and
goes on: so the next fault is found behind the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.comparing.alignment import Alignment, Pair
from layoutbridge.comparing.faults.fault import Fault
from layoutbridge.comparing.faults.table import may_have, suspicions
from layoutbridge.comparing.fingerprints import distance, fingerprint
from layoutbridge.comparing.relations import in_reference_layout, related
from layoutbridge.comparing.running.darknet import by_axes
from layoutbridge.comparing.tracing import Trace
from layoutbridge.darknet.network import DarknetNetwork
from layoutbridge.darknet.reference.values import RULES, Feed
from layoutbridge.darknet.structure.model import Layer
from layoutbridge.scanning.readers.darknet import INPUT_NAME

Array = NDArray[Any]
Overrides = Mapping[int, Callable[[Feed], Array | None]]
_NEAR = 4  # times the tolerance within which two fingerprints may be those of one tensor
_NO_MORE = 1.0  # a tolerance within which all is the same: of two tensors only the deviation is asked
_LITTLE = 1e-2  # of the largest value
_BETTER = 0.5  # what a cause leaves of the deviation, at most


@dataclass(frozen=True, slots=True)
class Cause:
    """One fault of the candidate: what was `found` `at` a place of the reference instead of what was `expected`.

    `everywhere` are other places at which the same holds. The deviations are those of that place from the candidate's
    tensor, as shares of its largest value, without the fault and with it; 1 where it has none of that size.
    """

    cause: str
    at: str
    found: str
    expected: str
    deviation_before: float
    deviation_after: float
    explanation: str
    fix: str
    everywhere: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Suspect:
    """Faults that together explain a layer, and how far its tensor is without and with them.

    `tensor` is the candidate's that they give. `goes_on` is off where they give another size: what comes behind cannot
    be computed as the candidate does.
    """

    faults: tuple[Fault, ...]
    layer: Layer
    before: float
    after: float
    tensor: str
    goes_on: bool = True


def explain(
    net: DarknetNetwork,
    reference: Trace,
    candidate: Trace,
    alignment: Alignment,
    layer: Layer,
    before: float,
    tolerance: float,
    partner: str | None = None,
) -> Suspect | None:
    """The fault at a layer that is `before` from what it should be; None where no suspicion makes this vanish.

    Without a `partner`, the tensor that the layer gives, any is tried that may be it.
    """
    feed = feed_of(net, reference, candidate, alignment, layer)
    alike = _alike(net, candidate, alignment, layer)
    if partner is not None:
        alike = {candidate.prints[partner].size: [partner]}
    fed = [fingerprint(values) for values in feed.inputs]
    places = {name: place for place, name in enumerate(candidate.names)}
    found: list[tuple[tuple[bool, int, float], Suspect]] = []
    for faults in suspicions(feed, alike, candidate.values, tolerance, before):
        held = _left(faults[0], feed, candidate, alike, tolerance)
        if held is None or held[0] > _BETTER * before:
            continue
        after, name = held
        goes_on = candidate.prints[name].size == feed.batch * prod(layer.out_shape)
        # what a layer is fed, seen otherwise, is its result only where nothing else is; and the last tensor is it
        is_fed = any(distance(told, candidate.prints[name]) <= tolerance for told in fed)
        found.append(((is_fed, -places[name], after), Suspect(faults, layer, before, after, name, goes_on)))
        if len(faults) > 1:
            break
    if not found:
        return None
    best = min(found, key=lambda each: each[0])[1]
    if np.isfinite(before) or not best.goes_on:
        return best
    apart = related(reference.values.get(layer.name), candidate.values.get(best.tensor), tolerance).deviation
    return replace(best, before=apart)


def own_deviation(
    net: DarknetNetwork, reference: Trace, candidate: Trace, alignment: Alignment, layer: Layer, fault: Fault | None
) -> float:
    """How far a layer's partner is from what the layer makes, with a fault or right, of what the candidate fed it."""
    feed, partner = feed_of(net, reference, candidate, alignment, layer), alignment.by_reference[layer.name].candidate
    with np.errstate(all="ignore"):
        made = RULES[layer.kind](feed, layer.settings) if fault is None else fault.output(feed)
    if partner is None or made is None or made.size != candidate.prints[partner].size:
        return float("inf")
    return related(_shaped(made, feed), candidate.values.get(partner), _NO_MORE).deviation


def feed_of(net: DarknetNetwork, reference: Trace, candidate: Trace, alignment: Alignment, layer: Layer) -> Feed:
    """What a layer is fed: the candidate's own values where they are the reference's but for rounding."""
    own = {parameter.name: np.asarray(net.parameters[layer.index, parameter.name], np.float64)
           for parameter in layer.parameters}  # fmt: skip
    inputs = tuple(_values(net, reference, candidate, alignment, source) for source in layer.inputs)
    batch = reference.values.get(INPUT_NAME).shape[0]
    return Feed(layer, inputs, own, net.network.flavor, batch)


def _values(net: DarknetNetwork, reference: Trace, candidate: Trace, alignment: Alignment, source: int) -> Array:
    name = INPUT_NAME if source == -1 else net.layers[source].name
    wanted = np.asarray(reference.values.get(name), np.float64)
    pair = alignment.by_reference.get(name)
    if pair is None or pair.candidate is None or not is_nearly_same(pair):
        return wanted
    held = in_reference_layout(candidate.values.get(pair.candidate), wanted.shape, pair.related.axes)
    return np.asarray(held, np.float64)


def _alike(net: DarknetNetwork, candidate: Trace, alignment: Alignment, layer: Layer) -> dict[int, list[str]]:
    """The candidate's tensors by size that may be a layer's: none that is another's, and none before what it is fed."""
    taken = {pair.candidate: pair.reference for pair in alignment.pairs if pair.related.relation == "same"}
    places = {name: place for place, name in enumerate(candidate.names)}
    fed = [alignment.by_reference[name] for name in names_of_inputs(net, layer) if name in alignment.by_reference]
    start = max(
        (places[pair.candidate] for pair in fed if pair.candidate is not None and pair.related.relation == "same"),
        default=-1,
    )
    alike: dict[int, list[str]] = {}
    for name in candidate.names[start + 1 :]:
        if taken.get(name, layer.name) == layer.name:
            alike.setdefault(candidate.prints[name].size, []).append(name)
    return alike


def is_nearly_same(pair: Pair) -> bool:
    """Whether the partner is the same, or a little off and in vain: what comes behind is the same."""
    return pair.related.relation == "same" or (pair.healed and pair.related.deviation <= _LITTLE)


def names_of_inputs(net: DarknetNetwork, layer: Layer) -> list[str]:
    """What a layer reads, by name."""
    return [INPUT_NAME if source == -1 else net.layers[source].name for source in layer.inputs]


def _left(
    fault: Fault, feed: Feed, candidate: Trace, alike: Mapping[int, list[str]], tolerance: float
) -> tuple[float, str] | None:
    """What is left of the difference with a fault, from which tensor; None where none is what the fault gives."""
    with np.errstate(all="ignore"):
        made = fault.output(feed)
    if made is None or made.size not in alike or not np.isfinite(made).all():
        return None
    told = fingerprint(made)
    best: tuple[float, str] | None = None
    for name in alike[made.size]:
        if distance(told, candidate.prints[name]) > _NEAR * tolerance:
            continue
        held = related(_shaped(made, feed), candidate.values.get(name), tolerance)
        if held.relation == "same" and (best is None or held.deviation <= best[0]):
            best = held.deviation, name
    return best


def _shaped(made: Array, feed: Feed) -> Array:
    """In the layer's own shape where it has as many elements, so that layouts are seen."""
    return by_axes(feed.layer, made) if made.size == feed.batch * prod(feed.layer.out_shape) else made


def with_fault(overrides: Overrides, suspect: Suspect, layers: Iterable[Layer]) -> Overrides:
    """The overrides with a fault more, at each of `layers`."""
    return {**overrides, **{layer.index: suspect.faults[0].output for layer in layers}}


def places_of(net: DarknetNetwork, suspect: Suspect, reference: Trace) -> list[list[Layer]]:
    """Where the reference is to have the faults: at their layer, or at all from there on that may have them.

    A fault is often one of a converter, which makes it everywhere.
    """
    batch = reference.values.get(INPUT_NAME).shape[0]
    later = [
        layer
        for layer in net.layers
        if layer.kind == suspect.layer.kind and layer.index > suspect.layer.index
        and may_have(_own_feed(net, reference, layer, batch), suspect.faults)
    ]  # fmt: skip
    return [[suspect.layer], [suspect.layer, *later]] if later else [[suspect.layer]]


def _own_feed(net: DarknetNetwork, reference: Trace, layer: Layer, batch: int) -> Feed:
    own = {each.name: net.parameters[layer.index, each.name] for each in layer.parameters}
    inputs = tuple(reference.values.get(name) for name in names_of_inputs(net, layer))
    return Feed(layer, inputs, own, net.network.flavor, batch)


def causes_of(suspect: Suspect, everywhere: Iterable[Layer] = ()) -> list[Cause]:
    """The suspicions that held, as they are reported."""
    others = tuple(layer.name for layer in everywhere if layer.index != suspect.layer.index)
    before = suspect.before if np.isfinite(suspect.before) else 1.0
    return [
        Cause(
            fault.cause, suspect.layer.name, fault.found, fault.expected, before, suspect.after,
            fault.explanation, fault.fix, others,
        )
        for fault in suspect.faults
    ]  # fmt: skip
