"""Blocks on one, two or three axes, of one size or one each, against loops written out element by element."""

import itertools

import numpy as np
import pytest

import layoutbridge as lb
from layoutbridge.errors import ParameterError

WIDE = {  # which channel holds the position `inside` of a block, and channel c of `channels`
    "space_to_depth": lambda inside, sizes, c, channels: np.ravel_multi_index((*inside, c), (*sizes, channels)),
    "focus_row_major": lambda inside, sizes, c, channels: np.ravel_multi_index((*inside, c), (*sizes, channels)),
    "space_to_depth_crd": lambda inside, sizes, c, channels: np.ravel_multi_index((c, *inside), (channels, *sizes)),
    "pixel_unshuffle": lambda inside, sizes, c, channels: np.ravel_multi_index((c, *inside), (channels, *sizes)),
    "focus": lambda inside, sizes, c, channels: np.ravel_multi_index((*inside[::-1], c), (*sizes[::-1], channels)),
}
DEEP = {
    "depth_to_space": "space_to_depth",
    "depth_to_space_crd": "space_to_depth_crd",
    "pixel_shuffle": "pixel_unshuffle",
}
ASKED = [
    ({"stride": 3, "spatial": 1}, (3,)),
    ({"stride": (1, 4)}, (1, 4)),
    ({"stride": (3, 2)}, (3, 2)),
    ({"stride": [2, 2]}, (2, 2)),
    ({"spatial": 3}, (2, 2, 2)),
    ({"stride": (2, 1, 3)}, (2, 1, 3)),
    ({"stride": (2, 3, 2), "spatial": 3}, (2, 3, 2)),
]


def into_channels(name, x, sizes):
    """Element by element: place the value at c and a position of the wide tensor where the definition says."""
    channels, *lengths = x.shape
    deep = [length // size for length, size in zip(lengths, sizes, strict=True)]
    y = np.empty((channels * int(np.prod(sizes)), *deep), x.dtype)
    for c, *place in itertools.product(*map(range, x.shape)):
        inside = tuple(p % size for p, size in zip(place, sizes, strict=True))
        outside = tuple(p // size for p, size in zip(place, sizes, strict=True))
        y[(WIDE[name](inside, sizes, c, channels), *outside)] = x[(c, *place)]
    return y


@pytest.mark.parametrize(("parameters", "sizes"), ASKED, ids=str)
@pytest.mark.parametrize("name", [*WIDE, *DEEP])
def test_every_size_and_number_of_axes(name, parameters, sizes):
    lengths = tuple(size * (k + 2) for k, size in enumerate(sizes))
    x = np.random.default_rng(0).standard_normal((3, *lengths))
    wide = DEEP.get(name, name)
    y = into_channels(wide, x, sizes)
    operation = lb.op(name, **parameters)
    given, wanted = (y, x) if name in DEEP else (x, y)
    np.testing.assert_array_equal(operation(given), wanted)
    np.testing.assert_array_equal(operation(np.stack([given, -given])), np.stack([wanted, -wanted]))
    assert operation.inverse()(wanted).tolist() == given.tolist()
    assert lb.Rearrangement(operation.pattern) == operation

    found = lb.identify(operation, (2, *given.shape))
    assert name in found.names
    assert all(lb.op(match.name, **match.parameters) == operation for match in found.matches)


def test_what_is_told():
    assert lb.op("space_to_depth", stride=(3, 3)).parameters == (("stride", 3),)
    assert lb.op("space_to_depth", stride=(3, 2)).label == "space_to_depth (stride 3×2)"
    assert lb.op("space_to_depth", spatial=3).label == "space_to_depth (stride 2, spatial 3)"
    assert lb.op("space_to_depth", stride=(1, 1)) == lb.op("space_to_depth", stride=1)


@pytest.mark.parametrize(
    ("name", "parameters", "told"),
    [
        ("focus", {"stride": (2, 3), "spatial": 3}, "focus has no form for stride=2×3, spatial=3"),
        ("focus", {"spatial": 4}, "focus has no form for spatial=4; spatial is 2, 1 or 3"),
        ("focus", {"stride": (1, 2, 3, 4)}, "focus has no form for stride=1×2×3×4"),
        ("focus", {"stride": (2, 0)}, "each number in stride of focus must be between 1 and 2^63 - 1, not 0"),
        ("focus", {"stride": (2, 1.5)}, "each number in stride of focus must be a whole number, not 1.5"),
        ("focus", {"spatial": "two"}, "spatial of focus must be a whole number, not 'two'"),
        ("darknet_reorg", {"stride": (2, 3)}, "darknet_reorg has no form for stride=2×3; it takes stride"),
        ("channel_shuffle", {"groups": (2, 3)}, "channel_shuffle has no form for groups=2×3; it takes groups"),
    ],
)
def test_what_does_not_go_together(name, parameters, told):
    with pytest.raises(ParameterError) as caught:
        lb.op(name, **parameters)
    assert str(caught.value).startswith(told) and len(str(caught.value).splitlines()) == 1
