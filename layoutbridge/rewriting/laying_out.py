"""The stage that lays a model out: permutations of axes meet, cancel and fold into weights; the whole in one layout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from layoutbridge.errors import ParameterError, UnsupportedError, named, shown
from layoutbridge.rewriting.applied import Applied, bytes_moved_in
from layoutbridge.rewriting.choices.candidates import Nodes
from layoutbridge.rewriting.choices.pictures import NAMED, asked_for, picture_axes
from layoutbridge.rewriting.draft import Draft
from layoutbridge.rewriting.layouts.conversions import effort
from layoutbridge.rewriting.layouts.layout import Layout, plain
from layoutbridge.rewriting.layouts.sizes import Sized, Sizes
from layoutbridge.rewriting.opening import as_ir, as_proto
from layoutbridge.rewriting.passes.lay_out import LayOutPass
from layoutbridge.rewriting.places.locating import Scene, graphs_at_sizes
from layoutbridge.rewriting.places.models import opset_of
from layoutbridge.rewriting.rules.table import TOLD
from layoutbridge.scanning.graphs.graph import Graph
from layoutbridge.scanning.graphs.sizes import Shapes
from layoutbridge.scanning.models import at_other_sizes, opened

_ROUNDS = 4  # until nothing changes any more; what one leaves shows transpositions to the next
_SHOWN = 8  # inputs and outputs that are told
Orders = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class _Interface:
    """The layouts that inputs and outputs are to have, by name, and those of four axes that nothing is known of."""

    inputs: Mapping[str, Layout]
    outputs: Mapping[str, Layout]
    kept: tuple[str, ...]
    left: tuple[str, ...]

    @property
    def orders(self) -> Orders:
        """Of all that change."""
        return {name: layout.order for name, layout in (*self.inputs.items(), *self.outputs.items())}


_AS_IT_IS = _Interface({}, {}, (), ())


def cancelled(draft: Draft) -> Draft:
    """The model with the fewest bytes moved; the draft itself where it has that.

    What goes in and comes out stays as it is.
    """
    return _laid_out(draft, "cancel", _AS_IT_IS)


def in_layout(draft: Draft, name: str) -> Draft:
    """The same with inputs and outputs that are pictures as `name` has their axes, "nchw" or "nhwc".

    Raises `UnsupportedError` where none is known to be a picture.
    """
    return _laid_out(draft, name, _interface(draft, checked_layout(name)))


def checked_layout(name: object) -> str:
    """A layout's name as it is known here; raises `ParameterError` for another."""
    if not isinstance(name, str) or name.lower() not in NAMED:
        raise ParameterError(f"a layout is {' or '.join(NAMED)}, not {shown(name)}")
    return name.lower()


def _laid_out(draft: Draft, name: str, interface: _Interface) -> Draft:
    made, gone, changed, is_exact = draft, frozenset[str](), Counter[str](), True
    for number in range(_ROUNDS):
        asked = interface if number == 0 else _AS_IT_IS
        found = _once(made, asked)
        if found is None:
            break
        then, work = found
        if not asked.orders and not _is_better(then.scene, made.scene):
            break
        gone = gone or frozenset(work.gone)
        made, changed, is_exact = then, changed + work.changed, is_exact and work.is_exact
    if made is draft:
        return draft
    places = tuple(
        number for number, (region, *_) in enumerate(draft.scene.regions) if any(n.output in gone for n in region.nodes)
    )
    return made.with_passes((_applied(draft, made, name, interface, places, changed),), is_exact=is_exact)


def _once(draft: Draft, interface: _Interface) -> tuple[Draft, LayOutPass] | None:
    """The model laid out once, and what that took; None where it is best as it is."""
    scene = draft.scene
    model = as_ir(scene.model, draft.source)
    work = LayOutPass(_sizes(scene), interface.inputs, interface.outputs, only_exact=draft.only_exact)
    if not work(model).modified:
        return None
    orders = {**draft.orders, **interface.orders}
    proto = as_proto(model, scene.model)
    return replace(draft, shape=_turned(draft, interface), orders=orders).with_model(proto), work


