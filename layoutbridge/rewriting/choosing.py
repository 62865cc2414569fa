"""What a place becomes in `native`: the cheapest form that is the same, if it beats what is there."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import onnx_ir as ir

from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.errors import LayoutBridgeError
from layoutbridge.frameworks.onnx.programs.limits import Limits
from layoutbridge.operations.catalog import op
from layoutbridge.recognition.wrapping import PLAIN
from layoutbridge.rewriting.costs import Cost, cost_of
from layoutbridge.rewriting.passes.fix import emitted, ir_graphs, makers_of, visible_values
from layoutbridge.rewriting.passes.fix_weights import Permutation, permuted_dtypes
from layoutbridge.rewriting.passes.fold import SUMMED_ANEW, Fold, convolutions_behind
from layoutbridge.rewriting.places.blocks import Blocks, blocks_in
from layoutbridge.rewriting.places.locating import Located, Scene, lies_in_function
from layoutbridge.rewriting.places.models import opset_of
from layoutbridge.rewriting.places.wanted import Fix, Wanted, is_same_map, present_at, with_every_axis
from layoutbridge.scanning.graphs.graph import Graph, Node
from layoutbridge.scanning.links import Region
from layoutbridge.scanning.models import graphs_of
from layoutbridge.scanning.regions import find_regions

_ENDLESS = (1 << 31) - 1  # from here on the end of a slice is none: exporters write the largest number
_QUANTISED = {"DequantizeLinear", "QuantizeLinear", "DynamicQuantizeLinear"}
_SHORTEST = {"Transpose", "SpaceToDepth", "DepthToSpace"}  # one node of these has no cheaper form


@dataclass(frozen=True)
class Drop:
    """A place that moves nothing and keeps the shape."""

    located: Located


@dataclass(frozen=True)
class Permuted:
    """SpaceToDepth in a place whose blocks have another order, which the weights behind it take."""

    fix: Fix
    permutation: Permutation

    @property
    def located(self) -> Located:
        """The place."""
        return self.fix.located


Choice = Drop | Fold | Permuted | Fix


def choices(scene: Scene, model: ir.Model, limits: Limits, *, only_exact: bool = False) -> list[Choice]:
    """What to do at the places of a scene, which onnx-ir holds as `model`, within `limits`; none where all is well.

    With `only_exact` no numbers are added up in another order.
    """
    setting = _Setting(model, limits, only_exact)
    found = (_Look(setting, located).choice() for located in scene.places if is_movable(scene, located))
    return [choice for choice in found if choice is not None]


def is_movable(scene: Scene, located: Located) -> bool:
    """Whether a place permutes one tensor that is no constant, and was seen at two sizes where the model has open ones.

    At one size alone nothing tells which lengths grow.
    """
    if located.place.kind not in ("moves", "view") or located.graph.tensors[located.region.sources[0]].is_constant:
        return False
    return (not located.is_open or len(located.seen_at) > 1) and not lies_in_function(scene, located)


class _Setting:
    """A model as it is looked at."""

    def __init__(self, model: ir.Model, limits: Limits, only_exact: bool) -> None:
        self.opset, self.graphs, self.limits = opset_of(model), list(ir_graphs(model.graph)), limits
        self.values = [visible_values(graph) for graph in self.graphs]
        kinds = {node.op_type for graph in self.graphs for node in graph}
        self.keeps_sums = only_exact or bool(kinds & _QUANTISED)  # other sums would be rounded to other steps
        self.costs: dict[object, Cost] = {}  # of what is emitted, by all that it depends on
        self._regions: dict[int, dict[str, Region]] = {}

    def region_of(self, graph: Graph, output: str) -> Region | None:
        """The region of a graph that gives a tensor."""
        if id(graph) not in self._regions:
            self._regions[id(graph)] = {region.output: region for region in find_regions(graph)}
        return self._regions[id(graph)].get(output)


class _Look:
    """One place, and what it might become."""

    def __init__(self, setting: _Setting, located: Located) -> None:
        self.setting, self.located = setting, located
        self.graph, self.values = setting.graphs[located.inside], setting.values[located.inside]
        self.source, self.output = (self.values[name] for name in (located.region.sources[0], located.region.output))

    def choice(self) -> Choice | None:
        """The cheapest form, or None where that is what is there."""
        if not self.seen or self._is_declared_otherwise() or self._is_between_quantised():
            return None
        if any(map(self._is_cut, self.located.region.nodes)):
            return None
        if self.located.place.kind == "view" and all(before == after for before, after in self.located.seen_at):
            return Drop(self.located)
        if self.blocks is not None and convolutions_behind(self.graph, fold := Fold(self.located, self.blocks)):
            return fold
        with suppress(LayoutBridgeError):  # what has no pattern, or cannot be written in this opset, stays
            return self._written()
        return None

    @cached_property
    def seen(self) -> list[tuple[Graph, Region]]:
        """The region at each size; empty where it is not the same one."""
        graphs = (self.located.graph, *((self.located.second,) if len(self.located.seen_at) > 1 else ()))
        found = [(g, self.setting.region_of(g, self.located.region.output)) for g in graphs if g is not None]
        told = [(graph, region) for graph, region in found if region is not None]
        is_one = len(told) == len(found) and len({(region.names, region.sources) for _, region in told}) == 1
        return told if is_one else []

    @cached_property
    def blocks(self) -> Blocks | None:
        """The blocks that it puts into channels, where sums may be made in another order."""
        if self.located.place.kind != "moves" or self.setting.keeps_sums:
            return None
        first, *others = (blocks_in(*each) for each in self.seen)
        return first if all(other == first for other in others) else None

    # ------------------------------------------------------------------ what is left alone

    def _is_declared_otherwise(self) -> bool:
        """Whether the model declares another shape, which it can as long as shape inference does not get there."""
        declared = self.output.shape
        return declared is not None and not all(
            len(given) == len(declared)
            and all(told == length for told, length in zip(declared, given, strict=True) if isinstance(told, int))
            for _, given in self.located.seen_at
        )

    def _is_between_quantised(self) -> bool:
        """Whether runtimes may fuse it with what quantises."""
        maker = self.source.producer()
        around = [*([] if maker is None else [maker]), *(use.node for use in self.output.uses())]
        return any(node.op_type in _QUANTISED for node in around)

    def _is_cut(self, node: Node) -> bool:
        """Whether a slice goes to a number that is beyond an open length, and would cut a longer one."""
        if node.operator != "Slice" or not self.located.is_open:
            return False
        made = self.values[node.output].producer()
        assert made is not None
        starts, ends, axes = (_numbers(made, k, name) for k, name in ((1, "starts"), (2, "ends"), (3, "axes")))
        shapes = [graph.tensors[node.inputs[0]].shape for graph, _ in self.seen]
        for far in ([-start for start in starts or ()], ends or ()):
            for axis, number in zip(axes or range(len(far)), far, strict=False):
                lengths = {shape[axis] for shape in shapes}
                if len(lengths) > 1 and min(lengths) < number < _ENDLESS:
                    return True
        return False

    # ------------------------------------------------------------------ written anew

    def _written(self) -> Fix | Permuted | None:
        """The op as it is emitted, or SpaceToDepth where the weights behind it can be permuted."""
        located = self.located
        made = [node for node in self._gone() if node.op_type != "Constant"]
        if len(made) == 1 and (made[0].op_type in _SHORTEST or located.region.nodes[0].kind == "view"):
            return None
        present = present_at(located)
        wanted = Wanted(present, _as_view(present, located) if located.place.kind == "view" else present, PLAIN)
        if not all(is_same_map(graph, region, wanted.on_all_axes) for graph, region in self.seen):
            return None
        best = cost_of(located.graph, located.region.nodes, len(made))
        chosen: Fix | Permuted | None = None
        if (cost := self._cost(wanted.on_all_axes)).beats(best):
            best, chosen = cost, Fix(located, wanted)
        with suppress(LayoutBridgeError):  # where not all weights can be permuted
            permuted = self._permuted(present)
            if permuted is not None and self._cost(permuted.fix.wanted.on_all_axes).time < best.time:
                return permuted
        return chosen

    def _permuted(self, present: Rearrangement) -> Permuted | None:
        blocks = self.blocks
        if blocks is None or not blocks.is_channels_first or len(set(blocks.sizes)) > 1 or len(blocks.sizes) != 2:
            return None
        instead = op("space_to_depth", stride=blocks.sizes[0])
        permutation = Permutation(self.located, 1, present, with_every_axis(instead, 4))
        is_exact_enough = permuted_dtypes(self.graph, self.output, permutation) <= SUMMED_ANEW
        return Permuted(Fix(self.located, Wanted(instead, instead, PLAIN)), permutation) if is_exact_enough else None

    def _cost(self, operation: Rearrangement) -> Cost:
        """The cost of an operation in this place as it is emitted."""
        located, known = self.located, self.setting.costs
        key = operation, located.open_shape, located.sides[0], located.dtype
        if key not in known:
            model = emitted(operation, located, self.setting.opset, self.setting.limits)
            graph, _ = graphs_of(model, located.sides[0])
            nodes = [node for node in graph.nodes if node.movement is not None]
            known[key] = cost_of(graph, nodes, len(model.graph.node), at_worst=True)
        return known[key]

    def _gone(self) -> set[ir.Node]:
        """The nodes that would go with the place: its own, and what only they need."""
        gone = set(makers_of(self.located, self.values))
        waiting = list(gone)
        while waiting:
            for value in waiting.pop().inputs:
                maker = None if value is None or value is self.source else value.producer()
                if maker is None or maker in gone or maker.graph is not self.graph:
                    continue
                if all(not v.is_graph_output() and gone.issuperset(u.node for u in v.uses()) for v in maker.outputs):
                    gone.add(maker)
                    waiting.append(maker)
        return gone


def _as_view(operation: Rearrangement, located: Located) -> Rearrangement:
    """An operation that moves nothing where some lengths are 1, with these lengths: then it is a view."""
    names = [f"a{axis}" for axis in range(operation.rank)]
    units = {name: 1 for name, length in zip(names, located.open_shape, strict=True) if length == 1}
    return Rearrangement(f"{' '.join(names)} -> {' '.join(names)}", **units).then(operation)


def _numbers(node: ir.Node, place: int, name: str) -> list[int] | None:
    """What a node has as a constant input, or in older opsets as an attribute; None where that is computed."""
    if name in node.attributes:
        return list(node.attributes[name].as_ints())
    held = node.inputs[place] if place < len(node.inputs) else None
    tensor = None if held is None else ir.convenience.get_const_tensor(held)
    return None if tensor is None else [int(number) for number in tensor.numpy().reshape(-1)]
