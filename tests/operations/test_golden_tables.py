"""The catalogue against the real Darknet: recorded tables, and its loops written out once more by hand."""

import re

import numpy as np
import pytest

from layoutbridge import op
from layoutbridge.errors import ShapeError
from layoutbridge.operations.darknet_reorg import describe_refusal, literal_reorg_table
from tests.conftest import describe_case, load_golden_cases

CASES = load_golden_cases()
of_permutations = pytest.mark.parametrize("case", [c for c in CASES if c["bijective"]], ids=describe_case)
of_no_permutations = pytest.mark.parametrize("case", [c for c in CASES if not c["bijective"]], ids=describe_case)


def entry_name(case):
    return f"darknet_{case['layer']}" + "_reverse" * case["reverse"]


def full_shape(case):
    return (case["batch"], *case["in_shape"])


def reorg_cpu(x, w, h, c, batch, stride, forward, out):
    """Darknet's loops, index for index; `x` and `out` are flat."""
    out_c = c // (stride * stride)
    for b in range(batch):
        for k in range(c):
            for j in range(h):
                for i in range(w):
                    in_index = i + w * (j + h * (k + c * b))
                    c2 = k % out_c
                    offset = k // out_c
                    w2 = i * stride + offset % stride
                    h2 = j * stride + offset // stride
                    out_index = w2 + w * stride * (h2 + h * stride * (c2 + out_c * b))
                    if forward:
                        out[out_index] = x[in_index]
                    else:
                        out[in_index] = x[out_index]


def flatten(x, size, layers, batch, forward):
    """Darknet's flatten: `size` positions of `layers` channels; in place, as there."""
    swapped = x.copy()
    for b in range(batch):
        for c in range(layers):
            for i in range(size):
                channels_first = b * layers * size + c * size + i
                channels_last = b * layers * size + i * layers + c
                if forward:
                    swapped[channels_last] = x[channels_first]
                else:
                    swapped[channels_first] = x[channels_last]
    x[:] = swapped


# ---------------------------------------------------------------------------------- the recorded tables


@of_permutations
def test_every_recorded_table_is_reproduced_exactly(case):
    made = op(entry_name(case), stride=case["stride"])
    shape = full_shape(case)
    assert made.out_shape(shape) == (case["batch"], *case["out_shape"])
    if case["gradient"]:
        backward = made.inverse()
        gradient_shape = (case["batch"], *case["out_shape"])
        assert backward.out_shape(gradient_shape) == shape
        table = backward.table(gradient_shape)
    else:
        table = made.table(shape)
    np.testing.assert_array_equal(table, case["table"])


@of_permutations
def test_every_recorded_table_is_reproduced_on_an_array(case):
    made = op(entry_name(case), stride=case["stride"])
    shape = full_shape(case)
    if case["gradient"]:
        made, shape = made.inverse(), made.out_shape(shape)
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    np.testing.assert_array_equal(made(x).ravel(), x.ravel()[case["table"]])


def test_the_recorded_tables_cover_both_layers_directions_and_passes():
    kinds = {(case["layer"], case["reverse"], case["gradient"]) for case in CASES}
    assert len(kinds) == 8
    assert {case["stride"] for case in CASES} >= {2, 3, 4}
    assert max(case["batch"] for case in CASES) > 1


@of_no_permutations
def test_a_layer_that_drops_elements_is_refused_with_those_it_really_loses(case):
    made = op(entry_name(case), stride=case["stride"])
    total = int(np.prod(case["in_shape"]))
    lost = np.setdiff1d(np.arange(total), case["table"])
    assert lost.size, "the recorded table drops nothing"
    with pytest.raises(ShapeError) as refusal:
        made.table(case["in_shape"])
    message = str(refusal.value)
    assert f"C = {case['in_shape'][0]} is not a multiple of {case['stride'] ** 2}" in message
    assert f"loses {lost.size} of {total} elements" in message
    named = [tuple(map(int, found)) for found in re.findall(r"\[(\d+), (\d+), (\d+)\]", message)]
    expected = [tuple(map(int, np.unravel_index(k, case["in_shape"]))) for k in lost[: len(named)]]
    assert named and named == expected
    assert f"repeats {case['table'].size - np.unique(case['table']).size}" in message
    for call in (made.bind, made.out_shape, lambda shape: made(np.zeros(shape))):
        with pytest.raises(ShapeError, match="loses"):
            call(case["in_shape"])


