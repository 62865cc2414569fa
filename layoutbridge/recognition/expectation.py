"""Is a target what it should be? If not, the smallest place that shows it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from layoutbridge.algebra.proof import prove
from layoutbridge.algebra.rearrangement import ParameterValue, Rearrangement
from layoutbridge.algebra.table import unravel
from layoutbridge.errors import LayoutBridgeError
from layoutbridge.operations.catalog import entry
from layoutbridge.recognition.answer import Identification
from layoutbridge.recognition.parameters import fitting_parameters
from layoutbridge.recognition.wrapping import PLAIN


def difference_from(found: Identification, name: str, parameters: Mapping[str, ParameterValue]) -> str | None:
    """How what was found differs from the entry called `name`, in a sentence; None where it is that.

    Parameters that are not given are those at which the entry suits the shapes, else the usual ones. Raises
    `UnknownNameError` and `ParameterError`.

    >>> import layoutbridge as lb
    >>> port = lb.identify(lb.op("pixel_unshuffle"), (1, 2, 4, 4))
    >>> print(difference_from(port, "space_to_depth", {}))
    input [2, 2, 2]: the result's element [1, 0, 0] comes from input [0, 0, 1] in the first and ...
    """
    entry(name).build(**parameters)
    alike = [match for match in found.matches if match.name == name]
    if any(all(match.parameters.get(key) == value for key, value in parameters.items()) for match in alike):
        return None
    if found.table is None or not found.is_permutation:
        return found.reason
    expected = _expected(found, name, parameters)
    if found.matches and found.wrapping == PLAIN:
        verdict = prove(found.matches[0].op, expected)
        return str(verdict.counterexample or verdict.argument[-1])
    return _first_place(found, expected)


def _expected(found: Identification, name: str, parameters: Mapping[str, ParameterValue]) -> Rearrangement:
    for form in entry(name).forms:
        for fitting in fitting_parameters(form, found.in_shape, found.out_shape):
            if all(fitting.get(key) == value for key, value in parameters.items()):
                return entry(name).build(**fitting)
    return entry(name).build(**parameters)


def _first_place(found: Identification, expected: Rearrangement) -> str | None:
    assert found.table is not None
    try:
        out_shape, table = expected.out_shape(found.in_shape), expected.table(found.in_shape)
    except LayoutBridgeError as error:
        return str(error)
    if found.out_shape is not None and found.out_shape != out_shape:
        return f"it gives shape {list(found.out_shape)} where {expected.label} gives {list(out_shape)}"
    different = np.flatnonzero(found.table.reshape(-1) != table)
    if not different.size:
        return None
    index = int(different[0])
    here, there = (list(unravel(int(t[index]), found.in_shape)) for t in (found.table.reshape(-1), table))
    what = f"input {list(found.in_shape)}: the result's element {list(unravel(index, out_shape))}"
    return f"{what} comes from {here}, in {expected.label} from {there}"