def _sizes(scene: Scene) -> list[Sizes]:
    """The sizes of each graph; of the model's own alone where it has functions, whose graphs are not in the file."""
    second = scene.second
    if scene.is_open and second is None:
        second = at_other_sizes(opened(scene.model, ""), scene.graph)
    pairs = graphs_at_sizes(replace(scene, second=second))
    return [Sizes(one, two, is_open=scene.is_open) for one, two in (pairs[:1] if scene.model.functions else pairs)]


def _turned(draft: Draft, interface: _Interface) -> Shapes:
    """What the caller said of the inputs' shapes, of inputs that are turned."""
    given = draft.shape
    if given is None or not interface.inputs:
        return given
    if not isinstance(given, Mapping):
        (layout,) = interface.inputs.values()
        return [given[axis] for axis in layout.order]
    return {
        name: [shape[axis] for axis in interface.inputs[name].order] if name in interface.inputs else shape
        for name, shape in given.items()
    }


def _is_better(then: Scene, before: Scene) -> bool:
    """Whether a model takes less effort, or fewer nodes for the same, and moves no more."""
    efforts = [_effort(scene.graph) for scene in (then, before)]
    counts = [scene.graph.node_count for scene in (then, before)]
    moved = [bytes_moved_in(scene.graph) for scene in (then, before)]
    return moved[0] <= moved[1] and (efforts[0], counts[0]) < (efforts[1], counts[1])


def _effort(graph: Graph) -> int:
    """That of all transpositions."""
    made = sum(_effort(inner) for inner in graph.inner)
    for node in graph.nodes:
        if node.kind == "transpose":
            tensor = graph.tensors[node.inputs[0]]
            sized = Sized(tensor.shape, tensor.shape, tensor.bytes)
            made += max(effort(sized, plain(sized.rank), Layout(node.order)), 1)
    return made


# ---------------------------------------------------------------------- inputs and outputs


def _interface(draft: Draft, name: str) -> _Interface:
    """What is to be turned so that every picture is as the layout of that name has it."""
    scene = draft.scene
    model = as_ir(scene.model, draft.source)
    nodes = Nodes(model.graph, _sizes(scene)[0], opset_of(model))
    pictures = picture_axes(nodes)
    sides: list[dict[str, Layout]] = [{}, {}]
    kept, left = [], []
    for side, values in zip(sides, (model.graph.inputs, model.graph.outputs), strict=True):
        for value in values:
            sized = nodes.sizes(value.name)
            if value.is_initializer() or sized is None or sized.rank != len(NAMED[name]):
                continue
            layout, told = asked_for(pictures, value, name), value.name or ""
            if layout is None:
                left.append(told)
            elif layout.is_plain:
                kept.append(told)
            else:
                side[told] = layout
    found = _Interface(sides[0], sides[1], tuple(kept), tuple(left))
    if not found.orders and not kept:
        told = f": nothing tells the axes of {', '.join(map(named, left[:_SHOWN]))}" if left else ""
        raise UnsupportedError(
            f"no input or output of '{scene.name}' is known to be a picture, with a batch, channels, rows and "
            f"columns{told}"
        )
    return found


# ---------------------------------------------------------------------- what was done


def _applied(
    before: Draft, after: Draft, name: str, interface: _Interface, places: Sequence[int], changed: Counter[str]
) -> Applied:
    moved = bytes_moved_in(before.scene.graph), bytes_moved_in(after.scene.graph)
    return Applied(name, tuple(places), "; ".join([*_told_sides(interface, name), *_told_rules(changed)]), *moved)


def _told_sides(interface: _Interface, name: str) -> list[str]:
    made = []
    if interface.orders:
        told = (f"{named(each)} {list(order)}" for each, order in list(interface.orders.items())[:_SHOWN])
        made.append(f"{name.upper()} by the axes that they had: {', '.join(told)}")
    if interface.left:
        made.append(f"of axes that nothing tells, and left: {', '.join(map(named, interface.left[:_SHOWN]))}")
    return made


def _told_rules(changed: Counter[str]) -> list[str]:
    """A sentence for each kind of rule that was used."""
    if not changed:
        return ["transpositions met, and no other node was changed"]
    held: dict[str, list[str]] = {}
    for operator, count in changed.most_common():
        held.setdefault(TOLD[operator], []).append(f"{operator} ({count})")
    return [f"{', '.join(operators)}: {rule}" for rule, operators in held.items()]
