"""Files of PyTorch's programs: `layoutbridge rewrite`, and files that would run code when PyTorch reads them."""

import io
import json
import pickle
import shlex
import subprocess
import sys
from zipfile import ZipFile

import numpy as np
import pytest

import layoutbridge as lb
from tests.command_line import refused, run

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from tests import torch_ports as ports  # noqa: E402 - only where it is installed
from tests.torch_ports import Net, exported  # noqa: E402


def written(folder):
    parts = {"conv": torch.nn.Conv2d(4, 4, 1), "order": torch.nn.Buffer(torch.arange(4), persistent=False)}
    net = Net(lambda own, x: ports.space_to_depth(own.conv(x)[:, own.order], 2).relu(), **parts)
    path = folder / "the port.pt2"
    torch.export.save(exported(net, torch.randn(2, 4, 4, 6), 0), path)
    return path


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    return written(tmp_path_factory.mktemp("port"))


def test_the_line_to_paste(port, capfd):
    code, out, _ = run(capfd, "scan", str(port), "--expect", "darknet_reorg")
    (line,) = [line.strip() for line in out.splitlines() if "layoutbridge rewrite" in line]
    words = shlex.split(line)
    assert code == 1 and words[-1].endswith("=darknet_reorg")
    code, out, _ = run(capfd, *words[1:], "--json")
    told = json.loads(out)
    assert code == 0 and told["changed"] and told["passes"][0]["pass"] == "fix" and told["deviation"] > 0
    assert list(told) == [
        "changed", "passes", "nodes_before", "nodes_after", "bytes_moved_before", "bytes_moved_after", "deviation",
    ]  # fmt: skip
    fixed = port.with_name("the port.fixed.pt2")
    assert "darknet_reorg" in lb.scan(fixed).places[-1].names
    x = torch.randn(3, 4, 4, 6)
    with torch.no_grad():
        one, two = (torch.export.load(path).module()(x).numpy() for path in (port, fixed))
    undone = lb.op("space_to_depth").inverse()(one)
    assert np.array_equal(two, lb.op("darknet_reorg")(undone))
    fixed.unlink()


def test_words_of_the_command_line(port, capfd):
    before = sorted(port.parent.iterdir())
    code, out, _ = run(capfd, "rewrite", str(port), "--native", "--cancel", "--plan")
    assert code == 0 and "native" in out and sorted(port.parent.iterdir()) == before
    fix = ("--fix", "0=identity")
    assert "must end in .pt2" in refused(capfd, "rewrite", str(port), "-o", str(port.with_suffix(".onnx")), *fix)
    assert "must end in .onnx" in refused(capfd, "rewrite", "net.onnx", "-o", str(port.with_suffix(".pt2")), *fix)
    assert "would overwrite" in refused(capfd, "rewrite", str(port), "-o", str(port), *fix)
    assert "no .pt2 file" in refused(capfd, "rewrite", str(port.with_name("none.pt2")), "--plan", *fix)
    assert "is for ONNX models" in refused(capfd, "rewrite", str(port), "--plan", "--fix-weights", "0=focus")
    text = port.with_name("text.pt2")
    text.write_text("no program")
    assert "no whole .pt2 file" in refused(capfd, "rewrite", str(text), "--plan", *fix)
    text.unlink()


class Runs:
    """What runs code where it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def changed(source, output, change):
    """A copy of an archive whose members `change` may alter: it takes a name and bytes and gives bytes."""
    with ZipFile(source) as before, ZipFile(output, "w") as after:
        for member in before.infolist():
            after.writestr(member.filename, change(member.filename, before.read(member)))
    return output


def in_json(name, content, alter):
    if not name.endswith("/models/model.json"):
        return content
    told = json.loads(content)
    alter(told)
    return json.dumps(told).encode()


def weights_as_pickles(name, content):
    if not name.endswith("weights_config.json"):
        return content
    told = json.loads(content)
    for each in told["config"].values():
        each["use_pickle"] = True
    return json.dumps(told).encode()


def formula(told):
    for tensor in told["graph_module"]["graph"]["tensor_values"].values():
        for length in tensor["sizes"]:
            if length.get("as_expr"):
                length["as_expr"]["expr_str"] = "__import__('os').getpid()"


def target(told):
    told["graph_module"]["graph"]["nodes"][0]["target"] = "torch.hub.load"


def structure(told):
    for entry in told["graph_module"]["module_call_graph"]:
        if entry.get("signature"):
            entry["signature"]["in_spec"] = json.dumps(
                [1, {"context": {"__enum__": True, "fqn": "antigravity:geohash"}}]
            )


@pytest.mark.parametrize(
    ("told", "change"),
    [
        ("a pickle, weight_0", weights_as_pickles),
        ("a formula, __import__", lambda name, content: in_json(name, content, formula)),
        ("a call, torch.hub.load", lambda name, content: in_json(name, content, target)),
        ("a structure", lambda name, content: in_json(name, content, structure)),
    ],
)
def test_what_would_run_code_is_refused(told, change, port, tmp_path):
    path = changed(port, tmp_path / "odd.pt2", change)
    with pytest.raises(lb.LayoutBridgeError, match="reading that may run code") as raised:
        lb.rewrite(path, fix={"view": "darknet_reorg"})
    assert told in str(raised.value)


def test_a_pickle_of_examples_is_not_loaded(port, tmp_path):
    sign = tmp_path / "sign"
    held = io.BytesIO()
    torch.save((Runs(sign),), held, pickle_module=pickle)
    name = "sample_inputs"
    path = changed(port, tmp_path / "odd.pt2", lambda each, old: held.getvalue() if name in each else old)
    with pytest.raises(lb.LayoutBridgeError, match=r"has a pickle, .*sample_inputs.*reading that may run code"):
        lb.rewrite(path, fix={"view": "darknet_reorg"})
    assert not sign.exists()


def test_compiled_code_is_not_loaded(port, tmp_path):
    path = tmp_path / "odd.pt2"
    path.write_bytes(port.read_bytes())
    with ZipFile(path, "a") as archive:
        archive.writestr(f"{archive.namelist()[0].partition('/')[0]}/data/aotinductor/model/a.so", b"\x7fELF")
    with pytest.raises(lb.LayoutBridgeError, match="compiled code"):
        lb.rewrite(path, fix={"view": "darknet_reorg"})


def test_it_is_imported_when_asked_for():
    code = "import sys, layoutbridge as lb; lb.rewrite; lb.Rewrite; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
