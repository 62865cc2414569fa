"""What else would fit a weights file: fewer layers, the other flavour, another class count, other filters.

Nothing is guessed: each candidate is built from the cfg's sections, and the floats that it takes are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from types import MappingProxyType

from layoutbridge.darknet.reading.build import build_network
from layoutbridge.darknet.reading.cfg import read_as
from layoutbridge.darknet.structure.choices import FLAVORS, Flavor
from layoutbridge.darknet.structure.heads import DetectionHead, Head
from layoutbridge.darknet.structure.kinds import Connected, Convolutional
from layoutbridge.darknet.structure.model import Layer, Network, Option, Section
from layoutbridge.errors import LayoutBridgeError

_STEPS = range(1, 65)  # of class counts: behind a reorg not every one can be
_MOST_TOLD = 3  # layers whose filters might be others
_Changes = dict[int, dict[str, int]]  # section: option: value


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What a network was built from, to build it with other settings; as the arguments of `build_network`."""

    sections: Sequence[Section]
    flavor: Flavor
    size: tuple[int, int] | None = None
    upto: int | None = None
    folder: str | None = None
    activations: Mapping[str, str] | None = None
    allow_paths: Sequence[str] = ()

    def build(self, warnings: Sequence[str] = ()) -> Network:
        """The network; raises as `build_network` does."""
        return build_network(
            self.sections,
            flavor=self.flavor,
            size=self.size,
            upto=self.upto,
            warnings=warnings,
            folder=self.folder,
            activations=self.activations,
            allow_paths=self.allow_paths,
        )

    def _floats(self) -> int | None:
        """How many floats its weights file has; None where no such network can be."""
        try:
            return floats_of(self.build())
        except LayoutBridgeError:
            return None

    def in_flavor(self, flavor: Flavor) -> Blueprint | None:
        """The same cfg read by the other fork's rules, None where that fork does not know all its sections."""
        try:
            return replace(self, sections=read_as(self.sections, flavor), flavor=flavor)
        except LayoutBridgeError:
            return None

    def _with(self, changes: _Changes) -> Blueprint:
        sections = list(self.sections)
        for index, values in changes.items():
            section = sections[index]
            given = {key: Option(key, str(value), _line(section, key)) for key, value in values.items()}
            sections[index] = replace(section, options=MappingProxyType({**section.options, **given}))
        return replace(self, sections=tuple(sections))


@dataclass(frozen=True, slots=True)
class Fits:
    """What would fit, a clause each: `certain` are no accident, `possible` may be one."""

    certain: tuple[str, ...] = ()
    possible: tuple[str, ...] = ()

    @property
    def clauses(self) -> str:
        """All of them behind a text, each after a semicolon."""
        return "".join(f"; {clause}" for clause in (*self.certain, *self.possible))


def floats_of(network: Network) -> int:
    """How many floats the weights file of `network` has."""
    return sum(parameter.stored for layer in network.layers for parameter in layer.parameters)


def fits(blueprint: Blueprint, network: Network, held: Callable[[Flavor], int | None]) -> Fits:
    """What would take all the floats that a file holds, where `network`, which `blueprint` makes, does not.

    `held(flavor)` is how many those are behind the header as that flavour reads it, None where bytes are left over.
    """
    floats = held(network.flavor)
    certain = [*_other_flavors(blueprint, held)]
    if floats is None:
        return Fits(tuple(certain))
    certain += [*_fewer_layers(network, floats), *_other_classes(blueprint, network, floats)]
    possible: list[str] = []
    if not certain:
        told = [*_other_filters(blueprint, network, floats)]
        certain = [clause for clause, answers in told if answers][:1]
        possible = [clause for clause, answers in told if not answers][:_MOST_TOLD] if not certain else []
    return Fits(tuple(certain), tuple(possible))


def _other_flavors(blueprint: Blueprint, held: Callable[[Flavor], int | None]) -> Iterator[str]:
    for flavor in FLAVORS:
        other = None if flavor == blueprint.flavor else blueprint.in_flavor(flavor)
        floats = held(flavor)
        if other is not None and floats is not None and other._floats() == floats:
            yield f"flavor {flavor!r} would fit it exactly"


def _fewer_layers(network: Network, floats: int) -> Iterator[str]:
    position = 0
    for layer in network.layers:
        stored = sum(parameter.stored for parameter in layer.parameters)
        position += stored
        if stored and position == floats < floats_of(network):
            yield f"it ends exactly behind layer {layer.name}: --upto {layer.index + 1} reads it"


# ---------------------------------------------------------------------- another class count


