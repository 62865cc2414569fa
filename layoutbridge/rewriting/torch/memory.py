"""Which tensors of a graph may share memory, and what is written into it: there values depend on who owns what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import torch
from torch.fx import GraphModule, Node

from layoutbridge.rewriting.torch.programs import inner_modules
from layoutbridge.scanning.readers.torch.aliases import shares

_ATEN = torch.ops.aten
_OF_SHAPES = {_ATEN.sym_size.int, _ATEN.sym_stride.int, _ATEN.sym_numel.default, _ATEN.sym_storage_offset.default}


@dataclass(slots=True)
class Memory:
    """Of a graph as it is now. A write that is seen through its own result alone is private: as good as none."""

    module: GraphModule
    made_of: dict[Node, tuple[Node, ...]] = field(init=False)  # whose memory it may share
    views: dict[Node, list[Node]] = field(init=False)  # what may share its memory
    writes: list[tuple[Node, tuple[Node, ...]]] = field(init=False)
    private: list[tuple[Node, tuple[Node, ...]]] = field(init=False)
    _order: dict[Node, int] = field(init=False)

    def __post_init__(self) -> None:
        nodes = list(self.module.graph.nodes)
        inner: dict[Node, list[GraphModule]] = {}
        for node, graph in inner_modules(self.module):
            inner.setdefault(node, []).append(graph)
        self._order = {node: place for place, node in enumerate(nodes)}
        self.made_of = {node: _sharing(node) for node in nodes}
        self.views = {node: [] for node in nodes}
        for node, sources in self.made_of.items():
            for source in sources:
                self.views[source].append(node)
        written = [(node, into) for node in nodes if (into := _written(node, inner.get(node, ())))]
        self.private = [each for each in written if self._is_private(*each)]
        self.writes = [each for each in written if each not in self.private]

    def disturbing(self, first: Node, source: Node, output: Node, *, becomes_view: bool) -> Node | None:
        """A write that would be seen by others, if `output` were made of `source` anew; None where there is none.

        `first` is the first node that reads `source` now; `becomes_view`: the new one may share its memory.
        """
        writes = self.writes + (self.private if becomes_view else [])
        if not writes:
            return None
        below = set(self._below(output))
        around = self._around((source, output)) - below
        for node, into in writes:
            if self._order[node] <= self._order[first]:
                continue
            if not below.isdisjoint(into) and self._is_used(around, node, placeholders=becomes_view):
                return node
            if not around.isdisjoint(into) and self._is_used(below | around, node, placeholders=False):
                return node
        return None

    def dependents(self, roots: Iterable[Node]) -> set[Node]:
        """All that is, or is computed from, `roots`, through memory that is written into as well."""
        left = list(roots)
        found = set(left)
        while left:
            node = left.pop()
            near = set(node.users)
            for writer, into in self.writes:
                if writer is node:
                    near |= self._around(into)
            near -= found
            found |= near
            left += near
        return found

    def is_written(self, nodes: Iterable[Node]) -> bool:
        """Whether anything is written into what may share memory with one of these, for others to see."""
        return self.writing(nodes) is not None

    def writing(self, nodes: Iterable[Node]) -> Node | None:
        """What does so; None where nothing does."""
        around = self._around(nodes) if self.writes else set()
        return next((node for node, into in self.writes if not around.isdisjoint(into)), None)

    def _is_private(self, node: Node, into: tuple[Node, ...]) -> bool:
        others = self._around(into) - set(self._below(node)) - {node}
        return not self._is_used(others, node, placeholders=True)

    def _is_used(self, nodes: Iterable[Node], after: Node, *, placeholders: bool) -> bool:
        """Whether one of them is read after a node; placeholders, which the caller holds, always where asked for."""
        place = self._order[after]
        return any(
            (placeholders and node.op == "placeholder")
            or any(self._order.get(user, -1) > place and user.target not in _OF_SHAPES for user in node.users)
            for node in nodes
        )

    def _below(self, node: Node) -> Iterator[Node]:
        seen, left = {node}, [node]
        while left:
            node = left.pop()
            yield node
            left.extend(view for view in self.views[node] if view not in seen)
            seen.update(self.views[node])

    def _around(self, nodes: Iterable[Node]) -> set[Node]:
        """All that may share memory with one of these."""
        left = list(nodes)
        found = set(left)
        while left:
            node = left.pop()
            near = {*self.made_of[node], *self.views[node]} - found
            found |= near
            left += near
        return found


def writes_into(node: Node) -> bool:
    """Whether a node writes into a tensor that it reads."""
    return bool(_written(node, ()))


def _sharing(node: Node) -> tuple[Node, ...]:
    """What a node's result may share memory with."""
    if node.op != "call_function":
        return ()
    if isinstance(node.target, torch._ops.OpOverload):
        found = [held for held, argument in _arguments(node) if argument.alias_info is not None]
        if not found and shares(node.target._schema.name.replace("::", ".")) is not False:
            found = node.all_input_nodes[:1]
        return tuple(found)
    return tuple(node.all_input_nodes)  # a part of a list, or what control flow gives


def _written(node: Node, inner: Iterable[GraphModule]) -> tuple[Node, ...]:
    """The tensors that a node writes into; with control flow, all that goes in where anything is written inside."""
    if node.op != "call_function":
        return ()
    if isinstance(node.target, torch._ops.OpOverload):
        return tuple(
            held for held, argument in _arguments(node) if argument.alias_info and argument.alias_info.is_write
        )
    if any(Memory(graph).writes for graph in inner):
        return tuple(node.all_input_nodes)
    return ()


def _arguments(node: Node) -> Iterator[tuple[Node, torch.Argument]]:
    """The nodes among a call's arguments, each with what the operator declares of it."""
    assert isinstance(node.target, torch._ops.OpOverload)
    for place, argument in enumerate(node.target._schema.arguments):
        given = node.args[place] if place < len(node.args) else node.kwargs.get(argument.name)
        for held in given if isinstance(given, list | tuple) else [given]:
            if isinstance(held, Node):
                yield held, argument
