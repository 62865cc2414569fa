"""The states of recurrent networks in ONNX files: of an open size, and as the metadata name them."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from layoutbridge.cli import main  # noqa: E402
from layoutbridge.darknet import load  # noqa: E402
from layoutbridge.darknet.ports.onnx import run_model  # noqa: E402
from layoutbridge.darknet.ports.port import state_shapes  # noqa: E402
from layoutbridge.errors import ParameterError, UnsupportedError, UnusableInputError  # noqa: E402
from layoutbridge.frameworks.onnx.sessions import feeding, open_session  # noqa: E402
from tests.darknet_files import RECURRENT, made  # noqa: E402

TOLERANCE = 1e-5  # of a layer's largest value
NET = "[net]\nwidth=6\nheight=4\nchannels=2\n"
OPEN = NET + "[crnn]\noutput=3\nhidden=2\npad=1\nshortcut=1\n[max]\nsize=2\nstride=2\n"
OPEN += "[conv_lstm]\noutput=2\npad=1\npeephole=1\nbatch_normalize=1\nactivation=leaky\n"


def run_states(path, x, shapes):
    """The last layer's [T, N, ...] of an ONNX file of one step, from states of zeros in these shapes."""
    session, found = open_session(path), []
    states = {name: np.zeros((x.shape[1], *shape), np.float32) for name, shape in shapes.items()}
    for given in x:
        output, *after = session.run(None, {"input": given, **states})
        states = dict(zip(states, after, strict=True))
        found.append(output)
    return np.stack(found)


def test_an_open_size(tmp_path):
    """One file for all sizes, whose states are as large as what stands before their layers."""
    net = made(OPEN, tmp_path)
    written = net.to_onnx(tmp_path / "a.onnx", dynamic_size=True)
    assert dict(written.states) == dict.fromkeys(state_shapes(net.network), (2, None, None))
    assert dict(written.outputs) == {"2_conv_lstm": (2, None, None)}
    for size in ((6, 4), (10, 8)):
        sized = load(tmp_path / "net.cfg", tmp_path / "net.weights", size=size)
        x = np.random.default_rng(0).uniform(-1, 1, (3, 2, *sized.network.in_shape)).astype(np.float32)
        found = run_states(written.path, x, state_shapes(sized.network))
        wanted = sized.run_sequence(x)
        assert np.abs(found - wanted).max() < TOLERANCE * np.abs(wanted).max()
    said = "the model leaves the size of state state_0_crnn_hidden open: run it with states of your own"
    with pytest.raises(UnusableInputError, match=said):
        run_model(written.path, x[0])


def test_the_command_tells_states_of_an_open_size(tmp_path, capfd):
    made(OPEN, tmp_path)
    files = [str(tmp_path / "net.cfg"), str(tmp_path / "net.weights"), "-o", str(tmp_path / "a.onnx")]
    assert main(["export", *files, "--dynamic-size"]) == 0
    assert "state_0_crnn_hidden [N, 2, ?, ?], state_2_conv_lstm_hidden [N, 2, ?, ?]" in " ".join(
        capfd.readouterr().err.split()
    )


@pytest.mark.parametrize("size", ["width=6\nheight=4", "width=6\nheight=6"])
def test_no_open_size_where_height_and_width_change_places(size, tmp_path):
    net = made(f"[net]\n{size}\nchannels=2\n[crnn]\noutput_filters=2\n", tmp_path, "pjreddie")
    with pytest.raises(UnsupportedError, match=r"line 5: the size cannot be left open: the original's crnn takes"):
        net.to_onnx(tmp_path / "a.onnx", dynamic_size=True)


@pytest.mark.parametrize("text", [OPEN, NET + "[avgpool]\n[lstm]\noutput=3\n"])
def test_steps_and_an_open_size_do_not_go_together(text, tmp_path):
    net = made(text, tmp_path)
    with pytest.raises(ParameterError, match="steps=3 and a size left open do not go together"):
        net.to_onnx(tmp_path / "a.onnx", dynamic_size=True, steps=3)
    assert not (tmp_path / "a.onnx").exists()


@pytest.mark.parametrize(
    "told", ['{"state_0_lstm_hidden": 1}', '"state_0_lstm_hidden"', '["state_0_lstm_hidden', "[1]"]
)
def test_states_are_those_of_a_list_of_names(told, tmp_path):
    """What another program wrote under that word is no list of states."""
    folder = RECURRENT / "alexey/lstm"
    net = load(folder / "net.cfg", folder / "net.weights")
    model = onnx.load(net.to_onnx(tmp_path / "a.onnx").path)
    next(each for each in model.metadata_props if each.key == "states").value = told
    assert list(feeding(open_session(model.SerializeToString()))(np.zeros((1, 12)))) == ["input"]
