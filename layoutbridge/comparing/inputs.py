"""One input for two models: the same values, each in the layout that its model takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.comparing.opening import Opened
from layoutbridge.comparing.running import recorded
from layoutbridge.errors import LayoutBridgeError, ShapeError, UnusableInputError
from layoutbridge.scanning.graphs.graph import Graph
from layoutbridge.scanning.graphs.sizes import OpenShape, Shapes, shape_text

_LARGEST_WHOLE = 2  # random whole numbers are below it: they may be indices


@dataclass(frozen=True)
class Input:
    """An input of the reference, `values` in its layout; the candidate's `name` for it, and the order of its `axes`."""

    reference: str
    candidate: str
    values: NDArray[Any]
    axes: tuple[int, ...]
    shape: tuple[int, ...]

    def for_candidate(self, values: NDArray[Any] | None = None) -> NDArray[Any]:
        """The values, or others in the reference's layout, as the candidate takes them."""
        held = self.values if values is None else values
        return np.ascontiguousarray(held.transpose(self.axes).reshape(self.shape))


def read_reference(
    opened: Opened, candidate: Opened, x: NDArray[Any] | Mapping[str, NDArray[Any]] | None, shapes: Shapes, seed: int
) -> tuple[Graph, dict[str, NDArray[Any]]]:
    """The reference's graph, and values for its inputs: `x`, else random ones from 0 to 1.

    Sizes that the reference leaves open are those that the candidate has. Raises `ShapeError` for an `x` that does not
    fit.
    """
    if x is None:
        x = opened.recorded_input if opened.is_recorded else candidate.recorded_input
    if opened.is_recorded:
        return opened.at_shapes(None), _recorded(opened, x)
    if x is not None:
        graph = opened.at_shapes(
            {name: each.shape for name, each in x.items()} if isinstance(x, Mapping) else np.shape(x)
        )
    else:
        graph = opened.at_shapes(shapes) if shapes is not None else _read_alike(opened, candidate)
    rng = np.random.default_rng(seed)
    given: dict[str, NDArray[Any]] = {}
    names = [name for name in graph.inputs if not graph.tensors[name].is_constant]
    if x is not None and not isinstance(x, Mapping) and len(names) != 1:
        raise ShapeError(f"'{opened.name}' has {len(names)} inputs ({', '.join(names)}): give arrays by these names")
    for name in names:
        tensor = graph.tensors[name]
        if x is not None:
            held = _fitted(x[name] if isinstance(x, Mapping) else x, tensor.shape, name)
        elif np.dtype(tensor.dtype).kind == "f":
            held = rng.random(tensor.shape)
        else:
            held = rng.integers(0, _LARGEST_WHOLE, tensor.shape)
        given[name] = held.astype(tensor.dtype)
    if not any(values.any() for values in given.values()):
        told = "has no input" if not given else "is given nothing but zeros"
        raise UnusableInputError(f"'{opened.name}' {told}: two models are told apart by what they make of an input")
    return graph, given


def _recorded(opened: Opened, x: NDArray[Any] | Mapping[str, NDArray[Any]] | None) -> dict[str, NDArray[Any]]:
    """The input that outputs were recorded for."""
    if x is None or isinstance(x, Mapping):
        raise ShapeError(f"'{opened.name}' does not hold the input that it was recorded for: give it")
    return {recorded.INPUT: np.asarray(x)}


def _fitted(x: NDArray[Any], shape: tuple[int, ...], name: str) -> NDArray[Any]:
    held = np.asarray(x)
    if held.shape != shape and held.shape != shape[1:]:
        raise ShapeError(f"input {name} is {shape_text(shape)}, and {shape_text(held.shape)} is given")
    return held.reshape(shape)


def _read_alike(reference: Opened, candidate: Opened) -> Graph:
    """The reference's graph at sizes that the candidate has."""
    wanted = _common_shapes(reference, candidate)
    try:
        return reference.at_shapes(wanted)
    except LayoutBridgeError:
        if wanted is None or isinstance(wanted, Mapping) or _taken(reference) is not None:
            raise
        for axes in _orders(len(wanted), channels_last=False)[1:]:  # a module, which does not say its layout
            try:
                return reference.at_shapes([wanted[axis] for axis in axes])
            except LayoutBridgeError:
                continue
        raise


def _common_shapes(reference: Opened, candidate: Opened) -> Shapes:
    """The shapes of the reference's inputs with what the candidate has for their open sizes, one for an open batch."""
    own, other = _taken(reference), _taken(candidate)
    if own is None and other is not None:  # a module, which takes what the other does
        filled_up = {name: tuple(n if isinstance(n, int) else 1 for n in shape) for name, shape in other.items()}
        return next(iter(filled_up.values())) if len(filled_up) == 1 else filled_up
    if not own or all(isinstance(n, int) for shape in own.values() for n in shape):
        return None
    others = list((other or {}).values())
    found = {}
    for place, (name, shape) in enumerate(own.items()):
        fitting = others[place] if len(others) == len(own) else ()
        filled = next((each for axes in _orders(len(shape), channels_last=reference.channels_last)
                       if (each := _together(shape, fitting, axes)) is not None), shape)  # fmt: skip
        found[name] = (filled[0] if isinstance(filled[0], int) else 1, *filled[1:]) if filled else filled
    return found


