"""The check of a network in every target at once."""

import dataclasses
import functools
import importlib.metadata
import io
import json
import re
import subprocess
import sys
import weakref
import zipfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from layoutbridge.darknet import load
from layoutbridge.darknet.ports.check import check_network, check_runners
from layoutbridge.darknet.ports.port import Runner
from layoutbridge.darknet.ports.table import TARGETS, form_names, runner
from layoutbridge.darknet.reference.recorded import read_recorded
from layoutbridge.errors import (
    MissingFrameworkError,
    ParameterError,
    ShapeError,
    UnknownNameError,
    UnsupportedError,
    UnusableInputError,
)
from layoutbridge.report.darknet.networks import show_check
from tests.command_line import refused, run
from tests.darknet_files import NETS, made
from tests.targets import EVERY_FORM, EVERY_TARGET, FORMS, KINDS

needs_onnx = pytest.mark.skipif(find_spec("onnxruntime") is None, reason="onnxruntime not installed")
ABSENT = [each.values[0] for each in (*EVERY_TARGET, *EVERY_FORM) if each.marks[0].args[0]]
needs_all = pytest.mark.skipif(bool(ABSENT), reason=f"cannot run: {', '.join(ABSENT)}")
CFG, WEIGHTS = (str(NETS / "pjreddie" / "passthrough" / name) for name in ("net.cfg", "net.weights"))


def passthrough():
    return load(CFG, WEIGHTS, flavor="pjreddie")


@functools.cache
def checked_in_all(tolerance=None):
    net = passthrough()
    runners = {name: runner(name) for name in (*TARGETS, *FORMS)}
    return check_runners(net.network, net.parameters, runners, optional=runners, tolerance=tolerance)


@pytest.mark.slow
@needs_all
def test_all_targets_and_forms_are_checked():
    net = passthrough()
    checked = check_network(net.network, net.parameters, forms=KINDS)
    assert checked.ok
    assert [target.name for target in checked.targets] == [*TARGETS, *FORMS]
    assert all(set(row.deviations) == {*TARGETS, *FORMS} for row in checked.rows)


@pytest.mark.sample(1, slow=1)
@pytest.mark.parametrize("name", [*EVERY_TARGET, *EVERY_FORM])
def test_every_installed_target_holds_every_layer(name):
    checked = checked_in_all()
    (target,) = (target for target in checked.targets if target.name == name)
    assert target.status == "equal"
    assert target.version == importlib.metadata.version(runner(name).package)
    deviations = [row.deviations[name] for row in checked.rows]
    assert max(deviations) <= runner(name).tolerance
    if name.endswith("-half"):
        assert 1e-5 < max(deviations) < 1e-2, "float16 shows"


def off_from(index, by=1e-3):
    """A runner whose layers are off by a share of their largest value from `index` on."""

    def runs(network, parameters, x, every_layer):
        outputs = runner("onnx").run(network, parameters, x, every_layer)
        return [output + (by * np.abs(output).max() if k >= index else 0) for k, output in enumerate(outputs)]

    return Runner(runs, runs, "numpy")


@needs_onnx
def test_the_first_layer_to_diverge_is_named_with_its_target():
    net = passthrough()
    runners = {"onnx": runner("onnx"), "late": off_from(6), "early": off_from(4)}
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


@pytest.mark.slow
@needs_all
def test_the_table_marks_the_first_layer(capfd):
    code, out, err = run(capfd, "check", CFG, WEIGHTS, "--flavor", "pjreddie", "--targets", "onnx,torch", "--half",
                         "--tolerance", "1e-5")  # fmt: skip
    lines = out.splitlines()
    assert (code, err) == (1, "")
    assert lines[0].split() == ["layer", "largest", "onnx", "torch", "half", "lth", "ovh", "float32"]
    assert lines[1].startswith("0 conv <- first ")
    assert sum("<- first" in line for line in lines) == 1
    assert "diverges first at 0_convolutional (cfg line 8), in onnx-half, tflite-half, openvino-half: " in out
    for line in lines[1:10]:
        starred = [cell.startswith("*") for cell in line.replace("<- first", "").split()[2:]]
        assert starred == [False, False, False, True, True, True, False], "which are over is told without colors"
    told = {line.split()[0]: line.split()[2] for line in lines if " tolerance 1e-5" in line}
    assert told == {"onnx": "equal:", "torch": "equal:"} | dict.fromkeys(form_names("half"), "differs:")
    brief = run(capfd, "check", CFG, WEIGHTS, "--flavor", "pjreddie", "--targets", "onnx", "--brief")[1]
    assert brief.splitlines()[0].startswith("onnx ")


