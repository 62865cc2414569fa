"""A callable is asked at a second shape before it gets a name, and a name says what stands around it."""

import numpy as np
import pytest
from einops import rearrange

import layoutbridge as lb
from layoutbridge.errors import UnusableInputError


def right_at_four(x):
    """pixel_unshuffle where W / 2 is 2: the offset in a block is divided by the number of columns."""
    n, c, h, w = x.shape
    y = np.zeros((n, 4 * c, h // 2, w // 2), x.dtype)
    for k in range(4 * c):
        row, column = divmod(k % 4, w // 2)
        y[:, k] = np.roll(np.roll(x[:, k // 4], -row, 1), -column, 2)[:, ::2, ::2]
    return y


def test_a_kernel_that_is_right_at_one_shape_gets_no_name():
    found = lb.identify(right_at_four, (1, 4, 4, 4))
    assert found.names == () and not found.is_permutation
    assert found.reason.startswith("at [1, 4, 4, 4] it is ") and "pixel_unshuffle (stride 2)" in found.reason
    assert "drops" in found.reason
    assert lb.identify(right_at_four, (1, 4, 4, 4), (2, 4, 6, 4)).names == ("pixel_unshuffle", "space_to_depth_crd")


def test_what_takes_one_shape_alone_is_told_so():
    def fixed(x):
        if x.shape != (1, 4, 6, 8):
            raise ValueError("only [1, 4, 6, 8]")
        return rearrange(x, "n c (h p) (w q) -> n (p q c) h w", p=2, q=2)

    found = lb.identify(fixed, (1, 4, 6, 8))
    assert "space_to_depth" in found.names and found.second_shape is None
    assert "seen at this shape alone" in found.explain() and "only [1, 4, 6, 8]" in found.explain()
    with pytest.raises(UnusableInputError, match="only"):
        lb.identify(fixed, (1, 4, 6, 8), (1, 4, 8, 8))


def test_parameters_that_follow_the_shape():
    def shuffled(x):
        n, c, h, w = x.shape
        return x.reshape(n, c // 4, 4, h, w).swapaxes(1, 2).reshape(x.shape)

    found = lb.identify(shuffled, (1, 24, 3, 3))
    assert found.names == ("channel_shuffle",) and found.parameters == {"groups": 6}
    assert "its parameters follow the shape" in found.reason


def test_a_result_that_changes_from_call_to_call_is_unusable():
    random = np.random.default_rng(0)
    with pytest.raises(UnusableInputError, match="changes from call to call"):
        lb.identify(lambda x: random.permuted(x, axis=1), (1, 8, 4, 4))


WRAPPED = [
    ("n h w (c p q) -> n (h p) (w q) c", (1, 3, 4, 8), "pixel_shuffle", "the tensor read as channels last"),
    ("n c (h p) (w q) -> n h w (c p q)", (1, 3, 4, 8), "pixel_unshuffle", "then with channels last"),
    ("n (h p) (w q) c -> n (c p q) h w", (1, 4, 8, 3), "pixel_unshuffle", "of a tensor with channels last"),
    ("n c (h p) (w q) -> n (p q c) w h", (1, 3, 4, 8), "space_to_depth", "then with its last two axes swapped"),
    (
        "n (h p) (w q) c -> n w h (p q c)",
        (1, 4, 8, 3),
        "space_to_depth",
        "the tensor read as channels last, then its two spatial axes swapped",
    ),
    ("b t c (h p) (w q) -> b t (p q c) h w", (2, 3, 5, 4, 8), "space_to_depth", "over 2 leading axes"),
    (
        "b t (h p) (w q) c -> b t h w (c p q)",
        (2, 3, 4, 8, 5),
        "pixel_unshuffle",
        "over 2 leading axes, the tensor read as channels last",
    ),
    ("n (w q) c -> n w (q c)", (3, 8, 5), "space_to_depth", "the tensor read as channels last"),
]


@pytest.mark.parametrize(("pattern", "shape", "name", "words"), WRAPPED, ids=[words for *_, words in WRAPPED])
def test_names_in_wrappings(pattern, shape, name, words):
    sizes = {key: 2 for key in "pq" if key in pattern}
    found = lb.identify(lambda x: rearrange(x, pattern, **sizes), shape)
    assert name in found.names and found.parameters["stride"] == 2
    assert found.wrapping.words == words and words in found.explain()
    assert found.second_shape is not None
    pasted = lb.Rearrangement(found.pattern)
    assert np.array_equal(pasted.table(shape), found.table) and pasted.out_shape(shape) == found.out_shape


def test_a_result_in_another_order_of_planes():
    def mosaic(x):
        return np.stack([x[:, 1::2, 1::2], x[:, 0::2, 1::2], x[:, 0::2, 0::2], x[:, 1::2, 0::2]], 1)

    found = lb.identify(mosaic, (2, 8, 8))
    assert "then axis 1 in the order 3 1 0 2" in found.wrapping.words + found.reason
    assert np.array_equal(lb.Rearrangement(found.pattern).table((2, 8, 8)), found.table)


UNNAMED = [
    ("a flip", lambda x: x[..., ::-1], (2, 3, 4, 6), "c h w -> c h w[::-1]"),
    ("blocks turned", lambda x: rearrange(x, "n (h p) (w q) c -> n (h q) (w p) c", p=2, q=2), (1, 8, 8, 4), None),
    ("crossing", lambda x: np.ascontiguousarray(x.transpose(0, 2, 1, 3)).reshape(x.shape), (1, 4, 6, 5), None),
    ("gates", lambda x: np.concatenate([np.split(x, 4)[k] for k in (0, 2, 3, 1)]), (32, 6), None),
]


@pytest.mark.parametrize(("title", "function", "shape", "pattern"), UNNAMED, ids=[case[0] for case in UNNAMED])
def test_without_a_name_the_axes_keep_theirs(title, function, shape, pattern):
    found = lb.identify(function, shape)
    assert found.names == {"a flip": ("flip_width",), "gates": ("lstm_gates",)}.get(title, ())
    assert pattern in (None, found.pattern)
    made = lb.Rearrangement(found.pattern)
    other = tuple(2 * length for length in shape)  # the pattern holds at sizes that were not tried
    assert np.array_equal(made.table(shape), found.table)
    positions = np.arange(np.prod(other)).reshape(other)
    assert np.array_equal(made(positions), function(positions))


def test_zeros_that_are_filled_in_are_told_as_such():
    def padded(x):
        n, c, h, w = x.shape
        y = np.zeros((n, 8, h, w), x.dtype)
        y[:, :c] = x
        return lb.op("channel_shuffle", groups=4)(y)

    found = lb.identify(padded, (1, 6, 3, 5))
    assert found.kind == "fills up with zeros" and not found.is_permutation
    assert found.names == ("channel_shuffle",) and found.parameters == {"groups": 4}
    assert "filled up with zeros to [1, 8, 3, 5]" in found.explain()
    plain = lb.identify(lambda x: np.pad(x[:, ::-1], ((0, 0), (1, 0), (0, 0), (0, 0))), (1, 6, 3, 5))
    assert plain.kind == "fills up with zeros" and plain.names == () and "45" not in plain.reason


def test_what_it_is_not_is_told():
    told = lb.identify(lb.op("focus"), (1, 3, 4, 8)).explain()
    assert "not " in told and "space_to_depth" in told.split("not ")[1].split(":")[0]


def test_the_pattern_is_that_of_the_name_that_is_left():
    """At 30 columns two entries fit; at the second shape one of them does, and its pattern is told."""
    found = lb.identify(lambda x: rearrange(x, "k (r w) -> k (w r)", r=6), (4, 30))
    assert found.names == ("planar_to_interleaved", "dense_hwc_to_chw")  # of a grid of 6 places: the same at any size
    assert found.parameters == {"parts": 6, "height": 2, "width": 3}
    positions = np.arange(240).reshape(4, 60)
    expected = rearrange(positions, "k (r w) -> k (w r)", r=6)
    assert np.array_equal(lb.Rearrangement(found.pattern)(positions), expected)
