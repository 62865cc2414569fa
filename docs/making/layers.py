"""Every layer in every target, compared with real Darknet's recorded outputs: measured by hand, shown at each build.

python -m docs.making.layers      # with every framework: writes docs/layers.json, in a minute
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent
MEASURED = ROOT / "docs" / "layers.json"


def recorded() -> list[Path]:
    """The folders of the recorded networks."""
    return sorted(
        path.parent for kind in ("nets", "recurrent") for path in (ROOT / "fixtures" / kind).glob("*/*/net.cfg")
    )


def measure(folders: Iterable[Path], targets: Iterable[str]) -> dict[str, Any]:
    """By kind of layer: how many were recorded, and each target's worst deviation, a share of the layer's largest."""
    from layoutbridge.darknet import load

    kinds: dict[str, dict[str, Any]] = defaultdict(lambda: {"layers": 0, "worst": defaultdict(float)})
    for folder in folders:
        net = load(folder / "net.cfg", folder / "net.weights", flavor=folder.parent.name)
        with np.load(folder / "outputs.npz") as held:
            x, wanted = held["input"], [held[f"layer{index:02d}"] for index in range(len(net.layers))]
        for layer in net.layers:
            kinds[layer.kind]["layers"] += 1
        for target in targets:
            for layer, own, darknets in zip(net.layers, _run(net, x, target), wanted, strict=True):
                apart = np.abs(own.reshape(darknets.shape) - darknets).max() / (np.abs(darknets).max() or 1)
                worst = kinds[layer.kind]["worst"]
                worst[target] = max(worst[target], float(f"{apart:.1e}"))
    return {kind: kinds[kind] for kind in sorted(kinds)}


def _run(net: Any, x: Any, target: str) -> list[Any]:
    if net.network.states:
        return [each[:, 0] for each in net.run_sequence(x[:, None], framework=target, every_layer=True)]
    return [each[0] for each in net.run(x[None], framework=target, every_layer=True)]


def pages() -> dict[str, str]:
    """The page by its name."""
    from layoutbridge.darknet.meaning import MEANINGS
    from layoutbridge.darknet.ports.table import port

    held = json.loads(MEASURED.read_text(encoding="utf-8"))
    targets = held["targets"]
    titles = [port(name).title for name in targets]
    versions = ", ".join(f"{title} {version}" for title, version in zip(titles, targets.values(), strict=True))
    others = sorted(set(MEANINGS) - set(held["kinds"]))
    rows = [
        f"| `[{kind}]` | {each['layers']} | " + " | ".join(_shown(each["worst"].get(name)) for name in targets) + " |"
        for kind, each in held["kinds"].items()
    ]
    text = [
        "# Layers × targets",
        "How far each kind of layer is from the real Darknet's recorded output, in every target: the largest deviation "
        "as a share of the layer's largest value, the worst of all recordings. 0 is bit for bit. What a layer inherits "
        f"from those in front of it counts. {held['networks']} small networks of both Darknets, in `fixtures/`; "
        f"measured by `python -m docs.making.layers` with {versions}; the same as data: [layers.json](layers.json).",
        "\n".join(
            [
                f"| layer | recorded | {' | '.join(titles)} |",
                "|---|---" + "|---:" * len(titles) + "|",
                *rows,
            ]
        ),
        f"Not recorded, compared with the reference alone: {', '.join(f'`[{kind}]`' for kind in others)}. "
        "[How right it is](networks.md#how-right-it-is) says what is compared beside these networks, "
        "and `layoutbridge check net.cfg net.weights` prints such a table for your own. Where a target cannot express "
        "a layer in some form, `export` and `check` say so, with the line of the cfg.",
    ]
    return {"layers.md": "\n\n".join(text)}


def _shown(worst: float | None) -> str:
    return "" if worst is None else f"{worst:.1e}".replace("e-0", "e-") if worst else "0"


def main() -> None:
    """Measure all of them, and write the figures down."""
    from layoutbridge.darknet.ports.table import TARGETS, runner

    folders = recorded()
    targets = {name: metadata.version(runner(name).package).partition("+")[0] for name in TARGETS}
    held = {"targets": targets, "networks": len(folders), "kinds": measure(folders, targets)}
    MEASURED.write_text(json.dumps(held, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
