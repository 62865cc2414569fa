"""What a port computed with, worked out from what it gave: for faults that are too many to be tried one by one.

A layer is linear up to its activation. So from what it reads and what it gives follow the numbers that it must have: a
factor and an offset for each channel, weights, the range of the picture, the order of channels. Each is solved on some
places of the output, and proposed where others come out right as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.comparing.faults.fault import Array
from layoutbridge.comparing.faults.parametric import misplaced, named_range, ranged
from layoutbridge.comparing.faults.sampling import patches
from layoutbridge.comparing.faults.stages import (
    Alternative,
    Choice,
    Stage,
    along,
    finished,
    framed,
    function_called,
    multiplied,
    read_by,
    with_numbers,
)
from layoutbridge.darknet.reference.values import Feed
from layoutbridge.darknet.structure.kinds import Connected

_NEAR = 1e-3  # of the largest value: solved from so few numbers, it is tried on all
_MOST_UNKNOWN = 1200  # weights of one output
_MOST_PLACES = 2500
_FEWEST = 8  # places more than there are unknowns
_GRID = 20_000
_FILED = "in the order of the file"
_KEPT = "keep the order of the file; or permute what the port has"
_BEHIND: tuple[Stage, ...] = ("padding", "normalization", "activation")
_AS_IT_IS = Alternative("activation", "activation", "", "", "", "", lambda x: x)


@dataclass(frozen=True)
class _Asked:
    """A layer's right `products` at some places, [F, S], and what a port has there before the activation.

    `base` is what the layer is known to do otherwise behind what it reads and its weights. The `sums` are `known` where
    this can be told. `factors` and `offsets` are those of batch norm and biases together.
    """

    feed: Feed
    base: Choice
    products: Array
    sums: Array
    known: NDArray[np.bool_]
    factors: Array
    offsets: Array
    places: tuple[Array, ...]

    @property
    def largest(self) -> float:
        """Of the sums that are known."""
        return float(np.abs(np.where(self.known, self.sums, 0)).max(initial=0)) or 1.0


def solved_choices(
    feed: Feed, output: Array, base: Choice, other: Alternative | None = None, sums: Array | None = None
) -> Iterator[Choice]:
    """The choices that would make a layer give `output` [N, F, H, W], by what they would have to be.

    They come on top of `base`, what the layer is known to do otherwise. `other` is another activation that they have,
    too, and `sums` what the activation was given, where that is known.
    """
    settings: Any = feed.layer.settings
    if output.shape[1] < 2 or getattr(settings, "antialiasing", None) is not None or getattr(settings, "xnor", False):
        return
    if "weights" in base:
        return
    feed = with_numbers(feed, base)
    feed = replace(feed, inputs=(read_by(feed, base), *feed.inputs[1:]))
    base = {stage: each for stage, each in base.items() if stage in _BEHIND}
    product = multiplied(feed, base)
    if product is None or product.shape != output.shape:
        return
    choice: Choice = {} if other is None else {"activation": other}
    right = finished(feed, feed.parameters, product, {**base, **choice})
    if np.abs(right - output).max() <= _NEAR * np.abs(right).max():
        return  # nothing else is wrong here
    with np.errstate(all="ignore"):
        asked = _asked(feed, product, output, {**base, **choice}, sums)
        for solve in (_picture, _outputs, _channels, _inputs):
            yield from ({**choice, **found} for found in solve(asked))


def _asked(feed: Feed, product: Array, output: Array, base: Choice, given: Array | None) -> _Asked:
    settings: Any = feed.layer.settings
    batch, _, rows, columns = output.shape
    flat = np.random.default_rng(0).permutation(batch * rows * columns)[:_MOST_PLACES]
    places = np.unravel_index(flat, (batch, rows, columns))
    chosen = (places[0], slice(None), places[1], places[2])
    if given is not None:
        sums = given[chosen].T
        known = np.ones(sums.shape, np.bool_)
    else:
        other = base.get("activation")
        name = settings.activation if other is None else other.found
        function = function_called(name) if other is None else other.change
        sums, known = _before_activation(name, function, output[chosen].T)
    ones, zeros = np.ones((1, output.shape[1], 1, 1)), np.zeros((1, output.shape[1], 1, 1))
    plain: Choice = {**base, "activation": _AS_IT_IS}
    offsets = finished(feed, feed.parameters, zeros, plain).reshape(-1)
    factors = finished(feed, feed.parameters, ones, plain).reshape(-1) - offsets
    return _Asked(feed, base, product[chosen].T, sums, known, factors, offsets, tuple(places))


def _before_activation(name: str, function: Callable[[Array], Array], values: Array) -> tuple[Array, NDArray[np.bool_]]:
    """What an activation was given, and where this can be told: where it grows, over zero."""
    if name == "linear":
        return values, np.ones(values.shape, np.bool_)
    if name == "leaky":
        return np.where(values > 0, values, values * 10), np.ones(values.shape, np.bool_)
    if name == "logistic":
        inside = (values > _NEAR) & (values < 1 - _NEAR)
        held = np.where(inside, values, 0.5)
        return np.log(held / (1 - held)), inside
    largest = float(values.max(initial=0))
    if not 0 < largest < np.inf:
        return values, np.zeros(values.shape, np.bool_)
    grid = np.linspace(0, 2 * largest + 2, _GRID)
    made = function(grid.reshape(1, 1, 1, -1)).reshape(-1)
    grows = np.concatenate([[True], np.diff(made) > 0])
    end = _GRID if grows.all() else int(np.argmin(grows))
    known = (values > made[0] + _NEAR * largest) & (values < made[end - 1] * (1 - 1e-6))
    return np.interp(values, made[:end], grid[:end]), known


# ---------------------------------------------------------------------- the picture


def _picture(asked: _Asked) -> Iterator[Choice]:
    """Colours in another order, each with a factor and an offset."""
    feed = asked.feed
    colours = feed.x.shape[1]
    settings: Any = feed.layer.settings
    if feed.layer.inputs != (-1,) or isinstance(settings, Connected) or settings.groups != 1 or not 1 < colours <= 4:
        return
    weights = feed.parameters["weights"]
    unknown = []
    for taken in range(colours):  # what each filter makes of one colour in the place of another
        rows = _rows(asked, feed.x[:, [taken] * colours])
        for place in range(colours):
            unknown.append(_made_of(rows, weights, place))
    ones = _rows(asked, np.ones_like(feed.x))
    unknown += [_made_of(ones, weights, place) for place in range(colours)]
    matrix = np.stack(unknown, -1) * asked.factors[:, None, None]  # [F, S, unknown]
    chosen = asked.known
    wanted = (asked.sums - asked.offsets[:, None])[chosen]
    if chosen.sum() < 4 * matrix.shape[-1]:
        return
    found, *_ = np.linalg.lstsq(matrix[chosen], wanted, rcond=None)
    if not _fits(matrix[chosen] @ found, wanted, asked.largest):
        return
    mixing, offsets = found[:-colours].reshape(colours, colours).T, found[-colours:]  # [place, taken]
    order = np.abs(mixing).argmax(1)
    factors = mixing[np.arange(colours), order]
    rest = np.abs(mixing).sum() - np.abs(factors).sum()
    if sorted(order) != list(range(colours)) or rest > 1e-2 * np.abs(factors).sum():
        return
    choice: dict[Any, Alternative] = {}
    if list(order) != list(range(colours)):
        told = "BGR" if list(order) == [2, 1, 0] else "".join("RGBA"[place] for place in order)
        choice["colours"] = Alternative(
            "colours", "channel_order", told, "RGB", f"the first layer reads the colours in the order {told}",
            "give the channels of the picture the order RGB, or those of the first layer's weights",
            lambda x: x[:, order],
        )  # fmt: skip
    if np.abs(factors - 1).max() > _NEAR or np.abs(offsets).max() > _NEAR:
        told, factors, offsets = named_range(factors, offsets)
        scale, shift = factors.reshape(1, -1, 1, 1), offsets.reshape(1, -1, 1, 1)
        choice["read"] = ranged(told, lambda x: x * scale + shift)
    if choice:
        yield choice


def _made_of(rows: Array, weights: Array, place: int) -> Array:
    """What all filters [F, C, k, k] make of the colour at one place of what they read, [S, C·k·k]: [F, S]."""
    filters, colours = weights.shape[:2]
    held = rows.reshape(len(rows), colours, -1)[:, place]
    return np.asarray(weights.reshape(filters, colours, -1)[:, place] @ held.T)


def _rows(asked: _Asked, x: Array, output: int = 0) -> Array:
    """What a convolution reads of `x` at some places, for one of its outputs."""
    frame = framed(asked.feed, x, asked.base)
    assert frame is not None
    items, i, j = asked.places
    return patches(asked.feed, frame, (items, np.full(len(items), output), i, j))


# ---------------------------------------------------------------------- by channels


def _channels(asked: _Asked) -> Iterator[Choice]:
    """Another factor and another offset for each channel."""
    factors, offsets = asked.factors.copy(), asked.offsets.copy()
    for channel, (x, y, known) in enumerate(zip(asked.products, asked.sums, asked.known, strict=True)):
        if known.sum() < _FEWEST or not np.ptp(x[known]):
            continue
        factor, offset = np.polyfit(x[known], y[known], 1)
        if not _fits(factor * x[known] + offset, y[known], asked.largest):
            return
        factors[channel], offsets[channel] = factor, offset
    scale = float(np.abs(asked.factors).max(initial=0)) or 1.0
    shift = float(np.abs(asked.offsets).max(initial=0)) or 1.0
    other_factor = np.abs(factors - asked.factors) > _NEAR * scale
    other_offset = np.abs(offsets - asked.offsets) > _NEAR * shift
    other = np.flatnonzero(other_factor | other_offset)
    if np.abs(factors).max() <= _NEAR * scale and not other_offset.any():
        yield {"weights": misplaced("zeros", np.zeros_like, "those of the file", "copy the weights of the file")}
    if not len(other) or np.abs(factors).max() <= _NEAR * scale:
        return
    what = "factors and offsets" if other_factor.any() and other_offset.any() else (
        "factors" if other_factor.any() else "offsets"
    )  # fmt: skip
    where = "all channels" if len(other) == len(factors) else f"channels {', '.join(map(str, other[:8]))}"
    if 8 < len(other) < len(factors):
        where = f"{len(other)} of {len(factors)} channels"
    normalizes = "variances" in asked.feed.parameters
    told = f"other {what} in {where}"
    yield {
        "normalization": Alternative(
            "normalization", "batch_norm" if normalizes else "weight_layout", told, "those of the file",
            f"{'batch norm has' if normalizes else 'behind the product come'} {told}, which the file has nowhere",
            "copy the vectors of the file, and apply them in order",
            lambda values, y: y * along(factors) + along(offsets),
        )
    }  # fmt: skip


def _outputs(asked: _Asked) -> Iterator[Choice]:
    """Outputs in another order: of the whole layer, of the weights, of weights with batch norm folded into them."""
    factors, offsets = asked.factors[:, None], asked.offsets[:, None]
    order = _matched(asked.sums, asked.known, asked.products * factors + offsets)
    if order is not None:
        told = f"outputs in the order {_order(order)}, with all that belongs to them"
        yield {
            "numbers": Alternative(
                "numbers", "weight_layout", told, _FILED, f"the layer has its {told}",
                f"{_KEPT}, weights and vectors alike: {_cure(order)}", _reordered(order),
            )
        }  # fmt: skip
    live = factors != 0
    order = _matched((asked.sums - offsets) / np.where(live, factors, np.inf), asked.known & live, asked.products)
    if order is not None:
        yield _outputs_in(order)
    order = _matched(asked.sums - offsets, asked.known, asked.products * factors)
    if order is not None:
        found = f"outputs in the order {_order(order)}, batch norm folded into them"
        change = _folded(asked.factors, asked.offsets, order)
        yield {
            "normalization": Alternative(
                "normalization", "weight_layout", found, _FILED, f"the weights are not where they belong: {found}",
                f"{_KEPT}: {_cure(order)}", change,
            )
        }  # fmt: skip


def _outputs_in(order: NDArray[np.int64]) -> Choice:
    return {
        "weights": misplaced(
            f"outputs in the order {_order(order)}", lambda w: w[order], _FILED, f"{_KEPT}: {_cure(order)}"
        )
    }  # fmt: skip


def _cure(order: NDArray[np.int64]) -> str:
    """What puts outputs in an order back, as code."""
    return f"weights = weights[{np.argsort(order).tolist()}]"


def _folded(factors: Array, offsets: Array, order: NDArray[np.int64]) -> Callable[[Any, Array], Array]:
    return lambda _, y: (y * along(factors))[:, order] + along(offsets)


def _reordered(order: NDArray[np.int64]) -> Callable[[Feed], Any]:
    return lambda feed: {name: each[order] for name, each in feed.parameters.items()}


def _order(order: Sequence[int] | NDArray[np.int64]) -> str:
    shown = ", ".join(map(str, list(order)[:12]))
    return f"{shown}, ..." if len(order) > 12 else shown


def _matched(wanted: Array, known: NDArray[np.bool_], held: Array) -> NDArray[np.int64] | None:
    """Which row of `held` each row of `wanted` is; None where one is none of them, and where each is its own."""
    largest = float(np.abs(held).max(initial=0)) or 1.0
    order: NDArray[np.int64] = np.full(len(wanted), -1)
    left = list(range(len(held)))
    for row in np.argsort(-known.sum(axis=1), kind="stable").tolist():  # of which most is known comes first
        where = known[row]
        if where.any():
            apart = np.abs(held[left][:, where] - wanted[row, where]).max(axis=1)
            nearest = left[int(apart.argmin())]
            if row in left and apart[left.index(row)] <= _NEAR * largest:
                nearest = row
            elif apart.min() > _NEAR * largest:
                return None
        else:
            nearest = row if row in left else left[0]  # a dead one, of which any may be which
        order[row] = nearest
        left.remove(nearest)
    return None if (order == np.arange(len(order))).all() else order


# ---------------------------------------------------------------------- weights


def _inputs(asked: _Asked) -> Iterator[Choice]:
    """Inputs in another order, or other weights altogether."""
    feed = asked.feed
    settings: Any = feed.layer.settings
    weights = feed.parameters["weights"]
    unknown = weights[0].size
    if isinstance(settings, Connected) or unknown > _MOST_UNKNOWN or (asked.factors == 0).all():
        return
    wanted = (asked.sums - asked.offsets[:, None]) / np.where(asked.factors, asked.factors, np.inf)[:, None]
    for found in _weights(asked, wanted, unknown):
        order = None if settings.groups > 1 else _nearest(_by_input(found), _by_input(weights))
        if order is not None:
            yield _inputs_in(order)
    if settings.groups == 1 and settings.size == 1 and len(weights) >= unknown and asked.known.all(axis=0).any():
        known = asked.known.all(axis=0)
        rows = _rows(asked, feed.x)[known].T
        order = _nearest(np.linalg.pinv(weights.reshape(len(weights), -1)) @ wanted[:, known], rows)
        if order is not None:
            yield _inputs_in(np.argsort(order))
    for found in _weights(asked, wanted, unknown + unknown // 4 + _FEWEST):
        order = _nearest(found.reshape(len(found), -1), weights.reshape(len(weights), -1))
        if order is not None and np.abs(weights[order] - found).max() <= _NEAR * np.abs(weights).max():
            yield _outputs_in(order)
            continue
        yield {
            "weights": misplaced(
                _told_of(found, weights), partial(_instead, found), "those of the file",
                "copy the weights of the file: these stand nowhere in it",
            )
        }  # fmt: skip


def _instead(found: Array, _: Array) -> Array:
    return found


def _inputs_in(order: NDArray[np.int64]) -> Choice:
    cure = f"weights[:, {np.argsort(order).tolist()}]"
    return {
        "weights": misplaced(
            f"inputs in the order {_order(order)}", lambda w: w[:, order], _FILED,
            f"{_KEPT}: weights = {cure}",
        )
    }  # fmt: skip


def _weights(asked: _Asked, wanted: Array, fewest: int) -> Iterator[Array]:
    """The weights with which a layer gives what is wanted of its products, where that is told in enough places."""
    feed = asked.feed
    settings: Any = feed.layer.settings
    found = np.array(feed.parameters["weights"])
    flat, each = found.reshape(len(found), -1), len(found) // settings.groups
    for group in range(settings.groups):
        rows = _rows(asked, feed.x, group * each)
        for chosen in _alike_known(asked.known, range(group * each, (group + 1) * each)):
            known = asked.known[chosen[0]]
            live = [output for output in chosen if asked.factors[output]]
            if not live or not known.any():
                continue
            if known.sum() < fewest:
                return
            made, *_ = np.linalg.lstsq(rows[known], wanted[live][:, known].T, rcond=1e-7)
            apart = (rows[known] @ made - wanted[live][:, known].T) * asked.factors[live]
            if np.abs(apart).max() > _NEAR * asked.largest:
                return
            flat[live] = made.T
    yield found


def _alike_known(known: NDArray[np.bool_], outputs: range) -> list[list[int]]:
    """Outputs whose sums are known at the same places, together."""
    found: dict[bytes, list[int]] = {}
    for output in outputs:
        found.setdefault(known[output].tobytes(), []).append(output)
    return list(found.values())


def _by_input(weights: Array) -> Array:
    """Weights [F, C, k, k] with a row for each input."""
    return weights.swapaxes(0, 1).reshape(weights.shape[1], -1)


def _nearest(one: Array, other: Array) -> NDArray[np.int64] | None:
    """Which row of the other each row is nearest to; None where that is no order, and where each is its own."""
    squares = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1) - 2 * one @ other.T
    order = squares.argmin(axis=1)
    return None if sorted(order) != list(range(len(order))) or (order == np.arange(len(order))).all() else order


def _told_of(found: Array, weights: Array) -> str:
    """What weights are beside those of the file."""
    if np.abs(found).max() <= _NEAR * np.abs(weights).max():
        return "zeros"
    ratio = float((found * weights).sum() / (weights * weights).sum())
    if np.abs(found - ratio * weights).max() <= _NEAR * np.abs(ratio * weights).max():
        return f"the file's times {ratio:.4g}"
    apart = float(np.abs(found - weights).max() / np.abs(weights).max())
    return f"other weights, up to {apart:.1g} of the largest apart from the file's"


def _fits(made: Array, wanted: Array, largest: float) -> bool:
    return bool(np.abs(made - wanted).max(initial=0) <= _NEAR * largest)
