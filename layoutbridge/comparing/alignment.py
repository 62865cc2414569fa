"""Which tensor of a candidate is which of the reference: by their values, not by names or by how they lie.

Sorted values do not change when elements move, so partners are found without names and layouts; from a partner that is
the same on, a network goes on as if nothing had been. Where the values part, the shape and what a tensor is computed
from say which two belong together.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from layoutbridge.comparing.fingerprints import distance
from layoutbridge.comparing.relations import Related, related
from layoutbridge.comparing.tracing import Trace

_TRIED = 12  # candidates for one tensor whose values are looked at
_NEAR = 0.5  # shares of the largest value: partners of recorded outputs are no further apart
_WITHIN = 9  # steps in which a layer is written out: a convolution, batch norm in four, an activation in three
_PRODUCT = re.compile(  # what formats call a product with weights
    r"conv(?!ert)|matmul|gemm|dense|inner_?product|fully_?connected|\.linear|(^|[._])(add|b)?mm", re.IGNORECASE
)
_FAR = 2.0  # shares of the largest value: further apart, values say nothing of who belongs together


@dataclass(frozen=True, slots=True)
class Pair:
    """A tensor of the reference with its partner, None where it has none; `healed` where a later tensor is the same.

    What differs and is healed is another way to the same end: a batch norm that is folded, channels in another order
    whose weights follow.
    """

    reference: str
    candidate: str | None
    related: Related
    healed: bool = False


@dataclass(frozen=True)
class Alignment:
    """A pair for each tensor of the reference, in its order; `first` is the one from which on nothing is the same."""

    pairs: tuple[Pair, ...]
    by_reference: Mapping[str, Pair] = field(repr=False, default_factory=dict)

    @property
    def first(self) -> Pair | None:
        """The first pair that is not the same, and behind which nothing is."""
        return next((pair for pair in self.pairs if pair.related.relation != "same" and not pair.healed), None)


def align(
    reference: Trace, candidate: Trace, tolerance: float, known: Mapping[str, Pair] = MappingProxyType({})
) -> Alignment:
    """The pairs of two runs on the same input; what is within `tolerance` of a tensor's largest value is equal.

    `known` are pairs of tensors whose values are as in an earlier run: those that are the same are not looked at again.
    """
    by_size: dict[int, list[str]] = {}
    for name in candidate.names:
        by_size.setdefault(candidate.prints[name].size, []).append(name)
    found: dict[str, Pair] = {
        name: replace(pair, healed=False) for name, pair in known.items() if pair.related.relation == "same"
    }
    used: set[str] = set()
    for name in reference.names:
        if name in found:
            continue
        alike = by_size.get(reference.prints[name].size, [])
        pair = _partner(reference, candidate, name, alike, found, used, tolerance)
        if pair is not None:
            found[name] = pair
            assert pair.candidate is not None
            if pair.related.relation != "same":
                used.add(pair.candidate)
    for name in reference.names:
        if name not in found or found[name].related.relation not in ("same", "moved", "scaled"):
            found[name] = _by_structure(reference, candidate, name, by_size, found, used, tolerance)
    children = children_of(reference)
    same = {
        name for name, pair in found.items() if pair.related.relation == "same" and reference.prints[name].is_telling
    }
    pairs = tuple(
        Pair(name, found[name].candidate, found[name].related, _heals(reference, found[name], children, same))
        for name in reference.names
    )
    return Alignment(pairs, {pair.reference: pair for pair in pairs})


def children_of(trace: Trace) -> dict[str, tuple[str, ...]]:
    """The tensors that are computed from each tensor of a run."""
    children: dict[str, list[str]] = {}
    for name in trace.names:
        for parent in trace.parents.get(name, ()):
            children.setdefault(parent, []).append(name)
    return {name: tuple(each) for name, each in children.items()}


def descendants(names: Iterable[str], children: Mapping[str, tuple[str, ...]]) -> set[str]:
    """All that is computed from `names`, which are among them."""
    found, left = set[str](), list(names)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += children.get(name, ())
    return found


def _heals(reference: Trace, pair: Pair, children: Mapping[str, tuple[str, ...]], same: set[str]) -> bool:
    """Whether something that is computed from the pair's tensor is the same again.

    Of recorded outputs it is not known what is computed from which: there only what is missing may be folded.
    """
    if reference.is_recorded and pair.candidate is not None:
        return False
    return not same.isdisjoint(descendants(children.get(pair.reference, ()), children))


def _partner(
    reference: Trace,
    candidate: Trace,
    name: str,
    of_its_size: list[str],
    found: Mapping[str, Pair],
    used: set[str],
    tolerance: float,
) -> Pair | None:
    """The partner by values: one that is the same, else one that is moved or scaled."""
    told = reference.prints[name]
    if not told.is_telling:
        return None
    near = [each for each in of_its_size if distance(told, candidate.prints[each]) <= tolerance]
    values = reference.values.get(name)
    others: list[Pair] = []
    taken = {pair.candidate for pair in found.values() if pair.related.relation == "same"}
    for each in near[:_TRIED]:
        held = related(values, candidate.values.get(each), tolerance)
        if held.relation == "same":
            return Pair(name, each, held)
        if held.relation == "moved" and each not in taken | used:
            others.append(Pair(name, each, held))
    return others[-1] if others else None


def _by_structure(
    reference: Trace,
    candidate: Trace,
    name: str,
    by_size: Mapping[int, list[str]],
    found: Mapping[str, Pair],
    used: set[str],
    tolerance: float,
) -> Pair:
    """The partner of a tensor whose values nobody has: one of its size near behind the partners of what it is made of.

    What a layer is written out in stands there; what lies further behind are other layers of the same size.
    """
    places = {each: place for place, each in enumerate(candidate.names)}
    before = [
        partner
        for parent in reference.parents.get(name, ())
        if parent in found and (partner := found[parent].candidate) is not None
    ]
    start = max((places[each] for each in before), default=-1)
    taken = used | {pair.candidate for pair in found.values() if pair.candidate is not None}
    told = reference.prints[name]
    free = [each for each in by_size.get(told.size, ()) if places[each] > start and each not in taken]
    if not free:
        return Pair(name, None, Related("missing", float("inf"), ()))
    free = near_behind(candidate, before, free)
    values = reference.values.get(name)
    nearest = sorted(free[:_TRIED], key=lambda each: (min(distance(told, candidate.prints[each]), _FAR), places[each]))
    if reference.is_recorded and distance(told, candidate.prints[nearest[0]]) > _NEAR:
        return Pair(name, None, Related("missing", float("inf"), ()))
    held = related(values, candidate.values.get(nearest[0]), tolerance)
    used.add(nearest[0])
    return Pair(name, nearest[0], held)


def near_behind(trace: Trace, before: Iterable[str], names: Sequence[str]) -> list[str]:
    """Those of `names` that are computed from tensors `before` them in a layer's few steps; all where none is."""
    steps = _steps(before, children_of(trace), _products(trace))
    least = min((steps[each] for each in names if steps.get(each)), default=0)
    near = [each for each in names if steps.get(each, least + _WITHIN) < least + _WITHIN]
    return near or list(names)


def _products(trace: Trace) -> set[str]:
    """The tensors that a layer with weights begins with, by what formats call such operators."""
    nodes = () if trace.graph is None else trace.graph.nodes
    return {node.output for node in nodes if _PRODUCT.search(node.operator)}


def _steps(names: Iterable[str], behind: Mapping[str, tuple[str, ...]], products: Container[str]) -> dict[str, int]:
    """How many steps behind the nearest of `names` each tensor is that is computed from them.

    Behind one product: the next belongs to another layer.
    """
    steps = dict.fromkeys(names, 0)
    left = deque((name, False) for name in steps)
    while left:
        name, is_multiplied = left.popleft()
        for child in behind.get(name, ()):
            if child not in steps and not (is_multiplied and child in products):
                steps[child] = steps[name] + 1
                left.append((child, is_multiplied or child in products))
    return steps
