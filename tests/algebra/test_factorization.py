"""From tables back to digits: every answer against brute force over all digit permutations."""

import random
from functools import cache
from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layoutbridge import catalog, factorize, op
from layoutbridge.algebra.table import gather_table
from layoutbridge.errors import UnusableInputError
from tests.pictures import pictures


def ordered_factors(total):
    if total == 1:
        yield ()
    for first in range(2, total + 1):
        if total % first == 0:
            for others in ordered_factors(total // first):
                yield (first, *others)


@cache
def all_digit_tables(total):
    """Every digit permutation of `total` positions, by NumPy's transpose."""
    positions = np.arange(total)
    return frozenset(
        tuple(positions.reshape(sizes).transpose(order).reshape(-1).tolist())
        for sizes in ordered_factors(total)
        for order in permutations(range(len(sizes)))
    )


def orders_of(size, total):
    """Each way to read a digit of `size`: all orders where there are other digits, plainly and backwards else."""
    return permutations(range(size)) if size < total else (range(size), range(size - 1, -1, -1))


@cache
def all_read_tables(total):
    """Every digit permutation whose digits are read in any order, by NumPy's transpose and indexing."""
    tables = set()
    positions = np.arange(total)
    for sizes in ordered_factors(total):
        for order in permutations(range(len(sizes))):
            written = positions.reshape(sizes).transpose(order)
            for orders in product(*(orders_of(size, total) for size in written.shape)):
                tables.add(tuple(written[np.ix_(*map(list, orders))].reshape(-1).tolist()))
    return frozenset(tables)


def first_unfitting(table):
    """The first entry up to which no digit permutation agrees with the table."""
    return max(
        next(i for i, (a, b) in enumerate(zip(table, t, strict=True)) if a != b) for t in all_digit_tables(len(table))
    )


def check_by_brute_force(table):
    """Everything that a factorization says, against the table itself."""
    table = [int(k) for k in table]
    total, found = len(table), factorize(np.array(table))
    assert found.size == total
    assert len(found.explain().splitlines()) == 1
    outside = [i for i, k in enumerate(table) if not 0 <= k < total]
    if outside:
        assert found.problem == "out of range"
        assert found.positions == tuple(outside[:8])
        assert (
            f"entry {outside[0]} is {table[outside[0]]}, outside 0 to {total - 1}; {len(outside)} such" in found.reason
        )
    elif len(set(table)) < total:
        first = next(i for i, k in enumerate(table) if k in table[i + 1 :])
        readers = [i for i, k in enumerate(table) if k == table[first]]
        lost = sorted(set(range(total)) - set(table))
        assert found.problem == "repeats"
        assert found.positions == tuple(readers[:8]) and found.lost == tuple(lost[:8])
        assert f"position {table[first]} is read" in found.reason
        assert f"at {readers[0]} and {readers[1]}" in found.reason
        assert f"nothing reads {lost[0]}" in found.reason and f"({len(lost)} of {total} positions lost)" in found.reason
    elif tuple(table) in all_digit_tables(total):
        assert found.problem is None and found.is_permutation and found.digits is not None
        assert gather_table(found.digits).tolist() == table
        assert found.rearrangement.table((total,)).tolist() == table
    elif total <= 8 and tuple(table) in all_read_tables(total):
        assert found.problem is None and found.is_permutation and any(len(digit) == 3 for digit in found.digits)
        assert gather_table(found.digits).tolist() == table
        assert found.rearrangement.table((total,)).tolist() == table
    elif total > 8 and found.problem is None:
        assert any(len(digit) == 3 for digit in found.digits)
        assert gather_table(found.digits).tolist() == table
    else:
        assert found.problem == "not mixed-radix" and found.is_permutation
        assert found.positions == (first_unfitting(table),)
        assert f"entry {found.positions[0]} is {table[found.positions[0]]}" in found.reason
    if found.problem is not None:
        assert found.digits is None and found.rearrangement is None and found.pattern is None
    assert found.is_permutation == (sorted(table) == list(range(total)))


@pytest.mark.parametrize("total", range(1, 8))
def test_every_permutation_of_a_few_positions(total):
    for table in permutations(range(total)):
        check_by_brute_force(table)


@pytest.mark.parametrize("total", [2, 3, 4, 6, 8])
def test_digits_read_in_any_order_are_found(total):
    """Each has one normal form: two tables are alike where their digits are."""
    digits = {factorize(table).digits for table in map(np.array, all_read_tables(total))}
    assert None not in digits and len(digits) == len(all_read_tables(total))


@pytest.mark.parametrize("total", [1, 2, 3, 4])
def test_every_table_of_a_few_positions(total):
    for index in np.ndindex(*[total + 2] * total):
        check_by_brute_force([k - 1 for k in index])


@pytest.mark.parametrize("total", [8, 12, 16, 24, 30, 36])
def test_every_digit_permutation_round_trips(total):
    for table in all_digit_tables(total):
        check_by_brute_force(table)


@pytest.mark.parametrize("total", [8, 9, 12, 16, 24, 30, 36])
def test_a_digit_permutation_with_two_entries_swapped(total):
    draw = random.Random(total)
    tables = sorted(all_digit_tables(total))
    for _ in range(300):
        table = list(draw.choice(tables))
        i, j = draw.sample(range(total), 2)
        table[i], table[j] = table[j], table[i]
        check_by_brute_force(table)


@pytest.mark.parametrize("total", [8, 12, 24, 36])
def test_a_digit_permutation_with_some_entries_overwritten(total):
    draw = random.Random(total)
    tables = sorted(all_digit_tables(total))
    for _ in range(300):
        table = list(draw.choice(tables))
        for _ in range(draw.randint(1, 3)):
            table[draw.randrange(total)] = draw.randint(-1, total)
        check_by_brute_force(table)


@settings(max_examples=100)
@given(st.integers(1, 24).flatmap(lambda total: st.permutations(range(total))))
def test_random_permutations(table):
    check_by_brute_force(table)


@settings(max_examples=100)
@given(st.lists(st.integers(-2, 12), min_size=1, max_size=12))
def test_random_tables(table):
    check_by_brute_force(table)


@st.composite
def digit_tables(draw, largest=60_000):
    """Larger tables than brute force can list, with the digits behind them."""
    sizes = []
    for size in draw(st.lists(st.integers(1, 50), max_size=7)):
        if np.prod([*sizes, size]) <= largest:
            sizes.append(size)
    order = draw(st.permutations(range(len(sizes))))
    positions = np.arange(int(np.prod(sizes, dtype=np.int64)))
    return (positions.reshape(sizes).transpose(order) if sizes else positions).reshape(-1)


@given(digit_tables())
def test_larger_tables_round_trip(table):
    found = factorize(table)
    assert found.problem is None
    np.testing.assert_array_equal(gather_table(found.digits) if found.digits else np.zeros(1), table)
    np.testing.assert_array_equal(found.rearrangement.table((table.size,)), table)
    assert all(size > 1 for size, _ in found.digits)
    inverse = factorize(np.argsort(table))
    assert inverse.rearrangement == found.rearrangement.inverse()


@given(digit_tables(), st.data())
def test_a_larger_table_with_one_swap_is_a_permutation_but_no_digits(table, data):
    if table.size < 5:
        return
    i = data.draw(st.integers(0, table.size - 2))
    j = data.draw(st.integers(i + 1, table.size - 1))
    swapped = table.copy()
    swapped[[i, j]] = swapped[[j, i]]
    found = factorize(swapped)
    if found.problem is None:  # two digits of 2 and 3 may swap into each other
        np.testing.assert_array_equal(gather_table(found.digits), swapped)
    else:
        assert found.problem == "not mixed-radix"
        assert found.positions[0] >= min(i, 1)


def test_one_wrong_entry_deep_inside_is_found_where_it_is():
    table = op("darknet_reorg").table((64, 52, 52))
    for place in (100_000, table.size - 2):
        swapped = table.copy()
        swapped[[place, place + 1]] = swapped[[place + 1, place]]
        assert factorize(swapped).positions == (place,)
        repeated = table.copy()
        repeated[place] = repeated[place + 1]
        found = factorize(repeated)
        assert found.positions == (place, place + 1) and found.lost == (int(table[place]),)
        outside = table.copy()
        outside[place] = table.size
        assert factorize(outside).positions == (place,)


@pytest.mark.parametrize("name", pictures())
@pytest.mark.parametrize("value", [2, 3])
def test_the_catalogues_tables_give_their_digits_back(name, value):
    made = catalog()[name].build_at(value)
    shape = tuple(made.domain.divisor(axis) * k for axis, k in enumerate((2, 2, 3)))
    for full in (shape, (2, *shape)):
        found = factorize(made.table(full))
        assert found.digits == made.bind(full).digits
        assert found.problem is None


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", ">i4", ">u8", np.intp, np.longlong])
def test_any_integer_dtype_and_layout(dtype):
    for table in ([0, 2, 4, 1, 3, 5], [0, 1, 2, 3], [5, 4, 3, 2, 1, 0], [0, 1, 1, 3], [0, 100, 2], [0]):
        array = np.array(table, dtype)
        expected = factorize(np.array(table))
        assert factorize(array) == expected
        assert factorize(array.reshape(1, -1, 1)) == expected
        assert factorize(np.repeat(array, 2)[::2]) == expected
        assert factorize(array[::-1].copy()[::-1]) == expected
        frozen = array.copy()
        frozen.flags.writeable = False
        assert factorize(frozen) == expected
    assert factorize([0, 2, 4, 1, 3, 5]) == factorize(((0, 2, 4), (1, 3, 5)))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint64])
