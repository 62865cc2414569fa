"""`identify` of whole models on the command line: the scan is the answer."""

import json
from importlib.util import find_spec

import pytest

import layoutbridge as lb
from tests.command_line import refused, run
from tests.darknet_files import made

LAYERS = "[convolutional]\nfilters=8\nsize=1\nactivation=leaky\n"
WHOLE = f"[net]\nheight=8\nwidth=8\nchannels=4\n{LAYERS}[reorg]\nstride=2\n{LAYERS}"
ALONE = "[net]\nheight=8\nwidth=8\nchannels=4\n[reorg]\nstride=2\n"
TORCH = """
import torch

class Alone(torch.nn.Module):
    def forward(self, x):
        print("called")
        return torch.nn.functional.pixel_unshuffle(x, 2)

class Whole(Alone):
    def forward(self, x):
        return super().forward(x + 1)
"""
KERAS = """
import keras

taken = keras.Input((8, 8, 4), name="picture")
turned = keras.layers.Permute((3, 1, 2), name="turn")
alone = keras.Model(taken, turned(taken))
whole = keras.Model(taken, turned(keras.layers.ReLU()(taken)))
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_cfg(capfd, folder):
    made(WHOLE, folder, "alexey", 0)
    code, out, _ = run(capfd, "identify", "net.cfg")
    first, rest = out.split("\n", 1)
    assert (code, first) == (1, "net.cfg: a whole model: read, and not run; these are the places inside")
    assert rest == run(capfd, "scan", "net.cfg")[1]
    code, out, _ = run(capfd, "identify", "net.cfg", "--json")
    told = json.loads(out)
    assert (code, told["kind"], told["names"]) == (1, "whole model", [])
    assert told["scan"] == json.loads(run(capfd, "scan", "net.cfg", "--json")[1])


@pytest.mark.parametrize("json_too", [[], ["--json"]])
def test_expectations_of_a_cfg(capfd, folder, json_too):
    made(WHOLE, folder, "alexey", 0)
    for more, code in (
        (["darknet_reorg"], 0),
        (["darknet_reorg", "--stride", "2"], 0),
        (["darknet_reorg(stride=2)"], 0),
        (["darknet_reorg", "--stride", "4"], 1),
        (["space_to_depth"], 1),
        (["channel_shuffle"], 1),
    ):
        got, out, _ = run(capfd, "identify", "net.cfg", "--expect", *more, *json_too)
        assert got == code, more
        if json_too:
            assert json.loads(out)["expected"]["holds"] == (code == 0)
        else:
            assert out.startswith("it is " if code == 0 else "not ")
    assert "in a whole model a name" in refused(capfd, "identify", "net.cfg", "--expect", "focus then focus")
    assert "in a whole model a name" in refused(capfd, "identify", "net.cfg", "--expect", "c h w -> h w c")


def test_what_differs_is_told(capfd, folder):
    made(WHOLE, folder, "alexey", 0)
    out = run(capfd, "identify", "net.cfg", "--expect", "space_to_depth")[1]
    assert out.startswith("not space_to_depth: layer 1 (reorg): darknet_reorg\n")
    out = run(capfd, "identify", "net.cfg", "--expect", "channel_shuffle")[1]
    assert out.startswith("not channel_shuffle: no place in it is that\n")
    out = run(capfd, "identify", "net.cfg", "--expect", "darknet_reorg")[1]
    assert out.startswith("it is darknet_reorg at layer 1 (reorg), as expected\n")


def test_a_cfg_of_one_movement_has_its_name(capfd, folder):
    made(ALONE, folder, "alexey", 0)
    code, out, _ = run(capfd, "identify", "net.cfg")
    assert (code, out.split("\n")[0]) == (0, "net.cfg: darknet_reorg")
    assert run(capfd, "identify", "net.cfg", "--shape", "1,4,4,6", "--expect", "darknet_reorg")[0] == 0
    code, out, _ = run(capfd, "identify", "net.cfg", "--expect", "pixel_unshuffle(stride=2) then nchw_to_nhwc")
    assert (code, out.startswith("not pixel_unshuffle(stride=2) then nchw_to_nhwc: ")) == (1, True)


def test_an_onnx_file(capfd, folder):
    pytest.importorskip("onnx", reason="ONNX is not installed")
    made(WHOLE, folder, "alexey", 0).to_onnx("n.onnx")
    for shape in ([], ["--shape", "1,4,8,8"]):
        code, out, err = run(capfd, "identify", "n.onnx", *shape)
        assert (code, "1_reorg/SpaceToDepth" in out) == (1, True)
        assert "open sizes are filled in" in err
        assert run(capfd, "identify", "n.onnx", *shape, "--expect", "darknet_reorg")[0] == 0
        assert run(capfd, "identify", "n.onnx", *shape, "--expect", "space_to_depth")[0] == 1
    lb.export(lb.op("darknet_reorg"), "onnx", "reorg.onnx", shape=(1, 16, 8, 8))
    code, out, _ = run(capfd, "identify", "reorg.onnx", "--json")
    told = json.loads(out)
    assert (code, told["names"], "scan" in told) == (0, ["darknet_reorg"], False)


def test_modules(capfd, folder):
    if not find_spec("torch"):
        pytest.skip("PyTorch is not installed")
    (folder / "modules.py").write_text(TORCH)
    shape = ("--shape", "1,2,4,4")
    code, out, err = run(capfd, "identify", "modules.py:Whole", *shape, "--json")
    told = json.loads(out)  # what the module prints is elsewhere
    assert (code, told["kind"], "called" in err) == (1, "changes values", True)
    assert told["scan"]["places"][0]["names"] == ["pixel_unshuffle", "space_to_depth_crd"]
    assert run(capfd, "identify", "modules.py:Whole", *shape, "--expect", "pixel_unshuffle")[0] == 0
    assert run(capfd, "identify", "modules.py:Whole", *shape, "--expect", "space_to_depth")[0] == 1
    assert run(capfd, "identify", "modules.py:Alone", *shape)[:2][0] == 0
    assert "one shape" in refused_behind(capfd, "identify", "modules.py:Whole")


def refused_behind(capfd, *arguments):
    """What a refusal says, behind what the target prints."""
    code, out, err = run(capfd, *arguments)
    assert (code, out) == (2, "")
    return err.strip().split("\n")[-1]


def test_keras_models(capfd, folder):
    if not find_spec("tensorflow"):
        pytest.skip("TensorFlow is not installed")
    (folder / "models.py").write_text(KERAS)
    code, out, _ = run(capfd, "identify", "models.py:whole")
    assert (code, "turn/transpose" in out) == (1, True)
    assert run(capfd, "identify", "models.py:whole", "--expect", "nhwc_to_nchw")[0] == 0
    assert run(capfd, "identify", "models.py:whole", "--expect", "transpose")[0] == 1
    assert run(capfd, "identify", "models.py:alone")[0] == 0


@pytest.mark.parametrize("name", ["a.cfg", "a.onnx", "a.pt2", "a.param"])
def test_damaged_files_are_one_line(capfd, folder, name):
    if name == "a.onnx" and not find_spec("onnx"):
        pytest.skip("ONNX is not installed")
    (folder / name).write_bytes(b"\x08\x01damaged")
    for more in ([], ["--shape", "1,4,8,8"], ["--json"], ["--expect", "focus"]):
        assert name in refused(capfd, "identify", name, *more)
        assert "there is no" in refused(capfd, "identify", f"not_{name}", *more)
