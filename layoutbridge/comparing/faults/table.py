"""The faults of every kind of layer, tried on one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import permutations

import numpy as np

from layoutbridge.comparing.faults import unweighted
from layoutbridge.comparing.faults.elsewhere import Numbers
from layoutbridge.comparing.faults.fault import FAULTS, Array, Fault
from layoutbridge.comparing.faults.parametric import activation_of, alternatives
from layoutbridge.comparing.faults.sampling import likely_choices
from layoutbridge.comparing.faults.solving import solved_choices
from layoutbridge.comparing.faults.stages import Choice, computed
from layoutbridge.comparing.running.store import Store
from layoutbridge.darknet.reference.values import Feed

__all__ = ["suspicions", "unweighted"]
_FEW = 2000  # elements by which a tensor is told to be an activation of another
_ALIKE = 1e-5  # of the largest value
Suspicions = Iterator[tuple[Fault, ...]]


def suspicions(
    feed: Feed,
    numbers: Numbers,
    names: Mapping[int, list[str]],
    values: Store,
    tolerance: float,
    before: float,
    known: Fault | None = None,
    *,
    with_inner: bool = False,
) -> Suspicions:
    """What may be wrong with a layer that should give one of the tensors `names`, by their size: some faults together.

    Each fault of some has the same `output`, that with all of them, and with the fault that is `known` of the layer.
    `with_inner` as for `likely_choices`.
    """
    if alternatives(feed, numbers):
        base: Choice = {} if known is None else known.choice(feed)
        for choice in likely_choices(feed, numbers, names, values, tolerance, before, base, with_inner=with_inner):
            yield _faults(feed, numbers, choice, base)
    elif not with_inner:
        for function in FAULTS.get(feed.layer.kind, ()):
            for fault in function(feed, feed.layer.settings):
                yield (fault,)


def worked_out(
    feed: Feed, numbers: Numbers, outputs: Sequence[Array], known: Fault | None = None
) -> Iterator[tuple[int, tuple[Fault, ...]]]:
    """The faults that would make a layer with weights give one of `outputs` [N, F, H, W], and which.

    They are worked out from what they would have to be beside the fault that is `known`, with the layer's activation
    first, then with each other.
    """
    stages = alternatives(feed, numbers)
    if not stages:
        return
    base: Choice = {} if known is None else known.choice(feed)
    own = base.get("activation") or activation_of(feed)
    sums = {other: _sums(outputs, other.change) for other in (own, *stages["activation"])}
    within = {before for found in sums.values() for before in found.values()}
    for other, found in sums.items():
        for place, output in enumerate(outputs):
            if place in within or (place not in found and any(place in each for each in sums.values())):
                continue
            given = outputs[found[place]] if place in found else None
            for choice in solved_choices(feed, output, base, None if other is own else other, given):
                yield place, _faults(feed, numbers, choice, base)


def _sums(outputs: Sequence[Array], function: Callable[[Array], Array]) -> dict[int, int]:
    """Which of the outputs are an activation of which others."""
    few = [each.reshape(-1)[:: max(1, each.size // _FEW)] for each in outputs]
    found: dict[int, int] = {}
    for place, before in permutations(range(len(outputs)), 2):
        if few[place].shape != few[before].shape or np.array_equal(few[place], few[before]):
            continue
        largest = float(np.abs(few[place]).max(initial=0))
        with np.errstate(all="ignore"):
            apart = np.abs(function(few[before].reshape(1, 1, 1, -1)).reshape(-1) - few[place]).max(initial=0)
        if largest and apart <= _ALIKE * largest and np.abs(few[before] - few[place]).max() > _ALIKE * largest:
            found.setdefault(place, before)
    return found


def may_have(feed: Feed, numbers: Numbers, faults: tuple[Fault, ...]) -> bool:
    """Whether a layer is one that may have one of `faults`, too."""
    offered: set[tuple[str, str, str]] = {
        (each.cause, each.found, each.expected) for stage in alternatives(feed, numbers).values() for each in stage
    }
    for function in FAULTS.get(feed.layer.kind, ()):
        offered |= {(each.cause, each.found, each.expected) for each in function(feed, feed.layer.settings)}
    return any((each.cause, each.found, each.expected) in offered for each in faults)


def _faults(feed: Feed, numbers: Numbers, choice: Choice, base: Choice) -> tuple[Fault, ...]:
    """The faults of a choice on top of what is known of the layer, whose own are told already."""
    whole, index = {**base, **choice}, feed.layer.index

    def own(feed: Feed) -> Choice:
        """As much of the choice as a layer has: the first one alone reads a picture."""
        if feed.layer.index == index:
            return whole
        offered = alternatives(feed, numbers)
        return {stage: each for stage, each in whole.items() if each in offered.get(stage, ())}

    def output(feed: Feed) -> Array | None:
        held = own(feed)
        return computed(feed, held) if held else None

    return tuple(
        Fault(each.cause, each.found, each.expected, each.explanation, each.fix, output, own)
        for each in choice.values()
    )
