"""Runtimes, importers and converters in environments of their own: what they are known to do is what is found."""

import os
from pathlib import Path

import pytest

from layoutbridge.atlas.descriptions.environments import BESIDE, ENVIRONMENTS, python_of
from layoutbridge.atlas.surveys import survey
from layoutbridge.atlas.table import NOT_MEASURED, SUBJECTS, subject, subjects
from layoutbridge.operations.catalog import entry

_FOLDER = os.environ.get("LAYOUTBRIDGE_ATLAS")
_OWN = [each.name for each in subjects() if each.environment != BESIDE]
_KNOWN = {
    "mnn:space_to_depth": "space_to_depth",
    "mnn:depth_to_space:NHWC": "depth_to_space",
    "mnn_onnx:DepthToSpace:CRD opset 13": "depth_to_space_crd",
    "opencv4:Reorg": "darknet_reorg",
    "opencv5:ShuffleChannel": "channel_shuffle",
    "opencv4_darknet:[reorg]": "darknet_reorg",
    "tvm:topi.nn.depth_to_space:DCR:NHWC": "depth_to_space",
    "paddle:pixel_shuffle": "pixel_shuffle",
    "paddle2onnx:PixelShuffle:opset 13": "pixel_shuffle",
    "mindspore:nn.ChannelShuffle": "channel_shuffle",
    "pnnx:nn.PixelShuffle": "pixel_shuffle",
    "pnnx_onnx:DepthToSpace:CRD opset 13": "depth_to_space_crd",
    "onnx2tf:Reshape, Transpose, Reshape:darknet_reorg": "darknet_reorg",
    "tf2onnx:tf.nn.depth_to_space:opset 13:NHWC": "depth_to_space",
    "keras_tensorflow_to_onnx:ops.depth_to_space:NHWC": "depth_to_space",
    "jax2onnx:reshape, transpose, reshape:channel_shuffle": "channel_shuffle",
    "litert_torch:nn.PixelUnshuffle": "pixel_unshuffle",
    "iree_onnx:SpaceToDepth:opset 13": "space_to_depth",
    "executorch:pixel_unshuffle:kernel": "pixel_unshuffle",
    "tract_onnx:Reshape, Transpose, Reshape:darknet_reorg": "darknet_reorg",
}


@pytest.mark.parametrize("name", _OWN)
def test_what_is_written_of_a_subject_can_be_used(name):
    of = subject(name)
    assert of.name == name and of.environment in ENVIRONMENTS
    for cell in of.cells:
        compile(cell.text, name, "exec")
        entry(cell.shapes_of)
        assert not cell.documented or (entry(cell.documented) and cell.source.startswith("https://"))
        assert cell.text.count("\n") <= 13


def test_what_is_not_measured_has_no_cells():
    assert not set(NOT_MEASURED) & set(SUBJECTS)


@pytest.mark.slow
@pytest.mark.parametrize("name", _OWN)
def test_what_is_known_of_it_is_found(name):
    if _FOLDER is None:
        pytest.skip("LAYOUTBRIDGE_ATLAS names no folder of environments")
    if python_of(subject(name).environment, _FOLDER) is None:
        pytest.skip(f"its environment is not set up in {Path(_FOLDER)}")
    found = survey([name], environments=_FOLDER)
    assert not found.missing
    by_key = {each.key: each.names for each in found.answers}
    assert any(by_key.values())
    for key, known in _KNOWN.items():
        if key.startswith(f"{name}:"):
            assert known in by_key[key]
