"""Parameters for a network, of a model of another framework: found, converted, put into the order of a weights file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from layoutbridge.darknet.ports.outputs import output_layers
from layoutbridge.darknet.reading.weights import Header, Weights, made_weights, new_header
from layoutbridge.darknet.returning.converting import (
    FOLDED,
    Given,
    converted,
    joined_norms,
    split_norms,
    variance_for,
    variances_of_squares,
)
from layoutbridge.darknet.returning.matching import Match, match
from layoutbridge.darknet.returning.slots import Slot, slots_of
from layoutbridge.darknet.returning.source import Part, Source, Tensor, plain
from layoutbridge.darknet.structure.kinds import Batchnorm, Shortcut, Sum
from layoutbridge.darknet.structure.model import Network, Parameter, is_statistic
from layoutbridge.errors import WeightsError, named

_LEAST_SUM = 0.0001  # Darknet's, below the line of normalised weights of a shortcut
_MOST_TOLD = 4
_UNUSED = "not there: nothing that the network gives is made of it"
_UNTRAINED = ("anchor", "grid", "stride", "num_batches", "step", "iteration", "optimizer")


@dataclass(frozen=True, slots=True)
class ReturnedParameter:
    """A parameter of a layer: the source's tensor that it is of (None: it has none there), and what was done to it."""

    layer: str
    parameter: str
    source: str | None
    shape: tuple[int, ...]
    how: str


@dataclass(frozen=True, slots=True, eq=False)
class Returned:
    """Weights that another model's are, and where each is from.

    `how` is "names", "numbers" (in names) or "order". `notes` are one line each. The rest is what they were found of:
    `choice` are the places among the source's parts, a place for each of `slots`.
    """

    weights: Weights
    rows: tuple[ReturnedParameter, ...]
    how: str
    notes: tuple[str, ...]
    source: Source
    slots: tuple[Slot, ...]
    choice: tuple[int, ...]


def returned(network: Network, source: Source, present: Weights | None = None) -> Returned:
    """The weights of `network` that `source` has; `present` are those that it has now, whose header is kept.

    Raises `WeightsError` where a layer has nothing in the source, or something is left over there; and as
    `reading.weights.made_weights` does.
    """
    slots = slots_of(network)
    given = _of_loose(network, slots, source, present)
    lone = [slot for slot in slots if slot.name not in given and not slot.is_product]
    dead = _dead(network)
    given |= _lone_in_order(network, slots, lone, source, given, dead, present)
    names = {plain(row.source) for held in given.values() for row in held.values() if row.source is not None}
    parts = tuple(part for part in source.parts if not _is_taken(part, names))
    wanted = tuple(slot for slot in slots if slot.name not in given)
    alive = tuple(slot for slot in wanted if slot.layer.index not in dead)
    parts = joined_norms(wanted, split_norms(slots, wanted, parts))
    try:
        found = match(network, wanted, parts)
    except WeightsError:
        if len(alive) == len(wanted):
            raise
        found = match(network, alive, parts)
        given |= {slot.name: _kept(slot, present, _UNUSED) for slot in wanted if slot not in alive}
        wanted = alive
    source = Source(source.framework, parts, source.loose, source.order, source.notes)
    return _made(network, source, found, wanted, given, slots, present)


def chosen(network: Network, before: Returned, choice: Sequence[int], present: Weights | None = None) -> Returned:
    """The same with other parts for the slots that were matched."""
    slots = slots_of(network)
    given = {slot.name: _rows_of(before, slot) for slot in slots if slot not in before.slots}
    found = Match(tuple(choice), before.how)
    return _made(network, before.source, found, before.slots, given, slots, present)


def _rows_of(before: Returned, slot: Slot) -> dict[str, Given]:
    rows = {(row.layer, row.parameter): row for row in before.rows}
    return {
        name: Given(
            np.asarray(before.weights.arrays[slot.key(name)]),
            rows[slot.name, name].source,
            rows[slot.name, name].how,
        )
        for name in slot.parameters
    }


def _made(
    network: Network,
    source: Source,
    found: Match,
    wanted: Sequence[Slot],
    given: dict[str, dict[str, Given]],
    slots: Sequence[Slot],
    present: Weights | None,
) -> Returned:
    held = dict(given)
    for slot, place in zip(wanted, found.places, strict=True):
        now = None if present is None else {name: present.arrays[slot.key(name)] for name in slot.parameters}
        _refuse_folded_owner(network, slot, source.parts[place])
        made = converted(slot, source.parts[place], network.flavor, now)
        held[slot.name] = {name: _with_fill(slot.parameters[name], each) for name, each in made.items()}
    values = {
        slot.key(name): each.values.reshape(slot.parameters[name].shape)
        for slot in slots
        for name, each in held[slot.name].items()
    }
    header = _header(network, present)
    trailing = np.zeros(0, np.uint8) if present is None else present.trailing
    layers = [(layer.name, layer.parameters) for layer in network.layers]
    weights = made_weights(layers, lambda index, name: values[index, name], header, trailing)
    rows = tuple(
        ReturnedParameter(slot.name, name, each.source, tuple(each.values.shape), each.how)
        for slot in slots
        for name, each in held[slot.name].items()
    )
    notes = (*source.notes, *_notes(network, source, found, rows))
    return Returned(weights, rows, found.how, notes, source, tuple(wanted), found.places)


