"""Every operation that is built in: its pattern, where the definition comes from, what it equals.

Names that are the same map stay separate entries and prove equal: that is what people come to read.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

from layoutbridge.operations.blocks import (
    BLOCKS,
    block_forms,
    blocks_into_channels,
    channels_into_blocks,
    grouped,
)
from layoutbridge.operations.darknet_reorg import describe_refusal
from layoutbridge.operations.entry import CatalogEntry
from layoutbridge.operations.parameters import Form, Parameter, form
from layoutbridge.operations.patch_entries import PATCH_ENTRIES
from layoutbridge.operations.picture_entries import PICTURE_ENTRIES
from layoutbridge.operations.weight_entries import FLATTEN_ENTRIES, WEIGHT_ENTRIES


def _form(pattern: str, **letters: str) -> tuple[Form, ...]:
    return (Form(pattern, MappingProxyType({name: (letter,) for name, letter in letters.items()})),)


def _transposes(source: str, target: str) -> tuple[Form, ...]:
    """A transpose of pictures, of rows and of volumes."""
    axes = {2: "h w", 1: "w", 3: "d h w"}
    return tuple(
        form(f"{source.replace('h w', own)} -> {target.replace('h w', own)}", spatial=n) for n, own in axes.items()
    )


_STRIDE: Mapping[str, Parameter] = MappingProxyType({"stride": Parameter("stride", 2, "size of a block")})
_SPATIAL: Mapping[str, Parameter] = MappingProxyType(
    {"spatial": Parameter("spatial", 2, "how many axes there are beside the channels: 1, 2 or 3")}
)
_GROUPS: Mapping[str, Parameter] = MappingProxyType(
    {"groups": Parameter("groups", 2, "how many groups", is_of_network=True)}
)


_SPACE_TO_DEPTH = "c (h p:s) (w q:s) -> (p q c) h w"
_DEPTH_TO_SPACE = "(p:s q:s c) h w -> c (h p) (w q)"
_DARKNET = "Darknet, reorg_layer.c and blas.c (reorg_cpu); tables of the compiled C code"
_DARKNET_3D = "Darknet's main fork, reorg_old_layer.c and blas.c (reorg3d); tables of the compiled C code"
_BLOG = "a blog on YOLOv2's reorg: C, H, W always taken from the tensor with more channels"
_POSITION_FIRST = blocks_into_channels(lambda inside: (*inside, "c"))
_CHANNEL_FIRST = blocks_into_channels(lambda inside: ("c", *inside))
_RANKS = ("c h w", "k", "k d", "n c h w", "n c d h w")
_COLUMNS_FIRST = blocks_into_channels(lambda inside: (*reversed(inside), "c"))
_POSITION_FIRST_BACK = channels_into_blocks(lambda inside: (*inside, "c"))
_COLUMNS_FIRST_BGR = block_forms(lambda b: f"c:3 {b.blocks} -> {grouped((*reversed(b.inside), 'c[::-1]'))} {b.outside}")
_CHANNEL_FIRST_BACK = channels_into_blocks(lambda inside: ("c", *inside))

BUILTIN = (  # the best-known names first: where several fit, they are told in this order
    CatalogEntry(
        "space_to_depth",
        _POSITION_FIRST,
        "blocks of s × s into channels, position in the block outermost (DCR)",
        "ONNX SpaceToDepth; tf.nn.space_to_depth",
        BLOCKS,
        ("SpaceToDepth mode DCR", "tf.nn.space_to_depth", "tf.image.extract_patches of size and stride s"),
        "darknet_reorg3d, leimao_reorg, focus_row_major",
    ),
    CatalogEntry(
        "depth_to_space",
        _POSITION_FIRST_BACK,
        "channels back into blocks, position in the block outermost (DCR)",
        "ONNX DepthToSpace mode DCR; tf.nn.depth_to_space",
        BLOCKS,
        ("DepthToSpace mode DCR", "tf.nn.depth_to_space"),
        "darknet_reorg_reverse, leimao_reorg_reverse; the inverse of space_to_depth",
    ),
    CatalogEntry(
        "pixel_unshuffle",
        _CHANNEL_FIRST,
        "the inverse of pixel_shuffle",
        "torch.nn.functional.pixel_unshuffle",
        BLOCKS,
        ("SpaceToDepth mode CRD", "ncnn Reorg mode 0"),
        "space_to_depth_crd",
    ),
    CatalogEntry(
        "pixel_shuffle",
        _CHANNEL_FIRST_BACK,
        "sub-pixel upsampling, channel outermost",
        "torch.nn.functional.pixel_shuffle",
        BLOCKS,
        ("DepthToSpace mode CRD",),
        "depth_to_space_crd",
    ),
    CatalogEntry(
        "focus",
        _COLUMNS_FIRST,
        "slices concatenated column by column: [::2, ::2], [1::2, ::2], [::2, 1::2], [1::2, 1::2]",
        "YOLOv5 up to release 5.0 (Focus); YOLOX; Swin Transformer's patch merging",
        BLOCKS,
        ("Focus", "Swin patch merging"),
        "space_to_depth with p and q swapped: at stride 2 its two middle blocks",
    ),
    CatalogEntry(
        "channel_shuffle",
        _form("(k:g c) h w -> (c k) h w", groups="g"),
        "channels of g groups interleaved",
        "torch.nn.functional.channel_shuffle; ShuffleNet",
        _GROUPS,
        ("torch.nn.ChannelShuffle",),
        family="channels",
    ),
    CatalogEntry(
        "nchw_to_nhwc",
        _transposes("c h w", "h w c"),
        "channels first to channels last",
        "ONNX Transpose, perm 0 2 3 1",
        _SPATIAL,
        equals="the inverse of nhwc_to_nchw",
        family="layouts",
    ),
    CatalogEntry(
        "nhwc_to_nchw",
        _transposes("h w c", "c h w"),
        "channels last to channels first",
        "ONNX Transpose, perm 0 3 1 2",
        _SPATIAL,
        equals="the inverse of nchw_to_nhwc",
        family="layouts",
    ),
    CatalogEntry(
        "space_to_depth_crd",
        _CHANNEL_FIRST,
        "blocks of s × s into channels, channel outermost (CRD)",
        "ONNX SpaceToDepth mode CRD, opset 28",
        BLOCKS,
        ("torch.nn.PixelUnshuffle", "ncnn Reorg mode 0"),
        "pixel_unshuffle",
    ),
    CatalogEntry(
        "depth_to_space_crd",
        _CHANNEL_FIRST_BACK,
        "channels back into blocks, channel outermost (CRD)",
        "ONNX DepthToSpace mode CRD",
        BLOCKS,
        ("torch.nn.PixelShuffle",),
        "pixel_shuffle; the inverse of space_to_depth_crd",
    ),
    CatalogEntry(
        "focus_row_major",
        _POSITION_FIRST,
        "Focus with its slices taken row by row",
        "YOLOv5's Focus with its middle two slices swapped",
        BLOCKS,
        (),
        "space_to_depth",
    ),
    CatalogEntry(
        "darknet_reorg",
        _form("C H W | c:C/s^2 h:H p:s w:W q:s -> p q c h w | C*s^2 H/s W/s", stride="s"),
        "Darknet's [reorg]: more channels, in an order that crosses the axes",
        _DARKNET,
        _STRIDE,
        ("OpenVINO ReorgYolo",),
        "space_to_depth of the input seen as [C/s², H·s, W·s]",
        describe_refusal,
        family="Darknet",
    ),
    CatalogEntry(
        "darknet_reorg_reverse",
        _form("C H W | p:s q:s c:C/s^2 h:H w:W -> c h p w q | C/s^2 H*s W*s", stride="s"),
        "Darknet's [reorg] reverse=1: fewer channels",
        _DARKNET,
        _STRIDE,
        ("depth_to_space DCR",),
        "depth_to_space; undoes darknet_reorg3d, not darknet_reorg",
        partial(describe_refusal, reverse=True),
        family="Darknet",
    ),
    CatalogEntry(
        "darknet_reorg3d",
        _form(_SPACE_TO_DEPTH, stride="s"),
        "Darknet's [reorg3d]: more channels",
        _DARKNET_3D,
        _STRIDE,
        ("space_to_depth DCR",),
        "space_to_depth; undone by darknet_reorg_reverse",
        family="Darknet",
    ),
    CatalogEntry(
        "darknet_reorg3d_reverse",
        _form("C H W | p:s q:s c:C/s^4 h:H*s w:W*s -> c h p w q | C/s^2 H*s W*s", stride="s"),
        "Darknet's [reorg3d] reverse=1: fewer channels, C a multiple of s⁴",
        _DARKNET_3D,
        _STRIDE,
        (),
        "the inverse of darknet_reorg; nothing else",
        family="Darknet",
    ),
    CatalogEntry(
        "darknet_flatten",
        _form("c h w -> h w c | c h w"),
        "Darknet's [reorg] flatten=1 at stride 1: channels last under the label [C, H, W]",
        "Darknet, reorg_layer.c and blas.c (flatten)",
        equals="nchw_to_nhwc under another shape",
        family="Darknet",
    ),
    CatalogEntry(
        "darknet_unflatten",
        _form("C H W | h:H w:W c:C -> c h w | C H W"),
        "Darknet's [reorg] flatten=1 reverse=1 at stride 1: the inverse of flatten under the same label",
        "Darknet, reorg_layer.c and blas.c (flatten)",
        equals="nhwc_to_nchw of the input seen as [H, W, C]; the inverse of darknet_flatten",
        family="Darknet",
    ),
    CatalogEntry(
        "leimao_reorg",
        _form(_SPACE_TO_DEPTH, stride="s"),
        "[reorg] under the unified convention, channels up",
        _BLOG,
        _STRIDE,
        (),
        "space_to_depth",
    ),
    CatalogEntry(
        "leimao_reorg_reverse",
        _form(_DEPTH_TO_SPACE, stride="s"),
        "[reorg] under the unified convention, channels down",
        _BLOG,
        _STRIDE,
        (),
        "depth_to_space",
    ),
    CatalogEntry(
        "identity",
        tuple(form(f"{axes} -> {axes}", axes=len(axes.split())) for axes in _RANKS),
        "every element stays where it is",
        "ONNX Identity",
        MappingProxyType({"axes": Parameter("axes", 3, "how many axes the item has: 1 to 5")}),
        equals="every space and depth operation at stride 1",
        family="identity",
    ),
    CatalogEntry(
        "focus_bgr",
        _COLUMNS_FIRST_BGR,
        "Focus of a picture whose three colours stand in the other order",
        "YOLOv5 up to release 5.0 (Focus), of an RGB network that is given BGR pictures",
        BLOCKS,
        (),
        "rgb_to_bgr and then focus",
        family="colours and samples",
    ),
    *PATCH_ENTRIES,
    *WEIGHT_ENTRIES,
    *PICTURE_ENTRIES,
    *FLATTEN_ENTRIES,
)
