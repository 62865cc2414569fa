"""Keras models of other people: live, whole, as weights alone, of Keras 2 and 3."""

import json

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="needs Keras")
pytest.importorskip("tensorflow", reason="needs TensorFlow")
h5py = pytest.importorskip("h5py", reason="needs h5py")

from layoutbridge.comparing.comparison import compare  # noqa: E402
from layoutbridge.darknet import load  # noqa: E402
from layoutbridge.errors import ParameterError, UnusableInputError, WeightsError  # noqa: E402
from tests.darknet.returning.keras_models import model_of  # noqa: E402
from tests.darknet_files import NETS  # noqa: E402

NETWORKS = (
    "alexey/residual", "pjreddie/residual", "pjreddie/spp", "alexey/connected", "alexey/depthwise_dilated",
    "alexey/yolo_head", "alexey/passthrough3d",
)  # fmt: skip


def loaded(name):
    return load(NETS / name / "net.cfg", flavor=name.split("/", maxsplit=1)[0])


def saved_as_keras_2(model, path, *, whole):
    """A file in the form of Keras 2, as it wrote them: names with `:0`, the config as that of its layers."""
    from keras.src.legacy.saving import legacy_h5_format

    with h5py.File(path, "w") as file:
        held = file.create_group("model_weights") if whole else file
        legacy_h5_format.save_weights_to_hdf5_group(held, model)
        if not whole:
            return
        layers = []
        for layer in model.layers:
            nodes = [
                [[x._keras_history[0].name, 0, 0, {}] for x in node.input_tensors] for node in layer._inbound_nodes
            ]
            config = {"name": layer.name} | ({"epsilon": layer.epsilon} if hasattr(layer, "epsilon") else {})
            layers.append({
                "name": layer.name, "class_name": type(layer).__name__, "config": config,
                "inbound_nodes": [node for node in nodes if node],
            })  # fmt: skip
        file.attrs["model_config"] = json.dumps({"class_name": "Model", "config": {"name": "model", "layers": layers}})


@pytest.mark.sample(slow=1)
@pytest.mark.parametrize("name", NETWORKS)
def test_models_in_every_form(name, tmp_path):
    net = loaded(name)
    model = model_of(net)
    model.save(tmp_path / "m.keras")
    model.save(tmp_path / "m.h5")
    model.save_weights(tmp_path / "m.weights.h5")
    saved_as_keras_2(model, tmp_path / "whole2.h5", whole=True)
    saved_as_keras_2(model, tmp_path / "weights2.h5", whole=False)
    backs = [
        net.from_keras(given)
        for given in (model, *(tmp_path / f for f in ("m.keras", "m.h5", "m.weights.h5", "whole2.h5", "weights2.h5")))
    ]
    found = compare(backs[0], model)
    assert found.equal, str(found)
    for back in backs[1:]:
        for key, values in backs[0].parameters.items():
            assert (back.parameters[key] == values).all(), (key, back.returned.notes)


@pytest.mark.sample(2, slow=1)
@pytest.mark.parametrize("name", ["alexey/residual", "pjreddie/residual"])
@pytest.mark.parametrize("options", [{"bias": True}, {"bare": True}, {"epsilon": 1e-7}])
def test_batch_norms_of_other_settings(name, options):
    net = loaded(name)
    model = model_of(net, **options)
    found = compare(net.from_keras(model), model)
    assert found.equal, str(found)


def test_layers_are_numbered_as_they_were_made(tmp_path):
    """A branch that is deeper than another stands first in model.layers, and was made second."""
    from layoutbridge.darknet.networks.network import DarknetNetwork
    from tests.darknet_files import built

    conv = "[convolutional]\nbatch_normalize={}\nfilters=6\nsize=1\nstride=1\nactivation=leaky\n"
    text = "[net]\nwidth=8\nheight=8\nchannels=3\n" + conv.format(1) + conv.format(0)
    text += "[route]\nlayers=-2\n" + conv.format(1) * 3 + "[route]\nlayers=-1,1\n" + conv.format(0)
    net = DarknetNetwork(built(text))
    model = model_of(net)
    model.save(tmp_path / "m.keras")
    found = compare(net.from_keras(tmp_path / "m.keras"), model)
    assert found.equal, str(found)


def test_a_lambda_is_no_hindrance(tmp_path):
    net = loaded("alexey/residual")
    model = model_of(net)
    scaled = keras.layers.Lambda(lambda x: x * 1.0)(model.outputs[0])
    whole = keras.Model(model.inputs, scaled)
    whole.save(tmp_path / "lambda.keras")
    whole.save(tmp_path / "lambda.h5")
    for file in ("lambda.keras", "lambda.h5"):
        back = net.from_keras(tmp_path / file)
        assert (back.parameters[0, "weights"] == model.layers[2].kernel.numpy().transpose(3, 2, 0, 1)).all()


def test_models_within_models():
    net = loaded("alexey/residual")
    inner = model_of(net)
    given = keras.Input(inner.input_shape[1:])
    outer = keras.Model(given, inner(given))
    back, direct = net.from_keras(outer), net.from_keras(inner)
    assert all((back.parameters[key] == values).all() for key, values in direct.parameters.items())


def test_what_does_not_fit_is_told(tmp_path):
    net = loaded("alexey/residual")
    model = model_of(net)
    with pytest.raises(WeightsError, match=r"line \d+: no layer of the model fits|layers with weights, and"):
        loaded("alexey/connected").from_keras(model)
    with pytest.raises(ParameterError, match="Keras model or a path"):
        net.from_keras(3)
    with pytest.raises(ParameterError, match="epsilon"):
        net.from_keras(model, epsilon=-1.0)
    with pytest.raises(UnusableInputError, match="no file of Keras by its ending"):
        net.from_keras(tmp_path / "m.npz")
    model.save(tmp_path / "m.h5")
    model.save(tmp_path / "m.keras")
    for name in ("m.h5", "m.keras"):
        whole = (tmp_path / name).read_bytes()
        for cut in (0, 30, len(whole) // 2):
            (tmp_path / name).write_bytes(whole[:cut])
            with pytest.raises(UnusableInputError, match=name):
                net.from_keras(tmp_path / name)
    model.layers[2].kernel.assign(np.full(model.layers[2].kernel.shape, np.nan))
    with pytest.raises(WeightsError, match="NaN"):
        net.from_keras(model)


def test_links_out_of_the_file_are_not_followed(tmp_path):
    net = loaded("alexey/residual")
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file["layers"] = h5py.ExternalLink("other.h5", "/layers")
    with pytest.raises(UnusableInputError, match="link"):
        net.from_keras(tmp_path / "m.h5")