def _together(shape: OpenShape, other: OpenShape, axes: tuple[int, ...]) -> OpenShape | None:
    """A shape with the lengths of another, which has the axes in another order, where it leaves them open."""
    if len(other) != len(shape):
        return None
    lengths = dict(zip(axes, other, strict=True))
    filled = []
    for axis, told in enumerate(shape):
        length = lengths[axis]
        if isinstance(told, int) and isinstance(length, int) and told != length:
            return None
        filled.append(told if isinstance(told, int) else length if isinstance(length, int) else told)
    return tuple(filled)


def match_inputs(
    reference: Graph, given: Mapping[str, NDArray[Any]], candidate: Opened
) -> tuple[Graph, tuple[Input, ...]]:
    """The candidate's graph at shapes that `given` has in one layout or another, and which input is which.

    Raises `UnusableInputError` where no layout fits.
    """
    if candidate.is_recorded and candidate.recorded_input is None:
        return candidate.at_shapes(None), ()
    taken = _taken(candidate)
    if taken is None:  # a module or a layer, which says nothing of its input
        return _tried(candidate, given)
    if len(taken) != len(given):
        raise _unmatched(reference, given, candidate, taken)
    order = list(given) if set(taken) == set(given) else None
    pairs = [(name, name) for name in order] if order else list(zip(given, taken, strict=True))
    reasons: list[LayoutBridgeError] = []
    for choice in _choices([_fitting(given[one].shape, taken[other], candidate) for one, other in pairs]):
        inputs = tuple(
            Input(one, other, given[one], axes, shape)
            for (one, other), (axes, shape) in zip(pairs, choice, strict=True)
        )
        try:
            return candidate.at_shapes({each.candidate: each.shape for each in inputs}), inputs
        except LayoutBridgeError as error:
            reasons.append(error)
    if reasons:
        raise reasons[0]
    raise _unmatched(reference, given, candidate, taken)


def _taken(candidate: Opened) -> dict[str, OpenShape] | None:
    """The shapes of the candidate's inputs as far as it says them; None where it says nothing."""
    try:
        graph = candidate.at_shapes(None)
    except ShapeError:
        return None
    return {
        name: graph.tensors[name].open_shape or graph.tensors[name].shape
        for name in graph.inputs
        if name in graph.tensors and not graph.tensors[name].is_constant
    }


def _tried(candidate: Opened, given: Mapping[str, NDArray[Any]]) -> tuple[Graph, tuple[Input, ...]]:
    if len(given) != 1:
        raise UnusableInputError(f"'{candidate.name}' does not say what it takes, and {len(given)} inputs are given")
    ((name, values),) = given.items()
    reason: LayoutBridgeError | None = None
    for axes in _orders(values.ndim, channels_last=False):
        shape = tuple(values.shape[axis] for axis in axes)
        try:
            graph = candidate.at_shapes(shape)
        except LayoutBridgeError as error:
            reason = reason or error
            continue
        return graph, (Input(name, graph.inputs[0], values, axes, shape),)
    assert reason is not None
    raise reason


def _orders(rank: int, *, channels_last: bool) -> list[tuple[int, ...]]:
    """The orders of axes that a model may take: as they are, and with the channels behind the space, or before it."""
    identity = tuple(range(rank))
    if rank < 3:
        return [identity]
    last = (0, *range(2, rank), 1)
    first = (0, rank - 1, *range(1, rank - 1))
    orders = [identity, last, first]
    return [last, identity, first] if channels_last else orders


def _fitting(
    shape: tuple[int, ...], open_shape: OpenShape, candidate: Opened
) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """The orders of axes in which values of `shape` fit what is open, each with the shape that they have then."""
    found = []
    for axes in _orders(len(shape), channels_last=candidate.channels_last):
        lengths = tuple(shape[axis] for axis in axes)
        without_batch = lengths[1:] if lengths[:1] == (1,) else lengths
        for fitting in (lengths, without_batch, (1, *lengths)):
            if len(fitting) == len(open_shape) and all(
                not isinstance(told, int) or told == length for told, length in zip(open_shape, fitting, strict=True)
            ):
                found.append((axes, fitting))
                break
    return found


def _choices(each: Sequence[Sequence[Any]]) -> Iterator[tuple[Any, ...]]:
    """The first of all, then others of one input alone: many inputs rarely need more."""
    if not all(each):
        return
    first = tuple(options[0] for options in each)
    yield first
    for place, options in enumerate(each):
        for option in options[1:]:
            yield (*first[:place], option, *first[place + 1 :])


def _unmatched(
    reference: Graph, given: Mapping[str, NDArray[Any]], candidate: Opened, taken: Mapping[str, OpenShape]
) -> UnusableInputError:
    one = ", ".join(f"{name} {shape_text(values.shape)}" for name, values in given.items())
    other = ", ".join(f"{name} {shape_text(shape)}" for name, shape in taken.items())
    return UnusableInputError(
        f"the inputs cannot be matched: '{reference.name}' takes {one}, and '{candidate.name}' takes {other}"
    )
