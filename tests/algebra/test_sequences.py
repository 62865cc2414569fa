"""Sequences of moves within what somebody has: exact, and in the fewest moves that a search without any trick finds."""

from itertools import combinations, pairwise, permutations
from math import prod

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from layoutbridge.algebra.digits import DigitStep
from layoutbridge.algebra.readings import PLAIN, REVERSED
from layoutbridge.algebra.sequences.steps import BLOCKS, Abilities
from layoutbridge.algebra.sequences.written import sequences
from layoutbridge.algebra.sizes import Domain, Size
from layoutbridge.algebra.table import digits_of, gather_table
from tests.numpy_moves import apply_moves, counting

TRANSPOSES = frozenset({"transpose"})
PARTS = frozenset({"split", "slice", "join"})
EVERYTHING = frozenset({*TRANSPOSES, *PARTS, *BLOCKS, "gather", "flip"})
MOST = 6


def as_step(sizes, order, readings=()):
    return DigitStep(tuple(map(Size.constant, sizes)), tuple(order), tuple(readings)).normalized()


def found(step, abilities, in_shape=(), result=()):
    sides = [tuple(map(Size.constant, shape)) for shape in (in_shape, result)]
    made = sequences(step, *sides, Domain(0), abilities, MOST)
    return [[move.map_lengths(lambda size: int(size.coefficient)) for move in moves] for moves in made]


def assert_does(moves, step, abilities):
    x = counting((prod(int(size.coefficient) for size in step.sizes),))
    np.testing.assert_array_equal(apply_moves(moves, x).ravel(), x[gather_table(digits_of(step))])
    assert all(len(shape) <= abilities.most_axes for move in moves for shape in (move.view, move.written))
    assert {f"{move.kind}_crd" if move.mode == "CRD" else move.kind for move in moves} <= abilities.kinds


def distances(count, most):
    """How many transposes of at most so many axes each order takes, by a search over all of them."""
    start = tuple(range(count))
    known, edge = {start: 0}, [start]
    while edge:
        reached = []
        for digits in edge:
            for axes in range(2, most + 1):
                for cuts in combinations(range(1, count), axes - 1):
                    groups = [digits[a:b] for a, b in pairwise((0, *cuts, count))]
                    for order in permutations(groups):
                        after = sum(order, ())
                        if after not in known:
                            known[after] = known[digits] + 1
                            reached.append(after)
        edge = reached
    return known


@pytest.mark.parametrize(("count", "most"), [(4, 2), (4, 3), (5, 3), (5, 4), (6, 4)])
def test_transposes_are_as_few_as_can_be(count, most):
    abilities = Abilities(TRANSPOSES, most)
    fewest = distances(count, most)
    for number, order in enumerate(permutations(range(count))):
        if count == 6 and number % 7:
            continue
        step = as_step((2, 3, 2, 3, 2, 3)[:count], order)
        made = found(step, abilities)
        if order not in fewest or fewest[order] > MOST:
            assert made == []  # two axes can only change places whole
            continue
        assert len(made[0]) == fewest[order] if not step.is_identity else made == [[]]
        for moves in made:
            assert_does(moves, step, abilities)


@st.composite
def steps(draw):
    count = draw(st.integers(2, 5))
    sizes = draw(st.lists(st.integers(2, 3), min_size=count, max_size=count))
    readings = draw(st.lists(st.sampled_from([PLAIN, PLAIN, REVERSED]), min_size=count, max_size=count))
    return as_step(sizes, draw(st.permutations(range(count))), readings if any(readings) else ())


@settings(max_examples=80, deadline=None)
@given(
    steps(),
    st.sampled_from([TRANSPOSES | {"flip"}, PARTS, frozenset({"gather"}), frozenset(BLOCKS) | {"gather"}, EVERYTHING]),
    st.integers(2, 5),
)
def test_every_kind_of_move_does_what_the_step_does(step, kinds, most):
    assume(not step.is_identity)
    abilities = Abilities(kinds, most, single_elements=True)
    made = found(step, abilities)
    if kinds & {"gather"} or (kinds == PARTS and most > 2):
        assert made, "positions of known lengths can always be listed, and parts be put anywhere"
    for moves in made:
        assert_does(moves, step, abilities)


@settings(max_examples=10, deadline=None)
@given(st.permutations(range(4)), st.integers(1, 3))
def test_without_views_moves_take_the_axes_as_they_lie(order, seed):
    lengths = np.random.default_rng(seed).integers(2, 4, 4).tolist()
    abilities = Abilities(EVERYTHING - {"transpose"}, 4, views=False, single_elements=True)
    step = as_step(lengths, order)
    result = [lengths[axis] for axis in order]
    for moves in found(step, abilities, lengths, result)[:3]:
        assert_does(moves, step, abilities)
        shapes = [tuple(lengths), *(shape for move in moves for shape in (move.view, move.written)), tuple(result)]
        assert all(before == after for before, after in list(pairwise(shapes))[::2])


def test_fewer_moves_than_there_are_give_nothing():
    step = as_step((2, 3, 2, 3, 2), (0, 2, 4, 1, 3))
    abilities = Abilities(TRANSPOSES, 4)
    assert len(found(step, abilities)[0]) == 2
    sides = ((), ())
    assert sequences(step, *sides, Domain(0), abilities, 1) == []


def test_an_open_length_passes_another_by_a_transpose_alone():
    step = DigitStep((Size.axis(0), Size.axis(1)), (1, 0))
    domain = Domain(2)
    assert sequences(step, (), (), domain, Abilities(EVERYTHING - TRANSPOSES, 4), MOST) == []
    assert len(sequences(step, (), (), domain, Abilities(EVERYTHING, 4), MOST)[0]) == 1
