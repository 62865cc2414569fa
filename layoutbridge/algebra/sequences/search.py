"""The shortest sequences of moves: the fewest passes over the tensor, then the fewest nodes.

Every move but a view writes the whole tensor once, whatever it is, so that bytes moved are counted in moves. States are
searched in layers, one move further each; moves into the goal are found from the goal, which saves the last and largest
layer. Within the fewest moves those axes are taken that need the fewest views between them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from layoutbridge.algebra.readings import REVERSED
from layoutbridge.algebra.sequences.regrouping import regrouped
from layoutbridge.algebra.sequences.steps import Axes, State, Step, Task, flat, loosely_cut, steps_from, steps_into

_MOST_STEPS = 60_000  # that a search looks at: all there are of three moves of six digits on four axes
_MOST_REGROUPED, _MOST_CHAINS = 64, 8
_GATHERED = 6  # what a gather counts as beside transposes, which need no list of positions

_Cost = tuple[int, int, int]


class Chain(NamedTuple):
    """Moves one after another: the last one behind the others, with what they cost.

    The cost is the nodes, with those of the views between; where transposes part neighbours, the innermost twice, for
    those that only swap two blocks of axes and keep whole rows run fastest, with gathers; and the axes of all moves.
    """

    others: Chain | None = None
    last: Step | None = None
    cost: _Cost = (0, 0, 0)

    @property
    def steps(self) -> tuple[Step, ...]:
        """The moves, the first one first."""
        made: list[Step] = []
        chain = self
        while chain.others is not None and chain.last is not None:
            made.append(chain.last)
            chain = chain.others
        return tuple(reversed(made))


_Layer = dict[State, dict[Axes | None, Chain]]  # by the axes in which the last move left the digits


def shortest_chains(task: Task, most: int) -> list[tuple[Step, ...]]:
    """The best chains of the fewest moves, `most` at the utmost, cheapest first; none where no chain was found.

    >>> from layoutbridge.algebra.sequences.steps import Abilities
    >>> digits = (None, None, 2, None, 2)
    >>> to_depth, plain = (0, 2, 4, 1, 3), ((),) * 5
    >>> some = Abilities(frozenset({"transpose"}), 4)
    >>> [step.before for step in shortest_chains(Task(digits, plain, to_depth, None, None, some), 4)[0]]
    [((0,), (1, 2, 3), (4,)), ((0,), (4, 1), (2,), (3,))]
    """
    if task.first == task.last:
        return [()]
    if _is_hopeless(task):
        return []
    whole = _one_transpose(task) if most >= 1 else None
    if whole is not None:
        return _best(task, [[whole]])
    into: dict[State, list[Step]] = {}
    for state, step in steps_into(task):
        into.setdefault(state, []).append(step)
    layer: _Layer = {task.first: {task.start: Chain()}}
    seen = {task.first}
    left = _MOST_STEPS
    for passes in range(1, most + 1):
        found = [
            Chain(*_followed(task, layer[state], _count(task, state.apart), step))
            for state in layer
            for step in into.get(state, ())
        ]
        if found:
            cheapest = sorted(found, key=lambda chain: chain.cost)[:_MOST_REGROUPED]
            return _best(task, (chain.steps for chain in cheapest))
        if passes < most and left > 0:
            layer, left = _next_layer(task, layer, seen, left)
            seen.update(layer)
    return []


def _is_hopeless(task: Task) -> bool:
    """Whether something is to be done that no move can do, which a search would find out last."""
    kinds = task.abilities.kinds
    if not task.abilities.views and len(task.first.axes) != len(task.last.axes):
        return True  # no move but a view makes more axes or fewer
    still = [digit for digit in task.order if task.lengths[digit] is None]
    if "transpose" not in kinds and still != sorted(still):
        return True  # no other move lets digits of open lengths pass one another
    readers = {"gather", "join"}
    return any(
        not kinds & (readers | {"flip"} if task.readings[digit] == REVERSED else readers)
        or (task.lengths[digit] is None and "flip" not in kinds)
        for digit in task.read
    )


def _one_transpose(task: Task) -> Step | None:
    """The transpose that is the whole permutation, on as many axes as that takes."""
    if "transpose" not in task.abilities.kinds or task.read:
        return None
    order = task.order
    if task.abilities.views:
        ends = [end for end in range(1, len(order)) if order[end] != order[end - 1] + 1]
        after = tuple(order[a:b] for a, b in pairwise((0, *ends, len(order))))
        axes = tuple(sorted(after))
        if len(axes) > task.abilities.most_axes:
            return None
    elif task.start is None or task.goal is None or sorted(task.start) != sorted(task.goal) or () in task.start:
        return None
    else:
        axes, after = task.start, task.goal
    return Step("transpose", axes, after, tuple(axes.index(group) for group in after))


def _next_layer(task: Task, layer: _Layer, seen: set[State], left: int) -> tuple[_Layer, int]:
    """The states that one move more reaches, those near the goal first while steps are left; and how many are left."""
    reached: _Layer = {}
    for state in sorted(layer, key=lambda each: _distance(task, each)):
        if left <= 0:
            break
        parts = _count(task, state.apart)
        for step in steps_from(task, state):
            left -= 1
            after = _state_after(task, state, step)
            if after in seen:
                continue
            best = reached.setdefault(after, {})
            longer = _followed(task, layer[state], parts, step)
            known = best.get(step.after)
            if known is None or longer[2] < known.cost:
                best[step.after] = Chain(*longer)
    return reached, left


def _state_after(task: Task, state: State, step: Step) -> State:
    axes = (flat(step.after),) if task.abilities.views else step.after
    apart, loose = state.apart, state.loose
    if step.kind == "join":
        apart, loose = apart.difference(step.moved), loose.difference(step.moved)
    elif step.kind in ("split", "slice"):
        apart, loose = apart.union(step.moved), loose | loosely_cut(task, step)
    return State(axes, apart, state.unread - step.read if step.read else state.unread, loose)


def _distance(task: Task, state: State) -> int:
    """How many neighbours of the goal are none yet, and what else is left to do: what to look at first."""
    wanted = set(pairwise((-1, *task.order, len(task.order))))
    there = set(pairwise((-1, *flat(state.axes), len(task.order))))
    return len(wanted - there) + len(state.unread)


# ---------------------------------------------------------------------- what chains cost


def _followed(task: Task, chains: Mapping[Axes | None, Chain], parts: int, step: Step) -> tuple[Chain, Step, _Cost]:
    """The cheapest of `chains` with `step` behind it, on so many parts."""
    (nodes, disorder, axes), chain = min(
        ((_added(chain.cost, 0 if lies == step.before else parts), chain) for lies, chain in chains.items()),
        key=lambda each: each[0],
    )
    return chain, step, (nodes + _nodes(task, parts, step), disorder + _disorder(step), axes + len(step.before))


def _added(cost: _Cost, views: int) -> _Cost:
    return (cost[0] + views, *cost[1:])


def _nodes(task: Task, parts: int, step: Step) -> int:
    """The nodes of a move that is done to so many parts."""
    if step.kind == "slice":
        return parts * _count(task, step.moved)
    return parts // _count(task, step.moved) if step.kind == "join" else parts


def _disorder(step: Step) -> int:
    if step.kind != "transpose":
        return _GATHERED if step.kind == "gather" else 0
    order, count = step.moved, len(step.moved)
    return sum(b != a + 1 for a, b in pairwise((-1, *order, count))) + (order[-1] != count - 1)


def _count(task: Task, digits: Iterable[int]) -> int:
    return task.count(tuple(digits)) or 1


def _best(task: Task, chains: Iterable[Sequence[Step]]) -> list[tuple[Step, ...]]:
    """The chains on the axes that need the fewest views, one behind it all among them; cheapest first."""
    most = task.abilities.most_axes
    free = task.abilities.views
    made = {
        regrouped(steps, task.start, task.goal, most) if free else tuple(steps): None for steps in map(tuple, chains)
    }
    return sorted(made, key=lambda steps: _cost(task, steps))[:_MOST_CHAINS]


def _cost(task: Task, steps: tuple[Step, ...]) -> _Cost:
    chain, parts, lies = Chain(), 1, task.start
    for step in steps:
        chain = Chain(*_followed(task, {lies: chain}, parts, step))
        lies = step.after
        if step.kind == "join":
            parts //= _count(task, step.moved)
        elif step.kind in ("split", "slice"):
            parts *= _count(task, step.moved)
    return _added(chain.cost, lies != task.goal)
