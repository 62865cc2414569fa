"""The stage that keeps a target's limits: what moves elements beyond them is written in another, exact form."""

from __future__ import annotations

from collections.abc import Iterator

from layoutbridge.errors import LayoutBridgeError, UnsupportedError, named
from layoutbridge.frameworks.onnx.programs.limits import Limits
from layoutbridge.recognition.wrapping import PLAIN
from layoutbridge.rewriting.choosing import is_movable
from layoutbridge.rewriting.draft import Draft
from layoutbridge.rewriting.opening import as_ir, as_proto
from layoutbridge.rewriting.passes.fix import FixPass
from layoutbridge.rewriting.places.locating import Located
from layoutbridge.rewriting.places.models import opset_of
from layoutbridge.rewriting.places.wanted import Fix, Wanted, present_at
from layoutbridge.rewriting.proving import proven
from layoutbridge.scanning.graphs.graph import Graph, Node

_NAME = "limits"


def within_limits(draft: Draft) -> Draft:
    """The model with nothing in it that its limits do not allow; the draft itself where that is so already.

    Raises `UnsupportedError` with the node that has no other form, and why.
    """
    scene, limits = draft.scene, draft.limits
    model = as_ir(scene.model, draft.source)
    if limits.max_opset is not None and opset_of(model) > limits.max_opset:
        raise UnsupportedError(
            f"'{scene.name}' has opset {opset_of(model)}, and {limits.told}: convert it first, with "
            "onnx.version_converter"
        )
    beyond = [each for each in scene.places if any(_why(each.graph, node, limits) for node in each.region.nodes)]
    fixes = [_kept(located) for located in beyond if is_movable(scene, located)]
    made = draft
    if fixes:
        try:
            FixPass(fixes, limits)(model)
        except LayoutBridgeError as error:
            raise UnsupportedError(f"{_told(beyond, limits)}: {error}") from None
        made = draft.with_model(as_proto(model, scene.model))
        operations = ((each.located, each.wanted.on_all_axes, each.wanted.label) for each in fixes)
        made = made.with_passes(
            tuple(proven(_NAME, located, made.scene, operation, label) for located, operation, label in operations)
        )
    for graph in _graphs(made.scene.graph):
        _refuse_beyond(graph, limits)
    return made


def _kept(located: Located) -> Fix:
    """The place as what it is, to be written anew."""
    present = present_at(located)
    return Fix(located, Wanted(present, present, PLAIN))


def _refuse_beyond(graph: Graph, limits: Limits) -> None:
    for node in graph.nodes:
        why = _why(graph, node, limits)
        if why:
            raise UnsupportedError(
                f"'{named(node.name or node.output)}' {why}, and has no other form within the limits: {limits.told}"
            )


def _why(graph: Graph, node: Node, limits: Limits) -> str:
    """What of a node is beyond the limits; nothing where it keeps them."""
    if not limits.allows(node.operator):
        return f"is a {node.operator}"
    ranks = (len(graph.tensors[name].shape) for name in (*node.inputs, node.output) if name in graph.tensors)
    most = max(ranks, default=0)
    return "" if limits.allows_rank(most) else f"({node.operator}) has a tensor of {most} axes"


def _told(beyond: list[Located], limits: Limits) -> str:
    what = beyond[0].told if len(beyond) == 1 else f"{len(beyond)} places"
    return f"{what} would break the limits: {limits.told}"


def _graphs(graph: Graph) -> Iterator[Graph]:
    yield graph
    for inner in graph.inner:
        yield from _graphs(inner)
