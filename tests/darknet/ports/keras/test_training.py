"""Darknet networks in Keras: gradients against the real Darknet, training against PyTorch."""

import numpy as np
import pytest

from layoutbridge.darknet import load
from tests.darknet_files import ROOT, made
from tests.keras_networks import FORMATS, SMALL_V2, TRAINED, near, turned

tf = pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")

GRADIENTS = sorted(f"{path.parent.name}/{path.name}" for path in (ROOT / "fixtures" / "gradients").glob("*/*"))


@pytest.mark.parametrize("flavor", ["alexey", "pjreddie"])
def test_parameters_can_be_trained_and_statistics_stay(flavor, tmp_path):
    net = made(TRAINED if flavor == "alexey" else SMALL_V2, tmp_path, flavor)
    model = net.to_keras()
    wanted = sum(p.size for layer in net.layers for p in layer.parameters if p.name not in ("means", "variances"))
    fixed = sum(p.size for layer in net.layers for p in layer.parameters if p.name in ("means", "variances"))
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == wanted
    assert sum(int(np.prod(v.shape)) for v in model.non_trainable_variables) == fixed
    before = [v.numpy() for v in model.non_trainable_variables]
    x = np.random.default_rng(0).random((4, *model.inputs[0].shape[1:]), np.float32)
    inferred = model(x, training=False).numpy()
    with tf.GradientTape() as tape:
        output = model(x, training=True)
        loss = tf.reduce_sum(output * output)
    np.testing.assert_array_equal(output.numpy(), inferred)
    for gradient in tape.gradient(loss, model.trainable_variables):
        assert gradient is not None
        assert np.abs(gradient.numpy()).max() > 0
    model.compile("sgd", "mse")
    model.fit(x, np.zeros_like(inferred), epochs=1, verbose=0)
    for variable, values in zip(model.non_trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), values)


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_are_darknets(name, data_format):
    folder = ROOT / "fixtures" / "gradients" / name
    net = load(folder / "net.cfg", folder / "net.weights", flavor=name.split("/")[0], strict=True)
    with np.load(folder / "gradients.npz") as recorded:
        recorded = dict(recorded)
    last = data_format == "channels_last"
    picture = len(net.layers[-1].out_shape) == 3

    def taken(x):
        return turned(x[None]) if last else x[None]

    model = net.to_keras(data_format=data_format)
    x = tf.constant(taken(recorded["input"]))
    with tf.GradientTape() as tape:
        tape.watch(x)
        output = model(x, training=True)
    upstream = recorded["output_gradient"]
    assert near(output.numpy(), taken(recorded["output"]) if picture else recorded["output"][None])
    upstream = taken(upstream) if picture else upstream[None]
    variables = model.trainable_variables
    input_gradient, *gradients = tape.gradient(output, [x, *variables], output_gradients=tf.constant(upstream))
    assert near(input_gradient.numpy(), taken(recorded["input_gradient"]))
    by_path = {variable.path: gradient.numpy() for variable, gradient in zip(variables, gradients, strict=True)}
    compared = 0
    for layer in net.layers:
        for mine, theirs in (("kernel", "weight"), ("bias", "bias")):
            key = f"layer{layer.index:02d}_{theirs}_gradient"
            if key in recorded:
                gradient = by_path[f"{layer.name}/{mine}"]
                parameter = next(p for p in layer.parameters if p.name == {"kernel": "weights", "bias": "biases"}[mine])
                assert near(as_darknets(gradient, parameter), recorded[key])
                compared += 1
    assert compared == sum(key.startswith("layer") for key in recorded)


def as_darknets(gradient, parameter):
    """A gradient of Keras' variable in the order of the weights file."""
    values = gradient.transpose(3, 2, 0, 1) if gradient.ndim == 4 else gradient
    values = values.reshape(parameter.shape)
    return (values.reshape(len(values), -1).T if parameter.flipped else values).ravel()


def test_a_step_of_training_is_pytorchs(tmp_path):
    torch = pytest.importorskip("torch")
    net = made(TRAINED, tmp_path)
    module, model = net.to_torch().train(), net.to_keras()
    rng = np.random.default_rng(0)
    x, wanted = rng.random((4, 3, 8, 8), np.float32), rng.random((4, 4, 4, 4), np.float32)
    rate = 0.1

    optimizer = torch.optim.SGD(module.parameters(), lr=rate)
    loss = ((module(torch.from_numpy(x)) - torch.from_numpy(wanted)) ** 2).mean()
    loss.backward()
    optimizer.step()

    model.compile(keras.optimizers.SGD(rate), "mse")
    told = model.train_on_batch(turned(x), turned(wanted))
    assert np.isclose(float(told), loss.item(), rtol=1e-5)

    names = {"weights": "kernel", "biases": "bias"}
    variables = {variable.path: variable.numpy() for variable in model.variables}
    compared = 0
    for layer, trained in zip(net.layers, module.layers, strict=True):
        for parameter in layer.parameters:
            theirs = getattr(trained, parameter.name).detach().numpy()
            paths = {
                f"{layer.name}/{names.get(parameter.name)}",
                f"{layer.name}_weights/array" if parameter.name == "weights" else "",
                f"{layer.name}_batch_norm/"
                + {"scales": "gamma", "biases": "beta", "means": "moving_mean"}.get(
                    parameter.name, "moving_variance" if parameter.name == "variances" else ""
                ),
            }
            (path,) = paths & variables.keys()
            mine = variables[path]
            mine = mine.transpose(3, 2, 0, 1) if mine.ndim == 4 else mine
            np.testing.assert_allclose(mine.reshape(theirs.shape), theirs, rtol=0, atol=1e-6, err_msg=path)
            before = net.parameters[layer.index, parameter.name]
            assert (parameter.name in ("means", "variances")) == np.array_equal(theirs, before), path
            compared += 1
    assert compared == len(model.variables)
