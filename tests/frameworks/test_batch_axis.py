"""`batch`: which axes an emitted rearrangement takes, by default and when it is asked, and how others are refused."""

import pickle

import numpy as np
import pytest

import layoutbridge as lb
from layoutbridge.errors import ParameterError, ShapeError
from layoutbridge.frameworks.table import frameworks

INSTALLED = [record for record in frameworks() if record.installed()]
CALLED = [record for record in INSTALLED if record.name != "onnx"]
EVERY_FRAMEWORK = pytest.mark.parametrize("record", INSTALLED, ids=lambda record: record.name)
EVERY_CALLED = pytest.mark.parametrize("record", CALLED, ids=lambda record: record.name)
WEIGHTS = lb.op("oihw_to_hwio")
IMAGES = "n c (h p:2) (w q:2) -> n (p q c) h w"


def zeros(record, shape):
    x = np.zeros(shape, np.float32)
    if record.name == "torch":
        import torch

        return torch.tensor(x)
    return x


def axes_of(model):
    """What an ONNX model's input and output have for axes."""
    ends = (model.graph.input[0], model.graph.output[0])
    return [[axis.dim_param or axis.dim_value for axis in end.type.tensor_type.shape.dim] for end in ends]


# ---------------------------------------------------------------------- who decides


def test_entries_say_it_and_what_is_made_of_them_keeps_it():
    for entry in lb.catalog().values():
        assert entry.build().has_batch == entry.has_batch, entry.name
    windows = lb.op("window_partition", window=4)
    assert not lb.op("space_to_batch").inverse().has_batch
    assert not windows.then(lb.Rearrangement("a h w c -> a c h w")).has_batch
    assert not lb.Rearrangement("n h w c -> n h w c").then(windows).has_batch
    assert not windows.named("mine").has_batch
    assert not pickle.loads(pickle.dumps(windows)).has_batch
    assert lb.Rearrangement("o i h w -> h w i o").has_batch
    assert lb.op("focus").then(lb.op("nchw_to_nhwc")).has_batch


def test_it_is_no_part_of_what_a_map_is():
    plain = lb.Rearrangement("o i h w -> h w i o")
    assert plain == WEIGHTS and hash(plain) == hash(WEIGHTS)
    assert lb.prove(plain, WEIGHTS).for_all_sizes


@EVERY_CALLED
def test_by_default_what_names_every_axis_takes_a_batch_all_the_same(record):
    emitted = lb.emit(WEIGHTS, record.name)
    assert tuple(emitted(zeros(record, (8, 4, 3, 2))).shape) == (3, 2, 4, 8)
    assert tuple(emitted(zeros(record, (5, 8, 4, 3, 2))).shape) == (5, 3, 2, 4, 8)


def test_an_onnx_model_has_a_batch_axis_where_it_is_asked_for():
    pytest.importorskip("onnx")
    assert axes_of(lb.emit(WEIGHTS, "onnx")) == [["O", "I", "H", "W"], ["H", "W", "I", "O"]]
    assert axes_of(lb.emit(WEIGHTS, "onnx", shape=(8, None, 3, "k"))) == [[8, "I", 3, "k"], [3, "k", "I", 8]]
    assert axes_of(lb.emit(WEIGHTS.inverse(), "onnx")) == [["H", "W", "I", "O"], ["O", "I", "H", "W"]]
    assert axes_of(lb.emit(WEIGHTS, "onnx", shape=(None, 8, 4, 3, 3)))[0] == ["N", 8, 4, 3, 3]
    assert axes_of(lb.emit(WEIGHTS, "onnx", batch=True))[0] == ["N", "O", "I", "H", "W"]
    assert axes_of(lb.emit(lb.op("focus"), "onnx"))[0] == ["N", "C", "H", "W"]
    assert axes_of(lb.emit(lb.op("focus"), "onnx", batch=False))[0] == ["C", "H", "W"]


# ---------------------------------------------------------------------- refusals


