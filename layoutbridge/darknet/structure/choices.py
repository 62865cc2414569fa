"""What is chosen by name: the forks of Darknet, how boxes are suppressed, and what an exported network returns.

Words alone: a command line reads them while its user types.
"""

from __future__ import annotations

from typing import Literal, get_args

Flavor = Literal["alexey", "pjreddie"]
FLAVORS: tuple[Flavor, ...] = ("alexey", "pjreddie")
HeadLayout = Literal["boxes", "yolov5", "yolov8"]
HEAD_LAYOUTS: tuple[HeadLayout, ...] = get_args(HeadLayout)
HEADS = ("darknet", "raw", *HEAD_LAYOUTS)  # what an exported network returns: `darknet.ports.outputs`
NMS_KINDS = ("default", "greedynms", "diounms", "cornersnms", "greedynms-iou")  # the last: greedynms of older forks
