"""The forms in which a node computes the same: which layouts of its tensors go with each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from layoutbridge.rewriting.layouts.editing import Editor
from layoutbridge.rewriting.layouts.layout import Layout, laid_out, length_of, plain

Axes = tuple[int, ...]  # of a frame, one for each axis of a tensor


def unchanged(_: Editor) -> None:
    """What is written where a node computes the same as it is."""


@dataclass(frozen=True)
class Form:
    """The layouts that a node takes and gives, and how it is `written` then.

    None stands for a tensor that stays as the file has it. `is_exact` is off where numbers are added up in another
    order, `more_nodes` are needed beside it, and `hidden` bytes are what runtimes move within it.
    """

    takes: tuple[Layout | None, ...]
    gives: tuple[Layout | None, ...]
    write: Callable[[Editor], None] = field(default=unchanged, compare=False)
    is_exact: bool = field(default=True, compare=False)
    more_nodes: int = field(default=0, compare=False)
    hidden: int = field(default=0, compare=False)
    frame: Layout | None = field(default=None, compare=False)

    @property
    def ports(self) -> tuple[Layout | None, ...]:
        """The layouts of the inputs, and behind them those of the outputs."""
        return (*self.takes, *self.gives)

    @property
    def is_plain(self) -> bool:
        """Whether all is as the file has it."""
        return all(each is None or each.is_plain for each in self.ports)


class Behaviour(Protocol):
    """What an operator allows: `forms` in which the tensor at a port has a layout; ports are inputs, then outputs."""

    def forms(self, port: int, layout: Layout) -> Iterable[Form]:
        """All in which that tensor has the layout."""
        ...

    def together(self, one: Form, two: Form) -> Form | None:
        """The form that has what both change, for operators that have such."""
        ...


def same_place(order: Layout, editor: Editor) -> None:
    """Nothing to be written: the operator does not name axes."""


@dataclass(frozen=True)
class Frame:
    """Axes that the tensors of a node share: which layouts go with each other follows from one layout of these.

    `inputs` and `outputs` have for each tensor the axes of the frame that its own are; None for one that stays as it
    is. `solid` axes keep their places. `accepts` tells the orders in which the operator does the same, once `write` has
    changed its attributes.

    >>> reduced = Frame(inputs=((0, 1, 2), None), outputs=((0, 2),), lengths=(2, 3, 4))
    >>> [form.gives for form in reduced.forms(0, Layout((0, 2, 1)))]
    [(Layout(order=(0, 1), parts=()),)]
    """

    inputs: tuple[Axes | None, ...]
    outputs: tuple[Axes | None, ...]
    lengths: tuple[int, ...]
    write: Callable[[Layout, Editor], None] = same_place
    solid: frozenset[int] = frozenset()
    accepts: Callable[[Axes], bool] = lambda _: True
    orders: Callable[[int, Axes], Iterable[Axes]] | None = None
    is_exact: Callable[[Layout], bool] = lambda _: True
    hidden: Callable[[Layout], int] = lambda _: 0
    more_nodes: Callable[[Layout], int] = lambda _: 0
    one_long: frozenset[tuple[int, int]] = frozenset()  # axes of ports that are 1 long where the frame's are not

    def forms(self, port: int, layout: Layout) -> Iterator[Form]:
        """The form for each order of the frame in which that tensor has the layout."""
        axes = (*self.inputs, *self.outputs)[port]
        if axes is None or len(axes) != layout.rank:
            return
        own = layout.named(dict(enumerate(axes)))
        orders = self.orders(port, own.order) if self.orders else [filled_up(own.order, len(self.lengths))]
        for order in orders:
            form = self._form(Layout(order, own.parts))
            if form is not None and form.ports[port] == layout:
                yield form

    def together(self, one: Form, two: Form) -> Form | None:
        """Both cuts of axes, where the order is one."""
        if one.frame is None or two.frame is None or one.frame.order != two.frame.order:
            return None
        if not one.frame.parts or not two.frame.parts:
            return None
        cuts = dict(one.frame.parts)
        if any(cuts.get(axis, parts) != parts for axis, parts in two.frame.parts):
            return None
        return self._form(laid_out(one.frame.order, cuts | dict(two.frame.parts)))

    def _form(self, frame: Layout) -> Form | None:
        if any(axis in self.solid or length_of(parts) != self.lengths[axis] for axis, parts in frame.parts):
            return None
        if not self.accepts(frame.order):
            return None
        ports = [
            None if axes is None else self._seen(frame, axes, port)
            for port, axes in enumerate((*self.inputs, *self.outputs))
        ]
        count = len(self.inputs)
        if frame.is_plain:
            return Form(tuple(ports[:count]), tuple(ports[count:]), frame=frame)
        return Form(
            tuple(ports[:count]), tuple(ports[count:]), lambda editor: self.write(frame, editor),
            self.is_exact(frame), self.more_nodes(frame), self.hidden(frame), frame,
        )  # fmt: skip

    def _seen(self, frame: Layout, axes: Axes, port: int) -> Layout:
        names = {axis: own for own, axis in enumerate(axes)}
        cuts = {
            axis: parts for axis, parts in frame.parts if axis in names and (port, names[axis]) not in self.one_long
        }
        return Layout(frame.order, tuple(sorted(cuts.items()))).named(names)


def filled_up(order: Axes, count: int) -> Axes:
    """The order with the axes that are missing in it, each behind the one that the frame has in front of it.

    >>> filled_up((3, 0), 4)
    (3, 0, 1, 2)
    """
    made = list(order)
    for axis in range(count):
        if axis not in made:
            made.insert(made.index(axis - 1) + 1 if axis else 0, axis)
    return tuple(made)


@dataclass(frozen=True)
class Renaming:
    """A transposition: its result is its operand, whose axes have other names."""

    order: tuple[int, ...]

    def forms(self, port: int, layout: Layout) -> Iterator[Form]:
        """The only one."""
        if port == 0:
            yield Form((layout,), (layout.named({axis: own for own, axis in enumerate(self.order)}),))
        else:
            yield Form((layout.named(dict(enumerate(self.order))),), (layout,))

    def together(self, one: Form, two: Form) -> Form | None:
        """No form has what two change."""
        return None


def as_it_is(ranks: Iterable[int | None], outputs: int) -> Form:
    """The form that the file has, by the ranks of inputs and outputs."""
    ports = [None if rank is None else plain(rank) for rank in ranks]
    return Form(tuple(ports[: len(ports) - outputs]), tuple(ports[len(ports) - outputs :]))
