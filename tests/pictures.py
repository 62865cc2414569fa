"""The catalogue's entries on pictures [C, H, W] that every framework's tests go through, at one number each."""

from layoutbridge import catalog

NAMES = (
    "darknet_reorg", "darknet_reorg_reverse", "darknet_reorg3d", "darknet_reorg3d_reverse", "darknet_flatten",
    "darknet_unflatten", "space_to_depth", "space_to_depth_crd", "depth_to_space", "depth_to_space_crd",
    "pixel_shuffle", "pixel_unshuffle", "focus", "focus_row_major", "leimao_reorg", "leimao_reorg_reverse",
    "nchw_to_nhwc", "nhwc_to_nchw", "channel_shuffle",
)  # fmt: skip


def pictures():
    """Those entries by name."""
    return {name: entry for name, entry in catalog().items() if name in NAMES}
