"""`quantize`: a network in int8 that finds what it found, as small as that allows.

Weights are always rounded. What goes from layer to layer is, too, as long as over the pictures given at most 5 % of the
boxes (or of the first classes) change; where more do, the layers whose rounding costs most stay in float32, in groups
that lie side by side, as few as hold that. Where none do, no layer stays in float32 that does not halve what changes,
and none beyond a quarter of what is computed: a file that is neither right nor fast helps nobody.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layoutbridge.darknet.networks.network import DarknetNetwork
from layoutbridge.darknet.networks.summary import count_flops
from layoutbridge.darknet.ports.port import Export, Port
from layoutbridge.darknet.ports.table import port, ports, runner
from layoutbridge.darknet.quantization.changes import Changes
from layoutbridge.darknet.quantization.judging import Judge, LayerLoss, layer_losses
from layoutbridge.darknet.quantization.pictures import Pictures, pictures_for
from layoutbridge.darknet.rounding.options import Int8
from layoutbridge.darknet.rounding.preparing import Prepared, prepared
from layoutbridge.darknet.structure.heads import Head
from layoutbridge.errors import ParameterError, shown
from layoutbridge.frameworks.framework import options_of, refuse_unknown

MOST_CHANGED = 0.05
_WORTH = 0.5  # of what changes: with less gained, and the limit missed, layers in float32 only cost time
_MOST_IN_FLOAT = 0.25  # of what is computed, where the limit is missed all the same
_GROUPS = 24  # in which layers are tried
_LOOKED_AT = 4  # pictures over which groups and layers are compared
_TRIED = (1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 20, 24)  # groups in float32
_OUTPUTS = ("head", "every_layer", "nms", "threshold", "overlap", "nms_kind", "names")
_ASIDE = (
    *_OUTPUTS,
    "external_data",
    "progress",
    "batch",
    "dynamic_size",
    "tuned",
)  # what changes nothing that is tried

_BYTES_OF_BIAS, _BYTES_OF_SCALE = 4, {"onnx": 2}  # of a filter; elsewhere float32

Say = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Quantized:
    """A network that was written in int8: the `export`, and what that costs.

    `bytes` are the file's, `float_bytes` those of the same in float32. `changes` are those over `pictures` given, by
    the head `darknet` of the same target; `layers` what each layer's output lost. `in_float` are the layers (indices)
    whose outputs are not rounded, since too much changed when they were. `unreadable` has a line for each picture that
    could not be read, `left_out` says how many were not looked at. `weights_share` is the share of the file that holds
    nothing but weights, where there is one. Of the bytes, `weights_bytes` are a byte for each weight, `filters_bytes`
    the biases and scales that each filter has.
    """

    export: Export
    bytes: int
    float_bytes: int
    changes: Changes
    layers: tuple[LayerLoss, ...]
    in_float: tuple[int, ...]
    pictures: int
    unreadable: tuple[str, ...]
    left_out: int
    weights_share: float | None
    weights_bytes: int
    filters_bytes: int

    @property
    def structure_bytes(self) -> int:
        """What is left of the bytes: the graph, names, and what weights that stay in float take more."""
        return max(self.bytes - self.weights_bytes - self.filters_bytes, 0)

    @property
    def share(self) -> float:
        """The file's size as a share of that in float32."""
        return self.bytes / self.float_bytes

    @property
    def ok(self) -> bool:
        """Whether no more changes than should."""
        return self.changes.share <= MOST_CHANGED

    def __str__(self) -> str:
        told = f"{self.export}; {self.bytes:,} bytes, {self.share:.2f} of those in float32"
        changes = self.changes
        return told if changes.of == "nothing" else f"{told}; {changes.changed} of {changes.count} {changes.of} change"


def targets_in_int8() -> tuple[str, ...]:
    """The targets that have it, in the table's order.

    >>> targets_in_int8()
    ('onnx', 'tflite', 'ncnn', 'openvino')
    """
    return tuple(record.name for record in ports() if "int8" in options_of(record.write))


