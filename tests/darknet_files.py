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

from layoutbridge.darknet.build import build_network
from layoutbridge.darknet.cfg import check_flavor, parse_cfg
from layoutbridge.darknet.model import Network

ROOT = Path(__file__).resolve().parent.parent
NETS = ROOT / "fixtures" / "nets"
SHARED = ROOT.parent / "shared"
ZOO = SHARED / "zoo"
WHERE_ZOO = f"the zoo networks (cfg files of the forks, not copied here) are not at {ZOO}"

GOLDEN = sorted(f"{path.parent.name}/{path.name}" for path in NETS.glob("*/*") if path.is_dir())
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
            parts.append(np.abs(values) + 0.5 if parameter.name == "variances" else values)
    return HEADER + (np.concatenate(parts) if parts else np.empty(0)).astype("<f4").tobytes()


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
    """The zoo's folders as test parameters: the `quick` smallest in the default set, the others slow."""
    manifests = sorted(ZOO.glob("*/*/manifest.json"))
    sizes = {path: sum(part["count"] for part in json.loads(path.read_text())["segments"]) for path in manifests}
    default = set(sorted(manifests, key=lambda path: sizes[path])[:quick])
    found = [
        pytest.param(
            path.parent,
            id=f"{path.parent.parent.name}/{path.parent.name}",
            marks=() if path in default else pytest.mark.slow,
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
