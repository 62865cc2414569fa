"""What stands around a name: the pattern that is told is the whole map, and the best-known name comes first."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import layoutbridge as lb
from layoutbridge.recognition.wrapping import Wrapping

FIRST, LAST = (0, 3, 1, 2), (0, 2, 3, 1)  # the axes of a tensor with channels last in the order of NCHW, and back
IMAGES = ["space_to_depth", "depth_to_space", "pixel_shuffle", "pixel_unshuffle", "focus", "channel_shuffle"]


def reproduces(pattern, function, shape):
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    np.testing.assert_array_equal(lb.Rearrangement(pattern)(x), function(x))


@pytest.mark.parametrize(
    ("function", "shape", "names", "words", "pattern"),
    [
        (
            lambda x: np.concatenate([x[:, i::2, j::2] for j in (0, 1) for i in (0, 1)], -1),
            (1, 8, 8, 6),
            ("focus", "patch_merging"),
            "the tensor read as channels last",
            "(h p:s) (w q:s) c -> h w (q p c), s=2",
        ),
        (
            lambda x: (
                x.reshape(*x.shape[:3], 2, 2, -1)
                .transpose(0, 1, 3, 2, 4, 5)
                .reshape(x.shape[0], 2 * x.shape[1], 2 * x.shape[2], x.shape[3] // 4)
            ),
            (1, 4, 4, 16),
            ("depth_to_space", "darknet_reorg_reverse", "leimao_reorg_reverse", "patch_expand"),
            "the tensor read as channels last",
            "h w (p:s q:s c) -> (h p) (w q) c, s=2",
        ),
        (
            lambda x: (
                x.reshape(x.shape[0], x.shape[1] // 2, 2, x.shape[2] // 2, 2, -1)
                .transpose(2, 4, 0, 1, 3, 5)
                .reshape(4 * x.shape[0], x.shape[1] // 2, x.shape[2] // 2, -1)
            ),
            (2, 6, 4, 3),
            ("space_to_batch",),
            "the tensor read as channels last",
            "n (h p:s) (w q:s) c -> (p q n) h w c, s=2",
        ),
        (
            lambda x: (
                x.reshape(x.shape[0], x.shape[1] // 2, 2, *x.shape[2:])
                .transpose(2, 0, 1, 3, 4)
                .reshape(2 * x.shape[0], x.shape[1] // 2, *x.shape[2:])
            ),
            (1, 6, 4, 3),
            ("space_to_batch",),
            "the tensor read as channels last",
            "n (h p:s1) (w q:s2) c -> (p q n) h w c, s1=2, s2=1",
        ),
        (
            lambda x: x.reshape(*x.shape[:2], -1, 2).swapaxes(2, 3).reshape(x.shape),
            (1, 4, 8),
            ("interleaved_to_planar",),
            "over 2 leading axes",
            "n b (w r:parts) -> n b (r w), parts=2",
        ),
        (
            lambda x: np.stack([x[:, 1::2, 1::2], x[:, ::2, 1::2], x[:, ::2, ::2], x[:, 1::2, ::2]], 1),
            (2, 8, 8),
            ("bayer_to_planes",),
            "then axis 1 in the order 3 1 0 2",
            "n (h p:2) (w q:2) -> n (p q) h w, n=2, h=4, w=4 then x0 x1 x2 x3 -> x0 x1[3 1 0 2] x2 x3",
        ),
    ],
)
def test_what_people_write(function, shape, names, words, pattern):
    found = lb.identify(function, shape)
    assert (found.names, found.wrapping.words, found.pattern) == (names, words, pattern)
    assert "its parameters follow the shape" not in found.reason
    reproduces(found.pattern, function, shape)


def test_a_name_that_fits_as_it_lies_is_told_beside_the_wrapped_one():
    found = lb.identify(lb.op("patch_merging"), (1, 8, 12, 6))
    assert "with nothing around it: patch_merging (stride 2, order qpc)" in found.explain()


def test_a_channel_axis_is_no_batch_axis():
    """[H, W, C, N] would fit depth_to_space with the batch as its channels: no one has such tensors."""
    found = lb.identify(lb.op("batch_to_space"), (8, 3, 6, 5))
    assert found.names == ("batch_to_space",)


def test_axes_without_a_name_are_those_of_a_picture():
    blocks_turned = lb.Rearrangement("(h p:2) (w q:2) c -> (h q) (w p) c")
    found = lb.identify(lambda x: blocks_turned(x), (1, 8, 8, 4))
    assert (found.names, found.pattern) == ((), "(h p:2) (w q:2) c -> (h q) (w p) c")


@given(
    entry=st.sampled_from([*IMAGES, "darknet_reorg", "darknet_reorg3d_reverse", "rgb_to_bgr"]),
    number=st.integers(2, 3),
    lengths=st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 2), st.integers(2, 4)),
    turned=st.sampled_from([((), LAST), (FIRST, LAST), (FIRST, ()), ((), (0, 1, 3, 2))]),
)
def test_the_pattern_is_the_whole_map(entry, number, lengths, turned):
    operation = lb.catalog()[entry].build_at(number)
    fixed = dict(operation.domain.fixed)
    item = [fixed.get(axis, operation.domain.divisor(axis) * lengths[axis]) for axis in range(3)]
    wrapping = Wrapping("", *turned)
    shape = wrapping.input_shape(tuple(item), 4)
    reproduces(wrapping.pattern(operation, 4), lambda x: wrapping.apply(operation, x), shape)


@given(entry=st.sampled_from(IMAGES), number=st.integers(2, 3), front=st.tuples(st.integers(1, 3), st.integers(2, 3)))
def test_with_two_leading_axes(entry, number, front):
    operation = lb.catalog()[entry].build_at(number)
    item = [operation.domain.divisor(axis) * (axis + 1) for axis in range(3)]
    wrapping = Wrapping("", leading=2)
    reproduces(wrapping.pattern(operation, 5), lambda x: wrapping.apply(operation, x), (*front, *item))
