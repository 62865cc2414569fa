"""What docs/leaving.md says of OpenCV 4's own importer of Darknet: its rows, beside those of the head boxes."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from layoutbridge.darknet import Detector
from tests.darknet_files import NETS, ROOT, SHARED

FOLDER = Path(os.environ.get("LAYOUTBRIDGE_OPENCVS", ROOT / ".opencv"))
HIDDEN = 0.2  # scores up to which OpenCV writes 0
EPSILON = 5e-3  # what OpenCV's other epsilon in batch norm makes of small variances
SCRIPT = """
import sys, cv2, numpy as np
net = cv2.dnn.readNetFromDarknet(sys.argv[1], sys.argv[2])
net.setInput(np.load(sys.argv[3]))
np.save(sys.argv[4], np.concatenate(net.forward(net.getUnconnectedOutLayersNames())))
"""


@pytest.mark.slow
@pytest.mark.parametrize("version", ["4.5.5.64", "4.12.0.88"])
@pytest.mark.parametrize(
    "net", [NETS / "alexey/yolo_head", *sorted((SHARED / "real").glob("yolo*"))], ids=lambda path: path.name
)
def test_the_rows_are_opencvs(net, version, tmp_path):
    pytest.importorskip("onnxruntime")
    if not (FOLDER / version).is_dir():
        pytest.skip(f"OpenCV {version} is not in {FOLDER}: make opencvs, or name their folder in LAYOUTBRIDGE_OPENCVS")
    detector = Detector(net / "net.cfg", net / "net.weights", framework="onnx")
    width, height = detector.size
    x = np.random.default_rng(0).random((1, detector.channels, height, width), np.float32)
    np.save(tmp_path / "x.npy", x)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (FOLDER / "numpy", FOLDER / version)))}
    files = [net / "net.cfg", net / "net.weights", tmp_path / "x.npy", tmp_path / "rows.npy"]
    subprocess.run([sys.executable, "-c", SCRIPT, *map(str, files)], env=environment, check=True)
    rows, ours = np.load(tmp_path / "rows.npy"), detector.rows(x)[0]
    assert rows.shape == ours.shape
    allowed = EPSILON if "real" in net.parts else 5e-5
    np.testing.assert_allclose(rows[:, :5], ours[:, :5], atol=allowed, rtol=1e-4)
    kept = ours[:, 5:] > HIDDEN + allowed
    np.testing.assert_allclose(rows[:, 5:][kept], ours[:, 5:][kept], atol=allowed)
    assert not rows[:, 5:][ours[:, 5:] < HIDDEN - allowed].any()
