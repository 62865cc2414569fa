"""One network in every format that is read: the same places, each under its own names."""

from importlib.util import find_spec

import pytest

import layoutbridge as lb
from tests.command_line import run
from tests.darknet_files import made

TEXT = """[net]
height=8
width=8
channels=4
[convolutional]
filters=8
size=1
activation=leaky
[reorg]
stride=2
[convolutional]
filters=8
size=1
activation=leaky
"""
# Endings, what writes and reads one, and the words that stand around Darknet's reorg in it.
FORMATS = {
    "n.onnx": ("onnx", ""),
    "n.pt2": ("torch", ""),
    "n.keras": ("tensorflow", "the tensor read as channels last"),
    "n.tflite": ("tensorflow", "the tensor read as channels last"),
    "saved": ("tensorflow", "the tensor read as channels last"),
    "n.param": ("ncnn", ""),
}


@pytest.fixture
def net(tmp_path):
    return made(TEXT, tmp_path, "alexey", 0)


def moving(found):
    return [(place.names, place.wrapping) for place in found.places if place.kind == "moves"]


@pytest.mark.parametrize("name", FORMATS)
def test_files(net, tmp_path, capfd, name):
    framework, around = FORMATS[name]
    if not find_spec(framework):
        pytest.skip(f"{framework} is not installed")
    files = [str(tmp_path / "net.cfg"), str(tmp_path / "net.weights")]
    chosen = [] if "." in name else ["--to", "tensorflow"]
    assert run(capfd, "export", *files, "-o", str(tmp_path / name), *chosen)[0] == 0
    found = lb.scan(tmp_path / name)
    assert moving(found) == [(("darknet_reorg",), around)]
    (place,) = (place for place in found.places if place.kind == "moves")
    if framework != "ncnn" and name != "n.tflite":
        assert any("1_reorg" in node for node in place.nodes)  # as the exported model's users know it


def test_cfgs_and_networks(net, tmp_path):
    for model in (net, tmp_path / "net.cfg"):
        found = lb.scan(model)
        assert moving(found) == [(("darknet_reorg",), "")]
        assert found.places[0].nodes == ("layer 1 (reorg)",)


def test_modules(net):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    module = net.to_torch()
    assert moving(lb.scan(module, (1, 4, 8, 8))) == [(("darknet_reorg",), "")]
    with pytest.raises(lb.LayoutBridgeError, match="give the shape of its input"):
        lb.scan(module)


def test_keras_models(net):
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    assert moving(lb.scan(net.to_keras())) == [(("darknet_reorg",), "the tensor read as channels last")]


def test_openvino(net, tmp_path):
    openvino = pytest.importorskip("openvino", reason="OpenVINO is not installed")
    pytest.importorskip("onnx", reason="ONNX is not installed")
    net.to_onnx(tmp_path / "n.onnx")
    openvino.save_model(openvino.convert_model(tmp_path / "n.onnx"), tmp_path / "n.xml")
    assert moving(lb.scan(tmp_path / "n.xml")) == [(("darknet_reorg",), "")]


