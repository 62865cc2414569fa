"""A .pt2 that is opened has packed convolutions, and gives what PyTorch's own program of it gives."""

from pathlib import Path

import numpy as np
import pytest

import layoutbridge as lb
from layoutbridge.darknet.detectors.formats import open_file
from layoutbridge.darknet.ports.records.halves import halves_of
from layoutbridge.darknet.ports.torch import write_torch
from layoutbridge.errors import ParameterError

torch = pytest.importorskip("torch")
NETS = [path.parent for path in sorted(Path("fixtures/nets").glob("*/*/net.weights"))]


def check(folder, tmp_path):
    net = lb.darknet.load(folder / "net.cfg", folder / "net.weights", flavor=folder.parent.name)
    if net.network.states or len(net.network.in_shape) != 3:
        return
    write_torch(net.network, net.parameters, tmp_path / "net.pt2", every_layer=True)
    x = np.random.default_rng(0).random((2, *net.network.in_shape), np.float32)
    found = [*open_file(tmp_path / "net.pt2").outputs(x).values()]
    with torch.inference_mode():
        wanted = torch.export.load(tmp_path / "net.pt2").module()(torch.from_numpy(x))
    wanted = [wanted] if isinstance(wanted, torch.Tensor) else wanted
    for one, other in zip(found, wanted, strict=True):
        assert np.abs(one - other.numpy()).max() <= 1e-4 * max(1e-6, np.abs(other.numpy()).max()), folder


@pytest.mark.sample(slow=12)
@pytest.mark.parametrize("folder", NETS, ids=lambda folder: "/".join(folder.parts[-2:]))
def test_every_network_gives_the_same(folder, tmp_path):
    check(folder, tmp_path)


@pytest.mark.parametrize("name", ["yolo_head", "passthrough", "grouped_conv", "spp", "residual"])
def test_networks_give_the_same(name, tmp_path):
    check(Path("fixtures/nets/alexey") / name, tmp_path)


@pytest.mark.skipif(not halves_of("torch"), reason="this processor has no bfloat16")
def test_in_bfloat16_where_it_is_asked_for(tmp_path):
    net = lb.darknet.load("fixtures/nets/alexey/yolo_head/net.cfg", "fixtures/nets/alexey/yolo_head/net.weights")
    write_torch(net.network, net.parameters, tmp_path / "net.pt2", head="boxes")
    x = np.random.default_rng(0).random((2, *net.network.in_shape), np.float32)
    exact, short = (
        next(iter(open_file(tmp_path / "net.pt2", settings=settings).outputs(x).values()))
        for settings in ({}, {"precision": "bfloat16"})
    )
    assert exact.dtype == short.dtype == np.float32
    assert 1e-5 < np.abs(exact - short).max() / np.abs(exact).max() < 2e-2
    with pytest.raises(ParameterError, match="settings for PyTorch are for a"):
        lb.darknet.Detector(net, framework="torch", settings={"precision": "bfloat16"})
