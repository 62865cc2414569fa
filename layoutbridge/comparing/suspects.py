"""Why two models part where they do: each suspicion is tried out, and what remains of the difference measured.

A Darknet network is the reference here. Its layer is computed with a fault, on what the candidate fed it, and if the
result is a tensor of the candidate's then that is what the candidate does. The reference is made to do the same, and
goes on: so the next fault is found behind the first.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.comparing.alignment import Alignment, Pair, near_behind
from layoutbridge.comparing.causes import Cause
from layoutbridge.comparing.faults.elsewhere import Numbers
from layoutbridge.comparing.faults.fault import Fault
from layoutbridge.comparing.faults.table import may_have, suspicions, worked_out
from layoutbridge.comparing.fingerprints import distance, fingerprint
from layoutbridge.comparing.relations import in_reference_layout, related
from layoutbridge.comparing.running.darknet import by_axes
from layoutbridge.comparing.tracing import Trace
from layoutbridge.darknet.networks.network import DarknetNetwork
from layoutbridge.darknet.reference.values import RULES, Feed
from layoutbridge.darknet.structure.model import Layer
from layoutbridge.scanning.readers.darknet import INPUT_NAME

Array = NDArray[Any]
_NEAR = 4  # times the tolerance within which two fingerprints may be those of one tensor
_NO_MORE = 1.0  # a tolerance within which all is the same: of two tensors only the deviation is asked
_LITTLE = 1e-2  # of the largest value
_BETTER = 0.5  # what a cause leaves of the deviation, at most
_CLIPPED = ("relu6", "hardtanh", "clip", "clamp", "minimum")  # in what formats call an activation with an upper end
_MOST_OUTPUTS = 8  # tensors that may be a layer's from which its faults are worked out
ROUNDING = 1e-6  # of the largest value: what float32 leaves of a layer on its own
_CERTAIN = 8  # times the error of a share that is told from none


@dataclass(frozen=True)
class Beside:
    """A Darknet network's run beside the candidate's: what is known when a cause is looked for.

    `known` are the faults that it was run with, by the indices of their layers.
    """

    net: DarknetNetwork
    numbers: Numbers
    reference: Trace
    candidate: Trace
    alignment: Alignment
    tolerance: float
    known: Mapping[int, Fault] = field(default_factory=dict)

    @property
    def batch(self) -> int:
        """How many pictures there are."""
        return int(self.reference.values.get(INPUT_NAME).shape[0])


@dataclass(frozen=True, slots=True)
class Suspect:
    """Faults that together explain a layer, and how far its tensor is without and with them.

    `tensor` is the candidate's that they give. `goes_on` is off where they give another size: what comes behind cannot
    be computed as the candidate does. `is_weak` is on where the tensor is something else as well, a step within a right
    layer or what the layer is fed: then what comes behind must be right.
    """

    faults: tuple[Fault, ...]
    layer: Layer
    before: float
    after: float
    tensor: str
    goes_on: bool = True
    is_weak: bool = False


def tried(
    beside: Beside, layer: Layer, before: float, partner: str | None = None, *, with_inner: bool = False
) -> Iterator[Suspect]:
    """The faults that ports have which explain a layer `before` from what it should be, the likeliest first.

    Without a `partner`, the tensor that the layer gives, any is tried that may be it. With `with_inner` those are tried
    that end at a step within the layer.
    """
    candidate, tolerance = beside.candidate, beside.tolerance
    feed, alike = feed_of(beside, layer), _alike(beside, layer)
    if partner is not None:
        alike = {candidate.prints[partner].size: [partner]}
    fed = [fingerprint(values) for values in feed.inputs]
    places = {name: place for place, name in enumerate(candidate.names)}
    found: list[tuple[tuple[bool, int, bool, float], Suspect]] = []
    offered = suspicions(feed, beside.numbers, alike, candidate.values, tolerance, before,
                         beside.known.get(layer.index), with_inner=with_inner)  # fmt: skip
    for faults in offered:
        held = _left(faults[0], feed, beside, alike)
        if held is None or held[0] > _BETTER * before:
            continue
        after, name = held
        # what a layer is fed, seen otherwise, is its result only where nothing else is; and the last tensor is it
        is_fed = any(
            distance(told, candidate.prints[name]) <= tolerance and _is_only_fed(beside, name, values)
            for told, values in zip(fed, feed.inputs, strict=True)
        )
        suspect = _suspect(beside, faults, feed, before, held, is_weak=is_fed or with_inner)
        found.append(((is_fed, -places[name], not _is_called(candidate, name, faults[0]), after), suspect))
        if len(faults) > 1:
            break
    for _, suspect in sorted(found, key=lambda each: each[0]):
        yield suspect


def _is_only_fed(beside: Beside, name: str, values: Array) -> bool:
    """Whether a tensor with the values that a layer is fed is no more than that: seen otherwise, or on its way."""
    candidate = beside.candidate
    readers = () if candidate.graph is None else [node for node in candidate.graph.nodes if name in node.inputs]
    is_taken = any(node.movement is None or node.kind == "join" for node in readers)
    return not is_taken or related(values, candidate.values.get(name), beside.tolerance).relation == "same"


def solved(beside: Beside, layer: Layer, before: float) -> Iterator[Suspect]:
    """The faults that follow from what a layer with weights reads and what some tensor is that it may give."""
    feed, known = feed_of(beside, layer), beside.known.get(layer.index)
    outputs = list(_outputs(beside, feed, _alike(beside, layer)))
    for place, faults in worked_out(feed, beside.numbers, [output for _, output in outputs], known):
        name, output = outputs[place]
        held = _left(faults[0], feed, beside, {output.size: [name]})
        if held is not None and held[0] <= _BETTER * before:
            yield _suspect(beside, faults, feed, before, held)


def _is_called(candidate: Trace, name: str, fault: Fault) -> bool:
    """Whether what makes a tensor has the name of a fault that others are the same as, where nothing is large."""
    if fault.found != "relu6" or candidate.graph is None:
        return False
    operators = [node.operator.lower() for node in candidate.graph.nodes if node.output == name]
    return any(word in operator for operator in operators for word in _CLIPPED)


def _suspect(
    beside: Beside,
    faults: tuple[Fault, ...],
    feed: Feed,
    before: float,
    held: tuple[float, str],
    *,
    is_weak: bool = False,
) -> Suspect:
    after, name = held
    goes_on = beside.candidate.prints[name].size == feed.batch * prod(feed.layer.out_shape)
    if goes_on and not np.isfinite(before):
        values = beside.reference.values.get(feed.layer.name), beside.candidate.values.get(name)
        before = related(*values, beside.tolerance).deviation
    return Suspect(faults, feed.layer, before, after, name, goes_on, is_weak)


def _outputs(beside: Beside, feed: Feed, alike: Mapping[int, list[str]]) -> Iterator[tuple[str, Array]]:
    """The tensors of a layer's size near behind what it is fed, channels first or last; the last first."""
    channels, *space = feed.layer.out_shape
    size = feed.batch * prod(feed.layer.out_shape)
    pairs, candidate = beside.alignment.by_reference, beside.candidate
    fed = [pairs[name].candidate for name in names_of_inputs(beside.net, feed.layer) if name in pairs]
    near = near_behind(candidate, [name for name in fed if name is not None], alike.get(size, ()))
    for name in reversed(near[:_MOST_OUTPUTS]):
        values = np.asarray(beside.candidate.values.get(name), np.float64)
        yield name, values.reshape(feed.batch, channels, *space)
        if channels > 1 and prod(space) > 1:
            yield name, values.reshape(feed.batch, *space, channels).transpose(0, 3, 1, 2)


