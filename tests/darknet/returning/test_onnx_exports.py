"""ONNX models that other programs exported of ports."""

import warnings

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="needs onnx")
torch = pytest.importorskip("torch", reason="needs PyTorch")
pytest.importorskip("onnxruntime", reason="needs onnxruntime")

from layoutbridge.comparing.comparison import compare  # noqa: E402
from layoutbridge.darknet import load  # noqa: E402
from layoutbridge.errors import ParameterError, UnusableInputError, WeightsError  # noqa: E402
from tests.darknet.returning.torch_modules import Port, pairs  # noqa: E402
from tests.darknet_files import NETS  # noqa: E402

NETWORKS = ("alexey/passthrough3d", "pjreddie/residual", "alexey/connected", "alexey/depthwise_dilated")


def loaded(name):
    return load(NETS / name / "net.cfg", flavor=name.split("/", maxsplit=1)[0])


def exported(net, path, **options):
    model = Port(net, pairs())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, torch.rand(1, *net.network.in_shape), path, verbose=False, dynamo=False, **options)
    return path


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("folded", [True, False])
def test_pytorchs_exports(name, folded, tmp_path):
    net = loaded(name)
    preserved = {"training": torch.onnx.TrainingMode.PRESERVE, "do_constant_folding": False}
    path = exported(net, tmp_path / "port.onnx", **({} if folded else preserved))
    back = net.from_onnx(path)
    found = compare(back, path)
    assert found.equal, str(found)
    assert any("folded" in note for note in back.returned.notes) == folded
    again = net.from_onnx(onnx.load(path))
    assert all((again.parameters[key] == values).all() for key, values in back.parameters.items())


def test_tensorflows_order_of_a_flat_picture():
    """A dense layer behind Transpose to channels last and Reshape, with biases in an Add, as tf2onnx writes it."""
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    rng = np.random.default_rng(0)
    text = "[net]\nwidth=5\nheight=4\nchannels=3\n[connected]\noutput=7\nactivation=linear\n"
    from layoutbridge.darknet.networks.network import DarknetNetwork
    from tests.darknet_files import built

    net = DarknetNetwork(built(text))
    weights, biases = rng.standard_normal((60, 7)).astype("f4"), rng.standard_normal(7).astype("f4")
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[0, 2, 3, 1]),
        helper.make_node("Reshape", ["t", "shape"], ["r"]),
        helper.make_node("MatMul", ["r", "w"], ["m"]),
        helper.make_node("Add", ["m", "b"], ["y"]),
    ]
    held = {"w": weights, "b": biases, "shape": np.array([-1, 60])}
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("x", 1, [1, 3, 4, 5])], [helper.make_tensor_value_info("y", 1, [1, 7])],
        [numpy_helper.from_array(values, name) for name, values in held.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    x = rng.random((1, 3, 4, 5), dtype=np.float32)
    mine = net.from_onnx(model).run(x).reshape(-1)
    np.testing.assert_allclose(mine, (x.transpose(0, 2, 3, 1).reshape(1, -1) @ weights + biases)[0], atol=1e-5)


def test_what_does_not_fit_is_told(tmp_path):
    net = loaded("pjreddie/residual")
    path = exported(net, tmp_path / "port.onnx")
    with pytest.raises(WeightsError, match="layers with weights, and"):
        loaded("alexey/connected").from_onnx(path)
    whole = path.read_bytes()
    for cut in (0, 50, len(whole) // 2):
        (tmp_path / "cut.onnx").write_bytes(whole[:cut])
        with pytest.raises(UnusableInputError, match=r"cut.onnx"):
            net.from_onnx(tmp_path / "cut.onnx")
    with pytest.raises(ParameterError, match="ONNX model"):
        net.from_onnx(3)
    with pytest.raises(UnusableInputError):
        net.from_onnx(tmp_path / "missing.onnx")
    wino = load(NETS / "alexey/residual/net.cfg", NETS / "alexey/residual/net.weights", size=(256, 256))
    wino.to_onnx(tmp_path / "wino.onnx", winograd=True)
    model = onnx.load(tmp_path / "wino.onnx")
    if any(node.op_type == "MatMul" for node in model.graph.node):
        with pytest.raises(WeightsError):
            wino.from_onnx(tmp_path / "wino.onnx")