def quantize(
    net: DarknetNetwork,
    path: str | os.PathLike[str],
    calibrate: Any,
    *,
    to: str | None = None,
    options: Mapping[str, Any] | None = None,
    say: Say = lambda _: None,
) -> Quantized:
    """Write `net` in int8 for the target `to`, whole or not at all, its ranges measured over the pictures `calibrate`.

    `to` None is the target whose files end as `path` does.
    These are what `Detector.detect` takes: a file, a folder, a pattern, a list; or a float32 array [N, C, H, W] of
    fitted ones. Up to 32 pictures, parts of them are measured, too. `options` are those of the target's writer, beside
    `int8`. `say` hears, in a word, what is done. Raises `ParameterError` for a target without int8,
    `UnusableInputError` where no picture can be read, `UnsupportedError` for recurrent networks and those that take no
    pictures, and as the writer does, with `MissingFrameworkError` where the target's runtime is not there to try it.
    """
    target, chosen = _target(to, path), dict(options or {})
    refuse_unknown(target.title, target.write, chosen)
    looked_at = pictures_for(net.network, calibrate)
    net.refuse_overwriting(path, target)
    Int8(looked_at.measured).check(net.network)
    with tempfile.TemporaryDirectory(prefix="layoutbridge-") as folder:
        work = _Work(net, target, Path(folder), looked_at, {k: v for k, v in chosen.items() if k not in _ASIDE})
        say("measuring")
        plain = work.write(net.parameters, "plain")
        judge = Judge.of(net, plain.path, looked_at.given, target.name)
        ready = prepared(
            net.network,
            net.parameters,
            looked_at.measured,
            runner(target.name).run,
            equalise=not chosen.get("every_layer"),
        )
        int8, changes = _searched(work, ready, judge, Int8(looked_at.measured), say)
        say("writing")
        extra = {"sources": net.sources} if "sources" in options_of(target.write) else {}
        export = target.write(net.network, ready.rounded, path, int8=int8, **extra, **chosen)
        reference = target.write(net.network, net.parameters, work.place("whole"), **extra, **chosen)
        say("comparing")
        layers = work.losses(ready, int8)
        return Quantized(
            export,
            _size(export),
            _size(reference),
            changes,
            layers,
            tuple(sorted(int8.in_float)),
            len(looked_at.given),
            looked_at.unreadable,
            looked_at.left_out,
            _weights_share(export, reference),
            *_needed(net, target),
        )


def _target(to: str | None, path: str | os.PathLike[str]) -> Port:
    """That of this name, else of this ending; raises `ParameterError` for one without int8."""
    known = [port(name) for name in targets_in_int8()]
    named = [port(to)] if to is not None else [one for one in known if Path(path).suffix in one.endings]
    if not named or named[0] not in known:
        told = ", ".join(f"{one.name} ({one.endings[0]})" for one in known)
        raise ParameterError(f"int8 is for {told}, not for {to or f'the ending of {shown(os.fspath(path))}'}")
    return named[0]


@dataclass(frozen=True, slots=True)
class _Work:
    """What is tried, in a folder that goes away."""

    net: DarknetNetwork
    target: Port
    folder: Path
    pictures: Pictures
    options: Mapping[str, Any]

    def place(self, name: str) -> Path:
        """Where a file of that name goes: into a folder of its own, as some formats write several."""
        inner = self.folder / name
        inner.mkdir(exist_ok=True)
        return inner / f"net{self.target.endings[0]}"

    def write(self, parameters: Any, name: str, int8: Int8 | None = None, *, every_layer: bool = False) -> Export:
        """The network with these parameters."""
        chosen = dict(self.options)
        if int8 is not None:
            chosen["int8"] = int8
        if every_layer:
            chosen["every_layer"] = True
        return self.target.write(self.net.network, parameters, self.place(name), **chosen)

    def losses(self, ready: Prepared, int8: Int8) -> tuple[LayerLoss, ...]:
        """What each layer lost."""
        exact = self.write(ready.exact, "exact", every_layer=True)
        rounded = self.write(ready.rounded, "rounded", int8, every_layer=True)
        return layer_losses(self.net, exact.path, rounded.path, self.pictures.given[:_LOOKED_AT], int8.in_float)


