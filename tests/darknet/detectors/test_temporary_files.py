"""What opening a model leaves among the temporary files while its process runs, and so where it is ended."""

import os
import subprocess
import sys

import pytest

from layoutbridge.darknet import load
from layoutbridge.darknet.ports.table import port
from tests.darknet_files import NETS, ROOT

PROGRAM = """
import os, sys
from layoutbridge.darknet import Detector
Detector(sys.argv[1]).detect(sys.argv[2], confidence=0.25)
print(*os.listdir(os.environ["TMPDIR"]))
"""


def test_keras_models_leave_nothing(tmp_path):
    pytest.importorskip("tensorflow", reason="runs the model")
    image = pytest.importorskip("PIL.Image", reason="reads the picture")
    cfg, weights = (NETS / "alexey/yolo_head" / name for name in ("net.cfg", "net.weights"))
    net = load(cfg, weights)
    port("keras").write(net.network, net.parameters, tmp_path / "net.keras", head="boxes")
    image.new("RGB", (20, 10)).save(tmp_path / "a.png")
    (tmp_path / "temporary").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "net.keras"), str(tmp_path / "a.png")],
        env=os.environ | {"TMPDIR": str(tmp_path / "temporary")}, cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "\n"), done
