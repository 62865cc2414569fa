"""Outputs of a port that no layer of Darknet has: boxes that it decodes itself, in one of the public styles.

A head's numbers are turned into the columns that decoders make of them, and each column of the port's is looked for
among these by its sorted values: so neither the order of the boxes nor the layout matters. Columns are right where all
of a box are of one style and stand in one row; one that only a known fault gives tells what is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.comparing.alignment import Alignment, Pair, children_of, descendants
from layoutbridge.comparing.causes import Cause
from layoutbridge.comparing.fingerprints import distance
from layoutbridge.comparing.heads.entries import DECODED, Entries, entries_of, misread, of_places
from layoutbridge.comparing.heads.explaining import Explanation, explained
from layoutbridge.comparing.heads.groups import Group
from layoutbridge.comparing.heads.labels import wrong_labels
from layoutbridge.comparing.heads.matching import Told
from layoutbridge.comparing.heads.partly import partly_right
from layoutbridge.comparing.heads.rows import MIXED, mixed_outputs
from layoutbridge.comparing.relations import Related, in_reference_layout, related
from layoutbridge.comparing.tracing import Trace
from layoutbridge.darknet.networks.network import DarknetNetwork
from layoutbridge.darknet.reference.values import Feed
from layoutbridge.darknet.structure.model import Layer
from layoutbridge.scanning.readers.darknet import INPUT_NAME

_LEAST_COORDS = 4  # numbers that say where a box is: with fewer there are no boxes
_TRIED = 12  # tensors of the candidate that may be what a head is fed


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is apart once decoded outputs are known: nothing where they are right; else its `causes`, if known.

    `notes` say what was not judged, `unknown` what is neither right nor wrong in a way that is known.
    """

    first: Pair | None
    causes: tuple[Cause, ...] = ()
    notes: tuple[str, ...] = ()
    unknown: str = ""


_Labels = tuple[tuple[Entries, ...], tuple[Told, ...]]  # whose best classes they are, and what is wrong with them


@dataclass(frozen=True, slots=True)
class _Wrong:
    """What is told of the boxes of a head in an output."""

    output: str
    head: Layer
    told: tuple[Told, ...]


def judged(
    net: DarknetNetwork,
    reference: Trace,
    candidate: Trace,
    alignment: Alignment,
    first: Pair | None,
    others: Sequence[str],
    tolerance: float,
) -> Verdict:
    """The verdict on outputs of the candidate that are no tensor of the reference, where all but the heads is right.

    `others` are these outputs, `first` is what is apart without them.
    """
    first = _beside_heads(net, reference, alignment, first)
    layers = [
        layer for layer in net.layers if isinstance(layer.settings, DECODED) and layer.settings.coords >= _LEAST_COORDS
    ]
    whole = [name for name in candidate.outputs if name in candidate.values and _is_whole(candidate, name)]
    if not layers or not (others or whole) or _is_apart_before(alignment, first, layers):
        return Verdict(first)
    heads = _heads(net, reference, candidate, layers, tolerance)
    found: dict[str, Explanation] = {}
    for name in others:
        held = heads.explained(candidate.values.get(name))
        if held is None:
            apart = first or Pair(layers[0].name, name, Related("differs", 1.0, ()))
            return Verdict(apart, unknown=_unknown(candidate, name, heads))
        found[name] = held
    found = {name: heads.decoded(candidate.values.get(name), each) if _is_alone_raw(each, found) else each
             for name, each in found.items()}  # fmt: skip
    labels = {name: heads.labels(candidate.values.get(name), list(found.values())) for name in whole}
    notes = tuple(f"{candidate.labels[name]} holds whole numbers, which are not judged"
                  for name, held_labels in labels.items() if held_labels is None)  # fmt: skip
    wrong = [*_wrong(found), *_mixed(found, heads.tolerance), *_wrong_labels(labels)]
    if wrong:
        causes = tuple(_causes(wrong))
        output = next(each.output for each in wrong if each.head.name == causes[0].at)
        return Verdict(Pair(causes[0].at, output, Related("differs", causes[0].deviation_before, ())), causes, notes)
    given = {head.layer.name for each in found.values() for head in each.heads}
    given |= _given_undecoded(net, reference, candidate, layers, tolerance)
    missing = next((layer.name for layer in layers if others and layer.name not in given), None)
    if missing is not None:
        notes = (*notes, f"no output of {candidate.model} has the boxes of {missing}")
        return Verdict(Pair(missing, None, Related("missing", float("inf"), ())), (), notes)
    return Verdict(None if others or len(notes) < len(whole) else first, (), notes)


