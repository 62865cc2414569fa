"""Public models as ONNX files, exported once with random weights: `python -m benchmarks.public_models ROUTE NAME PATH`.

Nothing is fetched. They are kept in .benchmarks/models/, as ROUTE_NAME.onnx; what is there is taken as it is. The tools
that export them and those that are compared may be installed beside the environment, whose packages they leave alone:

    pip install --no-deps --target .benchmarks/tools tf2onnx onnxslim onnxsim onnxoptimizer
    pip install --no-deps --target .benchmarks/torchvision torchvision
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent / ".benchmarks"
TOOLS, TORCHVISION = ROOT / "tools", ROOT / "torchvision"
KERAS = (
    "MobileNetV2", "MobileNetV3Small", "EfficientNetB0", "EfficientNetV2B0", "ResNet50", "DenseNet121", "NASNetMobile",
    "Xception", "InceptionV3", "MobileNet",
)  # fmt: skip
ON_TORCH = ("MobileNetV2", "EfficientNetB0")  # of Keras' models, those that it also exports with PyTorch behind it
TORCH = ("shufflenet_v2_x1_0", "swin_t")
_SQUARE = {"MobileNetV3Small", "NASNetMobile"}  # which do not say their size of themselves
_SECONDS = 900


def path_of(route: str, name: str) -> Path:
    """The file of a model, exported now if it is not there; raises `LookupError` with the reason where that fails."""
    path = ROOT / "models" / f"{route}_{name}.onnx"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        made = path.with_suffix(".part")
        words = [sys.executable, "-m", "benchmarks.public_models", route, name, str(made)]
        try:
            ended = subprocess.run(
                words, check=False, capture_output=True, text=True, timeout=_SECONDS, cwd=ROOT.parent
            )
        except subprocess.TimeoutExpired:
            raise LookupError(f"exporting {name} took more than {_SECONDS} s") from None
        if ended.returncode:
            raise LookupError(f"{name} was not exported: {(ended.stderr.strip().splitlines() or ['?'])[-1]}")
        made.rename(path)
    return path


def version_of(tool: str) -> str | None:
    """The version of a tool, here or beside the environment; None where it is not installed."""
    found = distributions(name=tool, path=[str(TOOLS), str(TORCHVISION), *sys.path])
    return next((each.version for each in found), None)


# ---------------------------------------------------------------------- in a process of its own


def _keras(name: str) -> Any:
    import keras

    keras.utils.set_random_seed(0)
    more = {"input_shape": (224, 224, 3)} if name in _SQUARE else {}
    model = getattr(keras.applications, name)(weights=None, **more)
    model(np.zeros((1, *model.input_shape[1:]), np.float32))
    return model


def by_keras(name: str, path: str) -> None:
    """Keras' own export: tf2onnx, which moves transpositions together itself."""
    _keras(name).export(path, format="onnx", verbose=False)


def unoptimized(name: str, path: str) -> None:
    """The same without tf2onnx's optimizers: two transpositions around each convolution."""
    from tf2onnx import optimizer

    optimizer.optimize_graph = lambda graph, *_, **__: graph
    by_keras(name, path)


def by_tflite(name: str, path: str) -> None:
    """A .tflite file through tf2onnx."""
    import tensorflow
    import tf2onnx
    from keras.src.export.tf2onnx_lib import patch_tf2onnx

    patch_tf2onnx()
    file = f"{path}.tflite"
    Path(file).write_bytes(tensorflow.lite.TFLiteConverter.from_keras_model(_keras(name)).convert())
    tf2onnx.convert.from_tflite(file, output_path=path)
    os.remove(file)


def on_torch(name: str, path: str) -> None:
    """Keras' own export with PyTorch behind it, channels last."""
    import torch

    with torch.no_grad():
        by_keras(name, path)


def by_torchvision(name: str, path: str) -> None:
    """torchvision, exported by tracing."""
    import torch

    library = torch.library.Library("torchvision", "DEF")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # which its wheel may not bring
    import torchvision

    torch.manual_seed(0)
    model = getattr(torchvision.models, name)(weights=None).eval()
    x = torch.zeros(1, 3, 224, 224)
    axes = {"images": {0: "N"}}
    torch.onnx.export(model, (x,), path, opset_version=17, dynamo=False, input_names=["images"], dynamic_axes=axes)


ROUTES: Mapping[str, Callable[[str, str], None]] = {
    "keras": by_keras,
    "raw": unoptimized,
    "tflite": by_tflite,
    "kt": on_torch,
    "tv": by_torchvision,
}

if __name__ == "__main__":
    sys.path += [str(TOOLS), str(TORCHVISION)]
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["KERAS_BACKEND"] = "torch" if sys.argv[1] == "kt" else "tensorflow"
    ROUTES[sys.argv[1]](*sys.argv[2:])