def shown(checked, width):
    console = Console(file=io.StringIO(), width=width, emoji=False)
    show_check(console, checked, every_layer=True)
    return console.file.getvalue().splitlines()


@needs_onnx
def test_each_target_tells_its_first_layer():
    net = passthrough()
    checked = check_runners(net.network, net.parameters, {"late": off_from(6), "early": off_from(4)})
    lines = shown(checked, 200)
    first = {
        line.split()[0]: line.partition("first over at ")[2].partition(",")[0] for line in lines if "differs" in line
    }
    assert first == {"late": "6_convolutional (cfg line 41)", "early": "4_reorg (cfg line 35)"}


@pytest.mark.sample(slow=1)
@needs_all
@pytest.mark.parametrize("tolerance", [None, 1e-7])
def test_the_table_fits_80_columns(tolerance):
    """One line a layer, with every target and form; what does not fit is left out, never folded or cut."""
    checked = checked_in_all(tolerance)
    lines = shown(checked, 80)
    targets = [target.heading or target.name for target in checked.targets]
    assert [heading for heading in lines[0].split() if heading not in {"layer", "largest", "float32"}] == targets
    table = lines[1 : 1 + len(checked.rows)]
    assert max(map(len, lines[:10])) <= 80
    assert [line.split()[:2] for line in table][1:3] == [["1", "conv"], ["2", "route"]]
    assert {len(line.split()) for line in table} == {1 + len(lines[0].split())}
    assert (table[0].split()[1] == "conv<") == (tolerance is not None)
    assert not any("\u2026" in line for line in lines)
    digits = dataclasses.replace(checked, targets=checked.targets[:8])
    assert re.search(r"[0-9]\.[0-9]e-", shown(digits, 80)[1]), "two digits where they fit"
    few = dataclasses.replace(checked_in_all(), targets=checked_in_all().targets[:6])
    assert shown(few, 80)[0].split()[1] == "largest"


@needs_onnx
def test_one_targets_outputs_are_gone_when_the_next_runs():
    net = passthrough()
    held = []

    class Cycle:
        """As a Keras model is: only a collection frees it."""

    def runs(network, parameters, x, every_layer):
        assert all(kept() is None for kept in held)
        outputs = runner("onnx").run(network, parameters, x, every_layer)
        model = Cycle()
        model.itself, model.outputs = model, outputs
        held.extend([*map(weakref.ref, outputs), weakref.ref(model)])
        return outputs

    one = Runner(runs, runs, "numpy")
    assert check_runners(net.network, net.parameters, {"a": one, "b": one, "c": one}).ok
    assert len(held) == 3 * (1 + len(net.network.layers))


@needs_onnx
def test_a_target_that_is_not_installed_is_told():
    def missing(*_):
        raise MissingFrameworkError("ncnn is not installed: pip install 'layoutbridge[ncnn]'")

    def unsupported(*_):
        raise UnsupportedError("net.cfg, line 3: no such layer there")

    net = passthrough()
    runners = {
        "onnx": runner("onnx"),
        "ncnn": Runner(missing, missing, "ncnn"),
        "other": Runner(unsupported, unsupported, "numpy"),
    }
    checked = check_runners(net.network, net.parameters, runners, optional=runners)
    assert checked.ok
    assert [target.status for target in checked.targets] == ["equal", "missing", "unsupported"]
    assert "[ncnn]" in checked.targets[1].detail
    with pytest.raises(MissingFrameworkError, match="layoutbridge"):
        check_runners(net.network, net.parameters, runners)
    with pytest.raises(UnsupportedError, match="line 3"):
        check_runners(net.network, net.parameters, {"other": runners["other"]})
    with pytest.raises(UnknownNameError, match="caffe"):
        check_network(net.network, net.parameters, ["caffe"])
    with pytest.raises(UnknownNameError, match="no target computes in 'quarter'"):
        check_network(net.network, net.parameters, forms=["quarter"])


