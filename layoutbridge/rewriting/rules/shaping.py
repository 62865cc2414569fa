"""Operators that change shapes: views, expansions, and those that ask for a shape."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from layoutbridge.rewriting.layouts.cases import Case, Unruled, at
from layoutbridge.rewriting.layouts.conversions import is_view
from layoutbridge.rewriting.layouts.editing import AXES_ARE_INPUTS, Editor
from layoutbridge.rewriting.layouts.forms import Behaviour, Form, Frame, Renaming
from layoutbridge.rewriting.layouts.layout import Layout
from layoutbridge.rewriting.layouts.sizes import Sized, target
from layoutbridge.rewriting.layouts.views import groups, through_view
from layoutbridge.rewriting.rules.elementwise import trailing, widen
from layoutbridge.scanning.graphs.movements import einsum_order

_COPIES_A_SHAPE = {"Cast", "Concat", "Gather", "Identity", "Slice", "Squeeze", "Unsqueeze"}


def transpose(case: Case) -> Renaming:
    """Axes by other names."""
    rank = case.input(0).rank
    order = case.ints("perm")
    return Renaming(_checked(tuple(reversed(range(rank))) if order is None else tuple(order), rank))


def _checked(order: Sequence[int], rank: int) -> tuple[int, ...]:
    if sorted(order) != list(range(rank)):
        raise Unruled
    return tuple(order)


def turned_by_einsum(case: Case) -> Renaming:
    """An Einsum that transposes and does nothing else."""
    if len(case.node.inputs) != 1:
        raise Unruled
    order = einsum_order(case.text("equation", ""))
    if order is None:
        raise Unruled
    return Renaming(_checked(order, case.input(0).rank))


# ---------------------------------------------------------------------- views


@dataclass(frozen=True)
class View:
    """A Reshape or Flatten: axes that it splits or joins stay whole behind one another, else they are cut in parts.

    `shape` is a shape that is computed, in the file's order, where it may be put in another.
    """

    before: Sized
    after: Sized
    inputs: int
    is_flatten: bool
    may_reorder: bool

    def forms(self, port: int, layout: Layout) -> Iterator[Form]:
        """The form that follows, where there is one."""
        if port == 0:
            seen = through_view(layout, self.before, self.after)
            form = None if seen is None else self._form(layout, seen)
        else:
            seen = through_view(layout, self.after, self.before)
            form = None if seen is None else self._form(seen, layout)
        if form is not None:
            yield form

    def together(self, one: Form, two: Form) -> Form | None:
        """The view from what one takes to what the other gives, where that is one."""
        given, wanted, seen = one.takes[0], two.gives[0], one.gives[0]
        assert given is not None and wanted is not None and seen is not None
        return self._form(given, wanted) if wanted != seen and is_view(self.after, seen, wanted) else None

    def _form(self, given: Layout, wanted: Layout) -> Form | None:
        others = (None,) * (self.inputs - 1)
        if given.is_plain and wanted.is_plain:
            return Form((given, *others), (wanted,))
        told = target(
            _lengths(self.before, self.after, given, is_before=True), _lengths(self.before, self.after, wanted)
        )
        if told is None and not (self.may_reorder and wanted.order != () and not wanted.parts):
            return None

        def write(editor: Editor) -> None:
            if self.is_flatten:
                editor.become("Reshape", 1)
            else:
                editor.forget("allowzero")
            if told is None:
                editor.reorder(1, wanted.order)
            else:
                editor.put(1, np.array(told, np.int64))

        return Form((given, *others), (wanted,), write)


def _lengths(before: Sized, after: Sized, layout: Layout, *, is_before: bool = False) -> list[object]:
    """The lengths of stored axes; one that is open by the axis of the first shape that it is."""
    own = {}
    for group in groups(before, after) or ():
        if len(group.before) == len(group.after) == 1:
            own[group.after[0]] = group.before[0]
    sized = before if is_before else after
    made: list[object] = []
    for axis in layout.order:
        known = sized.known[axis]
        if known is not None:
            made.append(known)
        elif is_before:
            made.append(("open", axis))
        else:
            made.append(("open", own[axis]) if axis in own else ("joined", axis))
    return made


def reshape(case: Case) -> View:
    """To a constant shape or a computed one."""
    if not case.has(1):  # as in models of old
        raise Unruled
    return _view(case, is_flatten=False)


def flatten(case: Case) -> View:
    """To two axes."""
    return _view(case, is_flatten=True)


def _view(case: Case, *, is_flatten: bool) -> View:
    before, after = case.input(0), case.output()
    if groups(before, after) is None:
        raise Unruled
    computed = not is_flatten and not case.is_constant(1)
    return View(before, after, len(case.node.inputs), is_flatten, computed and _has_no_zero(case.node.inputs[1]))


def _has_no_zero(shape: ir.Value | None, depth: int = 8) -> bool:
    """Whether a shape that is computed from other shapes has no 0 of its own, which would stand for a place."""
    maker = None if shape is None else shape.producer()
    if maker is None or depth == 0 or maker.op_type not in {*_COPIES_A_SHAPE, "Shape", "Constant"}:
        return False
    if maker.op_type == "Shape":
        return True
    read = maker.inputs if maker.op_type == "Concat" else maker.inputs[:1]
    return all(_is_without_zero(value) or _has_no_zero(value, depth - 1) for value in read)


def _is_without_zero(value: ir.Value | None) -> bool:
    tensor = None if value is None else ir.convenience.get_const_tensor(value)
    return tensor is not None and not np.any(tensor.numpy() == 0)


def squeeze(case: Case) -> Frame:
    """Axes of length 1 less."""
    before, after = case.input(0), case.output()
    named = case.whole_numbers(1, "axes")
    if named is None and any(length == 1 and not before.is_one(axis) for axis, length in enumerate(before.shape)):
        raise Unruled
    axes = [axis for axis in range(before.rank) if before.is_one(axis)]
    gone = axes if named is None else [at(axis, before.rank) for axis in named]
    return _of_one_long(case, before, after, gone)


def unsqueeze(case: Case) -> Frame:
    """Axes of length 1 more."""
    before, after = case.input(0), case.output()
    named = case.whole_numbers(1, "axes")
    if named is None:
        raise Unruled
    return _of_one_long(case, after, before, [at(axis, after.rank) for axis in named], is_squeeze=False)


def _of_one_long(case: Case, wide: Sized, narrow: Sized, ones: Sequence[int], *, is_squeeze: bool = True) -> Frame:
    """The frame is the tensor that has the axes of length 1."""
    kept = tuple(axis for axis in range(wide.rank) if axis not in ones)
    if len(kept) != narrow.rank or not all(wide.shape[axis] == 1 for axis in ones):
        raise Unruled
    every, others = tuple(range(wide.rank)), (None,) * (len(case.node.inputs) - 1)
    is_attribute = case.opset < AXES_ARE_INPUTS

    def write(frame: Layout, editor: Editor) -> None:
        axes = sorted(frame.place_of(axis) for axis in ones)
        if is_attribute:
            editor.say("axes", axes)
        else:
            editor.put(1, np.array(axes, np.int64))

    sides = (every, kept) if is_squeeze else (kept, every)
    return Frame((sides[0], *others), (sides[1],), wide.shape, write)


# ---------------------------------------------------------------------- expansions, and shapes


def expand(case: Case) -> Frame:
    """An operand repeated along axes of length 1, to a shape."""
    before, after = case.input(0), case.output()
    axes, result = trailing(before, after), tuple(range(after.rank))
    told = case.constant(1).reshape(-1).tolist() if case.is_constant(1) else None
    if told is None and case.input(1).shape != (after.rank,):
        raise Unruled
    ones = frozenset((0, own) for own, axis in enumerate(axes) if before.is_one(own) and not after.is_one(axis))

    def write(frame: Layout, editor: Editor) -> None:
        widen(editor, 0, axes, frame)
        if told is None:
            editor.reorder(1, frame.order)
        else:
            lengths = [1] * (frame.rank - len(told)) + told
            editor.put(1, np.array([lengths[axis] for axis in frame.order], np.int64))

    return Frame((axes, None), (result,), after.shape, write, one_long=ones)


def tile(case: Case) -> Frame:
    """A tensor repeated along its axes."""
    before, after = case.input(0), case.output()
    axes = tuple(range(before.rank))
    told = case.constant(1).reshape(-1).tolist() if case.is_constant(1) else [0] * before.rank
    repeated = frozenset(axis for axis, times in enumerate(told) if times != 1)
    return Frame(
        (axes, None), (axes,), after.shape, lambda frame, editor: editor.reorder(1, frame.order), solid=repeated
    )


def shape(case: Case) -> Frame:
    """The lengths, put back in the order of the file."""
    held = case.input(0)
    whole = list(range(held.rank))
    start, end = case.number("start", 0), case.number("end", held.rank)
    asked = whole[start:end]

    def write(frame: Layout, editor: Editor) -> None:
        editor.forget("start")
        editor.forget("end")
        if list(frame.order) != asked:
            editor.reorder_output([frame.place_of(axis) for axis in asked])

    def more(frame: Layout) -> int:
        return int(list(frame.order) != asked)

    return Frame((tuple(whole),), (None,), held.shape, write, more_nodes=more)


def size(case: Case) -> Frame:
    """How many elements there are."""
    held = case.input(0)
    return Frame((tuple(range(held.rank)),), (None,), held.shape)


RULES: Mapping[str, Callable[[Case], Behaviour]] = {
    "Transpose": transpose,
    "Reshape": reshape,
    "Flatten": flatten,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Expand": expand,
    "Tile": tile,
    "Shape": shape,
    "Size": size,
}
