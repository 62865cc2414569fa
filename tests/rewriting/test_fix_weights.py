"""Weights behind a wrong op, permuted: the model gives what it would with the right one."""

import numpy as np
import pytest

import layoutbridge as lb

onnx = pytest.importorskip("onnx", reason="ONNX is not installed")
pytest.importorskip("onnx_ir", reason="onnx-ir is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from tests import onnx_ports as ports  # noqa: E402 - only where it is installed
from tests.onnx_ports import NETS, model, node, port_of, run  # noqa: E402

RNG = np.random.default_rng(1)


def random(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def assert_close(one, two):
    for name, value in one.items():
        assert np.abs(value - two[name]).max() <= 1e-5 * np.abs(value).max(), name


@pytest.mark.parametrize("written", [ports.pixel_unshuffle, ports.focus])
def test_darknets_outputs_without_touching_the_op(written, tmp_path):
    """Through the join of the route behind [reorg3d], to a convolution that reads other channels, too."""
    port, right, x, recorded = port_of(NETS / "alexey/passthrough3d", tmp_path, written)
    done = lb.rewrite(port, fix_weights={"port.last": "darknet_reorg3d"})
    assert [each.op_type for each in done.model.graph.node] == [each.op_type for each in port.graph.node]
    outputs = run(done.model, input=x)
    assert_close(run(right, input=x), outputs)
    (output,) = outputs.values()
    np.testing.assert_allclose(output.reshape(recorded.shape), recorded, atol=2e-5)
    assert_close(run(lb.rewrite(port, fix={"port.last": "darknet_reorg3d"}).model, input=x), outputs)


def test_mixed_space_is_refused_with_the_reason(tmp_path):
    port = port_of(NETS / "alexey/passthrough", tmp_path, ports.space_to_depth)[0]
    with pytest.raises(
        lb.LayoutBridgeError, match="moves elements in space, not channels alone, and no weights can undo"
    ):
        lb.rewrite(port, fix_weights={"port.last": "darknet_reorg"})


LAYERS = {
    "conv": ([node("Conv", ["a", "w"], ["y"], pads=[1, 1, 1, 1])], {"w": random(6, 12, 3, 3)}),
    "groups of one": ([node("Conv", ["a", "w"], ["y"], group=1)], {"w": random(6, 12, 1, 1)}),
    "conv_transpose": ([node("ConvTranspose", ["a", "w"], ["y"])], {"w": random(12, 5, 2, 2)}),
    "behind others": (
        [
            node("LeakyRelu", ["a"], ["b"]),
            node("MaxPool", ["b"], ["c"], kernel_shape=[2, 2]),
            node("Conv", ["c", "w"], ["y"]),
        ],
        {"w": random(6, 12, 1, 1)},
    ),
    "two readers of one weight": (
        [node("Conv", ["a", "w"], ["p"]), node("Relu", ["a"], ["b"]), node("Conv", ["b", "w"], ["q"]),
         node("Add", ["p", "q"], ["y"])],
        {"w": random(6, 12, 1, 1)},
    ),
    "joined with itself": (
        [node("Neg", ["a"], ["b"]), node("Concat", ["b", "x2", "a"], ["c"], axis=-3), node("Conv", ["c", "w"], ["y"])],
        {"w": random(6, 26, 1, 1), "x2": random(1, 2, 4, 6)},
    ),
    "as a node": ([node("Constant", [], ["w"], value=onnx.numpy_helper.from_array(random(6, 12, 1, 1))),
                   node("Conv", ["a", "w"], ["y"])], {}),
}  # fmt: skip


@pytest.mark.parametrize("kind", LAYERS)
def test_layers(kind):
    nodes, constants = LAYERS[kind]
    first, more = ports.focus("x", "a", 3, 8, 12, 2)
    port = model([*first, *nodes], (1, 3, 8, 12), constants | more)
    x = random(1, 3, 8, 12)
    done = lb.rewrite(port, fix_weights={"a": "space_to_depth"})
    assert_close(run(lb.rewrite(port, fix={"a": "space_to_depth"}).model, x=x), run(done.model, x=x))
    assert done.deviation > 1e-3
    assert [p.names[0] for p in lb.scan(done.model).places] == [p.names[0] for p in lb.scan(port).places]


def test_dense_layers_behind_channels_last():
    """Swin's patch merging, whose linear layer was trained behind another order."""
    nodes = [
        node("Reshape", ["x", "wide"], ["a"]),
        node("Transpose", ["a"], ["b"], perm=(0, 1, 3, 2, 4, 5)),
        node("Reshape", ["b", "deep"], ["c"]),
        node("MatMul", ["c", "w"], ["y"]),
    ]
    constants = {"wide": np.array([-1, 4, 2, 6, 2, 3]), "deep": np.array([-1, 4, 6, 12]), "w": random(12, 7)}
    port = model(nodes, ("N", 8, 12, 3), constants)
    x = random(2, 8, 12, 3)
    done = lb.rewrite(port, fix_weights={0: "focus"})
    assert_close(run(lb.rewrite(port, fix={0: "focus"}).model, x=x), run(done.model, x=x))


def test_open_sizes():
    nodes = [node("SpaceToDepth", ["x"], ["a"], blocksize=2), node("Conv", ["a", "w"], ["y"])]
    port = model(nodes, ("N", 3, "H", "W"), {"w": random(6, 12, 3, 3)})
    done, fixed = (lb.rewrite(port, **{kind: {0: "pixel_unshuffle"}}).model for kind in ("fix_weights", "fix"))
    for shape in ((1, 3, 6, 10), (4, 3, 12, 8)):
        x = random(*shape)
        assert_close(run(fixed, x=x), run(done, x=x))


@pytest.mark.parametrize(
    ("nodes", "constants", "outputs", "told"),
    [
        ([node("Conv", ["a", "w"], ["y"])], {"w": random(6, 12, 1, 1)}, ("y", "a"), "a is an output"),
        ([node("Softmax", ["a"], ["y"], axis=1)], {}, ("y",), r"y \(Softmax\) reads it"),
        (
            [node("Conv", ["a", "w"], ["y"], group=4)],
            {"w": random(8, 3, 1, 1)},
            ("y",),
            "groups? .* would come from group",
        ),
        (
            [node("Relu", ["w0"], ["w"]), node("Conv", ["a", "w"], ["y"])],
            {"w0": random(6, 12, 1, 1)},
            ("y",),
            "are no constant",
        ),
    ],
)
def test_what_no_weights_follow_is_told(nodes, constants, outputs, told):
    port = model([node("SpaceToDepth", ["x"], ["a"], blocksize=2), *nodes], (1, 3, 8, 12), constants, outputs=outputs)
    with pytest.raises(lb.LayoutBridgeError, match=told):
        lb.rewrite(port, fix_weights={0: "pixel_unshuffle"})