def _unknown(candidate: Trace, name: str, heads: _Heads) -> str:
    """What is told of an output that is not known."""
    output = candidate.values.get(name)
    told = heads.partly(output) or "it holds no boxes of any kind that is known"
    where = "; what the heads are fed is right, so it is what is made of that" if heads.are_fed else ""
    return f"{candidate.labels[name]} [{', '.join(map(str, output.shape))}]: {told}{where}"


def _beside_heads(net: DarknetNetwork, reference: Trace, alignment: Alignment, first: Pair | None) -> Pair | None:
    """What is apart first, or where this is a head, which ports decode, the first that is apart and no head's work."""
    heads = {layer.name for layer in net.layers if isinstance(layer.settings, DECODED)}
    if first is None or first.reference not in heads:
        return first
    made = descendants(heads, children_of(reference))
    apart = (pair for pair in alignment.pairs if pair.related.relation != "same" and not pair.healed)
    return next((pair for pair in apart if pair.candidate is not None and pair.reference not in made), first)


def _is_apart_before(alignment: Alignment, first: Pair | None, heads: Sequence[Layer]) -> bool:
    """Whether a tensor before the heads is apart: one that is not there, like all behind it, may yet be right."""
    names = [layer.name for layer in heads]
    if first is None or first.reference in names:
        return False
    behind = alignment.pairs[alignment.pairs.index(first) :] if first in alignment.pairs else ()
    return not behind or any(pair.candidate is not None for pair in behind if pair.reference not in names)


def _is_whole(candidate: Trace, name: str) -> bool:
    return candidate.values.get(name).dtype.kind in "iub"


def _heads(
    net: DarknetNetwork, reference: Trace, candidate: Trace, layers: Sequence[Layer], tolerance: float
) -> _Heads:
    """The heads, fed by the candidate where it has what feeds them."""
    fed = [_fed(net, reference, candidate, layer, tolerance) for layer in layers]
    feeds = [feed for feed, _ in fed]
    are_fed = all(is_own for _, is_own in fed)
    if not are_fed:  # exp and logistic enlarge what the numbers before them are off by
        tolerance *= max(1.0, *(float(np.abs(feed.x).max(initial=0)) for feed in feeds))
    return _Heads(net, feeds, tolerance, are_fed=are_fed)


def _fed(net: DarknetNetwork, reference: Trace, candidate: Trace, head: Layer, tolerance: float) -> tuple[Feed, bool]:
    """What a head is fed, and whether it is a tensor of the candidate: the one nearest to the reference's."""
    name = _source(net, head)
    wanted = np.asarray(reference.values.get(name), np.float64)
    told = reference.prints[name]
    near = [each for each in candidate.names if distance(told, candidate.prints[each]) <= tolerance]
    held = [(related(wanted, candidate.values.get(each), tolerance), each) for each in near[-_TRIED:]]
    same = [each for each in held if each[0].relation == "same"]
    if same and told.is_telling:
        best, each = min(same, key=lambda each: each[0].deviation)
        wanted = np.asarray(in_reference_layout(candidate.values.get(each), wanted.shape, best.axes), np.float64)
    return Feed(head, (wanted,), {}, net.network.flavor, len(wanted)), bool(same and told.is_telling)


