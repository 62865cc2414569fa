"""Every form of every entry at small numbers, and what its arrays become by its table. Not a test itself."""

from dataclasses import dataclass
from functools import cache

import numpy as np

import layoutbridge as lb

GRIDS = {"height": 6, "width": 6, "depth": 6}  # multiples of the blocks on them
# what takes channel-first images and gives something else: tokens, another layout, blocks of channels
NO_IMAGES = {"patchify", "nchw_to_nhwc", "nchw_to_nchwc"}


@dataclass(frozen=True)
class Case:
    """An operation and the shape of its own axes; `shape` has a batch of `leading` in front where `batch` is on."""

    operation: lb.Rearrangement
    item: tuple[int, ...]
    batch: bool
    leading: int = 2

    @property
    def shape(self):
        return (self.leading, *self.item) if self.batch else self.item

    @property
    def channels(self):
        """Which axis of the tensor holds the channels of images that become images; None where there are none."""
        axes = self.operation.axes
        front = ("N",) if self.batch else ()
        whole = [*front, *axes]
        is_image = whole[:2] == ["N", "C"] or (not self.batch and whole[0] == "C")
        spatial = tuple(whole[whole.index("C") + 1 :]) if is_image else ()
        if spatial not in (("W",), ("H", "W"), ("D", "H", "W")) or self.operation.name in NO_IMAGES:
            return None
        return whole.index("C")

    def input(self, dtype=np.float32):
        """Numbers that tell where each element comes from."""
        return np.arange(np.prod(self.shape)).reshape(self.shape).astype(dtype)

    def expected(self, x):
        """What `x` becomes, element for element from the table."""
        return x.reshape(-1)[self.operation.table(x.shape)].reshape(self.operation.out_shape(x.shape))

    def gradient(self, upstream):
        """What `upstream` becomes on its way back."""
        made = np.empty(upstream.size, upstream.dtype)
        made[self.operation.table(self.shape)] = upstream.reshape(-1)
        return made.reshape(self.shape)


def numbers_for(form, sizes=(2, 3, 2)):
    """Numbers for a form's letters, unequal where it has several for one parameter."""
    numbers = []
    for name, letters in form.letters.items():
        numbers += [GRIDS.get(name, sizes[place % len(sizes)]) for place in range(len(letters))]
    return numbers


def item_for(operation, multiples=(3, 2)):
    """A small shape of the operation's own axes."""
    fixed, divisor = dict(operation.domain.fixed), operation.domain.divisor
    return tuple(fixed.get(axis, divisor(axis) * multiples[axis % len(multiples)]) for axis in range(operation.rank))


@cache
def every_form():
    """Every entry of the catalogue in each of its forms, with a batch axis only where its arrays have one."""
    cases = []
    for entry in lb.catalog().values():
        for form in entry.forms:
            numbers = numbers_for(form)
            operation = entry.build(**form.values(numbers))
            assert operation == form.at(numbers), (entry.name, form.pattern)
            cases.append(Case(operation, item_for(operation), entry.has_batch))
    return cases
