"""Where the recorded networks of the real Darknet lie, and how to make one from a few lines. Not a test itself."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from layoutbridge.darknet import load
from layoutbridge.darknet.meaning import Arrays
from layoutbridge.darknet.networks.network import DarknetNetwork
from layoutbridge.darknet.ports.check import Check, check_runners
from layoutbridge.darknet.ports.port import Runner
from layoutbridge.darknet.reading.build import build_network
from layoutbridge.darknet.reading.cfg import check_flavor, parse_cfg
from layoutbridge.darknet.structure.model import Network

ROOT = Path(__file__).resolve().parent.parent
NETS = ROOT / "fixtures" / "nets"
SHARED = ROOT.parent / "shared"
ZOO = SHARED / "zoo"
WHERE_ZOO = f"the zoo networks (cfg files of the forks, not copied here) are not at {ZOO}"

GOLDEN = sorted(f"{path.parent.name}/{path.name}" for path in NETS.glob("*/*") if path.is_dir())
RECURRENT = ROOT / "fixtures" / "recurrent"
SEQUENCES = sorted(f"{path.parent.name}/{path.name}" for path in RECURRENT.glob("*/*") if path.is_dir())
MORE = ROOT / "fixtures" / "more"
MORE_NETS = sorted(f"{path.parent.name}/{path.name}" for path in MORE.glob("*/*") if path.is_dir())
MOVING = ("reorg", "reorg3d", "route", "dropout", "empty")
HEADER = struct.pack("<3iQ", 0, 2, 5, 12345)


def built(text: str, flavor: str = "alexey", **options) -> Network:
    """The network of a cfg's text."""
    sections, warnings = parse_cfg(text, source="net.cfg", flavor=check_flavor(flavor))
    return build_network(sections, flavor=check_flavor(flavor), warnings=warnings, **options)


def random_weights(network: Network, seed: int = 0) -> bytes:
    """A weights file for `network`: small values, positive ones where a variance is meant."""
    rng = np.random.default_rng(seed)
    parts = []
    for layer in network.layers:
        for parameter in layer.parameters:
            values = rng.uniform(-0.5, 0.5, parameter.stored)
            parts.append(np.abs(values) + 0.5 if parameter.name.endswith("variances") else values)
    return HEADER + (np.concatenate(parts) if parts else np.empty(0)).astype("<f4").tobytes()


def read(name: str) -> tuple[DarknetNetwork, NDArray[np.float32], list[NDArray[np.float32]]]:
    """The recorded network `name`, its input [C, H, W], and what the real Darknet's layers gave."""
    folder = NETS / name
    net = load(folder / "net.cfg", folder / "net.weights", flavor=name.split("/", maxsplit=1)[0], strict=True)
    with np.load(folder / "outputs.npz") as recorded:
        return net, recorded["input"], [recorded[f"layer{k:02d}"] for k in range(len(recorded.files) - 1)]


def moving_layers() -> Iterator[Any]:
    """The recorded networks' layers that only move elements, as test parameters: name and index."""
    for name in GOLDEN:
        found = [line.strip("[]\n ") for line in (NETS / name / "net.cfg").read_text().split("\n") if "[" in line][1:]
        for index, kind in enumerate(found):
            if kind in MOVING:
                yield pytest.param(name, index, id=f"{name}-{index}_{kind}")


def made(text: str, folder: Path, flavor: str = "alexey", seed: int = 0, **options) -> DarknetNetwork:
    """A network of a cfg's text with random weights, its files in `folder`."""
    (folder / "net.cfg").write_text(text)
    network = built(text, flavor, **{"folder": str(folder)} | options)
    (folder / "net.weights").write_bytes(random_weights(network, seed))
    return load(folder / "net.cfg", folder / "net.weights", flavor=flavor, strict=True, **options)


def real_network(folder: Path, weights: Path) -> tuple[DarknetNetwork, NDArray[np.float32]]:
    """A zoo network with its weights, rebuilt at `weights`, and its input [1, C, H, W]."""
    synthesizer, manifest = load_synthesizer(), json.loads((folder / "manifest.json").read_text())
    synthesizer.write_weights(manifest, weights)
    net = load(folder / "net.cfg", weights, flavor=folder.parent.name, strict=True)
    return net, synthesizer.network_input(manifest)[None]


def check_onnx(network: Network, parameters: Arrays, *, tolerance: float = 5e-5, **options: Any) -> Check:
    """The check of the ONNX model alone; `options` are those of `check_runners` or of `run_onnx`."""
    own = {key: options.pop(key) for key in ("x", "seed", "batch") if key in options}

    def run(network: Network, parameters: Arrays, x: NDArray[Any], every_layer: bool) -> list[NDArray[Any]]:
        from layoutbridge.darknet.ports.onnx import run_onnx

        return list(run_onnx(network, parameters, x, every_layer, **options))

    return check_runners(network, parameters, {"onnx": Runner(run, run, "onnxruntime")}, tolerance=tolerance, **own)


def load_synthesizer() -> ModuleType:
    """The program that rebuilds a zoo network's weights and input."""
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location("synth_weights", SHARED / "tools" / "synth_weights.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def zoo_networks(quick: int) -> list[Any]:
    """The zoo's folders as test parameters: the `quick` smallest by default, the larger two thirds thorough."""
    manifests = sorted(ZOO.glob("*/*/manifest.json"))
    sizes = {path: sum(part["count"] for part in json.loads(path.read_text())["segments"]) for path in manifests}
    by_size = sorted(manifests, key=lambda path: sizes[path])
    default, thorough = set(by_size[:quick]), set(by_size[len(by_size) // 3 :])
    found = [
        pytest.param(
            path.parent,
            id=f"{path.parent.parent.name}/{path.parent.name}",
            marks=() if path in default else pytest.mark.thorough if path in thorough else pytest.mark.slow,
        )
        for path in manifests
    ]
    return found or [pytest.param(None, marks=pytest.mark.skip(reason=WHERE_ZOO))]


def deviation_table(request: pytest.FixtureRequest, title: str) -> Iterator[list[tuple[str, float, str]]]:
    """A list for tests to fill, printed when all are done: network, worst deviation, its layer."""
    rows: list[tuple[str, float, str]] = []
    yield rows
    capture = request.config.pluginmanager.getplugin("capturemanager")
    if rows and capture is not None:
        with capture.global_and_fixture_disabled():
            print(f"\n{title}, as a share of the layer's largest value")
            for name, deviation, layer in sorted(rows):
                print(f"  {name:42} {deviation:8.1e}  {layer}")


def sampled(output: NDArray[Any]) -> NDArray[np.float64]:
    """The values at the 32 places that a fingerprint has."""
    return output.ravel()[np.linspace(0, output.size - 1, 32).astype(np.int64)].astype(np.float64)


def deviation_from(output: NDArray[Any], samples: NDArray[Any], stats: NDArray[Any]) -> float:
    """How far 32 samples, mean and standard deviation lie from those of Darknet."""
    mean, std, largest = stats
    found = [output.mean(dtype=np.float64) - mean, output.std(dtype=np.float64) - std, *(sampled(output) - samples)]
    return float(np.abs(found).max() / largest)
