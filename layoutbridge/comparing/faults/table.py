"""The faults of every kind of layer."""

from __future__ import annotations

from collections.abc import Iterator

from layoutbridge.comparing.faults import parametric, unweighted
from layoutbridge.comparing.faults.fault import FAULTS, Fault
from layoutbridge.darknet.reference.values import Feed

__all__ = ["faults_of", "parametric", "unweighted"]


def faults_of(feed: Feed) -> Iterator[list[Fault]]:
    """The faults that a layer may have, in groups, one after the other."""
    for function in FAULTS.get(feed.layer.kind, ()):
        yield list(function(feed, feed.layer.settings))
