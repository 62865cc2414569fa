"""What `Detector.rows` takes: arrays of any floats, however they lie in memory, alike in every runtime."""

from importlib.util import find_spec

import numpy as np
import pytest

from layoutbridge.darknet import Detector
from layoutbridge.errors import ParameterError, ShapeError
from tests.conftest import FIXTURES

NET = FIXTURES / "nets/alexey/yolo_head"
MODULES = {"onnx": "onnxruntime", "torch": "torch", "keras": "keras", "tflite": "ai_edge_litert", "ncnn": "ncnn"}
MODULES |= {"openvino": "openvino", "reference": "numpy"}


@pytest.fixture(scope="module", params=MODULES)
def detector(request):
    if find_spec(MODULES[request.param]) is None:
        pytest.skip(f"{MODULES[request.param]} is not installed")
    return Detector(NET / "net.cfg", NET / "net.weights", framework=request.param)


def drawn():
    return np.random.default_rng(3).random((2, 3, 16, 16), np.float32)


def test_arrays_need_not_lie_in_one_piece(detector):
    x = drawn()
    ways = {
        "mirrored": x[..., ::-1],
        "transposed": x.swapaxes(2, 3),
        "channels last": np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
        "other order of channels": x[:, ::-1],
    }
    for told, way in ways.items():
        assert np.array_equal(detector.rows(way), detector.rows(np.ascontiguousarray(way))), told


def test_other_floats_are_computed_in_float32(detector):
    x = drawn().astype(np.float16)  # whose values all have
    wanted = detector.rows(x.astype(np.float32))
    for other in (np.float64, np.float16, ">f4"):
        found = detector.rows(x.astype(other))
        assert found.dtype == np.float32 and np.array_equal(found, wanted), other


def test_what_is_no_float_is_refused(detector):
    for other in (np.uint8, np.int64, bool, complex):
        with pytest.raises(ParameterError, match=rf"values in 0\.\.1, not {np.dtype(other).name}"):
            detector.rows(drawn().astype(other))
    with pytest.raises(ShapeError, match=r"takes \[N, 3, 16, 16\], not \[3, 16, 16\]"):
        detector.rows(drawn()[0])
    with pytest.raises(ShapeError, match=r"not \[0, 3, 16, 16\]"):
        detector.rows(drawn()[:0])
