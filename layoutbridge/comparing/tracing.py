"""A model run once: its graph as the readers have it, and the values of its tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType

from layoutbridge.comparing.fingerprints import Fingerprint, fingerprint
from layoutbridge.comparing.running.recorded import FORMAT
from layoutbridge.comparing.running.store import Store
from layoutbridge.scanning.graphs.graph import Graph

_CHOOSING = re.compile(  # what formats call operators that take some boxes out of all
    r"nms|non_?max_?suppression|detection_?(output|postprocess)|non_?zero|top_?k|masked_select|compress|boolean_mask",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Trace:
    """`names` are the tensors in the order in which they were computed, inputs first, with `prints` of each.

    `parents` are the tensors that each is computed from, `labels` what the report calls each: a layer's name, a node's.
    `outputs` are those that the model gives; for boxes that it chooses among, `chosen`, what it chooses from.
    """

    model: str
    format: str
    names: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    parents: Mapping[str, tuple[str, ...]]
    labels: Mapping[str, str]
    prints: Mapping[str, Fingerprint]
    values: Store = field(repr=False, compare=False)
    graph: Graph | None = field(default=None, repr=False, compare=False)
    chosen: tuple[str, ...] = ()

    @property
    def is_recorded(self) -> bool:
        """Whether these are outputs that were recorded: how they depend on each other is not known."""
        return self.format == FORMAT


def trace_of(graph: Graph, values: Store, known: Mapping[str, Fingerprint] = MappingProxyType({})) -> Trace:
    """The trace of a graph whose tensors' values are in a store, as far as they are.

    What does not depend on the inputs is left out: constants, and what is computed from them or from shapes. `known`
    are fingerprints of some.
    """
    is_recorded = graph.format == FORMAT
    order = [*graph.inputs, *(node.output for node in graph.nodes)] if is_recorded else _depending(graph)
    names = [name for name in order if name in values and values.size(name)]
    parents = {node.output: node.inputs for node in graph.nodes}
    if is_recorded:  # how they depend on each other is not told: the one before is as likely as any
        parents = {name: (before,) for before, name in pairwise(names)}
    labels = {node.output: node.name for node in graph.nodes}
    outputs, chosen = _outputs(graph, names)
    return Trace(
        graph.name, graph.format, tuple(names), tuple(name for name in graph.inputs if name in values),
        outputs,
        {name: tuple(_ancestors(name, parents, values)) for name in names},
        {name: labels.get(name, name) for name in names},
        {name: known[name] if name in known else fingerprint(values.get(name)) for name in names}, values, graph,
        chosen,
    )  # fmt: skip


def _outputs(graph: Graph, names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What a model gives, in the place of what it chooses among its boxes what it chooses from; and what it chooses."""
    depending = set(names)
    behind = {node.output for node in graph.nodes if _CHOOSING.search(node.operator) and node.output in depending}
    for node in graph.nodes:
        if not behind.isdisjoint(node.inputs):
            behind.add(node.output)
    chosen = tuple(name for name in graph.outputs if name in behind)
    if not chosen:
        return graph.outputs, ()
    parents = {node.output: node.inputs for node in graph.nodes}
    left = [name for node in graph.nodes if node.output in behind for name in node.inputs]
    whole = dict.fromkeys(name for name in graph.outputs if name not in behind)
    while left:
        name = left.pop(0)
        if name in behind or name not in depending:
            continue
        if graph.tensors[name].dtype == "bool":  # a threshold: what it is of is judged
            left += parents.get(name, ())
        else:
            whole[name] = None
    return tuple(whole), chosen


def _depending(graph: Graph) -> list[str]:
    """The inputs, and all that is computed from them, in the order of the graph."""
    found = dict.fromkeys(
        name for name in graph.inputs if name in graph.tensors and not graph.tensors[name].is_constant
    )
    for node in graph.nodes:
        if any(name in found for name in node.inputs):
            found[node.output] = None
    return list(found)


def _ancestors(name: str, parents: Mapping[str, tuple[str, ...]], values: Store) -> list[str]:
    """The nearest tensors before `name` whose values are known."""
    found: dict[str, None] = {}
    left, seen = list(parents.get(name, ())), set[str]()
    while left:
        each = left.pop()
        if each in seen:
            continue
        seen.add(each)
        if each in values:
            found[each] = None
        else:
            left += parents.get(each, ())
    return list(found)