def _source(net: DarknetNetwork, head: Layer) -> str:
    """What the head reads, by name."""
    (source,) = head.inputs
    return INPUT_NAME if source == -1 else net.layers[source].name


def _given_undecoded(
    net: DarknetNetwork, reference: Trace, candidate: Trace, heads: Sequence[Layer], tolerance: float
) -> set[str]:
    """The heads whose numbers are an output of the candidate as they are fed them or leave them."""
    told = [candidate.prints[name] for name in candidate.outputs if name in candidate.prints]
    return {
        head.name
        for head in heads
        if any(distance(reference.prints[name], each) <= tolerance for name in (head.name, _source(net, head))
               for each in told)
    }  # fmt: skip


# ---------------------------------------------------------------------- what outputs are


class _Heads:
    """The heads of a network as they are fed; `are_fed` is on where all that they are fed is the candidate's."""

    def __init__(self, net: DarknetNetwork, feeds: Sequence[Feed], tolerance: float, *, are_fed: bool) -> None:
        self.are_fed = are_fed
        self._network = net.network
        self._feeds = {feed.layer.name: feed for feed in feeds}
        self.tolerance = tolerance
        self._misread: dict[str, tuple[tuple[str, Group], ...]] = {}
        self._all = tuple(entries_of(net.network, feed) for feed in feeds)

    def explained(self, output: NDArray[Any]) -> Explanation | None:
        """What an output is of all heads or of one: right if it can be, else with the fewest faults."""
        found: list[Explanation] = []
        for chosen in self._choices():
            held = self._of(output, chosen, is_raw=True)
            if held is not None and held.is_right:
                return held
            found += [] if held is None else [held]
        return min(found, key=lambda each: each.faults, default=None)

    def decoded(self, output: NDArray[Any], raw: Explanation) -> Explanation:
        """What is wrong with entries that are not decoded, where they are to be."""
        return self._of(output, raw.heads, is_raw=False) or raw

    def partly(self, output: NDArray[Any]) -> str:
        """Which columns of an output are right where others are not known; "" where none are."""
        values = np.asarray(output, np.float64)
        told = (partly_right(values, Group(chosen, self._all), self.tolerance) for chosen in self._choices())
        return next(filter(None, told), "")

    def labels(self, output: NDArray[Any], found: Sequence[Explanation]) -> _Labels | None:
        """Whose best classes whole numbers are, and what is wrong with them; None where that is not known."""
        axes = tuple(length for length in output.shape if length != 1)
        for chosen in self._choices():
            group = Group(chosen, self._all)
            if output.size != group.boxes * len(chosen[0].raw):
                continue
            beside = [each for each in found if each.heads == chosen and each.axes == axes]
            columns, made = ([column for each in beside for column in getattr(each, which)]
                             for which in ("columns", "made"))  # fmt: skip
            wrong = wrong_labels(output, group, columns, made, self.tolerance)
            if wrong is not None:
                return chosen, wrong
        return None

    def _choices(self) -> Iterator[tuple[Entries, ...]]:
        """All heads together, each of them, and places in whose classes all boxes share."""
        alike = {(head.layer.kind, head.classes, head.own[0].shape[2]) for head in self._all}
        if len(alike) == 1:
            yield self._all
        if len(self._all) > 1:
            yield from ((head,) for head in self._all)
        yield from ((place,) for head in self._all if (place := of_places(head)) is not None)

    def _of(self, output: NDArray[Any], chosen: tuple[Entries, ...], *, is_raw: bool) -> Explanation | None:
        values = np.asarray(output, np.float64)
        return explained(values, chosen, self._all, self._misread_of, self.tolerance, may_be_raw=is_raw)

    def _misread_of(self, head: Entries) -> tuple[tuple[str, Group], ...]:
        name = head.layer.name
        if name not in self._misread:
            found = misread(self._network, self._feeds[name])
            self._misread[name] = tuple((told, Group([entries], ())) for told, entries in found)
        return self._misread[name]


