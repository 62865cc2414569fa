"""Rearrangements at small shapes, as the tests of their Keras layers take them."""

import numpy as np

from layoutbridge import catalog

FORMATS = ("channels_last", "channels_first")
LAYOUT_CHANGES = ("nchw_to_nhwc", "nhwc_to_nchw")
# One of each kind: native, one transpose, several transposes, another label, own axes transposed.
KINDS = ("space_to_depth", "depth_to_space", "focus", "darknet_reorg", "darknet_flatten", "nchw_to_nhwc")


def entry_at(name, stride):
    return catalog()[name].build_at(stride)


def shape_for(rearrangement, batch=2, multiples=(2, 3, 5)):
    """A shape [N, ...] that fits, of unequal lengths."""
    units = [rearrangement.domain.divisor(axis) for axis in range(rearrangement.rank)]
    return (batch, *(unit * multiple for unit, multiple in zip(units, multiples, strict=False)))


def counting(shape, dtype="int32"):
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def held(x, data_format, name=None):
    """[N, C, H, W] as a layer of this data format takes it."""
    moved = data_format == "channels_last" and x.ndim == 4 and name not in LAYOUT_CHANGES
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)) if moved else x


def gathered(rearrangement, x):
    """The result by the gather table alone, channels first."""
    return x.reshape(-1)[rearrangement.table(x.shape)].reshape(rearrangement.out_shape(x.shape))


def same(result, expected):
    result = np.asarray(result)
    return result.dtype == expected.dtype and result.shape == expected.shape and result.tobytes() == expected.tobytes()
