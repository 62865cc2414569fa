"""What the reader of .tflite files finds, against LiteRT: each tensor's shape, each movement's elements."""

from random import Random

import numpy as np
import pytest

from layoutbridge.errors import LayoutBridgeError, ShapeError, UnusableInputError
from layoutbridge.scanning.readers.tflite.reading import read
from tests.followed import followed
from tests.fuzzing.mutation import mutated
from tests.fuzzing.surface import refuse_unclear

tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
litert = pytest.importorskip("ai_edge_litert.interpreter", reason="LiteRT is not installed")


def converted(path, function, *shape, dtype=tf.float32, half=False):
    """A .tflite file of a function of one tensor."""
    concrete = tf.function(function, autograph=False).get_concrete_function(tf.TensorSpec(shape, dtype, name="x"))
    holder = tf.Module()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], holder)
    if half:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
    path.write_bytes(converter.convert())
    return path


def compare(path, graph):
    """Each tensor of `graph` with what LiteRT computes, and each movement; the operators that move elements."""
    plain = litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    interpreter = litert.Interpreter(
        str(path), experimental_op_resolver_type=plain, experimental_preserve_all_tensors=True
    )
    (taken,) = interpreter.get_input_details()
    shape = graph.tensors[graph.inputs[0]].shape
    interpreter.resize_tensor_input(taken["index"], shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(taken["index"], np.arange(np.prod(shape)).reshape(shape).astype(taken["dtype"]))
    interpreter.invoke()
    values = {}
    for held in interpreter.get_tensor_details():
        if held["name"] in graph.tensors:
            values[held["name"]] = interpreter.get_tensor(held["index"])
            assert graph.tensors[held["name"]].shape == values[held["name"]].shape
            assert graph.tensors[held["name"]].dtype == values[held["name"]].dtype.name
    return followed(graph, values)


MOVING = {
    "RESHAPE": lambda x: tf.reshape(x, (-1, 6, 12)) + 1,
    "SQUEEZE": lambda x: tf.squeeze(tf.reduce_max(x, 1, keepdims=True), [1]) + 1,
    "EXPAND_DIMS": lambda x: tf.expand_dims(x, 1) + 1,
    "TRANSPOSE": lambda x: tf.transpose(x, (0, 3, 1, 2)) + 1,
    "STRIDED_SLICE": lambda x: (x[:, ::2, 1::2] + 1, x[:, 2] + 1, x[..., 1:-1, tf.newaxis] + 1, x[:, ::-1, -1] + 1),
    "SLICE": lambda x: tf.slice(x, (0, 1, 2, 0), (-1, 2, 3, 4)) + 1,
    "CONCATENATION": lambda x: tf.concat([x, x[:, :2]], 1) + 1,
    "PACK": lambda x: tf.stack([x, x + 1], 2) + 1,
    "UNPACK": lambda x: [part + 1 for part in tf.unstack(x, axis=1)],
    "SPLIT": lambda x: [part + 1 for part in tf.split(x, 3, 1)],
    "SPLIT_V": lambda x: [part + 1 for part in tf.split(x, [1, 4, 1], 1)],
    "GATHER": lambda x: tf.gather(x, [3, 1, 1], axis=2) + 1,
    "GATHER_ND": lambda x: tf.gather_nd(x, [[1, 2], [0, 3]]) + 1,
    "SPACE_TO_DEPTH": lambda x: tf.nn.space_to_depth(x, 2) + 1,
    "DEPTH_TO_SPACE": lambda x: tf.nn.depth_to_space(x, 2) + 1,
    "SPACE_TO_BATCH_ND": lambda x: tf.space_to_batch(x, (2, 3), [[0, 0], [0, 0]]) + 1,
    "BATCH_TO_SPACE_ND": lambda x: tf.batch_to_space(x, (2, 1), [[1, 0], [0, 2]]) + 1,
    "REVERSE_V2": lambda x: tf.reverse(x, [2]) + 1,
    "TILE": lambda x: tf.tile(x, (1, 2, 1, 3)) + 1,
    "BROADCAST_TO": lambda x: tf.broadcast_to(x[:, :1], (2, 5, 6, 4)) + 1,
    "RESIZE_NEAREST_NEIGHBOR": lambda x: tf.raw_ops.ResizeNearestNeighbor(
        images=x, size=(12, 18), align_corners=False, half_pixel_centers=True
    ) + 1,
    "MIRROR_PAD": lambda x: tf.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]], "REFLECT") + 1,
}  # fmt: skip


@pytest.mark.parametrize("name", MOVING)
def test_each_movement_is_what_litert_computes(name, tmp_path):
    shape = (None,) * 3 if name in ("SQUEEZE", "EXPAND_DIMS") else (2, 6, 6)  # of fixed sizes they become reshapes
    path = converted(tmp_path / "net.tflite", MOVING[name], *shape, 4)
    assert name in compare(path, read(path))


