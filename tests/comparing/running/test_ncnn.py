"""ncnn's networks run once: each blob by the name that the reader gave it."""

import numpy as np
import pytest

from layoutbridge.errors import ParameterError, ShapeError, UnusableInputError
from tests.comparing.running_checks import close, held, passthrough

ncnn = pytest.importorskip("ncnn", reason="ncnn is not installed")

from layoutbridge.comparing.running.ncnn import values  # noqa: E402
from layoutbridge.darknet.ports.ncnn import write_ncnn  # noqa: E402
from layoutbridge.scanning.readers.ncnn import read  # noqa: E402


def test_a_file(tmp_path):
    net, x, reference = passthrough()
    path = write_ncnn(net.network, net.parameters, tmp_path / "net.param").path
    graph = read(path)
    given = {graph.inputs[0]: x[0]}
    made = held(values(path, graph, given), graph, given)
    close(made[graph.outputs[0]], reference[0])


def written(folder, *, weights=None):
    """A network by hand: a residual, an activation that ncnn would compute in place, parts of a slice."""
    lines = [
        "Input in 0 1 x 0=6 1=4 2=4",
        "Split twice 1 2 x first second",
        "Convolution mixed 1 1 first y 0=4 1=3 4=1 5=1 6=144",
        "ReLU over 1 1 y z 0=0.1",
        "BinaryOp residual 2 1 z second sum 0=0",
        "Permute turned 1 1 sum t 0=3",
        "Slice halves 1 2 t upper lower -23300=2,-233,-233 1=0",
        "BinaryOp product 2 1 upper lower product 0=2",
        "Flatten flat 1 1 product out",
    ]
    path = folder / "net.param"
    path.write_text("\n".join(["7767517", f"{len(lines)} 11", *lines, ""]))
    rng = np.random.default_rng(0)
    kernel, biases = (rng.standard_normal(shape).astype(np.float32) / 6 for shape in ((4, 4, 3, 3), 4))
    content = bytes(4) + kernel.tobytes() + biases.tobytes()
    path.with_suffix(".bin").write_bytes(content if weights is None else weights(content))
    return path, kernel, biases


def test_a_file_by_hand(tmp_path):
    path, kernel, biases = written(tmp_path)
    x = np.random.default_rng(1).standard_normal((4, 4, 6)).astype(np.float32)
    graph = read(path)
    made = held(values(path, graph, {"x": x}), graph, {"x": x})
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, ((0, 0), (1, 1), (1, 1))), (3, 3), (1, 2))
    mixed = np.einsum("chwij,ocij->ohw", windows, kernel) + biases[:, None, None]
    close(made["y"], mixed, 1e-5)
    assert (made["y"] < 0).any()
    close(made["z"], np.where(made["y"] > 0, made["y"], made["y"] * np.float32(0.1)), 1e-6)
    np.testing.assert_array_equal(made["sum"], made["z"] + x)
    assert made["out"].ndim == 1


def test_several_inputs(tmp_path):
    lines = ["Input a 0 1 a 0=3 1=2", "Input b 0 1 b 0=3 1=2", "BinaryOp less 2 1 a b c 0=1", "Flatten f 1 1 c d"]
    path = tmp_path / "net.param"
    path.write_text("\n".join(["7767517", "4 4", *lines, ""]))
    path.with_suffix(".bin").write_bytes(b"")
    given = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.ones((2, 3), np.float32)}
    graph = read(path)
    made = held(values(path, graph, given), graph, given)
    np.testing.assert_array_equal(made["c"], given["a"] - given["b"])


def test_what_cannot_be_run(tmp_path):
    path, _, _ = written(tmp_path)
    graph = read(path)
    x = np.zeros((4, 4, 6), np.float32)
    with pytest.raises(ShapeError, match=r"input x of 'net\.param' is \[4, 4, 6\], and what is given \[1, 4, 4, 6\]"):
        list(values(path, graph, {"x": x[None]}))
    written(tmp_path, weights=lambda content: content[:40])
    with pytest.raises(UnusableInputError, match=r"ncnn cannot read '.*net\.bin': its weights are not those"):
        list(values(path, graph, {"x": x}))
    path.with_suffix(".bin").unlink()
    with pytest.raises(UnusableInputError, match=r"there is no file of ncnn's '.*net\.bin'"):
        list(values(path, graph, {"x": x}))
    with pytest.raises(ParameterError, match=r"must end in \.param"):
        list(values(tmp_path / "net.txt", graph, {"x": x}))
