"""A model on its way through the stages of a rewriting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from layoutbridge.frameworks.onnx.programs.limits import UNLIMITED, Limits
from layoutbridge.rewriting.applied import Applied
from layoutbridge.rewriting.opening import Source
from layoutbridge.rewriting.places.locating import Scene, scene_of
from layoutbridge.scanning.graphs.sizes import Shapes

if TYPE_CHECKING:
    from onnx import ModelProto


@dataclass(frozen=True)
class Draft:
    """What a stage is given, and gives on: the model with its places, and what was done until now.

    `source` is where it comes from, `shape` what the caller said of the inputs. `is_exact` is off once
    numbers are added up in another order than before. `orders` are those in which inputs and outputs, by name, have the
    axes that they had at the beginning, where it is another. What is written keeps the `limits`; with `only_exact` no
    numbers may be added up in another order.
    """

    scene: Scene
    source: Source
    shape: Shapes
    passes: tuple[Applied, ...] = ()
    is_exact: bool = True
    orders: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    limits: Limits = UNLIMITED
    only_exact: bool = False

    def with_model(self, model: ModelProto) -> Draft:
        """The same with a changed model, whose places are found anew."""
        return replace(self, scene=scene_of(model, self.scene.name, self.shape))

    def with_passes(self, passes: tuple[Applied, ...], *, is_exact: bool = True) -> Draft:
        """The same with what a stage did behind what was done before."""
        return replace(self, passes=(*self.passes, *passes), is_exact=self.is_exact and is_exact)