def test_what_changes_values_is_no_movement(tmp_path):
    def function(x):
        padded = tf.space_to_batch(x, (2, 3), [[1, 1], [0, 0]])
        return tf.nn.relu(x), tf.cast(x, tf.int32), tf.pad(x, [[0, 0], [1, 1], [0, 0], [0, 0]]), padded

    graph = read(converted(tmp_path / "net.tflite", function, 2, 6, 6, 4))
    assert all(node.movement is None for node in graph.nodes)


def focus(x):
    parts = [x[:, ::2, ::2], x[:, 1::2, ::2], x[:, ::2, 1::2], x[:, 1::2, 1::2]]
    return tf.concat(parts, -1)


def shuffled(x):
    n, h, w, c = (tf.shape(x)[axis] for axis in range(4))
    y = tf.reshape(x, (n, h, w, 2, c // 2))
    y = tf.reshape(tf.transpose(y, (0, 1, 2, 4, 3)), (n, h, w, c))
    return tf.reshape(focus(y), (tf.shape(y)[0], -1, 4)) + 1


def test_sizes_that_are_computed_from_shapes(tmp_path):
    path = converted(tmp_path / "net.tflite", shuffled, None, None, None, 4)
    graph = read(path)
    assert graph.tensors[graph.inputs[0]].shape == (2, 64, 96, 4)
    assert graph.tensors[graph.inputs[0]].open_shape == (None, None, None, 4)
    assert graph.tensors[graph.outputs[0]].shape == (2, 64 * 96, 4)
    assert graph.notes == (f"open sizes are filled in: {graph.inputs[0]} [2, 64, 96, 4]",)
    moving = compare(path, graph)
    assert moving.count("RESHAPE") == 3
    assert not {node.operator for node in graph.nodes} & {"SHAPE", "PACK"}
    small = read(path, (1, 8, None, 4))
    assert small.tensors[small.inputs[0]].shape[:2] == (1, 8)
    assert compare(path, small) == moving
    with pytest.raises(ShapeError, match="fixed shape"):
        read(path, (1, 8, 8, 3))
    with pytest.raises(UnusableInputError, match="cannot plan"):
        read(converted(path, lambda x: tf.reshape(x, (-1, 7)) + 1, 1, None), (1, 8))


def test_names_constants_and_weights(tmp_path):
    weights = np.random.default_rng(1).normal(size=(3, 3, 16, 8)).astype(np.float32)
    path = converted(
        tmp_path / "net.tflite", lambda x: tf.nn.conv2d(focus(x), weights, 1, "SAME"), 1, 8, 8, 4, half=True
    )
    graph = read(path)
    assert [node.name for node in graph.nodes] == [str(k) for k in range(graph.node_count)]
    (conv,) = (node for node in graph.nodes if node.operator == "CONV_2D")
    assert [graph.tensors[name].is_constant for name in conv.inputs] == [False, True, True]
    assert {node.operator for node in graph.nodes if node.movement is None} == {"CONV_2D", "DEQUANTIZE"}


def test_branches_and_loops_are_inner_graphs(tmp_path):
    def function(x):
        return tf.cond(tf.reduce_sum(x) > 0, lambda: tf.transpose(x, (1, 0)) + 1, lambda: tf.reshape(x, (3, 2)) + 1)

    concrete = tf.function(function, autograph=False).get_concrete_function(tf.TensorSpec((2, 3), tf.float32))
    path = tmp_path / "net.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([concrete], tf.Module()).convert())
    graph = read(path)
    (branch,) = (node for node in graph.nodes if node.operator == "IF")
    assert [inner.name for inner in graph.inner] == [branch.name] * 2
    assert {node.operator for inner in graph.inner for node in inner.nodes} >= {"TRANSPOSE", "RESHAPE"}


def test_a_file_that_asks_for_gigabytes_is_refused(tmp_path):
    path = converted(tmp_path / "net.tflite", lambda x: tf.reshape(x, (-1, 2)) + 1, 1000, 1000, 1000)
    with pytest.raises(UnusableInputError, match="would take 4,000 MB of memory"):
        read(path)


def test_files_that_are_no_models(tmp_path):
    path = tmp_path / "net.tflite"
    with pytest.raises(UnusableInputError, match=r"there is no \.tflite file"):
        read(path)
    path.write_bytes(b"no model")
    with pytest.raises(UnusableInputError, match="LiteRT cannot load"):
        read(path)


def test_damaged_models_are_refused_in_one_line(tmp_path):
    path = converted(tmp_path / "net.tflite", shuffled, None, None, None, 4)
    content, rng = path.read_bytes(), Random(7)
    for _ in range(40):
        path.write_bytes(mutated(rng, content))
        try:
            read(path)
        except LayoutBridgeError as error:
            refuse_unclear(str(error), 1)
