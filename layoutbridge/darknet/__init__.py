"""Darknet networks: cfg and weights in, structure and parameters out, every layer's meaning written once.

>>> from layoutbridge import darknet
>>> net = darknet.load("fixtures/nets/pjreddie/passthrough/net.cfg", flavor="pjreddie")
>>> net.layers[4].name, net.layers[4].out_shape, net.layers[4].settings["operation"]
('4_reorg', (32, 4, 6), 'darknet_reorg')
"""

from layoutbridge.darknet.detection.detector import Detection, Detections, Detector, detect, draw, read_names
from layoutbridge.darknet.network import DarknetNetwork, SummaryRow, load
from layoutbridge.darknet.structure.model import Layer, Network, Parameter, Section

__all__ = [
    "DarknetNetwork",
    "Detection",
    "Detections",
    "Detector",
    "Layer",
    "Network",
    "Parameter",
    "Section",
    "SummaryRow",
    "detect",
    "draw",
    "load",
    "read_names",
]
