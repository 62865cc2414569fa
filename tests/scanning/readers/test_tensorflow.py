"""What the reader of Keras' models and SavedModels finds, against TensorFlow: shapes, and each movement's elements."""

import json
import zipfile
from random import Random

import numpy as np
import pytest

from layoutbridge.errors import LayoutBridgeError, ShapeError, UnusableInputError
from layoutbridge.scanning.readers.tensorflow.reading import read_keras, read_saved_model
from tests.followed import followed
from tests.fuzzing.mutation import mutated
from tests.fuzzing.surface import refuse_unclear

tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
keras = pytest.importorskip("keras", reason="Keras is not installed")
h5py = pytest.importorskip("h5py", reason="h5py is not installed")

from tensorflow.core.protobuf import saved_model_pb2  # noqa: E402


def saved(path, function, *shape, dtype=tf.float32):
    """A SavedModel of a function of one tensor."""
    module = tf.Module()
    module.f = tf.function(function, autograph=False)
    signature = module.f.get_concrete_function(tf.TensorSpec(shape, dtype, name="x"))
    tf.saved_model.save(module, str(path), {"serving_default": signature})
    return path


def values_of(function, graph):
    """What TensorFlow computes for every tensor of `function`'s graph, by the names in it."""
    shape = graph.tensors[graph.inputs[0]].shape
    concrete = tf.compat.v1.wrap_function(function, [tf.TensorSpec(shape, tf.float32, name="x")])
    x = tf.reshape(tf.range(np.prod(shape), dtype=tf.float32), shape)
    fetched = [each for op in concrete.graph.get_operations() for each in op.outputs if each.dtype.is_numpy_compatible]
    names = [each.name for each in fetched if each.dtype not in (tf.resource, tf.variant)]
    results = concrete.prune(concrete.inputs, [concrete.graph.get_tensor_by_name(name) for name in names])(x)
    values = {}
    for name, value in zip(names, results, strict=True):
        node, _, place = name.partition(":")
        values[name] = value.numpy()
        if place == "0":
            values[node] = value.numpy()
    return values


def compare(graph, values):
    """Each tensor of `graph` with what TensorFlow computes, and each movement; the operators that move elements."""
    for name in graph.tensors.keys() & values.keys():
        assert graph.tensors[name].shape == values[name].shape
        assert graph.tensors[name].dtype == values[name].dtype.name
    return followed(graph, values)


class Of(keras.Layer):  # type: ignore[name-defined]
    """A function as a layer, which is not written to files."""

    def __init__(self, function):
        super().__init__(name="of")
        self.function = function
        self.built = True

    def call(self, x):
        return self.function(x)


