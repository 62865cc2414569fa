"""Which layouts tensors may have: those that transpositions ask for, carried on through the nodes of the graph."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import permutations

import onnx_ir as ir

from layoutbridge.rewriting.layouts.cases import Case
from layoutbridge.rewriting.layouts.forms import Behaviour, Form, Renaming, as_it_is
from layoutbridge.rewriting.layouts.layout import Layout, plain
from layoutbridge.rewriting.layouts.sizes import Sizes
from layoutbridge.rewriting.places.models import constant_of
from layoutbridge.rewriting.rules.table import behaviour

_MOST_LAYOUTS = 8  # of a tensor, those nearest to a transposition
_MOST_FORMS = 40  # of a node
Asked = Mapping[ir.Value, Layout]


@dataclass
class Nodes:
    """A graph's nodes with what their operators allow, looked up once; `only_exact` forms may be all that is wanted."""

    graph: ir.Graph
    sizes: Sizes
    opset: int
    only_exact: bool = False
    _known: dict[ir.Node, Behaviour | None] = field(default_factory=dict)

    def behaviour(self, node: ir.Node) -> Behaviour | None:
        """What an operator allows; None where it is not known."""
        if node not in self._known:
            is_simple = all(attribute.type not in _GRAPHS for attribute in node.attributes.values())
            self._known[node] = behaviour(Case(node, self.sizes, self.opset)) if is_simple else None
        return self._known[node]

    def forms(self, value: ir.Value, layout: Layout) -> Iterator[tuple[ir.Node, Form]]:
        """The forms of the nodes that give or read a tensor in which it has a layout."""
        maker = value.producer()
        if maker is not None and maker.graph is self.graph:
            yield from self._of(maker, len(maker.inputs) + maker.outputs.index(value), layout)
        for use in value.uses():
            if use.node.graph is self.graph:
                yield from self._of(use.node, use.idx, layout)

    def _of(self, node: ir.Node, port: int, layout: Layout) -> Iterator[tuple[ir.Node, Form]]:
        found = self.behaviour(node)
        for form in () if found is None else found.forms(port, layout):
            yield node, form

    def transpositions(self) -> list[ir.Node]:
        """The nodes that do nothing else than to transpose."""
        return [node for node in self.graph if isinstance(self.behaviour(node), Renaming)]

    def plain_form(self, node: ir.Node) -> Form:
        """The form that the file has; of a transposition the one whose operand is as in the file."""
        found = self.behaviour(node)
        values = (*node.inputs, *node.outputs)
        ranks = [None if (sized := self.sizes(v.name if v else None)) is None else sized.rank for v in values]
        if isinstance(found, Renaming):
            return next(iter(found.forms(0, plain(len(found.order)))))
        return as_it_is(ranks, len(node.outputs))


_GRAPHS = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)


@dataclass
class Candidates:
    """The layouts that tensors may have beside the file's, and the forms of the nodes that go with them."""

    layouts: dict[ir.Value, list[Layout]] = field(default_factory=dict)
    forms: dict[ir.Node, dict[Form, None]] = field(default_factory=dict)


def candidates(nodes: Nodes, asked: Asked) -> Candidates:
    """All that follows from the transpositions, and from layouts that are asked for."""
    found = Candidates()
    waiting: deque[tuple[ir.Value, Layout]] = deque()
    refused: set[ir.Node] = set()  # transpositions whose tensors have too many layouts already

    def note(value: ir.Value, layout: Layout) -> bool:
        held = found.layouts.setdefault(value, [])
        if layout.is_plain or layout in held:
            return True
        if len(held) >= _MOST_LAYOUTS:
            return False
        held.append(layout)
        if constant_of(value) is None:
            waiting.append((value, layout))
        return True

    def note_all(node: ir.Node, form: Form) -> bool:
        noted = [note(value, layout) for value, layout in ports(node, form)]
        return all(noted)

    def add(node: ir.Node, form: Form) -> None:
        if node in refused or (nodes.only_exact and not form.is_exact):
            return
        if node not in found.forms:
            as_it_is = nodes.plain_form(node)
            if not note_all(node, as_it_is):
                refused.add(node)
                return
            found.forms[node] = {as_it_is: None}
        held = found.forms[node]
        if form in held or len(held) >= _MOST_FORMS:
            return
        if note_all(node, form):
            held[form] = None

    for value, layout in asked.items():
        note(value, layout)
    for node in nodes.transpositions():
        rank = len(node_order(nodes, node))
        for port in (0, 1):
            for form in _behaving(nodes, node).forms(port, plain(rank)):
                add(node, form)
    while waiting:
        for node, form in nodes.forms(*waiting.popleft()):
            add(node, form)
    for node in list(found.forms):
        _put_together(nodes, node, found, add)
    return found


def node_order(nodes: Nodes, node: ir.Node) -> tuple[int, ...]:
    """The order that a transposition gives its axes."""
    held = nodes.behaviour(node)
    assert isinstance(held, Renaming)
    return held.order


def _behaving(nodes: Nodes, node: ir.Node) -> Behaviour:
    held = nodes.behaviour(node)
    assert held is not None
    return held


def _put_together(nodes: Nodes, node: ir.Node, found: Candidates, add: Callable[[ir.Node, Form], None]) -> None:
    """The forms that have what two others change, in rounds: three may meet."""
    held, count = _behaving(nodes, node), 0
    while count < len(found.forms[node]):
        forms = list(found.forms[node])
        count = len(forms)
        for one, two in permutations(forms, 2):
            form = held.together(one, two)
            if form is not None and all(_is_there(found, value, layout) for value, layout in ports(node, form)):
                add(node, form)


def _is_there(found: Candidates, value: ir.Value, layout: Layout) -> bool:
    """Whether a layout was come across, or belongs to a constant, which may have any."""
    return layout.is_plain or layout in found.layouts.get(value, ()) or constant_of(value) is not None


def ports(node: ir.Node, form: Form) -> Iterable[tuple[ir.Value, Layout]]:
    """The tensors of a node with the layouts that a form has for them."""
    values = (*node.inputs, *node.outputs)
    return [(v, layout) for v, layout in zip(values, form.ports, strict=True) if v is not None and layout is not None]
