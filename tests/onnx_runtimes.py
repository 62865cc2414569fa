"""Other programs that run ONNX files: each skips by itself where it is missing or too old. Not a test itself."""

from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import pytest


def run_in_openvino(path, x):
    import openvino

    compiled = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    results = compiled([x])
    return [np.asarray(results[output]) for output in compiled.outputs]


def run_in_opencv(path, x):
    import cv2

    net = cv2.dnn.readNetFromONNX(str(path))
    net.setInput(x)
    return list(net.forward(net.getUnconnectedOutLayersNames()))


def installed(*distributions):
    for name in distributions:
        with suppress(PackageNotFoundError):
            return tuple(map(int, version(name).split(".")[:2]))
    return (0, 0)


NEEDS = {
    "openvino": pytest.mark.skipif(
        installed("openvino") < (2024, 0), reason="OpenVINO is not installed (pip install 'openvino>=2024.0')"
    ),
    "opencv": pytest.mark.skipif(
        installed("opencv-python-headless", "opencv-python") < (5, 0),
        reason="OpenCV 5 is not installed (pip install 'opencv-python-headless>=5')",
    ),
}
RUN_IN = {"openvino": run_in_openvino, "opencv": run_in_opencv}
OTHER_RUNTIMES = [pytest.param(name, marks=NEEDS[name]) for name in RUN_IN]
