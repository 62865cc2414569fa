"""The ground under the algebra: monomials, digit steps, tables of digits; each against plain arithmetic."""

from fractions import Fraction
from itertools import permutations
from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layoutbridge.algebra.chains import compose, reduce_chain, same_map
from layoutbridge.algebra.digits import DigitStep, common_refinement
from layoutbridge.algebra.sizes import ONE, Domain, Size, product, whole_conditions
from layoutbridge.algebra.table import first_difference, gather_table, read_position, unravel
from layoutbridge.errors import ShapeError

ANY_SHAPE = Domain(0)
LENGTHS = st.lists(st.integers(1, 12), min_size=3, max_size=3)
SIZES = st.builds(
    lambda over, under, powers: Size(Fraction(over, under), tuple((a, e) for a, e in enumerate(powers) if e)),
    st.integers(1, 20),
    st.integers(1, 20),
    st.lists(st.integers(-2, 2), max_size=3),
)


@st.composite
def digit_steps(draw, largest=2000):
    """Constant digits, sizes 1 among them, in any order."""
    sizes = []
    for size in draw(st.lists(st.integers(1, 9), max_size=6)):
        if prod(sizes) * size <= largest:
            sizes.append(size)
    order = draw(st.permutations(range(len(sizes))))
    return DigitStep(tuple(Size.constant(size) for size in sizes), tuple(order))


def table_of(step):
    """The gather table by NumPy's own transpose."""
    sizes = [int(size.coefficient) for size in step.sizes]
    positions = np.arange(prod(sizes))
    return positions.reshape(sizes).transpose(step.order).reshape(-1) if sizes else positions


def with_strides(sizes, order):
    strides = [prod(sizes[k + 1 :]) for k in range(len(sizes))]
    return tuple((sizes[k], strides[k]) for k in order)


# ---------------------------------------------------------------------------------- sizes


@given(SIZES, SIZES, LENGTHS)
def test_sizes_multiply_and_divide_as_their_values_do(a, b, lengths):
    assert (a * b).evaluate(lengths) == a.evaluate(lengths) * b.evaluate(lengths)
    assert (a / b).evaluate(lengths) == a.evaluate(lengths) / b.evaluate(lengths)
    assert (a / b) * b == a
    assert (a / a).is_one
    assert a * b == b * a and hash(a * b) == hash(b * a)


@given(SIZES, st.lists(SIZES, min_size=3, max_size=3), LENGTHS)
def test_substitution_evaluates_inside_out(size, inner, lengths):
    substituted = size.substitute(dict(enumerate(inner)))
    assert substituted.evaluate(lengths) == size.evaluate([s.evaluate(lengths) for s in inner])


@given(SIZES, LENGTHS)
def test_the_text_of_a_size_means_the_size(size, lengths):
    numerator, *denominators = size.format(["a", "b", "c"]).replace("^", "**").split("/")
    values = dict(zip("abc", map(Fraction, lengths), strict=True))
    value = Fraction(eval(numerator, {}, values))
    for denominator in denominators:
        value /= eval(denominator, {}, values)
    assert value == size.evaluate(lengths)


def test_the_product_of_nothing_is_one():
    assert product([]) == ONE


@given(SIZES)
def test_only_sizes_that_can_fail_to_be_whole_are_conditions(size):
    always_whole = size.coefficient.denominator == 1 and all(power > 0 for _, power in size.powers)
    assert bool(whole_conditions([size])) == (not always_whole and not size.is_constant)


@given(st.lists(SIZES, max_size=3), SIZES)
def test_what_a_domain_says_is_whole_is_whole_at_every_shape_it_accepts(conditions, size):
    domain = Domain(3, whole_conditions(conditions))
    if not domain.implies_whole(size):
        return
    for shape in np.ndindex(7, 7, 7):
        lengths = [length + 1 for length in shape]
        if domain.violated(lengths) is None:
            assert size.evaluate(lengths).denominator == 1


def test_a_domain_knows_the_divisors_of_its_axes():
    height, three = Size.axis(1), Size.constant(3)
    domain = Domain(3, frozenset({height / Size.constant(4), height * three / Size.constant(6)}), ((2, 10),))
    assert [domain.divisor(axis) for axis in range(3)] == [1, 4, 10]
    assert domain.implies_whole(height * Size.axis(2) / Size.constant(40))
    assert not domain.implies_whole(height / three)
    assert not domain.implies_whole(Size.axis(0) / height)
    assert domain.violated((1, 6, 10)) == height / Size.constant(4)
    assert domain.violated((1, 8, 10)) is None


# ---------------------------------------------------------------------------------- digit steps


@given(digit_steps())
def test_the_inverse_of_a_step_undoes_its_table(step):
    there, back = table_of(step), table_of(step.inverse())
    np.testing.assert_array_equal(there[back], np.arange(there.size))
    assert step.inverse().inverse() == step


@given(digit_steps())
def test_the_normal_form_is_the_same_map_with_nothing_left_to_merge(step):
    normal = step.normalized()
    np.testing.assert_array_equal(table_of(normal), table_of(step))
    assert normal.normalized() == normal
    assert not any(size.is_one for size in normal.sizes)
    assert all(b != a + 1 for a, b in zip(normal.order, normal.order[1:], strict=False))


def test_the_normal_form_is_unique_at_known_sizes():
    """All digit permutations of 24 positions: equal tables and equal normal forms are the same thing."""
    forms = {}
    for sizes in [(24,), (2, 12), (12, 2), (2, 2, 6), (2, 3, 4), (4, 3, 2), (2, 6, 2), (2, 2, 2, 3), (3, 2, 2, 2)]:
        for order in permutations(range(len(sizes))):
            step = DigitStep(tuple(map(Size.constant, sizes)), order)
            forms.setdefault(tuple(table_of(step).tolist()), set()).add(step.normalized())
    assert all(len(same) == 1 for same in forms.values())
    assert len({next(iter(same)) for same in forms.values()}) == len(forms)


