"""`rewrite`: a model with other ops in its places, each proven and tried before anything is given back."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layoutbridge.errors import ParameterError, shown
from layoutbridge.rewriting.locating import Located, Scene, refuse_functions, scene_of
from layoutbridge.scanning.graphs.graph import Graph, Node
from layoutbridge.scanning.graphs.sizes import Shapes
from layoutbridge.scanning.links import Region
from layoutbridge.scanning.regions import find_regions

if TYPE_CHECKING:
    from onnx import ModelProto

    from layoutbridge.rewriting.fix import Fix

Wishes = Mapping[str | int, str]


@dataclass(frozen=True)
class Applied:
    """What a pass did at some `places`, by their numbers in the scan of the model before.

    `proof` says why that is what was asked for; `bytes_before` and `bytes_after` are what the places' nodes move, at
    the sizes at which the model was read.
    """

    name: str
    places: tuple[int, ...]
    proof: str
    bytes_before: int
    bytes_after: int

    def as_json(self) -> dict[str, Any]:
        """The pass as it stands in `rewrite --json`."""
        return {
            "pass": self.name, "places": list(self.places), "proof": self.proof,
            "bytes_before": self.bytes_before, "bytes_after": self.bytes_after,
        }  # fmt: skip


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
    shape: Shapes = None,
    check: bool = True,
) -> Rewrite:
    """An ONNX model with other ops in some of the places that `scan` finds; `model` itself stays as it is.

    `model` is a path or an `onnx.ModelProto`, `shape` as for `scan`. `fix` says by the number of a place, or the name
    of a node or a tensor of it, which entry of the catalogue is to stand there: at the parameters that the shapes
    give, else written as `"pixel_unshuffle(stride=2)"`; channels stay last where they are. With `fix_weights` the op
    stays, and the weights of the layers behind it are permuted so that they compute what they would with the other one.

    Every place is looked at again, at two sizes where some are open, and onnx's checker and shape inference must take
    the model. With `check` both models are run in onnxruntime on one random input: what the places do not touch must be
    the same bit for bit, and permuted weights must give what the other op gives, to 1e-5 of the largest value.

    Raises `UnknownNameError` for a place or an entry that is not there, `ShapeError` for one that does not fit,
    `UnsupportedError` where no weights can undo a difference, and for places that drop or repeat elements,
    `ParameterError`, `UnusableInputError` and `MissingFrameworkError`.

    >>> import layoutbridge as lb
    >>> port = lb.emit(lb.op("space_to_depth"), "onnx", shape=(None, 64, 26, 26))
    >>> done = rewrite(port, fix={0: "darknet_reorg"})
    >>> lb.scan(done.model).places[0].names, done.changed
    (('darknet_reorg',), True)
    """
    from layoutbridge.rewriting.opening import as_ir, as_proto, opened

    proto, name, folder = opened(model)
    scene = scene_of(proto, name, shape)
    fixes, by_weights = _fixes(scene, fix or {}, fix_weights or {})
    if not fixes and not by_weights:
        return Rewrite(proto, (), *_counts(scene.graph, scene.graph), 0.0 if check else None, folder)

    from layoutbridge.rewriting.checking import Trial, compare_close, compare_fixed, refuse_unsound
    from layoutbridge.rewriting.fix import FixPass
    from layoutbridge.rewriting.fix_weights import FixWeightsPass

    rewritten = as_ir(proto, name, folder)
    FixPass(fixes)(rewritten)
    FixWeightsPass(by_weights)(rewritten)
    made = as_proto(rewritten, proto)
    after = scene_of(made, name, shape)
    passes = (*(_proven(after, each) for each in fixes), *(_carried(each) for each in by_weights))
    refuse_unsound(made, proto)
    deviation = None
    if check:
        trial, reference = Trial(scene, folder), made
        if by_weights:
            everywhere = as_ir(proto, name, folder)
            FixPass((*fixes, *by_weights))(everywhere)
            reference = as_proto(everywhere, proto)
        deviation = compare_fixed(trial, scene, reference, (*fixes, *by_weights))
        if by_weights:
            compare_close(trial.run(reference), trial.run(made))
    return Rewrite(made, passes, *_counts(scene.graph, after.graph), deviation, folder)


# ---------------------------------------------------------------------- what is asked for


def _fixes(scene: Scene, fix: Wishes, fix_weights: Wishes) -> tuple[list[Fix], list[Fix]]:
    """What is to be done by each pass; what is as asked for already is left out."""
    from layoutbridge.rewriting.fix import Fix, refuse_unmovable
    from layoutbridge.rewriting.wanted import is_same_map, wanted_at

    if not fix and not fix_weights:
        raise ParameterError("nothing is asked for: say fix={0: 'darknet_reorg'}, --fix 0=darknet_reorg")
    asked: dict[int, str] = {}
    made: tuple[list[Fix], list[Fix]] = ([], [])
    for wishes, own in zip((fix, fix_weights), made, strict=True):
        for wish, name in wishes.items():
            located = scene.called(_checked(wish))
            if not isinstance(name, str):
                raise ParameterError(f"{located.told} is to be an entry's name, not {shown(name)}")
            if located.number in asked:
                raise ParameterError(
                    f"{located.told} is asked for twice, as {asked[located.number][:80]} and {name[:80]}"
                )
            asked[located.number] = name
            refuse_unmovable(located)
            refuse_functions(scene, located)
            wanted = wanted_at(located, name)
            graphs = (located.graph, *((located.second,) if len(located.seen_at) > 1 else ()))
            regions = (_region(graph, located) for graph in graphs if graph is not None)
            if not all(is_same_map(*each, wanted.on_all_axes) for each in regions):
                own.append(Fix(located, wanted))
    return made


def _checked(wish: object) -> str | int:
    if isinstance(wish, bool) or not isinstance(wish, str | int):
        raise ParameterError(f"a place is told by its number or by a name, not {shown(wish)}")
    return wish


def _region(graph: Graph, located: Located) -> tuple[Graph, Region]:
    """The region that gives the place's tensor in a graph."""
    return graph, next(each for each in find_regions(graph) if each.output == located.region.output)


