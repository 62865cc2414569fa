"""The places of an exported program, and which nodes of its graph they are."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.fx import GraphModule, Node

from layoutbridge.errors import UnsupportedError
from layoutbridge.rewriting.places.locating import Located, Scene
from layoutbridge.rewriting.torch.layouts import Turns
from layoutbridge.rewriting.torch.memory import writes_into
from layoutbridge.rewriting.torch.programs import Work, graphs_within
from layoutbridge.scanning.graphs.graph import Graph
from layoutbridge.scanning.graphs.sizes import Shapes
from layoutbridge.scanning.models import graphs_of

_OWN = ("aten.", "higher_order.", "prims.")  # what PyTorch itself has
_WRITTEN = " after "  # in a tensor's name: into which something was written


class ProgramScene(Scene):
    """A program with its graph as `scan` reads it; a node has also the name that it has in the program alone."""

    def _named(self, name: str) -> list[Located]:
        return super()._named(name) or [
            place for place in self.places if name in {bare(node.output) for node in place.region.nodes}
        ]

    def _operator_called(self, name: str | int) -> tuple[str, bool] | None:
        for graph in _graphs(self.graph):
            for node in graph.nodes:
                if name in (node.name, node.output, bare(node.output)):
                    return node.operator, not node.operator.startswith(_OWN)
        return None


def scene_of_program(program: ExportedProgram, name: str, shape: Shapes) -> ProgramScene:
    """The places of a program, numbered as `scan` lists them; raises as that does."""
    graph, second = graphs_of(program, shape)
    return ProgramScene(program, replace(graph, name=name), second)


@dataclass(frozen=True, slots=True)
class Spot:
    """The nodes of a place in a graph: all that it consists of, in the graph's order, what goes in, what comes out.

    `root` is the node of the program's own graph that it lies in, None where it is one of these.
    """

    module: GraphModule
    nodes: tuple[Node, ...]
    source: Node
    output: Node
    root: Node | None

    @property
    def is_inside(self) -> bool:
        """Whether it lies within control flow."""
        return self.root is not None

    @property
    def reader(self) -> Node:
        """The first node that reads what goes in."""
        return next(node for node in self.nodes if self.source in node.all_input_nodes)

    @property
    def is_given_back(self) -> bool:
        """Whether the graph gives the result to who called it."""
        return any(user.op == "output" for user in self.output.users)


def spot_of(work: Work, located: Located) -> Spot:
    """Where a place lies in the graph that is worked on.

    Raises `UnsupportedError` where it writes into memory that others see, or lies in a graph that is called twice.
    """
    modules = list(graphs_within(work.module))
    module, root = modules[located.inside]
    if sum(each is module for each, _ in modules) > 1:
        raise UnsupportedError(f"{located.told} lies in a graph that is called from several places")
    targets = lifted(work) if located.inside == 0 else {}
    names = {node.name: node for node in module.graph.nodes}
    region = located.region
    inside = [_node(names, {}, node.output) for node in region.nodes]
    known = [node for node in inside if node is not None]
    if len(known) < len(inside) or any(map(writes_into, known)):
        raise UnsupportedError(
            f"{located.told} writes into a tensor, which others may see: give program.run_decompositions({{}}), where "
            "nothing does"
        )
    source = _node(names, targets, region.sources[0], written=True)
    assert source is not None, region.sources[0]
    whole = {held for node in known if node.target is operator.getitem for held in node.all_input_nodes} | set(known)
    nodes = tuple(node for node in module.graph.nodes if node in whole and node is not source)
    return Spot(module, nodes, source, names[bare(region.output)], root)


def turns_of(module: GraphModule, graph: Graph) -> Turns:
    """The transposes of a graph that is read as `graph`, but for those that change a tensor's own axes."""
    names = {node.name: node for node in module.graph.nodes}
    orders = {
        names[bare(node.output)]: node.order
        for node in graph.nodes
        if node.kind == "transpose" and _WRITTEN not in node.output and not writes_into(names[bare(node.output)])
    }
    return Turns(orders, {bare(name): tensor.bytes for name, tensor in graph.tensors.items()})


def lifted(work: Work) -> Mapping[str, str]:
    """The nodes' names of weights and constants, by what a scan calls them."""
    users = {spec.arg.name for spec in work.signature.input_specs if spec.kind is InputKind.USER_INPUT}
    found = {}
    for spec in work.signature.input_specs:
        if spec.kind is not InputKind.USER_INPUT:
            label = spec.target or spec.arg.name
            found[f"{label} (constant)" if label in users else label] = spec.arg.name
    return found


def _node(names: Mapping[str, Node], targets: Mapping[str, str], label: str, *, written: bool = False) -> Node | None:
    """The node that gives the tensor which a scan calls `label`; with `written` also one that something wrote into."""
    label, after, _ = label.partition(_WRITTEN)
    if after and not written:
        return None
    return names.get(targets[label] if label in targets else bare(label))


def bare(label: str) -> str:
    """A node's own name, without the module that it belongs to."""
    return label.partition(_WRITTEN)[0].rpartition("/")[2]


def _graphs(graph: Graph) -> Iterator[Graph]:
    yield graph
    for inner in graph.inner:
        yield from _graphs(inner)
