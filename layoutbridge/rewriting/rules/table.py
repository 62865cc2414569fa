"""Every operator whose tensors may be stored otherwise, and its rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from layoutbridge.rewriting.layouts.cases import Case, Unruled
from layoutbridge.rewriting.layouts.forms import Behaviour
from layoutbridge.rewriting.rules import along_axes, elementwise, products, shaping, windows

RULES: Mapping[str, Callable[[Case], Behaviour]] = {
    **elementwise.RULES,
    **shaping.RULES,
    **along_axes.RULES,
    **windows.RULES,
    **products.RULES,
}
# Why a node computes the same on axes that are stored otherwise, by its operator.
TOLD: Mapping[str, str] = {
    **dict.fromkeys(elementwise.RULES, "element by element"),
    **dict.fromkeys(shaping.RULES, "the same elements, in a shape whose axes are stored otherwise"),
    **dict.fromkeys(along_axes.RULES, "along the same axes, named where they are stored"),
    **dict.fromkeys(windows.RULES, "over the same axes, with parameters and weights stored as these are"),
    **dict.fromkeys(products.RULES, "over the same axis, with rows, columns and weights stored otherwise"),
}


def behaviour(case: Case) -> Behaviour | None:
    """What an operator allows; None where it is not known, or takes something that is not known."""
    rule = RULES.get(case.operator)
    if rule is None:
        return None
    try:
        return rule(case)
    except (Unruled, IndexError, ValueError, TypeError):  # an operand that does not fit, which others tell better
        return None
