"""What rules mean for the tensors of a checkpoint, settled before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.checkpoints.rules import Rule, inverted
from layoutbridge.checkpoints.stored import Change, Stored
from layoutbridge.errors import LayoutBridgeError, ParameterError, PatternError, ShapeError, UnsupportedError, shown

_NAMES_COMPARED = 2_000


def planned(tensors: Sequence[Stored], rules: Sequence[Rule], *, undo: bool) -> tuple[Change, ...]:
    """What is done to each tensor that a rule matches, in the order of the tensors; with `undo` what undoes it.

    Raises `ParameterError` for a rule that matches nothing and for two that match one tensor, `UnsupportedError` for
    elements that are no whole bytes or of an unknown size, `ShapeError` for a shape that does not fit its rule, and
    `PatternError` for a rule that cannot be undone by its pattern alone.
    """
    operations = [_operation(rule, undo=undo) for rule in rules]
    changes: list[Change] = []
    used: set[int] = set()
    for tensor in tensors:
        matching = [number for number, rule in enumerate(rules) if rule.matches(tensor.name)]
        if len(matching) > 1:
            first, second = (rules[number] for number in matching[:2])
            raise ParameterError(
                f"{first.where} and {second.where.rpartition(', ')[2]} both match tensor {shown(tensor.name)}: "
                "give it to one of them, and its steps in a list"
            )
        for number in matching:
            changes.append(_change(tensor, rules[number], operations[number], number + 1))
            used.add(number)
    for number, rule in enumerate(rules):
        if number not in used:
            raise ParameterError(_nothing_matched(rule, tensors))
    return tuple(changes)


def _operation(rule: Rule, *, undo: bool) -> Rearrangement:
    try:
        return inverted(rule.operation) if undo else rule.operation
    except PatternError as error:
        raise PatternError(f"{rule.where} cannot be undone: {error}") from None


def _change(tensor: Stored, rule: Rule, operation: Rearrangement, number: int) -> Change:
    where = f"{rule.where}, tensor {shown(tensor.name)}"
    if tensor.itemsize is None:
        raise UnsupportedError(
            f"{where}: elements of {tensor.dtype[:40]} are no whole bytes, or not known: leave it out, or convert it"
        )
    try:
        result = operation.out_shape(tensor.shape)
        if len(tensor.shape) > operation.rank and not rule.has_batch:
            raise ShapeError(
                f"{operation.label} takes {operation.rank} axes, and shape {list(tensor.shape)} has {len(tensor.shape)}"
            )
    except LayoutBridgeError as error:
        raise type(error)(f"{where}: {error}{_way_out(tensor, rule, operation)}") from None
    return Change(tensor.name, tensor.dtype, tensor.shape, result, operation, number, tensor.size)


def _way_out(tensor: Stored, rule: Rule, operation: Rearrangement) -> str:
    """What to do about a tensor with too few axes, such as the bias beside the weights that a rule is for."""
    if len(tensor.shape) >= operation.rank:
        return ""
    axes = f", with axes = {len(tensor.shape)}" if "axes" in rule.takes and tensor.shape else ""
    return f": name it in a rule of its own{axes}, or leave it out"


def _nothing_matched(rule: Rule, tensors: Sequence[Stored]) -> str:
    told = f"{rule.where} matches none of the {len(tensors):,} tensors: {shown(rule.text)}"
    near = get_close_matches(rule.text[:200], [t.name[:200] for t in tensors[:_NAMES_COMPARED]], n=1, cutoff=0.3)
    near = near or [tensor.name for tensor in tensors[:1]]
    return f"{told}; they are called such as {shown(near[0])}" if near else told
