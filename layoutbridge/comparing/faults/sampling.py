"""Which alternatives of a layer with weights explain a tensor: tried on some elements, so that many can be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.comparing.faults.fault import Array
from layoutbridge.comparing.faults.parametric import Alternative, Choice, Stage, alternatives, finished, framed
from layoutbridge.comparing.running.store import Store
from layoutbridge.darknet.reference.values import Feed
from layoutbridge.darknet.structure.kinds import Connected

_SAMPLE = 384  # elements of an output by which a choice is tried
_MOST_TENSORS = 12
_STAGES: tuple[Stage, ...] = ("normalization", "activation", "padding", "read", "weights")
_ORDERS = ((0, 1, 2, 3), (0, 2, 3, 1))  # in which a candidate may hold [N, C, H, W]
_ALONE: tuple[tuple[Stage, ...], ...] = tuple((stage,) for stage in _STAGES)
_PAIRS = (*combinations(_STAGES[:4], 2), ("normalization", "weights"), ("activation", "weights"))
_TRIPLES = tuple((*_STAGES[:2], stage) for stage in _STAGES[2:4])
_ALIKE = 1e-4  # of the largest value: what is as near is a step of a right layer
_SMALL = 1e-5  # beside variances, in either Darknet more or less
_AS_IT_IS = Alternative("activation", "activation", "", "", "", "", lambda x: x)
_OF_THE_WHOLE = ("statistics of the batch itself, as in training",)  # cannot be told from some elements


def likely_choices(
    feed: Feed, names: Mapping[int, list[str]], tensors: Store, tolerance: float, before: float
) -> Iterator[Choice]:
    """The choices of alternatives that give a tensor on a sample, the fewest first, then those of the last tensor.

    `names` are those of the tensors that it may be, by their size.

    `before` is how far the layer is from its tensor as it stands: a choice must be clearly nearer.
    """
    offered = alternatives(feed)
    if not offered:
        return
    sample = _Sample(feed, names, tensors)
    for level in (_ALONE, _PAIRS, _TRIPLES):
        for with_inner in (False, True):  # a tensor within the layer may be its result where the rest was left out
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

    def __init__(self, feed: Feed, names: Mapping[int, list[str]], tensors: Store) -> None:
        self._feed = feed
        self._names = names
        self._tensors = tensors
        self._products: dict[tuple[Alternative | None, ...], Array | None] = {}
        self._held: dict[tuple[int, ...], tuple[tuple[Array, ...], Array]] = {}
        self._within: dict[tuple[int, ...], NDArray[np.bool_]] = {}
        self._shapes: dict[tuple[Alternative | None, ...], tuple[int, ...]] = {}

    def nearest(self, choice: Choice, *, with_inner: bool) -> tuple[int, float]:
        """Which tensor is nearest to what the layer gives with a choice, and how far, as a share of its largest value.

        Without `with_inner` tensors are left out that a right layer has within it: its product, its normalized sum.
        """
        if _is_of_the_whole(choice):
            return 0, 0.0 if len(choice) == 1 else float("inf")  # to be tried on the whole
        key = tuple(choice.get(stage) for stage in _STAGES[2:])
        if key not in self._products:
            self._products[key] = self._product(choice, key)
        values = self._products[key]
        if values is None:
            return 0, float("inf")
        places, held = self._places(self._shapes[key])
        if not with_inner:
            held = np.where(self._inner(self._shapes[key])[:, None], np.inf, held)
        if not len(held):
            return 0, float("inf")
        with np.errstate(all="ignore"):
            made = self._finished(values, places, choice)
            largest = np.maximum(np.abs(held).max(axis=1), np.abs(made).max(initial=0))
            distances = np.abs(held - made).max(axis=1) / np.where(largest > 0, largest, 1)
        distances[~np.isfinite(distances)] = np.inf
        place = int(np.argmin(distances))
        return place, float(distances[place]) if made.any() else float("inf")

    def _finished(self, values: Array, places: tuple[Array, ...], choice: Choice) -> Array:
        parameters = {
            name: value[places[1]] if value.ndim == 1 else value for name, value in self._feed.parameters.items()
        }
        return finished(self._feed, parameters, values.reshape(1, -1, 1, 1), choice).reshape(-1)

    def _steps(self, values: Array, places: tuple[Array, ...]) -> Iterator[Array]:
        """What a right layer has on its way, by the steps in which it may be written out."""
        yield values
        yield self._finished(values, places, {"activation": _AS_IT_IS})
        own = self._feed.parameters
        if "variances" in own:
            shifted = values - own["means"][places[1]]
            divisor = np.sqrt(own["variances"][places[1]] + _SMALL)
            yield shifted
            yield shifted / divisor
            yield shifted / divisor * own["scales"][places[1]]
            yield values * (own["scales"][places[1]] / divisor)

    def _inner(self, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """Which rows of `_places` are what a right layer computes on its way."""
        if shape not in self._within:
            places, held = self._places(shape)
            key = (None,) * len(_STAGES[2:])
            if key not in self._products:
                self._products[key] = self._product({}, key)
            values = self._products[key]
            within = np.zeros(len(held), np.bool_)
            if values is not None and self._shapes[key] == shape:
                for step in self._steps(values, places):
                    largest = float(np.abs(step).max(initial=0)) or 1.0
                    within |= np.abs(held - step).max(axis=1, initial=0) <= _ALIKE * largest
            self._within[shape] = within
        return self._within[shape]

    def _product(self, choice: Choice, key: tuple[Alternative | None, ...]) -> Array | None:
        """The product at the sampled places."""
        feed, settings = self._feed, self._feed.layer.settings
        weights = feed.parameters["weights"]
        if "weights" in choice:
            changed = np.ascontiguousarray(choice["weights"].change(weights))
            if changed.shape != weights.shape:
                return None
            weights = changed
        x = choice["read"].change(feed.x) if "read" in choice else feed.x
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
        (items, outputs, i, j), _ = self._places(self._shapes[key])
        each = len(weights) // held.groups
        steps = np.arange(held.size) * held.dilation
        first = outputs // each * weights.shape[1]
        patches = frame[
            items[:, None, None, None],
            (first[:, None] + np.arange(weights.shape[1]))[:, :, None, None],
            (i[:, None] * strides[0] + steps)[:, None, :, None],
            (j[:, None] * strides[1] + steps)[:, None, None, :],
        ]
        return np.einsum("sckl,sckl->s", patches, weights[outputs])

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


def _in_order(places: Sequence[Array], shape: tuple[int, ...], order: tuple[int, ...]) -> Array:
    lengths = tuple(shape[axis] for axis in order)
    return np.asarray(np.ravel_multi_index(tuple(places[axis] for axis in order), lengths))
