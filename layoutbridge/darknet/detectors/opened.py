"""What a model file is here once it is loaded: something that runs, and what it says of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.errors import ParameterError, ShapeError, UnsupportedError

Outputs = Mapping[str, NDArray[Any]]
Size = tuple[int, int]  # width, height
_CHANNELS = (1, 3, 4)  # of a picture
_MOST_VALUES = 2**31 - 1  # as in a .cfg


@dataclass(frozen=True, slots=True)
class Opened:
    """A loaded model.

    `run` takes float32 [N, C, H, W] of RGB in 0..1 (N is `batch`, or any where that is None) and gives the outputs by
    name, in order. `in_shape` is (C, H, W); `metadata` are those that the file carries, by name. `framework` is the
    target of `ports.table` whose file it is. `beside(n)` opens the model once more, so that n threads may run it at
    once, each on one core: None where the runtime cannot, or holds the interpreter's lock.
    """

    source: str
    framework: str
    run: Callable[[NDArray[np.float32]], Outputs]
    in_shape: tuple[int, int, int]
    batch: int | None = None
    channels_last: bool = False  # of outputs that are maps
    metadata: Mapping[str, str] = field(default_factory=dict)
    keeps: object = None  # what has to live as long as the model
    beside: Callable[[int], Opened] | None = None

    def outputs(self, x: NDArray[np.float32]) -> Outputs:
        """The outputs for floats x [N, C, H, W] in 0..1, whatever the model's own batch is.

        Raises `ShapeError` for another shape, and `ParameterError` for what is no float, as a picture's own numbers.
        """
        x = np.asarray(x)
        if x.dtype.kind != "f":
            raise ParameterError(f"'{self.source}' takes floats, a picture's values in 0..1, not {x.dtype}")
        if x.shape[1:] != self.in_shape or not len(x):
            raise ShapeError(f"'{self.source}' takes [N, {', '.join(map(str, self.in_shape))}], not {list(x.shape)}")
        x = np.ascontiguousarray(x, np.float32)  # runtimes refuse, misread or read beyond what is none
        if self.batch is None or self.batch == len(x):
            return self.run(x)
        made = [self.run(_filled(x[k : k + self.batch], self.batch)) for k in range(0, len(x), self.batch)]
        return {name: np.concatenate([each[name] for each in made])[: len(x)] for name in made[0]}


def picture_shape(
    lengths: tuple[int | None, ...], source: str, *, channels_last: bool = False, size: Size | None = None
) -> tuple[int, int, int]:
    """(C, H, W) of an input [N, C, H, W], or [N, H, W, C]; `size` is (width, height) where the input leaves them open.

    Raises `UnsupportedError` where it is no picture, or open without a `size`, and `ParameterError` where the size is
    not open and another one.

    >>> picture_shape((1, 3, None, None), "a.onnx", size=(640, 480))
    (3, 480, 640)
    """
    if size is not None and len(lengths) == 4 and not channels_last:
        wanted = size[::-1]
        if any(length not in (None, 0, side) for length, side in zip(lengths[2:], wanted, strict=True)):
            told = " x ".join("open" if not length else str(length) for length in lengths[:1:-1])
            raise ParameterError(
                f"'{source}' takes pictures of {told} (width x height), not of {size[0]} x {size[1]}: a size is for "
                "files that leave theirs open, or a .cfg"
            )
        if (values := prod(wanted) * (lengths[1] or 1)) > _MOST_VALUES:
            raise ParameterError(f"the input would have {values:,} values, over {_MOST_VALUES:,}")
        lengths = (*lengths[:2], *wanted)
    if len(lengths) != 4 or (lengths[0] or 0) < 0 or any((length or 0) < 1 for length in lengths[1:]):
        is_open = len(lengths) == 4 and None in lengths[2:] and lengths[1] is not None and not channels_last
        how = "; detect, classify and map are told one by --size 416x416" if is_open else ""
        raise UnsupportedError(
            f"'{source}' takes {list(lengths)[:8]}: a picture of a fixed size, [N, C, H, W], is wanted{how}"
        )
    _, first, second, third = (length or 0 for length in lengths)
    return (third, first, second) if channels_last else (first, second, third)


def is_channels_last(lengths: tuple[int | None, ...], metadata: Mapping[str, str]) -> bool:
    """Whether [N, H, W, C] is meant: as the file's `metadata` say, where they do.

    Else its last length is a picture's number of channels, and its second is not.

    >>> is_channels_last((1, 416, 416, 3), {}), is_channels_last((1, 3, 416, 416), {})
    (True, False)
    >>> is_channels_last((1, 8, 8, 128), {"input_layout": "NHWC"})
    True
    """
    if (told := metadata.get("input_layout")) in ("NHWC", "NCHW"):
        return told == "NHWC"
    return len(lengths) == 4 and lengths[3] in _CHANNELS and lengths[1] not in _CHANNELS


def _filled(x: NDArray[np.float32], batch: int) -> NDArray[np.float32]:
    """The last pictures of a list, the last one repeated up to the batch."""
    missing = batch - len(x)
    return x if missing == 0 else np.concatenate([x, np.repeat(x[-1:], missing, axis=0)])
