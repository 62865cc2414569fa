"""Moves on other axes, so that fewer views stand between them: groups that a move leaves whole may be several axes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from layoutbridge.algebra.sequences.steps import BLOCKS, Axes, Digits, Step

_Border = tuple[int, int]  # the digits before and behind it


def regrouped(steps: Sequence[Step], start: Axes | None, goal: Axes | None, most: int) -> tuple[Step, ...]:
    """The same moves on at most so many axes, taken as they lie before or behind where they can be.

    >>> turn = Step("transpose", ((0,), (1, 2), (3,)), ((0,), (3,), (1, 2)), (0, 2, 1))
    >>> regrouped([turn], ((0,), (1,), (2,), (3,)), None, 4)[0].moved
    (0, 3, 1, 2)
    >>> regrouped([turn], ((0,), (1,), (2,), (3,)), None, 3)[0] == turn
    True
    """
    made = list(steps)
    for place, step in enumerate(made):
        before = made[place - 1].after if place else start
        if before is not None and before != step.before:
            finer = _refined(step, before)
            if finer.before == before and len(finer.after) <= most:
                made[place] = finer
    for place in range(len(made) - 1, -1, -1):
        step = made[place]
        behind = made[place + 1].before if place + 1 < len(made) else goal
        held = (made[place - 1].after if place else start) == step.before
        if behind is not None and behind != step.after and not held:
            finer = _refined(step, behind)
            if finer.after == behind and len(finer.before) <= most:
                made[place] = finer
    return tuple(made)


def _refined(step: Step, like: Axes) -> Step:
    """The step with groups that it leaves whole cut where axes of `like` end."""
    borders = {(a[-1], b[0]) for a, b in pairwise(filter(None, like))}
    if step.kind in BLOCKS:
        return step
    whole = {step.before[step.axis], step.after[step.axis]} if step.kind in ("gather", "join") else set()
    if step.kind in ("split", "slice"):
        pairs = zip(step.before, step.after, strict=True)
        whole = {group for before, after in pairs if before != after for group in (before, after)}

    def cut(group: Digits) -> Axes:
        return (group,) if group in whole else _parts(group, borders)

    before, after = (tuple(part for group in axes for part in cut(group)) for axes in (step.before, step.after))
    moved = step.moved
    if step.kind == "transpose":
        moved = tuple(before.index(part) for part in after)
    shift = sum(len(cut(group)) for group in step.before[: step.axis])
    return _with_empty(step._replace(before=before, after=after, moved=moved, axis=shift), like)


def _with_empty(step: Step, like: Axes) -> Step:
    """The step with the axes of length 1 in between that `like` has, where it works on the others in their places."""
    filled = [place for place, group in enumerate(like) if group]
    if step.kind == "transpose" or () in step.before or tuple(like[place] for place in filled) != step.before:
        return step
    after: list[Digits] = [()] * len(like)
    for place, group in zip(filled, step.after, strict=True):
        after[place] = group
    return step._replace(before=like, after=tuple(after), axis=filled[step.axis])


def _parts(group: Digits, borders: set[_Border]) -> Axes:
    if not group:
        return (group,)
    ends = [end for end in range(1, len(group)) if (group[end - 1], group[end]) in borders]
    return tuple(group[a:b] for a, b in pairwise((0, *ends, len(group))))
