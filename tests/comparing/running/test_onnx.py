"""ONNX models run once: each tensor by the name that the reader gave it."""

import numpy as np
import pytest

from layoutbridge.errors import UnusableInputError
from tests.comparing.running_checks import close, held, passthrough

onnx = pytest.importorskip("onnx", reason="ONNX is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from layoutbridge.comparing.running import feeding  # noqa: E402
from layoutbridge.comparing.running.onnx import values  # noqa: E402
from layoutbridge.scanning.readers.onnx import read_proto  # noqa: E402


def written(folder):
    net, x, reference = passthrough()
    net.to_onnx(folder / "net.onnx")
    return onnx.load(folder / "net.onnx"), x, reference


@pytest.mark.parametrize("most", [1 << 29, 10_000])  # one run, and many
def test_a_model(tmp_path, monkeypatch, most):
    monkeypatch.setattr(feeding, "_MOST_BYTES", most)
    model, x, reference = written(tmp_path)
    x, reference = (np.repeat(each, 2, 0) for each in (x, reference))
    graph = read_proto(model, "net.onnx", x.shape)
    given = {graph.inputs[0]: x}
    made = held(values(model, graph, given), graph, given)
    close(made[graph.outputs[0]], reference)


def test_what_cannot_be_run(tmp_path):
    model, x, _ = written(tmp_path)
    graph = read_proto(model, "net.onnx", x.shape)
    with pytest.raises(UnusableInputError, match=r"onnxruntime cannot run 'net\.onnx'"):
        list(values(model, graph, {graph.inputs[0]: x[:, :2]}))
