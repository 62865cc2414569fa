"""`layoutbridge audit`: exit codes, what is printed, the page."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

import layoutbridge as lb
from tests.command_line import refused, run

for needed in ("fsspec", "pebble", "pyarrow", "onnx"):
    pytest.importorskip(needed)

from tests.auditing.models import wrapped  # noqa: E402
from tests.auditing.test_audits import CHILD, ODD  # noqa: E402


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "models"
    made.mkdir()
    wrapped(made / "a.onnx", lb.op("focus"))
    return made


def test_exit_codes(folder, tmp_path, capfd):
    code, out, err = run(capfd, "audit", str(folder))
    assert (code, err) == (0, "")
    assert re.search(r"focus \(stride 2\) +1 +1 +768 bytes", out)
    assert "1 file: 1 scanned" in out
    wrapped(folder / "odd.onnx", ODD)
    code, out, _ = run(capfd, "audit", str(folder), "--json")
    found = json.loads(out)
    assert code == 1
    assert [each["file"] for each in found["suspicious"]] == [str(folder / "odd.onnx")]
    assert found["files"] == {"scanned": 2}
    (tmp_path / "torn.onnx").write_bytes(b"torn")
    code, out, err = run(capfd, "audit", str(tmp_path / "torn.onnx"), "-o", str(tmp_path / "r.parquet"))
    assert code == 2  # nothing could be scanned; the report says so
    assert "is no ONNX model" in out
    assert err == f"layoutbridge: wrote {tmp_path / 'r.parquet'}\n"


def test_unusable_calls(folder, tmp_path, capfd):
    assert "is not there" in refused(capfd, "audit", str(tmp_path / "none"))
    assert "parquet" in refused(capfd, "audit", str(folder), "-o", str(tmp_path / "r.txt"))
    assert "--jobs must be between 1 and" in refused(capfd, "audit", str(folder), "--jobs", "0")
    assert "no scheduler answers" in refused(capfd, "audit", str(folder), "--scheduler", "nonsense")
    model = str(folder / "a.onnx")
    before = (folder / "a.onnx").read_bytes()
    assert "give it FILE.html" in refused(capfd, "audit", model, "--html", model)
    assert "overwrite the input" in refused(capfd, "audit", model, "-o", model)
    assert (folder / "a.onnx").read_bytes() == before


class Reader(HTMLParser):
    """The text of a page, and whether its elements close as they should."""

    def __init__(self):
        super().__init__()
        self.open, self.text = [], ""

    def handle_starttag(self, tag, attrs):
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_the_page(folder, tmp_path, capfd):
    wrapped(folder / "<b>&.onnx", ODD)
    page = tmp_path / "page.html"
    assert run(capfd, "audit", str(folder), "--html", str(page))[0] == 1
    text = page.read_text()
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    assert "1 suspicious place" in reader.text
    assert f"{folder}/<b>&.onnx" in reader.text
    assert "://" not in text  # nothing is fetched


def test_nothing_but_the_answer_in_a_process_of_its_own(folder):
    command = [sys.executable, "-c", CHILD, "audit", str(folder), "--jobs", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 file: 1 scanned" in done.stdout