def own_deviation(beside: Beside, layer: Layer) -> float:
    """How far a layer's partner is from what the layer makes of what the candidate fed it."""
    feed, partner = feed_of(beside, layer), beside.alignment.by_reference[layer.name].candidate
    known = beside.known.get(layer.index)
    with np.errstate(all="ignore"):
        made = None if known is None else known.output(feed)
        made = RULES[layer.kind](feed, layer.settings) if made is None else made
    if partner is None or made.size != beside.candidate.prints[partner].size:
        return float("inf")
    return related(_shaped(made, feed), beside.candidate.values.get(partner), _NO_MORE).deviation


def share_of(beside: Beside, layer: Layer, fault: Fault) -> bool | None:
    """Whether a layer that is right within the tolerance has a fault nevertheless; None where that cannot be told.

    Of what the fault changes, the candidate's tensor has all or nothing. Rounding is no part of that: over many
    elements the share stands out of it where no single one does.
    """
    pair = beside.alignment.by_reference[layer.name]
    feed = feed_of(beside, layer)
    with np.errstate(all="ignore"):
        right, wrong = RULES[layer.kind](feed, layer.settings), fault.output(feed)
    if pair.candidate is None or wrong is None or wrong.size != right.size:
        return None
    right, wrong = _shaped(right, feed), _shaped(wrong, feed)
    if beside.candidate.prints[pair.candidate].size != right.size:
        return None
    held = in_reference_layout(beside.candidate.values.get(pair.candidate), right.shape, pair.related.axes)
    change, rest = (wrong - right).reshape(-1), (held - right).reshape(-1)
    squares = float(change @ change)
    if not np.isfinite(squares) or not np.abs(change).max(initial=0) > ROUNDING * np.abs(right).max(initial=0):
        return None  # float32 itself leaves out a mean that is so small
    share = float(change @ rest) / squares
    error = float(np.std(rest - share * change)) / squares**0.5
    return None if not _CERTAIN * error < 0.5 else share > 0.5


def feed_of(beside: Beside, layer: Layer) -> Feed:
    """What a layer is fed: the candidate's own values where they are the reference's but for rounding."""
    inputs = tuple(_values(beside, source) for source in layer.inputs)
    return Feed(layer, inputs, beside.numbers.of(layer), beside.net.network.flavor, beside.batch)