# ---------------------------------------------------------------------- what was done


def _proven(after: Scene, fix: Fix) -> Applied:
    """What was done at a place, looked at in the model that was made; an `AssertionError` where it is not that."""
    from layoutbridge.rewriting.locating import graphs_at_sizes
    from layoutbridge.rewriting.wanted import is_same_map

    located = fix.located
    graphs = graphs_at_sizes(after)[located.inside]
    graph, region = _region(graphs[0], located)
    seen = [graph, *(again for again in graphs[1:] if again is not None and located.region.output in again.tensors)]
    shapes = []
    for each in seen:
        again = _region(each, located)[1]
        if again.sources != located.region.sources or not is_same_map(each, again, fix.wanted.on_all_axes):
            raise AssertionError(f"{located.told} did not become {fix.wanted.label}")
        shapes.append(str(list(each.tensors[again.sources[0]].shape)))
    proof = f"read again at {' and '.join(shapes)}, every element comes from where {fix.wanted.label} has it"
    return Applied(
        "fix", (located.number,), proof, _moved(located.graph, located.region.nodes), _moved(graph, region.nodes)
    )


def _carried(fix: Fix) -> Applied:
    from layoutbridge.rewriting.wanted import present_at

    moved = _moved(fix.located.graph, fix.located.region.nodes)
    present = present_at(fix.located).label
    proof = f"{fix.wanted.label} against {present} is an order of channels alone, which the weights have taken"
    return Applied("fix-weights", (fix.located.number,), proof, moved, moved)


def _counts(before: Graph, after: Graph) -> tuple[int, int, int, int]:
    """Nodes, and bytes that are moved, before and after."""
    return before.node_count, after.node_count, _moved_in(before), _moved_in(after)


def _moved_in(graph: Graph) -> int:
    return _moved(graph, graph.nodes) + sum(_moved_in(inner) for inner in graph.inner)


def _moved(graph: Graph, nodes: Sequence[Node]) -> int:
    """The bytes that nodes write elsewhere than they lie: views write none."""
    return sum(graph.tensors[node.output].bytes for node in _moving(nodes))


def _moving(nodes: Sequence[Node]) -> Iterator[Node]:
    return (node for node in nodes if node.movement is not None and node.kind != "view")
