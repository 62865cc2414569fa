"""`carry`, judged by real layers: the network before and the network after, on integers, so that sums are exact."""

import numpy as np
import pytest

import layoutbridge as lb
from layoutbridge.errors import LayoutBridgeError, ParameterError, ShapeError, UnsupportedError

torch = pytest.importorskip("torch")
F = torch.nn.functional
DRAW = np.random.default_rng(5)
CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
SHUFFLE = lb.op("channel_shuffle", groups=3)


def whole_numbers(*shape):
    return torch.from_numpy(DRAW.integers(-9, 10, shape).astype(np.float64))


def moved(op, x):
    return torch.from_numpy(op(x.numpy()))


def same(one, other):
    assert one.shape == other.shape
    assert torch.equal(one, other)


def blocks(name, spatial):
    return lb.op(name, stride=2, spatial=spatial)


@pytest.mark.parametrize("spatial", [1, 2, 3])
@pytest.mark.parametrize(
    "pair", [("focus", "space_to_depth"), ("pixel_unshuffle", "focus"), ("space_to_depth", "focus")]
)
def test_a_convolution_behind_other_blocks(pair, spatial):
    op, instead = (blocks(name, spatial) for name in pair)
    x, weight = whole_numbers(2, 3, *(8, 6, 4)[:spatial]), whole_numbers(5, 3 * 2**spatial, *(3,) * spatial)
    carried = lb.carry(op, weight, layer="conv", side="input", instead=instead)
    same(CONV[spatial](moved(op, x), weight, padding=1), CONV[spatial](moved(instead, x), carried, padding=1))
    if spatial > 1:
        assert not torch.equal(carried, weight)


@pytest.mark.parametrize("spatial", [1, 2, 3])
@pytest.mark.parametrize("name", ["focus", "space_to_depth", "pixel_unshuffle"])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(1, 1, 0), (3, 2, 1), (2, 1, 1)])
def test_blocks_become_part_of_the_kernel(name, spatial, kernel, stride, padding):
    op = blocks(name, spatial)
    x, weight = whole_numbers(2, 3, *(8, 6, 10)[:spatial]), whole_numbers(5, 3 * 2**spatial, *(kernel,) * spatial)
    carried = lb.carry(op, weight)
    assert carried.shape == (5, 3, *(2 * kernel,) * spatial)
    same(
        CONV[spatial](moved(op, x), weight, stride=stride, padding=padding),
        CONV[spatial](x, carried, stride=2 * stride, padding=2 * padding),
    )


def test_blocks_of_two_sizes_in_groups_and_in_keras_order():
    op = lb.op("pixel_unshuffle", stride=(2, 3))
    x, weight = whole_numbers(2, 4, 8, 9), whole_numbers(6, 12, 1, 3)
    carried = lb.carry(op, weight, groups=2)
    same(
        F.conv2d(moved(op, x), weight, padding=(0, 1), groups=2),
        F.conv2d(x, carried, stride=(2, 3), padding=(0, 3), groups=2),
    )
    turned = weight.permute(2, 3, 1, 0)
    same(lb.carry(op, turned, groups=2, layout="HWIO").permute(3, 2, 0, 1), carried)


def test_channels_that_a_convolution_reads_or_writes():
    x, weight, bias = whole_numbers(2, 4, 5, 5), whole_numbers(6, 4, 3, 3), whole_numbers(6)
    after = [lb.carry(SHUFFLE, each, side="output") for each in (weight, bias)]
    same(moved(SHUFFLE, F.conv2d(x, weight, bias)), F.conv2d(x, *after))
    weight = whole_numbers(4, 6, 3, 3)
    y = whole_numbers(2, 6, 5, 5)
    same(F.conv2d(moved(SHUFFLE, y), weight), F.conv2d(y, lb.carry(SHUFFLE, weight)))


@pytest.mark.parametrize("spatial", [1, 2, 3])
def test_transposed_convolutions(spatial):
    x, weight, bias = whole_numbers(2, 6, *(5,) * spatial), whole_numbers(6, 9, *(3,) * spatial), whole_numbers(9)
    shuffle = lb.Rearrangement(f"(k:3 c) {'h w d'[: 2 * spatial - 1]} -> (c k) {'h w d'[: 2 * spatial - 1]}")
    run = TRANSPOSED[spatial]
    same(run(moved(shuffle, x), weight, stride=2),
         run(x, lb.carry(shuffle, weight, layer="conv_transpose"), stride=2))  # fmt: skip
    after = [lb.carry(shuffle, each, layer="conv_transpose", side="output") for each in (weight, bias)]
    same(moved(shuffle, run(x, weight, bias)), run(x, *after))