def test_the_reference_is_no_target(capfd):
    told = refused(capfd, "check", CFG, WEIGHTS, "--flavor", "pjreddie", "--targets", "onnx,reference")
    assert f"no target is called 'reference'; there is {', '.join(TARGETS)}, onnx-half, " in told


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
        ("openvino", "openvino", "openvino"),
    ],
)
def test_without_a_framework_the_extra_is_told(target, module, extra):
    done = check_without([module], "--targets", target)
    assert done.returncode == 2, done.stderr
    assert f"[{extra}]'" in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr


def check_without(modules, *arguments):
    """In a process of its own, in which the modules cannot be imported."""
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({modules!r}))\n"
        "from layoutbridge.cli import main\n"
        f"sys.exit(main(['check', {CFG!r}, {WEIGHTS!r}, '--flavor', 'pjreddie', *{arguments!r}]))"
    )
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)


@needs_onnx
def test_a_form_asked_for_by_name_must_run():
    for form in ("--half", "--winograd"):
        done = check_without(["onnxruntime"], form)
        assert (done.returncode, done.stdout) == (2, "")
        assert "[onnx]'" in done.stderr
        assert done.stderr.count("\n") == 1, done.stderr
    absent = ["tensorflow", "torch", "openvino", "ncnn", "ai_edge_litert"]
    done = check_without(absent, "--half")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].split() == ["layer", "largest", "onnx", "half"]
    assert "tflite-half: LiteRT is not installed" in done.stdout
    assert check_without(["onnxruntime", *absent]).returncode == 2, "nothing to run at all"
    assert check_without(["onnxruntime", *absent[:-2]]).returncode == 0, "what nobody named is left out"


# ---------------------------------------------------------------------- what is not finite


CHAIN = "[net]\nwidth=4\nheight=4\nchannels=2\n" + 3 * "[convolutional]\nfilters=2\nsize=1\nactivation=linear\n"


@needs_onnx
def test_nan_beside_nan_is_no_agreement(tmp_path, capfd):
    net = made(CHAIN, tmp_path)
    broken = {key: array.copy() for key, array in net.parameters.items()}
    broken[1, "weights"][:] = np.nan
    checked = check_runners(net.network, broken, {"onnx": runner("onnx")})
    assert not checked.ok
    assert [row.not_finite for row in checked.rows] == [(), ("reference", "onnx"), ("reference", "onnx")]
    assert [row.over for row in checked.rows] == [(), ("onnx",), ("onnx",)]
    assert (checked.targets[0].status, checked.targets[0].first_over) == ("not finite", 1)
    record = json.loads(checked.to_json())
    assert (record["ok"], record["not_finite"]) == (False, ["1_convolutional", "2_convolutional"])
    assert record["rows"][1]["deviations"] == {"onnx": None}
    told = "\n".join(shown(checked, 200))
    where = "1_convolutional (cfg line 9), 2_convolutional (cfg line 13)"
    assert f"NaN or infinity in reference at {where}\nNaN or infinity in onnx at {where}\n" in told
    assert "not finite first at 1_convolutional (cfg line 9)" in told
    assert "rounding" not in told


@needs_onnx
def test_a_target_alone_that_is_not_finite_is_named(tmp_path, capfd):
    text = CHAIN.replace("activation=linear", "activation=relu")
    net = made(text, tmp_path)
    parameters = {key: np.full(array.shape, 1e30, np.float32) for key, array in net.parameters.items()}
    data = np.concatenate([parameters[key].ravel() for key in parameters])
    (tmp_path / "large.weights").write_bytes((tmp_path / "net.weights").read_bytes()[:20] + data.tobytes())
    code, out, err = run(
        capfd, "check", str(tmp_path / "net.cfg"), str(tmp_path / "large.weights"), "--targets", "onnx"
    )
    assert (code, err) == (1, "")
    assert "NaN or infinity in onnx at 1_convolutional" in out
    assert "in reference" not in out


