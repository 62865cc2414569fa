"""The faults of every kind of layer, tried on one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from layoutbridge.comparing.faults import unweighted
from layoutbridge.comparing.faults.fault import FAULTS, Array, Fault
from layoutbridge.comparing.faults.parametric import Choice, alternatives, computed
from layoutbridge.comparing.faults.sampling import likely_choices
from layoutbridge.comparing.running.store import Store
from layoutbridge.darknet.reference.values import Feed

__all__ = ["suspicions", "unweighted"]


def suspicions(
    feed: Feed, names: Mapping[int, list[str]], values: Store, tolerance: float, before: float
) -> Iterator[tuple[Fault, ...]]:
    """What may be wrong with a layer that should give one of the tensors `names`, by their size: some faults together.

    Each fault of some has the same `output`, that with all of them.
    """
    if alternatives(feed):
        for choice in likely_choices(feed, names, values, tolerance, before):
            yield tuple(
                Fault(each.cause, each.found, each.expected, each.explanation, each.fix, _output(choice))
                for each in choice.values()
            )
        return
    for function in FAULTS.get(feed.layer.kind, ()):
        for fault in function(feed, feed.layer.settings):
            yield (fault,)


def may_have(feed: Feed, faults: tuple[Fault, ...]) -> bool:
    """Whether a layer is one that may have one of `faults`, too."""
    offered: set[tuple[str, str, str]] = {
        (each.cause, each.found, each.expected) for stage in alternatives(feed).values() for each in stage
    }
    for function in FAULTS.get(feed.layer.kind, ()):
        offered |= {(each.cause, each.found, each.expected) for each in function(feed, feed.layer.settings)}
    return any((each.cause, each.found, each.expected) in offered for each in faults)


def _output(choice: Choice) -> Any:
    def output(feed: Feed) -> Array | None:
        """What a layer gives with as much of the choice as it has: the first one alone reads a picture."""
        offered = alternatives(feed)
        own = {stage: each for stage, each in choice.items() if each in offered.get(stage, ())}
        return computed(feed, own) if own else None

    return output
