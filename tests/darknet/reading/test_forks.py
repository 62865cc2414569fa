"""The forks' own cfg files: each is read and exported, or refused for a reason that `docs/forks.md` tells."""

import os
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from layoutbridge.darknet import load
from layoutbridge.errors import CfgError, LayoutBridgeError
from tests.darknet_files import ROOT, ZOO

# A folder with the forks' checkouts, called as the flavor that reads them: alexey/…, pjreddie/…
FORKS = Path(os.environ.get("DARKNET_FORKS", ZOO))
SIZES = [(side, side) for side in (32, 64, 96, 128, 160, 224, 256, 512)]  # the first that fits is exported
UNEQUAL = "Darknet's main fork adds layers of one height and width alone"
REFUSED = {
    ("alexey", "resnet50.cfg"): UNEQUAL,
    ("alexey", "resnet101.cfg"): UNEQUAL,
    ("alexey", "resnet152.cfg"): UNEQUAL,
    ("alexey", "resnext152-32x4d.cfg"): UNEQUAL,
    ("alexey", "resnet50_yolo.cfg"): UNEQUAL,
    ("alexey", "resnet152_yolo.cfg"): UNEQUAL,
}


def cfgs():
    """Each file once, as test parameters: copies in other folders have the same bytes."""
    found = {}
    for flavor in ("alexey", "pjreddie"):
        for path in sorted((FORKS / flavor).rglob("*.cfg")):
            found.setdefault((flavor, path.read_bytes()), path)
    if not found:
        reason = f"no cfg files at {FORKS}: DARKNET_FORKS may name a folder with the forks' checkouts"
        return [pytest.param("", None, marks=pytest.mark.skip(reason=reason))]
    return [
        pytest.param(flavor, path, id=str(path.relative_to(FORKS).with_suffix("")))
        for (flavor, _), path in found.items()
    ]


@pytest.mark.slow
@pytest.mark.parametrize("flavor, path", cfgs())
def test_a_cfg_of_the_forks(flavor, path):
    ort = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    from layoutbridge.darknet.ports.onnx import write_onnx

    if (flavor, path.name) in REFUSED:
        with pytest.raises(CfgError, match=REFUSED[flavor, path.name]):
            load(path, flavor=flavor)
        return
    net = load(path, flavor=flavor)
    network = smallest(path, flavor) or net.network
    keys = {(layer.index, parameter.name): parameter for layer in network.layers for parameter in layer.parameters}
    parameters = {key: np.broadcast_to(np.float32(0.01), parameter.shape) for key, parameter in keys.items()}
    with TemporaryDirectory() as folder:
        made = write_onnx(network, parameters, Path(folder) / "net.onnx", external_data=True)
        session = ort.InferenceSession(made.path)
        feeds = {
            x.name: np.zeros([n if isinstance(n, int) else 1 for n in x.shape], np.float32)
            for x in session.get_inputs()
        }
        results = session.run(None, feeds)
    heads = Counter(layer.kind for layer in network.layers if layer.kind in ("yolo", "Gaussian_yolo", "region"))
    assert len(results) >= max(1, heads.total())


def smallest(path, flavor):
    """The network at the smallest of `SIZES` that it takes, None where it takes none of them."""
    for size in SIZES:
        try:
            return load(path, flavor=flavor, size=size).network
        except LayoutBridgeError:
            continue
    return None


def test_the_documents_tell_of_each_that_is_refused():
    told = (ROOT / "docs" / "forks.md").read_text("utf-8")
    for _, name in REFUSED:
        assert name in told
