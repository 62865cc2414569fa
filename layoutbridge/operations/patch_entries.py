"""Patches, windows and what goes across the batch: pictures into tokens and back, as transformers take them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain
from types import MappingProxyType

from layoutbridge.operations.blocks import BLOCKS, Blocks, block_forms, grouped
from layoutbridge.operations.entry import CatalogEntry
from layoutbridge.operations.parameters import Form, Parameter

_STRIDE, _SPATIAL = BLOCKS["stride"], BLOCKS["spatial"]
_GRID = MappingProxyType({"d": "depth", "h": "height", "w": "width"})
_TOKENS = "patches and windows"
_BATCH = "across the batch"
_SWIN = "Swin Transformer, swin_transformer.py"


def _order(default: str, words: str) -> Parameter:
    return Parameter("order", default, f"digits of a token, outermost first: {words}")


def _grid(size: int, what: str, *axes: str) -> dict[str, Parameter]:
    return {axis: Parameter(axis, size, f"{axis} of {what}", is_of_network=True) for axis in axes}


def _parameters(*listed: Parameter, **more: Parameter) -> Mapping[str, Parameter]:
    return MappingProxyType({parameter.name: parameter for parameter in listed} | more)


def _digits(word: str, blocks: Blocks) -> tuple[str, ...]:
    """`pqc`, `cpq` and the like for blocks on any number of axes; the positions' digits turn round where q is first."""
    inside = blocks.inside if "q" not in word or word.index("p") < word.index("q") else tuple(reversed(blocks.inside))
    return ("c", *inside) if word.startswith("c") else (*inside, "c")


def _patches(word: str) -> tuple[Form, ...]:
    return block_forms(
        lambda b: f"c {b.blocks} -> {grouped(b.axes)} {grouped(_digits(word, b))}",
        "patch",
        "patch",
        fixed=MappingProxyType({"order": word}),
    )


def _pictures(word: str) -> tuple[Form, ...]:
    return block_forms(
        lambda b: f"({_sized(b)}) {b.sized(_digits(word, b))} -> c {b.joined}",
        "patch",
        "patch",
        fixed=MappingProxyType({"order": word}),
        grid=_GRID,
    )


def _sized(blocks: Blocks) -> str:
    """The axes of a grid of tokens with their lengths: `h:height w:width`."""
    return " ".join(f"{axis}:{_GRID[axis]}" for axis in blocks.axes)


def _merged(word: str, *, tokens: bool) -> tuple[Form, ...]:
    """Blocks of an [H, W, C] picture, or of the grid that tokens [L, C] stand for, into its channels."""

    def pattern(b: Blocks) -> str:
        if not tokens:
            return f"{b.blocks} c -> {b.outside} {grouped(_digits(word, b))}"
        cut = zip(b.axes, b.inside, b.sizes, strict=True)
        digits = " ".join(f"{axis}:{_GRID[axis]}/{size} {place}:{size}" for axis, place, size in cut)
        return f"({digits}) c -> {grouped(b.axes)} {grouped(_digits(word, b))}"

    fixed = MappingProxyType({"order": word})
    return block_forms(pattern, axes=(2,), fixed=fixed, grid=_GRID if tokens else MappingProxyType({}))


def _expanded(word: str, *, tokens: bool) -> tuple[Form, ...]:
    """Channels into blocks of an [H, W, C] picture, or of the grid that tokens [L, C] stand for."""

    def pattern(b: Blocks) -> str:
        channels = b.sized(_digits(word, b))
        if not tokens:
            return f"{b.outside} {channels} -> {b.joined} c"
        joined = " ".join(f"{axis} {place}" for axis, place in zip(b.axes, b.inside, strict=True))
        return f"({_sized(b)}) {channels} -> ({joined}) c"

    fixed = MappingProxyType({"order": word})
    return block_forms(pattern, axes=(2,), fixed=fixed, grid=_GRID if tokens else MappingProxyType({}))


def _windows_back(b: Blocks) -> str:
    grid = " ".join(f"{axis}:{_GRID[axis]}/{size}" for axis, size in zip(b.axes, b.sizes, strict=True))
    inside = " ".join(f"{place}:{size}" for place, size in zip(b.inside, b.sizes, strict=True))
    return f"(n {grid}) {inside} c -> n {b.joined} c"


def _all_orders(forms: Callable[[str], tuple[Form, ...]], *words: str) -> tuple[Form, ...]:
    return tuple(chain.from_iterable(forms(word) for word in words))


