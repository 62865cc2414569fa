""".keras files written when our layers lay in other modules: the registered names find them."""

import json
from zipfile import ZipFile

import numpy as np
import pytest
from packaging.version import Version  # pytest needs it, too

import layoutbridge as lb
from tests.darknet_files import ROOT, read

tf = pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")

from layoutbridge.frameworks.tensorflow import custom_objects, load_keras_file  # noqa: E402

FOLDER = ROOT / "fixtures" / "keras"
NETWORKS = ("pjreddie_l2norm", "alexey_implicit", "alexey_local", "alexey_maxpools")
LOADERS = (load_keras_file, lambda path: keras.saving.load_model(path, custom_objects=custom_objects()))


def readable(name):
    """The path of a file, where the Keras installed is as new as the one that wrote it: older ones need not read it."""
    written = json.loads(ZipFile(FOLDER / name).read("metadata.json"))["keras_version"]
    if Version(keras.__version__) < Version(written):
        pytest.skip(f"written by Keras {written}, and {keras.__version__} is installed")
    return FOLDER / name


def classes(path):
    """The registered names in a file with the modules that it names for them."""
    config = json.loads(ZipFile(path).read("config.json"))["config"]["layers"]
    named = {layer["registered_name"]: layer["module"] for layer in config if layer.get("registered_name")}
    return {name: module for name, module in named.items() if name.startswith("layoutbridge>")}


def test_the_files_hold_every_layer_of_their_time_under_its_former_module():
    held = {}
    for path in FOLDER.glob("*.keras"):
        held |= classes(path)
    then = ("Rearrange", "Parameter", "Arithmetic", "Reduction", "LeastPadding2D", "LocallyConnected2D")
    assert set(held) == {f"layoutbridge>{name}" for name in then} <= set(custom_objects())
    assert set(held.values()) == {"layoutbridge.frameworks.keras_layer", "layoutbridge.targets.keras_layers"}


@pytest.mark.parametrize("load", LOADERS, ids=["load_keras_file", "load_model"])
def test_a_rearrangement(load):
    model = load(readable("darknet_reorg.keras"))
    x = np.arange(2 * 4 * 6 * 8, dtype=np.float32).reshape(2, 8, 4, 6)
    wanted = lb.op("darknet_reorg")(x).transpose(0, 2, 3, 1)
    assert np.array_equal(model(x.transpose(0, 2, 3, 1)).numpy(), wanted)


@pytest.mark.parametrize("load", LOADERS, ids=["load_keras_file", "load_model"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network(name, load):
    _, x, recorded = read(name.replace("_", "/", 1))
    results = load(readable(f"{name}.keras"))(x[None].transpose(0, 2, 3, 1))
    last = (results if isinstance(results, list) else [results])[-1].numpy()
    turned = last.transpose(0, 3, 1, 2) if last.ndim == 4 else last
    assert np.abs(turned.reshape(recorded[-1].shape) - recorded[-1]).max() <= 1e-5 * np.abs(recorded[-1]).max()
