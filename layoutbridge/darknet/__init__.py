"""Darknet networks: cfg and weights in, structure and parameters out, every layer's meaning written once.

>>> from layoutbridge import darknet
>>> net = darknet.load("fixtures/nets/pjreddie/passthrough/net.cfg", flavor="pjreddie")
>>> net.layers[4].name, net.layers[4].out_shape, net.layers[4].settings.operation
('4_reorg', (32, 4, 6), 'darknet_reorg')
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from layoutbridge.darknet.benchmarking.formats import Benchmark, benchmark
    from layoutbridge.darknet.classification.classifier import Classifier, classify
    from layoutbridge.darknet.classification.results import Classification
    from layoutbridge.darknet.detection.detections import Detections
    from layoutbridge.darknet.detection.drawing import draw
    from layoutbridge.darknet.detection.names import read_names
    from layoutbridge.darknet.detection.objects import Detection
    from layoutbridge.darknet.detectors.detector import Detector, detect
    from layoutbridge.darknet.evaluation.evaluations import Evaluation, evaluate
    from layoutbridge.darknet.networks.network import DarknetNetwork, load
    from layoutbridge.darknet.networks.summary import SummaryRow
    from layoutbridge.darknet.quantization.quantizing import Quantized, quantize
    from layoutbridge.darknet.structure.model import Layer, Network, Parameter, Section
    from layoutbridge.darknet.tuning.budgets import Budget
    from layoutbridge.darknet.tuning.results import Trial, Tuning
    from layoutbridge.darknet.tuning.tuning import tune, write_tuned

_HOMES = {
    "Benchmark": "benchmarking.formats",
    "Budget": "tuning.budgets",
    "Classification": "classification.results",
    "Classifier": "classification.classifier",
    "DarknetNetwork": "networks.network",
    "Detection": "detection.objects",
    "Detections": "detection.detections",
    "Detector": "detectors.detector",
    "Evaluation": "evaluation.evaluations",
    "Layer": "structure.model",
    "Network": "structure.model",
    "Parameter": "structure.model",
    "Quantized": "quantization.quantizing",
    "Section": "structure.model",
    "SummaryRow": "networks.summary",
    "Trial": "tuning.results",
    "Tuning": "tuning.results",
    "benchmark": "benchmarking.formats",
    "classify": "classification.classifier",
    "detect": "detectors.detector",
    "draw": "detection.drawing",
    "evaluate": "evaluation.evaluations",
    "load": "networks.network",
    "quantize": "quantization.quantizing",
    "read_names": "detection.names",
    "tune": "tuning.tuning",
    "write_tuned": "tuning.tuning",
}

__all__ = [
    "Benchmark",
    "Budget",
    "Classification",
    "Classifier",
    "DarknetNetwork",
    "Detection",
    "Detections",
    "Detector",
    "Evaluation",
    "Layer",
    "Network",
    "Parameter",
    "Quantized",
    "Section",
    "SummaryRow",
    "Trial",
    "Tuning",
    "benchmark",
    "classify",
    "detect",
    "draw",
    "evaluate",
    "load",
    "quantize",
    "read_names",
    "tune",
    "write_tuned",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'layoutbridge.darknet' has no attribute {name!r}")
    value = getattr(import_module(f"layoutbridge.darknet.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
