"""How a tensor holds a value: layouts against NumPy, without Keras."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layoutbridge.algebra.digits import DigitStep
from layoutbridge.algebra.moves import transpose
from layoutbridge.algebra.parts import in_parts
from layoutbridge.algebra.sizes import Size
from layoutbridge.frameworks.tensorflow.layout import (
    AxisView,
    axes_in_order,
    axes_moved,
    fits_dimensions,
    in_memory_order,
    layout_after,
    layout_with_length,
    pieces_in_memory,
    steps_at,
    steps_between,
    steps_through,
    view_along,
)
from tests.numpy_moves import apply_move, counting, ops_and_items


def memory_of(shape, layout):
    """The flat positions of a value of `shape` in the order of memory, from the meaning of its digits alone."""
    flat = counting(shape).ravel()
    for step in layout:
        flat = flat.reshape([int(size.coefficient) for size in step.sizes]).transpose(step.order).ravel()
    return flat


@st.composite
def shapes_and_orders(draw, most=4, lengths=(1, 2, 3, 4, 6)):
    rank = draw(st.integers(1, most))
    shape = tuple(draw(st.lists(st.sampled_from(lengths), min_size=rank, max_size=rank)))
    return shape, tuple(draw(st.permutations(range(rank))))


@st.composite
def shapes_and_layouts(draw):
    """A shape, and a layout whose digits cut its axes into factors and permute them."""
    shape, _ = draw(shapes_and_orders(3))
    factors = [factor for length in shape for factor in draw(st.sampled_from(FACTORS[length]))]
    order = draw(st.permutations(range(len(factors))))
    return shape, axes_in_order(tuple(factors), tuple(order))


FACTORS = {1: [(1,)], 2: [(2,)], 3: [(3,)], 4: [(4,), (2, 2)], 6: [(6,), (2, 3), (3, 2)]}


@given(shapes_and_orders())
def test_axes_in_order(drawn):
    shape, order = drawn
    layout = axes_in_order(shape, order)
    assert (memory_of(shape, layout) == counting(shape).transpose(order).ravel()).all()
    longer = [axis for axis in order if shape[axis] > 1]
    assert (layout == ()) == (longer == sorted(longer))


@given(shapes_and_layouts(), st.data())
def test_steps_between_two_layouts(drawn, data):
    shape, held = drawn
    wanted = axes_in_order(shape, tuple(data.draw(st.permutations(range(len(shape))))))
    assert (_permuted(memory_of(shape, held), steps_between(held, wanted)) == memory_of(shape, wanted)).all()


def _permuted(memory, steps):
    for step in steps:
        memory = memory.reshape([int(size.coefficient) for size in step.sizes]).transpose(step.order).ravel()
    return memory


@given(ops_and_items(largest=500), st.data())
def test_rearrangements_change_a_layout_or_move_memory(drawn, data):
    operation, shape = drawn
    held = axes_in_order(shape, tuple(data.draw(st.permutations(range(len(shape))))))
    result = operation(counting(shape))
    wanted = axes_in_order(result.shape, tuple(data.draw(st.permutations(range(result.ndim)))))
    steps = steps_at(operation, shape)
    memory = memory_of(shape, held)  # which element of the input lies where
    flat_result = result.ravel()
    assert (_permuted(memory, steps_through(held, steps, wanted)) == flat_result[memory_of(result.shape, wanted)]).all()
    after = layout_after(held, steps)
    if after is not None:
        assert (flat_result[memory_of(result.shape, after)] == memory).all(), "memory stays, and is the result's"


@given(shapes_and_layouts())
def test_pieces_in_memory_are_the_digits_of_axes(drawn):
    shape, layout = drawn
    pieces = pieces_in_memory(shape, layout)
    assert pieces is not None, "factors of axes lie within them"
    memory = memory_of(shape, layout).reshape([piece.size for piece in pieces])
    places = np.unravel_index(memory, shape)
    for dimension, piece in enumerate(pieces):
        assert piece.size > 1
        for axis in range(len(shape)):  # along a piece only its own axis changes
            changes = np.diff(places[axis], axis=dimension).any()
            assert changes == (axis == piece.axis)


def test_a_digit_over_two_axes_is_no_piece():
    crossing = axes_in_order((3, 4), (1, 0))  # 4 digits of a row of 6
    assert pieces_in_memory((2, 6), crossing) is None
    assert view_along((2, 6), crossing, 0) is None


@given(shapes_and_layouts(), st.data())
def test_view_along_an_axis(drawn, data):
    shape, layout = drawn
    axis = data.draw(st.integers(0, len(shape) - 1))
    own = np.unravel_index(memory_of(shape, layout), shape)[axis]
    for ordered in (True, False):
        view = view_along(shape, layout, axis, ordered)
        found = [
            AxisView(before, shape[axis], own.size // before // shape[axis])
            for before in range(1, own.size + 1)
            if own.size % (before * shape[axis]) == 0 and _runs_along(own, before, shape[axis], ordered)
        ]
        if view is None:
            assert not found
        else:
            assert view.before * view.length * view.after == own.size
            assert view in found


def _runs_along(own, before, length, ordered):
    """Whether positions on the axis, seen as [before, length, after], change along the middle alone."""
    seen = own.reshape(before, length, -1)
    line = seen[0, :, 0]
    return (seen == line[None, :, None]).all() and (not ordered or (line == np.arange(length)).all())


@given(shapes_and_orders(), st.data())
def test_layout_with_another_length(drawn, data):
    shape, order = drawn
    axis = data.draw(st.integers(0, len(shape) - 1))
    # where an axis of length 1 lies, nothing tells
    length = data.draw(st.sampled_from([1, 2, 5])) if shape[axis] > 1 else 1
    changed = (*shape[:axis], length, *shape[axis + 1 :])
    made = layout_with_length(shape, axes_in_order(shape, order), axis, length)
    assert (memory_of(changed, made) == counting(changed).transpose(order).ravel()).all()


@given(shapes_and_orders(), st.data())
def test_an_axis_of_length_one_grows_somewhere(drawn, data):
    shape, order = drawn
    axis = data.draw(st.integers(0, len(shape) - 1))
    shape = (*shape[:axis], 1, *shape[axis + 1 :])
    changed = (*shape[:axis], 5, *shape[axis + 1 :])
    made = layout_with_length(shape, axes_in_order(shape, order), axis, 5)
    memory = memory_of(changed, made)
    assert sorted(memory) == list(range(len(memory)))
    assert view_along(changed, made, axis) is not None
    first = memory[np.unravel_index(memory, changed)[axis] == 0]  # of each line along the axis
    kept = counting(shape).transpose(order).ravel()
    assert (counting(changed).take(0, axis).ravel()[kept] == first).all()


@given(shapes_and_layouts(), st.integers(0, 2), st.integers(1, 3))
def test_in_memory_order_along_an_axis(drawn, axis, other):
    shape, layout = drawn
    outer = [other] * 3
    outer[axis] = int(np.prod(shape))
    values = counting(outer).astype(np.float32)
    assert (in_memory_order(values, layout, axis) == values.take(memory_of(shape, layout), axis)).all()


@st.composite
def moves(draw, most=8):
    count = draw(st.integers(2, most))
    sizes = draw(st.lists(st.integers(2, 3), min_size=count, max_size=count))
    order = tuple(draw(st.permutations(range(count))))
    return transpose(DigitStep(tuple(map(Size.constant, sizes)), order).normalized())


@given(moves(), st.integers(4, 6), st.data())
def test_parts_move_axes_or_views_of_them(move, most, data):
    """As Keras' Permute does them: on the tensor's own axes where they are not cut, else on the move's view."""
    sizes = [int(size.coefficient) for size in move.view]
    cut = data.draw(st.integers(0, len(sizes)))
    x = counting((int(np.prod(sizes[:cut])), int(np.prod(sizes[cut:]))))
    expected = x.reshape(sizes).transpose(move.order).ravel()
    for part in in_parts(move, most):
        order = axes_moved(x.shape, part)
        part = part.map_lengths(lambda size: int(size.coefficient))
        moved = apply_move(part, x)
        if order is not None:
            assert (x.transpose(order).ravel() == moved.ravel()).all()
            x = x.transpose(order)
        else:
            x = moved
    assert (x.ravel() == expected).all()


