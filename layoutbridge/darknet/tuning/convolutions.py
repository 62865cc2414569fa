"""A network's convolutions timed one by one on this machine: which are faster in Winograd's form, and in which tiles.

Each distinct one is written as a small network, between two 1×1 convolutions of few channels: so what it takes and
gives has the layout in memory that a runtime gives it in the midst of a network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from time import monotonic

import numpy as np

from layoutbridge.darknet.benchmarking.processes import Process
from layoutbridge.darknet.benchmarking.worker import Opening, SideBySide
from layoutbridge.darknet.networks.network import load
from layoutbridge.darknet.ports.port import Port
from layoutbridge.darknet.structure.kinds import Convolutional
from layoutbridge.darknet.structure.model import Layer, Network
from layoutbridge.darknet.tuning.candidates import usual_options
from layoutbridge.darknet.tuning.remembering import CONVOLUTIONS, Remembered
from layoutbridge.errors import LayoutBridgeError
from layoutbridge.frameworks.winograd import Tile

TILES: tuple[Tile, ...] = ((2, 2), (3, 3), (4, 4), (6, 6))
SMALL_TILES = TILES[:-1]
_DIRECT = "direct"
_ENDS = 8  # channels before and behind: a block of the runtimes' own layouts
_TURNS, _SECONDS = 5, 0.03
_GAIN = 0.95  # of the direct form's time, at most: less gain is not worth the memory
_ABOUT_EQUAL = 1.03  # of tiles that take this much the same time, the smallest: it has the fewest weights
_FILTERS_OF = 8  # Winograd's form is written for these alone

Times = Mapping[str, float]  # seconds of the fastest run, which others disturb least, by form: direct, or a tile as 4x4


@dataclass(frozen=True, slots=True)
class Convolution:
    """A 3×3 convolution of stride 1, as far as its time goes."""

    in_shape: tuple[int, int, int]
    filters: int
    padding: int
    activation: str
    flavor: str
    batch: int

    @property
    def key(self) -> str:
        """What it is called where timings are kept."""
        lengths = "x".join(map(str, self.in_shape))
        return f"{lengths} to {self.filters} pad {self.padding} {self.activation} {self.flavor} batch {self.batch}"

    @property
    def cfg(self) -> str:
        """The small network, whose layer 1 it is."""
        channels, rows, columns = self.in_shape
        parts = [f"[net]\nchannels={_ENDS}\nheight={rows}\nwidth={columns}\n", _section(channels, 1, 0, "linear")]
        parts += [_section(self.filters, 3, self.padding, self.activation), _section(_ENDS, 1, 0, "linear")]
        return "".join(parts)


def _section(filters: int, size: int, padding: int, activation: str) -> str:
    return f"[convolutional]\nfilters={filters}\nsize={size}\nstride=1\npadding={padding}\nactivation={activation}\n"


def convolutions_of(network: Network, batch: int | None) -> dict[Convolution, list[int]]:
    """The distinct convolutions that have Winograd's form, with the layers (indices) that they are."""
    found: dict[Convolution, list[int]] = {}
    for layer in network.layers:
        one = _convolution(layer, network, batch or 1)
        if one is not None:
            found.setdefault(one, []).append(layer.index)
    return found


def _convolution(layer: Layer, network: Network, batch: int) -> Convolution | None:
    settings = layer.settings
    if not isinstance(settings, Convolutional) or settings.xnor or settings.antialiasing:
        return None
    if (settings.size, settings.strides, settings.dilation, settings.groups) != (3, (1, 1), 1, 1):
        return None
    if settings.filters % _FILTERS_OF or any(settings.overhang):
        return None
    channels, rows, columns = layer.in_shape
    return Convolution(
        (channels, rows, columns), settings.filters, settings.padding, settings.activation, network.flavor, batch
    )


def tiles_of(target: Port) -> tuple[Tile, ...]:
    """Those that are tried for a target."""
    return target.tiles or TILES


