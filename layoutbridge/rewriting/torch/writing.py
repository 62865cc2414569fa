"""A rearrangement as calls in a program's graph: views, `permute`, PyTorch's own pixel shuffles where they are it.

These are the moves of `lb.emit(op, "torch")`; what copies there is left to the view behind it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from math import prod
from typing import Any

import torch
from torch.fx import Node

from layoutbridge.algebra.moves import Move, along_axes, lower
from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.algebra.sizes import Size
from layoutbridge.errors import UnsupportedError
from layoutbridge.frameworks.torch.module import length_of, native_call
from layoutbridge.rewriting.torch.programs import Work

_ATEN = torch.ops.aten
_NATIVE_RANK = 4
_KEPT = ("nn_module_stack", "stack_trace")  # of the node in whose place new ones stand
Lengths = Sequence[Any]  # ints, or nodes of such


@dataclass(slots=True)
class Writer:
    """Writes calls in front of the node `before`, which they are to stand for; `made` are those that give tensors.

    `work` is the program's where the graph is its own, and not one within control flow.
    """

    before: Node
    work: Work | None
    made: list[Node] = field(default_factory=list)
    _numbers: list[Node] = field(default_factory=list)

    @property
    def times_moved(self) -> int:
        """How often the calls move each element, as `scan` counts bytes: views and copies do not."""
        return sum(node.target not in (_ATEN.reshape.default, _ATEN.clone.default) for node in self.made)

    @property
    def is_view(self) -> bool:
        """Whether the result may share memory with what went in."""
        return all(node.target in (_ATEN.reshape.default, _ATEN.permute.default) for node in self.made)

    def rearranged(self, source: Node, operation: Rearrangement) -> Node:
        """`operation` of `source`, which is itself where nothing moves."""
        shape = tuple(source.meta["val"].shape)
        native = native_call(operation) if len(shape) == _NATIVE_RANK else None
        if native is not None:
            return self._native(source, *native)
        lowering = lower(operation, [length if isinstance(length, int) else None for length in shape])
        x, now = source, lowering.in_shape
        for place, move in enumerate(lowering.moves):
            cut = along_axes(move, now, lowering.domain) if place == 0 and move.kind == "transpose" else None
            step = cut or move
            x, now = self._moved(self._viewed(x, now, step.view, source), step), step.written
        return self._viewed(x, now, lowering.result, source)

    def permuted(self, x: Node, order: Sequence[int]) -> Node:
        """`x` with its axes in another order."""
        return self.call(_ATEN.permute.default, (x, list(order)), x.meta["val"].permute(list(order)))

    def copied(self, x: Node) -> Node:
        """A new contiguous tensor of what is in `x`."""
        value = contiguous_like(x, x.meta["val"].shape)
        return self.call(_ATEN.clone.default, (x,), value, memory_format=torch.contiguous_format)

    def seen_as(self, x: Node, like: Node) -> Node | None:
        """`x` in the shape that `like` has; None where more than one of its lengths is told by no node."""
        shape, own = like.meta["val"].shape, x.meta["val"].shape
        if len(shape) == len(own) and all(map(_is_same, shape, own)):
            return x
        lengths = [length if isinstance(length, int) else self._known(length) or -1 for length in shape]
        if lengths.count(-1) > 1:
            return None
        return self.call(_ATEN.reshape.default, (x, lengths), contiguous_like(x, shape))

    def as_rows(self, x: Node) -> Node:
        """`x` as two axes, of which the second is its last."""
        *front, last = x.meta["val"].shape
        return self.call(_ATEN.reshape.default, (x, [-1, last]), contiguous_like(x, (prod(front), last)))

    def lying_along(self, x: Node, order: Sequence[int]) -> Node:
        """`x`, which has one axis that is longer than 1 at most, as its axes are in another order, 1s in front."""
        shape = x.meta["val"].shape
        now = (*(1 for _ in range(len(order) - len(shape))), *shape)
        given = [now[axis] for axis in order]
        lengths = [length if isinstance(length, int) else -1 for length in given]
        return self.call(_ATEN.reshape.default, (x, lengths), contiguous_like(x, given))

    def shaped_as(self, x: Node, like: Node) -> Node:
        """`x` in the shape of `like`."""
        shape = like.meta["val"].shape
        lengths = [length if isinstance(length, int) else self._axis(like, axis) for axis, length in enumerate(shape)]
        return self.call(_ATEN.reshape.default, (x, lengths), contiguous_like(x, shape))

    def call(self, target: Callable[..., Any], arguments: tuple[Any, ...], value: Any, **keywords: Any) -> Node:
        """A call that gives a tensor like `value`."""
        node = self._noted(target, arguments, value, keywords)
        self.made.append(node)
        return node

    def undo(self) -> None:
        """Take all calls out again."""
        for node in reversed(list(self.before.graph.nodes)):
            if node in self.made or node in self._numbers:
                self.before.graph.erase_node(node)
        self.made.clear()
        self._numbers.clear()

    # ------------------------------------------------------------------ moves

    def _moved(self, x: Node, move: Move[Size]) -> Node:
        if move.kind == "transpose":
            return self.permuted(x, move.order)
        if move.kind == "flip":
            return self.call(_ATEN.flip.default, (x, list(move.flipped)), contiguous_like(x, x.meta["val"].shape))
        return self._selected(x, move.axis, move.indices)

    def _native(self, x: Node, name: str, number: int) -> Node:
        n, c, *picture = x.meta["val"].shape
        if name == "pixel_unshuffle":
            shape = (n, c * number**2, *(length // number for length in picture))
        elif name == "pixel_shuffle":
            shape = (n, c // number**2, *(length * number for length in picture))
        else:
            shape = (n, c, *picture)
        return self.call(getattr(_ATEN, name).default, (x, number), contiguous_like(x, shape))

    def _viewed(self, x: Node, now: tuple[Size, ...], shape: tuple[Size, ...], source: Node) -> Node:
        if now == shape:
            return x
        own = source.meta["val"].shape
        given = [length_of(size).at(own) for size in shape]
        lengths = [
            length if isinstance(length, int) else self._number(size, length, source)
            for size, length in zip(shape, given, strict=True)
        ]
        return self.call(_ATEN.reshape.default, (x, lengths), contiguous_like(x, given))

    def _selected(self, x: Node, axis: int, indices: Sequence[int]) -> Node:
        value = x.meta["val"]
        if self.work is None:
            raise UnsupportedError("an order of channels is a constant, and control flow has none of its own")
        order = self.work.with_constant(torch.tensor(indices, device=value.device))
        return self.call(_ATEN.index_select.default, (x, axis, order), contiguous_like(x, value.shape))

    # ------------------------------------------------------------------ lengths

    def _number(self, size: Size, length: torch.SymInt, source: Node) -> Node:
        """The node of a length: one that is there, else computed from the axes of `source`."""
        known = self._known(length)
        if known is not None:
            return known
        told = length_of(size)
        over, under = (
            self._product(factor, axes, source)
            for factor, axes in ((told.factor, told.over), (told.divisor, told.under))
        )
        return over if under == 1 else self._noted(operator.floordiv, (over, under), length, {}, is_number=True)

    def _product(self, factor: int, axes: Sequence[int], source: Node) -> Any:
        made: Any = factor
        for axis in axes:  # which are open ones: `lower` knows the others
            length = self._axis(source, axis)
            if made == 1:
                made = length
                continue
            value = length.meta["val"] * (made.meta["val"] if isinstance(made, Node) else made)
            made = self._known(value) or self._noted(operator.mul, (length, made), value, {}, is_number=True)
        return made

    def _axis(self, source: Node, axis: int) -> Node:
        length = source.meta["val"].shape[axis]
        known = self._known(length)
        return known or self._noted(_ATEN.sym_size.int, (source, axis), length, {}, is_number=True)

    def _known(self, length: torch.SymInt) -> Node | None:
        """A node that gives this very length."""
        for node in self._earlier():
            value = node.meta.get("val")
            if isinstance(value, torch.SymInt) and value.node.expr == length.node.expr:
                return node
        return None

    def _earlier(self) -> Iterator[Node]:
        return takewhile(lambda node: node is not self.before, self.before.graph.nodes)

    def _noted(
        self,
        target: Callable[..., Any],
        arguments: tuple[Any, ...],
        value: Any,
        keywords: dict[str, Any],
        *,
        is_number: bool = False,
    ) -> Node:
        with self.before.graph.inserting_before(self.before):
            name = getattr(target, "_opname", None) or target.__name__
            node = self.before.graph.create_node("call_function", target, arguments, keywords, name=name)
        node.meta.update({key: self.before.meta[key] for key in _KEPT if key in self.before.meta}, val=value)
        if is_number:
            self._numbers.append(node)
        return node


def is_contiguous(value: torch.Tensor) -> bool:
    """Whether a tensor is known to lie in the order of its elements, without asking anything of open sizes."""
    shape = value.shape
    steps = [prod(shape[axis + 1 :]) for axis in range(len(shape))]
    sides = zip(steps, value.stride(), shape, strict=True)
    return all(_is_same(step, own) or _is_same(length, 1) for step, own, length in sides)


def _is_same(one: int | torch.SymInt, two: int | torch.SymInt) -> bool:
    one, two = (each if isinstance(each, int) else each.node.expr for each in (one, two))
    return bool(one == two)


def contiguous_like(x: Node, shape: Sequence[int | torch.SymInt]) -> torch.Tensor:
    """A new tensor of that shape as a program tells of one: without elements, like `x` otherwise."""
    like = x.meta["val"]
    with like.fake_mode:
        return torch.empty(tuple(shape), dtype=like.dtype, device=like.device)
