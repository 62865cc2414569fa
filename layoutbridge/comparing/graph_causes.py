"""Why two models part whose layers are not known by their meaning: what moves elements, and what they are fed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.comparing.alignment import Pair
from layoutbridge.comparing.causes import Cause
from layoutbridge.comparing.relations import related
from layoutbridge.comparing.tracing import Trace
from layoutbridge.errors import LayoutBridgeError
from layoutbridge.operations.catalog import catalog
from layoutbridge.scanning.graphs.graph import Graph, Node
from layoutbridge.scanning.places import Place, places_in
from layoutbridge.scanning.remedies import rewrite_command

_MOST_JOINED = 5
Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class InputChange:
    """Another input for the candidate, in the reference's layout: where it makes the two equal, that is the cause."""

    cause: str
    found: str
    expected: str
    explanation: str
    fix: str
    change: Callable[[Array], Array]


def moved_causes(reference: Trace, candidate: Trace, first: Pair, tolerance: float) -> list[Cause]:
    """The cause where the first tensor apart has the reference's elements in another order."""
    if first.related.relation != "moved" or first.candidate is None or reference.graph is None:
        return []
    node = next((node for node in reference.graph.nodes if node.output == first.reference), None)
    joined = None if node is None else _joined(node, reference, candidate, first, tolerance)
    if joined is not None:
        return [joined]
    expected = _name(reference.graph, first.reference)
    found = None if candidate.graph is None else _name(candidate.graph, first.candidate)
    if expected is None and found is None:
        return []
    told, wanted = found or "another order of elements", expected or "the order of the reference"
    return [
        Cause(
            "rearrangement", first.reference, told, wanted, first.related.deviation, 0.0,
            f"{told} stands where the reference has {wanted}", f"put {wanted} there",
        )
    ]  # fmt: skip


def _joined(node: Node, reference: Trace, candidate: Trace, first: Pair, tolerance: float) -> Cause | None:
    """The inputs of a join in another order."""
    count = len(node.inputs)
    if node.movement is None or not 2 <= count <= _MOST_JOINED or any(n not in reference.values for n in node.inputs):
        return None
    assert first.candidate is not None
    values = [np.asarray(reference.values.get(name)) for name in node.inputs]
    found = candidate.values.get(first.candidate)
    for order in permutations(range(count)):
        try:
            made = node.movement(*(values[place] for place in order))
        except (IndexError, TypeError, ValueError):  # parts of other shapes do not fit in this order
            continue
        held = related(made, found, tolerance)
        if held.relation == "same":
            told = ", ".join(node.inputs[place] for place in order)
            return Cause(
                "concat_order", first.reference, told, ", ".join(node.inputs), first.related.deviation, held.deviation,
                f"the tensors stand side by side as {told}", f"join them as {', '.join(node.inputs)}",
            )  # fmt: skip
    return None


def _name(graph: Graph, output: str) -> str | None:
    """What moves elements into a tensor, by name or as a pattern."""
    found = _place(graph, output)
    if found is None:
        return None
    _, place = found
    values = ", ".join(f"{name} {value}" for name, value in place.parameters.items())
    return f"{place.names[0]}{f' ({values})' if values else ''}" if place.names else place.pattern


def _place(graph: Graph, output: str) -> tuple[int, Place] | None:
    """The place of a scan in which a tensor is made, and its number."""
    try:
        places = places_in(graph)
    except LayoutBridgeError:
        return None
    nodes = {node.name for node in graph.nodes if node.output == output}
    numbered = ((number, place) for number, place in enumerate(places) if place.kind in ("moves", "view"))
    return next((each for each in numbered if each[1].output == output or nodes.intersection(each[1].nodes)), None)


def with_command(cause: Cause, candidate: Trace, output: str | None) -> Cause:
    """A wrong rearrangement in an .onnx file with the command that puts the right one there."""
    if cause.cause != "rearrangement" or output is None or candidate.graph is None or cause.expected not in catalog():
        return cause
    found = _place(candidate.graph, output) if candidate.model.endswith(".onnx") else None
    if found is None:
        return cause
    return replace(cause, fix=f"{cause.fix}; or {rewrite_command(candidate.model, found[0], cause.expected)}")


def input_changes(given: Mapping[str, Array]) -> Iterator[InputChange]:
    """What a candidate may expect of its only input instead of what it was given."""
    if len(given) != 1:
        return
    x = next(iter(given.values()))
    if x.dtype.kind != "f":
        return
    if x.ndim == 4 and 3 in (x.shape[1], x.shape[3]):
        axis = 1 if x.shape[1] == 3 else 3
        yield InputChange(
            "channel_order", "BGR", "RGB", "the candidate reads the colours in the other order",
            "turn the channels of the picture round, or of the first weights", lambda x: np.flip(x, axis),
        )  # fmt: skip
    for found, change in _RANGES.items():
        yield InputChange(
            "input_range", f"scaled as for {found}", "as the reference", f"the candidate expects its input {found}",
            f"give it values {found}, or take that out of it", change,
        )  # fmt: skip


_RANGES: Mapping[str, Callable[[Array], Array]] = {
    "from 0 to 255": lambda x: x * 255,
    "divided by 255": lambda x: x / 255,
    "from -1 to 1": lambda x: 2 * x - 1,
    "less 0.5": lambda x: x - 0.5,
}