MOVING = {
    "Reshape": lambda x: (tf.reshape(x, (-1, 12)), tf.reshape(x, (tf.shape(x)[0], -1, tf.shape(x)[-1] // 2))),
    "Squeeze": lambda x: tf.squeeze(x[:, :1], [1]),
    "ExpandDims": lambda x: tf.expand_dims(x, 1),
    "Transpose": lambda x: (tf.transpose(x, (0, 3, 1, 2)), tf.transpose(x)),
    "StridedSlice": lambda x: (x[:, ::2, 1::2], x[:, 2], x[..., 1:-1, tf.newaxis], x[:, ::-1, -1], x[0, 1, 2, 3],
                               x[1:, tf.newaxis, ..., -2:]),
    "Slice": lambda x: tf.slice(x, (0, 1, 2, 0), (-1, 2, 3, 4)),
    "ConcatV2": lambda x: tf.concat([x, x[:, :2]], -3),
    "Pack": lambda x: tf.stack([x, x + 1], -2),
    "Unpack": lambda x: tf.unstack(x, axis=-1),
    "Split": lambda x: tf.split(x, 3, 1),
    "SplitV": lambda x: tf.split(x, [1, 4, 1], 1),
    "GatherV2": lambda x: (tf.gather(x, [3, 1, 1], axis=2), tf.gather(x, tf.range(6)[::-1], axis=1),
                           tf.gather(x, [[1, 0], [0, 1]])),
    "GatherNd": lambda x: tf.gather_nd(x, [[1, 2], [0, 3]]),
    "Tile": lambda x: tf.tile(x, (1, 2, 1, 3)),
    "BroadcastTo": lambda x: (tf.broadcast_to(x[:, :1], (2, 5, 6, 4)), tf.broadcast_to(x, (1, 2, 6, 6, 4))),
    "ReverseV2": lambda x: tf.reverse(x, [2, -1]),
    "Reverse": lambda x: tf.raw_ops.Reverse(tensor=x, dims=[True, False, True, False]),
    "Roll": lambda x: tf.roll(x, (1, -2), (1, 2)),
    "SpaceToDepth": lambda x: tf.nn.space_to_depth(x, 2),
    "DepthToSpace": lambda x: tf.nn.depth_to_space(x, 2),
    "SpaceToBatchND": lambda x: (tf.space_to_batch(x, (2, 3), [[0, 0], [0, 0]]), tf.space_to_batch(x, (2,), [[0, 0]])),
    "BatchToSpaceND": lambda x: tf.batch_to_space(x, (2, 1), [[1, 0], [0, 2]]),
    "ExtractImagePatches": lambda x: (tf.image.extract_patches(x, (1, 2, 2, 1), (1, 2, 2, 1), (1, 1, 1, 1), "VALID"),
                                      tf.image.extract_patches(x, (1, 2, 3, 1), (1, 1, 2, 1), (1, 3, 1, 1), "VALID")),
    "ResizeNearestNeighbor": lambda x: (
        tf.raw_ops.ResizeNearestNeighbor(images=x, size=(12, 18), half_pixel_centers=True),
        tf.raw_ops.ResizeNearestNeighbor(images=x, size=(12, 6)),
    ),
    "MirrorPad": lambda x: (tf.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]], "REFLECT"),
                            tf.pad(x, [[0, 0], [1, 2], [0, 1], [0, 0]], "SYMMETRIC")),
    "Identity": tf.identity,
    "Einsum": lambda x: tf.einsum("nhwc->nchw", x),
}  # fmt: skip


@pytest.mark.parametrize("name", MOVING)
def test_each_movement_is_what_tensorflow_computes(name):
    graph = read_keras(Of(MOVING[name]), {"x": (2, 6, 6, 4)})
    moving = compare(graph, values_of(MOVING[name], graph))
    assert name in moving or name == "Einsum"  # which TensorFlow writes as a transpose


def test_the_order_of_axes_in_an_einsum():
    def function(x):
        return tf.raw_ops.Einsum(inputs=[x], equation="nhwc->ncwh")

    graph = read_keras(Of(function), (2, 3, 4, 5))
    (node,) = graph.nodes
    assert (node.kind, node.order) == ("transpose", (0, 3, 2, 1))
    x = np.arange(120).reshape(2, 3, 4, 5)
    np.testing.assert_array_equal(node.movement(x), function(x.astype(np.float32)).numpy())


@pytest.mark.parametrize("operator", ["SpaceToDepth", "DepthToSpace"])
def test_channels_in_front(operator):
    """TensorFlow does so on GPUs alone: what it does between transposes on a CPU is the same by its documentation."""

    def function(x):
        return getattr(tf.raw_ops, operator)(input=x, block_size=2, data_format="NCHW")

    (node,) = read_keras(Of(function), (2, 8, 4, 6)).nodes
    x = np.arange(384).reshape(2, 8, 4, 6)
    last = getattr(tf.raw_ops, operator)(input=x.transpose(0, 2, 3, 1), block_size=2)
    np.testing.assert_array_equal(node.movement(x), last.numpy().transpose(0, 3, 1, 2))


def test_what_changes_values_is_no_movement():
    def function(x):
        padded = tf.space_to_batch(x, (2, 3), [[1, 1], [0, 0]])
        patches = tf.image.extract_patches(x, (1, 2, 2, 1), (1, 2, 2, 1), (1, 1, 1, 1), "SAME")
        return tf.nn.relu(x), tf.cast(x, tf.int32), tf.pad(x, [[0, 0], [1, 1], [0, 0], [0, 0]]), padded, patches

    graph = read_keras(Of(function), (2, 6, 6, 4))
    assert {node.operator for node in graph.nodes if node.movement is not None} <= {"Identity"}


# ---------------------------------------------------------------------- Keras


