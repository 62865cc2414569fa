"""Products of matrices: rows, columns and the axes of a batch in other orders, and what is summed over."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from layoutbridge.rewriting.layouts.cases import Case, Unruled
from layoutbridge.rewriting.layouts.editing import Editor
from layoutbridge.rewriting.layouts.forms import Axes, Behaviour, Form, Frame
from layoutbridge.rewriting.layouts.layout import Layout, Parts, laid_out, plain
from layoutbridge.rewriting.layouts.sizes import Sized
from layoutbridge.rewriting.rules.shaping import turned_by_einsum

Cut = Mapping[str, Parts]  # of rows, columns, or what is summed over


def matmul(case: Case) -> Frame:
    """Rows by columns; or columns by rows where both are stored turned, which gives the result turned.

    The frame's axes: those of the batch, then rows, what is summed over, columns.
    """
    one, two, result = case.input(0), case.input(1), case.output()
    if min(one.rank, two.rank) < 2 or len(case.node.inputs) != 2:
        raise Unruled
    rank = max(one.rank, two.rank)
    rows, inner, columns = rank - 2, rank - 1, rank
    axes = (*range(rank - one.rank, rank - 2), rows, inner), (*range(rank - two.rank, rank - 2), inner, columns)

    def orders(port: int, own: Axes) -> Iterable[Axes]:
        """The operand that comes last has what is summed over and one side; the other one all else."""
        side, free = own[-1], own[:-1]
        if port < 2 and side == inner:
            side = (columns, rows)[port]
        elif port < 2:
            free = (*own[:-2], (columns, rows)[port])
        missing = (axis for axis in range(rank - 2) if axis not in free)
        return [(*missing, *free, inner, side)]

    def accepts(order: Axes) -> bool:
        *free, middle, side = order
        if middle != inner or side not in (rows, columns):
            return False
        last, other = (two, rows) if side == columns else (one, columns)
        batch = free[:-1]
        return last.rank == 2 or (free[-1] == other and (one.rank == two.rank or batch == sorted(batch)))

    def write(frame: Layout, editor: Editor) -> None:
        if frame.order[-1] == rows:
            editor.exchange(0, 1)

    ones = frozenset(
        (port, own)
        for port, operand in enumerate((one, two))
        for own, axis in enumerate(axes[port])
        if axis < rows and operand.is_one(own) and not result.is_one(axis)
    )
    lengths = (*result.shape[:-1], one.shape[-1], result.shape[-1])
    return Frame(
        axes, ((*range(rank - 2), rows, columns),), lengths, write, accepts=accepts, orders=orders,
        is_exact=lambda _: False, one_long=ones,
    )  # fmt: skip


# ---------------------------------------------------------------------- Gemm


@dataclass(frozen=True)
class Dense:
    """A Gemm: each operand may be stored turned, as its attributes say then, and so may the result with what is added.

    `turned` is what its attributes say in the file.
    """

    addend: Sized | None
    turned: tuple[int, int]

    def forms(self, port: int, layout: Layout) -> Iterator[Form]:
        """The form in which no more is turned than has to be with that tensor."""
        names = self._names(port)
        if len(names) != layout.rank:
            return
        cut = {names[axis]: parts for axis, parts in layout.parts}
        turns = layout.order == (1, 0)
        form = self._form((turns and port == 0, turns and port == 1, turns and port > 1), cut)
        if form.ports[port] == layout:
            yield form

    def together(self, one: Form, two: Form) -> Form | None:
        """What both turn and cut."""
        cuts = [self._cut(form) for form in (one, two)]
        if any(cuts[1].get(name, parts) != parts for name, parts in cuts[0].items()):
            return None
        sides = zip(_turns(one), _turns(two), strict=True)
        return self._form(tuple(first or second for first, second in sides), {**cuts[0], **cuts[1]})

    def _names(self, port: int) -> tuple[str, ...]:
        """What the axes of a tensor are."""
        if port < 2:
            names = (("rows", "inner"), ("inner", "columns"))[port]
            return names[::-1] if self.turned[port] else names
        rank = self.addend.rank if self.addend is not None and port == 2 else 2
        return ("rows", "columns")[2 - rank :]

    def _cut(self, form: Form) -> Cut:
        return {
            self._names(port)[axis]: parts
            for port, layout in enumerate(form.ports)
            if layout is not None
            for axis, parts in layout.parts
        }

    def _form(self, turns: tuple[bool, ...], cut: Cut) -> Form:
        first, second, result = turns
        count = 2 if self.addend is None else 3
        ports = []
        for port, is_turned in enumerate((first, second, *(result,) * (count - 1))):
            names = self._names(port)
            order = (1, 0) if is_turned and len(names) == 2 else range(len(names))
            ports.append(
                laid_out(order, {k: cut[n] for k, n in enumerate(names) if n in cut and not self._is_one(port, k)})
            )
        flags = self.turned[0] ^ first, self.turned[1] ^ second

        def write(editor: Editor) -> None:
            if result:
                editor.exchange(0, 1)
                if self.addend is not None and self.addend.rank == 1:
                    editor.unsqueeze(2, [1])
            for name, flag in zip(("transA", "transB"), (1 - flags[1], 1 - flags[0]) if result else flags, strict=True):
                if flag or name in editor.node.attributes:
                    editor.say(name, int(flag))

        if all(each.is_plain for each in ports):
            return Form(tuple(ports[:count]), tuple(ports[count:]))
        return Form(tuple(ports[:count]), tuple(ports[count:]), write, is_exact=False)

    def _is_one(self, port: int, axis: int) -> bool:
        return port == 2 and self.addend is not None and self.addend.is_one(axis)


def _turns(form: Form) -> tuple[bool, bool, bool]:
    one, two, result = (layout is not None and layout.order == (1, 0) for layout in (*form.takes[:2], form.gives[0]))
    return one, two, result


def gemm(case: Case) -> Dense:
    """A product of two matrices, and something added."""
    turned = case.number("transA", 0), case.number("transB", 0)
    addend = case.input(2) if len(case.node.inputs) > 2 else None
    ranks = {case.input(0).rank, case.input(1).rank, case.output().rank}
    if ranks != {2} or not set(turned) <= {0, 1} or (addend is not None and addend.rank not in (1, 2)):
        raise Unruled
    return Dense(addend, turned)


# ---------------------------------------------------------------------- Einsum


@dataclass(frozen=True)
class Letters:
    """An Einsum: each term has its letters in the order in which the tensor is stored."""

    terms: tuple[str, ...]  # of the inputs, and of the output

    def forms(self, port: int, layout: Layout) -> Iterator[Form]:
        """The form in which all other tensors stay."""
        if not layout.parts and layout.rank == len(self.terms[port]):
            yield self._form({port: layout})

    def together(self, one: Form, two: Form) -> Form | None:
        """The form in which both tensors are stored otherwise."""
        changed = [{k: each for k, each in enumerate(form.ports) if each and not each.is_plain} for form in (one, two)]
        return None if changed[0].keys() & changed[1].keys() else self._form(changed[0] | changed[1])

    def _form(self, changed: Mapping[int, Layout]) -> Form:
        ports = tuple(changed.get(port, plain(len(term))) for port, term in enumerate(self.terms))

        def write(editor: Editor) -> None:
            stored = [
                "".join(term[axis] for axis in layout.order) for term, layout in zip(self.terms, ports, strict=True)
            ]
            editor.say("equation", f"{','.join(stored[:-1])}->{stored[-1]}")

        return Form(ports[:-1], ports[-1:], write, is_exact=False)


def einsum(case: Case) -> Behaviour:
    """Every letter is an axis; one that only transposes is a transposition."""
    if len(case.node.inputs) == 1:
        return turned_by_einsum(case)
    operands, arrow, result = case.text("equation", "").replace(" ", "").partition("->")
    terms = (*operands.split(","), result)
    if not arrow or "." in "".join(terms) or len(terms) != len(case.node.inputs) + 1:
        raise Unruled
    sized = [*(case.input(place) for place in range(len(terms) - 1)), case.output()]
    if any(len(term) != each.rank for term, each in zip(terms, sized, strict=True)):
        raise Unruled
    return Letters(terms)


RULES: Mapping[str, Callable[[Case], Behaviour]] = {"MatMul": matmul, "Gemm": gemm, "Einsum": einsum}
