"""OpenVINO's files run once: each tensor by the name that the reader gave it."""

import numpy as np
import pytest

from layoutbridge.errors import ShapeError, UnusableInputError
from tests.comparing.running_checks import TOLERANCE, close, held, passthrough

openvino = pytest.importorskip("openvino", reason="OpenVINO is not installed")

from openvino import opset13 as ops  # noqa: E402

from layoutbridge.comparing.running import feeding  # noqa: E402
from layoutbridge.comparing.running.openvino import values  # noqa: E402
from layoutbridge.scanning.readers.openvino import read  # noqa: E402


@pytest.mark.parametrize("half", [False, True])
def test_a_file(tmp_path, half):
    pytest.importorskip("onnx", reason="ONNX is not installed")
    from layoutbridge.darknet.ports.openvino import write_openvino

    net, x, reference = passthrough()
    path = write_openvino(net.network, net.parameters, tmp_path / "net.xml", half=half).path
    for batch in (1, 3):  # which the file leaves open
        graph = read(path, (batch, *x.shape[1:]))
        given = {graph.inputs[0]: np.repeat(x, batch, 0)}
        made = held(values(path, graph, given), graph, given)
        close(made[graph.outputs[0]], np.repeat(reference, batch, 0), 1e-2 if half else TOLERANCE)


def written(folder, *, sizes=(2, 4, 6, 4)):
    """A file of a convolution, a reshape by computed lengths, parts of a split that bear one name, a step twice."""
    rng = np.random.default_rng(0)
    x = ops.parameter(list(sizes), np.float32, name="x")
    kernel = ops.constant(rng.standard_normal((4, 4, 3, 3)).astype(np.float32) / 6)
    y = ops.convolution(x, kernel, [1, 1], [1, 1], [1, 1], [1, 1], name="mixed")
    y = ops.relu(y, name="same")
    turned = ops.transpose(y, ops.constant(np.array([0, 2, 3, 1])), name="turned")
    lengths = ops.multiply(ops.shape_of(turned, "i64"), ops.constant(np.array([1, 1, 2, 1], np.int64)))
    lengths = ops.divide(lengths, ops.constant(np.array([1, 1, 1, 2], np.int64)))
    split = ops.split(ops.reshape(turned, lengths, False, name="viewed"), 2, 2, name="halves")
    last = ops.add(ops.relu(split.output(0), name="same"), split.output(1), name="sum")
    model = openvino.Model([ops.result(last), ops.result(y)], [x], "net")
    openvino.save_model(model, str(folder / "net.xml"), compress_to_fp16=False)
    return folder / "net.xml"


@pytest.mark.parametrize("sizes", [(2, 4, 6, 4), (-1, 4, -1, 4)])
def test_a_file_by_hand(tmp_path, monkeypatch, sizes):
    monkeypatch.setattr(feeding, "_MOST_BYTES", 2000)  # so that it is run several times
    path = written(tmp_path, sizes=sizes)
    x = np.random.default_rng(1).standard_normal((2, 4, 6, 4)).astype(np.float32)
    graph = read(path, x.shape)
    made = held(values(path, graph, {"x": x}), graph, {"x": x})
    assert {"mixed", "turned", "viewed", "halves:0", "halves:1"} <= set(made)
    expected = openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})([x])
    for name, place in zip(graph.outputs, range(2), strict=True):
        close(made[name], expected[place], 1e-5)


def test_several_inputs(tmp_path):
    first, second = (ops.parameter([2, 3], np.float32, name=name) for name in ("first", "second"))
    less = ops.subtract(first, ops.gather(second, ops.constant(np.array([2, 0, 1])), 1, name="moved"), name="less")
    openvino.save_model(openvino.Model([less], [second, first], "net"), str(tmp_path / "net.xml"))
    given = {"first": np.eye(2, 3, dtype=np.float32), "second": np.arange(6, dtype=np.float32).reshape(2, 3)}
    graph = read(tmp_path / "net.xml")
    made = held(values(tmp_path / "net.xml", graph, given), graph, given)
    np.testing.assert_array_equal(made[graph.outputs[0]], given["first"] - given["second"][:, [2, 0, 1]])


def test_what_cannot_be_run(tmp_path):
    path = written(tmp_path)
    graph = read(path)
    x = np.zeros((2, 4, 6, 4), np.float32)
    with pytest.raises(ShapeError, match=r"input x of 'net\.xml' is \[2, 4, 6, 4\], and what is given \[4, 2, 6, 4\]"):
        list(values(path, graph, {"x": x.reshape(4, 2, 6, 4)}))
    (tmp_path / "net.bin").rename(tmp_path / "moved.bin")
    with pytest.raises(UnusableInputError, match=r"there is no file of OpenVINO's '.*net\.bin'"):
        list(values(path, graph, {"x": x}))
    (tmp_path / "net.bin").write_bytes(b"short")
    with pytest.raises(UnusableInputError, match=r"OpenVINO cannot load '.*net\.xml': ") as caught:
        list(values(path, graph, {"x": x}))
    assert "\n" not in str(caught.value)