@of_no_permutations
def test_the_literal_formula_reads_what_the_real_layer_reads_also_where_it_is_no_permutation(case):
    np.testing.assert_array_equal(literal_reorg_table(case["in_shape"], case["stride"]), case["table"])


# ---------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("reverse", ["", "_reverse"])
@pytest.mark.parametrize(("stride", "channels"), [(2, 1), (2, 3), (3, 8), (4, 15)])
def test_fewer_channels_than_stride_squared_divide_by_zero(reverse, stride, channels):
    with pytest.raises(ShapeError, match=f"C = {channels} below stride² = {stride**2} Darknet itself divides by zero"):
        op(f"darknet_reorg{reverse}", stride=stride).table((channels, stride, stride))


@pytest.mark.parametrize(("stride", "channels"), [(2, 4), (2, 8), (2, 24), (3, 9), (3, 80)])
def test_reorg3d_reverse_wants_stride_to_the_fourth(stride, channels):
    refused = op("darknet_reorg3d_reverse", stride=stride)
    with pytest.raises(ShapeError, match=f"C = {channels} is not a multiple of {stride**4}"):
        refused.table((channels, 2, 2))
    accepted = stride**4
    assert refused.out_shape((accepted, 2, 2)) == (stride**2, 2 * stride, 2 * stride)


@pytest.mark.parametrize("name", ["darknet_reorg", "darknet_reorg3d"])
@pytest.mark.parametrize(("shape", "axis"), [((4, 3, 4), "H = 3"), ((4, 4, 5), "W = 5")])
def test_growing_layers_want_height_and_width_to_be_multiples_of_the_stride(name, shape, axis):
    with pytest.raises(ShapeError, match=f"{axis} is not a multiple of 2"):
        op(name, stride=2).table(shape)


@pytest.mark.parametrize(("stride", "channels"), [(2, 5), (2, 6), (2, 7), (2, 9), (3, 10), (3, 11), (3, 19)])
def test_what_the_refusal_counts_is_what_the_loops_do(channels, stride):
    shape = (channels, stride, 2 * stride)
    total = channels * shape[1] * shape[2]
    room = 4 * total  # the loops run past the end of the smaller tensor
    counter = np.arange(room)
    read = np.full(total, -1)
    reorg_cpu(counter, shape[2], shape[1], channels, 1, stride, 0, read)
    lost = total - np.intersect1d(np.arange(total), read).size
    beyond = np.count_nonzero(read >= total)
    said = describe_refusal(stride, shape)
    assert f"loses {lost} of {total} elements" in said
    assert (f"reads {beyond} beyond" in said) == (beyond > 0)

    written = np.full(room, -1)
    reorg_cpu(np.arange(total), shape[2], shape[1], channels, 1, stride, 1, written)
    held = channels // stride**2 * stride**2 * shape[1] * shape[2]
    survivors = np.unique(written[:held][written[:held] >= 0])
    said = describe_refusal(stride, shape, reverse=True)
    assert f"loses {total - survivors.size} of {total} elements" in said
    first_lost = np.setdiff1d(np.arange(total), survivors)[0]
    assert str([int(k) for k in np.unravel_index(first_lost, shape)]) in said


# ---------------------------------------------------------------------------------- the loops, and the experiments


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize(("stride", "shape"), [(1, (2, 3, 4)), (2, (8, 4, 6)), (3, (9, 3, 6)), (4, (16, 4, 8))])
def test_darknets_loops_written_out_agree_with_both_directions(stride, shape, batch):
    channels, height, width = shape
    size = batch * channels * height * width
    x = np.arange(size) * 7 + 1
    for name, forward in (("darknet_reorg", 0), ("darknet_reorg_reverse", 1)):
        out = np.zeros(size, x.dtype)
        reorg_cpu(x, width, height, channels, batch, stride, forward, out)
        np.testing.assert_array_equal(op(name, stride=stride)(x.reshape(batch, *shape)).ravel(), out)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 2, 3), (6, 1, 1), (5, 3, 2)])
