"""Blocks into channels and back, on one, two or three spatial axes, with one size for all of them or one each.

The forms that every such operation has: `stride=2` on two axes, `stride=(2, 4)`, `spatial=1`, `spatial=3`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from layoutbridge.operations.parameters import Form, Parameter

BLOCKS: Mapping[str, Parameter] = MappingProxyType(
    {
        "stride": Parameter("stride", 2, "size of a block: a number, or one for each spatial axis"),
        "spatial": Parameter("spatial", 2, "how many axes the blocks lie on: 1, 2 or 3"),
    }
)
_AXES = {1: ("w",), 2: ("h", "w"), 3: ("d", "h", "w")}
_INSIDE = {1: ("q",), 2: ("p", "q"), 3: ("o", "p", "q")}  # the positions in a block, an axis each
_SIZES = ("s1", "s2", "s3")
ChannelOrder = Callable[[tuple[str, ...]], tuple[str, ...]]


def blocks_into_channels(order: ChannelOrder) -> tuple[Form, ...]:
    """The forms of an operation that moves each block's positions into the channels.

    `order` says in which order the digits of a channel stand, given those of the positions: `c` is the channel's own.

    >>> [form.pattern for form in blocks_into_channels(lambda inside: ("c", *inside))][:2]
    ['c (h p:s) (w q:s) -> (c p q) h w', 'c (h p:s1) (w q:s2) -> (c p q) h w']
    """

    def pattern(axes: tuple[str, ...], inside: tuple[str, ...], sizes: tuple[str, ...]) -> str:
        blocks = " ".join(f"({axis} {place}:{size})" for axis, place, size in zip(axes, inside, sizes, strict=True))
        return f"c {blocks} -> {_group(order(inside))} {' '.join(axes)}"

    return _forms(pattern)


def channels_into_blocks(order: ChannelOrder) -> tuple[Form, ...]:
    """The forms of an operation that moves parts of the channels into the positions of blocks.

    >>> channels_into_blocks(lambda inside: ("c", *inside))[0].pattern
    '(c p:s q:s) h w -> c (h p) (w q)'
    """

    def pattern(axes: tuple[str, ...], inside: tuple[str, ...], sizes: tuple[str, ...]) -> str:
        sized = dict(zip(inside, sizes, strict=True))
        channels = _group(tuple(f"{name}:{sized[name]}" if name in sized else name for name in order(inside)))
        places = " ".join(f"({axis} {place})" for axis, place in zip(axes, inside, strict=True))
        return f"{channels} {' '.join(axes)} -> c {places}"

    return _forms(pattern)


def _forms(pattern: Callable[[tuple[str, ...], tuple[str, ...], tuple[str, ...]], str]) -> tuple[Form, ...]:
    forms = []
    for count in (2, 1, 3):
        axes, inside, fixed = _AXES[count], _INSIDE[count], MappingProxyType({"spatial": count})
        forms.append(Form(pattern(axes, inside, ("s",) * count), MappingProxyType({"stride": ("s",)}), fixed, count))
        if count > 1:
            sizes = _SIZES[:count]
            forms.append(Form(pattern(axes, inside, sizes), MappingProxyType({"stride": sizes}), fixed))
    return tuple(forms)


def _group(names: tuple[str, ...]) -> str:
    return f"({' '.join(names)})"