def told(found):
    """What is told of places without the names of nodes and tensors, and the lengths where the batch is open."""
    return [
        (each.kind, each.names, dict(each.parameters), each.wrapping, each.in_shapes[0][1:]) for each in found.places
    ]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_module_is_the_same_in_each_of_its_files(tmp_path):
    """Blocks to channels and back, a shuffle, slices of a join and a flatten, between convolutions."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    pytest.importorskip("onnx", reason="ONNX is not installed")

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            sizes = ((4, 8), (32, 16), (16, 8), (2, 8))
            self.convolutions = torch.nn.ModuleList(torch.nn.Conv2d(*each, 1) for each in sizes)
            self.dense = torch.nn.Linear(512, 3)

        def forward(self, x):
            first, second, third, fourth = self.convolutions
            x = second(torch.nn.functional.pixel_unshuffle(first(x), 2))
            n, c, h, w = x.shape
            x = third(x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w))
            x = fourth(torch.nn.functional.pixel_shuffle(x, 2))
            parts = [x[..., row::2, column::2] for column in (0, 1) for row in (0, 1)]
            return self.dense(torch.relu(torch.cat(parts, 1)[:, :8]).flatten(1))

    net, x = Net().eval(), torch.zeros(1, 4, 16, 16)
    torch.onnx.export(net, (x,), tmp_path / "n.onnx", dynamo=False)
    torch.export.save(torch.export.export(net, (x,)), tmp_path / "n.pt2")
    files = ["n.onnx", "n.pt2"]
    if find_spec("openvino"):
        import openvino

        openvino.save_model(openvino.convert_model(tmp_path / "n.onnx"), tmp_path / "n.xml")
        files.append("n.xml")
    wanted = told(lb.scan(net, tuple(x.shape)))
    assert [(kind, names[:1]) for kind, names, *_ in wanted] == [
        ("moves", ("pixel_unshuffle",)), ("moves", ("channel_shuffle",)), ("moves", ("pixel_shuffle",)),
        ("drops", ()), ("view", ("identity",)),
    ]  # fmt: skip
    for name in files:
        assert told(lb.scan(tmp_path / name)) == wanted, name


@pytest.mark.slow
def test_a_keras_model_is_the_same_in_each_of_its_files(tmp_path):
    tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    keras = pytest.importorskip("keras", reason="Keras is not installed")
    layers = keras.layers
    steps = [
        layers.Conv2D(8, 1, activation="relu"),
        *(layers.Reshape((8, 2, 8, 2, 8)), layers.Permute((1, 3, 2, 4, 5)), layers.Reshape((8, 8, 32))),
        layers.Conv2D(16, 1, activation="relu"),
        *(layers.Reshape((8, 8, 2, 8)), layers.Permute((1, 2, 4, 3)), layers.Reshape((8, 8, 16))),
        layers.Conv2D(8, 1, activation="relu"),
        *(layers.Permute((3, 1, 2)), layers.Flatten(), layers.Dense(5)),
    ]
    model = keras.Sequential([keras.Input((16, 16, 8), batch_size=1), *steps])
    model.save(tmp_path / "n.keras")
    tf.saved_model.save(model, tmp_path / "saved")
    (tmp_path / "n.tflite").write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
    wanted = told(lb.scan(model))
    assert [names[0] for _, names, *_ in wanted] == ["space_to_depth", "channel_shuffle", "nhwc_to_nchw"]
    for name in ("n.keras", "saved", "n.tflite"):
        assert [each[1:3] for each in told(lb.scan(tmp_path / name))] == [each[1:3] for each in wanted], name


def test_a_model_in_memory_stays_as_it_is():
    onnx = pytest.importorskip("onnx", reason="ONNX is not installed")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    body = helper.make_graph(
        [
            helper.make_node("Transpose", ["held"], ["turned"], perm=[0, 2, 1]),
            helper.make_node("Identity", ["go"], ["on"]),
        ],
        "body",
        [helper.make_value_info(name, onnx.TypeProto()) for name in ("count", "go", "held")],
        [helper.make_value_info(name, onnx.TypeProto()) for name in ("on", "turned")],
    )
    graph = helper.make_graph(
        [helper.make_node("Loop", ["", "go_on", "x"], ["y"], body=body, name="loop")],
        "g",
        [helper.make_tensor_value_info("x", kind, (2, 3, 4)), helper.make_tensor_value_info("go_on", 9, ())],
        [helper.make_tensor_value_info("y", kind, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    before = model.SerializeToString(deterministic=True)
    assert [place.names[0] for place in lb.scan(model).places] == ["transpose_hw"]
    assert model.SerializeToString(deterministic=True) == before


def asking(tf):
    """Turns a tensor, reads it by rows, and takes its shape for another, too."""

    def function(x):
        turned = tf.transpose(x, (0, 2, 1))
        return tf.nn.relu(tf.reshape(turned, (1, -1))), tf.reshape(
            tf.nn.relu(x), tf.shape(turned) // (1, 1, 2) * (1, 2, 1)
        )

    return tf.function(function, autograph=False).get_concrete_function(
        tf.TensorSpec((1, 4, None), tf.float32, name="x")
    )


@pytest.mark.parametrize("name", ["saved", "n.tflite"])
def test_who_reads_a_shape_ends_a_region(tmp_path, name):
    tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    holder, concrete = tf.Module(), asking(tf)
    if name == "saved":
        tf.saved_model.save(holder, tmp_path / name, signatures=concrete)
    else:
        converted = tf.lite.TFLiteConverter.from_concrete_functions([concrete], holder).convert()
        (tmp_path / name).write_bytes(converted)
    found = lb.scan(tmp_path / name)
    assert [place.kind for place in found.places] == ["moves", "view", "view"]
