"""OpenVINO's importers: ONNX, TensorFlow Lite, TensorFlow's SavedModel, and PyTorch."""

from __future__ import annotations

from layoutbridge.atlas.descriptions.environments import BESIDE
from layoutbridge.atlas.descriptions.subject import Cell, Subject, distribution_version
from layoutbridge.atlas.subjects.importers.onnx_cells import onnx_cells
from layoutbridge.frameworks.base import Layout

_DOCS = "https://docs.openvino.ai/2026/openvino-workflow/model-preparation"
# Capitals are filled in here.
_COMPILED = "net = openvino.compile_model(MODEL, 'CPU', {'INFERENCE_PRECISION_HINT': 'f32'})"
_RUN = """given = openvino.Tensor(net.inputs[0].element_type, x.shape)
given.data.view(x.dtype)[:] = x
y = net(given)[0].view(x.dtype)"""
_OF_ONNX = f"import openvino\n{_COMPILED}".replace("MODEL", "openvino.Core().read_model(model.SerializeToString())")
_TRACED = """import openvino, tensorflow as tf
f = tf.function(lambda x: CALL, input_signature=[tf.TensorSpec(x.shape, x.dtype)])
"""
_OF_LITE = f"""{_TRACED}content = tf.lite.TFLiteConverter.from_concrete_functions([f.get_concrete_function()]).convert()
open(folder + '/a.tflite', 'wb').write(content)
{_COMPILED}""".replace("MODEL", "folder + '/a.tflite'")
_OF_SAVED_MODEL = f"""{_TRACED}module = tf.Module()
module.f = f
tf.saved_model.save(module, folder, signatures=f.get_concrete_function())
{_COMPILED}""".replace("MODEL", "openvino.convert_model(folder)")
_OF_TORCH = f"""import openvino, torch
example = torch.tensor(x.tolist(), dtype=getattr(torch, x.dtype.name))
model = openvino.convert_model(GIVEN, input=[x.shape])
{_COMPILED}""".replace("MODEL", "model")
_NO_MARGIN = "[[0, 0], [0, 0]]"
_TENSORFLOW: tuple[tuple[str, str, str, Layout], ...] = (
    ("nn.space_to_depth", "s", "space_to_depth", "NHWC"),
    ("nn.depth_to_space", "s", "depth_to_space", "NHWC"),
    ("space_to_batch", f"[s, s], {_NO_MARGIN}", "space_to_batch", "NHWC"),
    ("batch_to_space", f"[s, s], {_NO_MARGIN}", "batch_to_space", "NHWC"),
)
_CHANNELS_FIRST: tuple[tuple[str, str, str, Layout], ...] = (
    ("nn.space_to_depth", "s, 'NCHW'", "space_to_depth", "NCHW"),
    ("nn.depth_to_space", "s, 'NCHW'", "depth_to_space", "NCHW"),
)
_PATCHES: tuple[str, str, str, Layout] = (
    "image.extract_patches", "[1, s, s, 1], [1, s, s, 1], [1, 1, 1, 1], 'VALID'", "space_to_depth", "NHWC",
)  # fmt: skip
_MODULES = {
    "PixelShuffle": "pixel_shuffle", "PixelUnshuffle": "pixel_unshuffle", "ChannelShuffle": "channel_shuffle",
}  # fmt: skip


def _of_tensorflow(setup: str, op: str, arguments: str, entry: str, layout: Layout, *, is_costly: bool = False) -> Cell:
    setup = setup.replace("CALL", f"tf.{op}(x, {arguments})")
    return Cell(f"tf.{op}", _RUN, "", layout, entry, entry, f"{_DOCS}.html", "", setup, is_costly=is_costly)


def _of_torch(module: str, is_exported: bool) -> Cell:
    entry, made = _MODULES[module], f"torch.nn.{module}(s)"
    given = f"torch.export.export({made}, (example,))" if is_exported else f"{made}, example_input=example"
    return Cell(
        f"nn.{module}", _RUN, "torch.export" if is_exported else "TorchScript", shapes_of=entry, documented=entry,
        source=f"{_DOCS}.html", setup=_OF_TORCH.replace("GIVEN", given), is_costly=is_exported,
    )  # fmt: skip


_VERSION = distribution_version("openvino")
ONNX = Subject("openvino_onnx", "OpenVINO's ONNX importer", "importer", BESIDE, _VERSION, onnx_cells(_OF_ONNX, _RUN))
LITERT = Subject(
    "openvino_tflite", "OpenVINO's TensorFlow Lite importer", "importer", BESIDE,
    distribution_version("openvino", "tensorflow"), tuple(_of_tensorflow(_OF_LITE, *told) for told in _TENSORFLOW),
)  # fmt: skip
TENSORFLOW = Subject(
    "openvino_tensorflow", "OpenVINO's TensorFlow importer", "importer", BESIDE,
    distribution_version("openvino", "tensorflow"),
    tuple(
        _of_tensorflow(_OF_SAVED_MODEL, *told, is_costly=True) for told in (*_TENSORFLOW, *_CHANNELS_FIRST, _PATCHES)
    ),
)  # fmt: skip
TORCH = Subject(
    "openvino_torch", "OpenVINO's PyTorch importer", "importer", BESIDE, distribution_version("openvino", "torch"),
    tuple(_of_torch(module, is_exported) for is_exported in (False, True) for module in _MODULES),
)  # fmt: skip
