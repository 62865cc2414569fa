"""Real networks at reduced sizes, against fingerprints of what the real Darknet computed for them."""

import json

import numpy as np
import pytest

from layoutbridge.darknet import load
from layoutbridge.darknet.reference import forward
from tests.darknet_files import WHERE_ZOO, ZOO, load_synthesizer

TOLERANCE = 5e-5  # of a layer's largest value
QUICK = 22  # so many networks, those with the fewest parameters, run in the default set


def networks():
    manifests = sorted(ZOO.glob("*/*/manifest.json"))
    sizes = {path: sum(part["count"] for part in json.loads(path.read_text())["segments"]) for path in manifests}
    quick = set(sorted(manifests, key=lambda path: sizes[path])[:QUICK])
    for path in manifests:
        name = f"{path.parent.parent.name}/{path.parent.name}"
        yield pytest.param(path.parent, id=name, marks=() if path in quick else pytest.mark.slow)


NETWORKS = list(networks()) or [pytest.param(None, marks=pytest.mark.skip(reason=WHERE_ZOO))]


@pytest.fixture(scope="module")
def table(request):
    """Filled by the tests; printed when all are done, worst layer by network."""
    rows = []
    yield rows
    capture = request.config.pluginmanager.getplugin("capturemanager")
    if rows and capture is not None:
        with capture.global_and_fixture_disabled():
            print("\nlargest deviation from Darknet's float32, as a share of the layer's largest value")
            for name, deviation, layer in sorted(rows):
                print(f"  {name:42} {deviation:8.1e}  {layer}")


def deviation(output, samples, stats):
    """How far 32 samples, mean, standard deviation and maximum lie from those of Darknet."""
    flat = output.ravel()
    mean, std, largest = stats
    positions = np.linspace(0, flat.size - 1, 32).astype(np.int64)
    found = [flat.mean() - mean, flat.std() - std, np.abs(flat).max() - largest, *(flat[positions] - samples)]
    return float(np.abs(found).max() / largest)


@pytest.mark.parametrize("folder", NETWORKS)
def test_every_layer_of_a_real_network(folder, tmp_path, table):
    synthesizer = load_synthesizer()
    manifest = json.loads((folder / "manifest.json").read_text())
    synthesizer.write_weights(manifest, tmp_path / "net.weights")
    net = load(folder / "net.cfg", tmp_path / "net.weights", flavor=folder.parent.name, strict=True)
    with np.load(folder / "fingerprint.npz") as recorded:
        sizes, shapes, stats, samples = (recorded[key] for key in ("sizes", "chw", "stats", "samples"))
    assert [layer.out_shape if len(layer.out_shape) == 3 else (0, 0, 0) for layer in net.layers] == [
        tuple(shape) for shape in shapes
    ]
    x = synthesizer.network_input(manifest)[None]
    outputs = net.run(x, every_layer=True)
    assert [output.size for output in outputs] == list(sizes)
    compared = [layer for layer in net.layers if layer.kind != "cost"]
    found = {
        layer.name: deviation(outputs[layer.index], samples[layer.index], stats[layer.index]) for layer in compared
    }
    worst = max(found, key=found.__getitem__)
    table.append((f"{folder.parent.name}/{folder.name}", found[worst], worst))
    stray = [layer for layer in compared if found[layer.name] > TOLERANCE]
    if stray:
        # Saturated layers: float32 alone, against float64, must move such a layer further than Darknet lies from us.
        single = forward(net.network, net.parameters, x, dtype=np.float32)
        for layer in stray:
            exact = outputs[layer.index]
            rounding = np.abs(single[layer.index] - exact).max() / np.abs(exact).max()
            assert found[layer.name] <= rounding, f"{layer.name}: {found[layer.name]:.1e}, rounding {rounding:.1e}"
            assert found[layer.name] <= 4 * TOLERANCE
    del outputs
    (tmp_path / "net.weights").unlink()  # up to 790 MB
