"""The choice that moves the fewest bytes, and of those the one with the fewest nodes: a linear problem, solved.

A tensor is given in one layout, and moved once for each other one in which somebody takes it. So there is a whole
number for each form of a node, 1 where it is chosen, and what is moved follows from these.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from layoutbridge.rewriting.choices.problems import LARGE, Choice, Problem, Tensor

_SECONDS = 20.0  # for the problems of a graph; the best that is found by then is taken
_NUDGE = 1e-3  # of a node: what a form costs that is not the file's
_SLACK = 1e-7  # of the most bytes: what is the same for the solver
_CONVERTED = 3.0  # the most nodes that a conversion takes


def solved(problem: Problem, seconds: float = _SECONDS) -> Choice | None:
    """The best choice that is found in the time; None where that is what the file has, or nothing better."""
    as_it_is = dict.fromkeys(problem.forms, 0)
    least = problem.before if problem.before is not None else problem.cost(as_it_is)
    best: Choice | None = None
    end = monotonic() + seconds
    for choice in (as_it_is, *_Program(problem).choices(end)):
        cost = problem.cost(choice)
        if cost is not None and (least is None or cost < least):
            best, least = choice, cost
    return best


@dataclass
class _Program:
    """The linear problem: a column for each form, then one for each layout in which a tensor may be stored."""

    problem: Problem
    columns: dict[tuple[ir.Node, int], int] = field(init=False)
    moved: list[float] = field(init=False)
    nodes: list[float] = field(init=False)

    def __post_init__(self) -> None:
        forms = [(node, k, form) for node, held in self.problem.forms.items() for k, form in enumerate(held)]
        self.columns = {(node, k): column for column, (node, k, _) in enumerate(forms)}
        self.moved = [float(form.hidden) for _, _, form in forms]
        self.nodes = [form.more_nodes + (_NUDGE if k else 0.0) for _, k, form in forms]
        self.rows: list[Mapping[int, float]] = []
        self.least: list[float] = []
        self.most: list[float] = []
        for node, held in self.problem.forms.items():
            self._row({self.columns[node, k]: 1.0 for k in range(len(held))}, 1.0, 1.0)
        for tensor in self.problem.tensors:
            self._add(tensor)

    def choices(self, end: float) -> Iterable[Choice]:
        """The choice with the fewest bytes, and of those that have them the one with the fewest nodes."""
        scale = max(self.moved, default=0.0) or 1.0
        moved = np.array(self.moved) / scale
        first = self._minimum(moved, [], end)
        if first is None:
            return
        yield self._choice(first)
        bound = (moved, -np.inf, float(moved @ first) + _SLACK)
        second = self._minimum(np.array(self.nodes), [bound], end)
        if second is not None:
            yield self._choice(second)

    def _minimum(
        self, costs: NDArray[np.float64], more: list[tuple[NDArray[np.float64], float, float]], end: float
    ) -> NDArray[np.float64] | None:
        from scipy.optimize import Bounds, LinearConstraint, milp  # takes a second, and is not always needed

        seconds = end - monotonic()
        if seconds <= 0:
            return None
        constraints = [LinearConstraint(self._matrix(), np.array(self.least), np.array(self.most))]
        constraints += [LinearConstraint(row[None], low, high) for row, low, high in more]
        whole = np.zeros(len(costs))
        whole[: len(self.columns)] = 1
        found = milp(
            costs, integrality=whole, bounds=Bounds(0, 1), constraints=constraints,
            options={"time_limit": seconds, "mip_rel_gap": 0.0},
        )  # fmt: skip
        solution: NDArray[np.float64] | None = found.x
        return solution

    def _choice(self, solution: NDArray[np.float64]) -> Choice:
        made: dict[ir.Node, int] = {}
        largest: dict[ir.Node, float] = {}
        for (node, k), column in self.columns.items():
            if solution[column] > largest.get(node, -1.0):
                made[node], largest[node] = k, float(solution[column])
        return made

    def _matrix(self) -> Any:
        from scipy.sparse import csr_array

        counts = [len(row) for row in self.rows]
        places = np.repeat(np.arange(len(self.rows)), counts)
        columns = np.array([column for row in self.rows for column in row], np.int64)
        values = np.array([value for row in self.rows for value in row.values()], np.float64)
        return csr_array((values, (places, columns)), shape=(len(self.rows), len(self.moved)))

    def _row(self, row: Mapping[int, float], least: float, most: float = np.inf) -> None:
        self.rows.append(row)
        self.least.append(least)
        self.most.append(most)

    def _column(self, moved: float, nodes: float) -> int:
        self.moved.append(moved)
        self.nodes.append(nodes)
        return len(self.moved) - 1

    def _add(self, tensor: Tensor) -> None:
        """What it costs how a tensor is given and taken."""
        count = len(tensor.layouts)
        given = self._sides(tensor, tensor.maker, tensor.given)
        readers = [self._sides(tensor, reader, 0) for reader in tensor.readers]
        if tensor.is_constant:
            self._store(tensor, readers)
            return
        readers += [self._sides(tensor, None, wanted) for wanted in tensor.wanted]
        for kind in {*tensor.alike}:
            inside = [k for k in range(count) if tensor.alike[k] == kind]
            self._need(readers, given, inside, float(tensor.sized.bytes), 0.0)
        for layout in range(count):
            self._need(readers, given, [layout], 0.0, _CONVERTED if tensor.layouts[layout].parts else 1.0)
        if tensor.is_cut:
            self._forbid(tensor, readers, given)

    def _sides(self, tensor: Tensor, port: tuple[ir.Node, int] | None, fixed: int) -> dict[int, dict[int, float]]:
        """By the number of a layout the columns of the forms that have it at a port; -1 is for 1."""
        if port is None:
            return {fixed: {-1: 1.0}}
        node, place = port
        made: dict[int, dict[int, float]] = {}
        for k, numbers in enumerate(self.problem.numbers[node]):
            made.setdefault(numbers[place], {})[self.columns[node, k]] = 1.0
        return made

    def _need(
        self, readers: Iterable[Mapping[int, Mapping[int, float]]], given: Mapping[int, Mapping[int, float]],
        layouts: Iterable[int], moved: float, nodes: float,
    ) -> None:  # fmt: skip
        """A column that is 1 where a reader takes one of these layouts, and the tensor is given in none of them."""
        layouts, column = list(layouts), -1
        for reader in readers:
            taken = _sum(reader, layouts)
            if not taken:
                continue
            row: dict[int, float] = {}
            for held, sign in ((taken, -1.0), (_sum(given, layouts), 1.0)):
                for each, value in held.items():
                    row[each] = row.get(each, 0.0) + sign * value
            bound = -row.pop(-1, 0.0)
            if bound <= 0 and not any(value < 0 for value in row.values()):
                continue
            if column < 0:
                column = self._column(moved, nodes)
            row[column] = 1.0
            self._row(row, bound)

    def _forbid(
        self, tensor: Tensor, readers: Iterable[Mapping[int, Mapping[int, float]]],
        given: Mapping[int, Mapping[int, float]],
    ) -> None:  # fmt: skip
        """No two layouts between which there is no conversion."""
        count = range(len(tensor.layouts))
        pairs = [(one, two) for one in given for two in count if tensor.steps(one, two) is None]
        for one, two in pairs:
            for reader in readers:
                row: dict[int, float] = {}
                for held in (given[one], reader.get(two, {})):
                    for each, value in held.items():
                        row[each] = row.get(each, 0.0) + value
                if two in reader:
                    self._row({k: v for k, v in row.items() if k >= 0}, -np.inf, 1.0 - row.get(-1, 0.0))

    def _store(self, tensor: Tensor, readers: Iterable[Mapping[int, Mapping[int, float]]]) -> None:
        """A constant that several take may be stored several times."""
        readers = [*readers, *({wanted: {-1: 1.0}} for wanted in tensor.wanted)]
        if len(readers) > 1:
            is_large = tensor.sized.bytes >= LARGE
            for layout in range(len(tensor.layouts)):
                self._need(
                    readers, {}, [layout], float(tensor.sized.bytes) if is_large else 0.0, 0.0 if is_large else 1.0
                )


def _sum(side: Mapping[int, Mapping[int, float]], layouts: Iterable[int]) -> dict[int, float]:
    made: dict[int, float] = {}
    for layout in layouts:
        made |= side.get(layout, {})
    return made
