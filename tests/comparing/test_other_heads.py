"""Ports that decode the boxes of [Gaussian_yolo], of the first YOLO and of new_coords themselves."""

import pytest

import layoutbridge as lb

pytest.importorskip("onnxruntime")

from tests.comparing.decoding_ports import decoding
from tests.darknet_files import NETS, made

GAUSSIAN, FIRST, NEW = ("alexey", "gaussian_yolo"), ("pjreddie", "detection_v1"), ("alexey", "yolo_new_coords")
REGION, LOGISTIC, BACKGROUND = (("pjreddie", f"region_{name}") for name in ("logistic", "logistic", "background"))


def network(fork, name):
    folder = NETS / fork / name
    return lb.darknet.load(folder / "net.cfg", folder / "net.weights", flavor=fork)


RIGHT = {
    "alone": {},
    "scores": {"confidence": "scores", "layout": "turned"},
    "corners": {"form": "corners", "unit": "shares", "multiplied": True},
    "parts": {"together": "parts", "unit": "shares", "order": "row, column, box"},
    "the best class": {"together": "best", "form": "yx corners"},
}


@pytest.mark.parametrize("style", RIGHT)
@pytest.mark.parametrize("which", [GAUSSIAN, FIRST, NEW, LOGISTIC], ids=lambda which: which[1])
def test_right_boxes(which, style):
    net = network(*which)
    found = lb.compare(net, decoding(net, **RIGHT[style]))
    assert found.equal, (found.first, found.causes)
    assert found.notes == ()


def test_the_uncertainty_in_the_objectness():
    net = network(*GAUSSIAN)
    assert lb.compare(net, decoding(net, **{"objectness times certain": True})).equal


@pytest.mark.parametrize("point", ["left_top", "right_bottom"])
def test_a_corner_is_predicted(point, tmp_path):
    text = (NETS / "alexey/gaussian_yolo/net.cfg").read_text() + f"yolo_point={point}\n"
    net = made(text, tmp_path)
    assert lb.compare(net, decoding(net)).equal
    assert lb.compare(net, decoding(net, form="corners", unit="shares")).equal
    found = lb.compare(net, decoding(net, **{"the corner": True}))
    assert found.equal == (point == "left_top")  # there it is right: the left upper corner and the size
    if not found.equal:
        assert [each.found for each in found.causes] == ["x, y: the corner that is predicted taken for the centre"]


@pytest.mark.parametrize("layout", ["boxes", "yolov5", "yolov8"])
@pytest.mark.parametrize(
    "which",
    [GAUSSIAN, FIRST, NEW, LOGISTIC, BACKGROUND, ("alexey", "detection_v1"), ("alexey", "region_logistic"),
     ("alexey", "dense_tiny"), ("pjreddie", "passthrough")],
    ids="/".join,
)  # fmt: skip
def test_our_exports(which, layout, tmp_path):
    net = network(*which)
    net.to_onnx(tmp_path / "net.onnx", head=layout)
    found = lb.compare(net, str(tmp_path / "net.onnx"))
    assert found.equal, (found.first, found.causes)


# A network, a fault of its port, and words of what was found.
FAULTS = {
    "no logistic": (GAUSSIAN, {"no logistic": True}, "x, y: no logistic"),
    "deviations for sizes": (GAUSSIAN, {"deviations for sizes": True}, "w, h: the deviation taken for it"),
    "the first four": (GAUSSIAN, {"first four": True}, "a deviation follows each"),
    "uncertainty": (GAUSSIAN, {"certain": True}, "classes: not times 1 − uncertainty"),
    "uncertainty of scores": (GAUSSIAN, {"certain": True, "confidence": "scores"}, "not times 1 − uncertainty"),
    "no exp": (GAUSSIAN, {"no exp": True, "form": "corners"}, "w, h: no exp"),
    "no square": (FIRST, {"no square": True}, "w, h: the square is missing"),
    "no square, corners": (FIRST, {"no square": True, "form": "corners", "unit": "shares"}, "the square is missing"),
    "no grid": (FIRST, {"grid": lambda grid: 0 * grid}, "x, y: no offset"),
    "the grid turned": (FIRST, {"grid": lambda grid: grid[:, :, ::-1]}, "x, y: the offset of the other axis"),
    "boxes first": (
        FIRST, {"vector": ("boxes", "confidences", "classes")},
        "the vector read as boxes, confidences, classes: it is classes, confidences, boxes",
    ),
    "confidences first": (FIRST, {"vector": ("confidences", "classes", "boxes")}, "as confidences, classes, boxes"),
    "by place": (FIRST, {"by place": True}, "of one place after the other"),
    "shares of a place": (FIRST, {"of a place": True}, "w, h: taken for shares of a place"),
    "anchors": (NEW, {"mask": [2, 1, 0]}, "w, h: anchors in another order"),
    "a logistic region": (LOGISTIC, {"no exp": True}, "w, h: no exp"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_wrong_boxes(name):
    which, faults, words = FAULTS[name]
    net = network(*which)
    found = lb.compare(net, decoding(net, **faults))
    assert [each.cause for each in found.causes] == ["head"], found.first
    (cause,) = found.causes
    assert words in cause.found
    assert cause.at == found.first.reference == net.layers[-1].name
    assert cause.deviation_after < 1e-5
    assert cause.deviation_before > 1e-3


UNUSUAL = {
    "two coordinates": ("pjreddie", "[region]\nanchors=1,2\nclasses=3\ncoords=2\nnum=1\nsoftmax=1\n", 6),
    "six coordinates": ("pjreddie", "[region]\nanchors=1,2\nclasses=3\ncoords=6\nnum=1\nsoftmax=1\n", 10),
    "one class": ("alexey", "[yolo]\nmask=0\nanchors=10,13\nclasses=1\nnum=1\n", 6),
}
NET = (
    "[net]\nwidth=16\nheight=16\nchannels=3\n[convolutional]\nfilters={}\nsize=3\nstride=2\npad=1\nactivation=linear\n"
)


@pytest.mark.parametrize("name", UNUSUAL)
def test_unusual_heads(name, tmp_path):
    flavor, head, filters = UNUSUAL[name]
    net = made(NET.format(filters) + head, tmp_path, flavor)
    net.to_onnx(tmp_path / "net.onnx")
    assert lb.compare(net, str(tmp_path / "net.onnx")).equal
    if "two" not in name:
        net.to_onnx(tmp_path / "boxes.onnx", head="boxes")
        assert lb.compare(net, str(tmp_path / "boxes.onnx")).equal


def test_heads_of_two_kinds(tmp_path):
    """Each with its own classes in its own output: nothing joins them."""
    first = "[yolo]\nmask=0\nanchors=10,13\nclasses=2\nnum=1\n"
    second = "[Gaussian_yolo]\nmask=0\nanchors=10,13\nclasses=3\nnum=1\n"
    conv = "[convolutional]\nfilters=12\nsize=1\nstride=1\nactivation=linear\n"
    net = made(NET.format(7) + first + "[route]\nlayers=-2\n" + conv + second, tmp_path)
    assert lb.compare(net, decoding(net, joined=False)).equal
    found = lb.compare(net, decoding(net, joined=False, **{"no exp": {1: True}, "certain": True}))
    assert [(each.at, each.found) for each in found.causes] == [
        ("1_yolo", "w, h: no exp"), ("4_Gaussian_yolo", "classes: not times 1 − uncertainty"),
    ]  # fmt: skip
