"""What programs expect in place of a head: DeepStream's rows, TensorRT's plugin, raw heads apart for accelerators."""

import numpy as np
import pytest

import layoutbridge as lb
from layoutbridge.darknet.detection.boxes import decode, head_layers
from layoutbridge.darknet.structure.heads import Head
from layoutbridge.errors import UnsupportedError
from tests.darknet_files import GOLDEN, read

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from layoutbridge.darknet.ports.onnx import run_model, write_onnx  # noqa: E402

TOLERANCE = 1e-5  # of an output's largest value
DETECTORS = [name for name in GOLDEN if "yolo" in name or "region" in name or "_v1" in name or "passthrough" in name]
YOLO = "alexey/yolo_head"


def corners(rows, net):
    sides = np.array([net.network.width, net.network.height] * 2)
    return np.concatenate([rows[..., :2] - rows[..., 2:4] / 2, rows[..., :2] + rows[..., 2:4] / 2], axis=-1) * sides


@pytest.mark.parametrize("name", DETECTORS)
def test_deepstream_reads_corners_the_best_score_and_its_class(name, tmp_path):
    net, x, recorded = read(name)
    export = write_onnx(net.network, net.parameters, tmp_path / "net.onnx", runtime="deepstream")
    onnx.checker.check_model(str(tmp_path / "net.onnx"), full_check=True)
    assert isinstance(net.layers[-1].settings, Head) and list(export.outputs) == ["output"]
    (found,) = run_model(tmp_path / "net.onnx", np.stack([x, x]))
    wanted = decode(net.network, {layer.index: recorded[layer.index][None] for layer in head_layers(net.network)})
    assert found.shape == (2, wanted.shape[1], 6)
    scores = wanted[0, :, 5:]
    for picture in found:
        largest = np.abs(corners(wanted[0], net)).max()
        assert np.abs(picture[:, :4] - corners(wanted[0], net)).max() <= TOLERANCE * largest
        labels = picture[:, 5].astype(int)
        assert np.array_equal(labels, picture[:, 5])
        chosen = np.take_along_axis(scores, labels[:, None], axis=1)[:, 0]
        for values in (picture[:, 4], chosen):
            assert np.abs(values - scores.max(axis=1)).max() <= TOLERANCE * max(np.abs(scores).max(), 1e-9)


def test_detect_reads_such_a_file(tmp_path):
    net, _, _ = read(YOLO)
    picture = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    found = {}
    for runtime in ("deepstream", None):
        path = tmp_path / f"{runtime}.onnx"
        write_onnx(net.network, net.parameters, path, runtime=runtime, head=None if runtime else "boxes")
        found[runtime] = lb.darknet.Detector(path, names=None).detect(picture, confidence=0.3, nms=0.99)
    best, every = (
        {(one.label, round(one.score, 4), round(one.left, 2), round(one.top, 2)) for one in found[runtime]}
        for runtime in found
    )
    assert best and best <= every


def suppressed(boxes, scores, threshold, overlap):
    """As the plugin's page says: filtered, sorted, and of one class none that overlaps a better one too much."""
    low, high = boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2
    kept = []
    for score, box, label in sorted(((scores[k, c], k, c) for k, c in np.argwhere(scores > threshold)), reverse=True):
        for other, same in kept:
            shared = np.prod(np.maximum(np.minimum(high[box], high[other]) - np.maximum(low[box], low[other]), 0))
            union = np.prod(boxes[box, 2:]) + np.prod(boxes[other, 2:]) - shared
            if same == label and shared / union > overlap:
                break
        else:
            kept.append((box, label))
        del score
    return {(int(label), int(box)) for box, label in kept}


