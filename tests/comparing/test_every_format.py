"""Right ports of one network in every format are equal, in both directions, whatever their layouts."""

from importlib.util import find_spec
from itertools import permutations

import pytest

import layoutbridge as lb
from tests.command_line import run

FORMATS = {
    "n.onnx": "onnxruntime", "n.pt2": "torch", "n.keras": "tensorflow", "n.tflite": "ai_edge_litert",
    "saved": "tensorflow", "n.param": "ncnn", "n.xml": "openvino",
}  # fmt: skip
TARGETS = {"saved": ("--to", "tensorflow"), "n.xml": ("--to", "openvino")}
NETWORKS = [
    ("pjreddie", "passthrough"),
    *(pytest.param(("alexey", name), marks=pytest.mark.slow) for name in ("residual", "spp", "maxpools")),
]


def loaded(fork, name):
    folder = f"fixtures/nets/{fork}/{name}"
    return [f"{folder}/net.cfg", f"{folder}/net.weights"], fork


@pytest.mark.sample(slow=2)
@pytest.mark.parametrize("network", NETWORKS, ids="-".join)
def test_exported_files(network, tmp_path, capfd):
    files, fork = loaded(*network)
    net = lb.darknet.load(*files, flavor=fork)
    tried = 0
    for name, needed in FORMATS.items():
        if find_spec(needed):
            path = str(tmp_path / name.split(".")[-1] / name)
            (tmp_path / name.split(".")[-1]).mkdir()
            arguments = [*files, "--flavor", fork, "-o", path, *TARGETS.get(name, ())]
            assert run(capfd, "export", *arguments)[0] == 0
            found = lb.compare(net, path)
            assert (found.equal, found.causes) == (True, ()), (name, found.first)
            assert lb.compare(path, net).equal, name
            tried += 1
    if not tried:
        pytest.skip("no framework is installed")


def test_live_models_beside_each_other():
    for needed in ("torch", "tensorflow"):
        if not find_spec(needed):
            pytest.skip(f"{needed} is not installed")
    files, fork = loaded("alexey", "residual")
    net = lb.darknet.load(*files, flavor=fork)
    for one, other in permutations((net, net.to_torch(), net.to_keras()), 2):
        assert lb.compare(one, other).equal
