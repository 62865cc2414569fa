"""What NVIDIA's DeepStream reads beside a model, by DeepStream-Yolo: nvinfer's configuration, and the names.

Definitions: the "Gst-nvinfer File Configuration Specifications" of DeepStream, and DeepStream-Yolo's README.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from layoutbridge.darknet.detection.boxes import HeadRules
from layoutbridge.darknet.ports.readers.names import listed

RUNTIME = "deepstream"
_THRESHOLD, _OVERLAP = 0.25, 0.45  # Darknet's own
_RGB, _GRAY = 0, 2  # of model-color-format
_LIBRARY = "nvdsinfer_custom_impl_Yolo/libnvdsinfer_custom_impl_Yolo.so"


def files_beside(path: Path) -> tuple[Path, Path]:
    """The configuration and the names that belong to the model at `path`.

    >>> [file.name for file in files_beside(Path("yolov4.onnx"))]
    ['config_infer_primary_yolov4.txt', 'labels_yolov4.txt']
    """
    return path.with_name(f"config_infer_primary_{path.stem}.txt"), path.with_name(f"labels_{path.stem}.txt")


def texts_beside(
    path: Path, rules: HeadRules, names: Sequence[str] | None, batch: int | None, channels: int = 3
) -> dict[Path, str]:
    """What stands in them; a file of names where there are any. `batch` None is 1: how many nvinfer takes at once.

    `channels` are the input's: nvinfer makes gray pictures only where it is told to.
    """
    config, labels = files_beside(path)
    properties: dict[str, object] = {
        "gpu-id": 0,
        "net-scale-factor": "0.0039215697906911373",
        "model-color-format": _GRAY if channels == 1 else _RGB,
        "onnx-file": path.name,
        **({} if names is None else {"labelfile-path": labels.name}),
        "batch-size": batch or 1,
        "network-mode": 0,
        "num-detected-classes": rules.classes,
        "interval": 0,
        "gie-unique-id": 1,
        "process-mode": 1,
        "network-type": 0,
        "cluster-mode": 2,
        "maintain-aspect-ratio": int(rules.letterbox),
        "symmetric-padding": int(rules.letterbox),
        "parse-bbox-func-name": "NvDsInferParseYolo",
        "custom-lib-path": _LIBRARY,
    }
    limits = {"nms-iou-threshold": _OVERLAP, "pre-cluster-threshold": _THRESHOLD, "topk": 300}
    texts = {config: f"{_section('property', properties)}\n{_section('class-attrs-all', limits)}"}
    return texts if names is None else {**texts, labels: listed(_labels(names))}


def _labels(names: Sequence[str]) -> list[str]:
    """The names as nvinfer reads them: it passes over empty lines, and a semicolon ends a label."""
    return [name.replace(";", ",") if name.strip() else str(number) for number, name in enumerate(names)]


def _section(name: str, values: Mapping[str, object]) -> str:
    return "".join([f"[{name}]\n", *(f"{key}={value}\n" for key, value in values.items())])
