"""Which layer of another framework stands for which of Darknet's: by their names, by numbers in these, by order.

By order is tried in four ways: as it is; by the names, numbers in them by their size; with the layers under one name
(`down1.*`, `head.*`) moved together; each layer the first left of its shape. Several may fit where shapes repeat: what
the models compute tells (`comparing`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from layoutbridge.darknet.returning.converting import fits
from layoutbridge.darknet.returning.slots import Slot
from layoutbridge.darknet.returning.source import Part, by_numbers_in, plain
from layoutbridge.darknet.structure.model import Network, Shape
from layoutbridge.errors import WeightsError, counted, named

_NUMBERED = re.compile(r"(?:^|\.)([A-Za-z_]+)\.(\d+)(?:\.|$)")
_MOST_STEPS = 20_000  # of a search among names
_MOST_TOLD = 4


@dataclass(frozen=True, slots=True)
class Match:
    """For each slot the place of its part among the source's, and how they were found: "names", "numbers", "order".

    `told` says more of it, where there is more, behind "layers were taken".
    """

    places: tuple[int, ...]
    how: str
    told: str = ""


def match(network: Network, slots: Sequence[Slot], parts: Sequence[Part]) -> Match:
    """A part for each slot, each once.

    Raises `WeightsError` where that cannot be: which layer has none, and the shapes that are there and wanted.
    """
    by_name = _by_names(slots, parts)
    if by_name is not None:
        _refuse_extra(network, by_name, parts)
        return Match(by_name, "names")
    _refuse_counts(network, slots, parts)
    by_number = _by_numbers(slots, parts)
    if by_number is not None:
        return Match(by_number, "numbers", "by the numbers in its names, which are those of the cfg's layers")
    if all(fits(slot, part) for slot, part in zip(slots, parts, strict=True)):
        return Match(tuple(range(len(parts))), "order")
    sorted_places = sorted(range(len(parts)), key=lambda place: by_numbers_in(parts[place].name))
    if all(fits(slot, parts[place]) for slot, place in zip(slots, sorted_places, strict=True)):
        return Match(
            tuple(sorted_places), "order", "in the order of the numbers in its names, with which all shapes fit"
        )
    grouped = _by_groups(slots, parts)
    if grouped is not None:
        return Match(grouped, "order", "in another order of its names' first words, with which all shapes fit")
    places = _by_shapes(network, slots, parts)
    return Match(places, "order", "each as the first of its shape that is left: the order itself does not fit")


def _by_names(slots: Sequence[Slot], parts: Sequence[Part]) -> tuple[int, ...] | None:
    """The parts that bear the slots' own names, as in our exports; None but where all do."""
    places = {plain(part.name): place for place, part in enumerate(parts)}
    found = [places.get(plain(slot.name)) for slot in slots]
    if any(place is None for place in found):
        return None
    held = tuple(place for place in found if place is not None)
    return held if all(fits(slot, parts[place]) for slot, place in zip(slots, held, strict=True)) else None


def _by_numbers(slots: Sequence[Slot], parts: Sequence[Part]) -> tuple[int, ...] | None:
    """The parts in whose names, as `module_list.12.Conv2d`, stand the slots' own numbers; None but where all do."""
    wanted = [slot.layer.index for slot in slots]
    if len(set(wanted)) < len(wanted):
        return None
    numbers = []
    for part in parts:
        found = _NUMBERED.search(part.name)
        if found is None:
            return None
        numbers.append((found.group(1), int(found.group(2))))
    places = {number: place for place, (_, number) in enumerate(numbers)}
    if len({word for word, _ in numbers}) > 1 or sorted(places) != sorted(wanted) or len(places) < len(parts):
        return None
    held = tuple(places[number] for number in wanted)
    return held if all(fits(slot, parts[place]) for slot, place in zip(slots, held, strict=True)) else None