def _with_fill(parameter: Parameter, given: Given) -> Given:
    """What is made up, but for entries that the weights file does not hold: they are what Darknet starts from."""
    if given.source is not None or parameter.leading == parameter.shape[0]:
        return given
    values = np.array(given.values)
    values[parameter.leading :] = parameter.fill
    return Given(values, None, given.how)


def _refuse_folded_owner(network: Network, slot: Slot, part: Part) -> None:
    """Raise `WeightsError` where a folded batch norm would change what another layer computes with the same weights."""
    if not slot.normalized or part.normalization is not None:
        return
    for layer in network.layers:
        shares = any(parameter.shared_with == slot.layer.index for parameter in layer.parameters)
        if shares and not any(parameter.name == "variances" for parameter in layer.parameters):
            raise WeightsError(
                f"{network.where(layer)}: {layer.name} uses the weights of {slot.name} without its batch norm, which "
                "is folded into them in this model: export it with its batch norm kept"
            )


def _dead(network: Network) -> frozenset[int]:
    """The layers of which nothing is made that an exported network gives."""
    left = [*output_layers(network)]
    used: set[int] = set()
    while left:
        index = left.pop()
        if index >= 0 and index not in used:
            used.add(index)
            left.extend(network.layers[index].inputs)
    return frozenset(layer.index for layer in network.layers if layer.index not in used)


def _kept(slot: Slot, present: Weights | None, how: str) -> dict[str, Given]:
    """The parameters that a slot has now; without any those that Darknet starts from where it loads nothing."""
    if present is not None:
        return {name: Given(present.arrays[slot.key(name)], None, f"{how}; kept") for name in slot.parameters}
    return {
        name: Given(np.full(parameter.shape, parameter.fill, np.float32), None, f"{how}; {parameter.fill:g}")
        for name, parameter in slot.parameters.items()
    }


def _header(network: Network, present: Weights | None) -> Header:
    return new_header(network.flavor) if present is None else present.header


# ---------------------------------------------------------------------- tensors under our own names


def _of_loose(
    network: Network, slots: Sequence[Slot], source: Source, present: Weights | None
) -> dict[str, dict[str, Given]]:
    """The slots all of whose parameters the source has under the names that our exports give them."""
    found: dict[str, dict[str, Given]] = {}
    for slot in slots:
        held = {name: _own(slot, name, network, source.loose, present) for name in slot.parameters}
        if slot.is_binary and present is not None and held["weights"] is not None:
            # statistics are never trained, and stand in such a layer within other numbers
            kept = _kept(slot, present, "in other numbers there")
            held = {name: kept[name] if each is None and is_statistic(name) else each for name, each in held.items()}
        complete = {name: each for name, each in held.items() if each is not None}
        if len(complete) == len(held):
            found[slot.name] = complete
    return found


def _own(slot: Slot, name: str, network: Network, loose: Mapping[str, Tensor], present: Weights | None) -> Given | None:
    scope = plain(slot.name)
    parameter = slot.parameters[name]
    tensor = loose.get(f"{scope}_{name}")
    if tensor is None and name == "weights" and len(slot.parameters) == 1:
        tensor = loose.get(scope)
    if tensor is None and name == "variances" and f"{scope}_squared_divisors" in loose:
        now = None if present is None else present.arrays[slot.key(name)]
        return variances_of_squares(loose[f"{scope}_squared_divisors"], network.flavor, now)
    if tensor is None and isinstance(slot.layer.settings, Batchnorm):
        return _of_factor(slot, name, network, loose)
    if tensor is None and isinstance(slot.layer.settings, Shortcut):
        return _of_shortcut(slot, loose)
    if tensor is None or tensor.values.size != parameter.size:
        return None
    return Given(np.ascontiguousarray(tensor.values, np.float32).reshape(parameter.shape), tensor.name)


def _of_factor(slot: Slot, name: str, network: Network, loose: Mapping[str, Tensor]) -> Given | None:
    """A [batchnorm] that an export has as a factor and a shift."""
    factor, shift = (loose.get(f"{plain(slot.name)}_{word}") for word in ("factor", "shift"))
    if factor is None or shift is None or {factor.values.size, shift.values.size} != {slot.shape[0]}:
        return None
    taken = {"scales": factor, "biases": shift}
    if name in taken:
        return Given(np.ascontiguousarray(taken[name].values, np.float32).reshape(-1), taken[name].name)
    if name == "means":
        return Given(np.zeros(slot.shape, np.float32), None, "was folded: 0")
    return Given(np.full(slot.shape, variance_for(np.ones(1), network.flavor)[0], np.float32), None, FOLDED)


