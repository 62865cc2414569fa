"""Models of others: told by the number of their places, fed as they were trained, one class a box."""

import numpy as np
import pytest

from layoutbridge.darknet import Detector
from layoutbridge.darknet.detection.fitting import fit, unfit
from layoutbridge.errors import UnusableInputError

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
onnx = pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

SIDE, CLASSES = 64, 3
PLACES = sum((SIDE // stride) ** 2 for stride in (8, 16, 32))
NAMES = {"names": "{0: 'dog', 1: \"cat's\", 2: 'bird'}", "stride": "32", "task": "detect"}


def model(path, output, metadata):
    """A model that gives `output`, whatever it is fed."""
    helper = onnx.helper
    shape = [1, 3, SIDE, SIDE]
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Add", ["rows", "nothing"], ["output0"]),
    ]
    constants = [
        onnx.numpy_helper.from_array(np.float32(0), "zero"),
        onnx.numpy_helper.from_array(output.astype(np.float32), "rows"),
    ]
    taken = helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, shape)
    given = helper.make_tensor_value_info("output0", onnx.TensorProto.FLOAT, output.shape)
    made = helper.make_model(helper.make_graph(nodes, "g", [taken], [given], constants),
                             opset_imports=[helper.make_opsetid("", 17)], ir_version=8)  # fmt: skip
    helper.set_model_props(made, metadata)
    onnx.save(made, path)
    return path


def yolov8():
    rows = np.zeros((1, 4 + CLASSES, PLACES), np.float32)
    rows[0, :, 5] = [32, 32, 16, 8, 0.1, 0.9, 0.6]  # of a box its best class alone counts
    rows[0, :, 9] = [32.5, 32, 16, 8, 0, 0.8, 0]  # over the first, and of its class
    rows[0, :, 11] = [32, 32, 16, 8, 0.7, 0, 0]
    return rows


def yolov5():
    rows = np.zeros((1, 3 * PLACES, 5 + CLASSES), np.float32)
    rows[0, 5] = [32, 32, 16, 8, 0.9, 0.1, 1.0, 0.6]
    rows[0, 9] = [32.5, 32, 16, 8, 0.8, 0, 1.0, 0]
    rows[0, 11] = [32, 32, 16, 8, 0.7, 1.0, 0, 0]
    return rows


@pytest.mark.parametrize(("output", "metadata"), [(yolov8(), NAMES), (yolov5(), NAMES), (yolov8(), {})])
def test_their_outputs(tmp_path, output, metadata):
    detector = Detector(model(tmp_path / "a.onnx", output, metadata))
    assert detector.names == (["dog", "cat's", "bird"] if metadata else ["class 0", "class 1", "class 2"])
    picture = np.zeros((100, 200, 3), np.uint8)  # 64 × 32 of the input, from row 16 on
    found = detector.detect(picture)
    assert [one.class_index for one in found] == [1, 0]
    assert np.allclose(found.scores, [0.9, 0.7], atol=1e-6)
    assert np.allclose(found.xywh, [[100, 50, 50, 25]] * 2, atol=1e-3)
    stretched = detector.detect(picture, letterbox=False)
    assert np.allclose(stretched.xywh[0], [100, 50, 50, 12.5], atol=1e-3)


def test_what_is_suppressed_already(tmp_path):
    rows = np.zeros((1, 300, 6), np.float32)
    rows[0, 0], rows[0, 1] = [24, 28, 40, 36, 0.9, 2], [24, 28, 40, 36, 0.8, 2]
    detector = Detector(model(tmp_path / "a.onnx", rows, NAMES | {"end2end": "True"}))
    found = detector.detect(np.zeros((64, 64, 3), np.uint8))
    assert [(one.label, round(one.score, 2)) for one in found] == [("bird", 0.9), ("bird", 0.8)]
    assert np.allclose(found.xyxy, [[24, 28, 40, 36]] * 2)
    without = model(tmp_path / "b.onnx", rows, {"args": "{'nms': True}"})
    with pytest.raises(UnusableInputError, match="no names of its classes in its metadata: give names"):
        Detector(without)
    assert Detector(without, names=["a", "b", "c"]).detect(np.zeros((64, 64, 3), np.uint8)).labels == ["c", "c"]


@pytest.mark.parametrize("shape", [(1, 100, 8), (1, 7, 100), (1, 5), (1, 7, 8, 8)])
def test_what_is_none_of_them(tmp_path, shape):
    with pytest.raises(UnusableInputError, match="neither YOLOv5's nor YOLOv8's"):
        Detector(model(tmp_path / "a.onnx", np.zeros(shape), NAMES))


def test_names_that_are_none(tmp_path):
    with pytest.raises(UnusableInputError, match="names is no list of names"):
        Detector(model(tmp_path / "a.onnx", yolov8(), {"names": "__import__('os')"}))
    with pytest.raises(UnusableInputError, match="2 names were given for the model's 3 classes"):
        Detector(model(tmp_path / "a.onnx", yolov8(), NAMES), names=["a", "b"])


@pytest.mark.parametrize("size", [(200, 100), (37, 91), (64, 64), (640, 480), (5, 300)])
def test_pictures_are_fitted_as_opencv_does(size):
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    width, height = size
    array = np.random.default_rng(3).integers(0, 255, (height, width, 3), dtype=np.uint8)
    x = fit(Image.fromarray(array), 3, (SIDE, SIDE), "ultralytics")
    scale = min(SIDE / width, SIDE / height)
    inner = (round(width * scale), round(height * scale))
    across, down = (SIDE - inner[0]) / 2, (SIDE - inner[1]) / 2
    resized = cv2.resize(array, inner, interpolation=cv2.INTER_LINEAR)
    boxed = cv2.copyMakeBorder(resized, round(down - 0.1), round(down + 0.1), round(across - 0.1), round(across + 0.1),
                               cv2.BORDER_CONSTANT, value=(114, 114, 114))  # fmt: skip
    assert boxed.shape == (SIDE, SIDE, 3)
    assert np.abs(x * 255 - boxed.transpose(2, 0, 1)).max() <= 1.01  # OpenCV rounds weights to 11 bits
    corners = np.float32([[0.5, 0.5, 0.5, 0.5, 1, 1]])
    back = unfit(corners, size, (SIDE, SIDE), "ultralytics")
    assert back[0, 2] == pytest.approx(0.5 * SIDE / scale / width) and abs(back[0, 0] - 0.5) < 1 / min(inner)
