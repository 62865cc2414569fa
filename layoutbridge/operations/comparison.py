"""`prove` of operations by name, pattern or expression, or as rearrangements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from layoutbridge.algebra import proof
from layoutbridge.algebra.proof import Proof
from layoutbridge.algebra.rearrangement import ParameterValue, Rearrangement
from layoutbridge.errors import ParameterError
from layoutbridge.operations.entry import CatalogEntry
from layoutbridge.operations.expressions import ChooseParameters, not_taken, read_expression, unused


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
    choose = parameters_for("prove", (first, second), parameters)

    def built(given: Rearrangement | str) -> Rearrangement:
        return read_expression(given).build(choose) if isinstance(given, str) else given

    return proof.prove(built(first), built(second))


def parameters_for(
    caller: str, given: Sequence[Rearrangement | str], parameters: Mapping[str, ParameterValue]
) -> ChooseParameters:
    """Which of the `parameters` of a call each entry takes that is named in what was `given`.

    Raises `UnknownNameError` and `PatternError` for text that is no expression, and `ParameterError`, which tells the
    `caller`, for a parameter that none of the entries takes.

    >>> from layoutbridge.operations.catalog import catalog
    >>> choose = parameters_for("prove", ("focus", "channel_shuffle"), {"stride": 2, "groups": 3})
    >>> choose(catalog()["channel_shuffle"])
    {'groups': 3}
    """
    expressions = [read_expression(each) for each in given if isinstance(each, str)]
    lost = unused([*parameters], expressions)
    if lost:
        entries = [found for expression in expressions for found in expression.entries]
        named = not_taken(entries[0], lost[0], "") if len(entries) == 1 else f"no entry in them takes {lost[0]}"
        raise ParameterError(f"{caller}: {named}")

    def chosen(entry: CatalogEntry) -> dict[str, ParameterValue]:
        return {name: value for name, value in parameters.items() if name in entry.parameters}

    return chosen
