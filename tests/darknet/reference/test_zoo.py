"""Real networks at reduced sizes, against fingerprints of what the real Darknet computed for them."""

import numpy as np
import pytest

from layoutbridge.darknet.reference import forward
from tests.darknet_files import deviation_table, real_network, zoo_networks

TOLERANCE = 5e-5  # of a layer's largest value
QUICK = 22  # so many networks, those with the fewest parameters, run in the default set


NETWORKS = zoo_networks(QUICK)


@pytest.fixture(scope="module")
def table(request):
    yield from deviation_table(request, "largest deviation from Darknet's float32")


def deviation(output, samples, stats):
    """How far 32 samples, mean, standard deviation and maximum lie from those of Darknet."""
    flat = output.ravel()
    mean, std, largest = stats
    positions = np.linspace(0, flat.size - 1, 32).astype(np.int64)
    found = [flat.mean() - mean, flat.std() - std, np.abs(flat).max() - largest, *(flat[positions] - samples)]
    return float(np.abs(found).max() / largest)


@pytest.mark.parametrize("folder", NETWORKS)
def test_every_layer_of_a_real_network(folder, tmp_path, table):
    net, x = real_network(folder, tmp_path / "net.weights")
    with np.load(folder / "fingerprint.npz") as recorded:
        sizes, shapes, stats, samples = (recorded[key] for key in ("sizes", "chw", "stats", "samples"))
    assert [layer.out_shape if len(layer.out_shape) == 3 else (0, 0, 0) for layer in net.layers] == [
        tuple(shape) for shape in shapes
    ]
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