@EVERY_FRAMEWORK
@pytest.mark.parametrize("batch", ["no", 3, 1, 0.0, (), "True"])
def test_what_is_no_value_is_refused(record, batch, tmp_path):
    said = "batch is True, False or None"
    with pytest.raises(ParameterError, match=said):
        lb.emit(WEIGHTS, record.name, batch=batch)
    with pytest.raises(ParameterError, match=said):
        lb.export(WEIGHTS, record.name, tmp_path / "model", shape=(8, 4, 3, 3), batch=batch)
    assert list(tmp_path.iterdir()) == []


@EVERY_CALLED
def test_other_axes_are_refused_with_their_number(record):
    alone, behind = (lb.emit(WEIGHTS, record.name, batch=batch) for batch in (False, True))
    with pytest.raises(ShapeError, match=r"takes 4 axes \[O, I, H, W\] and none in front .*\(1, 8, 4, 3, 3\) has 5"):
        alone(zeros(record, (1, 8, 4, 3, 3)))
    with pytest.raises(ShapeError, match=r"takes 4 axes \[O, I, H, W\] and none in front .*\(8, 4, 3\) has 3"):
        alone(zeros(record, (8, 4, 3)))
    with pytest.raises(ShapeError, match=r"takes 5 axes \[N, O, I, H, W\], the batch axis in front, .* has 4"):
        behind(zeros(record, (8, 4, 3, 3)))
    with pytest.raises(ShapeError, match=r"I = 0|at least 1"):
        alone(zeros(record, (8, 0, 3, 3)))


@EVERY_FRAMEWORK
def test_files_are_refused_a_shape_of_other_axes(record, tmp_path):
    for batch, shape, said in (
        (
            False,
            (1, 8, 4, 3, 3),
            r"none in front \(batch=True, or --batch, adds one\), and shape \(1, 8, 4, 3, 3\) has 5",
        ),
        (True, (8, 4, 3, 3), r"the batch axis in front, and shape \(8, 4, 3, 3\) has 4"),
    ):
        for ending in record.writes:
            with pytest.raises(ShapeError, match=said):
                lb.export(WEIGHTS, record.name, tmp_path / f"model{ending}", shape=shape, batch=batch)
    assert list(tmp_path.iterdir()) == []


def test_tracers_refuse_other_axes_too():
    torch = pytest.importorskip("torch")
    module = lb.emit(lb.op("focus"), "torch", batch=False)
    with pytest.raises(ShapeError, match=r"takes 3 axes .* and none in front"):
        torch.export.export(module, (torch.zeros(1, 3, 4, 4),), strict=False)
    assert torch.export.export(module, (torch.zeros(3, 4, 4),)).module()(torch.zeros(3, 4, 4)).shape == (12, 2, 2)


def test_a_torch_module_says_it():
    pytest.importorskip("torch")
    assert str(lb.emit(WEIGHTS, "torch", batch=False)).endswith("'o i h w -> h w i o', batch=False)")
    assert "batch" not in str(lb.emit(WEIGHTS, "torch"))


# ---------------------------------------------------------------------- ONNX: native operators, lengths left open


def test_a_pattern_of_four_axes_may_be_the_native_operator():
    pytest.importorskip("onnx")
    for pattern, operator in (
        (IMAGES, "SpaceToDepth"),
        ("n (p:2 q:2 c) h w -> n c (h p) (w q)", "DepthToSpace"),
        ("n (c p:2 q:2) h w -> n c (h p) (w q)", "DepthToSpace"),
    ):
        operation = lb.Rearrangement(pattern)
        assert [node.op_type for node in lb.emit(operation, "onnx", batch=False).graph.node] == [operator]
        plain = lb.emit(operation, "onnx", batch=False, native=False)
        assert operator not in {node.op_type for node in plain.graph.node}
        assert operator not in {
            node.op_type for node in lb.emit(operation, "onnx", batch=False, dtype="bool").graph.node
        }
        behind = [node.op_type for node in lb.emit(operation, "onnx", batch=True).graph.node]
        assert behind != [operator]  # which takes no five axes


