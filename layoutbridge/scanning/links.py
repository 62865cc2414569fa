"""Which nodes of a graph make and use a tensor, and how a region grows from its last node towards what goes in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush

from layoutbridge.scanning.graphs.graph import Graph, Node


@dataclass(frozen=True, slots=True)
class Region:
    """Nodes in the order of the graph, the tensors that go into them, each once, and the one that comes out.

    Of a join, `turns` is how often its sources take turns, each with as many elements; 0 where they do not do that.
    """

    nodes: tuple[Node, ...]
    sources: tuple[str, ...]
    output: str
    turns: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """The nodes' names, each once."""
        return tuple(dict.fromkeys(node.name for node in self.nodes))


@dataclass(slots=True)
class Links:
    """A graph's nodes by the tensors that they make and use; `free` are the movements that are in no region yet.

    `dominators` are, for tensors that have been come across, the farthest ones that all that goes into them passes
    through: no region that ends there goes back beyond these.
    """

    graph: Graph
    makers: dict[str, int] = field(init=False)
    users: dict[str, set[int]] = field(init=False)
    free: set[int] = field(init=False)
    shown: set[str] = field(init=False)
    dominators: dict[str, str] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        nodes = self.graph.nodes
        self.makers = {node.output: place for place, node in enumerate(nodes)}
        self.users = {}
        for place, node in enumerate(nodes):
            for entry in node.inputs:
                self.users.setdefault(entry, set()).add(place)
        for tensor, outputs in self.graph.shape_readers.items():
            self.users.setdefault(tensor, set()).update(self.makers.get(output, -1) for output in outputs)
        self.free = {place for place, node in enumerate(nodes) if node.movement is not None}
        self.shown = set(self.graph.outputs) | _read_within(self.graph)

    def maker_within(self, name: str, inside: set[int]) -> int | None:
        """The node that makes a tensor, if it is free and nobody but the nodes `inside` uses the tensor."""
        maker = self.makers.get(name)
        if maker is None or maker not in self.free or name in self.shown or not self.users[name] <= inside:
            return None
        return maker

    def grown(self, first: Sequence[int], takes: Callable[[Node], bool]) -> Iterator[tuple[list[int], set[str]]]:
        """The nodes from `first` on as more are taken, and what goes into them: the same two objects after each step.

        What is made last is looked at first: whether it is used elsewhere is settled by then.
        """
        inside, added = set(first), list(first)
        border = {entry for place in first for entry in self.graph.nodes[place].inputs}
        border -= {self.graph.nodes[place].output for place in first}
        waiting = [(-self.makers.get(name, -1), name) for name in border]
        heapify(waiting)
        yield added, border
        while waiting:
            _, name = heappop(waiting)
            maker = self.maker_within(name, inside)
            if maker is None or not takes(self.graph.nodes[maker]):
                continue
            inside.add(maker)
            added.append(maker)
            border.discard(name)
            for entry in self.graph.nodes[maker].inputs:
                if entry not in border:
                    border.add(entry)
                    heappush(waiting, (-self.makers.get(entry, -1), entry))
            yield added, border

    def note_dominators(self, places: Iterable[int], border: Iterable[str]) -> None:
        """Note those of what nodes make that have been `grown` as far as they go, to this border.

        Without them each join of a chain would have the same nodes looked at again.
        """
        farthest = {name: name for name in border}
        for place in sorted(places):
            node = self.graph.nodes[place]
            through = {farthest[entry] for entry in node.inputs}
            farthest[node.output] = through.pop() if len(through) == 1 else node.output
            self.dominators[node.output] = farthest[node.output]

    def taken(self, places: Sequence[int], sources: Sequence[str], turns: int = 0) -> Region:
        """A region of the nodes at these places, of which the first one comes last."""
        nodes = self.graph.nodes
        return Region(tuple(nodes[each] for each in sorted(places)), tuple(sources), nodes[places[0]].output, turns)


def _read_within(graph: Graph) -> set[str]:
    """The tensors that graphs inside of control flow read, or the shapes of."""
    names: set[str] = set()
    for inner in graph.inner:
        names |= {entry for node in inner.nodes for entry in node.inputs} | set(inner.outputs) | _read_within(inner)
        names |= set(inner.shape_readers)
    return names
