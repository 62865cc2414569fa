"""Ports in half precision and in whole numbers: their own tolerance, which is told."""

import numpy as np
import pytest

import layoutbridge as lb

torch = pytest.importorskip("torch")

from tests.comparing.ports import Port  # noqa: E402


def network(name="passthrough"):
    folder = f"fixtures/nets/alexey/{name}"
    return lb.darknet.load(f"{folder}/net.cfg", f"{folder}/net.weights")


@pytest.mark.parametrize(("dtype", "tolerance"), [("float16", 2e-2), ("bfloat16", 1e-1)])
def test_a_module_in_half_precision(dtype, tolerance):
    net = network()
    found = lb.compare(net, Port(net).to(getattr(torch, dtype)).eval())
    assert found.equal, found.first
    assert found.tolerance == tolerance
    assert dtype in found.notes[0]


HALF = {
    "concat": ({"concat": True}, "5_route", "concat_order"),
    "reorg": ({"reorg": "space_to_depth"}, "4_reorg", "rearrangement"),
    "relu": ({"activation": {1: torch.relu}}, "1_convolutional", "activation"),
    "same": ({"padding": {0: (0, 1, 0, 1)}}, "0_convolutional", "padding"),
    "bgr": ({"bgr": True}, "0_convolutional", "channel_order"),
}


@pytest.mark.parametrize("name", HALF)
def test_a_fault_in_half_precision(name):
    faults, at, cause = HALF[name]
    net = network()
    found = lb.compare(net, Port(net, **faults).half().eval())
    assert found.first.reference == at
    assert [each.cause for each in found.causes] == [cause]


@pytest.mark.slow
def test_an_export_in_half_precision(tmp_path):
    pytest.importorskip("onnxruntime")
    net = network()
    net.to_onnx(tmp_path / "half.onnx", half=True)
    found = lb.compare(net, str(tmp_path / "half.onnx"))
    assert found.equal, found.first
    assert "float16" in found.notes[0]
    assert not lb.compare(net, str(tmp_path / "half.onnx"), tolerance=1e-5).equal


def test_whole_numbers(tmp_path):
    """A .tflite file whose values are int8, as TensorFlow's converter makes it of a right port and of a wrong one."""
    tf = pytest.importorskip("tensorflow")
    from tests.comparing.keras_ports import port

    net = network()
    rng = np.random.default_rng(0)
    c, h, w = net.network.in_shape
    verdicts = {}
    for name, options in {"right": {}, "concat": {"concat": {5: True}}}.items():
        converter = tf.lite.TFLiteConverter.from_keras_model(port(net, folded=True, fused=True, head="raw", **options))
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([rng.random((1, h, w, c), np.float32)] for _ in range(64))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8, tf.lite.OpsSet.TFLITE_BUILTINS]
        (tmp_path / f"{name}.tflite").write_bytes(converter.convert())
        verdicts[name] = lb.compare(net, str(tmp_path / f"{name}.tflite"))
    assert verdicts["right"].equal, verdicts["right"].first
    assert "int8" in verdicts["right"].notes[0]
    assert verdicts["concat"].first.reference == "5_route"
    assert [each.cause for each in verdicts["concat"].causes] == ["concat_order"]
