"""The choice with the least effort, and of those the one with the fewest nodes: a linear problem, solved.

A tensor is given in one layout, and moved once for each other one in which somebody takes it. So there is a whole
number for each form of a node, 1 where it is chosen, and what is moved follows from these.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from time import monotonic
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from layoutbridge.rewriting.choices.problems import LARGE, Choice, Cost, Problem, Tensor
from layoutbridge.rewriting.layouts.conversions import SCATTERED

_NUDGE = 1e-3  # of a node: what a form costs that is not the file's
_SLACK = 1e-7  # of the largest effort: what is the same for the solver
_CONVERTED = 3.0  # the most nodes that a conversion takes
_ONE = -1  # stands for 1 among the numbers of columns
Row = dict[int, float]  # factors by the numbers of columns
Side = Mapping[int, Row]  # by the number of a layout, the forms that have it at a port
Costs = tuple[float, float, float]  # effort, nodes, bytes that are moved
Known = dict[tuple[bytes, ...], NDArray[np.float64]]  # solutions of problems that are the same number for number


def solved(problem: Problem, seconds: float, known: Known) -> Choice | None:
    """The best choice that is found in the time; None where that is what the file has, or nothing better.

    What is `known` is not solved again, as where a model repeats a block; what is found is put there. No more bytes are
    moved than in the file, unless layouts are asked for.
    """
    as_it_is = dict.fromkeys(problem.forms, 0)
    least = problem.before if problem.before is not None else problem.cost(as_it_is)
    best: Choice | None = None
    for choice in (as_it_is, *_Program(problem, known).choices(monotonic() + seconds)):
        cost = problem.cost(choice)
        if cost is not None and not _moves_more(problem, cost) and (least is None or cost[:2] < least[:2]):
            best, least = choice, cost
    return best


def _moves_more(problem: Problem, cost: Cost) -> bool:
    return problem.before is not None and cost.moved > problem.before.moved


class _Program:
    """The linear problem: a column for each form, then one for each thing that may have to be done to a tensor."""

    def __init__(self, problem: Problem, known: Known) -> None:
        self.problem, self.known = problem, known
        forms = [(node, k, form) for node, held in problem.forms.items() for k, form in enumerate(held)]
        self.columns = {(node, k): column for column, (node, k, _) in enumerate(forms)}
        self.costs: list[Costs] = [
            (float(form.hidden), form.more_nodes + (_NUDGE if k else 0.0), 0.0) for _, k, form in forms
        ]
        self.rows: list[tuple[Row, float, float]] = []
        for node, held in problem.forms.items():
            self.rows.append(({self.columns[node, k]: 1.0 for k in range(len(held))}, 1.0, 1.0))
        for tensor in problem.tensors:
            self._add(tensor)
        if problem.before is not None:
            moved = {column: costs[2] for column, costs in enumerate(self.costs) if costs[2]}
            scale = max(moved.values(), default=1.0)
            most = problem.before.moved / scale
            self.rows.append(({column: each / scale for column, each in moved.items()}, -np.inf, most))

    def choices(self, end: float) -> Iterator[Choice]:
        """The choice with the least effort, and of those that have it the one with the fewest nodes."""
        costs = np.array(self.costs)
        effort = costs[:, 0] / (costs[:, 0].max() or 1.0)
        first = self._minimum(effort, None, end)
        if first is None:
            return
        yield self._choice(first)
        second = self._minimum(costs[:, 1], (effort, float(effort @ first) + _SLACK), end)
        if second is not None:
            yield self._choice(second)

    def _minimum(
        self, costs: NDArray[np.float64], most: tuple[NDArray[np.float64], float] | None, end: float
    ) -> NDArray[np.float64] | None:
        from scipy.optimize import Bounds, LinearConstraint, milp  # takes a second, and is not always needed

        seconds = end - monotonic()
        if seconds <= 0:
            return None
        matrix, bounds = self._matrix, np.array([(low, high) for _, low, high in self.rows]).T
        arrays = [costs, matrix.indptr, matrix.indices, matrix.data, bounds, *([] if most is None else most)]
        key = tuple(np.asarray(each).tobytes() for each in (len(self.columns), *arrays))
        if key in self.known:
            return self.known[key]
        constraints = [LinearConstraint(matrix, *bounds)]
        if most is not None:
            constraints.append(LinearConstraint(most[0][None], -np.inf, most[1]))
        whole = np.zeros(len(costs))
        whole[: len(self.columns)] = 1
        # Behind a tight limit HiGHS 1.12 mends what its presolve gave, and says so on stdout whatever it is told.
        found = milp(
            costs, integrality=whole, bounds=Bounds(0, 1), constraints=constraints,
            options={"time_limit": seconds, "mip_rel_gap": 0.0, "presolve": most is None},
        )  # fmt: skip
        if found.status == 0:
            self.known[key] = found.x
        solution: NDArray[np.float64] | None = found.x
        return solution

    @cached_property
    def _matrix(self) -> Any:
        from scipy.sparse import csr_array

        places = np.repeat(np.arange(len(self.rows)), [len(row) for row, *_ in self.rows])
        columns = np.array([column for row, *_ in self.rows for column in row], np.int64)
        values = np.array([value for row, *_ in self.rows for value in row.values()], np.float64)
        return csr_array((values, (places, columns)), shape=(len(self.rows), len(self.costs)))

    def _choice(self, solution: NDArray[np.float64]) -> Choice:
        made: dict[ir.Node, int] = {}
        for (node, k), column in self.columns.items():
            if k == 0 or solution[column] > solution[self.columns[node, made[node]]]:
                made[node] = k
        return made

    # ------------------------------------------------------------------ what tensors cost

    def _add(self, tensor: Tensor) -> None:
        """What it costs how a tensor is given and taken."""
        readers = [self._side(reader, 0) for reader in tensor.readers]
        readers += [self._side(None, wanted) for wanted in tensor.wanted]
        if tensor.is_constant:
            self._store(tensor, readers)
            return
        given, count = self._side(tensor.maker, tensor.given), len(tensor.layouts)
        size = float(tensor.sized.bytes)
        for first in sorted({*tensor.alike}):
            alike = [k for k in range(count) if tensor.alike[k] == first]
            self._need(readers, alike, given, alike, (size, 0.0, size))
            near = tensor.near(first)
            if len(near) < count:
                self._need(readers, alike, given, near, ((SCATTERED - 1) * size, 0.0, 0.0))
        for k, layout in enumerate(tensor.layouts):
            self._need(readers, [k], given, [k], (0.0, _CONVERTED if layout.parts else 1.0, 0.0))
        if tensor.is_cut:
            self._forbid(tensor, readers, given)

    def _store(self, tensor: Tensor, readers: Sequence[Side]) -> None:
        """A constant that several take may be stored several times."""
        if len(readers) > 1:
            size = float(tensor.sized.bytes)
            for k in range(len(tensor.layouts)):
                self._need(readers, [k], {}, [], (size, 0.0, 0.0) if size >= LARGE else (0.0, 1.0, 0.0))

    def _side(self, port: tuple[ir.Node, int] | None, fixed: int) -> Side:
        if port is None:
            return {fixed: {_ONE: 1.0}}
        node, place = port
        made: dict[int, Row] = {}
        for k, numbers in enumerate(self.problem.numbers[node]):
            made.setdefault(numbers[place], {})[self.columns[node, k]] = 1.0
        return made

    def _need(
        self, readers: Iterable[Side], taken: Sequence[int], given: Side, enough: Sequence[int], costs: Costs
    ) -> None:
        """A column that is 1 where a reader takes one of these layouts, and the tensor is given in none of `enough`."""
        column = None
        for reader in readers:
            row: Row = {}
            for side, layouts, sign in ((reader, taken, -1.0), (given, enough, 1.0)):
                for layout in layouts:
                    for each, value in side.get(layout, {}).items():
                        row[each] = row.get(each, 0.0) + sign * value
            least = -row.pop(_ONE, 0.0)
            if least <= 0 and not any(value < 0 for value in row.values()):
                continue
            if column is None:
                column = len(self.costs)
                self.costs.append(costs)
            self.rows.append(({**row, column: 1.0}, least, np.inf))

    def _forbid(self, tensor: Tensor, readers: Iterable[Side], given: Side) -> None:
        """No two layouts between which there is no conversion."""
        for one, wanted in ((one, k) for one in given for k in range(len(tensor.layouts))):
            if tensor.steps(one, wanted) is not None:
                continue
            for reader in readers:
                if wanted not in reader:
                    continue
                row = dict(given[one])
                for each, value in reader[wanted].items():
                    row[each] = row.get(each, 0.0) + value
                most = 1.0 - row.pop(_ONE, 0.0)
                self.rows.append((row, -np.inf, most))
