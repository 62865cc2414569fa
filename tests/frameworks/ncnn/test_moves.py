"""ncnn's layers for a rearrangement: what each computes, as its documentation and sources define it, done by NumPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layoutbridge import Rearrangement, op
from layoutbridge.frameworks.ncnn.moves import MOST_AXES, ncnn_moves
from tests.numpy_moves import counting, ops_and_items

# permute.cpp, by order_type: the axes of the result from the outermost one, as letters of the blob's axes
_OF_FOUR = """
cdhw cdwh chdw chwd cwdh cwhd dchw dcwh dhcw dhwc dwch dwhc hcdw hcwd hdcw hdwc hwcd hwdc wcdh wchd wdch wdhc whcd whdc
"""
PERMUTED = {2: ["hw", "wh"], 3: ["chw", "cwh", "hcw", "hwc", "wch", "whc"], 4: _OF_FOUR.split()}
AXES = {2: "hw", 3: "chw", 4: "cdhw"}


def permute(x, order_type):
    axes = AXES[x.ndim]
    return x.transpose([axes.index(letter) for letter in PERMUTED[x.ndim][order_type]])


def reorg(x, stride, mode):
    """reorg.cpp: channel q·s² + y·s + x of the result, or (y·s + x)·channels + q in mode 1, is pixel (y, x) of q."""
    channels, height, width = x.shape
    made = np.empty((channels * stride**2, height // stride, width // stride), x.dtype)
    for q in range(channels):
        for sh in range(stride):
            for sw in range(stride):
                within = sh * stride + sw
                place = q * stride**2 + within if mode == 0 else within * channels + q
                made[place] = x[q, sh::stride, sw::stride]
    return made


def pixel_shuffle(x, factor, mode):
    """pixelshuffle.cpp: the inverse."""
    channels, height, width = x.shape
    fewer = channels // factor**2
    made = np.empty((fewer, height * factor, width * factor), x.dtype)
    for p in range(fewer):
        for sh in range(factor):
            for sw in range(factor):
                within = sh * factor + sw
                place = p * factor**2 + within if mode == 0 else within * fewer + p
                made[p, sh::factor, sw::factor] = x[place]
    return made


def apply(move, x):
    x = x.reshape(move.view)
    if move.kind == "Permute":
        x = permute(x, move.numbers[0])
    else:
        x = {"Reorg": reorg, "PixelShuffle": pixel_shuffle}[move.kind](x, move.numbers[0], move.numbers[1])
    assert x.shape == move.written
    return x


@given(ops_and_items())
def test_layers_are_the_rearrangement(drawn):
    operation, shape = drawn
    made = ncnn_moves(operation, shape)
    x = counting(shape)
    for move in made:
        assert len(move.view) <= MOST_AXES and len(move.written) <= MOST_AXES
        x = apply(move, x)
    expected = operation(counting(shape))
    assert (x.reshape(expected.shape) == expected).all()
    assert made or (expected.ravel() == counting(shape).ravel()).all()


@given(st.permutations("abcdefg"), st.integers(5, 7))
def test_many_digits_go_in_blocks(order, count):
    names = [name for name in order if name in "abcdefg"[:count]]
    operation = Rearrangement(f"{' '.join('abcdefg'[:count])} -> {' '.join(names)}")
    shape = (2, 3, 2, 2, 3, 2, 2)[:count]
    x = counting(shape)
    for move in ncnn_moves(operation, shape):
        x = apply(move, x)
    assert (x.reshape(operation.out_shape(shape)) == operation(counting(shape))).all()


@pytest.mark.parametrize(
    ("name", "kind", "mode"),
    [
        ("space_to_depth", "Reorg", 1),
        ("pixel_unshuffle", "Reorg", 0),
        ("darknet_reorg", "Reorg", 1),
        ("depth_to_space", "PixelShuffle", 1),
        ("pixel_shuffle", "PixelShuffle", 0),
        ("darknet_reorg_reverse", "PixelShuffle", 1),
    ],
)
def test_blocks_are_one_layer(name, kind, mode):
    (move,) = ncnn_moves(op(name), (64, 26, 28))
    assert (move.kind, move.numbers) == (kind, {0: 2, 1: mode})


def test_where_the_operation_needs_no_view_the_layer_has_none():
    assert [move.view for move in ncnn_moves(op("space_to_depth"), (12, 8, 10))] == [(12, 8, 10)]
    assert [move.view for move in ncnn_moves(op("depth_to_space"), (12, 8, 10))] == [(12, 8, 10)]


def test_one_channel_is_in_front_of_nothing():
    for name in ("pixel_unshuffle", "space_to_depth"):
        (move,) = ncnn_moves(op(name), (1, 4, 6))
        assert (apply(move, counting((1, 4, 6))) == op(name)(counting((1, 4, 6)))).all()
