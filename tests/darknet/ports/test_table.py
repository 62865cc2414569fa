"""The table of targets: whole records, whose names and endings do not meet; the command line starts without them."""

import inspect
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

from layoutbridge.cli.commands.exports.export import export
from layoutbridge.darknet.networks.network import DarknetNetwork
from layoutbridge.darknet.ports.onnx import write_onnx
from layoutbridge.darknet.ports.port import Export
from layoutbridge.darknet.ports.table import TARGETS, WRITTEN_FOR, form_names, full_name, port, ports, runner
from layoutbridge.errors import MissingFrameworkError, UnknownNameError
from layoutbridge.frameworks.framework import options_of
from tests.darknet_files import ROOT, built

EVERY = pytest.mark.parametrize("name", WRITTEN_FOR)
SHARED = {"progress", "sources", "tuned"}  # what a writer is given beside a user's choices
NOT_ON_THE_COMMAND_LINE = {("torch", "state_dict")}


@EVERY
def test_a_record_is_whole(name):
    record = port(name)
    assert record.name == name
    assert record.title
    assert record.endings
    assert all(ending == "" or ending.startswith(".") for ending in record.endings)
    assert {*record.without_outputs} <= {*record.endings}
    assert [*inspect.signature(record.write).parameters][:3] == ["network", "parameters", "path"]
    assert {"head", "every_layer"} <= {*options_of(record.write)}
    assert (record.runner is not None) == (name in TARGETS)
    assert record.runner is None or 0 < record.runner.tolerance < 1
    for kind, form in record.forms.items():
        assert form is runner(f"{name}-{kind}")
        assert form.heading
        assert form.package == record.runner.package
        assert form.tolerance >= record.runner.tolerance
        assert kind in options_of(record.write), "what is checked can be written, too"


@EVERY
def test_the_command_line_has_every_option(name):
    taken = set(inspect.signature(export).parameters)
    for option in {*options_of(port(name).write)} - SHARED:
        assert option in taken or (name, option) in NOT_ON_THE_COMMAND_LINE, option


@EVERY
def test_an_extra_brings_the_package(name):
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    package = {"keras": "tensorflow", "coreml": "coremltools"}.get(name)
    package = port(name).runner.package if package is None else package
    bringing = [extra for extra, held in extras.items() if any(line.split(">")[0] == package for line in held)]
    assert bringing
    assert any(extra in extras["all"][0] for extra in bringing)


def test_names_endings_and_runtimes_do_not_meet():
    endings = [ending for record in ports() for ending in record.endings]
    runtimes = [runtime for record in ports() for runtime in record.runtimes]
    for values in (WRITTEN_FOR, endings, runtimes):
        assert len(values) == len({*values})
    assert full_name("pytorch") == "torch"
    assert runner("tensorflow") is port("keras").runner
    assert form_names("winograd") == ("onnx-winograd", "tflite-winograd", "openvino-winograd")
    with pytest.raises(UnknownNameError, match=f"written for {', '.join(WRITTEN_FOR)}, not for 'caffe'"):
        port("caffe")


def test_files_beside():
    assert port("onnx").beside(Path("a/net.onnx")) == (
        Path("a/net.onnx.data"),
        Path("a/config_infer_primary_net.txt"),
        Path("a/labels_net.txt"),
    )
    assert port("torch").beside(Path("net.pt2")) == (Path("net.safetensors"),)
    assert port("ncnn").beside(Path("net.param")) == (Path("net.bin"), Path("net.json"))
    assert port("openvino").beside(Path("net.xml")) == (Path("net.bin"),)
    assert port("keras").beside(Path("net")) == ()
    assert Export(path=Path("a"), outputs={}).files == (Path("a"),)


def test_core_ml_needs_its_extra(tmp_path):
    if find_spec("coremltools") is not None:
        pytest.skip("coremltools is installed")
    network = built("[net]\nwidth=4\nheight=4\nchannels=1\n[maxpool]\nsize=2\nstride=2\n")
    with pytest.raises(MissingFrameworkError, match=r"coremltools is not installed: pip install .*\[coreml\]"):
        port("coreml").write(network, {}, tmp_path / "net.mlpackage")


def test_an_unknown_option_is_refused():
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        write_onnx(None, {}, "net.onnx", colour="red")
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        DarknetNetwork.to_ncnn(None, "net.param", colour="red")


def test_the_command_line_starts_without_them():
    """Names, help and completion need the table alone."""
    heavy = ("numpy", "onnx", "torch", "keras", "tensorflow", "ncnn", "openvino", "coremltools")
    program = (
        "import sys, layoutbridge.cli, layoutbridge.darknet.ports.table\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "[]\n"
