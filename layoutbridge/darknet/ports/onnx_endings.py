"""What programs that find objects expect of a detector's model, in place of a head.

ending         outputs
-------------  ---------------------------------------------------------------------------------------------------
deepstream     `output` [N, boxes, 6]: x1, y1, x2, y2 in pixels of the input, the best class's score, that class
efficient_nms  num_detections [N, 1], detection_boxes [N, 300, 4] as corners in pixels, detection_scores and
               detection_classes [N, 300]: TensorRT's plugin EfficientNMS_TRT

Definitions: `nvdsparsebbox_Yolo.cpp` of DeepStream-Yolo, which suppresses by itself (cluster-mode 2); for the other one
`frameworks.onnx.network.detections`. Scores are objectness × probability.
"""

from __future__ import annotations

from collections.abc import Sequence

from layoutbridge.darknet.detection.boxes import head_rules
from layoutbridge.darknet.detection.suppression import distance_exponent
from layoutbridge.darknet.meaning.boxes import Suppression, boxes_and_scores
from layoutbridge.darknet.ports.outputs import Output
from layoutbridge.darknet.structure.model import Network
from layoutbridge.errors import UnsupportedError
from layoutbridge.frameworks.onnx.network.detections import best_class, efficient_nms
from layoutbridge.frameworks.onnx.network.values import OnnxValue
from layoutbridge.frameworks.onnx.target import OnnxTarget


def ending_outputs(
    target: OnnxTarget, network: Network, values: Sequence[OnnxValue], ending: str, nms: Suppression | None
) -> list[Output[OnnxValue]]:
    """The outputs of an ending, for all layers' `values`.

    Raises `UnsupportedError` for networks without detection layers, and for overlaps that the plugin does not measure.
    """
    if nms is not None:
        _refuse_other_overlaps(network, nms)
    boxes, scores = boxes_and_scores(target, network, values)
    with target.scope(ending):
        if nms is None:
            return [Output("output", _rows(target, boxes, scores))]
        made = efficient_nms(target.graph, boxes, scores, overlap=nms.overlap, threshold=nms.threshold)
        return [Output(name, value) for name, value in made.items()]


def _rows(target: OnnxTarget, boxes: OnnxValue, scores: OnnxValue) -> OnnxValue:
    centre, size = target.split(boxes, [2, 2], 1)
    half = target.multiply(size, 0.5)
    low, high = target.add(centre, target.multiply(half, -1.0)), target.add(centre, half)
    best = target.reduce_max(scores, 1)
    return target.concat([low, high, best, best_class(target.graph, scores)], 1)


def _refuse_other_overlaps(network: Network, nms: Suppression) -> None:
    rules = head_rules(network)
    kind = nms.kind or rules.nms_kind
    if distance_exponent(kind, rules.beta_nms) is not None:
        raise UnsupportedError(
            f"{network.source}: TensorRT's EfficientNMS measures the plain overlap, and nms_kind={kind} counts "
            "distances: give nms_kind default, or a head, boxes say, whose suppression is in standard operators"
        )
