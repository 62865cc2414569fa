"""The faults of every kind of layer, tried on one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from layoutbridge.comparing.faults import unweighted
from layoutbridge.comparing.faults.elsewhere import Numbers
from layoutbridge.comparing.faults.fault import FAULTS, Array, Fault
from layoutbridge.comparing.faults.parametric import alternatives
from layoutbridge.comparing.faults.sampling import likely_choices
from layoutbridge.comparing.faults.solving import solved_choices
from layoutbridge.comparing.faults.stages import Choice, computed
from layoutbridge.comparing.running.store import Store
from layoutbridge.darknet.reference.values import Feed

__all__ = ["suspicions", "unweighted"]
Suspicions = Iterator[tuple[Fault, ...]]


def suspicions(
    feed: Feed,
    numbers: Numbers,
    names: Mapping[int, list[str]],
    values: Store,
    tolerance: float,
    before: float,
    *,
    with_inner: bool = False,
) -> Suspicions:
    """What may be wrong with a layer that should give one of the tensors `names`, by their size: some faults together.

    Each fault of some has the same `output`, that with all of them. `with_inner` as for `likely_choices`.
    """
    if alternatives(feed, numbers):
        for choice in likely_choices(feed, numbers, names, values, tolerance, before, with_inner=with_inner):
            yield _faults(feed, numbers, choice)
    elif not with_inner:
        for function in FAULTS.get(feed.layer.kind, ()):
            for fault in function(feed, feed.layer.settings):
                yield (fault,)


def worked_out(feed: Feed, numbers: Numbers, output: Array, *, activated: bool) -> Suspicions:
    """The faults that would make a layer with weights give `output` [N, F, H, W], by what they would have to be.

    `activated` as for `solved_choices`.
    """
    if alternatives(feed, numbers):
        for choice in solved_choices(feed, output, activated=activated):
            yield _faults(feed, numbers, choice)


def may_have(feed: Feed, numbers: Numbers, faults: tuple[Fault, ...]) -> bool:
    """Whether a layer is one that may have one of `faults`, too."""
    offered: set[tuple[str, str, str]] = {
        (each.cause, each.found, each.expected) for stage in alternatives(feed, numbers).values() for each in stage
    }
    for function in FAULTS.get(feed.layer.kind, ()):
        offered |= {(each.cause, each.found, each.expected) for each in function(feed, feed.layer.settings)}
    return any((each.cause, each.found, each.expected) in offered for each in faults)


def _faults(feed: Feed, numbers: Numbers, choice: Choice) -> tuple[Fault, ...]:
    output = _output(choice, numbers, feed.layer.index)
    return tuple(
        Fault(each.cause, each.found, each.expected, each.explanation, each.fix, output) for each in choice.values()
    )


def _output(choice: Choice, numbers: Numbers, index: int) -> Any:
    def output(feed: Feed) -> Array | None:
        """What a layer gives with as much of the choice as it has: the first one alone reads a picture."""
        if feed.layer.index == index:
            return computed(feed, choice)
        offered = alternatives(feed, numbers)
        own = {stage: each for stage, each in choice.items() if each in offered.get(stage, ())}
        return computed(feed, own) if own else None

    return output
