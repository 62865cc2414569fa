"""How a picture is prepared for a classifier: each fork's way, and that of YOLOv8's classifiers.

| name | the picture |
|---|---|
| crop | the main fork's: its shorter side resized to the network's width, the middle cut out |
| letterbox | the original's: its aspect kept, grey around it, as for detection |
| ultralytics | its shorter side resized smoothly, the middle cut out |

Definitions: predict_classifier in classifier.c of both forks; resize_min and crop_image in image.c;
classify_transforms in ultralytics/data/augment.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.detection.pictures import Size, pixels_of
from layoutbridge.darknet.detection.resizing import fitted
from layoutbridge.errors import UnusableInputError

if TYPE_CHECKING:
    from PIL.Image import Image

Preparation = Literal["crop", "letterbox", "ultralytics"]
_MOST_PIXELS = 25_000_000  # of the picture once it is resized


def prepare(image: Image, channels: int, size: Size, how: Preparation) -> NDArray[np.float32]:
    """An image of `open_picture` as float32 [channels, H, W] of the network's `size`, (width, height).

    Raises `UnusableInputError` for a picture that is so long that it would be too large with its shorter side fitted.
    """
    if how == "letterbox":
        return fitted(image, channels, size, letterboxed=True)
    width, height = size
    across, down = shorter_side_fitted(image.size, width if how == "crop" else min(size))
    if across * down > _MOST_PIXELS:
        raise UnusableInputError(
            f"a picture of {image.width}×{image.height} becomes {across}×{down} with its shorter side fitted: cut it "
            "first"
        )
    if how == "crop":
        pixels = fitted(image, channels, (across, down), letterboxed=False)
        # Darknet's division is rounded to zero; beyond its edge the picture's last pixels are repeated
        columns, rows = (
            np.clip(np.arange(part) + int((whole - part) / 2), 0, whole - 1)
            for whole, part in ((across, width), (down, height))
        )
        return np.ascontiguousarray(pixels[:, rows[:, None], columns])
    from PIL import Image as images

    resized = image.convert("RGB").resize((across, down), images.Resampling.BILINEAR)
    left, top = round((across - width) / 2), round((down - height) / 2)
    cut = resized.crop((left, top, left + width, top + height))
    return pixels_of(cut, channels).astype(np.float32) / np.float32(255)


def shorter_side_fitted(picture: Size, side: int) -> Size:
    """The size of a picture whose shorter side becomes `side`: whole numbers, rounded down.

    >>> shorter_side_fitted((640, 480), 224), shorter_side_fitted((480, 640), 224)
    ((298, 224), (224, 298))
    """
    width, height = picture
    return (side, height * side // width) if width < height else (width * side // height, side)
