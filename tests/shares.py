"""Long lists of parameters: which of them every run takes, which are slow, and which are only for being thorough."""

import pytest


def in_shares(values, *, every, quick=(), ids=None):
    """Parameters for pytest: those in `quick` in the default tests, of the others each `every`-th slow.

    What is left is thorough. `ids` are their names, one for each.

    >>> [[mark.name for mark in each.marks] for each in in_shares("abcde", every=2, quick="c")]
    [['slow'], ['thorough'], [], ['slow'], ['thorough']]
    """
    names = list(map(str, values)) if ids is None else list(ids)
    parameters, number = [], 0
    for value, name in zip(values, names, strict=True):
        own = ()
        if value not in quick:
            own = (pytest.mark.thorough if number % every else pytest.mark.slow,)
            number += 1
        parameters.append(pytest.param(value, id=name, marks=own))
    return parameters
