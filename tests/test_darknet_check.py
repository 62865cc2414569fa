"""The check of a network in every target at once."""

import json
import subprocess
import sys

import numpy as np
import pytest

from layoutbridge.darknet import load
from layoutbridge.darknet.check import check_network, check_runners
from layoutbridge.darknet.runners import FORMS, TARGETS, Runner, runner_named
from layoutbridge.errors import MissingFrameworkError, ParameterError, ShapeError, UnknownNameError, UnsupportedError
from tests.command_line import run
from tests.darknet_files import NETS

pytest.importorskip("onnxruntime")
CFG, WEIGHTS = (str(NETS / "pjreddie" / "passthrough" / name) for name in ("net.cfg", "net.weights"))


def passthrough():
    return load(CFG, WEIGHTS, flavor="pjreddie")


def test_every_installed_target_holds_every_layer():
    net = passthrough()
    checked = check_network(net.network, net.parameters, forms=list(FORMS))
    assert [target.name for target in checked.targets] == [*TARGETS, *FORMS]
    assert {target.status for target in checked.targets} == {"equal"}
    assert checked.ok
    assert all(set(row.deviations) == {*TARGETS, *FORMS} for row in checked.rows)
    half = [row.deviations["onnx-half"] for row in checked.rows]
    assert 1e-5 < max(half) < 1e-2, "float16 shows"


def off_from(index, by=1e-3):
    """A runner whose layers are off by a share of their largest value from `index` on."""

    def runs(network, parameters, x, every_layer):
        outputs = runner_named("onnx").run(network, parameters, x, every_layer)
        return [output + (by * np.abs(output).max() if k >= index else 0) for k, output in enumerate(outputs)]

    return Runner(runs, "numpy")


def test_the_first_layer_to_diverge_is_named_with_its_target():
    net = passthrough()
    runners = {"onnx": TARGETS["onnx"], "late": off_from(6), "early": off_from(4)}
    checked = check_runners(net.network, net.parameters, runners)
    assert not checked.ok
    assert checked.first_over is checked.rows[4]
    assert checked.rows[4].over == ("early",)
    assert checked.rows[6].over == ("late", "early")
    assert [(target.status, target.first_over) for target in checked.targets] == [
        ("equal", None),
        ("differs", 6),
        ("differs", 4),
    ]
    assert all((row.rounding is not None) == bool(row.over) for row in checked.rows)
    record = json.loads(checked.to_json())
    assert (record["ok"], record["first_over"]) == (False, "4_reorg")
    assert record["targets"][1]["first_over"] == "6_convolutional"
    assert record["rows"][6]["over"] == ["late", "early"]


def test_the_table_marks_the_first_layer(capfd):
    code, out, err = run(capfd, "check", CFG, WEIGHTS, "--flavor", "pjreddie", "--targets", "onnx,torch", "--half",
                         "--tolerance", "1e-5")  # fmt: skip
    lines = out.splitlines()
    assert (code, err) == (1, "")
    assert lines[0].split() == ["layer", "largest", "onnx", "torch", "onnx-half", "float32"]
    assert lines[1].startswith("0_convolutional <- first")
    assert sum("<- first" in line for line in lines) == 1
    assert "diverges first at 0_convolutional (cfg line 8), in onnx-half" in out
    assert sum(line.startswith(("onnx 1", "torch ", "onnx-half ")) for line in lines) == 3
    brief = run(capfd, "check", CFG, WEIGHTS, "--flavor", "pjreddie", "--targets", "onnx", "--brief")[1]
    assert brief.splitlines()[0].startswith("onnx ")


def test_a_target_that_is_not_installed_is_told():
    def missing(*_):
        raise MissingFrameworkError("ncnn is not installed: pip install 'layoutbridge[ncnn]'")

    def unsupported(*_):
        raise UnsupportedError("net.cfg, line 3: no such layer there")

    net = passthrough()
    runners = {"onnx": TARGETS["onnx"], "ncnn": Runner(missing, "ncnn"), "other": Runner(unsupported, "numpy")}
    checked = check_runners(net.network, net.parameters, runners, only_installed=True)
    assert checked.ok
    assert [target.status for target in checked.targets] == ["equal", "missing", "unsupported"]
    assert "layoutbridge[ncnn]" in checked.targets[1].detail
    with pytest.raises(MissingFrameworkError, match="layoutbridge"):
        check_runners(net.network, net.parameters, runners)
    with pytest.raises(UnsupportedError, match="line 3"):
        check_runners(net.network, net.parameters, {"other": runners["other"]})
    with pytest.raises(UnknownNameError, match="caffe"):
        check_network(net.network, net.parameters, ["caffe"])


def test_what_is_refused():
    net = passthrough()
    with pytest.raises(ParameterError, match="name at least one target of onnx, torch"):
        check_network(net.network, net.parameters, [])
    for batch in (0, 1.5):
        with pytest.raises(ParameterError, match=f"the batch is a number of at least 1, not {batch}"):
            check_network(net.network, net.parameters, ["onnx"], batch=batch)
    shape = (1, *net.network.in_shape)
    for x in (np.zeros((1, 2)), np.zeros((0, *shape[1:])), np.full(shape, "a")):
        with pytest.raises(ShapeError, match="the input must"):
            check_network(net.network, net.parameters, ["onnx"], x=x)


@pytest.mark.parametrize(
    ("target", "module", "extra"),
    [
        ("onnx", "onnxruntime", "onnx"),
        ("torch", "torch", "torch"),
        ("keras", "tensorflow", "tensorflow"),
        ("tflite", "ai_edge_litert", "litert"),
        ("ncnn", "ncnn", "ncnn"),
    ],
)
def test_without_a_framework_the_extra_is_told(target, module, extra):
    """In a process of its own, in which the module cannot be imported."""
    program = (
        f"import sys; sys.modules[{module!r}] = None\n"
        "from layoutbridge.cli import main\n"
        f"sys.exit(main(['check', {CFG!r}, {WEIGHTS!r}, '--flavor', 'pjreddie', '--targets', {target!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2, done.stderr
    assert f"layoutbridge[{extra}]" in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
