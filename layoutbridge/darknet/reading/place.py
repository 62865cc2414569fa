"""Where a layer stands while a network is built, the checks that all kinds share, and what reads each kind."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from types import MappingProxyType

from layoutbridge.darknet.reading.options import LARGEST_COUNT, Options
from layoutbridge.darknet.structure.choices import Flavor
from layoutbridge.darknet.structure.kinds import Route
from layoutbridge.darknet.structure.model import Layer, Parameter, Shape
from layoutbridge.darknet.structure.registry import register
from layoutbridge.darknet.structure.settings import Settings
from layoutbridge.errors import CfgError


@dataclass(frozen=True, slots=True)
class Place:
    """The section to read (`options`), and the layers before it."""

    options: Options
    index: int
    net_shape: Shape
    layers: Sequence[Layer]
    unknown: Collection[int]  # of them, those that stand for layers with errors; -1 is the network's input
    folder: str | None  # of the cfg file, for files that it names
    allow_paths: Sequence[str] = ()  # other folders where such files may lie

    @property
    def flavor(self) -> Flavor:
        """Whose rules hold."""
        return self.options.flavor

    @property
    def original(self) -> bool:
        """Whether the original Darknet's rules hold."""
        return self.options.flavor == "pjreddie"

    def error(self, text: str, key: str | None = None) -> CfgError:
        """The error to raise: file, line, section, `text`."""
        return self.options.error(text, key)

    def fault(self, text: str, key: str | None = None) -> None:
        """Note an error after which reading can go on; not one that may only follow from another."""
        self.options.note(self.error(text, key))

    @property
    def in_shape(self) -> Shape:
        """The shape that comes in."""
        return self.shape_of(self.index - 1)

    def shape_of(self, index: int) -> Shape:
        """The output shape of an earlier layer, or of the network's input at -1.

        Where it stands for one with an error, what follows from it is doubtful.
        """
        if index in self.unknown:
            self.options.doubtful = True
        return self.net_shape if index == -1 else self.layers[index].out_shape

    def image(self) -> tuple[int, int, int]:
        """The input's (C, H, W); where it is flat, which Darknet cannot take either, an error is noted."""
        return self.as_image(self.in_shape)

    def as_image(self, shape: Shape, of: str = "its input") -> tuple[int, int, int]:
        """`shape` as (C, H, W); where it is flat, an error is noted that says so."""
        if len(shape) != 3:
            self.fault(f"needs a picture [C, H, W], and {of} is flat: {describe(shape)}{self._why_flat()}")
            return shape[0], 1, 1
        return shape[0], shape[1], shape[2]

    def _why_flat(self) -> str:
        """Where the layer before is a route of pictures that do not fit, what does not, and what to do."""
        before = self.layers[-1] if self.layers else None
        if before is None or not isinstance(before.settings, Route) or len(before.in_shapes) < 2:
            return ""
        sizes = " and ".join(map(describe, before.in_shapes))
        return f"; the [route] at line {before.line} joins {sizes}: choose an input size that makes them fit"

    def reference(self, value: int, key: str) -> int:
        """A layer named by `from` or `layers`: negative ones count back from this one.

        Where it is before the first layer, this layer itself or one ahead, an error is noted, and it is the previous.
        """
        index = self.index + value if value < 0 else value
        if 0 <= index < self.index:
            return index
        side = "before the first layer" if index < 0 else "not before this layer"
        self.options.report(self.error(f"{key}={value} is layer {index}, {side} (this one is layer {self.index})", key))
        self.options.doubtful = True
        return self.index - 1

    def window(self, length: int, size: int, stride: int, padding: int, axis: str) -> int:
        """How many windows of `size` fit `length` with `padding` zeros in all; an error where none does.

        C cuts −1/2 to 0: a window that reaches out by less than the stride counts as one, and sees nothing there.
        """
        over = size - length - padding
        if over >= stride:
            raise self.error(
                f"a window of {size} does not fit the input's {axis} {length} with {padding} of padding in all"
            )
        if over > 0:
            self.options.warn(
                f"a window of {size} is larger than the input {describe(self.in_shape)} with {padding} of padding in "
                "all: as in Darknet it counts as one, and sees nothing outside"
            )
            return 1
        return -over // stride + 1

    def check_padded(self, padding_height: int, padding_width: int) -> None:
        """An error where the input with that much padding in all has more values than Darknet counts."""
        channels, height, width = self.image()
        total = channels * (height + padding_height) * (width + padding_width)
        if total > LARGEST_COUNT:
            raise self.error(
                f"its input {describe(self.in_shape)} with {max(padding_height, padding_width):,} of padding "
                f"would have {total:,} values, over {LARGEST_COUNT:,}"
            )

    def layer(
        self,
        out_shape: Shape,
        settings: Settings,
        parameters: Sequence[Parameter] = (),
        inputs: Sequence[int] | None = None,
    ) -> Layer:
        """The finished layer; an error where a size is more than Darknet's 32-bit integers hold."""
        sources = (self.index - 1,) if inputs is None else tuple(inputs)
        if min(out_shape) < 1:
            raise self.error(f"its output would be {describe(out_shape)}, empty")
        if prod(out_shape) > LARGEST_COUNT:
            raise self.error(f"its output {describe(out_shape)} has {prod(out_shape):,} values, over {LARGEST_COUNT:,}")
        for parameter in parameters:
            if parameter.size > LARGEST_COUNT:
                wanted = f"its {parameter.name} {describe(parameter.shape)}"
                raise self.error(f"{wanted} are {parameter.size:,} values, over {LARGEST_COUNT:,}")
        return Layer(
            index=self.index,
            line=self.options.section.line,
            inputs=sources,
            in_shapes=tuple(self.shape_of(source) for source in sources) if sources else (),
            out_shape=out_shape,
            settings=settings,
            parameters=tuple(parameters),
        )


Reader = Callable[[Place], Layer]
_readers: dict[str, Reader] = {}
READERS: Mapping[str, Reader] = MappingProxyType(_readers)


def reads(*kinds: type[Settings]) -> Callable[[Reader], Reader]:
    """Say that a function makes the layers of these kinds from their sections."""

    def add(reader: Reader) -> Reader:
        register(_readers, kinds, reader)
        return reader

    return add


def describe(shape: Shape) -> str:
    """A shape in an error: `64×26×26`, or `1000`."""
    return "×".join(map(str, shape))
