"""`layoutbridge weights`: files that Darknet reads, of other frameworks' models."""

import json

import pytest

from layoutbridge.darknet import load
from layoutbridge.darknet.reading.weights import read_weights
from tests.command_line import ROOT, refused, run
from tests.darknet_files import NETS

RESIDUAL = NETS / "alexey/residual"
CFG, WEIGHTS = str(RESIDUAL / "net.cfg"), str(RESIDUAL / "net.weights")


def state_dict(tmp_path):
    pytest.importorskip("safetensors", reason="needs safetensors")
    from layoutbridge.darknet.ports.torch import write_torch

    net = load(CFG, WEIGHTS)
    write_torch(net.network, net.parameters, tmp_path / "net.safetensors")
    return str(tmp_path / "net.safetensors")


def test_weights_alone_are_taken_by_names(capfd, tmp_path):
    out = tmp_path / "back.weights"
    code, told, remarks = run(capfd, "weights", CFG, state_dict(tmp_path), "-o", str(out), "--base", WEIGHTS)
    assert code == 0
    assert "found by names" in told
    assert "not proven" in told
    assert f"wrote {out}" in remarks
    assert out.read_bytes() == (RESIDUAL / "net.weights").read_bytes()


def test_json_tells_where_each_parameter_is_from(capfd, tmp_path):
    code, told, _ = run(capfd, "weights", CFG, state_dict(tmp_path), "--json")
    record = json.loads(told)
    assert code == 0
    assert record["how"] == "names"
    assert record["proven"] is None
    assert record["output"] is None
    assert record["parameters"][0] == {
        "layer": "0_convolutional", "parameter": "biases", "source": "0_convolutional.biases", "shape": [8],
        "how": "as it is",
    }  # fmt: skip


def test_onnx_models_are_run(capfd, tmp_path):
    pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    load(CFG, WEIGHTS).to_onnx(tmp_path / "net.onnx")
    out = tmp_path / "back.weights"
    code, told, remarks = run(capfd, "weights", CFG, str(tmp_path / "net.onnx"), "-o", str(out))
    assert code == 0
    assert "equal: 7 of 7" in told
    assert "folded" in remarks
    assert read_weights(load(CFG).network, out, strict=True).header.revision == 5
    code, told, _ = run(capfd, "weights", CFG, str(tmp_path / "net.onnx"), "--flavor", "pjreddie", "--json")
    assert (code, json.loads(told)["proven"]) == (0, True)


@pytest.mark.slow
def test_a_module_with_its_state(capfd, tmp_path):
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    from tests.darknet.returning.torch_modules import Port, pairs

    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "import layoutbridge as lb\n"
        "from tests.darknet.returning.torch_modules import Port, pairs\n"
        f"def net(reorg=None, eps=1e-5): return Port(lb.darknet.load({CFG!r}), pairs(), eps=eps)\n"
        "def wrong():\n    port = net()\n    port.of[2] = (*port.of[2], port.bn1)\n    return port\n"
    )
    (tmp_path / "port.py").write_text(program)
    torch.save(Port(load(CFG), pairs(), seed=7).state_dict(), tmp_path / "port.pth")
    words = ("weights", CFG, f"{tmp_path / 'port.py'}:net()", "--state", str(tmp_path / "port.pth"))
    code, told, _ = run(capfd, *words)
    assert code == 0, told
    assert "equal" in told
    out = tmp_path / "wrong.weights"
    code, told, remarks = run(capfd, "weights", CFG, f"{tmp_path / 'port.py'}:wrong()", "-o", str(out))
    assert code == 1
    assert "the first that differs" in told
    assert "though the two differ" in remarks


def test_unusable_calls(capfd, tmp_path):
    state = state_dict(tmp_path)
    other = str(NETS / "alexey/connected/net.cfg")
    assert "layers with weights" in refused(capfd, "weights", other, state)
    assert "by its ending" in refused(capfd, "weights", CFG, "net.bmp")
    assert "missing.h5" in refused(capfd, "weights", CFG, "missing.h5")
    assert "missing.safetensors" in refused(capfd, "weights", CFG, "missing.safetensors")
    assert "--state is for" in refused(capfd, "weights", CFG, state, "--state", state)
    assert "--epsilon" in refused(capfd, "weights", CFG, state, "--epsilon", "7")
    assert "net.weights" in refused(capfd, "weights", CFG, state, "--base", WEIGHTS, "-o", WEIGHTS)
    assert "net.safetensors" in refused(capfd, "weights", CFG, state, "-o", state)
    (tmp_path / "broken.safetensors").write_bytes(b"12345678")
    assert "no whole safetensors" in refused(capfd, "weights", CFG, str(tmp_path / "broken.safetensors"))


def test_places_that_cannot_be_are_told_before_anything_is_read(capfd, tmp_path):
    for output, says in (
        ("net.onnx", ".onnx is another format's ending"),
        (str(tmp_path / "none/net.weights"), "there is no such folder"),
        (str(tmp_path), "is a folder"),
    ):
        assert says in refused(capfd, "weights", CFG, "none.pth", "-o", output)
    assert "there is no file of PyTorch" in refused(capfd, "weights", CFG, "none.pth", "-o", "net.conv.137")
