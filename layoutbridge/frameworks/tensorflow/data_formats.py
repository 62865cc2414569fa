"""How a layer's tensors are held: Keras' two names for it, which layout each is, and what a rearrangement is in it.

Images have one, two or three spatial axes, [C, W], [C, H, W] or [C, D, H, W], and are told by the names of the
pattern's axes: whatever gives such images again has its channels last in Keras. Where the pattern names the batch
itself, as `space_to_batch` does, [N, C, H, W] are images too, if there is no other batch axis in front. A pattern
without a name of its own that maps three axes behind a batch to three may call them anything. All else stays as it is:
weights, tokens, the layout changes themselves.
"""

from __future__ import annotations

from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.errors import ParameterError, shown
from layoutbridge.frameworks.base import Layout

LAYOUTS: dict[str, Layout] = {"channels_first": "NCHW", "channels_last": "NHWC"}
DATA_FORMATS = ("channels_last", "channels_first")
_IMAGES = (("C", "W"), ("C", "H", "W"), ("C", "D", "H", "W"))
_BATCH = "N"
_LAYOUT_CHANGES = (Rearrangement("C H W -> H W C"), Rearrangement("H W C -> C H W"))


def check_data_format(data_format: str) -> None:
    """Raise `ParameterError` for a format there is not."""
    if data_format not in DATA_FORMATS:
        raise ParameterError(f"data_format is {' or '.join(DATA_FORMATS)}, not {shown(data_format)}")


def in_layout(op: Rearrangement, data_format: str, *, batched: bool = True) -> Rearrangement:
    """What `op` does to tensors held in `data_format`; raises `ParameterError` for a format there is not.

    >>> from layoutbridge.operations.catalog import op
    >>> in_layout(op("space_to_depth"), "channels_last").out_shape((4, 6, 3))
    (2, 3, 12)
    >>> in_layout(op("space_to_batch"), "channels_last", batched=False).out_shape((1, 4, 6, 3))
    (4, 2, 3, 3)
    """
    check_data_format(data_format)
    order = layout_order(op, data_format, batched=batched)
    if order == tuple(range(op.rank)):
        return op
    refusal, first, last = op._refusal, op.axes, [op.axes[axis] for axis in order]
    to_last = Rearrangement(f"{' '.join(first)} -> {' '.join(last)}")
    conjugated = to_last.inverse().then(op).then(to_last)
    if op.name is None:
        return conjugated
    places = [order.index(axis) for axis in range(op.rank)]
    told = None if refusal is None else (lambda item: refusal(tuple(item[place] for place in places)))
    return conjugated.named(f"{op.name} on channels-last tensors", op.parameters, told)


def layout_order(op: Rearrangement, data_format: str, *, batched: bool = True) -> tuple[int, ...]:
    """The axis of the pattern that each axis of a tensor in `data_format` is, a batch in front not counted.

    >>> from layoutbridge.operations.catalog import op
    >>> layout_order(op("focus"), "channels_last"), layout_order(op("patch_merging"), "channels_last")
    ((1, 2, 0), (0, 1, 2))
    """
    axes = tuple(range(op.rank))
    channels = _channels_axis(op, batched) if data_format == "channels_last" else None
    return axes if channels is None else (*axes[:channels], *axes[channels + 1 :], channels)


def has_data_format(op: Rearrangement, *, batched: bool = True) -> bool:
    """Whether `op` maps images to images, so that channels may come first or last; layout changes do not.

    >>> from layoutbridge.operations.catalog import op
    >>> [has_data_format(op(name, spatial=1)) for name in ("pixel_shuffle", "patchify", "space_to_batch")]
    [True, False, False]
    """
    return _channels_axis(op, batched) is not None


def _channels_axis(op: Rearrangement, batched: bool) -> int | None:
    """Which axis of the pattern holds the channels of images that become images; None where there are none."""
    channels = 0 if batched or op.axes[0] != _BATCH else 1
    if op.axes[channels:] in _IMAGES and _gives_images(op, channels):
        return channels
    plain = op.name is None and op.rank == len(op.result_shape) == len(_IMAGES[1])
    return 0 if batched and plain and op not in _LAYOUT_CHANGES else None


def _gives_images(op: Rearrangement, channels: int) -> bool:
    """Whether the result has as many axes, and each spatial one is made of one of the input's, all different.

    So `patchify` on one axis gives none, whose last axis holds the channels.
    """
    kept = [size.single_axis for size in op.result_shape]
    spatial = range(channels + 1, op.rank)
    return (
        len(kept) == op.rank and sorted(kept[channels + 1 :], key=str) == [*spatial] and channels not in kept[:channels]
    )