@given(st.integers(1, 5).flatmap(lambda n: st.tuples(st.permutations(range(n)), st.permutations(range(n)))), st.data())
def test_composition_is_one_table_after_the_other(orders, data):
    sizes = [data.draw(st.integers(1, 4)) for _ in orders[0]]
    first = DigitStep(tuple(map(Size.constant, sizes)), tuple(orders[0]))
    second = DigitStep(first.written_sizes, tuple(orders[1]))
    both = compose(first, second, ANY_SHAPE)
    np.testing.assert_array_equal(table_of(both), table_of(first)[table_of(second)])
    assert compose(first, first.inverse(), ANY_SHAPE).is_identity


@given(digit_steps(), digit_steps())
def test_chains_keep_their_map_when_they_are_reduced(first, second):
    size = table_of(first).size * table_of(second).size
    widened = DigitStep((*first.sizes, Size.constant(table_of(second).size)), (*first.order, len(first.sizes)))
    deepened = DigitStep(
        (Size.constant(table_of(first).size), *second.sizes), (0, *(source + 1 for source in second.order))
    )
    expected = table_of(widened)[table_of(deepened)]
    got = np.arange(size)
    for step in reduce_chain([widened, deepened], ANY_SHAPE):
        got = got[table_of(step)]
    np.testing.assert_array_equal(got, expected)
    undone = [widened, deepened, deepened.inverse(), widened.inverse()]
    assert reduce_chain(undone, ANY_SHAPE) == ()
    chain = reduce_chain([widened, deepened], ANY_SHAPE)
    assert same_map(chain, chain, ANY_SHAPE)


def test_digits_that_do_not_divide_each_other_have_no_common_cut():
    six = DigitStep((Size.constant(2), Size.constant(3)), (1, 0))
    other = DigitStep((Size.constant(2), Size.constant(3)), (1, 0))
    assert common_refinement(six.written_sizes, other.sizes, ANY_SHAPE) is None
    assert compose(six, other, ANY_SHAPE) is None
    assert len(reduce_chain([six, other], ANY_SHAPE)) == 2


def test_a_cut_that_only_some_shapes_allow_is_not_made():
    height = Size.axis(0)
    cut = (height / Size.constant(2), Size.constant(2))
    assert common_refinement([height], cut, Domain(1)) is None
    assert common_refinement([height], cut, Domain(1, frozenset({cut[0]}))) is not None


# ---------------------------------------------------------------------------------- tables


@given(st.lists(st.integers(2, 40), max_size=4), st.data())
def test_tables_are_numpys_transposes(sizes, data):
    if prod(sizes) > 300_000:
        return
    order = data.draw(st.permutations(range(len(sizes))))
    positions = np.arange(prod(sizes))
    expected = positions.reshape(sizes).transpose(order).reshape(-1) if sizes else positions
    table = gather_table(with_strides(sizes, order))
    assert table.dtype == np.int64 and table.flags.c_contiguous and table.flags.writeable
    np.testing.assert_array_equal(table, expected)


@pytest.mark.parametrize(
    ("sizes", "order"),
    [
        ((4095, 3), (1, 0)),
        ((3, 4097), (1, 0)),
        ((4096, 2, 5), (1, 0, 2)),
        ((2, 5000, 3), (2, 1, 0)),
        ((7, 2, 9001), (1, 2, 0)),
        ((100_003,), (0,)),
        ((2,) * 17, tuple(reversed(range(17)))),
        ((5000, 17), (1, 0)),
        ((61, 67, 71), (2, 0, 1)),
    ],
)
def test_tables_are_right_where_their_evaluation_is_cut_into_blocks(sizes, order):
    expected = np.arange(prod(sizes)).reshape(sizes).transpose(order).reshape(-1)
    np.testing.assert_array_equal(gather_table(with_strides(sizes, order)), expected)


@given(digit_steps(), st.data())
def test_the_first_difference_is_where_the_tables_first_differ(step, data):
    left = step.normalized()
    sizes = [int(size.coefficient) for size in step.sizes]
    order = tuple(data.draw(st.permutations(range(len(sizes)))))
    right = DigitStep(step.sizes, order).normalized()
    tables = table_of(left), table_of(right)
    if tables[0].size == 1:
        return
    digits = []
    for normal in (left, right):
        plain = [int(size.coefficient) for size in normal.sizes]
        digits.append(with_strides(plain, normal.order) if plain else ((tables[0].size, 1),))
    different = np.flatnonzero(tables[0] != tables[1])
    assert first_difference(*digits) == (int(different[0]) if different.size else None)
    for index in range(0, tables[0].size, 7):
        assert read_position(digits[0], index) == tables[0][index]


@given(st.lists(st.integers(1, 6), min_size=1, max_size=4), st.data())
def test_unravel_is_numpys(shape, data):
    index = data.draw(st.integers(0, prod(shape) - 1))
    assert unravel(index, shape) == tuple(int(k) for k in np.unravel_index(index, shape))


def test_unravel_and_reads_go_beyond_64_bits():
    assert unravel(10**40 + 3, (10**25, 10**20)) == (10**20, 3)
    assert read_position(((10**20, 1), (10**20, 10**20)), 10**20 + 5) == 5 * 10**20 + 1


def test_a_table_too_large_for_memory_is_refused_in_one_line():
    with pytest.raises(ShapeError, match=r"a table of \d+ entries needs [\d.]+ GiB, more than half of this machine"):
        gather_table(((2**30, 1), (2**30, 2**30)))
