"""OpenVINO: its own operations, each alone in a model on the CPU."""

from __future__ import annotations

from dataclasses import replace

from layoutbridge.atlas.descriptions.environments import BESIDE
from layoutbridge.atlas.descriptions.subject import Cell, Subject, distribution_version
from layoutbridge.frameworks.base import Layout

_DOCS = "https://docs.openvino.ai/2026/documentation/openvino-ir-format/operation-sets/operation-specs"
_SETUP = """import openvino
from openvino import opset15 as ops
kind = openvino.Type.bf16 if x.dtype.name == 'bfloat16' else openvino.Type(x.dtype)
node = ops.parameter(x.shape, kind)
model = openvino.Model([{call}], [node])
model = openvino.compile_model(model, 'CPU', {{'INFERENCE_PRECISION_HINT': 'f32'}})"""
_CODE = """given = openvino.Tensor(kind, x.shape)
given.data.view(x.dtype)[:] = x
y = model(given)[0].view(x.dtype)"""


def _cell(
    op: str, call: str, page: str, shapes_of: str, documented: str = "", mode: str = "", layout: Layout = "NCHW"
) -> Cell:
    source, setup = f"{_DOCS}/{page}.html", _SETUP.format(call=call)
    since = f"opset {page.rpartition('-')[2]}"
    return Cell(op, _CODE, mode, layout, shapes_of, documented, source, since, setup)


_BLOCKS, _PATCHES = "[1, 1, s, s]", "[s, s], [s, s], [1, 1], 'valid'"
_ZERO = "[0, 0, 0, 0]"
_SPACE, _DEPTH, _SHUFFLE = "movement/space-to-depth-1", "movement/depth-to-space-1", "movement/shuffle-channels-1"
_EINSUM = "ops.reshape(ops.einsum([{cut}], '{equation}'), [len(x), -1, x.shape[2] // s, x.shape[3] // s], False)"
_CUT = "ops.reshape(node, [*x.shape[:2], x.shape[2] // s, s, x.shape[3] // s, s], False)"

SUBJECT = Subject(
    "openvino", "OpenVINO", "runtime", BESIDE, distribution_version("openvino"),
    (
        _cell("SpaceToDepth", "ops.space_to_depth(node, 'blocks_first', s)", _SPACE,
              "space_to_depth", "space_to_depth", "blocks_first"),
        _cell("SpaceToDepth", "ops.space_to_depth(node, 'depth_first', s)", _SPACE,
              "space_to_depth", "space_to_depth_crd", "depth_first"),
        _cell("DepthToSpace", "ops.depth_to_space(node, 'blocks_first', s)", _DEPTH,
              "depth_to_space", "depth_to_space", "blocks_first"),
        _cell("DepthToSpace", "ops.depth_to_space(node, 'depth_first', s)", _DEPTH,
              "depth_to_space", "depth_to_space_crd", "depth_first"),
        replace(
            _cell("ReorgYolo", "ops.reorg_yolo(node, [s])", "detection/reorg-yolo-1", "darknet_reorg"),
            since="opset 2",  # as its type says, other than its page
        ),
        _cell("ShuffleChannels", "ops.shuffle_channels(node, 1, s)", _SHUFFLE,
              "channel_shuffle", "channel_shuffle", "axis 1"),
        _cell("ShuffleChannels", "ops.shuffle_channels(node, 3, s)", _SHUFFLE,
              "channel_shuffle", "channel_shuffle", "axis 3", "NHWC"),
        _cell("ExtractImagePatches", f"ops.extract_image_patches(node, {_PATCHES})",
              "movement/extract-image-patches-3", "space_to_depth", "space_to_depth"),
        _cell("SpaceToBatch", f"ops.space_to_batch(node, {_BLOCKS}, {_ZERO}, {_ZERO})",
              "movement/space-to-batch-2", "space_to_batch", "space_to_batch"),
        _cell("BatchToSpace", f"ops.batch_to_space(node, {_BLOCKS}, {_ZERO}, {_ZERO})",
              "movement/batch-to-space-2", "batch_to_space", "batch_to_space"),
        _cell("Einsum", _EINSUM.format(cut=_CUT, equation="nchpwq->npqchw"),
              "matrix/einsum-7", "space_to_depth", "", "nchpwq->npqchw"),
        _cell("Einsum", _EINSUM.format(cut=_CUT, equation="nchpwq->ncpqhw"),
              "matrix/einsum-7", "space_to_depth", "", "nchpwq->ncpqhw"),
    ),
)  # fmt: skip
