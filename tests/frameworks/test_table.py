"""The table of frameworks: every record is whole, and everything that names frameworks takes from it."""

import subprocess
import sys
from pathlib import Path

import pytest

import layoutbridge as lb
from layoutbridge.cli.shared.arguments import target_written
from layoutbridge.errors import ParameterError, UnknownNameError
from layoutbridge.frameworks.framework import options_of
from layoutbridge.frameworks.table import FRAMEWORKS, framework, frameworks, names_of
from tests.command_line import completed, refused, run

RECORDS = pytest.mark.parametrize("record", frameworks(), ids=FRAMEWORKS)
HEAVY = {"torch", "tensorflow", "keras", "onnx", "onnxruntime", "jax"}
ROOMS = Path(lb.__file__).parent / "frameworks"


def test_every_room_with_a_record_is_in_the_table():
    assert {path.parent.name for path in ROOMS.glob("*/record.py")} == set(FRAMEWORKS)
    assert [record.name for record in frameworks()] == list(FRAMEWORKS)


def test_names_are_one_framework_each():
    names = [name for known in FRAMEWORKS for name in names_of(known)]
    assert len(names) == len(set(names))
    assert framework("keras") is framework("tensorflow")
    with pytest.raises(UnknownNameError, match="no framework is called 'caffe'; there are numpy, torch"):
        framework("caffe")


@RECORDS
def test_a_record_says_what_runs_and_in_which_layouts(record):
    if record.installed() is None:
        pytest.skip(f"{record.name} is not installed")
    entries = [lb.op("darknet_reorg"), lb.op("nchw_to_nhwc")]
    runnables = list(record.runnables(2, entries))
    assert {each.framework for each in runnables} == {record.name}
    assert {each.layout for each in runnables} == set(record.layouts)
    assert {each.entry for each in runnables if each.emitted} == {"darknet_reorg", "nchw_to_nhwc"}


@pytest.mark.sample(2)
@RECORDS
def test_what_a_framework_reads_it_wrote(record, tmp_path):
    if record.installed() is None:
        pytest.skip(f"{record.name} is not installed")
    assert set(record.reads) <= set(record.writes)
    operation = lb.op("darknet_reorg")
    for ending in record.writes:
        path = tmp_path / f"model{ending}"
        lb.export(operation, record.name, path, shape=(1, 16, 8, 12))
        assert path.exists()
        if ending in record.reads:
            shape = (1, 8, 12, 16) if "NHWC" in record.layouts else (1, 16, 8, 12)
            assert "darknet_reorg" in lb.identify(path, shape).names


@RECORDS
def test_options_that_a_framework_does_not_take_are_refused_with_those_it_takes(record, tmp_path):
    taken = ", ".join(options_of(record.emit)) or "no options"
    with pytest.raises(ParameterError, match=f"emit for {record.name} takes no 'colour'; it takes {taken}"):
        lb.emit(lb.op("focus"), record.name, colour="red")
    with pytest.raises(ParameterError, match=f"export for {record.name} takes no 'colour'; it takes shape"):
        lb.export(lb.op("focus"), record.name, tmp_path / "model", colour="red")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.sample(2, slow=1)
@RECORDS
def test_the_command_line_writes_for_it_by_name_and_by_ending(record, capfd, tmp_path):
    if record.installed() is None:
        pytest.skip(f"{record.name} is not installed")
    arguments = ("export", "focus", "--shape", "1,3,4,4", "-o")
    for number, ending in enumerate(record.writes):
        path = tmp_path / f"named-{number}{ending}"
        code, out, err = run(capfd, *arguments, str(path), "--to", names_of(record.name)[-1])
        assert (code, out, path.exists()) == (0, "", True), err
        inferred = tmp_path / f"inferred-{number}{ending}"
        if ending:
            code, out, err = run(capfd, *arguments, str(inferred))
            assert (code, out, inferred.exists()) == (0, "", True), err
            assert err.endswith(f"focus (stride 2) for {record.name}\n") or "focus" in err
        else:
            assert "--to is needed" in refused(capfd, *arguments, str(inferred))


def test_options_of_another_framework_are_refused_on_the_command_line(capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for option, value, says in (
        ("--opset", "17", "--opset is for --to onnx, not --to torch"),
        ("--data-format", "channels_first", "--data-format is for --to keras, not --to torch"),
    ):
        assert says in refused(capfd, "export", "focus", "--to", "torch", option, value, "-o", "a.pt2")
    assert "not for tflite" in refused(capfd, "export", "focus", "--to", "tflite", "-o", "a.tflite")
    assert "'a.xyz' tells no target" in refused(capfd, "export", "focus", "-o", "a.xyz")


def test_a_target_is_told_by_an_ending_that_one_alone_has():
    endings = {"first": (".a", ".both"), "second": (".b", ".both", "")}
    assert [target_written(f"x{ending}", endings) for ending in (".a", ".b")] == ["first", "second"]
    for output in ("x.both", "x", "x.c"):
        with pytest.raises(ParameterError, match="--to is needed"):
            target_written(output, endings)


def test_completion_takes_from_the_table():
    assert completed("layoutbridge verify --frameworks ") == list(FRAMEWORKS)
    assert {name for known in FRAMEWORKS for name in names_of(known)} <= {*completed("layoutbridge export --to ")}


@pytest.mark.parametrize("program", ["from layoutbridge.frameworks.table import frameworks; frameworks()",
                                     "from layoutbridge.cli import main; main(['export', '--help'])"])  # fmt: skip
def test_records_and_help_import_no_framework(program):
    script = f"import sys\n{program}\nprint('loaded:', sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.endswith("loaded: []\n"), (done.stdout[-200:], done.stderr)


def test_no_list_of_frameworks_stands_elsewhere():
    """Targets of networks have a table of their own, in darknet/ports."""
    package, others = ROOMS.parent, {name for name in FRAMEWORKS if name != "numpy"}
    for path in package.rglob("*.py"):
        if path.is_relative_to(package / "darknet") or path.is_relative_to(ROOMS):
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            assert sum(f'"{name}"' in line for name in others) < 2, (path, number, line)
