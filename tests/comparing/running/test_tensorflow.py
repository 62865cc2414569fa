"""Keras' models and SavedModels run once: each tensor by the name that the reader gave it."""

import shutil

import numpy as np
import pytest

from layoutbridge.errors import ShapeError, UnusableInputError
from tests.comparing.running_checks import close, held, passthrough
from tests.darknet_files import read

tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

import keras  # noqa: E402

from layoutbridge.comparing.running import feeding  # noqa: E402
from layoutbridge.comparing.running.tensorflow import values_of_keras, values_of_saved_model  # noqa: E402
from layoutbridge.darknet.ports.keras import write_keras  # noqa: E402
from layoutbridge.scanning.readers.tensorflow.reading import read_keras, read_saved_model  # noqa: E402


def drawn(*shape):
    return np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)


def of_keras(model, x):
    graph = read_keras(model, x.shape)
    given = {graph.inputs[0]: x}
    made = held(values_of_keras(model, graph, given), graph, given)
    return made, graph


def of_folder(path, x, *, moves=True):
    graph = read_saved_model(path, x.shape)
    given = {graph.inputs[0]: x}
    made = held(values_of_saved_model(path, graph, given), graph, given, moves=moves)
    return made[graph.outputs[0]]


def nested():
    """A model with one within, used twice, a residual, and what writes shapes of its own."""
    keras.utils.set_random_seed(0)
    inner = keras.Sequential(
        [
            keras.Input((8, 6, 4)),
            keras.layers.Conv2D(4, 3, padding="same", name="mixed"),
            keras.layers.BatchNormalization(beta_initializer="random_normal", name="norm"),
            keras.layers.LeakyReLU(0.1),
        ],
        name="inner",
    )
    taken = keras.Input((8, 6, 4), name="picture")
    y = keras.layers.Add(name="residual")([inner(inner(taken)), taken])
    y = keras.layers.Reshape((4, 2, 6, 4), name="apart")(y)
    y = keras.layers.Dropout(0.5)(keras.layers.Permute((2, 1, 3, 4), name="turned")(y))
    return keras.Model(taken, keras.layers.Dense(3, name="last")(keras.layers.Flatten()(y)), name="outer")


@pytest.mark.sample(slow=1)
@pytest.mark.parametrize("name", ["net.keras", "saved"])
def test_files(tmp_path, monkeypatch, name):
    monkeypatch.setattr(feeding, "_MOST_BYTES", 2000)  # so that it is run several times
    net, x, reference = passthrough()
    path = write_keras(net.network, net.parameters, tmp_path / name).path
    x, reference = (np.repeat(each, 2, 0) for each in (x, reference))
    taken = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    if name == "saved":
        found = of_folder(path, taken)
    else:
        made, graph = of_keras(path, taken)
        found = made[graph.outputs[0]]
    close(found.transpose(0, 3, 1, 2) if found.ndim == 4 else found, reference)


def test_a_nested_model(tmp_path):
    model, x = nested(), drawn(3, 8, 6, 4)
    before = [weight.numpy() for weight in model.weights]
    made, graph = of_keras(model, x)
    expected = np.asarray(model(x, training=False))
    close(made[graph.outputs[0]], expected, 1e-6)
    assert {"inner/mixed/convolution", "residual/Add", "apart/Reshape", "turned/transpose"} <= set(made)
    assert all(np.array_equal(weight.numpy(), kept) for weight, kept in zip(model.weights, before, strict=True))
    for name in ("net.keras", "net.h5"):
        model.save(tmp_path / name)
        again, graph = of_keras(tmp_path / name, x)
        assert list(again) == list(made)
        close(again[graph.outputs[0]], expected, 1e-6)
    model.export(tmp_path / "saved", verbose=False)
    close(of_folder(tmp_path / "saved", x), expected, 1e-6)


def test_several_inputs():
    taken = [keras.Input((4, 4, 2), name="first"), keras.Input((2, 4, 4), name="second")]
    turned = keras.layers.Permute((2, 3, 1), name="turned")(taken[1])
    model = keras.Model(taken, keras.layers.Subtract(name="less")([taken[0], turned]))
    given = {"first": drawn(2, 4, 4, 2), "second": drawn(2, 2, 4, 4) + 1}
    graph = read_keras(model, {name: x.shape for name, x in given.items()})
    made = held(values_of_keras(model, graph, given), graph, given)
    np.testing.assert_array_equal(made[graph.outputs[0]], given["first"] - given["second"].transpose(0, 2, 3, 1))


def test_layers():
    x = drawn(2, 8, 6, 4)
    layer = keras.layers.UpSampling2D(2)
    graph = read_keras(layer, x.shape)
    made = held(values_of_keras(layer, graph, {"input": x}), graph, {"input": x})
    np.testing.assert_array_equal(made[graph.outputs[0]], x.repeat(2, 1).repeat(2, 2))
    assert not layer.built
    layer = keras.layers.Conv2D(3, 1)
    with pytest.raises(UnusableInputError, match=r"layer conv2d.* has no weights yet: build it first"):
        list(values_of_keras(layer, read_keras(layer, x.shape), {"input": x}))
    layer.build(x.shape)
    graph = read_keras(layer, x.shape)
    made = dict(values_of_keras(layer, graph, {"input": x}))
    close(made[graph.outputs[0]], np.asarray(layer(x)), 1e-6)