def focus(x):
    parts = [x[:, ::2, ::2], x[:, 1::2, ::2], x[:, ::2, 1::2], x[:, 1::2, 1::2]]
    return keras.ops.concatenate(parts, -1)


def network(shape=(None, None, 3)):
    taken = keras.Input(shape, name="picture")
    x = keras.layers.Conv2D(8, 3, padding="same", name="stem")(focus(taken))
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.UpSampling2D(2, name="larger")(x)
    x = keras.layers.Conv2D(4, 1, name="stem_1")(x)
    return keras.Model(taken, keras.layers.Permute((3, 1, 2), name="turn")(x), name="net")


def test_a_model_and_its_file_have_the_layers_names(tmp_path):
    model = network()
    path = tmp_path / "net.keras"
    model.save(path)
    weights = [held.copy() for held in model.get_weights()]
    graphs = [read_keras(model), read_keras(path)]
    for graph in graphs:
        names = {node.name for node in graph.nodes}
        assert {"stem/convolution", "stem_1/convolution", "turn/transpose"} <= names
        assert graph.inputs == ("picture",)
        assert graph.tensors["picture"].shape == (2, 64, 96, 3)
        assert graph.tensors["picture"].open_shape == (None, None, None, 3)
        assert graph.notes == ("open sizes are filled in: picture [2, 64, 96, 3]",)
        (conv,) = (node for node in graph.nodes if node.name == "stem/convolution")
        assert [graph.tensors[name].is_constant for name in conv.inputs] == [False, True]
        assert graph.tensors[graph.outputs[0]].shape == tuple(model.compute_output_shape((2, 64, 96, 3)))
    assert [node.name for node in graphs[0].nodes] == [node.name for node in graphs[1].nodes]
    assert read_keras(model, {"picture": (1, 8, None, 3)}).tensors["picture"].shape == (1, 8, 64, 3)
    assert all(np.array_equal(a, b) for a, b in zip(weights, model.get_weights(), strict=True))
    with pytest.raises(ShapeError, match="fixed shape"):
        read_keras(model, (1, 8, 8, 4))
    with pytest.raises(UnusableInputError, match="cannot run"):
        read_keras(keras.Sequential([keras.Input((None,)), Of(lambda x: tf.reshape(x, (-1, 7)))]), (1, 8))


def test_the_movements_of_a_model_arrive_as_in_keras():
    of = keras.layers
    model = keras.Sequential([keras.Input((4, 6, 8)), of.Reshape((2, 2, 6, 8)), of.Permute((1, 3, 2, 4)),
                              of.Reshape((2, 6, 16)), of.Cropping2D(((0, 1), (1, 0))), of.UpSampling2D((2, 3)),
                              of.Flatten(), of.RepeatVector(3)])  # fmt: skip
    graph = read_keras(model)
    x = np.arange(2 * 192, dtype=np.float32).reshape(2, 4, 6, 8)
    values = {graph.inputs[0]: x}
    for node in graph.nodes:
        values[node.output] = node.movement(*(values[name] for name in node.inputs))
    np.testing.assert_array_equal(values[graph.outputs[0]], model(x).numpy())


def test_several_inputs_and_shared_layers():
    first, second = keras.Input((4, 4, 2), name="first"), keras.Input((4, 4, 3), name="second")
    turn = keras.layers.Permute((3, 1, 2), name="turn")
    model = keras.Model({"first": first, "second": second}, [turn(first), turn(second)])
    graph = read_keras(model, {"first": (1, 4, 4, 2)})
    assert [graph.tensors[name].shape for name in ("first", "second")] == [(1, 4, 4, 2), (2, 4, 4, 3)]
    assert [node.inputs for node in graph.nodes] == [("first",), ("second",)]
    assert len({node.name for node in graph.nodes}) == 2


def test_layers_are_left_as_they_are():
    layer = keras.layers.Conv2D(4, 3, name="conv")
    with pytest.raises(ShapeError, match=r"layer conv does not say what it takes.*--shape"):
        read_keras(layer)
    graph = read_keras(layer, (1, 8, 8, 3))
    assert not layer.built
    assert "convolution" in {node.name for node in graph.nodes}


def test_loops_are_inner_graphs():
    graph = read_keras(keras.layers.LSTM(4, name="memory"), (2, 5, 3))
    (loop,) = (node.name for node in graph.nodes if node.operator.endswith("While") and node.output.endswith(":0"))
    assert {inner.name for inner in graph.inner} == {loop}
    assert any(node.operator == "MatMul" for inner in graph.inner for node in inner.nodes)