def timed(
    target: Port,
    convolutions: Iterable[Convolution],
    threads: int,
    memory: Remembered,
    folder: Path,
    report: Callable[[str], None],
    until: float,
) -> dict[Convolution, Times]:
    """The seconds of each form of each convolution in the target's runtime; those that are remembered are not timed.

    What cannot be written or run has no times, and what is not begun before `until` (of `time.monotonic`). Every timing
    is remembered at once.
    """
    known, found = memory.recall(CONVOLUTIONS), {}
    wanted = list(convolutions)
    for number, one in enumerate(wanted):
        times = _understood(known.get(one.key), tiles_of(target))
        if times is None and monotonic() < until:
            report(f"timing convolution {number + 1} of {len(wanted)} in {target.title}")
            times = _time(target, one, threads, folder)
            if times is not None:
                memory.keep(CONVOLUTIONS, {one.key: times})
        if times is not None:
            found[one] = times
    return found


def _understood(held: object, tiles: tuple[Tile, ...]) -> Times | None:
    """What was remembered, where it is that."""
    names = {_DIRECT, *map(_tile_name, tiles)}
    if not isinstance(held, dict) or set(held) != names:
        return None
    if not all(isinstance(value, float) and isfinite(value) and value > 0 for value in held.values()):
        return None
    return held


def _time(target: Port, one: Convolution, threads: int, folder: Path) -> Times | None:
    cfg = folder / "convolution.cfg"
    cfg.write_text(one.cfg)
    forms: dict[str, dict[str, object]] = {_DIRECT: {}}
    forms |= {_tile_name(tile): {"winograd": {1: tile}} for tile in tiles_of(target)}
    rng = np.random.default_rng(0)
    try:
        network = load(cfg, flavor=one.flavor).network
        parameters = {
            (layer.index, parameter.name): rng.uniform(-1, 1, parameter.shape).astype(np.float32)
            / np.float32(max(1, parameter.size // parameter.shape[0]))
            for layer in network.layers
            for parameter in layer.parameters
        }
        paths = [folder / f"{name}{target.endings[0]}" for name in forms]
        for path, options in zip(paths, forms.values(), strict=True):
            target.write(network, parameters, path, **{**usual_options(target), "batch": one.batch, **options})
    except LayoutBridgeError:  # an activation of more parameters, say: then the network's own form decides
        return None
    openings = tuple(Opening(path, threads, vouched=True, settings={}) for path in paths)
    with Process(threads) as process:
        answer = process.ask(SideBySide(openings, _TURNS, _SECONDS))
    if not isinstance(answer, list):
        return None
    return {name: float(min(seconds)) for name, seconds in zip(forms, answer, strict=True)}


def faster_in_tiles(
    layers: Mapping[Convolution, list[int]], times: Mapping[Convolution, Times], tiles: Iterable[Tile] = TILES
) -> dict[int, Tile]:
    """The layers (indices) that are faster in Winograd's form, with their fastest tiles.

    >>> one = Convolution((64, 26, 26), 128, 1, "leaky", "alexey", 1)
    >>> faster_in_tiles({one: [3, 5]}, {one: {"direct": 1.0, "2x2": 0.9, "3x3": 0.8, "4x4": 0.6, "6x6": 0.7}})
    {3: (4, 4), 5: (4, 4)}
    """
    chosen: dict[int, Tile] = {}
    for one, indices in layers.items():
        if one not in times:
            continue
        least = min(times[one][_tile_name(tile)] for tile in tiles)
        tile = next(tile for tile in tiles if times[one][_tile_name(tile)] <= _ABOUT_EQUAL * least)
        if times[one][_tile_name(tile)] <= _GAIN * times[one][_DIRECT]:
            chosen |= dict.fromkeys(indices, tile)
    return dict(sorted(chosen.items()))


def _tile_name(tile: Tile) -> str:
    return f"{tile[0]}x{tile[1]}"