def test_groups_that_stay_apart():
    within = lb.Rearrangement("(g:2 k:3 c) h w -> (g c k) h w")
    x, weight = whole_numbers(1, 12, 4, 4), whole_numbers(24, 6, 3, 3)
    same(F.conv2d(moved(within, x), weight, groups=2), F.conv2d(x, lb.carry(within, weight, groups=2), groups=2))
    after = lb.carry(within, weight, side="output", groups=2)
    same(moved(within, F.conv2d(x, weight, groups=2)), F.conv2d(x, after, groups=2))
    weight = whole_numbers(12, 6, 3, 3)
    after = lb.carry(within, weight, layer="conv_transpose", groups=2)
    same(F.conv_transpose2d(moved(within, x), weight, groups=2), F.conv_transpose2d(x, after, groups=2))
    after = lb.carry(within, weight, layer="conv_transpose", side="output", groups=2)
    same(moved(within, F.conv_transpose2d(x, weight, groups=2)), F.conv_transpose2d(x, after, groups=2))


def test_groups_that_would_mix_are_refused():
    with pytest.raises(UnsupportedError, match="group 0 of 2 would come from group 0 and 1"):
        lb.carry(SHUFFLE, whole_numbers(6, 3, 3, 3), groups=2)
    with pytest.raises(UnsupportedError, match="take layer depthwise"):
        lb.carry(SHUFFLE, whole_numbers(6, 1, 3, 3), groups=6)


@pytest.mark.parametrize("multiplier", [1, 2])
@pytest.mark.parametrize("side", ["input", "output"])
def test_depthwise_convolutions_and_vectors_keep_the_order_of_what_they_read(multiplier, side):
    """Shuffled, convolved and normalized, read by a convolution: without the shuffle, all three are carried."""
    x, depth = whole_numbers(2, 6, 5, 5), whole_numbers(6 * multiplier, 1, 3, 3)
    op = lb.op("channel_shuffle", groups=2)
    carried = lb.carry(op, depth, layer="depthwise", side=side, groups=6)
    each = lb.Rearrangement("(k:2 c m) h w -> (c k m) h w", m=multiplier)  # the shuffle of what comes out
    if side == "input":
        before, after = F.conv2d(moved(op, x), depth, groups=6), moved(each, F.conv2d(x, carried, groups=6))
    else:
        before, after = moved(each, F.conv2d(x, depth, groups=6)), F.conv2d(moved(op, x), carried, groups=6)
    same(before, after)
    vector = whole_numbers(6)
    scaled = lb.carry(op, vector, layer="channels", side=side)[:, None, None]
    if side == "input":
        same(moved(op, x) * vector[:, None, None], moved(op, x * scaled))
    else:
        same(moved(op, x * vector[:, None, None]), moved(op, x) * scaled)
    keras = depth.reshape(6, multiplier, 3, 3).permute(2, 3, 0, 1)
    again = lb.carry(op, keras, layer="depthwise", side=side, layout="HWIO", groups=6)
    same(again.permute(2, 3, 0, 1).reshape(depth.shape), carried) if multiplier > 1 else None


@pytest.mark.parametrize("layout", ["OI", "IO"])
def test_a_dense_layer_behind_another_flatten(layout):
    op, shape = lb.op("nchw_to_nhwc"), (3, 4, 5)
    x, weight = whole_numbers(2, *shape), whole_numbers(7, 60)
    given = weight if layout == "OI" else weight.T
    carried = lb.carry(op, given, layer="dense", shape=shape, layout=layout)
    carried = carried if layout == "OI" else carried.T
    same(F.linear(moved(op, x).flatten(1), weight), F.linear(x.flatten(1), carried))
    reorg, other = lb.op("darknet_reorg"), lb.op("space_to_depth")  # all elements may move: each has its own weight
    x, weight = whole_numbers(2, 4, 4, 2), whole_numbers(7, 32)
    carried = lb.carry(reorg, weight, layer="dense", shape=(4, 4, 2), instead=other)
    same(F.linear(moved(reorg, x).flatten(1), weight), F.linear(moved(other, x).flatten(1), carried))


