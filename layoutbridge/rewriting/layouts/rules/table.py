"""Every operator whose tensors may be stored otherwise, and its rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from layoutbridge.rewriting.layouts.cases import Case, Unruled
from layoutbridge.rewriting.layouts.forms import Behaviour
from layoutbridge.rewriting.layouts.rules import along_axes, elementwise, products, shaping, windows

RULES: Mapping[str, Callable[[Case], Behaviour]] = {
    **elementwise.RULES,
    **shaping.RULES,
    **along_axes.RULES,
    **windows.RULES,
    **products.RULES,
}


def behaviour(case: Case) -> Behaviour | None:
    """What an operator allows; None where it is not known, or takes something that is not known."""
    rule = RULES.get(case.operator)
    if rule is None:
        return None
    try:
        return rule(case)
    except Unruled:
        return None