def _other_classes(blueprint: Blueprint, network: Network, floats: int) -> Iterator[str]:
    """The class count with which all heads, and the filters before them, take so many floats."""
    heads = [layer for layer in network.layers if isinstance(layer.settings, Head)]
    now = sorted({layer.settings.classes for layer in heads if isinstance(layer.settings, Head)})
    if not heads:
        return

    def taken(classes: int) -> int | None:
        changes = _changes_for(blueprint, network, heads, classes)
        return None if changes is None else blueprint._with(changes)._floats()

    start = taken(now[0])
    step, more = next(((step, more) for step in _STEPS if (more := taken(now[0] + step)) is not None), (0, start))
    if start is None or more is None or more == start or (floats - start) * step % (more - start):
        return
    classes = now[0] + (floats - start) * step // (more - start)
    changes = _changes_for(blueprint, network, heads, classes) if classes > 0 and [classes] != now else None
    if changes is None or taken(classes) != floats:
        return
    before = _told_changes(blueprint, {at: values for at, values in changes.items() if "classes" not in values})
    yield f"classes={classes} in place of {_joined(now)} would fit it exactly ({before})"


def _changes_for(blueprint: Blueprint, network: Network, heads: Sequence[Layer], classes: int) -> _Changes | None:
    """The options with which every head has so many classes; None where what comes before cannot follow."""
    changes: _Changes = {}
    for head in heads:
        assert isinstance(head.settings, Head)
        settings, values = head.settings, prod(head.in_shape)
        places = settings.side**2 if isinstance(settings, DetectionHead) else settings.num * prod(head.in_shape[1:])
        changes[head.index + 1] = {"classes": classes}
        for feeder in _feeders(network, head):
            filters, rest = divmod(feeder.out_shape[0] * (values + (classes - settings.classes) * places), values)
            if rest or filters < 1:
                return None
            changes[feeder.index + 1] = {_count_key(blueprint, feeder): filters}
    return changes


def _feeders(network: Network, head: Layer) -> list[Layer]:
    """The layers whose filters come in at `head`, through others or directly, and those that they share weights with.

    Where a route joins several of them their shares are not known: the network with other ones is not built then.
    """
    found: dict[int, Layer] = {}
    ahead = [*head.inputs]
    while ahead:
        layer = network.layers[ahead.pop()] if ahead[-1] >= 0 else None
        if layer is None:
            return []
        if layer.index in found:
            continue
        if layer.settings.has_filters:
            found[layer.index] = layer
            if isinstance(layer.settings, Convolutional) and layer.settings.shared_with is not None:
                ahead.append(layer.settings.shared_with)
        else:
            ahead += layer.inputs
    return [*found.values()]


# ---------------------------------------------------------------------- other filters in one layer


def _other_filters(blueprint: Blueprint, network: Network, floats: int) -> Iterator[tuple[str, bool]]:
    """Every layer that takes so many floats with other filters, from the last on; whether it gives the answers."""
    taken = floats_of(network)
    counted = [layer for layer in network.layers if layer.settings.has_filters]
    for layer in reversed(counted):
        filters = layer.out_shape[0]
        step = layer.settings.groups if isinstance(layer.settings, Convolutional) else 1
        key = _count_key(blueprint, layer)
        more = blueprint._with({layer.index + 1: {key: filters + step}})._floats()
        if more is None or more == taken or (floats - taken) % (more - taken):
            continue
        changed = {layer.index + 1: {key: filters + step * (floats - taken) // (more - taken)}}
        if changed[layer.index + 1][key] > 0 and blueprint._with(changed)._floats() == floats:
            clause = f"{_told_changes(blueprint, changed)} in place of {filters} would fit it exactly"
            yield clause, layer is counted[-1]


def _count_key(blueprint: Blueprint, layer: Layer) -> str:
    given = blueprint.sections[layer.index + 1].options
    return "output" if isinstance(layer.settings, Connected) or "output" in given else "filters"


def _told_changes(blueprint: Blueprint, changes: _Changes) -> str:
    """`filters=255 in lines 120 and 200`."""
    lines: dict[str, list[int]] = {}
    for index in sorted(changes):
        for key, value in changes[index].items():
            lines.setdefault(f"{key}={value}", []).append(_line(blueprint.sections[index], key))
    return ", ".join(f"{told} in {'line' if len(at) == 1 else 'lines'} {_joined(at)}" for told, at in lines.items())


def _joined(numbers: Sequence[int]) -> str:
    *first, last = map(str, numbers)
    return f"{', '.join(first)} and {last}" if first else last


def _line(section: Section, key: str) -> int:
    return section.options[key].line if key in section.options else section.line