def _is_alone_raw(one: Explanation, found: Mapping[str, Explanation]) -> bool:
    """Whether an output has some entries of its boxes that are not decoded, and another has others that are."""
    entries = one.heads[0].own[0].shape[2]
    return one.is_raw and len(one.columns) < entries and any(
        not each.is_raw and each.heads == one.heads for each in found.values()
    )  # fmt: skip


def _wrong(found: Mapping[str, Explanation]) -> list[_Wrong]:
    """What is told of the boxes of each output."""
    return [_Wrong(name, head.layer, told) for name, each in found.items()
            for head, told in zip(each.heads, each.told, strict=True) if told]  # fmt: skip


def _wrong_labels(labels: Mapping[str, _Labels | None]) -> list[_Wrong]:
    """What is told of whole numbers that are judged."""
    return [_Wrong(name, head.layer, held[1]) for name, held in labels.items() if held is not None and held[1]
            for head in held[0]]  # fmt: skip


def _mixed(found: Mapping[str, Explanation], tolerance: float) -> list[_Wrong]:
    """What is told of outputs whose boxes lie alike, and are not in the same order."""
    groups: dict[tuple[Any, ...], list[str]] = {}
    for name, each in found.items():
        if not any(one.wrong.startswith(MIXED) for told in each.told for one in told):
            groups.setdefault((*(head.layer.name for head in each.heads), each.axes), []).append(name)
    wrong: list[_Wrong] = []
    for names in (each for each in groups.values() if len(each) > 1):
        alike = [found[name] for name in names]
        told = mixed_outputs([each.columns for each in alike], [each.made for each in alike], tolerance)
        wrong += [_Wrong(names[0], head.layer, told) for head in alike[0].heads if told]
    return wrong


# ---------------------------------------------------------------------- what is told


def _causes(wrong: Sequence[_Wrong]) -> Iterator[Cause]:
    """A cause for what is wrong with each head, the same for those with which the same is wrong."""
    by_head: dict[int, list[Told]] = {}
    layers = {each.head.index: each.head for each in wrong}
    for each in wrong:
        by_head.setdefault(each.head.index, []).extend(each.told)
    by_text: dict[str, list[int]] = {}
    for index in sorted(by_head):
        by_text.setdefault(_text(by_head[index]), []).append(index)
    for text, indices in by_text.items():
        told = [one for index in indices for one in by_head[index]]
        layer = layers[indices[0]]
        yield Cause(
            "head", layer.name, text, "as Darknet decodes boxes",
            max(one.before for one in told), max(one.after for one in told),
            f"boxes are decoded otherwise: {text}", _FIXES.get(layer.kind, _FIX),
            tuple(layers[index].name for index in indices[1:]),
        )  # fmt: skip


def _text(told: Sequence[Told]) -> str:
    """What is wrong, the columns with which the same is wrong before it."""
    columns: dict[str, dict[str, None]] = {}
    for one in told:
        columns.setdefault(one.wrong, {})[one.column] = None
    return "; ".join(f"{', '.join(filter(None, names))}: {wrong}" if any(names) else wrong
                     for wrong, names in columns.items())  # fmt: skip


_FIX = "x, y: (logistic + place) · stride; w, h: exp · anchor of the mask; logistic of objectness and classes"
_FIXES: Mapping[str, str] = {
    "region": "x, y: (logistic + place) · stride; w, h: exp · anchor · stride; logistic of the objectness, softmax of "
    "the classes where the cfg asks for it",
    "Gaussian_yolo": f"{_FIX}, these times 1 − the mean of the logistics of the deviations; a deviation follows each "
    "of x, y, w, h",
    "detection": "the vector is classes of all places, confidences, boxes; x, y: (v + place) / side; w, h: v², with "
    "sqrt=1, in shares of the picture",
}
