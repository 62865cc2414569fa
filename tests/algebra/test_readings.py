"""Digits that are read backwards or in an order: every step of the algebra against NumPy's own indexing."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layoutbridge import Rearrangement, factorize, prove
from layoutbridge.algebra.chains import compose, reduce_chain
from layoutbridge.algebra.digits import DigitStep, common_refinement
from layoutbridge.algebra.readings import PLAIN, REVERSED, as_reading, digits_of_order, inverse_reading, joined_readings
from layoutbridge.algebra.sizes import Domain, Size
from layoutbridge.algebra.table import digits_of, first_difference, gather_table, read_position
from layoutbridge.errors import PatternError, ShapeError

NO_AXES = Domain(0)


@st.composite
def steps(draw, total=None):
    """A step of known sizes, some of whose digits are read in any order."""
    sizes = []
    left = total if total is not None else draw(st.sampled_from([4, 6, 8, 12, 24, 36]))
    while left > 1:
        size = draw(st.sampled_from([d for d in range(2, left + 1) if left % d == 0]))
        sizes.append(size)
        left //= size
    readings = [draw(st.one_of(st.just(range(size)), st.permutations(range(size)))) for size in sizes]
    order = draw(st.permutations(range(len(sizes))))
    return DigitStep(tuple(map(Size.constant, sizes)), tuple(order), tuple(as_reading(tuple(r)) for r in readings))


def table_of(step):
    """The positions that a step reads, by NumPy's indexing and transpose alone."""
    sizes = [int(size.coefficient) for size in step.sizes]
    positions = np.arange(int(np.prod(sizes, dtype=int))).reshape(sizes or (1,))
    for axis, reading in enumerate(step.readings):
        values = (
            list(range(sizes[axis]))
            if not reading
            else list(range(sizes[axis]))[::-1]
            if reading == REVERSED
            else list(reading)
        )
        positions = positions.take(values, axis)
    return positions.transpose(step.order or (0,)).reshape(-1)


@given(steps())
def test_a_step_and_its_normal_form_read_the_same(step):
    wanted = table_of(step)
    normal = step.normalized()
    assert gather_table(digits_of(normal)).tolist() == wanted.tolist()
    assert [read_position(digits_of(normal), i) for i in range(wanted.size)] == wanted.tolist()
    back = normal.inverse().normalized()
    assert table_of(back)[wanted].tolist() == list(range(wanted.size))
    assert compose(normal, back, NO_AXES).is_identity


@given(steps(total=24), steps(total=24))
def test_two_steps_are_alike_where_their_tables_are(left, right):
    same = table_of(left).tolist() == table_of(right).tolist()
    assert (left.normalized() == right.normalized()) == same
    different = np.flatnonzero(table_of(left) != table_of(right))
    first = first_difference(digits_of(left.normalized()), digits_of(right.normalized()))
    assert first == (int(different[0]) if different.size else None)


@settings(max_examples=300)
@given(st.sampled_from([8, 12, 24, 36]).flatmap(lambda total: st.tuples(steps(total=total), steps(total=total))))
def test_a_chain_reads_what_its_steps_do(pair):
    first, second = pair
    wanted = table_of(first)[table_of(second)]
    chain = reduce_chain([first, second], NO_AXES)
    got = np.arange(wanted.size)
    for step in chain:
        got = got[gather_table(digits_of(step))]
    assert got.tolist() == wanted.tolist()
    if len(chain) == 2 and common_refinement(chain[0].written_sizes, chain[1].sizes, NO_AXES) is not None:
        assert factorize(wanted).digits is None


@given(st.integers(2, 7).flatmap(lambda size: st.tuples(*[st.permutations(range(size))] * 2)))
def test_readings_join_and_turn_round(orders):
    first, second = (as_reading(tuple(order)) for order in orders)
    assert joined_readings(first, second) == as_reading(tuple(np.array(orders[0])[list(orders[1])].tolist()))
    assert joined_readings(first, inverse_reading(first)) == PLAIN


def test_an_order_that_is_made_of_digits_is_written_as_those():
    assert digits_of_order((0, 2, 1, 3)) == ((2, 1, PLAIN), (2, 2, PLAIN))
    swapped = Rearrangement("(a b c) -> (a[0 2 1 3] b c), b=2, c=3, a=4")
    assert swapped == Rearrangement("(x y b c) -> (y x b c), x=2, y=2, b=2, c=3")
    assert Rearrangement("(a b) -> (a[1 0 3 2] b)") == Rearrangement("(x y b) -> (x y[::-1] b), x=2, y=2")


# ---------------------------------------------------------------------- patterns

X = np.random.default_rng(0).standard_normal((4, 6, 8))
EXAMPLES = [
    ("c h w -> c h w[::-1]", lambda x: x[:, :, ::-1]),
    ("c h w -> c h[::-1] w[::-1]", lambda x: x[:, ::-1, ::-1]),
    ("c h w -> c w[::-1] h", lambda x: np.rot90(x, 1, (1, 2))),
    ("c h w -> c w h[::-1]", lambda x: np.rot90(x, -1, (1, 2))),
    ("c h w -> c[0 2 3 1] h w", lambda x: x[[0, 2, 3, 1]]),
    ("c (g d) w -> c (g[1 0 2] d) w", lambda x: np.concatenate([x[:, 2:4], x[:, :2], x[:, 4:]], 1)),
    ("c (h p:2) (w q:2) -> (p[::-1] q c[2 0 1 3]) h w", lambda x: np.concatenate(
        [x[[2, 0, 1, 3], p::2, q::2] for p in (1, 0) for q in (0, 1)]
    )),
    ("C H W | a:3 b:C*H*W/3 -> b a[2 0 1] | C H W", lambda x: x.reshape(3, -1)[[2, 0, 1]].T.reshape(x.shape)),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "function"), EXAMPLES, ids=[pattern for pattern, _ in EXAMPLES])