def test_flatten_and_unflatten_agree_with_darknets_loops(shape, batch):
    channels, height, width = shape
    x = np.arange(batch * channels * height * width)
    for name, forward in (("darknet_flatten", 1), ("darknet_unflatten", 0)):
        expected = x.copy()
        flatten(expected, height * width, channels, batch, forward)
        made = op(name)
        assert made.out_shape((batch, *shape)) == (batch, *shape)
        np.testing.assert_array_equal(made.table((batch, *shape)), expected)


def run_reorg(x, w, h, c, forward, out_shape):
    """One call of Darknet's function at stride 2 on an array [N, C, H, W]."""
    out = np.zeros(x.size, x.dtype)
    reorg_cpu(x.ravel(), w, h, c, x.shape[0], 2, forward, out)
    return out.reshape(out_shape)


def test_authors_way_channels_up_then_down():
    """C, H, W of the input, so the pairing is between the wrong two shapes; reversible all the same."""
    x = np.arange(4 * 4 * 6).reshape(1, 4, 4, 6)
    up = run_reorg(x, 6, 4, 4, 0, (1, 16, 2, 3))
    np.testing.assert_array_equal(op("darknet_reorg")(x), up)
    assert not np.array_equal(op("space_to_depth")(x), up)
    back = run_reorg(up, 6, 4, 4, 1, x.shape)
    np.testing.assert_array_equal(back, x)
    np.testing.assert_array_equal(op("darknet_reorg").inverse()(up), x)


def test_authors_way_channels_down_then_up():
    """What blogs draw: depth to space, and back."""
    x = np.arange(8 * 2 * 3).reshape(1, 8, 2, 3)
    down = run_reorg(x, 3, 2, 8, 1, (1, 2, 4, 6))
    np.testing.assert_array_equal(op("darknet_reorg_reverse")(x), down)
    np.testing.assert_array_equal(op("depth_to_space")(x), down)
    back = run_reorg(down, 3, 2, 8, 0, x.shape)
    np.testing.assert_array_equal(back, x)
    np.testing.assert_array_equal(op("space_to_depth")(down), x)


def test_unified_way_channels_up_then_down():
    """C, H, W always of the tensor with more channels: what blogs draw, also upwards."""
    x = np.arange(2 * 4 * 6).reshape(1, 2, 4, 6)
    up = run_reorg(x, 3, 2, 8, 0, (1, 8, 2, 3))
    np.testing.assert_array_equal(op("leimao_reorg")(x), up)
    np.testing.assert_array_equal(op("space_to_depth")(x), up)
    back = run_reorg(up, 3, 2, 8, 1, x.shape)
    np.testing.assert_array_equal(back, x)
    np.testing.assert_array_equal(op("leimao_reorg_reverse")(up), x)


def test_unified_way_channels_down_then_up_is_the_authors():
    x = np.arange(8 * 2 * 3).reshape(1, 8, 2, 3)
    down = run_reorg(x, 3, 2, 8, 1, (1, 2, 4, 6))
    np.testing.assert_array_equal(op("leimao_reorg_reverse")(x), down)
    np.testing.assert_array_equal(op("darknet_reorg_reverse")(x), down)
    np.testing.assert_array_equal(run_reorg(down, 3, 2, 8, 0, x.shape), x)
    np.testing.assert_array_equal(op("leimao_reorg")(down), x)


def test_the_blogs_unified_example_has_its_shapes():
    up = op("leimao_reorg", stride=2)
    assert up.out_shape((16, 64, 144, 144)) == (16, 256, 72, 72)
    assert up.inverse().out_shape((16, 256, 72, 72)) == (16, 64, 144, 144)
    assert up.then(op("leimao_reorg_reverse", stride=2)).is_identity


def test_focus_and_space_to_depth_on_two_by_two():
    x = np.array([[[0, 1], [2, 3]]])
    assert op("focus")(x).ravel().tolist() == [0, 2, 1, 3]
    assert op("space_to_depth")(x).ravel().tolist() == [0, 1, 2, 3]


def test_an_input_pyramid_of_the_picture_itself_is_pixel_unshuffle():
    picture = np.arange(3 * 8 * 8).reshape(3, 8, 8)
    smaller = op("pixel_unshuffle")(picture)
    assert smaller.shape == (12, 4, 4)
    assert [int(channel.min()) // 64 for channel in smaller] == [0] * 4 + [1] * 4 + [2] * 4
