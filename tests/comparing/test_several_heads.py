"""Ports that decode the boxes of two heads: right in every public style, and told which head is wrong and how."""

import pytest

import layoutbridge as lb

pytest.importorskip("onnxruntime")

from tests.comparing.decoding_ports import decoding
from tests.darknet_files import made

CFG = """
[net]
width=64
height=48
channels=3
[convolutional]
batch_normalize=1
filters=8
size=3
stride=4
pad=1
activation=leaky
[convolutional]
batch_normalize=1
filters=8
size=3
stride=2
pad=1
activation=leaky
[convolutional]
batch_normalize=1
filters=8
size=3
stride=2
pad=1
activation=leaky
[convolutional]
filters=24
size=1
stride=1
pad=1
activation=linear
[yolo]
mask=3,4,5
anchors=10,13, 16,30, 33,23, 30,61, 62,45, 59,119
classes=3
num=6
[route]
layers=-3
[upsample]
stride=2
[route]
layers=-1,1
[convolutional]
batch_normalize=1
filters=8
size=3
stride=1
pad=1
activation=leaky
[convolutional]
filters=24
size=1
stride=1
pad=1
activation=linear
[yolo]
mask=0,1,2
anchors=10,13, 16,30, 33,23, 30,61, 62,45, 59,119
classes=3
num=6
"""
COARSE, FINE = "4_yolo", "10_yolo"


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    return made(CFG, tmp_path_factory.mktemp("two"))


RIGHT = {
    "rows": {},
    "shares": {"unit": "shares"},
    "places": {"unit": "places"},
    "corners": {"form": "corners"},
    "corners in shares, boxes and scores": {
        "form": "corners", "unit": "shares", "together": "parts", "confidence": "scores",
    },
    "yx corners": {"form": "yx corners", "multiplied": True},
    "yx": {"form": "yx", "unit": "shares"},
    "top left": {"form": "top left", "unit": "shares"},
    "heads in the other order": {"reverse": True},
    "each head for itself": {"joined": False},
    "each head for itself, in parts": {"joined": False, "together": "parts", "order": "row, column, box"},
    "in parts": {"together": "parts"},
    "an axis more": {"together": "parts", "layout": "an axis more", "form": "corners"},
    "turned": {"layout": "turned", "confidence": "scores"},
    "place by place": {"order": "row, column, box"},
    "column by column": {"order": "column, row, box", "reverse": True},
    "objectness first": {"confidence": "first"},
    "the best class": {"together": "best"},
    "labels alone": {"together": "best", "labels alone": True},
}  # fmt: skip


@pytest.mark.sample(8)
@pytest.mark.parametrize("style", RIGHT)
def test_right_boxes(net, style):
    found = lb.compare(net, decoding(net, **RIGHT[style]))
    assert found.equal, (found.first, found.causes)
    assert found.notes == ()


def turned(grid):
    """Columns and rows exchanged in a grid that is then seen in the right shape."""
    return grid.swapaxes(3, 4).reshape(grid.shape)


