"""Every named operation: its pattern, its parameters, where the definition comes from, what it equals.

`op("darknet_reorg", stride=2)` makes a `Rearrangement`. Names that are the same map stay separate entries and
prove equal. `register` adds a user's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache, partial
from types import MappingProxyType

from layoutbridge.algebra.pattern import shown, whole_number
from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.errors import ParameterError, UnknownNameError
from layoutbridge.operations.darknet_reorg import describe_refusal

_NO_PARAMETERS: Mapping[str, int] = MappingProxyType({})
_STRIDE: Mapping[str, int] = MappingProxyType({"stride": 2})
_GROUPS: Mapping[str, int] = MappingProxyType({"groups": 2})
_LETTERS = {"stride": "s", "groups": "g"}
DescribeRefusal = Callable[[int, tuple[int, ...]], str | None]


@dataclass(frozen=True)
class CatalogEntry:
    """One named operation.

    In `pattern`, `s` is the stride (block size) and `g` the number of groups. `parameters` maps each parameter
    to its default, `provenance` says where the definition comes from, `also_known_as` what others call the same
    map, and `equals` how it relates to other entries.
    """

    name: str
    pattern: str
    summary: str
    provenance: str
    parameters: Mapping[str, int] = field(default_factory=lambda: _NO_PARAMETERS)
    also_known_as: tuple[str, ...] = ()
    equals: str = ""
    describe_refusal: DescribeRefusal | None = field(default=None, repr=False)

    def build(self, **parameters: int) -> Rearrangement:
        """The rearrangement at these parameters.

        Raises `ParameterError` for a parameter that the entry does not take, or one that is no number above 0.
        """
        return self._build_checked(self._checked(parameters))

    def _checked(self, parameters: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
        for name, value in parameters.items():
            if name not in self.parameters:
                takes = ", ".join(self.parameters) or "no parameter"
                raise ParameterError(f"{self.name} does not take {name}={shown(value)}; it takes {takes}")
        values = {**self.parameters, **parameters}
        return tuple((name, whole_number(value, f"{name} of {self.name}")) for name, value in values.items())

    def _build_checked(self, values: tuple[tuple[str, int], ...]) -> Rearrangement:
        made = Rearrangement(self.pattern, **{_LETTERS[name]: value for name, value in values})
        refusal = partial(self.describe_refusal, dict(values)["stride"]) if self.describe_refusal else None
        return made.named(self.name, values, refusal)


_SPACE_TO_DEPTH = "c (h p:s) (w q:s) -> (p q c) h w"
_DEPTH_TO_SPACE = "(p:s q:s c) h w -> c (h p) (w q)"
_SPACE_TO_DEPTH_CRD = "c (h p:s) (w q:s) -> (c p q) h w"
_DEPTH_TO_SPACE_CRD = "(c p:s q:s) h w -> c (h p) (w q)"
_DARKNET = "Darknet, reorg_layer.c and blas.c (reorg_cpu); tables of the compiled C code"
_DARKNET_3D = "Darknet's main fork, reorg_old_layer.c and blas.c (reorg3d); tables of the compiled C code"
_BLOG = "a blog on YOLOv2's reorg: C, H, W always taken from the tensor with more channels"

_BUILTIN = (
    CatalogEntry(
        "darknet_reorg",
        "C H W | c:C/s^2 h:H p:s w:W q:s -> p q c h w | C*s^2 H/s W/s",
        "Darknet's [reorg]: more channels, in an order that crosses the axes",
        _DARKNET,
        _STRIDE,
        ("OpenVINO ReorgYolo",),
        "space_to_depth of the input seen as [C/s², H·s, W·s]",
        describe_refusal,
    ),
    CatalogEntry(
        "darknet_reorg_reverse",
        "C H W | p:s q:s c:C/s^2 h:H w:W -> c h p w q | C/s^2 H*s W*s",
        "Darknet's [reorg] reverse=1: fewer channels",
        _DARKNET,
        _STRIDE,
        ("depth_to_space DCR",),
        "depth_to_space; undoes darknet_reorg3d, not darknet_reorg",
        partial(describe_refusal, reverse=True),
    ),
    CatalogEntry(
        "darknet_reorg3d",
        _SPACE_TO_DEPTH,
        "Darknet's [reorg3d]: more channels",
        _DARKNET_3D,
        _STRIDE,
        ("space_to_depth DCR",),
        "space_to_depth; undone by darknet_reorg_reverse",
    ),
    CatalogEntry(
        "darknet_reorg3d_reverse",
        "C H W | p:s q:s c:C/s^4 h:H*s w:W*s -> c h p w q | C/s^2 H*s W*s",
        "Darknet's [reorg3d] reverse=1: fewer channels, C a multiple of s⁴",
        _DARKNET_3D,
        _STRIDE,
        (),
        "the inverse of darknet_reorg; nothing else",
    ),
    CatalogEntry(
        "darknet_flatten",
        "c h w -> h w c | c h w",
        "Darknet's [reorg] flatten=1 at stride 1: channels last under the label [C, H, W]",
        "Darknet, reorg_layer.c and blas.c (flatten)",
        equals="nchw_to_nhwc under another shape",
    ),
    CatalogEntry(
        "darknet_unflatten",
        "C H W | h:H w:W c:C -> c h w | C H W",
        "Darknet's [reorg] flatten=1 reverse=1 at stride 1: the inverse of flatten under the same label",
        "Darknet, reorg_layer.c and blas.c (flatten)",
        equals="nhwc_to_nchw of the input seen as [H, W, C]; the inverse of darknet_flatten",
    ),
    CatalogEntry(
        "space_to_depth",
        _SPACE_TO_DEPTH,
        "blocks of s × s into channels, position in the block outermost (DCR)",
        "ONNX SpaceToDepth; tf.nn.space_to_depth",
        _STRIDE,
        ("SpaceToDepth mode DCR", "tf.nn.space_to_depth", "tf.image.extract_patches of size and stride s"),
        "darknet_reorg3d, leimao_reorg, focus_row_major",
    ),
    CatalogEntry(
        "space_to_depth_crd",
        _SPACE_TO_DEPTH_CRD,
        "blocks of s × s into channels, channel outermost (CRD)",
        "ONNX SpaceToDepth mode CRD, opset 28",
        _STRIDE,
        ("torch.nn.PixelUnshuffle", "ncnn Reorg mode 0"),
        "pixel_unshuffle",
    ),
    CatalogEntry(
        "depth_to_space",
        _DEPTH_TO_SPACE,
        "channels back into blocks, position in the block outermost (DCR)",
        "ONNX DepthToSpace mode DCR; tf.nn.depth_to_space",
        _STRIDE,
        ("DepthToSpace mode DCR", "tf.nn.depth_to_space"),
        "darknet_reorg_reverse, leimao_reorg_reverse; the inverse of space_to_depth",
    ),
    CatalogEntry(
        "depth_to_space_crd",
        _DEPTH_TO_SPACE_CRD,
        "channels back into blocks, channel outermost (CRD)",
        "ONNX DepthToSpace mode CRD",
        _STRIDE,
        ("torch.nn.PixelShuffle",),
        "pixel_shuffle; the inverse of space_to_depth_crd",
    ),
    CatalogEntry(
        "pixel_shuffle",
        _DEPTH_TO_SPACE_CRD,
        "sub-pixel upsampling, channel outermost",
        "torch.nn.functional.pixel_shuffle",
        _STRIDE,
        ("DepthToSpace mode CRD",),
        "depth_to_space_crd",
    ),
    CatalogEntry(
        "pixel_unshuffle",
        _SPACE_TO_DEPTH_CRD,
        "the inverse of pixel_shuffle",
        "torch.nn.functional.pixel_unshuffle",
        _STRIDE,
        ("SpaceToDepth mode CRD", "ncnn Reorg mode 0"),
        "space_to_depth_crd",
    ),
    CatalogEntry(
        "focus",
        "c (h p:s) (w q:s) -> (q p c) h w",
        "slices concatenated column by column: [::2, ::2], [1::2, ::2], [::2, 1::2], [1::2, 1::2]",
        "YOLOv5 up to release 5.0 (Focus); YOLOX; Swin Transformer's patch merging",
        _STRIDE,
        ("Focus", "Swin patch merging"),
        "space_to_depth with p and q swapped: at stride 2 its two middle blocks",
    ),
    CatalogEntry(
        "focus_row_major",
        _SPACE_TO_DEPTH,
        "Focus with its slices taken row by row",
        "YOLOv5's Focus with its middle two slices swapped",
        _STRIDE,
        (),
        "space_to_depth",
    ),
    CatalogEntry(
        "leimao_reorg",
        _SPACE_TO_DEPTH,
        "[reorg] under the unified convention, channels up",
        _BLOG,
        _STRIDE,
        (),
        "space_to_depth",
    ),
    CatalogEntry(
        "leimao_reorg_reverse",
        _DEPTH_TO_SPACE,
        "[reorg] under the unified convention, channels down",
        _BLOG,
        _STRIDE,
        (),
        "depth_to_space",
    ),
    CatalogEntry(
        "nchw_to_nhwc",
        "c h w -> h w c",
        "channels first to channels last",
        "ONNX Transpose, perm 0 2 3 1",
        equals="the inverse of nhwc_to_nchw",
    ),
    CatalogEntry(
        "nhwc_to_nchw",
        "h w c -> c h w",
        "channels last to channels first",
        "ONNX Transpose, perm 0 3 1 2",
        equals="the inverse of nchw_to_nhwc",
    ),
    CatalogEntry(
        "channel_shuffle",
        "(k:g c) h w -> (c k) h w",
        "channels of g groups interleaved",
        "torch.nn.functional.channel_shuffle; ShuffleNet",
        _GROUPS,
        ("torch.nn.ChannelShuffle",),
    ),
)

_registry: dict[str, CatalogEntry] = {entry.name: entry for entry in _BUILTIN}


def catalog() -> Mapping[str, CatalogEntry]:
    """Every entry by name, the registered ones too, in a read-only view.

    >>> catalog()["darknet_reorg"].equals
    'space_to_depth of the input seen as [C/s², H·s, W·s]'
    """
    return MappingProxyType(_registry)


def entry(name: str) -> CatalogEntry:
    """The entry called `name`; raises `UnknownNameError` with the nearest names."""
    if isinstance(name, str) and name in _registry:
        return _registry[name]
    near = get_close_matches(str(name)[:80], _registry, n=3, cutoff=0.5) or sorted(_registry)
    listed = " or ".join(near) if len(near) <= 3 else ", ".join(near)
    raise UnknownNameError(f"no operation is called {str(name)[:80]!r}; did you mean {listed}?")


def op(name: str, /, **parameters: int) -> Rearrangement:
    """The catalogue's operation `name` as a `Rearrangement`; `stride` and `groups` default to 2.

    Raises `UnknownNameError` and `ParameterError`.

    >>> op("darknet_reorg", stride=2).out_shape((64, 26, 26))
    (256, 13, 13)
    """
    found = entry(name)
    return _built(found.name, found._checked(parameters))


@lru_cache(maxsize=512)
def _built(name: str, values: tuple[tuple[str, int], ...]) -> Rearrangement:
    return _registry[name]._build_checked(values)


def register(
    name: str, pattern: str, /, *, summary: str = "", provenance: str = "registered by the user", **parameters: int
) -> CatalogEntry:
    """Add an operation of your own; `op`, `prove`, `identify`, `verify` and `export` then know it by name.

    `pattern` may use `s` where a default `stride` is given and `g` for `groups`. Raises `PatternError` for a
    pattern that is no permutation, and `ParameterError` for a name that is taken or no plain name.

    >>> made = register("column_major_blocks", "c (h p:s) (w q:s) -> (c q p) h w", stride=2)
    >>> op("column_major_blocks", stride=3).out_shape((2, 6, 9))
    (18, 2, 3)
    >>> unregister("column_major_blocks")
    """
    if not isinstance(name, str) or not name.isidentifier():
        raise ParameterError(f"a name has letters, digits and underscores, not {name!r}")
    if name in _registry:
        raise ParameterError(f"{name} is in the catalogue already: choose another name")
    unknown = sorted(set(parameters) - set(_LETTERS))
    if unknown:
        raise ParameterError(f"an entry may take {' and '.join(_LETTERS)}, not {', '.join(unknown)}")
    made = CatalogEntry(name, pattern, summary, provenance, MappingProxyType(dict(parameters)))
    made.build()
    _registry[name] = made
    return made


def unregister(name: str) -> None:
    """Take a registered operation out again; built-in entries stay (`ParameterError`)."""
    found = entry(name)
    if found in _BUILTIN:
        raise ParameterError(f"{name} is built in and stays")
    del _registry[name]
    _built.cache_clear()