def test_a_dense_layer_that_writes():
    x, weight, bias = whole_numbers(2, 5), whole_numbers(24, 5), whole_numbers(24)
    op, other = lb.op("pixel_shuffle"), lb.op("depth_to_space")
    for instead in (None, other):
        after = [lb.carry(op, each, "dense", "output", instead=instead, shape=(4, 3, 2)) for each in (weight, bias)]
        result = F.linear(x, *after).reshape(2, *((1, 6, 4) if instead is None else (4, 3, 2)))
        result = result if instead is None else moved(instead, result)
        same(moved(op, F.linear(x, weight, bias).reshape(2, 4, 3, 2)), result)
    halves = lb.Rearrangement("(h e r:2) -> (h r e)", h=3)
    same(moved(halves, F.linear(x, weight)), F.linear(x, lb.carry(halves, weight, "dense", "output")))


def test_keras_layers():
    keras = pytest.importorskip("keras")
    op, instead = lb.op("focus"), lb.op("space_to_depth")
    last = lb.Rearrangement("h w c -> c h w")
    x = DRAW.integers(-9, 10, (2, 8, 6, 3)).astype(np.float32)
    behind = [last.then(each).then(last.inverse())(x) for each in (op, instead)]
    layer = keras.layers.Conv2D(4, 3, padding="same", use_bias=False)
    layer.build(behind[0].shape)
    layer.set_weights([DRAW.integers(-9, 10, (3, 3, 12, 4)).astype(np.float32)])
    before = np.asarray(layer(behind[0]))
    carried = lb.carry(op, layer.kernel, instead=instead, layout="HWIO")
    written = last.then(op).then(last.inverse()), last.then(instead).then(last.inverse())  # the same, channels last
    assert np.array_equal(
        carried, lb.carry(written[0], layer.kernel, instead=written[1], layout="HWIO", channel_axis=-1)
    )
    layer.set_weights([carried])
    assert np.array_equal(np.asarray(layer(behind[1])), before)
    with pytest.raises(ParameterError, match="layout='IO' or 'HWIO' as keras"):
        lb.carry(op, layer.kernel, instead=instead)
    wide = keras.layers.Conv2D(4, 6, strides=2, padding="valid", use_bias=False)
    wide.build(x.shape)
    wide.set_weights([lb.carry(op, carried, layout="HWIO")])
    plain = keras.layers.Conv2D(4, 3, padding="valid", use_bias=False)
    plain.build(behind[0].shape)
    plain.set_weights([carried])
    assert np.array_equal(np.asarray(wide(x)), np.asarray(plain(behind[0])))
    dense = keras.layers.Dense(5, use_bias=False)
    dense.build((2, 144))
    dense.set_weights([DRAW.integers(-9, 10, (144, 5)).astype(np.float32)])
    before = np.asarray(dense(x.reshape(2, -1)))
    dense.set_weights([lb.carry(last.inverse(), dense.kernel, "dense", shape=(3, 8, 6), layout="IO")])
    assert np.array_equal(np.asarray(dense(last(x).reshape(2, -1))), before)


SPECIAL = [
    "bfloat16",
    "float16",
    "float8_e4m3fn",
    "float8_e5m2",
    "float8_e8m0fnu",
    "int8",
    "bool",
    "complex64",
    "float32",
]


@pytest.mark.parametrize("dtype", [getattr(torch, name) for name in SPECIAL if hasattr(torch, name)], ids=str)
def test_every_dtype_comes_back_as_it_is(dtype):
    raw = DRAW.integers(0, 2 if dtype is torch.bool else 200, (4, 24 * torch.empty((), dtype=dtype).element_size()))
    weight = torch.from_numpy(raw.astype(np.uint8)).view(dtype)[:, :24].reshape(4, 24, 1, 1)
    carried = lb.carry(SHUFFLE, torch.nn.Parameter(weight, requires_grad=False))
    assert (carried.dtype, carried.device) == (dtype, weight.device)
    for k, place in enumerate(SHUFFLE(np.arange(24).reshape(24, 1, 1)).ravel().tolist()):
        same(carried[:, place].view(torch.uint8), weight[:, k].contiguous().view(torch.uint8))


