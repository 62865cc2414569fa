"""What a shell passes through pipes, on the command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from layoutbridge.darknet import load


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/fd").is_dir(), reason="this system has no /dev/fd, through which shells pass pipes")
def test_a_cfg_names_and_a_picture_come_through_pipes(tmp_path):
    """As `<(cat net.cfg)` of a shell passes them: a file that has no size, no ending, and is read once."""
    for module in ("onnx", "onnxruntime", "PIL"):
        pytest.importorskip(module, reason=f"{module} is not installed")
    from PIL import Image

    folder = Path(__file__).resolve().parents[2] / "fixtures/nets/alexey/yolo_head"
    load(folder / "net.cfg", folder / "net.weights").to_onnx(tmp_path / "a.onnx", head="boxes")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "names").write_text("dog\ncat\nbird\ntraffic light\n")

    def said(*arguments):
        command = " ".join([sys.executable, "-m", "layoutbridge", *arguments])
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
        return subprocess.run(
            ["bash", "-c", command], capture_output=True, text=True, cwd=tmp_path, env=environment, check=False
        )

    plain = said("summary", str(folder / "net.cfg"))
    piped = said("summary", f"<(cat {folder}/net.cfg)")
    assert (piped.returncode, piped.stdout) == (0, plain.stdout)
    plain = said("detect", "a.onnx", "a.png", "--names", "names", "--json", "--threshold", "0")
    piped = said("detect", "a.onnx", "<(cat a.png)", "--names", "<(cat names)", "--json", "--threshold", "0")
    assert json.loads(piped.stdout)["detections"] == json.loads(plain.stdout)["detections"], piped.stderr
    said("detect", "a.onnx", "a.png", "-o", "plain.png", "--threshold", "0")
    piped = said("detect", "a.onnx", "<(cat a.png)", "-o", "piped.png", "--threshold", "0")
    assert piped.returncode == 0, piped.stderr
    assert (tmp_path / "piped.png").read_bytes() == (tmp_path / "plain.png").read_bytes()
