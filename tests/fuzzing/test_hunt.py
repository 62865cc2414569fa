"""Half a minute of the hunt, with the same inputs for the same seed."""

import os
import sys

import pytest

from tests.fuzzing.hunt import hunt
from tests.fuzzing.surface import surfaces
from tests.fuzzing.worker import ROOT, TOLD

SECONDS, SEED = float(os.environ.get("FUZZ_SECONDS") or 30), int(os.environ.get("FUZZ_SEED") or 0)
SHOWN = 2000  # bytes of an input


@pytest.mark.thorough
@pytest.mark.skipif(sys.platform != "linux", reason="the hunt reads Linux's /proc")
def test_half_a_minute_finds_nothing():
    ready = [surface for surface in surfaces() if surface.missing is None]
    done = [*hunt(ready, SECONDS, SEED, ROOT / ".fuzz", coverage=False)]
    finds = [
        f"{path.with_name(path.name + TOLD).read_text()}\n  python -m tests.fuzzing {hunted.name} {path}\n"
        f"  {path.read_bytes()[:SHOWN]!r}"
        for hunted in done
        for path in hunted.finds
    ]
    assert not finds, "\n".join((*map(str, done), "", *finds))
    assert [hunted.name for hunted in done if not hunted.inputs] == []
