"""`assert_same_model`: two models give the same on one input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from layoutbridge.comparing.comparison import Comparison, compare
from layoutbridge.errors import visible
from layoutbridge.report.comparisons import everywhere_lines, folded_rows, verdict_lines
from layoutbridge.scanning.graphs.sizes import Shapes
from layoutbridge.testing.checks import Check, described, settle


def assert_same_model(
    reference: object,
    candidate: object,
    x: NDArray[Any] | Mapping[str, NDArray[Any]] | None = None,
    *,
    flavor: str = "alexey",
    shape: Shapes = None,
    tolerance: float | None = None,
    seed: int = 0,
) -> None:
    """Raise `AssertionError` unless two models are equal, as `layoutbridge.compare` finds, with the same arguments.

    The message has the first place where they part and, for each cause, what was found, what was expected, and what to
    change. What cannot be compared at all raises a `LayoutBridgeError`, as `compare` does.

    >>> import layoutbridge as lb
    >>> folder = "fixtures/nets/pjreddie/passthrough"
    >>> net = lb.darknet.load(f"{folder}/net.cfg", f"{folder}/net.weights", flavor="pjreddie")
    >>> assert_same_model(net, net)
    """
    __tracebackhide__ = True

    def check() -> Check:
        found = compare(reference, candidate, x, flavor=flavor, shape=shape, tolerance=tolerance, seed=seed)
        return _check(compared, described(candidate), found)

    compared = f"{described(candidate)} and {described(reference)}"
    settle(compared, check)


def _check(compared: str, candidate: str, found: Comparison) -> Check:
    if found.equal:
        return Check(visible(compared), "same")
    lines = [f"{candidate} is another model than {found.reference}", *verdict_lines(found)]
    for cause in found.causes:
        lines += [f"{cause.cause} at {cause.at}", f"  found: {cause.found}", f"  expected: {cause.expected}"]
        lines += [f"  {line}" for line in (f"to do: {cause.fix}", *everywhere_lines(cause))]
    rows, is_first = zip(*folded_rows(found), strict=True)
    marked = tuple(index for index, first in enumerate(is_first) if first)
    columns = ("reference", "candidate", "relation", "deviation")
    shown = tuple(tuple(map(visible, row)) for row in rows)
    return Check(visible(compared), "differs", _in_lines(lines), columns, shown, marked)


def _in_lines(lines: list[str]) -> tuple[str, ...]:
    return tuple(visible(part) for line in lines for part in line.split("\n"))
