"""The subjects there are, each a module that is loaded on use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from layoutbridge.errors import UnknownNameError, shown

if TYPE_CHECKING:  # the names alone complete a word in a shell, without NumPy
    from layoutbridge.atlas.descriptions.subject import Subject

# By name the module in `subjects/` and what is called so there.
SUBJECTS: Mapping[str, str] = {
    "torch": "runtimes.torch.SUBJECT",
    "torch_compile": "runtimes.torch.COMPILED",
    "torch_cuda": "runtimes.torch.ON_CUDA",
    "tensorflow": "runtimes.tensorflow.SUBJECT",
    "keras_tensorflow": "runtimes.keras.ON_TENSORFLOW",
    "keras_jax": "runtimes.keras.ON_JAX",
    "keras_torch": "runtimes.keras.ON_TORCH",
    "jax": "runtimes.jax.SUBJECT",
    "onnxruntime": "runtimes.onnxruntime.SUBJECT",
    "onnx_reference": "runtimes.onnxruntime.REFERENCE",
    "openvino": "runtimes.openvino.SUBJECT",
    "litert": "runtimes.litert.SUBJECT",
    "ncnn": "runtimes.ncnn.SUBJECT",
    "mnn": "runtimes.mnn.SUBJECT",
    "mnn_onnx": "importers.mnn.ONNX",
    "opencv4": "runtimes.opencv.FOUR",
    "opencv4_onnx": "importers.opencv.ONNX_OF_4",
    "opencv4_darknet": "importers.opencv.DARKNET",
    "opencv5": "runtimes.opencv.FIVE",
    "opencv5_onnx": "importers.opencv.ONNX_OF_5",
    "tinygrad": "runtimes.tinygrad.SUBJECT",
    "tinygrad_onnx": "importers.tinygrad.ONNX",
    "tvm": "runtimes.tvm.SUBJECT",
    "tvm_onnx": "importers.tvm.ONNX",
    "paddle": "runtimes.paddle.SUBJECT",
    "paddle2onnx": "converters.paddle2onnx.SUBJECT",
    "mindspore": "runtimes.mindspore.SUBJECT",
    "executorch": "runtimes.executorch.SUBJECT",
    "iree_onnx": "importers.iree.ONNX",
    "tract_onnx": "importers.tract.ONNX",
    "openvino_onnx": "importers.openvino.ONNX",
    "openvino_tflite": "importers.openvino.LITERT",
    "openvino_tensorflow": "importers.openvino.TENSORFLOW",
    "openvino_torch": "importers.openvino.TORCH",
    "torch_onnx": "converters.torch_onnx.DYNAMO",
    "torch_onnx_torchscript": "converters.torch_onnx.TORCHSCRIPT",
    "jax2onnx": "converters.jax2onnx.SUBJECT",
    "tf2onnx": "converters.tf2onnx.SUBJECT",
    "onnx_version_converter": "converters.onnx_versions.SUBJECT",
    "keras_tensorflow_to_onnx": "converters.keras.TENSORFLOW_ONNX",
    "keras_torch_to_onnx": "converters.keras.TORCH_ONNX",
    "keras_tensorflow_to_litert": "converters.keras.TENSORFLOW_LITERT",
    "litert_torch": "converters.litert_torch.SUBJECT",
    "pnnx": "converters.pnnx.TORCH",
    "pnnx_onnx": "converters.pnnx.ONNX",
    "onnx2tf": "converters.onnx2tf.SUBJECT",
}
# What has ops of the kind, or might be thought to, and is not measured: why.
NOT_MEASURED: Mapping[str, str] = {
    "coremltools": "Core ML runs what it converts on a Mac only, and infers shapes of its MIL's ops here, not values",
    "onnx2torch": "the torchvision that it asks for does not load beside a build of PyTorch for CPUs alone",
    "nobuco": "its last version, 0.17.0, imports keras.src.engine, which Keras 3 has no more",
    "mlx": "neither mlx.core nor mlx.nn has an op of the kind",
}


def subject(name: str) -> Subject:
    """The subject called `name`; raises `UnknownNameError` with the names there are.

    >>> subject("torch").title
    'PyTorch'
    """
    if name not in SUBJECTS:
        raise UnknownNameError(f"nothing in the atlas is called {shown(name)}; there are {', '.join(SUBJECTS)}")
    module, _, held = SUBJECTS[name].rpartition(".")
    found: Subject = getattr(import_module(f"layoutbridge.atlas.subjects.{module}"), held)
    return found


def subjects(names: Sequence[str] | None = None) -> tuple[Subject, ...]:
    """The subjects called so, all of them without names."""
    return tuple(subject(name) for name in dict.fromkeys(SUBJECTS if names is None else names))
