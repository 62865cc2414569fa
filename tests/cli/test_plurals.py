"""One of something is told in the singular."""

import re
import struct

import pytest

from layoutbridge.darknet import load
from layoutbridge.errors import counted
from tests.command_line import run

PLURAL = re.compile(r"(?<![\d.,])1 (?!is\b|has\b|holds\b|axis\b)[a-z]+s\b")
CFG = "[net]\nwidth=4\nheight=4\nchannels=1\n[convolutional]\nfilters=1\nsize=1\nactivation=linear\n"


@pytest.fixture
def network(tmp_path):
    """A network of one layer."""
    (tmp_path / "net.cfg").write_text(CFG)
    (tmp_path / "net.weights").write_bytes(struct.pack("<3iQ2f", 0, 2, 0, 0, 0.5, 0.25))
    return [str(tmp_path / "net.cfg"), str(tmp_path / "net.weights")]


def test_of_networks(network, capfd):
    told = [repr(load(*network)), *run(capfd, "summary", network[0])[1:], *run(capfd, "summary", *network)[1:]]
    assert "1 layer>" in told[0] and re.search(r"\b1 layer, ", told[1]), told
    assert not PLURAL.findall("\n".join(told)), told


def test_of_models(network, capfd, tmp_path):
    pytest.importorskip("onnx", reason="models of one node")
    model, after = str(tmp_path / "op.onnx"), str(tmp_path / "after.onnx")
    assert run(capfd, "export", "nchw_to_nhwc", "--shape", "1,4,4,4", "--to", "onnx", "-o", model)[0] == 0
    told = [*run(capfd, "scan", model)[1:], *run(capfd, "rewrite", model, "-o", after, "--native")[1:]]
    assert "1 node (" in told[0] and "1 place" in told[0], told
    assert not PLURAL.findall("\n".join(told)), told


@pytest.mark.parametrize(("count", "words"), [(0, "0 boxes"), (1, "1 box"), (2000, "2,000 boxes")])
def test_counted(count, words):
    assert counted(count, "box", "boxes", form=",") == words
