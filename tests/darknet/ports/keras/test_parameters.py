"""What a Keras model of a Darknet network may train, and the numbers around it: dtype, clipping, implicit layers."""

import json
import zipfile

import numpy as np
import pytest

from layoutbridge.darknet.reference import forward
from layoutbridge.darknet.structure.model import is_statistic
from layoutbridge.frameworks.base import installed_version
from layoutbridge.frameworks.tensorflow import load_keras_file
from tests.darknet_files import GOLDEN, made, read
from tests.keras_networks import FORMATS, TRAINED, near, turned

tf = pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")

from layoutbridge.darknet.ports.keras import run_keras, to_model, write_keras  # noqa: E402
from layoutbridge.darknet.ports.tflite import run_litert  # noqa: E402

NET = "[net]\nwidth=4\nheight=4\nchannels=3\n"
IMPLICIT = {
    "activation": "[dropout]\n[implicit]\nfilters=3\n[activation]\nactivation=logistic\n[scale_channels]\nfrom=-3\n",
    "clip": "[dropout]\n[implicit]\nfilters=3\n[activation]\nactivation=hardtan\n[scale_channels]\nfrom=-3\n",
    "batchnorm": "[dropout]\n[implicit]\nfilters=3\n[batchnorm]\n[scale_channels]\nfrom=-3\n",
    "route": "[dropout]\n[implicit]\nfilters=6\n[route]\nlayers=-1\ngroups=2\ngroup_id=1\n[scale_channels]\nfrom=-3\n",
    "scale_channels": "[dropout]\n[implicit]\nfilters=3\n[scale_channels]\nfrom=-2\n",
    "sam": "[avgpool]\n[implicit]\nfilters=3\n[sam]\nfrom=-2\n",
    "twice": "[dropout]\n[implicit]\nfilters=3\n[implicit]\nfilters=3\n[shortcut]\nfrom=-2\nactivation=hardtan\n"
    "[scale_channels]\nfrom=-4\n",
    "shortcut": "[avgpool]\n[implicit]\nfilters=3\n[shortcut]\nfrom=-2\nactivation=linear\n",
}
CONSTANTS = {  # layers that compute with Darknet's own fixed numbers
    "antialiasing": "[convolutional]\nfilters=4\nsize=3\nstride=2\npad=1\nantialiasing=1\nactivation=leaky\n",
    "maxpool_blur": "[maxpool]\nsize=2\nstride=2\nantialiasing=1\n",
    "lrn": "[lrn]\nalpha=0.1\nbeta=0.75\nkappa=1\nsize=3\n[convolutional]\nfilters=2\nsize=1\nactivation=linear\n",
    "reverse": "[convolutional]\nfilters=2\nsize=1\nactivation=linear\n[upsample]\nstride=-2\n",
}
CASES = IMPLICIT | CONSTANTS
VECTORS = {
    name: f"[net]\nwidth=3\nheight=2\nchannels=3\n[connected]\noutput=4\nactivation=linear\n[batchnorm]\n"
    f"[activation]\nactivation={name}\n"
    for name in ("ramp", "gelu", "hard_mish")
}
COLUMN = (
    "[net]\nwidth=1\nheight=5\nchannels=1\n[activation]\nactivation=ramp\n[batchnorm]\n[activation]\nactivation=gelu\n"
)
ALPHA = (
    "[net]\nwidth=12\nheight=5\nchannels=8\n[connected]\noutput=4\n[connected]\noutput=9\nactivation=tanh\n"
    "[shortcut]\nfrom=-2\nalpha=0.5\n"
)
POLICIES = ("mixed_float16", "mixed_bfloat16", "float64")
needs_litert = pytest.mark.skipif(
    installed_version("ai-edge-litert") is None, reason="LiteRT's interpreter is not installed"
)


def drawn(net, count=2):
    return np.random.default_rng(0).standard_normal((count, *net.network.in_shape), np.float32)


def references(net, x):
    """Every layer's output in float64, of all pictures."""
    return [np.asarray(values) for values in forward(net.network, net.parameters, x)]


def assert_alike(net, x, outputs, tolerance=1e-5):
    for layer, output, wanted in zip(net.layers, outputs, references(net, x), strict=True):
        assert near(output, wanted.reshape(output.shape), tolerance), layer.name


