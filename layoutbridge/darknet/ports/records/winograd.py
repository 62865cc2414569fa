"""What is asked of a network's convolutions in Winograd's form, layer by layer, and what that costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from layoutbridge.darknet.structure.model import Network
from layoutbridge.errors import ParameterError
from layoutbridge.frameworks.winograd import POINTS, Tile

IN_HALF = "winograd needs float32: in float16 its sums lose too much; leave out half or winograd"
Written = Mapping[tuple[str, str], tuple[Tile, int]]  # layer, weights: the tile, and the bytes beyond the small ones'


@dataclass(frozen=True, slots=True)
class WinogradUse:
    """How many of the network's `convolutions` are in Winograd's form, and what their weights take more.

    `extra_bytes` are those of the transformed weights, which a runtime makes when it loads the model, less those of the
    small ones; `tiles` are the layers' by index. If they are `stored`, the file is larger by so much.
    """

    layers: int
    convolutions: int
    extra_bytes: int
    tiles: Mapping[int, Tile]
    stored: bool = False

    @property
    def told(self) -> str:
        """The same in a sentence."""
        more = f"{self.extra_bytes / 1e6:.1f} MB more"
        cost = f"a session takes {more} for their weights, and seconds longer to load"
        if self.stored:
            cost = f"the file and a session take {more} for their weights"
        gain = cost if self.layers else "at these sizes it would gain nothing"
        return f"Winograd's form in {self.layers} of {self.convolutions} convolutions: {gain}"


def tiles_by_name(network: Network, winograd: bool | Mapping[int, Tile]) -> bool | Mapping[str, Tile]:
    """The same by the layers' names; raises `ParameterError` for tiles that there are not."""
    if not isinstance(winograd, Mapping):
        return winograd
    for index, tile in winograd.items():
        if not 0 <= index < len(network.layers):
            raise ParameterError(
                f"winograd names layer {index}: {network.source} has layers 0 to {len(network.layers) - 1}"
            )
        if len(tile) != 2 or not set(tile) <= set(POINTS):
            raise ParameterError(f"winograd gives layer {index} tiles of {tile}: rows and columns are of {[*POINTS]}")
    return {network.layers[index].name: tile for index, tile in winograd.items()}


def use_of(network: Network, asked: bool | Mapping[str, Tile], written: Written, *, stored: bool) -> WinogradUse:
    """What was `written` so of what was `asked`, by the layers' names.

    Raises `ParameterError` for a layer that was named and has no such form.
    """
    convolutions = sum(layer.kind == "convolutional" for layer in network.layers)
    held = {(weights, tile): extra for (_, weights), (tile, extra) in written.items()}  # shared ones are held once
    tiles = {int(name.partition("_")[0]): tile for (name, _), (tile, _) in written.items()}
    named = {name for name, _ in written}
    for layer in network.layers:
        if isinstance(asked, Mapping) and layer.name in asked and layer.name not in named:
            raise ParameterError(
                f"{network.where(layer)}: {layer.name} has no form of Winograd's: it needs 3 × 3 weights, stride 1, "
                "no dilation and no groups"
            )
    return WinogradUse(len(written), convolutions, sum(held.values()), tiles, stored=stored)