def test_patterns(pattern, function):
    made = Rearrangement(pattern)
    wanted = function(X)
    np.testing.assert_array_equal(made(X), wanted)
    np.testing.assert_array_equal(made(np.stack([X, -X])), np.stack([wanted, -wanted]))
    np.testing.assert_array_equal(X.ravel()[made.table(X.shape)], wanted.ravel())
    np.testing.assert_array_equal(made.inverse()(np.ascontiguousarray(wanted)), X)
    assert made.then(made.inverse()).is_identity
    canonical = Rearrangement._from_parts(made.axes, made.in_shape, made.result_shape, made.steps, made.domain)
    assert Rearrangement(canonical.pattern) == made
    found = factorize(made.table(X.shape))
    assert found.rearrangement.table((X.size,)).tolist() == made.table(X.shape).tolist()
    assert "reversed" in found.reason or "order" in found.reason


@pytest.mark.parametrize("dtype", ["uint8", "float16", "complex128", "O", "U3"])
def test_any_array_is_copied(dtype):
    made = Rearrangement("c (g d) w -> c (g[1 0 2] d) w[::-1]")
    x = np.arange(4 * 6 * 8).reshape(4, 6, 8).astype(dtype)
    wanted = np.concatenate([x[:, 2:4], x[:, :2], x[:, 4:]], 1)[..., ::-1]
    np.testing.assert_array_equal(made(x), wanted)
    strided = np.asfortranarray(x)[::-1]
    np.testing.assert_array_equal(made(strided)[::-1], wanted)
    out = np.empty((8, 6, 4), dtype).T
    assert made(x, out=out) is out
    np.testing.assert_array_equal(out, wanted)
    assert made(x, out=x) is x
    np.testing.assert_array_equal(x, wanted)


def test_a_table_of_huge_numbers_has_no_digits():
    for table in ([0, 2**62, -(2**62), 7], [0, 1, 2**63 - 1, -(2**63)], [0, -1, -2, -3]):
        assert factorize(table).problem == "out of range"


def test_an_order_of_many_values():
    order = np.random.default_rng(1).permutation(200)
    made = Rearrangement(f"c w -> c[{' '.join(map(str, order))}] w")
    x = np.random.default_rng(2).standard_normal((200, 3))
    np.testing.assert_array_equal(made(x), x[order])


def test_proofs_speak_of_orders():
    flip = Rearrangement("c h w -> c h w[::-1]")
    turn = Rearrangement("c h w -> c w h[::-1]")
    assert prove(flip.then(flip), Rearrangement("c h w -> c h w")).for_all_sizes
    twice = turn.then(turn)
    assert prove(twice, Rearrangement("c h w -> c h[::-1] w[::-1]")).for_all_sizes
    verdict = prove(flip, Rearrangement("c h w -> c h w"))
    assert not verdict and verdict.counterexample.shape == (1, 1, 2)
    assert "2[::-1]" in verdict.explain()
    gates = Rearrangement("(g d) k -> (g[0 2 3 1] d) k")
    assert not prove(gates, Rearrangement("(g d) k -> (g[0 3 1 2] d) k"))
    assert prove(gates.then(gates).then(gates), Rearrangement("(g d) k -> (g d) k, g=4")).for_all_sizes


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("c h -> c h[0 2 1", "square brackets are unbalanced"),
        ("c h -> c h[0 0 1]", "the order of h must have each of 0 to 2 once, not 0 0 1"),
        ("c h -> c h[]", "is read neither backwards, [::-1], nor in an order"),
        ("c h -> c h[::2]", "is read neither backwards, [::-1], nor in an order"),
        ("c h -> c [1 0]", "is not a name"),
        ("c h -> c h[1 0] h[1 0]", "the axis h is repeated on the right"),
        ("c h -> c k[1 0]", "k on the right is unknown on the left"),
        ("c h[1 0] -> c h", "is not a name"),
        ("c (h p:3) -> c h p[1 0]", "the order of p lists 2 values, and its size is another"),
        ("c h -> c h[1 0], h=3", "h has 3 values, and its order lists 2"),
    ],
)
def test_patterns_that_cannot_be_read(pattern, told):
    with pytest.raises(PatternError, match=re.escape(told)):
        Rearrangement(pattern)


def test_an_order_tells_the_size_that_a_shape_must_have():
    with pytest.raises(ShapeError, match="C = 3 must be 4"):
        Rearrangement("c w -> c[0 2 3 1] w").table((3, 2))
    with pytest.raises(ShapeError, match="D = 6 is not a multiple of 4"):
        Rearrangement("(g d) w -> (g[0 2 3 1] d) w").table((6, 2))
