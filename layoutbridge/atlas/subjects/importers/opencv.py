"""OpenCV's importers: of ONNX, in its fifth version by two engines; of Darknet, which that version no longer has."""

from __future__ import annotations

from layoutbridge.atlas.descriptions.subject import Cell, Subject, distribution_version
from layoutbridge.atlas.subjects.importers.onnx_cells import onnx_cells

_READ = "import cv2\nnet = cv2.dnn.readNetFromONNX(np.frombuffer(model.SerializeToString(), np.uint8){engine})"
_RUN = "net.setInput(x)\ny = net.forward()"
_VERSION = distribution_version("opencv-python-headless")
_DARKNET = "https://docs.opencv.org/4.x/d6/d0f/group__dnn.html"
_CFG = """import cv2
_, c, h, w = x.shape
cfg = f'[net]\\nchannels={c}\\nheight={h}\\nwidth={w}\\n[reorg]\\nstride={s}\\n{more}'
net = cv2.dnn.readNetFromDarknet(np.frombuffer(cfg.encode(), np.uint8))"""


def _reorg(mode: str, documented: str) -> Cell:
    setup = _CFG.replace("{more}", mode)
    return Cell("[reorg]", _RUN, mode, shapes_of="darknet_reorg", documented=documented, source=_DARKNET, setup=setup)


ONNX_OF_4 = Subject(
    "opencv4_onnx", "OpenCV 4's ONNX importer", "importer", "opencv4", _VERSION,
    onnx_cells(_READ.format(engine=""), _RUN),
)  # fmt: skip
ONNX_OF_5 = Subject(
    "opencv5_onnx", "OpenCV 5's ONNX importer", "importer", "opencv5", _VERSION,
    (
        *onnx_cells(_READ.format(engine=", cv2.dnn.ENGINE_NEW"), _RUN, told="new engine"),
        *onnx_cells(_READ.format(engine=", cv2.dnn.ENGINE_CLASSIC"), _RUN, told="classic engine"),
    ),
)  # fmt: skip
DARKNET = Subject(
    "opencv4_darknet", "OpenCV 4's Darknet importer", "importer", "opencv4", _VERSION,
    (_reorg("", "darknet_reorg"), _reorg("reverse=1", "darknet_reorg_reverse")),
)  # fmt: skip
