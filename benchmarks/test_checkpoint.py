"""What `layoutbridge checkpoint` takes, beside a plain copy of the file: seconds, and memory at its peak.

    python -m pytest benchmarks/test_checkpoint.py -q                     (1.6 GB)
    CHECKPOINT_GB=7 python -m pytest benchmarks/test_checkpoint.py -q     (so many, and twice as many on the disk)

The file is made of layers in bfloat16 of which half the bytes are moved: rows of q and k, gates, a convolution's
kernels and a transposed matrix. Both run in processes of their own, in turns, the start of Python and its imports
counted; the input is in the system's cache, and the disk has written what the one before left to it. `cp` leaves its
copy to the cache, ours is on the disk when the command ends: `cp` with `sync` behind it stands beside them.
"""

from __future__ import annotations

import json
import os
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from math import prod
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
GIGABYTES = float(os.environ.get("CHECKPOINT_GB", "1.6"))
ROUNDS = 7 if GIGABYTES < 3 else 3
LARGEST_TIME = (1.5, 3.0)  # times a plain copy, plus seconds: the start, and neighbours
LARGEST_MEMORY = 1000  # MB
ITEM = 2  # bytes
LAYER = {
    "self_attn.q_proj.weight": (4096, 4096),
    "self_attn.k_proj.weight": (4096, 4096),
    "self_attn.v_proj.weight": (4096, 4096),
    "self_attn.o_proj.weight": (4096, 4096),
    "conv.weight": (1024, 1024, 3, 3),
    "dense.weight": (4096, 1024),
    "mlp.weight": (5632, 4096),
    "gates.weight": (8192, 1024),
}
RULES = """
[[rule]]
tensors = "*.{q,k}_proj.weight"
apply = "rotary_halves_to_pairs"
heads = 32
[[rule]]
tensors = "*.conv.weight"
apply = "oihw_to_hwio"
[[rule]]
tensors = "*.dense.weight"
pattern = "o i -> i o"
[[rule]]
tensors = "*.gates.weight"
pattern = "(g h) i -> (g[0 2 1 3] h) i, g = 4"
"""


def written(path: Path) -> Path:
    """A checkpoint of about `GIGABYTES` with drawn bytes."""
    layers = max(1, round(GIGABYTES * 1e9 / sum(ITEM * prod(shape) for shape in LAYER.values())))
    header, end = {}, 0
    for number in range(layers):
        for name, shape in LAYER.items():
            begin, end = end, end + ITEM * prod(shape)
            header[f"model.layers.{number}.{name}"] = {"dtype": "BF16", "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    drawn = np.random.default_rng(0).bytes(16 << 20)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for start in range(0, end, len(drawn)):
            file.write(drawn[: end - start])
    return path


def measured(command: list[str], output: Path, *, then: Callable[[], None] | None = None) -> tuple[float, float]:
    """Seconds, and MB of memory at the peak; what was written is removed."""
    os.sync()
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if then is not None:
        then()
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    output.unlink()
    return seconds, usage.ru_maxrss / 1024


@pytest.mark.skipif(sys.platform != "linux", reason="cp, and memory in kilobytes")
def test_beside_a_plain_copy(tmp_path, capfd, record):
    rules, copied, output = tmp_path / "rules.toml", tmp_path / "copied.safetensors", tmp_path / "out.safetensors"
    rules.write_text(RULES)
    source = written(tmp_path / "in.safetensors")
    copy = ["cp", str(source), str(copied)]
    ours = [sys.executable, "-m", "layoutbridge", "checkpoint", str(source), "-o", str(output), "--rules", str(rules)]
    ways = {
        "cp": lambda: measured(copy, copied),
        "cp, sync": lambda: measured(copy, copied, then=os.sync),
        "layoutbridge checkpoint": lambda: measured(ours, output),
    }
    try:
        for way in ways.values():
            way()  # the cache is filled, the kernels are compiled
        found = [{name: way() for name, way in ways.items()} for _ in range(ROUNDS)]
    finally:
        source.unlink()
    seconds = {name: statistics.median(each[name][0] for each in found) for name in ways}
    ratio = statistics.median(each["layoutbridge checkpoint"][0] / each["cp"][0] for each in found)
    memory = max(each["layoutbridge checkpoint"][1] for each in found)
    ratios = [each["layoutbridge checkpoint"][0] / each["cp"][0] for each in found]
    record("checkpoint", f"{GIGABYTES:g} GB", ratios, "times cp")
    with capfd.disabled():
        print(f"\na checkpoint of {GIGABYTES} GB, half of it moved: median seconds of {ROUNDS} rounds")
        for name, median in seconds.items():
            print(f"  {name:24} {median:6.2f}")
        print(f"  {ratio:.2f} times cp in the same round, at most {memory:.0f} MB of memory")
    assert seconds["layoutbridge checkpoint"] <= LARGEST_TIME[0] * seconds["cp"] + LARGEST_TIME[1]
    assert memory <= LARGEST_MEMORY
