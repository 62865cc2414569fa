"""Which shapes fit, and the one sentence about one that does not, with lengths that are known in part."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layoutbridge import Rearrangement, op
from layoutbridge.algebra.fitting import read_lengths, read_open_lengths, refuse_misfit
from layoutbridge.errors import ShapeError
from tests.pictures import pictures

OPS = [
    *(entry.build_at(s) for entry in pictures().values() for s in (2, 3)),
    Rearrangement("c h w -> h w c, c=3"),
    Rearrangement("A B | k:A/B b:B c:B -> k c b | A B"),
    Rearrangement("A B | x:A*B/6 y:6 -> y x | 6 A*B/6"),
]


def complaint(op, lengths, **options):
    """What is wrong with `lengths`, or None."""
    try:
        refuse_misfit(op, lengths, **options)
    except ShapeError as error:
        return str(error)
    return None


@st.composite
def ops_and_shapes(draw):
    chosen = draw(st.sampled_from(OPS))
    rank = chosen.rank + draw(st.integers(0, 1))
    return chosen, tuple(draw(st.lists(st.integers(1, 20), min_size=rank, max_size=rank)))


@given(ops_and_shapes())
def test_what_fits_is_what_binds_and_says_the_same(drawn):
    rearrangement, shape = drawn
    try:
        rearrangement.bind(shape)
    except ShapeError as error:
        assert complaint(rearrangement, shape) == str(error)
        assert f"does not take shape {shape}: " in str(error)
    else:
        assert complaint(rearrangement, shape) is None


@given(ops_and_shapes(), st.sets(st.integers(0, 3)))
def test_an_open_length_never_refuses_what_fits(drawn, opened):
    rearrangement, shape = drawn
    lengths = tuple(None if axis in opened else length for axis, length in enumerate(shape))
    if complaint(rearrangement, shape) is None:
        assert complaint(rearrangement, lengths) is None


@given(ops_and_shapes(), st.sets(st.integers(0, 3)))
def test_a_complaint_about_open_lengths_holds_for_every_length_that_fills_them(drawn, opened):
    rearrangement, shape = drawn
    lengths = tuple(None if axis in opened else length for axis, length in enumerate(shape))
    said = complaint(rearrangement, lengths)
    if said is None:
        return
    for filling in (1, 36, 5040):
        filled = tuple(filling if length is None else length for length in lengths)
        assert complaint(rearrangement, filled) is not None
    shown = f"({', '.join('?' if length is None else str(length) for length in lengths)})"
    assert shown in said


@pytest.mark.parametrize(
    ("lengths", "said"),
    [
        ((1, 64, 5, 26), "does not take shape (1, 64, 5, 26): H = 5 is not a multiple of 2"),
        ((None, 64, 5, None), "does not take shape (?, 64, 5, ?): H = 5 is not a multiple of 2"),
        ((None, None, None, 3), "does not take shape (?, ?, ?, 3): W = 3 is not a multiple of 2"),
        ((6, None, None), "does not take shape (6, ?, ?): C = 6 is not a multiple of 4"),
        ((None, 3, 4, 4), "does not take shape (?, 3, 4, 4): C = 3 is not a multiple of 4; with C = 3 below stride²"),
        ((None, 3, None, 4), "does not take shape (?, 3, ?, 4): C = 3 is not a multiple of 4"),
        ((4, None), "takes 3 axes [C, H, W], or 4 with a batch axis in front, and shape (4, ?) has 2"),
        ((None, 4, 0, 4), "every length in shape (?, 4, 0, 4) must be at least 1"),
        ((2**40, None, 2**40, 4), "shape (1099511627776, ?, 1099511627776, 4) has"),
    ],
)
def test_the_sentence(lengths, said):
    text = complaint(op("darknet_reorg"), lengths)
    assert text is not None and text.startswith("darknet_reorg (stride 2)")
    assert said in text


def test_without_a_number_nothing_is_added():
    """What Darknet itself would do is known for a whole shape only."""
    assert "Darknet" in (complaint(op("darknet_reorg"), (None, 3, 4, 4)) or "")
    assert "Darknet" not in (complaint(op("darknet_reorg"), (None, 3, None, 4)) or "Darknet")


@pytest.mark.parametrize(
    ("pattern", "lengths", "said"),
    [
        ("c h w -> h w c, c=3", (None, 4, 5, 5), "(?, 4, 5, 5): C = 4 must be 3"),
        ("A B | k:A/B b:B c:B -> k c b | A B", (3, 2), "(3, 2): A/B = 1.5 must be a whole number"),
        ("A B | x:A*B/6 y:6 -> y x | 6 A*B/6", (None, 3, 5), "(?, 3, 5): A*B/6 = 2.5 must be a whole number"),
    ],
)
def test_fixed_lengths_and_conditions_over_several_axes(pattern, lengths, said):
    assert said in (complaint(Rearrangement(pattern), lengths) or "")


def test_a_condition_with_an_open_axis_is_not_asked():
    assert complaint(Rearrangement("A B | x:A*B/6 y:6 -> y x | 6 A*B/6"), (None, 3, None)) is None


def test_where_a_batch_axis_must_be_there():
    focus = op("focus")
    assert complaint(focus, (3, 4, 4)) is None
    assert complaint(focus, (3, 4, 4), batch_required=True) == (
        "focus (stride 2) takes 4 axes [N, C, H, W], the batch axis in front, and shape (3, 4, 4) has 3"
    )
    assert complaint(focus, (4, 4), batch_required=True) == complaint(focus, (4, 4))
    taken = Rearrangement("N c -> c N")
    assert "[batch, N, C]" in (complaint(taken, (2, 2), batch_required=True) or "")


def test_axes_that_may_be_empty():
    focus = op("focus")
    assert complaint(focus, (0, 3, 4, 4), may_be_empty=(0,)) is None
    assert "at least 1" in (complaint(focus, (0, 3, 0, 4), may_be_empty=(0,)) or "")
    assert complaint(focus, (0, 3, 0, None), may_be_empty=range(4)) is None
    assert "at least 1" in (complaint(focus, (-1, 3, 4, 4), may_be_empty=(0,)) or "")


def test_reading_lengths():
    focus = op("focus")
    assert read_lengths(focus, (np.int64(3), 4, 4)) == (3, 4, 4)
    assert [type(length) for length in read_open_lengths(focus, (None, np.int32(3), None, 4))] == [
        type(None), int, type(None), int,
    ]  # fmt: skip
    for unreadable in ((4, True, 4), (4, 4.0, 4), ("4", None, 4)):
        with pytest.raises(ShapeError, match="a shape is a list of whole numbers"):
            read_open_lengths(focus, unreadable)
    with pytest.raises(ShapeError, match=r"\(1, 3, \?, 5\): W = 5 is not a multiple of 2"):
        read_open_lengths(focus, (1, 3, None, 5))