@pytest.mark.parametrize("name", [YOLO, "alexey/region_logistic", "alexey/gaussian_yolo"])
def test_tensorrt_suppresses_with_its_plugin(name, tmp_path):
    net, x, _ = read(name)
    path, options = tmp_path / "net.onnx", {"nms": True, "nms_kind": "default", "threshold": 0.2, "overlap": 0.4}
    export = write_onnx(net.network, net.parameters, path, runtime="tensorrt", **options)
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    node = model.graph.node[-1]
    assert (node.op_type, node.domain, len(node.input)) == ("EfficientNMS_TRT", "TRT", 2)
    told = {held.name: onnx.helper.get_attribute_value(held) for held in node.attribute}
    assert told == {
        "plugin_version": b"1", "score_threshold": pytest.approx(0.2), "iou_threshold": pytest.approx(0.4),
        "max_output_boxes": 300, "background_class": -1, "score_activation": 0, "box_coding": 1,
    }  # fmt: skip
    kinds = {value.name: value.type.tensor_type.elem_type for value in model.graph.output}
    assert list(node.output) == list(kinds) == list(export.outputs)
    assert kinds == {"num_detections": 6, "detection_boxes": 1, "detection_scores": 1, "detection_classes": 6}
    model.graph.node.remove(node)  # no onnxruntime has it: what it reads is looked at
    del model.graph.output[:]
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in node.input)
    onnx.save(onnx.shape_inference.infer_shapes(model), tmp_path / "before.onnx")
    boxes, scores = run_model(tmp_path / "before.onnx", x[None])
    assert boxes.shape[1:] == (scores.shape[1], 4)
    write_onnx(net.network, net.parameters, path, head="boxes", **options)
    wanted = run_model(path, x[None])[1]
    found = suppressed(boxes[0], scores[0], 0.2, 0.4)
    assert found and found == {(label, box) for _, label, box in wanted.tolist()}


@pytest.mark.parametrize("name", [YOLO, "pjreddie/passthrough", "alexey/dense_tiny"])
def test_accelerators_get_each_head_as_its_convolution_gives_it(name, tmp_path):
    net, x, recorded = read(name)
    for runtime in ("hailo", "rknn"):
        export = write_onnx(net.network, net.parameters, tmp_path / "net.onnx", runtime=runtime)
        model = onnx.load(tmp_path / "net.onnx")
        makers = {output: node.op_type for node in model.graph.node for output in node.output}
        assert export.batch == 1 and {makers[output] for output in export.outputs} == {"Conv"}
        heads = [layer for layer in net.layers if isinstance(layer.settings, Head)]
        for output, layer in zip(run_model(tmp_path / "net.onnx", x[None]), heads, strict=True):
            wanted = recorded[layer.inputs[0]]
            assert np.abs(output[0] - wanted).max() <= TOLERANCE * np.abs(wanted).max()


@pytest.mark.parametrize(
    ("runtime", "options", "told"),
    [
        ("hailo", {"head": "boxes"}, "Hailo Dataflow Compiler does not take head of boxes .*: leave it out"),
        ("hailo", {"nms": True}, "Hailo Dataflow Compiler does not take nms .*: leave it out"),
        ("hailo", {"head": "boxes", "nms": True}, "Hailo Dataflow Compiler does not take nms .*: leave it out"),
        ("deepstream", {"nms": True}, "does not take nms .its cluster-mode suppresses boxes.: leave it out"),
        ("tensorrt", {"nms": True, "nms_kind": "diounms"}, "measures the plain overlap, .*: give nms_kind default"),
        *(
            (runtime, {"nms": True} | head, "has no NonMaxSuppression: leave out nms")
            for runtime in ("rknn", "opencv45", "opencv48", "opencv412")
            for head in ({}, {"head": "boxes"})
        ),
        ("opencv45", {"half": True}, "OpenCV 4.5 does not take half"),
        ("opencv412", {"external_data": True}, "does not take external_data"),
    ],
)
def test_what_a_program_does_not_take_is_refused(runtime, options, told, tmp_path):
    net, _, _ = read(YOLO)
    with pytest.raises(UnsupportedError, match=told) as raised:
        write_onnx(net.network, net.parameters, tmp_path / "net.onnx", runtime=runtime, **options)
    assert "\n" not in str(raised.value) and list(tmp_path.iterdir()) == []


def test_classifiers_have_no_boxes(tmp_path):
    net, _, _ = read("alexey/classifier")
    for options in ({"runtime": "deepstream"}, {"runtime": "tensorrt", "nms": True, "nms_kind": "default"}):
        with pytest.raises(UnsupportedError):
            write_onnx(net.network, net.parameters, tmp_path / "net.onnx", **options)
    assert list(write_onnx(net.network, net.parameters, tmp_path / "net.onnx", runtime="tensorrt").outputs)
