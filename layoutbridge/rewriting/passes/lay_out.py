"""The pass `lay-out`: every tensor in the layout with which the fewest bytes are moved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import onnx_ir as ir

from layoutbridge.rewriting.choices.assignment import Known, solved
from layoutbridge.rewriting.choices.candidates import Asked, Nodes, candidates
from layoutbridge.rewriting.choices.problems import problems
from layoutbridge.rewriting.choices.writing import write_forms
from layoutbridge.rewriting.layouts.cases import operator_of
from layoutbridge.rewriting.layouts.forms import Form, Renaming
from layoutbridge.rewriting.layouts.layout import Layout
from layoutbridge.rewriting.layouts.sizes import Sizes
from layoutbridge.rewriting.passes.fix import ir_graphs
from layoutbridge.rewriting.places.models import opset_of
from layoutbridge.rewriting.places.names import FreshNames

_SECONDS = 30.0  # for the choices of one problem
Interface = Mapping[str, Layout]  # of inputs and outputs by name, where it is not the file's


class LayOutPass(ir.passes.InPlacePass):
    """Chooses a form for every node, and writes those that change.

    `sizes` are those of each graph, in the order of `ir_graphs`. Afterwards `changed` counts the nodes that were
    changed by their operators, `gone` has the names of what the transpositions gave that went, and `is_exact` is off
    where numbers are added up in another order; with `only_exact` none are.
    """

    def __init__(
        self, sizes: Sequence[Sizes], inputs: Interface, outputs: Interface, *, only_exact: bool = False
    ) -> None:
        self.sizes, self.inputs, self.outputs, self.only_exact = sizes, inputs, outputs, only_exact
        self.changed: Counter[str] = Counter()
        self.gone: set[str] = set()
        self.is_exact = True

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Write every graph, those within others first."""
        graphs = list(ir_graphs(model.graph))[: len(self.sizes)]
        names = FreshNames(model)
        modified = False
        for graph, sizes in reversed(list(zip(graphs, self.sizes, strict=True))):
            modified |= self._write(model, graph, sizes, names)
        return ir.passes.PassResult(model, modified=modified)

    def _write(self, model: ir.Model, graph: ir.Graph, sizes: Sizes, names: FreshNames) -> bool:
        is_main = graph is model.graph
        asked = _by_value(graph.inputs, self.inputs) if is_main else {}
        wanted = _by_value(graph.outputs, self.outputs) if is_main else {}
        nodes = Nodes(graph, sizes, opset_of(model), self.only_exact)
        chosen: dict[ir.Node, Form] = {}
        known: Known = {}
        for problem in problems(nodes, candidates(nodes, {**asked, **wanted}), asked, wanted):
            choice = solved(problem, _SECONDS, known)
            if choice is not None:
                chosen |= {node: problem.forms[node][number] for node, number in choice.items()}
        if not (chosen or asked or wanted):
            return False
        for node, form in chosen.items():
            if isinstance(nodes.behaviour(node), Renaming):
                self.gone.add(node.outputs[0].name or "")
            elif not form.is_plain:
                self.changed[operator_of(node)] += 1
                self.is_exact &= form.is_exact
        write_forms(model, nodes, chosen, names, asked, wanted)
        return True


def _by_value(values: Sequence[ir.Value], layouts: Interface) -> Asked:
    return {value: layouts[value.name] for value in values if value.name is not None and value.name in layouts}