def test_files_of_keras_stay_guarded(tmp_path):
    path = tmp_path / "net.keras"
    network().save(path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    config["config"]["layers"][-1] |= {"class_name": "Lambda", "module": "keras.layers"}
    with zipfile.ZipFile(path, "w") as archive:
        for name, held in (parts | {"config.json": json.dumps(config)}).items():
            archive.writestr(name, held)
    with pytest.raises(UnusableInputError, match="it names Lambda, which runs code"):
        read_keras(path)
    with pytest.raises(UnusableInputError, match=r"does not end in \.keras"):
        read_keras(tmp_path / "net.pt")


def test_older_files_of_keras(tmp_path):
    taken = keras.Input((None, None, 3), name="picture")  # such files know layers alone, not focus' slices
    x = keras.layers.BatchNormalization(name="norm")(keras.layers.Conv2D(8, 3, name="stem")(taken))
    model, path = keras.Model(taken, keras.layers.Permute((3, 1, 2), name="turn")(x)), tmp_path / "net.h5"
    model.save(path)
    assert [node.name for node in read_keras(path).nodes] == [node.name for node in read_keras(model).nodes]
    model.save_weights(tmp_path / "net.weights.h5")
    with pytest.raises(UnusableInputError, match="holds weights alone"):
        read_keras(tmp_path / "net.weights.h5")
    for name, wrong in (("Lambda", "runs code"), ("TFSMLayer", "runs code")):
        with h5py.File(path, "r+") as file:
            config = json.loads(file.attrs["model_config"])
            config["config"]["layers"][-1]["class_name"] = name
            file.attrs["model_config"] = json.dumps(config)
        with pytest.raises(UnusableInputError, match=wrong):
            read_keras(path)
    with h5py.File(path, "r+") as file:
        config["config"]["layers"][-1] = {"class_name": "Dense", "config": {"units": 1 << 40}}
        file["elsewhere"] = h5py.ExternalLink("other.h5", "x")
        file.attrs["model_config"] = json.dumps(config)
    with pytest.raises(UnusableInputError, match="links are not followed"):
        read_keras(path)
    path.write_bytes(b"no file of this kind")
    with pytest.raises(UnusableInputError, match="Keras cannot read"):
        read_keras(path)


# ---------------------------------------------------------------------- SavedModels


def shuffled(x):
    n, h, w, c = (tf.shape(x)[axis] for axis in range(4))
    y = tf.transpose(tf.reshape(x, (n, h, w, 2, c // 2)), (0, 1, 2, 4, 3))
    inner = tf.function(lambda z: tf.nn.space_to_depth(z, 2), autograph=False)
    return tf.reshape(inner(tf.reshape(y, (n, h, w, c))), (n, -1, 4 * c))


def test_a_saved_model_with_calls_and_computed_shapes(tmp_path):
    path = saved(tmp_path / "net", shuffled, None, None, None, 4)
    graph = read_saved_model(path)
    assert graph.inputs == ("x",)
    assert graph.tensors["x"].shape == (2, 64, 96, 4)
    assert graph.tensors[graph.outputs[0]].shape == (2, 32 * 48, 16)
    x = np.arange(2 * 64 * 96 * 4, dtype=np.float32).reshape(2, 64, 96, 4)
    values = {"x": x}
    for node in graph.nodes:
        values[node.output] = node.movement(*(values[name] for name in node.inputs))
    np.testing.assert_array_equal(values[graph.outputs[0]], shuffled(x).numpy())
    with pytest.raises(ShapeError, match="fixed shape"):
        read_saved_model(path, (1, 4, 4, 5))
    with pytest.raises(UnusableInputError, match="has no meaning at x"):
        read_saved_model(path, (1, 5, 5, 4))


def test_a_saved_model_of_keras(tmp_path):
    model = network()
    model.export(str(tmp_path / "net"), verbose=False)
    graph = read_saved_model(tmp_path / "net")
    assert {"Conv2D", "Transpose", "StridedSlice"} <= {node.operator for node in graph.nodes}
    assert graph.tensors[graph.outputs[0]].shape == tuple(model.compute_output_shape((2, 64, 96, 3)))
    kernels = [graph.tensors[node.inputs[1]] for node in graph.nodes if node.operator == "Conv2D"]
    assert [(held.is_constant, held.shape) for held in kernels] == [(True, (3, 3, 12, 8)), (True, (1, 1, 8, 4))]


class Times(tf.Module):  # type: ignore[name-defined]
    def __init__(self):
        super().__init__()
        self.weights = tf.Variable(tf.ones((4, 3)))

    @tf.function(input_signature=[tf.TensorSpec((None, 4), tf.float32, name="x")], autograph=False)
    def __call__(self, x):
        return tf.transpose(x @ self.weights)


def test_a_saved_model_without_signatures(tmp_path):
    tf.saved_model.save(Times(), str(tmp_path / "net"))
    graph = read_saved_model(tmp_path / "net", (5, 4))
    assert [(node.operator, node.order) for node in graph.nodes if node.kind != "view"] == [
        ("MatMul", ()),
        ("Transpose", (1, 0)),
    ]
    assert graph.tensors[graph.outputs[0]].shape == (3, 5)
    assert [name for name, held in graph.tensors.items() if held.is_constant and held.shape == (4, 3)]
    tf.saved_model.save(tf.Module(), str(tmp_path / "empty"))
    with pytest.raises(UnusableInputError, match="has no signature"):
        read_saved_model(tmp_path / "empty")


def test_branches_are_inner_graphs(tmp_path):
    def function(x):
        return tf.cond(tf.reduce_sum(x) > 0, lambda: tf.transpose(x, (1, 0)), lambda: tf.reshape(x, (3, 2)))

    graph = read_saved_model(saved(tmp_path / "net", function, 2, 3))
    assert [{node.kind for node in inner.nodes} - {"view"} for inner in graph.inner] == [{"transpose"}, set()]
    assert all(inner.tensors[inner.inputs[0]].shape == (2, 3) for inner in graph.inner)


def test_graphs_that_read_files_are_refused(tmp_path):
    """TensorFlow would read them when the graph is made: it works constants out as it infers shapes."""
    (tmp_path / "shape").write_bytes(np.array([3, 2], np.int32).tobytes())

    def function(x):
        return tf.reshape(x, tf.io.decode_raw(tf.io.read_file(str(tmp_path / "shape")), tf.int32))

    with pytest.raises(UnusableInputError, match="reads or writes files as it runs"):
        read_saved_model(saved(tmp_path / "net", function, 2, 3))


def test_a_graph_that_asks_for_terabytes_of_constants_takes_none(tmp_path):
    """TensorFlow works constants out to infer shapes; this one it would fill, and sum up, for a reshape."""

    def function(x):
        return tf.reshape(x, tf.reshape(tf.reduce_sum(tf.fill([1000], 1)) * 0 - 1, [1]))

    path = saved(tmp_path / "net", function, 2, 3) / "saved_model.pb"
    held = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    constants = [
        node.attr["value"].tensor
        for function in held.meta_graphs[0].graph_def.library.function
        for node in function.node_def
        if node.op == "Const" and list(node.attr["value"].tensor.int_val) == [1000]
    ]
    for constant in constants:
        constant.int_val[0] = 2_000_000_000
    path.write_bytes(held.SerializeToString())
    graph = read_saved_model(path.parent)
    (fill,) = (node for node in graph.nodes if node.operator == "Fill")
    assert graph.tensors[fill.output].shape == (2_000_000_000,)


def test_folders_that_are_no_models(tmp_path):
    with pytest.raises(UnusableInputError, match="there is no SavedModel"):
        read_saved_model(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"no model")
    with pytest.raises(UnusableInputError, match="no whole SavedModel"):
        read_saved_model(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(UnusableInputError, match="holds no graph"):
        read_saved_model(tmp_path)


def test_damaged_models_are_refused_in_one_line(tmp_path):
    path = saved(tmp_path / "net", shuffled, None, None, None, 4) / "saved_model.pb"
    content, rng = path.read_bytes(), Random(3)
    for _ in range(30):
        path.write_bytes(mutated(rng, content))
        try:
            read_saved_model(path.parent)
        except LayoutBridgeError as error:
            refuse_unclear(str(error), 1)
