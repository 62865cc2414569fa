"""One transpose as several: swaps of neighbouring blocks, and transposes of few axes."""

from functools import cache
from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layoutbridge.algebra.digits import DigitStep
from layoutbridge.algebra.moves import transpose
from layoutbridge.algebra.parts import block_swaps, in_parts, one_by_one, swap_chain, swapped
from layoutbridge.algebra.sizes import Size
from tests.numpy_moves import apply_move, counting

ORDERS = [order for count in range(2, 6) for order in permutations(range(count)) if order != tuple(range(count))]


def as_move(sizes, order):
    return transpose(DigitStep(tuple(map(Size.constant, sizes)), tuple(order)))


def in_numbers(move):
    return move.map_lengths(lambda size: int(size.coefficient))


def applied(moves, x):
    for move in moves:
        x = apply_move(in_numbers(move), x)
    return x.ravel()


def after_swaps(order, swaps):
    digits = tuple(range(len(order)))
    for swap in swaps:
        digits = swapped(digits, swap)
    return digits


@cache
def distances(count):
    """How many swaps of neighbouring blocks each order takes at least, by a search of all of them."""
    start = tuple(range(count))
    known, edge = {start: 0}, [start]
    while edge:
        reached = []
        for digits in edge:
            for a, b, c in combinations(range(count + 1), 3):
                after = digits[:a] + digits[b:c] + digits[a:b] + digits[c:]
                if after not in known:
                    known[after] = known[digits] + 1
                    reached.append(after)
        edge = reached
    return known


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: "".join(map(str, order)))
def test_swap_chains_make_the_order_in_the_fewest_swaps(order):
    chain = swap_chain(order)
    assert chain is not None, "three swaps make every order of five digits"
    assert after_swaps(order, chain) == order
    assert len(chain) == distances(len(order))[order]


@given(st.permutations(range(6)))
def test_six_digits_in_three_swaps_or_none(order):
    chain, fewest = swap_chain(tuple(order)), distances(6)[tuple(order)]
    if chain is None:
        assert fewest > 3
    elif fewest:
        assert len(chain) == fewest and after_swaps(order, chain) == tuple(order)


def test_orders_of_many_digits_are_not_searched():
    assert swap_chain(tuple(reversed(range(7)))) is None


@given(st.integers(1, 9).flatmap(lambda count: st.permutations(range(count))))
def test_one_by_one_makes_every_order(order):
    swaps = one_by_one(tuple(order))
    assert after_swaps(order, swaps) == tuple(order)
    assert len(swaps) < len(order)


@st.composite
def transposes(draw, most=7):
    count = draw(st.integers(2, most))
    sizes = draw(st.lists(st.integers(2, 3), min_size=count, max_size=count))
    return tuple(sizes), tuple(draw(st.permutations(range(count))))


@given(transposes())
def test_block_swaps_are_the_transpose(drawn):
    sizes, order = drawn
    x = counting(sizes)
    for swaps in (swap_chain(order), one_by_one(order)):
        if swaps is not None and order != tuple(range(len(order))):
            moves = block_swaps(as_move(sizes, order), swaps)
            assert (applied(moves, x) == x.transpose(order).ravel()).all()
            for move, (start, _, _) in zip(moves, swaps, strict=True):
                assert move.order[: start + 2] == (*range(start), start + 1, start)
                assert len(move.view) <= start + 3


@given(transposes(8), st.integers(4, 6))
def test_parts_are_the_transpose_on_few_axes(drawn, most):
    sizes, order = drawn
    parts = in_parts(as_move(sizes, order), most)
    x = counting(sizes)
    assert (applied(parts, x) == x.transpose(order).ravel()).all()
    assert all(len(part.view) <= most for part in parts)
    fewest = as_move(sizes, order)
    normal = DigitStep(fewest.view, fewest.order).normalized()
    assert len(parts) == 1 or len(normal.sizes) > most or not parts


def test_what_moves_nothing_has_no_parts():
    assert in_parts(as_move((2, 3), (0, 1)), 4) == []
    assert np.array_equal(applied([], counting((2, 3))), np.arange(6))
