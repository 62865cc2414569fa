"""What is known of runtimes is found in them, not typed in: what they do, and the version that brought it."""

from dataclasses import replace

import pytest

from layoutbridge.atlas.answers import answers_of
from layoutbridge.atlas.asking import Asked, CellError
from layoutbridge.atlas.descriptions.environments import python_of
from layoutbridge.atlas.measuring import measure, version_of
from layoutbridge.atlas.subjects.onnx_models import OPERATORS
from layoutbridge.atlas.table import subject

pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")  # of bfloat16, in which cells are tried, too
_DARKNETS = {"darknet_reorg", "darknet_reorg_reverse"}


def found(name, op, mode="", layout="NCHW"):
    """The answer of one op of a subject that is installed beside layoutbridge."""
    of = subject(name)
    cells = tuple(each for each in of.cells if (each.op, each.mode, each.layout) == (op, mode, layout))
    try:
        with Asked(python_of(of.environment, None)) as asked:
            version, measured = version_of(of, asked), measure(replace(of, cells=cells), asked)
    except CellError as error:
        pytest.skip(str(error))
    (answer,) = answers_of(of, version, measured, ())
    return answer


def test_openvino_reorg_yolo_is_that_of_darknet():
    assert "darknet_reorg" in found("openvino", "ReorgYolo").names


@pytest.mark.parametrize(("mode", "name"), [("mode 0", "space_to_depth_crd"), ("mode 1", "space_to_depth")])
def test_ncnn_reorg_is_not_that_of_darknet(mode, name):
    names = found("ncnn", "Reorg", mode).names
    assert name in names and not _DARKNETS & set(names)


def test_torch_shuffles_channels_first():
    names = found("torch", "pixel_shuffle").names
    assert "depth_to_space_crd" in names and "depth_to_space" not in names


@pytest.mark.slow
def test_litert_shuffles_blocks_first():
    names = found("litert", "DEPTH_TO_SPACE", layout="NHWC").names
    assert "depth_to_space" in names and "depth_to_space_crd" not in names


@pytest.mark.parametrize("operator", OPERATORS, ids=lambda each: f"{each.name} {each.mode}")
def test_an_opset_is_one_that_brought_something(operator):
    defs = pytest.importorskip("onnx.defs", reason="onnx is not installed")
    if operator.opset > defs.onnx_opset_version():
        pytest.skip(f"this onnx knows opsets to {defs.onnx_opset_version()}")
    schema = defs.get_schema(operator.name, operator.opset)
    assert schema.since_version == operator.opset and ("mode" in schema.attributes) == bool(operator.kind)


@pytest.mark.parametrize("cell", subject("openvino").cells, ids=lambda each: f"{each.op} {each.mode}")
def test_an_operation_set_is_that_of_the_operation(cell):
    pytest.importorskip("openvino", reason="OpenVINO is not installed")
    import numpy as np

    held = {"np": np, "x": np.zeros((4, 4, 4, 4), np.float32), "s": 2}
    exec(cell.setup.partition("\nmodel = openvino.compile_model")[0], held)
    brought = {each.get_type_info().version_id for each in held["model"].get_ops() if each.get_type_name() == cell.op}
    assert brought == {cell.since.replace(" ", "")}


@pytest.mark.slow
@pytest.mark.parametrize("cell", subject("litert").cells[:4], ids=lambda each: each.op)
def test_the_first_runtime_is_what_the_converter_writes(cell):
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    import numpy as np
    from tensorflow.lite.python import schema_py_generated as schema

    held = {"np": np, "x": np.zeros((4, 4, 4, 4), np.float32), "s": 2}
    exec(cell.setup.partition("\ninterpreter =")[0], held)
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(held["content"], 0))
    (told,) = [model.buffers[each.buffer].data for each in model.metadata if each.name == b"min_runtime_version"]
    assert cell.since == f"runtime {bytes(told).rstrip(bytes(1)).decode()}"
