"""Ports that decode boxes themselves: right in every public style, and told where a part of it is wrong."""

import pytest

import layoutbridge as lb

torch = pytest.importorskip("torch")

from tests.comparing.ports import Port  # noqa: E402


def network(name):
    folder = f"fixtures/nets/alexey/{name}"
    return lb.darknet.load(f"{folder}/net.cfg", f"{folder}/net.weights")


class Decoding(Port):
    """Boxes [N, boxes, entries], decoded from what the last convolution gives."""

    def head(self, layer, s, x):
        n, _, height, width = x.shape
        v = x.view(n, s.num, s.entries, height, width).permute(0, 1, 3, 4, 2)
        anchors = torch.tensor(s.anchors).view(-1, 2)
        anchors = anchors[list(s.mask)] if layer.kind == "yolo" else anchors
        if self.fault("anchors"):
            anchors = self.fault("anchors")(anchors)
        stride = self.net.network.width / width
        anchors = anchors if layer.kind == "yolo" else anchors * stride
        rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        grid = torch.stack((columns, rows), -1) * (0 if self.fault("no_grid") else 1)
        scale = getattr(s, "scale_x_y", 1)
        xy = v[..., :2].sigmoid() * scale - 0.5 * (scale - 1)
        xy = (xy + grid) * (1 if self.fault("no_stride") else stride)
        wh = (v[..., 2:4] if self.fault("no_exp") else v[..., 2:4].exp()) * anchors.view(1, s.num, 1, 1, 2)
        if self.fault("unit"):
            size = self.net.network.width, self.net.network.height
            xy, wh = xy / torch.tensor(size), wh / torch.tensor(size)
        sure = v[..., 4:5] if self.fault("raw_objectness") else v[..., 4:5].sigmoid()
        classes = v[..., 5:].softmax(-1) if layer.kind == "region" else v[..., 5:].sigmoid()
        if self.fault("multiplied"):
            classes = classes * sure
        parts = [xy, wh]
        if self.fault("corners"):
            parts = [xy - wh / 2, xy + wh / 2]
        parts += [] if self.fault("without") else [sure]
        boxes = torch.cat([*parts, classes], -1).reshape(n, -1, 4 + (not self.fault("without")) + s.classes)
        return boxes.transpose(1, 2) if self.fault("turned") else boxes

    yolo = region = head


STYLES = {
    "yolov5": {},
    "yolov8": {"without": True, "multiplied": True, "turned": True},
    "shares": {"unit": True, "multiplied": True},
    "corners": {"corners": True},
}


@pytest.mark.parametrize("name", ["yolo_scaled", "passthrough"])
@pytest.mark.parametrize("style", STYLES)
def test_right_boxes(name, style):
    net = network(name)
    found = lb.compare(net, Decoding(net, **STYLES[style]).eval())
    assert found.equal, (found.first, found.causes)


FAULTS = {
    "no exp": ({"no_exp": True}, "no exp"),
    "no grid": ({"no_grid": True}, "no offset"),
    "no stride": ({"no_stride": True}, "in places"),
    "width for height": ({"anchors": lambda anchors: anchors.flip(1)}, "width and height exchanged"),
    "anchors in the other order": ({"anchors": lambda anchors: anchors.flip(0)}, "other order"),
    "raw objectness": ({"raw_objectness": True}, "objectness: no logistic"),
}


@pytest.mark.sample(4)
@pytest.mark.parametrize("name", ["yolo_scaled", "passthrough"])
@pytest.mark.parametrize("fault", FAULTS)
def test_wrong_boxes(name, fault):
    faults, words = FAULTS[fault]
    net = network(name)
    found = lb.compare(net, Decoding(net, **faults).eval())
    assert not found.equal
    assert [each.cause for each in found.causes] == ["head"], found.first
    assert words in found.causes[0].found
    assert found.first.reference == net.layers[-1].name


def test_a_fault_before_decoded_boxes():
    net = network("passthrough")
    found = lb.compare(net, Decoding(net, slope=0.2, no_exp=True).eval())
    assert [each.cause for each in found.causes] == ["activation", "head"]


@pytest.mark.parametrize("layout", ["boxes", "yolov5", "yolov8"])
@pytest.mark.parametrize("name", ["yolo_scaled", "passthrough"])
def test_our_exports(name, layout, tmp_path):
    pytest.importorskip("onnxruntime")
    net = network(name)
    net.to_onnx(tmp_path / "net.onnx", head=layout)
    found = lb.compare(net, str(tmp_path / "net.onnx"))
    assert found.equal, (found.first, found.causes)