def test_differences_that_wrap_around_are_no_digits(dtype):
    """In uint8, 0, 255, 254, ... grows evenly by 255."""
    down = [0, *range(255, 0, -1)]
    assert factorize(np.array(down, dtype)).problem == "not mixed-radix"
    check_by_brute_force(down[:1] + list(range(35, 0, -1)))


@pytest.mark.parametrize(
    ("table", "position", "value"),
    [
        (np.array([0, 2**63], np.uint64), 1, 2**63),
        (np.array([0, 2**64 - 1, 1], np.uint64), 1, 2**64 - 1),
        (np.array([0, -1, 1]), 1, -1),
        (np.array([-(2**63), 1]), 0, -(2**63)),
        (np.array([0, 2**63 - 1]), 1, 2**63 - 1),
        (np.array([2**62, 2**63 - 1, 0, 0]), 0, 2**62),
        (np.array([0, 2**62, -(2**63), 2**62]), 1, 2**62),
        (np.array([0, 1, 2, 3, 4, 5, 6, -128], np.int8), 7, -128),
    ],
    ids=str,
)
def test_entries_far_outside_are_named(table, position, value):
    found = factorize(table)
    assert found.problem == "out of range"
    assert (
        found.positions[0] == position and f"entry {position} is {value}, outside 0 to {table.size - 1}" in found.reason
    )


