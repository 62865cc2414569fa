"""The ONNX models of real networks, run in onnxruntime, against fingerprints of what the real Darknet computed."""

import numpy as np
import pytest

from layoutbridge.darknet.reference import forward
from tests.darknet_files import deviation_from, deviation_table, real_network, sampled, zoo_networks

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from layoutbridge.darknet.ports.onnx import run_onnx

TOLERANCE = 5e-5  # of a layer's largest value
DEFAULT = 10  # so many networks, those with the fewest parameters, run in the default set


NETWORKS = zoo_networks(DEFAULT)


@pytest.fixture(scope="module")
def table(request):
    yield from deviation_table(request, "ONNX: largest deviation from Darknet's float32")


@pytest.mark.parametrize("folder", NETWORKS)
def test_every_layer_of_a_real_network(folder, tmp_path, table):
    net, x = real_network(folder, tmp_path / "net.weights")
    with np.load(folder / "fingerprint.npz") as recorded:
        sizes, stats, samples = (recorded[key] for key in ("sizes", "stats", "samples"))
    outputs = run_onnx(net.network, net.parameters, x, every_layer=True)
    assert [output.size for output in outputs] == list(sizes)
    compared = [layer for layer in net.layers if layer.kind != "cost"]
    found = {
        layer.name: deviation_from(outputs[layer.index], samples[layer.index], stats[layer.index]) for layer in compared
    }
    worst = max(found, key=found.__getitem__)
    table.append((f"{folder.parent.name}/{folder.name}", found[worst], worst))
    stray = [layer for layer in compared if found[layer.name] > TOLERANCE]
    if stray:
        # Saturated layers: there ours must lie nearer to float64 than Darknet's own float32 does.
        exact = forward(net.network, net.parameters, x)
        for layer in stray:
            wanted = sampled(exact[layer.index])
            largest = stats[layer.index][2]
            ours = np.abs(sampled(outputs[layer.index]) - wanted).max() / largest
            darknets = np.abs(samples[layer.index] - wanted).max() / largest
            assert ours <= TOLERANCE < darknets, f"{layer.name}: ours {ours:.1e}, Darknet {darknets:.1e} from float64"
    del outputs
    (tmp_path / "net.weights").unlink()  # up to 1.1 GB