def trained(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


# ---------------------------------------------------------------------- what is computed


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("case", CASES)
def test_every_layer_is_the_references(case, data_format, tmp_path):
    net = made(NET + CASES[case], tmp_path)
    x = drawn(net)
    assert_alike(net, x, run_keras(net.network, net.parameters, x, every_layer=True, data_format=data_format))


@needs_litert
@pytest.mark.parametrize("case", IMPLICIT)
def test_implicit_layers_in_litert(case, tmp_path):
    net = made(NET + CASES[case], tmp_path)
    x = drawn(net)
    assert_alike(net, x, run_litert(net.network, net.parameters, x, every_layer=True))


@needs_litert
@pytest.mark.parametrize("text", [*VECTORS.values(), COLUMN], ids=[*VECTORS, "column"])
def test_vectors_in_litert(text, tmp_path):
    net = made(text, tmp_path)
    x = drawn(net)
    assert_alike(net, x, run_litert(net.network, net.parameters, x, every_layer=True))


@needs_litert
def test_a_shortcut_of_vectors_in_litert(tmp_path):
    net = made(ALPHA, tmp_path, "pjreddie")
    x = drawn(net)
    assert_alike(net, x, run_litert(net.network, net.parameters, x, every_layer=True))


def test_vectors_where_keras_default_is_channels_first(tmp_path):
    net = made(ALPHA, tmp_path, "pjreddie")
    x = drawn(net, 3)
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    try:
        outputs = run_keras(net.network, net.parameters, x, every_layer=True)
    finally:
        keras.config.set_image_data_format(before)
    assert_alike(net, x, outputs)


# ---------------------------------------------------------------------- what is trained


@pytest.mark.sample(30)
@pytest.mark.parametrize("name", GOLDEN)
def test_as_many_numbers_are_trained_as_in_pytorch(name):
    pytest.importorskip("torch")
    net, _, _ = read(name)
    assert trained(to_model(net.network, net.parameters)) == sum(p.numel() for p in net.to_torch().parameters())


@pytest.mark.parametrize("case", CASES)
def test_the_same_numbers_are_trained_after_a_file(case, tmp_path):
    pytest.importorskip("torch")
    net = made(NET + CASES[case], tmp_path)
    wanted = sum(p.numel() for p in net.to_torch().parameters())
    assert wanted == sum(p.size for layer in net.layers for p in layer.parameters if not is_statistic(p.name))
    model = to_model(net.network, net.parameters)
    assert trained(model) == wanted
    write_keras(net.network, net.parameters, tmp_path / "net.keras")
    loaded = load_keras_file(tmp_path / "net.keras")
    assert trained(loaded) == wanted
    for mine, saved in zip(loaded.trainable_variables, model.trainable_variables, strict=True):
        np.testing.assert_array_equal(mine.numpy(), saved.numpy())


@pytest.mark.filterwarnings("ignore:The model does not have any trainable weights:UserWarning")
@pytest.mark.parametrize("case", CONSTANTS)
def test_fit_leaves_darknets_own_numbers(case, tmp_path):
    net = made(NET + CONSTANTS[case], tmp_path)
    model = to_model(net.network, net.parameters)
    before = [v.numpy() for v in model.non_trainable_variables]
    assert before
    x = turned(drawn(net, 4))
    model.compile("sgd", "mse")
    model.fit(x, np.zeros_like(model(x).numpy()), epochs=1, verbose=0)
    for variable, values in zip(model.non_trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), values)


@pytest.mark.parametrize("case", IMPLICIT)
def test_implicit_layers_get_gradients(case, tmp_path):
    net = made(NET + IMPLICIT[case], tmp_path)
    model = to_model(net.network, net.parameters)
    with tf.GradientTape() as tape:
        output = model(turned(drawn(net)), training=True)
        loss = tf.reduce_sum(output * output)
    assert model.trainable_variables
    for gradient in tape.gradient(loss, model.trainable_variables):
        assert gradient is not None
        assert np.abs(gradient.numpy()).max() > 0


# ---------------------------------------------------------------------- Keras' global settings


@pytest.fixture
def restored_settings():
    policy, floats = keras.config.dtype_policy(), keras.config.floatx()
    yield
    keras.config.set_dtype_policy(policy)
    keras.config.set_floatx(floats)


def use(setting):
    if setting in ("float16", "bfloat16"):
        keras.config.set_floatx(setting)
    else:
        keras.config.set_dtype_policy(setting)


@pytest.mark.usefixtures("restored_settings")
@pytest.mark.parametrize("setting", [*POLICIES, "float16", "bfloat16"])
def test_global_settings_do_not_change_a_model(setting, tmp_path):
    net = made(TRAINED + "[activation]\nactivation=hardtan\n", tmp_path)
    x = drawn(net)
    plain = run_keras(net.network, net.parameters, x, every_layer=True)
    use(setting)
    changed = run_keras(net.network, net.parameters, x, every_layer=True)
    for mine, wanted in zip(changed, plain, strict=True):
        np.testing.assert_array_equal(mine, wanted)
    model = to_model(net.network, net.parameters)
    assert model.inputs[0].dtype == model.outputs[0].dtype == "float32"
    assert {v.dtype for v in model.variables} == {"float32"}
    write_keras(net.network, net.parameters, tmp_path / "net.keras")
    with zipfile.ZipFile(tmp_path / "net.keras") as file:
        config = file.read("config.json").decode()
    assert set(_dtypes(json.loads(config))) == {"float32"}
    loaded = load_keras_file(tmp_path / "net.keras")
    np.testing.assert_array_equal(loaded(turned(x)).numpy(), turned(plain[-1]))


def _dtypes(node):
    """Every dtype and policy that stands in a config."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "dtype" and isinstance(value, str):
                yield value
            elif key == "dtype" and isinstance(value, dict):
                yield value["config"]["name"]
            else:
                yield from _dtypes(value)
    elif isinstance(node, list):
        for value in node:
            yield from _dtypes(value)


# ---------------------------------------------------------------------- clipping


@pytest.mark.parametrize("runner", [run_keras, pytest.param(run_litert, marks=needs_litert)])
@pytest.mark.parametrize("name", ["hardtan", "hard_mish", "plse", "lhtan", "relu6"])
def test_small_values_keep_their_digits(name, runner, tmp_path):
    net = made(f"{NET}[activation]\nactivation={name}\n", tmp_path)
    x = drawn(net, 1) * np.float32(1e-3)
    (found,) = runner(net.network, net.parameters, x)
    (wanted,) = references(net, x)
    assert near(found, wanted, 5e-7)


def test_clipping_is_in_a_file_that_needs_keras_alone(tmp_path):
    net = made(f"{NET}[activation]\nactivation=hardtan\n", tmp_path)
    x = drawn(net) * 2
    write_keras(net.network, net.parameters, tmp_path / "net.keras")
    with zipfile.ZipFile(tmp_path / "net.keras") as file:
        assert "layoutbridge" not in file.read("config.json").decode()
    loaded = keras.saving.load_model(tmp_path / "net.keras")
    np.testing.assert_array_equal(loaded(turned(x)).numpy(), np.clip(turned(x), -1, 1))
