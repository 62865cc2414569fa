"""A cause, as it is reported."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cause:
    """One fault of the candidate: what was `found` `at` a place of the reference instead of what was `expected`.

    `everywhere` are other places at which the same holds. The deviations are those from the candidate's tensor, as
    shares of its largest value, without the fault and with it, at the first of these places where it shows; 1 where
    the candidate has none of that size.
    """

    cause: str
    at: str
    found: str
    expected: str
    deviation_before: float
    deviation_after: float
    explanation: str
    fix: str
    everywhere: tuple[str, ...] = ()