@needs_onnx
def test_what_an_l2norm_divides_is_as_in_darknet(tmp_path):
    """NaN where every channel is 0 is told and agrees; a layer that holds nothing else agrees with nothing."""
    text = CHAIN.replace("activation=linear", "activation=relu", 1) + "[l2norm]\n[dropout]\n"
    net = made(text, tmp_path, "pjreddie")
    parameters = {key: np.ones_like(array) for key, array in net.parameters.items()} | {
        (index, "biases"): np.zeros(2, np.float32) for index in range(3)
    }
    x = np.ones((1, 2, 4, 4), np.float32)
    x[..., 1:] = 0
    checked = check_runners(net.network, parameters, {"onnx": runner("onnx")}, x=x)
    assert checked.ok
    assert [row.not_finite for row in checked.rows] == [(), (), (), *2 * [("reference", "onnx")]]
    assert "NaN as in Darknet, where an l2norm divides 0 by 0, at 3_l2norm (cfg line 17), 4_dropout" in "".join(
        shown(checked, 200)
    )
    checked = check_runners(net.network, parameters, {"onnx": runner("onnx")}, x=0 * x)
    assert (checked.ok, checked.targets[0].status, checked.first_over) == (False, "not finite", checked.rows[3])
    with_numbers = dataclasses.replace(
        runner("onnx"), run=lambda *given: [np.nan_to_num(y) for y in runner("onnx").run(*given)]
    )
    assert not check_runners(net.network, parameters, {"zeros": with_numbers}, x=x).ok


# ---------------------------------------------------------------------- recorded outputs

RECORDED = str(NETS / "pjreddie" / "passthrough" / "outputs.npz")


@needs_onnx
@pytest.mark.parametrize("name", ["pjreddie/passthrough", "alexey/residual", "alexey/connected", "alexey/antialias"])
def test_recorded_outputs_of_darknet(name):
    folder = NETS / name
    net = load(folder / "net.cfg", folder / "net.weights", flavor=name.partition("/")[0])
    recorded = read_recorded(folder / "outputs.npz", net.network)
    checked = check_runners(net.network, net.parameters, {"onnx": runner("onnx")}, tolerance=1e-5, against=recorded)
    assert checked.ok
    assert checked.against == "outputs.npz"
    assert [target.name for target in checked.targets] == ["reference", "onnx"]
    assert all(0 <= row.deviations["reference"] <= 1e-5 for row in checked.rows)
    assert max(row.deviations["reference"] for row in checked.rows) > 0, "Darknet rounds to float32"


@needs_onnx
def test_recorded_outputs_tell_the_flavor(capfd):
    arguments = ("check", CFG, WEIGHTS, "--targets", "onnx", "--against", RECORDED)
    code, out, err = run(capfd, *arguments, "--flavor", "pjreddie")
    assert (code, err) == (0, "")
    assert out.splitlines()[0].split() == ["layer", "largest", "reference", "onnx"]
    assert "equal: the reference and the target hold all 9 layers against the recorded outputs.npz" in out
    code, out, _ = run(capfd, *arguments)
    assert code == 1
    assert "diverges first at 8_region (cfg line 57), in reference, onnx" in out
    record = json.loads(run(capfd, *arguments, "--json")[1])
    assert (record["against"], record["first_over"]) == ("outputs.npz", "8_region")


@needs_onnx
def test_a_recorded_layer_that_is_another_is_found(tmp_path):
    net = passthrough()
    with np.load(RECORDED) as held:
        arrays = {key: held[key][None] for key in held.files}  # a batch of one
    arrays["layer03"] = arrays["layer03"] * np.float32(1.01)
    np.savez(tmp_path / "other.npz", **arrays)
    recorded = read_recorded(tmp_path / "other.npz", net.network)
    checked = check_runners(net.network, net.parameters, {"onnx": runner("onnx")}, against=recorded)
    assert [row.index for row in checked.rows if row.over] == [3]
    assert checked.rows[3].over == ("reference", "onnx")


