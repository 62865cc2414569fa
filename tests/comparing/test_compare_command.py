"""`layoutbridge compare`: exit codes, what is printed, models named in every way."""

import json
import textwrap

import numpy as np
import pytest

from tests.command_line import refused, run

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

from tests.comparing.ports import Port  # noqa: E402
from tests.comparing.test_causes import PASSTHROUGH, network  # noqa: E402

FOLDER = "fixtures/nets/pjreddie/passthrough"
NET = (f"{FOLDER}/net.cfg", f"{FOLDER}/net.weights", "--flavor", "pjreddie")
MODULE = """
    import layoutbridge as lb
    from tests.comparing.ports import Port

    def port(**faults):
        net = lb.darknet.load("{folder}/net.cfg", "{folder}/net.weights", flavor="pjreddie")
        return Port(net, **faults).eval()
"""


@pytest.fixture
def ports(tmp_path):
    file = tmp_path / "ports.py"
    file.write_text(textwrap.dedent(MODULE.format(folder=FOLDER)))
    return file


def test_a_right_port(tmp_path, capfd):
    network(*PASSTHROUGH).to_onnx(tmp_path / "net.onnx")
    code, out, err = run(capfd, "compare", *NET[:2], str(tmp_path / "net.onnx"), *NET[2:])
    assert (code, err) == (0, "")
    assert "equal: 10 of 10 tensors" in out
    assert "... 6 more" in out
    code, out, _ = run(capfd, "compare", *NET[:2], str(tmp_path / "net.onnx"), *NET[2:], "--json")
    found = json.loads(out)
    assert (code, found["equal"], found["first"], found["causes"]) == (0, True, None, [])
    assert {"reference", "candidate", "relation", "deviation"} <= set(found["rows"][0])


def test_a_wrong_module(ports, capfd):
    target = f"{ports}:port(reorg='pixel_unshuffle', bgr=True)"
    code, out, _ = run(capfd, "compare", *NET[:2], target, *NET[2:], "--json")
    found = json.loads(out)
    assert code == 1
    assert [each["cause"] for each in found["causes"]] == ["channel_order", "rearrangement"]
    assert set(found["causes"][0]) >= {
        "cause", "at", "found", "expected", "deviation_before", "deviation_after", "explanation", "fix",
    }  # fmt: skip
    assert found["first"]["reference"] == "0_convolutional"
    code, out, _ = run(capfd, "compare", *NET[:2], target, *NET[2:])
    assert code == 1
    for words in ("rearrangement at 4_reorg", "found: pixel_unshuffle", "expected: darknet_reorg", "to do: "):
        assert words in out
    assert "the first that differs: 0_convolutional" in out


def test_weights_for_a_module(ports, tmp_path, capfd):
    files = pytest.importorskip("safetensors.torch")
    module = Port(network(*PASSTHROUGH))
    files.save_file(module.state_dict(), tmp_path / "right.safetensors")
    wrong = {name: values * 2 if name == "p3_weights" else values for name, values in module.state_dict().items()}
    files.save_file(wrong, tmp_path / "wrong.safetensors")
    del wrong["p3_weights"]
    files.save_file(wrong, tmp_path / "part.safetensors")
    target = f"{ports}:port()"
    for name, code in (("right", 0), ("wrong", 1)):
        found = run(capfd, "compare", *NET[:2], target, *NET[2:], "--weights", str(tmp_path / f"{name}.safetensors"))
        assert found[0] == code
    told = refused(capfd, "compare", *NET[:2], target, *NET[2:], "--weights", str(tmp_path / "part.safetensors"))
    assert "it lacks p3_weights" in told
    assert "is not there" in refused(capfd, "compare", *NET[:2], target, *NET[2:], "--weights", "none.safetensors")
    assert "port' is a function: if it makes a model, write" in refused(capfd, "compare", *NET[:2], f"{ports}:port")


def test_an_input(ports, tmp_path, capfd):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((1, 3, 16, 24), np.float32))
    image = pytest.importorskip("PIL.Image")
    drawn = np.random.default_rng(1).integers(0, 255, (40, 60, 3), np.uint8)
    image.fromarray(drawn).save(tmp_path / "picture.png")
    for name in ("x.npy", "picture.png"):
        given = ("--input", str(tmp_path / name))
        assert run(capfd, "compare", *NET[:2], f"{ports}:port()", *NET[2:], *given)[0] == 0
    (tmp_path / "torn.npy").write_bytes(b"\x93NUMPY")
    assert "torn.npy" in refused(capfd, "compare", *NET[:2], f"{ports}:port()", "--input", str(tmp_path / "torn.npy"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (NET[:1], "has no weights"),
        (NET[:2], "two models are compared, not 1"),
        ((*NET[:2], "none.onnx"), "none.onnx"),
        ((*NET[:2], "nothing"), "nothing"),
        ((*NET[:2], *NET[:2], *NET[:2]), "not 3"),
        ((*NET[:2], *NET[:2], "--tolerance", "2"), "tolerance"),
        ((*NET[:2], *NET[:2], "--weights", "x.safetensors"), "module of PyTorch"),
    ],
)
def test_unusable_calls(arguments, words, capfd):
    assert words in refused(capfd, "compare", *arguments)


def test_two_networks(capfd):
    assert run(capfd, "compare", *NET[:2], *NET[:2], *NET[2:])[0] == 0
