"""Names for digits: every entry at every parameter that its own domain accepts, and at no other."""

from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

import layoutbridge as lb
from layoutbridge.errors import LayoutBridgeError
from layoutbridge.recognition.naming import Match, matches
from layoutbridge.recognition.parameters import fitting_parameters
from tests.pictures import pictures


@pytest.fixture
def registered():
    """Registers entries for one test."""
    names = []

    def register(name, pattern, **parameters):
        names.append(lb.register(name, pattern, **parameters).name)

    yield register
    for name in names:
        lb.unregister(name)


def found(name, shape, **parameters):
    bound = lb.op(name, **parameters).bind(shape)
    return {(match.name, tuple(match.parameters.items())) for match in matches(bound.digits, shape, bound.out_shape)}


@pytest.mark.parametrize(
    ("pattern", "parameters", "at", "shape"),
    [
        ("t (h p:s) w -> (p t) h w", {"stride": 2}, {"stride": 4}, (1, 3, 8, 5)),  # blocks of rows alone
        ("t (h p:s) w -> (p t) h w", {"stride": 2}, {"stride": 4}, (3, 8, 5)),
        ("c h (w q:s) -> c h q w", {"stride": 2}, {"stride": 5}, (7, 3, 35)),  # w alone, longer than all before
        ("(n w:s) c -> w n c", {"stride": 2}, {"stride": 6}, (12, 5)),  # two axes
        ("b (h p:s) (w q:s) c -> (b p q) h w c", {"stride": 2}, {"stride": 3}, (2, 6, 9, 5)),  # four axes
        ("b t (h p:s) w c -> b (t p) h w c", {"stride": 2}, {"stride": 3}, (2, 3, 6, 5, 4)),  # five
        ("(k:g c) h w -> (c k) h w", {"groups": 2}, {"groups": 5}, (1, 15, 3, 2)),
        ("(n k:window) c -> (k n) c", {"window": 3}, {"window": 7}, (14, 3)),  # a parameter of another name
        ("(h p:rows) (w q:columns) -> (p q) h w", {"rows": 2, "columns": 3}, {"rows": 3, "columns": 2}, (9, 10)),
    ],
)
def test_an_entry_s_own_domain_decides(registered, pattern, parameters, at, shape):
    registered("own", pattern, **parameters)
    assert ("own", tuple(at.items())) in found("own", shape, **at)
    identified = lb.identify(lb.op("own", **at), shape=shape)
    assert "own" in identified.names
    assert {match.name: dict(match.parameters) for match in identified.matches}["own"] == at


def test_a_parameter_that_changes_nothing_is_no_name():
    identity = lb.op("channel_shuffle", groups=6).bind((1, 6, 2, 2))
    assert matches(identity.digits, (1, 6, 2, 2), (1, 6, 2, 2)) == ()
    assert found("space_to_depth", (1, 1, 2, 2), stride=2)  # no element moves, but the shape is another


@given(
    shape=st.tuples(st.integers(1, 2), st.integers(1, 9), st.integers(1, 6), st.integers(1, 6)),
    entry=st.sampled_from(sorted(pictures())),
    value=st.integers(2, 3),
)
def test_the_search_misses_none(shape, entry, value):
    """Against every entry at every number up to the tensor's size, tried one by one."""
    try:
        bound = lb.catalog()[entry].build_at(value).bind(shape)
    except LayoutBridgeError:
        return
    if bound.digits is None:
        return
    tried = set()
    for name, other in pictures().items():
        for number in range(2, prod(shape) + 1) if other.forms[0].letters else (1,):
            parameters = dict(other.build_at(number).parameters)
            try:
                held = lb.op(name, **parameters).bind(shape)
            except LayoutBridgeError:
                continue
            unmoved = parameters and len(held.digits or ()) <= 1 and held.out_shape == shape
            if held.digits == bound.digits and held.out_shape == bound.out_shape and not unmoved:
                tried.add((name, tuple(parameters.items())))
    listed = matches(bound.digits, shape, bound.out_shape)
    assert {(match.name, tuple(match.parameters.items())) for match in listed} == tried
    assert all(isinstance(match, Match) for match in listed)


def test_several_parameters_are_found_without_trying_all(registered):
    """Each of three is chosen by the conditions that name it: the entry is built at few values, not at thousands."""
    registered("three", "(c r:planes) (h p:rows) (w q:columns) -> (p q r c) h w", planes=2, rows=2, columns=2)
    at = {"planes": 5, "rows": 4, "columns": 6}
    shape = (2, 60, 720, 720)
    bound = lb.op("three", **at).bind(shape)
    tried = list(fitting_parameters(lb.catalog()["three"].forms[0], shape, bound.out_shape))
    assert at in tried
    assert len(tried) <= 12  # the divisors of 60
    found = {match.name: dict(match.parameters) for match in matches(bound.digits, shape, bound.out_shape)}
    assert found["three"] == at