@given(shapes_and_orders(lengths=(2, 3, 4, 6)))
def test_axes_moved_finds_every_order_of_axes_without_ones(drawn):
    shape, order = drawn
    move = transpose(DigitStep(tuple(map(Size.constant, shape)), order).normalized())
    assert axes_moved(shape, move) == order


def test_axes_that_are_cut_are_not_moved():
    move = transpose(axes_in_order((2, 3, 2), (0, 2, 1))[0])
    assert axes_moved((2, 6), move) is None
    assert axes_moved((2, 3, 2), move) == (0, 2, 1)
    assert axes_moved((2, 1, 3, 2), move) is None


@pytest.mark.parametrize("dimensions", [(12,), (2, 6), (6, 2), (2, 1, 3, 2), (1, 12), (4, 3), (5,), (12, 2)])
def test_which_digits_dimensions_hold(dimensions):
    sizes = (2, 3, 2)
    held = fits_dimensions(dimensions, sizes)
    cuts = {int(np.prod(sizes[:k])) for k in range(len(sizes) + 1)}
    whole = {int(np.prod(dimensions[:k])) for k in range(len(dimensions) + 1)}
    assert (held is not None) == (whole <= cuts)
    if held is not None:
        assert [int(np.prod([sizes[digit] for digit in digits])) for digits in held] == list(dimensions)
        assert [digit for digits in held for digit in digits] == list(range(len(sizes)))
