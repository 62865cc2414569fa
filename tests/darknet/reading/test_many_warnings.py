"""A cfg that earns millions of warnings: the first thousand are kept, all are counted, and it takes little."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from layoutbridge.darknet import load
from layoutbridge.darknet.structure.noted import MOST_KEPT
from tests.command_line import run
from tests.darknet_files import built

NET = "[net]\nwidth=8\nheight=8\nchannels=3\n[maxpool]\nsize=2\n"
KINDS = {
    "no value": ("a\n", "gives no value and is left out"),
    "repeated": ("size=2\n", "repeats size=2"),
    "not used": ("{}=1\n", "does not use"),
    "notes behind": ("{}=1#x\n", "does not use"),
}


@pytest.mark.parametrize(("line", "says"), KINDS.values(), ids=KINDS)
def test_each_kind_is_counted(line, says):
    for count in (3, MOST_KEPT, MOST_KEPT + 1, 3 * MOST_KEPT):
        warnings = built(NET + "".join(line.format(f"x{k}") for k in range(count))).warnings
        assert len(warnings) == min(count, MOST_KEPT) and warnings.left_out == count - len(warnings)
        assert all(says in warning for warning in warnings)


def test_the_command_line_shows_twenty(capfd, tmp_path):
    path = tmp_path / "net.cfg"
    path.write_text(NET + "a\n" * 5_000)
    code, _, err = run(capfd, "summary", str(path))
    *shown, last = err.splitlines()
    assert (code, len(shown), last) == (0, 20, "layoutbridge: warning: and 4,980 more")
    assert shown[0] == "layoutbridge: warning: net.cfg, line 7: [maxpool] 'a' gives no value and is left out"
    path.write_text(NET + "a\n" * 20)
    assert "more" not in run(capfd, "summary", str(path))[2]


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="memory is measured as Linux tells it")
def test_half_a_million_warnings_take_little_memory(tmp_path):
    path = tmp_path / "net.cfg"
    path.write_text(NET + "a\n" * 500_000)
    script = (
        "import sys\nfrom layoutbridge.darknet import load\n"
        "def held():\n    return int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]) * 1024\n"
        "before = held()\nprint(load(sys.argv[1]).warnings.left_out, held() - before)"
    )
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)
    left_out, taken = map(int, done.stdout.split())
    assert left_out == 500_000 - MOST_KEPT
    assert taken < 4 * path.stat().st_size + 100_000_000


def test_warnings_of_a_whole_network_are_counted_together():
    folder = Path(__file__).resolve().parents[3] / "fixtures" / "nets" / "alexey" / "yolo_head"
    net = load(folder / "net.cfg", folder / "net.weights")
    assert net.warnings.left_out == 0 and isinstance(net.warnings, tuple)