PATCH_ENTRIES = (
    CatalogEntry(
        "patchify",
        _all_orders(_patches, "pqc", "cpq"),
        "a picture into tokens, one a patch: [C, H, W] to [L, patch·patch·C]",
        "ViT's einops form; MAE's patchify (pqc); torch.nn.functional.unfold and a convolution's weights (cpq)",
        _parameters(
            Parameter("patch", 16, "size of a patch: a number, or one for each spatial axis"),
            _order("pqc", "pqc or cpq"),
            _SPATIAL,
        ),
        ("patch embedding", "im2col of size and stride patch"),
        "space_to_depth and then its channels last, with H and W as one axis; cpq: pixel_unshuffle so",
        family=_TOKENS,
    ),
    CatalogEntry(
        "unpatchify",
        _all_orders(_pictures, "pqc", "cpq"),
        "tokens back into a picture: [L, patch·patch·C] to [C, H, W]; L is height·width",
        "MAE's unpatchify (pqc); torch.nn.functional.fold (cpq)",
        _parameters(
            Parameter("patch", 16, "size of a patch: a number, or one for each spatial axis"),
            _order("pqc", "pqc or cpq"),
            **_grid(14, "the grid of tokens", "height", "width", "depth"),
            spatial=_SPATIAL,
        ),
        (),
        "the inverse of patchify",
        family=_TOKENS,
    ),
    CatalogEntry(
        "patch_merging",
        _all_orders(lambda word: _merged(word, tokens=False), "qpc", "pqc", "cpq", "cqp"),
        "each block of an [H, W, C] picture into the channels of one place",
        f"{_SWIN} (qpc: slices column by column); mmsegmentation's unfold (cpq)",
        _parameters(_STRIDE, _order("qpc", "qpc, pqc, cpq or cqp")),
        ("Swin PatchMerging",),
        "focus of a tensor with channels last; pqc: space_to_depth, cpq: pixel_unshuffle so",
        family=_TOKENS,
    ),
    CatalogEntry(
        "patch_merging_tokens",
        _all_orders(lambda word: _merged(word, tokens=True), "qpc", "pqc", "cpq", "cqp"),
        "the same of tokens [L, C] that stand for a grid of height × width",
        f"{_SWIN} (qpc); mmsegmentation's and mmdetection's PatchMerging by unfold (cpq)",
        _parameters(_STRIDE, _order("qpc", "qpc, pqc, cpq or cqp"), **_grid(56, "the grid before", "height", "width")),
        ("Swin PatchMerging",),
        "patch_merging with H and W as one axis, before and after",
        family=_TOKENS,
    ),
    CatalogEntry(
        "patch_expand",
        _all_orders(lambda word: _expanded(word, tokens=False), "pqc", "qpc", "cpq", "cqp"),
        "the channels of each place of an [H, W, C] picture into a block",
        "Swin-Unet, PatchExpand",
        _parameters(_STRIDE, _order("pqc", "pqc, qpc, cpq or cqp")),
        ("Swin-Unet PatchExpand",),
        "depth_to_space of a tensor with channels last; undoes patch_merging in the same order, not in another",
        family=_TOKENS,
    ),
    CatalogEntry(
        "patch_expand_tokens",
        _all_orders(lambda word: _expanded(word, tokens=True), "pqc", "qpc", "cpq", "cqp"),
        "the same of tokens [L, C] that stand for a grid of height × width",
        "Swin-Unet, PatchExpand",
        _parameters(_STRIDE, _order("pqc", "pqc, qpc, cpq or cqp"), **_grid(7, "the grid before", "height", "width")),
        ("Swin-Unet PatchExpand",),
        "patch_expand with H and W as one axis, before and after",
        family=_TOKENS,
    ),
    CatalogEntry(
        "window_partition",
        block_forms(lambda b: f"n {b.blocks} c -> (n {b.outside}) {' '.join(b.inside)} c", "window", "window"),
        "a batch of [N, H, W, C] pictures into a longer batch of windows",
        f"{_SWIN} (window_partition); Video Swin with spatial=3; SAM",
        _parameters(Parameter("window", 7, "size of a window: a number, or one for each spatial axis"), _SPATIAL),
        ("Swin window_partition",),
        "undone by window_reverse",
        family=_TOKENS,
        has_batch=False,
    ),
    CatalogEntry(
        "window_reverse",
        block_forms(_windows_back, "window", "window", grid=_GRID),
        "the windows back into [N, height, width, C] pictures",
        f"{_SWIN} (window_reverse)",
        _parameters(
            Parameter("window", 7, "size of a window: a number, or one for each spatial axis"),
            **_grid(56, "the picture", "height", "width", "depth"),
            spatial=_SPATIAL,
        ),
        ("Swin window_reverse",),
        "the inverse of window_partition",
        family=_TOKENS,
        has_batch=False,
    ),
    CatalogEntry(
        "space_to_batch",
        block_forms(lambda b: f"n c {b.blocks} -> ({' '.join(b.inside)} n) c {b.outside}"),
        "each position in a block into a picture of its own, the position outermost in the batch",
        "tf.space_to_batch (without padding), of a tensor with channels last; OpenVINO SpaceToBatch",
        BLOCKS,
        ("SPACE_TO_BATCH_ND",),
        "space_to_depth with the batch in the place of the channels; undone by batch_to_space",
        family=_BATCH,
        has_batch=False,
    ),
    CatalogEntry(
        "batch_to_space",
        block_forms(lambda b: f"{b.sized((*b.inside, 'n'))} c {b.outside} -> n c {b.joined}"),
        "pictures of a batch back into blocks of larger ones",
        "tf.batch_to_space (without crops), of a tensor with channels last; OpenVINO BatchToSpace",
        BLOCKS,
        ("BATCH_TO_SPACE_ND",),
        "the inverse of space_to_batch",
        family=_BATCH,
        has_batch=False,
    ),
)
