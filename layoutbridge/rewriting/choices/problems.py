"""What is to be chosen in a graph: the nodes that have several forms, and what each choice costs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import onnx_ir as ir

from layoutbridge.rewriting.choices.candidates import Asked, Candidates, Nodes
from layoutbridge.rewriting.layouts.conversions import conversion, effort, is_view
from layoutbridge.rewriting.layouts.forms import Form, Renaming
from layoutbridge.rewriting.layouts.layout import Layout, plain
from layoutbridge.rewriting.layouts.sizes import Sized
from layoutbridge.rewriting.places.models import constant_of

LARGE = 1 << 20  # bytes of a constant that is not to be stored twice for less than it saves
Choice = Mapping[ir.Node, int]  # of the forms of each node, by their numbers


class Cost(NamedTuple):
    """What a choice costs: the less effort the better, then the fewer nodes; and the bytes that are moved."""

    effort: int
    nodes: int
    moved: int


@dataclass(frozen=True)
class Tensor:
    """A tensor that may have several layouts, the file's first.

    `maker` is the node among those of the problem that gives it, and at which port; else it is `given`. The `readers`
    are such nodes too; all others take it as `wanted`.
    """

    sized: Sized
    layouts: tuple[Layout, ...]
    maker: tuple[ir.Node, int] | None
    given: int
    readers: tuple[tuple[ir.Node, int], ...]
    wanted: tuple[int, ...]
    is_constant: bool

    @cached_property
    def alike(self) -> tuple[int, ...]:
        """For each layout the number of the first in which the elements lie in the same order."""
        made: list[int] = []
        has_ones = any(self.sized.is_one(axis) for axis in range(self.sized.rank))
        for number, layout in enumerate(self.layouts):
            firsts = (k for k in range(number) if made[k] == k) if has_ones else ()
            made.append(next((k for k in firsts if is_view(self.sized, self.layouts[k], layout)), number))
        return tuple(made)

    def near(self, wanted: int) -> list[int]:
        """The layouts from which whole runs are moved to that one, or nothing is."""
        whole = (self.sized.bytes, 0)
        return [k for k, each in enumerate(self.layouts) if effort(self.sized, each, self.layouts[wanted]) in whole]

    def steps(self, given: int, wanted: int) -> int | None:
        """The nodes from one layout to another; None where there is no such way."""
        found = conversion(self.sized, self.layouts[given], self.layouts[wanted])
        return None if found is None else found.nodes

    @property
    def is_cut(self) -> bool:
        """Whether any layout changes places along an axis."""
        return any(layout.parts for layout in self.layouts)


@dataclass(frozen=True)
class Problem:
    """Nodes with their forms, the file's first, and the tensors between them.

    `before` is what the transpositions among them cost in the file; None where layouts that are asked for change it.
    """

    forms: Mapping[ir.Node, Sequence[Form]]
    tensors: Sequence[Tensor]
    before: Cost | None
    numbers: Mapping[ir.Node, Sequence[Sequence[int]]] = field(repr=False)  # of the layouts at the ports of each form

    def cost(self, choice: Choice) -> Cost | None:
        """What a choice costs; None for one in which a tensor cannot be stored as it is taken."""
        moved, work = 0, sum(self.forms[node][form].hidden for node, form in choice.items())
        nodes = sum(self.forms[node][form].more_nodes for node, form in choice.items())
        for tensor in self.tensors:
            given = tensor.given
            if tensor.maker is not None:
                given = self.numbers[tensor.maker[0]][choice[tensor.maker[0]]][tensor.maker[1]]
            wanted = {self.numbers[node][choice[node]][port] for node, port in tensor.readers} | {*tensor.wanted}
            if tensor.is_constant:
                work += tensor.sized.bytes * (len(wanted) - 1) if tensor.sized.bytes >= LARGE else 0
                continue
            wanted.discard(given)
            alike = {tensor.alike[each] for each in wanted} - {tensor.alike[given]}
            moved += tensor.sized.bytes * len(alike)
            work += sum(effort(tensor.sized, tensor.layouts[given], tensor.layouts[each]) for each in alike)
            for each in wanted:
                steps = tensor.steps(given, each)
                if steps is None:
                    return None
                nodes += steps
        return Cost(work, nodes, moved)


def problems(nodes: Nodes, found: Candidates, asked: Asked, wanted: Asked) -> Iterator[Problem]:
    """The problems of a graph, none of which has to do with another.

    `asked` are the layouts of inputs, and `wanted` those of outputs, where they are not to be the file's.
    """
    active = {node: list(forms) for node, forms in found.forms.items()}
    group = _grouped(active, found)
    members: dict[ir.Node, list[ir.Node]] = {}
    for node in active:
        members.setdefault(group[node], []).append(node)
    values: dict[ir.Node, list[ir.Value]] = {}
    for value, layouts in found.layouts.items():
        owner = _owner(value, active)
        if layouts and owner is not None:
            values.setdefault(group[owner], []).append(value)
    for key, held in members.items():
        forms = {node: active[node] for node in held}
        own = values.get(key, [])
        is_asked = any(value in asked or value in wanted for value in own)
        yield _problem(nodes, forms, own, found, asked, wanted, is_asked=is_asked)


def _owner(value: ir.Value, active: Mapping[ir.Node, object]) -> ir.Node | None:
    """A node that gives or reads a tensor, and has several forms."""
    maker = value.producer()
    if maker in active:
        return maker
    return next((use.node for use in value.uses() if use.node in active), None)


def _grouped(active: Mapping[ir.Node, object], found: Candidates) -> dict[ir.Node, ir.Node]:
    """For each node one that stands for all that share tensors with it, constants aside."""
    parent = {node: node for node in active}

    def root(node: ir.Node) -> ir.Node:
        while parent[node] is not node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for value, layouts in found.layouts.items():
        if layouts and constant_of(value) is None:
            around = [value.producer(), *(use.node for use in value.uses())]
            held = [node for node in around if node is not None and node in active]
            for node in held[1:]:
                parent[root(node)] = root(held[0])
    return {node: root(node) for node in active}


def _problem(
    nodes: Nodes,
    forms: Mapping[ir.Node, Sequence[Form]],
    values: Sequence[ir.Value],
    found: Candidates,
    asked: Asked,
    wanted: Asked,
    *,
    is_asked: bool,
) -> Problem:
    tensors = [_tensor(nodes, value, forms, found, asked, wanted) for value in values]
    known = {value: {layout: k for k, layout in enumerate(t.layouts)} for value, t in zip(values, tensors, strict=True)}
    numbers = {
        node: [
            [
                0 if layout is None or value not in known else known[value][layout]
                for value, layout in zip((*node.inputs, *node.outputs), form.ports, strict=True)
            ]
            for form in held
        ]
        for node, held in forms.items()
    }
    return Problem(forms, tensors, None if is_asked else _cost_in_the_file(nodes, forms), numbers)


def _cost_in_the_file(nodes: Nodes, forms: Iterable[ir.Node]) -> Cost:
    """What the transpositions among some nodes cost."""
    made = Cost(0, 0, 0)
    for node in forms:
        held, source = nodes.behaviour(node), node.inputs[0] if node.inputs else None
        sized = None if source is None else nodes.sizes(source.name)
        if isinstance(held, Renaming) and sized is not None:
            work = effort(sized, plain(sized.rank), Layout(held.order))
            made = Cost(made.effort + work, made.nodes + 1, made.moved + sized.bytes)
    return made


def _tensor(
    nodes: Nodes,
    value: ir.Value,
    forms: Mapping[ir.Node, Sequence[Form]],
    found: Candidates,
    asked: Asked,
    wanted: Asked,
) -> Tensor:
    sized = nodes.sizes(value.name)
    assert sized is not None
    layouts = (plain(sized.rank), *found.layouts[value])
    uses = list(value.uses())
    maker = value.producer()
    readers = tuple((use.node, use.idx) for use in uses if use.node in forms)
    others = {0 for use in uses if use.node not in forms}
    if value.is_graph_output():
        others.add(layouts.index(wanted[value]) if value in wanted else 0)
    return Tensor(
        sized,
        layouts,
        (maker, len(maker.inputs) + maker.outputs.index(value)) if maker is not None and maker in forms else None,
        layouts.index(asked[value]) if value in asked else 0,
        readers,
        tuple(sorted(others)),
        constant_of(value) is not None,
    )
