"""`prove` of operations by name, pattern or expression, or as rearrangements."""

from __future__ import annotations

from layoutbridge.algebra import proof
from layoutbridge.algebra.proof import Proof
from layoutbridge.algebra.rearrangement import ParameterValue, Rearrangement
from layoutbridge.errors import ParameterError
from layoutbridge.operations.entry import CatalogEntry
from layoutbridge.operations.expressions import not_taken, read_expression, unused


def prove(first: Rearrangement | str, second: Rearrangement | str, **parameters: ParameterValue) -> Proof:
    """Are `first` and `second` the same map for all sizes? If not, the answer has the smallest example that differs.

    Each is a `Rearrangement`, or text: a name of the catalogue, a pattern, or several with "then" between them. Named
    entries take those of the `parameters` that they have. Raises `UnknownNameError`, `PatternError`, `ShapeError`, and
    `ParameterError` for a parameter that neither takes.

    >>> prove("darknet_reorg3d", "space_to_depth", stride=4).for_all_sizes
    True
    >>> verdict = prove("focus", "space_to_depth")
    >>> verdict.equal, verdict.counterexample.shape
    (False, (1, 2, 2))
    """
    expressions = [read_expression(each) for each in (first, second) if isinstance(each, str)]
    lost = unused([*parameters], expressions)
    if lost:
        entries = [found for expression in expressions for found in expression.entries]
        named = not_taken(entries[0], lost[0], "") if len(entries) == 1 else f"no entry in them takes {lost[0]}"
        raise ParameterError(f"prove: {named}")

    def chosen(entry: CatalogEntry) -> dict[str, ParameterValue]:
        return {name: value for name, value in parameters.items() if name in entry.parameters}

    def built(given: Rearrangement | str) -> Rearrangement:
        return read_expression(given).build(chosen) if isinstance(given, str) else given

    return proof.prove(built(first), built(second))