class Product(tf.Module):  # type: ignore[name-defined]
    """Not Keras': variables, a constant that is captured, and a function within."""

    def __init__(self):
        super().__init__()
        self.weights = tf.Variable(drawn(3, 4), name="same")
        self.scale = tf.Variable(drawn(4), name="same")
        self.shift = tf.constant(drawn(1000, 4))[:1] + tf.constant(1.0)

    @tf.function(input_signature=[tf.TensorSpec([None, 3])])
    def inner(self, x):
        return tf.nn.relu(x @ self.weights) + self.shift

    @tf.function(input_signature=[tf.TensorSpec([None, 3])])
    def __call__(self, x):
        return tf.transpose(self.inner(x) * self.scale)


class Chosen(Product):
    """The same behind a branch, whose shapes nobody knows before."""

    @tf.function(input_signature=[tf.TensorSpec([None, 3])])
    def __call__(self, x):
        y = tf.cond(tf.reduce_sum(x) > 0, lambda: self.inner(x) * self.scale, lambda: self.inner(x))
        return tf.transpose(y)


def test_models_that_are_not_keras(tmp_path):
    module, x = Product(), drawn(5, 3)
    tf.saved_model.save(module, tmp_path / "saved", signatures=module.__call__.get_concrete_function())
    close(of_folder(tmp_path / "saved", x), module(x).numpy(), 1e-6)


def test_models_without_signatures(tmp_path):
    """A captured constant's shape is not known to the reader: there the graph says 1."""
    module, x = Product(), drawn(5, 3)
    tf.saved_model.save(module, tmp_path / "saved")
    graph = read_saved_model(tmp_path / "saved", x.shape)
    made = dict(values_of_saved_model(tmp_path / "saved", graph, {"x": x}))
    close(made["Relu"], tf.nn.relu(x @ module.weights).numpy(), 1e-6)
    close(made[graph.outputs[0]], module(x).numpy(), 1e-6)


def test_steps_that_tensorflow_fuses(tmp_path):
    net, x, _ = read("alexey/activations_alexey")
    path = write_keras(net.network, net.parameters, tmp_path / "saved").path
    found = of_folder(path, np.ascontiguousarray(x[None].transpose(0, 2, 3, 1)), moves=False)
    close(found.transpose(0, 3, 1, 2), net.run(x[None].astype(np.float64), every_layer=True)[-1])


def test_branches(tmp_path):
    module = Chosen()
    tf.saved_model.save(module, tmp_path / "saved")
    for x in (drawn(5, 3) + 2, drawn(5, 3) - 2):
        graph = read_saved_model(tmp_path / "saved", x.shape)
        made = dict(values_of_saved_model(tmp_path / "saved", graph, {"x": x}))
        close(made[graph.outputs[0]], module(x).numpy(), 1e-6)


def test_graphs_of_older_versions(tmp_path):
    x = drawn(2, 3, 4)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        taken = tf.compat.v1.placeholder(tf.float32, (None, 3, 4), name="x")
        weights = tf.compat.v1.get_variable("weights", initializer=drawn(3, 4), use_resource=False)
        scale = tf.compat.v1.get_variable("scale", initializer=drawn(4), use_resource=True)
        given = tf.transpose(taken * weights + scale, (0, 2, 1), name="y")
        session.run(tf.compat.v1.global_variables_initializer())
        expected = session.run(given, {taken: x})
        tf.compat.v1.saved_model.simple_save(session, str(tmp_path / "saved"), {"x": taken}, {"y": given})
    np.testing.assert_array_equal(of_folder(tmp_path / "saved", x), expected)


def test_what_cannot_be_run(tmp_path):
    model, x = nested(), drawn(1, 8, 6, 4)
    graph = read_keras(model, x.shape)
    with pytest.raises(
        ShapeError, match=r"input picture of 'outer' is \[1, 8, 6, 4\], and what is given \[1, 4, 8, 6\]"
    ):
        list(values_of_keras(model, graph, {"picture": x.reshape(1, 4, 8, 6)}))
    other = keras.Sequential([keras.Input((8, 6, 4), name="picture"), keras.layers.ReLU()])
    with pytest.raises(UnusableInputError, match="'outer' is not the model that was read: read it again"):
        list(values_of_keras(other, graph, {"picture": x}))
    model.export(tmp_path / "saved", verbose=False)
    graph = read_saved_model(tmp_path / "saved", x.shape)
    shutil.rmtree(tmp_path / "saved" / "variables")
    with pytest.raises(UnusableInputError, match=r"TensorFlow cannot run '.*saved'") as caught:
        list(values_of_saved_model(tmp_path / "saved", graph, {graph.inputs[0]: x}))
    assert "\n" not in str(caught.value)
