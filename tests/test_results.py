"""What results print as: a line or a few, with the verdict; what `dir` lists: the public names."""

import numpy as np
import pytest

import layoutbridge as lb
from layoutbridge.darknet.ports.check import check_network
from layoutbridge.errors import ParameterError, PatternError, UnknownNameError

NET = "fixtures/nets/alexey/passthrough/net.cfg"
LONGEST = 400  # characters


@pytest.mark.parametrize("module", [lb, lb.darknet])
def test_dir_lists_the_public_names_alone(module):
    assert dir(module) == sorted(module.__all__)
    assert all(getattr(module, name) is not None for name in dir(module))


def test_operations_are_proved_by_name():
    assert lb.prove("darknet_reorg3d", "space_to_depth").for_all_sizes
    assert lb.prove("pixel_unshuffle(stride=3) then inverse(pixel_unshuffle)", "identity", stride=3).equal
    assert lb.prove(lb.op("focus"), "c (h p:s) (w q:s) -> (q p c) h w, s=2").equal
    assert not lb.prove("darknet_reorg", "space_to_depth", stride=3)
    assert lb.prove("channel_shuffle", "channel_shuffle", groups=3).equal
    for wrong, error, told in (
        (("fokus", "focus"), UnknownNameError, "focus"),
        (("a b ->", "focus"), PatternError, "a b"),
        ((3, "focus"), PatternError, "two Rearrangements"),
    ):
        with pytest.raises(error, match=told):
            lb.prove(*wrong)
    with pytest.raises(ParameterError, match="prove: no entry in them takes groups"):
        lb.prove("focus", "space_to_depth", groups=2)
    with pytest.raises(ParameterError, match="prove: focus takes no strid; it takes stride"):
        lb.prove("focus", lb.op("space_to_depth"), strid=2)


def test_proofs():
    assert str(lb.prove("focus", "focus")) == "the same for all sizes"
    told = str(lb.prove("focus", "space_to_depth"))
    assert told.startswith("not the same: input [1, 2, 2]: the result's element ")


def test_tables_and_identifications():
    table = lb.op("darknet_reorg").table((4, 4, 4))
    assert str(lb.factorize(table)).count("->") == 1
    assert "is read" in str(lb.factorize(np.zeros(4, int))) or "repeat" in str(lb.factorize(np.zeros(4, int)))
    assert str(lb.identify(table, (4, 4, 4))) == "darknet_reorg (stride 2), at [4, 4, 4]"
    assert str(lb.identify(lambda x: x * 2, (1, 4, 4, 4))).startswith("changes values")


def test_verifications_scans_and_checks():
    assert str(lb.verify(["numpy"], ["focus"], strides=(2,))).endswith("in 1 frameworks: all hold")
    scan = str(lb.scan(NET))
    assert scan.startswith("net.cfg (Darknet, 9 nodes): 1 place:\n0: layer 4 (reorg): darknet_reorg")
    assert len(scan) < LONGEST


def test_checks():
    pytest.importorskip("onnxruntime")
    net = lb.darknet.load(NET, NET.replace(".cfg", ".weights"))
    assert str(check_network(net.network, net.parameters, ["onnx"])) == "net.cfg (alexey, 9 layers): onnx equal"


def test_rewrites_comparisons_and_checkpoints(tmp_path):
    pytest.importorskip("onnxruntime")
    model = lb.emit(lb.op("darknet_reorg"), "onnx", shape=(1, 64, 8, 8), native=False)
    assert str(lb.rewrite(model, max_rank=6)) == "nothing to rewrite"
    assert " bytes moved" in str(lb.rewrite(model, fix={0: "space_to_depth"}))
    right = str(lb.compare(model, model))
    assert right.endswith("within 5e-05") and len(right) < LONGEST
    other = lb.emit(lb.op("space_to_depth"), "onnx", shape=(1, 64, 8, 8))
    wrong = str(lb.compare(model, other))
    assert "differs from" in wrong and len(wrong) < LONGEST
    lb.export(lb.op("focus"), "onnx", tmp_path / "focus.onnx", shape=(1, 4, 8, 8))
    assert str(lb.audit(tmp_path, jobs=1)) == "files: 1 scanned; 1 place, 0 of them suspicious"