def _searched(work: _Work, ready: Prepared, judge: Judge, int8: Int8, say: Say) -> tuple[Int8, Changes]:
    """With as few layers in float32 as it takes; where nothing holds, what changes least and is fast all the same.

    That has layers in float32 only if they are worth it.
    """
    say("rounding")
    whole = judge.changes(work.write(ready.rounded, "tried", int8).path)
    best, least = int8, whole
    if least.share <= MOST_CHANGED:
        return best, least
    say("trying which layers cost most")
    groups = _groups(work.net)
    for order in _orders(groups, _ranked(work, ready, judge, int8, groups)):
        tried = int8.keeping([index for group in order for index in group])
        say(f"trying {len(tried.in_float)} of {len(work.net.layers)} layers in float32")
        found = judge.changes(work.write(ready.rounded, "tried", tried).path)
        if found.share <= MOST_CHANGED:
            return tried, found
        if found.changed < least.changed and _computed(work.net, tried) <= _MOST_IN_FLOAT:
            best, least = tried, found
    return (best, least) if least.changed <= _WORTH * whole.changed else (int8, whole)


def _computed(net: DarknetNetwork, int8: Int8) -> float:
    """The share of what is computed that the layers in float32 compute."""
    flops = {layer.index: count_flops(layer) for layer in net.layers}
    return sum(flops[index] for index in int8.in_float) / max(sum(flops.values()), 1)


def _orders(groups: list[list[int]], ranked: list[list[int]]) -> Iterator[list[list[int]]]:
    """Which groups are tried in float32: few first, those that cost most, or those that come first, as errors grow."""
    for count in _TRIED:
        if count <= len(groups):
            yield ranked[:count]
            if sorted(ranked[:count]) != groups[:count]:
                yield groups[:count]


def _groups(net: DarknetNetwork) -> list[list[int]]:
    """The layers that may stay in float32, in groups side by side."""
    every = [layer.index for layer in net.layers if not isinstance(layer.settings, Head)]
    size = max(-(-len(every) // _GROUPS), 1)
    return [every[start : start + size] for start in range(0, len(every), size)]


def _ranked(work: _Work, ready: Prepared, judge: Judge, int8: Int8, groups: list[list[int]]) -> list[list[int]]:
    """The groups, those whose rounding alone costs most first."""
    every = [index for group in groups for index in group]
    few = Judge(judge.net, judge.pictures[:_LOOKED_AT], judge.detector, judge.wanted[:_LOOKED_AT])
    costs = []
    for group in groups:
        alone = int8.keeping([index for index in every if index not in group])
        costs.append(few.changes(work.write(ready.exact, "alone", alone).path).error)
    return [groups[place] for place in sorted(range(len(groups)), key=lambda place: -costs[place])]


def _needed(net: DarknetNetwork, target: Port) -> tuple[int, int]:
    """Bytes of the network's weights, one each, and of its filters' biases and scales."""
    parts = [each for layer in net.layers for each in layer.parameters if each.shared_with is None]
    weights = sum(each.size for each in parts if each.name == "weights")
    filters = sum(each.size for each in parts if each.name == "biases")
    return weights, filters * (_BYTES_OF_BIAS + _BYTES_OF_SCALE.get(target.name, 4))


def _weights_share(made: Export, reference: Export) -> float | None:
    ours, theirs = ([path for path in each.files if path.suffix == ".bin"] for each in (made, reference))
    return ours[0].stat().st_size / theirs[0].stat().st_size if ours and theirs else None


def _size(made: Export) -> int:
    return sum(path.stat().st_size for path in made.files)
