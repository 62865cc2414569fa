"""Is a target what it should be: yes, or the smallest place that shows that it is not, checked by running it there."""

import re

import numpy as np
import pytest

import layoutbridge as lb
from layoutbridge.recognition.expectation import check_expectation


def checked(target, shape, expected, second_shape=None, **parameters):
    found = lb.identify(target, shape, second_shape)
    return check_expectation(
        target, found, expected, lambda entry: {k: v for k, v in parameters.items() if k in entry.parameters}
    )


def unshuffled(x):
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).transpose(0, 1, 3, 5, 2, 4).reshape(n, c * 4, h // 2, w // 2)


def reorg(x):
    n, c, h, w = x.shape
    return x.reshape(n, c // 4, h, 2, w, 2).transpose(0, 3, 5, 1, 2, 4).reshape(n, c * 4, h // 2, w // 2)


def channels_last(x):
    n, h, w, c = x.shape
    return x.reshape(n, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 2, 4, 5).reshape(n, h // 2, w // 2, 4 * c)


def at_one_shape(x):
    assert x.shape == (1, 4, 4, 8)
    return unshuffled(x)


def drops(x):
    return unshuffled(x[:, :, :4])


def follows_the_shape(x):
    n, c, h, w = x.shape
    return x.reshape(n, c // 2, 2, h, w).swapaxes(1, 2).reshape(x.shape)


def padded(x):
    n, c, h, w = x.shape
    y = np.zeros((n, 8, h, w), x.dtype)
    y[:, :c] = x
    return y.reshape(n, 4, 2, h, w).swapaxes(1, 2).reshape(n, 8, h, w)


def over_frames(x):
    return unshuffled(x.reshape(-1, *x.shape[2:])).reshape(*x.shape[:2], -1, x.shape[3] // 2, x.shape[4] // 2)


def windows(x):
    n, h, w, c = x.shape
    return x.reshape(n, h // 7, 7, w // 7, 7, c).transpose(0, 1, 3, 2, 4, 5).reshape(-1, 7, 7, c)


def merged(x):
    return np.concatenate([x[:, p::2, q::2] for q in (0, 1) for p in (0, 1)], -1)


SHAPE = (1, 4, 4, 8)


@pytest.mark.parametrize(
    ("target", "shape", "expected", "parameters"),
    [
        (unshuffled, SHAPE, "pixel_unshuffle", {}),
        (unshuffled, SHAPE, "pixel_unshuffle", {"stride": 2}),
        (unshuffled, SHAPE, "space_to_depth_crd(stride=(2, 2))", {}),
        (unshuffled, SHAPE, "space_to_depth_crd(stride=2)", {"stride": 4}),  # what is written in it comes first
        (unshuffled, SHAPE, "inverse(pixel_shuffle)", {}),
        (unshuffled, SHAPE, "c (h p:2) (w q:2) -> (c p q) h w", {}),
        (reorg, (1, 64, 26, 26), "darknet_reorg", {}),
        (lambda x: unshuffled(x).transpose(0, 2, 3, 1), SHAPE, "pixel_unshuffle then nchw_to_nhwc", {}),
        (channels_last, (1, 4, 8, 4), "space_to_depth", {}),
        (channels_last, (1, 4, 8, 4), "space_to_depth", {"stride": 2}),
        (over_frames, (1, 3, 4, 4, 8), "pixel_unshuffle", {}),
        (at_one_shape, SHAPE, "pixel_unshuffle", {}),
        (lambda x: x, SHAPE, "focus", {"stride": 1}),
        (lambda x: x, (1, 3, 4, 4), "focus then inverse(focus)", {}),  # at shapes that it takes
        (lambda x: x, (2,) * 7, "identity", {}),
        (lambda x: x, (4, 6), "identity", {}),
        (windows, (2, 28, 28, 3), "window_partition", {}),
        (windows, (2, 28, 28, 3), "window_partition", {"window": 7}),
        (merged, (1, 8, 8, 3), "patch_merging", {}),
        (merged, (1, 8, 8, 3), "focus", {}),
        (lambda x: x.transpose(2, 3, 1, 0), (8, 4, 3, 3), "oihw_to_hwio", {}),
        (lb.op("focus", stride=(2, 4)), SHAPE, "focus", {}),
        (lb.op("focus", stride=(2, 4)), SHAPE, "focus", {"stride": (2, 4)}),
        (lb.op("pixel_shuffle", spatial=1), (1, 8, 6), "pixel_shuffle", {}),
        (lb.op("pixel_shuffle", spatial=1), (1, 8, 6), "pixel_shuffle", {"spatial": 1}),
        (lb.op("space_to_depth").table((4, 4, 8)), (4, 4, 8), "focus_row_major", {}),
    ],
)
def test_it_is_what_it_should_be(target, shape, expected, parameters):
    told = checked(target, shape, expected, **parameters)
    assert told.holds and told.difference is None, told.difference


@pytest.mark.parametrize(
    ("target", "shape", "expected", "parameters", "told"),
    [
        (unshuffled, SHAPE, "space_to_depth", {}, "input [1, 2, 2, 2]: the result's element [0, 1, 0, 0]"),
        (unshuffled, SHAPE, "focus", {}, "input [1, 1, 2, 2]: the result's element [0, 1, 0, 0]"),
        (unshuffled, SHAPE, "pixel_unshuffle", {"stride": 4}, "input [1, 1, 4, 4]: the result's shape is [1, 4, 2, 2]"),
        (reorg, (1, 64, 26, 26), "darknet_reorg3d", {}, "input [1, 4, 2, 2]: the result's element [0, 1, 0, 0]"),
        (channels_last, (1, 4, 8, 4), "focus", {}, "input [1, 2, 2, 1]: the result's element [0, 0, 0, 1]"),
        (at_one_shape, SHAPE, "focus", {}, "input [1, 4, 4, 8]: the result's element [0, 1, 0, 0]"),
        (drops, SHAPE, "pixel_unshuffle", {}, "input [1, 1, 6, 2]: the result's shape is [1, 4, 2, 1]"),
        (follows_the_shape, (1, 8, 4, 8), "channel_shuffle", {}, "input [1, 4, 1, 1]: the result's element [0, 1"),
        (follows_the_shape, (1, 8, 4, 8), "channel_shuffle", {"groups": 4}, "input [1, 4, 1, 1]: the result's element"),
        (padded, (1, 6, 4, 8), "channel_shuffle", {}, "it is channel_shuffle (groups 4), the input filled up with"),
        (
            lambda x: unshuffled(x).transpose(0, 2, 3, 1),
            SHAPE,
            "pixel_unshuffle",
            {},
            "pixel_unshuffle (stride 2), then",
        ),
        (np.abs, SHAPE, "focus", {}, "no permutation"),
        (
            windows,
            (2, 28, 28, 3),
            "window_partition",
            {"window": 4},
            "input [2, 28, 28, 3]: the result's shape is [32, 7",
        ),
        (
            merged,
            (1, 8, 8, 3),
            "patch_merging",
            {"order": "pqc"},
            "input [1, 2, 2, 1]: the result's element [0, 0, 0, 1]",
        ),
        (lambda x: x.transpose(2, 3, 1, 0), (8, 8, 3, 3), "identity", {}, "input [1, 1, 1, 2]: the result's shape"),
        (lambda x: x[:, ::-1], SHAPE, "channel_shuffle", {}, "the result's element [0, 0, 0, 0] comes from"),
        (lambda x: x.reshape(1, 4, 8, 4), SHAPE, "focus", {}, "in focus (stride 2)"),
        (lambda x: x.transpose(1, 0), (4, 6), "focus(spatial=3)", {}, "takes 4 axes"),
    ],
)
def test_where_it_differs(target, shape, expected, parameters, told):
    found = checked(target, shape, expected, **parameters)
    assert not found.holds and told in str(found.difference)


@pytest.mark.parametrize(
    ("target", "shape", "expected", "told"),
    [
        (lb.op("space_to_depth"), (1, 4, 4, 8), "darknet_reorg", "input [4, 2, 2]: the result's element [1, 0, 0]"),
        (
            lb.op("space_to_depth", stride=4),
            (1, 4, 4, 8),
            "space_to_depth(stride=2)",
            "the result's shape is [16, 1, 1]",
        ),
        (
            lb.op("pixel_unshuffle").table((4, 4, 8)),
            (4, 4, 8),
            "space_to_depth",
            "input [2, 2, 2]: the result's element [1, 0, 0] comes from input [0, 0, 1] "
            "in pixel_unshuffle (stride 2), which it is, in space_to_depth (stride 2) from [1, 0, 0]",
        ),
        (np.roll(np.arange(128), 1), (4, 4, 8), "space_to_depth", "input [4, 4, 8]: the result's element [0, 0, 0]"),
        (np.arange(64), (4, 4, 8), "space_to_depth", "no permutation: its result has 64 elements"),
    ],
)
def test_where_tables_and_rearrangements_differ(target, shape, expected, told):
    assert told in str(checked(target, shape, expected).difference)


@pytest.mark.parametrize("target", [unshuffled, reorg])
@pytest.mark.parametrize("name", ["space_to_depth", "darknet_reorg", "focus", "pixel_unshuffle", "darknet_reorg3d"])
def test_what_is_told_can_be_seen(target, name):
    """The element that is said to differ does, when both are run at that shape."""
    told = checked(target, (1, 16, 8, 8), name)
    if told.difference is None:
        assert (target, name) in ((unshuffled, "pixel_unshuffle"), (reorg, "darknet_reorg"))
        return
    shape, place, here, there = (
        tuple(map(int, numbers.split(", "))) for numbers in re.findall(r"\[([0-9, ]+)\]", told.difference.told)
    )
    x = np.arange(np.prod(shape)).reshape(shape)
    assert target(x)[place] == x[here] != x[there] == lb.op(name)(x)[place]


def test_words_that_are_not_given_are_as_usual(monkeypatch):
    from types import MappingProxyType

    from layoutbridge.operations import catalog
    from layoutbridge.operations.entry import CatalogEntry
    from layoutbridge.operations.parameters import Form, Parameter

    forms = tuple(
        Form(
            f"c (h p:s) (w q:s) -> ({order}) h w", MappingProxyType({"stride": ("s",)}), MappingProxyType({"o": order})
        )
        for order in ("p q c", "c p q")
    )
    parameters = MappingProxyType({"stride": Parameter("stride", 2), "o": Parameter("o", "p q c")})
    monkeypatch.setitem(catalog._registry, "ordered", CatalogEntry("ordered", forms, "", "", parameters))
    target = lb.op("pixel_unshuffle", stride=4)
    assert not checked(target, (1, 2, 8, 8), "ordered").holds
    found = checked(target, (1, 2, 8, 8), "ordered", o="c p q")
    assert found.holds and found.parameters == {"stride": 4, "o": "c p q"}
    assert checked(lb.op("space_to_depth", stride=4), (1, 2, 8, 8), "ordered").holds


def test_the_second_shape_counts():
    def switched(x):
        return unshuffled(x) if x.shape[1] != 7 else lb.op("focus")(x)

    assert checked(switched, SHAPE, "pixel_unshuffle").holds
    told = checked(switched, SHAPE, "pixel_unshuffle", second_shape=(1, 7, 40, 40))
    assert "input [1, 7," in str(told.difference)


@pytest.mark.parametrize(
    ("expected", "error"),
    [("focuss", "did you mean focus"), ("focus(groups=2)", "takes no groups"), ("c h w -> c h", "missing")],
)
def test_what_cannot_be_expected(expected, error):
    with pytest.raises(lb.LayoutBridgeError, match=error):
        checked(unshuffled, SHAPE, expected)
