"""The pictures that ranges are measured over: as the network takes them, and of a few pictures parts of them, too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.classification.classifier import preparation_of
from layoutbridge.darknet.classification.fitting import prepare
from layoutbridge.darknet.detection.boxes import head_rules
from layoutbridge.darknet.detection.fitting import fit
from layoutbridge.darknet.detectors.sources import frames, open_frame
from layoutbridge.darknet.ports.outputs import is_classifier
from layoutbridge.darknet.structure.model import Network
from layoutbridge.errors import ParameterError, ShapeError, UnsupportedError, UnusableInputError, counted

if TYPE_CHECKING:
    from PIL.Image import Image

_FEW = 32  # up to so many pictures, parts of them are measured, too
_MOST = 256  # more change nothing that is measured
_PARTS = ((0.0, 0.0, 0.75, 0.75), (0.25, 0.25, 1.0, 1.0), (0.125, 0.125, 0.875, 0.875))  # left, top, right, bottom


@dataclass(frozen=True, slots=True)
class Pictures:
    """Pictures as the network takes them, float32 [N, C, H, W]: those `given`, and with their parts those to measure.

    `unreadable` has a line for each that could not be read, `left_out` says how many were not looked at.
    """

    given: NDArray[np.float32]
    measured: NDArray[np.float32]
    unreadable: tuple[str, ...] = ()
    left_out: int = 0


def pictures_for(network: Network, source: Any) -> Pictures:
    """The pictures that `source` means, as `Detector.detect` takes them: a file, a folder, a pattern, a list of them.

    A float32 array [N, C, H, W] of values in 0..1 is taken as it is. Raises `UnusableInputError` where no picture can
    be read, `ShapeError` or `ParameterError` for other arrays, `UnsupportedError` for a network that takes none.
    """
    if len(network.in_shape) != 3:
        raise UnsupportedError(
            f"{network.source} takes {counted(network.channels, 'number')}, no picture to measure int8 over"
        )
    if isinstance(source, np.ndarray) and source.ndim == 4 and np.issubdtype(source.dtype, np.floating):
        if source.shape[1:] != network.in_shape or not len(source):
            wanted = ", ".join(map(str, network.in_shape))
            raise ShapeError(f"pictures must be [N, {wanted}], not {list(source.shape)}")
        least, most = source.min(), source.max()
        if source.dtype != np.float32 or not (least >= 0 and most <= 1):  # NaN is neither
            raise ParameterError(
                f"pictures as an array are float32 in 0..1, not {source.dtype} from {least:g} to {most:g}: ranges "
                "measured over others would be wrong"
            )
        return Pictures(source, source)
    given: list[NDArray[np.float32]] = []
    parts: list[NDArray[np.float32]] = []
    unreadable: list[str] = []
    left_out = 0
    for frame in frames(source):
        if len(given) == _MOST:
            left_out += 1
            continue
        try:
            if frame.fault is not None:
                raise UnusableInputError(f"'{frame.name}', frame {frame.number}: {frame.fault}")
            image = open_frame(frame)
            given.append(_fitted(network, image))
            if len(given) <= _FEW:
                parts += [_fitted(network, part) for part in _parts(image)]
        except (UnusableInputError, UnsupportedError, ShapeError) as error:
            unreadable.append(str(error))
    if not given:
        if not unreadable:
            raise UnusableInputError("there are no pictures to measure int8 over: the list is empty")
        raise UnusableInputError(
            f"none of {len(unreadable)} pictures to measure int8 over can be read: {unreadable[0]}"
        )
    whole = np.stack(given)
    measured = np.concatenate([whole, np.stack(parts)]) if len(given) <= _FEW else whole
    return Pictures(whole, measured, tuple(unreadable), left_out)


def _fitted(network: Network, image: Image) -> NDArray[np.float32]:
    size = (network.width, network.height)
    if is_classifier(network):
        return prepare(image, network.channels, size, preparation_of(network))
    return fit(image, network.channels, size, "letterbox" if _letterboxed(network) else "stretch")


def _letterboxed(network: Network) -> bool:
    try:
        return head_rules(network).letterbox
    except UnsupportedError:  # without detection layers
        return network.letterbox


def _parts(image: Image) -> list[Image]:
    """The picture's mirror image, and pieces of it."""
    from PIL import Image as images

    width, height = image.size
    cuts = [(int(a * width), int(b * height), max(int(c * width), 1), max(int(d * height), 1)) for a, b, c, d in _PARTS]
    pieces = [image.crop(cut) for cut in cuts if cut[2] > cut[0] and cut[3] > cut[1]]
    return [image.transpose(images.Transpose.FLIP_LEFT_RIGHT), *pieces]