def test_arrays_that_are_no_tensors():
    weight = DRAW.integers(-9, 10, (4, 12, 1, 1)).astype(">i2")
    carried = lb.carry(SHUFFLE, weight)
    assert carried.dtype == weight.dtype
    assert np.array_equal(lb.carry(SHUFFLE, torch.from_numpy(weight.astype("i2"))).numpy(), carried)
    assert np.array_equal(lb.carry(SHUFFLE.inverse(), carried), weight)
    for wrong in ([[1, 2]], np.ma.masked_array(weight), None, torch.eye(4).to_sparse(),
                  torch.empty(4, 12, device="meta")):  # fmt: skip
        with pytest.raises(LayoutBridgeError):
            lb.carry(SHUFFLE, wrong)


def test_maps_that_mix_space_are_refused_with_an_example_that_holds():
    reorg, other = lb.op("darknet_reorg"), lb.op("space_to_depth")
    with pytest.raises(
        UnsupportedError, match=r"no weights can undo that: of arrays \[16, 2, 1\], .* \[0, 1, 0\]"
    ) as told:
        lb.carry(reorg, np.zeros((1, 16, 1, 1)), instead=other)
    assert "space_to_depth (stride 2) has at [8, 0, 0]" in str(told.value)
    x = np.arange(32).reshape(4, 4, 2)
    assert reorg(x)[0, 1, 0] == other(x)[8, 0, 0]
    with pytest.raises(UnsupportedError, match="darknet_flatten has at"):
        lb.carry(lb.op("darknet_flatten"), np.zeros((1, 4, 1, 1)))
    assert lb.carry(lb.op("darknet_flatten"), np.zeros((1, 4, 1, 1)), shape=(4, 1, 1)).shape == (1, 4, 1, 1)
    with pytest.raises(UnsupportedError, match="no weights can undo that"):
        lb.carry(lb.op("darknet_flatten"), np.zeros((1, 4, 1, 1)), shape=(4, 1, 2))


def test_at_one_shape_where_all_sizes_do_not_hold():
    """Of one place there is nothing but channels: there Darknet's reorg can be made up for."""
    reorg, other = lb.op("darknet_reorg"), lb.op("space_to_depth")
    x, weight = whole_numbers(2, 4, 2, 2), whole_numbers(3, 16, 1, 1)
    carried = lb.carry(reorg, weight, instead=other, shape=(4, 2, 2))
    same(F.conv2d(moved(reorg, x), weight), F.conv2d(moved(other, x), carried))


@pytest.mark.parametrize(
    ("error", "told", "arguments"),
    [
        (ShapeError, "10 channels do not fit focus .* multiples of 4", {"weight": np.zeros((1, 10, 1, 1))}),
        (ParameterError, "layer is one of conv", {"layer": "linear"}),
        (ParameterError, "side is one of input", {"side": "left"}),
        (ParameterError, "layout names each axis once", {"layout": "OHW"}),
        (ShapeError, "axes HWIO .* not shape", {"weight": np.zeros((1, 12, 1)), "layout": "HWIO"}),
        (ParameterError, "a bias belongs", {"weight": np.zeros(12)}),
        (ParameterError, "give shape=", {"weight": np.zeros((3, 12)), "layer": "dense"}),
        (ShapeError, "has 48 elements, and the weight 12",
         {"weight": np.zeros((3, 12)), "layer": "dense", "shape": (3, 4, 4)}),
        (ShapeError, "no 5 groups", {"groups": 5}),
        (ParameterError, "groups", {"groups": 0}),
        (ParameterError, "takes Rearrangements", {"instead": "focus"}),
        (ShapeError, "channel_axis 3", {"channel_axis": 3}),
        (UnsupportedError, "changes the shape", {"instead": None, "side": "output"}),
        (UnsupportedError, "a group reads 3 channels",
         {"op": lb.op("pixel_unshuffle"), "instead": None, "weight": np.zeros((4, 3, 1, 1)), "groups": 4}),
        (ShapeError, "layer 'channels' is for vectors", {"layer": "channels"}),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told(error, told, arguments):
    given = {"weight": np.zeros((1, 12, 1, 1)), "op": lb.op("focus"), "instead": lb.op("space_to_depth"), **arguments}
    with pytest.raises(error, match=told):
        lb.carry(**given)
