"""Two detectors to measure with: YOLOv2 and YOLOv4-tiny as their papers describe them, with drawn weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from layoutbridge.darknet import load
from layoutbridge.darknet.networks.network import DarknetNetwork
from tests.darknet_files import HEADER

_COCO = "classes=80\n"
_V2_ANCHORS = "0.57273, 0.677385, 1.87446, 2.06253, 3.33843, 5.47434, 7.88282, 3.52778, 9.77052, 9.16828"
_V4_ANCHORS = "10,14, 23,27, 37,58, 81,82, 135,169, 344,319"
POOL = "[maxpool]\nsize=2\nstride=2\n"
_DARKNET19 = (32, 0, 64, 0, 128, -64, 128, 0, 256, -128, 256, 0, 512, -256, 512, -256, 512, 0,
              1024, -512, 1024, -512, 1024, 1024, 1024)  # fmt: skip


def yolov2(side: int = 416) -> str:
    """The cfg of YOLOv2 for COCO: Darknet-19 (0 is a pool, a negative number a 1×1 convolution), then the reorg."""
    parts = [_net(side), *(POOL if n == 0 else _conv(abs(n), 3 if n > 0 else 1) for n in _DARKNET19)]
    parts += [_route(-9), _conv(64, 1), "[reorg]\nstride=2\n", _route(-1, -4)]
    parts += [_conv(1024, 3), _conv(425, 1, plain=True)]
    return "".join(parts) + f"[region]\nanchors={_V2_ANCHORS}\ncoords=4\nnum=5\nsoftmax=1\n{_COCO}"


def yolov4_tiny(side: int = 416) -> str:
    """The cfg of YOLOv4-tiny for COCO."""
    parts = [_net(side), _conv(32, 3, 2), _conv(64, 3, 2)]
    for filters in (64, 128, 256):
        half = filters // 2
        parts += [_conv(filters, 3), "[route]\nlayers=-1\ngroups=2\ngroup_id=1\n", _conv(half, 3), _conv(half, 3)]
        parts += [_route(-1, -2), _conv(filters, 1), _route(-6, -1), POOL]
    parts += [_conv(512, 3), _conv(256, 1), _conv(512, 3), _conv(255, 1, plain=True), _yolo("3,4,5")]
    parts += [_route(-4), _conv(128, 1), "[upsample]\nstride=2\n", _route(-1, 23)]
    return "".join([*parts, _conv(256, 3), _conv(255, 1, plain=True), _yolo("1,2,3")])


DETECTORS = {"yolov2": yolov2, "yolov4-tiny": yolov4_tiny}


def write_detector(name: str, folder: Path, side: int = 416) -> DarknetNetwork:
    """The detector's net.cfg and net.weights in `folder`, loaded (the main fork's flavor)."""
    cfg, weights = folder / "net.cfg", folder / "net.weights"
    cfg.write_text(DETECTORS[name](side))
    rng = np.random.default_rng(0)
    with weights.open("wb") as file:
        file.write(HEADER)
        for layer in load(cfg).layers:
            for parameter in layer.parameters:
                values = rng.uniform(-1, 1, parameter.stored).astype("<f4")
                if parameter.name == "variances":
                    values = np.abs(values) + 0.5
                elif parameter.name == "weights":  # what keeps the values' size from layer to layer
                    values *= np.sqrt(6 / np.prod(parameter.shape[1:]))
                elif parameter.name == "scales":
                    values = 1 + 0.25 * values
                else:
                    values *= 0.1
                file.write(values.astype("<f4").tobytes())
    return load(cfg, weights, strict=True)


def _net(side: int) -> str:
    return f"[net]\nwidth={side}\nheight={side}\nchannels=3\n"


def _conv(filters: int, size: int, stride: int = 1, *, plain: bool = False) -> str:
    ending = "activation=linear\n" if plain else "batch_normalize=1\nactivation=leaky\n"
    return f"[convolutional]\nfilters={filters}\nsize={size}\nstride={stride}\npad=1\n{ending}"


def _route(*layers: int) -> str:
    return f"[route]\nlayers={','.join(map(str, layers))}\n"


def _yolo(mask: str) -> str:
    return f"[yolo]\nmask={mask}\nanchors={_V4_ANCHORS}\nnum=6\nscale_x_y=1.05\n{_COCO}"
