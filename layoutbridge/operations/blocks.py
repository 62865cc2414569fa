"""Blocks into channels and back, on one, two or three spatial axes, with one size for all of them or one each.

The forms that every such operation has: `stride=2` on two axes, `stride=(2, 4)`, `spatial=1`, `spatial=3`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from layoutbridge.algebra.rearrangement import ParameterValue
from layoutbridge.operations.parameters import NOTHING, Form, Parameter

_NO_GRID: Mapping[str, str] = MappingProxyType({})

BLOCKS: Mapping[str, Parameter] = MappingProxyType(
    {
        "stride": Parameter("stride", 2, "size of a block: a number, or one for each spatial axis"),
        "spatial": Parameter("spatial", 2, "how many axes the blocks lie on: 1, 2 or 3"),
    }
)
_AXES = {1: ("w",), 2: ("h", "w"), 3: ("d", "h", "w")}
_INSIDE = {1: ("q",), 2: ("p", "q"), 3: ("o", "p", "q")}  # the positions in a block, an axis each
ChannelOrder = Callable[[tuple[str, ...]], tuple[str, ...]]


def blocks_into_channels(order: ChannelOrder) -> tuple[Form, ...]:
    """The forms of an operation that moves each block's positions into the channels.

    `order` says in which order the digits of a channel stand, given those of the positions: `c` is the channel's own.

    >>> [form.pattern for form in blocks_into_channels(lambda inside: ("c", *inside))][:2]
    ['c (h p:s) (w q:s) -> (c p q) h w', 'c (h p:s1) (w q:s2) -> (c p q) h w']
    """
    return block_forms(lambda b: f"c {b.blocks} -> {grouped(order(b.inside))} {b.outside}")


def channels_into_blocks(order: ChannelOrder) -> tuple[Form, ...]:
    """The forms of an operation that moves parts of the channels into the positions of blocks.

    >>> channels_into_blocks(lambda inside: ("c", *inside))[0].pattern
    '(c p:s q:s) h w -> c (h p) (w q)'
    """
    return block_forms(lambda b: f"{b.sized(order(b.inside))} {b.outside} -> c {b.joined}")


@dataclass(frozen=True, slots=True)
class Blocks:
    """The digits of blocks on a few axes: `axes` count the blocks, `inside` the positions in one, of these `sizes`."""

    axes: tuple[str, ...]
    inside: tuple[str, ...]
    sizes: tuple[str, ...]

    @property
    def outside(self) -> str:
        """The axes alone: `h w`."""
        return " ".join(self.axes)

    @property
    def blocks(self) -> str:
        """The axes cut into blocks of known sizes: `(h p:s) (w q:s)`."""
        cut = zip(self.axes, self.inside, self.sizes, strict=True)
        return " ".join(f"({axis} {place}:{size})" for axis, place, size in cut)

    @property
    def joined(self) -> str:
        """The axes put together: `(h p) (w q)`."""
        return " ".join(f"({axis} {place})" for axis, place in zip(self.axes, self.inside, strict=True))

    def sized(self, names: tuple[str, ...]) -> str:
        """These digits as one axis, the positions' sizes with them: `(p:s q:s c)`."""
        sizes = dict(zip(self.inside, self.sizes, strict=True))
        return grouped(tuple(f"{name}:{sizes[name]}" if name in sizes else name for name in names))


def block_forms(
    pattern: Callable[[Blocks], str],
    parameter: str = "stride",
    letter: str = "s",
    *,
    axes: tuple[int, ...] = (2, 1, 3),
    fixed: Mapping[str, ParameterValue] = NOTHING,
    grid: Mapping[str, str] = _NO_GRID,
) -> tuple[Form, ...]:
    """The forms of an operation on blocks: for each number of `axes` that of one size and that of a size an axis.

    `pattern` writes one down. `parameter` is what the sizes are asked for by, and `letter` stands for them; `fixed` are
    parameters that all forms have. `grid` holds, by axis, the parameter that says how long it is.
    """
    forms = []
    for count in axes:
        names, inside = _AXES[count], _INSIDE[count]
        own = MappingProxyType({**fixed, "spatial": count} if len(axes) > 1 else dict(fixed))
        lengths = {grid[axis]: (grid[axis],) for axis in names if axis in grid}
        from_one = frozenset(lengths)
        one = MappingProxyType({parameter: (letter,), **lengths})
        forms.append(Form(pattern(Blocks(names, inside, (letter,) * count)), one, own, count, from_one))
        if count > 1:
            sizes = tuple(f"{letter}{k + 1}" for k in range(count))
            several = MappingProxyType({parameter: sizes, **lengths})
            forms.append(Form(pattern(Blocks(names, inside, sizes)), several, own, from_one=from_one))
    return tuple(forms)


def grouped(names: tuple[str, ...]) -> str:
    """Digits that share an axis.

    >>> grouped(("p", "q", "c"))
    '(p q c)'
    """
    return f"({' '.join(names)})"