def test_wrong_recorded_files_are_one_line(capfd, tmp_path):
    with np.load(RECORDED) as held:
        arrays = dict(held)
    files = {
        "there is no file of recorded outputs": None,
        "it is no zip archive": b"input",
        "is no whole npz of recorded outputs": Path(RECORDED).read_bytes()[:400],
        "has no array 'input'": {key: value for key, value in arrays.items() if key != "input"},
        "has no array 'layer08'": {key: value for key, value in arrays.items() if key != "layer08"},
        "records 10 layers, and net.cfg has 9": arrays | {"layer09": arrays["layer08"]},
        "has an input [3, 4], and net.cfg takes [3, ": arrays | {"input": np.zeros((3, 4))},
        "has layer02 [3], and layer 2_route of net.cfg gives [1, ": arrays | {"layer02": np.zeros(3)},
        "holds <U1 as layer01": arrays | {"layer01": np.array("a")},
        "holds object as layer01": arrays | {"layer01": np.array([None])},
    }
    for said, content in files.items():
        path = tmp_path / ("none.npz" if content is None else "given.npz")
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif content is not None:
            np.savez(path, **content)
        arguments = ("check", CFG, WEIGHTS, "--flavor", "pjreddie", "--targets", "onnx", "--against", str(path))
        assert said in refused(capfd, *arguments)
    assert "it is a folder" in refused(capfd, *arguments[:-1], str(tmp_path))


def test_recorded_files_that_take_far_more_than_their_size_are_refused(tmp_path, monkeypatch):
    network = passthrough().network
    with np.load(RECORDED) as held:
        arrays = dict(held)
    path = tmp_path / "a.npz"
    many = {key: np.zeros((3000, *array.shape), np.uint8) for key, array in arrays.items()}
    np.savez_compressed(path, **many)  # a batch of 3,000
    monkeypatch.setenv("LAYOUTBRIDGE_MEGABYTES", "1")
    with pytest.raises(UnusableInputError, match=r"MB of memory .*LAYOUTBRIDGE_MEGABYTES="):
        read_recorded(path, network)
    monkeypatch.delenv("LAYOUTBRIDGE_MEGABYTES")
    assert len(read_recorded(path, network).input) == 3000


@pytest.mark.parametrize("shape", ["(1000000000000,)", "(-1,)", "(3,)", "(2**70,)", "(1, " * 3000])
def test_a_recorded_array_whose_header_lies_is_refused(tmp_path, shape):
    network = passthrough().network
    with np.load(RECORDED) as held:
        np.savez(tmp_path / "a.npz", **{key: held[key] for key in held.files})
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode()
    with (
        zipfile.ZipFile(tmp_path / "a.npz") as whole,
        zipfile.ZipFile(tmp_path / "b.npz", "w") as changed,
    ):
        for name in whole.namelist():
            lie = b"\x93NUMPY\2\0" + len(header).to_bytes(4, "little") + header + bytes(16)
            changed.writestr(name, lie if name == "layer03.npy" else whole.read(name))
    with pytest.raises(UnusableInputError, match=r"is no \.npz of recorded outputs") as caught:
        read_recorded(tmp_path / "b.npz", network)
    assert "\n" not in str(caught.value)


def test_next_to_nothing_where_the_reference_has_nothing_is_equal(tmp_path):
    """ncnn's exponential ends before float32 does: 1e-38 for the logistic of −1000, and its 2σ(0) − 1 is −6e-8."""
    net = made("[net]\ninputs=2\n[activation]\nactivation=relu\n", tmp_path)
    for given, equal in ((1e-38, True), (-6e-8, True), (1e-3, False)):
        runs = lambda network, parameters, x, every, given=given: [np.full(x.shape, given, np.float32)]  # noqa: E731
        x = np.full((1, 2), -1, np.float32)
        assert check_runners(net.network, net.parameters, {"it": Runner(runs, runs, "numpy")}, x=x).ok is equal