@pytest.mark.parametrize("name", ["space_to_depth", "pixel_shuffle", "focus", "darknet_reorg", "darknet_reorg_reverse"])
def test_a_native_operator_never_stands_bare_on_one_item(name):
    onnx = pytest.importorskip("onnx")
    for shape in (None, (36, 12, 12)):
        model = onnx.shape_inference.infer_shapes(
            lb.emit(lb.op(name), "onnx", batch=False, shape=shape), strict_mode=True
        )
        known = {each.name: each for each in (*model.graph.input, *model.graph.value_info)}
        for node in model.graph.node:
            if node.op_type in ("SpaceToDepth", "DepthToSpace") and node.input[0] in known:
                assert len(known[node.input[0]].type.tensor_type.shape.dim) == 4
        onnx.checker.check_model(model, full_check=True)


@pytest.mark.parametrize(
    ("name", "fits", "misfits"),
    [
        ("space_to_depth", (3, 4, 6), [(3, 5, 6), (3, 4, 5)]),
        ("darknet_reorg", (4, 4, 6), [(6, 4, 6), (4, 5, 6), (4, 4, 5)]),
        ("space_to_batch", (1, 3, 4, 6), [(1, 3, 5, 6), (1, 3, 4, 5)]),
        ("batch_to_space", (8, 3, 4, 6), [(6, 3, 4, 4), (3, 3, 4, 4), (1, 4, 2, 2)]),
        ("grouped_iohw_to_oihw", (4, 6, 3, 3), [(3, 6, 3, 3), (5, 2, 1, 1)]),
    ],
)
def test_lengths_left_open_give_the_right_result_or_none(name, fits, misfits):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    operation = lb.op(name)
    for native in (True, False):
        model = lb.emit(operation, "onnx", batch=False, native=native).SerializeToString()
        options = runtime.SessionOptions()
        options.log_severity_level = 4
        session = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        x = np.arange(np.prod(fits), dtype=np.float32).reshape(fits)
        np.testing.assert_array_equal(session.run(None, {"input": x})[0], operation(x), strict=True)
        for shape in misfits:
            with pytest.raises(Exception, match=r"(?i)shape|divisible|blocksize|multiple|reshape"):
                session.run(None, {"input": np.zeros(shape, np.float32)})


# ---------------------------------------------------------------------- PyTorch and Keras: as their own ops do


def test_torch_takes_its_own_function_for_a_pattern_that_names_the_batch():
    torch = pytest.importorskip("torch")
    operation = lb.Rearrangement("n c (h p:2) (w q:2) -> n (c p q) h w")
    x = torch.arange(2 * 3 * 4 * 6).reshape(2, 3, 4, 6)
    for batch in (None, False):
        module = lb.emit(operation, "torch", batch=batch)
        assert torch.equal(module(x), torch.nn.functional.pixel_unshuffle(x, 2))
        assert "pixel_unshuffle" in str(torch.export.export(module, (x,), strict=False).graph)
    several = lb.emit(operation, "torch")(torch.stack([x, x + 1]))
    assert torch.equal(several[1], torch.nn.functional.pixel_unshuffle(x + 1, 2))


@pytest.mark.parametrize("spatial", [1, 2, 3])
def test_keras_moves_blocks_across_the_batch_as_tensorflow_does(spatial):
    tf = pytest.importorskip("tensorflow")
    x = np.arange(3 * 4**spatial * 5, dtype=np.float32).reshape(3, *[4] * spatial, 5)
    blocks, nothing = [2] * spatial, [[0, 0]] * spatial
    there = lb.emit(lb.op("space_to_batch", spatial=spatial), "keras")
    made = there(x)
    np.testing.assert_array_equal(made, tf.space_to_batch_nd(x, blocks, nothing))
    back = lb.emit(lb.op("batch_to_space", spatial=spatial), "keras", batch=False)
    np.testing.assert_array_equal(back(made), tf.batch_to_space(made, blocks, nothing))
    np.testing.assert_array_equal(back(made), x)


