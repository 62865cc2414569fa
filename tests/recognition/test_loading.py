"""Loading what a word names leaves Python's import state as it was."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

import layoutbridge as lb
from layoutbridge.errors import UnusableInputError
from layoutbridge.recognition.targets.loading import load_target

PORT = """
import dataclasses
from {neighbour} import block

@dataclasses.dataclass
class Port:
    stride: int = block

    def __call__(self, x):
        n, c, h, w = x.shape
        s = self.stride
        return x.reshape(n, c, h // s, s, w // s, s).transpose(0, 1, 3, 5, 2, 4).reshape(n, c * s * s, h // s, w // s)
"""


def test_threads_run_files_of_several_folders_and_the_path_is_as_before(tmp_path, monkeypatch):
    names = []
    for number in range(4):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / f"neighbour_{number}.py").write_text(f"block = {2 + number % 2}")
        (folder / f"port_{number}.py").write_text(PORT.format(neighbour=f"neighbour_{number}"))
        names.append(f"{folder / f'port_{number}.py'}:Port")
    before, start = list(sys.path), Barrier(8)

    def work(number):
        start.wait()
        return lb.identify(names[number % 4], (1, 2, 12, 12)).matches[0]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(work, range(8)))
    assert {match.name for match in found} == {"pixel_unshuffle"}
    assert [match.parameters["stride"] for match in found] == [2, 3] * 4
    assert sys.path == before
    for number in range(4):
        for module in ("port", "neighbour"):
            monkeypatch.delitem(sys.modules, f"{module}_{number}")  # that they are there is what an import does


def test_a_file_that_fails_is_no_module_afterwards(tmp_path):
    before = list(sys.path)
    for text, kind in (("1 / 0", UnusableInputError), ("raise KeyboardInterrupt", KeyboardInterrupt)):
        (tmp_path / "fails_when_run.py").write_text(text)
        with pytest.raises(kind):
            load_target(f"{tmp_path / 'fails_when_run.py'}:thing")
        assert "fails_when_run" not in sys.modules
        assert sys.path == before


def test_a_file_named_like_a_module_does_not_take_its_place(tmp_path):
    import json

    (tmp_path / "json.py").write_text("def port(x): return x")
    assert load_target(f"{tmp_path / 'json.py'}:port")(3) == 3
    assert sys.modules["json"] is json
    assert load_target(f"{tmp_path / 'json.py'}:port").__module__ == "json_py"
    (tmp_path / "json.py").write_text("1 / 0")
    with pytest.raises(UnusableInputError, match="ZeroDivisionError"):
        load_target(f"{tmp_path / 'json.py'}:port")
    assert sys.modules["json"] is json


@pytest.mark.slow
def test_a_file_named_like_a_framework_that_nobody_has_imported_is_not_taken_for_it(tmp_path):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    (tmp_path / "neighbour.py").write_text("block = 2")
    (tmp_path / "torch.py").write_text(PORT.format(neighbour="neighbour"))
    program = (
        "import sys, layoutbridge as lb\n"
        f"found = lb.identify({str(tmp_path / 'torch.py:Port')!r}, (1, 2, 12, 12))\n"
        "assert 'space_to_depth_crd' in found.names, found\n"
        "assert 'torch' not in sys.modules and sys.modules['torch_py'].Port\n"
        "import torch\n"
        "torch.nn.Identity()\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
