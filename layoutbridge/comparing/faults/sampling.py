"""Which alternatives of a layer with weights explain a tensor: tried on some elements, so that many can be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.comparing.faults.elsewhere import Numbers
from layoutbridge.comparing.faults.fault import Array
from layoutbridge.comparing.faults.parametric import alternatives
from layoutbridge.comparing.faults.stages import (
    Alternative,
    Choice,
    Stage,
    Values,
    finished,
    framed,
    read_by,
    weights_of,
    with_numbers,
)
from layoutbridge.comparing.running.store import Store
from layoutbridge.darknet.reference.values import Feed
from layoutbridge.darknet.structure.kinds import Connected

_SAMPLE = 384  # elements of an output by which a choice is tried
_MOST_TENSORS = 24  # two layers and a half, written out
_OF_PRODUCT: tuple[Stage, ...] = ("numbers", "colours", "read", "weights", "padding")
_ORDERS = ((0, 1, 2, 3), (0, 2, 3, 1))  # in which a candidate may hold [N, C, H, W]
_ALONE: tuple[tuple[Stage, ...], ...] = tuple(
    (stage,) for stage in ("normalization", "activation", "padding", "colours", "read", "weights", "numbers")
)
_PAIRS: tuple[tuple[Stage, ...], ...] = (
    ("normalization", "activation"), ("normalization", "padding"), ("normalization", "colours"),
    ("normalization", "read"), ("activation", "padding"), ("activation", "colours"), ("activation", "read"),
    ("padding", "colours"), ("padding", "read"), ("colours", "read"),
    ("normalization", "weights"), ("activation", "weights"), ("padding", "weights"), ("colours", "weights"),
    ("read", "weights"), ("activation", "numbers"), ("padding", "numbers"), ("weights", "numbers"),
)  # fmt: skip
_TRIPLES: tuple[tuple[Stage, ...], ...] = tuple(
    ("normalization", "activation", stage) for stage in ("padding", "colours", "read")
)
_ALIKE = 1e-4  # of the largest value: what is as near is a step of a right layer
_SMALL = 1e-5  # beside variances, in either Darknet more or less
_AS_IT_IS = Alternative("activation", "activation", "", "", "", "", lambda x: x)
_OF_THE_WHOLE = ("statistics of the batch itself, as in training",)  # cannot be told from some elements


def likely_choices(
    feed: Feed,
    numbers: Numbers,
    names: Mapping[int, list[str]],
    tensors: Store,
    tolerance: float,
    before: float,
    base: Choice,
    *,
    with_inner: bool = False,
) -> Iterator[Choice]:
    """The choices of alternatives that give a tensor on a sample, the fewest first, then those of the last tensor.

    `names` are those of the tensors that it may be, by their size. Without `with_inner` tensors are left out that a
    right layer has within it, its product or its normalized sum: they are its result only where the rest is left out.

    `before` is how far the layer is from its tensor as it stands: a choice must be clearly nearer. It comes on top of
    `base`, what the layer is known to do otherwise.
    """
    offered = alternatives(feed, numbers)
    normalization = base.get("normalization")
    if not offered or (normalization is not None and normalization not in offered["normalization"]):
        return  # what was worked out channel by channel cannot be computed for some elements
    sample = _Sample(feed, names, tensors, base)
    for level in (_ALONE, _PAIRS, _TRIPLES):
        found: list[tuple[int, float, int, Choice]] = []
        for stages in level:
            for chosen in product(*(offered.get(stage, ()) for stage in stages)):
                choice: Choice = dict(zip(stages, chosen, strict=True))
                place, distance = sample.nearest(choice, with_inner=with_inner)
                if distance <= min(tolerance, before / 2):
                    found.append((-place, distance, len(found), choice))
        for *_, choice in sorted(found, key=lambda each: each[:3]):  # the last tensor is the layer's result
            yield choice
        if any(not _is_of_the_whole(choice) for *_, choice in found):
            return


def _is_of_the_whole(choice: Choice) -> bool:
    return any(each.found in _OF_THE_WHOLE for each in choice.values())


class _Sample:
    """Some elements of a layer's output, and what the tensors hold there."""

    def __init__(self, feed: Feed, names: Mapping[int, list[str]], tensors: Store, base: Choice) -> None:
        self._feed = feed
        self._base = base
        self._names = names
        self._tensors = tensors
        self._products: dict[tuple[Alternative | None, ...], Array | None] = {}
        self._held: dict[tuple[int, ...], tuple[tuple[Array, ...], Array]] = {}
        self._within: dict[tuple[int, ...], NDArray[np.bool_]] = {}
        self._shapes: dict[tuple[Alternative | None, ...], tuple[int, ...]] = {}
        self._own: dict[tuple[Alternative | None, tuple[int, ...]], Values] = {}

    def nearest(self, choice: Choice, *, with_inner: bool) -> tuple[int, float]:
        """Which tensor is nearest to what the layer gives with a choice, and how far, as a share of its largest value.

        Without `with_inner` tensors are left out that a right layer has within it: its product, its normalized sum.
        """
        if _is_of_the_whole(choice):
            return 0, 0.0 if len(choice) == 1 else float("inf")  # to be tried on the whole
        choice = {**self._base, **choice}
        key = tuple(choice.get(stage) for stage in _OF_PRODUCT)
        if key not in self._products:
            self._products[key] = self._product(choice, key)
        values = self._products[key]
        if values is None:
            return 0, float("inf")
        shape = self._shapes[key]
        _, held = self._places(shape)
        if not with_inner:
            held = np.where(self._inner(shape)[:, None], np.inf, held)
        if not len(held):
            return 0, float("inf")
        with np.errstate(all="ignore"):
            made = self._finished(values, shape, choice)
            largest = np.maximum(np.abs(held).max(axis=1), np.abs(made).max(initial=0))
            distances = np.abs(held - made).max(axis=1) / np.where(largest > 0, largest, 1)
        distances[~np.isfinite(distances)] = np.inf
        place = int(np.argmin(distances))
        return place, float(distances[place]) if made.any() else float("inf")

    def _parameters(self, shape: tuple[int, ...], choice: Choice) -> Values:
        """The numbers of a choice at the sampled places, those of a channel each."""
        key = choice.get("numbers"), shape
        if key not in self._own:
            places, _ = self._places(shape)
            held = with_numbers(self._feed, choice).parameters
            self._own[key] = {name: each[places[1]] if each.ndim == 1 else each for name, each in held.items()}
        return self._own[key]

    def _finished(self, values: Array, shape: tuple[int, ...], choice: Choice) -> Array:
        parameters = self._parameters(shape, choice)
        return finished(self._feed, parameters, values.reshape(1, -1, 1, 1), choice).reshape(-1)

    def _steps(self, values: Array, shape: tuple[int, ...]) -> Iterator[Array]:
        """What a right layer has on its way, by the steps in which it may be written out."""
        yield values
        yield self._finished(values, shape, {**self._base, "activation": _AS_IT_IS})
        own = self._parameters(shape, self._base)
        if "variances" in own:
            shifted = values - own["means"]
            divisor = np.sqrt(own["variances"] + _SMALL)
            yield shifted
            yield shifted / divisor
            yield shifted / divisor * own["scales"]
            yield values * (own["scales"] / divisor)

    def _inner(self, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """Which rows of `_places` are what a right layer computes on its way."""
        if shape not in self._within:
            _, held = self._places(shape)
            key = tuple(self._base.get(stage) for stage in _OF_PRODUCT)
            if key not in self._products:
                self._products[key] = self._product(self._base, key)
            values = self._products[key]
            within = np.zeros(len(held), np.bool_)
            if values is not None and self._shapes[key] == shape:
                for step in self._steps(values, shape):
                    largest = float(np.abs(step).max(initial=0)) or 1.0
                    within |= np.abs(held - step).max(axis=1, initial=0) <= _ALIKE * largest
            self._within[shape] = within
        return self._within[shape]

    def _product(self, choice: Choice, key: tuple[Alternative | None, ...]) -> Array | None:
        """The product at the sampled places."""
        feed, settings = with_numbers(self._feed, choice), self._feed.layer.settings
        weights, x = weights_of(feed, choice), read_by(feed, choice)
        if weights is None:
            return None
        if isinstance(settings, Connected):
            self._shapes[key] = (feed.batch, len(weights), 1, 1)
            (items, outputs, _, _), _ = self._places(self._shapes[key])
            return np.einsum("sk,sk->s", x.reshape(feed.batch, -1)[items], weights[outputs])
        held: Any = settings
        frame = framed(feed, x, choice)
        reach = held.dilation * (held.size - 1) + 1
        if frame is None or min(frame.shape[2:]) < reach:
            return None
        strides = held.stride_y, held.stride_x
        rows, columns = ((n - reach) // s + 1 for n, s in zip(frame.shape[2:], strides, strict=True))
        self._shapes[key] = (feed.batch, len(weights), rows, columns)
        places, _ = self._places(self._shapes[key])
        return np.einsum("sn,sn->s", patches(feed, frame, places), weights[places[1]].reshape(len(places[1]), -1))

    def _places(self, shape: tuple[int, ...]) -> tuple[tuple[Array, ...], Array]:
        """Places in an output of this shape, and what each tensor of as many elements holds there, in each order."""
        if shape not in self._held:
            total = int(np.prod(shape))
            flat = np.unique(np.random.default_rng(total).integers(0, total, _SAMPLE))
            places = tuple(np.unravel_index(flat, shape))
            rows = []
            for name in self._names.get(total, ())[:_MOST_TENSORS]:
                values = self._tensors.get(name)
                rows += [values.reshape(-1)[_in_order(places, shape, order)] for order in _ORDERS]
            self._held[shape] = places, np.array(rows, np.float64).reshape(len(rows), len(flat))
        return self._held[shape]


def patches(feed: Feed, frame: Array, places: Sequence[Array]) -> Array:
    """What a convolution reads in its frame for each of some outputs [N, F, H, W]: a row of C·k·k for each."""
    held: Any = feed.layer.settings
    items, outputs, i, j = places
    weights = feed.parameters["weights"]
    steps = np.arange(held.size) * held.dilation
    first = outputs // (len(weights) // held.groups) * weights.shape[1]
    taken = frame[
        items[:, None, None, None],
        (first[:, None] + np.arange(weights.shape[1]))[:, :, None, None],
        (i[:, None] * held.stride_y + steps)[:, None, :, None],
        (j[:, None] * held.stride_x + steps)[:, None, None, :],
    ]
    return np.asarray(taken).reshape(len(items), -1)


def _in_order(places: Sequence[Array], shape: tuple[int, ...], order: tuple[int, ...]) -> Array:
    lengths = tuple(shape[axis] for axis in order)
    return np.asarray(np.ravel_multi_index(tuple(places[axis] for axis in order), lengths))
