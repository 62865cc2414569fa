"""Detectors and classifiers to measure with, as their papers describe them, with drawn weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from layoutbridge.darknet import load
from layoutbridge.darknet.networks.network import DarknetNetwork
from tests.darknet_files import HEADER

_COCO = "classes=80\n"
_V2_ANCHORS = "0.57273, 0.677385, 1.87446, 2.06253, 3.33843, 5.47434, 7.88282, 3.52778, 9.77052, 9.16828"
_V4_ANCHORS = "10,14, 23,27, 37,58, 81,82, 135,169, 344,319"
_V3_ANCHORS = "10,13, 16,30, 33,23, 30,61, 62,45, 59,119, 116,90, 156,198, 373,326"
_YOLOV4_ANCHORS = "12,16, 19,36, 40,28, 36,75, 76,55, 72,146, 142,110, 192,243, 459,401"
_UPSAMPLE = "[upsample]\nstride=2\n"
_INVERTED = (  # times wider within, filters, blocks, the first one's stride
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
)  # fmt: skip
_CLASSES = (
    "[avgpool]\n",
    "[convolutional]\nfilters=1000\nsize=1\nstride=1\npad=1\nactivation=linear\n",
)  # a softmax behind them would make 0 and 1 of what drawn weights give
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


def yolov3(side: int = 416) -> str:
    """The cfg of YOLOv3 for COCO: Darknet-53, and a head at each of three sizes, each fed by the one before."""
    parts = [_net(side), *_darknet53()]
    for filters, mask, finer in ((512, "6,7,8", 61), (256, "3,4,5", 36), (128, "0,1,2", None)):
        parts += [_conv(filters, 1), _conv(2 * filters, 3)] * 3 + [
            _conv(255, 1, plain=True),
            _yolo(mask, _V3_ANCHORS, 9),
        ]
        if finer is not None:
            parts += [_route(-4), _conv(filters // 2, 1), _UPSAMPLE, _route(-1, finer)]
    return "".join(parts)


def yolov4(side: int = 416) -> str:
    """The cfg of YOLOv4 for COCO: Darknet-53 in cross stages with Mish, pools of three sizes, down and up again."""
    parts = [_net(side), _conv(32, 3, activation="mish")]
    for filters, blocks in ((64, 1), (128, 2), (256, 8), (512, 8), (1024, 4)):
        parts += _cross_stage(filters, blocks)
    turns = [_conv(512, 1), _conv(1024, 3), _conv(512, 1)]
    pools = [f"[maxpool]\nsize={size}\nstride=1\n" for size in (5, 9, 13)]
    parts += [*turns, pools[0], _route(-2), pools[1], _route(-4), pools[2], _route(-1, -3, -5, -6), *turns]
    for filters, finer in ((256, 85), (128, 54)):
        parts += [_conv(filters, 1), _UPSAMPLE, _route(finer), _conv(filters, 1), _route(-1, -3), *_fives(filters)]
    for filters, mask, scale, coarser in ((128, "0,1,2", 1.2, -16), (256, "3,4,5", 1.1, -37), (512, "6,7,8", 1.05, 0)):
        parts += [_conv(2 * filters, 3), _conv(255, 1, plain=True), _yolo(mask, _YOLOV4_ANCHORS, 9, scale)]
        if coarser:
            parts += [_route(-4), _conv(2 * filters, 3, 2), _route(-1, coarser), *_fives(2 * filters)]
    return "".join(parts)


def darknet53(side: int = 256) -> str:
    """The cfg of the Darknet-53 classifier of a thousand classes."""
    return "".join([_net(side), *_darknet53(), *_CLASSES])


def mobilenet(side: int = 224) -> str:
    """The cfg of a classifier after MobileNetV2: each channel filtered by itself between two 1×1 convolutions."""
    parts, channels = [_net(side), _conv(32, 3, 2, activation="relu")], 32
    for widened, filters, count, stride in _INVERTED:
        for number in range(count):
            wide, step = widened * channels, stride if number == 0 else 1
            parts += [_conv(wide, 1, activation="relu")] if widened > 1 else []
            parts += [_conv(wide, 3, step, activation="relu", groups=wide), _conv(filters, 1, activation="linear")]
            parts += ["[shortcut]\nfrom=-4\nactivation=linear\n"] if step == 1 and channels == filters else []
            channels = filters
    return "".join([*parts, _conv(1280, 1, activation="relu"), *_CLASSES])


def _darknet53() -> list[str]:
    parts = [_conv(32, 3)]
    for filters, blocks in ((64, 1), (128, 2), (256, 8), (512, 8), (1024, 4)):
        parts += [_conv(filters, 3, 2), *_blocks(filters // 2, filters, blocks)]
    return parts


def _blocks(inner: int, filters: int, count: int, activation: str = "leaky") -> list[str]:
    """Blocks of two convolutions with their input added."""
    pair = [_conv(inner, 1, activation=activation), _conv(filters, 3, activation=activation)]
    return [*pair, "[shortcut]\nfrom=-3\nactivation=linear\n"] * count


def _cross_stage(filters: int, blocks: int) -> list[str]:
    """A stage of which one half goes past the blocks."""
    half = max(64, filters // 2)

    def one(number: int, size: int, stride: int = 1) -> str:
        return _conv(number, size, stride, activation="mish")

    start = [one(filters, 3, 2), one(half, 1), _route(-2), one(half, 1)]
    inner = _blocks(filters // 2, half, blocks, "mish")
    return [*start, *inner, one(half, 1), _route(-1, -(len(inner) + 4)), one(filters, 1)]


def _fives(filters: int) -> list[str]:
    wide = 2 * filters
    return [_conv(filters, 1), _conv(wide, 3), _conv(filters, 1), _conv(wide, 3), _conv(filters, 1)]


DETECTORS = {"yolov2": yolov2, "yolov4-tiny": yolov4_tiny, "yolov3": yolov3, "yolov4": yolov4}
CLASSIFIERS = {"darknet53": darknet53, "mobilenet": mobilenet}
NETWORKS = DETECTORS | CLASSIFIERS


def write_detector(name: str, folder: Path, side: int | None = None) -> DarknetNetwork:
    """The network's net.cfg and net.weights in `folder`, loaded (the main fork's flavor); in its usual size."""
    cfg, weights = folder / "net.cfg", folder / "net.weights"
    cfg.write_text(NETWORKS[name]() if side is None else NETWORKS[name](side))
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


def _conv(
    filters: int, size: int, stride: int = 1, *, plain: bool = False, activation: str = "leaky", groups: int = 1
) -> str:
    ending = "activation=linear\n" if plain else f"batch_normalize=1\nactivation={activation}\n"
    ending += f"groups={groups}\n" if groups > 1 else ""
    return f"[convolutional]\nfilters={filters}\nsize={size}\nstride={stride}\npad=1\n{ending}"


def _route(*layers: int) -> str:
    return f"[route]\nlayers={','.join(map(str, layers))}\n"


def _yolo(mask: str, anchors: str = _V4_ANCHORS, count: int = 6, scale: float = 1.05) -> str:
    return f"[yolo]\nmask={mask}\nanchors={anchors}\nnum={count}\nscale_x_y={scale}\n{_COCO}"
