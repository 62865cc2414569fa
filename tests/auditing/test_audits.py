"""Audits of folders and archives: what is in the report, what one file does to the others, going on after an end."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import pytest

import layoutbridge as lb
from layoutbridge.errors import ParameterError, UnusableInputError

for needed in ("fsspec", "pebble", "onnx", "psutil"):
    pytest.importorskip(needed)
parquet = pytest.importorskip("pyarrow.parquet")

import psutil  # noqa: E402

from layoutbridge.auditing.journal import ENDING  # noqa: E402
from tests.auditing.models import long_one, wrapped  # noqa: E402

ODD = lb.Rearrangement("c (h p:s) (w q:s) -> (q c p) h w", s=2)
CHILD = "import sys; from layoutbridge.cli import program; sys.exit(program())"


@pytest.fixture
def models(tmp_path):
    folder = tmp_path / "models"
    (folder / "deep").mkdir(parents=True)
    wrapped(folder / "a.onnx", lb.op("focus"))
    wrapped(folder / "deep" / "b.onnx", lb.op("darknet_reorg"), seed=1)
    wrapped(folder / "odd.onnx", ODD, seed=2)
    (folder / "net.cfg").write_text("[net]\nwidth=8\nheight=8\nchannels=4\n[reorg]\nstride=2\n")
    return folder


def rows_of(path):
    return parquet.read_table(path).to_pylist()


def test_a_row_for_each_place(models, tmp_path):
    found = lb.audit([str(models)], tmp_path / "r.parquet", jobs=2)
    rows = {Path(row["file"]).name: row for row in rows_of(tmp_path / "r.parquet")}
    assert list(rows) == ["a.onnx", "b.onnx", "net.cfg", "odd.onnx"]
    told = {name: (row["names"][:1], row["in_shapes"], row["out_shape"]) for name, row in rows.items()}
    assert told["a.onnx"] == (["focus"], ["[1, 4, 6, 8]"], "[1, 16, 3, 4]")
    assert told["b.onnx"][0] == ["darknet_reorg"]
    assert told["net.cfg"] == (["darknet_reorg"], ["[1, 4, 8, 8]"], "[1, 16, 4, 4]")
    assert rows["odd.onnx"]["names"] == []
    assert "space_to_depth" in rows["odd.onnx"]["suspicion"]
    assert json.loads(rows["b.onnx"]["parameters"]) == {"stride": 2}
    assert all(row["bytes"] > 0 and len(row["sha256"]) == 64 and row["status"] == "scanned" for row in rows.values())
    assert {each.operation: (each.places, each.files) for each in found.operations} == {
        "darknet_reorg (stride 2)": (2, 2), "focus (stride 2)": (1, 1), "without a name": (1, 1),
    }  # fmt: skip
    assert [Path(each.file).name for each in found.suspicious] == ["odd.onnx"]
    assert found.bytes_moved == sum(row["bytes"] for row in rows.values())
    assert not Path(f"{tmp_path / 'r.parquet'}{ENDING}").exists()


def test_the_places_are_those_of_a_scan(models, tmp_path):
    lb.audit([str(models)], tmp_path / "r.parquet", jobs=1)
    for row in rows_of(tmp_path / "r.parquet"):
        place = lb.scan(row["file"]).places[row["place"]].as_json()
        for name in ("output", "kind", "names", "pattern", "layout", "bytes", "advice", "reason"):
            assert row[name] == place[name]
        assert (row["node_names"], row["inputs"]) == (place["nodes"], place["inputs"])


def test_what_cannot_be_scanned_is_a_row(models, tmp_path):
    (models / "torn.onnx").write_bytes((models / "a.onnx").read_bytes()[:90])
    (models / "empty.tflite").touch()
    (models / "old.pth").write_bytes(b"PK")
    (models / "notes.txt").write_text("no model")
    (models / "setup.cfg").write_text("[metadata]\nname = x\n")
    (models / "pom.xml").write_text("<?xml version='1.0'?><project/>")
    (models / "torn.cfg").write_bytes(b"\0\1[metadata]\0")
    found = lb.audit([str(models)], tmp_path / "r.parquet", jobs=2)
    failed = {Path(row["file"]).name: row for row in rows_of(tmp_path / "r.parquet") if row["status"] == "unusable"}
    assert set(failed) == {"torn.onnx", "empty.tflite", "old.pth", "torn.cfg"}
    assert all(row["message"] and row["place"] is None and row["names"] is None for row in failed.values())
    assert ".onnx, .pt2" in failed["old.pth"]["message"]
    assert found.files == {"scanned": 4, "unusable": 4}
    assert found.others == {".txt": 1, ".cfg": 1, ".xml": 1}
    assert {file for file, _ in found.failed} == {row["file"] for row in failed.values()}


def test_a_file_that_is_there_twice_is_scanned_once(models, tmp_path):
    (models / "deep" / "again.onnx").write_bytes((models / "a.onnx").read_bytes())
    wrapped(models / "other.onnx", lb.op("focus"), seed=7)  # as large, and another
    (models / "deep" / "x.cfg").write_text("[metadata]\n")
    (models / "deep" / "y.cfg").write_text("[metadata]\n")
    found = lb.audit([str(models)], tmp_path / "r.parquet", jobs=1)
    rows = {Path(row["file"]).name: row for row in rows_of(tmp_path / "r.parquet")}
    assert rows["again.onnx"]["status"] == "duplicate"
    assert (rows["again.onnx"]["same_as"], rows["again.onnx"]["sha256"]) == (
        rows["a.onnx"]["file"], rows["a.onnx"]["sha256"],
    )  # fmt: skip
    assert rows["other.onnx"]["status"] == "scanned"
    assert found.files == {"scanned": 5, "duplicate": 1}
    assert found.others == {".cfg": 2}
    assert {each.operation: each.places for each in found.operations}["focus (stride 2)"] == 2


def test_archives_and_addresses(models, tmp_path):
    packed = tmp_path / "models.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in models.rglob("*.onnx"):
            archive.write(path, path.relative_to(models))
    by_path = lb.audit([str(packed)], tmp_path / "r.parquet", jobs=1)
    by_address = lb.audit([f"zip://::{packed}"], jobs=1)
    assert by_path.operations == by_address.operations
    assert by_path.files == {"scanned": 3}
    names = sorted(row["file"] for row in rows_of(tmp_path / "r.parquet"))
    assert names == sorted(f"zip://{name}::{packed}" for name in ("a.onnx", "deep/b.onnx", "odd.onnx"))
    assert lb.audit([names[0]], jobs=1).files == {"scanned": 1}  # a name of the report can be given again
    assert lb.audit([f"file://{models}"], jobs=1).files == {"scanned": 4}


def test_data_beside_a_model_in_an_archive(tmp_path):
    from onnx import load, save

    model = load(wrapped(tmp_path / "a.onnx", lb.op("focus")))
    save(model, tmp_path / "b.onnx", save_as_external_data=True, location="b.data", size_threshold=0)
    for names, status in ((("b.onnx", "b.data"), "scanned"), (("b.onnx",), "unusable")):
        with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
            for name in names:
                archive.write(tmp_path / name, f"inside/{name}")
        found = lb.audit([str(tmp_path / "m.zip")], jobs=1)
        assert found.files == {status: 1}, found.failed
        assert all(f"zip://inside/b.onnx::{tmp_path / 'm.zip'}" in message for _, message in found.failed)


def test_a_file_named_itself_may_have_any_ending(models, tmp_path):
    (tmp_path / "model.bin").write_bytes((models / "a.onnx").read_bytes())
    found = lb.audit([str(models / "a.onnx"), str(tmp_path / "model.bin")], jobs=1)
    assert found.files == {"scanned": 1, "unusable": 1}


@pytest.mark.parametrize("targets", [["nowhere"], [""], ["nosuch://x/y"], ["zip://::nowhere.zip"], ["s3://\0"]])
def test_targets_that_cannot_be_reached(targets):
    with pytest.raises(UnusableInputError):
        lb.audit(targets, jobs=1)


def test_folders_without_models(tmp_path):
    (tmp_path / "a.txt").touch()
    with pytest.raises(UnusableInputError, match=r"no model in .*1 files \.txt"):
        lb.audit([str(tmp_path)], jobs=1)


def test_options_that_do_not_fit(models, tmp_path):
    for options in ({"jobs": 0}, {"seconds": 0}, {"seconds": float("nan")}, {"jobs": 1, "scheduler": "tcp://a:1"}):
        with pytest.raises(ParameterError):
            lb.audit([str(models)], **options)
    with pytest.raises(ParameterError, match="parquet"):
        lb.audit([str(models)], tmp_path / "r.csv", jobs=1)


def test_links_that_lead_in_circles(models):
    (models / "deep" / "up").symlink_to(models)
    assert lb.audit([str(models)], jobs=1).files["scanned"] == 4


# ---------------------------------------------------------------------- one file, and the others


def test_pipes_are_left_alone(models, tmp_path):
    folder = tmp_path / "m"
    folder.mkdir()
    os.mkfifo(folder / "pipe.onnx")
    os.symlink("pipe.onnx", folder / "link.onnx")
    os.symlink(models / "a.onnx", folder / "model.onnx")
    found = lb.audit([str(folder)], seconds=60)
    assert found.files == {"scanned": 1} and found.others == {"pipe or device": 2}
    with pytest.raises(lb.LayoutBridgeError, match="it is a pipe or a device"):
        lb.audit([str(folder / "pipe.onnx")])


PROGRAM = "import layoutbridge as lb; print(lb.audit(['{}']).files['scanned'])"


@pytest.mark.sample(1)
@pytest.mark.parametrize("how", ["file", "standard input", "-c"])
def test_a_program_without_a_guard(how, models, tmp_path):
    program = PROGRAM.format(models / "a.onnx")
    (tmp_path / "program.py").write_text(program)
    called = {"file": ["program.py"], "standard input": ["-"], "-c": ["-c", program]}[how]
    done = subprocess.run(
        [sys.executable, *called], input=program, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_a_file_that_takes_too_long_costs_itself_alone(models, tmp_path):
    long_one(models / "long.onnx")
    found = lb.audit([str(models)], tmp_path / "r.parquet", jobs=1, seconds=2)
    assert found.files == {"scanned": 4, "timed out": 1}
    assert [(Path(file).name, "2 seconds" in message) for file, message in found.failed] == [("long.onnx", True)]


@pytest.mark.slow
def test_a_process_that_is_killed_costs_one_file(models):
    long_one(models / "deep" / "long.onnx")
    ended = threading.Event()

    def kill():
        """End the process that works, again and again: files that it only holds are tried once more alone."""
        while not ended.wait(0.2):
            for child in psutil.Process().children(recursive=True):
                if busy(child) > 1.0:
                    child.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        found = lb.audit([str(models)], jobs=1)
    finally:
        ended.set()
        killer.join()
    assert found.files == {"scanned": 4, "crashed": 1}, found.failed
    assert [(Path(file).name, "SIGKILL" in message) for file, message in found.failed] == [("long.onnx", True)]


def busy(process):
    """The seconds that a process has worked since it was forked; nothing for one that came from elsewhere, or ended."""
    try:
        told = process.cmdline()
        return process.cpu_times().user if any("forkserver" in word for word in told) else 0.0
    except psutil.Error:
        return 0.0


# ---------------------------------------------------------------------- going on


def test_an_interrupted_audit_goes_on(models, tmp_path):
    for seed in range(30):
        wrapped(models / f"more{seed:02}.onnx", lb.op("space_to_depth"), seed=seed + 10)
    lb.audit([str(models)], tmp_path / "whole.parquet", jobs=1)
    output, seen = tmp_path / "r.parquet", []

    def interrupt(done, total):
        seen.append(done)
        if done >= 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lb.audit([str(models)], output, jobs=1, progress=interrupt)
    assert not output.exists()
    journal = Path(f"{output}{ENDING}")
    assert journal.exists()
    with journal.open("ab") as file:
        file.write(b'{"file": "torn')  # as by a process that was killed while it wrote
    changed = wrapped(models / "a.onnx", lb.op("channel_shuffle"), seed=99)
    os.utime(changed, (1, 1))
    again = []
    found = lb.audit([str(models)], output, jobs=1, progress=lambda done, total: again.append(done))
    assert again[0] == seen[-1] - 1  # all but the one that has changed
    assert found.files == {"scanned": 34}
    assert not journal.exists()
    names = {Path(row["file"]).name: row["names"] for row in rows_of(output)}
    assert names["a.onnx"] == ["channel_shuffle"]
    same = [row for row in rows_of(output) if not row["file"].endswith("a.onnx")]
    assert same == [row for row in rows_of(tmp_path / "whole.parquet") if not row["file"].endswith("a.onnx")]


@pytest.mark.slow
def test_a_killed_command_goes_on(models, tmp_path):
    long_one(models / "zz.onnx")
    output = tmp_path / "r.parquet"
    command = [sys.executable, "-c", CHILD, "audit", str(models), "-o", str(output), "--jobs", "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    journal = Path(f"{output}{ENDING}")
    limit = time.monotonic() + 60
    while time.monotonic() < limit and not (journal.exists() and b"odd.onnx" in journal.read_bytes()):
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    seen = []
    found = lb.audit([str(models)], output, jobs=1, progress=lambda done, total: seen.append(done))
    assert seen[0] == 4  # what was done is not done again
    assert found.files == {"scanned": 5}


def test_a_file_in_the_journals_place(models, tmp_path):
    other = tmp_path / f"r.parquet{ENDING}"
    other.write_text("mine\n")
    with pytest.raises(UnusableInputError, match="no part of an audit"):
        lb.audit([str(models)], tmp_path / "r.parquet", jobs=1)
    assert other.read_text() == "mine\n"
    with pytest.raises(UnusableInputError, match="cannot write"):
        lb.audit([str(models)], tmp_path / "missing" / "r.parquet", jobs=1)


def test_two_audits_into_one_report(models, tmp_path):
    output = tmp_path / "r.parquet"

    def second(done, total):
        if done == 0:
            with pytest.raises(UnusableInputError, match="another audit"):
                lb.audit([str(models)], output, jobs=1)

    assert lb.audit([str(models)], output, jobs=1, progress=second).files == {"scanned": 4}


def test_targets_may_be_one_or_several_of_any_kind_of_path(tmp_path):
    lb.export(lb.op("focus"), "onnx", tmp_path / "focus.onnx", shape=(1, 4, 8, 8))
    for targets in (tmp_path, str(tmp_path), [tmp_path], (str(tmp_path),)):
        assert lb.audit(targets, jobs=1).files == {"scanned": 1}
    for wrong in (3, [3], None, [None]):
        with pytest.raises(ParameterError, match="an audit takes paths and addresses, not"):
            lb.audit(wrong)
