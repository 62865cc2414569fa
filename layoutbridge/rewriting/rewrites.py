"""`rewrite`: a model with other ops in its places, or shorter ones, each proven and tried before it is given back."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layoutbridge.errors import ParameterError
from layoutbridge.rewriting.applied import Applied, bytes_moved_in
from layoutbridge.rewriting.draft import Draft
from layoutbridge.rewriting.places.locating import Wishes, scene_of
from layoutbridge.scanning.graphs.graph import Graph
from layoutbridge.scanning.graphs.sizes import Shapes

if TYPE_CHECKING:
    from onnx import ModelProto

Stage = Callable[[Draft], Draft]  # gives back the draft itself where there is nothing to do


@dataclass(frozen=True)
class Rewrite:
    """A rewritten model, an `onnx.ModelProto`, and what was done: nothing where it was as asked for, `changed` is off.

    `deviation` is the largest difference between an output before and after, on one random input, as a share of the
    largest value; None where nothing was run. Data in other files lie in `folder`.
    """

    model: ModelProto = field(repr=False, compare=False)
    passes: tuple[Applied, ...]
    nodes_before: int
    nodes_after: int
    bytes_moved_before: int
    bytes_moved_after: int
    deviation: float | None
    folder: Path | None = field(default=None, repr=False)

    @property
    def changed(self) -> bool:
        """Whether it is another model than before."""
        return bool(self.passes)

    def to_json(self) -> str:
        """What was done as JSON text, in the form of `layoutbridge rewrite --json`."""
        return json.dumps(self.as_json())

    def as_json(self) -> dict[str, Any]:
        """The same before it is text."""
        return {
            "changed": self.changed, "passes": [each.as_json() for each in self.passes],
            "nodes_before": self.nodes_before, "nodes_after": self.nodes_after,
            "bytes_moved_before": self.bytes_moved_before, "bytes_moved_after": self.bytes_moved_after,
            "deviation": self.deviation,
        }  # fmt: skip

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to `path`, whole or not at all; data that it keeps in other files go to `<path>.data`."""
        from layoutbridge.rewriting.opening import write

        write(self.model, self.folder, path)


def rewrite(
    model: object,
    *,
    fix: Wishes | None = None,
    fix_weights: Wishes | None = None,
    native: bool = False,
    shape: Shapes = None,
    check: bool = True,
) -> Rewrite:
    """An ONNX model with other ops in some of the places that `scan` finds; `model` itself stays as it is.

    `model` is a path or an `onnx.ModelProto`, `shape` as for `scan`. `fix` says by the number of a place, or the name
    of a node or a tensor of it, which entry of the catalogue is to stand there: at the parameters that the shapes
    give, else written as `"pixel_unshuffle(stride=2)"`; channels stay last where they are. With `fix_weights` the op
    stays, and the weights of the layers behind it are permuted so that they compute what they would with the other one.
    `native` writes every place in its cheapest form: the operator that ONNX has for it, or none where nothing moves and
    where blocks of space can be folded into the convolutions behind them.

    Every place is looked at again, at two sizes where some are open, and onnx's checker and shape inference must take
    the model. With `check` both models are run in onnxruntime on one random input: what the places do not touch must be
    the same bit for bit, and what other weights give must be what the op gives, to 1e-5 of the largest value.

    Raises `UnknownNameError` for a place or an entry that is not there, `ShapeError` for one that does not fit,
    `UnsupportedError` where no weights can undo a difference, and for places that drop or repeat elements,
    `ParameterError`, `UnusableInputError` and `MissingFrameworkError`.

    >>> import layoutbridge as lb
    >>> port = lb.emit(lb.op("space_to_depth"), "onnx", shape=(None, 64, 26, 26))
    >>> done = rewrite(port, fix={0: "darknet_reorg"})
    >>> lb.scan(done.model).places[0].names, done.changed
    (('darknet_reorg',), True)
    """
    from layoutbridge.rewriting.opening import opened

    if not (fix or fix_weights or native):
        raise ParameterError(
            "nothing is asked for: say fix={0: 'darknet_reorg'}, --fix 0=darknet_reorg, or native=True, --native"
        )
    proto, name, folder = opened(model)
    begin = Draft(scene_of(proto, name, shape), folder, shape)

    from layoutbridge.rewriting.checking import compare_stages, refuse_unsound
    from layoutbridge.rewriting.fixing import fixed
    from layoutbridge.rewriting.shortening import shortened

    stages: list[Stage] = [shortened] if native else []
    before, deviation = fixed(begin, fix or {}, fix_weights or {}, check=check)
    done = reduce(lambda draft, stage: stage(draft), stages, before)
    if check and done is not before:
        deviation = compare_stages(begin, before, done)
    made = done.scene.model
    if made is not proto:
        refuse_unsound(made, proto)
    return Rewrite(made, done.passes, *_counts(begin.scene.graph, done.scene.graph), deviation, folder)


def _counts(before: Graph, after: Graph) -> tuple[int, int, int, int]:
    """Nodes, and bytes that are moved, before and after."""
    return before.node_count, after.node_count, bytes_moved_in(before), bytes_moved_in(after)
