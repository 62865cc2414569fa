"""Operators that name axes: the axes are named where they are stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.rewriting.layouts.cases import Case, Unruled, at
from layoutbridge.rewriting.layouts.editing import Editor
from layoutbridge.rewriting.layouts.forms import Axes, Frame
from layoutbridge.rewriting.layouts.layout import Layout, Parts, places

_PADS_ARE_INPUTS, _SLICES_ARE_INPUTS = 11, 10
_ONE_AXIS = 13  # the first opset whose Softmax is along an axis; before that it is along all from there on


def concat(case: Case) -> Frame:
    """Joined along the same axis."""
    result = case.output()
    axis, axes = case.axis(1, result.rank), tuple(range(result.rank))
    if any(case.input(place).rank != result.rank for place in range(len(case.node.inputs))):
        raise Unruled
    return Frame((axes,) * len(case.node.inputs), (axes,), result.shape, _named(axis), frozenset([axis]))


def split(case: Case) -> Frame:
    """Cut along the same axis."""
    whole = case.input(0)
    axis, axes = case.axis(0, whole.rank), tuple(range(whole.rank))
    others = (None,) * (len(case.node.inputs) - 1)
    outputs = (axes,) * len(case.node.outputs)
    return Frame((axes, *others), outputs, whole.shape, _named(axis), frozenset([axis]))


def _named(axis: int) -> Callable[[Layout, Editor], None]:
    return lambda frame, editor: editor.say("axis", frame.place_of(axis))


def slices(case: Case) -> Frame:
    """Cut along the same axes."""
    whole, others = case.input(0), (None,) * (len(case.node.inputs) - 1)
    is_attribute = case.opset < _SLICES_ARE_INPUTS
    told = case.ints("axes") if is_attribute or not case.has(3) else case.whole_numbers(3, "axes")
    count = len(case.ints("starts") or ()) if is_attribute else case.input(1).shape[0]
    axes = list(range(count)) if told is None else [at(axis, whole.rank) for axis in told]
    kind = np.dtype("int64") if is_attribute else np.dtype(case.input(1).dtype)

    def write(frame: Layout, editor: Editor) -> None:
        stored = [frame.place_of(axis) for axis in axes]
        if is_attribute:
            editor.say("axes", stored)
        else:
            editor.put(3, np.array(stored, kind))

    every = tuple(range(whole.rank))
    return Frame((every, *others), (every,), whole.shape, write, frozenset(axes))


def pad(case: Case) -> Frame:
    """Wider along the same axes."""
    whole, others = case.input(0), (None,) * (len(case.node.inputs) - 1)
    rank, every = whole.rank, tuple(range(whole.rank))
    is_attribute = case.opset < _PADS_ARE_INPUTS
    if not is_attribute and case.has(3):
        named = [at(axis, rank) for axis in case.whole_numbers(3, "axes") or ()]

        def name(frame: Layout, editor: Editor) -> None:
            editor.put(3, np.array([frame.place_of(axis) for axis in named], np.int64))

        return Frame((every, *others), (every,), whole.shape, name, frozenset(named))
    pads = case.ints("pads") if is_attribute else None
    if not is_attribute and case.is_constant(1):
        pads = case.constant(1).reshape(-1).tolist()
    if pads is None and (is_attribute or case.input(1).shape != (2 * rank,)):
        raise Unruled
    if pads is not None and len(pads) != 2 * rank:
        raise Unruled
    solid = frozenset(axis for axis in every if pads is None or pads[axis] or pads[axis + rank])

    def write(frame: Layout, editor: Editor) -> None:
        order = [*frame.order, *(axis + rank for axis in frame.order)]
        if is_attribute and pads is not None:
            editor.say("pads", [pads[each] for each in order])
        else:
            editor.reorder(1, order)

    return Frame((every, *others), (every,), whole.shape, write, solid)


def softmax(case: Case) -> Frame:
    """Along an axis, whatever the order of places along it; in older opsets along all axes from one on."""
    whole = case.input(0)
    axes, is_newer = tuple(range(whole.rank)), case.opset >= _ONE_AXIS
    axis = case.axis(-1 if is_newer else 1, whole.rank)
    is_alone = is_newer or axis == whole.rank - 1
    along = [axis] if is_alone else [each for each in axes[axis:] if not whole.is_one(each)]
    is_last = all(whole.is_one(each) for each in axes if each > axis)

    def behind(order: Axes) -> int | None:
        """Where the axes begin that it is along, where no others stand among them."""
        first = min((order.index(each) for each in along), default=len(order) - 1)
        others = [each for each in order[first:] if each not in along and not whole.is_one(each)]
        return None if others else first

    def accepts(order: Axes) -> bool:
        return is_newer or behind(order) is not None

    def write(frame: Layout, editor: Editor) -> None:
        place = frame.place_of(axis) if is_newer else behind(frame.order)
        assert place is not None
        editor.say("axis", place)

    def hidden(frame: Layout) -> int:
        """Runtimes put the axis last, and back again."""
        return 2 * whole.bytes if is_last and behind(frame.order) is None else 0

    return Frame(
        (axes,), (axes,), whole.shape, write, accepts=accepts, is_exact=lambda _: False, hidden=hidden
    )  # fmt: skip


def along_one(case: Case) -> Frame:
    """Along an axis, place after place; all tensors have the same axes."""
    whole = case.input(0)
    axes = tuple(range(whole.rank))
    default = {"TopK": -1, "LpNormalization": -1}.get(case.operator, 0)
    axis = case.axis(default, whole.rank)
    others = (None,) * (len(case.node.inputs) - 1)
    exact = case.operator != "LpNormalization"
    outputs = (axes,) * len(case.node.outputs)
    return Frame((axes, *others), outputs, whole.shape, _named(axis), frozenset([axis]), is_exact=lambda _: exact)


def cumulated(case: Case) -> Frame:
    """Summed up along an axis, which is an input."""
    whole = case.input(0)
    axes, held = tuple(range(whole.rank)), case.constant(1)
    if held.size != 1:
        raise Unruled
    axis = at(int(held.reshape(-1)[0]), whole.rank)

    def write(frame: Layout, editor: Editor) -> None:
        editor.put(1, np.full(held.shape, frame.place_of(axis), held.dtype))

    return Frame((axes, None), (axes,), whole.shape, write, frozenset([axis]), is_exact=lambda _: False)


def elements(case: Case) -> Frame:
    """Elements that are chosen, or written, along an axis: each where it stands on the others."""
    whole = case.input(0)
    axes = tuple(range(whole.rank))
    axis = case.axis(0, whole.rank)
    if any(case.input(place).rank != whole.rank for place in range(len(case.node.inputs))):
        raise Unruled
    every = frozenset(axes)  # the tensors may be of different lengths on all of them
    return Frame((axes,) * len(case.node.inputs), (axes,), whole.shape, _named(axis), every)


def layer_norm(case: Case) -> Frame:
    """Over the last axes, which stay the last."""
    whole = case.input(0)
    axes, axis = tuple(range(whole.rank)), case.axis(-1, whole.rank)
    if any(case.gives(number) for number in range(1, len(case.node.outputs))):
        raise Unruled
    last = axes[axis:]
    if any(case.input(place).rank != len(last) for place in range(1, len(case.node.inputs)) if case.has(place)):
        raise Unruled
    operands = tuple(last if case.has(place) else None for place in range(1, len(case.node.inputs)))
    others = (None,) * (len(case.node.outputs) - 1)

    def accepts(order: Axes) -> bool:
        return sorted(order[axis:]) == list(last)

    def is_exact(frame: Layout) -> bool:
        return frame.order[axis:] == last and not any(each in last for each, _ in frame.parts)

    def write(_: Layout, editor: Editor) -> None:
        editor.say("axis", axis)

    return Frame((axes, *operands), (axes, *others), whole.shape, write, accepts=accepts, is_exact=is_exact)


# ---------------------------------------------------------------------- what leaves axes away


def reduced(case: Case) -> Frame:
    """Over some axes, in whatever order."""
    whole = case.input(0)
    rank, every = whole.rank, tuple(range(whole.rank))
    is_input = len(case.node.inputs) > 1
    told = case.whole_numbers(1, "axes") if case.has(1) else case.ints("axes")
    others = (None,) * (len(case.node.inputs) - 1)
    exact = case.operator in ("ReduceMax", "ReduceMin")
    if not told and case.number("noop_with_empty_axes", 0):
        raise Unruled
    axes = [at(axis, rank) for axis in told] if told else list(every)
    kept = every if case.number("keepdims", 1) else tuple(axis for axis in every if axis not in axes)
    centres = case.operator == "ReduceMean" and axes == [rank - 1] and _is_centring(case)

    def write(frame: Layout, editor: Editor) -> None:
        stored = sorted(frame.place_of(axis) for axis in axes)
        if not told:
            return
        if is_input:
            editor.put(1, np.array(stored, np.int64))
        else:
            editor.say("axes", stored)

    def hidden(frame: Layout) -> int:
        """Runtimes have one kernel for a normalisation over the last axis."""
        return 2 * whole.bytes if centres and frame.order[-1] != rank - 1 else 0

    ones = frozenset((len(case.node.inputs), axis) for axis in axes) if kept == every else frozenset()
    return Frame(
        (every, *others), (kept,), whole.shape, write, is_exact=lambda _: exact, hidden=hidden, one_long=ones
    )  # fmt: skip


def _is_centring(case: Case) -> bool:
    """Whether a mean is taken off what it is the mean of, as at the beginning of a normalisation."""
    given = case.node.inputs[0]
    return any(use.node.op_type == "Sub" and given in use.node.inputs for use in case.node.outputs[0].uses())


def extremal(case: Case) -> Frame:
    """The place of an extremum along an axis."""
    whole = case.input(0)
    every, axis = tuple(range(whole.rank)), case.axis(0, whole.rank)
    kept = every if case.number("keepdims", 1) else tuple(each for each in every if each != axis)
    return Frame((every,), (kept,), whole.shape, _named(axis), frozenset([axis]))


def gather(case: Case) -> Frame:
    """Places along an axis: the axes of the indices stand where that stood; a constant table takes any order of it."""
    whole, indices = case.input(0), case.input(1)
    rank, count = whole.rank, indices.rank
    axis = case.axis(0, rank)
    new = tuple(range(rank, rank + count))
    known = case.constant(1) if case.is_constant(1) else None
    data, result = tuple(range(rank)), (*range(axis), *new, *range(axis + 1, rank))

    def orders(port: int, own: Axes) -> Iterable[Axes]:
        if port == 0:
            place = own.index(axis) + 1
            return [(*own[:place], *new, *own[place:])]
        if port == 1:
            return [(*range(axis + 1), *own, *range(axis + 1, rank))]
        if not new:
            place = next((own.index(each) for each in range(axis + 1, rank) if each in own), len(own))
            return [(*own[:place], axis, *own[place:])]
        place = min(own.index(each) for each in new)
        return [(*own[:place], axis, *own[place:])]

    def accepts(order: Axes) -> bool:
        place = order.index(axis) + 1
        return sorted(order[place : place + count]) == list(new)

    def write(frame: Layout, editor: Editor) -> None:
        stored = [each for each in frame.order if each < rank]
        editor.say("axis", stored.index(axis))
        parts = frame.cut.get(axis)
        if parts is not None and known is not None:
            own = frame.named({each: each - rank for each in new})
            editor.put(1, own.stored(_looked_up(known, parts, whole.shape[axis])))

    lengths = (*whole.shape, *indices.shape)
    solid = frozenset() if known is not None else frozenset([axis])
    return Frame((data, new), (result,), lengths, write, solid, accepts, orders)


def _looked_up(indices: NDArray[Any], parts: Parts, length: int) -> NDArray[Any]:
    """Where the places are stored that are asked for."""
    return np.argsort(places(parts))[indices % length].astype(indices.dtype)


_REDUCTIONS = (
    "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd",
    "ReduceSum", "ReduceSumSquare",
)  # fmt: skip
RULES: Mapping[str, Callable[[Case], Frame]] = {
    "Concat": concat,
    "Split": split,
    "Slice": slices,
    "Pad": pad,
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax"), softmax),
    **dict.fromkeys(("TopK", "LpNormalization"), along_one),
    "CumSum": cumulated,
    **dict.fromkeys(("GatherElements", "ScatterElements"), elements),
    **dict.fromkeys(("LayerNormalization", "RMSNormalization"), layer_norm),
    **dict.fromkeys(_REDUCTIONS, reduced),
    **dict.fromkeys(("ArgMax", "ArgMin"), extremal),
    "Gather": gather,
}
