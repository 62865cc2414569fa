"""Pictures and channels: colours, Bayer mosaics, interleaved samples, flips and turns, channels in blocks."""

from __future__ import annotations

from types import MappingProxyType

from layoutbridge.operations.entry import CatalogEntry
from layoutbridge.operations.parameters import Form, Parameter, form

_TURNS = "flips and turns"
_COLOURS = "colours and samples"
_CHANNELS = "channels in blocks"
_BACKWARDS = "[::-1]"
# Where the red positions lie in each block of 2 × 2: a reversed digit is one that begins with the other row or column.
_MOSAICS = {"RGGB": ("", ""), "BGGR": (_BACKWARDS, _BACKWARDS), "GRBG": ("", _BACKWARDS), "GBRG": (_BACKWARDS, "")}
_MOSAIC = MappingProxyType(
    {"mosaic": Parameter("mosaic", "RGGB", "colours of a block, row by row: RGGB, BGGR, GRBG or GBRG")}
)
_PARTS = MappingProxyType({"parts": Parameter("parts", 2, "how many samples go together: 2, or 3 for RGB")})


def _to_planes() -> tuple[Form, ...]:
    return tuple(
        form(f"(h p:2) (w q:2) -> (p{rows} q{columns}) h w", mosaic=word) for word, (rows, columns) in _MOSAICS.items()
    )


def _to_mosaic() -> tuple[Form, ...]:
    return tuple(
        form(f"(p:2 q:2) h w -> (h p{rows}) (w q{columns})", mosaic=word) for word, (rows, columns) in _MOSAICS.items()
    )


PICTURE_ENTRIES = (
    CatalogEntry(
        "rgb_to_bgr",
        (form("c:3 h w -> c[::-1] h w"),),
        "the three colours in the other order",
        "OpenCV reads BGR; Pillow, torchvision and TensorFlow RGB",
        also_known_as=("bgr_to_rgb",),
        equals="its own inverse",
        family=_COLOURS,
    ),
    CatalogEntry(
        "bayer_to_planes",
        _to_planes(),
        "a raw mosaic [H, W] into planes [4, H/2, W/2]: R, G beside R, G beside B, B",
        "Bayer's colour filter array (US patent 3971065); packed raw in learned camera pipelines",
        _MOSAIC,
        ("raw packing",),
        "RGGB: space_to_depth of one channel",
        family=_COLOURS,
    ),
    CatalogEntry(
        "planes_to_bayer",
        _to_mosaic(),
        "planes [4, H, W] of R, G beside R, G beside B, B back into a raw mosaic",
        "Bayer's colour filter array (US patent 3971065)",
        _MOSAIC,
        (),
        "the inverse of bayer_to_planes",
        family=_COLOURS,
    ),
    CatalogEntry(
        "interleaved_to_planar",
        (form("(w r:parts) -> (r w)", "parts"),),
        "samples of a row, which take turns, one kind after the other: u v u v to u u v v",
        "NV12 to I420 in each row of chroma; complex numbers as real and imaginary halves",
        _PARTS,
        ("deinterleave",),
        "undone by planar_to_interleaved",
        family=_COLOURS,
    ),
    CatalogEntry(
        "planar_to_interleaved",
        (form("(r:parts w) -> (w r)", "parts"),),
        "the samples of each kind take turns again: u u v v to u v u v",
        "I420 to NV12 in each row of chroma",
        _PARTS,
        ("interleave",),
        "the inverse of interleaved_to_planar",
        family=_COLOURS,
    ),
    CatalogEntry(
        "interleaved_to_planes",
        (form("h (w r:parts) -> r h w", "parts"),),
        "samples that take turns in the rows of [H, W] into planes of their own",
        "NV12 to I420 (U and V planes); RGBRGB rows to R, G and B planes",
        _PARTS,
        (),
        "nhwc_to_nchw of the rows seen as [H, W/parts, parts]",
        family=_COLOURS,
    ),
    CatalogEntry(
        "planes_to_interleaved",
        (form("r h w -> h (w r)"),),
        "planes [parts, H, W] into rows in which their samples take turns",
        "I420 to NV12; R, G and B planes to RGBRGB rows",
        MappingProxyType({}),
        (),
        "the inverse of interleaved_to_planes",
        family=_COLOURS,
    ),
    CatalogEntry(
        "flip_width",
        (form("c h w -> c h w[::-1]"),),
        "each row backwards: left and right change places",
        "tf.image.flip_left_right; torchvision hflip; numpy.fliplr of [H, W]",
        also_known_as=("horizontal flip", "mirror"),
        equals="its own inverse",
        family=_TURNS,
    ),
    CatalogEntry(
        "flip_height",
        (form("c h w -> c h[::-1] w"),),
        "the rows in the other order: top and bottom change places",
        "tf.image.flip_up_down; torchvision vflip; numpy.flipud of [H, W]",
        also_known_as=("vertical flip",),
        equals="its own inverse",
        family=_TURNS,
    ),
    CatalogEntry(
        "rotate_90",
        (form("c h w -> c w[::-1] h"),),
        "a quarter turn against the clock",
        "numpy.rot90, torch.rot90 on (H, W) and tf.image.rot90 with k=1",
        equals="undone by rotate_270",
        family=_TURNS,
    ),
    CatalogEntry(
        "rotate_180",
        (form("c h w -> c h[::-1] w[::-1]"),),
        "half a turn; a convolution's kernel for the correlation that undoes it",
        "numpy.rot90, torch.rot90 on (H, W) and tf.image.rot90 with k=2",
        equals="its own inverse",
        family=_TURNS,
    ),
    CatalogEntry(
        "rotate_270",
        (form("c h w -> c w h[::-1]"),),
        "a quarter turn with the clock",
        "numpy.rot90, torch.rot90 on (H, W) and tf.image.rot90 with k=3",
        also_known_as=("clockwise quarter turn",),
        equals="undone by rotate_90",
        family=_TURNS,
    ),
    CatalogEntry(
        "transpose_hw",
        (form("c h w -> c w h"),),
        "height and width change places",
        "tf.image.transpose; matrices that are stored by column",
        equals="its own inverse",
        family=_TURNS,
    ),
    CatalogEntry(
        "nchw_to_nchwc",
        (form("(c b:block) h w -> c h w b", "block"),),
        "channels in blocks: each block's channels innermost",
        "oneDNN nChw8c and nChw16c, onnxruntime NCHWc, MNN NC4HW4, TensorRT CHW4",
        MappingProxyType({"block": Parameter("block", 4, "how many channels a block has: 4, 8, 16")}),
        ("NCHW4c", "NCHW8c", "NCHW16c", "NC4HW4"),
        "undone by nchwc_to_nchw; channels are filled up with zeros first where they do not divide",
        family=_CHANNELS,
    ),
    CatalogEntry(
        "nchwc_to_nchw",
        (form("c h w b -> (c b) h w"),),
        "channels in blocks back into one axis",
        "oneDNN nChw8c and nChw16c, onnxruntime NCHWc, MNN NC4HW4, TensorRT CHW4",
        equals="the inverse of nchw_to_nchwc",
        family=_CHANNELS,
    ),
)