def _values(beside: Beside, source: int) -> Array:
    name = INPUT_NAME if source == -1 else beside.net.layers[source].name
    wanted = np.asarray(beside.reference.values.get(name), np.float64)
    pair = beside.alignment.by_reference.get(name)
    if pair is None or pair.candidate is None or not is_nearly_same(pair):
        return wanted
    held = in_reference_layout(beside.candidate.values.get(pair.candidate), wanted.shape, pair.related.axes)
    return np.asarray(held, np.float64)


def _alike(beside: Beside, layer: Layer) -> dict[int, list[str]]:
    """The candidate's tensors by size that may be a layer's: none that is another's, and none before what it is fed.

    What it is fed may be all that it gives.
    """
    candidate, pairs = beside.candidate, beside.alignment.by_reference
    own = {layer.name, *names_of_inputs(beside.net, layer)}
    taken = {pair.candidate: pair.reference for pair in beside.alignment.pairs if pair.related.relation == "same"}
    places = {name: place for place, name in enumerate(candidate.names)}
    fed = [
        pair.candidate
        for name in names_of_inputs(beside.net, layer)
        if (pair := pairs.get(name)) is not None and pair.candidate is not None and pair.related.relation == "same"
    ]
    start = max((places[name] for name in fed), default=-1)
    alike: dict[int, list[str]] = {}
    for name in candidate.names:
        if (places[name] > start and taken.get(name, layer.name) in own) or name in fed:
            alike.setdefault(candidate.prints[name].size, []).append(name)
    return alike


def is_nearly_same(pair: Pair) -> bool:
    """Whether the partner is the same, or a little off and in vain: what comes behind is the same."""
    return pair.related.relation == "same" or (pair.healed and pair.related.deviation <= _LITTLE)


def names_of_inputs(net: DarknetNetwork, layer: Layer) -> list[str]:
    """What a layer reads, by name."""
    return [INPUT_NAME if source == -1 else net.layers[source].name for source in layer.inputs]


def _left(fault: Fault, feed: Feed, beside: Beside, alike: Mapping[int, list[str]]) -> tuple[float, str] | None:
    """What is left of the difference with a fault, from which tensor; None where none is what the fault gives."""
    candidate = beside.candidate
    with np.errstate(all="ignore"):
        made = fault.output(feed)
    if made is None or made.size not in alike or not np.isfinite(made).all():
        return None
    told = fingerprint(made)
    best: tuple[float, str] | None = None
    for name in alike[made.size]:
        if distance(told, candidate.prints[name]) > _NEAR * beside.tolerance:
            continue
        held = related(_shaped(made, feed), candidate.values.get(name), beside.tolerance)
        if held.relation == "same" and (best is None or held.deviation <= best[0]):
            best = held.deviation, name
    return best


def _shaped(made: Array, feed: Feed) -> Array:
    """In the layer's own shape where it has as many elements, so that layouts are seen."""
    return by_axes(feed.layer, made) if made.size == feed.batch * prod(feed.layer.out_shape) else made


def later_places(beside: Beside, suspect: Suspect) -> list[Layer]:
    """The layers behind a suspect's that may have its faults, too: a converter makes them everywhere."""
    return [
        layer
        for layer in beside.net.layers
        if layer.kind == suspect.layer.kind and layer.index > suspect.layer.index
        and may_have(_own_feed(beside, layer), beside.numbers, suspect.faults)
    ]  # fmt: skip


def earlier_places(beside: Beside, suspect: Suspect, known: Container[int]) -> list[Layer]:
    """The layers in front of a suspect's, in order, that are right within the tolerance and may have its faults.

    Those whose index is `known` have faults already.
    """
    return [
        layer
        for layer in beside.net.layers
        if layer.kind == suspect.layer.kind and layer.index < suspect.layer.index and layer.index not in known
        and is_nearly_same(beside.alignment.by_reference[layer.name])
        and may_have(_own_feed(beside, layer), beside.numbers, suspect.faults)
    ]  # fmt: skip


def _own_feed(beside: Beside, layer: Layer) -> Feed:
    inputs = tuple(beside.reference.values.get(name) for name in names_of_inputs(beside.net, layer))
    return Feed(layer, inputs, beside.numbers.of(layer), beside.net.network.flavor, beside.batch)


def causes_of(beside: Beside, suspect: Suspect, layers: Sequence[Layer]) -> list[Cause]:
    """The suspicions that held at `layers`, as they are reported: at the first of them."""
    before = suspect.before if np.isfinite(suspect.before) else 1.0
    at, *others = layers
    found = []
    for fault in suspect.faults:
        everywhere = tuple(
            layer.name for layer in others
            if len(suspect.faults) == 1 or may_have(_own_feed(beside, layer), beside.numbers, (fault,))
        )  # fmt: skip
        found.append(
            Cause(
                fault.cause, at.name, fault.found, fault.expected, before, suspect.after, fault.explanation, fault.fix,
                everywhere,
            )
        )  # fmt: skip
    return found
