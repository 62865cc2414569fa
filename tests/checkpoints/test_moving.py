"""Blocks of any size give what the rearrangement gives at once, in order, and no more than they must is held."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import layoutbridge as lb
from layoutbridge.checkpoints.moving import Workspace, moved_blocks

CASES = [
    ("(h e r:2) d -> (h r e) d, h=4", (24, 10)),
    ("(h e r:2) d -> (h r e) d, h=4", (3, 24, 10)),
    ("a b -> b a", (30, 14)),
    ("a b c -> c b a", (6, 10, 7)),
    ("(g d) k -> (g[0 2 3 1] d) k", (20, 6)),
    ("n -> n[::-1]", (200,)),
    ("a b -> a b[::-1]", (9, 20)),
    ("a b -> b[::-1] a", (9, 20)),
    ("a (g d) -> a (g[2 0 1] d)", (5, 12)),
    ("(a g) b -> (g[2 0 1] a) b", (12, 8)),
    ("a b -> a b", (9, 20)),
    ("o i h w -> h w i o", (7, 5, 3, 2)),
    ("(a b:3) -> (b a) then (a b:4) -> (b a)", (36,)),
    ("(a b:3) -> (b a) then (a b:4) -> (b a)", (4, 36)),
]


@given(
    st.sampled_from(CASES),
    st.integers(1, 2000),
    st.integers(1, 2000),
    st.booleans(),
    st.sampled_from(["u1", "u2", "u4", "u8"]),
)
def test_blocks_make_up_the_result(case, block, largest, loads, code):
    pattern, shape = case
    operation, x = lb.Rearrangement(pattern), np.arange(np.prod(shape)).astype(code)

    def read(array, first):
        array[:] = x[first : first + array.size]

    blocks = [
        part.copy() for part in moved_blocks(operation, shape, x.dtype, read, Workspace(loads=loads), block, largest)
    ]
    assert np.array_equal(np.concatenate(blocks), operation(x.reshape(shape)).ravel())


@pytest.mark.parametrize(("pattern", "shape", "largest"), [
    ("(h e r:2) d -> (h r e) d, h=8", (64, 100), 1600),
    ("(h e r:2) d -> (h r e) d, h=8", (50, 64, 100), 1600),
    ("a b -> a b[::-1]", (64, 100), 1600),
])  # fmt: skip
def test_where_the_outermost_digit_stays_little_is_read_at_once(pattern, shape, largest):
    reads = []

    def read(array, first):
        array[:] = 0
        reads.append((first, array.size))

    blocks = [
        part.size for part in moved_blocks(lb.Rearrangement(pattern), shape, np.dtype("u1"), read, Workspace(), 1600)
    ]
    assert max(blocks) <= largest
    assert max(size for _, size in reads) <= largest
    assert [first for first, _ in reads] == np.cumsum([0, *(size for _, size in reads)])[:-1].tolist()


@pytest.mark.parametrize("pattern", ["a b -> b a", "a b -> b[::-1] a", "(a g:4) b -> (g[2 0 3 1] b) a"])
def test_however_large_a_tensor_is_a_block_is_all_that_is_held(pattern):
    shape, held = (512, 300), []

    def read(array, first):
        array[:] = 0
        held.append(array.base.nbytes if array.base is not None else array.nbytes)

    blocks = [
        part.nbytes
        for part in moved_blocks(lb.Rearrangement(pattern), shape, np.dtype("u2"), read, Workspace(), 64, 9000)
    ]
    assert sum(blocks) == 2 * 512 * 300
    assert max(blocks) <= 9000
    assert max(held) <= 9000