def _of_shortcut(slot: Slot, loose: Mapping[str, Tensor]) -> Given | None:
    """Weights of a [shortcut] of an export that has them normalised, one array an input: some that give the same."""
    way = slot.layer.settings
    assert isinstance(way, Shortcut) and isinstance(way.way, Sum)
    count, columns = slot.shape
    tensors = [loose.get(f"{plain(slot.name)}_weights_{k}") for k in range(count)]
    rows = [tensor.values.astype(np.float64).reshape(-1) for tensor in tensors if tensor is not None]
    if len(rows) < count or any(row.size > columns for row in rows):
        return None
    held = np.zeros((count, columns))
    for k, row in enumerate(rows):
        held[k, : row.size] = row
    first = tensors[0]
    assert first is not None
    told = f"{first.name} and {count - 1} more"
    if way.way.weights_normalization == "none":
        return Given(held.astype(np.float32), told)
    if not (held > 0).all():
        return None
    if way.way.weights_normalization == "softmax":
        made = np.log(held / held.max(axis=0))
    else:
        made = held * (_LEAST_SUM / np.maximum(1 - held.sum(axis=0), 1e-7))
    return Given(made.astype(np.float32), told, "some whose normalised ones are the same")


def _lone_in_order(
    network: Network,
    slots: Sequence[Slot],
    lone: Sequence[Slot],
    source: Source,
    given: Mapping[str, Mapping[str, Given]],
    dead: frozenset[int],
    present: Weights | None,
) -> dict[str, dict[str, Given]]:
    """Weights of layers that are a lone array elsewhere too, by their sizes, in order."""
    used = {row.source for held in given.values() for row in held.values()}
    used |= {tensor.name for part in source.parts for tensor in _tensors(part)}
    own = tuple(f"{plain(slot.name)}_" for slot in slots)
    left = [
        tensor
        for name, tensor in source.loose.items()
        if tensor.name not in used and not name.startswith(own) and not _is_told_off(tensor)
    ]
    found: dict[str, dict[str, Given]] = {}
    for slot in lone:
        tensor = next((each for each in left if each.values.size == prod(slot.shape)), None)
        if tensor is not None:
            left.remove(tensor)
            values = np.ascontiguousarray(tensor.values, np.float32).reshape(slot.shape)
            found[slot.name] = {"weights": Given(values, tensor.name, "by its size, in order")}
        elif slot.layer.index in dead:
            found[slot.name] = _kept(slot, present, _UNUSED)
        else:
            offered = [f"{named(each.name)} {'×'.join(map(str, each.shape))}" for each in left]
            raise WeightsError(
                f"{network.where(slot.layer)}: no lone array of the model has the {prod(slot.shape)} weights of "
                f"{slot.name}; there {'are ' + _few(offered) if offered else 'is none'}"
            )
    return found


def _is_told_off(tensor: Tensor) -> bool:
    """Whether a lone array is by its name none that is trained."""
    return any(word in tensor.name.lower() for word in _UNTRAINED)


def _tensors(part: Part) -> list[Tensor]:
    norm = part.normalization
    of_norm: list[Tensor | None] = [] if norm is None else [norm.scales, norm.biases, norm.means, norm.variances]
    return [tensor for tensor in (part.weights, part.bias, *of_norm) if tensor is not None]


def _is_taken(part: Part, names: set[str]) -> bool:
    """Whether a part's weights were taken under our own names already."""
    held = _tensors(part)
    return bool(held) and plain(held[0].name) in names


# ---------------------------------------------------------------------- what is told


def _notes(network: Network, source: Source, found: Match, rows: Sequence[ReturnedParameter]) -> list[str]:
    notes = []
    if found.told or found.how == "order":
        notes.append(f"layers were taken {found.told or f'by {source.order}'}")
    folded = [row.layer for row in rows if row.source is None and row.parameter.endswith("variances")]
    if folded:
        notes.append(
            f"batch norm was folded into the weights of {_few(folded)}: scales of 1, means of 0 and variances with "
            "which Darknet divides by 1 compute the same"
        )
    for how in dict.fromkeys(row.how for row in rows if row.how.startswith("for an epsilon")):
        count = sum(row.how == how for row in rows)
        notes.append(
            f"the variances of {count} layers are changed {how}, which is not Darknet's, so that it computes the same"
        )
    used = {row.source for row in rows} | {tensor.name for part in source.parts for tensor in _tensors(part)}
    packed = {str(name).partition("[")[0] for name in used}  # of gates that stand in one array
    own = ("constants_", *(f"{plain(layer.name)}_" for layer in network.layers))  # what our exports have beside weights
    left = [
        tensor.name
        for name, tensor in source.loose.items()
        if tensor.name not in used | packed and tensor.values.ndim > 0 and not name.startswith(own)
    ]
    if left:
        notes.append(f"left out, of no layer with weights: {_few([named(name) for name in left])}")
    return notes


def _few(texts: Sequence[Any]) -> str:
    told = [str(text) for text in texts]
    return ", ".join(told[:_MOST_TOLD]) + (f" and {len(told) - _MOST_TOLD} more" if len(told) > _MOST_TOLD else "")
