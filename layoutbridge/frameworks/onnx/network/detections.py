"""What programs that find objects read: each box's best class, and TensorRT's plugin that suppresses boxes.

Definitions: ONNX's ArgMax; EfficientNMS_TRT, version 1: plugin/efficientNMSPlugin/README.md of NVIDIA/TensorRT.
"""

from __future__ import annotations

from onnx import TensorProto

from layoutbridge.frameworks.onnx.network.graph import Graph
from layoutbridge.frameworks.onnx.network.values import OnnxValue

PLUGIN_DOMAIN = "TRT"
MOST_KEPT = 300  # boxes of a picture that the plugin has room for
_CENTRE_AND_SIZE, _NO_BACKGROUND = 1, -1


def best_class(graph: Graph, scores: OnnxValue) -> OnnxValue:
    """The number of the largest of scores (boxes, classes) as a float: (boxes, 1)."""
    number = graph.add("ArgMax", [scores.name], axis=2, keepdims=1)
    return OnnxValue(graph.add("Cast", [number], to=TensorProto.FLOAT), (scores.shape[0], 1))


def efficient_nms(
    graph: Graph, boxes: OnnxValue, scores: OnnxValue, *, overlap: float, threshold: float
) -> dict[str, OnnxValue]:
    """The plugin's four outputs for boxes (K, 4) of centre and size with scores (K, classes), by its names for them."""
    made = graph.add_several(
        "EfficientNMS_TRT",
        [boxes.name, scores.name],
        4,
        domain=PLUGIN_DOMAIN,
        plugin_version="1",
        score_threshold=float(threshold),
        iou_threshold=float(overlap),
        max_output_boxes=MOST_KEPT,
        background_class=_NO_BACKGROUND,
        score_activation=0,
        box_coding=_CENTRE_AND_SIZE,
    )
    count, corners, sure, labels = made
    return {
        "num_detections": OnnxValue(count, (1,), counts=True),
        "detection_boxes": OnnxValue(corners, (MOST_KEPT, 4)),
        "detection_scores": OnnxValue(sure, (MOST_KEPT,)),
        "detection_classes": OnnxValue(labels, (MOST_KEPT,), counts=True),
    }
