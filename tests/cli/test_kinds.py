"""What help, completion and errors say of the values that options take; a command imports its own module alone."""

import subprocess
import sys

import pytest

from layoutbridge.cli.commands import COMMANDS, application
from layoutbridge.darknet.ports.table import TARGETS
from layoutbridge.darknet.structure.choices import HEADS, NMS_KINDS
from layoutbridge.version import __version__
from tests.command_line import ROOT, completed, refused, run

NET = ("fixtures/nets/alexey/region_logistic/net.cfg", "fixtures/nets/alexey/region_logistic/net.weights")


def test_every_command_is_in_the_table_and_in_its_order(capfd):
    known = [command.name or command.callback.__name__ for command in application().registered_commands]
    assert known == [name for names in COMMANDS.values() for name in names]
    out = run(capfd, "--help")[1]
    assert all(f" {name} " in out for name in known)


def test_a_command_imports_its_own_module_alone():
    script = (
        "import sys\nfrom layoutbridge.cli import main\nmain(['scan', '--help'])\n"
        "print([name for name in sys.modules if name.startswith('layoutbridge.cli.commands.')], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)
    assert done.stderr.strip() == "['layoutbridge.cli.commands.models', 'layoutbridge.cli.commands.models.scan']"


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_the_version(capfd, option):
    assert run(capfd, option) == (0, f"layoutbridge {__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("layoutbridge che", ["check", "checkpoint"]),
        ("layoutbridge check", ["check", "checkpoint"]),
        ("layoutbridge scan a.cfg --flavor ", ["alexey", "pjreddie"]),
        ("layoutbridge export a.cfg --head yolo", ["yolov5", "yolov8"]),
        ("layoutbridge detect a.cfg --nms-kind ", list(NMS_KINDS)),
        ("layoutbridge detect a.cfg --framework on", ["onnx"]),
        ("layoutbridge check a.cfg --targets onnx,openv", ["onnx,openvino"]),
        ("layoutbridge rewrite a.onnx --for rk", ["rknn"]),
        ("layoutbridge export a.cfg --for opencv4", ["opencv45"]),
        ("layoutbridge code focus --data-format channels_l", ["channels_last"]),
    ],
)
def test_values_are_completed(words, expected):
    assert [word for word in completed(words) if word in expected or "," in word or len(expected) > 2] == expected


@pytest.mark.sample(10)
@pytest.mark.parametrize("command", [name for names in COMMANDS.values() for name in names])
def test_help_shows_what_each_value_is(capfd, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "160")
    code, out, err = run(capfd, command, "--help")
    assert (code, err) == (0, "")
    assert f" layoutbridge {command} " in " ".join(out.split()) or f"{command} [OPTIONS]" in out
    for known, listed in (("<head>", HEADS), ("<target>", TARGETS), ("<kind>", NMS_KINDS)):
        if known in out:
            assert all(value in out for value in listed), known


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("scan", NET[0], "--flavor", "x"), "alexey"),
        (("detect", *NET, "a.png", "--threshold", "7"), "--threshold must be from 0 to 1, not 7"),
        (("detect", *NET, "a.png", "--nms", "nan"), "--nms must be from 0 to 1, not nan"),
        (
            ("export", *NET, "-o", "a.onnx", "--head", "boxes", "--nms", "--nms-kind", "greedy"),
            "called 'greedy'; there is",
        ),
        (("detect", *NET, "a.png", "--batch", "0"), "--batch must be between 1 and 2^63 - 1, not 0"),
        (("detect", *NET, "a.png", "--batch", "1.5"), "--batch must be a whole number, not '1.5'"),
        (("export", *NET, "-o", "a.onnx", "--head", "box"), "no head is called 'box'"),
        (("export", *NET, "-o", "a.onnx", "--for", "opencv46x"), "opencv46x"),
        (("compare", "a.onnx", "b.onnx", "--seed", "-1"), "--seed must be between"),
        (("compare", "a.onnx", "b.onnx", "--tolerance", "-1"), "--tolerance must be at least 0, not -1"),
        (("audit", "folder", "--jobs", "0"), "--jobs must be between 1 and 2^63 - 1, not 0"),
        (("rewrite", "a.onnx", "--max-rank", "four"), "--max-rank must be a whole number, not 'four'"),
        (("check", *NET, "--tolerance", "little"), "--tolerance must be a number, not 'little'"),
    ],
)
def test_values_that_do_not_fit(capfd, tmp_path, arguments, told):
    if "a.onnx" in arguments and arguments[0] == "export":
        arguments = [str(tmp_path / word) if word == "a.onnx" else word for word in arguments]
    message = refused(capfd, *arguments)
    assert told in message


def test_errors_point_at_the_command(capfd):
    assert "(layoutbridge scan --help tells more)" in refused(capfd, "scan", "a.onnx", "--shap", "1")
    assert "Did you mean 'scan'? (layoutbridge --help tells more)" in refused(capfd, "scna")