@pytest.mark.parametrize(
    ("table", "what"),
    [
        ([], "empty"),
        (np.zeros((0, 3), int), "empty"),
        ([0.0, 1.0], "float64"),
        ([0, 1.5], "float64"),
        ([True, False], "bool"),
        (["0", "1"], "<U1"),
        ("01", "<U2"),
        (None, "object"),
        ([0, None], "object"),
        ([0, 2**64], "not"),
        ([0, 10**30], "object"),
        ([[0], [1, 2]], "not an array"),
        ([0j, 1], "complex"),
        (np.array(["2020-01-01"], "M8[D]"), "datetime"),
        (np.array([(0, 1)], [("a", int), ("b", int)]), "integers"),
        ({0: 1}, "object"),
        (object(), "object"),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, str) else "",
)
def test_what_is_no_table_of_integers_is_refused_in_one_line(table, what):
    with pytest.raises(UnusableInputError) as error:
        factorize(table)
    assert what in str(error.value) and len(str(error.value).splitlines()) == 1


def test_one_position_and_one_number():
    for table in ([0], 0, np.int64(0), [[0]]):
        found = factorize(table)
        assert found.digits == () and found.is_permutation
        assert found.rearrangement.is_identity
    assert factorize([1]).problem == "out of range"


def test_a_factorization_tells_its_digits_and_its_pattern():
    found = factorize(op("nchw_to_nhwc").table((2, 3, 4)))
    assert found.digits == ((12, 1), (2, 12))
    assert "12 (stride 1), 2 (stride 12)" in found.explain()
    assert found.pattern == "n | a:2 b:12 -> b a | 24, n=24"
    assert factorize(range(5)).explain() == "every element stays in its place"


def test_long_lists_of_positions_are_cut():
    found = factorize(np.zeros(100, int))
    assert found.positions == tuple(range(8)) and found.lost == tuple(range(1, 9))
    assert "read 100 times" in found.reason and "99 of 100 positions lost" in found.reason
    assert len(factorize(np.full(100, 100)).positions) == 8


@pytest.mark.parametrize("size", [2**16 - 1, 2**16, 2**16 + 1, 2**17 + 3])
def test_places_beyond_the_first_chunk_are_exact(size):
    for place in (0, 63, 64, 65, 2**16 - 3, size - 2):
        table = np.arange(size)
        table[[place, place + 1]] = table[[place + 1, place]]
        assert factorize(table).positions == (place,)
        table = np.arange(size)
        table[place + 1] = place
        found = factorize(table)
        assert found.positions == (place, place + 1) and found.lost == (place + 1,)
