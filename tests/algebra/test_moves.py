"""Lowering: moves applied by NumPy are the rearrangement, in symbols, with known lengths and in numbers."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layoutbridge import Rearrangement, op
from layoutbridge.algebra.moves import along_axes, as_blocks, axis_order, lower, lower_at, own_blocks
from layoutbridge.algebra.sizes import Domain, Size
from layoutbridge.errors import ShapeError
from tests.numpy_moves import CHAINS, OPS, PATTERNS, apply_lowering, apply_move, counting, ops_and_items


def in_numbers(lowering, shape):
    """A lowering whose lengths speak of axes of `shape`, or of a part of them, in numbers."""
    return lowering.map_lengths(lambda size: int(size.evaluate(shape)))


def kinds(lowering):
    return [move.kind for move in lowering.moves]


@given(ops_and_items(), st.integers(1, 3), st.sets(st.integers(0, 5)))
def test_moves_are_the_rearrangement_whatever_is_known(drawn, batch, opened):
    rearrangement, item = drawn
    shape = (batch, *item)
    lengths = [None if axis in opened else length for axis, length in enumerate(shape)]
    expected = rearrangement(counting(shape))
    for known in (None, [None] * len(shape), lengths, shape):
        lowering = in_numbers(lower(rearrangement, known), shape)
        assert (apply_lowering(lowering, counting(shape)) == expected).all()
        assert lowering.result == expected.shape


@given(ops_and_items(), st.integers(1, 3))
def test_in_numbers_with_a_batch_axis_and_without(drawn, batch):
    rearrangement, item = drawn
    for shape in (item, (batch, *item)):
        lowering = lower_at(rearrangement, shape)
        assert all(type(length) is int for move in lowering.moves for length in (*move.view, *move.written))
        assert (apply_lowering(lowering, counting(shape)) == rearrangement(counting(shape))).all()
        assert len(lowering.moves) <= max(1, len(rearrangement.steps))


@given(ops_and_items(), st.sets(st.integers(0, 5)))
def test_open_lengths_stay_sizes_and_known_ones_are_numbers(drawn, opened):
    rearrangement, item = drawn
    shape = (2, *item)
    lengths = [None if axis in opened else length for axis, length in enumerate(shape)]
    lowering = lower(rearrangement, lengths)
    for size in (*lowering.in_shape, *lowering.result, *(size for move in lowering.moves for size in move.view)):
        assert {axis for axis, _ in size.powers} <= {axis for axis in range(len(shape)) if axis in opened}


def test_known_lengths_let_steps_merge():
    chain = op("nhwc_to_nchw").then(op("darknet_reorg")).then(op("nchw_to_nhwc"))
    assert len(lower(chain).moves) == 3
    assert len(lower(chain, (None, 26, 26, 64)).moves) == 3
    assert len(lower(chain, (None, 28, 26, 64)).moves) == 1


def test_in_numbers_what_does_not_fit_is_refused():
    with pytest.raises(ShapeError, match="W = 5 is not a multiple of 2"):
        lower_at(op("focus"), (1, 3, 4, 5))


@given(ops_and_items())
def test_along_axes_every_tensor_has_the_view(drawn):
    """Cut along the axes too, a view of a transposed array is a view of its memory, not a copy."""
    rearrangement, item = drawn
    shape = (2, *item)
    lowering = lower(rearrangement)
    if not lowering.moves:
        return
    cut = along_axes(lowering.moves[0], lowering.in_shape, lowering.domain)
    if cut is None:
        return
    x = counting(shape[::-1]).T
    seen = x.view()
    seen.shape = [int(size.evaluate(shape)) for size in cut.view]  # which raises where only a copy has that shape
    first, cut = (move.map_lengths(lambda size: int(size.evaluate(shape))) for move in (lowering.moves[0], cut))
    x = np.ascontiguousarray(x)
    assert (apply_move(cut, x).ravel() == apply_move(first, x).ravel()).all()


@given(ops_and_items())
def test_an_axis_order_is_the_move(drawn):
    rearrangement, item = drawn
    shape = (2, *item)
    for known in (None, shape):
        lowering = lower(rearrangement, known)
        if len(lowering.moves) != 1:
            continue
        order = axis_order(lowering.moves[0], lowering.in_shape, lowering.domain)
        if order is not None:
            expected = rearrangement(counting(shape))
            assert (counting(shape).transpose(order).ravel() == expected.ravel()).all()


@pytest.mark.parametrize("order", [(1, 0), (2, 0, 1), (0, 2, 1), (3, 1, 0, 2)])
def test_every_order_of_axes_is_found(order):
    names = "abcd"[: len(order)]
    rearrangement = Rearrangement(f"{' '.join(names)} -> {' '.join(names[k] for k in order)}")
    lowering = lower(rearrangement)
    assert axis_order(lowering.moves[0], lowering.in_shape, lowering.domain) == (0, *(k + 1 for k in order))


def test_what_cuts_an_axis_is_no_order_of_axes():
    lowering = lower(op("space_to_depth"))
    assert axis_order(lowering.moves[0], lowering.in_shape, lowering.domain) is None


# ---------------------------------------------------------------------- blocks


@given(ops_and_items(), st.integers(1, 3), st.booleans())
def test_blocks_are_the_move(drawn, batch, known):
    rearrangement, item = drawn
    shape = (batch, *item)
    for lengths in (shape, item) if known else (None,):
        whole = shape if lengths is None else lengths
        lowering = lower(rearrangement, lengths)
        moves = tuple(as_blocks(move) or move for move in lowering.moves)
        lowering = in_numbers(replace(lowering, moves=moves), whole)
        assert (apply_lowering(lowering, counting(whole)) == rearrangement(counting(whole))).all()


BLOCKS = {
    "space_to_depth": "space_to_depth",
    "pixel_unshuffle": "space_to_depth",
    "darknet_reorg": "space_to_depth",
    "depth_to_space": "depth_to_space",
    "pixel_shuffle": "depth_to_space",
    "darknet_reorg_reverse": "depth_to_space",
    "darknet_reorg3d_reverse": "depth_to_space",
    "focus": None,
    "channel_shuffle": None,
    "nchw_to_nhwc": None,
}


@pytest.mark.parametrize("stride", [2, 3])
@pytest.mark.parametrize("name", BLOCKS)
def test_which_entries_are_blocks(name, stride):
    parameter = "groups" if name == "channel_shuffle" else "stride"
    rearrangement = op(name, **({} if name == "nchw_to_nhwc" else {parameter: stride}))
    for lengths in (None, (None, 162, 18, 36) if stride == 3 else (1, 64, 8, 12)):
        (move,) = lower(rearrangement, lengths).moves
        blocks = as_blocks(move)
        assert (None if blocks is None else blocks.kind) == BLOCKS[name]
        assert blocks is None or blocks.block == stride


@pytest.mark.parametrize("pattern", PATTERNS[1:3])
def test_oblong_and_crossed_blocks_are_none(pattern):
    assert [as_blocks(move) for move in lower(Rearrangement(pattern)).moves] == [None]


OWN = {
    ("space_to_depth", 1): ("space_to_depth", "DCR"),
    ("pixel_unshuffle", 1): ("space_to_depth", "CRD"),
    ("depth_to_space", 1): ("depth_to_space", "DCR"),
    ("pixel_shuffle", 1): ("depth_to_space", "CRD"),
    ("darknet_reorg", 1): None,
    ("focus", 1): None,
    ("darknet_reorg3d_reverse", 1): None,
    ("space_to_depth", 3): ("space_to_depth", "DCR"),
    ("depth_to_space", 3): ("depth_to_space", "DCR"),
    ("pixel_unshuffle", 3): None,
    ("pixel_shuffle", 3): None,
}


@pytest.mark.parametrize(("name", "axis"), OWN)
def test_a_frameworks_own_operation_on_the_tensor_as_it_is(name, axis):
    for stride in (2, 3):
        rearrangement = op(name, stride=stride)
        item = (stride**4 * 2, stride * 4, stride * 6)
        if axis == 3:
            rearrangement = op("nhwc_to_nchw").then(rearrangement).then(op("nchw_to_nhwc"))
            item = (*item[1:], item[0])
        shape = (2, *item)
        for lengths in (None, (None, *item), shape):
            lowering = lower(rearrangement, lengths)
            (move,) = lowering.moves
            own = own_blocks(move, lowering.in_shape, lowering.result, axis=axis)
            assert (None if own is None else (own.kind, own.mode)) == OWN[name, axis]
            if own is not None:
                assert (own.view, own.written, own.block) == (lowering.in_shape, lowering.result, stride)
                applied = in_numbers(replace(lowering, moves=(own,)), shape)
                assert (apply_lowering(applied, counting(shape)) == rearrangement(counting(shape))).all()


@given(ops_and_items(OPS), st.sampled_from([1, 3]))
def test_whatever_is_found_to_be_the_whole_map_is_it(drawn, axis):
    rearrangement, item = drawn
    shape = (2, *item)
    for lengths in (None, shape):
        lowering = lower(rearrangement, lengths)
        for move in lowering.moves[: 1 if len(lowering.moves) == 1 else 0]:
            own = own_blocks(move, lowering.in_shape, lowering.result, axis=axis)
            if own is not None:
                applied = in_numbers(replace(lowering, moves=(own,)), shape)
                assert (apply_lowering(applied, counting(shape)) == rearrangement(counting(shape))).all()


def test_another_label_is_no_operation_of_its_own():
    flattened = Rearrangement("C H W | c:C h:H/2 p:2 w:W/2 q:2 -> p q c h w | C*2 H W/2")
    (move,) = lower(flattened).moves
    assert as_blocks(move) is not None
    assert own_blocks(move, lower(flattened).in_shape, lower(flattened).result) is None


def test_chains_have_a_move_a_step():
    assert [kinds(lower(chain)) for chain in CHAINS[:2]] == [["transpose"] * len(chain.steps) for chain in CHAINS[:2]]
    assert lower(Rearrangement("a b -> a b")).moves == ()
    assert lower(op("focus"), (None, 3, None, None)).domain == Domain(
        4, frozenset({Size.axis(2) / Size.constant(2), Size.axis(3) / Size.constant(2)}), ((1, 3),)
    )
