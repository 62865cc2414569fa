"""A step of the algebra as sequences of moves within what somebody has, as views of the tensor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product as combinations_of

import numpy as np

from layoutbridge.algebra.digits import DigitStep, common_refinement
from layoutbridge.algebra.moves import Cut, Move, MoveKind, Shape
from layoutbridge.algebra.readings import PLAIN, is_order, value_read
from layoutbridge.algebra.sequences.search import shortest_chains
from layoutbridge.algebra.sequences.steps import Abilities, Axes, Digits, Step, Task
from layoutbridge.algebra.sizes import Domain, Size, product

Moves = tuple[Move[Size], ...]
_MOST_DIGITS = 6  # with more of them than the step itself has, a search would take too long


def sequences(
    step: DigitStep, in_shape: Shape, result: Shape, domain: Domain, abilities: Abilities, most: int
) -> list[Moves]:
    """The best sequences of the fewest moves, `most` at the utmost, that are `step`, cheapest first; empty for none.

    `in_shape` and `result` are what the tensor has before and after, empty where that is left open.

    >>> from layoutbridge.operations.catalog import op
    >>> from layoutbridge.algebra.moves import at_lengths
    >>> plain = at_lengths(op("space_to_depth"), (None,) * 4)
    >>> narrow = Abilities(frozenset({"transpose"}), most_axes=4)
    >>> made = sequences(plain.steps[0], plain.in_shape, plain.result_shape, plain.domain, narrow, most=3)
    >>> [[str(size) for size in move.view] for move in made[0]], [move.order for move in made[0]]
    ([['x0', 'x1', 'x2', 'x3'], ['x0', 'x3/2', 'x1*x2', '2']], [(0, 3, 1, 2), (0, 3, 2, 1)])
    """
    cut = _cut_along(step, in_shape, result, domain)
    if cut is None and not abilities.views:
        return []
    if cut is not None and (not abilities.views or len(cut.sizes) <= _MOST_DIGITS):
        step = cut  # then the tensor's own axes are groups of digits, and moves on them need no view
    lengths = tuple(int(size.coefficient) if size.is_constant else None for size in step.sizes)
    readings = step.readings or (PLAIN,) * len(lengths)
    digits = tuple(range(len(lengths)))
    start, goal = _axes(step.sizes, digits, in_shape), _axes(step.sizes, step.order, result)
    task = Task(lengths, readings, step.order, start, goal, abilities)
    return [tuple(_moves(task, step.sizes, chain)) for chain in shortest_chains(task, most)]


# ---------------------------------------------------------------------- digits and axes


def _axes(sizes: Sequence[Size], order: Digits, shape: Shape) -> Axes | None:
    """The digits in this order as the axes of a tensor of `shape`; None where an axis' end falls inside one."""
    axes: list[Digits] = []
    place = 0
    for length in shape:
        end, held = place, product(())
        while held != length and end < len(order):
            held *= sizes[order[end]]
            end += 1
        if held != length:
            return None
        axes.append(order[place:end])
        place = end
    return tuple(axes) if shape and place == len(order) else None


def _cut_along(step: DigitStep, in_shape: Shape, result: Shape, domain: Domain) -> DigitStep | None:
    """The step with its digits cut where axes of the tensor end, before and after; None where a cut does not divide."""
    if not in_shape or not result:
        return None
    before = _refined(step, common_refinement(in_shape, step.sizes, domain))
    if before is None:
        return None
    back = _refined(before.inverse(), common_refinement(result, before.written_sizes, domain))
    return None if back is None else back.inverse()


def _refined(step: DigitStep, refinement: tuple[list[Size], list[int], list[int]] | None) -> DigitStep | None:
    if refinement is None:
        return None
    sizes, _, owners = refinement
    if any(is_order(step.reading(owner)) and owners.count(owner) > 1 for owner in owners):
        return None
    order = tuple(piece for source in step.order for piece, owner in enumerate(owners) if owner == source)
    return DigitStep(tuple(sizes), order, tuple(step.reading(owner) for owner in owners) if step.readings else ())


# ---------------------------------------------------------------------- steps to moves


_KINDS: dict[str, MoveKind] = {"space_to_depth_crd": "space_to_depth", "depth_to_space_crd": "depth_to_space"}


def _moves(task: Task, sizes: Sequence[Size], chain: Sequence[Step]) -> Iterator[Move[Size]]:
    apart: Digits = ()
    for step in chain:
        view, written = (
            tuple(product([sizes[digit] for digit in group]) for group in axes) for axes in (step.before, step.after)
        )
        match step.kind:
            case "transpose":
                yield Move("transpose", view, written, step.moved)
            case "gather":
                before, after = step.before[step.axis], step.after[step.axis]
                indices = tuple(_positions(task, before, after, step.read))
                yield Move("gather", view, written, axis=step.axis, indices=indices)
            case "flip":
                flipped = tuple(
                    place for place, group in enumerate(step.before) if step.read.issuperset(group) and group
                )
                yield Move("flip", view, written, flipped=flipped)
            case "split" | "slice":
                apart = (*apart, *step.moved)
                yield Move(step.kind, view, written, cuts=tuple(_cuts(task, step)))
            case "join":
                left = tuple(digit for digit in apart if digit not in step.moved)
                numbers = np.array(list(_positions(task, apart, left + step.moved, step.read)))
                groups = numbers.reshape(-1, task.count(step.moved) or 1).tolist()
                apart = left
                yield Move("join", view, written, axis=step.axis, groups=tuple(map(tuple, groups)))
            case _:
                row = 2
                long, short = sorted((step.before[row], step.after[row]), key=len, reverse=True)
                block = task.count(long[len(short) :]) or 0
                mode = "CRD" if step.kind.endswith("_crd") else ""
                yield Move(_KINDS.get(step.kind, step.kind), view, written, block=block, mode=mode)  # type: ignore[arg-type]


def _cuts(task: Task, step: Step) -> Iterator[Cut]:
    for place, (before, after) in enumerate(zip(step.before, step.after, strict=True)):
        if before != after:
            outer = before[len(before) - len(after) :] == after
            taken = tuple(digit for digit in before if digit not in after)
            yield place, task.count(taken) or 1, outer


def _positions(task: Task, before: Digits, after: Digits, read: frozenset[int]) -> Iterator[int]:
    """For each combination of values of the digits `after`, in their order, its number among those `before`."""
    strides = {digit: task.count(before[place + 1 :]) or 1 for place, digit in enumerate(before)}
    lengths = [task.lengths[digit] or 1 for digit in after]
    for values in combinations_of(*map(range, lengths)):
        yield sum(
            strides[digit] * (value_read(task.readings[digit], length, value) if digit in read else value)
            for digit, length, value in zip(after, lengths, values, strict=True)
        )
