"""OpenCV's layers, each alone in a net: the same in its fourth and in its fifth version."""

from __future__ import annotations

from layoutbridge.atlas.descriptions.subject import Cell, Subject, distribution_version

_SETUP = """import cv2
net = cv2.dnn.Net()
net.addLayerToPrev('y', '{layer}', cv2.CV_32F, {parameters})
net.setInputsNames(['x'])"""


def _cell(layer: str, parameters: str, shapes_of: str, mode: str = "") -> Cell:
    setup = _SETUP.format(layer=layer, parameters=parameters)
    return Cell(layer, "net.setInput(x)\ny = net.forward()", mode, shapes_of=shapes_of, setup=setup)


_LAYERS = (
    _cell("Reorg", "{'reorg_stride': s}", "darknet_reorg"),
    _cell("SpaceToDepth", "{'blocksize': s}", "space_to_depth"),
    _cell("DepthToSpace", "{'blocksize': s}", "depth_to_space"),
    _cell("DepthToSpace", "{'blocksize': s, 'mode': 'DCR'}", "depth_to_space", "mode DCR"),
    _cell("DepthToSpace", "{'blocksize': s, 'mode': 'CRD'}", "depth_to_space", "mode CRD"),
    _cell("ShuffleChannel", "{'group': s}", "channel_shuffle"),
)
_VERSION = distribution_version("opencv-python-headless")

FOUR = Subject("opencv4", "OpenCV 4", "runtime", "opencv4", _VERSION, _LAYERS)
FIVE = Subject("opencv5", "OpenCV 5", "runtime", "opencv5", _VERSION, _LAYERS)