# The faults of a port, the heads that are to be told, and words of what was found at each.
FAULTS = {
    "no exp": ({"no exp": True}, [(COARSE, FINE)], ["w, h: no exp"]),
    "anchors of another head": ({"mask": {4: [0, 1, 2]}}, [(COARSE,)], [f"w, h: anchors of {FINE}"]),
    "masks exchanged": (
        {"mask": {4: [0, 1, 2], 10: [3, 4, 5]}}, [(COARSE,), (FINE,)],
        [f"w, h: anchors of {FINE}", f"w, h: anchors of {COARSE}"],
    ),
    "the first anchors": ({"mask": [0, 1, 2]}, [(COARSE,)], [f"w, h: anchors of {FINE}"]),
    "stride of another head": ({"stride": {10: 2.0}}, [(FINE,)], [f"x, y: the stride of {COARSE}"]),
    "stride of one head, corners": (
        {"stride": {4: 0.5}, "form": "corners"}, [(COARSE,)], [f"x, y: the stride of {FINE}"],
    ),
    "one head without exp": ({"no exp": {10: True}}, [(FINE,)], ["w, h: no exp"]),
    "one head without exp, heads reversed": ({"no exp": {4: True}, "reverse": True}, [(COARSE,)], ["w, h: no exp"]),
    "one head without exp, for itself": ({"no exp": {4: True}, "joined": False}, [(COARSE,)], ["w, h: no exp"]),
    "raw objectness of one head": ({"raw objectness": {4: True}}, [(COARSE,)], ["objectness: no logistic"]),
    "softmax in one head": (
        {"softmax": {10: True}}, [(FINE,)], ["classes: a softmax instead of the logistic"],
    ),
    "x and y": ({"exchange xy": True}, [(COARSE, FINE)], ["x and y exchanged"]),
    "w and h": ({"exchange wh": True}, [(COARSE, FINE)], ["w and h exchanged"]),
    "width for height": (
        {"anchors": lambda own: own[:, ::-1]}, [(COARSE, FINE)], ["w, h: anchors with width and height exchanged"],
    ),
    "anchors in another order": (
        {"anchors": lambda own: own[[1, 2, 0]]}, [(COARSE, FINE)], ["w, h: anchors in another order"],
    ),
    "stride twice": ({"size": {4: 1 / 16, 10: 1 / 8}}, [(COARSE, FINE)], ["divided by the stride"]),
    "grid": ({"grid": turned}, [(COARSE, FINE)], ["rows and columns are exchanged"]),
    "no grid": ({"grid": {4: lambda grid: 0 * grid}}, [(COARSE,)], ["x, y: no offset"]),
    "half a place": ({"grid": lambda grid: grid + 0.5}, [(COARSE, FINE)], ["x, y: half a place too much"]),
    "entries first": ({"read": {10: "entries first"}}, [(FINE,)], ["(entry, box)"]),
    "a reshape": ({"read": {4: "reshape"}}, [(COARSE,)], ["reshape alone"]),
    "channels last": ({"read": "channels last"}, [(COARSE, FINE)], ["channels last"]),
    "corners cut off": ({"form": "corners", "cut": True}, [(COARSE, FINE)], ["cut off"]),
    "objectness of another box": (
        {"order of objectness": "row, column, box"}, [(COARSE, FINE)],
        ["x, y, w, h, classes by box, row, column | objectness by row, column, box"],
    ),
    "scores of another box, in one head": (
        {"order of scores": {4: "column, row, box"}}, [(COARSE,)],
        ["x, y, w, h, objectness by box, row, column | classes by column, row, box"],
    ),
    "scores in another order, in parts": (
        {"order of scores": "row, column, box", "together": "parts"}, [(COARSE, FINE)],
        ["in one output than in another"],
    ),
    "classes": ({"order of classes": [2, 0, 1]}, [(COARSE, FINE)], ["classes: in another order: 2, 0, 1"]),
    "labels from 1": ({"together": "best", "label from 1": True}, [(COARSE, FINE)], ["counted from 1"]),
    "labels of the worst": (
        {"together": "best", "label of the worst": True}, [(COARSE, FINE)], ["not those of the best"],
    ),
    "two faults": (
        {"no exp": {4: True}, "raw objectness": {10: True}}, [(COARSE,), (FINE,)],
        ["w, h: no exp", "objectness: no logistic"],
    ),
}  # fmt: skip


@pytest.mark.sample(6, slow=6)
@pytest.mark.parametrize("name", FAULTS)
def test_wrong_boxes(net, name):
    faults, heads, words = FAULTS[name]
    found = lb.compare(net, decoding(net, **faults))
    assert not found.equal
    assert [each.cause for each in found.causes] == ["head"] * len(heads), found.first
    assert [(each.at, *each.everywhere) for each in found.causes] == heads, found.causes
    for cause, told in zip(found.causes, words, strict=True):
        assert told in cause.found
        assert cause.deviation_before > 1e-3
        assert cause.deviation_after < 1e-5 or "best" in told
    assert found.first.reference == heads[0][0]


def test_one_head_decoded_and_one_not(net):
    assert lb.compare(net, decoding(net, raw={4: "all"}, joined=False)).equal
    assert lb.compare(net, decoding(net, raw={10: "all"}, joined=False, layout="turned")).equal


def test_a_head_that_is_left_out(net):
    model = decoding(net, joined=False)
    del model.graph.output[1]
    found = lb.compare(net, model)
    assert not found.equal
    assert (found.first.reference, found.first.relation) == (FINE, "missing")
    assert FINE in found.notes[0]
