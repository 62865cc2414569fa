"""`layoutbridge verify` as a whole process, over the frameworks that are installed.

python -m pytest benchmarks/test_verify_speed.py -q -s
"""

from __future__ import annotations

import subprocess
import sys
import time

MOST_SECONDS, ROUNDS = 60.0, 3


def test_the_default_grid(record):
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "layoutbridge", "verify"], stdout=subprocess.DEVNULL, check=True)
        times.append(time.perf_counter() - start)
    record("verify", "the default grid, every framework, with the start", times, "s", MOST_SECONDS)
    print(f"\nverify: {sorted(times)[1]:.1f} s")
    assert sorted(times)[1] <= MOST_SECONDS
