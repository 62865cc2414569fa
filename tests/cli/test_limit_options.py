"""`export` within a target's limits: --max-rank, --without and --for, of operations and of networks."""

import pytest

from tests.command_line import refused, run
from tests.darknet_files import NETS

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

YOLO = [str(NETS / "alexey" / "yolo_head" / name) for name in ("net.cfg", "net.weights")]
NET = [str(NETS / "alexey" / "activations_0" / name) for name in ("net.cfg", "net.weights")]


def operators(path):
    return {node.op_type for node in onnx.load(path).graph.node}


def test_an_operation_within_limits(capfd, tmp_path):
    path = tmp_path / "blocks.onnx"
    limits = ["--max-rank", "4", "--without", "SpaceToDepth,Gather, Einsum"]
    code, _, told = run(capfd, "export", "space_to_depth", "--shape", "N,8,4,6", *limits, "-o", str(path))
    assert (code, told) == (0, f"layoutbridge: wrote {path}: space_to_depth (stride 2) for onnx\n")
    assert operators(path) == {"Reshape", "Transpose"}
    assert run(capfd, "export", "focus", "--for", "opset11", "-o", str(tmp_path / "b.onnx"))[0] == 0
    assert onnx.load(tmp_path / "b.onnx").opset_import[0].version == 11


def test_a_network_within_limits(capfd, tmp_path):
    path = tmp_path / "net.onnx"
    code, _, told = run(capfd, "export", *NET, "--for", "rknn", "--without", "Softplus", "-o", str(path))
    assert code == 0 and f"wrote {path}" in told
    assert not operators(path) & {"Softplus", "Selu", "Ceil"}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("--for deepstream", "opset 17, output output [N, 192, 6]"),
        ("--for tensorrt --nms --nms-kind default", "outputs num_detections [N, 1], detection_boxes [N, 300, 4],"),
        ("--for rknn", "output 1_convolutional [1, 27, 8, 8]"),
        ("--for barracuda", "opset 9, output 2_yolo [N, 27, 8, 8]"),
        ("--for opencv46 --head boxes", "opset 12, output boxes [1, 192, 9]"),
    ],
)
def test_a_network_as_a_program_expects_it(options, told, capfd, tmp_path):
    path = tmp_path / "net.onnx"
    code, _, said = run(capfd, "export", *YOLO, *options.split(), "-o", str(path))
    assert code == 0 and told in said
    assert "from the float64 reference" in said or "TensorRT's plugin runs in TensorRT alone" in said


@pytest.mark.sample(6)
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["focus", "--max-rank", "3"], "max_rank is 3, and the input has 4 axes"),
        (["focus", "--max-rank", "many"], "--max-rank"),
        (["focus", "--without", ","], "--without must name at least one"),
        (["focus", "--without", "SpaceToDeph"], "did you mean SpaceToDepth?"),
        (["focus", "--for", "qmn"], "did you mean qnn?"),
        (["nchw_to_nhwc", "--without", "Transpose,Einsum"], "it would need Einsum or Transpose"),
        (["focus", "--to", "torch", "--max-rank", "4"], "--max-rank is for --to onnx, not --to torch"),
        (["focus", "--to", "jax", "--for", "qnn"], "--for is for --to onnx, not --to jax"),
        ([*NET, "--max-rank", "3"], "has 4 axes"),
        ([*NET, "--without", "Conv"], "0_convolutional needs Conv"),
        ([*NET, "--for", "opset11", "--opset", "12"], "the opset of a network must be from 9 to 11"),
        ([*YOLO, "--for", "opencv46", "--half"], "OpenCV 4.6 does not take half"),
        ([*YOLO, "--opset", "10", "--head", "boxes", "--nms", "--nms-kind", "diounms"], "from opset 11 on"),
        ([*NET, "--to", "ncnn", "--max-rank", "4"], "--max-rank is for --to onnx, not --to ncnn"),
    ],
)
def test_one_line_and_nothing_written(arguments, told, capfd, tmp_path):
    assert told in refused(capfd, "export", *arguments, "-o", str(tmp_path / "a.onnx"))
    assert list(tmp_path.iterdir()) == []