@pytest.mark.parametrize(
    ("name", "parameters", "pattern"),
    [
        ("space_to_depth", {"spatial": 1}, "n (w q) c -> n w (q c)"),
        ("pixel_unshuffle", {"spatial": 1}, "n (w q) c -> n w (c q)"),
        ("space_to_depth", {"spatial": 3}, "n (d o) (h p) (w q) c -> n d h w (o p q c)"),
        ("focus", {"spatial": 3}, "n (d o) (h p) (w q) c -> n d h w (q p o c)"),
        ("space_to_depth", {}, "n (h p) (w q) c -> n h w (p q c)"),
    ],
)
def test_keras_has_images_on_one_and_three_axes_channels_last(name, parameters, pattern):
    pytest.importorskip("tensorflow")
    einops = pytest.importorskip("einops")
    spatial = parameters.get("spatial", 2)
    x = np.arange(2 * 4**spatial * 3, dtype=np.float32).reshape(2, *[4] * spatial, 3)
    sizes = dict.fromkeys("opq"[3 - spatial :], 2)
    layer = lb.emit(lb.op(name, **parameters), "keras")
    made = layer(x)
    np.testing.assert_array_equal(made, einops.rearrange(x, pattern, **sizes))
    back = lb.emit(lb.op(name, **parameters).inverse(), "keras")
    np.testing.assert_array_equal(back(made), x)


def test_keras_leaves_tokens_and_weights_as_they_are():
    pytest.importorskip("tensorflow")
    for operation, shape in (
        (lb.op("patchify", patch=2, spatial=1), (2, 3, 4)),
        (lb.op("patchify", patch=2), (2, 3, 4, 6)),
        (lb.op("oihw_to_hwio", spatial=1), (4, 3, 2)),
        (lb.op("window_partition", window=2), (1, 4, 4, 3)),
        (lb.Rearrangement("l d -> d l"), (2, 3, 4)),
    ):
        x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
        for data_format in ("channels_last", "channels_first"):
            made = lb.emit(operation, "keras", data_format=data_format)(x)
            np.testing.assert_array_equal(made, operation(x))


def test_a_keras_layer_is_made_again_from_its_configuration():
    keras = pytest.importorskip("keras")
    x = np.arange(2 * 3 * 4 * 4, dtype=np.float32).reshape(2, 3, 4, 4)
    for operation in (lb.op("space_to_batch"), lb.op("oihw_to_hwio").inverse(), lb.Rearrangement(IMAGES)):
        for batch in (None, False):
            layer = lb.emit(operation, "keras", batch=batch, data_format="channels_first")
            again = type(layer).from_config(layer.get_config())
            if batch is False or not operation.has_batch:
                np.testing.assert_array_equal(again(x), operation(x))
                assert again(keras.KerasTensor((None, 3, 4, 4))).shape == layer.compute_output_shape((None, 3, 4, 4))
    old = {key: value for key, value in lb.emit(lb.op("focus"), "keras").get_config().items() if key != "batch"}
    assert type(layer).from_config(old).batch is True  # files from before there was such a thing


def test_a_keras_model_names_its_batch_by_the_pattern():
    keras = pytest.importorskip("keras")
    inputs = keras.Input((8, 8, 3))
    windows = lb.emit(lb.op("window_partition", window=4), "keras")(inputs)
    outputs = lb.emit(lb.op("window_reverse", window=4, height=8, width=8), "keras")(windows)
    assert windows.shape == (None, 4, 4, 3) and outputs.shape == (None, 8, 8, 3)
    x = np.random.default_rng(0).random((2, 8, 8, 3), np.float32)
    np.testing.assert_array_equal(keras.Model(inputs, outputs)(x), x)


def test_an_unknown_number_of_axes_is_refused():
    tf = pytest.importorskip("tensorflow")
    layer = lb.emit(WEIGHTS, "keras")
    with pytest.raises(ShapeError, match="number of axes is unknown"):
        tf.function(layer, autograph=False).get_concrete_function(tf.TensorSpec(None))