def _by_groups(slots: Sequence[Slot], parts: Sequence[Part]) -> tuple[int, ...] | None:
    """The parts with those under one first word moved together, where the shapes fit then; the first such order."""
    groups: dict[str, list[int]] = {}
    for place, part in enumerate(parts):
        groups.setdefault(re.split(r"[./]", part.name)[0], []).append(place)
    if not 1 < len(groups) < len(parts):
        return None
    left = list(groups.values())
    steps = 0

    def ordered(start: int, remaining: list[list[int]]) -> list[int] | None:
        nonlocal steps
        if not remaining:
            return []
        for k, group in enumerate(remaining):
            steps += 1
            if steps > _MOST_STEPS:
                return None
            if all(fits(slots[start + j], parts[place]) for j, place in enumerate(group)):
                rest = ordered(start + len(group), [*remaining[:k], *remaining[k + 1 :]])
                if rest is not None:
                    return [*group, *rest]
        return None

    found = ordered(0, left)
    return None if found is None else tuple(found)


def _by_shapes(network: Network, slots: Sequence[Slot], parts: Sequence[Part]) -> tuple[int, ...]:
    left = list(range(len(parts)))
    places = []
    for slot in slots:
        found = next((place for place in left if fits(slot, parts[place])), None)
        if found is None:
            raise _no_candidate(network, slot, slots, parts, left)
        left.remove(found)
        places.append(found)
    return tuple(places)


def alike(slots: Sequence[Slot], parts: Sequence[Part], places: Sequence[int]) -> dict[int, tuple[int, ...]]:
    """For each slot (by its place) the others whose parts would fit it, and whose own its part would."""
    return {
        k: tuple(
            j
            for j in range(len(slots))
            if j != k and fits(slots[k], parts[places[j]]) and fits(slots[j], parts[places[k]])
        )
        for k in range(len(slots))
    }


# ---------------------------------------------------------------------- what does not fit


def _refuse_extra(network: Network, places: Sequence[int], parts: Sequence[Part]) -> None:
    """Raise `WeightsError` where parts are left that are no constants of layers of the network."""
    names = {plain(layer.name) for layer in network.layers}
    extra = [
        named(part.name) for place, part in enumerate(parts) if place not in places and plain(part.name) not in names
    ]
    if extra:
        raise WeightsError(f"the model has what {network.source} has no layer for: {_few(extra)}")


def _refuse_counts(network: Network, slots: Sequence[Slot], parts: Sequence[Part]) -> None:
    """Raise `WeightsError` where there are more or fewer layers than are wanted."""
    if len(slots) == len(parts):
        return
    told = f"the model has {counted(len(parts), 'layer')} with weights, and {network.source} {len(slots)}"
    offered, wanted = Counter(map(shape_of, parts)), Counter(slot.shape for slot in slots)
    if len(parts) > len(slots):
        extra = [part.name for part in parts if (offered - wanted)[shape_of(part)]] or [part.name for part in parts]
        raise WeightsError(f"{told}: too many are {_few([*map(named, extra)])}; is it the model of this cfg?")
    missing = [slot for slot in slots if (wanted - offered)[slot.shape]]
    raise WeightsError(
        f"{told}: nothing is there for {_few([f'{slot.name} {_by(slot.shape)}' for slot in missing or slots])}"
        f"{_binary(slots)}"
    )


def _no_candidate(
    network: Network, slot: Slot, slots: Sequence[Slot], parts: Sequence[Part], left: Sequence[int]
) -> WeightsError:
    offered = [f"{named(parts[place].name)} {_by(shape_of(parts[place]))}" for place in left]
    return WeightsError(
        f"{network.where(slot.layer)}: no layer of the model fits {slot.name}, which wants {_by(slot.shape)}; left are "
        f"{_few(offered)}{_binary(slots)}"
    )


def _binary(slots: Sequence[Slot]) -> str:
    """What is to be said where weights may stand in the model by their signs alone."""
    xnor = [slot.name for slot in slots if slot.is_binary]
    return f"; of {_few(xnor)} (xnor=1) other models have the signs alone: take PyTorch's state dict" if xnor else ""


def shape_of(part: Part) -> Shape:
    """That of a part's weights as a slot tells its own."""
    if part.weights is not None:
        return part.weights.shape
    return (part.channels,)


def _by(shape: Shape) -> str:
    return "×".join(map(str, shape))


def _few(texts: Sequence[str]) -> str:
    return ", ".join(texts[:_MOST_TOLD]) + (f" and {len(texts) - _MOST_TOLD} more" if len(texts) > _MOST_TOLD else "")
